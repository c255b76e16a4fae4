"""Notebook 60: the cycle report, section by section, from the study and the cycle before it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pandas as pd

from genkai import figures
from genkai.analyse.intended_start import corrected_levels, think_time_s
from genkai.analyse.limit import beyond_measured, growth_of, stated
from genkai.analyse.machines import machine_levels
from genkai.pages import launch, limits, monitor, plan_tables, scale, search
from genkai.pages.diagnose import Diagnosis
from genkai.pages.drift import drift
from genkai.pages.history import history_figure, report_history
from genkai.pages.sizes import Sizes
from genkai.report import sections
from genkai.report.display import Contents, Displayed, Document, Figure, Heading
from genkai.report.messages import Messages
from genkai.report.sections.decision import MIXED
from genkai.report.sections.records import machine_quantity
from genkai.study import RunStudy, Study, facts, find_cycle, read_study
from genkai.study.actions import proposed_rows, taken_rows
from genkai.study.failure_kinds import failure_rows
from genkai.study.history import NAME as SUMMARY
from genkai.study.history import compared_with, summary_of
from genkai.study.repetitions import repetition_rows
from genkai.study.results import cycle_comparison, cycle_record

COMPARED = ("throughput", "p95", "error_ratio", "ceiling", "knee")
STEP_FIGURES = ("verify", "api", "scenario", "endurance")


class Report:
    """Everything of the report, computed when first asked for; figures in the report's language."""

    def __init__(self, study: Study, lang: str = "en") -> None:
        self.study, self.lang, self.m = study, lang, Messages(lang)

    @cached_property
    def _earlier(self) -> tuple[Study | None, dict[str, Any] | None]:
        return compared_with(self.study)

    @property
    def before(self) -> Study | None:
        """The finished cycle of the same plan that this one is compared with: see `compared_with`."""
        return self._earlier[0]

    @cached_property
    def comparison(self) -> dict[str, Any] | None:
        """This cycle against that one, or None in the first."""
        before, passed = self._earlier
        return {**cycle_comparison(before, self.study), "passed_over": passed} if before else None

    @cached_property
    def verdicts(self) -> dict[str, Any]:
        """Verdicts per target, purpose and step, and the sentence for all; each target refers to its evidence."""
        record = cycle_record(self.study, self.comparison, self.sizes.record)
        apis = self._apis(record["targets"])
        for row in record["targets"]:
            row["evidence"] = self._evidence(row, apis.get(row["step"]))
        return record

    def _evidence(self, row: dict[str, Any], apis: pd.DataFrame | None) -> str | None:
        """Label of the figure or table that shows what a target was judged by; apis: the rows of its step's table."""
        step = row["step"]
        if row["kind"] == "machine":  # its host may bear the name of an API
            return f"tab-machines-{step}"
        if apis is not None and row["api"] in set(apis["api"]):
            return f"tab-apis-{step}"
        shown = {"verify": "fig-ceiling" if self.study.ceiling else None, "api": "fig-apis", "scenario": "fig-scale"}
        return shown.get(step, f"tab-levels-{step}")

    @cached_property
    def scale(self) -> scale.Scale | None:
        """The run that shows the limit best, with its scale characteristic."""
        return scale.Scale(self.study) if _measured(self.study) else None

    @cached_property
    def sizes(self) -> Sizes:
        """The step that ran at several sizes of the target, if any did."""
        return Sizes(self.study)

    @cached_property
    def findings(self) -> dict[str, Any] | None:
        """The limit and its cause."""
        return Diagnosis(self.study).record if self.scale else None

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What the history needs of this cycle."""
        return summary_of(self.study, self.verdicts["overall"]["status"])

    @cached_property
    def history(self) -> dict[str, Any] | None:
        """All cycles of the plan up to this one, or None in the first."""
        return report_history(self.study, self.summary)

    @cached_property
    def actions(self) -> list[dict[str, Any]]:
        """The actions of the plan, and what became of each."""
        return taken_rows(self.study, self.before)

    def write(self) -> None:
        """results/verdicts.json, actions.json, comparison.json, summary.json and history.json."""
        self.study.cycle.write_result("actions", self.actions)
        self.study.cycle.write_result(SUMMARY, self.summary)
        for name, record in (("history", self.history), ("comparison", self.comparison)):
            if record:
                self.study.cycle.write_result(name, record)
            else:  # what an earlier report wrote speaks of cycles that are gone
                (self.study.cycle.results_dir / f"{name}.json").unlink(missing_ok=True)
        self.study.cycle.write_result("verdicts", self.verdicts)

    def document(self) -> Document:
        """The title block."""
        plan, window = self.study.plan, facts.window_of(self.study)
        environment = facts.environment_line(plan, self.m("word.semicolon"))
        return Document(
            title=plan.title or plan.name, language=self.lang, plan=plan.name, cycle=self.study.cycle.number,
            environment=environment, window=window, verdict=self.verdicts["overall"]["status"], plan_hash=plan.digest(),
        )  # fmt: skip

    def decision(self) -> Contents:
        """Page 1."""
        figure, fit = (self.scale.figure(self.lang), self.scale.fit) if self.scale else (None, None)
        page = sections.decision(self.m, self._called(self.verdicts), self.findings, figure, fit)
        return Contents([self.document(), page], self.m)

    def results(self) -> Contents:
        """What was tested and how, and each step."""
        shown = {step: self._step_figures(step) for step in STEP_FIGURES}
        setup = sections.conditions(self.m, facts.setup_record(self.study))
        again = {step: repetition_rows(self.study, step) for step in STEP_FIGURES}
        steps = sections.step_results(
            self.m,
            self._called(self.verdicts),
            self._levels(),
            shown,
            again,
            self._paced(),
            {step: failure_rows(self.study.shown(step)) for step in STEP_FIGURES},
            {step: self._called(machine_levels(self.study.plan, self.study.of(step))) for step in STEP_FIGURES},
            self._apis(self.verdicts["targets"]),
        )
        return Contents([setup, steps], self.m)

    def _called(self, found: Any) -> Any:
        """A record or rows, with the names of instances and metrics that figures have, wherever their ids stand."""
        if isinstance(found, str):
            return self._names.get(found, found)
        named = {key: self._called(value) for key, value in found.items()} if isinstance(found, dict) else found
        return [self._called(value) for value in found] if isinstance(found, list) else named

    @cached_property
    def _names(self) -> dict[str, str]:
        """{id of an instance, or label of a machine target: what figures call it}, of all runs of the cycle."""
        ids = limits.instance_names(self.scale.run, self.m, *self.study.runs) if self.scale else {}
        rows = self.verdicts["targets"]
        services = {row["api"] for row in rows if row["kind"] != "machine"}  # may bear such a name
        return {
            **{id_: name for key, name in ids.items() if (id_ := key.partition(":")[2]) not in services},
            **{row["values"]["metric"]: machine_quantity(self.m, row) for row in rows if row["kind"] == "machine"},
        }

    def explanation(self) -> Contents:
        """Scale characteristics, machines, diagnosis."""
        if self.scale is None or self.findings is None:
            return Contents([], self.m)
        shown = [self.scale.hockey_stick(self.lang)]
        timeline = monitor.timeline(self.study, "", self.lang)
        machines = [timeline] if isinstance(timeline, Figure) else []
        watched, causes = self._machines(), Diagnosis(self.study).figures(self.lang)
        parts: list[Displayed] = [
            sections.scale(self.m, scale_record(self.scale), shown),
            *filter(None, [search.section(self.study, self.lang)]),
            self.sizes.section(self.lang),
            sections.monitoring(self.m, watched, machines),
            sections.diagnosis(self.m, self.findings, causes, watched["names"]),
        ]
        if self.study.of("endurance"):
            parts += [Heading(self.m("section.drift"), 1, self.m), drift(self.study, self.lang)]
        return Contents(parts, self.m)

    def _machines(self) -> dict[str, Any]:
        run = self.scale.run
        return {"use": monitor.use_rows(self.study, run), "names": limits.instance_names(run, self.m),
                **limits.rows_of(self.study, run)}  # fmt: skip

    def closing(self) -> Contents:
        """Comparison, actions, reservations, appendix."""
        appendix = facts.appendix_record(self.study)
        appendix["settings"] |= plan_tables.safety_settings(self.m, self.study.plan)
        parts = [
            sections.comparison(self.m, self._compared(), self._comparison_figures()),
            sections.history(self.m, self.history, self._history_figures()),
            sections.actions(self.m, [*self.actions, *proposed_rows(self.study, self.findings)]),
            sections.limits(self.m, facts.limit_rows(self.study)),
            sections.appendix(self.m, appendix),
        ]
        return Contents(parts, self.m)

    def _compared(self) -> dict[str, Any] | None:
        """The comparison's main rows, the mix first; every row is in results/comparison.json."""
        if not self.comparison or self.comparison.get("refused"):
            return self.comparison
        rows = [r for r in self.comparison["rows"] if r["api"] == r["subject"] and r["what"] in COMPARED]
        order = (*STEP_FIGURES, None)  # what is told of all comes first
        return {**self.comparison, "rows": sorted(rows, key=lambda r: -order.index(r["step"]))}

    def _paced(self) -> dict[str, pd.DataFrame]:
        """The corrected rows of closed users, of the steps whose plan asks for them."""
        plan = self.study.plan
        asked = [step for step in STEP_FIGURES if (part := plan.step_named(step)) and part.intended_starts]
        rows = {
            step: [corrected_levels(r.requests, r.whole, think_time_s(plan, step, r.subject))
                   for r in self.study.shown(step)] for step in asked
        }  # fmt: skip
        return {step: pd.concat(found, ignore_index=True) for step, found in rows.items() if found}

    def _levels(self) -> dict[str, pd.DataFrame]:
        return {
            step: pd.concat([r.whole for r in runs], ignore_index=True)
            for step in STEP_FIGURES
            if (runs := self.study.shown(step))
        }

    def _apis(self, targets: list[dict[str, Any]]) -> dict[str, pd.DataFrame]:
        """Each API of a mix at the levels that its target rows speak of; no other figure or table shows them."""
        found = {}
        for step in MIXED:
            runs = self.study.shown(step)
            whole = {r.subject for r in runs}
            judged = {row["level"] for row in targets
                      if row["step"] == step and row["kind"] != "machine" and row["api"] not in whole}  # fmt: skip
            rows = [r.levels[(r.levels["api"] != r.subject) & r.levels["level"].isin(judged)] for r in runs]
            if sum(map(len, rows)):
                found[step] = pd.concat(rows, ignore_index=True)
        return found

    def _step_figures(self, step: str) -> list[Figure]:
        if step == "verify" and self.study.ceiling:
            return [launch.ceiling(self.study, self.lang)]
        if step == "api" and self.study.of("api"):
            return [scale.apis(self.study, self.lang)]
        if self.scale and step == self.scale.run.step:  # what counted of each second, beside the table made of it
            return [self.scale.windows(self.lang)]
        return []

    def _history_figures(self) -> list[Figure]:
        few = self.history is None or len(self.history["cycles"]) < self.history["least"]
        return [] if few else [history_figure(self.history, self.study, self.lang)]

    def _comparison_figures(self) -> list[Figure]:
        if not self.before or not self.comparison or self.comparison.get("refused"):
            return []
        now, then = self.scale.run, _same_run(self.before, self.scale.run)
        if then is None:
            return []
        names = [self.m("page.cycle_name", number=s.cycle.number) for s in (self.before, self.study)]
        drawn = figures.compare(
            then.whole, now.whole, [], target_rps=self.study.stated_of(now), target_p95_s=self.scale.target_p95_s,
            name_a=names[0], name_b=names[1], t=self.lang,
        )  # fmt: skip
        caption = self.m("caption.compare", before=self.before.cycle.number, after=self.study.cycle.number)
        return [Figure(drawn, label="fig-compare", caption=caption, alt=self.m("alt.compare"), messages=self.m)]


def analyse(cycle: str) -> None:
    """Compute what the reports of a cycle need in any language: it is kept with the study, here and in forks."""
    report = Report(read_study(find_cycle(cycle)))
    _ = report.verdicts, report.findings, report.history, report.actions


def scale_record(shown: scale.Scale) -> dict[str, Any]:
    """The fit under the names that the report's section reads."""
    fit = shown.fit
    left_out = fit.get("left_out") or []
    names = {"knee": "knee_load", "ceiling": "ceiling_rps", "peak": "peak_throughput_rps"}
    warnings, known = fit.get("warnings") or [], stated(fit)
    limits = {name: known[key] for name, key in names.items()}
    if beyond_measured(fit):
        limits["ceiling_model"] = limits.pop("ceiling")
    return {
        "model": fit.get("model"), "runner_up": fit.get("runner_up"), "growth": growth_of(fit), **limits,
        "costs": fit.get("costs"), "highest_load": fit.get("highest_load"), "load_unit": fit.get("load_unit"),
        "generator_excluded": {"value": len(left_out), "unit": "count"} if left_out else None,
        "reason": warnings[0] if warnings and not fit.get("model") else None,
        "warnings": warnings if fit.get("model") else [],
    }  # fmt: skip


def _measured(study: Study) -> bool:
    return any(len(r.marks) for r in study.runs)


def _same_run(study: Study, run: RunStudy) -> RunStudy | None:
    return next((r for r in study.runs if r.run.name == run.run.name and len(r.marks)), None)
