"""Least squares of the candidate models, for one series or a thousand at once.

The kinked models are linear once the knee's place between two loads is known: every place is tried, exactly.
Amdahl and USL are found by Levenberg–Marquardt on all series together, started from several points; bounds are kept
by trying each face of the box.
"""

from __future__ import annotations

import itertools

import numpy as np

from genkai.analyse.models import CATALOGUE

Array = np.ndarray
ITERATIONS = 60
BOUNDS = {"contention": (0.0, 1.0), "coherency": (0.0, np.inf)}
STARTS = ((0.02, 0.0), (0.02, 1e-4), (0.3, 1e-3), (0.0, 1e-2))


def fit_all(name: str, load: Array, series: Array, *, bounded: bool = True, start: Array | None = None) -> Array:
    """Parameters (B, p) of a model for B series of throughput (B, n) at the same loads (n,)."""
    series = np.atleast_2d(np.asarray(series, dtype=float))
    load = np.asarray(load, dtype=float)
    if name == "linear":
        return (series @ load / (load @ load))[:, None]
    if name in ("ceiling", "broken"):
        return _kinked(name, load, series)
    return _rational(name, load, series, bounded, start)


def residual_squares(name: str, parameters: Array, load: Array, series: Array) -> Array:
    """Sum of squared residuals, (B,)."""
    return ((series - CATALOGUE[name].throughput(parameters, load)) ** 2).sum(axis=-1)


def _best(name: str, candidates: list[Array], load: Array, series: Array) -> Array:
    squares = [np.where(np.isfinite(s := residual_squares(name, p, load, series)), s, np.inf) for p in candidates]
    chosen = np.argmin(squares, axis=0)
    return np.stack(candidates)[chosen, np.arange(len(series))]


def _kinked(name: str, load: Array, series: Array) -> Array:
    """Ceiling or broken line by trying the knee at every load and between every two of them."""
    loads = np.unique(load)
    after_least = 1 if name == "ceiling" else 2  # a slope needs two loads beyond the knee
    candidates = [_at_knee(name, knee, load, series) for knee in loads[: len(loads) - after_least + 1]]
    for low, high in itertools.pairwise(loads[: len(loads) - after_least + 1]):
        candidates.append(_between(name, low, high, load, series, candidates[0]))
    return _best(name, candidates, load, series)


def _at_knee(name: str, knee: float, load: Array, series: Array) -> Array:
    before, after = np.minimum(load, knee), np.maximum(load - knee, 0)
    if name == "ceiling":
        unit = series @ before / (before @ before)
        return np.stack([unit, unit * knee], axis=1)
    design = np.stack([before, after], axis=1) if after.any() else before[:, None]
    solved = series @ np.linalg.pinv(design).T
    slope = solved[:, 1] if after.any() else solved[:, 0]
    return np.stack([solved[:, 0], np.full(len(series), knee), np.minimum(slope, solved[:, 0])], axis=1)


def _between(name: str, low: float, high: float, load: Array, series: Array, fallback: Array) -> Array:
    left, right = load <= low, load >= high
    unit = series[:, left] @ load[left] / (load[left] @ load[left])
    safe = np.where(unit > 0, unit, np.nan)
    if name == "ceiling":
        top = series[:, right].mean(axis=1)
        knee, found = top / safe, np.stack([unit, top], axis=1)
    else:
        design = np.stack([np.ones(right.sum()), load[right]], axis=1)
        offset, slope = (series[:, right] @ np.linalg.pinv(design).T).T
        knee = offset / np.where(unit > slope, unit - slope, np.nan)
        found = np.stack([unit, knee, slope], axis=1)
    valid = (knee >= low) & (knee <= high)
    return np.where(valid[:, None], found, fallback)


def _rational(name: str, load: Array, series: Array, bounded: bool, start: Array | None) -> Array:
    free = ("contention", "coherency") if name == "usl" else ("contention",)
    solved = _solve(load, series, free, {}, start)
    if not bounded:
        return solved[:, : 1 + len(free)]
    inside = np.ones(len(series), bool)
    for column, parameter in enumerate(free, start=1):
        low, high = BOUNDS[parameter]
        inside &= (solved[:, column] >= low) & (solved[:, column] <= high)
    if not inside.all():
        outside = ~inside
        solved[outside] = _on_faces(load, series[outside], free)
    return solved[:, : 1 + len(free)]


def _on_faces(load: Array, series: Array, free: tuple[str, ...]) -> Array:
    """The best fit with a parameter at its bound."""
    candidates = []
    for parameter in free:
        others = tuple(p for p in free if p != parameter)
        for bound in (b for b in BOUNDS[parameter] if np.isfinite(b)):
            solved = _solve(load, series, others, {parameter: bound}, None) if others else None
            if solved is None:
                solved = _scaled(load, series, np.full((len(series), 2), [bound, 0.0]))
            for column, other in enumerate(("contention", "coherency"), start=1):
                if other in others:  # a corner: clipped, and the scale fitted anew
                    solved[:, column] = np.clip(solved[:, column], *BOUNDS[other])
            candidates.append(_scaled(load, series, solved[:, 1:]))
    return _best("usl", candidates, load, series)


def _scaled(load: Array, series: Array, shape: Array) -> Array:
    """(γ, α, β) with the best γ for given α, β."""
    curve = _shape(load, shape)
    unit = (series * curve).sum(axis=1) / (curve**2).sum(axis=1)
    return np.concatenate([unit[:, None], shape], axis=1)


def _shape(load: Array, shape: Array) -> Array:
    return load / (1 + shape[:, :1] * (load - 1) + shape[:, 1:] * load * (load - 1))


def _solve(load: Array, series: Array, free: tuple[str, ...], fixed: dict[str, float], start: Array | None) -> Array:
    """Levenberg–Marquardt over γ and the free ones of α, β; returns (B, 3)."""
    columns = [0, *(("contention", "coherency").index(p) + 1 for p in free)]
    starts = np.atleast_2d(start[1:] if start is not None else STARTS)
    shapes = np.zeros((len(starts), len(series), 2))
    shapes[:, :, : starts.shape[1]] = starts[:, None]
    for column, parameter in enumerate(("contention", "coherency")):
        if parameter not in free:
            shapes[:, :, column] = fixed.get(parameter, 0.0)
    again = np.tile(series, (len(starts), 1))  # every start of every series at once
    solved = _levenberg_marquardt(load, again, _scaled(load, again, shapes.reshape(-1, 2)), columns)
    return _best("usl", np.split(solved, len(starts)), load, series)


def _levenberg_marquardt(load: Array, series: Array, p: Array, columns: list[int]) -> Array:
    """Marquardt (1963) on every series at once; a parameter in 1/load² is scaled by the normal matrix's diagonal."""
    damping = np.full(len(series), 1e-3)
    squares = residual_squares("usl", p, load, series)
    going = np.arange(len(series))
    for _ in range(ITERATIONS):
        now, target, before = p[going], series[going], squares[going]
        jacobian = _jacobian(load, now)[:, :, columns]
        residual = target - CATALOGUE["usl"].throughput(now, load)
        normal = np.einsum("bni,bnj->bij", jacobian, jacobian)
        gradient = np.einsum("bni,bn->bi", jacobian, residual)
        diagonal = np.einsum("bii->bi", normal)
        damped = normal + (damping[going, None] * diagonal + 1e-300)[:, :, None] * np.eye(len(columns))
        trial = now.copy()
        trial[:, columns] += _solve_scaled(damped, gradient)
        new = residual_squares("usl", trial, load, target)
        positive = (1 + trial[:, 1:2] * (load - 1) + trial[:, 2:] * load * (load - 1) > 1e-6).all(axis=1)
        better = positive & (new <= before)
        p[going[better]], squares[going[better]] = trial[better], new[better]
        damping[going] = np.clip(damping[going] * np.where(better, 1 / 5, 6), 1e-12, 1e12)
        small = (before - new < 1e-13 * before) & (damping[going] < 1)
        going = going[~np.where(better, small, damping[going] > 1e9)]
        if not len(going):
            break
    return p


def _solve_scaled(matrix: Array, vector: Array) -> Array:
    """Solve with rows and columns scaled to a unit diagonal; γ and β differ by many powers of ten."""
    scale = 1 / np.sqrt(np.maximum(np.einsum("bii->bi", matrix), 1e-300))
    balanced = matrix * scale[:, :, None] * scale[:, None, :]
    return np.linalg.solve(balanced + 1e-14 * np.eye(matrix.shape[1]), (vector * scale)[:, :, None])[:, :, 0] * scale


def _jacobian(load: Array, p: Array) -> Array:
    below = 1 + p[:, 1:2] * (load - 1) + p[:, 2:] * load * (load - 1)
    by_unit = load / below
    by_contention = -p[:, :1] * load * (load - 1) / below**2
    return np.stack([by_unit, by_contention, by_contention * load], axis=2)
