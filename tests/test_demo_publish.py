"""The publisher end to end: counters of real processes, put and read back with real boto3."""

import http.client
import time
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from cloudwatch_server import CloudWatchServer
from genkai.demo.counters import Durations
from genkai.demo.local_aws import REGION, environment
from genkai.demo.publish import Publisher, PublisherSettings, balancer_data, distribution, gauge
from genkai.demo.settings import AppSettings
from genkai.demo.world import DemoWorld

REQUESTS = 120


@given(st.lists(st.floats(1e-4, 60), max_size=400))
def test_a_distribution_is_published_whole_within_the_limits_of_a_datum(durations):
    before, after = Durations(), Durations()
    for seconds in durations:
        after.record(seconds)
    data = list(distribution("Latency", before.snapshot(), after.snapshot()))
    assert sum(sum(datum["Counts"]) for datum in data) == len(durations)
    assert all(1 <= len(datum["Values"]) == len(datum["Counts"]) <= 150 for datum in data)


def test_a_gauge_is_a_statistic_set():
    datum = gauge("SurgeQueueLength", {"now": 1, "min": 0, "max": 9, "mean": 2.5}, period_s=10.02)
    assert datum["StatisticValues"] == {"SampleCount": 10, "Sum": 25, "Minimum": 0, "Maximum": 9}


def client_of(world):
    config = Config(proxies={})
    return boto3.client("cloudwatch", REGION, endpoint_url=world.aws_endpoints["cloudwatch"], config=config,
                        aws_access_key_id="demo", aws_secret_access_key="demo")  # fmt: skip


def value(client, namespace, dimensions, metric, stat):
    """One statistic over the last and the next minutes, as one bucket; None when there is no point."""
    pairs = [{"Name": name, "Value": content} for name, content in dimensions.items()]
    name = {"Namespace": namespace, "MetricName": metric, "Dimensions": pairs}
    answer = client.get_metric_data(
        MetricDataQueries=[{"Id": "q", "MetricStat": {"Metric": name, "Period": 3600, "Stat": stat}}],
        StartTime=datetime.now(UTC) - timedelta(minutes=10),
        EndTime=datetime.now(UTC) + timedelta(minutes=5),
    )
    return (answer["MetricDataResults"][0]["Values"] or [None])[0]


@pytest.fixture(scope="module")
def published():
    """A world after some requests, once all of them are published; (client, world)."""
    app = AppSettings(io_ms=15.0, io_spread=0.0, cpu_ms=1.0)
    with DemoWorld(app=app, publish_period_s=1, capacity_rps=0) as world:
        connection = http.client.HTTPConnection(world.base_url.removeprefix("http://"), timeout=20)
        for n in range(REQUESTS):
            connection.request("GET", "/items/1" if n % 4 else "/nothing")
            connection.getresponse().read()
        connection.close()
        client = client_of(world)
        deadline = time.monotonic() + 60
        while elb(client, world, "RequestCount", "Sum") != REQUESTS:
            assert time.monotonic() < deadline, world.services["publisher"].error_text()
            time.sleep(0.1)
        yield client, world


def elb(client, world, metric, stat):
    return value(client, "AWS/ELB", {"LoadBalancerName": world.load_balancer_name}, metric, stat)


def test_requests_and_classes_are_counted_exactly(published):
    assert elb(*published, "HTTPCode_Backend_2XX", "Sum") == REQUESTS * 3 / 4
    assert elb(*published, "HTTPCode_Backend_4XX", "Sum") == REQUESTS / 4
    assert elb(*published, "EstimatedALBNewConnectionCount", "Sum") == 1
    assert elb(*published, "HealthyHostCount", "Minimum") == 2


def test_latency_has_percentiles_and_they_are_the_time_behind_the_balancer(published):
    client, world = published
    assert elb(client, world, "Latency", "SampleCount") == REQUESTS
    assert elb(client, world, "Latency", "p90") >= 0.0147  # the wait of 15 ms, in a bucket of 2 %
    assert elb(client, world, "Latency", "p10") < 0.0147  # those of /nothing do not wait
    assert elb(client, world, "Latency", "Maximum") >= elb(client, world, "Latency", "p90")


def test_what_did_not_happen_is_not_reported(published):
    for metric in ("SpilloverCount", "HTTPCode_ELB_5XX", "HTTPCode_Backend_5XX", "BackendConnectionErrors"):
        assert elb(*published, metric, "Sum") is None
    assert elb(*published, "SurgeQueueLength", "Maximum") == 0


def test_each_instance_reports_its_own_cpu_and_traffic(published):
    client, world = published
    for id_ in world.instance_ids:
        own = {"InstanceId": id_}
        assert 0 < value(client, "AWS/EC2", own, "CPUUtilization", "Maximum") <= 110
        assert value(client, "AWS/EC2", own, "NetworkOut", "Sum") > REQUESTS / 2 * 100
    names = {m["MetricName"] for m in client.list_metrics(Namespace="AWS/EC2")["Metrics"]}
    assert names == {"CPUUtilization", "NetworkIn", "NetworkOut"}


def test_a_queue_that_is_over_is_not_reported_again():
    """Its maximum belongs to the interval in which it stood, not to the ones after the balancer was warmed."""
    with DemoWorld(app=AppSettings(io_ms=1.0), publish_period_s=1, capacity_rps=0.2) as world:
        client = client_of(world)
        waiting = [http.client.HTTPConnection(world.base_url.removeprefix("http://"), timeout=20) for _ in range(6)]
        for connection in waiting:
            connection.request("GET", "/items/1")
        deadline = time.monotonic() + 60
        while world.stats()["queue"]["now"] < 5:
            assert time.monotonic() < deadline
        world.set_capacity(0)
        for connection in waiting:
            connection.getresponse().read()
            connection.close()

        def maxima():
            name = {"Name": "LoadBalancerName", "Value": world.load_balancer_name}
            metric = {"Namespace": "AWS/ELB", "MetricName": "SurgeQueueLength", "Dimensions": [name]}
            answer = client.get_metric_data(
                MetricDataQueries=[{"Id": "q", "MetricStat": {"Metric": metric, "Period": 1, "Stat": "Maximum"}}],
                StartTime=datetime.now(UTC) - timedelta(minutes=5),
                EndTime=datetime.now(UTC) + timedelta(minutes=1),
                ScanBy="TimestampAscending",
            )
            return answer["MetricDataResults"][0]["Values"]

        deadline = time.monotonic() + 60
        while not any(maxima()) or maxima()[-1] > 0:
            assert time.monotonic() < deadline, maxima()
            time.sleep(0.1)


def test_an_interval_that_failed_half_way_is_counted_once(monkeypatch):
    """The balancer's data were taken, those of the instance refused: the next interval brings the instance's only."""
    for name, content in environment({}).items():
        monkeypatch.setenv(name, content)
    with DemoWorld(instances=1, aws=False, capacity_rps=0) as world, CloudWatchServer() as cloudwatch:
        publisher = Publisher(PublisherSettings(balancer=world.control_url, cloudwatch=cloudwatch.url))
        publisher.balancer, publisher.instances = publisher.read()
        connection = http.client.HTTPConnection(world.base_url.removeprefix("http://"), timeout=20)
        for _ in range(3):
            connection.request("GET", "/items/1")
            connection.getresponse().read()
        connection.close()
        cloudwatch.faults(access_denied=1, spread=2)
        with pytest.raises(ClientError, match="not authorized"):
            publisher.publish(time.time())
        cloudwatch.faults()
        publisher.publish(time.time())
        elb = {"LoadBalancerName": publisher.settings.load_balancer_name}
        assert value(publisher.client, "AWS/ELB", elb, "RequestCount", "Sum") == 3
        (instance,) = world.instance_ids
        assert value(publisher.client, "AWS/EC2", {"InstanceId": instance}, "NetworkOut", "Sum") > 300


def test_spill_over_is_reported_when_it_happens(published):
    _, world = published
    before = world.stats()
    after = before | {
        "spilled": before["spilled"] + 3,
        "own_errors": {"503": 3},
        "monotonic_s": before["monotonic_s"] + 1,
    }
    data = {datum["MetricName"]: datum.get("Value") for datum in balancer_data(before, after)}
    assert (data["SpilloverCount"], data["HTTPCode_ELB_5XX"]) == (3, 3)
    assert "Latency" not in data
