"""Arrival schedules against the integral of the rate, against theory, and against each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from genkai.load.arrivals import RateCurve, plan_arrivals
from genkai.load.job import JobLevel
from genkai.load.levels import level_at, time_levels

level_lists = st.lists(
    st.builds(JobLevel, workload=st.just("open"), intended=st.floats(0.5, 300), ramp_s=st.sampled_from([0, 1, 2.5]),
              hold_s=st.sampled_from([0.5, 1, 3])),
    min_size=1, max_size=4,
)  # fmt: skip


def levels(*rows: tuple[float, float, float]) -> list[JobLevel]:
    return [JobLevel(workload="open", intended=i, ramp_s=r, hold_s=h) for i, r, h in rows]


def all_times(timed, law="constant", share=0, shares=1, seed=1) -> np.ndarray:
    chunks = list(plan_arrivals(timed, law, share, shares, seed))
    return np.concatenate(chunks) if chunks else np.array([])


@settings(max_examples=40, deadline=None)
@given(level_lists)
def test_arrivals_before_any_moment_are_the_integral_of_the_rate(rows) -> None:
    timed = time_levels(rows, 0.0)
    times = all_times(timed)
    assert np.all(np.diff(times) > 0)
    grid = np.linspace(0, timed[-1].end, 4001)
    middles = (grid[1:] + grid[:-1]) / 2
    expected = np.cumsum([level_at(timed, t).load_at(t) for t in middles]) * (grid[1] - grid[0])
    assert np.max(np.abs(np.searchsorted(times, grid[1:]) - expected)) < 2.0


def test_whole_seconds_hold_exactly_the_rate() -> None:
    times = all_times(time_levels(levels((100, 0, 5), (250, 0, 3)), 1_700_000_000.0))
    counts = np.bincount((times - 1_700_000_000).astype(int))
    assert counts.tolist() == [100] * 5 + [250] * 3
    assert np.diff(times[:500]) == pytest.approx(0.01, abs=1e-6)


@pytest.mark.parametrize("shares", [2, 3, 7])
def test_the_shares_of_several_processes_make_the_whole(shares: int) -> None:
    timed = time_levels(levels((130, 2, 3), (40, 1, 2)), 0.0)
    parts = [all_times(timed, share=i, shares=shares) for i in range(shares)]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert np.sort(np.concatenate(parts)) == pytest.approx(all_times(timed))


def test_poisson_arrivals_are_exponentially_spaced_and_shares_are_independent() -> None:
    timed = time_levels(levels((200, 0, 60)), 0.0)
    first, second = all_times(timed, "poisson", 0, 2), all_times(timed, "poisson", 1, 2)
    gaps = np.diff(np.sort(np.concatenate([first, second])))
    assert stats.kstest(gaps, "expon", args=(0, 1 / 200)).pvalue > 0.001
    assert len(gaps) == pytest.approx(200 * 60, abs=5 * np.sqrt(200 * 60))
    assert abs(np.corrcoef(np.diff(first)[:5000], np.diff(second)[:5000])[0, 1]) < 0.05
    assert np.array_equal(first, all_times(timed, "poisson", 0, 2)), "a seed makes it repeatable"


def test_a_ramp_down_to_a_lower_rate() -> None:
    timed = time_levels(levels((100, 0, 1), (50, 2, 1)), 0.0)
    assert RateCurve(timed).total == pytest.approx(100 + 150 + 50)
    times = all_times(timed)
    assert len(times) == 300
    assert times[-1] < 4.0
