"""Endurance rules: drift with an interval, time to exhaustion, and series that must not be called a drift."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnosis_tables import World, causes
from genkai.analyse.diagnose import Facts
from genkai.analyse.rules.drift import measure_drift
from genkai.analyse.rules.evidence import amount

HOUR = 3600.0
FACTS = Facts(step="endurance", hosts={"app-1": "target"}, hold_needed_s=24 * HOUR, limits_s={"p95_s": 0.2})


def endured(hold_s: float = HOUR) -> World:
    return World([(800, 790, 0.02, 0.0)], hold_s=hold_s)


def series(world: World, metric: str, values: np.ndarray, resource="host:app-1", source="proc", period_s=10.0, **more):
    start = world.hold(0)[0]
    for n, value in enumerate(values):
        world.sample(
            start + pd.Timedelta(seconds=n * period_s), source, resource, metric, value, period_s=period_s, **more
        )
    return world


def noise(seed: int, scale: float, n: int = 360) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, n)


def test_a_leak_says_when_the_memory_is_used_up() -> None:
    used = 0.3 + 0.2 * np.arange(360) / 360 + noise(1, 0.005)
    record = series(endured(), "mem_used_ratio", used).diagnosis(FACTS)
    assert record["answer_key"] == "answer.drift"
    assert causes(record) == ["memory_leak"]
    values = record["findings"][0]["evidence"][0]["values"]
    assert values["slope"]["value"] == pytest.approx(-0.2, rel=0.05)
    assert values["slope"]["low"] <= -0.2 <= values["slope"]["high"]
    assert values["exhausted"]["value"] == pytest.approx(2.5 * HOUR, rel=0.1)
    assert record["findings"][0]["strength"] == "strong"


def test_a_leak_that_outlasts_what_is_asked_is_weak() -> None:
    used = 0.3 + 0.2 * np.arange(360) / 360 + noise(1, 0.005)
    short = Facts(step="endurance", hosts={"app-1": "target"}, hold_needed_s=HOUR)
    assert series(endured(), "mem_used_ratio", used).diagnosis(short)["findings"][0]["strength"] == "weak"


@pytest.mark.parametrize(
    "used",
    [
        0.5 + noise(2, 0.02),
        0.3 + 0.03 * np.arange(360) / 360 + noise(3, 0.001),
        0.3 + 0.2 * (1 - np.exp(-np.arange(360) / 30)) + noise(4, 0.002),
        0.4 + 0.1 * np.sin(np.arange(360) / 40) + noise(5, 0.002),
        0.6 - 0.2 * np.arange(360) / 360 + noise(6, 0.002),
    ],
    ids=["steady", "little", "warms up", "comes and goes", "is given back"],
)
def test_memory_that_does_not_leak(used: np.ndarray) -> None:
    assert series(endured(), "mem_used_ratio", used).diagnosis(FACTS)["findings"] == []


def test_a_leak_counts_in_the_endurance_step_only() -> None:
    used = 0.3 + 0.2 * np.arange(360) / 360
    other = Facts(step="scenario", hosts={"app-1": "target"})
    assert series(endured(), "mem_used_ratio", used).diagnosis(other)["findings"] == []


def test_descriptors_that_are_never_closed() -> None:
    fds = 100 + np.arange(360) * 2.0
    record = series(endured(), "process_app_fds_max", fds).diagnosis(FACTS)
    assert [(f["cause"], f["strength"]) for f in record["findings"]] == [("descriptor_leak", "moderate")]
    assert record["findings"][0]["evidence"][0]["values"]["exhausted"]["value"] is None  # no limit is known
    known = Facts(step="endurance", hosts={"app-1": "target"}, limits={"host:app-1 fds.open": 1024})
    assert series(endured(), "process_app_fds_max", fds).diagnosis(known)["findings"][0]["strength"] == "strong"
    level = series(endured(), "process_app_fds_max", 100 + noise(7, 5))
    assert level.diagnosis(FACTS)["findings"] == []


def test_credits_that_end_too_soon() -> None:
    def spending(per_hour: float) -> list[str]:
        balance = 100 - per_hour * np.arange(12) / 12
        world = series(endured(), "CPUCreditBalance", balance, "ec2:i-1", "cloudwatch", 300.0, statistic="minimum")
        return causes(world.diagnosis(FACTS))

    assert spending(40) == ["credits_running_out"]
    assert spending(1) == []
    assert spending(0) == []


def test_credits_that_end_are_no_end_in_unlimited_mode() -> None:
    balance = 100 - 40 * np.arange(12) / 12
    world = series(endured(), "CPUCreditBalance", balance, "ec2:i-1", "cloudwatch", 300.0, statistic="minimum")

    def found(mode: str) -> dict:
        row = {"type": "t3.medium", "mode": mode, "spent": amount(1.07, "count"), "earned": amount(0.4, "count"),
               "left": amount(5400, "duration")}  # fmt: skip
        return world.diagnosis(dataclasses.replace(FACTS, credits={"ec2:i-1": row}))["findings"][0]

    assert found("standard")["strength"] == "strong"
    assert found("unlimited")["strength"] == "weak"
    assert found("unlimited")["evidence"][-1]["values"]["left"]["value"] == 5400


def test_an_unlimited_instance_hides_no_standard_one_and_the_first_to_end_is_told() -> None:
    world, modes = endured(), {"ec2:i-1": "unlimited", "ec2:i-2": "standard", "ec2:i-3": "standard"}
    for (resource, _), per_hour in zip(modes.items(), (80, 20, 40), strict=True):
        balance = 100 - per_hour * np.arange(12) / 12
        series(world, "CPUCreditBalance", balance, resource, "cloudwatch", 300.0, statistic="minimum")
    row = {"type": "t3.medium", "spent": amount(1.07, "count"), "earned": amount(0.4, "count"),
           "left": amount(5400, "duration")}  # fmt: skip
    facts = dataclasses.replace(FACTS, credits={name: {**row, "mode": mode} for name, mode in modes.items()})
    (found,) = world.diagnosis(facts)["findings"]
    assert found["strength"] == "strong"
    assert {item["values"]["resource"] for item in found["evidence"]} == {"i-3"}


def test_response_times_that_grow() -> None:
    def slowing(first: float, last: float) -> list[str]:
        return causes(endured(240).seconds(0, np.linspace(first, last, 240)).diagnosis(FACTS))

    assert slowing(0.05, 0.12) == ["response_time_drift"]
    assert slowing(0.05, 0.06) == []
    assert slowing(0.12, 0.05) == []


@settings(max_examples=40, deadline=None)
@given(st.floats(-5, 5), st.integers(0, 10_000))
def test_the_interval_holds_a_known_slope(slope: float, seed: int) -> None:
    times = np.arange(600.0)
    drift = measure_drift(times, 10 + slope * times + noise(seed, 1.0, 600))
    margin = 5 / 600  # intervals of 95 % miss now and then: the true slope is never far outside
    assert drift.low - margin <= slope <= drift.high + margin


def test_series_too_short_or_too_thin_have_no_drift() -> None:
    assert measure_drift(np.arange(15.0), np.arange(15.0)) is None
    assert measure_drift(np.array([0.0, 100, 200]), np.array([1.0, 2, 3])) is None
    assert measure_drift(np.arange(100.0), np.full(100, np.nan)) is None
