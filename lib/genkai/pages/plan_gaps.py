"""What a plan leaves open, as questions for whoever approves it: what is missing must not be silently missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from genkai.plan import STEPS, Plan
from genkai.report.inline import Text
from genkai.report.messages import Messages


def gaps(m: Messages, plan: Plan, unwatched: Sequence[str] = ()) -> list[Text]:
    """A question for each item of a complete test plan that this one does not answer.

    unwatched: numbers of the monitoring items (M1–M9) that the plan names no source for.
    """
    comma = m("word.comma")
    return [m.text(f"plan_open.{key}", **values) for key, values in _missing(m, plan)] + (
        [m.text("plan_open.unwatched", items=comma.join(f"{i} {m(f'plan_doc.monitor.{i}')}" for i in unwatched))]
        if unwatched
        else []
    )


def _missing(m: Messages, plan: Plan) -> Iterator[tuple[str, dict]]:
    given, targets = plan.preconditions, [plan.targets, *(api.targets for api in plan.apis if api.targets)]
    absent = {
        "scope": not plan.scope.included, "data_volume": not given.data_volume, "hold": given.hold_h is None,
        "method": not given.method, "estimate": plan.estimate is None,
        "response": not any(t.response_times_s() for t in targets), "environment": not plan.environment.target,
        "production": not plan.environment.production, "scenario": not plan.scenarios,
    }  # fmt: skip
    yield from ((key, {}) for key, missing in absent.items() if missing)
    for scenario in plan.scenarios:
        if not scenario.why:
            yield "why", {"scenario": scenario.name}
    for step in STEPS:
        if plan.step_named(step) is None:
            yield "step", {"step": step}
    yield from _too_short(plan)
    yield from ((key, {}) for key in ("schedule", "roles") if not getattr(plan, key))


def _too_short(plan: Plan) -> Iterator[tuple[str, dict]]:
    """An endurance step that ends before the time that the performance must hold."""
    step, hold_h = plan.step_named("endurance"), plan.preconditions.hold_h
    lasts = sum(level.hold_s for level in step.levels) if step else 0.0
    if step and hold_h and lasts < hold_h * 3600:
        yield "too_short", {"hold": hold_h * 3600, "lasts": lasts}
