"""What is checked before any load: the allow list, and that the target answers one request of the plan's own.

The request is made by a process of its own, since only load processes import gevent.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import genkai
from genkai.allow import TargetRefused, check_target
from genkai.load.job import RUN_VARIABLE, Job
from genkai.workspace import Run


class LaunchError(RuntimeError):
    """A run that could not be started; the message says where, expected, got, next step."""


def load_environment(folder: Path) -> dict[str, str]:
    """The environment of a load process: which run it is for, where genkai is; none of locust's own options."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    path = os.pathsep.join([str(Path(genkai.__file__).parent.parent), *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, RUN_VARIABLE: str(folder.resolve()), "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


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
        raise LaunchError(f"{where}{expected}{found['message']}; no load was started")


def _probe(run: Run, job: Job) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "genkai.load.probe"], env=load_environment(run.path),
        cwd=working_directory(job), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise LaunchError(f"{run.path}/job.json: expected one request before the load, got: {last}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def working_directory(job: Job) -> Path:
    """Where the load processes run: beside an own locustfile, else in the plan's folder."""
    return job.locustfile.parent if job.locustfile else job.base_dir
