"""Arrival times of the open workload, computed ahead and independent of any response.

An arrival stands where the integral of the intended rate reaches its number (constant spacing) or the next sum of
unit exponentials (Poisson): Lewis & Shedler (1979), inversion of the cumulative rate function.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from genkai.load.levels import TimedLevel

CHUNK = 1024


class RateCurve:
    """The cumulative intended arrivals over time, piecewise quadratic, and its inverse."""

    def __init__(self, timed: Sequence[TimedLevel]) -> None:
        pieces = []
        for level in timed:
            pieces.append((level.start, level.hold_start - level.start, level.before, level.intended))
            pieces.append((level.hold_start, level.end - level.hold_start, level.intended, level.intended))
        kept = [piece for piece in pieces if piece[1] > 0]
        self._start, self._length, self._from, self._to = (
            np.array(part, dtype=float) for part in zip(*kept, strict=True)
        )
        counts = self._length * (self._from + self._to) / 2
        self._before = np.concatenate([[0.0], np.cumsum(counts)[:-1]])
        self.total = float(counts.sum())

    def times_of(self, numbers: np.ndarray) -> np.ndarray:
        """Epoch seconds at which the cumulative arrivals reach each number (0 ≤ number < total)."""
        piece = np.searchsorted(self._before, numbers, side="right") - 1
        left = numbers - self._before[piece]
        rate, slope = self._from[piece], (self._to[piece] - self._from[piece]) / self._length[piece]
        root = np.sqrt(np.maximum(rate * rate + 2 * slope * left, 0.0))
        return self._start[piece] + 2 * left / (rate + root)


def plan_arrivals(timed: Sequence[TimedLevel], law: str, share: int, shares: int, seed: int) -> Iterator[np.ndarray]:
    """Chunks of ascending epoch seconds at which this share of the processes sends.

    constant: arrivals are numbered and dealt in turn; poisson: independent streams of rate/shares, which add up to
    one Poisson process (superposition).
    """
    curve = RateCurve(timed)
    rng = np.random.default_rng([seed, share])
    reached = float(share) + 0.5 - shares if law == "constant" else 0.0
    steps = np.full(CHUNK, float(shares))
    while True:
        if law == "poisson":
            steps = rng.exponential(float(shares), CHUNK)
        numbers = reached + np.cumsum(steps)
        reached = float(numbers[-1])
        inside = numbers[numbers < curve.total]
        if len(inside):
            yield curve.times_of(inside)
        if len(inside) < CHUNK:
            return
