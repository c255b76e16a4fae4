"""Which settings to change where the generator cannot put out what the plan needs, with the exact values.

An advice is {"key", "values"}: a text of the message catalogue and its numbers.
"""

from __future__ import annotations

import math
import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genkai.load.counters import count_ports
from genkai.plan import Plan

TIME_WAIT_S = 60  # fixed in Linux (TCP_TIMEWAIT_LEN)
LOCUST_DESCRIPTORS = 10_000  # locust raises its own limit to this where it may
OTHER_DESCRIPTORS = 100  # of a load process: files, pipes, its talk with the master
WIDEST_PORTS = 64_512  # 1024 65535
TW_REUSE = Path("/proc/sys/net/ipv4/tcp_tw_reuse")


@dataclass(frozen=True)
class Settings:
    """What this machine allows: cores, ephemeral ports, tcp_tw_reuse, descriptors of a process."""

    cores: int
    ports: int | None
    tw_reuse: int | None
    descriptors: int


def read_settings() -> Settings:
    """The settings of the machine that we run on."""
    soft, hard = (math.inf if n == resource.RLIM_INFINITY else n for n in resource.getrlimit(resource.RLIMIT_NOFILE))
    try:
        reuse = int(TW_REUSE.read_text())
    except (OSError, ValueError):
        reuse = None
    descriptors = min(max(soft, min(hard, LOCUST_DESCRIPTORS)), 2**31)
    return Settings(len(os.sched_getaffinity(0)), count_ports(), reuse, int(descriptors))


def count_connections(plan: Plan) -> int:
    """The most connections that any step of the plan may hold open at once."""
    steps = [plan.step_named(name) for name in ("verify", "api", "scenario", "endurance")]
    return max(
        max([level.users or 0, step.max_in_flight if level.workload == "open" else 0])
        for step in steps if step is not None for level in step.levels
    )  # fmt: skip


def advise(
    measurements: list[dict[str, Any]], needed_rps: float, connections: int, closes: bool, loopback: bool,
    settings: Settings,
) -> list[dict[str, Any]]:  # fmt: skip
    """Advice for a plan that needs so many requests/s and connections.

    measurements: of ceiling.json, the first with one process, the last with the plan's number; closes: the target
    closes its connections after each answer; loopback: it is on this machine.
    """
    found = _advise_power(measurements, needed_rps, settings)
    processes = measurements[-1]["processes"]
    if closes and settings.ports is not None and needed_rps * TIME_WAIT_S > settings.ports:
        if settings.ports < WIDEST_PORTS:
            found.append(_advice("ports", needed=needed_rps, ports=settings.ports, wanted=WIDEST_PORTS))
        if settings.tw_reuse != 1 and not (loopback and settings.tw_reuse == 2):
            found.append(_advice("tw_reuse", needed=needed_rps, ports=settings.ports, seconds=TIME_WAIT_S))
    elif settings.ports is not None and settings.ports < min(connections, WIDEST_PORTS):
        found.append(_advice("ports_open", connections=connections, ports=settings.ports, wanted=WIDEST_PORTS))
    wanted = math.ceil(connections / processes) + OTHER_DESCRIPTORS
    if wanted > settings.descriptors:
        found.append(_advice("descriptors", connections=connections, descriptors=settings.descriptors, wanted=wanted))
    return found


def _advice(key: str, **values: Any) -> dict[str, Any]:
    return {"key": f"advice.{key}", "values": values}


def _advise_power(measurements: list[dict[str, Any]], needed_rps: float, settings: Settings) -> list[dict[str, Any]]:
    last, alone_rps = measurements[-1], measurements[0]["ceiling_rps"]
    if last["throughput_rps"] >= needed_rps or not alone_rps:
        return []
    wanted = math.ceil(needed_rps / alone_rps)
    if wanted > settings.cores:
        machines = math.ceil(needed_rps / (alone_rps * settings.cores))
        whole = alone_rps * settings.cores
        return [_advice("machines", machines=machines, cores=settings.cores, whole=whole, needed=needed_rps)]
    if wanted > last["processes"]:
        return [_advice("processes", processes=wanted, alone=alone_rps, needed=needed_rps)]
    return [_advice("unproven", reached=last["throughput_rps"], needed=needed_rps)]
