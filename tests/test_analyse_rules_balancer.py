"""Balancer rules: a hit, and near misses that must not hit."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnosis_tables import HEALTHY, STALL, World, causes, texts
from genkai.analyse.diagnose import Facts

IDLE = [20, 35, 36]


def stalled_at_the_balancer() -> World:
    return World(STALL).instances(IDLE, IDLE).balancer([100, 495, 510], [0.019, 0.021, 0.021], [0, 0, 470])


def test_a_queue_at_the_balancer_before_idle_instances_is_its_capacity() -> None:
    record = stalled_at_the_balancer().diagnosis()
    assert record["answer_key"] == "answer.limit_found"
    assert causes(record) == ["load_balancer_capacity"]
    finding = record["findings"][0]
    assert finding["strength"] == "strong"
    keys = [e["text_key"] for e in finding["evidence"]]
    assert keys == ["evidence.levels.throughput", "evidence.lb.queue", "evidence.lb.front_wait", "evidence.target.idle"]
    queue = finding["evidence"][1]
    assert (queue["source"], queue["resource"], queue["metric"]) == ("cloudwatch", "elb:shop", "SurgeQueueLength")
    assert queue["values"]["limit"]["value"] == 470
    assert queue["values"]["below"]["value"] == 0
    assert queue["values"]["limit"]["n"] == 3  # 30 s of 10 s intervals
    assert record["values"]["load"]["value"] == 1000
    assert record["values"]["knee_load"]["value"] == 500


def test_spillover_alone_with_idle_instances_names_the_balancer() -> None:
    levels = [*STALL[:2], (1000, 505, 0.02, 0.45)]
    world = World(levels).instances(IDLE).balancer([100, 495, 510], [0.019, 0.02, 0.02], [0, 0, 1024])
    world.cloudwatch("elb:shop", "SpilloverCount", [0, 0, 4100], "sum").fail(2, "http_5xx", 12000, 503)
    world.cloudwatch("elb:shop", "HTTPCode_ELB_5XX", [0, 0, 4100], "sum")  # the same requests, counted again
    record = world.diagnosis()
    assert causes(record, contributing=False)[0] == "load_balancer_capacity"
    spill = next(e for e in record["findings"][0]["evidence"] if e["text_key"] == "evidence.lb.spillover")
    assert spill["values"]["limit"]["value"] == pytest.approx(410)
    assert spill["values"]["below"]["value"] == 0
    row = next(r for r in record["ruled_out"] if r["group"] == "balancer")
    assert row["errors"]["value"] == pytest.approx(410), "an event that two counters tell is one event"


def test_an_alb_that_rejects_connections_is_full() -> None:
    world = World(STALL).instances(IDLE)
    world.cloudwatch("elb:app/shop/1", "RequestCount", [1000, 4950, 5100], "sum")
    world.cloudwatch("elb:app/shop/1", "TargetResponseTime", [0.019, 0.02, 0.02], "average")
    world.cloudwatch("elb:app/shop/1", "RejectedConnectionCount", [0, 0, 90], "sum")
    assert causes(world.diagnosis())[0] == "load_balancer_capacity"


def test_only_waiting_in_front_without_a_sign_of_its_own_is_moderate() -> None:
    world = World(STALL).instances(IDLE)
    world.cloudwatch("elb:app/shop/1", "TargetResponseTime", [0.019, 0.02, 0.02], "average")
    finding = world.diagnosis()["findings"][0]
    assert (finding["cause"], finding["strength"]) == ("load_balancer_capacity", "moderate")


def test_a_wait_that_the_balancers_own_queue_does_not_hold_is_not_its_own() -> None:
    world = World(STALL).instances(IDLE).balancer([100, 495, 510], [0.019, 0.021, 0.021], [0, 0, 2])
    record = world.diagnosis()
    assert (causes(record), record["answer_key"]) == ([], "answer.cannot_tell")


def test_a_wait_seen_by_a_generator_that_was_late_itself_is_not_the_balancers() -> None:
    world = World(STALL, limited=[2]).instances(IDLE)
    world.cloudwatch("elb:app/shop/1", "TargetResponseTime", [0.019, 0.02, 0.02], "average")
    assert causes(world.diagnosis()) == ["generator_limited"]


@pytest.mark.parametrize(
    ("latency", "cpu"),
    [([0.019, 0.021, 0.940], IDLE), ([0.022, 0.037, 0.434], IDLE), ([0.019, 0.021, 0.021], [20, 60, 97])],
    ids=["the wait is behind the balancer", "it overflows from behind", "the instances are full"],
)
def test_a_queue_that_the_instances_cause_is_not_the_balancers(latency, cpu) -> None:
    world = World(STALL).instances(cpu, cpu).balancer([100, 495, 510], latency, [0, 0, 470])
    assert "load_balancer_capacity" not in causes(world.diagnosis())


def test_a_queue_that_overflows_from_the_instances_is_said_to_be_theirs() -> None:
    world = World(STALL).instances(IDLE).balancer([100, 495, 510], [0.022, 0.037, 0.434], [0, 0, 200])
    row = next(r for r in world.diagnosis()["ruled_out"] if r["group"] == "balancer")
    assert (row["verdict"], row["why_key"]) == ("busy", "ruled_out.why.queue_behind")


def test_a_queue_in_a_healthy_run_is_no_finding() -> None:
    world = World(HEALTHY).instances(IDLE).balancer([100, 495, 985], [0.019, 0.021, 0.024], [0, 2, 40])
    record = world.diagnosis()
    assert record["answer_key"] == "answer.no_limit"
    assert record["findings"] == []


def test_a_queue_that_stood_before_the_limit_as_well_explains_nothing() -> None:
    world = World(STALL).instances(IDLE).balancer([100, 495, 510], [0.019, 0.021, 0.9], [400, 470, 470])
    assert causes(world.diagnosis()) == []


def test_on_a_full_shared_machine_the_machine_goes_first() -> None:
    world = stalled_at_the_balancer().metric("vmstat", "host:local", "cpu_idle_ratio", [0.7, 0.4, 0.01])
    record = world.diagnosis(Facts(hosts={"local": "generator"}, shared=True, load_balancer="shop"))
    assert causes(record) == ["shared_machine_cpu", "load_balancer_capacity"]
    assert record["findings"][1]["strength"] == "moderate"
    assert record["answer_key"] == "answer.generator"


def test_one_full_instance_among_idle_ones_is_uneven_load() -> None:
    world = World(STALL).instances([20, 90, 98], [5, 20, 22], [5, 20, 22])
    assert causes(world.diagnosis())[0] == "load_uneven"
    assert "target_cpu" not in causes(world.diagnosis())


def test_where_most_are_full_the_claim_and_its_evidence_still_hold() -> None:
    finding = World(STALL).instances([10, 25, 30], [20, 90, 97], [20, 90, 97]).diagnosis()["findings"][0]
    values = next(e["values"] for e in finding["evidence"] if e["text_key"] == "evidence.lb.uneven")
    told = (values["highest"]["value"], values["others"]["value"])
    assert (finding["cause"], told) == ("load_uneven", pytest.approx((0.97, 0.30)))
    for lang, said, least in (("en", "some instances are full while others", "least used"),
                              ("ja", "インスタンスがある一方で", "最も使われていない")):  # fmt: skip
        assert said in texts(lang)["cause.load_uneven.claim"]
        assert least in texts(lang)["evidence.lb.uneven"]


ZONES = {"ec2:i-1": "1a", "ec2:i-2": "1a", "ec2:i-3": "1a", "ec2:i-4": "1c", "ec2:i-5": "1c"}


def zone_told(instances: list, zones: dict) -> dict | None:
    """The zone's evidence of load_uneven; fails where the cause is another one."""
    record = World(STALL).instances(*([20, 80, value] for value in instances)).diagnosis(Facts(zones=zones))
    assert causes(record) == ["load_uneven"]
    evidence = record["findings"][0]["evidence"]
    return next((e["values"] for e in evidence if e["text_key"] == "evidence.lb.uneven_zone"), None)


def test_a_full_zone_beside_one_with_room_is_named() -> None:
    zone = zone_told([97, 97, 96, 35, 30], ZONES)
    told = {name: zone[name]["value"] for name in ("count", "lowest", "others")}
    assert (zone["zone"], told) == ("1a", pytest.approx({"count": 3, "lowest": 0.96, "others": 0.35}))


@pytest.mark.parametrize(
    "zones",
    [{**ZONES, "ec2:i-5": "1a"}, {**ZONES, "ec2:i-1": "1c"}, dict.fromkeys(ZONES, "1a"), {"ec2:i-1": "1a"}, {}],
    ids=["room in the full zone", "full in both", "one zone", "a zone not known", "none known"],
)
def test_a_spread_that_is_not_by_zone_names_none(zones: dict) -> None:
    assert zone_told([97, 97, 96, 35, 30], zones) is None


@given(st.lists(st.floats(1, 100), min_size=2, max_size=7))
def test_full_instances_are_explained_by_spread_or_by_size_never_by_both_or_neither(busy: list[float]) -> None:
    busy = [*busy[1:], 97.0]
    found = causes(World(STALL).instances(*([2, 5, value] for value in busy)).diagnosis(Facts()))
    assert len({"load_uneven", "target_cpu"} & set(found)) == 1


def test_equally_full_instances_are_not_uneven() -> None:
    assert "load_uneven" not in causes(World(STALL).instances([20, 90, 98], [20, 88, 97]).diagnosis())


def test_instances_that_fail_their_health_checks() -> None:
    world = World(STALL).instances([20, 40, 30], [20, 40, 30])
    world.cloudwatch("elb:shop", "UnHealthyHostCount", [0, 0, 1], "maximum")
    world.cloudwatch("elb:shop", "HealthyHostCount", [2, 2, 1], "minimum")
    assert causes(world.diagnosis())[0] == "target_unhealthy"


def test_full_instances_that_then_fail_their_checks_are_a_consequence() -> None:
    world = World(STALL).instances([20, 60, 99], [20, 60, 99])
    world.cloudwatch("elb:shop", "UnHealthyHostCount", [0, 0, 1], "maximum")
    assert causes(world.diagnosis()) == ["target_cpu", "target_unhealthy"]


def breaking_off(own: list, cpu=IDLE, status: int = 502) -> World:
    """5 % of the requests fail with this status; own: errors that the balancer counts as its own, per 10 s."""
    world = World([(100, 100, 0.02, 0.0), (500, 470, 0.021, 0.05)]).instances(cpu[:2], cpu[:2])
    world.balancer([100, 495], [0.019, 0.02], [0, 0])
    return world.cloudwatch("elb:shop", "HTTPCode_ELB_5XX", own, "sum").fail(1, "http_5xx", 740, status)


def test_502_of_the_balancers_own_before_idle_targets_are_connections_that_those_close() -> None:
    assert causes(breaking_off([0, 250]).diagnosis()) == ["targets_close_connections"]


@pytest.mark.parametrize(
    "world",
    [breaking_off([0, 250], status=503), breaking_off([0, 20]), breaking_off([250, 250]),
     breaking_off([0, 250], cpu=[20, 95]),
     breaking_off([0, 250]).cloudwatch("elb:shop", "UnHealthyHostCount", [0, 1], "maximum")],
    ids=["another status", "the targets' own", "as many below the limit", "full targets", "a target is down"],
)  # fmt: skip
def test_other_502_are_not(world: World) -> None:
    assert "targets_close_connections" not in causes(world.diagnosis())


def test_an_nlb_without_ports_and_connections_without_keep_alive() -> None:
    world = World(STALL).instances(IDLE)
    world.cloudwatch("elb:net/shop/1", "PortAllocationErrorCount", [0, 0, 30], "sum")
    world.cloudwatch("elb:net/shop/1", "NewConnectionCount", [1000, 4950, 5100], "sum")
    assert causes(world.diagnosis()) == ["nlb_ports", "no_keep_alive"]


def test_no_keep_alive_alone_does_not_explain_a_limit() -> None:
    world = World(STALL).instances(IDLE).cloudwatch("elb:shop", "NewConnectionCount", [1000, 4950, 5100], "sum")
    record = world.diagnosis()
    assert causes(record) == ["no_keep_alive"]
    assert record["answer_key"] == "answer.cannot_tell"


def test_no_keep_alive_is_seen_on_the_generators_machine_too() -> None:
    local = Facts(hosts={"local": "generator"}, limits_s={"p95_s": 0.2})
    world = World(STALL).on("local", "tcp_active_opens_per_s", [100, 490, 505])
    assert causes(world.diagnosis(local)) == ["no_keep_alive"]
    assert causes(World(STALL).on("local", "tcp_active_opens_per_s", [2, 9, 20]).diagnosis(local)) == []
    exhausted = World([*STALL[:2], (1000, 3, 0.02, 0.99)]).on("local", "tcp_active_opens_per_s", [100, 490, 12])
    assert "no_keep_alive" in causes(exhausted.diagnosis(local)), "what could not be opened any more says nothing"
    others = World(STALL).on("local", "tcp_active_opens_per_s", [900, 2490, 2505])
    assert causes(others.diagnosis(local)) == [], "a machine that opens more connections than it sends requests"


def test_instances_added_during_the_run_are_said() -> None:
    world = World(STALL).instances(IDLE).cloudwatch("elb:shop", "HealthyHostCount", [2, 2, 3], "minimum")
    assert causes(world.diagnosis()) == ["instances_changed"]


def test_an_interval_that_reaches_into_the_next_ramp_is_left_out_where_there_is_another() -> None:
    world = World(STALL).instances(IDLE).balancer([100, 495, 510], [0.019, 0.021, 0.021], [0, 0, 470])
    end_of_second = world.hold(1)[1]
    world.sample(
        end_of_second - pd.Timedelta(seconds=6), "cloudwatch", "elb:shop", "SurgeQueueLength", 460, "maximum", 10
    )
    record = world.diagnosis()
    assert causes(record) == ["load_balancer_capacity"]
    assert record["findings"][0]["evidence"][1]["values"]["below"]["value"] == 0
