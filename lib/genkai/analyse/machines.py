"""Server-side targets: what the machines must keep while the target load is on them, judged by the metrics table.

Judged at the level that decides the run's other targets, over its hold, on the resource that is worst. The interval of
a mean is that of blocks of samples (circular block bootstrap, `resample`); other statistics have none.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genkai.analyse.judge import Judge, MeasuredRun, limit_status, target_row
from genkai.analyse.level_metrics import level_samples
from genkai.analyse.records import Record, from_draws, number
from genkai.analyse.resample import block_weights, few_blocks
from genkai.metrics import Key, Metrics
from genkai.plan import MachineTarget, Plan

MIXED = ("scenario", "endurance")  # the whole load is on the machines
STATISTICS = ("sample", "average", "sum", "maximum", "minimum")  # the first that a series has, if none is asked for
SOURCES = ("proc", "vmstat")  # a host's own sampler before its vmstat; then what else tells it
UNITS = {"Percent": "percent", "Seconds": "s", "Bytes": "bytes", "Count": "count", "Bytes/Second": "bytes/s"}
RESAMPLES = 400


def machine_rows(plan: Plan, run: MeasuredRun, judge: Judge) -> list[dict[str, Any]]:
    """One target row for each of targets.machines, of the resource that is worst; [] in a step that has none.

    run: also with `metrics` and `marks`. The rows have "kind": "machine" and "bound": at_most or at_least.
    """
    deciding, reached = judge.deciding
    if not _asked(plan, run.step) or deciding is None:
        return []
    return [_row(target, plan, run, judge, deciding, reached) for target in plan.targets.machines]


def _asked(plan: Plan, step: str) -> bool:
    return step in MIXED or (step == "api" and not any(map(plan.step_named, MIXED)))


def _row(
    target: MachineTarget, plan: Plan, run: MeasuredRun, judge: Judge, deciding: Mapping[str, Any], reached: bool
) -> dict[str, Any]:
    kind, limit = target.bound
    metrics = Metrics.of(getattr(run, "metrics", None)) if getattr(run, "metrics", None) is not None else Metrics({})
    mark = next((m for m in getattr(run, "marks", ()) if m["level"] == deciding["level"]), None)
    found = measured_resources(target, metrics, mark, _generators(plan)) if mark is not None else {}
    resource, measured = _worst(kind, found) or (target.resource or "", number(None))
    value = measured["value"]
    kept = None if value is None else target.kept_by(value)
    near = _near(target.metric, metrics)
    status, why = limit_status(
        kept, deciding, reached, f"machine_kept_{kind}", f"machine_missed_{kind}",
        "machine_unknown" if near else "machine_unmeasured",
    )  # fmt: skip
    margin = None if value is None or limit == 0 else (1 - value / limit) * (1 if kind == "at_most" else -1)
    values = {"metric": target.metric, "near": near, "throughput": judge.measured(deciding, "throughput_rps")}
    name = resource.partition(":")[2] or resource  # the metric tells of what kind it is
    row = target_row(run.step, name, target.metric, number(limit, unit=measured["unit"]), measured, margin, status,
                     int(deciding["level"]), why, values)  # fmt: skip
    return row | {"kind": "machine", "bound": kind}


def measured_resources(
    target: MachineTarget, metrics: Metrics, mark: Mapping[str, Any], generators: Sequence[str] = ()
) -> dict[str, Record]:
    """{resource: the target's quantity over the hold of a level} of each resource that the target speaks of."""
    of_resource: dict[str, list[Key]] = {}
    for key in metrics.keys:
        if key.metric == target.metric and _meant(target, key, generators):
            of_resource.setdefault(key.resource, []).append(key)
    chosen = [min(keys, key=_preference) for keys in of_resource.values()]
    return {key.resource: record for key in chosen if (record := _over_level(target, metrics, key, mark)) is not None}


def _meant(target: MachineTarget, key: Key, generators: Sequence[str]) -> bool:
    if target.statistic and key.statistic != target.statistic:
        return False
    if target.resource is None:
        return key.resource not in generators
    wanted = target.resource
    return key.resource in (wanted, f"host:{wanted}") or key.resource.startswith(f"{wanted}:")


def _preference(key: Key) -> tuple[int, int]:
    source = SOURCES.index(key.source) if key.source in SOURCES else len(SOURCES)
    return source, STATISTICS.index(key.statistic) if key.statistic in STATISTICS else len(STATISTICS)


def _over_level(target: MachineTarget, metrics: Metrics, key: Key, mark: Mapping[str, Any]) -> Record | None:
    values = level_samples(metrics, key, mark)
    if not len(values):
        return None
    unit = UNITS.get(metrics.unit(key), metrics.unit(key))
    if target.over_level != "mean":
        taken = {"p95": lambda v: np.quantile(v, 0.95), "maximum": np.max, "minimum": np.min}[target.over_level]
        return number(float(taken(values)), n=len(values), unit=unit)
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return number(mean, n=n, unit=unit)
    draws = block_weights(n, RESAMPLES, np.random.default_rng(0)) @ values / n
    return from_draws(mean, mean + (draws - mean) * few_blocks(n), n, unit)


def _worst(kind: str, found: Mapping[str, Record]) -> tuple[str, Record] | None:
    choose = max if kind == "at_most" else min
    return choose(found.items(), key=lambda item: item[1]["value"], default=None)


def _generators(plan: Plan) -> list[str]:
    return [f"host:{host.name}" for host in plan.hosts if host.role == "generator"]


def _near(metric: str, metrics: Metrics) -> str:
    """Names that were measured and resemble one that was not, for the reader who mistyped it."""
    known = {key.metric for key in metrics.keys}
    return "" if metric in known else ", ".join(difflib.get_close_matches(metric, sorted(known), 3))
