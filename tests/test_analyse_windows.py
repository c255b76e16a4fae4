"""The steady window: found where it is, "no steady state" where there is none, "too short to tell" as such."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai.analyse.windows import EQUIVALENCE, PENALTY, equivalent, segments, steady_window


def noise(n, mean=500.0, relative=0.04, seed=0):
    return np.random.default_rng(seed).normal(mean, mean * relative, n)


@pytest.mark.parametrize(("seconds", "relative"), [(12, 0.05), (12, 0.15), (30, 0.2), (60, 0.05), (600, 0.08)])
def test_a_constant_level_with_noise_is_steady_from_its_first_seconds(seconds, relative):
    found = [steady_window(noise(seconds, relative=relative, seed=seed)) for seed in range(100)]
    assert {w.end for w in found} == {seconds}
    assert np.mean([w.steady and w.start <= 3 for w in found]) >= 0.9


@pytest.mark.parametrize("seed", range(5))
def test_a_warm_up_is_cut_where_it_ends(seed):
    rising = np.minimum(1.0, 0.5 + np.arange(60) / 30)
    window = steady_window(noise(60, seed=seed) * rising)
    assert window.steady
    assert 10 <= window.start <= 18


def test_a_step_in_the_middle_starts_the_window_there():
    window = steady_window(noise(60) * np.where(np.arange(60) < 30, 1.0, 0.6))
    assert window.steady
    assert window.start == pytest.approx(30, abs=1)


@pytest.mark.parametrize("shape", [1 + np.arange(60) / 60, 1 + 0.3 * (np.arange(60) % 20 > 10)])
def test_drift_and_oscillation_have_no_steady_state(shape):
    window = steady_window(noise(60, relative=0.01) * shape)
    assert window.steady is False
    assert "no steady state" in window.note
    assert (window.start, window.end) == (1, 60)


def test_a_change_near_the_end_has_no_steady_state():
    assert steady_window(noise(600) * np.where(np.arange(600) < 550, 1, 0.6)).steady is False


def test_a_short_disturbance_between_equal_states_is_bridged():
    window = steady_window(noise(60, relative=0.02) * np.where((np.arange(60) > 30) & (np.arange(60) < 34), 0.4, 1))
    assert window.steady
    assert window.start <= 3


def test_a_short_series_is_too_short_to_tell_and_says_so():
    window = steady_window([5.0] * 6)
    assert (window.start, window.end, window.steady) == (1, 6, None)
    assert "too short to tell" in window.note
    assert steady_window([5.0]).seconds == 1


def test_the_window_is_deterministic():
    series = noise(90) * np.minimum(1, 0.6 + np.arange(90) / 60)
    assert steady_window(series, seed=3) == steady_window(series, seed=3)


def test_segments_agree_with_an_exhaustive_search_for_one_change():
    values = np.concatenate([noise(20, 100, 0.02), noise(20, 130, 0.02, seed=1)])
    costs = [np.var(values[:k]) * k + np.var(values[k:]) * (40 - k) for k in range(3, 38)]
    assert segments(values) == [0, 3 + int(np.argmin(costs)), 40]


def test_segments_are_those_of_ruptures():
    from ruptures import KernelCPD  # the oracle; too slow to import for what the library needs of it

    rng = np.random.default_rng(7)
    for n in (6, 20, 45, 80):
        for _ in range(25):
            values = rng.normal(500, 20, n) * np.repeat(rng.uniform(0.6, 1.4, n // 10 + 1), 10)[:n]
            spread = np.diff(values) / np.sqrt(2)
            sigma = max(np.median(np.abs(spread)) / 0.6745, 0.8 * np.std(spread))
            oracle = KernelCPD(kernel="linear", min_size=3).fit((values / sigma)[:, None])
            assert segments(values) == [0, *oracle.predict(pen=PENALTY * np.log(n))]


def test_equivalence_is_the_bar_it_says():
    rng = np.random.default_rng(0)
    assert equivalent(np.full(10, 100 * (1 + EQUIVALENCE * 0.9)), np.full(10, 100.0), rng)
    assert not equivalent(np.full(10, 100 * (1 + EQUIVALENCE * 1.1)), np.full(10, 100.0), rng)
    assert not equivalent(np.array([100.0, 90.0]), np.array([0.0, 0.0]), rng)


@settings(max_examples=30, deadline=None)
@given(
    series=st.lists(st.floats(0, 1e4), min_size=1, max_size=80),
    factor=st.sampled_from([0.5, 2.0, 1024.0]),
)
def test_the_window_lies_within_the_series_and_knows_no_unit(series, factor):
    window = steady_window(series)
    assert 0 <= window.start < window.end == len(series)
    assert (window.steady is None) == (len(series) < 10)
    assert steady_window(np.array(series) * factor).end == window.end


@pytest.mark.parametrize(
    ("series", "match"), [([], "at least 1 value"), ([1.0, np.nan], "got gaps"), ([[1.0], [2.0]], "got shape")]
)
def test_a_series_that_is_none_is_refused(series, match):
    with pytest.raises(ValueError, match=match):
        steady_window(series)
