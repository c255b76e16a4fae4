"""Application rules: a hit, and near misses that must not hit."""

import errno
from collections.abc import Sequence

import pandas as pd
import pytest

from diagnosis_tables import HEALTHY, HOLD_S, RAMP_S, STALL, World, causes
from genkai.analyse.diagnose import Facts

BEHIND = [0.019, 0.021, 0.940]
IDLE = [20, 35, 36]
NO_BALANCER = Facts(limits_s={"p95_s": 0.2})


def behind(levels=STALL, latency=BEHIND) -> World:
    """A run whose wait is behind the balancer while the CPU idles."""
    return World(levels).instances(IDLE, IDLE).balancer([r[1] for r in levels], latency, [0, 0, 300])


def workers(world: World, busy, slots: int = 32) -> World:
    world.metric("webserver", "host:app-1", "BusyWorkers", busy, period_s=5.0)
    return world.metric("webserver", "host:app-1", "IdleWorkers", [slots - b for b in busy], period_s=5.0)


def test_all_workers_busy_while_cpu_is_left() -> None:
    record = workers(behind(), [2, 10, 32]).diagnosis()
    assert causes(record) == ["worker_slots"]
    finding = record["findings"][0]
    assert finding["strength"] == "strong"
    keys = [e["text_key"] for e in finding["evidence"]]
    assert keys == ["evidence.levels.throughput", "evidence.workers.busy", "evidence.lb.behind", "evidence.target.idle"]
    assert finding["evidence"][1]["values"]["slots"]["value"] == 32


def test_workers_that_are_left_are_no_finding() -> None:
    assert "worker_slots" not in causes(workers(behind(), [2, 10, 24]).diagnosis())


def test_full_workers_in_front_of_a_full_cpu_are_a_consequence() -> None:
    world = World(STALL).instances([20, 60, 97], [20, 60, 98])
    record = workers(world, [2, 10, 32]).diagnosis()
    assert causes(record) == ["target_cpu", "worker_slots"]
    assert record["findings"][1]["strength"] == "weak"


def test_a_status_page_that_hangs_speaks_of_full_workers() -> None:
    world = behind().metric("webserver", "host:app-1", "timeouts", [0, 0, 1], period_s=5.0)
    finding = world.diagnosis()["findings"][0]
    assert (finding["cause"], finding["strength"]) == ("worker_slots", "moderate")


def test_connections_that_nginx_closes_unanswered_speak_of_its_worker_connections() -> None:
    levels = [*STALL[:2], (1000, 500, 0.02, 0.3)]
    world = World(levels).fail(2, "reset", 5000)
    world.metric("webserver", "host:app-1", "connections_dropped", [0, 0, 40], period_s=5.0)
    finding = world.diagnosis(NO_BALANCER)["findings"][0]
    assert (finding["cause"], finding["strength"]) == ("worker_slots", "strong")
    assert finding["evidence"][1]["text_key"] == "evidence.workers.dropped"


def test_a_status_page_that_breaks_off_like_the_clients_connections_speaks_of_full_slots() -> None:
    levels = [*STALL[:2], (1000, 500, 0.02, 0.3)]
    for errors, failures, expected in (([0, 0, 1], "reset", ["worker_slots"]), ([0, 0, 1], "refused", []),
                                       ([1, 1, 1], "reset", []), ([0, 0, 0], "reset", [])):  # fmt: skip
        world = World(levels).fail(2, failures, 5000)
        world.metric("webserver", "host:app-1", "errors", errors, period_s=5.0)
        assert causes(world.diagnosis(NO_BALANCER)) == expected


def test_503_with_constant_successes_needs_no_balancer_where_there_is_none() -> None:
    levels = [(90, 90, 0.011, 0.0), (150, 100, 0.011, 0.33), (220, 100, 0.011, 0.55)]
    world = World(levels, workload="open").fail(1, "http_5xx", 1500, 503).fail(2, "http_5xx", 3600, 503)
    assert causes(world.diagnosis(NO_BALANCER)) == ["rate_limit"]
    assert causes(world.diagnosis()) == [], "who answered is not known behind a balancer that was not measured"


SINCE = 2 * RAMP_S + HOLD_S + 10  # from the first level's start to the end of the last second with an answer


def died(
    kind: str = "refused", answered_again: bool = False, tail: Sequence[int] = range(10, 25), number: int | None = None
) -> World:
    """Answers for ten seconds of the second level, and then only failures of a kind, in the seconds of the tail."""
    world = World([(100, 100, 0.02, 0.0), (200, 60, 0.02, 0.7)]).seconds(0, [0.02] * 30)
    world.seconds(1, [0.02] * (30 if answered_again else 10))
    for second in tail:
        world.fail(1, kind, 40)
        world.failures[-1]["errno"] = number
        world.failures[-1]["time"] = world.hold(1)[0] + pd.Timedelta(seconds=second)
    return world


def test_a_target_that_refuses_every_connection_to_the_end_has_gone() -> None:
    finding = died().diagnosis(NO_BALANCER)["findings"][0]
    assert (finding["cause"], finding["strength"]) == ("target_gone", "strong")
    values = finding["evidence"][0]["values"]
    assert [values[name]["value"] for name in ("refused", "sent", "seconds", "since")] == [600, 600, 15, SINCE]


def test_connections_that_time_out_among_the_refused_are_no_answers() -> None:
    world = died().fail(1, "timeout", 3)
    world.failures[-1]["time"] = world.hold(1)[0] + pd.Timedelta(seconds=20)
    values = world.diagnosis(NO_BALANCER)["findings"][0]["evidence"][0]["values"]
    assert [values[name]["value"] for name in ("refused", "sent", "seconds", "since")] == [600, 603, 15, SINCE]


@pytest.mark.parametrize(
    "world",
    [died(tail=[13]), died(tail=[10, 11, 12, 14, 15]), died(number=errno.EHOSTUNREACH), died().fail(1, "timeout", 200)],
    ids=["one", "a gap", "unreachable", "many time-outs"],
)
def test_a_few_refusals_or_a_network_without_a_way_are_no_target_that_has_gone(world: World) -> None:
    world.failures[-1]["time"] = max(world.failures[-1]["time"], world.hold(1)[0] + pd.Timedelta(seconds=13))
    assert "target_gone" not in causes(world.diagnosis(NO_BALANCER))


@pytest.mark.parametrize("world", [died("timeout"), died(answered_again=True), died("reset")])
def test_a_target_that_hangs_resets_or_answers_again_has_not(world: World) -> None:
    assert "target_gone" not in causes(world.diagnosis(NO_BALANCER))


def test_a_few_closed_connections_or_as_many_below_the_limit_do_not() -> None:
    for dropped in ([0, 0, 0.5], [30, 30, 40]):
        world = World(STALL).metric("webserver", "host:app-1", "connections_dropped", dropped, period_s=5.0)
        assert causes(world.diagnosis(NO_BALANCER)) == []


ONE_BY_ONE = [(10, 9.9, 0.020, 0.0), (50, 45, 0.03, 0.0), (200, 50, 3.0, 0.0)]


def test_one_request_at_a_time_with_idle_cpu_is_a_lock() -> None:
    world = workers(behind(ONE_BY_ONE, [0.019, 0.03, 2.9]), [1, 5, 32])
    record = world.diagnosis()
    assert causes(record) == ["lock", "worker_slots"]
    parallel = record["findings"][0]["evidence"][1]["values"]["parallel"]["value"]
    assert parallel == pytest.approx(50 * 0.019)


def test_a_fitted_contention_supports_a_lock() -> None:
    fit = {"parameters": {"contention": {"value": 0.4, "low": 0.3, "high": 0.5, "n": 6, "unit": "ratio", "notes": []}}}
    world = workers(behind(ONE_BY_ONE, [0.019, 0.03, 2.9]), [1, 5, 20])
    keys = [e["text_key"] for e in world.diagnosis(fit=fit)["findings"][0]["evidence"]]
    assert "evidence.fit.contention" in keys
    fit["parameters"]["contention"]["low"] = -0.1
    keys = [e["text_key"] for e in world.diagnosis(fit=fit)["findings"][0]["evidence"]]
    assert "evidence.fit.contention" not in keys


def test_many_at_a_time_are_not_a_lock() -> None:
    assert "lock" not in causes(workers(behind(), [2, 10, 24]).diagnosis())


def test_one_at_a_time_in_front_of_the_balancer_is_not_a_lock() -> None:
    world = World(ONE_BY_ONE).instances(IDLE).balancer([10, 45, 50], [0.019, 0.02, 0.02], [0, 0, 150])
    assert causes(world.diagnosis()) == ["load_balancer_capacity"]


def test_one_at_a_time_without_knowing_where_is_not_a_lock() -> None:
    record = World(ONE_BY_ONE).instances(IDLE).diagnosis(NO_BALANCER)
    assert causes(record) == []
    assert record["answer_key"] == "answer.cannot_tell"


def test_one_at_a_time_on_a_full_cpu_is_not_a_lock() -> None:
    world = World(ONE_BY_ONE).instances([20, 80, 99]).balancer([10, 45, 50], [0.019, 0.03, 2.9], [0, 0, 150])
    assert causes(world.diagnosis()) == ["target_cpu"]


def test_slow_from_the_lowest_level_on_is_a_slow_dependency() -> None:
    levels = [(100, 70, 0.45, 0.0), (500, 345, 0.46, 0.0), (1000, 690, 0.47, 0.0)]
    record = behind(levels, [0.44, 0.45, 0.46]).diagnosis()
    assert causes(record) == ["slow_dependency"]
    assert record["kind"] == "response_time"


def test_waiting_inside_with_free_workers_is_a_slow_dependency() -> None:
    assert causes(workers(behind(), [2, 10, 20]).diagnosis()) == ["slow_dependency"]


def test_waiting_inside_without_knowing_the_workers_is_not_named() -> None:
    record = behind().diagnosis()
    assert causes(record) == []
    assert "not_measured.workers.name" in [row["what"] for row in record["not_measured"]]


def limited(share: float, errors: float = 0.5) -> World:
    levels = [*STALL[:2], (1000, 500, 0.015, errors)]
    return World(levels).instances(IDLE).fail(2, "http_4xx", int(500 * 30 / (1 - errors) * share), 429)


def test_answers_429_are_a_rate_limit() -> None:
    record = limited(0.5).diagnosis()
    assert causes(record, contributing=False) == ["rate_limit"]
    assert record["findings"][0]["strength"] == "strong"


def test_a_few_429_are_not() -> None:
    assert "rate_limit" not in causes(limited(0.0001, 0.02).diagnosis())


CONSTANT = [(100, 100, 0.02, 0.0), (1000, 505, 0.015, 0.4), (2000, 500, 0.015, 0.7)]


def refusing(by_target: bool) -> World:
    world = World(CONSTANT).instances([20, 30, 31])
    world.balancer([100, 840, 1666], [0.019, 0.014, 0.014], [0, 0, 0])
    made = [0, 3360, 11660]
    world.cloudwatch("elb:shop", "HTTPCode_Backend_5XX", made if by_target else [0, 0, 0], "sum")
    world.cloudwatch("elb:shop", "HTTPCode_ELB_5XX", [0, 0, 0] if by_target else made, "sum")
    return world.fail(1, "http_5xx", 10080, 503).fail(2, "http_5xx", 35000, 503)


def test_503_of_the_application_with_constant_successes_is_a_rate_limit() -> None:
    assert causes(refusing(by_target=True).diagnosis())[0] == "rate_limit"
    assert "rate_limit" not in causes(refusing(by_target=False).diagnosis())


def failing(message: str = "expected 200, got 500") -> World:
    levels = [(100, 98, 0.02, 0.02), (500, 300, 0.015, 0.4), (1000, 590, 0.014, 0.41)]
    world = World(levels).instances(IDLE).balancer([100, 500, 1000], [0.019, 0.014, 0.013], [0, 0, 0])
    world.cloudwatch("elb:shop", "HTTPCode_Backend_5XX", [20, 2000, 4100], "sum")
    for level, count in enumerate((60, 6000, 12300)):
        world.fail(level, "http_5xx", count, 500, message)
    return world


def test_quick_errors_of_the_application() -> None:
    record = failing().diagnosis()
    assert causes(record) == ["application_errors"]
    assert record["findings"][0]["evidence"][1]["values"]["message"] == "expected 200, got 500"


def test_errors_that_the_balancer_made_are_not_the_applications() -> None:
    world = failing()
    for row in world.metrics:
        row["value"] = 0.0 if row["metric"] == "HTTPCode_Backend_5XX" else row["value"]
    assert "application_errors" not in causes(world.diagnosis())


def paused(at: list[int], length: float = 1.0) -> World:
    """One level of 60 s that breaks its target, with slow seconds at the given places."""
    slow = [length if second in at else 0.025 for second in range(60)]
    return World([(100, 100, 0.2, 0.0)], hold_s=60).seconds(0, slow).instances([30])


def test_regular_pauses() -> None:
    record = paused([5, 15, 25, 35, 45, 55]).diagnosis()
    assert causes(record) == ["periodic_pauses"]
    values = record["findings"][0]["evidence"][1]["values"]
    assert values["interval"]["value"] == pytest.approx(10)
    assert values["length"]["value"] == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("at", [[], [10], [5, 30], [3, 5, 30, 33, 58]], ids=str)
def test_irregular_or_few_slow_seconds_are_no_pauses(at: list[int]) -> None:
    assert causes(paused(at).diagnosis()) == []


def test_pauses_in_a_run_that_keeps_its_targets_are_no_finding() -> None:
    world = World([(100, 100, 0.02, 0.0)], hold_s=60).seconds(0, [1.0 if s % 10 == 5 else 0.025 for s in range(60)])
    assert world.diagnosis()["answer_key"] == "answer.no_limit"


FALLING = [(100, 100, 0.02, 0.0), (500, 490, 0.03, 0.0), (1000, 600, 0.7, 0.0), (2000, 450, 3.0, 0.0)]


def test_falling_throughput_is_said_but_explains_nothing() -> None:
    record = World(FALLING).diagnosis()
    assert causes(record) == ["retrograde_scaling"]
    values = record["findings"][0]["evidence"][0]["values"]
    assert (values["peak_load"]["unit"], values["last_load"]["unit"]) == ("users", "users")
    assert record["answer_key"] == "answer.cannot_tell"


def test_a_plateau_is_not_retrograde() -> None:
    assert causes(World([*FALLING[:3], (2000, 590, 2.4, 0.0)]).diagnosis()) == []


def test_a_healthy_run_has_no_application_finding() -> None:
    world = workers(behind(HEALTHY, [0.019, 0.02, 0.023]), [2, 10, 32])
    assert world.diagnosis()["findings"] == []
