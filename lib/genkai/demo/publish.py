"""Reads the counters of the balancer and the instances each period and publishes them with boto3's put_metric_data.

The period is finer (10 s) than the 60 s of the real AWS/ELB and AWS/EC2, so that a short demo has points. Only what is
measured is published: no packets, no disk, no CPU credits. As with AWS, error counters and Latency are absent from
intervals in which there was nothing to count.
"""

import json
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from genkai.demo.counters import interval_counts
from genkai.demo.local_aws import REGION
from genkai.demo.serve import announce, hold_lease
from genkai.demo.settings import Settings, option

Datum = dict[str, Any]
VALUES_PER_DATUM, DATA_PER_CALL = 150, 1000  # limits of PutMetricData


@dataclass(frozen=True)
class PublisherSettings(Settings):
    """Whose counters go where, how often."""

    balancer: str = option("", "URL of the balancer's control port")
    cloudwatch: str = option("", "endpoint URL of CloudWatch")
    load_balancer_name: str = option("genkai-demo", "dimension LoadBalancerName")
    period_s: int = option(10, "seconds between two publications; 1, 5, 10, 20, 30 or 60")


def read_json(url: str, timeout_s: float = 2.0) -> dict[str, Any]:
    """GET a JSON document from one of the demo's own ports."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=timeout_s) as answer:
        return json.load(answer)


def total(name: str, before: float, after: float, unit: str = "Count", always: bool = True) -> Iterator[Datum]:
    """A counter's growth; nothing when it did not grow and AWS would not report that."""
    if always or after > before:
        yield {"MetricName": name, "Value": float(after - before), "Unit": unit}


def gauge(name: str, level: dict[str, float], period_s: float) -> Datum:
    """A level's time-weighted mean and extremes as a statistic set of one sample per second."""
    count = max(1.0, float(round(period_s)))
    statistics = {"SampleCount": count, "Sum": level["mean"] * count, "Minimum": level["min"], "Maximum": level["max"]}
    return {"MetricName": name, "StatisticValues": {k: float(v) for k, v in statistics.items()}, "Unit": "Count"}


def distribution(name: str, before: dict, after: dict) -> Iterator[Datum]:
    """Durations between two snapshots as Values and Counts, so that percentiles work."""
    pairs = list(interval_counts(before, after).items())
    for first in range(0, len(pairs), VALUES_PER_DATUM):
        values, counts = zip(*pairs[first : first + VALUES_PER_DATUM], strict=True)
        yield {
            "MetricName": name,
            "Values": list(values),
            "Counts": [float(count) for count in counts],
            "Unit": "Seconds",
        }


def classes(statuses: dict[str, int], digit: str) -> int:
    """Responses whose status begins with this digit."""
    return sum(count for status, count in statuses.items() if status.startswith(digit))


def balancer_data(before: dict, after: dict) -> Iterator[Datum]:
    """The interval in the terms of AWS/ELB (classic load balancer)."""
    yield from total("RequestCount", before["routed"], after["routed"])
    yield gauge("SurgeQueueLength", after["queue"], after["monotonic_s"] - before["monotonic_s"])
    yield from total("SpilloverCount", before["spilled"], after["spilled"], always=False)
    for digit in "2345":
        old, new = (classes(side["backend_statuses"], digit) for side in (before, after))
        yield from total(f"HTTPCode_Backend_{digit}XX", old, new, always=False)
    for digit in "45":
        old, new = (classes(side["own_errors"], digit) for side in (before, after))
        yield from total(f"HTTPCode_ELB_{digit}XX", old, new, always=False)
    errors = "backend_connection_errors"
    yield from total("BackendConnectionErrors", before[errors], after[errors], always=False)
    yield from distribution("Latency", before["latency"], after["latency"])
    yield {"MetricName": "HealthyHostCount", "Value": float(after["healthy"]), "Unit": "Count"}
    yield {"MetricName": "UnHealthyHostCount", "Value": float(after["unhealthy"]), "Unit": "Count"}
    open_now = float(after["connections_open"])
    yield {"MetricName": "EstimatedALBActiveConnectionCount", "Value": open_now, "Unit": "Count"}
    yield from total("EstimatedALBNewConnectionCount", before["connections_new"], after["connections_new"])
    old, new = (side["received_bytes"] + side["sent_bytes"] for side in (before, after))
    yield from total("EstimatedProcessedBytes", old, new, unit="Bytes")


def instance_data(before: dict, after: dict) -> Iterator[Datum]:
    """The interval in the terms of AWS/EC2; CPUUtilization is that of the process, in % of one core."""
    span_s = after["monotonic_s"] - before["monotonic_s"]
    busy = 100 * (after["cpu_s"] - before["cpu_s"]) / span_s
    yield {"MetricName": "CPUUtilization", "Value": busy, "Unit": "Percent"}
    yield from total("NetworkIn", before["received_bytes"], after["received_bytes"], unit="Bytes")
    yield from total("NetworkOut", before["sent_bytes"], after["sent_bytes"], unit="Bytes")


class Publisher:
    """Keeps the last snapshots and publishes the differences."""

    def __init__(self, settings: PublisherSettings) -> None:
        import boto3
        from botocore.config import Config

        self.settings = settings
        # A call that is answered late was heard: sent again, it would count twice.
        once = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=60)
        self.client = boto3.client("cloudwatch", endpoint_url=settings.cloudwatch, region_name=REGION, config=once)
        self.balancer: dict | None = None
        self.instances: dict[str, dict] = {}

    def read(self) -> tuple[dict, dict[str, dict]]:
        """Snapshots of the balancer and of every instance that answers."""
        balancer = read_json(f"{self.settings.balancer}/__stats?reset")
        instances = {}
        for instance in balancer["instances"]:
            try:
                url = f"http://{instance['host']}:{instance['port']}/__stats?reset"
                instances[instance["instance_id"]] = read_json(url)
            except OSError:
                continue  # a dead or stalled instance has no data, as on AWS
        return balancer, instances

    def publish(self, start: float) -> None:
        """Publish what happened since it was last published, stamped with the interval's start (epoch seconds)."""
        balancer, instances = self.read()
        name = self.settings.load_balancer_name
        if self.balancer is not None:
            self._put("AWS/ELB", {"LoadBalancerName": name}, balancer_data(self.balancer, balancer), start)
        self.balancer = balancer
        self.instances = {id_: known for id_, known in self.instances.items() if id_ in instances}
        for instance_id, after in instances.items():
            before = self.instances.get(instance_id)
            if (
                before is not None
                and after["monotonic_s"] > before["monotonic_s"]
                and after["cpu_s"] >= before["cpu_s"]
            ):
                self._put("AWS/EC2", {"InstanceId": instance_id}, instance_data(before, after), start)
            self.instances[instance_id] = after

    def _put(self, namespace: str, dimensions: dict[str, str], data: Iterator[Datum], start: float) -> None:
        common = {
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            "Timestamp": datetime.fromtimestamp(start, UTC),
            "StorageResolution": 1 if self.settings.period_s < 60 else 60,
        }
        stamped = [datum | common for datum in data]
        for first in range(0, len(stamped), DATA_PER_CALL):
            self.client.put_metric_data(Namespace=namespace, MetricData=stamped[first : first + DATA_PER_CALL])

    def run(self) -> None:
        """Publish at every multiple of the period of the clock, for ever; what fails is said and tried again."""
        period = self.settings.period_s
        while True:
            start = time.time() // period * period
            time.sleep(max(0.0, start + period - time.time()))
            try:
                self.publish(start)
            except Exception as error:  # one lost interval must not end the metrics of the whole demo
                print(f"publish: interval from {start:.0f}: {error}", file=sys.stderr, flush=True)


def serve(settings: PublisherSettings) -> None:
    """Publish until the parent ends."""
    hold_lease()
    publisher = Publisher(settings)
    publisher.balancer, publisher.instances = publisher.read()
    announce(period_s=settings.period_s)
    publisher.run()


if __name__ == "__main__":
    serve(PublisherSettings.parse(description=__doc__))
