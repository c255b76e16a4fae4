"""The spread between runs and ratios in its light: Student's interval, the truth held, nothing gained by more loads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from genkai.analyse.records import number
from genkai.analyse.spread import (
    ASSUMED,
    Measured,
    Spread,
    measured,
    observed_spread,
    overall_ratio,
    ratio_of,
    side_record,
)


def side(rng, n, truth=1.0, between=0.03, loads=1, within=0.0):
    """cells: [[Measured of each run] at each load]; a run's effect is the same at all its loads."""
    effects = rng.normal(0, between, n)
    return [[Measured(float(np.exp(np.log(truth) + e + rng.normal(0, within))), within**2) for e in effects]
            for _ in range(loads)]  # fmt: skip


def test_a_ratio_of_repetitions_has_students_interval():
    """The oracle: scipy's t interval of the difference of two means of logarithms, variances pooled."""
    rng = np.random.default_rng(1)
    a, b = side(rng, 3)[0], side(rng, 3, 1.1)[0]
    spread = observed_spread([{"p50_s": [a]}, {"p50_s": [b]}])
    assert spread.freedom == 4
    logs = [[m.log for m in runs] for runs in (b, a)]
    oracle = stats.ttest_ind(*logs).confidence_interval(0.95)
    found = ratio_of(a, b, "p50_s", spread)
    assert (found["low"], found["high"]) == pytest.approx((np.exp(oracle.low), np.exp(oracle.high)))
    assert found["value"] == pytest.approx(np.exp(np.mean(logs[0]) - np.mean(logs[1])))


def test_the_overall_ratio_of_one_subject_is_its_ratio():
    rng = np.random.default_rng(2)
    a, b = side(rng, 3)[0], side(rng, 3)[0]
    spread = Spread({"p50_s": 0.02**2}, 4)
    alone, all_ = ratio_of(a, b, "p50_s", spread), overall_ratio([[(a, b)]], "p50_s", spread)
    assert {k: all_[k] for k in ("value", "low", "high")} == pytest.approx(
        {k: alone[k] for k in ("value", "low", "high")}
    )


def test_more_loads_of_the_same_runs_do_not_pretend_to_be_more_runs():
    rng = np.random.default_rng(3)
    cells = list(zip(side(rng, 3, loads=6), side(rng, 3, loads=6), strict=True))
    spread = Spread({"p50_s": 0.03**2}, 4)
    one, six = overall_ratio([cells[:1]], "p50_s", spread), overall_ratio([cells], "p50_s", spread)
    assert np.log(six["high"] / six["low"]) == pytest.approx(np.log(one["high"] / one["low"]))
    four = overall_ratio([cells] * 4, "p50_s", spread)
    assert np.log(four["high"] / four["low"]) == pytest.approx(np.log(one["high"] / one["low"]) / 2)


def test_the_overall_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(4)
    held = []
    for _ in range(400):
        subjects = [list(zip(side(rng, 3, loads=2, within=0.01), side(rng, 3, 1.1, loads=2, within=0.01), strict=True))
                    for _ in range(3)]  # fmt: skip
        groups = [{"p50_s": [cell[i] for cell in cells]} for cells in subjects for i in (0, 1)]
        found = overall_ratio(subjects, "p50_s", observed_spread(groups))
        held.append(found["low"] <= 1.1 <= found["high"])
    assert 0.92 <= np.mean(held) <= 0.99


def test_without_repetitions_the_spread_is_assumed_unless_subjects_scatter_more():
    assert observed_spread([{"p50_s": [[Measured(1.0, 0.0)]]}]).freedom == 0
    spread = Spread({})
    assert spread.of("p95_s") == ASSUMED["p95_s"] ** 2
    a, b = [Measured(1.0, 0.0)], [Measured(1.1, 0.0)]
    found = ratio_of(a, b, "p95_s", spread)
    assert np.log(found["high"] / found["value"]) == pytest.approx(1.96 * ASSUMED["p95_s"] * np.sqrt(2), rel=1e-3)
    alike = overall_ratio([[(a, b)]] * 3, "p50_s", spread)
    torn = overall_ratio([[(a, b)], [(b, a)], [(a, [Measured(1.4, 0.0)])]], "p50_s", spread)
    assert torn["high"] / torn["low"] > 1.5 * alike["high"] / alike["low"]


def test_scatter_within_the_runs_is_not_taken_for_spread_between_them():
    rng = np.random.default_rng(5)
    noisy = [{"p50_s": side(rng, 4, between=0.0, within=0.05, loads=4)} for _ in range(20)]
    assert np.sqrt(observed_spread(noisy).of("p50_s")) < 0.02
    wide = [{"p50_s": side(rng, 4, between=0.06, within=0.02, loads=4)} for _ in range(20)]
    assert np.sqrt(observed_spread(wide).of("p50_s")) == pytest.approx(0.06, rel=0.25)


@settings(max_examples=50, deadline=None)
@given(value=st.floats(1e-4, 1e4), share=st.floats(0.01, 0.5), factor=st.floats(0.1, 10))
def test_units_do_not_matter(value, share, factor):
    def record(v):
        return number(v, v * (1 - share), v * (1 + share))

    spread = Spread({}, 0)
    first = ratio_of([measured(record(value))], [measured(record(2 * value))], "p50_s", spread)
    scaled = ratio_of([measured(record(value * factor))], [measured(record(2 * value * factor))], "p50_s", spread)
    assert [first[k] for k in ("value", "low", "high")] == pytest.approx([scaled[k] for k in ("value", "low", "high")])


def test_what_has_no_positive_value_is_not_measured():
    assert measured(number(0.0)) is None
    assert measured(number(None)) is None
    assert measured(number(2.0)) == Measured(2.0, 0.0)
    assert side_record([Measured(2.0, 0.01)], "p50_s", Spread({}), "s")["unit"] == "s"
