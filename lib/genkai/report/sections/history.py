"""The cycles of the plan in a row, and where their level changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genkai.report.displayed import Badge, Bullets, Contents, Displayed, Heading, Paragraph
from genkai.report.figure import Figure
from genkai.report.inline import Text
from genkai.report.messages import Messages
from genkai.report.sections.records import Record
from genkai.report.table import Table

MOST_CHANGES = 3  # names of changed fields that one cell holds


def history(m: Messages, record: Record | None, figures: Sequence[Figure] = ()) -> Contents:
    """Return "History of the cycles"; nothing for fewer cycles than change points need.

    `record` = {"cycles": [{"number", "status", "limit", "target_rps", "actions", "changes"}], "series": [{"what",
    "changes"}], "least", "max_p", "minimum_effect"}.
    """
    if record is None or len(record["cycles"]) < record["least"]:
        return Contents([], m)
    read = m.text("history.read", p=f"{record['max_p']:g}", effect=record["minimum_effect"])
    items: list[Displayed] = [Heading(m("section.history"), 1, m), Paragraph(read, m, lead=True)]
    items += [Bullets(change_texts(m, record), messages=m), *figures, cycles_table(m, record["cycles"])]
    return Contents(items, m)


def change_texts(m: Messages, record: Record) -> list[Text]:
    """A sentence a change point; one that says that there is none."""
    told = [
        m.text("history.found", what=series["what"], cycle=str(change["number"]),
               **{name: change[name] for name in ("change", "before", "after")})
        for series in record["series"] for change in series["changes"]
    ]  # fmt: skip
    return told or [m.text("history.none", n=len(record["cycles"]))]


def cycles_table(m: Messages, cycles: Sequence[Record]) -> Table:
    """Return the table of the cycles: verdict, limit, target, what was done and what else changed before each."""
    rows = [
        {
            "cycle": str(row["number"]),
            "verdict": Badge(row["status"] or "not_run", m),
            "limit_found": row["limit"],
            "target": {"value": row["target_rps"], "unit": "rps"},
            "actions_taken": "; ".join(row["actions"]) or m("number.missing"),
            "changes": _named(row["changes"]) or m("number.missing"),
        }
        for row in cycles
    ]
    columns = {name: m(f"column.{name}") for name in rows[0]}
    return Table(
        rows, caption=m("caption.history_cycles"), label="tab-history", columns=columns, messages=m,
        formats={"limit_found": "measured"}, widths={"actions_taken": "3fr", "changes": "2fr"},
    )  # fmt: skip


def _named(changes: Sequence[str]) -> str:
    more = len(changes) - MOST_CHANGES
    return ", ".join(changes[:MOST_CHANGES]) + (f" (+{more})" if more > 0 else "")


def change_sentences(record: Mapping[str, Any], languages: Sequence[str]) -> list[dict[str, str]]:
    """[{language: sentence}] of each change point, for verdict.json and the index."""
    if len(record["cycles"]) < record["least"] or not any(s["changes"] for s in record["series"]):
        return []
    told = {lang: change_texts(Messages(lang), record) for lang in languages}
    return [dict(zip(told, map(str, texts), strict=True)) for texts in zip(*told.values(), strict=True)]
