"""Another size of the target for the scale characteristic: the only calls of genkai that change anything in AWS.

A sizer asks for a size and says what is still missing until it serves. AWS accepts a size at once and takes minutes to
have it behind the load balancer; a stand-in may even accept what AWS would refuse, so limits are checked here.
"""

from __future__ import annotations

import shlex
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from genkai import hosts
from genkai.collect.aws import call, client
from genkai.collect.errors import CollectError
from genkai.plan import Aws, Plan

POLL_S, SLOWEST_POLL_S = 0.5, 5.0  # AWS throttles who asks more often
UNUSED = "Target.NotInUse"  # a target group that no listener forwards to says nothing about health


class Sizer(Protocol):
    """One way of giving the target another size."""

    name: str

    def size(self) -> int | None:
        """The size that is wanted now; None where nobody can tell (a command). Raises CollectError."""

    def check(self, sizes: Iterable[int]) -> None:
        """Raise CollectError unless each size is allowed."""

    def resize(self, size: int) -> None:
        """Ask for a size. Raises CollectError."""

    def missing(self, size: int) -> str:
        """What keeps the size from serving, or "". Raises CollectError."""


class _Asking:
    """Boto3 clients, made once each."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self._made: dict[str, Any] = {}

    def __call__(self, service: str, action: str, resource: str, /, **given: Any) -> dict[str, Any]:
        if service not in self._made:
            self._made[service] = client(self.aws, service)
        return call(self._made[service], self.aws, service, action, resource, **given)

    def unhealthy(self, arn: str, ids: set[str] | None = None) -> tuple[int, list[str]]:
        """(healthy targets of a target group, what the others are); only of these ids, where given."""
        found = self("elbv2", "DescribeTargetHealth", arn, TargetGroupArn=arn)["TargetHealthDescriptions"]
        healthy, others = 0, []
        for one in found:
            state, id_ = one["TargetHealth"], one["Target"]["Id"]
            if ids is not None and id_ not in ids:
                continue
            if state["State"] == "healthy" or state.get("Reason") == UNUSED:
                healthy += 1
            elif state["State"] != "draining":  # it finishes what it has and gets nothing new
                others.append(f"{id_} {state['State']} ({state.get('Description') or state.get('Reason') or '–'})")
        return healthy, others


class Group:
    """An Auto Scaling group: its desired capacity, and the health of its instances behind every load balancer."""

    def __init__(self, aws: Aws, group: str) -> None:
        self.ask, self.group = _Asking(aws), group
        self.name = f"Auto Scaling group {group} in {aws.region}"

    def _found(self) -> dict[str, Any]:
        answer = self.ask("autoscaling", "DescribeAutoScalingGroups", self.group, AutoScalingGroupNames=[self.group])
        if not answer["AutoScalingGroups"]:
            raise CollectError(f"aws autoscaling: expected a group in {self.ask.aws.region}, got none named "
                               f"{self.group!r}; correct scaling.group")  # fmt: skip
        return answer["AutoScalingGroups"][0]

    def size(self) -> int:
        """The desired capacity."""
        return int(self._found()["DesiredCapacity"])

    def check(self, sizes: Iterable[int]) -> None:
        """Every size lies within MinSize to MaxSize."""
        found = self._found()
        for size in sizes:
            if not found["MinSize"] <= size <= found["MaxSize"]:
                raise CollectError(
                    f"aws autoscaling {self.group}: expected {found['MinSize']} to {found['MaxSize']} instances, got "
                    f"{size}; change the group's limits first if that is meant"
                )

    def resize(self, size: int) -> None:
        """Set the desired capacity, never beyond the group's limits."""
        self.check([size])
        self.ask("autoscaling", "SetDesiredCapacity", self.group, AutoScalingGroupName=self.group, DesiredCapacity=size)

    def missing(self, size: int) -> str:
        """Instances in service as the group says, then as each load balancer says."""
        found = self._found()
        serving = {i["InstanceId"] for i in found["Instances"]
                   if i["LifecycleState"] == "InService" and i["HealthStatus"] == "Healthy"}  # fmt: skip
        if len(serving) != size:
            return f"{len(serving)} of {size} instances in service"
        for arn in found.get("TargetGroupARNs") or []:
            healthy, others = self.ask.unhealthy(arn, serving)
            if healthy != size:
                return _told(healthy, size, "targets healthy", others)
        for name in found.get("LoadBalancerNames") or []:
            states = self.ask("elb", "DescribeInstanceHealth", name, LoadBalancerName=name)["InstanceStates"]
            own = [s for s in states if s["InstanceId"] in serving]
            others = [f"{s['InstanceId']} {s['State']} ({s.get('Description', '–')})" for s in own
                      if s["State"] != "InService"]  # fmt: skip
            if len(own) - len(others) != size:
                return _told(len(own) - len(others), size, f"instances healthy behind {name}", others)
        return ""


class Service:
    """An ECS service: its desired count, and whether its only deployment is steady and healthy."""

    def __init__(self, aws: Aws, cluster: str, service: str) -> None:
        self.ask, self.cluster, self.service = _Asking(aws), cluster, service
        self.path = f"{cluster}/{service}"
        self.name = f"ECS service {self.path} in {aws.region}"

    def _found(self) -> dict[str, Any]:
        answer = self.ask("ecs", "DescribeServices", self.path, cluster=self.cluster, services=[self.service])
        if not answer["services"]:
            raise CollectError(f"aws ecs: expected a service in {self.ask.aws.region}, got none named {self.path}; "
                               "correct scaling.service")  # fmt: skip
        return answer["services"][0]

    def size(self) -> int:
        """The desired count."""
        return int(self._found()["desiredCount"])

    def check(self, sizes: Iterable[int]) -> None:
        """At least one task; ECS has no upper limit of its own (its quota is told when it is asked)."""
        for size in sizes:
            if size < 1:
                raise CollectError(f"aws ecs {self.path}: expected at least 1 task, got {size}")

    def resize(self, size: int) -> None:
        """Set the desired count."""
        self.check([size])
        self.ask("ecs", "UpdateService", self.path, cluster=self.cluster, service=self.service, desiredCount=size)

    def missing(self, size: int) -> str:
        """As AWS's own waiter "services stable" decides, then the health of the targets."""
        found = self._found()
        if len(found.get("deployments") or []) > 1:
            return f"{len(found['deployments'])} deployments under way"
        if found["runningCount"] != size:
            return f"{found['runningCount']} of {size} tasks running ({found['pendingCount']} pending)"
        for one in found.get("loadBalancers") or []:
            healthy, others = self.ask.unhealthy(one["targetGroupArn"]) if one.get("targetGroupArn") else (size, [])
            if healthy != size:
                return _told(healthy, size, "targets healthy", others)
        return ""


class Command:
    """The user's own command; that it returned is all that is known."""

    def __init__(self, command: str, folder: Path, limit_s: float) -> None:
        self.command, self.folder, self.limit_s = command, folder, limit_s
        self.name = f"command {command!r}"

    def size(self) -> None:
        """Nobody can tell."""

    def check(self, sizes: Iterable[int]) -> None:
        """The command itself knows what it can do."""

    def resize(self, size: int) -> None:
        """Run the command in the plan's folder; it ends with us and after the time limit."""
        script = f"cd {shlex.quote(str(self.folder.resolve()))} && {self.command.replace('{size}', str(size))}"
        try:
            hosts.run(None, script, self.limit_s)
        except hosts.HostError as error:
            raise CollectError(
                f"scaling.command: {self.command.replace('{size}', str(size))}: {error}; try the same by hand"
            ) from error

    def missing(self, size: int) -> str:
        """Nothing, once the command has returned."""
        return ""


def _told(healthy: int, size: int, what: str, others: list[str]) -> str:
    return f"{healthy} of {size} {what}" + (f": {'; '.join(others[:4])}" if others else "")


def sizer_of(plan: Plan) -> Sizer:
    """The way of resizing that the plan names. Raises CollectError when it names none."""
    scaling = plan.scaling
    if scaling is None or (plan.aws is None and not scaling.command):
        raise CollectError(f"plan {plan.name}: expected a scaling part (and aws, for a group or service), got none")
    if scaling.command:
        return Command(scaling.command, plan.base_dir, scaling.wait_s)
    if scaling.group:
        return Group(plan.aws, scaling.group)
    return Service(plan.aws, *scaling.service.split("/"))


def await_serving(sizer: Sizer, size: int, wait_s: float, ready_url: str | None = None,
                  tell: Callable[[str], None] = lambda line: None) -> None:  # fmt: skip
    """Return when the size serves. Raises CollectError after wait_s, with what was missing to the end."""
    until, pause, before = time.monotonic() + wait_s, POLL_S, None
    while True:
        missing = sizer.missing(size) or _not_ready(ready_url, size)
        if not missing:
            return
        if missing != before:
            tell(f"      waiting: {missing}")
        if time.monotonic() >= until:
            raise CollectError(
                f"{sizer.name}: expected size {size} to serve within {wait_s:g} s, got {missing}; "
                "look at its health checks, or raise scaling.wait_s"
            )
        time.sleep(min(pause, max(until - time.monotonic(), 0.01)))
        pause, before = min(1.5 * pause, SLOWEST_POLL_S), missing


def _not_ready(url: str | None, size: int) -> str:
    if url is None:
        return ""
    asked = url.replace("{size}", str(size))
    try:
        with urllib.request.urlopen(asked, timeout=5) as answer:
            return "" if answer.status == 200 else f"{asked} answered {answer.status}"
    except urllib.error.HTTPError as error:
        return f"{asked} answered {error.code}"
    except OSError as error:
        return f"{asked} did not answer ({error})"
