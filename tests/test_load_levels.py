"""Levels on the clock."""

import pytest

from genkai.load.job import JobLevel
from genkai.load.levels import level_at, time_levels


def test_levels_follow_each_other_and_ramp_from_the_one_before() -> None:
    rows = [JobLevel(workload="closed", intended=10, ramp_s=5, hold_s=20),
            JobLevel(workload="closed", intended=30, ramp_s=10, hold_s=5)]  # fmt: skip
    first, second = time_levels(rows, 100.0)
    assert (first.start, first.hold_start, first.end) == (100, 105, 125)
    assert (second.start, second.hold_start, second.end) == (125, 135, 140)
    assert [first.load_at(t) for t in (100, 102.5, 105, 120)] == [0, 5, 10, 10]
    assert [second.load_at(t) for t in (125, 130, 135)] == [10, 20, 30]
    assert (first.change_per_s, second.change_per_s) == (2, 2)
    timed = [first, second]
    assert [level_at(timed, t) for t in (99.9, 100, 124.9, 125, 140)] == [None, first, first, second, None]


def test_without_a_ramp_all_users_come_at_once() -> None:
    only = time_levels([JobLevel(workload="closed", intended=7, ramp_s=0, hold_s=1)], 0.0)[0]
    assert only.change_per_s == 7
    assert only.load_at(0.0) == pytest.approx(7)
