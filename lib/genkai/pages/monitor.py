"""Notebook 30: collect what the machines did, and show it on the time axis of the load."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from genkai import figures, schema
from genkai.analyse.level_metrics import COLUMNS, summarise_levels
from genkai.analyse.rules.exclusions import examine
from genkai.collect.aws import is_local
from genkai.collect.cloudwatch import (
    cloudwatch_record,
    collect_cloudwatch,
    discovery_of,
    preliminary_note,
    publishing_wait_s,
    run_window,
)
from genkai.collect.discovery import discover
from genkai.collect.discovery_view import environment_differences
from genkai.collect.errors import CollectError
from genkai.collect.sampling import clock_records, collect_hosts, host_warnings
from genkai.pages import limits
from genkai.pages.discovery import discovery_table
from genkai.plan import Plan
from genkai.report.display import Bullets, Contents, Displayed, Figure, Paragraph, Table
from genkai.report.messages import Messages
from genkai.report.sections.records import use_table
from genkai.study import RunStudy, Study, read_study
from genkai.study.kept import kept
from genkai.study.results import case_of
from genkai.workspace import Cycle, Run, write_json, write_text

# What a timeline shows, first those that tell most; (metric, statistics in order of preference).
TIMELINE = (
    ("SurgeQueueLength", ("Maximum",)), ("SpilloverCount", ("Sum",)), ("RejectedConnectionCount", ("Sum",)),
    ("HTTPCode_ELB_5XX_Count", ("Sum",)), ("CPUUtilization", ("Maximum", "Average")),
    ("cpu_busy_ratio", ("sample",)), ("run_queue", ("sample",)), ("tcp_listen_overflows", ("sample",)),
)  # fmt: skip
HEALTH = {"cpu_ratio": "ratio", "loop_lag_p99_s": "s", "schedule_slip_p99_s": "s"}  # of the load generator, and units
RUNS_AT_ONCE = 4  # asked of CloudWatch: most of the time is waiting for its answers
MOST_PANELS = 3  # more make the figure taller than what is left of a page


def collect(cycle: Cycle, refresh: bool = False) -> tuple[Study, list[str]]:
    """Metrics of every run of the cycle: hosts from their logs, CloudWatch for the window; what was odd.

    Raises CollectError when AWS cannot be asked at all (profile, endpoint, load balancer).
    """
    study, notes = read_study(cycle), []
    for run in () if cycle.recorded else study.every:
        if not run.run.table("metrics", "hosts").exists() and run.run.raw("sampling.jsonl").exists():
            notes += _collect_hosts(run.run, study.plan)
    if study.plan.aws and study.plan.aws.load_balancer and not cycle.recorded:
        notes += _collect_aws(study, refresh)
    study = read_study(cycle)
    for run in study.every:
        notes += [f"{run.run.name}: {text}" for texts in host_warnings(run.run).values() for text in texts]
        said = cloudwatch_record(run.run).get("warnings") or []
        said = said if cycle.recorded or study.plan.aws is None else [*said, *preliminary_note(run.run, study.plan.aws)]
        notes += [f"{run.run.name}: CloudWatch: {text}" for text in said]
        clocks = [told for each in clock_records(run.record.get("clock_offsets")).values() for told in each]
        notes += [f"{run.run.name}: {text}" for told in clocks for text in told.get("warnings") or []]
    return study, list(dict.fromkeys(notes))


def _collect_hosts(run: Run, plan: Plan) -> list[str]:
    """The hosts' logs as a table; hosts that told nothing must not hide what became of the load."""
    try:
        collect_hosts(run, plan.hosts)
    except CollectError as error:
        return [str(error)]
    return []


def _collect_aws(study: Study, refresh: bool) -> list[str]:
    """CloudWatch for each run; what is behind the load balancer is asked once, for all runs that do not know it yet."""
    runs = [r.run for r in study.every if len(r.marks)]
    unknown = [run for run in runs if refresh or not run.raw("discovery.json").exists()]
    if unknown:
        found = discover(study.plan.aws).record()
        for run in unknown:
            write_json(run.raw("discovery.json"), found)
    for run in runs if refresh else ():
        run.raw("cloudwatch.json").unlink(missing_ok=True)
    asked = [run for run in runs if not cloudwatch_record(run).get("fetched_at")]
    wait_s = publishing_wait_s(study.plan.aws, max(map(_end_of, asked)), datetime.now(UTC)) if asked else 0.0
    if wait_s:
        print(f"CloudWatch has the last minutes of a run about 3 minutes late: waiting {wait_s:.0f} s", flush=True)
        time.sleep(wait_s)
    with ThreadPoolExecutor(RUNS_AT_ONCE) as pool:
        return [text for texts in pool.map(lambda run: _pull(run, study.plan), runs) for text in texts]


def _pull(run: Run, plan: Plan) -> list[str]:
    """CloudWatch of one run; what was fetched before counts when AWS cannot be asked any more, which is said."""
    try:
        # a stand-in on this machine bills nothing
        collect_cloudwatch(run, plan, announce=None if is_local(plan.aws, "cloudwatch") else partial(_say, run.name))
    except CollectError as error:
        if not (cloudwatch_record(run) and run.table("metrics", "cloudwatch").exists()):
            raise
        return [f"{run.name}: CloudWatch: not asked again, what was fetched right after the run is shown; {error}"]
    return []


def _say(run: str, text: str) -> None:
    print(f"{run}: {text}", flush=True)


def _end_of(run: Run) -> datetime:
    return run_window(run)[1]


def said(notes: list[str], lang: str = "en") -> Displayed:
    """What was odd or missing while collecting."""
    m, where = Messages(lang), {}
    for note in notes:  # what every run says is said once
        run, _, text = note.partition(": ")
        where.setdefault(text or note, []).append(run if text else "")
    items = [f"{', '.join(runs)}: {text}" if runs[0] else text for text, runs in where.items()]
    return Bullets(items, messages=m) if notes else Paragraph(m.text("page.collected"), m)


def environment(study: Study, lang: str = "en") -> Displayed:
    """What discovery found behind the load balancer, and where it differs from the plan's words."""
    m, run = Messages(lang), next((r for r in study.runs if r.run.raw("discovery.json").exists()), None)
    if run is None:
        return Paragraph(m.text("page.no_discovery"), m)
    found = discovery_of(run.run, study.plan)
    table = discovery_table(found, m, limits.instance_names(study.main(), m))
    columns = {name: m(f"column.{name}") for name in table.columns}
    items: list[Displayed] = [
        Table(table, caption=m("caption.discovery"), label="tab-discovery", columns=columns, messages=m,
              widths={"name": "1fr", "limits": "1fr"})
    ]  # fmt: skip
    rows = environment_differences(found, study.plan.environment)
    if rows:
        texts = [m.text("page.environment_difference", item=r["item"], plan=r["plan"], found=r["found"]) for r in rows]
        items.append(Bullets(texts, messages=m))
    return Contents(items, m)


@kept
def timeline(study: Study, step: str = "", lang: str = "en") -> Displayed:
    """Throughput, response time and the metrics that tell most, with the levels as bands."""
    m, run = Messages(lang), study.main(step)
    if not len(run.requests):
        return Paragraph(m.text("page.no_metrics"), m)
    wanted = study.plan.targets_for(run.subject).response_times_s()
    goals = {"throughput_rps": study.stated_of(run), "p95_s": wanted.get("p95_s")}
    thresholds = {name: goal for name, goal in goals.items() if goal is not None}
    whole = run.seconds[run.seconds["api"] == "(all)"].rename(columns={"error_rps": "errors"})
    shown = pd.concat([limits.near_table(study, run), timeline_metrics(run)], ignore_index=True)
    shown = shown[shown["metric"].isin(list(dict.fromkeys(shown["metric"]))[:MOST_PANELS])]
    names = limits.instance_names(run, m) | limits.panel_names(shown, m)
    names |= {metric: m(f"metric.{metric}") for metric, _ in TIMELINE if f"metric.{metric}" in m}
    drawn = figures.timeline(whole, shown, list(run.marks), thresholds=thresholds, names=names, t=lang,
                             limits=limits.limit_lines(study, run, shown, m))  # fmt: skip
    return Figure(drawn, label="fig-timeline", messages=m, caption=m("caption.timeline", subject=run.subject),
                  alt=m("alt.timeline"))  # fmt: skip


def timeline_metrics(run: RunStudy) -> pd.DataFrame:
    """The rows of the metrics table that the timeline shows."""
    parts: list[pd.DataFrame] = []
    for metric, statistics in TIMELINE:
        found = run.metrics.select(metric, window=run.window)
        chosen = next((s for s in statistics if s.lower() in set(found["statistic"].str.lower())), None)
        if chosen is not None and len(parts) < MOST_PANELS:
            shown = found[found["statistic"].str.lower() == chosen.lower()]
            # vmstat and /proc tell some metrics both: two series of one name would be drawn as one zigzag.
            parts.append(shown[shown["source"] == shown.groupby("resource")["source"].transform("min")])
    return pd.concat(parts, ignore_index=True) if parts else schema.empty_table("metrics")


def generator(study: Study, step: str = "", lang: str = "en") -> Displayed:
    """CPU and lateness of the load generator's processes over the run."""
    m, run = Messages(lang), study.main(step)
    table = run.generator
    if not len(table):
        return Paragraph(m.text("page.no_metrics"), m)
    parts = [
        pd.DataFrame({
            "time": table["time"], "source": "generator", "resource": "process:" + table["process"].astype(str),
            "metric": name, "statistic": "sample", "unit": unit, "period_s": 1.0, "value": table[name].astype(float),
        }).dropna(subset=["value"])
        for name, unit in HEALTH.items()
    ]  # fmt: skip
    whole = run.seconds[run.seconds["api"] == "(all)"].rename(columns={"error_rps": "errors"})
    names = {name: m(f"metric.{name}") for name in HEALTH}
    drawn = figures.timeline(whole, pd.concat(parts, ignore_index=True), list(run.marks), names=names, t=lang)
    return Figure(drawn, label="fig-generator", messages=m, caption=m("caption.generator", subject=run.subject),
                  alt=m("alt.generator"))  # fmt: skip


@kept
def use_rows(study: Study, run: RunStudy) -> list[dict[str, Any]]:
    """Utilisation, saturation and errors of every resource at the highest load."""
    return examine(case_of(study, run)) if len(run.whole) else []


def use(study: Study, step: str = "", lang: str = "en") -> Displayed:
    """The USE table."""
    m, rows = Messages(lang), use_rows(study, study.main(step))
    if not rows:
        return Paragraph(m.text("page.no_metrics"), m)
    return use_table(m, rows, m("caption.use"), "tab-use")


def write(study: Study, notes: list[str]) -> Path:
    """results/monitor.json: {run: USE rows}, and what was odd while collecting.

    Beside it metrics_by_level.csv: every series of every run over every level's hold.
    """
    rows = {r.run.name: use_rows(study, r) for r in study.runs if len(r.marks)}
    parts = [summarise_levels(r.metrics, r.marks).assign(run=r.run.name) for r in study.runs if len(r.marks)]
    if parts:
        table = pd.concat(parts, ignore_index=True)
        text = table[["run", *COLUMNS]].to_csv(index=False, float_format="%.6g")
        write_text(study.cycle.results_dir / "metrics_by_level.csv", text)
    return study.cycle.write_result("monitor", {"use": rows, "notes": notes})
