"""Scale-out: truths recovered, a closed form as oracle, round trips, lower bounds and refusals told."""

from __future__ import annotations

import json
import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai.analyse import models
from genkai.analyse.models import CATALOGUE
from genkai.analyse.scalability import fit_scalability
from genkai.analyse.sizes import AT_LEAST, LIMIT, SIZES, UNMEASURED, needed_size, scale_out, size_maximum

USERS = np.array([20, 50, 100, 200, 400, 600.0])


def fit_of(capacity: float, seed: int = 0, noise: float = 0.01, users=USERS) -> dict:
    """The fit of levels that follow 1 request/s and user up to a capacity."""
    x = np.minimum(users, capacity) * (1 + noise * np.random.default_rng(seed).standard_normal(len(users)))
    return fit_scalability(users, x, resamples=200)


def maxima(sizes, capacity, **options) -> list[dict]:
    return [size_maximum(s, fit_of(capacity(s), seed=s, **options)) for s in sizes]


def linear(size: int) -> float:
    return 60.0 * size


def shared(size: int) -> float:
    """Three instances fill what they share."""
    return min(60.0 * size, 200.0)


def usl(size: int) -> float:
    return float(CATALOGUE["usl"].throughput(np.array([60.0, 0.05, 0.004]), np.array([size]))[0])


# ---- the truth


def test_each_size_has_its_maximum_with_an_interval() -> None:
    for found, size in zip(maxima((1, 2, 4), linear), (1, 2, 4), strict=True):
        record = found["maximum_rps"]
        assert found["kind"] == LIMIT
        assert record["low"] <= linear(size) * 1.005
        assert record["high"] >= linear(size) * 0.995
        assert record["value"] == pytest.approx(linear(size), rel=0.02)


def test_a_target_that_scales_is_told_so() -> None:
    record = scale_out(maxima((1, 2, 3, 4), linear), target_rps=200, price_per_hour=0.05)
    assert record["fit"]["model"] == "linear"
    for row in record["rows"]:
        assert row["efficiency"]["value"] == pytest.approx(1, rel=0.03)
        assert row["cost_per_krps"]["value"] == pytest.approx(1000 * 0.05 / 60, rel=0.03)
    assert record["needed"]["size"]["value"] == 4
    assert record["needed"]["status"] == "measured"
    assert record["needed"]["cost_per_hour"]["value"] == pytest.approx(0.2)
    json.dumps(record, allow_nan=False)


def test_what_instances_share_is_found_and_no_number_of_them_helps() -> None:
    record = scale_out(maxima((1, 2, 3, 4, 6), shared, noise=0.004), target_rps=300)
    assert record["fit"]["model"] == "ceiling"
    assert record["fit"]["ceiling_rps"]["value"] == pytest.approx(200, rel=0.03)
    assert record["needed"]["status"] == "unreachable"
    assert record["needed"]["size"]["value"] is None
    assert record["rows"][-1]["efficiency"]["value"] == pytest.approx(200 / 360, rel=0.03)


def test_usl_over_instances_recovers_contention_and_coherency() -> None:
    sizes = (1, 2, 4, 6, 8, 12, 16)
    many = [size_maximum(s, fit_of(usl(s), s, 0.001, np.linspace(20, 1200, 12))) for s in sizes]
    record = scale_out(many)
    assert record["fit"]["model"] == "usl"
    parameters = record["fit"]["parameters"]
    assert parameters["contention"]["value"] == pytest.approx(0.05, abs=0.02)
    assert parameters["coherency"]["value"] == pytest.approx(0.004, rel=0.3)
    assert record["fit"]["peak_load"]["value"] == pytest.approx(math.sqrt(0.95 / 0.004), rel=0.1)


def test_efficiency_holds_the_truth_in_its_interval() -> None:
    """Of 40 seeded cases no more than a few intervals may miss it."""
    missed = 0
    for seed in range(40):
        found = [size_maximum(s, fit_of(linear(s), 100 * seed + s, 0.02)) for s in (1, 3)]
        efficiency = scale_out(found)["rows"][-1]["efficiency"]
        missed += not efficiency["low"] <= 1 <= efficiency["high"]
    assert missed <= 6


# ---- the oracle


def test_two_sizes_give_amdahls_closed_form() -> None:
    found = maxima((1, 2), lambda s: {1: 100.0, 2: 160.0}[s])
    x1, x2 = (m["maximum_rps"]["value"] for m in found)
    fit = scale_out(found)["fit"]
    assert fit["model"] == "amdahl"
    assert fit["parameters"]["contention"]["value"] == pytest.approx(2 * x1 / x2 - 1, rel=1e-4)
    assert fit["parameters"]["unit_throughput_rps"]["value"] == pytest.approx(x1, rel=1e-4)
    assert fit["ceiling_rps"]["value"] == pytest.approx(x1 / (2 * x1 / x2 - 1), rel=1e-4)


@pytest.mark.parametrize("gain", [2.0, 2.3])
def test_two_sizes_that_scale_have_no_contention(gain: float) -> None:
    record = scale_out(maxima((1, 2), lambda s: {1: 100.0, 2: 100 * gain}[s]))
    assert record["fit"]["parameters"]["contention"]["value"] <= 0.02
    assert record["fit"]["parameters"]["contention"]["low"] == 0
    assert [w["key"] for w in record["warnings"]] == ["sizes.warning.few"]


def test_efficiency_is_the_naive_ratio() -> None:
    found = maxima((2, 4), usl)
    rows = scale_out(found, price_per_hour=1)["rows"]
    x2, x4 = (m["maximum_rps"]["value"] for m in found)
    assert rows[0]["efficiency"]["value"] == 1
    assert rows[1]["efficiency"]["value"] == pytest.approx(x4 / (2 * x2))
    assert rows[1]["cost_per_krps"]["value"] == pytest.approx(4000 / x4)


# ---- properties


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(["linear", "ceiling", "amdahl", "usl"]), share=st.floats(0.1, 0.99))
def test_the_size_needed_carries_the_target_and_one_less_does_not(name: str, share: float) -> None:
    point = np.array(
        {"linear": [50], "ceiling": [50, 380], "amdahl": [50, 0.05], "usl": [50, 0.03, 0.002]}[name], float
    )
    throughput = lambda n: float(CATALOGUE[name].throughput(point, np.array([float(n)]))[0])  # noqa: E731
    target = share * min(float(models.ceiling(name, point)), throughput(16))
    fit = {"model": name, "draws": [list(point)] * 30, "points": [{}] * 5,
           "parameters": {p: {"value": v} for p, v in zip(CATALOGUE[name].parameters, point, strict=True)}}  # fmt: skip
    found = needed_size(fit, [{"size": 8, "maximum_rps": None}], target)
    size = found["size"]["value"]
    assert throughput(size) >= target * (1 - 1e-9)
    assert size == 1 or throughput(size - 1) < target
    assert found["size"]["low"] == found["size"]["high"] == size
    assert found["status"] == ("measured" if size <= 8 else "extrapolated")


@cache
def priced(price: float) -> tuple[list[dict], list[dict]]:
    """(maxima of three sizes, rows at that price): the maxima are a second of fitting."""
    found = maxima((1, 2, 4), linear) if price == 1 else priced(1.0)[0]
    return found, scale_out(found, price_per_hour=price)["rows"]


@settings(max_examples=15, deadline=None)
@given(factor=st.floats(0.5, 20))
def test_a_price_and_a_rate_only_scale_their_numbers(factor: float) -> None:
    one, other = (priced(p)[1] for p in (1.0, factor))
    for a, b in zip(one, other, strict=True):
        assert b["cost_per_krps"]["value"] == pytest.approx(factor * a["cost_per_krps"]["value"])
        assert a["efficiency"] == b["efficiency"]


# ---- what is not known


def test_a_throughput_that_still_follows_the_load_is_a_lower_bound() -> None:
    found = [*maxima((1, 2, 3), linear), size_maximum(12, fit_of(720, 5))]
    assert [m["kind"] for m in found] == [LIMIT] * 3 + [AT_LEAST]
    record = scale_out(found, target_rps=100, price_per_hour=1)
    last = record["rows"][-1]
    assert (last["efficiency"]["high"], last["cost_per_krps"]["low"]) == (None, None)
    assert last["efficiency"]["low"] is not None
    assert len(record["fit"]["points"]) == 3, "not in the model"
    assert record["warnings"][-1]["text"].startswith("At size 12 throughput still followed the load")


def test_too_few_levels_are_read_without_a_model() -> None:
    def levels(*throughput: float) -> dict:
        points = [{"load": 10.0 * (i + 1), "throughput_rps": x, "low": x - 2, "high": x + 2}
                  for i, x in enumerate(throughput)]  # fmt: skip
        return {"model": None, "points": points, "left_out": [], "highest_load": 30.0}

    stalled, rising, single = (size_maximum(1, levels(*x)) for x in ((50, 98, 99), (50, 98, 140), (50,)))
    assert (stalled["kind"], stalled["maximum_rps"]["value"]) == (LIMIT, 99)
    assert stalled["maximum_rps"]["low"] == pytest.approx(97, abs=0.5)
    assert (rising["kind"], single["kind"]) == (AT_LEAST, AT_LEAST)


def test_a_size_without_a_model_is_proven_by_its_measurement() -> None:
    record = scale_out([size_maximum(4, fit_of(720, 5))], target_rps=300)
    assert record["fit"] is None
    assert record["warnings"][0]["key"] == "sizes.refused.none"
    assert (record["needed"]["size"]["value"], record["needed"]["size"]["high"]) == (4, 4)
    unknown = scale_out([size_maximum(4, fit_of(720, 5))], target_rps=3000)["needed"]
    assert (unknown["status"], unknown["size"]["value"]) == ("unknown", None)


def test_far_beyond_what_was_measured_nothing_is_stated() -> None:
    found = maxima((1, 2, 3, 4), linear)
    assert scale_out(found, target_rps=420)["needed"]["status"] == "extrapolated"
    far = scale_out(found, target_rps=900)["needed"]
    assert (far["status"], far["size"]["value"]) == ("too_far", None)


def test_the_generators_limit_and_a_size_that_changed_are_told() -> None:
    limited = fit_of(720, 5) | {"left_out": [{"reason": {"key": "fit.left_out.generator"}}]}
    found = [*maxima((1, 2), linear), size_maximum(3, limited), size_maximum(4, fit_of(240), resized=True)]
    assert [m["kind"] for m in found] == [LIMIT, LIMIT, AT_LEAST, UNMEASURED]
    record = scale_out(found, price_per_hour=1)
    assert [w["key"].rpartition(".")[2] for w in record["warnings"]] == ["few", "generator", "resized"]
    assert record["rows"][-1]["efficiency"] is None


def test_a_size_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sizes: expected each size once, got \[1, 1\]"):
        scale_out(maxima((1, 1), linear))


def test_nothing_measured_is_no_model() -> None:
    nothing = size_maximum(1, {"model": None, "points": [], "left_out": []})
    record = scale_out([nothing], target_rps=10)
    assert record["status"] == "cannot_tell"
    assert record["rows"][0]["kind"] == UNMEASURED
    assert set(SIZES) >= {w["key"] for w in record["warnings"]}
