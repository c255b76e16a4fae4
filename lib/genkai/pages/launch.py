"""Notebook 20: what a step will do, what it does while it runs, and what came of it."""

from __future__ import annotations

from typing import Any

from genkai import figures
from genkai.analyse.intended_start import corrected_levels, think_time_s
from genkai.analyse.records import number
from genkai.pages.live import Live
from genkai.pages.plan import processes_said
from genkai.pages.verdicts import step_banner
from genkai.report.display import Bullets, Contents, Displayed, Figure, Paragraph
from genkai.report.messages import Messages
from genkai.report.sections.records import levels_table
from genkai.steps import check_step, write_verdict
from genkai.study import RunStudy, Study
from genkai.study.kept import kept

__all__ = ["Live", "ceiling", "levels", "planned", "seconds", "verdict"]


def planned(study: Study, step: str, lang: str = "en") -> Displayed:
    """The load of the step over time, and how long it will take. Raises StepError for no step at all."""
    check_step(step)
    m, part = Messages(lang), study.plan.step_named(step)
    if part is None:
        return Paragraph(m.text("page.step_not_planned", step=m(f"step.{step}")), m)
    subjects = study.plan.subjects(step)
    duration = part.duration_s * len(study.plan.runs_of(step))
    target = study.split.get(subjects[0]) or study.target_rps
    return Figure(
        figures.load_curve(part.levels, target, t=lang), label="fig-planned", messages=m,
        caption=m("caption.planned", step=m(f"step.{step}"), subjects=", ".join(subjects), duration=duration),
        alt=m("alt.load_curve", step=m(f"step.{step}"), n=len(part.levels)),
    )  # fmt: skip


def _every(study: Study, step: str) -> list[RunStudy]:
    """The step's runs at every size of the target, those at the base first."""
    return [run for run in study.every if run.step == step]


def levels(study: Study, step: str, lang: str = "en") -> Contents:
    """The levels table of each run of the step; of closed users another one, from their intended starts."""
    m, tables = Messages(lang), []
    for count, run in enumerate(_every(study, step), 1):
        if not len(run.marks):
            continue
        tables.append(levels_table(m, run.whole, m("caption.run_levels", subject=run.run.title), f"tab-levels-{count}"))
        pause_s = think_time_s(study.plan, step, run.subject)
        paced = corrected_levels(run.requests, run.whole, pause_s)
        if len(paced):
            caption = m("caption.paced_levels", subject=run.run.title, pause={"value": pause_s, "unit": "s"})
            tables.append(levels_table(m, paced, caption, f"tab-paced-{count}"))
    return Contents(tables or [Paragraph(m.text("page.nothing_ran", step=m(f"step.{step}")), m)], m)


def seconds(study: Study, step: str, lang: str = "en") -> Contents:
    """Throughput of each second with the window of each level that counts."""
    m, shown = Messages(lang), []
    for count, run in enumerate(_every(study, step), 1):
        if not len(run.requests):
            continue
        whole = run.seconds[run.seconds["api"] == "(all)"]
        shown.append(Figure(
            figures.windows(whole, run.whole, t=lang), label=f"fig-windows-{count}", messages=m,
            caption=m("caption.windows", subject=run.run.title), alt=m("alt.windows", n=len(run.whole)),
        ))  # fmt: skip
    return Contents(shown or [Paragraph(m.text("page.nothing_ran", step=m(f"step.{step}")), m)], m)


@kept
def ceiling(study: Study, lang: str = "en") -> Displayed:
    """The generator's own ceiling against the target, as the verify step measured it."""
    m, found = Messages(lang), study.ceiling
    if not found:
        return Paragraph(m.text("page.no_ceiling"), m)
    margin = study.plan.steps.verify.margin if study.plan.steps.verify else 1.5
    advice = [m.text(a["key"], **a["values"]) for a in found.get("advice") or []]
    records = ceiling_records(m, found)
    best = max(r["value"] for r in records.values())
    figure = Figure(
        figures.ceiling(records, study.target_rps, margin, t=lang), label="fig-ceiling", messages=m,
        caption=m("caption.ceiling"), alt=m("alt.ceiling", factor={"value": best / study.target_rps, "unit": "factor"}),
    )  # fmt: skip
    return Contents([figure, Bullets(advice, messages=m)], m) if advice else figure


def ceiling_records(m: Messages, found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """{set-up: number record in requests/s} of a ceiling record: what was put out, not what follows from it."""
    return {
        processes_said(m, part["processes"], "" if part["measured"] else "_at_least"): number(
            part["throughput_rps"], unit="rps"
        )
        for part in found.get("measurements") or [found]
    }


def verdict(study: Study, step: str, lang: str = "en") -> Contents:
    """The step's verdict, also written to results/step-<step>.json: it opens the gate to the next step."""
    return step_banner(write_verdict(study, step), lang)
