"""Notebook 10 as a document: the test plan that a reviewer can approve, section by section."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from genkai.capacity import estimate_capacity
from genkai.pages import plan as parts
from genkai.pages import plan_tables as tables
from genkai.pages.plan_gaps import gaps
from genkai.plan import STEPS
from genkai.planfile import read_plan
from genkai.report.display import Bullets, Contents, Displayed, Document, Heading, KeyFigures, Paragraph, Text
from genkai.report.messages import Messages
from genkai.report.sections.results import load_table
from genkai.study import Study, facts, find_cycle, read_study
from genkai.workspace import Cycle


def open_plan(cycle: str = "", plan: str = "") -> Study:
    """The cycle's frozen plan, or that of a plan file. Raises PlanError, WorkspaceError, StudyError."""
    return Study(Cycle(Path()), read_plan(plan), ()) if plan else read_study(find_cycle(cycle))


class PlanDocument:
    """The sections of the test plan in one language."""

    def __init__(self, study: Study, lang: str = "en") -> None:
        self.study, self.lang, self.m = study, lang, Messages(lang)
        self.plan = study.plan

    @cached_property
    def setup(self) -> dict[str, Any]:
        """Conditions, and the load of each step."""
        return facts.setup_record(self.study)

    @property
    def frozen(self) -> bool:
        """Whether the plan belongs to a cycle."""
        return (self.study.cycle.path / "cycle.json").is_file()

    @property
    def load_s(self) -> float:
        """Seconds of load of all runs, with the generator's own ceiling."""
        return sum(step["duration_s"] for step in self.setup["steps"]) + self.ceiling_s

    @property
    def ceiling_s(self) -> float:
        """Seconds of load for the generator's own ceiling, which no level of a step has."""
        verify = self.plan.step_named("verify")
        twice = 1 if self.plan.generator.processes == 1 else 2  # one process, then all
        return verify.ceiling_s * twice if verify else 0.0

    def cover(self) -> Contents:
        """Title, what is asked in one paragraph, and the numbers that decide."""
        plan, m = self.plan, self.m
        document = Document(
            title=plan.title or plan.name, language=self.lang, kind="plan", plan=plan.name, plan_hash=plan.digest(),
            cycle=self.study.cycle.number if self.frozen else None,
            environment=facts.environment_line(plan, m("word.semicolon")),
        )  # fmt: skip
        runs = sum(len(plan.runs_of(step)) for step in STEPS)
        summary = m.text(
            "plan_doc.summary", title=plan.title or plan.name, target=self._rps(self.study.target_rps), runs=runs,
            duration=self.load_s, steps=len(self.setup["steps"]),
        )  # fmt: skip
        return Contents([document, Paragraph(summary, m), KeyFigures(self._key_figures(runs), m)], m)

    def _key_figures(self, runs: int) -> list[tuple[str, Any, str]]:
        m, found = self.m, estimate_capacity(parts.estimate_of(self.plan))
        note = m("plan_doc.key.stated")
        if self.plan.targets.throughput_rps is None:
            note = m("plan_doc.key.range", range=parts.target_record(found))
        rows: list[tuple[str, Any, str]] = [
            (m("plan_doc.key.target"), {"value": self.study.target_rps, "unit": "rps"}, note)
        ]
        limits = list(self.plan.targets.response_times_s().items())
        for name, limit in [x for x in limits if x[0] == "p95_s"] or limits[-1:]:
            title = m("plan_doc.key.response", quantile=name.removesuffix("_s"))
            at_most = m("number.at_most", value=m.format(limit, "time"))
            rows.append((title, at_most, m("plan_doc.key.response_note")))
        errors = m("number.at_most", value=m.format(self.plan.targets.error_ratio, "percent"))
        rows.append((m("plan_doc.key.errors"), errors, m("plan_doc.key.errors_note")))
        duration = m.format(self.load_s, "duration")
        return [*rows, (m("plan_doc.key.duration"), duration, m("plan_doc.key.duration_note", runs=runs))]

    def aims(self) -> Contents:
        """Purposes, scope and preconditions."""
        return self._section("aims", [tables.purposes(self.m, self.plan), parts.conditions(self.study, self.lang)])

    def target(self) -> Contents:
        """The estimate with its figure and its sensitivity, and what each API must keep."""
        m, shown = self.m, []
        if self.plan.estimate is None or self.plan.targets.throughput_rps is not None:
            shown.append(Paragraph(m.text("plan_doc.stated", target=self._rps(self.study.target_rps)), m))
        if self.plan.estimate is not None:
            shown += [parts.capacity(self.study, self.lang), Paragraph(m.text("plan_doc.estimate_read"), m)]
            shown += [parts.tornado(self.study, self.lang), Paragraph(m.text("plan_doc.tornado_read"), m)]
        machines = tables.machine_targets(m, self.plan)
        return self._section("target", [*shown, parts.split(self.study, self.lang), *filter(None, [machines])])

    def environment(self) -> Contents:
        """What is tested, how it differs from production, and with which tools."""
        m, told = self.m, self.plan.environment.differences
        shown = [found] if (found := tables.environment(m, self.plan)) else []
        if told:  # in words; the table marks what differs by its values
            shown += [Paragraph(m.text("plan_doc.differences"), m, lead=True), Bullets(told, messages=m)]
        elif facts.differences(self.plan):
            shown.append(Paragraph(m.text("plan_doc.marked"), m))
        else:
            shown.append(Paragraph(m.text("plan_doc.no_difference"), m))
        return self._section("environment", [*shown, tables.tools(m, self.study)])

    def load(self) -> Contents:
        """Scenarios and why, what each step asks, its levels, duration and load curve."""
        m, plan = self.m, self.plan
        mix = tables.scenarios(m, plan) if plan.scenarios else Paragraph(m.text("plan_doc.no_scenario"), m)
        levels = load_table(m, self.setup["steps"], m("caption_plan.load"))
        said = "plan_doc.total_ceiling" if self.ceiling_s else "plan_doc.total"
        total = Paragraph(m.text(said, duration=self.load_s, ceiling=self.ceiling_s), m)
        shown = [mix, tables.questions(m, plan), levels, total, Paragraph(m.text("plan_doc.warm_up"), m)]
        return self._section("load", [*shown, parts.load_curves(self.study, self.lang)])

    def watch(self) -> Contents:
        """Monitoring items with source and threshold, and the safety rules."""
        m = self.m
        watched = [tables.monitoring(m, self.study), Paragraph(m.text("plan_doc.watch_read"), m)]
        safety = self._section("safety", [tables.safety(m, self.plan)])
        return Contents([self._section("watch", watched), safety], m)

    def agreement(self) -> Contents:
        """Schedule, roles with room for approval, open questions, actions."""
        m, plan = self.m, self.plan
        made = {"schedule": tables.schedule, "roles": tables.roles, "actions": tables.actions}
        shown: list[Displayed] = [make(m, plan) for name, make in made.items() if getattr(plan, name)]
        if not plan.actions:
            shown.append(Paragraph(m.text("plan_doc.no_actions"), m))
        questions = [*map(Text.plain, plan.open_questions), *gaps(m, plan, tables.unwatched(m, plan))]
        if not questions:
            return self._section("agreement", [*shown, Paragraph(m.text("plan_doc.no_open_questions"), m)])
        asked = [Paragraph(m.text("plan_doc.questions"), m, lead=True), Bullets(questions, numbered=True, messages=m)]
        return self._section("agreement", [*shown, Heading(m("plan_doc.section.questions"), 2, m), *asked])

    def write(self) -> str:
        """results/capacity.json where the plan belongs to a cycle; what was written."""
        return str(parts.write(self.study)) if self.frozen else ""

    def _section(self, name: str, items: list[Displayed]) -> Contents:
        return Contents([Heading(self.m(f"plan_doc.section.{name}"), 1, self.m), *items], self.m)

    def _rps(self, value: float) -> str:
        return self.m.format({"value": value, "unit": "rps"})
