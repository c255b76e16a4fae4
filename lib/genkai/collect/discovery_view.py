"""What discovery found, for people: a table, and where it differs from the plan."""

from __future__ import annotations

from typing import Any

import pandas as pd

from genkai.collect.discovery import Discovery
from genkai.plan import Environment


def discovery_table(found: Discovery) -> pd.DataFrame:
    """What was found, for people: columns kind, name, state, limits."""
    rows: list[tuple[str, str, str, str]] = []
    if balancer := found.load_balancer:
        rows.append(
            (f"load balancer ({balancer['kind']})", balancer["name"], balancer["scheme"], ", ".join(balancer["zones"]))
        )
    for group in found.target_groups:
        healthy = sum(t["state"] == "healthy" for t in group["targets"])
        rows.append(("target group", group["name"], f"{healthy} of {len(group['targets'])} healthy", group["type"]))
    for instance in found.instances:
        limits = found.instance_types.get(instance.get("type"), {})
        state = ", ".join(filter(None, [instance.get("state"), instance.get("type"), instance.get("credit_mode")]))
        rows.append(("instance", instance["id"], state, limits.get("text", "")))
    for group in found.groups:
        size = f"{group['in_service']} in service, desired {group['desired']}"
        rows.append(("Auto Scaling group", group["name"], size, f"{group['min']} to {group['max']}"))
    for service in found.ecs_services:
        size = f"{service['running']} running, desired {service['desired']}"
        rows.append(("ECS service", f"{service['cluster']}/{service['service']}", size, service["launch_type"]))
    rows += [(kind, name, "named in the plan", "") for kind, names in found.services.items() for name in names]
    return pd.DataFrame(rows, columns=["kind", "name", "state", "limits"])


def environment_differences(found: Discovery, environment: Environment) -> list[dict[str, str]]:
    """Where what was found differs from what the plan states of the target: records {item, plan, found}."""
    types = sorted({i["type"] for i in found.instances if "type" in i})
    limits = found.instance_types.get(types[0], {}) if len(types) == 1 else {}
    balancer = found.load_balancer
    seen: dict[str, Any] = {"region": found.region}
    if balancer:
        seen["load_balancer"] = balancer["kind"]
    if found.instances:
        seen |= {"instances": len(found.instances), "instance_type": ", ".join(types)}
    if limits:
        seen |= {"vcpus": limits["vcpus"], "memory_gib": limits["memory_gib"]}
    same = {"classic": "classic", "alb": "alb application", "nlb": "nlb network"}
    differences = []
    for item, value in seen.items():
        stated = environment.target.get(item)
        if stated is None or value == "":
            continue
        if item == "load_balancer":
            words = {w.strip("(),").lower() for w in str(stated).split()}
            if words & set(same.get(str(value), str(value)).split()) or balancer["name"] in str(stated):
                continue
        elif str(stated).strip().lower() == str(value).strip().lower():
            continue
        differences.append({"item": item, "plan": str(stated), "found": str(value)})
    return differences
