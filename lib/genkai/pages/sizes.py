"""Notebook 40 and the report: how the target scales with its size."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from genkai import figures
from genkai.report.display import Contents, Figure, Paragraph
from genkai.report.messages import Messages
from genkai.report.sections.sizes import answer, sizes, sizes_table
from genkai.study import Study
from genkai.study.sizes import findings_of_largest, main_scale_out, scale_out_of, sized_runs, sized_subjects


class Sizes:
    """The most telling step that ran at several sizes: analysed once, shown in several ways."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.record: dict[str, Any] | None = main_scale_out(study)

    @cached_property
    def largest(self) -> dict[str, Any] | None:
        """What limits the largest size."""
        return findings_of_largest(self.study, self.record["step"], self.record["subject"]) if self.record else None

    def section(self, lang: str = "en") -> Contents:
        """The report's section, or nothing."""
        shown = [self.maximum(lang), self.curves(lang), self.economy(lang)] if self.record else []
        return sizes(Messages(lang), self.record, shown, self.largest)

    def shown(self, lang: str = "en") -> Contents:
        """Answer, figures and table for the notebook, or why there are none."""
        m = Messages(lang)
        if self.record is None:
            return Contents([Paragraph(m.text("sizes.none"), m)], m)
        lead = Paragraph(answer(m, self.record), m, lead=True)
        figures_of = [self.maximum(lang), self.curves(lang), self.economy(lang)]
        return Contents([lead, *figures_of, sizes_table(m, self.record)], m)

    def maximum(self, lang: str = "en") -> Figure:
        """The maximum of each size, the model over sizes, the target."""
        drawn = figures.size_maximum(self.record, t=lang)
        return self._figure(drawn, "maximum", lang)

    def curves(self, lang: str = "en") -> Figure:
        """Throughput against load at each size."""
        runs = sized_runs(self.study, self.record["step"], self.record["subject"])
        levels = {size: run.whole for size, run in runs.items()}
        best = {r["size"]: r["maximum_rps"]["value"] for r in self.record["rows"] if r["maximum_rps"]}
        drawn = figures.size_curves(levels, self.record["target_rps"], self.record["unit"], best, t=lang)
        return self._figure(drawn, "curves", lang)

    def economy(self, lang: str = "en") -> Figure:
        """Efficiency and cost of each size."""
        drawn = figures.size_economy(self.record, self.study.plan.scaling.least_efficiency, t=lang)
        return self._figure(drawn, "economy", lang)

    def _figure(self, drawn: Any, name: str, lang: str) -> Figure:
        m = Messages(lang)
        values = {"subject": self.record["subject"], "n": len(self.record["rows"])}
        return Figure(drawn, label=f"fig-size-{name}", messages=m, caption=m(f"caption.size_{name}", **values),
                      alt=m(f"alt.size_{name}", **values))  # fmt: skip


def write(study: Study) -> Path | None:
    """results/sizes.json: {step/subject: record} of everything that ran at several sizes; None where nothing did."""
    found = {"/".join(pair): scale_out_of(study, *pair) for pair in sized_subjects(study)} if study.resized else {}
    return study.cycle.write_result("sizes", found) if found else None
