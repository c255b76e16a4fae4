"""The history of a plan's cycles: figure and section of the report, `genkai history`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genkai import figures
from genkai.figures.history import MOST, changes_shown
from genkai.pages.comparison import aligned
from genkai.planfile import read_plan
from genkai.report.display import Figure
from genkai.report.messages import Messages
from genkai.report.sections.history import change_texts, cycles_table
from genkai.study import CYCLES, Study, StudyError
from genkai.study.history import earlier_cycles, history_of
from genkai.workspace import cycles


def history_record(plan_file: Path) -> dict[str, Any]:
    """The history of every reported cycle of a plan. Raises PlanError, StudyError where there is none."""
    name = read_plan(plan_file, to_run=False).name
    found = [c for c in cycles(CYCLES / name) if c.result("verdicts.json").exists()]
    if not found:
        raise StudyError(f"history: expected a reported cycle of plan {name} under {CYCLES}, got none; "
                         f"start one with: genkai cycle {plan_file}")  # fmt: skip
    return history_of(found)


def history_text(record: Mapping[str, Any], lang: str = "en") -> str:
    """The record for a terminal: a line a cycle, then the change points."""
    m = Messages(lang)
    told = [str(text) for text in change_texts(m, record)]
    return "\n".join([aligned(cycles_table(m, record["cycles"])), "", *told])


def report_history(study: Study, newest: Mapping[str, Any]) -> dict[str, Any] | None:
    """The history up to the study's cycle, newest being its summary; None for the first one."""
    earlier = earlier_cycles(study.cycle)
    return history_of([*earlier, study.cycle], newest) if earlier else None


def history_figure(record: Mapping[str, Any], study: Study, lang: str = "en") -> Figure:
    """The cycles in a row with their change points."""
    m = Messages(lang)
    target_p95_s = study.plan.targets.response_times_s().get("p95_s")
    numbers = [row["number"] for row in record["cycles"]]
    drawn = figures.history(
        numbers, record["series"], target_rps=study.target_rps, target_p95_s=target_p95_s, t=lang,
    )  # fmt: skip
    found = sum(len(changes_shown(series, numbers)) for series in record["series"])
    n = min(len(numbers), MOST)
    caption, alt = m("caption.history", n=n), m("alt.history", n=n, found=found)
    return Figure(drawn, label="fig-history", messages=m, caption=caption, alt=alt)
