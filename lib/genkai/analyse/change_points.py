"""Where a series of cycles changes its level: E-divisive means with a t-test, as Apache Otava (Hunter) uses it.

The place is the split that maximises the energy distance of what lies before and after it, over every length of what
lies after it (Matteson and James, "A nonparametric approach for multiple change point analysis", 2014, with α = 1). It
is kept when a t-test agrees; then splits that are no longer significant, or too small to matter, are taken back one by
one, weakest first (Fleming et al., "Hunter: using change point detection to hunt for performance regressions", 2023).
Otava tests with the population's standard deviation; here it is the sample's, which alarms less on few cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import stdtr

MAX_P = 0.001
MINIMUM_EFFECT = 0.05
LEAST = 4  # cycles below which nothing is said
FIRST_PASS = 10  # a split may be this much less significant until its neighbours are known; see _splits


@dataclass(frozen=True)
class ChangePoint:
    """index: the first value of the new level; before, after: mean levels on both sides up to the next change."""

    index: int
    p: float
    before: float
    after: float

    @property
    def change(self) -> float:
        """after ÷ before − 1; infinite from zero."""
        return self.after / self.before - 1 if self.before else float("inf")

    @property
    def magnitude(self) -> float:
        """The change as a ratio, in the direction in which it is larger."""
        smaller, larger = sorted(map(abs, (self.before, self.after)))
        return larger / smaller - 1 if smaller else float("inf")


def divergence(values: Sequence[float]) -> np.ndarray:
    """Scaled energy distance, (n, n + 1): of values[:τ] and values[τ:κ] at [τ, κ]; −∞ where either is empty.

    By sums over rectangles of the matrix of distances, all in n² steps.
    """
    x = np.asarray(values, dtype=float)
    n = len(x)
    sums = np.zeros((n + 1, n + 1))
    sums[1:, 1:] = np.abs(x[:, None] - x[None, :]).cumsum(axis=0).cumsum(axis=1)
    tau, kappa = np.arange(n)[:, None], np.arange(n + 1)[None, :]
    left, right = tau, kappa - tau
    corner = np.diag(sums)
    between = sums[:n] - corner[:n, None]  # distances of values[:τ] to values[τ:κ]
    within_left = corner[:n, None] / 2
    within_right = (corner[None, :] - 2 * sums[:n] + corner[:n, None]) / 2
    both = np.maximum(left + right, 1)
    distance = (
        2 / both * between
        - 2 * right / both / np.maximum(left - 1, 1) * within_left
        - 2 * left / both / np.maximum(right - 1, 1) * within_right
    )
    return np.where((left > 0) & (right > 0), distance, -np.inf)


def best_split(values: Sequence[float]) -> tuple[int, int, float]:
    """(τ: the first value after the best split, κ: the end of what differs most, divergence). Needs two values."""
    found = divergence(values)
    tau, kappa = np.unravel_index(np.argmax(found), found.shape)
    return int(tau), int(kappa), float(found.max())


def change_points(values: Sequence[float]) -> list[ChangePoint]:
    """The change points of a series, in its order; none for fewer than LEAST values.

    Each is significant at MAX_P in the end, and a relative change of more than MINIMUM_EFFECT. Raises ValueError for a
    value that is not finite: leave out what was not measured.
    """
    x = np.asarray(values, dtype=float)
    if not np.isfinite(x).all():
        raise ValueError("change points: expected finite values, got one that is missing; leave it out")
    if len(x) < LEAST:
        return []
    return _merged(x, _splits(x))


def _splits(x: np.ndarray) -> list[int]:
    """Split where the divergence is largest of all stretches, until the best split is not significant.

    A level that was left again hides in all that follows it, so a split counts, too, where what follows it up to the
    end that differs most is another level beyond doubt: more surely, for that end was chosen.
    """
    found: list[int] = []
    while True:
        edges = [0, *found, len(x)]
        candidates = [
            (distance, first + tau, first, first + kappa)
            for first, last in pairwise(edges)
            if last - first > 1
            for tau, kappa, distance in [best_split(x[first:last])]
        ]
        if not candidates:
            return found
        _, index, first, end = max(candidates)
        if _point(x, sorted([*found, index]), index).p > FIRST_PASS * MAX_P and (
            _p(x[first:index], x[index:end]) > MAX_P / FIRST_PASS
        ):
            return found
        found = sorted([*found, index])


def _merged(x: np.ndarray, splits: list[int]) -> list[ChangePoint]:
    """Take back the weakest split, judged between its neighbours, until all are significant and large enough."""
    kept = list(splits)
    while kept:
        points = [_point(x, kept, index) for index in kept]
        weakest = max(points, key=lambda p: p.p)
        if weakest.p < MAX_P:
            weakest = min(points, key=lambda p: p.magnitude)
            if weakest.magnitude > MINIMUM_EFFECT:
                return points
        kept.remove(weakest.index)
    return []


def _point(x: np.ndarray, splits: Sequence[int], index: int) -> ChangePoint:
    edges = [0, *splits, len(x)]
    place = edges.index(index, 1)
    before, after = x[edges[place - 1] : index], x[index : edges[place + 1]]
    return ChangePoint(index, _p(before, after), float(before.mean()), float(after.mean()))


def _p(before: np.ndarray, after: np.ndarray) -> float:
    """Student's t-test; 1 where two values alone say nothing, or nothing differs."""
    freedom = len(before) + len(after) - 2
    difference = abs(before.mean() - after.mean())
    if freedom < 1 or difference == 0:
        return 1.0
    pooled = (np.var(before) * len(before) + np.var(after) * len(after)) / freedom
    error = np.sqrt(pooled * (1 / len(before) + 1 / len(after)))
    return float(2 * stdtr(freedom, -difference / error)) if error > 0 else 0.0
