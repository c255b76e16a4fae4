"""request_counts: agreement whatever the minutes' edges, others' requests, requests that went elsewhere."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai.analyse.counted import request_counts
from genkai.metrics import Metrics

BEGIN = 1_700_000_040.0  # a whole minute


def stamps(seconds) -> pd.Series:
    return pd.Series(pd.to_datetime(BEGIN + np.asarray(seconds, float), unit="s", utc=True))


def world(rps: float, seconds: int, factor: float = 1.0, offset: int = 0, failed: float = 0.0, in_flight: int = 0):
    """A generator that sends so many a second from `offset` on, and a balancer that counts whole minutes of them."""
    at = np.arange(offset, offset + seconds)
    requests = pd.DataFrame({"time": stamps(at), "api": "a", "sent": rps, "completed": rps * (1 - failed)})
    generator = pd.DataFrame({"time": stamps(at), "process": "p", "in_flight": in_flight})
    whole = [m for m in range((offset + seconds) // 60) if m * 60 >= offset]
    rows = pd.DataFrame({
        "time": stamps([m * 60 for m in whole]), "source": "cloudwatch", "resource": "elb:shop", "statistic": "sum",
        "metric": "RequestCount", "unit": "Count", "period_s": 60.0, "value": rps * 60 * factor,
    })  # fmt: skip
    return Metrics.of(rows), requests, generator


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 900), st.integers(180, 600), st.integers(0, 59))
def test_whole_minutes_are_compared_with_the_same_seconds_only(rps, seconds, offset):
    (row,) = request_counts(*world(rps, seconds, offset=offset))
    assert row["counted"]["value"] == pytest.approx(row["sent"]["value"])
    assert row["verdict"] == "agree"


@pytest.mark.parametrize(("factor", "verdict"), [(1.019, "agree"), (1.03, "more"), (0.981, "agree"), (0.97, "fewer")])
def test_two_percent_are_the_limit(factor, verdict):
    assert request_counts(*world(100, 300, factor))[0]["verdict"] == verdict


def test_what_was_under_way_or_failed_is_no_difference():
    assert request_counts(*world(100, 300, 0.95))[0]["verdict"] == "fewer"
    assert request_counts(*world(100, 300, 0.95, in_flight=500))[0]["verdict"] == "agree"
    assert request_counts(*world(100, 300, 0.95, failed=0.05))[0]["verdict"] == "agree"
    assert request_counts(*world(100, 300, 0.95, in_flight=500))[0]["under_way"]["value"] == 1000


def test_a_minute_without_a_value_is_left_out_on_both_sides():
    metrics, requests, generator = world(100, 600)
    frame = metrics.frame.drop(index=[3, 4])
    (row,) = request_counts(Metrics.of(frame), requests, generator)
    assert (row["counted"]["value"], row["sent"]["value"], row["counted"]["n"]) == (48_000, 48_000, 8)


def test_nothing_to_compare_says_nothing():
    metrics, requests, generator = world(100, 300)
    assert request_counts(Metrics({}), requests, generator) == []
    assert request_counts(metrics, requests.assign(time=requests["time"] + pd.Timedelta(days=1)), generator) == []
    of_group = Metrics.of(metrics.frame.assign(resource="targetgroup:web"))
    assert request_counts(of_group, requests, generator) == []
    assert request_counts(metrics, requests, generator.iloc[:0])[0]["verdict"] == "agree"
