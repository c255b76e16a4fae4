"""boto3 clients as the plan wants them, and AWS's errors as one paragraph each."""

from __future__ import annotations

import os
import socket
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from genkai.allow import is_loopback
from genkai.collect.errors import CollectError
from genkai.plan import Aws

ATTEMPTS = 8
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Forbidden", "AuthorizationError")
_CREDENTIALS = (
    "UnrecognizedClientException", "InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken", "AuthFailure",
    "ExpiredTokenException", "InvalidAccessKeyId", "MissingAuthenticationToken", "InvalidSignatureException",
)  # fmt: skip


class PermissionMissing(CollectError):
    """An action that the credentials do not allow: the rest can go on."""


class NotFound(CollectError):
    """A resource of that name does not exist."""


def client(aws: Aws, service: str) -> Any:
    """A boto3 client: the plan's region, profile and endpoint; standard retries, 8 attempts, time limits.

    A loopback endpoint gets made-up credentials unless the plan names a profile: real ones have no business there.
    Raises CollectError: unknown profile, no credentials, unreachable endpoint, region that does not exist.
    """
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS}, connect_timeout=5, read_timeout=60,
        max_pool_connections=10,
    )  # fmt: skip
    try:
        session = _session(aws)
        given: dict[str, Any] = {"endpoint_url": aws.endpoints.get(service), "config": config}
        if (
            given["endpoint_url"]
            and aws.profile is None
            and is_loopback(urlsplit(given["endpoint_url"]).hostname or "")
        ):
            given |= {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
            given["config"] = config.merge(Config(proxies={}))
        elif session.get_credentials() is None:
            raise CollectError(
                "aws: expected credentials from a profile, the environment or the machine's role, got none; "
                "set aws.profile in the plan, or AWS_PROFILE"
            )
        made = session.client(service, **given)
    except (BotoCoreError, ValueError) as error:
        raise explain(error, aws, service) from error
    _check_reachable(made.meta.endpoint_url, aws, service)
    return made


def is_local(aws: Aws, service: str) -> bool:
    """Whether a service is a stand-in on this machine, by the plan or by boto3's own variables."""
    own = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL")
    return is_loopback(urlsplit(aws.endpoints.get(service) or own or "").hostname or "")


@cache
def _descriptions() -> Any:
    """The descriptions of all services: they take long to read, and a session of its own reads them anew."""
    from botocore.loaders import Loader

    return Loader()


def _moment(value: Any) -> Any:
    """A time of an answer; seconds as UTC at once, for botocore takes 30 µs to make local ones of them."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    from botocore.utils import parse_timestamp

    return parse_timestamp(value)


def _session(aws: Aws) -> Any:
    import boto3
    from botocore.session import Session

    core = Session()
    core.register_component("data_loader", _descriptions())
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_moment)
    return boto3.Session(botocore_session=core, profile_name=aws.profile, region_name=aws.region)


def _check_reachable(url: str, aws: Aws, service: str) -> None:
    """Connect once: eight attempts with back-off against a closed port would take a minute to say the same."""
    part = urlsplit(url)
    host, port = part.hostname or "", part.port or (443 if part.scheme == "https" else 80)
    if not is_loopback(host) and (urllib.request.getproxies() or os.environ.get("HTTPS_PROXY")):
        return
    try:
        socket.create_connection((host, port), timeout=5).close()
    except socket.gaierror as error:
        known = _regions(service)
        hint = (
            f"region {aws.region!r} is none that {service} has"
            if known and aws.region not in known and service not in aws.endpoints
            else "check the network, a proxy (HTTPS_PROXY) and aws.endpoints"
        )
        raise CollectError(f"aws: expected to resolve {host} of {service}, got {error}; {hint}") from error
    except OSError as error:
        raise CollectError(
            f"aws: expected {service} to answer at {part.scheme}://{host}:{port}, got {error}; check aws.endpoints, "
            "aws.region and the network"
        ) from error


def _regions(service: str) -> list[str]:
    import boto3

    with suppress(Exception):
        return boto3.Session().get_available_regions(service)
    return []


def explain(error: Exception, aws: Aws, service: str, action: str = "", resource: str = "") -> CollectError:
    """The error of a boto3 call as a CollectError that says what to do; PermissionMissing when it is only that."""
    from botocore import exceptions as botocore

    where = f"aws {service}" + (f" {action}" if action else "")
    on = f" on {resource}" if resource else ""
    if isinstance(error, CollectError):
        return error
    if isinstance(error, botocore.ProfileNotFound):
        return CollectError(
            f"aws.profile: expected a profile of ~/.aws/config, got {aws.profile or os.environ.get('AWS_PROFILE')!r}; "
            "correct the plan, or: aws configure list-profiles"
        )
    if isinstance(error, botocore.NoCredentialsError | botocore.PartialCredentialsError | botocore.TokenRetrievalError
                  | botocore.UnauthorizedSSOTokenError | botocore.SSOTokenLoadError):  # fmt: skip
        return CollectError(f"{where}: expected credentials, got {_line(error)}; check aws.profile, or: aws sso login")
    if isinstance(error, botocore.ClientError):
        return _explain_answer(error, aws, where, service, action, on)
    if isinstance(error, botocore.ConnectionError | botocore.HTTPClientError):
        return CollectError(f"{where}: expected an answer, got {_line(error)}; check aws.endpoints and the network")
    return CollectError(f"{where}{on}: expected an answer of AWS, got {type(error).__name__}: {_line(error)}")


def _explain_answer(error: Any, aws: Aws, where: str, service: str, action: str, on: str) -> CollectError:
    code = error.response.get("Error", {}).get("Code", "")
    message = _line(error.response.get("Error", {}).get("Message", ""))
    if code in _DENIED:
        return PermissionMissing(
            f"{where}: expected permission {iam_action(service, action)}{on or ' on *'}, got {code}; "
            "add it to the policy (docs/iam holds all: read.json, and scale.json for other sizes of the target)"
        )
    if code in _CREDENTIALS:
        return CollectError(
            f"{where}: expected credentials that are valid in {aws.region}, got {code}; renew them, check aws.profile"
        )
    if "NotFound" in code:
        return NotFound(f"{where}: expected a resource of that name{on} in {aws.region}, got {code}: {message}")
    if code.startswith("Throttling") or code in ("RequestLimitExceeded", "LimitExceededException"):
        return CollectError(
            f"{where}: expected an answer within {ATTEMPTS} attempts, got {code} each time; try again later"
        )
    return CollectError(f"{where}{on}: expected an answer of AWS, got {code}: {message}")


def iam_action(service: str, action: str) -> str:
    """An API call as IAM names it, e.g. elasticloadbalancing:DescribeLoadBalancers."""
    prefix = {"elbv2": "elasticloadbalancing", "elb": "elasticloadbalancing"}.get(service, service)
    return f"{prefix}:{action}"


def call(made: Any, aws: Aws, service: str, action: str, resource: str = "", /, **given: Any) -> dict[str, Any]:
    """One API call by its AWS name. Raises CollectError or PermissionMissing, never a botocore error."""
    from botocore import xform_name
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        return getattr(made, xform_name(action))(**given)
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        raise explain(error, aws, service, action, resource) from error


def _line(text: Any) -> str:
    return " ".join(str(text).split())[:300]
