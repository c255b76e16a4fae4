"""Rules: under a load that stays the same, something does not stay the same (issue: drift, time to exhaustion)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from genkai.analyse.rules.case import Case, signal_table
from genkai.analyse.rules.drift import Drift, measure_drift
from genkai.analyse.rules.evidence import Evidence, Finding, Rule, amount
from genkai.analyse.rules.host import credit_pace, unlimited
from genkai.analyse.rules.pauses import seconds_p99

DAY_S = 86_400.0
DRIFTING = ("memory.available", "fds.open", "credit.balance", "cpu.busy")
NOTABLE = 0.05  # of the value: less is not called a drift, however sure


def _hold(case: Case) -> tuple[float, float] | None:
    if case.facts.step != "endurance" or not case.holds:
        return None
    return max(case.holds, key=lambda hold: hold[1] - hold[0])


def _drift_of(case: Case, signal: str, resource: str) -> Drift | None:
    times, values = case.samples.raw(signal_table()[signal], resource)
    start, end = _hold(case)
    inside = (times >= start) & (times < end)
    return measure_drift(times[inside], values[inside])


def _exhaustion(case: Case, left: float, slope: float) -> tuple[float, str, bool]:
    """(seconds until nothing is left, strength, whether that is too soon)."""
    seconds = left / abs(slope) if slope else math.inf
    needed = case.facts.hold_needed_s or DAY_S
    return seconds, "strong" if seconds < needed else "weak", seconds < needed


def _resources(case: Case, signal: str) -> list:
    return [*case.of_targets(signal), *(case.of_generator(signal) if case.facts.shared else [])]


def memory(case: Case) -> Finding | None:
    """Memory left falls steadily under constant load: a leak; it says when nothing will be left."""
    for series in _resources(case, "memory.available") if _hold(case) else []:
        drift = _drift_of(case, "memory.available", series.resource)
        if drift is None or not drift.high < 0 or drift.tau > -0.8 or not drift.steady_growth:
            continue
        if drift.first - drift.last < 0.05:
            continue
        seconds, strength, _ = _exhaustion(case, drift.last, drift.slope)
        return _found("memory_leak", "evidence.drift.memory", series, drift, "ratio", seconds, strength)
    return None


def descriptors(case: Case) -> Finding | None:
    """Open descriptors grow steadily under constant load."""
    for series in _resources(case, "fds.open") if _hold(case) else []:
        drift = _drift_of(case, "fds.open", series.resource)
        if drift is None or not drift.low > 0 or drift.tau < 0.8 or not drift.steady_growth:
            continue
        if drift.last - drift.first < max(50, 0.2 * drift.first):
            continue
        limit = case.facts.limits.get(f"{series.resource} fds.open") or _descriptor_limit(case, series.resource)
        seconds = (limit - drift.last) / drift.slope if limit else math.nan
        strength = "strong" if limit and seconds < (case.facts.hold_needed_s or DAY_S) else "moderate"
        return _found("descriptor_leak", "evidence.drift.descriptors", series, drift, "count", seconds, strength)
    return None


def _descriptor_limit(case: Case, resource: str) -> float | None:
    """The process's limit of open files as /proc tells it: open ÷ share used."""
    used = case.samples.raw(signal_table()["fds.used"], resource)[1]
    count = case.samples.raw(signal_table()["fds.open"], resource)[1]
    known = len(used) == len(count) and len(used) > 0 and used[-1] > 0
    return float(count[-1] / used[-1]) if known else None


def credit_use(case: Case) -> Finding | None:
    """CPU credits are spent faster than earned: the instance will be throttled before the time it must hold.

    Of several the first to be throttled is told; one in unlimited mode, which is only billed, where there is no other.
    """
    found = []
    for series in case.of_targets("credit.balance") if _hold(case) else []:
        drift = _drift_of(case, "credit.balance", series.resource)
        if drift is None or not drift.high < 0 or not drift.last > 0:
            continue
        seconds, strength, soon = _exhaustion(case, drift.last, drift.slope)
        if soon:
            found.append((unlimited(case, series.resource), seconds, strength, series, drift))
    if not found:
        return None
    billed, seconds, strength, series, drift = min(found, key=lambda each: each[:2])
    strength = "weak" if billed else strength
    told = _found("credits_running_out", "evidence.drift.credits", series, drift, "count", seconds, strength)
    return replace(told, evidence=(*told.evidence, *credit_pace(case, series.resource)))


def _found(cause: str, key: str, series, drift: Drift, unit: str, seconds: float, strength: str) -> Finding:
    values = {
        "resource": series.resource.partition(":")[2],
        "first": amount(drift.first, unit), "last": amount(drift.last, unit), "slope": drift.slope_record(unit),
        "exhausted": amount(seconds, "duration"), "duration": amount(drift.duration_s, "duration"),
    }  # fmt: skip
    evidence = Evidence.of(key, values, series)
    return Finding(cause, strength, (evidence,), fit=0.8, values={"exhausted": values["exhausted"]})


def _response(case: Case) -> Drift | None:
    start, end = _hold(case)
    times, p99 = seconds_p99(case)
    inside = (times >= start) & (times < end)
    return measure_drift(times[inside], p99[inside])


def response_drift(case: Case) -> Finding | None:
    """Response time grows steadily under constant load."""
    hold = _hold(case)
    if hold is None or hold[1] - hold[0] < 60:
        return None
    drift = _response(case)
    if drift is None or not drift.low > 0 or drift.tau < 0.6 or not drift.steady_growth:
        return None
    if drift.last < 1.5 * drift.first or drift.last - drift.first < 0.005:
        return None
    values = {"first": amount(drift.first, "s"), "last": amount(drift.last, "s"), "slope": drift.slope_record("s"),
              "duration": amount(drift.duration_s, "duration")}  # fmt: skip
    evidence = Evidence("evidence.drift.response", values, "requests")
    return Finding("response_time_drift", "moderate", (evidence,), fit=0.5)


def drift_rows(case: Case) -> list[dict[str, Any]]:
    """How everything that may drift did in an endurance run; none for other steps.

    [{resource, what, first, last, slope (per hour, with its 95 % interval), changed (seconds after the start of the
    hold, or null), verdict: drifts | changed | steady}], response times first.
    """
    if not _hold(case):
        return []
    rows = [_drift_row("", "response_p99", "s", _response(case), case)]
    for signal in DRIFTING:
        for series in _resources(case, signal):
            drift = _drift_of(case, signal, series.resource)
            rows.append(_drift_row(series.resource, signal.replace(".", "_"), series.unit, drift, case))
    return [row for row in rows if row]


def _drift_row(resource: str, what: str, unit: str, drift: Drift | None, case: Case) -> dict[str, Any] | None:
    if drift is None:
        return None
    after = None if drift.changed_at is None else drift.changed_at - _hold(case)[0]
    small = abs(drift.last - drift.first) < NOTABLE * max(abs(drift.first), abs(drift.last))
    sure = (drift.low > 0 or drift.high < 0) and abs(drift.tau) >= 0.6
    verdict = "steady" if small else "changed" if after is not None else "drifts" if sure else "steady"
    return {
        "resource": resource, "what": what, "first": amount(drift.first, unit), "last": amount(drift.last, unit),
        "slope": drift.slope_record(unit), "changed": amount(after, "duration"), "verdict": verdict,
    }  # fmt: skip


RULES = (
    Rule("memory_leak", "endurance", memory, even_without_stall=True),
    Rule("descriptor_leak", "endurance", descriptors, even_without_stall=True),
    Rule("credits_running_out", "endurance", credit_use, even_without_stall=True),
    Rule("response_time_drift", "endurance", response_drift, even_without_stall=True),
)
