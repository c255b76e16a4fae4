"""Rules: under a load that stays the same, something does not stay the same (issue: drift, time to exhaustion)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from genkai.analyse.records import number
from genkai.analyse.rules.case import Case, signal_table
from genkai.analyse.rules.evidence import Evidence, Finding, Rule, amount
from genkai.analyse.rules.pauses import seconds_p99

BINS = 24
SHORTEST_S = 20.0
DAY_S = 86_400.0


@dataclass(frozen=True)
class Drift:
    """Slope per second with its 95 % interval, the values at the start and at the end, and Kendall's τ."""

    slope: float
    low: float
    high: float
    first: float
    last: float
    tau: float
    steady_growth: bool
    n: int
    duration_s: float

    def slope_record(self, unit: str) -> dict:
        """The slope per hour as a number record in the unit of the series."""
        return number(self.slope * 3600, self.low * 3600, self.high * 3600, self.n, unit, [])


def measure_drift(times: np.ndarray, values: np.ndarray, shortest_s: float = SHORTEST_S) -> Drift | None:
    """The drift of a series over time (epoch s), or None for a series too short or too thin.

    Medians of up to 24 equal bins, then the Theil–Sen slope (Sen 1968) with its rank interval: outliers and short
    memory of the series do not make it look surer than it is.
    """
    known = np.isfinite(values)
    times, values = times[known], values[known]
    if len(times) < 8 or times[-1] - times[0] < shortest_s:
        return None
    edges = np.linspace(times[0], times[-1], min(BINS, len(times) // 2) + 1)
    place = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, len(edges) - 2)
    used = np.unique(place)
    y = np.array([np.median(values[place == k]) for k in used])
    x = np.array([times[place == k].mean() for k in used])
    if len(used) < 4:
        return None
    slope, _, low, high = stats.theilslopes(y, x, 0.95)
    tau = stats.kendalltau(x, y).statistic if np.ptp(y) > 0 else 0.0
    half = len(x) // 2
    early, late = (stats.theilslopes(y[part], x[part])[0] for part in (slice(0, half), slice(half, None)))
    grows_on = bool(abs(late) >= 0.4 * abs(early)) and math.copysign(1, late) == math.copysign(1, slope)
    ends = max(len(y) // 6, 1)
    first, last = float(np.median(y[:ends])), float(np.median(y[-ends:]))
    span = float(times[-1] - times[0])
    return Drift(float(slope), float(low), float(high), first, last, float(tau), grows_on, len(used), span)


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
        limit = case.facts.limits.get(f"{series.resource} fds.open")
        seconds = (limit - drift.last) / drift.slope if limit else math.nan
        strength = "strong" if limit and seconds < (case.facts.hold_needed_s or DAY_S) else "moderate"
        return _found("descriptor_leak", "evidence.drift.descriptors", series, drift, "count", seconds, strength)
    return None


def credit_use(case: Case) -> Finding | None:
    """CPU credits are spent faster than earned: the instance will be throttled before the time it must hold."""
    for series in case.of_targets("credit.balance") if _hold(case) else []:
        drift = _drift_of(case, "credit.balance", series.resource)
        if drift is None or not drift.high < 0 or not drift.last > 0:
            continue
        seconds, strength, soon = _exhaustion(case, drift.last, drift.slope)
        if soon:
            return _found("credits_running_out", "evidence.drift.credits", series, drift, "count", seconds, strength)
    return None


def _found(cause: str, key: str, series, drift: Drift, unit: str, seconds: float, strength: str) -> Finding:
    values = {
        "resource": series.resource.partition(":")[2],
        "first": amount(drift.first, unit), "last": amount(drift.last, unit), "slope": drift.slope_record(unit),
        "exhausted": amount(seconds, "duration"), "duration": amount(drift.duration_s, "duration"),
    }  # fmt: skip
    evidence = Evidence(key, values, series.source, series.resource, series.metric)
    return Finding(cause, strength, (evidence,), fit=0.8, values={"exhausted": values["exhausted"]})


def response_drift(case: Case) -> Finding | None:
    """Response time grows steadily under constant load."""
    hold = _hold(case)
    if hold is None or hold[1] - hold[0] < 60:
        return None
    times, p99 = seconds_p99(case)
    inside = (times >= hold[0]) & (times < hold[1])
    drift = measure_drift(times[inside], p99[inside], 60)
    if drift is None or not drift.low > 0 or drift.tau < 0.6 or not drift.steady_growth:
        return None
    if drift.last < 1.5 * drift.first or drift.last - drift.first < 0.005:
        return None
    values = {"first": amount(drift.first, "s"), "last": amount(drift.last, "s"), "slope": drift.slope_record("s"),
              "duration": amount(drift.duration_s, "duration")}  # fmt: skip
    evidence = Evidence("evidence.drift.response", values, "requests")
    return Finding("response_time_drift", "moderate", (evidence,), fit=0.5)


RULES = (
    Rule("memory_leak", "endurance", memory, even_without_stall=True),
    Rule("descriptor_leak", "endurance", descriptors, even_without_stall=True),
    Rule("credits_running_out", "endurance", credit_use, even_without_stall=True),
    Rule("response_time_drift", "endurance", response_drift, even_without_stall=True),
)
