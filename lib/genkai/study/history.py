"""The cycles of a plan in a row: the limit of each, what it did at a load that all had, where the level changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genkai.analyse.change_points import LEAST, MAX_P, change_points
from genkai.analyse.limit import limit_of
from genkai.analyse.plan_differences import plan_differences
from genkai.analyse.records import number, value_of
from genkai.analyse.resample import interval_key
from genkai.analyse.spread import MINIMUM_EFFECT
from genkai.study.reading import RunStudy, Study, StudyError, read_study
from genkai.study.results import fit_run
from genkai.workspace import Cycle, cycles

COLUMNS = {"throughput": ("throughput_rps", "rps"), "p95": ("p95_s", "s")}
NAME = "summary"


def summary_of(study: Study, status: str | None = None) -> dict[str, Any]:
    """What the history needs of one cycle: its main run's limit and levels, target, actions taken.

    limit: the one that the report states, or None; levels: {workload, intended, throughput_rps, p95_s, intervals:
    {column: [low, high]}} of those where the generator was not the limit.
    """
    manifest = study.cycle.manifest()
    found = {"number": study.cycle.number, "created": manifest.get("created"), "status": status,
             "target_rps": study.target_rps, "actions": [a.what for a in study.plan.actions if a.done]}  # fmt: skip
    try:
        run = study.main()
    except StudyError:
        return {**found, "run": None, "step": None, "subject": None, "limit": None, "levels": []}
    fit = fit_run(study, run)
    usable = run.whole[run.whole["window_start"].notna() & ~run.whole["generator_limited"].fillna(False).astype(bool)]
    names = ["workload", "intended", *(column for column, _ in COLUMNS.values())]
    levels = usable[names].astype(object).where(usable[names].notna(), None).to_dict("records")
    for level, place in zip(levels, usable["level"], strict=True):
        known = run.intervals.get(interval_key(int(place), run.subject), {})
        level["intervals"] = {c: [known[c]["low"], known[c]["high"]] for c, _ in COLUMNS.values() if c in known}
    return {**found, "run": run.run.name, "step": run.step, "subject": run.subject, "limit": limit_of(fit),
            "levels": levels}  # fmt: skip


def read_summary(cycle: Cycle) -> dict[str, Any]:
    """The summary that the cycle's report wrote, or made anew from its runs."""
    path = cycle.result(f"{NAME}.json")
    if path.exists():
        return cycle.read_result(NAME)
    verdicts = cycle.read_result("verdicts") if cycle.result("verdicts.json").exists() else None
    return summary_of(read_study(cycle), verdicts["overall"]["status"] if verdicts else None)


def earlier_cycles(cycle: Cycle) -> list[Cycle]:
    """The reported cycles of the same plan before this one, oldest first."""
    if cycle.recorded:
        return []
    found = cycles(cycle.path.parent)
    return [c for c in found if c.number < cycle.number and c.result("verdicts.json").exists()]


def compared_with(study: Study) -> tuple[Study | None, dict[str, Any] | None]:
    """(the reported cycle to compare with, what was passed over to find it); (None, None) in the first cycle.

    The newest that measured what the main run of this one did; where none did, the newest. Passed over: {"step",
    "subject", "cycles": numbers} of a main run that the newest lacks, no cycles where every one lacks it.
    """
    found = earlier_cycles(study.cycle)[::-1]
    newest = read_study(found[0]) if found else None
    try:
        main = study.main()
    except StudyError:  # nothing was measured
        return newest, None
    for place, cycle in enumerate(found):
        before = read_study(cycle) if place else newest
        if _measured(before, main):
            passed = [c.number for c in reversed(found[:place])]
            return before, {"step": main.step, "subject": main.subject, "cycles": passed} if passed else None
    return newest, {"step": main.step, "subject": main.subject, "cycles": []} if found else None


def _measured(study: Study, main: RunStudy) -> bool:
    own = [r for r in study.every if (r.step, r.subject) == (main.step, main.subject) and len(r.marks)]
    return any(r.whole["throughput_rps"].notna().any() for r in own)


def history_of(found: Sequence[Cycle], newest: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """{"cycles", "series", "least"} of cycles, oldest first; newest: the summary of one that is not yet reported.

    cycles: summaries, each with "changes": fields of the plan that differ from the cycle before; series: {"what",
    "load", "unit", "points": [record or None], "changes": [{"number", "p", "before", "after", "change"}]}.
    """
    plans = [c.plan() for c in found]
    summaries = [newest if newest and newest["number"] == c.number else read_summary(c) for c in found]
    before = [None, *plans[:-1]]
    rows = [
        {**summary, "changes": [] if old is None else [c["what"] for c in plan_differences(old, plan)]}
        for summary, old, plan in zip(summaries, before, plans, strict=True)
    ]
    return {"cycles": rows, "series": series_of(rows), "least": LEAST, "max_p": MAX_P,
            "minimum_effect": MINIMUM_EFFECT}  # fmt: skip


def series_of(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The limit, and throughput and p95 at the highest load that every cycle measured."""
    found = [_series("limit", None, "rps", rows, [row["limit"] for row in rows])]
    measured = [row for row in rows if row["levels"]]
    loads = [{(v["workload"], v["intended"]) for v in row["levels"]} for row in measured]
    for workload, load in sorted(set.intersection(*loads), reverse=True)[:1] if loads else []:
        at = [
            next((v for v in row["levels"] if (v["workload"], v["intended"]) == (workload, load)), None) for row in rows
        ]
        kind = {"value": load, "unit": "users" if workload == "closed" else "rps"}
        for what, (column, unit) in COLUMNS.items():
            points = [_point(level, column, unit) if level else None for level in at]
            found.append(_series(what, kind, unit, rows, points))
    return [series for series in found if any(value_of(p) is not None for p in series["points"])]


def _point(level: Mapping[str, Any], column: str, unit: str) -> dict[str, Any]:
    """A level's value with its interval, which summaries of earlier versions lack."""
    low, high = (level.get("intervals") or {}).get(column, (None, None))
    return number(level[column], low, high, unit=unit)


def _series(
    what: str, load: Mapping[str, Any] | None, unit: str, rows: Sequence[Mapping[str, Any]], points: Sequence[Any]
) -> dict[str, Any]:
    known = [(row["number"], value_of(p)) for row, p in zip(rows, points, strict=True) if value_of(p) is not None]
    changes = [
        {"number": known[c.index][0], "p": c.p, "before": number(c.before, unit=unit),
         "after": number(c.after, unit=unit), "change": number(c.change, unit="ratio")}
        for c in change_points([value for _, value in known])
    ]  # fmt: skip
    return {"what": what, "load": load, "unit": unit, "points": list(points), "changes": changes}
