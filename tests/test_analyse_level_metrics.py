"""analyse.level_metrics: against a loop over the table, and its edges."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai.analyse.level_metrics import COLUMNS, summarise_levels
from genkai.metrics import Block, micros

MARKS = [
    {"level": 0, "intended": 10.0, "start": 1000.0, "hold_start": 1005.0, "end": 1020.0},
    {"level": 1, "intended": 20.0, "start": 1020.0, "hold_start": None, "end": 1040.0},
]


def table(times: list[float], values: list[float], period: float = 1.0) -> pd.DataFrame:
    return Block("vmstat", "host:a", micros(np.array(times)), period, {"m": np.array(values)}, {"m": "ratio"}).frame


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(990, 1050), st.floats(-1e6, 1e6)), min_size=1, max_size=60))
def test_against_a_loop(samples):
    times, values = zip(*samples, strict=True)
    found = summarise_levels(table(list(times), list(values)), MARKS)
    for mark, first in zip(MARKS, (1005.0, 1020.0), strict=True):
        inside = [v for t, v in samples if first <= t + 0.5 < mark["end"]]
        row = found[found["level"] == mark["level"]]
        assert len(row) == bool(inside)
        if inside:
            assert row["n"].item() == len(inside)
            assert row["mean"].item() == pytest.approx(np.mean(inside))
            assert (row["minimum"].item(), row["maximum"].item()) == (min(inside), max(inside))
            assert row["p95"].item() == pytest.approx(np.quantile(inside, 0.95))


def test_a_row_says_of_which_series_it_is():
    row = summarise_levels(table([1010.0], [0.5]), MARKS).iloc[0]
    assert list(row.index) == list(COLUMNS)
    assert tuple(row[["source", "resource", "metric", "statistic", "unit", "intended"]]) == (
        "vmstat", "host:a", "m", "sample", "ratio", 10.0)  # fmt: skip


def test_nothing_measured():
    assert summarise_levels(table([1.0], [0.5]), MARKS).empty
    assert list(summarise_levels(table([1.0], [0.5]), []).columns) == list(COLUMNS)
