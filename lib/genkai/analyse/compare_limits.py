"""Ceiling and knee of two sides: their ratio; where only one side has a limit, the other's highest level answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genkai.analyse import models
from genkai.analyse.records import Record, number
from genkai.analyse.scale_levels import same_model
from genkai.analyse.spread import (
    MINIMUM_EFFECT,
    SINGLE,
    Measured,
    Spread,
    observed_spread,
    ratio_of,
    side_record,
    verdict_of,
)

LIMITS = (
    ("ceiling", "ceiling_rps", models.ceiling, "throughput_rps", "rps"),
    ("knee", "knee_load", models.knee_load, "load", "users"),
)
Fit = Mapping[str, Any]


def compare_limits(before: Sequence[Fit], after: Sequence[Fit], effect: float = MINIMUM_EFFECT) -> list[dict[str, Any]]:
    """Rows {what, metric, before, after, ratio, verdict} of ceiling and knee from the fit records of each side's runs.

    A side has a limit when every one of its runs bends. All are read by one model; where that is not each run's own,
    the rows name it: "model".
    """
    together, rows = same_model([*before, *after]), []
    own, read = ({fit["model"] for fit in fits if fit.get("model")} for fits in ([*before, *after], together))
    named = {"model": read.pop()} if own != read else {}
    before, after = together[: len(before)], together[len(before) :]
    for what, key, function, seen, unit in LIMITS:
        sides = [_limits(fits, key, function) for fits in (before, after)]
        if sides[0] is None and sides[1] is None:
            continue
        spread = observed_spread([{key: [side]} for side in sides if side])
        if sides[0] and sides[1]:
            ratio = ratio_of(*sides, key, spread, [] if spread.freedom else [SINGLE])
            verdict = verdict_of(ratio, what, effect)
        else:
            ratio = number(None, unit="factor", notes=["a limit was seen in one of them only"])
            verdict = _one_sided(sides, before, after, key, seen, effect)
        unit = str((after or before)[0].get("load_unit") or unit) if key == "knee_load" else unit
        shown = [_shown(side, fits, key, spread, unit) for side, fits in zip(sides, (before, after), strict=True)]
        rows.append({"what": what, "metric": key, "before": shown[0], "after": shown[1], "ratio": ratio,
                     "verdict": verdict, **named})  # fmt: skip
    return rows


def _limits(fits: Sequence[Fit], key: str, function: Any) -> list[Measured] | None:
    """The limit of each run with the scatter of its draws; None where a run shows none."""
    found = []
    for fit in fits:
        seen = fit.get("departs") if key == "knee_load" else fit.get("bend")  # a kink is one though a slope remains
        if not seen or not fit.get(key) or not fit[key]["value"]:
            return None
        draws = np.asarray(function(fit["model"], np.array(fit["draws"])), dtype=float)
        draws = draws[np.isfinite(draws) & (draws > 0)]
        found.append(Measured(fit[key]["value"], float(np.var(np.log(draws))) if len(draws) > 1 else 0.0))
    return found


def _shown(side: list[Measured] | None, fits: Sequence[Fit], key: str, spread: Spread, unit: str) -> Record:
    if side is None:
        return number(None)
    return fits[0][key] if len(side) == 1 else side_record(side, key, spread, unit)


def _one_sided(
    sides: Sequence[list[Measured] | None], before: Sequence[Fit], after: Sequence[Fit], key: str, seen: str,
    effect: float,
) -> str:  # fmt: skip
    """Better when every run of the side without a limit got clearly beyond the other's limit."""
    limited, other = (before, after) if sides[0] else (after, before)
    limit = max(fit[key].get("high") or fit[key]["value"] for fit in limited)
    reached = min(max((p[seen] for p in fit["points"]), default=0.0) for fit in other)
    if reached <= limit * (1 + effect):
        return "cannot_tell"
    return "better" if sides[0] else "worse"
