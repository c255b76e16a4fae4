"""Notebook 50 and the report: what changes over time in the endurance step, though the load stays the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from genkai import figures
from genkai.pages.limits import instance_names
from genkai.report.display import Badge, Contents, Displayed, Figure, Paragraph, Table
from genkai.report.messages import Messages
from genkai.report.sections.explanation import finding_display
from genkai.report.sections.records import named
from genkai.study import RunStudy, Study
from genkai.study.results import findings_of

MOST_PANELS = 3


def drift(study: Study, lang: str = "en", told: bool = False) -> Contents:
    """The endurance run: what drifts as findings, everything that may drift as a table, and the series as a figure.

    told: the findings stand elsewhere already.
    """
    m, run = Messages(lang), next((r for r in study.of("endurance") if len(r.marks)), None)
    if run is None:
        return Contents([Paragraph(m.text("page.no_endurance"), m)], m)
    record = findings_of(study, run)
    rows = record["drifts"]
    if not rows:
        return Contents([Paragraph(m.text("page.endurance_too_short"), m)], m)
    found = [f for f in record["findings"] if f["group"] == "endurance"]
    names = instance_names(run, m)
    drawn = _figure(m, run, found, names)
    shown: list[Displayed] = [finding_display(m, _over_time(f, bool(drawn)), names) for f in found if not told]
    if not found:
        shown.append(Paragraph(m.text("page.no_drift"), m))
    return Contents([*shown, drift_table(m, rows, names), *drawn], m)


def _over_time(finding: dict[str, Any], drawn: bool) -> dict[str, Any]:
    """The finding with references to the figure over time."""
    evidence = [{**item, "figure": "fig-drift" if drawn and item["metric"] else None} for item in finding["evidence"]]
    return {**finding, "evidence": evidence}


def drift_table(m: Messages, rows: list[dict[str, Any]], names: Mapping[str, str] | None = None) -> Table:
    """Each series at the start and at the end, its slope with the 95 % interval, and when it jumped, if it did.

    names: {resource: what readers call it}.
    """
    cells = [
        {
            "resource": drift_name(m, row, names or {}),
            "first": row["first"], "last": row["last"], "slope": m.format(row["slope"], "measured"),
            "changed": row["changed"], "verdict": Badge(row["verdict"], m),
        }
        for row in rows
    ]  # fmt: skip
    columns = {name: m(f"column.{'drift_' + name if name in ('first', 'last') else name}") for name in cells[0]}
    return Table(cells, caption=m("caption.drift"), label="tab-drift", columns=columns, messages=m,
                 widths={"resource": "1fr"})  # fmt: skip


def drift_name(m: Messages, row: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """ "instance 1 · CPU credits": what readers call the resource and what of it may drift."""
    kind, _, own = row["resource"].partition(":")
    return f"{names.get(row['resource'], own or kind)} · {m('drift.' + row['what'])}".removeprefix(" · ")


def _figure(m: Messages, run: RunStudy, found: list[dict[str, Any]], names: Mapping[str, str]) -> list[Figure]:
    """The series that drift (else memory), on the time axis of the run; none where nothing was measured."""
    wanted = [(i["source"], i["resource"], i["metric"]) for f in found for i in f["evidence"] if i["metric"]]
    if not wanted:
        keys = [key for key in run.metrics.keys if key.metric == "mem_used_ratio"]
        wanted = [(key.source, key.resource, key.metric) for key in keys]
    parts = [_series(run, *key) for key in dict.fromkeys(wanted)][:MOST_PANELS]
    if not any(len(part) for part in parts):
        return []
    whole = run.seconds[run.seconds["api"] == "(all)"].rename(columns={"error_rps": "errors"})
    shown = pd.concat(parts, ignore_index=True)
    called = dict(names) | {metric: _metric_name(m, metric) for metric in shown["metric"].unique()}
    drawn = figures.timeline(whole, shown, list(run.marks), names=called, t=m.lang)
    caption, alt = m(f"caption.{'drift_series' if found else 'steady_series'}", subject=run.subject), m("alt.drift")
    return [Figure(drawn, label="fig-drift", caption=caption, alt=alt, messages=m)]


def _metric_name(m: Messages, metric: str) -> str:
    """What readers call a metric that may drift; of a process with the process's name."""
    process = re.fullmatch(r"process_(.+)_fds_max", metric)
    return m("metric.process_fds", process=process[1]) if process else named(m, "metric", metric)


def _series(run: RunStudy, source: str, resource: str, metric: str) -> pd.DataFrame:
    rows = run.metrics.select(metric, source, run.window)
    return rows[rows["resource"] == resource]
