"""Two cycles compared: known changes found, none found where there is none, nothing pooled over hidden differences."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyse_tables import generator_table, level_row, levels_table, mark, request_row, requests_table
from genkai.analyse.compare import compare_cycles, pair_rows
from genkai.analyse.compare_limits import compare_limits
from genkai.analyse.levels import level_table
from genkai.analyse.plan_differences import check_poolable, plan_differences, poolable, run_differences
from genkai.analyse.records import number
from genkai.analyse.scale_levels import fit_levels
from genkai.analyse.sides import Pair, Side
from genkai.analyse.spread import MINIMUM_EFFECT, errors_verdict, observed_spread, verdict_of
from genkai.plan import Plan

GIVEN = {
    "name": "shop", "purposes": ["improvement"], "base_url": "http://127.0.0.1:8001",
    "targets": {"throughput_rps": 100}, "apis": [{"name": "a", "path": "/"}],
    "scenarios": [{"name": "mix", "calls": [{"api": "a"}]}], "steps": {"scenario": {"levels": [{"users": 20}]}},
}  # fmt: skip


def plan(**changes):
    return Plan.model_validate(GIVEN | changes)


def run(seed, rate=100, mean_s=0.02, failed=0, seconds=20, spread=0.0, users=20, **more):
    """One run of one level; `spread`: how much response times of runs of the same thing differ from one another."""
    rng = np.random.default_rng(seed)
    rate, mean_s = rate * (1 + rng.normal(0, spread / 5)), mean_s * (1 + rng.normal(0, spread))
    rows = [
        request_row(s, rng.gamma(4, mean_s / 4, max(1, int(rng.normal(rate, 0.04 * rate)))), failed=failed)
        for s in range(seconds)
    ]
    requests = requests_table(rows)
    levels = level_table(requests, [mark(0, users, 0, 0, seconds)], generator_table(range(seconds)), subject="mix")
    record = {"state": "finished", "plan_digest": "d1", "versions": {"locust": "2"}, **more}
    return SimpleNamespace(step="scenario", subject="mix", levels=levels, requests=requests, record=record)


def cycle(number, runs, **changes):
    return SimpleNamespace(cycle=SimpleNamespace(number=number), plan=plan(**changes), runs=runs)


def compare_runs(before, after):
    pair = Pair(Side(before), Side(after))
    return pair_rows(pair, observed_spread(pair.repeated()), MINIMUM_EFFECT)


def verdicts(before, after):
    return {r["what"]: r["verdict"] for r in compare_runs(before, after)}


def test_the_same_again_is_the_same():
    found = verdicts([run(1, seconds=90)], [run(2, seconds=90)])
    assert found["throughput"] == "same"
    assert found["error_ratio"] == "same"
    assert set(found.values()) <= {"same", "cannot_tell"}


def test_a_doubled_throughput_at_half_the_response_time_is_better():
    found = verdicts([run(1)], [run(2, rate=200, mean_s=0.01)])
    assert [found[w] for w in ("throughput", "p50", "p95", "p99")] == ["better"] * 4
    back = verdicts([run(2, rate=200, mean_s=0.01)], [run(1)])
    assert [back[w] for w in ("throughput", "p50", "p95", "p99")] == ["worse"] * 4


def test_errors_are_compared_by_their_difference():
    rows = compare_runs([run(1)], [run(2, failed=10)])
    row = next(r for r in rows if r["what"] == "error_ratio")
    assert row["verdict"] == "worse"
    assert row["ratio"]["value"] == pytest.approx(0.1, rel=0.1)
    assert verdicts([run(2, failed=10)], [run(1)])["error_ratio"] == "better"


def test_the_ratio_holds_the_truth():
    hits = []
    for seed in range(15):
        rows = compare_runs([run(seed)], [run(seed + 500, rate=110, mean_s=0.024)])
        by = {r["what"]: r["ratio"] for r in rows}
        hits.append([by[w]["low"] <= x <= by[w]["high"] for w, x in (("throughput", 1.1), ("p50", 1.2), ("p95", 1.2))])
    assert (np.mean(hits, axis=0) >= 0.75).all()


def test_identical_runs_are_hardly_ever_called_different():
    alarms = [
        {"better", "worse"} & set(verdicts([run(2 * s, spread=0.04)], [run(2 * s + 1, spread=0.04)]).values())
        for s in range(15)
    ]
    assert sum(map(bool, alarms)) <= 1


def repetitions(first, **more):
    return [run(first + i, spread=0.01, **more) for i in range(3)]


def test_three_repetitions_find_a_slow_down_and_only_that():
    slow = [verdicts(repetitions(9 * s), repetitions(9 * s + 3, mean_s=0.023))["p50"] for s in range(4)]
    assert slow.count("worse") >= 3
    same = [verdicts(repetitions(900 + 9 * s), repetitions(903 + 9 * s))["p50"] for s in range(4)]
    assert not {"better", "worse"} & set(same)


def test_one_run_on_a_side_says_that_the_verdict_is_weak():
    (weak,) = compare_runs([run(1)], [run(2)])[0]["ratio"]["notes"]
    assert "the spread between runs is assumed" in weak
    assert compare_runs([run(1), run(3)], [run(2), run(4)])[0]["ratio"]["notes"] == []


def test_a_slow_down_of_everything_is_found_over_all_subjects_first():
    def runs(first, **more):
        made = [(name, run(first + 2 * i + (name == "b"), spread=0.02, **more)) for i in range(3) for name in "ab"]
        for name, each in made:
            each.subject, each.levels = name, each.levels.assign(api=name)
        return [each for _, each in made]

    for seed in (0, 100, 200):
        before, after = runs(seed), runs(seed + 10, mean_s=0.023)
        found = compare_cycles(cycle(1, before), cycle(2, after))
        overall = {r["what"]: r for r in found["rows"] if r["api"] == "(all)"}
        assert overall["p50"]["verdict"] == "worse"
        assert overall["p50"]["ratio"]["value"] == pytest.approx(1.15, rel=0.06)
        assert overall["throughput"]["verdict"] in ("same", "cannot_tell")
        assert found["freedom"] == 8
        assert 0 <= found["spread"]["p50_s"] < 0.06


@settings(max_examples=60, deadline=None)
@given(low=st.floats(0.2, 3), width=st.floats(0, 2), what=st.sampled_from(["throughput", "p95", "ceiling"]))
def test_a_verdict_is_said_only_when_the_whole_interval_is_beyond_the_minimum_effect(low, width, what):
    ratio = number(low + width / 2, low, low + width)
    verdict = verdict_of(ratio, what)
    beyond = ratio["low"] > 1.05 or ratio["high"] < 0.95
    assert (verdict in ("better", "worse")) == beyond
    if beyond:
        up = ratio["low"] > 1
        assert (verdict == "better") == (up == (what != "p95"))
    assert verdict_of(number(1.0), what) == errors_verdict(number(1.0)) == "cannot_tell"


@pytest.mark.parametrize(
    ("interval", "expected"), [((-0.001, 0.002), "same"), ((0.006, 0.1), "worse"), ((-0.1, -0.006), "better"),
                               ((-0.1, 0.1), "cannot_tell")])  # fmt: skip
def test_the_verdict_on_errors(interval, expected):
    assert errors_verdict(number(sum(interval) / 2, *interval)) == expected


def test_two_cycles_with_what_changed_beside_them():
    found = compare_cycles(cycle(1, [run(1)]), cycle(2, [run(2, rate=150)], environment={"target": {"slots": 8}},
                                                     base_url="http://127.0.0.1:9999", title="again"))  # fmt: skip
    json.dumps(found, allow_nan=False)
    assert (found["before"], found["after"], found["minimum_effect"]) == (1, 2, 0.05)
    assert found["changes"] == [{"what": "environment.target.slots", "before": "–", "after": "8"}]
    row = next(r for r in found["rows"] if r["what"] == "throughput" and r["step"])
    assert (row["api"], row["load"], row["verdict"]) == ("mix", 20, "better")
    assert row["before"]["value"] == pytest.approx(100, rel=0.05)
    assert "refused" not in found


def test_cycles_without_anything_in_common_are_refused():
    found = compare_cycles(cycle(1, [run(1)]), cycle(2, [run(2, users=30)]))
    assert found["refused"]["key"] == "comparison.refused.nothing_in_common"
    assert compare_cycles(cycle(1, []), cycle(2, [run(1)]))["refused"]["key"] == "comparison.refused.nothing_in_common"
    limited = run(2)
    limited.levels["generator_limited"] = True
    found = compare_cycles(cycle(1, [run(1)]), cycle(2, [limited]))
    assert found["refused"]["key"] == "comparison.refused.generator"
    assert found["rows"] == []


def fit(*throughput):
    rows = [level_row(i, n, x) for i, (n, x) in enumerate(zip((100, 250, 500, 1000), throughput, strict=True))]
    return fit_levels(levels_table(*rows), "s", resamples=200)


def test_ceilings_are_compared_even_when_only_one_was_seen():
    rows = {r["what"]: r for r in compare_limits([fit(99, 249, 495, 505)], [fit(99, 249, 500, 700)])}
    assert rows["ceiling"]["verdict"] == "better"
    assert rows["ceiling"]["ratio"]["value"] == pytest.approx(700 / 505, rel=0.01)
    (gone, knee) = compare_limits([fit(99, 249, 495, 505)], [fit(100, 250, 500, 1000)])
    assert (gone["verdict"], gone["after"]["value"], gone["ratio"]["value"]) == ("better", None, None)
    assert knee["verdict"] == "better"
    assert compare_limits([fit(100, 250, 500, 1000)], [fit(99, 249, 495, 505)])[0]["verdict"] == "worse"
    assert compare_limits([fit(100, 250, 500, 1000)], [fit(100, 250, 500, 1000)]) == []
    assert ("model" in rows["ceiling"], gone["model"]) == (False, "ceiling"), "named where it is not each run's own"
    three = compare_limits([fit(99, 249, 495, 505)] * 3, [fit(99, 249, 395, 405)] * 3)
    assert {r["what"]: r["verdict"] for r in three}["ceiling"] == "worse"


def test_plan_differences_name_the_field_and_ignore_words_about_the_test():
    other = plan(title="x", actions=[{"what": "warmed"}], targets={"throughput_rps": 200},
                 apis=[{"name": "b", "path": "/b"}, {"name": "a", "path": "/"}])  # fmt: skip
    found = {c["what"]: (c["before"], c["after"]) for c in plan_differences(plan(), other)}
    assert found["targets.throughput_rps"] == ("100.0", "200.0")
    assert found["apis.b.path"] == ("–", "/b")
    assert not [w for w in found if w.startswith(("apis.a", "title", "actions"))]
    assert plan_differences(plan(), plan(base_url="http://127.0.0.1:1234")) == []
    assert plan_differences(plan(), plan(base_url="http://10.0.0.1:80"))[0]["what"] == "base_url"


def test_run_differences_are_versions_and_processes():
    found = run_differences({"versions": {"locust": "2.1"}, "processes": 1, "pid": 3}, {"versions": {"locust": "2.2"}})
    assert {c["what"] for c in found} == {"versions.locust", "processes"}


def test_repetitions_over_hidden_differences_are_refused():
    check_poolable([{"plan_digest": "d"}] * 3)
    with pytest.raises(ValueError, match=r"got plan_digest: d1 and d2; compare them as two sides"):
        compare_runs([run(1), run(2, plan_digest="d2")], [run(3)])
    with pytest.raises(ValueError, match=r"versions\.locust: 2 and 3"):
        compare_runs([run(1), run(2, versions={"locust": "3"})], [run(3)])
    with pytest.raises(ValueError, match="at least one run on each side"):
        compare_runs([], [run(3)])


def test_of_a_cycles_repetitions_those_that_differ_are_left_out_and_told():
    other = run(2, versions={"locust": "3"})
    kept, left_out = poolable([run(1), other, run(3)])
    assert len(kept) == 2
    assert left_out == [{"what": "scenario mix, repetitions: versions.locust", "before": "2", "after": "3"}]
    found = compare_cycles(cycle(1, [run(1), other, run(3)]), cycle(2, [run(4)]))
    assert left_out[0] in found["changes"]
    assert found["freedom"] == 1
    assert poolable([]) == ([], [])


def test_without_requests_there_is_nothing_to_resample():
    other = run(2)
    other.requests = None
    assert compare_runs([run(1)], [other]) == []
