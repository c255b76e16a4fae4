"""What the analysis says of a study, as records: scale characteristics, diagnosis, monitoring, verdicts, comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from genkai.analyse.compare import compare_cycles
from genkai.analyse.credits import credit_rows
from genkai.analyse.diagnose import Tables, diagnose, facts_of
from genkai.analyse.rules.case import Case
from genkai.analyse.scale_levels import fit_levels
from genkai.analyse.type_limits import instances_of
from genkai.analyse.verdict import cycle_verdicts
from genkai.collect.cache_nodes import core_share
from genkai.study.evidence import evidence_series
from genkai.study.kept import kept
from genkai.study.reading import RunStudy, Study
from genkai.workspace import read_json


def think_time_s(study: Study, run: RunStudy) -> float | None:
    """Mean think time of the run's closed users, seconds; None for arrival rates and own locustfiles."""
    part = study.plan.step_named(run.step)
    if part is None or part.levels[0].workload == "open":
        return None
    if run.step in ("verify", "api"):
        return part.think_time_s
    calls = study.plan.scenario_named(run.subject).calls
    weights = sum(c.weight for c in calls)
    return sum(c.weight * c.think_time_s for c in calls) / weights if weights else None


@kept
def fit_run(study: Study, run: RunStudy) -> dict[str, Any]:
    """The scalability record of a run; says so where there are too few levels."""
    return fit_levels(run.levels, run.subject, think_time_s=think_time_s(study, run), intervals=run.intervals)


def tables_of(study: Study, run: RunStudy, fit: Mapping[str, Any] | None = None) -> Tables:
    """What the rules of the diagnosis read."""
    limits = {**network_limits(run), **cache_limits(run)}
    facts = facts_of(study.plan, run.step, run.subject, limits, run.record.get("clock_offsets"))
    return Tables(
        levels=run.whole, requests=run.requests, failures=run.failures, generator=run.generator, metrics=run.metrics,
        fit=fit, target_rps=study.stated_of(run),
        facts=replace(facts, limits={**facts.limits, **link_limits(run, facts.generator_host)},
                      zones=zones_of(run),
                      credits={row["resource"]: row for row in credits_of(run)}),
    )  # fmt: skip


def discovered(run: RunStudy) -> dict[str, Any]:
    """What discovery found behind the load balancer when the run was collected; {} where nobody asked."""
    path = run.run.raw("discovery.json")
    return read_json(path) if path.exists() else {}


def credits_of(run: RunStudy) -> list[dict[str, Any]]:
    """What burstable instances spent under the run's load, see `analyse.credits`."""
    return credit_rows(run.metrics, discovered(run), run.window) if len(run.marks) else []


def network_limits(run: RunStudy) -> dict[str, float]:
    """{"ec2:ID signal": bytes/s} of the base-line bandwidth of the instances that discovery found, for Facts.limits."""
    known = {resource: limits.get("network_base_line_gbps") for resource, _, limits, _ in instances_of(discovered(run))}
    signals = ("network.instance_in", "network.instance_out")
    return {f"{resource} {signal}": gigabits * 1e9 / 8 for resource, gigabits in known.items() if gigabits
            for signal in signals}  # fmt: skip


def cache_limits(run: RunStudy) -> dict[str, float]:
    """{"elasticache:NAME elasticache.node_cpu": share of the node's CPU that its engine can use}, for Facts.limits."""
    nodes = discovered(run).get("nodes") or {}
    return {f"{resource} elasticache.node_cpu": core_share(node) for resource, node in nodes.items()}


def link_limits(run: RunStudy, host: str) -> dict[str, float]:
    """{"host:NAME signal": bytes/s} of the links of the machine that started the load; {}: its kernel told none."""
    speed = run.record.get("link_bytes_per_s")
    return {f"host:{host} {signal}": float(speed) for signal in ("network.in", "network.out")} if speed else {}


def zones_of(run: RunStudy) -> dict[str, str]:
    """{"ec2:ID": availability zone} of the instances that discovery found."""
    found = discovered(run).get("instances") or []
    return {f"ec2:{instance['id']}": instance["zone"] for instance in found if instance.get("zone")}


def case_of(study: Study, run: RunStudy) -> Case:
    """A run as the rules see it."""
    return Case(tables_of(study, run))


@kept
def findings_of(study: Study, run: RunStudy) -> dict[str, Any]:
    """The findings record of a run, its scalability record taken into account."""
    return diagnose_run(study, run, fit_run(study, run))


def diagnose_run(study: Study, run: RunStudy, fit: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The findings record of a run."""
    record = diagnose(tables_of(study, run, fit))
    for number, finding in enumerate(record["findings"], 1):
        series = evidence_series(run, finding)
        drawn = set(series["metric"]) if series["intended"].nunique() > 1 else ()  # one level is a point, not a line
        for item in finding["evidence"]:  # one figure a finding, with a panel for each of its series
            item["figure"] = f"fig-evidence-{number}" if item.get("metric") in drawn else None
    return record


@kept
def drift_findings(study: Study) -> list[dict[str, Any]]:
    """What changes over time in the endurance step, best first; [] where there is no such run."""
    records = [diagnose(tables_of(study, run)) for run in study.of("endurance") if len(run.marks)]
    found = [f for record in records for f in record["findings"] if f["group"] == "endurance"]
    return sorted(found, key=lambda f: -f["score"])


def cycle_record(
    study: Study, comparison: Mapping[str, Any] | None = None, sizes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Verdicts of the whole cycle: overall, per target, purpose and step. sizes: main_scale_out's record, or None."""
    fits = {f"{r.step}/{r.subject}": fit_run(study, r) for r in study.runs if r.step != "verify" and len(r.marks)}
    return cycle_verdicts(study.plan, study.split, study.runs, fits=fits, comparison=comparison,
                          drifts=drift_findings(study), sizes=sizes)  # fmt: skip


@kept
def cycle_comparison(before: Study, after: Study) -> dict[str, Any]:
    """The two cycles at equal load and equal size of the target, row by row, and what else changed between them."""
    return compare_cycles(replace(before, runs=of_equal_size(before, after)), after)


def of_equal_size(before: Study, after: Study) -> tuple[RunStudy, ...]:
    """The runs of `before` at the sizes that `after` speaks of; a run whose size nobody set counts as any size."""
    wanted = {(r.step, r.subject): r.size for r in after.runs}
    found = []
    for run in (r for r in (*before.runs, *before.resized) if (r.step, r.subject) in wanted):
        other = wanted[run.step, run.subject]
        unknown = None in (run.size, other) and run.run.other_size is None
        found += [run] if unknown or run.size == other else []
    return tuple(found)
