"""The pace of closed users: theory of a stall, identity without one, properties of the correction."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai import histogram
from genkai.analyse.intended_start import corrected_levels, keep_pace, think_time_s
from load_target import make_plan

THINK_S, SERVICE_S = 0.02, 0.001


def histogram_of(seconds: list[float]):
    found = histogram.new_histogram()
    for value in seconds:
        histogram.record_seconds(found, value)
    return found


def stalled_users(users: int, seconds: float) -> list[float]:
    """Response times of closed users whose service stands still for 1 s in every 10 s."""
    found = []
    for user in range(users):
        moment = 2.0 + user * THINK_S / users
        while moment < seconds:
            within = moment % 10
            response = (1.0 - within if within < 1 else 0.0) + SERVICE_S
            found.append(response)
            moment += response + THINK_S
    return found


def test_a_stall_of_one_second_in_ten_weighs_as_theory_says() -> None:
    """At an intended start at any time P(R > x) = 0.1 · (1 − x): p95 = 0.5 s, p99 = 0.9 s; closed users hide it."""
    measured = histogram_of(stalled_users(5, 102.0))
    assert histogram.quantile_s(measured, 0.95) < 0.01
    corrected = keep_pace(measured, THINK_S + SERVICE_S)
    assert histogram.quantile_s(corrected, 0.95) == pytest.approx(0.5, abs=0.03)
    assert histogram.quantile_s(corrected, 0.99) == pytest.approx(0.9, abs=0.03)
    assert histogram.quantile_s(corrected, 0.5) == histogram.quantile_s(measured, 0.5)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(1e-4, 20.0), min_size=1, max_size=9), st.floats(0.5, 5.0))
def test_nothing_is_taken_away_and_quantiles_only_grow(seconds: list[float], interval_s: float) -> None:
    measured = histogram_of(seconds)
    corrected = keep_pace(measured, interval_s)
    assert corrected.total_count >= measured.total_count
    assert corrected.max_value == pytest.approx(measured.max_value, rel=1e-3)
    if max(seconds) < 0.99 * interval_s:
        assert corrected.total_count == measured.total_count


def test_one_long_response_stands_for_the_starts_within_it() -> None:
    """By hand: 1.0 s at a pace of 0.3 s stands for 1.0, 0.7, 0.4 and 0.1 s."""
    corrected = keep_pace(histogram_of([1.0]), 0.3)
    assert corrected.total_count == 4
    assert corrected.get_mean_value() / 1e6 == pytest.approx(0.55, rel=0.01)


def test_no_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="interval_s: expected a number > 0, got 0"):
        keep_pace(histogram_of([1.0]), 0.0)


def test_rows_of_closed_levels_are_corrected_within_their_window_and_no_others() -> None:
    times = pd.to_datetime([100, 101, 102], unit="s", utc=True)
    requests = pd.DataFrame({"time": times, "hist": [histogram.encode(histogram_of(v)) for v in (
        [0.01] * 95 + [1.0] * 5, [0.01] * 100, [30.0])]})  # fmt: skip
    rows = pd.DataFrame({
        "workload": ["closed", "open"], "window_start": [times[0]] * 2, "window_end": [times[2]] * 2,
        **{name: [0.01, 0.01] for name in ("p50_s", "p90_s", "p95_s", "p99_s", "p999_s")},
    })  # fmt: skip
    found = corrected_levels(requests, rows, 0.09)
    assert list(found["workload"]) == ["closed"]
    assert found["p50_s"].iloc[0] == pytest.approx(0.01, rel=0.01)
    assert found["p95_s"].iloc[0] == pytest.approx(0.8, abs=0.15), "50 starts of 240 were late by 0.1 … 1.0 s"
    assert corrected_levels(requests, rows, None).empty


def test_the_think_time_is_the_plans_by_weight(tmp_path) -> None:
    (tmp_path / "own.py").write_text("")
    calls = [{"api": "a", "weight": 3, "think_time_s": 1}, {"api": "b", "weight": 1, "think_time_s": 3}]
    plan = make_plan("http://127.0.0.1:1", [{"users": 1}], {"a": "/a", "b": "/b"}, base_dir=tmp_path,
                     step={"think_time_s": 0.2}, scenarios=[{"name": "mix", "calls": calls},
                                                            {"name": "own", "locustfile": "own.py"}])  # fmt: skip
    assert think_time_s(plan, "api", "a") == 0.2
    assert think_time_s(plan, "scenario", "mix") == 1.5
    assert think_time_s(plan, "scenario", "own") is None
    assert think_time_s(plan, "endurance", "mix") is None
