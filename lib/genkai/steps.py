"""One test step: the gate before it, its runs with the samplers beside them, its verdict.

A run that is finished is not run again, so that a step can be resumed; a run that was cut short is run anew, and its
earlier attempt is kept beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from genkai.analyse.verdict import step_verdict
from genkai.collect.errors import CollectError
from genkai.collect.sampling import clock_offsets, collect_hosts, start_sampling
from genkai.launch import Progress, RunOutcome, run_load, set_aside
from genkai.plan import STEPS, Plan
from genkai.study import Study, read_study
from genkai.workspace import Cycle, Run

SPARE_S = 90.0  # samplers outlive the load by no more than this, whatever happens


class StepError(RuntimeError):
    """A step that may not start; the message says why and what would let it."""


def check_step(step: str) -> None:
    """Raise StepError for a name that is no step's."""
    if step not in STEPS:
        raise StepError(f"step: expected one of {', '.join(STEPS)}, got {step!r}")


def check_gate(cycle: Cycle, step: str, keep_going: bool = False) -> None:
    """Raise StepError unless every step before this one passed (or keep_going)."""
    check_step(step)
    plan = cycle.plan()
    if plan.step_named(step) is None:
        raise StepError(f"plan {plan.name}: expected steps.{step}, got none; add it to the plan to run it")
    if keep_going:
        return
    for earlier in STEPS[: STEPS.index(step)]:
        if plan.step_named(earlier) is None:
            continue
        status = step_status(cycle, earlier)
        if status != "pass":
            raise StepError(
                f"steps.{step}: expected step {earlier} to have passed first, got {status or 'not run'}; "
                "mend what stopped it, or start anyway with --keep-going"
            )


def step_status(cycle: Cycle, step: str) -> str | None:
    """The verdict that the step got, or None before it ran."""
    path = cycle.result(f"step-{step}.json")
    return cycle.read_result(f"step-{step}")["status"] if path.exists() else None


def run_step(
    cycle: Cycle, step: str, *, keep_going: bool = False, on_second: Callable[[Run, Progress], None] | None = None
) -> Study:
    """Run what the step has not run yet; the study of the cycle afterwards. Raises StepError, LaunchError."""
    check_step(step)
    plan = cycle.plan()
    waiting = [run for run in (cycle.run(step, s) for s in plan.subjects(step)) if not run.finished]
    if waiting or plan.step_named(step) is None:
        check_gate(cycle, step, keep_going)
    if waiting and cycle.recorded:
        raise StepError(f"{cycle.path}: expected a cycle of your own, got the recorded sample; try: genkai demo")
    for run in waiting:
        run_one(run, plan, on_second)
    return read_study(cycle)


def run_one(run: Run, plan: Plan, on_second: Callable[[Run, Progress], None] | None = None) -> RunOutcome:
    """One run with its samplers; their tables are written whatever happens.

    Clocks are compared before and after: the metrics are corrected by the mean of both.
    """
    set_aside(run)
    part = plan.step_named(run.step)
    offsets = {"start": clock_offsets(plan.hosts)}
    sampling = start_sampling(plan.hosts, run, part.duration_s + part.ceiling_s + SPARE_S)
    try:
        return run_load(run, plan, run.step, run.subject, (lambda p: on_second(run, p)) if on_second else None)
    finally:
        sampling.stop()
        if run.record():
            run.write_record(clock_offsets=offsets | {"end": clock_offsets(plan.hosts)})
        _collect(run, plan)


def _collect(run: Run, plan: Plan) -> None:
    """The hosts' logs as a table; a host that told nothing must not hide what became of the load."""
    try:
        collect_hosts(run, plan.hosts)
    except CollectError as error:
        print(f"      hosts: {error}", flush=True)


def judge_step(study: Study, step: str) -> dict[str, Any]:
    """The step's verdict: {"step", "status", "why_key", "values", …}."""
    return step_verdict(study.plan, step, study.of(step), study.split)


def write_verdict(study: Study, step: str) -> dict[str, Any]:
    """results/step-<step>.json, which opens the gate to the next step."""
    record = judge_step(study, step)
    study.cycle.write_result(f"step-{step}", record)
    return record
