"""The whole cycle report in its order, for notebook 60 and for `genkai report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genkai.report.displayed import Contents, Displayed
from genkai.report.document import Document
from genkai.report.figure import Figure
from genkai.report.messages import Messages
from genkai.report.sections import closing, decision, explanation, results
from genkai.report.sections.records import Record, require


def cycle_report(
    document: Document, records: Record, figures: Mapping[str, Sequence[Figure]] | None = None
) -> Contents:
    """Return the cycle report: page 1 is the decision, then the sections in reading order.

    `records` = {"verdicts", "findings", "setup", "levels": {step: levels}, "scale", "monitoring", "comparison",
    "actions", "limits", "appendix"}; a section whose record is absent is left out (comparison: first cycle).
    `figures` maps "decision", "setup", a step, "scale", "monitoring", "diagnosis", "comparison" to its figures.
    """
    m, shown = Messages(document.language), figures or {}
    verdicts, findings = require(records, "verdicts", "report"), records.get("findings")
    first = next(iter(shown.get("decision", ())), None)
    items: list[Displayed] = [document, decision.decision(m, verdicts, findings, first)]
    if records.get("setup"):
        items.append(results.conditions(m, records["setup"], shown.get("setup", ())))
    items.append(results.step_results(m, verdicts, records.get("levels"), shown))
    if records.get("scale"):
        items.append(explanation.scale(m, records["scale"], shown.get("scale", ())))
    if records.get("monitoring"):
        items.append(explanation.monitoring(m, records["monitoring"], shown.get("monitoring", ())))
    if findings:
        items.append(explanation.diagnosis(m, findings, shown.get("diagnosis", ())))
    items.append(closing.comparison(m, records.get("comparison"), shown.get("comparison", ())))
    items.append(closing.actions(m, records.get("actions") or []))
    items.append(closing.limits(m, records.get("limits") or []))
    if records.get("appendix"):
        items.append(closing.appendix(m, records["appendix"]))
    return Contents(items, Messages(document.language))
