"""Another size of the target for the scale characteristic: the only calls of genkai that change anything in AWS."""

from __future__ import annotations

from genkai.collect.aws import call, client
from genkai.collect.errors import CollectError
from genkai.plan import Aws


def scale_group(aws: Aws, group: str, desired: int) -> int:
    """Set the desired capacity of an Auto Scaling group within its own limits; returns what it was.

    Raises CollectError: no such group, outside MinSize to MaxSize, permission missing.
    """
    made = client(aws, "autoscaling")
    answer = call(made, aws, "autoscaling", "DescribeAutoScalingGroups", group, AutoScalingGroupNames=[group])
    if not answer["AutoScalingGroups"]:
        raise CollectError(f"aws autoscaling: expected a group in {aws.region}, got none named {group!r}")
    found = answer["AutoScalingGroups"][0]
    if not found["MinSize"] <= desired <= found["MaxSize"]:
        raise CollectError(
            f"aws autoscaling {group}: expected {found['MinSize']} to {found['MaxSize']} instances, got {desired}; "
            "change the group's limits first if that is meant"
        )
    call(made, aws, "autoscaling", "SetDesiredCapacity", group, AutoScalingGroupName=group, DesiredCapacity=desired)
    return int(found["DesiredCapacity"])


def scale_service(aws: Aws, cluster: str, service: str, desired: int) -> int:
    """Set the desired count of an ECS service; returns what it was. Raises CollectError."""
    if desired < 1:
        raise CollectError(f"aws ecs {cluster}/{service}: expected at least 1 task, got {desired}")
    made, name = client(aws, "ecs"), f"{cluster}/{service}"
    found = call(made, aws, "ecs", "DescribeServices", name, cluster=cluster, services=[service])["services"]
    if not found:
        raise CollectError(f"aws ecs: expected a service in {aws.region}, got none named {name}")
    call(made, aws, "ecs", "UpdateService", name, cluster=cluster, service=service, desiredCount=desired)
    return int(found[0]["desiredCount"])
