"""Reading result records: names from the catalogue, messages with values, references, and what must not be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genkai.report.displayed import Badge, Displayed
from genkai.report.errors import ReportError
from genkai.report.figure import Figure
from genkai.report.inline import Text
from genkai.report.messages import Messages
from genkai.report.quantities import is_missing
from genkai.report.table import Table

Record = Mapping[str, Any]
_LEVEL_COLUMNS = ("level", "intended", "throughput", "concurrency", "p50", "p95", "p99", "error_ratio", "steady")
AT_LEAST = frozenset({"throughput"})  # quantities that must reach their target; the others must not exceed it


def require(record: Record, key: str, where: str) -> Any:
    """Return `record[key]`. Raises ReportError that names the record and what it has."""
    if key not in record:
        raise ReportError(
            f"{where} record", f'a field "{key}"', ", ".join(map(str, record)) or "none", "complete the results"
        )
    return record[key]


def message(m: Messages, record: Record, key_field: str = "key") -> Text:
    """Return the message of a record `{key_field: key, "values": {…}}`."""
    return m.text(require(record, key_field, "message"), **(record.get("values") or {}))


def named(m: Messages, group: str, name: str) -> str:
    """Return the catalogue's name of a step, purpose, model …; a name that the catalogue lacks stands for itself."""
    return m(f"{group}.{name}") if f"{group}.{name}" in m else str(name)


def subject(m: Messages, row: Record) -> str:
    """Return what a row speaks of, "Step · API"; either part may be missing."""
    step, api = row.get("step"), row.get("api")
    parts = [named(m, "step_short", step)] if step else []
    return " · ".join(parts + ([named(m, "word", api)] if api else [])) or m("word.all_apis")


def quantity(m: Messages, row: Record) -> str:
    """Return the name of what a target row speaks of; a machine's metric as the figures call it."""
    if row.get("step") == "verify" and row["what"] == "throughput":
        return m("quantity.generator_ceiling")
    return machine_quantity(m, row) if row.get("kind") == "machine" else named(m, "quantity", row["what"])


def machine_quantity(m: Messages, row: Record) -> str:
    """Return a machine's metric as the figures call it, and which quantity of its samples is meant."""
    metric = named(m, "metric", row.get("metric") or row["what"])
    how = m("word.comma").join(named(m, "over_level", h) for h in (row.get("statistic"), row["over_level"]) if h)
    return m("decision.machine_quantity", metric=metric, how=how)


def reference(m: Messages, label: str | None) -> Text:
    """Return a cross-reference to a figure or table, or the sign of a missing value."""
    return m.text("word.reference", label=label) if label else Text.plain(m("number.missing"))


def target_value(m: Messages, row: Record) -> str:
    """Return the target of a row with its direction: "≥ 1,000 rps" or "≤ 100 ms"; "–" where there is none."""
    bound = row.get("bound") or ("at_least" if row["what"] in AT_LEAST else "at_most")
    goal = require(row, "target", "target")
    return m("number.missing") if is_missing(goal) else m(f"number.{bound}", value=m.format(goal))


def levels_table(m: Messages, levels: Any, caption: str | Text, label: str) -> Table:
    """Return the table of levels (schema table `levels`), with the columns `step` and `api` where rows have them."""
    rows = levels.to_dict("records") if hasattr(levels, "to_dict") else list(levels)
    groups = [name for name in ("step", "api") if any(row.get(name) for row in rows)]
    columns = {name: m(f"column.{name}") for name in (*groups, *_LEVEL_COLUMNS)}
    cells = [
        {name: named(m, "step_short", row.get(name) or "") for name in groups} | _level_row(m, row) for row in rows
    ]
    widths = dict.fromkeys(("p50", "p95", "p99", "error_ratio"), "1fr")
    return Table(cells, caption=caption, label=label, columns=columns, widths=widths, messages=m)


def _level_row(m: Messages, row: Record) -> dict[str, Any]:
    unit = "users" if row.get("workload") == "closed" else "rps"
    limited = row.get("generator_limited") is True or row.get("generator_limited") == 1
    steady = m("word.generator_limited" if limited else _steady_key(row.get("steady")))
    return {
        "level": _number(row["level"] + 1, "count"),  # readers count from 1
        "intended": _number(row["intended"], unit),
        "throughput": _number(row.get("throughput_rps"), "rps"),
        "concurrency": _number(row.get("concurrency"), "count"),
        "p50": _number(row.get("p50_s"), "s"),
        "p95": _number(row.get("p95_s"), "s"),
        "p99": _number(row.get("p99_s"), "s"),
        "error_ratio": _number(row.get("error_ratio"), "ratio"),
        "steady": steady,
    }


def _steady_key(steady: Any) -> str:
    if is_missing(steady):
        return "word.too_short"
    return "word.yes" if steady else "word.no"


def _number(value: Any, unit: str) -> Any:
    return value if isinstance(value, Mapping) else {"value": value, "unit": unit}


def use_table(
    m: Messages, rows: Sequence[Record], caption: str, label: str, reasons: bool = False,
    names: Mapping[str, str] | None = None,
) -> Table:  # fmt: skip
    """Return the table of utilisation, saturation and errors per resource; with the reason of each verdict if asked.

    names: {resource: what readers call it}.
    """
    cells = [
        {
            "resource": resource_name(m, row, names or {}),
            "used": row.get("used"),
            "saturated": row.get("saturated"),
            "errors": row.get("errors"),
            "verdict": Badge(row["verdict"], m),
            "reason": message(m, row, "why_key") if reasons and row.get("why_key") else "",
        }
        for row in rows
    ]
    names = ("resource", "used", "saturated", "errors", "verdict", *(["reason"] if reasons else []))
    columns = {name: m(f"column.{name}") for name in names}
    formats = {"used": "measured", "saturated": "measured", "errors": "measured"}
    return Table(
        cells,
        caption=caption,
        label=label,
        columns=columns,
        formats=formats,
        messages=m,
        widths={"resource": "5fr", "reason": "4fr"} if reasons else {"resource": "1fr"},
    )


def resource_name(m: Messages, row: Record, names: Mapping[str, str]) -> str:
    """Return what readers call a resource of the table of utilisation: its name, and what of it was looked at."""
    resource, group = str(row["resource"]), f"ruled_out.group.{row.get('group')}"
    plain = resource.partition(":")[2] or resource
    called = m("word.called", name=names[resource], id=plain) if resource in names else plain
    return f"{called} · {m(group)}" if group in m else called


def said(m: Messages, text: str) -> str:
    """Return the message where `text` is a key of the catalogue, else `text` itself."""
    return m(text) if text in m else text


def in_order(figures: Sequence[Figure | None]) -> list[Displayed]:
    """Return the figures that exist."""
    return [figure for figure in figures if figure is not None]
