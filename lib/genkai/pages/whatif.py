"""What would another load, or another target, need? For notebook 40 and `genkai whatif`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genkai.analyse.records import Record, number
from genkai.analyse.sizes import needed_size
from genkai.analyse.whatif import (
    load_for_throughput,
    needed_for,
    predict_response_time,
    predict_throughput,
    response_time_at,
)
from genkai.report.display import Contents, Displayed, Paragraph, Table
from genkai.report.messages import Messages
from genkai.report.sections.sizes import counted
from genkai.study import RunStudy, Study, StudyError, read_study
from genkai.study.results import fit_run, think_time_s
from genkai.study.sizes import main_scale_out
from genkai.workspace import open_cycle

NOTES = {
    "beyond twice the highest load measured": "far",
    "no load reaches this throughput": "never",
    "no limit is known": "no_limit",
    "the interval has no upper end": "open_end",
}


def whatif_record(
    path: Path, target_rps: float | None = None, load: float | None = None, step: str = ""
) -> dict[str, Any]:  # fmt: skip
    """What a cycle's fit says of a throughput (default: the target) and, where given, of a load.

    {run, size, model, load_unit, target_rps, load_needed, response_time, factor_of_limit, size_needed, at_load}; every
    number a record, null where the model says nothing or no target is stated. Raises WorkspaceError, StudyError.
    """
    for name, value in (("--target-rps", target_rps), ("--load", load)):
        if value is not None and not value > 0:
            raise StudyError(f"{name}: expected a number > 0, got {value:g}")
    study = read_study(open_cycle(path))
    return whatif_of(study, study.main(step), target_rps, load)


def whatif_of(
    study: Study, run: RunStudy, target_rps: float | None = None, load: float | None = None,
    sizes: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The same of a run that is read already; sizes: main_scale_out's record, where it is known."""
    fit, target = fit_run(study, run), target_rps or study.stated_of(run)
    known = {"run": run.run.name, "size": run.size, "model": fit["model"], "load_unit": fit["load_unit"],
             "target_rps": target, "load_needed": None, "response_time": None, "factor_of_limit": None,
             "size_needed": _size_needed(sizes or main_scale_out(study), target), "at_load": None,
             "warnings": [w["text"] for w in fit["warnings"]]}  # fmt: skip
    if fit["model"] is None:
        return known
    think = think_time_s(study, run)
    closed = fit["load_unit"] != "rps" and think is not None
    if target:
        known |= {"load_needed": load_for_throughput(fit, target), "factor_of_limit": needed_for(fit, target)}
    if target and closed:
        known["response_time"] = response_time_at(fit, target, think)
    if load is not None:
        row = predict_throughput(fit, [load]).iloc[0]
        throughput = number(row["throughput_rps"], row["low"], row["high"], len(fit["points"]), "rps")
        times = predict_response_time(fit, load, think) if closed else None
        known["at_load"] = {"load": load, "throughput_rps": throughput, "response_time": times}
    return known


def _size_needed(sizes: dict[str, Any] | None, target_rps: float | None) -> dict[str, Any] | None:
    if sizes is None or target_rps is None:
        return None
    maxima = [{"size": r["size"], "maximum_rps": r["maximum_rps"]} for r in sizes["rows"]]
    return needed_size(sizes["fit"], maxima, target_rps, sizes["unit"]) | {"unit": sizes["unit"]}


def whatif_rows(record: dict[str, Any], m: Messages) -> list[tuple[str, str]]:
    """(question, answer) of everything the record says."""
    target, asked = m.format(number(record["target_rps"], unit="rps")), record["target_rps"] is not None
    told = (
        {"load_needed": "load_needed", "response_time": "response_time", "factor": "factor_of_limit"} if asked else {}
    )
    rows = [(m(f"whatif.{key}", target=target), _said(m, record[name])) for key, name in told.items()]
    found = record["size_needed"]
    if found:
        rows.append((m("whatif.size_needed", target=target), _size_said(m, found)))
    at = record["at_load"]
    if at:
        load = m.format(number(at["load"], unit=record["load_unit"]))
        rows.append((m("whatif.throughput_at", load=load), _said(m, at["throughput_rps"])))
        rows.append((m("whatif.response_at", load=load), _said(m, at["response_time"])))
    return rows


def _said(m: Messages, record: Record | None) -> str:
    if record is None:
        return m("number.missing")
    notes = [m(f"whatif.note.{NOTES[n]}") for n in record["notes"] if n in NOTES]
    value = [m.format(record, "measured")] if record["value"] is not None else []
    return "; ".join([*value, *notes]) or m("number.missing")


def _size_said(m: Messages, found: dict[str, Any]) -> str:
    size, unit = found["size"], found["unit"]
    if size["value"] is None:
        return m(f"whatif.size.{found['status']}")
    low, high = size["low"], size["high"]
    interval = f" ({low:.0f}–{high:.0f})" if low is not None and high is not None and low != high else ""
    far = f"; {m('whatif.size.extrapolated')}" if found["status"] == "extrapolated" else ""
    return counted(m, size["value"], unit) + interval + far


def whatif_text(record: dict[str, Any], lang: str = "en") -> str:
    """Questions and answers as lines for a terminal."""
    m = Messages(lang)
    head = m("whatif.head", run=record["run"], model=m(f"model.{record['model']}") if record["model"] else "–")
    lines = [f"{question} {answer}" for question, answer in whatif_rows(record, m)] or [
        m("verdict.why.target_unstated")
    ]
    return "\n".join([head, *lines, *(record["warnings"] if record["model"] is None else [])])


def what_if(study: Study, run: RunStudy, lang: str = "en", sizes: dict[str, Any] | None = None) -> Displayed:
    """What the target needs, as a table; a sentence where there is no model."""
    m, record = Messages(lang), whatif_of(study, run, sizes=sizes)
    if record["model"] is None and not record["size_needed"]:
        return Contents([Paragraph(m.text("whatif.none"), m)], m)
    rows = [{"quantity": question, "value": answer} for question, answer in whatif_rows(record, m)]
    if not rows:
        return Paragraph(m.text("verdict.why.target_unstated"), m)
    return Table(rows, caption=m("caption.whatif", subject=run.subject), label="tab-whatif", messages=m,
                 columns={"quantity": m("column.quantity"), "value": m("column.value")},
                 widths={"quantity": "3fr", "value": "2fr"})  # fmt: skip
