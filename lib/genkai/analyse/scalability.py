"""The scale characteristic: which model the levels follow, with an interval for every number, or an honest refusal.

Candidates are compared by AICc (Hurvich and Tsai 1989; the variance, common to all, is not counted). The simplest
model within ENOUGH of the best is taken. Intervals come from refits to scatter drawn anew (a parametric bootstrap):
normal, since few levels leave few residuals to resample; of a size that is drawn, too, which makes them Student's; in
proportion to the throughput or the same at all levels, each as often as it is likely, since few levels cannot tell.
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
USUALLY = 3.0  # times as likely beforehand: scatter in proportion to throughput than the same at all levels
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
    point, rng = candidates[name]["parameters"], np.random.default_rng(seed)
    as_good = [name, *(_as_good(candidates, name) if model == "auto" else ())]
    drawn = {m: drawn_parameters(m, candidates[m]["parameters"], n, x, resamples, rng) for m in as_good}
    draws = drawn[name]
    limits = _limits(name, point, drawn, n, x, load_unit)
    efficiency = float(CATALOGUE[name].throughput(point, n)[-1] / (point[0] * n[-1]))
    departs = name != "linear" and efficiency < BEND
    bend = departs and limits["ceiling_rps"] is not None
    return {
        "status": "fitted", "model": name, "load_unit": load_unit, "highest_load": float(n.max()), "bend": bend,
        "departs": departs,  # from the initial line, whether or not towards a limit
        "parameters": _parameters(name, point, drawn, len(n), load_unit), **limits,
        "runner_up": runner_up,
        "candidates": [_candidate_record(m, c) for m, c in sorted(candidates.items(), key=lambda i: i[1]["aicc"])],
        "costs": _costs(name, point, draws, n) if load_unit != "rps" else None,
        "points": [{"load": float(a), "throughput_rps": float(b)} for a, b in zip(n, x, strict=True)],
        "left_out": [],
        "warnings": _warnings(name, runner_up, candidates, limits, n, x, departs, load_unit, len(as_good) > 1),
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


def _as_good(candidates: dict[str, dict[str, Any]], chosen: str) -> list[str]:
    """The other models within ENOUGH of the best: passed over for not being as simple, or for a score next to it."""
    best = min(c["aicc"] for c in candidates.values())
    return [m for m, c in candidates.items() if m != chosen and c["aicc"] <= best + ENOUGH]


def drawn_parameters(
    name: str, point: Array, n: Array, x: Array, resamples: int, rng: np.random.Generator, alike: float | None = None
) -> Array:
    """Parameters refitted to the fitted curve with scatter drawn anew, (resamples, p), in no order.

    alike: the share of draws with the same scatter at all levels; by default as many as that is likely.
    """
    fitted = CATALOGUE[name].throughput(point, n)
    residual, freedom = x - fitted, max(len(n) - len(point), 1)
    proportional, equal = np.maximum(fitted, 1e-3 * fitted.max()), np.ones(len(n))
    share = round(resamples * (_equal_is_true(residual, proportional, freedom) if alike is None else alike))
    scatter = [_scatter(residual, scale, freedom, count, rng)
               for scale, count in ((proportional, resamples - share), (equal, share))]  # fmt: skip
    start = point if name in ("amdahl", "usl") else None
    return fit_all(name, n, fitted + rng.permutation(np.concatenate(scatter)), start=start)


def _scatter(residual: Array, scale: Array, freedom: int, count: int, rng: np.random.Generator) -> Array:
    """Normal scatter (count, n) of the residuals' size in units of scale (n,), that size drawn, too.

    The factor √(ν/χ²ν), ν = freedom, makes what is refitted to it Student's for few levels.
    """
    size = np.std(residual / scale) * math.sqrt(len(residual) / freedom)
    return (
        size * np.sqrt(freedom / rng.chisquare(freedom, (count, 1))) * rng.standard_normal((count, len(scale))) * scale
    )


def _equal_is_true(residual: Array, proportional: Array, freedom: int) -> float:
    """Probability (Gaussian) that levels scatter all alike, and not in proportion to their throughput."""
    if len(residual) < FEW:  # the misfit of a model looks like it, too, and nothing tells them apart
        return 0.0
    alike = np.log(np.mean(residual**2) + 1e-300) / 2
    relative = np.log(np.mean((residual / proportional) ** 2) + 1e-300) / 2 + np.mean(np.log(proportional))
    return float(1 / (1 + USUALLY * np.exp(np.clip(-freedom * (relative - alike), -50, 50))))


def _parameters(name: str, point: Array, drawn: dict[str, Array], n: int, load_unit: str) -> dict[str, Record | None]:
    """Records of a model's parameters; the first, which every model has, from the draws of all in `drawn`."""
    every = {"contention": None, "coherency": None, "unit_throughput_rps": None}
    units = [load_unit if unit == "load" else unit for unit in CATALOGUE[name].units]
    own = {
        parameter: from_draws(point[i], drawn[name][:, i], n, units[i])
        for i, parameter in enumerate(CATALOGUE[name].parameters)
    }
    unit = np.concatenate([draws[:, 0] for draws in drawn.values()])
    return every | own | {"unit_throughput_rps": from_draws(point[0], unit, n, units[0])}


def _limits(
    name: str, point: Array, drawn: dict[str, Array], n: Array, x: Array, load_unit: str
) -> dict[str, Record | None]:
    """Records of the limits, from the draws of all models in `drawn`; the peak from the chosen one's, if it has one.

    Another model that keeps a slope has no highest throughput, and says nothing of where it lies.
    """
    own, highest, most = {name: drawn[name]}, float(n.max()), float(x.max())
    found = {}
    for key, function, draws, unit, reach in (
        ("knee_load", models.knee_load, drawn, load_unit, highest),
        ("peak_load", models.peak_load, own, load_unit, highest),
        ("peak_throughput_rps", models.peak_throughput, own, "rps", most),
        ("ceiling_rps", models.ceiling, drawn, "rps", most),
    ):
        several = {m: function(m, d) for m, d in draws.items()}
        stated = [v if m == name or key == "knee_load" else v[v <= NOWHERE * reach] for m, v in several.items()]
        found[key] = limit_record(float(function(name, point)), np.concatenate(stated), len(n), unit, NOWHERE * reach)
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
    name: str,
    runner_up: str | None,
    candidates: dict,
    limits: dict,
    n: Array,
    x: Array,
    departs: bool,
    load_unit: str,
    several: bool,
) -> list[dict[str, Any]]:
    found, distinct, highest = [], len(np.unique(n)), float(n.max())
    if distinct < FEW:
        found.append(phrase(FIT, "fit.warning.few_levels", levels=distinct, least=FEW))
    found += _active_bounds(name, candidates[name])
    first = float(x[n == n.min()].mean())
    if first >= x.max() and x[n == highest].mean() < BEND * first:
        found.append(phrase(FIT, "fit.warning.falls", highest=first))
    if not departs:
        found.append(phrase(FIT, "fit.warning.no_bend", highest=number(highest, unit=load_unit)))
    for key, reach in (("knee", highest), ("peak", highest), ("ceiling", float(x.max()))):
        record = limits["ceiling_rps" if key == "ceiling" else f"{key}_load"]
        if record is not None and record["value"] > REACH * reach:
            word, unit = ("ceiling", "rps") if key == "ceiling" else ("load", load_unit)
            told = {word: number(record["value"], unit=unit), "highest": number(reach, unit=unit)}
            found.append(phrase(FIT, f"fit.warning.{key}_beyond", **told))
    difference = candidates[runner_up]["aicc"] - candidates[name]["aicc"] if runner_up else math.inf
    if difference < ENOUGH:
        key = "close_runner_up" if several else "better_model" if difference < 0 else "near_model"
        found.append(
            phrase(FIT, f"fit.warning.{key}", model=name, runner_up=runner_up, difference=round(difference, 2))
        )
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
