"""Trials of the capacity search in one run: each level is ordered when the one before has told enough, and cut as soon
as it is decided. Starting the load processes is paid once.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from genkai import journals
from genkai.analyse.distributions import read_distributions
from genkai.analyse.trial import GoalSeconds, decide_trial
from genkai.histogram import encode, merge
from genkai.launch import STARTUP_S, start_run
from genkai.load.job import JobLevel
from genkai.load.preflight import LaunchError
from genkai.load.tail import Tail, Tally
from genkai.plan import Level, Plan
from genkai.workspace import Journal, Run

POLL_S = 0.02
LATE_S = 3.0  # for the last second to be told, from every process
DRAIN_S = 10.0  # a queue that an overload left must be gone before the next trial


@dataclass(frozen=True)
class Goal:
    """One target: a quantile (0–1) and its limit in seconds, or an error ratio (quantile None); api None: all APIs."""

    api: str | None
    share: float
    quantile: float | None = None
    limit: float = 0.0


@dataclass(frozen=True)
class TrialRun:
    """A trial as it went: its mark (epoch seconds) and why it was cut (kept, missed); None: it had its whole length."""

    mark: dict[str, Any]
    decided: str | None
    stop_reason: str | None = None


class LevelSeconds:
    """What the journals tell of the seconds of a level, by API, and up to which second every process has told."""

    def __init__(self, run: Run, processes: int) -> None:
        self._processes, self._tail = processes, Tail(run)
        self._cells: dict[tuple[int, str], Tally] = defaultdict(Tally)
        self._health: dict[str, dict[str, Any]] = {}
        self.events: dict[tuple[str, int], float] = {}

    def look(self) -> None:
        """Take in what is new."""
        for line in self._tail.requests():
            self._cells[(int(line["t"]), str(line["api"]))].add(line)
        self._health = self._tail.health()
        for event in self._tail.events():
            self.events[(event["event"], event["level"])] = event["time"]

    @property
    def told(self) -> int:
        """The last second that every process has told of; 0 before."""
        return min(int(line["t"]) for line in self._health.values()) if len(self._health) >= self._processes else 0

    @property
    def drained(self) -> bool:
        """Whether nothing was in flight when each process told last."""
        return not any(line["in_flight"] for line in self._health.values())

    def goal_seconds(self, goal: Goal, first: int, last: int) -> GoalSeconds:
        """A target over the seconds [first, last)."""
        rows = [self._second(goal.api, second) for second in range(first, last)]
        due = np.array([row.counts["sent"] + row.counts["dropped"] for row in rows], dtype=float)
        failed = np.array([row.counts["failed"] + row.counts["dropped"] for row in rows], dtype=float)
        if goal.quantile is None:
            return GoalSeconds(goal.share, due, failed)
        found = read_distributions([encode(merge(row.hists)) if row.hists else None for row in rows])
        counts = found.counts.toarray()
        slow = counts[:, found.upper_s > goal.limit].sum(axis=1)
        waiting = np.maximum(due - failed - counts.sum(axis=1), 0)
        value = np.array([_quantile(c, found.upper_s, w, goal.quantile) for c, w in zip(counts, waiting, strict=True)])
        return GoalSeconds(goal.share, due, slow, value, goal.limit)

    def _second(self, api: str | None, second: int) -> Tally:
        return Tally.of(cell for (at, name), cell in self._cells.items() if at == second and api in (None, name))


def _quantile(counts: np.ndarray, upper_s: np.ndarray, waiting: float, quantile: float) -> float:
    """The quantile of all requests due, those without an answer slowest; NaN where it is one of those."""
    cumulative = np.cumsum(counts)
    wanted = quantile * ((cumulative[-1] if len(cumulative) else 0.0) + waiting)
    place = int(np.searchsorted(cumulative, wanted))
    return float(upper_s[place]) if place < len(upper_s) and cumulative[place] > 0 else float("nan")


class Trials:
    """One run of an open workload whose levels are ordered one after the other; a context manager that ends it."""

    def __init__(self, run: Run, plan: Plan, step: str, subject: str, **overrides: Any) -> None:
        self.run = run
        first = [Level(arrival_rate_rps=1.0, hold_s=1.0)]  # names the workload; no level is known beforehand
        self._running = start_run(run, plan, step, subject, levels=first, steered=True, **overrides)
        self._orders = Journal(self._running.run.journal("orders"))
        self._seconds = LevelSeconds(run, self._running.job.processes)
        self.marks: list[dict[str, Any]] = []
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def measure(self, rate: float, seconds: float, goals: Sequence[Goal], *, may_pass_after_s: float = 0.0) -> TrialRun:
        """Hold a rate for so many seconds, or until the goals are decided. Raises LaunchError.

        may_pass_after_s: a trial that clearly keeps the goals is not cut before.
        """
        level, self._count = self._count, self._count + 1
        self._orders.write({"level": level, "intended": rate, "hold_s": float(round(seconds))})
        mark = {"level": level, "workload": "open", "intended": rate, "start": None, "hold_start": None, "end": None}
        if not self._await(lambda: ("hold", level) in self._seconds.events, STARTUP_S):
            raise LaunchError(f"{self.run.raw('locust.log')}: expected level {level} to begin, got "
                              f"{self._ending() or f'nothing in {STARTUP_S:g} s'}")  # fmt: skip
        mark |= {"start": self._seconds.events["start", level], "hold_start": self._seconds.events["hold", level]}
        first = int(mark["hold_start"])
        decided, last = self._watch(first, first + round(seconds), seconds, goals, may_pass_after_s)
        mark["end"] = float(last)
        if last < first + round(seconds):
            self._orders.write({"cut": level})
        self.marks.append(mark)
        if decided != "kept" and self._running.alive:
            told = self._seconds.told
            self._await(lambda: self._seconds.told > max(told, last) and self._seconds.drained, DRAIN_S)
        return TrialRun(mark, decided, None if self._running.alive else self._ending())

    def _watch(self, first: int, last: int, planned_s: float, goals: Sequence[Goal],
               may_pass_after_s: float) -> tuple[str | None, int]:  # fmt: skip
        """(decision, second after the last that counts)."""
        for second in range(first, last):
            if self._seconds.told < second:
                self._await(lambda second=second: self._seconds.told >= second, last + LATE_S - time.time())
            if self._seconds.told < second:  # a process died or is far behind: judged by what is there
                return None, max(second, first + 1)
            told = [self._seconds.goal_seconds(goal, first, second + 1) for goal in goals]
            decided = decide_trial(told, planned_s)
            if decided == "missed" or (decided == "kept" and second + 1 - first >= may_pass_after_s):
                return decided, second + 1
        return None, last

    def _await(self, reached: Callable[[], bool], seconds: float) -> bool:
        until = time.monotonic() + seconds
        while True:
            self._seconds.look()
            if reached():
                return True
            if time.monotonic() > until or not self._running.alive:
                return False
            time.sleep(POLL_S)

    def _ending(self) -> str | None:
        stop = (journals.read_stop(self.run) or {}).get("reason") or self.run.record().get("stop_reason")
        return stop or (None if self._running.alive else "the end of the load processes")

    def close(self) -> None:
        """End the run, and write its tables with the levels that there were."""
        if self._running.alive:
            self._orders.write({"over": True})
            self._await(lambda: False, self._running.job.drain_s + LATE_S)
        self._orders.close()
        levels = [
            JobLevel(workload="open", intended=m["intended"], ramp_s=m["hold_start"] - m["start"],
                     hold_s=m["end"] - m["hold_start"]) for m in self.marks
        ]  # fmt: skip
        if levels:
            self._running.job = self._running.job.model_copy(update={"levels": levels})
            self._running.job.write(self._running.run.path)
        self._running.stop(None if not self._running.alive else "the trials are over")
