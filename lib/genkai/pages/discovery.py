"""`genkai discover`: what is behind a load balancer, and where it differs from the plan's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genkai.collect.discovery import Discovery, discover
from genkai.collect.discovery_view import discovery_table, environment_differences
from genkai.plan import Aws, Environment
from genkai.planfile import read_plan
from genkai.study import StudyError


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
    table = discovery_table(found)
    lines = table.to_string(index=False, justify="left").splitlines()
    lines += [
        f"differs from the plan: {d['item']}: plan {d['plan']}, found {d['found']}" for d in record["differences"]
    ]
    return "\n".join([*lines, *(f"note: {w}" for w in found.warnings)])
