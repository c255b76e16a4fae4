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
