"""Shares and changes of sampled time: a synthetic truth, an oracle, a property, each state of the answer."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai.analyse.stacks import (
    Sum,
    answer,
    change,
    function_records,
    kind_records,
    mark_background,
    per_request,
    share,
    trend,
)

REQUESTS = {"low": 100.0, "limit": 1000.0}


def row(phase: str, kind: str, stack: str, samples: int, seconds: float | None = None) -> dict:
    seconds = samples / 100 if seconds is None else seconds
    return {"phase": phase, "process": "h:1", "kind": kind, "stack": stack, "samples": samples, "seconds": seconds,
            "squares": seconds**2 / samples}  # fmt: skip


def table(*rows: dict) -> pd.DataFrame:
    return pd.DataFrame(rows)


# Per request: spin 10 ms at both levels; the lock 1 ms at low load, 20 ms at the limit.
STORY = table(
    row("low", "cpu", "main;serve;spin", 100), row("limit", "cpu", "main;serve;spin", 1000),
    row("low", "lock", "main;serve;reserve", 10), row("limit", "lock", "main;serve;reserve", 2000),
    row("low", "idle", "main;take", 5000), row("limit", "idle", "main;take", 100),
)  # fmt: skip


def test_what_grows_is_named_and_what_stays_is_not() -> None:
    records = function_records(STORY, REQUESTS)
    by_name = {(r["function"], r["state"]): r for r in records}
    assert set(by_name) == {("spin", "cpu"), ("reserve", "wait")}, "idle threads delay nobody; only own time counts"
    spin, reserve = by_name["spin", "cpu"], by_name["reserve", "wait"]
    assert (spin["trend"], reserve["trend"], reserve["kind"], reserve["caller"]) == ("same", "grows", "lock", "serve")
    assert spin["cost"]["limit"]["value"] == pytest.approx(0.010)
    assert reserve["change"]["value"] == pytest.approx(0.019)
    assert (spin["self"]["value"], spin["total"]["value"]) == (1.0, 1.0)
    found = answer(records)
    assert (found["answer_key"], found["values"]["function"]) == ("profile.answer_grows", "reserve")


def test_nothing_grows_no_comparison_and_nothing_at_all_are_said_as_such() -> None:
    same = STORY[STORY["kind"] == "cpu"]
    assert answer(function_records(same, REQUESTS))["answer_key"] == "profile.answer_same"
    alone = STORY[STORY["phase"] == "limit"]
    found = answer(function_records(alone, {"limit": 1000.0}))
    assert (found["answer_key"], found["values"]["function"]) == ("profile.answer_hottest", "reserve")
    idle = STORY[STORY["kind"] == "idle"]
    assert answer(function_records(idle, REQUESTS)) == {"answer_key": "profile.answer_nothing", "values": {}}


def test_kinds_add_up_what_threads_do() -> None:
    found = {r["kind"]: r for r in kind_records(STORY, REQUESTS)}
    assert list(found) == ["cpu", "lock"]
    assert found["lock"]["trend"] == "grows"
    assert found["lock"]["cost"]["low"]["value"] == pytest.approx(0.001)


def test_a_wait_that_only_the_limit_has_grows_and_a_single_sample_does_not() -> None:
    base = [row("low", "cpu", "a", 100), row("limit", "cpu", "a", 1000)]
    many, one = row("limit", "lock", "b", 500), row("limit", "lock", "c", 1)
    trends = {r["function"]: r["trend"] for r in function_records(table(*base, many, one), REQUESTS)}
    assert trends == {"a": "same", "b": "grows", "c": "same"}


def test_the_interval_of_a_share_is_wilsons_and_covers() -> None:
    found = share(Sum(0.3, 0.003, 30), Sum(1.0, 0.01, 100))
    assert found["value"] == pytest.approx(0.3)
    assert (found["low"], found["high"]) == (pytest.approx(0.2189, abs=1e-4), pytest.approx(0.3958, abs=1e-4))
    random, hits = np.random.default_rng(1), 0
    for _ in range(500):
        n = int(random.binomial(400, 0.1))
        drawn = share(Sum(n / 100, n / 1e4, n), Sum(4.0, 0.04, 400))
        hits += drawn["low"] <= 0.1 <= drawn["high"]
    assert hits / 500 > 0.92


def test_changes_within_the_sampling_error_are_rarely_called_growth() -> None:
    random, alarms = np.random.default_rng(2), 0
    for _ in range(500):
        a, b = int(random.poisson(50)), int(random.poisson(500))
        changed = change(Sum(a / 100, a / 1e4, a), Sum(b / 100, b / 1e4, b), REQUESTS, compared=1)
        alarms += trend(changed) != "same"
    assert alarms / 500 < 0.09


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 10_000), scale=st.floats(0.001, 100))
def test_shares_do_not_depend_on_the_unit_of_time(n: int, scale: float) -> None:
    one = share(Sum(n / 100, n / 1e4, n), Sum(200.0, 2.0, 20_000))
    other = share(Sum(n / 100 * scale, n / 1e4 * scale**2, n), Sum(200.0 * scale, 2.0 * scale**2, 20_000))
    assert one["low"] == pytest.approx(other["low"])
    assert 0 <= one["low"] <= one["value"] <= one["high"] <= 1


def test_without_requests_or_time_there_is_no_number() -> None:
    assert per_request(Sum(1, 1, 1), 0)["value"] is None
    assert share(Sum(), Sum())["value"] is None
    assert trend(change(Sum(1, 1, 1), Sum(1, 1, 1), {"low": 0, "limit": 5})) is None


def test_a_thread_that_waits_all_the_time_at_both_levels_is_background() -> None:
    watcher = [row("low", "idle", "watch", 999), row("limit", "io", "watch", 996)]
    worker = [row("low", "io", "serve;query", 200), row("limit", "io", "serve;query", 995)]
    seldom = [row("limit", "lock", "reserve", 990)]
    marked = mark_background(table(*watcher, *worker, *seldom), 10.0)
    assert list(marked["kind"]) == ["idle", "idle", "io", "io", "lock"]
    alone = mark_background(table(*watcher[1:], *seldom), 10.0)
    assert list(alone["kind"]) == ["io", "lock"], "without a low level nobody can tell"
