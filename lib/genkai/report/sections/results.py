"""What was tested and how, and the result of each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genkai.report.displayed import Badge, Bullets, Contents, Displayed, Heading, Paragraph
from genkai.report.figure import Figure
from genkai.report.inline import Text
from genkai.report.messages import Messages
from genkai.report.sections.decision import targets_table
from genkai.report.sections.records import Record, in_order, levels_table, machine_quantity, message, named
from genkai.report.table import Table


def conditions(m: Messages, setup: Record, figures: Sequence[Figure] = ()) -> Contents:
    """Return "What was tested, and how".

    `setup` = {"rows": [{"key": "scope", "value": text, list or record}], "steps": [{"step", "subjects", "workload",
    "levels", "duration_s", "ran"}], "imported": the tool that measured, if another one did, "held":
    whether its load was anywhere held}; keys of rows are those of the catalogue's group `setup`.
    """
    steps = setup.get("steps") or []
    items: list[Displayed] = [Heading(m("section.conditions"), 1, m)]
    if summary := _summary(m, setup):
        items.append(Paragraph(summary, m))
    rows = [{"item": named(m, "setup", row["key"]), "value": _said(m, row["value"])} for row in setup.get("rows") or []]
    if rows:
        columns = {"item": m("column.item"), "value": m("column.value")}
        items.append(
            Table(
                rows,
                caption=m("caption.setup"),
                label="tab-setup",
                columns=columns,
                widths={"value": "1fr"},
                messages=m,
            )
        )
    if steps:
        items.append(load_table(m, steps, m("caption.load")))
    return Contents([*items, *figures], m)


def _summary(m: Messages, setup: Record) -> Text | None:
    """How the load was borne; nothing before any was."""
    if setup.get("imported"):
        told = m.text("conditions.summary_imported", tool=setup["imported"])
        return told + m.text("conditions.levels_imported") if setup["held"] else told
    ran = sum(step["ran"] for step in setup.get("steps") or [])
    return m.text("conditions.summary", n=ran) if ran else None


def _said(m: Messages, value: Any) -> str:
    if isinstance(value, Mapping):
        return m.format(value)
    return (
        m("word.semicolon").join(map(str, value))
        if isinstance(value, Sequence) and not isinstance(value, str)
        else str(value)
    )


def load_table(m: Messages, steps: Sequence[Record], caption: str) -> Table:
    """Return the table of what each step does: subjects, workload, levels, duration."""
    rows = [
        {
            "step": named(m, "step", step["step"]),
            "subjects": _said(m, step.get("subjects") or m("word.all_apis")) + _times(step.get("repeat") or 1),
            "workload": named(m, "workload", step["workload"]),
            "levels": _levels_said(m, step),
            "duration": m.format(step["duration_s"], "duration"),
        }
        for step in steps
    ]
    columns = {name: m(f"column.{name}") for name in rows[0]}
    widths = {"subjects": "1fr", "levels": "1fr"}
    return Table(rows, caption=caption, label="tab-load", columns=columns, widths=widths, messages=m)


def _levels_said(m: Messages, step: Record) -> Text:
    """The loads of a step with their unit, at the last; shares where each of its subjects has a target of its own.

    Where both occur each says what it is. A line ends at an arrow only.
    """
    levels = step["levels"]
    unit = "users" if step["workload"] == "closed" else "rps"
    shares = [isinstance(level, str) for level in levels]
    if all(shares):
        return m.text("load.of_targets", levels=" → ".join(levels))
    said = [
        m("load.of_target", level=level) if isinstance(level, str)
        else m.format({"value": level, "unit": unit if any(shares) or n == len(levels) else "count"})
        for n, level in enumerate(levels, 1)
    ]  # fmt: skip
    first, *others = map(Text.whole, said)
    return sum(((Text.plain(" → ") + one) for one in others), first)


def _times(repeat: int) -> str:
    return f" × {repeat}" if repeat > 1 else ""


def _undecided(m: Messages, targets: Sequence[Record]) -> list[Text]:
    """Why targets are not decided: a sentence for each step, reason and numbers, with all that it is true of."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for target in targets:
        if target["status"] == "cannot_tell" and target.get("why_key"):
            told_of = {**target, "values": {**target["values"], "api": ""}}
            groups.setdefault((target["step"], str(message(m, told_of, "why_key"))), []).append(target)
    told = []
    for (step, _), rows in groups.items():
        names = m("word.comma").join(dict.fromkeys(named(m, "word", row["api"]) for row in rows))
        reason = message(m, {**rows[0], "values": {**rows[0]["values"], "api": names}}, "why_key")
        told.append(m.text("steps.undecided", step=step, reason=reason))
    return told


def step_results(
    m: Messages,
    verdicts: Record,
    levels: Mapping[str, Any] | None = None,
    figures: Mapping[str, Sequence[Figure]] | None = None,
    repetitions: Mapping[str, Sequence[Record]] | None = None,
    paced: Mapping[str, Any] | None = None,
    failures: Mapping[str, Sequence[Record]] | None = None,
    machines: Mapping[str, Sequence[Record]] | None = None,
    apis: Mapping[str, Any] | None = None,
) -> Contents:
    """Return "Results by step": the table of verdicts, then for each step its reason, levels table and figures.

    `levels` maps a step to its levels table (rows or DataFrame of schema table `levels`), `figures` a step to its
    figures, `repetitions` a step to {"api", "what", "runs", "lowest", "middle", "highest", "spread"},
    `paced` a step to the rows of its levels with response times corrected to the users' intended starts, `failures`
    a step to the rows of study.failure_kinds, `machines` a step to those of analyse.machines.machine_levels,
    `apis` a mixed step to the rows of its APIs at the levels that its verdicts speak of.
    """
    steps: Sequence[Record] = verdicts.get("steps") or []
    items: list[Displayed] = [Heading(m("section.steps"), 1, m)]
    if steps:
        items.append(_steps_table(m, steps))
    if verdicts.get("targets"):
        items.append(targets_table(m, verdicts["targets"]))
        undecided = _undecided(m, verdicts["targets"])
        items += [Bullets(undecided, messages=m)] if undecided else []
    for step in steps:
        name = step["step"]
        shown = list((figures or {}).get(name) or [])
        rows = (levels or {}).get(name)
        if not shown and (rows is None or not len(rows)):
            continue
        title = named(m, "step", name)
        items += [Heading(title, 2, m), Paragraph(message(m, step, "why_key"), m, lead=True), *in_order(shown)]
        for kind, given in (("levels", levels), ("apis", apis), ("paced", paced)):
            rows = (given or {}).get(name)
            if rows is not None and len(rows):
                items.append(levels_table(m, rows, m(f"caption.step_{kind}", step=title), f"tab-{kind}-{name}"))
        if watched := (machines or {}).get(name):
            items.append(_machines_table(m, watched, m("caption.step_machines", step=title), f"tab-machines-{name}"))
        if failed := (failures or {}).get(name):
            items.append(_failures_table(m, failed, m("caption.failures", step=title), f"tab-failures-{name}"))
        if again := (repetitions or {}).get(name):
            items.append(_repetitions_table(m, again, f"tab-repetitions-{name}"))
    return Contents(items, m)


def _machines_table(m: Messages, rows: Sequence[Record], caption: str, label: str) -> Table:
    cells = [
        {
            "intended": {"value": row["intended"], "unit": "users" if row["workload"] == "closed" else "rps"},
            "quantity": machine_quantity(m, row), "resource": row["api"] or m("number.missing"),
            "target": m(f"number.{row['bound']}", value=m.format(row["target"])), "measured": row["measured"],
        }
        for row in rows
    ]  # fmt: skip
    columns = {name: m(f"column.{name}") for name in cells[0]}
    return Table(
        cells, caption=caption, label=label, columns=columns, formats={"measured": "measured"},
        widths={"quantity": "1fr", "resource": "1fr"}, messages=m,
    )  # fmt: skip


def _failures_table(m: Messages, rows: Sequence[Record], caption: str, label: str) -> Table:
    cells = [
        {
            "failure": _failure_said(m, row),
            "subjects": m("word.comma").join(row["apis"]), "count": row["count"],
            "of_sent": {"value": row["share"], "unit": "ratio"}, "first": row["first"], "last": row["last"],
        }
        for row in rows
    ]  # fmt: skip
    columns = {name: m(f"column.{name}") for name in cells[0]}
    return Table(cells, caption=caption, label=label, columns=columns, widths={"failure": "1fr"}, messages=m,
                 formats={"count": "requests", "first": "datetime", "last": "datetime"})  # fmt: skip


def _failure_said(m: Messages, row: Record) -> str:
    """The kind and its message; a message that says the status says the kind, too."""
    kind, told = named(m, "failure", row["kind"]), row["message"]
    if not told or told.startswith("HTTP "):
        return told or kind
    return m("failure.told", kind=kind, message=told)


def _repetitions_table(m: Messages, rows: Sequence[Record], label: str) -> Table:
    cells = [
        {
            "api": named(m, "word", row["api"]),
            "quantity": named(m, "quantity", row["what"]),
            "repetitions": {"value": row["runs"], "unit": "count"},
            **{
                name: row[key] for name, key in (("lowest", "lowest"), ("middle", "middle"), ("highest_run", "highest"))
            },
            "spread": row["spread"],
        }
        for row in rows
    ]
    columns = {name: m(f"column.{name}") for name in cells[0]}
    return Table(
        cells, caption=m("caption.repetitions"), label=label, columns=columns, widths={"api": "1fr"}, messages=m
    )


def _steps_table(m: Messages, steps: Sequence[Record]) -> Table:
    rows = [
        {
            "step": named(m, "step", step["step"]),
            "verdict": Badge(step["status"], m),
            "reason": message(m, step, "why_key"),
        }
        for step in steps
    ]
    columns = {name: m(f"column.{name}") for name in rows[0]}
    widths = {"reason": "1fr"}
    return Table(rows, caption=m("caption.steps"), label="tab-steps", columns=columns, widths=widths, messages=m)
