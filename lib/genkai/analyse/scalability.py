"""The scale characteristic: which model the levels follow, with an interval for every number, or an honest refusal.

Candidates are compared by AICc (Hurvich and Tsai 1989; the variance, common to all, is not counted). The simplest
model within ENOUGH of the best is taken. Intervals come from a residual bootstrap with refits; the residual scale is
itself drawn (√(ν/χ²ν)), which makes them Student's for few levels, and residuals are taken in proportion to the
throughput unless the levels say otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genkai.analyse import models
from genkai.analyse.fit import BOUNDS, fit_all, residual_squares
from genkai.analyse.models import CATALOGUE, MODELS
from genkai.analyse.records import Record, from_draws, number
from genkai.analyse.texts import FIT, phrase
from genkai.refusals import Refusal

LEAST, FEW = 4, 6
ENOUGH = 4.0
REACH = 2.0  # × the highest load: what lies beyond is extrapolated, and said so
NOWHERE = 10.0  # × the highest: what lies beyond is not stated at all
BEND = 0.9  # throughput at the highest load below this share of the initial line
PRECISION = 0.002  # relative error of a throughput below which a better fit means nothing
CLEARLY = 3.0  # difference of log likelihoods
RESAMPLES, KEPT = 1000, 200

Array = np.ndarray


class FitError(Refusal, ValueError):
    """Loads and throughputs that no model can be fitted to."""


def fit_scalability(
    load: Sequence[float], throughput: Sequence[float], *, model: str = "auto", load_unit: str = "users",
    resamples: int = RESAMPLES, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """The fit record of throughput (requests/s) against load (users, requests/s or instances).

    model: auto or one of MODELS. Raises FitError for fewer than 4 distinct loads or values that are not positive.
    """
    n, x = _checked(load, throughput, model)
    candidates = _candidates(n, x)
    name, runner_up = _choice(candidates) if model == "auto" else (model, _choice(candidates, model)[1])
    point = candidates[name]["parameters"]
    draws = bootstrap_draws(name, point, n, x, resamples, np.random.default_rng(seed))
    limits = _limits(name, point, draws, n, x, load_unit)
    efficiency = float(CATALOGUE[name].throughput(point, n)[-1] / (point[0] * n[-1]))
    departs = name != "linear" and efficiency < BEND
    bend = departs and limits["ceiling_rps"] is not None
    return {
        "status": "fitted", "model": name, "load_unit": load_unit, "highest_load": float(n.max()), "bend": bend,
        "departs": departs,  # from the initial line, whether or not towards a limit
        "parameters": _parameters(name, point, draws, len(n), load_unit), **limits,
        "runner_up": runner_up,
        "candidates": [_candidate_record(m, c) for m, c in sorted(candidates.items(), key=lambda i: i[1]["aicc"])],
        "costs": _costs(name, point, draws, n) if load_unit != "rps" else None,
        "points": [{"load": float(a), "throughput_rps": float(b)} for a, b in zip(n, x, strict=True)],
        "left_out": [],
        "warnings": _warnings(name, runner_up, candidates, limits, n, x, bend, load_unit),
        "draws": _rounded(draws[:KEPT]),
    }  # fmt: skip


def _checked(load: Sequence[float], throughput: Sequence[float], model: str) -> tuple[Array, Array]:
    n, x = np.asarray(load, dtype=float), np.asarray(throughput, dtype=float)
    if model != "auto" and model not in MODELS:
        raise FitError(f"model: expected auto, {', '.join(MODELS)}, got {model!r}")
    if n.shape != x.shape or n.ndim != 1:
        raise FitError(f"load and throughput: expected two series of one length, got shapes {n.shape} and {x.shape}")
    if not (np.isfinite(n).all() and np.isfinite(x).all() and (n > 0).all() and (x >= 0).all() and x.any()):
        raise FitError("load and throughput: expected load > 0 and throughput ≥ 0 without gaps, not all 0; "
                       "leave out levels that were not measured")  # fmt: skip
    distinct = len(np.unique(n))
    if distinct < LEAST:
        raise FitError(f"load: expected at least {LEAST} distinct levels for a scale characteristic, got {distinct}; "
                       "add levels to the step")  # fmt: skip
    order = np.argsort(n, kind="stable")
    return n[order], x[order]


def _candidates(n: Array, x: Array) -> dict[str, dict[str, Any]]:
    found = {}
    for name in MODELS:
        parameters = fit_all(name, n, x)
        squares = float(residual_squares(name, parameters, n, x)[0])
        found[name] = {
            "parameters": parameters[0],
            "squares": squares,
            "aicc": aicc(squares, len(n), len(parameters[0]), x),
        }
        if name in ("amdahl", "usl"):
            found[name]["free"] = fit_all(name, n, x, bounded=False)[0]
    return found


def aicc(squares: float, n: int, parameters: int, x: Array) -> float:
    """AICc of a least-squares fit; infinity for too few levels, or where the mean alone describes them better."""
    floor = n * (PRECISION * float(np.max(x))) ** 2
    if n - parameters - 1 < 1 or squares > n * float(np.var(x)) + floor:
        return math.inf
    return (
        n * math.log(max(squares, floor) / n)
        + 2 * parameters
        + 2 * parameters * (parameters + 1) / (n - parameters - 1)
    )


def _choice(candidates: dict[str, dict[str, Any]], chosen: str | None = None) -> tuple[str, str | None]:
    """(simplest model within ENOUGH of the best, the best of the others)."""
    chosen = chosen or simplest_of({m: c["aicc"] for m, c in candidates.items()})
    others = [m for m in MODELS if m != chosen and math.isfinite(candidates[m]["aicc"])]
    return chosen, min(others, key=lambda m: candidates[m]["aicc"], default=None)


def simplest_of(scores: Mapping[str, float]) -> str:
    """The model with the fewest parameters within ENOUGH of the best AICc; scores: {model: AICc}."""
    best = min(scores.values())
    near = [m for m, score in scores.items() if score <= best + ENOUGH]
    return min(near, key=lambda m: (len(CATALOGUE[m].parameters), scores[m]))


def bootstrap_draws(name: str, point: Array, n: Array, x: Array, resamples: int, rng: np.random.Generator) -> Array:
    """Parameters refitted to resampled residuals, (resamples, p)."""
    fitted = CATALOGUE[name].throughput(point, n)
    residual = x - fitted
    freedom = max(len(n) - len(point), 1)
    scale = never_zero(fitted) if _proportional(residual, fitted, freedom) else np.ones(len(n))
    relative = residual / scale
    relative = (relative - relative.mean()) * math.sqrt(len(n) / freedom)
    drawn = relative[rng.integers(0, len(n), (resamples, len(n)))]
    return refitted(name, point, n, drawn, scale, freedom, rng)


def refitted(
    name: str, point: Array, n: Array, drawn: Array, scale: Array, freedom: int, rng: np.random.Generator
) -> Array:
    """Parameters refitted to the curve with drawn scatter (resamples, n) in units of `scale` (n,), itself drawn anew.

    The factor √(ν/χ²ν) of each resample, with ν = freedom, makes the draws Student's for few levels.
    """
    drawn = drawn * np.sqrt(freedom / rng.chisquare(freedom, (len(drawn), 1)))
    start = point if name in ("amdahl", "usl") else None
    return fit_all(name, n, CATALOGUE[name].throughput(point, n) + drawn * scale, start=start)


def never_zero(fitted: Array) -> Array:
    """Fitted throughputs to divide by: at least a thousandth of the highest."""
    return np.maximum(fitted, 1e-3 * fitted.max())


def _proportional(residual: Array, fitted: Array, freedom: int) -> bool:
    """Whether residuals are taken in proportion to the throughput: unless equal ones are clearly likelier (Gaussian).

    Throughput scatters in proportion as a rule; a wrong guess of equal ones makes intervals too narrow, and is the
    likelier the fewer levels are left to judge by.
    """
    safe = never_zero(fitted)
    equal = np.log(np.mean(residual**2) + 1e-300) / 2
    relative = np.log(np.mean((residual / safe) ** 2) + 1e-300) / 2 + np.mean(np.log(safe))
    return bool(freedom * (relative - equal) < CLEARLY)


def _parameters(name: str, point: Array, draws: Array, n: int, load_unit: str) -> dict[str, Record | None]:
    every = {"contention": None, "coherency": None, "unit_throughput_rps": None}
    units = [load_unit if unit == "load" else unit for unit in CATALOGUE[name].units]
    own = {
        parameter: from_draws(point[i], draws[:, i], n, units[i])
        for i, parameter in enumerate(CATALOGUE[name].parameters)
    }
    return every | own


def _limits(name: str, point: Array, draws: Array, n: Array, x: Array, load_unit: str) -> dict[str, Record | None]:
    functions = {
        "knee_load": (models.knee_load, load_unit, n.max()),
        "peak_load": (models.peak_load, load_unit, n.max()),
        "peak_throughput_rps": (models.peak_throughput, "rps", x.max()),
        "ceiling_rps": (models.ceiling, "rps", x.max()),
    }
    found = {
        key: limit_record(float(function(name, point)), function(name, draws), len(n), unit, NOWHERE * float(highest))
        for key, (function, unit, highest) in functions.items()
    }
    if found["peak_load"] is None or found["peak_throughput_rps"] is None:
        found["peak_load"] = found["peak_throughput_rps"] = None
    return found


def limit_record(value: float, draws: Array, n: int, unit: str, farthest: float) -> Record | None:
    """A limit with its interval; None beyond `farthest`, and an open upper end where draws go beyond it."""
    if not math.isfinite(value) or value > farthest:
        return None
    low, high = np.quantile(np.minimum(draws, 2 * farthest), [0.025, 0.975])
    if high > farthest:
        return number(value, min(low, value), None, n, unit, ["the interval has no upper end"])
    return number(value, min(low, value), max(high, value), n, unit)


def _candidate_record(name: str, candidate: dict[str, Any]) -> dict[str, Any]:
    named = dict(zip(CATALOGUE[name].parameters, map(float, candidate["parameters"]), strict=True))
    record = {
        "model": name,
        "aicc": candidate["aicc"] if math.isfinite(candidate["aicc"]) else None,
        "parameters": named,
    }
    if "free" in candidate:
        record["free"] = dict(zip(CATALOGUE[name].parameters, map(float, candidate["free"]), strict=True))
    return record


def _costs(name: str, point: Array, draws: Array, n: Array) -> dict[str, Record] | None:
    """Shares of the response at the highest load: ideal work, contention, coherency (they add up to 1)."""
    if name not in ("amdahl", "usl"):
        return None
    highest, shares = float(n.max()), {}
    point, draws = (
        np.atleast_2d(p) if name == "usl" else np.pad(np.atleast_2d(p), ((0, 0), (0, 1))) for p in (point, draws)
    )
    parts = {"ideal": lambda p: np.ones(len(p)), "contention": lambda p: p[:, 1] * (highest - 1),
             "coherency": lambda p: p[:, 2] * highest * (highest - 1)}  # fmt: skip
    for key, part in parts.items():
        whole = [sum(f(p) for f in parts.values()) for p in (point, draws)]
        shares[key] = from_draws(float(part(point)[0] / whole[0][0]), part(draws) / whole[1], len(n), "ratio")
    return shares


def _warnings(
    name: str, runner_up: str | None, candidates: dict, limits: dict, n: Array, x: Array, bend: bool, load_unit: str
) -> list[dict[str, Any]]:
    found, distinct, highest = [], len(np.unique(n)), float(n.max())
    if distinct < FEW:
        found.append(phrase(FIT, "fit.warning.few_levels", levels=distinct, least=FEW))
    found += _active_bounds(name, candidates[name])
    first = float(x[n == n.min()].mean())
    if first >= x.max() and x[n == highest].mean() < BEND * first:
        found.append(phrase(FIT, "fit.warning.falls", highest=first))
    if not bend:
        found.append(phrase(FIT, "fit.warning.no_bend", highest=number(highest, unit=load_unit)))
    for key, reach in (("knee", highest), ("peak", highest), ("ceiling", float(x.max()))):
        record = limits["ceiling_rps" if key == "ceiling" else f"{key}_load"]
        if record is not None and record["value"] > REACH * reach:
            word, unit = ("ceiling", "rps") if key == "ceiling" else ("load", load_unit)
            told = {word: number(record["value"], unit=unit), "highest": number(reach, unit=unit)}
            found.append(phrase(FIT, f"fit.warning.{key}_beyond", **told))
    simplest = _choice(candidates)[0]
    if runner_up and candidates[runner_up]["aicc"] - candidates[name]["aicc"] < ENOUGH:
        difference = candidates[runner_up]["aicc"] - candidates[name]["aicc"]
        key = "fit.warning.better_model" if difference < 0 and name != simplest else "fit.warning.close_runner_up"
        found.append(phrase(FIT, key, model=name, runner_up=runner_up, difference=round(difference, 2)))
    if load_unit == "rps" and name in ("amdahl", "usl"):
        found.append(phrase(FIT, "fit.warning.open_workload"))
    return found


def _active_bounds(name: str, candidate: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for i, parameter in enumerate(CATALOGUE[name].parameters):
        for bound in BOUNDS.get(parameter, ()) if "free" in candidate else ():
            if math.isfinite(bound) and abs(candidate["parameters"][i] - bound) < 1e-12:
                free = float(candidate["free"][i])
                found.append(phrase(FIT, "fit.warning.bound_active", parameter=parameter, bound=bound, free=free))
    return found


def _rounded(draws: Array) -> list[list[float]]:
    return [[float(f"{value:.6g}") for value in row] for row in draws]
