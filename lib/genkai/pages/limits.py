"""What the types of the instances limit: lines for the timeline, a table, and how long CPU credits last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from genkai import figures
from genkai.analyse import type_limits
from genkai.analyse.counted import request_counts
from genkai.collect.catalogue import metric_warnings
from genkai.figures import Limit
from genkai.report.display import Contents, Displayed, Figure, Paragraph
from genkai.report.messages import Messages
from genkai.report.sections import machine_limits as sections
from genkai.study import RunStudy, Study
from genkai.study.results import credits_of, discovered

_CPU = {"CPUUtilization": 100.0, "cpu_busy_ratio": 1.0}  # metrics of the timeline that speak of CPU, and their whole


def instance_names(run: RunStudy, m: Messages, *others: RunStudy) -> dict[str, str]:
    """Short names for long resource ids of a run, and after them for those that only others have."""
    found = [sorted({k.resource for k in r.metrics.keys if k.resource.startswith("ec2:")}) for r in (run, *others)]
    ids = dict.fromkeys(name for names in found for name in names)
    return {name: m("page.instance", n=number) for number, name in enumerate(ids, 1)}


def addresses(study: Study) -> dict[str, str]:
    """{address: name} of the hosts that the plan watches over ssh."""
    return {host.ssh.rpartition("@")[2]: host.name for host in study.plan.hosts if host.ssh}


def near_table(study: Study, run: RunStudy) -> pd.DataFrame:
    """Rows of the network or EBS quantity whose base line is most nearly used up; none below 80 % of it."""
    found, hosts = discovered(run), addresses(study)
    table = type_limits.used_table(run.metrics, found, hosts)
    near = {type_limits.panel_of(r["what"], r["type"]) for r in type_limits.limit_rows(run.metrics, found, hosts)
            if r["share"]["value"] >= type_limits.NEAR and r["what"] != "cpu_use"}  # fmt: skip
    first = next((metric for metric in table["metric"].unique() if metric in near), None)
    return table[table["metric"] == first]


def limit_lines(study: Study, run: RunStudy, table: pd.DataFrame, m: Messages) -> dict[str, list[Limit]]:
    """{metric of the table: base lines of the types, and the burst where a base line was passed}."""
    known = list(type_limits.instances_of(discovered(run), addresses(study)))
    highest = table.groupby(["metric", "resource"])["value"].max().to_dict()
    lines: dict[str, dict[float, list[str]]] = {}
    for quantity in type_limits.QUANTITIES:
        for resource, kind, limits, _ in known:
            base, burst = type_limits.limits_of(quantity, limits)
            panels = {type_limits.panel_of(quantity.name, kind): 1.0} | (_CPU if quantity.name == "cpu_use" else {})
            for metric, whole in panels.items():
                used = highest.get((metric, resource))
                if used is not None and base:
                    passed = {burst: m("machine.line.burst")} if burst and used > base else {}
                    for value, name in {base * whole: _line_name(metric, kind, known, m), **passed}.items():
                        names = lines.setdefault(metric, {}).setdefault(value, [])
                        names += [] if name in names else [name]
    for resource, _, limits, _ in known:
        if ("run_queue", resource) in highest and limits.get("vcpus"):
            lines.setdefault("run_queue", {})[limits["vcpus"]] = [m("machine.line.vcpus")]
    return {metric: [Limit(v, ", ".join(names)) for v, names in values.items()] for metric, values in lines.items()}


def _line_name(metric: str, kind: str, known: Sequence[tuple[str, str, Any, Any]], m: Messages) -> str:
    """ "base line", with the type where the panel shows instances of several."""
    told = m("machine.line.base")
    return f"{kind}\n{told}" if metric in _CPU and len({k for _, k, _, _ in known}) > 1 else told


def panel_names(table: pd.DataFrame, m: Messages) -> dict[str, str]:
    """What readers call the metrics of `type_limits.used_table`: "Network in, t3.medium"."""
    parts = {metric: metric.rstrip("]").partition("[") for metric in table["metric"].unique()}
    return {metric: f"{m(f'machine.{what}')}, {kind}" for metric, (what, sep, kind) in parts.items() if sep}


def rows_of(study: Study, run: RunStudy) -> dict[str, Any]:
    """{"limits": rows, "credits": rows} of a run, for the report's section of the machines."""
    found = discovered(run)
    return {"limits": type_limits.limit_rows(run.metrics, found, addresses(study)),
            "credits": credits_of(run), "warnings": warning_rows(run),
            "counts": request_counts(run.metrics, run.requests, run.generator)}  # fmt: skip


def warning_rows(run: RunStudy) -> list[dict[str, Any]]:
    """Where CloudWatch's values of a run were beyond the catalogue's rules."""
    return metric_warnings(run.metrics.select(source="cloudwatch"), discovered(run).get("nodes"))


def warnings(study: Study, step: str = "", lang: str = "en") -> Displayed:
    """What CloudWatch reported beyond the rule of its metric, and whether it counted the requests that were sent."""
    m, run = Messages(lang), study.main(step)
    if not any(key.source == "cloudwatch" for key in run.metrics.keys):
        return Paragraph(m.text("machine.not_asked"), m)
    table = sections.metric_warnings(m, warning_rows(run), instance_names(run, m))
    counts = sections.counts_said(m, request_counts(run.metrics, run.requests, run.generator))
    return Contents([*(table or [Paragraph(m.text("machine.within"), m)]), *counts], m)


def limits(study: Study, step: str = "", lang: str = "en") -> Displayed:
    """Every quantity that a type limits over the time of the run, the table, and the credits."""
    m, run = Messages(lang), study.main(step)
    rows, names = rows_of(study, run), instance_names(run, m)
    items = sections.machine_limits(m, rows["limits"], rows["credits"], names)
    table = type_limits.used_table(run.metrics, discovered(run), addresses(study))
    if not items or not len(table) or not len(run.requests):
        return Contents(items, m) if items else Paragraph(m.text("machine.none"), m)
    return Contents([_figure(study, run, table, names, m), *items], m)


def _figure(study: Study, run: RunStudy, table: pd.DataFrame, names: Mapping[str, str], m: Messages) -> Figure:
    whole = run.seconds[run.seconds["api"] == "(all)"].rename(columns={"error_rps": "errors"})
    drawn = figures.timeline(whole, table, list(run.marks), names={**names, **panel_names(table, m)}, t=m.lang,
                             limits=limit_lines(study, run, table, m))  # fmt: skip
    return Figure(drawn, label="fig-machine-limits", messages=m, alt=m("alt.machine_limits"),
                  caption=m("caption.machine_figure", subject=run.subject))  # fmt: skip
