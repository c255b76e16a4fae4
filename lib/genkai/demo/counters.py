"""Counters the demo's processes keep of themselves: they only grow, so any reader can take differences."""

import math
from collections import Counter

BUCKETS_PER_E = 50  # one bucket per 2 %, well inside what a percentile of a 10 s interval can resolve


class Durations:
    """A histogram of durations in logarithmic buckets, 2 % wide."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.total_s = 0.0

    def record(self, seconds: float) -> None:
        """Add one duration in seconds; anything below 1 µs counts as 1 µs."""
        if seconds < 1e-6:
            seconds = 1e-6
        self.counts[round(math.log(seconds) * BUCKETS_PER_E)] += 1
        self.total_s += seconds

    def snapshot(self) -> dict:
        """`{"total_s": seconds, "counts": {bucket: count}}`, ready for JSON."""
        return {"total_s": self.total_s, "counts": {str(bucket): count for bucket, count in self.counts.items()}}


def bucket_value(bucket: int | str) -> float:
    """The duration in seconds at the middle of a bucket."""
    return math.exp(int(bucket) / BUCKETS_PER_E)


def interval_counts(before: dict, after: dict) -> dict[float, int]:
    """Durations (seconds → count) recorded between two snapshots of one histogram."""
    earlier = before["counts"]
    growth = {bucket: count - earlier.get(bucket, 0) for bucket, count in after["counts"].items()}
    return {bucket_value(bucket): count for bucket, count in sorted(growth.items(), key=lambda e: int(e[0])) if count}


class Gauge:
    """A level that rises and falls; keeps its time-weighted mean and its extremes since the last reset."""

    __slots__ = ("area", "highest", "level", "lowest", "since", "started")

    def __init__(self, now: float) -> None:
        self.level = 0
        self.reset(now)

    def reset(self, now: float) -> None:
        """Begin a new interval at the current level."""
        self.area, self.started, self.since = 0.0, now, now
        self.highest = self.lowest = self.level

    def set(self, level: int, now: float) -> None:
        """The level is this from now on."""
        self.area += self.level * (now - self.since)
        self.since, self.level = now, level
        if level > self.highest:
            self.highest = level
        if level < self.lowest:
            self.lowest = level

    def snapshot(self, now: float) -> dict:
        """Now, minimum, maximum and time-weighted mean since the last reset."""
        span = now - self.started
        area = self.area + self.level * (now - self.since)
        mean = area / span if span > 0 else float(self.level)
        return {"now": self.level, "min": self.lowest, "max": self.highest, "mean": mean}


class VirtualSchedule:
    """Lets events pass at a rate; after a pause at most `burst_s` worth of them at once.

    The generic cell rate algorithm, ITU-T I.371, in its virtual scheduling form.
    """

    __slots__ = ("burst_s", "interval_s", "next_at")

    def __init__(self, rate: float, burst_s: float = 0.05) -> None:
        self.burst_s, self.next_at = burst_s, 0.0
        self.change(rate)

    def change(self, rate: float) -> None:
        """Set another rate in events/s; 0 means no limit."""
        if not rate >= 0 or math.isinf(rate):
            raise ValueError(f"rate: expected a finite number of events/s >= 0, got {rate!r}")
        self.interval_s = 1 / rate if rate > 0 else 0.0
        self.next_at = 0.0

    def delay(self, now: float) -> float:
        """Seconds until the next event may pass; 0 when it may pass now."""
        return max(0.0, self.next_at - now) if self.interval_s else 0.0

    def take(self, now: float) -> None:
        """One event passes now."""
        if self.interval_s:
            self.next_at = max(self.next_at, now - self.burst_s) + self.interval_s
