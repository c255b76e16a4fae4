"""Rules: a resource of the target's machines was used up."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from genkai.analyse.rules.case import Case
from genkai.analyse.rules.evidence import Evidence, Finding, Rule, amount, observed, throughput_evidence
from genkai.analyse.rules.relations import BUSY, full_where_it_stops, machine_full, rises, some_have_room, target_cpu

CORE_FULL = 0.95
ENA = ("ena.bandwidth_in", "ena.bandwidth_out", "ena.packets", "ena.conntrack")


@dataclass(frozen=True)
class Threshold:
    """Data of a rule "a signal of a target is at or beyond a value at the limit, and further than below it"."""

    cause: str
    signal: str
    value: float
    text_key: str
    strength: str = "strong"
    low_is_bad: bool = False
    fit: float = 0.5
    used: bool = False  # a utilisation: the knee may be as full as the limit

    def applies(self, case: Case) -> Finding | None:
        """The finding when the threshold is passed; a value that was as bad below the limit explains nothing."""
        series, found = case.deepest(self.signal) if self.low_is_bad else case.highest(self.signal)
        if series is None or not self._beyond(found):
            return None
        if not self._worse(case.well_before(series) if self.used else case.before(series), found):
            return None
        evidence = observed(self.text_key, case, series, limit=found, threshold=amount(self.value, series.unit))
        return Finding(self.cause, self.strength, (throughput_evidence(case), evidence), fit=self.fit)

    def _beyond(self, found: float) -> bool:
        return found <= self.value if self.low_is_bad else found >= self.value

    def _worse(self, before: float, found: float) -> bool:
        if not math.isfinite(before) or not self._beyond(before):
            return True
        return found < before * 0.9 if self.low_is_bad else found > before * 1.1


def cpu(case: Case) -> Finding | None:
    """A target's CPU is used up at the limit, and it is not the load generator that uses it."""
    series, busy = target_cpu(case)
    if series is None or busy < BUSY or _steals(case) or not _host_only(case, series):
        return None
    if not full_where_it_stops(case, series, BUSY):
        return None
    evidence = [throughput_evidence(case), observed("evidence.target.cpu", case, series)]
    system, share = case.highest("cpu.system")
    if system is not None and share >= 0.5 * busy:
        evidence.append(observed("evidence.target.system", case, system))
    queue, length = case.highest("run_queue")
    if queue is not None and length > 1:
        evidence.append(observed("evidence.target.run_queue", case, queue))
    before = case.well_before(series)
    explains = not math.isfinite(before) or before < 0.95 * busy or before < 0.9
    strength = "strong" if explains else "moderate"
    return Finding("target_cpu", strength, tuple(evidence), fit=0.5 * min(busy, 1.0))


def _host_only(case: Case, busiest) -> bool:
    """Not so when other instances have room: then the spread is at fault (rule load_uneven), not the size."""
    values = [case.peak(s) for s in case.of_targets("cpu.busy") if s.resource.startswith("ec2:")]
    return not busiest.resource.startswith("ec2:") or not some_have_room([v for v in values if math.isfinite(v)])


def one_core(case: Case) -> Finding | None:
    """One core of a target is full while the machine as a whole is not: a single-threaded part."""
    core, full = case.highest("cpu.busiest_core")
    if core is None or full < CORE_FULL:
        return None
    whole = next((s for s in case.of_targets("cpu.busy") if s.resource == core.resource), None)
    if whole is None or case.peak(whole) >= BUSY or not rises(case, core, 1.02, used=True):
        return None
    lines = (throughput_evidence(case), observed("evidence.target.core", case, core),
             observed("evidence.target.whole", case, whole))  # fmt: skip
    return Finding("target_single_core", "strong", lines, fit=0.7)


def _steals(case: Case) -> bool:
    steal, share = case.highest("cpu.steal")
    return steal is not None and share >= 0.1


def cpu_steal(case: Case) -> Finding | None:
    """The hypervisor gave a target's CPU time to others."""
    if not _steals(case) or not rises(case, case.highest("cpu.steal")[0]):
        return None
    evidence = observed("evidence.target.steal", case, case.highest("cpu.steal")[0])
    return Finding("target_cpu_steal", "strong", (throughput_evidence(case), evidence), fit=0.6)


def credits(case: Case) -> Finding | None:
    """A burstable instance has spent its CPU credits and is held at its base line; in unlimited mode none is held."""
    spent = [s for s in case.of_targets("credit.balance")
             if case.lowest(s) <= 1 < case.base(s) and not unlimited(case, s.resource)]  # fmt: skip
    if not spent:
        return None
    balance = min(spent, key=case.lowest)
    evidence = observed("evidence.target.credits", case, balance, limit=case.lowest(balance))
    return Finding("cpu_credits", "strong", (throughput_evidence(case), evidence, *credit_pace(case, balance.resource)),
                   fit=0.95)  # fmt: skip


def unlimited(case: Case, resource: str) -> bool:
    """Whether spent credits of an instance are billed and nothing is held back."""
    return case.facts.credits.get(resource, {}).get("mode") == "unlimited"


def credit_pace(case: Case, resource: str) -> list[Evidence]:
    """What the instance spends and earns, and how long its credits last at that; [] where discovery does not know."""
    row = case.facts.credits.get(resource)
    if row is None:
        return []
    known = row["left"]["value"] is not None
    key = "evidence.target.credit_pace" + ("" if known else "_even")
    names = ("type", "mode", "spent", "earned", *(("left",) if known else ()))
    values = {"resource": resource.partition(":")[2], **{name: row[name] for name in names}}
    return [Evidence(key, values, "cloudwatch", resource)]


def swapping(case: Case) -> Finding | None:
    """A target ran low on memory and moved pages to disk under load."""
    swap, rate = case.highest("swap.traffic")
    memory, left = case.deepest("memory.available")
    low, swaps = memory is not None and left < 0.05, swap is not None and rate > 0 and rises(case, swap)
    if not low and not (swaps and not left > 0.2):
        return None
    evidence: list[Evidence] = [throughput_evidence(case)]
    evidence += [observed("evidence.target.memory", case, memory, limit=left)] if low else []
    evidence += [observed("evidence.target.swap", case, swap)] if swaps else []
    return Finding("target_memory", "strong" if swaps else "moderate", tuple(evidence), fit=0.7)


def ena(case: Case) -> Finding | None:
    """AWS shaped an instance's traffic: it exceeded an allowance of its type."""
    evidence = []
    for name in ENA:
        for series in case.of_targets(name):
            if case.peak(series) > 0 and case.peak(series) > 2 * case.before_or_zero(series):
                evidence.append(observed(f"evidence.{name}", case, series))
    for name in ("network.in", "network.out", "network.instance_in", "network.instance_out"):
        for series in case.of_targets(name):
            known = case.facts.limits.get(f"{series.resource} {name}")
            # more than the base line is a burst: what is shaped stays at it
            if known and 0.9 * known <= case.peak(series) <= 1.1 * known:
                evidence.append(observed("evidence.target.bandwidth", case, series, threshold=amount(known, "bytes/s")))
    if not evidence:
        return None
    counted = any(item.text_key.startswith("evidence.ena") for item in evidence)
    strength = "strong" if counted else "moderate"
    return Finding("network_allowance", strength, (throughput_evidence(case), *evidence), fit=0.8)


def disk(case: Case) -> Finding | None:
    """A target's disk is used up: it is busy all the time, or its EBS burst balance is gone."""
    evidence = []
    for name, value in (("disk.busy", 0.95), ("cpu.wait", 0.3)):
        series, found = case.highest(name)
        if series is not None and found >= value and rises(case, series, used=name == "disk.busy"):
            evidence.append(observed(f"evidence.target.{name.replace('.', '_')}", case, series))
    for name in ("ebs.io_balance", "ebs.byte_balance"):
        series, left = case.deepest(name)
        if series is not None and left < 0.05 and case.base(series) > left:
            evidence.append(observed("evidence.target.ebs", case, series, limit=left))
    if not evidence:
        return None
    strength = "strong" if len(evidence) > 1 or "ebs" in evidence[0].text_key else "moderate"
    return Finding("target_disk", strength, (throughput_evidence(case), *evidence), fit=0.6)


def accept_queue(case: Case) -> Finding | None:
    """Connections were dropped at a full listen queue of a target."""
    overflow, count = case.highest("listen.overflows")
    if overflow is None and case.facts.shared:
        overflow, count = case.highest_generator("listen.overflows")
    if overflow is None or count < 5 or not rises(case, overflow) or machine_full(case)[1]:
        return None
    evidence = [throughput_evidence(case), observed("evidence.target.listen", case, overflow)]
    resent, segments = case.highest_generator("syn.retransmits")
    if resent is not None and segments > 0:
        evidence.append(observed("evidence.generator.syn", case, resent))
    timeouts, _ = case.failure_share(lambda rows: rows["kind"] == "timeout")
    if timeouts:
        values = {"count": amount(timeouts, "count")}
        evidence.append(Evidence("evidence.failures.timeout", values, "failures"))
    cpu_full = target_cpu(case)[1] >= BUSY
    return Finding("accept_queue", "moderate" if cpu_full else "strong", tuple(evidence), fit=0.45)


def threshold(cause: str, signal: str, value: float, **options) -> tuple[str, Callable[[Case], Finding | None]]:
    """(cause, rule function) of a threshold on one signal; the text key is evidence.<signal>."""
    return cause, Threshold(cause, signal, value, f"evidence.{signal}", **options).applies


_THRESHOLDS = (
    threshold("conntrack", "conntrack.used", 0.95, fit=0.8),
    threshold("target_descriptors", "fds.used", 0.95, fit=0.8),
)

RULES = (
    Rule("target_cpu", "host", cpu),
    Rule("target_single_core", "host", one_core),
    Rule("target_cpu_steal", "host", cpu_steal),
    Rule("cpu_credits", "host", credits),
    Rule("target_memory", "host", swapping),
    Rule("network_allowance", "host", ena),
    Rule("target_disk", "host", disk),
    Rule("accept_queue", "host", accept_queue),
    *(Rule(cause, "host", rule) for cause, rule in _THRESHOLDS),
)
