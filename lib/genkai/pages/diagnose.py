"""Notebook 50: the answer in one sentence, the findings with their evidence, what was ruled out or not measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genkai import figures
from genkai.analyse.records import value_of
from genkai.figures.fits import stall_start
from genkai.pages.drift import drift
from genkai.pages.limits import instance_names
from genkai.report.display import Bullets, Contents, Displayed, Figure, Paragraph
from genkai.report.messages import Messages
from genkai.report.sections.explanation import finding_display
from genkai.report.sections.records import message, use_table
from genkai.study import RunStudy, Study
from genkai.study.evidence import evidence_series
from genkai.study.kept import kept
from genkai.study.results import findings_of, fit_run


class Diagnosis:
    """One run with its findings: diagnosed once, shown in several ways."""

    def __init__(self, study: Study, step: str = "") -> None:
        self.study = study
        self.run: RunStudy = study.main(step)
        self.record: dict[str, Any] = findings_of(study, self.run)

    def answer(self, lang: str = "en") -> Displayed:
        """One sentence: what stops it; and one whether the load generator is to be trusted."""
        m, generator = Messages(lang), self.record["generator"]
        said = [Paragraph(message(m, self.record, "answer_key"), m, lead=True)]
        return Contents([*said, *([Paragraph(message(m, generator, "text_key"), m)] if generator else [])], m)

    def findings(self, lang: str = "en") -> Displayed:
        """Each finding: claim, strength, evidence, remedy, risk, how to verify."""
        m = Messages(lang)
        names = instance_names(self.run, m)
        shown = [finding_display(m, f, names) for f in self.record["findings"]]
        return Contents(shown or [Paragraph(m.text("page.no_finding"), m)], m)

    def evidence(self, lang: str = "en") -> Displayed:
        """The suspect beside the others against the load, one figure a finding."""
        m, shown = Messages(lang), self.figures(lang)
        return Contents(shown or [Paragraph(m.text("page.no_evidence"), m)], m)

    @kept
    def figures(self, lang: str = "en") -> list[Figure]:
        """A figure for each finding whose evidence has series."""
        return evidence_figures(self.run, self.record, lang, fit_run(self.study, self.run))

    def drift(self, lang: str = "en") -> Displayed:
        """What changes over time in the endurance step."""
        return drift(self.study, lang, told=self.run.step == "endurance")

    def ruled_out(self, lang: str = "en") -> Displayed:
        """Utilisation, saturation and errors of what is not the cause."""
        m, rows = Messages(lang), self.record["ruled_out"]
        if not rows:
            return Paragraph(m.text("page.nothing_ruled_out"), m)
        return use_table(m, rows, m("caption.looked_at"), "tab-ruled-out", reasons=True)

    def not_measured(self, lang: str = "en") -> Displayed:
        """What could not be looked at, and how to switch it on."""
        m, rows = Messages(lang), self.record["not_measured"]
        if not rows:
            return Paragraph(m.text("page.all_measured"), m)
        return Bullets([m.text("diagnosis.not_measured_item", what=m(r["what"]), how=m(r["how_key"])) for r in rows],
                       messages=m)  # fmt: skip


def evidence_figures(
    run: RunStudy, record: dict[str, Any], lang: str = "en", fit: Mapping[str, Any] | None = None
) -> list[Figure]:
    """A figure for each finding whose evidence has series.

    fit: the run's scalability record; where it has a knee, the figures show it as the scale characteristic does.
    """
    m, shown = Messages(lang), []
    fitted, seen = stall_start(fit or {}), value_of((record.get("values") or {}).get("knee_load"))
    stall = fitted if math.isfinite(fitted) else seen
    for finding in record["findings"]:
        series = evidence_series(run, finding)
        label = next((e["figure"] for e in finding["evidence"] if e.get("figure")), None)
        if not len(series) or label is None:
            continue
        cause = m(f"cause.{finding['cause']}.name")
        workload = str(run.whole["workload"].iloc[0])
        series = series.assign(resource=series["resource"].replace(instance_names(run, m)))
        drawn = figures.evidence(series, stall_load=stall, workload=workload, t=lang)
        alt = m("alt.evidence", cause=cause, n=series["metric"].nunique())
        shown.append(Figure(drawn, label=label, caption=m("caption.evidence", cause=cause), alt=alt, messages=m))
    return shown


def write(study: Study) -> Path:
    """results/findings.json: {run: findings record} of every run that was measured."""
    found = {r.run.name: findings_of(study, r) for r in study.runs if len(r.marks)}
    return study.cycle.write_result("findings", found)
