"""From a levels table to its fit: which levels count, which are left out and why, and the cross-checks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from genkai.analyse.crosscheck import cross_checks
from genkai.analyse.limit import stated
from genkai.analyse.records import Record, finite, number
from genkai.analyse.resample import interval_key
from genkai.analyse.scalability import LEAST, RESAMPLES, fit_scalability, simplest_of
from genkai.analyse.texts import FIT, phrase

LIMITS = ("knee_load", "peak_load", "peak_throughput_rps", "ceiling_rps")


def fit_levels(
    levels: pd.DataFrame,
    subject: str,
    *,
    think_time_s: float | None = None,
    intervals: Mapping[str, Mapping[str, Record]] | None = None,
    model: str = "auto",
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """The fit record of one subject (a row's api) of a levels table; never raises for too few levels, but says so.

    think_time_s: mean think time of the closed users, for N = X·(R + Z). intervals: as level_intervals gives them.
    """
    own = levels[levels["api"] == subject]
    if own.empty:
        raise ValueError(f"levels: expected rows of {subject!r}, got only {sorted(levels['api'].unique())}")
    points, left_out = [], []
    for row in own.sort_values(["intended", "level"]).to_dict("records"):
        reason = _reason(row)
        (left_out if reason else points).append(
            _point(row, reason, (intervals or {}).get(interval_key(row["level"], subject)))
        )
    load_unit = "users" if (own["workload"] == "closed").all() else "rps"
    checks = cross_checks(own, think_time_s)
    if len({p["load"] for p in points}) < LEAST or not any(p["throughput_rps"] for p in points):
        return refused(points, left_out, load_unit, checks)
    fit = fit_scalability([p["load"] for p in points], [p["throughput_rps"] for p in points], model=model,
                          load_unit=load_unit, resamples=resamples)  # fmt: skip
    restless = [p["level"] + 1 for p in points if p["steady"] is False]
    warnings = list(fit["warnings"])
    if restless:
        warnings.append(phrase(FIT, "fit.warning.not_steady", levels=", ".join(map(str, restless))))
    return {**fit, "points": points, "left_out": left_out, "warnings": warnings, "checks": checks}


def same_model(fits: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The fits under the one model that describes all of them best (AICc added up), where their own choices differ.

    Knees and ceilings of different models are different things: a difference between them may be one of models only.
    """
    fitted = [fit for fit in fits if fit.get("model")]
    if len({fit["model"] for fit in fitted}) < 2:
        return [dict(fit) for fit in fits]
    total: dict[str, float] = {}
    for fit in fitted:
        for candidate in fit["candidates"]:
            value = math.inf if candidate["aicc"] is None else candidate["aicc"]
            total[candidate["model"]] = total.get(candidate["model"], 0.0) + value
    name = simplest_of(total)
    return [_refitted(fit, name) if fit.get("model") not in (None, name) else dict(fit) for fit in fits]


def _refitted(fit: Mapping[str, Any], name: str) -> dict[str, Any]:
    points = fit["points"]
    again = fit_scalability([p["load"] for p in points], [p["throughput_rps"] for p in points], model=name,
                            load_unit=fit["load_unit"], resamples=max(len(fit["draws"]), 50))  # fmt: skip
    kept = {key: fit[key] for key in ("points", "left_out", "checks") if key in fit}
    return {**again, **kept}


def _reason(row: Mapping[str, Any]) -> dict[str, Any] | None:
    if finite(row["throughput_rps"]) is None:
        return phrase(FIT, "fit.left_out.unmeasured")
    if not pd.isna(row["generator_limited"]) and row["generator_limited"]:
        return phrase(FIT, "fit.left_out.generator", rule=str(row["generator_note"]))
    return None


def _point(row: Mapping[str, Any], reason: dict | None, interval: Mapping[str, Record] | None) -> dict[str, Any]:
    known = (interval or {}).get("throughput_rps") or {}
    point = {
        "level": int(row["level"]), "load": float(row["intended"]), "throughput_rps": finite(row["throughput_rps"]),
        "low": known.get("low"), "high": known.get("high"), "mean_s": finite(row["mean_s"]),
        "p95_s": finite(row["p95_s"]),
        "error_ratio": finite(row["error_ratio"]), "concurrency": finite(row["concurrency"]),
        "steady": None if pd.isna(row["steady"]) else bool(row["steady"]),
    }  # fmt: skip
    return point | ({"reason": reason} if reason else {})


def refused(points: list, left_out: list, load_unit: str, checks: list) -> dict[str, Any]:
    """The fit record that says there are too few levels."""
    distinct = len({p["load"] for p in points if p["throughput_rps"]})
    return {
        "status": "cannot_tell", "model": None, "load_unit": load_unit, "bend": None, "departs": None,
        "highest_load": max((p["load"] for p in points), default=None),
        "parameters": {"contention": None, "coherency": None, "unit_throughput_rps": None},
        **dict.fromkeys(LIMITS), "runner_up": None, "candidates": [], "costs": None, "points": points,
        "left_out": left_out, "warnings": [phrase(FIT, "fit.refused.few_levels", levels=distinct, least=LEAST)],
        "checks": checks, "draws": [],
    }  # fmt: skip


def _candidate(candidate: Mapping[str, Any], n: int) -> dict[str, Any]:
    """A candidate with its numbers as records."""
    parts = {key: {name: number(value, n=n) for name, value in candidate[key].items()}
             for key in ("parameters", "free") if key in candidate}  # fmt: skip
    return {"model": candidate["model"], "aicc": number(candidate["aicc"], n=n), **parts}


def as_cli_record(fit: Mapping[str, Any]) -> dict[str, Any]:
    """The fit under the names of `genkai fit --json`; warnings and cross-check alarms as English sentences.

    Knee, peak and ceiling are null where the levels do not show them.
    """
    limits = stated(fit)
    return {
        "model": fit["model"],
        "parameters": fit["parameters"],
        "knee_concurrency": limits["knee_load"],
        "peak_concurrency": limits["peak_load"],
        "peak_throughput_rps": limits["peak_throughput_rps"],
        "ceiling_rps": limits["ceiling_rps"],
        "runner_up": fit["runner_up"],
        "costs": fit.get("costs"),
        "candidates": [_candidate(c, len(fit["points"])) for c in fit["candidates"]],
        "bend": fit["bend"],
        "left_out": fit["left_out"],
        "warnings": [w["text"] for w in fit["warnings"]] + [c["text"] for c in fit.get("checks", []) if c.get("alarm")],
    }
