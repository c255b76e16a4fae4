"""Rules: the application, or the server software that runs it, was the limit."""

from __future__ import annotations

import errno
import math

import numpy as np
import pandas as pd

from genkai.analyse.records import interval_of, value_of
from genkai.analyse.rules.case import Case
from genkai.analyse.rules.evidence import Evidence, Finding, Rule, amount, observed, throughput_evidence
from genkai.analyse.rules.pauses import Pauses, find_pauses
from genkai.analyse.rules.relations import (
    BUSY,
    WORKERS_FULL,
    instance_count,
    machine_full,
    only_this_side,
    parallelism,
    service_time_s,
    target_cpu,
    targets_idle,
    wait_sides,
    worker_use,
)
from genkai.analyse.rules.stall import RESPONSE_RISE

GONE_S = 3.0  # so long to the end of the load must connections be refused in every second
NEARLY_ALL = 0.9  # of what was sent meanwhile; the rest was under way when the target went
ANSWERS = ("http_4xx", "http_5xx", "check")  # failures that somebody answered
UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH)  # "refused", too, but by a network that knows no way
FEWEST_DROPPED = 5  # connections that a server closed unanswered
ONE_AT_A_TIME = 1.5  # requests served at once, per instance, up to which a lock explains the ceiling


def _refusals(case: Case, statuses: tuple[int, ...]) -> tuple[float, float]:
    return case.failure_share(lambda rows: rows["status"].isin(statuses).to_numpy(bool, na_value=False))


def _response_rises(case: Case) -> bool:
    response = case.response()
    before = case.before(response)
    return math.isfinite(before) and case.peak(response) >= RESPONSE_RISE * before


def worker_slots(case: Case) -> Finding | None:
    """Every worker of the server is busy, and requests wait for a free one."""
    series, used, slots = worker_use(case)
    hung = [s for s in case.series("status.timeouts") if case.peak(s) > case.before_or_zero(s)]
    dropped = [
        s for s in case.series("status.dropped") if case.peak(s) >= max(FEWEST_DROPPED, 2 * case.before_or_zero(s))
    ]
    refused = _turned_away(case)
    full = series is not None and used >= WORKERS_FULL
    if not full and not hung and not dropped and not refused:
        return None
    if (
        not dropped
        and not refused
        and not _response_rises(case)
        and case.stall.kind == "throughput"
        and len(case.below)
    ):
        return None
    evidence = [throughput_evidence(case)]
    if full:
        more = {"slots": amount(slots, "count"), "used": amount(used, "ratio")}
        evidence.append(observed("evidence.workers.busy", case, series, **more))
    evidence += [observed("evidence.workers.dropped", case, s) for s in dropped]
    evidence += [observed("evidence.workers.refused", case, s) for s in refused]
    evidence += [observed("evidence.workers.hung", case, s) for s in hung]
    wait = wait_sides(case)
    if wait is not None and wait.rises_behind:
        evidence.append(observed("evidence.lb.behind", case, wait.series))
    cpu, busy = target_cpu(case)
    if cpu is not None and busy < BUSY:
        evidence.append(observed("evidence.target.idle", case, cpu))
    consequence = busy >= BUSY or _one_at_a_time(case) or machine_full(case)[1]
    # full workers are what a slow CPU or a lock looks like from outside: the deeper cause goes first
    strength = "weak" if consequence else "strong" if full or dropped else "moderate"
    return Finding("worker_slots", strength, tuple(evidence), fit=0.7)


def _turned_away(case: Case) -> list:
    """Status pages that broke off, too, while clients' connections were reset: the server has no place for either."""
    broken = case.failure_share(lambda rows: (rows["kind"] == "reset").to_numpy(bool))[1]
    pages = [s for s in case.series("status.errors") if case.peak(s) >= 1 and not case.before_or_zero(s) > 0]
    return pages if broken >= 0.02 else []


def _one_at_a_time(case: Case) -> bool:
    served = parallelism(case)
    slots = worker_use(case)[2]
    few_slots = math.isfinite(slots) and slots <= 3
    return case.stall.kind == "throughput" and served <= ONE_AT_A_TIME * instance_count(case) and not few_slots


def lock(case: Case) -> Finding | None:
    """At the ceiling one request at a time is served per instance although CPU is left: they queue for a lock."""
    if targets_idle(case) is not True or not _one_at_a_time(case) or not _response_rises(case):
        return None
    if machine_full(case)[1] or not only_this_side(case) or _errors_explain(case):
        return None
    workers = worker_use(case)[0]
    wait = wait_sides(case)
    if wait is None and workers is None:
        return None  # nothing shows that the wait is inside the application: it may be anywhere
    values = {
        "parallel": amount(parallelism(case), "requests"),
        "ceiling": amount(case.stall.ceiling_rps, "rps"),
        "service": amount(service_time_s(case), "s"),
        "instances": amount(instance_count(case), "count"),
    }
    evidence = [throughput_evidence(case), Evidence("evidence.lock.parallel", values, "levels", "", "throughput_rps")]
    evidence += [observed("evidence.lb.behind", case, wait.series)] if wait else []
    evidence.append(observed("evidence.target.idle", case, target_cpu(case)[0]))
    contention = _parameter(case, "contention")
    if contention:
        evidence.append(Evidence("evidence.fit.contention", {"contention": contention}, "fit"))
    return Finding("lock", "moderate", tuple(evidence), fit=0.8 if contention else 0.6)


def _parameter(case: Case, name: str) -> dict | None:
    """A parameter of the fitted scalability model whose interval lies above 0."""
    found = ((case.tables.fit or {}).get("parameters") or {}).get(name)
    if value_of(found) is None:
        return None
    spread = interval_of(found)
    return found if value_of(found) > 0.01 and (spread is None or spread[0] > 0) else None


def _errors_explain(case: Case) -> bool:
    errors = case.column("error_ratio")[case.limit]
    return bool(np.isfinite(errors).any() and np.nanmax(errors) > 0.1)


def slow_dependency(case: Case) -> Finding | None:
    """Requests wait inside the application while CPU and workers are left, or are slow from the lowest level on."""
    if targets_idle(case) is not True or machine_full(case)[1] or _errors_explain(case) or not only_this_side(case):
        return None
    wait = wait_sides(case)
    if wait is None or find_pauses(case) is not None:
        return None
    from_the_start = case.stall.kind == "response_time" and case.stall.level == 0
    flat = case.peak(case.response()) < 1.5 * case.base(case.response())
    workers, used, _ = worker_use(case)
    waits_inside = case.stall.kind == "throughput" and workers is not None and used < WORKERS_FULL
    if not (from_the_start and flat) and not (waits_inside and not _one_at_a_time(case)):
        return None
    evidence = [throughput_evidence(case), observed("evidence.lb.behind", case, wait.series)]
    evidence.append(observed("evidence.target.idle", case, target_cpu(case)[0]))
    if workers is not None:
        evidence.append(observed("evidence.workers.free", case, workers, used=amount(used, "ratio")))
    return Finding("slow_dependency", "moderate", tuple(evidence), fit=0.4)


def rate_limit(case: Case) -> Finding | None:
    """Something answers 429 (or the application 503) beyond a constant number of successes per second."""
    count, share = _refusals(case, (429,))
    if count >= 5 and share >= 0.005:
        values = {"count": amount(count, "count"), "share": amount(share, "ratio"),
                  "ceiling": amount(case.stall.ceiling_rps, "rps")}  # fmt: skip
        evidence = (throughput_evidence(case), Evidence("evidence.failures.429", values, "failures"))
        return Finding("rate_limit", "strong", evidence, fit=0.95)
    count, share = _refusals(case, (503,))
    made = _made_by_target(case, 0.8 * share)
    elsewhere = made is False or (made is None and case.facts.load_balancer is not None)
    if share < 0.02 or count < 20 or elsewhere or _response_rises(case):
        return None
    good = case.column("throughput_rps")[case.limit]
    sent = case.column("sent_rps")[case.limit]
    constant = len(good) > 1 and np.nanmax(good) < 1.1 * np.nanmin(good) and np.nanmax(sent) > 1.3 * np.nanmin(sent)
    if not constant:
        return None
    values = {"count": amount(count, "count"), "share": amount(share, "ratio"),
              "ceiling": amount(case.stall.ceiling_rps, "rps")}  # fmt: skip
    evidence = (throughput_evidence(case), Evidence("evidence.failures.503", values, "failures"))
    return Finding("rate_limit", "moderate", evidence, fit=0.6)


def _made_by_target(case: Case, least_share: float) -> bool | None:
    """Whether the balancer counts that many errors as the targets' own; None when no balancer was measured."""
    counted = case.series("lb.target_errors")
    if not counted:
        return None
    sent = case.column("sent_rps")[case.limit]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.array([s.values[case.limit] / sent for s in counted])
    return bool(np.isfinite(shares).any() and np.nanmax(shares) >= least_share)


def fast_errors(case: Case) -> Finding | None:
    """The application itself answers with errors, quickly, which flatters throughput and response time."""
    errors = case.column("error_ratio")[case.limit]
    if not np.isfinite(errors).any() or np.nanmax(errors) <= max(case.facts.error_limit, 0.005):
        return None
    count, share = case.failure_share(
        lambda rows: rows["kind"].isin(["http_5xx", "http_4xx", "check"]) & ~rows["status"].isin([429]).fillna(False)
    )
    made_by_target = _made_by_target(case, 0.5 * share)
    if count < 5 or not share > 0.5 * np.nanmax(errors) or made_by_target is False or _response_rises(case):
        return None
    if target_cpu(case)[1] >= BUSY or worker_use(case)[1] >= WORKERS_FULL or machine_full(case)[1] or rate_limit(case):
        return None
    if made_by_target is None and case.facts.load_balancer is not None:
        return None
    rows = case.failures_in(case.limit)
    commonest = rows.groupby("message")["count"].sum().idxmax()
    values = {"count": amount(count, "count"), "share": amount(share, "ratio"), "message": str(commonest),
              "response": amount(case.peak(case.response()), "s")}  # fmt: skip
    evidence = [throughput_evidence(case)]
    evidence.append(Evidence("evidence.failures.application", values, "failures"))
    evidence += [observed("evidence.lb.target_errors", case, s) for s in case.series("lb.target_errors")]
    return Finding("application_errors", "strong" if made_by_target else "moderate", tuple(evidence), fit=0.6)


def pauses(case: Case) -> Finding | None:
    """The service stands still for a moment at regular intervals, as in a stop-the-world collection."""
    found: Pauses | None = find_pauses(case)
    if found is None or machine_full(case)[1]:
        return None
    values = {"count": amount(found.count, "count"), "interval": amount(found.interval_s, "s"),
              "length": amount(found.length_s, "s"), "usual": amount(found.usual_s, "s")}  # fmt: skip
    evidence = (throughput_evidence(case), Evidence("evidence.pauses", values, "requests"))
    return Finding("periodic_pauses", "strong" if found.regular else "moderate", evidence, fit=0.75)


def retrograde(case: Case) -> Finding | None:
    """Beyond its peak, throughput falls with load: coordination costs grow faster than the work done."""
    throughput, load = case.column("throughput_rps"), case.column("intended")
    if np.isfinite(throughput).sum() < 3 or _errors_explain(case):
        return None
    top = int(np.nanargmax(throughput))
    after = [i for i in range(top + 1, len(load)) if np.isfinite(throughput[i]) and not case.generator_limited()[i]]
    if not after or throughput[after[-1]] > 0.9 * throughput[top]:
        return None
    values = {
        "peak": amount(throughput[top], "rps"), "last": amount(throughput[after[-1]], "rps"),
        "peak_load": amount(load[top], case.load_unit), "last_load": amount(load[after[-1]], case.load_unit),
    }  # fmt: skip
    evidence = [Evidence("evidence.levels.retrograde", values, "levels", "", "throughput_rps")]
    coherency = _parameter(case, "coherency")
    if coherency:
        evidence.append(Evidence("evidence.fit.coherency", {"coherency": coherency}, "fit"))
    return Finding("retrograde_scaling", "weak", tuple(evidence), fit=0.3, contributes=True)


def gone(case: Case) -> Finding | None:
    """From the last answer to the end connections were refused in every second: nobody listens there any more.

    A queue that overflows drops or resets connections; only a port without a listener refuses nearly each of them.
    """
    requests, failures = case.tables.requests, case.tables.failures
    answers = [requests.loc[requests["completed"] > 0, "time"], failures.loc[failures["kind"].isin(ANSWERS), "time"]]
    last = pd.concat(answers).max()
    if pd.isna(last):
        return None
    failed = failures[failures["time"] > last]
    refused = failed[(failed["kind"] == "refused") & ~failed["errno"].isin(UNREACHABLE)]
    sent = max(float(requests.loc[requests["time"] > last, "sent"].sum()), float(failed["count"].sum()))
    seconds = (refused["time"].max() - last).total_seconds() if len(refused) else 0.0
    in_each = refused["time"].dt.floor("s").nunique() >= seconds
    if seconds < GONE_S or not in_each or refused["count"].sum() < NEARLY_ALL * sent:
        return None
    values = {
        "since": amount((last - case.levels["start"].min()).total_seconds() + 1, "duration"),
        "seconds": amount(seconds, "duration"),
        "refused": amount(float(refused["count"].sum()), "count"),
        "sent": amount(sent, "count"),
    }
    return Finding("target_gone", "strong", (Evidence("evidence.gone", values, "failures"),), fit=0.95)


RULES = (
    Rule("target_gone", "application", gone),
    Rule("rate_limit", "application", rate_limit),
    Rule("worker_slots", "application", worker_slots),
    Rule("lock", "application", lock),
    Rule("periodic_pauses", "application", pauses),
    Rule("application_errors", "application", fast_errors),
    Rule("slow_dependency", "application", slow_dependency),
    Rule("retrograde_scaling", "application", retrograde),
)
