"""What instances used of what their types can do, and how long their CPU credits last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genkai.report.displayed import Badge, Bullets, Displayed
from genkai.report.inline import Text
from genkai.report.messages import Messages
from genkai.report.sections.records import Record, named
from genkai.report.table import Table

MOST_WARNINGS = 12
MOST_INSTANCES = 3  # of which the credits are told: those with the least time left, or the one that spends most


def machine_limits(
    m: Messages, rows: Sequence[Record], credits: Sequence[Record], names: Mapping[str, str]
) -> list[Displayed]:
    """Return the table of `analyse.type_limits.limit_rows` and a line for each of `analyse.credits.credit_rows`.

    names: {resource: what readers call it}. Nothing where neither is known.
    """
    items: list[Displayed] = [_table(m, rows, names)] if rows else []
    scarce = [row for row in credits if row["spent"]["value"] > row["earned"]["value"]]
    shown = scarce[:MOST_INSTANCES] or credits[:1]
    told = [_credits(m, row, names) for row in shown]
    told += [m.text("machine.credits.bound")] if any(row["spent"]["notes"] for row in shown) else []
    return items + ([Bullets(told, messages=m)] if told else [])


def metric_warnings(m: Messages, rows: Sequence[Record], names: Mapping[str, str]) -> list[Displayed]:
    """Return the table of `collect.catalogue.metric_warnings`, the first twelve rows; nothing where there are none."""
    cells = [
        {
            "resource": names.get(row["resource"], row["resource"].partition(":")[2]), "metric": row["metric"],
            "rule": _rule_said(m, row["rule"]), "worst": row["worst"], "moment": row["time"],
            "verdict": Badge("fail" if row["severe"] else "warn", m),
        }
        for row in rows[:MOST_WARNINGS]
    ]  # fmt: skip
    if not cells:
        return []
    columns = {name: m(f"column.{name}") for name in cells[0]}
    return [Table(cells, caption=m("caption.metric_warnings", count=len(rows)), label="tab-metric-warnings",
                  columns=columns, formats={"worst": "number", "moment": "datetime"}, widths={"resource": "1fr"},
                  messages=m)]  # fmt: skip


def _rule_said(m: Messages, rule: str) -> str:
    """A rule of the catalogue of metrics, "maximum > 80", with the statistic as the language calls it."""
    statistic, *bound = rule.split(" ")
    return " ".join([named(m, "statistic", statistic), *bound])


def counts_said(m: Messages, rows: Sequence[Record]) -> list[Displayed]:
    """Return a line for each row of `analyse.counted.request_counts`."""
    told = [m.text(f"machine.counted.{row['verdict']}", **{**row, "resource": row["resource"].partition(":")[2]})
            for row in rows]  # fmt: skip
    return [Bullets(told, messages=m)] if told else []


def _table(m: Messages, rows: Sequence[Record], names: Mapping[str, str]) -> Table:
    cells = [
        {
            "instance": f"{row['type']} · {names.get(row['resource'], row['resource'].partition(':')[2])}",
            "what": m(f"machine.{row['what']}"), "highest": row["used"], "base": row["base"], "burst": row["burst"],
            "share": row["share"], "above": row["above"],
        }
        for row in rows
    ]  # fmt: skip
    columns = {name: m(f"column.{name}") for name in cells[0]}
    formats = dict.fromkeys(("highest", "base", "burst", "share", "above"), "measured")
    return Table(cells, caption=m("caption.machine_limits"), label="tab-machine-limits", columns=columns,
                 formats=formats, widths={"instance": "1fr"}, messages=m)  # fmt: skip


def _credits(m: Messages, row: Record, names: Mapping[str, str]) -> Text:
    key = "lasting" if row["spent"]["value"] <= row["earned"]["value"] else "unknown"
    if row["left"]["value"] is not None:
        key = "billed" if row["mode"] == "unlimited" else "soon" if row["soon"] else "left"
    name = names.get(row["resource"], row["resource"].partition(":")[2])
    return m.text(f"machine.credits.{key}", **{**row, "resource": name, "mode": row["mode"] or "–"})
