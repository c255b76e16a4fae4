"""Rules: the load generator, or the one machine that it shares with the target, was the limit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from genkai.analyse.rules.case import Case
from genkai.analyse.rules.evidence import Evidence, Finding, Rule, amount, observed, throughput_evidence
from genkai.analyse.rules.relations import MACHINE_FULL, machine_full, rises

CPU_FULL = 0.90  # of one core: an event loop above this delays what it measures
LAG_SHARE = 0.5  # of the response time that the generator's own delay may be before it is the cause
MARKED_SHARE = 0.25  # the same for a level that the level table marks: its own bound
STARVED = 0.95  # share of the time that a process ran or waited for a CPU: it wanted one all the time
STOLEN = 0.1  # share of its CPU time that a machine did not get
NETWORK_FULL = 0.9
CLOCK_S = 0.1
QUEUED = 0.2  # share of the time waiting for a CPU that others had
FEWEST_FAILURES, FEWEST_SHARE = 5, 0.001


def out_of_cpu(case: Case) -> Finding | None:
    """A generator process used a whole core, or the generator's own machine was full."""
    evidence = []
    series, busy = case.highest_process("cpu_ratio")
    if series is not None and busy >= CPU_FULL:
        evidence.append(observed("evidence.generator.cpu", case, series))
    starved = _starved(case)
    if starved is not None:
        evidence.append(starved)
    host, host_busy = case.highest_generator("cpu.busy")
    if host is not None and host_busy >= MACHINE_FULL and not case.facts.shared:
        evidence.append(observed("evidence.generator.machine", case, host))
    if not evidence:
        return None
    lag, seconds = case.highest_process("loop_lag_p99_s")
    if lag is not None and seconds >= 0.01:
        evidence.append(observed("evidence.generator.lag", case, lag))
    limited = case.generator_limited()[case.limit].any()
    strong = limited or busy >= 0.95 or host_busy >= MACHINE_FULL or starved is not None
    return Finding("generator_cpu", "strong" if strong else "moderate", tuple(evidence), fit=0.9)


def _starved(case: Case) -> Evidence | None:
    """A process that waited for a CPU whenever it did not run, though the machine as a whole was not full.

    So it is held to cores that are not enough for it (affinity, a container's quota, a rival on the same core).
    """
    if machine_full(case)[1]:
        return None
    waits = {s.resource: s for s in case.of_processes("run_queue_wait_ratio")}
    for ran in case.of_processes("cpu_ratio"):
        waited = waits.get(ran.resource)
        wanted = ran.values + waited.values if waited is not None else np.full(len(ran.values), np.nan)
        if not np.isfinite(wanted[case.limit]).any():
            continue
        at = case.limit[int(np.nanargmax(wanted[case.limit]))]
        before = case.well_before(replace(ran, values=wanted))
        if wanted[at] >= STARVED and waited.values[at] >= QUEUED and not before >= STARVED:
            return observed("evidence.generator.starved", case, waited, limit=waited.values[at],
                            ran=amount(ran.values[at], "ratio"))  # fmt: skip
    return None


def loop_lag(case: Case) -> Finding | None:
    """The generator sent or read late although it had CPU left: its delay is a good part of what it measured."""
    if out_of_cpu(case) or machine_full(case)[1]:
        return None
    response = case.peak(case.response())
    share = MARKED_SHARE if case.generator_limited()[case.limit].any() else LAG_SHARE
    evidence = []
    for column, key in (
        ("loop_lag_p99_s", "evidence.generator.lag"),
        ("schedule_slip_p99_s", "evidence.generator.slip"),
    ):
        series, seconds = case.highest_process(column)
        if series is not None and seconds >= 0.05 and seconds >= share * response and rises(case, series):
            evidence.append(observed(key, case, series))
    if not evidence:
        return None
    limited = bool(case.generator_limited()[case.limit].any())
    return Finding("generator_loop_lag", "strong" if limited else "moderate", tuple(evidence))


def _failures(case: Case, kind: str, cause: str) -> Finding | None:
    count, share = case.failure_share(lambda rows: rows["kind"] == kind)
    if count < FEWEST_FAILURES or (math.isfinite(share) and share < FEWEST_SHARE):
        return None
    values = {"count": amount(count, "count"), "share": amount(share, "ratio")}
    evidence = [Evidence(f"evidence.generator.{kind}", values, "failures")]
    column = {"no_port": "sockets_time_wait", "no_fd": "fds"}[kind]
    series, _ = case.highest_process(column)
    if series is not None:
        evidence.append(observed(f"evidence.generator.{column}", case, series))
    return Finding(cause, "strong", tuple(evidence), fit=0.95)


def out_of_ports(case: Case) -> Finding | None:
    """connect() failed with EADDRNOTAVAIL: the ephemeral ports towards this destination are used up."""
    return _failures(case, "no_port", "generator_ports")


def out_of_descriptors(case: Case) -> Finding | None:
    """socket() failed with EMFILE: the process's limit of open files is reached."""
    return _failures(case, "no_fd", "generator_descriptors")


def marked(case: Case) -> Finding | None:
    """The level table says that the generator was the limit there, and none of the other rules says by what."""
    limited = [i for i in case.limit if case.generator_limited()[i]]
    if case.stall is not None and not case.stall.generator_limited:
        return None  # it stopped at a level that the generator did deliver; what it missed further up explains nothing
    if not limited or machine_full(case)[1] or any(rule(case) for rule in _NAMED):
        return None
    row = case.levels.iloc[limited[0]]
    values = {
        "load": amount(row["intended"], "users" if row["workload"] == "closed" else "rps"),
        "sent": amount(row["sent_rps"], "rps"),
        "note": "" if row["generator_note"] is None else str(row["generator_note"]),
    }
    evidence = Evidence("evidence.generator.marked", values, "levels")
    return Finding("generator_limited", "strong", (evidence,), fit=0.3)


_NAMED = (out_of_cpu, loop_lag, out_of_ports, out_of_descriptors)


def too_few_users(case: Case) -> Finding | None:
    """No limit was met, but so many users cannot make the target rate: N = X·(R + Z)."""
    target, rows = case.tables.target_rps, case.levels
    if case.facts.step == "endurance":
        return None  # which may hold less than the target on purpose
    if case.stall or target is None or not len(rows) or rows["workload"].iloc[-1] != "closed":
        return None
    throughput = case.column("throughput_rps")
    measured = np.flatnonzero(np.isfinite(throughput) & (throughput > 0))
    if not len(measured) or np.nanmax(throughput) >= target:
        return None
    top = measured[-1]
    users = float(rows["intended"].iloc[top])
    needed = math.ceil(target * users / throughput[top])
    cycle = users / throughput[top]
    values = {
        "users": amount(users, "users"), "throughput": amount(throughput[top], "rps"), "target": amount(target, "rps"),
        "cycle": amount(cycle, "s"), "response": amount(case.response().values[top], "s"),
        "needed": amount(needed, "users"),
    }  # fmt: skip
    evidence = Evidence("evidence.generator.users", values, "levels", "", "throughput_rps")
    return Finding("generator_too_few_users", "strong", (evidence,), values={"needed": values["needed"]})


def shared_machine(case: Case) -> Finding | None:
    """Generator and target share one machine, and that machine's CPU was used up: nothing is said about the service."""
    series, full = machine_full(case)
    if not full:
        return None
    evidence = [throughput_evidence(case), observed("evidence.machine.cpu", case, series)]
    queue, length = case.highest_generator("run_queue")
    if queue is not None and length > 0:
        evidence.append(observed("evidence.machine.run_queue", case, queue))
    before = case.well_before(series)
    clear = not math.isfinite(before) or before < 0.9
    return Finding("shared_machine_cpu", "strong" if clear else "moderate", tuple(evidence), fit=0.9)


def withheld(case: Case) -> Finding | None:
    """The hypervisor gave the CPU time of the generator's machine to others, as with spent credits."""
    steal, share = case.highest_generator("cpu.steal")
    if steal is None or share < STOLEN or not rises(case, steal):
        return None
    evidence = [observed("evidence.generator.steal", case, steal)]
    for balance in case.of_generator("credit.balance"):
        if case.lowest(balance) <= 1:
            evidence.append(observed("evidence.target.credits", case, balance, limit=case.lowest(balance)))
    felt = bool(case.generator_limited()[case.limit].any()) or len(evidence) > 1
    return Finding("generator_credits", "strong" if felt else "moderate", tuple(evidence), fit=0.6)


def network(case: Case) -> Finding | None:
    """The generator's machine moved as many bytes as it can (facts.limits, "host:NAME network.in")."""
    for name in ("network.in", "network.out"):
        for series in case.of_generator(name):
            known = case.facts.limits.get(f"{series.resource} {name}")
            if known and case.peak(series) >= NETWORK_FULL * known and rises(case, series, 1.02, used=True):
                evidence = observed("evidence.generator.bandwidth", case, series, threshold=amount(known, "bytes/s"))
                return Finding("generator_network", "strong", (evidence,), fit=0.8)
    return None


def clocks(case: Case) -> Finding | None:
    """A watched machine's clock moved during the run; what stays the same is corrected while collecting."""
    for host, (start, end) in sorted(case.facts.clock_offsets_s.items()):
        if abs(end - start) >= CLOCK_S:
            values = {"resource": host, "start": amount(start, "s"), "end": amount(end, "s"),
                      "threshold": amount(CLOCK_S, "s")}  # fmt: skip
            evidence = Evidence("evidence.generator.clock", values, "run")
            return Finding("clock_unsynchronised", "weak", (evidence,), fit=0.1, contributes=True)
    return None


RULES = (
    Rule("generator_ports", "generator", out_of_ports),
    Rule("generator_descriptors", "generator", out_of_descriptors),
    Rule("generator_cpu", "generator", out_of_cpu),
    Rule("generator_credits", "generator", withheld),
    Rule("generator_network", "generator", network),
    Rule("generator_loop_lag", "generator", loop_lag),
    Rule("generator_limited", "generator", marked),
    Rule("generator_too_few_users", "generator", too_few_users, even_without_stall=True),
    Rule("clock_unsynchronised", "generator", clocks),
    Rule("shared_machine_cpu", "machine", shared_machine),
)
