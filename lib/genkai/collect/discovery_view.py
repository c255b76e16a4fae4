"""Where what discovery found differs from the plan."""

from __future__ import annotations

from typing import Any

from genkai.collect.discovery import Discovery
from genkai.plan import Environment


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
