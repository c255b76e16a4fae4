"""The steady window of a per-second series: where a level is measured, and whether it was steady at all.

Source: Traini, Cortellessa, Di Pompeo, Tucci, "Towards effective assessment of steady state performance in Java
software: are we there yet?" (EMSE 2023): segments, then those that are equivalent to the last one are one.
Segments by optimal partitioning: Jackson et al., "An algorithm for optimal partitioning of data on an interval" (2005).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

EQUIVALENCE = 0.05  # ratio of means within 1 ± this is the same state
SHORT_S = 10  # below, a hold is too short to tell
SETTLE_S = 1  # seconds cut by rule after the ramp, while the last users still start
BLOCKS = 40  # aim: so many block medians
MAX_BLOCK_S = 10
MIN_STEADY_RATIO = 0.3  # a window below this share of the hold is no steady state
RESAMPLES = 400
BRIDGE_RATIO = 0.1  # a disturbance of at most this share of the hold, with the same state on both sides, is bridged
PENALTY = 3.0  # × σ² × log n for each change point (BIC-like)


@dataclass(frozen=True)
class Window:
    """Seconds [start, end) of the series; steady None: too short to tell."""

    start: int
    end: int
    steady: bool | None
    note: str = ""

    @property
    def seconds(self) -> int:
        """Length of the window."""
        return self.end - self.start


def steady_window(series: Sequence[float], *, seed: int = 0) -> Window:
    """The longest tail of a per-second series (any unit) that is one state; deterministic for a seed.

    Raises ValueError for an empty series or one with gaps.
    """
    values = np.asarray(series, dtype=float)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"steady_window: expected a series of at least 1 value, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(
            "steady_window: expected a number for every second, got gaps; fill seconds without requests with 0"
        )
    n = len(values)
    if n < SHORT_S:
        settle = SETTLE_S if n > 2 else 0
        return Window(settle, n, None, f"hold of {n} s is too short to tell: all but the first {settle} s")
    block = int(np.clip(n // BLOCKS, 1, MAX_BLOCK_S))
    medians, starts = _block_medians(values, block)
    edges = segments(medians)
    first, bridged = _merge_backwards(medians, edges, np.random.default_rng(seed))
    start = int(starts[first]) if first else SETTLE_S
    note = f"{len(edges) - 1} segments; first {start} s cut" + ("; a short disturbance bridged" if bridged else "")
    if n - start < max(MIN_STEADY_RATIO * n, 5):
        return Window(SETTLE_S, n, False, f"no steady state: the last state holds only {n - start} of {n} s")
    return Window(start, n, True, note)


def _block_medians(values: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Medians of blocks counted from the end, so that only the first block may be short."""
    starts = np.arange(len(values) % block, len(values), block)
    if len(values) % block > block // 2:
        starts = np.concatenate([[0], starts])
    ends = np.append(starts[1:], len(values))
    return np.array([np.median(values[a:b]) for a, b in zip(starts, ends, strict=True)]), starts


def segments(values: np.ndarray, min_size: int = 3) -> list[int]:
    """Edges [0, …, n] of the segments of constant mean, of least cost; the noise is judged by first differences."""
    n = len(values)
    if n < 2 * min_size:
        return [0, n]
    steps = np.diff(values) / np.sqrt(2)
    spread = max(np.median(np.abs(steps)) / 0.6745, 0.8 * np.std(steps))  # few steps: the median alone is too small
    sigma = max(spread, 0.005 * abs(float(np.median(values))), 1e-9)
    return _cheapest((values - values.mean()) / sigma, min_size, PENALTY * np.log(n))


def _cheapest(values: np.ndarray, min_size: int, penalty: float) -> list[int]:
    """Edges that minimise squared distances from the segments' means plus a penalty for each change, exactly.

    Optimal partitioning: the best segmentation up to `end` is one up to `start` and a last segment, for the best start.
    """
    n = len(values)
    sums, squares = (np.concatenate([[0.0], np.cumsum(v)]) for v in (values, values**2))
    best, last = np.full(n + 1, np.inf), np.zeros(n + 1, dtype=int)
    best[0] = -penalty
    for end in range(min_size, n + 1):
        start = np.arange(end - min_size + 1)
        around = squares[end] - squares[start] - (sums[end] - sums[start]) ** 2 / (end - start)
        cost = best[start] + around + penalty
        last[end] = np.argmin(cost)
        best[end] = cost[last[end]]
    edges = [n]
    while edges[0]:
        edges.insert(0, int(last[edges[0]]))
    return edges


def _merge_backwards(values: np.ndarray, edges: list[int], rng: np.random.Generator) -> tuple[int, bool]:
    """(index where the last state begins, whether a disturbance was bridged)."""
    start, bridged, state = edges[-2], False, values[edges[-2] :]
    waiting = None
    for a, b in zip(edges[-3::-1], edges[-2:0:-1], strict=False):
        part = values[a:b]
        if equivalent(part, state, rng):
            bridged = bridged or waiting is not None
            start, waiting, state = a, None, np.concatenate([part, state])
        elif waiting is None and b - a <= max(3, BRIDGE_RATIO * len(values)):
            waiting = a
        else:
            break
    return start, bridged


def equivalent(part: np.ndarray, state: np.ndarray, rng: np.random.Generator) -> bool:
    """Whether the bootstrap 95 % interval of the ratio of means lies within 1 ± EQUIVALENCE."""
    if np.ptp(part) == 0 and np.ptp(state) == 0:
        return bool(abs(part[0] - state[0]) <= EQUIVALENCE * abs(state[0]))
    above = part[rng.integers(0, len(part), (RESAMPLES, len(part)))].mean(axis=1)
    below = state[rng.integers(0, len(state), (RESAMPLES, len(state)))].mean(axis=1)
    if (below <= 0).any():
        return False
    low, high = np.quantile(above / below, [0.025, 0.975])
    return bool(low >= 1 - EQUIVALENCE and high <= 1 + EQUIVALENCE)
