"""Comparison with the previous cycle, actions, what the report cannot say, appendix."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from genkai.report.displayed import Badge, Bullets, Contents, Displayed, Heading, Paragraph
from genkai.report.figure import Figure
from genkai.report.inline import Text
from genkai.report.messages import Messages
from genkai.report.sections.records import Record, levels_table, message, named, reference, subject
from genkai.report.table import Table

OVERALL = "(all)"
SPREADS = {"throughput": "throughput_rps", "p50": "p50_s", "p95": "p95_s"}


def comparison(m: Messages, record: Record | None, figures: Sequence[Figure] = ()) -> Contents:
    """Return "Compared with the previous cycle".

    `record` = {"before": 1, "after": 2, "minimum_effect": 0.05, "rows": [{"api", "what", "before", "after", "ratio",
    "verdict": better | same | worse | cannot_tell}], "changes": [{"what", "before", "after"}]}, or {"refused": {"key",
    "values"}}, or None in the first cycle. "passed_over": {"step", "subject", "cycles": [2]} where the newest
    cycle lacks the main run, without cycles where all do.
    """
    items: list[Displayed] = [Heading(m("section.comparison"), 1, m)]
    if record is None:
        return Contents([*items, Paragraph(m.text("comparison.first"), m)], m)
    passed = record.get("passed_over")
    if passed:
        key = "comparison.passed_over" if passed["cycles"] else "comparison.measured_nowhere"
        missing = subject(m, {"step": passed["step"], "api": passed["subject"]})
        numbers = m("word.comma").join(map(str, passed["cycles"]))
        items.append(Paragraph(m.text(key, missing=missing, cycles=numbers, before=record["before"]), m, lead=True))
    if record.get("refused"):
        items.append(Paragraph(m.text("comparison.refused", reason=record["refused"]), m))
    elif record.get("rows"):
        items.append(Paragraph(m.text("comparison.read", effect=record["minimum_effect"]), m, lead=True))
        items += [Paragraph(note, m) for note in _spread_notes(m, record)]
        items += [_comparison_table(m, record), *figures]
    if record.get("changes"):
        items.append(_changes_table(m, record["changes"]))
    return Contents(items, m)


def _spread_notes(m: Messages, record: Record) -> list[Text]:
    """How the verdicts came about: what is pooled, and whether the spread between runs was seen or is assumed."""
    notes = [m.text("comparison.overall")] if any(row.get("api") == OVERALL for row in record["rows"]) else []
    models = dict.fromkeys(named(m, "model", row["model"]) for row in record["rows"] if row.get("model"))
    notes += [m.text("comparison.one_model", model=model) for model in models]
    if "spread" not in record:
        return notes
    spread = {what: record["spread"][column] for what, column in SPREADS.items()}
    key = "comparison.observed" if record["freedom"] else "comparison.assumed"
    if not record["freedom"]:
        spread.pop("throughput")
        return [*notes, m.text(key, **spread)]
    return [*notes, m.text(key, freedom=record["freedom"], **spread)]


def _comparison_table(m: Messages, record: Record) -> Table:
    rows = [
        {
            "subject": subject(m, row),
            "quantity": named(m, "quantity", row["what"]),
            "before": row["before"],
            "after": row["after"],
            "change": row["ratio"],
            "verdict": Badge(row["verdict"], m),
        }
        for row in record["rows"]
    ]
    columns = {name: m(f"column.{name}") for name in rows[0]}
    caption = m("caption.comparison", before=record["before"], after=record["after"])
    formats = {"before": "number", "after": "number", "change": "measured"}
    return Table(
        rows,
        caption=caption,
        label="tab-comparison",
        columns=columns,
        formats=formats,
        widths={"subject": "1fr"},
        messages=m,
    )


def _changes_table(m: Messages, changes: Sequence[Record]) -> Table:
    columns = {name: m(f"column.{name}") for name in ("what", "before", "after")}
    said = {"True": "yes", "False": "no"}  # as a plan file says it
    rows = [
        {"what": _changed_what(m, change["what"]), **{s: said.get(change[s], change[s]) for s in ("before", "after")}}
        for change in changes
    ]
    widths = {"what": "1fr", "before": "1fr", "after": "1fr"}
    return Table(rows, caption=m("caption.changes"), label="tab-changes", columns=columns, widths=widths, messages=m)


def _changed_what(m: Messages, what: str) -> str:
    """A field of the plan by its path in the file; "runs of <step> <subject>" in words."""
    counted = re.fullmatch(r"runs of (\w+) (.+)", what)
    return m("comparison.runs_of", step=counted[1], subject=counted[2]) if counted else what


def actions(m: Messages, rows: Sequence[Record]) -> Contents:
    """Return "Actions".

    Rows are {"action": text or {"key", "values"}, "owner", "due", "outcome", "text_key", "values", "evidence": label or
    None, "shared_with": actions}; text_key: what shows the outcome, of an open action what will show it.
    """
    items: list[Displayed] = [Heading(m("section.actions"), 1, m)]
    if not rows:
        return Contents([*items, Paragraph(m.text("actions.none"), m)], m)
    cells = [
        {
            "action": _action(m, row["action"]),
            "owner": row.get("owner") or m("number.missing"),
            "due": row.get("due") or m("number.missing"),
            "outcome": Badge(row.get("outcome") or "open", m),
            "shown_by": outcome_text(m, row),
            "evidence": reference(m, row.get("evidence")),
        }
        for row in rows
    ]
    columns = {name: m(f"column.{name}") for name in cells[0]}
    if any(row.get("rows") for row in rows):
        items.append(Paragraph(m.text("actions.read"), m, lead=True))
    widths = {"action": "2fr", "shown_by": "4fr"}
    table = Table(cells, caption=m("caption.actions"), label="tab-actions", columns=columns, widths=widths, messages=m)
    return Contents([*items, table], m)


def outcome_text(m: Messages, row: Record) -> Text:
    """Return what shows an action's outcome, and what else was done that is judged by the same numbers."""
    if not row.get("text_key"):
        return Text.plain(m("number.missing"))
    between = m("actions.separator")
    values = {k: between.join(map(m.format, v)) if isinstance(v, list) else v for k, v in row["values"].items()}
    others = m("word.comma").join(m("actions.named", action=other) for other in row.get("shared_with") or [])
    return m.text(row["text_key"], **values) + (m.text("actions.shared", others=others) if others else Text.plain(""))


def _action(m: Messages, action: Any) -> Text | str:
    """What was planned as it was written; of a finding's remedy the first sentence, for the diagnosis has the whole."""
    return (
        m.text(action["key"], **(action.get("values") or {})).first_sentence()
        if isinstance(action, Mapping)
        else str(action)
    )


def limits(m: Messages, rows: Sequence[Record]) -> Contents:
    """Return "What this report cannot say": rows are {"text_key", "values"}."""
    texts = [message(m, row, "text_key") for row in rows]
    body: Displayed = Bullets(texts, messages=m) if texts else Paragraph(m.text("limits.none"), m)
    return Contents([Heading(m("section.limits"), 1, m), body], m)


def appendix(m: Messages, record: Record) -> Contents:
    """Return the appendix.

    `record` = {"levels": levels table, "settings": {name: value}, "versions": {name: version}, "plan_hash": text,
    "runs": [{"run_id", "step", "start", "end", "stop_reason"}]}.
    """
    items: list[Displayed] = [Heading(m("section.appendix"), 1, m)]
    levels = record.get("levels")
    if levels is not None and len(levels):
        items += [Heading(m("section.appendix_levels"), 2, m)]
        items.append(levels_table(m, levels, m("caption.all_levels"), "tab-all-levels"))
    if record.get("runs"):
        items += [Heading(m("section.appendix_runs"), 2, m), _runs_table(m, record["runs"])]
    items.append(Heading(m("section.appendix_settings"), 2, m))
    if record.get("plan_hash"):
        items.append(Paragraph(m.text("appendix.hash", hash=record["plan_hash"]), m))
    for name, heading in (("settings", "value"), ("versions", "version")):
        if record.get(name):
            items.append(_pairs_table(m, record[name], name, heading))
    return Contents(items, m)


def _runs_table(m: Messages, runs: Sequence[Record]) -> Table:
    rows = [
        {
            "run": str(run["run_id"]),
            "step": named(m, "step_short", run["step"]),
            "start": run.get("start"),
            "end": run.get("end"),
            "stop_reason": named(m, "run_state", run.get("stop_reason") or m("number.missing")),
        }
        for run in runs
    ]
    columns = {name: m(f"column.{name}") for name in rows[0]}
    formats = {"start": "datetime", "end": "datetime"}
    return Table(
        rows,
        caption=m("caption.runs"),
        label="tab-runs",
        columns=columns,
        formats=formats,
        widths={"run": "1fr"},
        messages=m,
    )


def _pairs_table(m: Messages, pairs: Mapping[str, Any], name: str, heading: str) -> Table:
    rows = [
        {"item": str(key), heading: m.format(value) if isinstance(value, list) else str(value)}
        for key, value in pairs.items()
    ]
    columns = {"item": m("column.item"), heading: m(f"column.{heading}")}
    widths = {"item": "1fr", heading: "2fr"}
    return Table(rows, caption=m(f"caption.{name}"), label=f"tab-{name}", columns=columns, widths=widths, messages=m)
