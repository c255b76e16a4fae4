"""The cache nodes that a plan names: type, engine and vCPUs, for Redis and Valkey run commands on one of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genkai.collect.discovery import Reader

ONE_THREAD = ("redis", "valkey")
# From so many vCPUs on AWS says to watch EngineCPUUtilization, the engine's own core; on smaller nodes CPUUtilization
# against 90 % ÷ vCPUs, for what else runs there counts, too. Source: ElastiCache user guide, which metrics to monitor.
MANY_VCPUS = 4


def cache_nodes(reader: Reader, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """{"elasticache:NAME": {type, engine, vcpus}}; vcpus None where no EC2 type of that name tells it."""
    nodes: dict[str, dict[str, Any]] = {}
    for name in names:
        clusters = reader.attempt(
            lambda name=name: reader.call("elasticache", "DescribeCacheClusters", name, CacheClusterId=name)[
                "CacheClusters"
            ],
            [],
        )
        for cluster in clusters:
            nodes[f"elasticache:{name}"] = {
                "type": cluster["CacheNodeType"], "engine": cluster["Engine"], "vcpus": None
            }  # fmt: skip
    types = sorted({node["type"].removeprefix("cache.") for node in nodes.values()})
    if types:
        known = {
            entry["InstanceType"]: entry["VCpuInfo"]["DefaultVCpus"]
            for entry in reader.attempt(
                lambda: reader.all(
                    "ec2", "DescribeInstanceTypes", "InstanceTypes", ("NextToken", "NextToken"), ", ".join(types),
                    Filters=[{"Name": "instance-type", "Values": types}],  # as a filter an unknown type is no error
                ), [])
        }  # fmt: skip
        for node in nodes.values():
            node["vcpus"] = known.get(node["type"].removeprefix("cache."))
    return nodes


def core_share(node: Mapping[str, Any] | None) -> float:
    """Share of a node's CPU that its engine can use: one core of few for an engine of one thread, else all of it.

    >>> core_share({"engine": "redis", "vcpus": 2}), core_share({"engine": "memcached", "vcpus": 2}), core_share(None)
    (0.5, 1.0, 1.0)
    """
    if not node or node["engine"] not in ONE_THREAD or not node["vcpus"] or node["vcpus"] >= MANY_VCPUS:
        return 1.0
    return 1.0 / node["vcpus"]
