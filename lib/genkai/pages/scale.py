"""Notebook 40: how throughput and response time follow the load, where the line bends, and what the limit is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from genkai import figures
from genkai.analyse.limit import stated
from genkai.pages import sizes
from genkai.report.display import Contents, Displayed, Figure, Paragraph, Table
from genkai.report.messages import Messages
from genkai.report.sections.explanation import costs_said
from genkai.report.sections.records import levels_table, message, named
from genkai.study import RunStudy, Study
from genkai.study.kept import kept
from genkai.study.results import fit_run


class Scale:
    """One run, its scalability record and its levels with intervals: fitted once, shown in several ways."""

    def __init__(self, study: Study, step: str = "") -> None:
        self.study = study
        self.run: RunStudy = study.main(step)
        self.fit: dict[str, Any] = fit_run(study, self.run)
        self.levels: pd.DataFrame = self.run.whole
        limits = study.plan.targets_for(self.run.subject).response_times_s()
        self.target_p95_s: float | None = limits.get("p95_s")

    def table(self, lang: str = "en") -> Table:
        """The subject's levels."""
        m = Messages(lang)
        return levels_table(m, self.run.whole, m("caption.run_levels", subject=self.run.subject), "tab-scale-levels")

    @kept
    def windows(self, lang: str = "en") -> Figure:
        """Throughput of each second, with what counts and what was cut."""
        m = Messages(lang)
        whole = self.run.seconds[self.run.seconds["api"] == "(all)"]
        return Figure(
            figures.windows(whole, self.run.whole, t=lang), label="fig-windows", messages=m,
            caption=m("caption.windows", subject=self.run.subject), alt=m("alt.windows", n=len(self.run.whole)),
        )  # fmt: skip

    @kept
    def figure(self, lang: str = "en", label: str = "fig-scale") -> Figure:
        """The scale characteristic: the figure that a stakeholder reads the limit from."""
        m = Messages(lang)
        drawn = figures.scale(
            self.levels, self.fit, None, self.study.stated_of(self.run), target_p95_s=self.target_p95_s, t=lang
        )  # fmt: skip
        return Figure(
            drawn, label=label, messages=m, caption=m("caption.scale_figure", subject=self.run.subject),
            alt=m("alt.scale", n=len(self.levels)) + (m("alt.scale_open") if figures.open_ended(self.fit) else ""),
        )  # fmt: skip

    @kept
    def hockey_stick(self, lang: str = "en") -> Figure:
        """Response time against throughput."""
        m = Messages(lang)
        drawn = figures.hockey_stick(
            self.levels, self.study.stated_of(self.run), self.target_p95_s, fit=self.fit, t=lang
        )
        return Figure(
            drawn, label="fig-hockey-stick", messages=m, caption=m("caption.hockey_stick", subject=self.run.subject),
            alt=m("alt.hockey_stick", n=len(self.levels)),
        )  # fmt: skip

    def facts(self, lang: str = "en") -> Displayed:
        """Model, knee and limit with their intervals, and the reservations."""
        m, fit = Messages(lang), self.fit
        warnings = [message(m, w) for w in fit.get("warnings") or []]
        if not fit.get("model"):
            return Contents([Paragraph(w, m) for w in warnings], m)
        rows = [{"quantity": m("scale.model"), "value": named(m, "model", fit["model"])}]
        if fit.get("runner_up"):
            rows.append({"quantity": m("scale.runner_up"), "value": named(m, "model", fit["runner_up"])})
        shown = {**fit["parameters"], **stated(fit)}
        rows += [
            {"quantity": named(m, "scale_row", k), "value": m.format(v, "measured")} for k, v in shown.items() if v
        ]
        table = Table(
            rows, caption=m("caption.scale"), label="tab-scale", messages=m, widths={"quantity": "1fr", "value": "1fr"},
            columns={"quantity": m("column.quantity"), "value": m("column.value")},
        )  # fmt: skip
        said = [*costs_said(m, fit), *(Paragraph(w, m) for w in warnings)]
        return Contents([table, *said, self.efficiency(lang)], m)

    @kept
    def efficiency(self, lang: str = "en") -> Figure:
        """Throughput for each unit of load, as a share of what the first level gave."""
        m = Messages(lang)
        return Figure(
            figures.efficiency(self.levels, t=lang), label="fig-efficiency", messages=m,
            caption=m("caption.efficiency", subject=self.run.subject), alt=m("alt.efficiency", n=len(self.levels)),
        )  # fmt: skip


@kept
def apis(study: Study, lang: str = "en") -> Displayed:
    """Each API by itself: throughput and p95 against its arrival rate."""
    m, runs = Messages(lang), study.shown("api")
    if not runs:
        return Paragraph(m.text("page.nothing_ran", step=m("step.api")), m)
    whole = pd.concat([r.whole for r in runs], ignore_index=True)
    targets = {
        r.subject: {
            "throughput_rps": study.target_of(r),
            "p95_s": study.plan.targets_for(r.subject).response_times_s().get("p95_s"),
        }
        for r in runs
    }
    return Figure(
        figures.api_steps(whole, targets, t=lang), label="fig-apis", messages=m, caption=m("caption.apis"),
        alt=m("alt.apis", apis=", ".join(targets)),
    )  # fmt: skip


def write(study: Study) -> Path:
    """results/scale.json: {run: scalability record} of every run with levels enough to speak of; sizes.json."""
    sizes.write(study)
    runs = [r for r in study.runs if r.step in ("api", "scenario") and len(r.marks)]
    return study.cycle.write_result("scale", {r.run.name: fit_run(study, r) for r in runs})
