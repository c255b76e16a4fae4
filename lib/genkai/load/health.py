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
PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def quantile_of(values: list[float], quantile: float) -> float | None:
    """The nearest-rank quantile of a list; None for an empty one."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(quantile * len(ordered)) - 1)]


def _sockstat(path: Path, line: str, name: str) -> int:
    """A number of /proc/net/sockstat. Raises OSError, ValueError, IndexError where there is none."""
    words = next((text.split() for text in path.read_text().splitlines() if text.startswith(line + ":")), [])
    return int(words[words.index(name) + 1])


def count_time_wait() -> int | None:
    """TIME_WAIT sockets of this network namespace; None where /proc/net/sockstat is not to be had."""
    try:
        return _sockstat(SOCKSTAT[0], "TCP", "tw")
    except (OSError, ValueError, IndexError):
        return None


def count_ports() -> int | None:
    """Size of the ephemeral port range; None where it is not to be had."""
    try:
        low, high = map(int, PORT_RANGE.read_text().split())
        return high - low + 1
    except (OSError, ValueError):
        return None


def count_ports_left() -> int | None:
    """Ephemeral ports left towards one destination, at least: all TCP sockets of this namespace count as if to it.

    Which ones go there would have to be looked up in /proc/net/tcp, which takes too long with thousands of them.
    """
    ports, waiting = count_ports(), count_time_wait()
    try:
        in_use = _sockstat(SOCKSTAT[0], "TCP", "inuse")
        in_use += _sockstat(SOCKSTAT[1], "TCP6", "inuse") if SOCKSTAT[1].exists() else 0
    except (OSError, ValueError, IndexError):
        return None
    return None if ports is None or waiting is None else max(0, ports - in_use - waiting)


def run_queue_wait_s() -> float | None:
    """Seconds that this process's main thread has waited for a CPU so far; None where the kernel does not tell."""
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def steal_ticks() -> tuple[int, int] | None:
    """(ticks stolen by other guests, all ticks) of this machine's CPUs so far (proc(5)); None without /proc/stat."""
    try:
        with open("/proc/stat") as stream:
            ticks = [int(word) for word in stream.readline().split()[1:9]]  # guest time is within user time
        return ticks[7], sum(ticks)
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
        waiting, steal = self._read_waiting(passed), self._read_steal()
        self._cpu, self._wall = cpu, wall
        slip, self.slip = self.slip, []
        lag, self.lag = self.lag, []
        return {
            "t": second, "cpu_ratio": ratio, "loop_lag_p99_s": quantile_of(lag, 0.99),
            "schedule_slip_p99_s": quantile_of(slip, 0.99), "in_flight": in_flight, "users": users,
            "sockets_time_wait": count_time_wait(), "fds": count_fds(), "run_queue_wait_ratio": waiting,
            "steal_ratio": steal, "ports_left": count_ports_left(),
        }  # fmt: skip

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
