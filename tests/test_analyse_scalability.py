"""The scale characteristic: published fits to four digits, synthetic truths, oracles, refusals."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares
from scipy.stats import t as students

from analyse_tables import level_row, levels_table
from genkai.analyse import models
from genkai.analyse.compare_limits import compare_limits
from genkai.analyse.crosscheck import cross_checks
from genkai.analyse.fit import fit_all, residual_squares
from genkai.analyse.models import CATALOGUE, MODELS
from genkai.analyse.scalability import FitError, drawn_parameters, fit_scalability
from genkai.analyse.scale_levels import as_cli_record, fit_levels, same_model
from genkai.analyse.texts import FIT, phrase
from genkai.analyse.whatif import (
    load_for_throughput,
    needed_for,
    predict_candidate,
    predict_response_time,
    predict_throughput,
    response_time_at,
)

LOADS = np.array([10, 25, 50, 75, 100, 150, 200, 250, 300, 400, 500, 600.0])
TRUTHS = {
    "linear": (1.0,),
    "ceiling": (1.0, 220.0),
    "amdahl": (1.0, 0.003),
    "broken": (1.0, 180.0, 0.2),
    "usl": (1.0, 0.002, 4e-6),
}


def published(name):
    table = pd.read_csv(Path(__file__).parent / "data" / f"{name}.csv")
    return table.iloc[:, 0].to_numpy(float), table["throughput"].to_numpy(float)


def truth(name, loads=LOADS):
    return CATALOGUE[name].throughput(np.array(TRUTHS[name]), loads)


def noisy(name, seed, relative=0.02, loads=LOADS):
    return truth(name, loads) * (1 + np.random.default_rng(seed).normal(0, relative, len(loads)))


def values(fit):
    return {name: record["value"] for name, record in fit["parameters"].items() if record}


def test_specsdm91_as_published():
    fit = fit_scalability(*published("specsdm91"), model="usl")
    assert values(fit) == pytest.approx(
        {"contention": 0.0277285, "coherency": 0.0001044, "unit_throughput_rps": 89.995}, rel=5e-4
    )
    assert values(fit)["contention"] == pytest.approx(0.0277285, rel=1e-5)
    assert fit["peak_load"]["value"] == pytest.approx(96.52, rel=1e-4)
    assert fit["peak_throughput_rps"]["value"] == pytest.approx(1883.9, rel=1e-4)
    found = values(fit)
    assert found["unit_throughput_rps"] / found["contention"] == pytest.approx(3245.6, rel=1e-4)


def test_specsdm91_predictions_as_published():
    loads, _ = published("specsdm91")
    predicted = predict_throughput(fit_scalability(*published("specsdm91"), model="usl"), loads)
    assert predicted["throughput_rps"].round().tolist() == [90, 1078, 1541, 1850, 1879, 1822, 1646]
    assert (predicted["low"] <= predicted["throughput_rps"]).all()
    assert (predicted["throughput_rps"] <= predicted["high"]).all()


def test_raytracer_as_published_with_the_bound_said():
    fit = fit_scalability(*published("raytracer"), model="usl", load_unit="instances")
    assert values(fit) == pytest.approx(
        {"contention": 0.0577708, "coherency": 0.0, "unit_throughput_rps": 21.848843}, rel=1e-5, abs=1e-9
    )
    assert fit["peak_load"] is None
    assert "fit.warning.bound_active" in [w["key"] for w in fit["warnings"]]
    free = next(c for c in fit["candidates"] if c["model"] == "usl")["free"]
    assert free["coherency"] < 0


@pytest.mark.parametrize("name", MODELS)
def test_exact_data_gives_its_parameters_back(name):
    found = fit_all(name, LOADS, truth(name))[0]
    assert found == pytest.approx(TRUTHS[name], rel=1e-6)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("seed", range(3))
def test_fits_agree_with_scipy_from_the_truth(name, seed):
    series = noisy(name, seed)
    bounds = ([0] * len(TRUTHS[name]), [np.inf] * len(TRUTHS[name]))
    oracle = least_squares(lambda p: CATALOGUE[name].throughput(p, LOADS) - series, TRUTHS[name], bounds=bounds,
                           x_scale=np.abs(TRUTHS[name]), xtol=1e-13, ftol=1e-13, gtol=1e-13)  # fmt: skip
    squares = residual_squares(name, fit_all(name, LOADS, series), LOADS, series)[0]
    assert squares <= 2 * oracle.cost * (1 + 1e-6)
    if name in ("linear", "amdahl", "usl"):
        assert fit_all(name, LOADS, series)[0] == pytest.approx(oracle.x, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("name", ["ceiling", "broken"])
def test_a_kinked_fit_is_no_worse_than_every_knee_of_a_fine_grid(name):
    series = noisy(name, 5, 0.05)
    best = math.inf
    for knee in np.linspace(15, 500, 2000):
        basis = [np.minimum(LOADS, knee)] + ([np.maximum(LOADS - knee, 0)] if name == "broken" else [])
        best = min(best, float(np.linalg.lstsq(np.stack(basis, axis=1), series, rcond=None)[1][0]))
    assert residual_squares(name, fit_all(name, LOADS, series), LOADS, series)[0] <= best * (1 + 1e-9)


def test_many_series_at_once_are_the_same_as_one_by_one():
    series = np.stack([noisy("usl", seed, 0.05) for seed in range(8)])
    for name in MODELS:
        together = fit_all(name, LOADS, series)
        alone = np.concatenate([fit_all(name, LOADS, s) for s in series])
        assert together == pytest.approx(alone, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_the_true_model_is_chosen_mostly(name):
    chosen = [fit_scalability(LOADS, noisy(name, seed), resamples=20)["model"] for seed in range(30)]
    assert chosen.count(name) >= 24


@pytest.mark.parametrize("loads", [LOADS, LOADS[::2], LOADS[[1, 3, 6, 10]]])
def test_a_hard_ceiling_is_never_reported_as_a_usl_peak(loads):
    for seed in range(25):
        fit = fit_scalability(loads, noisy("ceiling", seed, loads=loads), resamples=20)
        assert fit["model"] != "usl"


@pytest.mark.parametrize(("name", "key"), [("usl", "peak_load"), ("ceiling", "ceiling_rps"), ("broken", "knee_load"),
                                            ("amdahl", "contention")])  # fmt: skip
def test_intervals_hold_the_truth_about_as_often_as_they_say(name, key):
    exact = {"usl": math.sqrt(0.998 / 4e-6), "ceiling": 220.0, "broken": 180.0, "amdahl": 0.003}[name]
    hits = []
    for seed in range(50):
        fit = fit_scalability(LOADS, noisy(name, seed), model=name, resamples=200, seed=seed)
        record = fit[key] if key in fit and key != "contention" else fit["parameters"][key]
        hits.append(record is not None and record["low"] <= exact <= (record["high"] or math.inf))
    assert np.mean(hits) >= 0.88


@pytest.mark.parametrize("kind", ["proportional", "equal"])
def test_draws_of_a_line_are_students_where_the_levels_tell_how_they_scatter(kind):
    """With one parameter least squares is a weighted mean: its interval has a closed form."""
    load = 2.0 ** np.arange(9)
    scale = 50 * load if kind == "proportional" else np.full(9, 1000.0)
    x = 50 * load + 0.02 * scale * np.random.default_rng(5).standard_normal(9)
    unit = float(load @ x / (load @ load))
    scale = unit * load if kind == "proportional" else np.ones(9)
    spread = np.std((x - unit * load) / scale, ddof=1) * np.sqrt(((scale * load) ** 2).sum()) / (load @ load)
    draws = drawn_parameters("linear", np.array([unit]), load, x, 100_000, np.random.default_rng(1))[:, 0]
    for share in (0.025, 0.25, 0.75, 0.975):
        assert np.quantile(draws, share) == pytest.approx(unit + spread * students.ppf(share, 8), abs=0.03 * spread)


def test_six_levels_that_scatter_alike_hold_the_first_slope_though_they_cannot_tell_how_they_scatter():
    """Taken in proportion to throughput, the scatter of the first levels, which this slope hangs on, is too small."""
    loads, held = np.array([50, 100, 200, 300, 450, 600.0]), 0
    exact = truth("broken", loads)
    for seed in range(200):
        x = exact + np.random.default_rng(seed).normal(0, 0.02 * np.median(exact), 6)
        draws = drawn_parameters("broken", fit_all("broken", loads, x)[0], loads, x, 1000, np.random.default_rng(seed))
        low, high = np.quantile(draws[:, 0], [0.025, 0.975])
        held += low <= 1 <= high
    assert 0.92 <= held / 200 <= 0.98


BENT = np.array([1.0, 0.004, 1e-5])  # a USL whose six levels are taken for a hard ceiling in one case of four


def fits_of_bent(seeds, **options):
    loads = np.array([50, 100, 200, 300, 450, 600.0])
    exact = CATALOGUE["usl"].throughput(BENT, loads)
    return [fit_scalability(loads, exact * (1 + 0.02 * np.random.default_rng(seed).standard_normal(6)), resamples=300,
                            **options) for seed in seeds]  # fmt: skip


def test_what_models_share_is_held_by_its_interval_though_another_model_was_chosen():
    taken = [fit for fit in fits_of_bent(range(60)) if fit["model"] == "ceiling"]
    units = [fit["parameters"]["unit_throughput_rps"] for fit in taken]
    assert len(taken) >= 10
    for records, exact in ((units, 1.0), ([f["knee_load"] for f in taken], float(models.knee_load("usl", BENT)))):
        assert np.mean([record["low"] <= exact <= record["high"] for record in records]) >= 0.9
    assert all("fit.warning.close_runner_up" in [w["key"] for w in fit["warnings"]] for fit in taken)


def test_a_model_given_by_hand_has_its_own_intervals():
    for chosen, by_hand in zip(fits_of_bent(range(12)), fits_of_bent(range(12), model="ceiling"), strict=True):
        if chosen["model"] == "ceiling":
            assert chosen["knee_load"]["low"] < by_hand["knee_load"]["low"], "the knee of a USL lies lower"
            assert {"fit.warning.near_model", "fit.warning.better_model"} & {w["key"] for w in by_hand["warnings"]}


def test_the_limit_of_a_model_chosen_by_luck_has_the_others_in_its_interval():
    """A USL whose peak lies at the end of six levels is taken for Amdahl, which knows a limit far above it."""
    p, loads = np.array([1.0, 0.001, 1e-6]), np.array([100, 200, 400, 600, 800, 1000.0])
    exact, peak = CATALOGUE["usl"].throughput(p, loads), float(models.peak_throughput("usl", p))
    fits = [fit_scalability(loads, exact * (1 + 0.02 * np.random.default_rng(seed).standard_normal(6)), resamples=300)
            for seed in range(40)]  # fmt: skip
    limits = [fit["ceiling_rps"] for fit in fits if fit["model"] == "amdahl"]
    assert len(limits) >= 10
    assert np.mean([limit["low"] <= peak for limit in limits]) >= 0.7
    assert all(limit["high"] is not None for limit in limits), "and none is open upwards"


def test_less_than_six_levels_scatter_in_proportion():
    loads, parameters = np.array([100, 300, 500, 750, 1000.0]), np.array([1.0, 400.0, 0.3])
    exact = CATALOGUE["broken"].throughput(parameters, loads)
    knees = [fit_scalability(loads, exact * (1 + 0.02 * np.random.default_rng(seed).standard_normal(5)), resamples=300)
             ["knee_load"] for seed in range(60)]  # fmt: skip
    assert np.mean([k["low"] <= 400 <= (k["high"] or np.inf) for k in knees if k]) >= 0.92


def test_the_story_of_the_notes_is_a_ceiling_near_500():
    fit = fit_scalability([100, 250, 500, 1000], [99, 249, 495, 505])
    assert fit["model"] == "ceiling"
    assert fit["bend"] is True
    assert fit["ceiling_rps"]["value"] == pytest.approx(505)
    assert fit["knee_load"]["value"] == pytest.approx(509, abs=5)
    assert [w["key"] for w in fit["warnings"]] == ["fit.warning.few_levels"]


def test_no_limit_seen_is_said_and_none_is_stated():
    fit = fit_scalability(LOADS, noisy("linear", 1, 0.01))
    assert fit["bend"] is False
    assert (fit["model"], fit["knee_load"], fit["ceiling_rps"], fit["peak_load"]) == ("linear", None, None, None)
    assert "fit.warning.no_bend" in [w["key"] for w in fit["warnings"]]


def test_a_knee_beyond_the_measured_range_is_called_extrapolated():
    fit = fit_scalability(LOADS[:8], truth("amdahl", LOADS[:8]), model="amdahl")
    keys = [w["key"] for w in fit_scalability(LOADS[:4], truth("amdahl", LOADS[:4]), model="amdahl")["warnings"]]
    assert "fit.warning.knee_beyond" in keys
    assert "fit.warning.ceiling_beyond" in keys
    assert fit["ceiling_rps"]["value"] == pytest.approx(1 / 0.003, rel=1e-3)


def test_costs_add_up_and_match_the_formula():
    fit = fit_scalability(LOADS, noisy("usl", 2, 0.005), model="usl")
    shares = {name: record["value"] for name, record in fit["costs"].items()}
    p, n = values(fit), LOADS.max()
    whole = 1 + p["contention"] * (n - 1) + p["coherency"] * n * (n - 1)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["ideal"] == pytest.approx(1 / whole)
    assert shares["coherency"] == pytest.approx(p["coherency"] * n * (n - 1) / whole)


@settings(max_examples=10, deadline=None)
@given(factor=st.sampled_from([0.01, 10.0, 1000.0]), name=st.sampled_from(MODELS), seed=st.integers(0, 5))
def test_the_unit_of_throughput_changes_nothing_but_the_scale(factor, name, seed):
    one, scaled = (fit_scalability(LOADS, noisy(name, seed) * f, resamples=20) for f in (1.0, factor))
    assert one["model"] == scaled["model"]
    first, second = values(one), values(scaled)
    assert second["unit_throughput_rps"] == pytest.approx(first["unit_throughput_rps"] * factor, rel=1e-3)
    if one["knee_load"]:
        assert scaled["knee_load"]["value"] == pytest.approx(one["knee_load"]["value"], rel=1e-3)


def test_the_record_is_json_and_deterministic():
    series = noisy("usl", 3)
    one, two = (json.dumps(fit_scalability(LOADS, series, seed=4), allow_nan=False) for _ in range(2))
    assert one == two


@pytest.mark.parametrize(
    ("load", "throughput", "options", "match"),
    [
        ([1, 2, 3], [1, 2, 3], {}, "at least 4 distinct levels .* got 3"),
        ([1, 2, 3, 3], [1, 2, 3, 3], {}, "got 3; add levels"),
        ([1, 2, 3, 4], [1, 2, 3], {}, "two series of one length"),
        ([0, 2, 3, 4], [1, 2, 3, 4], {}, "expected load > 0"),
        ([1, 2, 3, 4], [1, 2, 3, math.nan], {}, "without gaps"),
        ([1, 2, 3, 4], [0, 0, 0, 0], {}, "not all 0"),
        ([1, 2, 3, 4], [1, 2, 3, 4], {"model": "cubic"}, "expected auto, linear.* got 'cubic'"),
    ],
)
def test_what_cannot_be_fitted_is_refused(load, throughput, options, match):
    with pytest.raises(FitError, match=match):
        fit_scalability(load, throughput, **options)


# ---- what-if ----


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(MODELS), share=st.floats(0.02, 0.98))
def test_load_and_throughput_go_round(name, share):
    p = np.array(TRUTHS[name])
    top = min(float(models.ceiling(name, p)), 300.0)
    throughput = share * top
    load = float(models.load_at(name, p, throughput))
    assert CATALOGUE[name].throughput(p, np.array([load]))[0] == pytest.approx(throughput, rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(share=st.floats(0.1, 0.95), think=st.floats(0, 0.5))
def test_response_time_goes_round_by_littles_law(share, think):
    fit = fit_scalability(LOADS, truth("usl"), model="usl", resamples=50)
    throughput = share * fit["peak_throughput_rps"]["value"]
    load = load_for_throughput(fit, throughput)["value"]
    response = response_time_at(fit, throughput, think)["value"]
    assert throughput * (response + think) == pytest.approx(load, rel=1e-6)
    assert response == pytest.approx(predict_response_time(fit, load, think)["value"])


def test_what_the_target_needs():
    fit = fit_scalability(LOADS, noisy("ceiling", 0))
    assert load_for_throughput(fit, 100)["value"] == pytest.approx(100, rel=0.03)
    beyond = load_for_throughput(fit, 500)
    assert (beyond["value"], beyond["notes"]) == (None, ["no load reaches this throughput"])
    assert response_time_at(fit, 500)["value"] is None
    factor = needed_for(fit, 440)
    assert factor["value"] == pytest.approx(2, rel=0.03)
    assert factor["low"] < factor["value"] < factor["high"]
    assert needed_for(fit_scalability(LOADS, truth("linear")), 440)["value"] is None


def test_an_extrapolated_load_says_so():
    fit = fit_scalability(LOADS, noisy("linear", 0, 0.01))
    assert load_for_throughput(fit, 5000)["notes"] == ["beyond twice the highest load measured"]
    assert predict_response_time(fit, 5000)["notes"] == ["beyond twice the highest load measured"]


def test_the_runner_up_can_be_drawn():
    fit = fit_scalability(LOADS, noisy("ceiling", 0))
    other = next(c for c in fit["candidates"] if c["model"] == fit["runner_up"])
    assert predict_candidate(other, LOADS) == pytest.approx(truth("ceiling"), rel=0.15)


def test_what_if_refuses_what_makes_no_sense():
    fit = fit_scalability(LOADS, truth("ceiling"), load_unit="rps", resamples=30)
    with pytest.raises(FitError, match="got one against an arrival rate"):
        predict_response_time(fit, 10)
    with pytest.raises(FitError, match="expected a number > 0, got 0"):
        load_for_throughput(fit, 0)
    with pytest.raises(FitError, match="series of loads > 0"):
        predict_throughput(fit, [0, 1])
    with pytest.raises(FitError, match="got a refusal"):
        predict_throughput({"model": None}, [1])


# ---- levels ----


def sweep(users=(100, 250, 500, 1000), throughput=(99, 249, 495, 505), **last):
    rows = [level_row(i, n, x) for i, (n, x) in enumerate(zip(users, throughput, strict=True))]
    rows[-1] |= last
    return levels_table(*rows)


def test_levels_are_fitted_and_the_generators_own_limit_is_left_out():
    levels = sweep((100, 200, 300, 400, 500), (100, 200, 300, 400, 410),
                   generator_limited=True, generator_note="cpu: worker-1")  # fmt: skip
    fit = fit_levels(levels, "s", intervals={"0/s": {"throughput_rps": {"low": 98.0, "high": 103.0}}})
    assert fit["model"] == "linear"
    assert [p["level"] for p in fit["points"]] == [0, 1, 2, 3]
    assert (fit["points"][0]["low"], fit["points"][0]["high"]) == (98.0, 103.0)
    (left,) = fit["left_out"]
    assert (left["level"], left["reason"]["key"]) == (4, "fit.left_out.generator")
    assert "cpu: worker-1" in left["reason"]["text"]
    json.dumps(fit, allow_nan=False)


def test_too_few_levels_cannot_tell_and_say_so():
    fit = fit_levels(sweep((1, 2, 3), (1, 2, 3)), "s")
    assert (fit["status"], fit["model"], fit["ceiling_rps"], fit["bend"]) == ("cannot_tell", None, None, None)
    assert fit["warnings"][0]["values"] == {"levels": 3, "least": 4}
    assert as_cli_record(fit)["warnings"][0].startswith("Cannot tell: 3 distinct")


def test_unmeasured_and_restless_levels_are_said():
    levels = sweep((1, 2, 3, 4, 5), (10, 20, 30, 40, 50), throughput_rps=None, window_start=None)
    assert fit_levels(levels, "s")["left_out"][0]["reason"]["key"] == "fit.left_out.unmeasured"
    fit = fit_levels(sweep(steady=False), "s")
    assert any(w["key"] == "fit.warning.not_steady" and "Levels 4 " in w["text"] for w in fit["warnings"])


def test_an_unknown_subject_is_refused():
    with pytest.raises(ValueError, match="expected rows of 'x', got only \\['s'\\]"):
        fit_levels(sweep(), "x")


def test_an_open_workload_has_no_costs():
    levels = levels_table(*(level_row(i, n, min(n, 220), workload="open") for i, n in enumerate(LOADS)))
    fit = fit_levels(levels, "s", model="amdahl")
    assert fit["load_unit"] == "rps"
    assert fit["costs"] is None
    assert "fit.warning.open_workload" in [w["key"] for w in fit["warnings"]]


def test_the_cli_record_has_the_names_of_the_command_line():
    record = as_cli_record(fit_levels(sweep(), "s", think_time_s=0.9))
    assert {"model", "parameters", "knee_concurrency", "peak_concurrency", "peak_throughput_rps", "ceiling_rps",
            "runner_up", "warnings"} <= set(record)  # fmt: skip
    assert all(isinstance(w, str) for w in record["warnings"])


def closed(users, mean_s, think_s, drift=1.0):
    x = users / (mean_s + think_s) * drift
    return level_row(0, users, x, concurrency=x * mean_s, mean_s=mean_s)


def test_little_agrees_or_raises_an_alarm():
    good = levels_table(closed(100, 0.1, 0.9))
    (said,) = cross_checks(good, 0.9)
    assert (said["key"], said["alarm"]) == ("crosscheck.ok", False)
    (said,) = cross_checks(levels_table(closed(100, 0.1, 0.9, drift=0.7)), 0.9)
    assert (said["key"], said["alarm"]) == ("crosscheck.little", True)
    assert said["values"]["expected"] == pytest.approx(70)
    alarms = [c["key"] for c in cross_checks(levels_table(closed(100, 0.1, 0.9, drift=1.3)), 0.9)]
    assert alarms == ["crosscheck.little", "crosscheck.bound"]


def test_without_think_time_or_closed_levels_nothing_is_checked():
    assert cross_checks(sweep(), None)[0]["key"] == "crosscheck.unknown"
    assert cross_checks(levels_table(level_row(0, 5, 5, workload="open")), 1.0)[0]["key"] == "crosscheck.unknown"


def test_every_phrase_can_be_said_and_an_unknown_one_cannot():
    said = phrase(FIT, "fit.warning.few_levels", levels=5, least=6)
    assert said["text"].startswith("Only 5 distinct load levels")
    with pytest.raises(KeyError):
        phrase(FIT, "fit.nothing")


# ---- several runs of the same thing ----


def fits_of(name, seeds, models=("auto",)):
    made = []
    for i, seed in enumerate(seeds):
        fit = fit_scalability(LOADS, noisy(name, seed), model=models[i % len(models)], resamples=60)
        made.append({**fit, "checks": ["kept"]})
    return made


def test_runs_are_read_by_one_model():
    own = fits_of("ceiling", range(3), ("ceiling", "broken", "usl"))
    together = same_model(own)
    assert [f["model"] for f in own] == ["ceiling", "broken", "usl"]
    assert [f["model"] for f in together] == ["ceiling"] * 3
    assert together[0] == own[0], "what has that model already stays"
    assert all(f["checks"] == ["kept"] and len(f["draws"]) == 60 for f in together)
    assert [f["ceiling_rps"]["value"] for f in together] == pytest.approx([220.0] * 3, rel=0.03)


def test_one_model_for_all_leaves_refusals_and_agreement_alone():
    refusal = fit_levels(sweep((1, 2, 3), (1, 2, 3)), "s")
    own = fits_of("usl", range(2), ("usl",))
    assert same_model([refusal, *own]) == [refusal, *own]
    assert same_model([]) == []


def test_two_runs_of_one_thing_have_no_different_limits():
    """A/A, 15 pairs: a difference of models is none of limits."""
    alarms = 0
    for seed in range(15):
        sides = [[fit_scalability(LOADS, noisy("ceiling", 1000 * k + seed), resamples=60)] for k in (1, 2)]
        alarms += any(row["verdict"] in ("better", "worse") for row in compare_limits(*sides))
    assert alarms <= 1


def test_a_kink_with_a_slope_departs_without_a_limit():
    fit = fit_scalability(LOADS, truth("broken"), model="broken", resamples=30)
    assert (fit["departs"], fit["bend"], fit["ceiling_rps"]) == (True, False, None)
    assert fit_scalability(LOADS, truth("linear"), resamples=30)["departs"] is False


@pytest.mark.parametrize("levels", [5, 8])
def test_throughput_that_falls_from_the_first_level_on_is_no_line_through_the_origin(levels):
    load = 10.0 * 2 ** np.arange(levels)
    fit = fit_scalability(load, 600 / (1 + load / 100))
    assert fit["model"] != "linear"
    assert any(w["key"] == "fit.warning.falls" for w in fit["warnings"])
    assert not any(w["key"] == "fit.warning.no_bend" for w in fit["warnings"])


def test_a_saturated_target_is_flat_and_not_falling():
    fit = fit_scalability([10, 20, 40, 80, 160], [603, 598, 601, 597, 600])
    assert fit["model"] == "ceiling"
    assert not any(w["key"] == "fit.warning.falls" for w in fit["warnings"])
