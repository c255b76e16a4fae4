"""What several rules ask: is the machine full, are the instances idle, on which side of the balancer is the wait."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from genkai.analyse.rules.case import Case
from genkai.analyse.rules.samples import Series
from genkai.analyse.rules.stall import RESPONSE_RISE

BUSY = 0.85  # CPU from here on makes requests wait noticeably
IDLE = 0.70
CACHE_FULL = 0.9  # of the CPU that the engine can use; source: ElastiCache user guide, which metrics to monitor
UNEVEN = 0.6  # of the fullest instance's CPU: one that uses less has room
MACHINE_FULL = 0.95
WORKERS_FULL = 0.95
LIGHT = 0.3  # CPU of a process that rather sleeps
LATE_S = 0.02  # an event loop that wakes later than this waits for the CPU


@dataclass(frozen=True)
class Wait:
    """Where the added response time is spent: the client's and the balancer's view, seconds, below and at the limit."""

    series: Series
    client_below: float
    client_limit: float
    behind_below: float
    behind_limit: float

    @property
    def share_behind(self) -> float:
        """Share (0–1) of the added response time that is spent behind the load balancer."""
        added = self.client_limit - self.client_below
        behind = self.behind_limit - self.behind_below
        if not math.isfinite(added):
            added, behind = self.client_limit, self.behind_limit
        return min(max(behind / added, 0.0), 1.0) if added > 0 else math.nan

    @property
    def rises_behind(self) -> bool:
        """Whether the instances answer more slowly at the limit than below it.

        A balancer that is the limit passes on no more than before, so its instances answer as before; where they do
        not, a queue in front of them is only what overflows from theirs.
        """
        if not math.isfinite(self.behind_below):
            return self.share_behind >= 0.25
        return self.longer_than(self.behind_below)

    def longer_than(self, behind: float) -> bool:
        """Whether the instances answer clearly more slowly at the limit than in this time, seconds."""
        return self.behind_limit > max(2 * behind, behind + 0.02)


def wait_sides(case: Case) -> Wait | None:
    """The two sides of the balancer at the level with the longest response time at the limit; None: not measured."""
    client = case.client("mean_s")
    for series in case.series("lb.latency"):
        both = np.where(np.isfinite(series.values), client.values, np.nan)
        if not np.isfinite(both[case.limit]).any():
            continue
        at = case.limit[int(np.nanargmax(both[case.limit]))]
        below = [i for i in case.below if np.isfinite(both[i])]
        knee = below[-1] if below else None
        before = (math.nan, math.nan) if knee is None else (client.values[knee], series.values[knee])
        return Wait(series, float(before[0]), float(client.values[at]), float(before[1]), float(series.values[at]))
    return None


def machine_full(case: Case) -> tuple[Series | None, bool]:
    """(CPU of the machine that holds generator and target, whether it was full at the limit and that explains it).

    A machine that was as full well below the limit, where nothing waited, is kept busy by others; it counts only when
    the generator itself woke later than below the limit. Nor does a full machine explain anything where neither the
    generator woke late nor the instances answered more slowly: what starves must feel it.
    """
    if not case.facts.shared:
        return None, False
    series, busy = case.highest_generator("cpu.busy")
    if series is None or busy < MACHINE_FULL or not full_where_it_stops(case, series, MACHINE_FULL):
        return series, False
    if _nobody_starves(case):
        return series, False
    before = case.well_before(series)
    if not math.isfinite(before) and _generator_prompt(case) and target_cpu(case)[0] is None:
        return series, False  # nothing lower to compare with, and nobody is seen to starve: full, but perhaps by chance
    return series, not math.isfinite(before) or before < MACHINE_FULL or _wakes_later(case)


def full_where_it_stops(case: Case, series: Series, full: float) -> bool:
    """Whether a resource is (nearly) full at the first level over the limit: full only further up explains no stop."""
    at = float(series.values[case.limit[0]])
    return not math.isfinite(at) or at >= 0.9 * full


def _nobody_starves(case: Case) -> bool:
    """Whether generator and instances were measured and both went on as promptly as below the limit.

    Where responses take no longer than below the limit (errors stop it), nobody waits for anything.
    An instance that wants little CPU is not kept waiting either where the generator is not: the kernel gives those who
    sleep most their turn first, so whatever its requests wait for, it is not the CPU.
    """
    if not _generator_prompt(case):
        return False
    response = case.response()
    if math.isfinite(case.before(response)) and case.peak(response) < RESPONSE_RISE * case.before(response):
        return True
    wait, (cpu, busy) = wait_sides(case), target_cpu(case)
    if wait is not None and not wait.rises_behind:
        before = case.well_before(wait.series)  # at a knee near the ceiling they may wait as long already
        if not math.isfinite(before) or not wait.longer_than(before):
            return True
    return cpu is not None and busy < LIGHT


def _generator_prompt(case: Case) -> bool:
    """Whether the generator's event loops were measured and woke on time at the limit."""
    lag, seconds = case.highest_process("loop_lag_p99_s")
    return lag is not None and seconds < LATE_S


def _wakes_later(case: Case) -> bool:
    series, seconds = case.highest_process("loop_lag_p99_s")
    return series is not None and seconds >= LATE_S and seconds >= 2 * case.before_or_zero(series)


def target_cpu(case: Case) -> tuple[Series | None, float]:
    """(series, highest mean at the limit) of the busiest target: an instance or a watched host."""
    return case.highest("cpu.busy")


def some_have_room(busy: list[float]) -> bool:
    """Whether half of the instances have room beside the fullest (rounded down: one of three); else all count as full.

    Full instances are explained by their spread in the one case and by their size in the other, never by both.
    """
    ordered = sorted(busy)
    return len(ordered) > 1 and ordered[len(ordered) // 2 - 1] <= UNEVEN * ordered[-1]


def targets_idle(case: Case) -> bool | None:
    """Whether every target's CPU stayed under 70 % at the limit; None when no target's CPU was measured."""
    series, busy = target_cpu(case)
    return None if series is None else busy < IDLE


def worker_use(case: Case) -> tuple[Series | None, float, float]:
    """(series of busy workers, busy ÷ all, slots) of the host that is fullest at the limit; NaN: not measured."""
    best: tuple[Series | None, float, float] = (None, math.nan, math.nan)
    idle_of = {s.resource: s for s in case.series("workers.idle")}
    for busy in case.series("workers.busy"):
        idle = idle_of.get(busy.resource)
        if idle is None:
            continue
        slots = busy.values + idle.values
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = (busy.values / slots)[case.limit]
        if np.isfinite(ratio).any() and not best[1] >= np.nanmax(ratio):
            best = busy, float(np.nanmax(ratio)), float(np.nanmax(slots))
    return best


def service_time_s(case: Case) -> float:
    """Response time at the lowest level, behind the balancer where that is measured: the time without waiting."""
    for series in case.series("lb.latency"):
        return case.base(series)
    return case.base(case.client("mean_s"))


def parallelism(case: Case) -> float:
    """Requests served at the same time at the ceiling, X·S (utilisation law): 1 for a lock, slots for a worker pool."""
    return case.stall.ceiling_rps * service_time_s(case) if case.stall else math.nan


def instance_count(case: Case) -> int:
    """Instances or target hosts that were seen; at least 1."""
    instances = {s.resource for s in case.of_targets("cpu.busy") if not s.resource.startswith("host:")}
    return max(len(instances or {s.resource for s in case.of_targets("cpu.busy")}), 1)


def rises(case: Case, series: Series, factor: float = 1.2, used: bool = False) -> bool:
    """Whether a signal is higher at the limit than below it; true when nothing was measured below.

    used: the signal is a utilisation, which the knee already has (`Case.well_before`).
    """
    before = case.well_before(series) if used else case.before(series)
    return not math.isfinite(before) or case.peak(series) > max(factor * before, before + 1e-9)


def only_this_side(case: Case) -> bool:
    """Whether the added response time comes from behind the balancer, or no balancer stands in between."""
    wait = wait_sides(case)
    if wait is None:
        return case.facts.load_balancer is None
    return wait.rises_behind or wait.share_behind >= 0.5


def engine_share(case: Case, resource: str) -> float:
    """Share of a cache node's CPU that its engine can use (facts.limits, "elasticache:NAME elasticache.node_cpu")."""
    return case.facts.limits.get(f"{resource} elasticache.node_cpu", 1.0)


def cache_signal(case: Case, resource: str) -> str:
    """The signal that tells of a cache node's CPU: its engine's, but on small nodes and without one the node's."""
    measured = any(series.resource == resource for series in case.series("elasticache.cpu"))
    return "elasticache.cpu" if measured and engine_share(case, resource) == 1.0 else "elasticache.node_cpu"
