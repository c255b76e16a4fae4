"""Throughput against load: the five candidate models, their limits and inverses.

linear   X = aN                                    no limit
ceiling  X = min(aN, C)                            a hard limit: capacity of one resource
broken   X = aN up to the knee, then slope b < a    a limit that still gives, or gives way (b < 0)
amdahl   X = γN / (1 + α(N−1))                     contention only (Amdahl 1967)
usl      X = γN / (1 + α(N−1) + βN(N−1))           contention and coherency (Gunther 2007, eq. 4.31)

Every function takes parameters in the last axis, (…, p), so that a thousand bootstrap draws go at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
MODELS = ("linear", "ceiling", "amdahl", "broken", "usl")  # simplest first: ties go to the simpler one


def _column(parameters: Array, index: int) -> Array:
    return np.asarray(parameters, dtype=float)[..., index, None]


def _linear(p: Array, n: Array) -> Array:
    return _column(p, 0) * n


def _ceiling(p: Array, n: Array) -> Array:
    return np.minimum(_column(p, 0) * n, _column(p, 1))


def _broken(p: Array, n: Array) -> Array:
    unit, knee, slope = (_column(p, i) for i in range(3))
    return unit * np.minimum(n, knee) + slope * np.maximum(n - knee, 0)


def _amdahl(p: Array, n: Array) -> Array:
    return _column(p, 0) * n / (1 + _column(p, 1) * (n - 1))


def _usl(p: Array, n: Array) -> Array:
    return _column(p, 0) * n / (1 + _column(p, 1) * (n - 1) + _column(p, 2) * n * (n - 1))


@dataclass(frozen=True)
class Model:
    """A candidate: parameter names with their units, and X(N)."""

    name: str
    parameters: tuple[str, ...]
    units: tuple[str, ...]
    throughput: Callable[[Array, Array], Array]


CATALOGUE = {
    "linear": Model("linear", ("unit_throughput_rps",), ("rps",), _linear),
    "ceiling": Model("ceiling", ("unit_throughput_rps", "ceiling_rps"), ("rps", "rps"), _ceiling),
    "broken": Model("broken", ("unit_throughput_rps", "knee_load", "slope_after_rps"), ("rps", "load", "rps"), _broken),
    "amdahl": Model("amdahl", ("unit_throughput_rps", "contention"), ("rps", "ratio"), _amdahl),
    "usl": Model("usl", ("unit_throughput_rps", "contention", "coherency"), ("rps", "ratio", "ratio"), _usl),
}


def _quotient(above: Array, below: Array) -> Array:
    """Above ÷ below where below > 0, infinity elsewhere."""
    above, below = np.broadcast_arrays(np.asarray(above, float), np.asarray(below, float))
    return np.divide(above, below, out=np.full(above.shape, np.inf), where=below > 0)


def peak_load(name: str, parameters: Array) -> Array:
    """Load of the highest throughput; infinity where throughput never falls. USL: √((1 − α)/β) (Gunther, eq. 4.33)."""
    p = np.asarray(parameters, dtype=float)
    if name == "usl":
        return np.maximum(1.0, np.sqrt(np.maximum(_quotient(1 - p[..., 1], p[..., 2]), 0)))
    if name == "broken":
        return np.where(p[..., 2] < 0, p[..., 1], np.inf)
    return np.full(p.shape[:-1], np.inf)


def peak_throughput(name: str, parameters: Array) -> Array:
    """Throughput at the peak; infinity where there is none."""
    load = peak_load(name, parameters)
    at = CATALOGUE[name].throughput(parameters, np.where(np.isfinite(load), load, 1.0)[..., None])[..., 0]
    return np.where(np.isfinite(load), at, np.inf)


def ceiling(name: str, parameters: Array) -> Array:
    """The highest throughput the model allows at any load: C, γ/α, or the peak; infinity where there is no limit."""
    p = np.asarray(parameters, dtype=float)
    if name == "ceiling":
        return p[..., 1]
    if name == "amdahl":
        return _quotient(p[..., 0], p[..., 1])
    if name == "usl":
        return np.where(p[..., 2] > 0, peak_throughput(name, p), _quotient(p[..., 0], p[..., 1]))
    return peak_throughput(name, p)


def knee_load(name: str, parameters: Array) -> Array:
    """Load where the line bends: where the initial line reaches the ceiling, N* = (R₀ + Z)·X_max.

    Source: asymptotic bounds, Denning and Buzen (1978); R₀ + Z is 1 ÷ the initial slope.
    """
    p = np.asarray(parameters, dtype=float)
    if name == "broken":
        return p[..., 1]
    top = ceiling(name, p)
    return _quotient(np.where(np.isfinite(top), top, np.inf), p[..., 0])


def load_at(name: str, parameters: Array, throughput: float) -> Array:
    """The smallest load that gives a throughput; infinity where no load does."""
    p = np.asarray(parameters, dtype=float)
    x, unit = float(throughput), p[..., 0]
    straight = _quotient(x, unit)
    if name == "linear":
        return straight
    if name == "ceiling":
        return np.where(x <= p[..., 1], straight, np.inf)
    if name == "broken":
        knee, slope = p[..., 1], p[..., 2]
        return np.where(x <= unit * knee, straight, knee + _quotient(x - unit * knee, slope))
    contention = p[..., 1]
    if name == "amdahl":
        return _quotient(x * (1 - contention), unit - x * contention)
    coherency = p[..., 2]
    # βX·N² + (αX − βX − γ)·N + X(1 − α) = 0; the smaller root, in the form that stays exact for β → 0
    a, b, c = coherency * x, contention * x - coherency * x - unit, x * (1 - contention)
    inside = b * b - 4 * a * c
    root = _quotient(2 * c, -b + np.sqrt(np.maximum(inside, 0)))
    return np.where((inside >= 0) & (b < 0), root, np.inf)
