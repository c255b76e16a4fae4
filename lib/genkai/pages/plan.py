"""Notebook 10: what is tested and why, how much load it must carry, and how that load is put on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genkai import figures
from genkai.capacity import FACTORS, Capacity, estimate_capacity, estimate_sensitivity, target_rps
from genkai.pages.estimate import plan_record
from genkai.plan import STEPS, Estimate, Plan
from genkai.report.display import Contents, Figure, Table
from genkai.report.messages import Messages
from genkai.study import Study


def conditions(study: Study, lang: str = "en") -> Table:
    """What the result vouches for: target, scope and preconditions of the plan as a table."""
    m, plan = Messages(lang), study.plan
    hold = plan.preconditions.hold_h
    facts = {
        "target": plan.base_url,
        "scope": plan.scope.included,
        "out_of_scope": plan.scope.excluded,
        "data_volume": plan.preconditions.data_volume,
        "hold": m.format(hold * 3600, "duration") if hold else "",
        "method": plan.preconditions.method,
        "other": plan.preconditions.other,
        "generator": generator_said(m, plan),
        "watched": [host.name for host in plan.hosts] + ([plan.aws.load_balancer or ""] if plan.aws else []),
    }
    rows = [
        {"item": m(f"setup.{k}"), "value": v if isinstance(v, str) else m("word.semicolon").join(filter(None, v))}
        for k, v in facts.items()
        if v
    ]
    return Table(
        rows, caption=m("caption.setup"), label="tab-conditions", messages=m, widths={"value": "1fr"},
        columns={"item": m("column.item"), "value": m("column.value")},
    )  # fmt: skip


def generator_said(m: Messages, plan: Plan) -> str:
    """What sends the load: machines, processes on each, and workers that join from anywhere."""
    sender, machines = plan.generator, [m("plan_doc.this_machine")] if plan.generator.local else []
    machines += [host.ssh for host in sender.hosts]
    processes = m("plan_doc.a_core") if sender.processes == "auto" else processes_said(m, sender.processes)
    parts = [m("plan_doc.sends", machines=m("word.comma").join(machines), processes=processes)] if machines else []
    if sender.workers:
        parts.append(m("plan_doc.workers", n=sender.workers))
    return m("word.semicolon").join(parts)


def processes_said(m: Messages, count: int, bound: str = "") -> str:
    """How many processes send; bound "_at_least" where what they put out is a lower bound."""
    return m(f"page.{'one_process' if count == 1 else 'processes'}{bound}", n=count)


def capacity(study: Study, lang: str = "en") -> Contents:
    """Every intermediate value of the estimate, and the figure of how one follows from the other."""
    m = Messages(lang)
    estimate = estimate_of(study.plan)
    found = estimate_capacity(estimate)
    factors = [(m(f"factor.{name}"), getattr(estimate, name)) for name in FACTORS]
    rows = [{"item": name, "value": _range_text(f.value, *f.range)} for name, f in factors]
    rows += [
        {"item": m("estimate.accesses_per_day"), "value": f"{found.accesses_per_day:,.0f}"},
        {"item": m("estimate.mean"), "value": m.format({"value": found.mean_rps, "unit": "rps"})},
        {"item": m("estimate.peak"), "value": m.format({"value": found.peak_rps, "unit": "rps"})},
        {"item": m("estimate.target"), "value": m.format(target_record(found), "measured")},
    ]
    table = Table(
        rows, caption=m("caption.estimate"), label="tab-estimate", messages=m, widths={"item": "1fr"},
        columns={"item": m("column.item"), "value": m("column.value")},
    )  # fmt: skip
    figure = Figure(
        figures.plan_capacity(found, t=lang), caption=m("caption.capacity"), label="fig-capacity", messages=m,
        alt=m("alt.capacity", target={"value": found.target_rps, "unit": "rps"}),
    )  # fmt: skip
    return Contents([table, figure], m)


def tornado(study: Study, lang: str = "en") -> Figure:
    """How far the target moves with each uncertain factor."""
    m, estimate = Messages(lang), estimate_of(study.plan)
    rows = estimate_sensitivity(estimate)
    alt = m("alt.tornado", factor=m(f"factor.{rows[0].factor}")) if rows else m("alt.tornado_none")
    return Figure(
        figures.plan_tornado(rows, estimate_capacity(estimate), t=lang), caption=m("caption.tornado"),
        label="fig-tornado", alt=alt, messages=m,
    )  # fmt: skip


def split(study: Study, lang: str = "en") -> Table:
    """The target of each API: throughput, response time and errors."""
    m, plan = Messages(lang), study.plan
    rows = []
    for api in plan.apis:
        targets = plan.targets_for(api.name)
        limits = [f"{name.removesuffix('_s')} {m('number.at_most', value=m.format(s, 'time'))}"
                  for name, s in targets.response_times_s().items()]  # fmt: skip
        rows.append({
            "api": api.name, "call": f"{api.method} {api.path}",
            "throughput": {"value": study.split[api.name] or None, "unit": "rps"},
            "limits": m("word.comma").join(limits) or m("number.missing"),
            "error_ratio": m("number.at_most", value=m.format(targets.error_ratio, "percent")),
        })  # fmt: skip
    columns = {name: m(f"column.{name}") for name in rows[0]}
    return Table(
        rows, caption=m("caption.split"), label="tab-split", columns=columns, messages=m, widths={"call": "1fr"}
    )


def load_curves(study: Study, lang: str = "en") -> Contents:
    """The planned load of each step over time."""
    m, shown = Messages(lang), []
    for step in STEPS:
        part = study.plan.step_named(step)
        if part is None:
            continue
        subject, *others = study.plan.subjects(step)
        target = study.split.get(subject) or study.target_rps
        name = m(f"step.{step}")
        shown.append(Figure(
            figures.load_curve(part.levels, target, t=lang), label=f"fig-load-{step}", messages=m,
            caption=m(f"caption.load_curve{'_of' if others else ''}", step=name, subject=subject,
                      duration=part.duration_s),
            alt=m("alt.load_curve", step=name, n=len(part.levels)),
        ))  # fmt: skip
    return Contents(shown, m)


def write(study: Study) -> Path:
    """results/capacity.json: the estimate, the target and its split, in requests/s."""
    return study.cycle.write_result("capacity", plan_record(study.plan))


def estimate_of(plan: Plan) -> Estimate:
    """The plan's estimate; one that yields a target that is stated outright, so that it can be shown the same way."""
    if plan.estimate is not None:
        return plan.estimate
    return Estimate(users_per_day=target_rps(plan) * 86_400, accesses_per_user=1, peak_factor=1, safety_factor=1)


def target_record(found: Capacity) -> dict[str, Any]:
    """The target of an estimate with the range that its factors allow, requests/s."""
    exact = found.low_rps == found.high_rps
    low, high = (None, None) if exact else (found.low_rps, found.high_rps)
    return {"value": found.target_rps, "low": low, "high": high, "unit": "rps"}


def _range_text(value: float, low: float, high: float) -> str:
    shown = [f"{v:,.0f}" if v >= 1000 else f"{v:.4g}" for v in (value, low, high)]
    return shown[0] if low == high else f"{shown[0]} ({shown[1]}–{shown[2]})"
