"""Verdicts: per target, step and purpose, and one sentence for all; "cannot tell" is an answer.

Statuses: pass, fail, cannot_tell, not_run. Texts go by their keys in the message catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genkai.analyse.judge import CANNOT_TELL, FAIL, NOT_RUN, PASS, Judge, MeasuredRun, target_row, throughput_target
from genkai.analyse.machines import machine_rows
from genkai.analyse.purposes import purpose_verdicts
from genkai.analyse.records import Record, margin_of, number, value_of
from genkai.capacity import target_rps
from genkai.plan import STEPS, Plan
from genkai.planstop import HOST_METRICS

OUTCOME = (FAIL, CANNOT_TELL, NOT_RUN, PASS)  # the worst decides
SERVICE_STEPS = ("scenario", "endurance", "api")  # most telling first; verify speaks of the generator
STOPPED = ("stopped", "failed", "running")


def cycle_verdicts(
    plan: Plan,
    split: Mapping[str, float],
    runs: Sequence[MeasuredRun],
    *,
    fits: Mapping[str, Mapping[str, Any]] | None = None,
    comparison: Mapping[str, Any] | None = None,
    drifts: Sequence[Mapping[str, Any]] = (),
    sizes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """{"overall", "targets", "purposes", "steps"} of a cycle.

    fits: {"<step>/<subject>": fit record}; comparison: compare_cycles' record against the previous cycle, or None;
    drifts: findings of the group endurance; sizes: scale_out's record of the most telling step that was run at several
    sizes of the target, or None.
    """
    of_step = {step: [r for r in runs if r.step == step] for step in STEPS}
    by_step = {step: step_targets(plan, of_step[step], split) for step in STEPS}
    steps = [_step(plan, step, of_step[step], by_step[step], drifts) for step in STEPS]
    targets = [row for step in STEPS for row in by_step[step]]
    return {
        "overall": _overall(plan, targets, steps),
        "targets": targets,
        "purposes": purpose_verdicts(plan, targets, fits or {}, comparison, sizes),
        "steps": steps,
    }


def step_verdict(
    plan: Plan, step: str, runs: Sequence[MeasuredRun], split: Mapping[str, float],
    drifts: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:  # fmt: skip
    """The verdict of one step from its runs alone: {"step", "status", "why_key", "values", "run", "targets"}.

    drifts: findings of the group endurance, best first.
    """
    if step not in STEPS:
        raise ValueError(f"step: expected one of {', '.join(STEPS)}, got {step!r}")
    every = step_targets(plan, runs, split)
    rows = [r for r in every if not _awaited(plan, r)]
    found = _step(plan, step, runs, rows, drifts)
    if len(rows) < len(every) and found["why_key"] == "verdict.why.targets_met":
        found["why_key"] = "verdict.why.targets_met_so_far"
    return {**found, "targets": rows}


def _awaited(plan: Plan, row: Mapping[str, Any]) -> bool:
    """Whether CloudWatch may still tell what a row lacks: it is asked once all load is over, and closes no gate."""
    told_here = row["what"] in HOST_METRICS or row["api"] in [host.name for host in plan.hosts]
    return row["kind"] == "machine" and row["measured"]["value"] is None and plan.aws is not None and not told_here


def passed(verdicts: Mapping[str, Any], step: str) -> bool:
    """Whether a step passed, for the gate before the next. verdicts: of a cycle, or a step's own."""
    rows = verdicts.get("steps", [verdicts])
    return any(r.get("step") == step and r.get("status") == PASS for r in rows)


def step_targets(plan: Plan, runs: Sequence[MeasuredRun], split: Mapping[str, float]) -> list[dict[str, Any]]:
    """The target rows of some runs; of repetitions, those of the one that is worst: a target must be kept each time."""
    of_subject: dict[str, list[list[dict[str, Any]]]] = {}
    for run in runs:
        of_subject.setdefault(run.subject, []).append(_run_targets(plan, run, split))
    return [row for repetitions in of_subject.values() for row in min(repetitions, key=_badness)]


def _badness(rows: Sequence[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """Sorts rows of repetitions, worst first: by their worst status, then by the smallest margin."""
    return sorted((OUTCOME.index(r["status"]), margin_of(r)) for r in rows)


def _run_targets(plan: Plan, run: MeasuredRun, split: Mapping[str, float]) -> list[dict[str, Any]]:
    judge = Judge(plan, run, throughput_target(plan, run.subject, split))
    if run.step == "verify":
        return _verify(plan, run, judge)
    rows = [*judge.rows(), *machine_rows(plan, run, judge)]
    too_small = rows[0]["why_key"].endswith(("load_too_small", "broken_before"))
    # endurance may hold less than the target on purpose: then only errors and response times count
    return _below_target(rows[1:]) if run.step == "endurance" and too_small else rows


def _below_target(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        if row["why_key"].endswith("kept_below_target"):
            why = f"machine_kept_{row['bound']}" if row["kind"] == "machine" else f"{row['kind']}_kept"
            row = {**row, "status": PASS, "why_key": f"verdict.why.{why}"}
        found.append(row)
    return found


def _verify(plan: Plan, run: MeasuredRun, judge: Judge) -> list[dict[str, Any]]:
    """The generator's own ceiling against margin × target, and the errors of the health check."""
    part = plan.step_named("verify")
    total = target_rps(plan)
    needed = number(total * (part.margin if part else 1.5), unit="rps")
    shown, alone = ceiling_records(getattr(run, "ceiling", None), judge)
    value, possible = shown["value"], alone["value"]
    margin = None if value is None else value / total
    values = {"ceiling": shown, "needed": needed, "margin": margin, "alone": alone}
    if value is not None and value >= needed["value"]:
        status, why = PASS, "generator_ceiling"
    elif possible is None:
        status, why = CANNOT_TELL, "generator_unknown"
    elif possible >= needed["value"]:
        status, why = CANNOT_TELL, "generator_unproven"
    else:
        status, why = FAIL, "generator_too_weak"
    over = None if value is None else value / needed["value"] - 1
    row = target_row("verify", run.subject, "throughput", needed, shown, over, status, None, why, values)
    errors = [r for r in judge.rows()[1:] if r["what"] == "error_ratio"]
    return [row, *_below_target(errors)]


def ceiling_records(ceiling: Mapping[str, Any] | None, judge: Judge) -> tuple[Record, Record]:
    """(what the generator put out, what it would with a core for each process).

    ceiling: ceiling.json (throughput_rps, ceiling_rps); without one, verify's own highest throughput is the former,
    and the latter is not known.
    """
    if ceiling is not None:
        shown = value_of(ceiling.get("throughput_rps"))
        alone = value_of(ceiling.get("ceiling_rps"))
        best = max((v for v in (shown, alone) if v is not None), default=None)
        return number(shown, n=1, unit="rps"), number(best, n=1, unit="rps")
    best = max(judge.whole, key=lambda r: r["throughput_rps"], default=None)
    if best is None:
        return number(None, unit="rps"), number(None, unit="rps")
    shown = {**judge.measured(best, "throughput_rps"), "notes": ["at least: the ceiling itself was not measured"]}
    return shown, number(None, unit="rps")


def worst(statuses: Sequence[str]) -> str:
    """fail before cannot_tell before not_run before pass; not_run for nothing."""
    return next((status for status in OUTCOME if status in statuses), NOT_RUN)


def _name(run: MeasuredRun) -> str:
    """The run's own name, by which its files and the appendix know it."""
    named = getattr(run, "run", run)
    return str(getattr(named, "name", "") or f"{run.step}-{run.subject}")


def _step(
    plan: Plan, step: str, runs: Sequence[MeasuredRun], rows: Sequence[dict], drifts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    names = ", ".join(dict.fromkeys(_name(r) for r in runs))
    record = {"step": step, "run": names, "run_id": names}
    if not runs:
        why = "step_not_run" if plan.step_named(step) else "step_left_out"
        return {**record, "status": NOT_RUN, "why_key": f"verdict.why.{why}", "values": {"step": step}}
    status, why, values = _step_outcome(plan, step, runs, rows)
    ends = bool(drifts) and drifts[0]["strength"] == "strong"  # what is used up fails, whatever else is not decided
    if step == "endurance" and drifts and (status == PASS or (ends and status == CANNOT_TELL)):
        status, why, values = _drifted(drifts[0], values, status == PASS)
    return {**record, "status": status, "why_key": why, "values": values}


def _step_outcome(plan: Plan, step: str, runs: Sequence[MeasuredRun], rows: Sequence[dict]) -> tuple[str, str, dict]:
    status = worst([r["status"] for r in rows])
    deciding = next((r for r in rows if r["status"] == status), None)
    reason = next((_stop_reason(r) for r in runs if r.record.get("state") in STOPPED), None)
    if status == FAIL:
        return status, deciding["why_key"], deciding["values"]
    if reason and (step == "endurance" or status != PASS):
        return (FAIL if step == "endurance" else CANNOT_TELL), "verdict.why.step_stopped", {"reason": reason}
    had = [r.subject for r in runs]
    repeat = plan.step_named(step).repeat if plan.step_named(step) else 1
    missing = sorted(s for s in plan.subjects(step) if had.count(s) < repeat)
    if status == PASS and missing:
        return CANNOT_TELL, "verdict.why.step_incomplete", {"missing": ", ".join(missing)}
    if status == PASS:
        return PASS, f"verdict.why.targets_met{'_then_stopped' if reason else ''}", {"reason": reason} if reason else {}
    return (
        status,
        deciding["why_key"] if deciding else "verdict.why.not_decided",
        deciding["values"] if deciding else {},
    )


def _drifted(finding: Mapping[str, Any], values: Mapping[str, Any], met: bool) -> tuple[str, str, dict]:
    """What was not missed but will not last: fails where something is used up before the time that it must hold."""
    told = {"key": finding["claim_key"], "values": finding["values"]}
    values = {**values, "finding": told}
    if finding["strength"] != "strong":
        return PASS, "verdict.why.drifts", values
    return FAIL, f"verdict.why.{'will_not_last' if met else 'used_up'}", values


def _stop_reason(run: MeasuredRun) -> str:
    return str(run.record.get("stop_reason") or f"state {run.record.get('state')}")


def _overall(plan: Plan, targets: Sequence[dict], steps: Sequence[dict]) -> dict[str, Any]:
    """The sentence for all: the service's steps decide; verify only where it kept them from being run."""
    target = number(target_rps(plan), unit="rps")
    asked = [s for s in steps if plan.step_named(s["step"])]
    service = [s for s in asked if s["step"] in SERVICE_STEPS]
    judged = [s for s in service if s["status"] != NOT_RUN]
    rows = [t for t in targets if t["step"] in SERVICE_STEPS]
    main = next((t for step in SERVICE_STEPS for t in rows if t["step"] == step and t["what"] == "throughput"), None)
    if not judged:
        return _undecided(asked, target)
    status = worst([s["status"] for s in judged])
    if status == PASS and len(judged) < len(service):
        left = next(s for s in service if s["status"] == NOT_RUN)
        return _sentence(CANNOT_TELL, "cannot_tell", target=target, reason=_as_message(left))
    if status == FAIL:
        missed = [t for t in rows if t["status"] == FAIL]
        if main and main["status"] == FAIL and main["why_key"].endswith("throughput_missed"):
            return _sentence(FAIL, "missed", target=main["target"], measured=main["measured"])
        if not missed:  # a step that ended early, or that would not last
            failed = next(s for s in judged if s["status"] == FAIL)
            return _sentence(FAIL, "step_failed", step=failed["step"], reason=_as_message(failed))
        first = min(missed, key=lambda row: (SERVICE_STEPS.index(row["step"]), margin_of(row)))
        return _sentence(FAIL, "targets_missed", missed=len(missed), n=len(rows), reason=_as_message(first))
    if main and main["why_key"].endswith("target_unstated") and status == CANNOT_TELL:
        return _sentence(CANNOT_TELL, "no_target", measured=main["measured"])
    if status == CANNOT_TELL:
        deciding = next(s for s in judged if s["status"] == CANNOT_TELL)
        return _sentence(CANNOT_TELL, "cannot_tell", target=target, reason=_as_message(deciding))
    if main and main["status"] == PASS:
        return _sentence(PASS, "reached", target=main["target"], measured=main["measured"])
    return _sentence(PASS, "targets_met", n=len(rows))


def _undecided(asked: Sequence[dict], target: Record) -> dict[str, Any]:
    verify = next((s for s in asked if s["step"] == "verify" and s["status"] != NOT_RUN), None)
    if verify and verify["status"] == PASS and [s["step"] for s in asked] == ["verify"]:
        return _sentence(PASS, "targets_met", n=1)
    if verify and verify["status"] != PASS:
        return _sentence(CANNOT_TELL, "cannot_tell", target=target, reason=_as_message(verify))
    left = next((s for s in asked if s["status"] == NOT_RUN), None)
    reason = _as_message(left) if left else {"key": "verdict.why.not_decided", "values": {}}
    return _sentence(NOT_RUN, "not_run", target=target, reason=reason)


def _as_message(step: Mapping[str, Any]) -> dict[str, Any]:
    return {"key": step["why_key"], "values": step["values"]}


def _sentence(status: str, key: str, **values: Any) -> dict[str, Any]:
    return {"status": status, "sentence_key": f"verdict.overall.{key}", "values": values}
