"""Generator health, once a second: CPU, event-loop lag, schedule slip, sockets and descriptors of this process."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent

LAG_PERIOD_S = 0.02
SOCKSTAT = (Path("/proc/net/sockstat"), Path("/proc/net/sockstat6"))


def quantile_of(values: list[float], quantile: float) -> float | None:
    """The nearest-rank quantile of a list; None for an empty one."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(quantile * len(ordered)) - 1)]


def count_time_wait() -> int | None:
    """TIME_WAIT sockets of this network namespace; None where /proc/net/sockstat is not to be had."""
    try:
        words = SOCKSTAT[0].read_text().split()
        return int(words[words.index("tw") + 1])
    except (OSError, ValueError, IndexError):
        return None


def count_fds() -> int | None:
    """Open descriptors of this process."""
    try:
        return len(os.listdir("/proc/self/fd")) - 1
    except OSError:
        return None


class Health:
    """Measures since the last reading; `slip` and `lag` are appended to by the schedule and the lag probe."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.slip: list[float] = []
        self.lag: list[float] = []
        self._cpu, self._wall = time.process_time(), now()
        self._probe = gevent.spawn(self._probe_lag)

    def _probe_lag(self) -> None:
        while True:
            due = self._now() + LAG_PERIOD_S
            gevent.sleep(LAG_PERIOD_S)
            self.lag.append(max(0.0, self._now() - due))

    def read(self, second: int, in_flight: int, users: int) -> dict[str, Any]:
        """One line of the generator journal for the second that has just ended."""
        cpu, wall = time.process_time(), self._now()
        ratio = (cpu - self._cpu) / (wall - self._wall) if wall > self._wall else None
        self._cpu, self._wall = cpu, wall
        slip, self.slip = self.slip, []
        lag, self.lag = self.lag, []
        return {
            "t": second, "cpu_ratio": ratio, "loop_lag_p99_s": quantile_of(lag, 0.99),
            "schedule_slip_p99_s": quantile_of(slip, 0.99), "in_flight": in_flight, "users": users,
            "sockets_time_wait": count_time_wait(), "fds": count_fds(),
        }  # fmt: skip

    def close(self) -> None:
        """Stop the lag probe."""
        self._probe.kill(block=False)
