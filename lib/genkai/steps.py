"""One test step: the gate before it, its runs with the samplers beside them, its verdict.

A run that is finished is not run again, so that a step can be resumed; a run that was cut short is run anew, and its
earlier attempt is kept beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from genkai.analyse.verdict import step_verdict
from genkai.collect.discovery import discover
from genkai.collect.errors import CollectError
from genkai.collect.host_limits import HostWatch
from genkai.collect.links import link_bytes_per_s
from genkai.collect.sampling import clock_offsets, collect_hosts, start_sampling
from genkai.launch import Progress, RunOutcome, run_load, set_aside, stop_run
from genkai.load.lock import load_lock
from genkai.load.process import free_port
from genkai.plan import STEPS, Plan
from genkai.refusals import Refusal
from genkai.resizing import Resizing, restore_left
from genkai.study import Study, read_study
from genkai.study.results import drift_findings
from genkai.workspace import Cycle, Run, write_json

STOPPED_BY_HAND = "genkai stop"  # then the other sizes are not wanted either
SPARE_S = 1800.0  # for venvs, joining workers, test_start; samplers end with us anyway, by their lease


class StepError(Refusal, RuntimeError):
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
    cycle: Cycle, step: str, *, keep_going: bool = False, web: bool = False,
    on_second: Callable[[Run, Progress], None] | None = None,
) -> Study:  # fmt: skip
    """Run what the step has not run yet, size by size where the plan names sizes; the study of the cycle afterwards.

    web: each run serves locust's own page while it goes, at the port that its run.json names.

    Raises StepError, LaunchError; PlanError for a file that the plan names and that is gone; CollectError when the
    target cannot be resized.
    """
    check_step(step)
    plan = cycle.plan()
    waiting = [(run, size) for run, size in planned_runs(cycle, plan, step) if not run.finished]
    if waiting or plan.step_named(step) is None:
        check_gate(cycle, step, keep_going)
    if waiting and cycle.recorded:
        raise StepError(f"{cycle.path}: expected a cycle of your own, got the recorded sample; try: genkai demo")
    if waiting:
        path = cycle.path.resolve()
        with load_lock(path.parent.parent, f"step {step} of {path}", f"genkai stop {path}"):
            _run_waiting(cycle, step, on_second, web)
    return read_study(cycle)


def _run_waiting(cycle: Cycle, step: str, on_second: Callable[[Run, Progress], None] | None, web: bool) -> None:
    """What the step has not run yet, now that nobody else can run it."""
    plan = cycle.plan(to_run=True)
    waiting = [(run, size) for run, size in planned_runs(cycle, plan, step) if not run.finished]
    if waiting and plan.scaling:
        restore_left(cycle.path.resolve().parent.parent, tell)
    if waiting and waiting[0][1] is not None:
        run_sizes(cycle, plan, waiting, on_second, web)
    else:
        for run, _ in waiting:
            run_one(run, plan, on_second, web)


def planned_runs(cycle: Cycle, plan: Plan, step: str) -> list[tuple[Run, int | None]]:
    """Every run of the step with the target's size for it (None: as it is found), all of one size together."""
    base = plan.scaling.base if plan.scaling else None
    return [
        (cycle.run(step, subject, None if size == base else size, repetition=n), size)
        for subject, size, n in plan.runs_of(step)
    ]


def run_sizes(
    cycle: Cycle, plan: Plan, waiting: Sequence[tuple[Run, int]],
    on_second: Callable[[Run, Progress], None] | None = None, web: bool = False,
) -> None:  # fmt: skip
    """Run each with the target at its size; the size that was found is restored, whatever happens.

    A run during which somebody else changed the size is told apart by "resized_meanwhile" in run.json.
    """
    with Resizing(cycle, plan, tell) as target:
        target.check(sorted({size for _, size in waiting}))
        before = None
        for run, size in waiting:
            if size != before:
                target.to(size)
            before = size
            outcome = run_one(run, plan, on_second, web)
            run.write_record(size=size, **({} if target.kept(size) else {"resized_meanwhile": True}))
            _note_environment(run, plan)
            if outcome.stop_reason == STOPPED_BY_HAND:
                break


def _note_environment(run: Run, plan: Plan) -> None:
    """What is behind the load balancer at this size: afterwards the instances that came for it are gone."""
    if plan.aws is None or not plan.aws.load_balancer:
        return
    try:
        write_json(run.raw("discovery.json"), discover(plan.aws).record())
    except CollectError as error:
        tell(f"      discovery: {error}")


def tell(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def run_one(
    run: Run, plan: Plan, on_second: Callable[[Run, Progress], None] | None = None, web: bool = False
) -> RunOutcome:
    """One run with its samplers; their tables are written whatever happens.

    Clocks are compared before and after: the metrics are corrected by the mean of both. A limit of the plan's stop rule
    on a watched host ends the run; run.json keeps what was seen of each (host_limits).
    """
    set_aside(run)
    part = plan.step_named(run.step)
    offsets = {"start": clock_offsets(plan.hosts)}
    sampling = start_sampling(plan.hosts, run, part.duration_s + part.ceiling_s + SPARE_S)
    watch = HostWatch(run, plan.hosts, plan.stop)

    def see_second(progress: Progress) -> None:
        if on_second is not None:
            on_second(run, progress)
        reason = watch.see()
        if reason is not None:
            stop_run(run, reason)

    try:
        return run_load(run, plan, run.step, run.subject, see_second, web_port=free_port() if web else None)
    finally:
        sampling.stop()
        if run.record():
            limits = {"host_limits": watch.records()} if plan.stop.hosts else {}
            offsets |= {"end": clock_offsets(plan.hosts)}
            run.write_record(clock_offsets=offsets, link_bytes_per_s=link_bytes_per_s(), **limits)
            _tell_unwatched(watch)
        _collect(run, plan)


def _tell_unwatched(watch: HostWatch) -> None:
    for limit in watch.records():
        if not limit["samples"]:
            tell(f"      stop.hosts: {limit['host']}: expected samples for {limit['limit']}, got none: "
                 "this limit was not watched")  # fmt: skip


def _collect(run: Run, plan: Plan) -> None:
    """The hosts' logs as a table; a host that told nothing must not hide what became of the load."""
    try:
        collect_hosts(run, plan.hosts)
    except CollectError as error:
        tell(f"      hosts: {error}")


def judge_step(study: Study, step: str) -> dict[str, Any]:
    """The step's verdict: {"step", "status", "why_key", "values", …}."""
    drifts = drift_findings(study) if step == "endurance" else []
    return step_verdict(study.plan, step, study.of(step), study.split, drifts)


def write_verdict(study: Study, step: str) -> dict[str, Any]:
    """results/step-<step>.json, which opens the gate to the next step."""
    record = judge_step(study, step)
    study.cycle.write_result(f"step-{step}", record)
    return record
