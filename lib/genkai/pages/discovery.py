"""`genkai discover`: what is behind a load balancer, and where it differs from the plan's words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from genkai.collect.discovery import Discovery, discover
from genkai.collect.discovery_view import environment_differences
from genkai.plan import Aws, Environment
from genkai.planfile import read_plan
from genkai.report.messages import Messages
from genkai.study import StudyError

_LIMITS = {
    "vcpus": ("vcpus",), "memory": ("memory_gib",), "network": ("network_base_line_gbps", "network_peak_gbps"),
    "ebs": ("ebs_base_line_mbps", "ebs_maximum_mbps"), "iops": ("ebs_base_line_iops", "ebs_maximum_iops"),
    "credits": ("credit_base_line_ratio",),
}  # fmt: skip


def discovery_record(
    plan_file: Path | None, load_balancer: str | None, region: str, profile: str | None
) -> dict[str, Any]:
    """What was found, and how it differs from what the plan states. Raises PlanError, CollectError, StudyError."""
    plan = read_plan(plan_file) if plan_file else None
    aws = plan.aws if plan and plan.aws else Aws(region=region, profile=profile)
    if load_balancer:
        aws = aws.model_copy(update={"load_balancer": load_balancer})
    if not aws.load_balancer:
        raise StudyError("discover: expected the name of a load balancer, got none; "
                         "give --load-balancer NAME, or a plan with aws.load_balancer")  # fmt: skip
    found = discover(aws)
    environment = plan.environment if plan else Environment()
    return {**found.record(), "differences": environment_differences(found, environment) if plan else []}


def discovery_text(record: dict[str, Any]) -> str:
    """The record as aligned lines."""
    found = Discovery.from_record({k: v for k, v in record.items() if k != "differences"})
    table = discovery_table(found, Messages("en"))
    lines = table.to_string(index=False, justify="left").splitlines()
    lines += [
        f"differs from the plan: {d['item']}: plan {d['plan']}, found {d['found']}" for d in record["differences"]
    ]
    return "\n".join([*lines, *(f"note: {w}" for w in found.warnings)])


def discovery_table(found: Discovery, m: Messages, names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """What was found, for people: columns kind, name, state, limits; names: {resource: what figures call it}."""
    rows: list[tuple[str, str, str, str]] = []
    if balancer := found.load_balancer:
        rows.append((m("discovery.load_balancer", kind=balancer["kind"]), balancer["name"], balancer["scheme"],
                     ", ".join(balancer["zones"])))  # fmt: skip
    for group in found.target_groups:
        healthy = sum(t["state"] == "healthy" for t in group["targets"])
        state = m("discovery.healthy", healthy=healthy, all=len(group["targets"]))
        rows.append((m("discovery.target_group"), group["name"], state, group["type"]))
    for instance in found.instances:
        limits = found.instance_types.get(instance.get("type"), {})
        state = ", ".join(filter(None, [instance.get("state"), instance.get("type"), instance.get("credit_mode")]))
        short = (names or {}).get(f"ec2:{instance['id']}")
        name = f"{instance['id']} ({short})" if short else instance["id"]
        rows.append((m("discovery.instance"), name, state, limits_told(limits, m)))
    for group in found.groups:
        size = m("discovery.size", here=group["in_service"], desired=group["desired"])
        rows.append((m("discovery.group"), group["name"], size, f"{group['min']}–{group['max']}"))
    for service in found.ecs_services:
        size = m("discovery.size", here=service["running"], desired=service["desired"])
        rows.append((m("discovery.ecs"), f"{service['cluster']}/{service['service']}", size, service["launch_type"]))
    for kind, names in found.services.items():
        for name in names:
            node = found.nodes.get(f"{kind}:{name}")
            state = f"{node['type']}, {node['engine']}" if node else m("discovery.named")
            rows.append((kind, name, state, limits_told({"vcpus": node["vcpus"]}, m) if node else ""))
    return pd.DataFrame(rows, columns=["kind", "name", "state", "limits"])


def limits_told(limits: Mapping[str, Any], m: Messages) -> str:
    """What a type can do, as one line; what AWS does not tell is left out."""
    known = {name: value for name, value in limits.items() if value is not None}
    parts = [
        m(f"discovery.limits.{part}", **{name: known.get(name, "–") for name in names})
        for part, names in _LIMITS.items()
        if names[0] in known
    ]
    return "; ".join(parts)
