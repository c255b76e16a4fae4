"""Draws of a number from every model that the levels leave plausible: the choice of the model is part of its interval.

A number that several models have (the highest throughput within the loads measured) is drawn from each of them alike,
after Buckland, Burnham and Augustin, "Model selection: an integral part of inference" (1997); with equal shares in
place of Akaike's weights, which trust a model that fits six levels by luck. Plausible are the model chosen, those that
were passed over for being less simple, and simpler ones up to RULED_OUT behind the best. Draws scatter in proportion
to the throughput alone: with a share of equal scatter, which is the smaller one where throughput is highest, the
intervals of maxima held the truth in 86–92 % of cases.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from genkai.analyse.models import CATALOGUE
from genkai.analyse.scalability import ENOUGH, RESAMPLES, drawn_parameters

# Of AICc. From about 10 a model has no support (Burnham and Anderson 2002); with six levels 2 % reach it.
RULED_OUT = 12.0
Array = np.ndarray


def plausible_models(fit: Mapping[str, Any]) -> list[str]:
    """The models of a fit record that its levels do not rule out, the one chosen first."""
    chosen = fit["model"]
    scores = {c["model"]: c["aicc"] for c in fit["candidates"] if c["aicc"] is not None}
    best = min(scores.values(), default=math.inf)
    size = {name: len(CATALOGUE[name].parameters) for name in CATALOGUE}
    limit = {name: best + (RULED_OUT if size[name] < size[chosen] else ENOUGH) for name in scores}
    return [chosen, *(name for name in scores if name != chosen and scores[name] <= limit[name])]


def plausible_draws(
    fit: Mapping[str, Any], number: Callable[[str, Array], Array], rng: np.random.Generator, resamples: int = RESAMPLES
) -> Array:
    """Draws (resamples,) of number(model, parameters (B, p)) from all plausible models of a fit record, shuffled."""
    load = np.array([p["load"] for p in fit["points"]], dtype=float)
    throughput = np.array([p["throughput_rps"] for p in fit["points"]], dtype=float)
    names = plausible_models(fit)
    parameters = {c["model"]: list(c["parameters"].values()) for c in fit["candidates"]}
    draws = [
        number(name, drawn_parameters(name, np.array(parameters[name]), load, throughput, share, rng, alike=0.0))
        for name, share in zip(names, _shares(resamples, len(names)), strict=True)
    ]
    return rng.permutation(np.concatenate(draws))


def _shares(whole: int, parts: int) -> list[int]:
    return [whole // parts + (place < whole % parts) for place in range(parts)]
