"""Page 1: did it pass, what is the limit, why, what next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genkai.analyse.judge import TOLERANCE
from genkai.analyse.limit import REACHED, beyond_measured, limit_of
from genkai.analyse.records import margin_of, value_of
from genkai.report.displayed import Badge, Contents, Displayed, Terms, Verdict
from genkai.report.figure import Figure
from genkai.report.inline import Text
from genkai.report.messages import Messages
from genkai.report.sections.records import (
    Record,
    message,
    named,
    quantity,
    reference,
    require,
    subject,
    target_value,
)
from genkai.report.table import Table


def decision(
    m: Messages, verdicts: Record, findings: Record | None = None, figure: Figure | None = None,
    fit: Record | None = None,
) -> Contents:  # fmt: skip
    """Return the decision page: banner, limit / cause / next action, the figure of the limit, verdicts.

    fit: what the figure draws; the limit is stated as there.
    """
    overall = require(verdicts, "overall", "verdicts")
    items: list[Displayed] = [Verdict(overall["status"], message(m, overall, "sentence_key"), m, heading=True)]
    items.append(Terms(_answers(m, verdicts, findings or {}, fit or {}), m))
    if figure is not None:
        items.append(figure)
    if verdicts.get("targets"):
        service = [t for t in verdicts["targets"] if t["step"] != "verify"]  # verify speaks of the generator
        items.append(subjects_table(m, service or verdicts["targets"], verdicts.get("steps") or ()))
    if verdicts.get("purposes"):
        items.append(purposes_table(m, verdicts["purposes"]))
    return Contents(items, m)


def _answers(m: Messages, verdicts: Record, findings: Record, fit: Record) -> list[tuple[str, Text]]:
    found = [finding for finding in findings.get("findings") or [] if not finding.get("contributes")]
    status = verdicts["overall"]["status"]
    met, cause = status == "pass", m.text(_without_cause(status, findings.get("answer_key")))
    left = [s for s in verdicts.get("steps") or () if s.get("why_key") == NOT_RUN]
    following = m.text("decision.no_next" if met else "decision.next_unknown")
    if verdicts["overall"]["sentence_key"].endswith("no_target"):
        following = m.text("decision.next_target")
    if found:
        cause = cause_text(m, found[0], "claim")
        following = cause_text(m, found[0], "remedy").first_sentence()  # the diagnosis has the whole
    if left and _reason(verdicts["overall"]) == NOT_RUN:
        following = m.text("decision.next_run", steps=m("word.comma").join(named(m, "step", s["step"]) for s in left))
    rows = [(m("decision.limit"), limit_text(m, findings, fit))] if findings.get("answer_key") else []
    return [*rows, (m("decision.cause"), cause), (m("decision.next"), following)]


def _reason(overall: Record) -> str | None:
    """The key of the reason that the banner gives."""
    reason = overall["values"].get("reason")
    return reason["key"] if isinstance(reason, Mapping) else None


def limit_found(findings: Record) -> bool:
    """Whether the service has a limit, its cause known or not."""
    key = findings["answer_key"]
    return key.endswith("limit_found") or (key == "answer.cannot_tell" and findings.get("kind") is not None)


def throughput_stops(findings: Record) -> bool:
    """Whether that limit is one of throughput."""
    return findings.get("kind") == "throughput" and findings["answer_key"] in STOPS


def limit_text(m: Messages, findings: Record, fit: Record) -> Text:
    """The one limit, as the figure states it, and of what kind it is: measured, or the model's beyond what was."""
    limit, beyond, stops = limit_of(fit), beyond_measured(fit), throughput_stops(findings)
    own = findings["answer_key"] == "answer.generator"  # of the test set-up: it says nothing of the service beyond
    if value_of(limit) is None or own or not (stops or beyond):
        return message(m, findings, "answer_key")
    told = {"key": findings["answer_key"], "values": findings["values"]}
    values = {**findings["values"], "limit": limit, "model": fit["model"], "told": told}
    if not stops:
        return m.text("decision.limit_told", **values)
    if beyond:
        return m.text("decision.limit_model", **values)
    at_once = (value_of(values["reached"]) or 0.0) >= REACHED * limit["value"]
    return m.text("decision.limit_at" if at_once else "decision.limit_measured", **values)


def _without_cause(status: str, answer: str | None) -> str:
    """The key of what is said of the cause where none was found; answer: key of what is said of the limit."""
    if status == "not_run" or answer == "answer.nothing_measured":
        return "decision.no_cause_unmeasured"
    seen = answer is not None and answer not in NO_LIMIT_SEEN
    if seen or (answer is None and status != "pass"):
        return "decision.no_cause"
    return {"pass": "decision.no_cause_needed", "fail": "decision.no_cause_missed"}.get(
        status, "decision.no_cause_unseen"
    )


def cause_text(m: Messages, finding: Record, part: str) -> Text:
    """Return the claim, remedy, verify or risk text of a finding: its `<part>_key`, else `cause.<cause>.<part>`."""
    key = finding.get(f"{part}_key") or f"cause.{require(finding, 'cause', 'finding')}.{part}"
    return m.text(key, **(finding.get("values") or {}))


STOPS = ("answer.limit_found", "answer.cannot_tell")
NO_LIMIT_SEEN = ("answer.no_limit",)  # so that there is no cause to look for
NOT_RUN = "verdict.why.step_not_run"
MIXED = ("scenario", "endurance")  # one run of several APIs
WORST_FIRST = ("fail", "cannot_tell", "not_run", "pass")
COLUMNS = {"throughput": "throughput", "response_time": "response_time", "errors": "error_ratio", "machine": "machines"}


def subjects_table(m: Messages, targets: Sequence[Record], steps: Sequence[Record] = ()) -> Table:
    """Return the table of page 1: a row for each run, what was missed first; each cell measured / target.

    Of a mix of APIs the worst is shown, by name where no column of machines takes the room. steps: verdicts of the
    steps; an endurance run that met its targets but will not last is not called passed.
    """
    lasting = next((step["status"] for step in steps if step["step"] == "endurance"), "pass")
    groups: dict[tuple, list[Record]] = {}
    for target in targets:
        mixed = target["step"] in MIXED
        groups.setdefault((target["step"], None if mixed else target.get("api")), []).append(target)
    shown = [c for kind, c in COLUMNS.items() if kind != "machine" or any(t["kind"] == kind for t in targets)]
    rows = [
        _subject_row(m, group, shown, lasting if step == "endurance" else "pass") for (step, _), group in groups.items()
    ]
    rows.sort(key=lambda row: WORST_FIRST.index(row["verdict"].status))
    columns = {name: m(f"column.{name}") for name in rows[0]}
    return Table(
        rows, caption=m("caption.subjects"), label="tab-decision", columns=columns, messages=m,
        widths={"subject": "3fr", "throughput": "auto", **({"machines": "4fr"} if "machines" in shown else {})},
    )  # fmt: skip


def _subject_row(m: Messages, targets: Sequence[Record], shown: Sequence[str], of_step: str) -> dict[str, Any]:
    columns: dict[str, list[Record]] = {column: [] for column in shown}
    for target in targets:
        columns[COLUMNS[require(target, "kind", "target")]].append(target)
    status = min((of_step, *(t["status"] for t in targets)), key=WORST_FIRST.index)
    cells = {column: _worst(m, found, with_api="machines" not in shown) for column, found in columns.items()}
    whole = next(iter(columns["throughput"]), targets[0])
    return {"subject": subject(m, whole), **cells, "verdict": Badge(status, m)}


def _worst(m: Messages, targets: Sequence[Record], with_api: bool) -> str:
    """The cell of a column: its worst target; with_api: named with the API it is of, where the row has room for it."""
    if not targets:
        return m("number.missing")
    worst = min(targets, key=lambda t: (WORST_FIRST.index(t["status"]), margin_of(t)))
    shown = _against(m, worst)
    if worst["kind"] == "machine":
        return m("decision.machine", metric=named(m, "metric", worst["what"]), shown=shown)  # a narrow column
    several = len({t.get("api") for t in targets}) > 1
    return m("decision.worst", shown=shown, api=worst["api"]) if several and with_api else shown


def _against(m: Messages, target: Record) -> str:
    plain = _without_intervals({"measured": require(target, "measured", "target")})["measured"]
    goal = target_value(m, target)
    return m("decision.against", measured=m.format(plain, "measured"), target=goal)


def _without_intervals(values: Record) -> dict[str, Any]:
    """Page 1 has to be read at a glance; the sections behind it give the intervals."""
    return {k: {**v, "low": None, "high": None} if isinstance(v, dict) and "low" in v else v for k, v in values.items()}


def targets_table(m: Messages, targets: Sequence[Record]) -> Table:
    """Return the table of targets: what was asked, what was measured, margin, verdict, evidence."""
    rows = [_target_row(m, target) for target in targets]
    columns = {name: m(f"column.{name}") for name in rows[0]}
    formats = {"measured": "measured", "margin": "signed"}
    near = any(t["status"] == "pass" and m.format(t.get("margin_ratio"), "signed").startswith("−") for t in targets)
    caption = m("caption.targets_near", tolerance=TOLERANCE) if near else m("caption.targets")
    return Table(
        rows, caption=caption, label="tab-targets", columns=columns, formats=formats,
        widths={"subject": "3fr", "quantity": "2fr"}, messages=m,
    )  # fmt: skip


def _target_row(m: Messages, target: Record) -> dict[str, Any]:
    return {
        "subject": subject(m, target),
        "quantity": quantity(m, target),
        "target": target_value(m, target),
        "measured": require(target, "measured", "target"),
        "margin": target.get("margin_ratio"),
        "verdict": Badge(target["status"], m),
        "evidence": reference(m, target.get("evidence")),
    }


def purposes_table(m: Messages, purposes: Sequence[Record]) -> Table:
    """Return the table of purposes with the reason of each verdict."""
    rows = [
        {
            "purpose": named(m, "purpose", purpose["purpose"]),
            "verdict": Badge(purpose["status"], m),
            "reason": message(m, {**purpose, "values": _without_intervals(purpose.get("values") or {})}, "why_key"),
        }
        for purpose in purposes
    ]
    columns = {name: m(f"column.{name}") for name in rows[0]}
    return Table(
        rows, caption=m("caption.purposes"), label="tab-purposes", columns=columns,
        widths={"reason": "1fr"}, messages=m,
    )  # fmt: skip
