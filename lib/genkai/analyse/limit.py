"""The one limit that a fit states, and whether it was measured or only the model goes so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genkai.analyse.records import Record, value_of

REACHED = 0.95  # of the limit: below, no level was at it, and nothing measured says what happens there


def limit_of(fit: Mapping[str, Any]) -> Record | None:
    """The record of the highest throughput: the peak, else the ceiling; None where the levels show no bend."""
    if fit.get("bend") is False:
        return None
    peak = fit.get("peak_throughput_rps")
    return peak if value_of(peak) is not None else fit.get("ceiling_rps")


def beyond_measured(fit: Mapping[str, Any]) -> bool:
    """Whether no level that was fitted came as near to the limit as REACHED: the model alone states it."""
    limit = value_of(limit_of(fit))
    measured = [p["throughput_rps"] for p in fit.get("points") or [] if p["throughput_rps"]]
    return limit is not None and bool(measured) and max(measured) < REACHED * limit
