"""Generator health, once a second: CPU, event-loop lag, schedule slip, sockets and descriptors of this process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import gevent

from genkai.load.counters import (
    count_fds,
    count_ports,
    count_ports_left,
    count_time_wait,
    run_queue_wait_s,
    steal_ticks,
)
from genkai.load.ports import Ports, count_left

LAG_PERIOD_S = 0.02


def quantile_of(values: list[float], quantile: float) -> float | None:
    """The nearest-rank quantile of a list; None for an empty one."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(quantile * len(ordered)) - 1)]


class Health:
    """Measures since the last reading; `slip` and `lag` are appended to by the schedule and the lag probe."""

    def __init__(self, now: Callable[[], float], port: int | None = None) -> None:
        """port: the target's."""
        self._now, self._port = now, port
        self.slip: list[float] = []
        self.lag: list[float] = []
        self._cpu, self._wall = time.process_time(), now()
        self._waited, self._steal = run_queue_wait_s(), steal_ticks()
        self._probe = gevent.spawn(self._probe_lag)

    def _probe_lag(self) -> None:
        while True:
            due = self._now() + LAG_PERIOD_S
            gevent.sleep(LAG_PERIOD_S)
            self.lag.append(max(0.0, self._now() - due))

    def read(self, second: int, in_flight: int, users: int) -> dict[str, Any]:
        """One line of the generator journal for the second that has just ended."""
        cpu, wall = time.process_time(), self._now()
        passed = wall - self._wall
        ratio = (cpu - self._cpu) / passed if passed > 0 else None
        waiting, steal, ports = self._read_waiting(passed), self._read_steal(), self._read_ports()
        self._cpu, self._wall = cpu, wall
        slip, self.slip = self.slip, []
        lag, self.lag = self.lag, []
        return {
            "t": second, "cpu_ratio": ratio, "loop_lag_p99_s": quantile_of(lag, 0.99),
            "schedule_slip_p99_s": quantile_of(slip, 0.99), "in_flight": in_flight, "users": users,
            "sockets_time_wait": count_time_wait(), "fds": count_fds(), "run_queue_wait_ratio": waiting,
            "steal_ratio": steal, "ports_left": ports.left if ports else None, "ports": ports.total if ports else None,
        }  # fmt: skip

    def _read_ports(self) -> Ports | None:
        """Towards the target; where the kernel does not tell, at least: as if all TCP sockets went there."""
        ports = count_left(self._port, lambda: gevent.sleep(0)) if self._port else None
        total, left = count_ports(), count_ports_left()
        return ports or (Ports(total, left) if total is not None and left is not None else None)

    def _read_waiting(self, passed: float) -> float | None:
        before, self._waited = self._waited, run_queue_wait_s()
        if before is None or self._waited is None or passed <= 0:
            return None
        return max(0.0, self._waited - before) / passed

    def _read_steal(self) -> float | None:
        before, self._steal = self._steal, steal_ticks()
        if before is None or self._steal is None or self._steal[1] <= before[1]:
            return None
        return min(1.0, max(0, self._steal[0] - before[0]) / (self._steal[1] - before[1]))

    def close(self) -> None:
        """Stop the lag probe."""
        self._probe.kill(block=False)
