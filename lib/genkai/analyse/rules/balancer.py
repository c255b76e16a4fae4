"""Rules: the load balancer, or how it spreads the load, was the limit."""

from __future__ import annotations

import math

import numpy as np

from genkai.analyse.rules.case import Case
from genkai.analyse.rules.evidence import Evidence, Finding, Rule, amount, observed, throughput_evidence
from genkai.analyse.rules.relations import (
    BUSY,
    IDLE,
    UNEVEN,
    WORKERS_FULL,
    Wait,
    machine_full,
    some_have_room,
    target_cpu,
    wait_sides,
    worker_use,
)
from genkai.analyse.rules.samples import Series

QUEUE_FROM = 5  # requests: a few in the queue for a moment are normal
FRONT_SHARE = 0.5


def _own_signs(case: Case) -> list[Evidence]:
    """What the balancer itself reports of being full."""
    found = []
    for name, key, least in (
        ("lb.queue", "evidence.lb.queue", QUEUE_FROM),
        ("lb.spillover", "evidence.lb.spillover", 0.0),
        ("lb.rejected", "evidence.lb.rejected", 0.0),
        ("lb.errors_503", "evidence.lb.errors_503", 0.0),
    ):
        for series in case.series(name):
            if case.peak(series) > max(least, 1.25 * case.before_or_zero(series)):
                found.append(observed(key, case, series))
    return found


def _front_wait(wait: Wait | None) -> Evidence | None:
    """The client waits much longer than the balancer waits for the instances."""
    if wait is None or not wait.client_limit > 0 or wait.client_limit - wait.behind_limit < 0.02:
        return None
    if wait.share_behind > FRONT_SHARE or wait.behind_limit > FRONT_SHARE * wait.client_limit:
        return None
    values = {
        "client": amount(wait.client_limit, "s"), "behind": amount(wait.behind_limit, "s"),
        "client_below": amount(wait.client_below, "s"), "behind_below": amount(wait.behind_below, "s"),
    }  # fmt: skip
    return Evidence.of("evidence.lb.front_wait", values, wait.series)


def capacity(case: Case) -> Finding | None:
    """Requests wait or fail at the balancer while the instances behind it have room."""
    signs, wait = _own_signs(case), wait_sides(case)
    front = _front_wait(wait)
    cpu, busy = target_cpu(case)
    workers_busy = worker_use(case)[1]
    if not signs and (not front or _denies(case) or case.generator_limited()[case.limit].any()):
        return None  # what clients wait for alone may as well be the network's, or the generator's own lateness
    if (
        busy >= BUSY
        or workers_busy >= WORKERS_FULL
        or (wait and (wait.rises_behind or wait.share_behind > FRONT_SHARE))
    ):
        return None  # the queue stands at the balancer, but it is the instances that keep it waiting
    if any(case.peak(s) > 0 for s in case.series("lb.unhealthy")) or _refused(case):
        return None
    idle = cpu is not None and busy < IDLE
    evidence = [throughput_evidence(case), *signs]
    evidence += [front] if front else []
    evidence += [observed("evidence.target.idle", case, cpu)] if idle else []
    proofs = sum((bool(signs), front is not None, idle))
    sure = signs and proofs >= 2 and wait is not None and not machine_full(case)[1]
    strength = "strong" if sure else "moderate" if proofs >= 2 else "weak"
    return Finding("load_balancer_capacity", strength, tuple(evidence), fit=0.3 * proofs)


def _denies(case: Case) -> bool:
    """Whether the balancer reports its queue, and the queue was (nearly) empty: then nothing waited in it.

    Only a classic balancer reports one; of the others, the difference between both sides is all there is.
    """
    queues = [case.peak(s) for s in case.series("lb.queue")]
    return any(math.isfinite(length) for length in queues) and not any(length > QUEUE_FROM for length in queues)


def _refused(case: Case) -> bool:
    """Whether the targets refused connections more often than in passing."""
    return any(case.peak(s) > 0.01 * max(case.stall.ceiling_rps, 1.0) for s in case.series("lb.target_refusals"))


def unhealthy(case: Case) -> Finding | None:
    """Instances failed their health checks while the load was at the limit."""
    evidence = []
    for series in case.series("lb.unhealthy"):
        if case.peak(series) >= 1 and case.peak(series) > case.before_or_zero(series):
            evidence.append(observed("evidence.lb.unhealthy", case, series))
    for series in case.series("lb.healthy"):
        if case.lowest(series) < case.base(series):
            evidence.append(observed("evidence.lb.healthy", case, series, limit=case.lowest(series)))
    if not evidence:
        return None
    cpu, busy = target_cpu(case)
    # overloaded instances fail their checks, too: then this is a consequence
    consequence = (cpu is not None and busy >= BUSY) or worker_use(case)[1] >= WORKERS_FULL
    strength = "weak" if consequence else "strong"
    lines = (throughput_evidence(case), *evidence)
    return Finding("target_unhealthy", strength, lines, fit=0.8, contributes=consequence)


def uneven(case: Case) -> Finding | None:
    """Some instances are full while others have room: the load is not spread evenly."""
    loads = [(case.peak(s), s) for s in case.of_targets("cpu.busy") if s.resource.startswith("ec2:")]
    loads = sorted((p for p in loads if math.isfinite(p[0])), key=lambda p: p[0])
    if len(loads) < 2 or loads[-1][0] < BUSY:
        return None
    if not some_have_room([value for value, _ in loads]):
        return None
    zone = _full_zone(case, loads)
    values = {
        "resource": loads[-1][1].resource.partition(":")[2],
        "highest": amount(loads[-1][0], "ratio"),
        "others": amount(loads[0][0], "ratio"),
    }
    evidence = Evidence.of("evidence.lb.uneven", values, loads[-1][1])
    lines = (throughput_evidence(case), evidence, *([zone] if zone else []))
    return Finding("load_uneven", "strong", lines, fit=0.95)


def _full_zone(case: Case, loads: list[tuple[float, Series]]) -> Evidence | None:
    """One availability zone whose instances are all full while none of the other zones' is; None: not so, not known."""
    of_zone: dict[str, list[float]] = {}
    for value, series in loads:
        if series.resource not in case.facts.zones:
            return None
        of_zone.setdefault(case.facts.zones[series.resource], []).append(value)
    fullest = max(of_zone, key=lambda zone: min(of_zone[zone]))
    inside, others = of_zone.pop(fullest), [value for values in of_zone.values() for value in values]
    if not others or min(inside) < BUSY or max(others) > UNEVEN * min(inside):
        return None
    values = {
        "zone": fullest,
        "count": amount(len(inside), "count"),
        "lowest": amount(min(inside), "ratio", len(inside)),
        "others": amount(max(others), "ratio", len(others)),
    }
    return Evidence("evidence.lb.uneven_zone", values, "cloudwatch")


def capacity_changed(case: Case) -> Finding | None:
    """Instances were added or taken away during the run: its levels do not speak of one system."""
    for name in ("asg.in_service", "lb.healthy"):
        for series in case.series(name):
            values = series.values[np.isfinite(series.values)]
            if len(values) > 1 and values[-1] > values[0] + 0.5:
                evidence = observed("evidence.lb.instances_added", case, series)
                return Finding("instances_changed", "weak", (evidence,), fit=0.2, contributes=True)
    return None


def closed_by_targets(case: Case) -> Finding | None:
    """The balancer answers 502 of its own: targets close connections on which it sends the next request."""
    count, share = case.failure_share(lambda rows: (rows["status"] == 502).fillna(False))
    own = [s for s in case.series("lb.errors") if case.peak(s) > max(2 * case.before_or_zero(s), 0.0)]
    if count < 10 or not share >= 0.005 or not own or any(case.peak(s) >= 1 for s in case.series("lb.unhealthy")):
        return None
    if target_cpu(case)[1] >= BUSY or worker_use(case)[1] >= WORKERS_FULL or _refused(case):
        return None  # an overloaded or dead target breaks connections off, too
    counted = float(np.nanmax(own[0].values[case.limit] / case.column("sent_rps")[case.limit]))
    if not counted >= 0.5 * share:
        return None
    values = {"count": amount(count, "count"), "share": amount(share, "ratio")}
    lines = [throughput_evidence(case), Evidence("evidence.failures.502", values, "failures")]
    lines += [observed("evidence.lb.errors", case, s) for s in own]
    return Finding("targets_close_connections", "moderate", tuple(lines), fit=0.7)


def port_allocation(case: Case) -> Finding | None:
    """A network load balancer ran out of ports towards its targets."""
    evidence = [
        observed(f"evidence.nlb.{name}", case, series)
        for name in ("port_errors", "rejected_flows")
        for series in case.series(f"nlb.{name}")
        if case.peak(series) > 0
    ]
    return Finding("nlb_ports", "strong", (throughput_evidence(case), *evidence), fit=0.9) if evidence else None


def no_keep_alive(case: Case) -> Finding | None:
    """Nearly every request opens a connection of its own: costs a handshake each, and ports."""
    sent, errors = case.client("sent_rps").values, case.column("error_ratio")
    served = [i for i in range(len(sent)) if not errors[i] > 0.1] or list(
        range(len(sent))
    )  # what failed opened nothing
    for series in (*case.series("lb.new_connections"), *case.of_generator("connections.opened")):
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = (series.values / sent)[served]
        # a machine that opens many more connections than it sends requests opens them for something else
        if np.isfinite(ratio).any() and np.nanmin(ratio) >= 0.8 and np.nanmax(ratio) <= 1.5:
            more = {"ratio": amount(float(np.nanmin(ratio)), "ratio")}
            opened = float(np.nanmax(series.values[served]))
            evidence = observed("evidence.lb.no_keep_alive", case, series, limit=opened, **more)
            return Finding("no_keep_alive", "weak", (evidence,), fit=0.4, contributes=True)
    return None


RULES = (
    Rule("load_balancer_capacity", "balancer", capacity),
    Rule("load_uneven", "balancer", uneven),
    Rule("target_unhealthy", "balancer", unhealthy),
    Rule("targets_close_connections", "balancer", closed_by_targets),
    Rule("nlb_ports", "balancer", port_allocation),
    Rule("instances_changed", "balancer", capacity_changed),
    Rule("no_keep_alive", "balancer", no_keep_alive),
)
