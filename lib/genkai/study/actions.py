"""The actions of a cycle's report: what became of those taken, and what this cycle's findings ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genkai.analyse.actions import MOST_TELLING, Seen, aim_of, judge_action
from genkai.plan import STEPS, Action, JudgedBy
from genkai.study.history import earlier_cycles
from genkai.study.reading import RunStudy, Study, read_study
from genkai.study.results import cycle_comparison, drift_findings, findings_of, of_equal_size

Record = dict[str, Any]


def taken_rows(study: Study, before: Study | None) -> list[Record]:
    """{"action", "cause", "owner", "due", "done", "outcome", "text_key", "values", "rows", "evidence",
    "shared_with"} of each action; shared_with: what was done, too, and is judged by the same, so that nobody can tell
    whose effect it was.

    before: the previous reported cycle. Each is compared with the cycle that its plan names, else with the newest one
    that found its cause, else with the one before.
    """
    rows = [_taken_row(study, before, action) for action in study.plan.actions]
    return [{**row, "shared_with": [o["action"] for o in rows if o is not row and _share(row, o)]} for row in rows]


def _share(one: Record, other: Record) -> bool:
    """Whether two actions are judged by some number both, or by the same cause."""
    judged = all(row["done"] and row["outcome"] != "cannot_tell" for row in (one, other))
    numbers = [{(r["step"], r["subject"], r["api"], r["what"], r["load"]) for r in row["rows"]} for row in (one, other)]
    return bool(numbers[0] & numbers[1]) or (judged and one["cause"] is not None and one["cause"] == other["cause"])


def _taken_row(study: Study, before: Study | None, action: Action) -> Record:
    head = {"action": action.what, "cause": action.cause, "owner": action.owner, "due": action.due, "done": action.done}
    if not action.done or before is None:
        return {**head, **judge_action(action, action.judged_by, None, None, None), "evidence": None}
    base = _compared_with(study, before, action)
    aim, aim_now = (_aim(s, of_equal_size(s, study), action) for s in (base, study))
    seen = [_seen(base, of_equal_size(base, study), aim), _seen(study, study.runs, aim or aim_now)]
    comparison = cycle_comparison(base, study) if aim else None
    quantiles = study.plan.targets_for(aim.subject).response_times_s() if aim else ()
    judged = judge_action(action, aim, *seen, comparison, [q.removesuffix("_s") for q in quantiles], _units(study))
    return {**head, **judged, "evidence": "tab-comparison" if judged["rows"] and base is before else None}


def _compared_with(study: Study, before: Study, action: Action) -> Study:
    """The cycle that an action is compared with."""
    wanted = action.judged_by.cycle if action.judged_by else None
    for cycle in reversed(earlier_cycles(study.cycle)):
        found = cycle.read_result("findings") if cycle.result("findings.json").exists() else {}
        known = {f["cause"] for record in found.values() for f in record["findings"] if f["strength"] != "weak"}
        if cycle.number == wanted if wanted else action.cause in known:
            return before if cycle == before.cycle else read_study(cycle)
    return before


def _aim(study: Study, runs: Sequence[RunStudy], action: Action) -> JudgedBy | None:
    """What the action is to change: as its plan says, and for the rest where a cycle found its cause; None: nowhere."""
    given = action.judged_by
    if action.cause is None:
        return given
    chosen = [
        r for r in runs
        if len(r.marks) and (given is None or (r.subject == given.subject and given.step in (None, r.step)))
    ]  # fmt: skip
    for run in sorted(chosen, key=lambda r: (MOST_TELLING.index(r.step), r.run.name)):
        record = findings_of(study, run)
        for finding in record["findings"]:
            if finding["cause"] == action.cause and finding["strength"] != "weak":
                aim = aim_of(record, finding, run.step, run.subject, study.cycle.number)
                return aim.model_copy(update=given.model_dump(exclude_none=True) if given else {})
    return given if given and given.step else None


def _seen(study: Study, runs: Sequence[RunStudy], aim: JudgedBy | None) -> Seen:
    """What a cycle found of the step and subject."""
    own = [r for r in runs if aim and (r.step, r.subject) == (aim.step, aim.subject) and len(r.marks)]
    series = {(key.source, key.metric) for run in own for key in run.metrics.keys}
    held_s = max((run.window[1] - run.window[0] for run in own), default=0.0)
    return Seen(study.cycle.number, [findings_of(study, run) for run in own], series, held_s)


def _units(study: Study) -> dict[str, str]:
    """{step: users or rps}: what the loads of each step are."""
    parts = {step: study.plan.step_named(step) for step in STEPS}
    return {step: "rps" if part.levels[0].workload == "open" else "users" for step, part in parts.items() if part}


def proposed_rows(study: Study, findings: Mapping[str, Any] | None) -> list[Record]:
    """An open action for each cause with at least moderate evidence in the main run's findings, and for each drift."""
    found = [f for f in (findings or {}).get("findings", []) if f["strength"] != "weak"]
    known = {f["cause"] for f in (findings or {}).get("findings", [])}
    drifts = [{**f, "evidence": []} for f in drift_findings(study) if f["strength"] != "weak"]
    return [
        {"action": {"key": f["remedy_key"], "values": f["values"]}, "outcome": "open", "text_key": f["verify_key"],
         "values": f["values"], "evidence": next((e["figure"] for e in f["evidence"] if e.get("figure")), None)}
        for f in [*found, *(d for d in drifts if d["cause"] not in known)]
    ]  # fmt: skip
