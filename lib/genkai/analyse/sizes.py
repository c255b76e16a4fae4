"""Scale-out: what each size of the target carries, the model over sizes, efficiency, cost, and the size needed.

The maximum of a size is the highest point of its own scale characteristic within the loads that were measured. Where
throughput was still following the load at the highest level, that maximum is a lower bound: told, and kept out of the
model. Intervals come from draws of every model that the levels of a size leave plausible, independently of the other
sizes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genkai.analyse import models
from genkai.analyse.fit import fit_all
from genkai.analyse.models import CATALOGUE
from genkai.analyse.plausible import plausible_draws
from genkai.analyse.records import Record, from_draws, interval_of, number
from genkai.analyse.scalability import BEND, FEW, KEPT, LEAST, NOWHERE, REACH, RESAMPLES, fit_scalability, limit_record
from genkai.analyse.texts import phrase

LIMIT, AT_LEAST, UNMEASURED = "limit", "at_least", "unmeasured"
FOLLOWS = 0.25  # of the load's growth: a throughput that still grows by more has not reached its maximum
NORMAL_95 = 1.96
SIZES = {
    "sizes.refused.none": "Cannot tell: at {sizes} sizes the load reached a limit, at least 2 are needed for a model.",
    "sizes.warning.few": "Only {sizes} sizes: contention is assumed; a choice of the model needs {least} or more.",
    "sizes.warning.weak": "Only {sizes} sizes: the choice of the model is weak below {least}.",
    "sizes.warning.at_least": "At size {sizes} throughput still followed the load: its maximum is higher than shown.",
    "sizes.warning.generator": "At size {sizes} the load generator was the limit of the highest levels.",
    "sizes.warning.resized": "At size {sizes} somebody changed the size during the run: left out.",
    "sizes.warning.close_runner_up": "{runner_up} describes the sizes nearly as well as {model}.",
}

Array = np.ndarray


def size_maximum(size: int, fit: Mapping[str, Any], resized: bool = False) -> dict[str, Any]:
    """{"size", "kind", "maximum_rps", "highest_load", "generator", "resized", "draws"} of one size from its fit record.

    kind: limit, at_least (throughput still followed the load), unmeasured. resized: its size changed during the run.
    """
    points = [p for p in fit.get("points") or [] if p["throughput_rps"]]
    generator = any(p["reason"]["key"].endswith("generator") for p in fit.get("left_out") or [])
    found = {"size": int(size), "kind": UNMEASURED, "maximum_rps": None, "draws": [], "resized": resized,
             "highest_load": fit.get("highest_load"), "generator": generator}  # fmt: skip
    if not points or resized:
        return found
    rng = np.random.default_rng(int(size))  # the sizes' draws are independent of one another
    value, draws, growth = _of_model(fit, rng) if fit.get("model") else _of_levels(points, rng)
    kind = AT_LEAST if growth is None or growth >= FOLLOWS else LIMIT
    record = from_draws(value, draws, len(points), "rps")
    return found | {"kind": kind, "maximum_rps": record, "draws": [float(f"{d:.6g}") for d in draws]}


def _of_model(fit: Mapping[str, Any], rng: np.random.Generator) -> tuple[float, Array, float]:
    """(maximum, its draws, growth of throughput ÷ growth of load at the highest load)."""
    name, highest = fit["model"], float(fit["highest_load"])
    curve = CATALOGUE[name].throughput
    point = np.array([fit["parameters"][p]["value"] for p in CATALOGUE[name].parameters])
    loads = np.linspace(highest / 200, highest, 200)
    before, last = curve(point, np.array([0.9 * highest, highest]))
    draws = plausible_draws(fit, lambda model, p: CATALOGUE[model].throughput(p, loads).max(axis=1), rng)
    return float(curve(point, loads).max()), draws, math.log(last / before) / math.log(1 / 0.9)


def _of_levels(
    points: Sequence[Mapping[str, Any]], rng: np.random.Generator
) -> tuple[float, Array, float | None]:  # fmt: skip
    """The same of too few levels for a model: the best level, and the growth from the last but one to the last."""
    best = max(points, key=lambda p: p["throughput_rps"])
    value, ends = best["throughput_rps"], interval_of(best)
    spread = (ends[1] - ends[0]) / (2 * NORMAL_95) if ends else 0.0
    quantiles = rng.standard_normal(RESAMPLES)
    last, before = points[-1], points[-2] if len(points) > 1 else None
    if before is None or before["load"] >= last["load"]:
        return value, value + spread * quantiles, None
    growth = math.log(last["throughput_rps"] / before["throughput_rps"]) / math.log(last["load"] / before["load"])
    return value, value + spread * quantiles, growth


def scale_out(
    maxima: Sequence[Mapping[str, Any]], *, unit: str = "instances", target_rps: float | None = None,
    price_per_hour: float | None = None, currency: str = "USD",
) -> dict[str, Any]:  # fmt: skip
    """{"unit", "rows", "fit", "needed", "warnings", …} of the maxima of several sizes of one subject.

    rows: size, kind, maximum_rps, efficiency (ratio to the smallest size), cost_per_krps (per hour and 1 000 rps).
    fit: the scalability record over sizes, or None. Raises ValueError for a size that stands twice.
    """
    ordered = sorted(maxima, key=lambda m: m["size"])
    sizes = [m["size"] for m in ordered]
    if len(set(sizes)) < len(sizes):
        raise ValueError(f"sizes: expected each size once, got {sizes}; keep subjects apart")
    known = [m for m in ordered if m["kind"] == LIMIT]
    fit = _fit(known, unit)
    rows = [_row(m, known[0] if known else None, price_per_hour) for m in ordered]
    needed = needed_size(fit, ordered, target_rps, unit) if target_rps else None
    if needed and needed["size"]["value"] and price_per_hour:
        needed["cost_per_hour"] = number(needed["size"]["value"] * price_per_hour, unit=currency)
    return {
        "status": "fitted" if fit else "cannot_tell", "unit": unit, "currency": currency, "target_rps": target_rps,
        "price_per_hour": price_per_hour, "rows": rows, "fit": fit, "needed": needed,
        "warnings": _warnings(ordered, known, fit),
    }  # fmt: skip


def _row(own: Mapping[str, Any], first: Mapping[str, Any] | None, price: float | None) -> dict[str, Any]:
    row = {key: own[key] for key in ("size", "kind", "maximum_rps", "highest_load")}
    if own["kind"] == UNMEASURED:
        return row | {"efficiency": None, "cost_per_krps": None}
    value, draws, at_least = own["maximum_rps"]["value"], np.array(own["draws"]), own["kind"] == AT_LEAST
    efficiency = None
    if first is not None and own["size"] >= first["size"]:
        ideal = own["size"] / first["size"]
        efficiency = _bounded(value / (ideal * first["maximum_rps"]["value"]),
                              draws / (ideal * np.array(first["draws"])), own, "ratio", at_least)  # fmt: skip
    cost = None if price is None else 1000 * price * own["size"]
    paid = None if cost is None else _bounded(cost / value, cost / draws, own, "", at_least, most=True)
    return row | {"efficiency": efficiency, "cost_per_krps": paid}


def _bounded(
    value: float, draws: Array, own: Mapping[str, Any], unit: str, open_end: bool, most: bool = False
) -> Record:
    """A record from draws; where the maximum is a lower bound, the end that it leaves open is null."""
    record = from_draws(value, draws, own["maximum_rps"]["n"], unit)
    return {**record, "low" if most else "high": None, "notes": [AT_LEAST]} if open_end else record


def _fit(known: Sequence[Mapping[str, Any]], unit: str) -> dict[str, Any] | None:
    sizes = [m["size"] for m in known]
    values = [m["maximum_rps"]["value"] for m in known]
    if len(known) >= LEAST:
        return fit_scalability(sizes, values, load_unit=unit)
    return _fit_few(np.array(sizes, float), np.array(values), known, unit) if len(known) > 1 else None


def _fit_few(sizes: Array, values: Array, known: Sequence[Mapping[str, Any]], unit: str) -> dict[str, Any]:
    """Contention only (Amdahl), from the draws of each size: two or three sizes leave no choice of a model."""
    name, drawn = "amdahl", np.column_stack([m["draws"] for m in known])
    point, draws = fit_all(name, sizes, values)[0], fit_all(name, sizes, drawn)
    units = [unit if u == "load" else u for u in CATALOGUE[name].units]
    named = {p: from_draws(point[i], draws[:, i], len(sizes), units[i])
             for i, p in enumerate(CATALOGUE[name].parameters)}  # fmt: skip
    ceiling = limit_record(float(models.ceiling(name, point)), models.ceiling(name, draws), len(sizes), "rps",
                           NOWHERE * float(values.max()))  # fmt: skip
    efficiency = float(CATALOGUE[name].throughput(point, sizes)[-1] / (point[0] * sizes[-1]))
    return {
        "status": "fitted", "model": name, "load_unit": unit, "highest_load": float(sizes.max()),
        "bend": efficiency < BEND and ceiling is not None, "parameters": {"coherency": None, **named},
        "knee_load": None, "peak_load": None, "peak_throughput_rps": None, "ceiling_rps": ceiling, "runner_up": None,
        "candidates": [], "left_out": [], "warnings": [],
        "draws": [[float(f"{v:.6g}") for v in d] for d in draws[:KEPT]],
        "points": [{"load": float(a), "throughput_rps": float(b)} for a, b in zip(sizes, values, strict=True)],
    }  # fmt: skip


def needed_size(
    fit: Mapping[str, Any] | None, maxima: Sequence[Mapping[str, Any]], target_rps: float, unit: str = "instances"
) -> dict[str, Any]:
    """{"size": whole number with interval, "status"}: the smallest size that carries a throughput.

    status: measured (between sizes that were measured), extrapolated (beyond the largest), unreachable (no size does),
    too_far (beyond twice the largest: not stated), unknown (no model, and no size measured that much).
    """
    largest = max((m["size"] for m in maxima), default=0)
    if fit is None:
        proven = [m for m in maxima if m["maximum_rps"] and m["maximum_rps"]["low"] is not None
                  and m["maximum_rps"]["low"] >= target_rps]  # fmt: skip
        if not proven:
            return {"size": number(None, unit=unit), "status": "unknown"}
        return {"size": number(proven[0]["size"], None, proven[0]["size"], 1, unit), "status": "measured"}
    name = fit["model"]
    point = np.array([fit["parameters"][p]["value"] for p in CATALOGUE[name].parameters])
    value = float(models.load_at(name, point, target_rps))
    if value > REACH * largest:
        return {"size": number(None, n=len(fit["points"]), unit=unit),
                "status": "too_far" if math.isfinite(value) else "unreachable"}  # fmt: skip
    ends = np.quantile(np.minimum(models.load_at(name, np.array(fit["draws"]), target_rps), 1e12), [0.025, 0.975])
    whole, low, high = (max(1, math.ceil(v - 1e-9)) for v in (value, *ends))
    open_end = high > NOWHERE * largest
    record = number(whole, min(low, whole), None if open_end else max(high, whole), len(fit["points"]), unit)
    return {"size": record, "status": "measured" if whole <= largest else "extrapolated"}


def _warnings(
    ordered: Sequence[Mapping[str, Any]], known: Sequence[Mapping[str, Any]], fit: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    found = []
    if fit is None:
        found.append(phrase(SIZES, "sizes.refused.none", sizes=len(known)))
    elif len(known) < LEAST:
        found.append(phrase(SIZES, "sizes.warning.few", sizes=len(known), least=LEAST))
    elif len(known) < FEW:
        found.append(phrase(SIZES, "sizes.warning.weak", sizes=len(known), least=FEW))
    told = {"at_least": [m for m in ordered if m["kind"] == AT_LEAST and not m["generator"]],
            "generator": [m for m in ordered if m["generator"] and m["kind"] != LIMIT and not m["resized"]],
            "resized": [m for m in ordered if m["resized"]]}  # fmt: skip
    found += [phrase(SIZES, f"sizes.warning.{key}", sizes=", ".join(str(m["size"]) for m in some))
              for key, some in told.items() if some]  # fmt: skip
    close = next((w for w in (fit or {}).get("warnings") or [] if w["key"].endswith("close_runner_up")), None)
    if close:
        found.append(phrase(SIZES, "sizes.warning.close_runner_up", model=fit["model"], runner_up=fit["runner_up"]))
    return found
