"""How the target scales with its size: what each size carries, what it costs, and which size the target needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genkai.report.displayed import Bullets, Contents, Displayed, Heading, Paragraph
from genkai.report.figure import Figure
from genkai.report.inline import Text
from genkai.report.messages import Messages
from genkai.report.sections.decision import cause_text
from genkai.report.sections.records import Record, message, named
from genkai.report.table import Table

KNOWN_UNITS = ("instances", "tasks")


def sizes(
    m: Messages, record: Record | None, figures: Sequence[Figure] = (), largest: Record | None = None
) -> Contents:  # fmt: skip
    """Return "How it scales with its size"; nothing where no step ran at several sizes.

    `record`: study.sizes.scale_out_of's record; `largest`: {"size", "findings"} of the largest size, or None.
    """
    if record is None:
        return Contents([], m)
    items: list[Displayed] = [Heading(m("section.sizes"), 1, m), Paragraph(answer(m, record), m, lead=True)]
    if largest:
        items.append(Paragraph(limit_at_largest(m, record, largest), m))
    items += [*figures, sizes_table(m, record)]
    notes = [message(m, warning) for warning in record["warnings"]]
    notes.append(m.text("sizes.base", base=counted(m, record["base"], record["unit"])))
    return Contents([*items, Bullets(notes, messages=m)], m)


def counted(m: Messages, size: float, unit: str) -> str:
    """ "1 instance", "4 instances", or the plan's own word for what a size counts."""
    key = f"sizes.{'one' if size == 1 else 'many'}_{unit}" if unit in KNOWN_UNITS else "sizes.many"
    return m(key, size={"value": size, "unit": "count"}, unit=unit)


def answer(m: Messages, record: Record) -> Text:
    """Return the sentence that a reader came for: which size carries the target, with what reservation."""
    needed, unit = record.get("needed"), record["unit"]
    if not needed:
        return m.text("sizes.no_target")
    size = needed["size"]
    low, high = size.get("low"), size.get("high")
    exact = size["value"] is not None and low == high == size["value"]
    values: dict[str, Any] = {
        "target": {"value": record["target_rps"], "unit": "rps"}, "size": counted(m, size["value"] or 0, unit),
        "interval": "" if exact or low is None or high is None else f" ({low:.0f}–{high:.0f})",
        "unit": named(m, "sizes.unit", unit), "largest": counted(m, record["rows"][-1]["size"], unit),
        "limit": (record.get("fit") or {}).get("ceiling_rps") or record["rows"][-1]["maximum_rps"],
    }  # fmt: skip
    said = m.text(f"sizes.needed.{needed['status']}", **values)
    if needed.get("cost_per_hour"):
        said = said + m.text("sizes.needed_cost", cost=_money(m, needed["cost_per_hour"], record["currency"]))
    return said


def limit_at_largest(m: Messages, record: Record, largest: Record) -> Text:
    """Return what stops the largest size, which is what all sizes share when more of them bring nothing."""
    size = counted(m, largest["size"], record["unit"])
    found = largest["findings"].get("findings") or []
    if not found:
        return m.text("sizes.largest_unexplained", size=size, answer=str(message(m, largest["findings"], "answer_key")))
    first = found[0]
    return m.text("sizes.largest_limit", size=size, claim=str(cause_text(m, first, "claim")),
                  strength=m(f"status.{first['strength']}").lower())  # fmt: skip


def sizes_table(m: Messages, record: Record) -> Table:
    """Return size, highest throughput, efficiency and cost, a row for each size; bounds are marked."""
    priced = record.get("price_per_hour") is not None
    rows = [
        {
            "size": counted(m, row["size"], record["unit"]),
            "maximum": _bound(m, row, "maximum_rps", "number.at_least"),
            "efficiency": _bound(m, row, "efficiency", "number.at_least"),
            **({"cost": _bound(m, row, "cost_per_krps", "number.at_most")} if priced else {}),
        }
        for row in record["rows"]
    ]  # fmt: skip
    columns = {name: m(f"column.sizes_{name}", currency=record["currency"]) for name in rows[0]}
    return Table(rows, caption=m("caption.sizes", subject=record["subject"]), label="tab-sizes", columns=columns,
                 widths={"maximum": "1fr", "efficiency": "1fr"}, messages=m)  # fmt: skip


def _bound(m: Messages, row: Mapping[str, Any], key: str, bound: str) -> str:
    value = row[key]
    if value is None:
        return m("number.missing")
    if row["kind"] == "at_least":
        return m(bound, value=m.format({**value, "low": None, "high": None}))
    return m.format(value, "measured")


def _money(m: Messages, cost: Record, currency: str) -> str:
    return f"{m.format({**cost, 'unit': 'count'})} {currency}"
