"""How a series under constant load changes: slope with its interval, and whether it changed at once instead."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from genkai.analyse.records import number

BINS = 24
SHORTEST_S = 20.0
SURE = 0.01  # chance of a change point in a series that does not change
STEP_SHARE = 0.5  # of the squared deviations from a line that a step leaves, at most, to be called one


@dataclass(frozen=True)
class Drift:
    """Slope per second with its 95 % interval, the values at the start and at the end, and Kendall's τ.

    changed_at: epoch second of a change that a step describes much better than a slope; None where there is none.
    """

    slope: float
    low: float
    high: float
    first: float
    last: float
    tau: float
    steady_growth: bool
    n: int
    duration_s: float
    changed_at: float | None = None

    def slope_record(self, unit: str) -> dict:
        """The slope per hour as a number record in the unit of the series; of a ratio, in points."""
        told = "points" if unit == "ratio" else unit
        return number(self.slope * 3600, self.low * 3600, self.high * 3600, self.n, told, [])


def measure_drift(times: np.ndarray, values: np.ndarray) -> Drift | None:
    """The drift of a series over time (epoch s), or None for a series too short or too thin.

    Medians of up to 24 equal bins, then the Theil–Sen slope (Sen 1968) with its rank interval: outliers and short
    memory of the series do not make it look surer than it is.
    """
    from scipy import stats  # its import takes a second: not before something is to be measured

    known = np.isfinite(values)
    times, values = times[known], values[known]
    if len(times) < 8 or times[-1] - times[0] < SHORTEST_S:
        return None
    edges = np.linspace(times[0], times[-1], min(BINS, len(times) // 2) + 1)
    place = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, len(edges) - 2)
    used = np.unique(place)
    y = np.array([np.median(values[place == k]) for k in used])
    x = np.array([times[place == k].mean() for k in used])
    if len(used) < 4:
        return None
    slope, _, low, high = stats.theilslopes(y, x, 0.95)
    tau = stats.kendalltau(x, y).statistic if np.ptp(y) > 0 else 0.0
    half = len(x) // 2
    early, late = (stats.theilslopes(y[part], x[part])[0] for part in (slice(0, half), slice(half, None)))
    grows_on = bool(abs(late) >= 0.4 * abs(early)) and math.copysign(1, late) == math.copysign(1, slope)
    ends = max(len(y) // 6, 1)
    first, last = float(np.median(y[:ends])), float(np.median(y[-ends:]))
    span = float(times[-1] - times[0])
    at = change_point(x, y)
    return Drift(float(slope), float(low), float(high), first, last, float(tau), grows_on, len(used), span, at)


def change_point(times: np.ndarray, values: np.ndarray) -> float | None:
    """When a series changed from one level to another (epoch s), or None: no change, or rather a slope.

    Rank test for one change point of unknown place (Pettitt 1979); a step must leave at most half of the squared
    deviations that a line leaves.
    """
    n = len(values)
    if n < 8 or np.ptp(values) == 0:
        return None
    signs = np.sign(values[:, None] - values[None, :])
    spread = np.array([signs[: k + 1, k + 1 :].sum() for k in range(n - 1)])
    at = int(np.argmax(np.abs(spread)))
    chance = 2 * math.exp(-6 * float(spread[at]) ** 2 / (n**3 + n**2))
    parts = values[: at + 1], values[at + 1 :]
    step = sum(float(((part - part.mean()) ** 2).sum()) for part in parts)
    line = float(((values - np.polyval(np.polyfit(times - times[0], values, 1), times - times[0])) ** 2).sum())
    return float(times[at + 1]) if chance < SURE and step < STEP_SHARE * line else None
