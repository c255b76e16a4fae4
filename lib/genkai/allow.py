"""Who may be put under load: loopback always, else only what the plan's allow list names and resolves as expected."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from genkai.refusals import Refusal


class TargetRefused(Refusal, PermissionError):
    """Load was about to go where the plan does not allow it."""


class AllowEntry(BaseModel):
    """A host name (or address) that may be put under load, and the networks it is expected to resolve to."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    host: str
    resolves_to: list[str] = []

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        return {"host": given} if isinstance(given, str) else given

    @field_validator("resolves_to")
    @classmethod
    def _networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            ipaddress.ip_network(network, strict=False)
        return networks


def is_loopback(address: str) -> bool:
    """True for 127.0.0.0/8, ::1 and the name localhost."""
    try:
        return ipaddress.ip_address(address.split("%")[0]).is_loopback
    except ValueError:
        return address.lower() == "localhost"


def is_allowed(host: str, allow: Sequence[AllowEntry]) -> bool:
    """Whether the list names this host (exactly, without regard to case) or it is loopback."""
    return is_loopback(host) or any(entry.host.lower() == host.lower() for entry in allow)


def check_address(host: str, address: str, allow: Sequence[AllowEntry]) -> None:
    """Refuse an address that this host may not resolve to.

    A name that is allowed without `resolves_to` may resolve to anything; `localhost` only to loopback.
    Raises TargetRefused.
    """
    if is_loopback(host):
        if not is_loopback(address):
            raise TargetRefused(
                f"allow: expected {host} to be this machine, it resolves to {address}; nothing was sent"
            )
        return
    entry = next((e for e in allow if e.host.lower() == host.lower()), None)
    if entry is None:
        raise TargetRefused(
            f"allow: expected a host that the plan's allow list names, got {host}; nothing was sent. "
            f"Add it to allow only if you may put load on it"
        )
    networks = [ipaddress.ip_network(n, strict=False) for n in entry.resolves_to]
    if networks and not any(ipaddress.ip_address(address) in n for n in networks):
        raise TargetRefused(
            f"allow: expected {host} to resolve into {', '.join(entry.resolves_to)}, got {address}; nothing was sent"
        )


def check_target(host: str, port: int, allow: Sequence[AllowEntry]) -> list[str]:
    """Resolve the host and check every address; the addresses. Raises TargetRefused, also when it does not resolve."""
    if not is_allowed(host, allow):
        check_address(host, host, allow)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise TargetRefused(
            f"base_url: expected a host that resolves, got {host} ({error}); nothing was sent"
        ) from error
    addresses = sorted({info[4][0] for info in found})
    for address in addresses:
        check_address(host, address, allow)
    return addresses
