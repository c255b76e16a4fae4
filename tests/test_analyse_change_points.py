"""Change points: against a slow obvious count, against Apache Otava's answers, by truth put in, by properties."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai.analyse.change_points import LEAST, best_split, change_points, divergence

OTAVA = json.loads((Path(__file__).parent / "data/otava.json").read_text())
SERIES = st.lists(st.floats(1, 1000), min_size=2, max_size=12)


def naive_divergence(left, right) -> float:
    """Matteson and James (2014): the energy distance of two samples, times mn/(m + n), term by term."""
    n, m = len(left), len(right)
    between = sum(abs(a - b) for a, b in product(left, right))
    pairs = [sum(abs(x[i] - x[j]) for i in range(len(x)) for j in range(i)) for x in (left, right)]
    means = 2 * between / (n * m)
    means -= pairs[0] / (n * (n - 1) / 2) if n > 1 else 0
    means -= pairs[1] / (m * (m - 1) / 2) if m > 1 else 0
    return n * m / (n + m) * means


@settings(max_examples=80, deadline=None)
@given(values=SERIES)
def test_the_divergence_is_what_a_slow_count_gives(values):
    found = divergence(values)
    for tau in range(1, len(values)):
        for kappa in range(tau + 1, len(values) + 1):
            slow = naive_divergence(values[:tau], values[tau:kappa])
            assert found[tau, kappa] == pytest.approx(slow, abs=1e-6 * max(values) * len(values))
    assert np.isneginf(found[0]).all()
    assert best_split(values)[2] == pytest.approx(found.max())


@pytest.mark.parametrize("case", OTAVA["cases"], ids=range(len(OTAVA["cases"])))
def test_the_answers_are_those_that_apache_otava_gave(case):
    split, _, distance = best_split(case["values"])
    assert (split, distance) == (case["split"], pytest.approx(case["divergence"]))
    assert [p.index for p in change_points(case["values"])] == case["change_points"]


def test_the_answers_are_those_of_the_installed_apache_otava():
    analysis = pytest.importorskip(
        "otava.analysis", reason="apache-otava is not installed; its recorded answers are tested"
    )
    for seed in range(40):
        rng = np.random.default_rng(1000 + seed)
        values = rng.normal(500, 5, int(rng.integers(6, 30)))
        values[len(values) // 2 :] *= rng.choice([0.8, 1.0, 1.3])
        told, _ = analysis.compute_change_points(list(values), window_len=2 * len(values) + 2, min_magnitude=0.05)
        assert [p.index for p in change_points(values)] == [p.index for p in told]


def test_levels_that_were_put_in_are_found():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(500, 6, 6), rng.normal(700, 6, 5), rng.normal(560, 6, 7)])
    first, second = change_points(values)
    assert (first.index, second.index) == (6, 11)
    assert first.change == pytest.approx(0.4, abs=0.03)
    assert second.change == pytest.approx(-0.2, abs=0.03)
    assert (first.after, second.before) == pytest.approx((values[6:11].mean(), values[6:11].mean()))


def test_a_level_that_was_left_again_is_found() -> None:
    """p95 of thirty recorded cycles, ms: ten as they are, five whose target is a tenth slower, and so on."""
    fast = [30.8, 30.1, 30.3, 30.3, 30.0, 29.8, 30.4, 29.8, 29.6, 30.0]
    slow = [32.2, 33.6, 32.6, 32.4, 33.3]
    found = change_points([*fast, *slow, *fast[::-1], *slow[::-1]])
    assert [c.index for c in found] == [10, 15, 25]
    assert [c.change > 0 for c in found] == [True, False, True]


def test_what_does_not_change_has_none():
    found = [change_points(np.random.default_rng(seed).normal(500, 15, 12)) for seed in range(200)]
    assert sum(map(bool, found)) <= 4


def test_few_cycles_small_changes_and_gaps():
    assert change_points([500.0] * 9) == []
    assert change_points([500.0, 900.0, 900.0]) == [], f"fewer than {LEAST}"
    assert [p.index for p in change_points([500.0, 500.0, 900.0, 900.0])] == [2]
    small = [500.0, 500.1, 499.9, 500.0, 510.0, 510.1, 509.9, 510.0]
    assert change_points(small) == []
    assert [p.index for p in change_points([*small[:4], *(1.05 * x for x in small[4:])])] == [4]
    with pytest.raises(ValueError, match="expected finite values, got one that is missing; leave it out"):
        change_points([1.0, float("nan"), 2.0, 3.0])


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(1, 100), min_size=4, max_size=14), factor=st.sampled_from([2.0**-7, 0.5, 4.0, 1024.0]))
def test_units_do_not_matter_and_neighbours_differ(values, factor):
    found = change_points(values)
    assert [p.index for p in change_points([v * factor for v in values])] == [p.index for p in found]
    assert all(p.magnitude > 0.05 for p in found)
    assert all(p.p < 0.001 for p in found)
