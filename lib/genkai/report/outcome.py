"""verdict.json: what a cycle ended with, for pipelines; the schema is described in docs/verdict.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genkai.analyse.actions import MOST_TELLING
from genkai.analyse.limit import limit_of
from genkai.plan import Plan
from genkai.report.messages import LANGUAGES, Messages
from genkai.report.sections.closing import outcome_text
from genkai.report.sections.decision import cause_text, limit_found, limit_text, throughput_stops
from genkai.report.sections.history import change_sentences
from genkai.report.sections.records import message, named

SCHEMA = "genkai.verdict/1"
EXIT_CODES = {"pass": 0, "fail": 1}
CANNOT_TELL = 2

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Files:
    """What lies beside verdict.json, by names relative to it, and the folder of the cycle."""

    cycle: str
    reports: Sequence[str] = ()
    plans: Sequence[str] = ()
    notebooks: Sequence[str] = ()


def exit_code(status: str) -> int:
    """0 passed, 1 failed, 2 cannot tell."""
    return EXIT_CODES.get(status, CANNOT_TELL)


def verdict_record(
    plan: Plan,
    manifest: Record,
    verdicts: Record,
    findings: Record,
    runs: Sequence[Record],
    files: Files,
    history: Record | None = None,
    actions: Sequence[Record] = (),
    fits: Record | None = None,
    shown: str | None = None,
) -> dict[str, Any]:
    """The content of verdict.json.

    manifest: cycle.json; verdicts, findings: the results of those names; runs: [{"run_id", "step", "start", "end",
    "stop_reason"}]; history, actions: the results of those names; fits: scale.json; shown: the run that
    page 1 of the report speaks of, where there is one.

    Raises ReportError for a record whose texts are missing.
    """
    status = verdicts["overall"]["status"]
    starts, ends = ([r[k] for r in runs if r.get(k)] for k in ("start", "end"))
    run = shown if shown in findings else main_run(findings)
    main = findings[run] if run else None
    return {
        "schema": SCHEMA,
        "status": status,
        "exit_code": exit_code(status),
        "sentence": said(verdicts["overall"], "sentence_key"),
        "plan": {"name": plan.name, "title": plan.title or plan.name, "digest": plan.digest()},
        "cycle": {"number": int(manifest.get("number", 0)), "path": files.cycle, "created": manifest.get("created"),
                  "recorded": bool(manifest.get("recorded"))},
        "window": {"start": min(starts, default=None), "end": max(ends, default=None)},
        "limit": _limit(main, (fits or {}).get(run) or {}),
        "cause": _cause(main),
        "actions": [_action(row) for row in actions],
        "history": _history(history) if history else None,
        "targets": [_target(row) for row in verdicts["targets"]],
        "purposes": [{"purpose": r["purpose"], "status": r["status"], "why": said(r, "why_key")}
                     for r in verdicts["purposes"]],
        "steps": [_step(row, runs) for row in verdicts["steps"]],
        "paths": {"reports": list(files.reports), "plans": list(files.plans), "notebooks": list(files.notebooks)},
    }  # fmt: skip


def verdict_json(record: Record) -> str:
    """The text of verdict.json; NaN is refused."""
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def said(record: Record, key_field: str) -> dict[str, str]:
    """{language: the sentence of a record}."""
    return {lang: str(message(Messages(lang), record, key_field)) for lang in LANGUAGES}


def main_run(findings: Record) -> str | None:
    """The run that tells most by its findings record: one with a cause first, then by step; None without any."""

    def order(item: tuple[str, Record]) -> tuple[bool, int, str]:
        step = item[0].split("-")[1]
        return not item[1].get("findings"), MOST_TELLING.index(step), item[0]

    return min(findings.items(), key=order)[0] if findings else None


def results_files(folder: Path, cycle: Path) -> Files:
    """What lies in a folder of reports."""
    names = sorted(p.name for p in folder.glob("*") if p.is_file())
    pdfs = [n for n in names if n.endswith(".pdf")]
    return Files(
        str(cycle), [n for n in pdfs if n.startswith("report")], [n for n in pdfs if n.startswith("plan")],
        [n for n in names if n.endswith(".ipynb")],
    )  # fmt: skip


def _limit(main: Record | None, fit: Record) -> dict[str, Any] | None:
    """The limit in one sentence, as page 1 of the report says it, and the throughput that is not exceeded."""
    if main is None or "answer_key" not in main:
        return None
    sentence = {lang: str(limit_text(Messages(lang), main, fit)) for lang in LANGUAGES}
    ceiling = limit_of(fit) or main["values"].get("ceiling") if throughput_stops(main) else None
    return {"sentence": sentence, "found": limit_found(main), "ceiling": ceiling}


def _cause(main: Record | None) -> dict[str, Any] | None:
    """The first cause; None where nothing was found."""
    first = next((f for f in (main or {}).get("findings", []) if not f.get("contributes")), None)
    if first is None:
        return None
    parts = {
        part: {lang: str(cause_text(Messages(lang), first, part)) for lang in LANGUAGES}
        for part in ("claim", "remedy", "verify")
    }
    parts["next"] = {lang: str(cause_text(Messages(lang), first, "remedy").first_sentence()) for lang in LANGUAGES}
    names = {lang: named(Messages(lang), "cause", f"{first['cause']}.name") for lang in LANGUAGES}
    return {"cause": first["cause"], "name": names, "strength": first["strength"], **parts}


def _history(record: Record) -> dict[str, Any]:
    """How many cycles there are, the limit of each, and the change points as sentences."""
    limits = [{"number": row["number"], "status": row["status"], "limit": row["limit"]} for row in record["cycles"]]
    return {"cycles": limits, "change_points": change_sentences(record, LANGUAGES)}


def _action(row: Record) -> dict[str, Any]:
    kept = {k: row[k] for k in ("action", "cause", "owner", "due", "done", "outcome")}
    told = {lang: str(outcome_text(Messages(lang), row)) for lang in LANGUAGES} if row.get("text_key") else None
    return {**kept, "why": told}


def _target(row: Record) -> dict[str, Any]:
    kept = {k: row[k] for k in ("step", "api", "what", "kind", "target", "measured", "margin_ratio", "status")}
    more = {k: row.get(k) for k in ("bound", "over_level", "statistic", "level", "evidence")}
    return {**kept, **more, "why": said(row, "why_key")}


def _step(row: Record, runs: Sequence[Record]) -> dict[str, Any]:
    own = [r for r in runs if r["step"] == row["step"]]
    return {"step": row["step"], "status": row["status"], "why": said(row, "why_key"), "runs": list(_times(own))}


def _times(runs: Sequence[Record]) -> Iterator[dict[str, Any]]:
    for run in runs:
        yield {k: run.get(k) for k in ("run_id", "start", "end", "stop_reason")}
