"""Closed workload: response times as if each user had kept its pace, computed beside the measured ones, never instead.

A user that waits sends nothing, so that a stall is counted once where a schedule would have counted it at each intended
start (coordinated omission). Think time Z and the level's median response time M give a user's pace E = Z + M; a
response time R > E stands for the intended starts within it, too: R - E, R - 2E, … above 0.
Source: Tene, HdrHistogram, record_corrected_value.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from hdrh.histogram import HdrHistogram

from genkai import histogram, schema
from genkai.plan import Plan


def think_time_s(plan: Plan, step: str, subject: str) -> float | None:
    """The mean think time of a user of the run, by the weights of its calls; None where the plan does not define it."""
    part = plan.step_named(step)
    if part is None:
        return None
    if step in ("verify", "api"):
        return part.think_time_s
    calls = plan.scenario_named(subject).calls
    weight = sum(call.weight for call in calls)
    return sum(call.weight * call.think_time_s for call in calls) / weight if weight else None


def keep_pace(measured: HdrHistogram, interval_s: float) -> HdrHistogram:
    """The histogram with the intended starts that long response times stand for. Raises ValueError for no interval."""
    if not interval_s > 0:
        raise ValueError(f"interval_s: expected a number > 0, got {interval_s}")
    corrected = histogram.new_histogram()
    for item in measured.get_recorded_iterator():
        corrected.record_corrected_value(
            item.value_iterated_to, max(1, round(interval_s * 1e6)), item.count_added_in_this_iter_step
        )
    return corrected


def corrected_levels(requests: pd.DataFrame, levels: pd.DataFrame, pause_s: float | None) -> pd.DataFrame:
    """The closed levels' rows with quantiles from the intended starts; no row where nothing defines a pace.

    requests, levels: tables of one run, all APIs together; pause_s: think time. Only rows with a window are corrected.
    """
    closed = levels[(levels["workload"] == "closed") & levels["window_start"].notna()].copy()
    if pause_s is None or closed.empty:
        return closed.iloc[:0]
    for index, row in closed.iterrows():
        inside = (requests["time"] >= row["window_start"]) & (requests["time"] < row["window_end"])
        measured = histogram.merge(_encoded(requests.loc[inside, "hist"]))
        median_s = histogram.quantile_s(measured, 0.5)
        if median_s is None:
            continue
        corrected = keep_pace(measured, pause_s + median_s)
        for name, quantile in schema.QUANTILES.items():
            closed.loc[index, name] = histogram.quantile_s(corrected, quantile)
    return closed


def _encoded(column: Iterable[bytes | None]) -> list[bytes]:
    return [item for item in column if isinstance(item, bytes)]
