"""CloudWatch's metric semantics: statistics against numpy, buckets, retention."""

import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genkai.demo.metric_store import (
    DAY_S,
    HOUR_S,
    InvalidError,
    MetricStore,
    percentile,
    point_of,
    rounded_start,
    statistic,
)

NOW = 1_800_000_000.0  # a whole minute
KEY = ("N", "m", ())
values = st.lists(st.tuples(st.integers(-1000, 1000), st.integers(1, 20)), min_size=1, max_size=30)


def datum(**fields):
    return {"MetricName": "m", "Timestamp": NOW, **fields}


@given(values, st.sampled_from([0, 1, 50, 90, 95, 99, 100]))
def test_percentile_is_the_nearest_rank_of_the_expanded_values(pairs, percent):
    expanded = numpy.repeat([value for value, _ in pairs], [count for _, count in pairs])
    assert percentile(pairs, percent) == numpy.percentile(expanded, percent, method="inverted_cdf")


@given(values)
def test_plain_statistics_agree_with_numpy(pairs):
    expanded = numpy.repeat([value for value, _ in pairs], [count for _, count in pairs])
    point = point_of(datum(Values=[v for v, _ in pairs], Counts=[c for _, c in pairs]), NOW)
    half = [point_of(datum(Value=value), NOW) for value in expanded]
    for points in ([point], half):
        assert statistic(points, "SampleCount") == len(expanded)
        assert statistic(points, "Sum") == pytest.approx(expanded.sum())
        assert statistic(points, "Average") == pytest.approx(expanded.mean())
        assert (statistic(points, "Minimum"), statistic(points, "Maximum")) == (expanded.min(), expanded.max())


def test_statistic_sets_have_no_percentiles_unless_all_values_are_equal():
    spread = {"SampleCount": 4, "Sum": 10, "Minimum": 1, "Maximum": 4}
    equal = {"SampleCount": 4, "Sum": 8, "Minimum": 2, "Maximum": 2}
    assert statistic([point_of(datum(StatisticValues=spread), NOW)], "p95") is None
    assert statistic([point_of(datum(StatisticValues=equal), NOW)], "p95") == 2


def stored(times, resolution=1):
    store = MetricStore()
    for time in times:
        store.put("N", [datum(Timestamp=time, Value=1.0, StorageResolution=resolution)], now=time)
    return store


@given(
    st.lists(st.integers(0, 1800), min_size=1, max_size=60),
    st.integers(0, 900),
    st.integers(1, 900),
    st.sampled_from([1, 5, 10, 30, 60, 120, 300]),
)
def test_buckets_begin_at_the_rounded_start_and_hold_every_point_once(offsets, first, length, period):
    store = stored([NOW + offset for offset in offsets])
    start, end = NOW + first, NOW + first + length
    series = store.series(KEY, "SampleCount", period, start, end, NOW + 1800, None)
    origin = rounded_start(start, period, NOW + 1800)
    expected: dict[float, int] = {}
    for offset in offsets:
        if origin <= NOW + offset < end:
            bucket = origin + (NOW + offset - origin) // period * period
            expected[bucket] = expected.get(bucket, 0) + 1
    assert series == sorted(expected.items())


@pytest.mark.parametrize(
    ("age_s", "period", "visible"),
    [
        (2 * HOUR_S, 10, True),
        (4 * HOUR_S, 10, False),
        (4 * HOUR_S, 60, True),
        (16 * DAY_S, 60, False),
        (16 * DAY_S, 300, True),
        (64 * DAY_S, 300, False),
        (64 * DAY_S, 3600, True),
        (456 * DAY_S, 3600, False),
    ],
)
def test_a_period_too_fine_for_the_age_returns_nothing(age_s, period, visible):
    store = stored([NOW])
    series = store.series(KEY, "Sum", period, NOW - HOUR_S, NOW + HOUR_S, NOW + age_s, None)
    assert bool(series) is visible


def test_standard_resolution_has_no_period_below_a_minute():
    store = stored([NOW], resolution=60)
    assert store.series(KEY, "Sum", 10, NOW, NOW + 60, NOW + 60, None) == []
    assert store.series(KEY, "Sum", 60, NOW, NOW + 60, NOW + 60, None) == [(NOW, 1.0)]


def test_a_unit_that_was_not_sent_finds_nothing():
    store = stored([NOW])
    assert store.series(KEY, "Sum", 60, NOW, NOW + 60, NOW, "Seconds") == []
    assert store.series(KEY, "Sum", 60, NOW, NOW + 60, NOW, "None") == [(NOW, 1.0)]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"Value": math.nan}, "InvalidParameterValue"),
        ({"Value": 1e300}, "InvalidParameterValue"),
        ({"Value": 1, "Values": [1]}, "InvalidParameterCombination"),
        ({}, "InvalidParameterCombination"),
        ({"Values": [1, 2], "Counts": [1]}, "InvalidParameterValue"),
        ({"Values": list(range(151))}, "InvalidParameterValue"),
        ({"Value": 1, "Timestamp": NOW - 15 * DAY_S}, "InvalidParameterValue"),
        ({"Value": 1, "Timestamp": NOW + 3 * HOUR_S}, "InvalidParameterValue"),
        ({"Value": 1, "StorageResolution": 30}, "InvalidParameterValue"),
    ],
)
def test_data_that_cloudwatch_refuses_are_refused_and_none_of_the_call_is_kept(fields, code):
    store = MetricStore()
    with pytest.raises(InvalidError) as caught:
        store.put("N", [datum(Value=1), datum(**fields)], NOW)
    assert caught.value.code == code
    assert store.metrics == {}
