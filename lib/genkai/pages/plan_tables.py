"""The tables of the test plan: purposes, environment, tools, scenarios, steps, monitoring, safety, agreement."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from genkai.analyse.actions import cause_name
from genkai.analyse.generator_limit import CPU_RATIO, SENT_RATIO
from genkai.analyse.machines import unit_of
from genkai.analyse.rules.relations import BUSY, WORKERS_FULL
from genkai.plan import STEPS, Plan
from genkai.report.display import Table
from genkai.report.messages import Messages
from genkai.report.sections.records import named
from genkai.study import Study

# Where each item is watched from, as far as the plan names it.
SOURCES: dict[str, tuple[str, ...]] = {
    "M1": ("generator", "elb"), "M2": ("generator", "elb"), "M3": ("hosts", "ec2"), "M4": ("hosts",),
    "M5": ("hosts", "ec2"), "M6": ("generator", "hosts", "elb"), "M7": ("ec2",), "M8": ("hosts", "ec2"),
    "M9": ("status", "services"), "M10": (),
}  # fmt: skip
MOST_HOSTS = 3  # that are named each time
TOOLS = ("genkai", "locust", "python", "boto3", "vmstat", "typst")


def plan_table(
    m: Messages, name: str, rows: Sequence[Mapping[str, Any]], widths: Mapping[str, str] | None = None
) -> Table:
    """A table of the plan: caption, label and column names by its name."""
    columns = {column: m(f"column_plan.{column}") for column in rows[0]}
    caption = m(f"caption_plan.{name}")
    return Table(rows, caption=caption, label=f"tab-{name}", columns=columns, widths=widths, messages=m)


def purposes(m: Messages, plan: Plan) -> Table:
    """Each purpose with the question it asks and how it is judged."""
    rows = [{"purpose": m(f"purpose.{p}"), "judged": m(f"plan_doc.purpose.{p}")} for p in plan.purposes]
    return plan_table(m, "purposes", rows, {"purpose": "1fr", "judged": "2fr"})


def environment(m: Messages, plan: Plan) -> Table | None:
    """What is tested beside what production is; None where the plan says neither."""
    here, there = plan.environment.target, plan.environment.production
    rows = [
        {"item": key.replace("_", " "), "tested": _plain(m, here.get(key)), "production": _plain(m, there.get(key)),
         "differs": "≠" if there and here.get(key) != there.get(key) else ""}
        for key in dict.fromkeys([*here, *there])
    ]  # fmt: skip
    return plan_table(m, "environment", rows, dict.fromkeys(("item", "tested", "production"), "1fr")) if rows else None


def _plain(m: Messages, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"  # as facts.plainly has it: the keys are the plan's own words, too
    return m("number.missing") if value is None else str(value)


def tools(m: Messages, study: Study) -> Table:
    """Tools with their versions: those of the runs where there are any, else those installed here."""
    used = next((r.record["versions"] for r in study.runs if r.record.get("versions")), {})
    shown = [t for t in TOOLS if t != "boto3" or study.plan.aws]
    rows = [{"tool": t, "version": used.get(t) or _version(m, t), "use": m(f"plan_doc.tool.{t}")} for t in shown]
    return plan_table(m, "tools", rows, {"use": "1fr"})


def _version(m: Messages, tool: str) -> str:
    if tool == "vmstat":
        return m("plan_doc.of_hosts")
    if tool == "python":
        return platform.python_version()
    try:
        return importlib.metadata.version(tool)
    except importlib.metadata.PackageNotFoundError:
        return m("number.missing")


def scenarios(m: Messages, plan: Plan) -> Table:
    """Each scenario: its calls with their shares and think times, and why it was chosen."""
    rows = []
    for scenario in plan.scenarios:
        total = sum(c.weight for c in scenario.calls)
        calls = [
            m("plan_doc.scenario_call", api=c.api, share=c.weight / total, think=m.format(c.think_time_s, "duration"))
            for c in scenario.calls
        ]
        own = m("plan_doc.scenario_own", file=str(scenario.locustfile))
        why = scenario.why or m("number.missing")
        rows.append({"scenario": scenario.name, "calls": m("word.comma").join(calls) or own, "why": why})
    return plan_table(m, "scenarios", rows, {"calls": "1fr", "why": "1fr"})


def questions(m: Messages, plan: Plan) -> Table:
    """Each step: what it asks and when it passes; a step that is left out is shown as such."""
    rows = []
    for step in STEPS:
        part = plan.step_named(step)
        margin = {"margin": part.margin} if part and step == "verify" else {}
        passes = m(f"plan_doc.passes.{step}", **margin) if part else m("plan_doc.step_left_out")
        rows.append({"step": m(f"step.{step}"), "asks": m(f"plan_doc.question.{step}"), "passes": passes})
    return plan_table(m, "questions", rows, {"asks": "1fr", "passes": "1fr"})


def monitoring(m: Messages, study: Study) -> Table:
    """M1–M10: from where each is watched by this plan, and from which value on it tells something."""
    known, rows = _known_sources(m, study.plan), []
    values = {
        "target": m.format({"value": study.target_rps, "unit": "rps"}), "limits": limits_text(m, study.plan),
        "sent": SENT_RATIO, "busy": BUSY, "generator": CPU_RATIO, "workers": WORKERS_FULL,
    }  # fmt: skip
    for item, names in SOURCES.items():
        told = [known[name] for name in names if name in known]
        without = "separate_run" if item == "M10" else "not_watched"
        rows.append({
            "id": item, "item": m(f"plan_doc.monitor.{item}"),
            "source": m("word.semicolon").join(told) or m(f"plan_doc.{without}"),
            "threshold": m(f"plan_doc.threshold.{item}", **values),
        })  # fmt: skip
    return plan_table(m, "monitoring", rows, {"source": "1fr", "threshold": "1fr"})


def _known_sources(m: Messages, plan: Plan) -> dict[str, str]:
    """{source: as the document says it} of what the plan names."""
    names = {"generator": "-", "hosts": _hosts_said(m, [h.name for h in plan.hosts]),
             "status": _hosts_said(m, [h.name for h in plan.hosts if h.status_url])}  # fmt: skip
    period = ""
    if plan.aws:
        period = m.format(plan.aws.period_s, "duration")
        names |= dict.fromkeys(("elb", "ec2"), plan.aws.load_balancer or "")
        names["services"] = ", ".join(f"{s} ({', '.join(found)})" for s, found in plan.aws.services.items())
    return {key: m(f"plan_doc.source.{key}", names=text, period=period) for key, text in names.items() if text}


def _hosts_said(m: Messages, names: Sequence[str]) -> str:
    """Names of hosts, or how many there are: the conditions of the test name every one."""
    return m("plan_doc.hosts", n=len(names)) if len(names) > MOST_HOSTS else m("word.comma").join(names)


def unwatched(m: Messages, plan: Plan) -> list[str]:
    """The monitoring items that the plan names no source for; profiling (M10) has a run of its own."""
    known = _known_sources(m, plan)
    return [item for item, names in SOURCES.items() if item != "M10" and not known.keys() & set(names)]


def limits_text(m: Messages, plan: Plan) -> str:
    """The response times that the plan allows, e.g. "p95 ≤ 200 ms"."""
    limits = plan.targets.response_times_s().items()
    texts = [f"{name.removesuffix('_s')} {m('number.at_most', value=m.format(s, 'time'))}" for name, s in limits]
    return ", ".join(texts) or m("number.missing")


def machine_targets(m: Messages, plan: Plan) -> Table | None:
    """What the machines must keep under the target load; None where the plan says nothing of them."""
    rows = [
        {
            "resource": target.resource or m("plan_doc.machines.every"),
            "metric": named(m, "metric", target.metric) + (f" ({target.statistic})" if target.statistic else ""),
            "target": m(f"number.{kind}", value=m.format({"value": limit, "unit": unit_of(target.metric)})),
            "over": m(f"plan_doc.machines.{target.over_level}"),
        }
        for target in plan.targets.machines
        for kind, limit in [target.bound]
    ]
    return plan_table(m, "machines", rows, {"resource": "1fr", "metric": "1fr"}) if rows else None


def safety(m: Messages, plan: Plan) -> Table:
    """Where load may go, and what ends a run."""
    parts = [part for part in map(plan.step_named, STEPS) if part]
    in_flight = max(part.max_in_flight for part in parts)
    rules = {"allowed": _allowed_said(m, plan), "guard": m("plan_doc.safety.guard_text"), "stop": _stop_said(m, plan)}
    rules |= {"stop_hosts": _stop_hosts_said(m, plan)} if plan.stop.hosts else {}
    told = ("bounds", "gate", "hand", "secrets")
    rules |= {key: m(f"plan_doc.safety.{key}_text", in_flight=in_flight) for key in told}
    rows = [{"item": m(f"plan_doc.safety.{key}"), "rule": rule} for key, rule in rules.items()]
    return plan_table(m, "safety", rows, {"rule": "1fr"})


def safety_settings(m: Messages, plan: Plan) -> dict[str, list[str]]:
    """Where load might go and what might end a run by itself, for the report's settings: {field of the plan: texts}."""
    stop = [_stop_said(m, plan), *([_stop_hosts_said(m, plan)] if plan.stop.hosts else [])]
    return {"stop": stop, "allow": [_allowed_said(m, plan)]}


def _allowed_said(m: Messages, plan: Plan) -> str:
    allowed = [
        m("plan_doc.safety.resolves", host=e.host, networks=", ".join(e.resolves_to)) if e.resolves_to else e.host
        for e in plan.allow
    ]
    return m("word.comma").join(allowed) or m("plan_doc.safety.loopback")


def _stop_said(m: Messages, plan: Plan) -> str:
    """What of answers and generator ends a run, each lasting so long."""
    rule, seconds = plan.stop, m.format(plan.stop.for_s, "duration")
    parts = [m("plan_doc.safety.stop_text", ratio=rule.error_ratio, seconds=seconds)]
    if rule.p95_ms:
        parts.append(m("plan_doc.safety.stop_p95", limit={"value": rule.p95_ms, "unit": "ms"}, seconds=seconds))
    if rule.generator_limited:
        parts.append(m("plan_doc.safety.stop_generator", seconds=seconds))
    return m("word.semicolon").join(parts)


def _stop_hosts_said(m: Messages, plan: Plan) -> str:
    return m("plan_doc.safety.stop_hosts_text", limits=m("word.comma").join(_host_limits(m, plan)))


def _host_limits(m: Messages, plan: Plan) -> list[str]:
    """Each limit on watched hosts: which host, metric and bound, how long in a row or events within how long."""
    keys = {False: "plan_doc.safety.host_limit", True: "plan_doc.safety.host_events"}
    return [
        m(keys[limit.counts_events], host=limit.host or m("plan_doc.safety.every_host"), limit=limit.text,
          seconds=m.format(limit.for_s or plan.stop.for_s, "duration")) for limit in plan.stop.hosts
    ]  # fmt: skip


def schedule(m: Messages, plan: Plan) -> Table:
    """When what is done."""
    return plan_table(m, "schedule", [{"when": s.when, "what": s.what} for s in plan.schedule], {"what": "1fr"})


def roles(m: Messages, plan: Plan) -> Table:
    """Who does what, with room for approval."""
    rows = [{"role": role, "who": who, "approval": ""} for role, who in plan.roles.items()]
    return plan_table(m, "roles", rows, {"role": "1fr", "who": "1fr", "approval": "1fr"})


def actions(m: Messages, plan: Plan) -> Table:
    """What was done since the last cycle, or is still to do, and what will show that it worked where a plan says so."""
    verified = any(a.verify for a in plan.actions)
    rows = [
        {"action": a.what, "cause": m.format(cause_name(a.cause)) if a.cause else m("number.missing"),
         **({"shown_by": a.verify or m("number.missing")} if verified else {}),
         "owner": a.owner or m("number.missing"), "due": a.due or m("number.missing"),
         "state": m(f"plan_doc.{'done' if a.done else 'to_do'}")}
        for a in plan.actions
    ]  # fmt: skip
    return plan_table(m, "actions", rows, {"action": "1fr", **({"shown_by": "1fr"} if verified else {})})
