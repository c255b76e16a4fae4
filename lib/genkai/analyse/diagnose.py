"""Why it stops where it stops: a claim with evidence and strength, what was ruled out, what was not measured.

Method: the level table says that and where it stops; then utilisation, saturation and errors per resource
(Gregg, USE method) and the operational laws say what stops it. Rules are in `rules/`; texts go by key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from genkai.analyse.rules import RULES
from genkai.analyse.rules.case import Case, Facts, Tables
from genkai.analyse.rules.endurance import drift_rows
from genkai.analyse.rules.evidence import Finding, amount
from genkai.analyse.rules.exclusions import examine
from genkai.analyse.rules.missing import not_measured
from genkai.analyse.rules.trust import trust
from genkai.plan import Plan

__all__ = ["Facts", "Tables", "diagnose", "facts_of"]

GROUP_OF = {rule.cause: rule.group for rule in RULES}
OWN_GROUPS = ("generator", "machine")  # the test set-up itself, not the service
LOOPBACK = ("127.", "localhost", "::1")


def facts_of(
    plan: Plan, step: str, subject: str, limits: Mapping[str, float] | None = None,
    offsets: Mapping[str, Any] | None = None,
) -> Facts:  # fmt: skip
    """What a diagnosis needs of the plan; limits: known ceilings, see Facts; offsets: run.json's clock_offsets."""
    part = plan.step_named(step)
    targets = plan.targets_for(subject)
    host = urlsplit(plan.base_url).hostname or ""
    here = next((h for h in sorted(plan.hosts, key=lambda h: h.role != "generator") if h.ssh is None), None)
    return Facts(
        step=step,
        subject=subject,
        limits_s=targets.response_times_s(),
        error_limit=targets.error_ratio,
        hosts={h.name: h.role for h in plan.hosts},
        generator_host=here.name if here else "local",
        shared=host.startswith(LOOPBACK),
        load_balancer=plan.aws.load_balancer if plan.aws else None,
        think_time_s=part.think_time_s if part and step in ("verify", "api") else None,
        hold_needed_s=plan.preconditions.hold_h * 3600 if plan.preconditions.hold_h else None,
        limits=limits or {},
        clock_offsets_s=_both_offsets(offsets or {}),
    )


def _both_offsets(offsets: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """{host: (offset at the start, at the end)} of the hosts that told both."""
    start, end = offsets.get("start") or {}, offsets.get("end") or {}
    known = [h for h in start if all(part.get(h, {}).get("offset_s") is not None for part in (start, end))]
    return {h: (float(start[h]["offset_s"]), float(end[h]["offset_s"])) for h in known}


def diagnose(tables: Tables) -> dict[str, Any]:
    """The answer, findings best first, what was ruled out and what was not measured, as one JSON record.

    {answer_key, values, kind, generator, findings, ruled_out, not_measured, drifts}; every number is a record, every
    text a key.
    """
    case = Case(tables)
    found = ranked(case) if len(case.levels) else []
    return {
        "answer_key": _answer(case, found),
        "values": _values(case),
        "kind": case.stall.kind if case.stall else None,
        "generator": trust(case, [f for f in found if GROUP_OF[f.cause] in OWN_GROUPS]) if len(case.levels) else None,
        "findings": _records(case, found),
        "ruled_out": examine(case),
        "not_measured": not_measured(case) if len(case.levels) else [],
        "drifts": drift_rows(case) if len(case.levels) else [],
    }


def ranked(case: Case) -> list[Finding]:
    """The findings of all rules that apply, one per cause; the test set-up's own limit goes before the service's."""
    best: dict[str, Finding] = {}
    for rule in RULES:
        if not _asked(case, rule):
            continue
        finding = rule.applies(case)
        if finding and (finding.cause not in best or finding.score > best[finding.cause].score):
            best[finding.cause] = finding
    return sorted(best.values(), key=lambda f: (f.contributes, not _goes_first(f), -f.score))


def _asked(case: Case, rule) -> bool:
    if rule.even_without_stall or case.stall is not None:
        return True
    return rule.group == "generator" and _stopped_by_generator(case)


def _stopped_by_generator(case: Case) -> bool:
    """No limit was seen, but the highest level is the generator's own limit and the target was not reached below it."""
    limited, throughput = case.generator_limited(), case.column("throughput_rps")
    if case.stall is not None or not len(limited) or not limited[-1]:
        return False
    valid = throughput[~limited & np.isfinite(throughput)]
    target = case.tables.target_rps
    return target is None or not len(valid) or valid.max() < target


def _goes_first(finding: Finding) -> bool:
    return GROUP_OF[finding.cause] in OWN_GROUPS and finding.strength == "strong"


def _answer(case: Case, found: list[Finding]) -> str:
    explaining = [f for f in found if not f.contributes]
    first = GROUP_OF[explaining[0].cause] if explaining else None
    if not len(case.levels) or not np.isfinite(case.column("throughput_rps")).any():
        return "answer.nothing_measured"
    if case.stall is None and not _stopped_by_generator(case):
        return "answer.drift" if first == "endurance" else "answer.no_limit"
    if first in OWN_GROUPS:
        return "answer.generator"
    if first is None:
        return "answer.cannot_tell"
    return "answer.limit_found" if case.stall.kind == "throughput" else f"answer.{case.stall.kind}_limit_found"


def _values(case: Case) -> dict[str, Any]:
    """The numbers of the answer: the load and throughput where it stops, or up to which it did not stop."""
    if not len(case.levels):
        return {}
    throughput, intended = case.column("throughput_rps"), case.column("intended")
    usable = np.isfinite(throughput) & ~case.generator_limited()
    if not usable.any():
        usable = np.isfinite(throughput)
    at = case.stall.level if case.stall else len(intended) - 1
    knee = case.stall.knee if case.stall else None
    top = float(throughput[usable].max()) if usable.any() else None
    return {
        "load": amount(intended[at], case.load_unit),
        "reached": amount(throughput[at], "rps"),
        "knee_load": amount(intended[knee] if knee is not None else None, case.load_unit),
        "ceiling": amount(case.stall.ceiling_rps if case.stall else top, "rps"),
        "highest": amount(top, "rps"),
        "highest_load": amount(float(intended[usable].max()) if usable.any() else None, case.load_unit),
        "target": amount(case.tables.target_rps, "rps"),
    }


def _records(case: Case, found: list[Finding]) -> list[dict[str, Any]]:
    figures: dict[tuple[str, str, str], str] = {}
    records = []
    for finding in found:
        evidence = []
        for item in finding.evidence:
            series = (item.source, item.resource, item.metric)
            drawn = figures.setdefault(series, f"fig-evidence-{len(figures) + 1}") if item.metric else None
            evidence.append(item.record(drawn))
        records.append(
            {
                "cause": finding.cause,
                "group": GROUP_OF[finding.cause],
                "strength": finding.strength,
                "score": round(finding.score, 3),
                "contributes": finding.contributes,
                "claim_key": f"cause.{finding.cause}.claim",
                "values": {**_values(case), **finding.values},
                "evidence": evidence,
                "remedy_key": f"cause.{finding.cause}.remedy",
                "risk_key": f"cause.{finding.cause}.risk",
                "verify_key": f"cause.{finding.cause}.verify",
            }
        )
    return records
