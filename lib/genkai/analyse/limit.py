"""What a fit states: the one limit, the knee, and how throughput goes on; every reader of a fit asks here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genkai.analyse.records import Record, number, value_of

REACHED = 0.95  # of the limit: below, no level was at it, and nothing measured says what happens there
Fit = Mapping[str, Any]


def limit_of(fit: Fit) -> Record | None:
    """The record of the highest throughput: the peak, else the ceiling; None where the levels show no bend.

    Where a level carried more, what it carried: than a peak at all, than a ceiling (a mean of several levels, which
    scatter about it) beyond its interval.
    """
    if fit.get("bend") is False:
        return None
    peak, ceiling = fit.get("peak_throughput_rps"), fit.get("ceiling_rps")
    limit = peak if value_of(peak) is not None else ceiling
    best = max(_measured(fit), key=lambda p: p["throughput_rps"], default=None)
    if value_of(limit) is None or best is None:
        return limit
    most = limit["value"] if limit is peak else limit.get("high")
    if most is None or best["throughput_rps"] <= most:
        return limit
    return number(best["throughput_rps"], best.get("low"), best.get("high"), limit.get("n"), "rps")


def beyond_measured(fit: Fit) -> bool:
    """Whether no level that was fitted came as near to the limit as REACHED: the model alone states it."""
    limit, measured = value_of(limit_of(fit)), [p["throughput_rps"] for p in _measured(fit)]
    return limit is not None and bool(measured) and max(measured) < REACHED * limit


def knee_of(fit: Fit) -> Record | None:
    """The knee of throughput that leaves the initial line, though it go on to rise; None beyond the levels."""
    knee = fit.get("knee_load")
    if not departs(fit) or value_of(knee) is None or knee["value"] > fit["highest_load"]:
        return None
    return knee


def departs(fit: Fit) -> bool:
    """Whether throughput falls behind the initial line within the levels."""
    return bool(fit.get("departs", fit.get("bend")))


def growth_of(fit: Fit) -> str:
    """How throughput goes on: straight, stops (at a hard ceiling), slows (goes on to rise) or falls."""
    peak = value_of(fit.get("peak_load"))
    if not departs(fit):
        return "straight"
    if peak is not None and peak < fit["highest_load"]:
        return "falls"
    return "stops" if fit.get("model") == "ceiling" else "slows"


def stated(fit: Fit) -> dict[str, Record | None]:
    """{knee_load, ceiling_rps, peak_load, peak_throughput_rps}; None for what the levels do not show."""
    peaks = {key: fit.get(key) if fit.get("bend") else None for key in ("peak_load", "peak_throughput_rps")}
    return {"knee_load": knee_of(fit), "ceiling_rps": limit_of(fit), **peaks}


def _measured(fit: Fit) -> list[Mapping[str, Any]]:
    return [p for p in fit.get("points") or [] if p["throughput_rps"]]
