"""How the target scales, what its machines did, and why it stopped where it stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genkai.analyse.records import value_of
from genkai.report.displayed import Badge, Bullets, Contents, Displayed, Heading, Paragraph
from genkai.report.figure import Figure
from genkai.report.finding import Finding
from genkai.report.inline import Text
from genkai.report.messages import Messages
from genkai.report.sections.decision import cause_text
from genkai.report.sections.machine_limits import counts_said, machine_limits, metric_warnings
from genkai.report.sections.records import Record, message, named, resource_name, said, use_table
from genkai.report.table import Table

_SCALE_ROWS = ("knee", "ceiling", "ceiling_model", "peak", "generator_excluded")


OF_EVERY_LEVEL = ("evidence.lb.no_keep_alive",)  # speaks of all that were served, below the limit and beyond
CLEARED = ("idle", "busy")  # looked at, and not the limit


def scale(m: Messages, record: Record, figures: Sequence[Figure] = ()) -> Contents:
    """Return "Scale characteristics".

    `record` = {"model": name or None, "runner_up", "growth": stops, slows, falls or straight, "knee", "ceiling",
    "ceiling_model" (beyond what was measured), "peak", "generator_excluded": number records or None,
    "reason": {"key", "values"} where no model was fitted, "warnings": [{"key",
    "values"}]}; model names are those of the catalogue's group `model`.
    """
    items: list[Displayed] = [Heading(m("section.scale"), 1, m)]
    model = record.get("model")
    if model:
        items.append(
            Paragraph(
                m.text(f"scale.read_{record.get('growth', 'stops')}", model=named(m, "model", model)), m, lead=True
            )
        )
    else:
        reason = record.get("reason") or {"key": "verdict.why.not_decided"}
        items.append(Paragraph(m.text("scale.none", reason=reason), m))
    items += figures
    if model:
        items += [_scale_table(m, record), *costs_said(m, record)]
    warnings = [message(m, warning) for warning in record.get("warnings") or []]
    return Contents(items + ([Bullets(warnings, messages=m)] if warnings else []), m)


def costs_said(m: Messages, fit: Record) -> list[Paragraph]:
    """Return what the time of a request goes into at the highest load, where the model tells: `costs` of the fit."""
    if not fit.get("costs"):
        return []
    load = {"value": fit["highest_load"], "unit": fit["load_unit"]}
    return [Paragraph(m.text("scale.costs", load=load, **fit["costs"]), m)]


def _scale_table(m: Messages, record: Record) -> Table:
    rows = [{"quantity": m("scale.model"), "value": named(m, "model", record["model"])}]
    if record.get("runner_up"):
        rows.append({"quantity": m("scale.runner_up"), "value": named(m, "model", record["runner_up"])})
    for key in _SCALE_ROWS:
        if record.get(key) is not None:
            rows.append({"quantity": m(f"scale.{key}"), "value": m.format(record[key], "measured")})
    columns = {"quantity": m("column.quantity"), "value": m("column.value")}
    widths = {"quantity": "1fr", "value": "1fr"}
    return Table(rows, caption=m("caption.scale"), label="tab-scale", columns=columns, widths=widths, messages=m)


def monitoring(m: Messages, record: Record, figures: Sequence[Figure] = ()) -> Contents:
    """Return "What the machines did meanwhile".

    `record` = {"use": [{"resource", "used", "saturated", "errors", "verdict"}], "not_measured": [{"what", "how_key"}],
    and, where instance types are known, "limits", "credits", "warnings", "counts", "names": see `machine_limits`}.
    """
    items: list[Displayed] = [Heading(m("section.monitoring"), 1, m)]
    if record.get("use"):
        items.append(Paragraph(m.text("monitoring.intro"), m, lead=True))
        items.append(use_table(m, record["use"], m("caption.use"), "tab-use", names=record.get("names") or {}))
    else:
        items.append(Paragraph(m.text("monitoring.none"), m))
    names = record.get("names") or {}
    items += figures
    items += machine_limits(m, record.get("limits") or (), record.get("credits") or (), names)
    items += metric_warnings(m, record.get("warnings") or (), names)
    items += counts_said(m, record.get("counts") or ())
    missing = [
        m.text("monitoring.not_measured", what=said(m, row["what"]), how=m(row["how_key"]))
        for row in record.get("not_measured") or []
    ]
    return Contents(items + ([Bullets(missing, messages=m)] if missing else []), m)


def diagnosis(
    m: Messages, findings: Record, figures: Sequence[Figure] = (), names: Mapping[str, str] | None = None
) -> Contents:
    """Return "The limit and its cause": the answer, each finding with its evidence, what was ruled out or not measured.

    names: {resource: what readers call it}.
    """
    items: list[Displayed] = [Heading(m("section.diagnosis"), 1, m)]
    items.append(Paragraph(message(m, findings, "answer_key"), m))
    items += [finding_display(m, finding, names or {}) for finding in findings.get("findings") or []]
    items += figures
    cleared = [row for row in findings.get("ruled_out") or [] if row["verdict"] in CLEARED]
    if cleared:
        items.append(cleared_table(m, cleared, names or {}))
    missing = findings.get("not_measured") or []
    if missing:
        rows = [
            m.text("diagnosis.not_measured_item", what=said(m, row["what"]), how=m(row["how_key"])) for row in missing
        ]
        items += [Heading(m("diagnosis.not_measured"), 2, m), Bullets(rows, messages=m)]
    return Contents(items, m)


def cleared_table(m: Messages, rows: Sequence[Record], names: Mapping[str, str]) -> Table:
    """Return the table of what was ruled out and why; the numbers stand in the table of all resources."""
    cells = [
        {"resource": resource_name(m, row, names), "verdict": Badge(row["verdict"], m),
         "reason": message(m, row, "why_key") if row.get("why_key") else m("number.missing")}
        for row in rows
    ]  # fmt: skip
    columns = {name: m(f"column.{name}") for name in cells[0]}
    return Table(cells, caption=m("caption.ruled_out"), label="tab-ruled-out", columns=columns, messages=m,
                 widths={"reason": "1fr"})  # fmt: skip


def finding_display(m: Messages, finding: Record, names: Mapping[str, str] | None = None) -> Finding:
    """Return one finding: claim, strength, evidence, remedy, risk, how to verify.

    names: {resource: what readers call it}, as the figures of the evidence do.
    """
    advice = {part: cause_text(m, finding, part) for part in ("remedy", "verify", "risk")}
    evidence = [_evidence(m, piece, names or {}) for piece in finding.get("evidence") or []]
    return Finding(
        cause_text(m, finding, "claim"), strength=finding["strength"], evidence=evidence, note=_load_said(m, finding),
        messages=m, **advice,
    )  # fmt: skip


def _load_said(m: Messages, finding: Record) -> Text:
    """Of which load the evidence speaks that names none: the extreme from the limit on, beside the value below it."""
    values, keys = finding.get("values") or {}, [piece["text_key"] for piece in finding.get("evidence") or []]
    beside = any("{below}" in m.template(key) for key in keys if key not in OF_EVERY_LEVEL)
    known = value_of(values.get("load")) is not None and value_of(values.get("knee_load")) is not None
    return m.text("finding.at_load", load=values["load"]) if beside and known else Text.plain("")


def _evidence(m: Messages, piece: Record, names: Mapping[str, str]) -> Text:
    values = piece.get("values") or {}
    if piece.get("resource") in names and "resource" in values:
        values = {**values, "resource": names[piece["resource"]]}
    text = message(m, {**piece, "values": values}, "text_key")
    return text + m.text("finding.see", figure=piece["figure"]) if piece.get("figure") else text
