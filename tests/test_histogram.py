"""Histograms: quantiles near the truth, merging as good as recording jointly, nothing lost in between."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai.histogram import encode, mean_s, merge, new_histogram, quantile_s, record_seconds


def of(values: list[float]):
    histogram = new_histogram()
    for value in values:
        record_seconds(histogram, value)
    return histogram


def test_quantiles_are_near_the_truth() -> None:
    values = np.random.default_rng(1).lognormal(-4, 1, 20_000)
    histogram = of(list(values))
    for q in (0.5, 0.9, 0.95, 0.99, 0.999):
        assert quantile_s(histogram, q) == pytest.approx(np.quantile(values, q), rel=0.01)
    assert mean_s(histogram) == pytest.approx(values.mean(), rel=0.002)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.floats(1e-6, 3600), min_size=1, max_size=20), min_size=1, max_size=5))
def test_merging_equals_recording_jointly(parts: list[list[float]]) -> None:
    merged = merge([encode(of(p)) for p in parts] + [None])
    joint = of([v for p in parts for v in p])
    assert merged.total_count == joint.total_count
    assert [quantile_s(merged, q) for q in (0, 0.5, 1)] == [quantile_s(joint, q) for q in (0, 0.5, 1)]


def test_what_is_out_of_range_is_kept_at_the_bound() -> None:
    histogram = of([0.0, -1.0, 1e9])
    assert histogram.total_count == 3
    assert quantile_s(histogram, 0) == pytest.approx(1e-6)
    assert quantile_s(histogram, 1) == pytest.approx(3600, rel=1e-3)


def test_an_empty_histogram_has_no_quantile() -> None:
    assert quantile_s(new_histogram(), 0.5) is None
    assert mean_s(merge([])) is None


def test_a_quantile_outside_0_to_1() -> None:
    with pytest.raises(ValueError, match="expected 0 ≤ q ≤ 1, got 95"):
        quantile_s(new_histogram(), 95)
