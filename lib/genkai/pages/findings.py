"""`genkai diagnose`: why one run stopped where it stopped, as a record of texts and as lines for a terminal."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from genkai.pages.drift import drift_name
from genkai.pages.limits import instance_names
from genkai.report.messages import Messages
from genkai.report.sections.decision import cause_text
from genkai.report.sections.records import message, named
from genkai.study import RunStudy, Study, StudyError, read_study
from genkai.study.results import findings_of
from genkai.workspace import open_cycle

WIDEST = 100  # longer lines are hard to read
# the other answers: 2, cannot tell, or the test set-up itself was the limit
EXIT_CODES = {
    "answer.no_limit": 0, "answer.limit_found": 1, "answer.response_time_limit_found": 1,
    "answer.errors_limit_found": 1, "answer.drift": 1,
}  # fmt: skip
_COLOURS = {"strong": "bold green", "moderate": "bold yellow", "weak": "dim", "limit": "bold red", "busy": "yellow",
            "idle": "green", "unknown": "dim", "drifts": "bold red", "changed": "yellow",
            "steady": "green"}  # fmt: skip


def find_run(path: Path, step: str = "") -> tuple[Study, RunStudy]:
    """The run in a run's folder, or the main run of a cycle's folder (of `step` where it is named).

    Raises StudyError for a run without levels, WorkspaceError for a folder that is neither.
    """
    path = path.resolve()
    if path.parent.name != "runs":
        study = read_study(open_cycle(path))
        return study, study.main(step)
    study = read_study(open_cycle(path.parent.parent))
    found = next((r for r in study.every if r.run.name == path.name and len(r.marks)), None)
    if found is None:
        known = ", ".join(r.run.name for r in study.every if len(r.marks)) or "none"
        raise StudyError(f"{path}: expected one of the cycle's measured runs ({known}), got {path.name}")
    return study, found


def findings_record(path: Path, step: str = "", lang: str = "en") -> dict[str, Any]:
    """{run, answer, answer_key, kind, generator, findings, ruled_out, not_measured, drifts} with texts in `lang`.

    generator: whether it kept up, one sentence.
    findings: {cause, name, strength, contributes, claim, evidence: [text], remedy, risk, verify}; ruled_out: {resource,
    group, used, saturated, errors (number records), verdict, why}; not_measured: {what, how}. Raises as `find_run`.
    """
    study, run = find_run(path, step)
    m, record = Messages(lang), findings_of(study, run)
    missing, names = record["not_measured"], instance_names(run, m)
    return {
        "run": f"{study.plan.name} {study.cycle.path.name} · {named(m, 'step_short', run.step)} · {run.subject}",
        "answer": str(message(m, record, "answer_key")),
        "answer_key": record["answer_key"],
        "kind": record["kind"],
        "generator": str(message(m, record["generator"], "text_key")) if record["generator"] else None,
        "findings": [_finding(m, finding) for finding in record["findings"]],
        "ruled_out": [_looked_at(m, row) for row in record["ruled_out"]],
        "not_measured": [{"what": m(row["what"]), "how": str(m.text(row["how_key"]))} for row in missing],
        "drifts": [
            {**row, "what": m(f"drift.{row['what']}"), "name": drift_name(m, row, names)} for row in record["drifts"]
        ],
    }


def exit_code(record: Mapping[str, Any]) -> int:
    """0: no limit up to the highest load; 1: a limit (or drift) and its cause; 2: cannot tell."""
    return EXIT_CODES.get(record["answer_key"], 2)


def _finding(m: Messages, finding: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "cause": finding["cause"], "name": m(f"cause.{finding['cause']}.name"), "strength": finding["strength"],
        "contributes": finding["contributes"],
        "evidence": [str(message(m, item, "text_key")) for item in finding["evidence"]],
        **{part: str(cause_text(m, finding, part)) for part in ("claim", "remedy", "risk", "verify")},
    }  # fmt: skip


def _looked_at(m: Messages, row: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: row[name] for name in ("resource", "used", "saturated", "errors", "verdict")}
    return {**kept, "group": m(f"ruled_out.group.{row['group']}"), "why": str(message(m, row, "why_key"))}


def findings_text(record: Mapping[str, Any], lang: str = "en", width: int | None = None, colour: bool = False) -> str:
    """The record for a terminal `width` columns wide (default: this one, at most 100); colour: with ANSI colours."""
    m, stream = Messages(lang), StringIO()
    width = width or min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)
    console = Console(file=stream, width=width, force_terminal=colour, no_color=not colour, highlight=False,
                      color_system="standard" if colour else None, legacy_windows=False)  # fmt: skip
    console.print(Text(record["run"], style="dim"))
    console.print(Padding(Text(record["answer"], style="bold"), (1, 0, 0, 0)))
    if record["generator"]:
        console.print(Text(record["generator"]))
    for number, finding in enumerate(record["findings"], 1):
        mark = "+" if finding["contributes"] else str(number)  # worth knowing, but no cause of the limit
        console.print(Padding(_shown(m, mark, finding), (1, 0, 0, 0)))
    if record["drifts"]:
        console.print(_heading(m("section.drift")), _drifts(m, record["drifts"]))
    if record["ruled_out"]:
        console.print(_heading(m("diagnosis.looked_at")), _use(m, record["ruled_out"]))
    if record["not_measured"]:
        console.print(_heading(m("diagnosis.not_measured")), _missing(record["not_measured"]))
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    return "\n".join(lines).strip("\n")


def _heading(text: str) -> RenderableType:
    return Padding(Rule(text, align="left", style="dim"), (1, 0, 0, 0))


def _shown(m: Messages, mark: str, finding: Mapping[str, Any]) -> RenderableType:
    head = Table.grid(padding=(0, 1), expand=True)
    head.add_column(width=2)
    head.add_column(ratio=1, overflow="fold")  # Japanese has no spaces to break at
    head.add_column(justify="right", no_wrap=True)
    strength = Text(m(f"status.{finding['strength']}"), style=_COLOURS[finding["strength"]])
    head.add_row(Text(mark, style="bold"), Text(finding["claim"], style="bold"), strength)
    body = Table.grid(padding=(0, 2))
    body.add_column(no_wrap=True, style="dim")
    body.add_column(ratio=1, overflow="fold")
    body.add_row(m("finding.evidence"), _bullets(finding["evidence"]))
    for part in ("remedy", "risk", "verify"):
        body.add_row(m(f"finding.{part}"), Text(finding[part]))
    return Group(head, Padding(body, (0, 0, 0, 3)))


def _bullets(lines: Sequence[str]) -> RenderableType:
    listed = Table.grid(padding=(0, 1, 0, 0))
    listed.add_column(width=1)
    listed.add_column(ratio=1, overflow="fold")
    for line in lines:
        listed.add_row("•", Text(line))
    return listed


def _use(m: Messages, rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in ("resource", "used", "saturated", "errors", "verdict", "reason"):
        right = name in ("used", "saturated", "errors")
        table.add_column(m(f"column.{name}"), justify="right" if right else "left", overflow="fold",
                         no_wrap=right or name == "verdict")  # fmt: skip
    for row in rows:
        numbers = [m.format(row[name]) for name in ("used", "saturated", "errors")]
        verdict = Text(m(f"status.{row['verdict']}"), style=_COLOURS[row["verdict"]])
        table.add_row(Text(f"{row['resource']} · {row['group']}"), *numbers, verdict, Text(row["why"]))
    return table


def _drifts(m: Messages, rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in ("resource", "drift_first", "drift_last", "slope", "changed", "verdict"):
        right = name not in ("resource", "verdict")
        table.add_column(m(f"column.{name}"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        verdict = Text(m(f"status.{row['verdict']}"), style=_COLOURS[row["verdict"]])
        numbers = [m.format(row["first"]), m.format(row["last"]), m.format(row["slope"], "measured")]
        table.add_row(Text(row["name"]), *numbers, m.format(row["changed"]), verdict)
    return table


def _missing(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(ratio=1, overflow="fold")
    table.add_column(ratio=2, overflow="fold")
    for row in rows:
        table.add_row(_bullets([row["what"]]), Text(row["how"]))
    return table
