"""Levels through locust's own shapes: ramp linearly, hold, next."""

from __future__ import annotations

from typing import ClassVar

import gevent
from locust import LoadTestShape

from genkai.load.engine import Engine
from genkai.load.http.clock import now
from genkai.load.levels import level_at, time_levels

PATIENCE_S = 1.2  # locust asks about once a second; a boundary closer than that is waited for


class LevelShape(LoadTestShape):
    """Users of the level of the moment; of an open workload one user a process, which keeps the schedule."""

    abstract = True
    engine: ClassVar[Engine]

    def tick(self) -> tuple[int, float] | None:
        """(users, users per second to get there), or None at the end."""
        engine = self.engine
        if engine.timed is None:
            engine.begin_after_start(self.runner)
        elif self._is_over():
            self.runner.stop()  # waits for every process's users, where locust's own quit gives workers 3 s
            return None
        if engine.job.workload == "open":
            return engine.job.processes, float(engine.job.processes)
        timed = engine.timed or time_levels(engine.job.levels, now())
        level = level_at(timed, now()) or timed[0]
        return int(level.intended), max(level.change_per_s, 1e-3)

    def _is_over(self) -> bool:
        """Whether the run has come to its end; what is soon to change is waited for."""
        if self.engine.job.workload == "closed":
            self._wait_for_boundary()
        elif not self.engine.job.steered and self.get_current_user_count():
            self._wait_for_end()
        return self.engine.over

    def _wait_for_boundary(self) -> None:
        moments = [t.start for t in self.engine.timed] + [self.engine.timed[-1].end]
        left = next((m - now() for m in moments if m > now()), 0.0)
        if left < PATIENCE_S:
            gevent.sleep(left)

    def _wait_for_end(self) -> None:
        left = self.engine.timed[-1].end - now()
        if left < PATIENCE_S:
            gevent.sleep(max(left, 0.0))
