"""The level table: what each load level gave, measured within its steady window only.

Ramp and drain are left out by rule: a level is judged between hold_start and end. Throughput counts successful
responses in the second in which they came; errors, quantiles and concurrency describe the requests that were due
within the window. Quantiles come from merged histograms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from genkai import schema
from genkai.analyse.distributions import means, quantiles
from genkai.analyse.generator_limit import generator_limited
from genkai.analyse.seconds import Seconds, decode_requests
from genkai.analyse.windows import SHORT_S, Window, steady_window

GROWTH_RATIO = 1.5  # a queue grows: the last third's mean response time is this many times the first third's
GROWTH_FLOOR_S = 0.05


@dataclass(frozen=True)
class Measured:
    """A level's mark, whole seconds of its window, and whether it was steady."""

    level: int
    workload: str
    intended: float
    start: float
    hold_start: float
    end: float
    window: tuple[int, int] | None
    steady: bool | None
    note: str


def level_table(
    requests: pd.DataFrame, marks: Sequence[Mapping[str, Any]], generator: pd.DataFrame, *, subject: str
) -> pd.DataFrame:
    """The levels table of a run: a row per level for the subject, then one per API where there are several.

    marks: {level, workload, intended, start, hold_start, end} in epoch seconds; hold_start and end may be None when
    the run ended before. Raises ValueError for a mark without level or start, TableError for a wrong table.
    """
    if not marks:
        return schema.empty_table("levels")
    generator = schema.check_table(generator, "generator")
    decoded = decode_requests(requests) if len(requests) else None
    whole = decoded.seconds() if decoded else None
    apis = decoded.apis if decoded and len(decoded.apis) > 1 else []
    by_api = {api: decoded.seconds(api) for api in apis}
    rows = []
    for level in level_windows(whole, marks):
        rows.append(_row(level, subject, whole, generator))
        limited = {name: rows[-1][name] for name in ("generator_limited", "generator_note")}
        rows += [{**_row(level, api, by_api[api], None), **limited} for api in apis]
    return schema.check_table(pd.DataFrame(rows), "levels")


def level_windows(whole: Seconds | None, marks: Sequence[Mapping[str, Any]]) -> list[Measured]:
    """The steady window of every level, from the throughput of all APIs together."""
    return [_measured(whole, mark) for mark in sorted(marks, key=_level_of)]


def _level_of(mark: Mapping[str, Any]) -> int:
    missing = [name for name in ("level", "workload", "intended", "start") if mark.get(name) is None]
    if missing:
        raise ValueError(
            f"marks: expected level, workload, intended, start in each, {', '.join(missing)} missing in {mark}"
        )
    return int(mark["level"])


def _measured(whole: Seconds | None, mark: Mapping[str, Any]) -> Measured:
    start = float(mark["start"])
    last = float(whole.end) if whole else start
    end = max(start, float(mark["end"]) if mark.get("end") is not None else last)
    hold_start = float(mark["hold_start"]) if mark.get("hold_start") is not None else end
    level = Measured(int(mark["level"]), mark["workload"], float(mark["intended"]), start, hold_start, end,
                     None, None, "the hold was never reached")  # fmt: skip
    if whole is None:
        return level
    hold = whole.between(math.ceil(hold_start), math.floor(end))
    if len(hold.sent) == 0:
        return level
    window = queue_checked(steady_window(hold.finished), hold)
    return replace(level, window=(hold.start + window.start, hold.start + window.end), steady=window.steady,
                   note=window.note)  # fmt: skip


def queue_checked(window: Window, hold: Seconds) -> Window:
    """The window, not steady when response times keep growing though the throughput stands still (a queue fills)."""
    if not window.steady or window.seconds < SHORT_S:
        return window
    third = window.seconds // 3
    first = hold.responses.between(window.start, window.start + third)
    last = hold.responses.between(window.end - third, window.end)
    before, after = (float(means(part.total(), part.middle_s)[0]) for part in (first, last))
    if after > GROWTH_RATIO * before and after - before > GROWTH_FLOOR_S:
        note = f"no steady state: mean response time grew from {before:.3f} s to {after:.3f} s within the window"
        return replace(window, steady=False, note=note)
    return window


def _row(level: Measured, api: str, seconds: Seconds | None, generator: pd.DataFrame | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "level": level.level, "api": api, "workload": level.workload, "intended": level.intended,
        "start": _time(level.start), "hold_start": _time(level.hold_start), "end": _time(level.end),
        "window_start": None, "window_end": None, "steady": level.steady,
        "generator_limited": None, "generator_note": None,
        **dict.fromkeys(("throughput_rps", "sent_rps", "concurrency", "mean_s", *schema.QUANTILES, "error_ratio")),
    }  # fmt: skip
    if level.window is None or seconds is None:
        return row
    window = seconds.between(*level.window)
    row |= {"window_start": _time(level.window[0]), "window_end": _time(level.window[1]), **window_values(window)}
    if generator is not None:
        epoch = generator["time"].astype("int64") / 1e6
        row["generator_limited"], row["generator_note"] = generator_limited(
            generator[(epoch >= level.window[0]) & (epoch < level.window[1])],
            p50_s=row["p50_s"],
            workload=level.workload,
            intended=level.intended,
            arrivals=float(window.sent.sum() + window.dropped.sum()),
            seconds=len(window.sent),
        )
    return row


def window_values(window: Seconds) -> dict[str, float | None]:
    """Throughput, concurrency, mean, quantiles and error ratio of some seconds; None where nothing was sent.

    Concurrency is Little's law N = X·R with X and R of all requests, failed ones too: they occupied the service too.
    """
    seconds, total = len(window.sent), window.responses.total()
    values = {name: float(q) for name, q in zip(schema.QUANTILES, _quantiles(total, window), strict=True)}
    mean = float(means(total, window.responses.middle_s)[0])
    due = window.sent.sum() + window.dropped.sum()
    found = {
        "throughput_rps": window.finished.sum() / seconds,
        "sent_rps": window.sent.sum() / seconds,
        "concurrency": total.sum() / seconds * mean if total.sum() else 0.0,
        "mean_s": mean,
        **values,
        "error_ratio": (window.failed.sum() + window.dropped.sum()) / due if due else math.nan,
    }
    return {name: None if math.isnan(value) else float(value) for name, value in found.items()}


def _quantiles(total: np.ndarray, window: Seconds) -> np.ndarray:
    return quantiles(total, window.responses.upper_s, list(schema.QUANTILES.values()))[0]


def _time(epoch: float) -> pd.Timestamp:
    return pd.Timestamp(round(epoch * 1e6), unit="us", tz="UTC")
