"""From one load balancer name to all that is behind it: target groups, instances, Auto Scaling or ECS, limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from genkai.collect.aws import NotFound, PermissionMissing, call, client
from genkai.collect.cache_nodes import cache_nodes
from genkai.collect.catalogue import Resource
from genkai.collect.errors import CollectError
from genkai.collect.limits import type_limits
from genkai.plan import Aws

_KINDS = {"application": "alb", "network": "nlb", "gateway": "gateway"}
_PAGES = 50
_T = TypeVar("_T")


@dataclass
class Discovery:
    """What was found behind the load balancer, JSON-able by `record`; warnings name what could not be read."""

    region: str
    load_balancer: dict[str, Any] | None = None
    target_groups: list[dict[str, Any]] = field(default_factory=list)
    instances: list[dict[str, Any]] = field(default_factory=list)
    instance_types: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: list[dict[str, Any]] = field(default_factory=list)
    ecs_services: list[dict[str, Any]] = field(default_factory=list)
    services: dict[str, list[str]] = field(default_factory=dict)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """For raw/discovery.json."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Discovery:
        """Back from the record."""
        return cls(**record)

    def resources(self) -> list[Resource]:
        """What CloudWatch is asked about."""
        found: list[Resource] = []
        balancer = self.load_balancer
        if balancer and balancer["kind"] in ("alb", "nlb", "classic"):
            dimension = "LoadBalancerName" if balancer["kind"] == "classic" else "LoadBalancer"
            found.append(Resource(balancer["kind"], balancer["name"], {dimension: balancer["dimension"]}))
        for group in self.target_groups:
            both = {"LoadBalancer": balancer["dimension"], "TargetGroup": group["dimension"]}
            found.append(Resource(f"{balancer['kind']}_target_group", group["name"], both))
        for instance in self.instances:
            detailed = instance.get("detailed_monitoring", True)
            found.append(Resource("instance", instance["id"], {"InstanceId": instance["id"]}, 60 if detailed else 300))
        for group in self.groups:
            found.append(Resource("group", group["name"], {"AutoScalingGroupName": group["name"]}))
        for service in self.ecs_services:
            dimensions = {"ClusterName": service["cluster"], "ServiceName": service["service"]}
            found.append(Resource("ecs", f"{service['cluster']}/{service['service']}", dimensions))
        return found + [r for kind, names in self.services.items() for r in _named(kind, names)]


def _named(kind: str, names: list[str]) -> list[Resource]:
    dimension = {
        "dynamodb": "TableName", "rds": "DBInstanceIdentifier", "elasticache": "CacheClusterId", "sqs": "QueueName",
        "lambda": "FunctionName",
    }  # fmt: skip
    if kind == "ecs":
        pairs = [name.partition("/") for name in names]
        return [Resource("ecs", f"{c}/{s}", {"ClusterName": c, "ServiceName": s}) for c, _, s in pairs]
    return [Resource(kind, name, {dimension[kind]: name}) for name in names]


class Reader:
    """The calls of one discovery: each service's client once; a failure that is not ours to die of is a warning."""

    def __init__(self, aws: Aws, found: Discovery) -> None:
        self._aws, self._found = aws, found
        self._clients: dict[str, Any] = {}

    def call(self, service: str, action: str, resource: str = "", /, **given: Any) -> dict[str, Any]:
        """One call. Raises CollectError."""
        if service not in self._clients:
            self._clients[service] = client(self._aws, service)
        return call(self._clients[service], self._aws, service, action, resource, **given)

    def all(
        self, service: str, action: str, key: str, token: tuple[str, str], resource: str = "", **given: Any
    ) -> list:
        """All pages of a call; token: name in the request, name in the answer."""
        found: list = []
        for _ in range(_PAGES):
            page = self.call(service, action, resource, **given)
            found += page[key]
            if not page.get(token[1]):
                break
            given[token[0]] = page[token[1]]
        return found

    def attempt(self, read: Callable[[], _T], otherwise: _T) -> _T:
        """The result, or `otherwise` and a warning."""
        try:
            return read()
        except CollectError as error:
            if str(error) not in self._found.warnings:
                self._found.warnings.append(str(error))
            return otherwise


_MARKER, _NEXT, _next = ("Marker", "NextMarker"), ("NextToken", "NextToken"), ("nextToken", "nextToken")


def discover(aws: Aws) -> Discovery:
    """Everything behind the plan's load balancer, and the services that the plan names.

    What a missing permission hides is a warning; the rest goes on. Raises CollectError: the load balancer does not
    exist, or AWS cannot be reached at all.
    """
    found = Discovery(aws.region, services={kind: list(names) for kind, names in aws.services.items()})
    reader = Reader(aws, found)
    ids: list[str] = []
    if aws.load_balancer:
        ids = _load_balancer(reader, found, aws.load_balancer)
    _instances(reader, found, ids)
    if any(group["type"] == "ip" for group in found.target_groups):
        _ecs(reader, found)
    found.nodes = cache_nodes(reader, found.services.get("elasticache", []))
    return found


def _load_balancer(reader: Reader, found: Discovery, name: str) -> list[str]:
    """The load balancer and its target groups; returns ids of instances."""
    try:
        newer = reader.call("elbv2", "DescribeLoadBalancers", name, Names=[name])["LoadBalancers"]
    except NotFound:
        newer = []
    except PermissionMissing as error:
        found.warnings.append(str(error))
        newer = []
    if not newer:
        return _classic(reader, found, name)
    balancer = newer[0]
    found.load_balancer = {
        "name": name, "kind": _KINDS.get(balancer["Type"], balancer["Type"]), "arn": balancer["LoadBalancerArn"],
        "dimension": balancer["LoadBalancerArn"].split(":loadbalancer/")[1], "dns": balancer.get("DNSName", ""),
        "scheme": balancer.get("Scheme", ""), "zones": [z["ZoneName"] for z in balancer.get("AvailabilityZones", [])],
    }  # fmt: skip
    groups = reader.attempt(
        lambda: reader.all("elbv2", "DescribeTargetGroups", "TargetGroups", _MARKER, name,
                           LoadBalancerArn=balancer["LoadBalancerArn"]), [])  # fmt: skip
    ids: list[str] = []
    for group in groups:
        health = reader.attempt(
            lambda arn=group["TargetGroupArn"]: reader.call("elbv2", "DescribeTargetHealth", arn, TargetGroupArn=arn)[
                "TargetHealthDescriptions"
            ],
            [],
        )
        targets = [
            {"id": t["Target"]["Id"], "port": t["Target"].get("Port"), "state": t["TargetHealth"]["State"]}
            for t in health
        ]
        found.target_groups.append({
            "name": group["TargetGroupName"], "arn": group["TargetGroupArn"],
            "dimension": group["TargetGroupArn"].split(":")[-1], "type": group.get("TargetType", "instance"),
            "targets": targets,
        })  # fmt: skip
        if group.get("TargetType", "instance") == "instance":
            ids += [t["id"] for t in targets]
    return list(dict.fromkeys(ids))


def _classic(reader: Reader, found: Discovery, name: str) -> list[str]:
    try:
        answer = reader.call("elb", "DescribeLoadBalancers", name, LoadBalancerNames=[name])["LoadBalancerDescriptions"]
    except NotFound:
        answer = []
    except PermissionMissing as error:
        found.warnings.append(str(error))
        return []
    if not answer:
        raise CollectError(
            f"aws.load_balancer: expected a load balancer in {found.region}, got none named {name!r}; "
            "check the name and aws.region"
        )
    balancer = answer[0]
    found.load_balancer = {
        "name": name, "kind": "classic", "arn": "", "dimension": name, "dns": balancer.get("DNSName", ""),
        "scheme": balancer.get("Scheme", ""), "zones": list(balancer.get("AvailabilityZones", [])),
    }  # fmt: skip
    return [i["InstanceId"] for i in balancer.get("Instances", [])]


def _instances(reader: Reader, found: Discovery, ids: list[str]) -> None:
    if not ids:
        return
    by_filter = [{"Name": "instance-id", "Values": ids}]  # as a filter an unknown id is no error
    reservations = reader.attempt(
        lambda: reader.all("ec2", "DescribeInstances", "Reservations", _NEXT, ", ".join(ids[:3]), Filters=by_filter), []
    )
    known = {i["InstanceId"]: i for r in reservations for i in r["Instances"]}
    for identity in ids:
        instance = known.get(identity)
        entry: dict[str, Any] = {"id": identity}
        if instance:
            entry |= {
                "type": instance["InstanceType"], "state": instance["State"]["Name"],
                "zone": instance.get("Placement", {}).get("AvailabilityZone"),
                "address": instance.get("PrivateIpAddress"),
                "detailed_monitoring": instance.get("Monitoring", {}).get("State") == "enabled",
            }  # fmt: skip
        found.instances.append(entry)
    _scaling(reader, found, ids)
    _types(reader, found)


def _scaling(reader: Reader, found: Discovery, ids: list[str]) -> None:
    members: list[dict[str, Any]] = []
    for first in range(0, len(ids), 50):
        part = ids[first : first + 50]
        members += reader.attempt(
            lambda part=part: reader.call("autoscaling", "DescribeAutoScalingInstances", InstanceIds=part)[
                "AutoScalingInstances"
            ],
            [],
        )
    group_of = {m["InstanceId"]: m["AutoScalingGroupName"] for m in members}
    for instance in found.instances:
        instance["group"] = group_of.get(instance["id"])
    names = sorted(set(group_of.values()))
    if not names:
        return
    for group in reader.attempt(
        lambda: reader.all("autoscaling", "DescribeAutoScalingGroups", "AutoScalingGroups", _NEXT, ", ".join(names),
                           AutoScalingGroupNames=names), []):  # fmt: skip
        found.groups.append({
            "name": group["AutoScalingGroupName"], "min": group["MinSize"], "max": group["MaxSize"],
            "desired": group["DesiredCapacity"],
            "in_service": sum(i.get("LifecycleState") == "InService" for i in group.get("Instances", [])),
            "metrics_enabled": bool(group.get("EnabledMetrics")),
        })  # fmt: skip


def _types(reader: Reader, found: Discovery) -> None:
    names = sorted({i["type"] for i in found.instances if "type" in i})
    if names:
        for entry in reader.attempt(
            lambda: reader.all("ec2", "DescribeInstanceTypes", "InstanceTypes", _NEXT, ", ".join(names),
                               InstanceTypes=names), []):  # fmt: skip
            found.instance_types[entry["InstanceType"]] = type_limits(entry)
    burstable = [i["id"] for i in found.instances if found.instance_types.get(i.get("type"), {}).get("burstable")]
    if burstable:
        modes = reader.attempt(
            lambda: reader.call("ec2", "DescribeInstanceCreditSpecifications", InstanceIds=burstable)[
                "InstanceCreditSpecifications"
            ],
            [],
        )
        mode_of = {m["InstanceId"]: m.get("CpuCredits") for m in modes}
        for instance in found.instances:
            if instance["id"] in burstable:
                instance["credit_mode"] = mode_of.get(instance["id"])


def _ecs(reader: Reader, found: Discovery) -> None:
    """ECS services whose load balancers are among our target groups."""
    ours = {group["arn"] for group in found.target_groups}
    for cluster in reader.attempt(lambda: reader.all("ecs", "ListClusters", "clusterArns", _next), []):
        arns = reader.attempt(
            lambda c=cluster: reader.all("ecs", "ListServices", "serviceArns", _next, c, cluster=c), []
        )
        for first in range(0, len(arns), 10):
            part = arns[first : first + 10]
            described = reader.attempt(
                lambda c=cluster, p=part: reader.call("ecs", "DescribeServices", c, cluster=c, services=p)["services"],
                [],
            )
            for service in described:
                if ours & {b.get("targetGroupArn") for b in service.get("loadBalancers", [])}:
                    found.ecs_services.append({
                        "cluster": cluster.split("/")[-1], "service": service["serviceName"],
                        "desired": service.get("desiredCount"), "running": service.get("runningCount"),
                        "launch_type": service.get("launchType", ""),
                    })  # fmt: skip
