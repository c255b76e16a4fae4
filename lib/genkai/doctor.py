"""Is this machine ready? Tools, versions, kernel limits that cap a load generator, and what a plan needs besides."""

from __future__ import annotations

import importlib.metadata
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genkai.allow import TargetRefused, check_target
from genkai.collect.errors import CollectError
from genkai.collect.scaling import sizer_of
from genkai.plan import STEPS, Plan
from genkai.planfile import read_plan

LIBRARIES = ("locust", "boto3", "jupyterlab", "papermill", "typst", "hdrhistogram")
ENOUGH_FDS, ENOUGH_PORTS = 10_000, 28_000


@dataclass(frozen=True)
class Checkup:
    """One thing looked at: what, what was found, whether it will do, and what to do if not."""

    what: str
    found: str
    ok: bool = True
    remedy: str = ""


def check_machine(plan_file: Path | None = None) -> list[Checkup]:
    """All check-ups of this machine, and of what the plan needs. Raises PlanError for a wrong plan."""
    plan = read_plan(plan_file) if plan_file else None
    return [*_python(), *_tools(plan), *_limits(), *((*_plan(plan), *_sizes(plan)) if plan else ())]


def _python() -> Iterator[Checkup]:
    version = sys.version_info
    yield Checkup("Python", f"{version.major}.{version.minor}.{version.micro}", (3, 11) <= version[:2] <= (3, 13),
                  "use Python 3.11, 3.12 or 3.13")  # fmt: skip
    for name in LIBRARIES:
        try:
            yield Checkup(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Checkup(name, "not installed", False, "pip install -r requirements.lock")


def _tools(plan: Plan | None) -> Iterator[Checkup]:
    if shutil.which("vmstat"):
        told = subprocess.run(["vmstat", "-V"], capture_output=True, text=True, timeout=10)
        yield Checkup("vmstat", (told.stdout or told.stderr).strip())
    else:
        yield Checkup("vmstat", "not installed", False, "install the package procps")
    if plan and any(h.ssh for h in plan.hosts):
        yield Checkup(
            "ssh", shutil.which("ssh") or "not installed", bool(shutil.which("ssh")), "install openssh-client"
        )


def _limits() -> Iterator[Checkup]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield Checkup("file descriptors", f"{soft} (may be raised to {hard})", soft >= ENOUGH_FDS or hard >= ENOUGH_FDS,
                  f"ulimit -n {ENOUGH_FDS}")  # fmt: skip
    ports = _read("/proc/sys/net/ipv4/ip_local_port_range").split()
    if len(ports) == 2:
        count = int(ports[1]) - int(ports[0]) + 1
        yield Checkup("local ports", f"{count} ({ports[0]}–{ports[1]})", count >= ENOUGH_PORTS,
                      'sysctl -w net.ipv4.ip_local_port_range="1024 65535"')  # fmt: skip
    reuse = _read("/proc/sys/net/ipv4/tcp_tw_reuse")
    if reuse:
        words = {"0": "off", "1": "on", "2": "on for loopback only"}
        yield Checkup("tcp_tw_reuse", words.get(reuse, reuse))
    yield Checkup("cores", str(os.cpu_count()))


def _plan(plan: Plan) -> Iterator[Checkup]:
    from urllib.parse import urlsplit

    url = urlsplit(plan.base_url)
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        addresses = check_target(url.hostname or "", port, plan.allow)
        yield Checkup("target", f"{url.hostname} is allowed, resolves to {', '.join(addresses)}")
    except TargetRefused as error:
        yield Checkup("target", plan.base_url, False, str(error))
    if plan.aws and plan.aws.profile:
        import botocore.session

        known = botocore.session.Session().available_profiles
        yield Checkup("AWS profile", plan.aws.profile, plan.aws.profile in known,
                      f"aws configure --profile {plan.aws.profile}; known: {', '.join(known) or 'none'}")  # fmt: skip


def _sizes(plan: Plan) -> Iterator[Checkup]:
    """Whether the target can have every size that the steps ask for; only asks."""
    wanted = sorted({size for step in STEPS for size in plan.sizes(step) if size is not None})
    if not wanted:
        return
    what = f"sizes {', '.join(map(str, wanted))}"
    try:
        sizer = sizer_of(plan)
        sizer.check(wanted)
        now = sizer.size()
    except CollectError as error:
        yield Checkup(what, str(error), False, "mend what it says, or change the sizes in the plan")
    else:
        yield Checkup(what, f"{sizer.name}: allowed" + ("" if now is None else f", now {now}"))


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
