"""The demo's counters: durations, levels, the virtual schedule."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genkai.demo.counters import Durations, Gauge, VirtualSchedule, interval_counts


@given(st.lists(st.floats(1e-5, 100), min_size=1, max_size=50), st.lists(st.floats(1e-5, 100), max_size=50))
def test_durations_between_two_snapshots_are_those_recorded_between(before, after):
    durations = Durations()
    for seconds in before:
        durations.record(seconds)
    first = durations.snapshot()
    for seconds in after:
        durations.record(seconds)
    counts = interval_counts(first, durations.snapshot())
    found = sorted(value for value, count in counts.items() for _ in range(count))
    assert len(found) == len(after)
    assert all(abs(math.log(value / truth)) <= 0.0101 for value, truth in zip(found, sorted(after), strict=True))


def test_gauge_keeps_extremes_and_the_mean_over_time():
    gauge = Gauge(now=0.0)
    gauge.set(10, now=1.0)
    gauge.set(4, now=3.0)
    assert gauge.snapshot(now=4.0) == {"now": 4, "min": 0, "max": 10, "mean": (0 * 1 + 10 * 2 + 4 * 1) / 4}
    gauge.reset(now=4.0)
    assert gauge.snapshot(now=5.0) == {"now": 4, "min": 4, "max": 4, "mean": 4.0}


def passed(schedule, arrivals):
    """Times at which a first-in first-out queue would let the arrivals pass."""
    times, now = [], 0.0
    for arrival in arrivals:
        now = max(now, arrival)
        now += schedule.delay(now)
        schedule.take(now)
        times.append(now)
    return times


@given(st.floats(1, 2000), st.lists(st.floats(0, 0.2), min_size=2, max_size=200))
def test_virtual_schedule_never_exceeds_its_rate_by_more_than_the_burst(rate, gaps):
    arrivals = [sum(gaps[: n + 1]) for n in range(len(gaps))]
    times = passed(VirtualSchedule(rate, burst_s=0.05), arrivals)
    for first in range(0, len(times), 7):
        for last in range(first + 1, len(times)):
            allowed = (times[last] - times[first] + 0.05) * rate + 1
            assert last - first <= allowed + 1e-6


def test_virtual_schedule_gives_its_full_rate_to_a_queue():
    times = passed(VirtualSchedule(500.0), [1.0] * 5001)
    assert 5000 / (times[-1] - times[0]) == pytest.approx(500, rel=0.01)


def test_rate_zero_is_no_limit_and_a_change_takes_effect_at_once():
    schedule = VirtualSchedule(0)
    assert set(passed(schedule, [2.0] * 100)) == {2.0}
    schedule.change(0.5)
    schedule.take(10.0)
    assert schedule.delay(10.0) == pytest.approx(1.95)
    schedule.change(1000)
    assert schedule.delay(10.0) == 0


@pytest.mark.parametrize("rate", [-1, math.inf, math.nan])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match="expected a finite number"):
        VirtualSchedule(rate)
