"""Middleware rules: a hit, and near misses that must not hit."""

import pytest

from diagnosis_tables import HEALTHY, STALL, World, causes
from genkai.analyse.diagnose import Facts

HITS = [
    ("dynamodb:orders", "WriteThrottleEvents", "sum", [0, 0, 90], "dynamodb_throttling"),
    ("dynamodb:orders", "ReadThrottleEvents", "sum", [0, 0, 90], "dynamodb_throttling"),
    ("dynamodb:orders", "WriteKeyRangeThroughputThrottleEvents", "sum", [0, 0, 90], "dynamodb_hot_key"),
    ("lambda:resize", "Throttles", "sum", [0, 1, 90], "lambda_throttling"),
    ("rds:shop", "CPUUtilization", "average", [20, 60, 97], "rds_cpu"),
    ("rds:shop", "DiskQueueDepth", "average", [1, 4, 90], "rds_io"),
    ("rds:shop", "BurstBalance", "minimum", [90, 40, 1], "rds_io"),
    ("elasticache:shop", "EngineCPUUtilization", "average", [20, 60, 97], "elasticache_cpu"),
    ("sqs:mail", "ApproximateAgeOfOldestMessage", "maximum", [1, 2, 200], "queue_backlog"),
    ("elasticache:shop", "Evictions", "sum", [0, 0, 500], "elasticache_evictions"),
]
MISSES = [
    ("dynamodb:orders", "WriteThrottleEvents", "sum", [90, 90, 90]),
    ("lambda:resize", "Throttles", "sum", [0, 0, 0]),
    ("rds:shop", "CPUUtilization", "average", [20, 60, 80]),
    ("rds:shop", "CPUUtilization", "average", [97, 97, 97]),
    ("rds:shop", "DiskQueueDepth", "average", [1, 4, 30]),
    ("rds:shop", "BurstBalance", "minimum", [90, 80, 60]),
    ("elasticache:shop", "EngineCPUUtilization", "average", [20, 60, 85]),
    ("sqs:mail", "ApproximateAgeOfOldestMessage", "maximum", [1, 2, 20]),
]


@pytest.mark.parametrize(("resource", "metric", "statistic", "values", "cause"), HITS)
def test_a_hit(resource, metric, statistic, values, cause) -> None:
    record = World(STALL).cloudwatch(resource, metric, values, statistic).diagnosis()
    assert causes(record) == [cause]
    assert record["findings"][0]["evidence"][1]["resource"] == resource
    healthy = World(HEALTHY).cloudwatch(resource, metric, values, statistic).diagnosis()
    assert healthy["findings"] == []


@pytest.mark.parametrize(("resource", "metric", "statistic", "values"), MISSES)
def test_a_near_miss(resource, metric, statistic, values) -> None:
    assert causes(World(STALL).cloudwatch(resource, metric, values, statistic).diagnosis()) == []


def test_connections_need_a_known_maximum() -> None:
    world = World(STALL).cloudwatch("rds:shop", "DatabaseConnections", [10, 50, 98], "maximum")
    assert causes(world.diagnosis()) == []
    assert causes(world.diagnosis(Facts(limits={"rds:shop rds.connections": 100}))) == ["rds_connections"]
    assert causes(world.diagnosis(Facts(limits={"rds:shop rds.connections": 500}))) == []


def test_a_full_database_is_not_called_a_full_instance() -> None:
    world = World(STALL).cloudwatch("rds:shop", "CPUUtilization", [20, 60, 97], "average").instances([10, 20, 20])
    assert causes(world.diagnosis()) == ["rds_cpu"]


SMALL, LARGE = {"elasticache:shop elasticache.node_cpu": 0.5}, {"elasticache:shop elasticache.node_cpu": 1.0}


@pytest.mark.parametrize(
    ("metric", "values", "limits", "hit"),
    [
        ("CPUUtilization", [10, 20, 46], SMALL, True),  # one of two cores is 50 %, and 90 % of it 45 %
        ("CPUUtilization", [10, 20, 44], SMALL, False),
        ("CPUUtilization", [46, 46, 47], SMALL, False),  # as full well below the limit
        ("CPUUtilization", [10, 20, 46], LARGE, False),
        ("CPUUtilization", [10, 20, 46], {}, False),
        ("CPUUtilization", [20, 60, 95], LARGE, True),
        ("CPUUtilization", [20, 60, 95], {}, True),
    ],
)
def test_an_engine_of_one_thread_is_full_at_its_share_of_a_small_node(metric, values, limits, hit) -> None:
    record = World(STALL).cloudwatch("elasticache:shop", metric, values, "maximum").diagnosis(Facts(limits=limits))
    assert causes(record) == (["elasticache_cpu"] if hit else [])
    (row,) = [r for r in record["ruled_out"] if r["resource"] == "elasticache:shop"]
    if hit:
        assert row["verdict"] == "limit"
        evidence = record["findings"][0]["evidence"][1]
        assert evidence["values"]["threshold"]["value"] == pytest.approx(0.45 if limits == SMALL else 0.9)
    elif limits == SMALL:
        assert row["verdict"] == "busy", "44 % of a node of two cores is most of one core: no idle cache"
    else:
        assert row["verdict"] == "idle"


def test_a_large_node_is_judged_by_its_engine_and_a_small_one_by_what_runs_there() -> None:
    world = World(STALL).cloudwatch("elasticache:shop", "EngineCPUUtilization", [20, 40, 60], "maximum")
    world.cloudwatch("elasticache:shop", "CPUUtilization", [10, 20, 92], "maximum")
    assert causes(world.diagnosis(Facts(limits=LARGE))) == []
    assert causes(world.diagnosis(Facts(limits=SMALL))) == ["elasticache_cpu"]
    rows = [r for r in world.diagnosis(Facts(limits=LARGE))["ruled_out"] if r["resource"] == "elasticache:shop"]
    assert [(r["used"]["value"], r["verdict"]) for r in rows] == [(0.6, "idle")]
