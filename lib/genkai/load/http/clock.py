"""Epoch seconds that never step back: the monotonic clock, set to UTC once per process."""

import os
import time

# On another machine: by how much its clock is ahead of the one that conducts; every epoch second is told in that one's
AHEAD_S = float(os.environ.get("GENKAI_CLOCK_AHEAD_S") or 0.0)

perf_counter = time.perf_counter


def measure_offset() -> float:
    """Seconds to add to ``perf_counter`` for epoch seconds, from the tightest of several readings."""
    best = (float("inf"), 0.0)
    for _ in range(16):
        before = perf_counter()
        wall = time.time()
        after = perf_counter()
        best = min(best, (after - before, wall - (before + after) / 2))
    return best[1]


EPOCH_OFFSET = measure_offset() - AHEAD_S


def now() -> float:
    """Epoch seconds, the scale of every ``sent`` and ``done``; follows slewing of the clock, not its steps."""
    return perf_counter() + EPOCH_OFFSET
