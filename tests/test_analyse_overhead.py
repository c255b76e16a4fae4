"""What the profiler cost: a run that loses a tenth of its throughput is seen to."""

import numpy as np
import pandas as pd
import pytest

from genkai.analyse.overhead import ratio, windows
from genkai.analyse.records import number
from genkai.histogram import encode, new_histogram, record_seconds


def requests(rates: list[int], seconds: float = 0.01) -> pd.DataFrame:
    rows = []
    for index, rate in enumerate(rates):
        histogram = new_histogram()
        record_seconds(histogram, seconds, rate)
        rows.append({"time": pd.Timestamp(1000 + index, unit="s", tz="UTC"), "api": "a", "level": 0, "sent": rate,
                     "completed": rate, "failed": 0, "dropped": 0, "bytes_received": 0, "hist": encode(histogram),
                     "hist_service": None})  # fmt: skip
    return pd.DataFrame(rows)


def test_a_tenth_less_throughput_is_seen() -> None:
    noise = np.random.default_rng(1).integers(-5, 6, 40)
    table = requests([int(r) for r in np.r_[np.full(20, 1000), np.full(20, 900)] + noise])
    found = windows(table, {"without": (1000.2, 1019.0), "with": (1021.0, 1039.9)})
    factor = ratio(found["with"]["throughput_rps"], found["without"]["throughput_rps"])
    assert factor["low"] <= 0.9 <= factor["high"]
    assert factor["value"] == pytest.approx(0.9, abs=0.01)
    assert found["with"]["p95_s"]["value"] == pytest.approx(0.01, rel=0.01)
    assert found["without"]["throughput_rps"]["n"] == 18, "whole seconds only"


def test_a_span_without_a_second_has_no_value_and_few_seconds_no_interval() -> None:
    found = windows(requests([10] * 5), {"none": (2000.0, 2010.0), "two": (1000.0, 1002.0)})
    assert found["none"]["throughput_rps"]["value"] is None
    assert found["two"]["throughput_rps"]["low"] is None
    assert ratio(found["none"]["throughput_rps"], found["two"]["throughput_rps"])["value"] is None
    assert ratio(number(5.0, unit="rps"), number(10.0, unit="rps"))["value"] == 0.5


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least one second"):
        windows(requests([]).reindex(columns=requests([1]).columns), {"a": (0, 1)})
