"""Notebook 40 and the report: capacity searches of the plan, each with its result, its path and its trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genkai import figures
from genkai.report.display import Contents, Displayed, Figure, Heading, Paragraph, Table
from genkai.report.messages import Messages
from genkai.study import Study
from genkai.study.searches import read_searches

COLUMNS = ("number", "phase", "rate", "length", "throughput", "p95", "error_ratio", "verdict")


def searches(study: Study, lang: str = "en") -> Displayed:
    """Every subject's newest search; a sentence where the plan has none."""
    m, records = Messages(lang), read_searches(study)
    if not records:
        return Paragraph(m.text("search.none"), m)
    return Contents([item for n, record in enumerate(records, 1) for item in _shown(m, record, n, trials=True)], m)


def section(study: Study, lang: str = "en") -> Displayed | None:
    """The report's part on searches, without the tables of trials; None where there is no search."""
    m, records = Messages(lang), read_searches(study)
    if not records:
        return None
    items = [item for n, record in enumerate(records, 1) for item in _shown(m, record, n, trials=False)]
    return Contents([Heading(m("section.search"), 2, m), *items], m)


def _shown(m: Messages, record: Mapping[str, Any], number: int, trials: bool) -> list[Displayed]:
    subject, label = record["subject"], f"fig-search-{number}"
    picture = Figure(
        figures.search(record, t=m.lang), label=label, messages=m, caption=m("caption.search", subject=subject),
        alt=m("alt.search", n=len(record["trials"])),
    )  # fmt: skip
    said: list[Displayed] = [Paragraph(m.text(_key(record), **_values(record), figure=label), m)]
    if not record["same_plan"]:
        said.append(Paragraph(m.text("search.other_plan", subject=subject), m))
    return [*said, picture, *([trial_table(m, record, number)] if trials else [])]


def _key(record: Mapping[str, Any]) -> str:
    if record["status"] == "found":
        return "search.found" if record["limit"].get("high") else "search.found_at_least"
    return "search.at_least" if record["limit"].get("low") else "search.unknown"


def _values(record: Mapping[str, Any]) -> dict[str, Any]:
    least = {"value": record["limit"].get("low"), "unit": "rps"}
    return {
        "subject": record["subject"], "limit": record["limit"], "least": least, "trials": len(record["trials"]),
        "discarded": record["discarded"], "duration": record["load_s"], "made": record["start"],
        "status": {"key": f"search.status_{record['status']}", "values": {}},
    }  # fmt: skip


def trial_table(m: Messages, record: Mapping[str, Any], number: int) -> Table:
    """A row a trial: rate, how long it lasted, what it gave, and its verdict."""
    rows = [
        {
            "number": {"value": trial["number"], "unit": "count"}, "phase": m(f"search.phase_{trial['phase']}"),
            "rate": {"value": trial["rate_rps"], "unit": "rps"}, "length": {"value": trial["measured_s"], "unit": "s"},
            "throughput": {"value": trial["throughput_rps"], "unit": "rps"},
            "p95": {"value": trial["p95_s"], "unit": "s"},
            "error_ratio": {"value": trial["error_ratio"], "unit": "ratio"},
            "verdict": m(f"search.verdict_{trial['verdict']}"),
        }
        for trial in record["trials"]
    ]  # fmt: skip
    columns = {name: m(f"search.column_{name}") for name in COLUMNS}
    caption = m("caption.search_trials", subject=record["subject"])
    return Table(rows, caption=caption, label=f"tab-search-{number}", columns=columns, messages=m)
