"""What is checked before any load: the allow list, and that the target answers one request of the plan's own.

The request is made by a process of its own, since only load processes import gevent.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from genkai.allow import TargetRefused, check_target
from genkai.load.job import Job
from genkai.load.process import LaunchError, start_process
from genkai.workspace import Run, read_json

PROBE_S = 60.0
TLS_STEPS = {  # words of OpenSSL: next step; an ALERT is the server's word on us
    "CERTIFICATE_REQUIRED": "the server asks for a client certificate: name it in tls.certificate and tls.key",
    "HANDSHAKE_FAILURE": "the server may ask for a client certificate: name it in tls.certificate and tls.key",
    "ALERT_CERTIFICATE_EXPIRED": "the server calls our certificate expired: compare the clocks",
    "ALERT_UNKNOWN_CA": "the server does not know the issuer of tls.certificate: is it the right one, with its chain?",
    "ALERT_BAD_CERTIFICATE": "the server refuses tls.certificate: is it the right one, with its chain?",
    "CERTIFICATE_UNKNOWN": "the server refuses tls.certificate: is it the right one, with its chain?",
    "mismatch": "name the server as its certificate does, in tls.server_name",
    "certificate has expired": "the server's certificate has to be renewed",
    "certificate not accepted": "name the authority that signed the server's certificate in tls.ca",
}


def check_allowed(job: Job) -> None:
    """Refuse a job whose target the plan does not allow, before any packet. Raises LaunchError."""
    parts = urlsplit(job.base_url)
    try:
        check_target(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80), job.allow)
    except TargetRefused as error:
        raise LaunchError(str(error)) from error
    if job.locustfile is not None and job.workload == "open":
        raise LaunchError(f"{job.locustfile}: expected levels in users for an own locustfile, got arrival rates")
    if job.locustfile is not None and not job.locustfile.is_file():
        raise LaunchError(f"{job.locustfile}: expected a locustfile, got none")


def check_answers(run: Run, job: Job) -> None:
    """One request of the plan's own before any load.

    Raises LaunchError.
    """
    parts = urlsplit(job.base_url)
    if not job.calls:
        try:
            socket.create_connection(
                (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)), 5
            ).close()
        except OSError as error:
            raise LaunchError(
                f"{job.base_url}: expected a target that answers, got: {error}; start it or mend base_url"
            ) from error
        return
    found = _probe(run, job)
    if not found["ok"]:
        api = job.calls[0].api
        where = "" if found["kind"] == "plan" else f"{job.base_url}, {api.method} {api.path}: "
        expected = "" if found["kind"] == "plan" else f"expected an answer that passes the check of {api.name}, got: "
        after = "" if found["kind"] == "plan" else "; start the target, or mend base_url, path or check in the plan"
        hint = tls_hint(found["message"]) if found["kind"] == "tls" else ""
        raise LaunchError(f"{where}{expected}{found['message']}{hint}; no load was started{after}")


def tls_hint(message: str) -> str:
    """What to do about a TLS failure; "" where that is not known."""
    return next((f"; {step}" for part, step in TLS_STEPS.items() if part in message), "")


def _probe(run: Run, job: Job) -> dict[str, Any]:
    log = run.raw("probe.log")
    asking = start_process([sys.executable, "-m", "genkai.load.probe"], run.path, log, working_directory(job))
    code = asking.wait(PROBE_S)
    asking.end(0)
    if code != 0:
        last = (log.read_text(errors="replace").strip().splitlines() or ["no output"])[-1]
        raise LaunchError(f"{run.path}/job.json: expected one request before the load, got: {last}")
    log.unlink()
    return read_json(run.path / "probe.json")


def working_directory(job: Job) -> Path:
    """Where the load processes run: beside an own locustfile, else in the plan's folder."""
    return job.locustfile.parent if job.locustfile else job.base_dir
