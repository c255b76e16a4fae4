"""The capacity search against simulated targets of known capacity, seeded; every way a trial and a search can end."""

import numpy as np
import pytest

from genkai.analyse.search import Measured, Settings, judge_trial, search_capacity
from genkai.analyse.texts import plain

LIMIT_S, SERVICE_S = 0.2, 0.02


def target(capacity, seed=0, noise=0.01, restless=0.0, errors_beyond=False, generator=None):
    """A hard ceiling with an endless queue: the delay grows with the seconds beyond it; p95 limit 0.2 s."""
    rng = np.random.default_rng(seed)

    def measure(phase, rate, seconds):
        if generator and rate > generator:
            return Measured(generator, generator, 0.0, SERVICE_S, generator="shortfall")
        now = capacity * (1 + rng.normal(0, noise))
        if errors_beyond:
            errors = max(0.0, 1 - now / rate)
            stop = f"error ratio {errors:.2f} > 0.2" if errors > 0.2 else None
            broken = ("errors",) if errors > 0.01 else ()
            return Measured(min(rate, now), rate, errors, SERVICE_S, broken, stop_reason=stop)
        delay = seconds * max(0.0, rate / now - 1)
        p95 = SERVICE_S + 0.95 * delay
        steady = not (delay > 0.05 or rng.random() < restless)
        return Measured(min(rate, now), rate, 0.0, p95, ("p95",) if p95 > LIMIT_S else (), steady)

    return measure


@pytest.mark.parametrize("start", [0.02, 0.25, 1.0, 30.0])
@pytest.mark.parametrize("seed", range(6))
def test_the_capacity_is_found_within_five_percent(seed, start):
    capacity = float(np.exp(np.random.default_rng(seed).uniform(np.log(8), np.log(8000))))
    record = search_capacity(target(capacity, seed), Settings(start_rps=start * capacity))
    assert record["status"] == "found"
    limit = record["limit"]
    assert limit["value"] == pytest.approx(capacity, rel=0.05)
    assert limit["low"] == limit["value"] < limit["high"] <= 1.08 * limit["value"]
    assert record["trials"][-1]["phase"] == "confirm"
    assert [t["number"] for t in record["trials"]] == list(range(1, len(record["trials"]) + 1))


def test_the_search_stays_within_what_the_ramp_offered_and_half_the_knee():
    record = search_capacity(target(500, noise=0.0), Settings(start_rps=50))
    ramp = [t for t in record["trials"] if t["phase"] == "ramp"]
    assert [t["verdict"] for t in ramp] == ["kept"] * (len(ramp) - 1) + ["missed"]
    assert record["knee"]["value"] == pytest.approx(500)
    rates = [t["rate_rps"] for t in record["trials"] if t["phase"] == "search"]
    assert max(rates) <= min(1.5 * 500, ramp[-1]["rate_rps"]) + 1e-6
    assert min(rates) >= 0.5 * 500
    assert len({t["seconds"] for t in record["trials"] if t["phase"] == "search"}) == 1


def test_a_disturbed_ramp_does_not_hide_the_capacity():
    steady, tries = target(500, noise=0.0), []

    def measure(phase, rate, seconds):
        tries.append(phase)
        return Measured(10, rate, 0.0, 5.0, ("p95",)) if len(tries) == 2 else steady(phase, rate, seconds)

    record = search_capacity(measure, Settings(start_rps=20))
    assert record["status"] == "found"
    assert record["limit"]["value"] == pytest.approx(500, rel=0.05)


def test_errors_beyond_the_automatic_stop_end_it_at_once():
    record = search_capacity(target(500, errors_beyond=True), Settings(start_rps=100))
    assert record["status"] == "stopped"
    assert record["trials"][-1]["verdict"] == "stopped"
    assert "stopped" not in [t["verdict"] for t in record["trials"][:-1]]
    assert record["limit"]["value"] is None
    assert record["limit"]["low"] < 505 < record["limit"]["high"]
    assert "error ratio" in record["why"]


@pytest.mark.parametrize("sent", [100.0, 0.0])
def test_a_search_that_is_ended_by_hand_says_no_upper_end(sent):
    steady, tries = target(500, noise=0.0), []

    def measure(phase, rate, seconds):
        tries.append(rate)
        ended = Measured(sent, sent, 0.0, stop_reason="level 3: genkai stop" if sent else "the processes ended")
        return ended if len(tries) == 3 else steady(phase, rate, seconds)

    record = search_capacity(measure, Settings(start_rps=100))
    assert record["status"] == "stopped"
    assert (record["limit"]["low"], record["limit"]["high"]) == (tries[1], None)


def test_trials_of_a_limited_generator_do_not_count():
    record = search_capacity(target(5000, generator=800), Settings(start_rps=100))
    limited = [t for t in record["trials"] if t["verdict"] == "discarded"]
    assert limited
    assert all(t["rate_rps"] > 800 and t["why"] == "shortfall" for t in limited)
    assert record["discarded"] == len(limited)
    assert record["limit"]["low"] < 800
    assert record["limit"]["high"] is None
    assert record["limit"]["notes"]


def test_a_hiccup_of_the_generator_is_thrown_away():
    steady, tries = target(500, noise=0.0), []

    def measure(phase, rate, seconds):
        tries.append(phase)
        late = Measured(rate, rate, 0.0, 0.5, ("p95",), generator="slip")
        return late if len(tries) % 4 == 1 else steady(phase, rate, seconds)

    record = search_capacity(measure, Settings(start_rps=100))
    assert record["status"] == "found"
    assert record["discarded"] > 2
    assert record["limit"]["value"] == pytest.approx(500, rel=0.05)


def test_a_generator_that_ends_just_beyond_the_capacity_does_no_harm():
    record = search_capacity(target(500, generator=620), Settings(start_rps=100))
    assert record["status"] == "found"
    assert record["limit"]["value"] == pytest.approx(500, rel=0.05)
    assert record["discarded"] >= 1


def test_restless_trials_are_thrown_away_and_repeated():
    record = search_capacity(target(500, seed=3, restless=0.3), Settings(start_rps=100))
    thrown = [t for t in record["trials"] if t["verdict"] == "discarded"]
    assert thrown
    for trial in thrown:
        following = record["trials"][trial["number"]]
        assert following["rate_rps"] == trial["rate_rps"]
    assert record["limit"]["value"] == pytest.approx(500, rel=0.08)


def test_a_target_that_never_keeps_its_targets():
    record = search_capacity(lambda *_: Measured(1, 10, 1.0, 5.0, ("p95",)), Settings(start_rps=100))
    assert record["status"] == "cannot_tell"
    assert record["limit"]["value"] is record["limit"]["low"] is None
    assert record["why"] == "no rate of the ramp kept the targets"
    assert len(record["trials"]) == 16


def test_a_rate_that_no_long_trial_confirms_is_not_told():
    short = target(500, noise=0.0)

    def measure(phase, rate, seconds):
        return Measured(rate, rate, 0.0, 1.0, ("p95",)) if phase == "confirm" else short(phase, rate, seconds)

    record = search_capacity(measure, Settings(start_rps=100))
    assert record["status"] == "cannot_tell"
    assert "no long trial confirmed" in record["why"]
    assert record["limit"]["value"] is None


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({"stop_reason": "errors", "generator": "cpu", "broken": ("p95",)}, "stopped"),
        ({"generator": "cpu", "broken": ("p95",)}, "generator"),
        ({"broken": ("p95",), "steady": False}, "missed"),
        ({"throughput_rps": 90.0}, "missed"),
        ({"throughput_rps": 90.0, "error_ratio": 0.1}, "kept"),
        ({"steady": False}, "restless"),
        ({"steady": None}, "kept"),
        ({}, "kept"),
    ],
)
def test_what_a_trial_says(values, verdict):
    assert (
        judge_trial(Measured(**{"throughput_rps": 100.0, "sent_rps": 100.0, "error_ratio": 0.0, **values}))[0]
        == verdict
    )


def test_seconds_in_the_log_are_told_without_powers_of_ten():
    assert plain("{p95:time}, at most {limit:time}", {"p95": 1.0476, "limit": 0.3}) == "1,048 ms, at most 300 ms"
