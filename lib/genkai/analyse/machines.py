"""Server-side targets: what the machines must keep while the target load is on them, judged by the metrics table.

Judged at the level that decides the run's other targets, by the samples whose whole period lies in its hold, on the
resource that is worst. The interval of a mean is that of blocks of samples (circular block bootstrap, `resample`);
fewer than LEAST samples, and other quantities than the mean, have none.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from genkai.analyse.judge import Judge, MeasuredRun, limit_status, target_row
from genkai.analyse.level_metrics import hold_of
from genkai.analyse.records import Record, from_draws, number
from genkai.analyse.resample import block_weights, few_blocks
from genkai.metrics import Key, Metrics
from genkai.plan import MachineTarget, Plan

MIXED = ("scenario", "endurance")  # the whole load is on the machines
STATISTICS = ("sample", "average", "sum", "maximum", "minimum")  # the first that a series has, if none is asked for
SOURCES = ("proc", "vmstat")  # a host's own sampler before its vmstat; then what else tells it
UNITS = {"Percent": "percent", "Seconds": "s", "Milliseconds": "ms", "Bytes": "bytes", "Bytes/Second": "bytes/s",
         "Count": "count", "None": ""}  # fmt: skip
ENDINGS = {"_ratio": "ratio", "_bytes": "bytes", "_bytes_per_s": "bytes/s", "_s": "s", "Utilization": "percent"}
HIGHEST = {"ratio": 1.0, "percent": 100.0}
LEAST = 4
RESAMPLES = 400


def machine_rows(plan: Plan, run: MeasuredRun, judge: Judge) -> list[dict[str, Any]]:
    """One target row for each of targets.machines, of the resource that is worst; [] in a step that has none.

    run: also with `metrics` and `marks`. The rows have "kind": "machine", "bound": at_most or at_least, "over_level"
    and "statistic", as in the plan.
    """
    deciding, reached = judge.deciding
    if not judges_machines(plan, run.step) or deciding is None:
        return []
    return [_row(target, plan, run, judge, deciding, reached) for target in plan.targets.machines]


def judges_machines(plan: Plan, step: str) -> bool:
    """Whether a step is asked about machines: the whole load is on them, or nothing but single APIs is run."""
    return bool(plan.targets.machines) and (
        step in MIXED or (step == "api" and not any(map(plan.step_named, MIXED)))
    )  # fmt: skip


def machine_levels(plan: Plan, runs: Sequence[MeasuredRun]) -> list[dict[str, Any]]:
    """{"subject", "metric", "over_level", "statistic", "api", "intended", "workload", "measured", "target", "bound"} of
    each machine target at each level of a subject's runs: the worst resource of the worst repetition there.

    "api" is the resource, as in the target rows; "measured" has no value where nothing tells it. A target that nothing
    tells at any level has one row, the last level's.
    """
    rows: dict[tuple, dict[str, Any]] = {}
    for run in runs:
        targets = plan.targets.machines if judges_machines(plan, run.step) else []
        metrics, generators = _metrics(run), _generators(plan)
        metrics = metrics.held({key for target in targets for key in _meant(target, metrics, generators)})
        for place, target in enumerate(targets):
            for mark in getattr(run, "marks", ()):
                row = _level_row(target, plan, run, metrics, mark)
                key = (run.subject, place, mark["level"])
                rows[key] = min((rows[key], row), key=_margin) if key in rows else row
    told = {key[:2] for key, row in rows.items() if row["measured"]["value"] is not None}
    last = {key[:2]: key for key in rows}
    return [row for key, row in rows.items() if key[:2] in told or key == last[key[:2]]]


def _level_row(
    target: MachineTarget, plan: Plan, run: MeasuredRun, metrics: Metrics, mark: Mapping[str, Any]
) -> dict[str, Any]:
    resource, measured = _at_level(target, plan, metrics, mark)
    kind, limit = target.bound
    return {
        "subject": run.subject, "metric": target.metric, "over_level": target.over_level,
        "statistic": target.statistic, "api": _name(resource), "intended": mark["intended"],
        "workload": mark["workload"], "measured": measured, "target": number(limit, unit=measured["unit"]),
        "bound": kind,
    }  # fmt: skip


def _margin(row: Mapping[str, Any]) -> float:
    """How far on the safe side; infinity for what was not measured."""
    value, limit = row["measured"]["value"], row["target"]["value"]
    return np.inf if value is None else limit - value if row["bound"] == "at_most" else value - limit


def _row(
    target: MachineTarget, plan: Plan, run: MeasuredRun, judge: Judge, deciding: Mapping[str, Any], reached: bool
) -> dict[str, Any]:
    kind, limit = target.bound
    mark = next((m for m in getattr(run, "marks", ()) if m["level"] == deciding["level"]), None)
    resource, measured = _at_level(target, plan, _metrics(run), mark)
    value = measured["value"]
    kept = None if value is None else target.kept_by(value)
    unknown, more = ("", {}) if value is not None else _why_unknown(target, plan, run, mark)
    status, why = limit_status(kept, deciding, reached, f"machine_kept_{kind}", f"machine_missed_{kind}", unknown)
    margin = None if value is None or limit == 0 else (limit - value) / abs(limit) * (1 if kind == "at_most" else -1)
    values = {"metric": target.label, "throughput": judge.measured(deciding, "throughput_rps"), **more}
    row = target_row(run.step, _name(resource), target.metric, number(limit, unit=measured["unit"]), measured, margin,
                     status, int(deciding["level"]), why, values)  # fmt: skip
    return row | {"kind": "machine", "bound": kind, "over_level": target.over_level, "statistic": target.statistic}


def _name(resource: str) -> str:
    return resource.partition(":")[2] or resource  # the metric tells of what kind it is


def _at_level(
    target: MachineTarget, plan: Plan, metrics: Metrics, mark: Mapping[str, Any] | None
) -> tuple[str, Record]:
    """(resource, its quantity) of the resource that is worst at a level."""
    unmeasured = (target.resource or "", number(None, unit=unit_of(target.metric)))
    if mark is None:
        return unmeasured
    found = measured_resources(target, metrics, mark, _generators(plan))
    choose = max if target.at_most is not None else min
    return choose(found.items(), key=lambda item: item[1]["value"], default=unmeasured)


def measured_resources(
    target: MachineTarget, metrics: Metrics, mark: Mapping[str, Any], generators: Sequence[str] = ()
) -> dict[str, Record]:
    """{resource: the target's quantity over the hold of a level} of each resource that the target speaks of."""
    of_resource: dict[str, list[Key]] = {}
    for key in _meant(target, metrics, generators):
        of_resource.setdefault(key.resource, []).append(key)
    chosen = [min(keys, key=_preference) for keys in of_resource.values()]
    return {key.resource: record for key in chosen if (record := _over_level(target, metrics, key, mark)) is not None}


def unit_of(metric: str) -> str:
    """The unit that a metric's name tells, where nothing was measured that would; "" for none."""
    return next((unit for ending, unit in ENDINGS.items() if metric.endswith(ending)), "")


def _metrics(run: MeasuredRun) -> Metrics:
    found = getattr(run, "metrics", None)
    return Metrics({}) if found is None else Metrics.of(found)


def _meant(target: MachineTarget, metrics: Metrics, generators: Sequence[str]) -> Iterator[Key]:
    for key in metrics.keys:
        named = target.metric in (key.metric, key.metric.partition("{")[0])
        if named and target.statistic in (None, key.statistic) and _is(target.resource, key.resource, generators):
            yield key


def _is(wanted: str | None, resource: str, generators: Sequence[str]) -> bool:
    """Whether a resource is the wanted one or of its kind; a generator only where it is named itself."""
    if wanted in (resource, resource.removeprefix("host:")):
        return True
    return resource not in generators and (wanted is None or resource.startswith(f"{wanted}:"))


def _preference(key: Key) -> tuple[int, int]:
    source = SOURCES.index(key.source) if key.source in SOURCES else len(SOURCES)
    return source, STATISTICS.index(key.statistic) if key.statistic in STATISTICS else len(STATISTICS)


def _whole(metrics: Metrics, key: Key, mark: Mapping[str, Any]) -> tuple[np.ndarray, float]:
    """(samples whose whole period lies in the hold of a level, the shortest period of those that overlap it)."""
    start, period, value = metrics.arrays(key)
    begin, end = hold_of(mark)
    overlapping = period[(start < end) & (start + period > begin)]
    inside = (start >= begin) & (start + period <= end)
    return value[inside], float(overlapping.min()) if len(overlapping) else 0.0


def _over_level(target: MachineTarget, metrics: Metrics, key: Key, mark: Mapping[str, Any]) -> Record | None:
    values, _ = _whole(metrics, key, mark)
    if not len(values):
        return None
    n, unit = len(values), UNITS.get(metrics.unit(key), metrics.unit(key))
    if target.over_level != "mean":
        taken = {"p95": lambda v: np.quantile(v, 0.95), "maximum": np.max, "minimum": np.min}[target.over_level]
        return number(float(taken(values)), n=n, unit=unit)
    mean = float(values.mean())
    if n < LEAST:
        return number(mean, n=n, unit=unit)
    draws = mean + (block_weights(n, RESAMPLES, np.random.default_rng(0)) @ values / n - mean) * few_blocks(n)
    low, high = (0.0 if values.min() >= 0 else -np.inf), HIGHEST.get(unit, np.inf)
    return from_draws(mean, np.clip(draws, low, max(high, mean)), n, unit)


def _generators(plan: Plan) -> list[str]:
    return [f"host:{host.name}" for host in plan.hosts if host.role == "generator"]


def _why_unknown(
    target: MachineTarget, plan: Plan, run: MeasuredRun, mark: Mapping[str, Any] | None
) -> tuple[str, dict[str, Any]]:
    """(reason, its values) why a target has no value at a level: too coarse, another name, or not told at all."""
    metrics = _metrics(run)
    keys = list(_meant(target, metrics, _generators(plan)))
    periods = [p for key in keys if mark is not None and (p := _whole(metrics, key, mark)[1])]
    if periods:
        begin, end = hold_of(mark)
        return "machine_too_coarse", {"period": number(min(periods), unit="s"), "hold": number(end - begin, unit="s")}
    known = {key.metric for key in metrics.keys}
    near = [] if target.metric in known else difflib.get_close_matches(target.metric, sorted(known), 3)
    return ("machine_unknown", {"near": ", ".join(near)}) if near else ("machine_unmeasured", {})
