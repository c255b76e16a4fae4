"""Every measured series over the hold of every level: one row each, however many samples are behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from genkai.metrics import Metrics

COLUMNS = ("level", "intended", "source", "resource", "metric", "statistic", "unit", "n", "mean", "minimum", "p95",
           "maximum")  # fmt: skip


def summarise_levels(metrics: Metrics | pd.DataFrame, marks: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a series and level: n, mean, minimum, p95 and maximum of the samples whose middle lies in the hold.

    Values keep their unit; p95 is that of the samples (of a CloudWatch average: of averages). One series is in memory
    at a time. A level without a sample of a series has no row for it.
    """
    table = Metrics.of(metrics)
    holds = [hold_of(mark) for mark in marks]
    rows = []
    for key in table.keys:
        start, period, value = table.arrays(key)
        middle = start + period / 2
        if len(middle) > 1 and (np.diff(middle) < 0).any():
            order = np.argsort(middle, kind="stable")
            middle, value = middle[order], value[order]
        for mark, hold in zip(marks, holds, strict=True):
            first, last = np.searchsorted(middle, hold)
            inside = value[first:last]
            if len(inside):
                rows.append((mark["level"], mark["intended"], *key, table.unit(key), len(inside), *_summary(inside)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def hold_of(mark: Mapping[str, Any]) -> tuple[float, float]:
    """(start, end) of the time that a level was held, epoch seconds; without a hold, of the whole level."""
    start = mark["start"] if mark["hold_start"] is None else mark["hold_start"]
    return float(start), float(mark["end"])


def _summary(values: np.ndarray) -> tuple[float, float, float, float]:
    ordered = np.sort(values)  # thousands of short pieces: np.quantile's own checks would cost ten times the sorting
    place = 0.95 * (len(ordered) - 1)
    low = int(place)
    step = ordered[min(low + 1, len(ordered) - 1)] - ordered[low]
    return float(values.mean()), float(ordered[0]), float(ordered[low] + (place - low) * step), float(ordered[-1])
