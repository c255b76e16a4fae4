"""Drift: slopes with intervals that hold the truth, jumps that are told from slopes, series that do neither."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai.analyse.rules.drift import change_point, measure_drift

TIMES = np.arange(360) * 10.0


def noise(seed: int, scale: float = 1.0, n: int = 360) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, n)


@given(st.integers(0, 10_000), st.floats(-1e-2, 1e-2))
@settings(max_examples=50, deadline=None)
def test_the_interval_holds_the_slope(seed: int, slope: float) -> None:
    drift = measure_drift(TIMES, 50 + slope * TIMES + noise(seed, 2.0))
    width = drift.high - drift.low
    assert drift.low - width <= slope <= drift.high + width  # 95 %: now and then just outside, never far


@pytest.mark.parametrize("at", [120, 180, 240])
def test_a_jump_is_found_where_it_is(at: int) -> None:
    values = np.where(np.arange(360) < at, 10.0, 16.0) + noise(at)
    found = measure_drift(TIMES, values).changed_at
    assert found == pytest.approx(TIMES[at], abs=2 * TIMES[-1] / 24)


@pytest.mark.parametrize(
    "values",
    [10 + noise(1), 10 + 0.01 * TIMES + noise(2), 10 + 3 * np.sin(TIMES / 60) + noise(3), np.full(360, 7.0)],
    ids=["noise", "a slope", "waves", "nothing at all"],
)
def test_what_is_no_jump_is_not_called_one(values: np.ndarray) -> None:
    assert measure_drift(TIMES, values).changed_at is None


def test_noise_seldom_jumps() -> None:
    found = [change_point(np.arange(24.0), noise(seed, n=24)) for seed in range(300)]
    assert sum(f is not None for f in found) <= 6


def test_too_few_values_have_no_drift_and_no_jump() -> None:
    assert measure_drift(TIMES[:5], noise(4, n=5)) is None
    assert measure_drift(np.arange(100) * 0.1, noise(5, n=100)) is None, "ten seconds are no endurance"
    assert change_point(np.arange(7.0), np.arange(7.0)) is None
