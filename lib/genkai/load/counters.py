"""What the kernel counts of this process and its network namespace. Imports neither locust nor gevent.

None where the kernel does not tell: the load goes on without.
"""

from __future__ import annotations

import os
from pathlib import Path

SOCKSTAT = (Path("/proc/net/sockstat"), Path("/proc/net/sockstat6"))
PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


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

    For a kernel that does not say which ones go there (`load.ports`).
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
