"""Verdicts: each rule by a case of its own, and what must never happen as properties."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyse_tables import generator_table, level_row, levels_table, mark, poisson_requests, requests_table
from genkai.analyse.levels import level_table
from genkai.analyse.scale_levels import fit_levels
from genkai.analyse.verdict import cycle_verdicts, passed, step_targets, step_verdict
from genkai.capacity import target_split
from genkai.plan import PURPOSES, Plan
from genkai.report.messages import Messages

LEVEL = {"users": 10}
EN = Messages("en")


def make_plan(target=800, **changes):
    given = {
        "name": "shop", "purposes": list(PURPOSES), "base_url": "http://127.0.0.1:1",
        "targets": {"throughput_rps": target, "p95_ms": 100, "error_ratio": 0.01},
        "apis": [{"name": "health", "path": "/h"}, {"name": "search", "path": "/s", "share": 0.75},
                 {"name": "buy", "path": "/b", "share": 0.25, "targets": {"p95_ms": 500}}],
        "scenarios": [{"name": "mix", "calls": [{"api": "search"}, {"api": "buy"}]}],
        "steps": {"verify": {"api": "health", "levels": [LEVEL]}, "api": {"levels": [LEVEL]},
                  "scenario": {"levels": [LEVEL]}},
    } | changes  # fmt: skip
    return Plan.model_validate(given)


PLAN = make_plan()


def run(step="scenario", subject="mix", levels=None, state="finished", **more):
    levels = sweep() if levels is None else levels
    record = {"state": state, "stop_reason": more.pop("stop_reason", None)}
    return SimpleNamespace(step=step, subject=subject, levels=levels, record=record, name=f"1-{step}-{subject}", **more)


def sweep(users=(100, 500, 1000), throughput=(100, 500, 990), subject="mix", apis=("search", "buy"), **last):
    rows = []
    for i, (n, x) in enumerate(zip(users, throughput, strict=True)):
        own = last if i == len(users) - 1 else {}
        rows.append(level_row(i, n, x, api=subject, **own))
        shared = {k: v for k, v in own.items() if k not in ("throughput_rps",)}
        rows += [level_row(i, n, x / 2, api=a, **shared) for a in apis]
    return levels_table(*rows)


def judged(levels, plan=PLAN, **more):
    return step_targets(plan, [run(levels=levels, **more)], target_split(plan))


def row(rows, what="throughput", api=None):
    return next(r for r in rows if r["what"] == what and api in (None, r["api"]))


def test_a_target_that_is_reached_with_its_limits_kept_passes():
    rows = judged(sweep())
    found = row(rows)
    assert (found["status"], found["level"], found["why_key"]) == ("pass", 2, "verdict.why.throughput_reached")
    assert found["margin_ratio"]["value"] == pytest.approx(990 / 800 - 1)
    assert {r["status"] for r in rows} == {"pass"}
    judged_limits = {(r["api"], r["what"]) for r in rows[1:]}
    assert judged_limits == {(api, what) for api in ("buy", "search") for what in ("error_ratio", "p95")}


def test_of_repetitions_the_worst_decides():
    good, slower, missed = sweep(), sweep(throughput=(100, 500, 890)), sweep(throughput=(100, 400, 410))
    split = target_split(PLAN)

    def told(*levels):
        rows = step_targets(PLAN, [run(levels=each) for each in levels], split)
        return row(rows)["status"], row(rows)["measured"]["value"], len(rows)

    assert told(good, good) == told(good)
    assert told(good, slower, good) == ("pass", 890, told(good)[2]), "of those that pass, the smallest margin"
    for order in ((good, missed, slower), (missed, good, slower), (slower, good, missed)):
        assert told(*order)[:2] == ("fail", 410)


def test_a_repetition_that_is_missing_makes_the_step_incomplete():
    plan = make_plan(steps={"scenario": {"levels": [LEVEL], "repeat": 3}})
    split = target_split(plan)
    assert step_verdict(plan, "scenario", [run()] * 3, split)["status"] == "pass"
    found = step_verdict(plan, "scenario", [run()] * 2, split)
    assert (found["status"], found["why_key"]) == ("cannot_tell", "verdict.why.step_incomplete")
    assert found["values"] == {"missing": "mix"}


def test_limits_are_judged_at_the_lowest_level_that_reaches_the_target():
    levels = sweep((100, 900, 2000), (100, 890, 1500), p95_s=9.0, error_ratio=0.2)
    rows = judged(levels)
    assert {r["level"] for r in rows} == {1}
    assert {r["status"] for r in rows} == {"pass"}


def test_the_story_of_the_notes_fails_because_throughput_stalls():
    rows = judged(sweep(throughput=(100, 497, 505), p95_s=1.2))
    found = row(rows)
    assert (found["status"], found["why_key"]) == ("fail", "verdict.why.throughput_missed")
    assert found["measured"]["value"] == 505
    assert row(rows, "p95", "search")["status"] == "fail"


def test_a_level_with_too_many_errors_never_passes():
    rows = judged(sweep(error_ratio=0.05))
    found = row(rows)
    assert (found["status"], found["why_key"]) == ("fail", "verdict.why.limits_broken")
    assert found["values"]["what"] == "error_ratio"
    assert row(rows, "error_ratio")["why_key"] == "verdict.why.errors_exceeded"


def test_a_slow_level_does_not_pass_either_though_throughput_is_there():
    rows = judged(sweep(p95_s=0.3))
    assert row(rows)["values"]["what"] == "p95"
    assert row(rows, "p95", "search")["status"] == "fail"
    assert row(rows, "p95", "buy")["status"] == "pass"  # its own target is 500 ms


def test_an_api_with_targets_of_its_own_keeps_the_plans_error_ratio_default():
    assert row(judged(sweep()), "error_ratio", "buy")["target"]["value"] == 0.01


def test_the_generators_limit_cannot_tell():
    rows = judged(sweep(throughput=(100, 500, 900), generator_limited=True, generator_note="cpu"))
    assert {r["status"] for r in rows} == {"cannot_tell"}
    assert row(rows)["why_key"] == "verdict.why.generator_limited"
    limited = sweep((1000,), (900,), generator_limited=True)
    assert row(judged(limited))["why_key"] == "verdict.why.generator_limited"


def test_too_little_load_cannot_tell():
    rows = judged(sweep((100, 200, 400), (100, 200, 400)))
    assert (row(rows)["status"], row(rows)["why_key"]) == ("cannot_tell", "verdict.why.load_too_small")
    assert row(rows, "p95", "search")["why_key"] == "verdict.why.kept_below_target"
    assert row(rows, "p95", "search")["values"]["throughput"]["value"] == 400


def test_one_level_of_users_below_the_target_is_no_stall():
    assert row(judged(sweep((100,), (100,))))["why_key"] == "verdict.why.load_too_small"


def test_limits_that_break_before_the_target_fail_it():
    rows = judged(sweep((100, 200, 400), (100, 200, 395), error_ratio=0.2))
    assert (row(rows)["status"], row(rows)["why_key"]) == ("fail", "verdict.why.broken_before")


def test_without_a_steady_state_nothing_passes():
    rows = judged(sweep(steady=False))
    assert {r["status"] for r in rows} == {"cannot_tell"}
    assert row(rows)["why_key"] == "verdict.why.no_steady_state"


def test_a_hold_too_short_to_tell_may_pass():
    assert row(judged(sweep(steady=None)))["status"] == "pass"


def test_a_steady_higher_level_decides_over_a_restless_one():
    levels = sweep((100, 900, 1200), (100, 890, 1100))
    levels.loc[levels["level"] == 1, "steady"] = False
    assert {(r["level"], r["status"]) for r in judged(levels)} == {(2, "pass")}


def open_sweep(rates, throughput, **last):
    levels = sweep(rates, throughput, **last)
    return levels.assign(workload="open")


def test_open_arrivals_that_are_offered_but_not_carried_fail():
    assert row(judged(open_sweep((400, 1000), (400, 600))))["why_key"] == "verdict.why.throughput_missed"
    assert row(judged(open_sweep((400, 700), (400, 700))))["why_key"] == "verdict.why.load_too_small"


def test_an_arrival_rate_at_the_target_passes_within_its_own_scatter():
    plan = make_plan(target=40)
    rng = np.random.default_rng(0)
    requests = requests_table(poisson_requests(39.7, 40, rng, api="search") + poisson_requests(0.01, 1, rng, api="buy"))
    levels = level_table(requests, [mark(0, 40, 0, 0, 40, "open")], generator_table(), subject="mix")
    levels.loc[:, "throughput_rps"] = 39.5
    with_interval = judged(levels, plan, requests=requests)
    assert row(with_interval)["measured"]["low"] is not None
    assert row(with_interval)["status"] == "pass"
    assert row(judged(levels, plan))["status"] == "fail"  # without an interval 39.5 is less than 40


def test_nothing_measured_cannot_tell():
    levels = sweep().assign(throughput_rps=np.nan)
    (found,) = judged(levels)
    assert (found["status"], found["why_key"]) == ("cannot_tell", "verdict.why.nothing_measured")
    assert found["measured"]["value"] is None
    assert found["margin_ratio"]["value"] is None


def test_each_api_by_itself_answers_for_its_share():
    levels = sweep((100, 700), (100, 610), subject="search", apis=())
    found = step_targets(PLAN, [run("api", "search", levels)], target_split(PLAN))
    assert row(found)["target"]["value"] == pytest.approx(600)
    assert row(found)["status"] == "pass"


# ---- verify ----


def verify(ceiling, levels=None, **more):
    levels = sweep((10,), (10,), subject="health", apis=()) if levels is None else levels
    return step_verdict(PLAN, "verify", [run("verify", "health", levels, ceiling=ceiling, **more)], target_split(PLAN))


def test_verify_wants_the_generators_ceiling_above_the_target_by_a_margin():
    good = verify({"throughput_rps": 2400.0, "ceiling_rps": 2600.0, "measured": True})
    assert good["status"] == "pass"
    assert passed(good, "verify")
    top = good["targets"][0]
    assert (top["target"]["value"], top["why_key"]) == (1200, "verdict.why.generator_ceiling")
    assert top["values"]["margin"] == pytest.approx(3.0)
    weak = verify({"throughput_rps": 900.0, "ceiling_rps": 1000.0})
    assert (weak["status"], weak["why_key"]) == ("fail", "verdict.why.generator_too_weak")
    assert not passed(weak, "verify")
    unproven = verify({"throughput_rps": 900.0, "ceiling_rps": 1900.0, "measured": False})
    assert (unproven["status"], unproven["why_key"]) == ("cannot_tell", "verdict.why.generator_unproven")


def test_an_unmeasured_ceiling_counts_only_when_the_levels_already_exceed_it():
    assert verify(None)["why_key"] == "verdict.why.generator_unknown"
    assert verify(None, sweep((3000,), (1300,), subject="health", apis=()))["status"] == "pass"


def test_verify_fails_when_the_health_check_itself_fails():
    levels = sweep((10,), (10,), subject="health", apis=(), error_ratio=0.5)
    assert verify({"throughput_rps": 9000.0}, levels)["why_key"] == "verdict.why.errors_exceeded"


# ---- steps and the whole ----


def everything(scenario_levels=None, **more):
    return [
        run("verify", "health", sweep((10,), (10,), subject="health", apis=()), ceiling={"throughput_rps": 9000.0}),
        run("api", "search", sweep((700,), (650,), subject="search", apis=())),
        run("api", "buy", sweep((300,), (250,), subject="buy", apis=())),
        run(levels=scenario_levels, **more),
    ]


def verdicts(runs, plan=PLAN, **more):
    return cycle_verdicts(plan, target_split(plan), runs, **more)


def without(levels: pd.DataFrame, api: str, where=True) -> pd.DataFrame:
    levels.loc[(levels["api"] == api) & where, ["throughput_rps", "error_ratio", "p95_s"]] = [0.0, np.nan, np.nan]
    return levels


def test_what_a_locustfile_asks_for_only_in_ramps_leaves_nothing_undecided():
    """A login when the users start: at the level that decides there is none, and so nothing of it to keep."""
    levels = without(sweep(apis=("search", "buy", "login")), "login")
    assert {r["status"] for r in judged(levels)} == {"pass"}
    levels["api"] = levels["api"].replace({"login": "health"})
    assert row(judged(levels), "error_ratio", "health")["status"] == "cannot_tell", "the plan names it"


def test_what_a_locustfile_asked_for_and_then_hangs_passes_nothing():
    """Its requests are recorded when they end, so that one that hangs looks as if nobody asked for it."""
    levels = sweep(apis=("search", "buy", "pay"))
    levels = without(levels, "pay", levels["level"] == levels["level"].max())
    assert row(judged(levels), "error_ratio", "pay")["status"] == "cannot_tell"


def test_a_cycle_in_which_all_is_reached_passes():
    found = verdicts(everything())
    assert found["overall"]["status"] == "pass"
    assert found["overall"]["sentence_key"] == "verdict.overall.reached"
    assert {s["step"]: s["status"] for s in found["steps"]} == {
        "verify": "pass", "api": "pass", "scenario": "pass", "endurance": "not_run"
    }  # fmt: skip
    assert found["steps"][3]["why_key"] == "verdict.why.step_left_out"
    assert found["steps"][1]["run"] == "1-api-search, 1-api-buy"
    assert passed(found, "scenario")
    assert not passed(found, "endurance")


def test_a_stalled_scenario_is_the_sentence():
    found = verdicts(everything(sweep(throughput=(100, 497, 505))))
    assert found["overall"] == {
        "status": "fail", "sentence_key": "verdict.overall.missed",
        "values": {"target": found["targets"][-5]["target"], "measured": found["targets"][-5]["measured"]},
    }  # fmt: skip
    assert found["overall"]["values"]["measured"]["value"] == 505


def test_other_misses_are_counted():
    found = verdicts(everything(sweep(p95_s=0.3)))["overall"]
    assert (found["status"], found["sentence_key"]) == ("fail", "verdict.overall.targets_missed")
    assert found["values"]["missed"] == 2
    assert found["values"]["reason"]["key"] == "verdict.why.response_time_missed", "page 1 says which"


def test_a_step_that_is_missing_leaves_the_whole_undecided():
    found = verdicts(everything()[:3])["overall"]
    assert found["status"] == "cannot_tell"
    assert found["values"]["reason"] == {"key": "verdict.why.step_not_run", "values": {"step": "scenario"}}
    incomplete = verdicts([r for r in everything() if r.subject != "buy"])
    assert incomplete["steps"][1]["why_key"] == "verdict.why.step_incomplete"
    assert incomplete["overall"]["status"] == "cannot_tell"


def test_nothing_run_and_a_failed_verify_are_told_apart():
    assert verdicts([])["overall"]["status"] == "not_run"
    weak = [run("verify", "health", sweep((10,), (10,), subject="health", apis=()), ceiling={"throughput_rps": 9.0})]
    found = verdicts(weak)["overall"]
    assert (found["status"], found["values"]["reason"]["key"]) == ("cannot_tell", "verdict.why.generator_too_weak")


def test_a_plan_of_verify_alone_can_pass():
    plan = make_plan(steps={"verify": {"api": "health", "levels": [LEVEL]}})
    assert verdicts(everything()[:1], plan)["overall"]["status"] == "pass"


def test_a_run_that_stopped_beyond_the_target_still_passes_and_says_so():
    found = verdicts(everything(state="stopped", stop_reason="error ratio 0.6"))
    step = found["steps"][2]
    assert (step["status"], step["why_key"]) == ("pass", "verdict.why.targets_met_then_stopped")
    assert step["values"] == {"reason": "error ratio 0.6"}


def test_a_run_that_stopped_undecided_says_why():
    found = verdicts(everything(sweep((100, 200), (100, 200)), state="failed"))["steps"][2]
    assert (found["status"], found["why_key"]) == ("cannot_tell", "verdict.why.step_stopped")
    assert found["values"]["reason"] == "state failed"


def endurance(levels, **more):
    plan = make_plan(steps={"endurance": {"levels": [LEVEL]}})
    return step_verdict(plan, "endurance", [run("endurance", levels=levels, **more)], target_split(plan))


def test_endurance_below_the_target_is_judged_by_errors_and_response_times():
    assert endurance(sweep((600,), (600,)))["status"] == "pass"
    assert endurance(sweep((600,), (600,), p95_s=0.4))["why_key"] == "verdict.why.response_time_missed"
    stopped = endurance(sweep((600,), (600,)), state="stopped", stop_reason="no memory")
    assert (stopped["status"], stopped["why_key"]) == ("fail", "verdict.why.step_stopped")


def test_an_unknown_step_is_refused():
    with pytest.raises(ValueError, match="expected one of verify, api, scenario, endurance, got 'warmup'"):
        step_verdict(PLAN, "warmup", [], {})


# ---- purposes ----


def purposes(found):
    return {p["purpose"]: (p["status"], p["why_key"].rsplit(".", 1)[1]) for p in found["purposes"]}


def test_purposes_of_a_cycle_that_passes():
    levels = sweep((100, 300, 500, 700, 900, 1000), (100, 300, 500, 700, 890, 990))
    found = purposes(verdicts(everything(levels), fits={"scenario/mix": fit_levels(levels, "mix", resamples=50)}))
    assert found == {
        "responsiveness": ("pass", "targets_met"),
        "improvement": ("cannot_tell", "no_previous_cycle"),
        "scalability": ("pass", "throughput_reached"),
        "scale_characteristics": ("pass", "no_limit_seen"),
    }


def test_purposes_of_a_cycle_that_stalls():
    levels = sweep((100, 250, 500, 1000), (99, 249, 495, 505), p95_s=2.0)
    fit = fit_levels(levels, "mix", resamples=50)
    found = verdicts(everything(levels), fits={"scenario/mix": fit})
    assert purposes(found)["scalability"] == ("fail", "stops_scaling")
    assert purposes(found)["scale_characteristics"] == ("pass", "scale_known")
    assert purposes(found)["responsiveness"] == ("fail", "response_time_missed")
    few = {"scenario/mix": fit_levels(sweep(), "mix")}
    assert purposes(verdicts(everything(), fits=few))["scale_characteristics"] == ("cannot_tell", "too_few_levels")
    assert purposes(verdicts([]))["scale_characteristics"] == ("not_run", "not_decided")
    assert purposes(verdicts([]))["scalability"] == ("not_run", "not_decided")


LOADS = (100, 250, 400, 500, 750, 1000)


@pytest.mark.parametrize(
    ("throughput", "said"),
    [((98, 243, 391, 472, 490, 517), "scale_known"), ((100, 248, 390, 480, 690, 830), "scale_slows"),
     ((98, 246, 391, 490, 734, 963), "no_limit_seen")],
    ids=["bends, with a slope beyond", "a knee beyond what was measured", "hardly leaves the line"],
)  # fmt: skip
def test_the_purpose_says_of_the_knee_what_the_figure_shows(throughput, said):
    fit = fit_levels(sweep(LOADS, throughput), "mix", resamples=50)
    assert purposes(verdicts([], fits={"scenario/mix": fit}))["scale_characteristics"] == ("pass", said)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("throughput", "better"), ("p95", "same")], ("pass", "improved")),
        ([("throughput", "same"), ("p95", "better")], ("pass", "targets_met")),
        ([("throughput", "better"), ("p95", "worse")], ("fail", "no_improvement")),
        ([("throughput", "same"), ("p95", "same")], ("fail", "no_improvement")),
        ([("throughput", "cannot_tell")], ("cannot_tell", "no_improvement")),
        ([], ("cannot_tell", "no_improvement")),
    ],
)
def test_improvement_follows_the_comparison(rows, expected):
    comparison = {"before": 1, "rows": [{"what": w, "verdict": v, "ratio": {"value": 1.4}} for w, v in rows]}
    assert purposes(verdicts(everything(), comparison=comparison))["improvement"] == expected


# ---- what holds always ----


@settings(max_examples=25, deadline=None)
@given(
    throughput=st.lists(st.floats(1, 2000), min_size=1, max_size=5),
    errors=st.floats(0, 0.1),
    p95=st.floats(0.001, 1),
    limited=st.one_of(st.none(), st.booleans()),
    steady=st.one_of(st.none(), st.booleans()),
    workload=st.sampled_from(["closed", "open"]),
)
def test_no_pass_without_the_target_reached_and_kept(throughput, errors, p95, limited, steady, workload):
    users = [100 * (i + 1) for i in range(len(throughput))]
    levels = sweep(users, throughput, error_ratio=errors, p95_s=p95, generator_limited=limited, steady=steady)
    found = verdicts(everything(levels.assign(workload=workload)))
    json.dumps(found, allow_nan=False)
    top = next(t for t in found["targets"] if t["step"] == "scenario")
    good = [x for x in throughput[:-1] if x >= 800]
    last_good = throughput[-1] >= 800 and errors <= 0.01 and p95 <= 0.1 and limited is not True and steady is not False
    assert (top["status"] == "pass") == bool(good or last_good)
    for record in [found["overall"], *found["targets"], *found["steps"], *found["purposes"]]:
        assert record["status"] in ("pass", "fail", "cannot_tell", "not_run")
        key = record.get("why_key") or record["sentence_key"]
        values = record["values"]
        assert "{" not in EN(key, **values)


def test_frames_are_left_as_they_were():
    levels = sweep()
    before = levels.copy(deep=True)
    judged(levels)
    pd.testing.assert_frame_equal(levels, before)


def drifting(strength: str) -> dict:
    return {"strength": strength, "claim_key": "cause.memory_leak.claim", "values": {"exhausted": {"value": 60}}}


@pytest.mark.parametrize(
    ("strength", "status", "why"), [("strong", "fail", "will_not_last"), ("moderate", "pass", "drifts")]
)
def test_what_drifts_fails_endurance_only_where_it_is_used_up_too_soon(strength: str, status: str, why: str) -> None:
    plan = make_plan(steps={"endurance": {"levels": [LEVEL]}})
    runs, split = [run("endurance", levels=sweep((600,), (600,)))], target_split(plan)
    verdict = step_verdict(plan, "endurance", runs, split, [drifting(strength)])
    assert step_verdict(plan, "endurance", runs, split)["status"] == "pass"
    assert (verdict["status"], verdict["why_key"]) == (status, f"verdict.why.{why}")
    assert verdict["values"]["finding"]["key"] == "cause.memory_leak.claim"


def test_the_sentence_for_all_names_the_step_that_would_not_last() -> None:
    plan = make_plan(steps={"endurance": {"levels": [LEVEL]}})
    runs = [run("endurance", levels=sweep((600,), (600,)))]
    record = cycle_verdicts(plan, target_split(plan), runs, drifts=[drifting("strong")])
    assert record["overall"]["status"] == "fail"
    assert record["overall"]["sentence_key"] == "verdict.overall.step_failed"
    assert record["overall"]["values"]["reason"]["key"] == "verdict.why.will_not_last"


def test_an_api_that_answers_nothing_decides_responsiveness_without_a_margin():
    """Its errors are measured, its response times are not: such a row has no margin to sort by."""
    levels = sweep(throughput=(100, 400, 410))
    silent = (levels["api"] == "buy") & (levels["level"] == 2)
    levels.loc[silent, ["p95_s", "p50_s", "p99_s"]] = np.nan
    plan = make_plan(purposes=["responsiveness"])
    found = cycle_verdicts(plan, target_split(plan), [run(levels=levels)])
    assert [p["status"] for p in found["purposes"]] == ["cannot_tell"]
