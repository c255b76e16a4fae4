"""What a fit says about loads and throughputs that were not measured, with the interval that its draws give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from genkai.analyse import models
from genkai.analyse.models import CATALOGUE
from genkai.analyse.records import Record, number
from genkai.analyse.scalability import NOWHERE, REACH, FitError, limit_record

EXTRAPOLATED = "beyond twice the highest load measured"


def _fitted(fit: Mapping[str, Any]) -> tuple[str, np.ndarray, np.ndarray]:
    if fit.get("model") is None:
        raise FitError("fit: expected a fitted model, got a refusal (cannot tell); add levels to the step")
    name = fit["model"]
    point = np.array([fit["parameters"][parameter]["value"] for parameter in CATALOGUE[name].parameters])
    return name, point, np.array(fit["draws"], dtype=float)


def predict_throughput(fit: Mapping[str, Any], loads: Sequence[float]) -> pd.DataFrame:
    """load, throughput_rps, low, high (95 % band of the curve, not of single levels). Raises FitError."""
    name, point, draws = _fitted(fit)
    n = np.asarray(loads, dtype=float)
    if n.ndim != 1 or not (n > 0).all():
        raise FitError("loads: expected a series of loads > 0")
    curve = CATALOGUE[name].throughput
    value = curve(point, n)
    low, high = np.quantile(curve(draws, n), [0.025, 0.975], axis=0)
    return pd.DataFrame(
        {"load": n, "throughput_rps": value, "low": np.minimum(low, value), "high": np.maximum(high, value)}
    )


def predict_candidate(candidate: Mapping[str, Any], loads: Sequence[float]) -> np.ndarray:
    """Throughput of an entry of fit["candidates"] (the runner-up's thin line) at some loads."""
    parameters = np.array([candidate["parameters"][p] for p in CATALOGUE[candidate["model"]].parameters])
    return CATALOGUE[candidate["model"]].throughput(parameters, np.asarray(loads, dtype=float))


def load_for_throughput(fit: Mapping[str, Any], throughput_rps: float) -> Record:
    """The smallest load that gives a throughput; value null, with a note, where the model never reaches it."""
    if not throughput_rps > 0:
        raise FitError(f"throughput_rps: expected a number > 0, got {throughput_rps}")
    name, point, draws = _fitted(fit)
    value = float(models.load_at(name, point, throughput_rps))
    unit, n, highest = fit["load_unit"], len(fit["points"]), float(fit["highest_load"])
    farthest = max(NOWHERE * highest, 2 * value if np.isfinite(value) else 0)
    record = limit_record(value, models.load_at(name, draws, throughput_rps), n, unit, farthest)
    if record is None:
        return number(None, n=n, unit=unit, notes=["no load reaches this throughput"])
    record["notes"] += [EXTRAPOLATED] if value > REACH * highest else []
    return record


def predict_response_time(fit: Mapping[str, Any], load: float, think_time_s: float = 0.0) -> Record:
    """R(N) = N/X(N) − Z in seconds (Little's law) at a load of users."""
    if fit["load_unit"] == "rps":
        raise FitError("predict_response_time: expected a fit against users, got one against an arrival rate; "
                       "read response times from the level table")  # fmt: skip
    row = predict_throughput(fit, [load]).iloc[0]
    times = [load / row[name] - think_time_s if row[name] > 0 else np.inf for name in ("throughput_rps", "high", "low")]
    value, low, high = (max(0.0, float(t)) for t in times)
    notes = [EXTRAPOLATED] if load > REACH * fit["highest_load"] else []
    return number(value, low, high, len(fit["points"]), "s", notes)


def response_time_at(fit: Mapping[str, Any], throughput_rps: float, think_time_s: float = 0.0) -> Record:
    """Response time in seconds when the service carries a throughput; null where it never does."""
    load = load_for_throughput(fit, throughput_rps)
    if load["value"] is None:
        return number(None, n=load["n"], unit="s", notes=load["notes"])
    return predict_response_time(fit, load["value"], think_time_s)


def needed_for(fit: Mapping[str, Any], throughput_rps: float) -> Record:
    """How many times today's highest throughput (the ceiling) the target is; ≤ 1: the service can carry it.

    Unit: factor; null where no limit is known.
    """
    ceiling = fit.get("ceiling_rps")
    if not ceiling or not ceiling["value"]:
        return number(None, unit="factor", notes=["no limit is known"])
    low = throughput_rps / ceiling["high"] if ceiling["high"] else None
    high = throughput_rps / ceiling["low"] if ceiling["low"] else None
    return number(throughput_rps / ceiling["value"], low, high, ceiling["n"], "factor")
