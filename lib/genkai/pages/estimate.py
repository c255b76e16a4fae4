"""The capacity estimate as a record and as lines, for the command and for notebook 10."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genkai.capacity import as_record, estimate_capacity, estimate_sensitivity, target_rps, target_split
from genkai.plan import Estimate, Plan
from genkai.planfile import read_plan
from genkai.study import StudyError


def plan_record(plan: Plan) -> dict[str, Any]:
    """The estimate of a plan as JSON: every intermediate value, the target and its split, requests/s."""
    estimate = plan.estimate
    made = as_record(estimate_capacity(estimate), estimate_sensitivity(estimate)) if estimate else {}
    return {**made, "target_rps": target_rps(plan), "split_rps": target_split(plan)}


def estimate_record(
    plan_file: Path | None, users: float | None, accesses: float | None, peak: float, safety: float
) -> dict[str, Any]:
    """The estimate of a plan file, or of bare factors. Raises PlanError, StudyError."""
    if plan_file is not None:
        return plan_record(read_plan(plan_file))
    if users is None or accesses is None:
        raise StudyError("estimate: expected a plan file, or --users and --accesses; e.g. "
                         "genkai estimate --users 50000 --accesses 20 --peak 3 --safety 3")  # fmt: skip
    if min(users, accesses, peak, safety) <= 0:
        raise StudyError("estimate: expected factors > 0, got "
                         f"--users {users:g} --accesses {accesses:g} --peak {peak:g} --safety {safety:g}")  # fmt: skip
    estimate = Estimate(users_per_day=users, accesses_per_user=accesses, peak_factor=peak, safety_factor=safety)
    return as_record(estimate_capacity(estimate), estimate_sensitivity(estimate))


def estimate_text(record: dict[str, Any]) -> str:
    """The estimate as the lines that the command prints."""
    if "mean_rps" not in record:
        return f"target {record['target_rps']:.2f} rps (stated in the plan)"
    lines = [f"accesses a day {record['accesses_per_day']:>14,.0f}"]
    lines += [f"{name:<14} {record[f'{name}_rps']:>14.2f} rps" for name in ("mean", "peak", "target")]
    if record["low_rps"] != record["high_rps"]:
        lines.append(f"  within         {record['low_rps']:.2f} – {record['high_rps']:.2f} rps")
    for row in record["sensitivity"]:
        target = f"{row['target_at_low_rps']:.1f}–{row['target_at_high_rps']:.1f} rps"
        lines.append(f"  {row['factor']} {row['low']:,.10g}–{row['high']:,.10g}: {target}")
    lines += [f"  {api}: {rps:.2f} rps" for api, rps in record.get("split_rps", {}).items() if rps]
    return "\n".join(lines)
