"""Draws over plausible models: a truth that luck misses, a closed form as oracle, what is ruled out, equal shares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai.analyse.models import CATALOGUE
from genkai.analyse.plausible import RULED_OUT, plausible_draws, plausible_models
from genkai.analyse.scalability import ENOUGH, fit_scalability

USERS = np.array([20, 50, 100, 200, 400, 600.0])
LUCKY = np.array([20.4, 50.6, 101.7, 122.0, 120.7, 118.7])  # a ceiling of 120 that a falling line fits by luck


def highest(model: str, p: np.ndarray) -> np.ndarray:
    return CATALOGUE[model].throughput(p, USERS).max(axis=1)


def fit_of(scores: dict[str, float], chosen: str) -> dict:
    return {"model": chosen, "candidates": [{"model": m, "aicc": s} for m, s in scores.items()]}


def test_the_truth_that_a_lucky_choice_misses_is_held() -> None:
    fit = fit_scalability(USERS, LUCKY)
    assert fit["model"] == "broken"
    own = highest("broken", np.array(fit["draws"]))
    both = plausible_draws(fit, highest, np.random.default_rng(0))
    assert plausible_models(fit) == ["broken", "ceiling"]
    assert np.quantile(own, 0.025) > 120
    assert np.quantile(both, 0.025) < 120 < np.quantile(both, 0.975)


def test_simpler_models_stay_longer_than_others() -> None:
    near = {"broken": 0.0, "ceiling": RULED_OUT, "usl": ENOUGH, "amdahl": RULED_OUT + 0.1}
    assert plausible_models(fit_of(near, "broken")) == ["broken", "ceiling", "usl"]
    assert plausible_models(fit_of(near | {"usl": ENOUGH + 0.1}, "broken")) == ["broken", "ceiling"]
    passed_over = {"broken": -3.9, "ceiling": 0.0, "linear": None}
    assert plausible_models(fit_of(passed_over, "ceiling")) == ["ceiling", "broken"]


def test_a_model_given_by_hand_is_among_them_whatever_its_score() -> None:
    assert plausible_models(fit_of({"ceiling": 0.0, "linear": 90.0}, "linear")) == ["linear", "ceiling"]
    assert plausible_models(fit_of({"linear": None}, "linear")) == ["linear"]


@settings(max_examples=25, deadline=None)
@given(factor=st.floats(1e-3, 1e4), seed=st.integers(0, 50), resamples=st.integers(3, 60))
def test_draws_scale_with_the_throughput_and_are_as_many_as_asked(factor: float, seed: int, resamples: int) -> None:
    fits = [fit_scalability(USERS, LUCKY * f, resamples=50) for f in (1.0, factor)]
    one, other = (plausible_draws(fit, highest, np.random.default_rng(seed), resamples) for fit in fits)
    assert len(one) == len(other) == resamples
    assert other == pytest.approx(factor * one, rel=1e-6)
