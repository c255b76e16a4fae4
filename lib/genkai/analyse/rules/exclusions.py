"""What was looked at: every resource that was measured, how much of it was used, and whether it can be the limit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from genkai.analyse.rules.case import Case
from genkai.analyse.rules.evidence import amount
from genkai.analyse.rules.relations import (
    BUSY,
    CACHE_FULL,
    IDLE,
    cache_signal,
    engine_share,
    machine_full,
    wait_sides,
    worker_use,
)

AS_BEFORE = 1.1  # times the use below the limit: no more is as much


@dataclass(frozen=True)
class Check:
    """USE for one group of resources: signals for used, saturated and errors; from where each speaks of a limit."""

    group: str
    used: str = ""
    saturated: str = ""
    errors: tuple[str, ...] = ()
    used_limit: float = BUSY
    saturated_limit: float = math.inf
    errors_limit: float = 0.0
    low_is_bad: bool = False
    generator: bool = False
    idle: float = IDLE


CHECKS = (
    Check("cpu", "cpu.busy", "run_queue", used_limit=0.95, generator=True),
    Check("cpu", "cpu.busy", "run_queue"),
    Check("memory", "memory.available", "swap.traffic", used_limit=0.95, saturated_limit=1.0, low_is_bad=True),
    Check("disk", "disk.busy", "disk.queue", used_limit=0.95),
    Check("network", errors=("ena.bandwidth_in", "ena.bandwidth_out", "ena.packets", "ena.conntrack")),
    Check("accept_queue", errors=("listen.overflows",), errors_limit=4),
    Check("balancer", saturated="lb.queue", saturated_limit=5, errors=("lb.spillover", "lb.rejected", "lb.errors")),
    Check("database", "rds.cpu", "rds.queue", saturated_limit=64),
    Check("cache", "elasticache.cpu", used_limit=CACHE_FULL),
    Check("cache", "elasticache.node_cpu", used_limit=CACHE_FULL),
    Check("table", errors=("dynamodb.read_throttles", "dynamodb.write_throttles", "dynamodb.throttled_requests")),
    Check("function", errors=("lambda.throttles",)),
)


def examine(case: Case) -> list[dict[str, Any]]:
    """One row per resource and group: {resource, group, used, saturated, errors, verdict, why_key, values}."""
    if not len(case.levels):
        return []
    rows = [*_processes(case), *_workers(case)]
    for check in CHECKS:
        for resource in _resources(case, check):
            rows.append(_row(case, check, resource))
    return rows


def _resources(case: Case, check: Check) -> list[str]:
    names = [n for n in (check.used, check.saturated, *check.errors) if n]
    found = {s.resource for name in names for s in case.series(name)}
    if check.group == "cache":
        found = {resource for resource in found if cache_signal(case, resource) == check.used}
    shared = case.facts.shared and check.used != "cpu.busy"  # of the CPU there is a line for the generator's machine
    return sorted(r for r in found if case.generates(r) == check.generator or shared)


def _value(case: Case, name: str, resource: str) -> tuple[float, str]:
    for series in case.series(name) if name else []:
        if series.resource == resource:
            return case.peak(series), series.unit
    return math.nan, ""


def _row(case: Case, check: Check, resource: str) -> dict[str, Any]:
    if check.used == "elasticache.node_cpu":
        share = engine_share(case, resource)
        check = replace(check, used_limit=check.used_limit * share, idle=check.idle * share)
    used, unit = _value(case, check.used, resource)
    if check.low_is_bad and math.isfinite(used):
        used = 1 - min(case.lowest(s) for s in case.series(check.used) if s.resource == resource)
    saturated, saturated_unit = _value(case, check.saturated, resource)
    errors = [_value(case, name, resource) for name in check.errors]
    # The largest, not the sum: the counters overlap (a request that spills over is an ELB 5xx, too).
    worst = max(((value, unit) for value, unit in errors if math.isfinite(value)), default=(None, ""))
    wrong = amount(*worst)
    row = judged(resource, check, amount(used, unit), amount(saturated, saturated_unit), wrong)
    innocent = _innocent(case, check, resource) if row["verdict"] == "limit" else None
    return row | {"verdict": "busy", "why_key": f"ruled_out.why.{innocent}"} if innocent else row


def _innocent(case: Case, check: Check, resource: str) -> str | None:
    """Why what looks like the limit is not: it was as full below the limit, or its queue is that of the instances.

    "Below" is what the rule of that resource takes for it, well before the limit, else one report would name a resource
    and rule it out; a full target's CPU is named in any case.
    """
    if check.group == "balancer":
        wait = wait_sides(case)
        return "queue_behind" if wait is not None and wait.rises_behind else None
    if not check.used or check.low_is_bad or (check.group == "cpu" and not check.generator) or machine_full(case)[1]:
        return None
    for series in case.series(check.used):
        before = case.well_before(series)
        if series.resource == resource and before >= check.used_limit and case.peak(series) <= AS_BEFORE * before:
            return "as_before"
    return None


def judged(resource: str, check: Check, used: dict, saturated: dict, errors: dict) -> dict[str, Any]:
    """The row with its verdict: limit, busy, idle or unknown, and why."""
    use, queue, wrong = used["value"], saturated["value"], errors["value"]
    if use is not None and use >= check.used_limit:
        verdict, why = "limit", "full"
    elif queue is not None and queue > check.saturated_limit:
        verdict, why = "limit", "queue"
    elif wrong is not None and wrong > check.errors_limit:
        verdict, why = "limit", "errors"
    elif use is not None and use >= check.idle:
        verdict, why = "busy", "near"
    elif use is not None:
        verdict, why = "idle", "low_use"
    elif queue is not None or wrong is not None:
        verdict, why = "idle", "no_trouble"
    else:
        verdict, why = "unknown", "not_measured"
    values = {"used": used, "saturated": saturated, "errors": errors}
    known = {name: record if record["value"] is not None else None for name, record in values.items()}
    return {
        "resource": resource,
        "group": check.group,
        **known,
        "verdict": verdict,
        "why_key": f"ruled_out.why.{why}",
        "values": values,
    }


def _processes(case: Case) -> Iterator[dict[str, Any]]:
    """The generator: its fullest process, its lag, its own failures."""
    series, busy = case.highest_process("cpu_ratio")
    if series is None:
        return
    lag = case.highest_process("loop_lag_p99_s")[1]
    own, _ = case.failure_share(lambda rows: rows["kind"].isin(["no_port", "no_fd"]))
    check = Check("generator", used_limit=0.9, saturated_limit=0.25)
    yield judged(series.resource, check, amount(busy, "ratio"), amount(lag, "s"), amount(own, "count"))


def _workers(case: Case) -> Iterator[dict[str, Any]]:
    series, used, _ = worker_use(case)
    if series is None:
        return
    check = Check("workers", used_limit=0.95)
    hung = sum(max(case.peak(s), 0) for s in case.series("status.timeouts") if math.isfinite(case.peak(s)))
    yield judged(series.resource, check, amount(used, "ratio"), amount(None, ""), amount(hung, "count"))
