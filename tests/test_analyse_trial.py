"""When a trial is decided early: what is certain, what is clear, and what must go on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from genkai.analyse.trial import GoalSeconds, decide_trial, line_bound, share_bound

LIMIT = 0.2


def goal(values, bad=0.0, due=100.0, share=0.05):
    values = np.asarray(values, dtype=float)
    return GoalSeconds(share, np.full(len(values), due), np.broadcast_to(np.asarray(bad, float), values.shape).copy(),
                       values, LIMIT)  # fmt: skip


def errors(bad, due=100.0, share=0.01):
    bad = np.asarray(bad, dtype=float)
    return GoalSeconds(share, np.full(len(bad), due), bad)


@pytest.mark.parametrize(
    ("goals", "decided"),
    [
        ([goal([0.02, 0.021, 0.02, 0.021])], "kept"),
        ([goal([0.02, 0.021, 0.02])], None),  # too few seconds for a line
        ([goal([0.02, 0.04, 0.06, 0.08])], None),  # a queue fills: 0.22 s at the end
        ([goal([0.05, 0.15, 0.04, 0.18])], None),  # scatters
        ([goal([0.02, 0.021, 0.02, np.nan])], None),  # the last second is still being answered
        ([goal([0.02, 0.021, 0.02, 0.021, np.nan])], "kept"),
        ([goal([0.02, np.nan, 0.02, 0.02, 0.02])], None),
        ([goal([0.5], bad=100)], "missed"),  # 100 of 1 000 that are due, 50 may be slow
        ([goal([0.5], bad=50)], None),
        ([goal([0.02] * 5), errors([0] * 5)], "kept"),
        ([goal([0.02] * 5), errors([1] * 5)], None),  # 1 %, the bound is above
        ([goal([0.02] * 5), errors([20, 0, 0, 0, 0])], "missed"),
        ([], None),
    ],
)
def test_what_is_decided_of_a_trial_of_ten_seconds(goals, decided):
    assert decide_trial(goals, 10) == decided


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), excess=st.floats(0.5, 1.5))
def test_a_missed_trial_is_missed_as_a_whole_and_a_kept_one_nearly_always_kept(seed, excess):
    """A queue at a known excess: cut or not, the trial says the same, but for what is as good as at the limit."""
    rng = np.random.default_rng(seed)
    seconds, rate = 11, 200.0
    wait = np.cumsum(np.maximum(0, (excess - 1) + rng.normal(0, 0.002, seconds)))
    values = 0.02 + wait
    slow = rate * (values > LIMIT)
    whole = slow.sum() > 0.05 * rate * seconds
    for n in range(1, seconds + 1):
        decided = decide_trial([GoalSeconds(0.05, np.full(n, rate), slow[:n], values[:n], LIMIT)], seconds)
        if decided is not None:
            assert (decided == "missed") == whole or abs(values[-1] - LIMIT) < 0.03
            return


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.001, 1), min_size=4, max_size=12), st.integers(0, 20))
def test_the_bound_of_a_line_is_that_of_ordinary_least_squares(values, ahead):
    values = np.array(values)
    n, at = len(values), len(values) + ahead
    fit = stats.linregress(np.arange(n), values)
    residual = values - fit.intercept - fit.slope * np.arange(n)
    sigma = np.sqrt(residual @ residual / (n - 2))
    x = np.arange(n)
    error = sigma * np.sqrt(1 / n + (at - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum())
    expected = fit.intercept + fit.slope * at + stats.t.ppf(0.975, n - 2) * error
    assert line_bound(values, at) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_the_bound_of_a_share_is_wilsons():
    expected = stats.binomtest(3, 400).proportion_ci(0.95, "wilson").high
    assert share_bound(3, 400) == pytest.approx(expected, rel=1e-3)
    assert share_bound(0, 400) == share_bound(0, 0) == 0.0
