"""What a fit record says to a figure: its curve, its limit, its bend, its intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from genkai.analyse.limit import knee_of, limit_of
from genkai.analyse.whatif import predict_candidate, predict_throughput
from genkai.figures import quantities as q
from genkai.figures.texts import Texts

POINTS = 240  # of a drawn curve


def drawn_curve(fit: Mapping[str, Any]) -> pd.DataFrame | None:
    """The fit's curve with its band, the runner-up and the ideal line, up to the highest load; None without a model."""
    if not fit.get("model") or not fit.get("highest_load") or not fit.get("draws"):
        return None
    loads = np.linspace(fit["highest_load"] / POINTS, fit["highest_load"], POINTS)
    curve = predict_throughput(fit, loads)
    curve["ideal_rps"] = q.value_of(fit["parameters"].get("unit_throughput_rps")) * loads
    other = next((c for c in fit["candidates"] if c["model"] == fit["runner_up"]), None)
    if other:
        curve["runner_up_rps"] = predict_candidate(other, loads)
    return curve


def open_ended(fit: Mapping[str, Any]) -> bool:
    """Whether the limit has an interval without an upper end."""
    _, low, high = q.point(limit_of(fit))
    return math.isfinite(low) and not math.isfinite(high)


def bend_of(fit: Mapping[str, Any]) -> float:
    """Load of the knee where it can be drawn: of a model with a kink; NaN where there is none."""
    return q.value_of(knee_of(fit)) if fit.get("model") in ("ceiling", "broken") else math.nan


def stall_start(fit: Mapping[str, Any]) -> float:
    """Load from which on throughput no longer grows: a ceiling's knee or the peak; NaN where there is none."""
    if fit.get("bend") is False:
        return math.nan
    return q.value_of(fit.get("knee_load" if fit.get("model") == "ceiling" else "peak_load"))


def intervals_of(fit: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The fit's points whose throughput has an interval."""
    points = [*(fit.get("points") or []), *(fit.get("left_out") or [])]
    return [p for p in points if p.get("low") is not None and p.get("high") is not None]


def model_name(model: str | None, t: Texts) -> str:
    """The model's name for readers; "" where there is none."""
    return t(f"model.{model}") if model else ""
