"""The analysis of a real recorded cycle: think time, fit, findings with their figures, verdicts, comparison."""

import json
from pathlib import Path

import pytest

from genkai.demo import story
from genkai.study import Study, read_study
from genkai.study.evidence import evidence_series
from genkai.study.results import (
    case_of,
    cycle_comparison,
    cycle_record,
    diagnose_run,
    fit_run,
    of_equal_size,
    tables_of,
    think_time_s,
)
from genkai.workspace import Cycle
from sample_cycles import SAMPLE, own_cycle, sized_cycle


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(Cycle(SAMPLE))


def test_think_time_is_the_weighted_mean_of_the_calls(tmp_path: Path, study: Study) -> None:
    def slower(plan) -> None:
        for call, seconds in zip(plan["scenarios"][0]["calls"], (1, 2, 6), strict=True):
            call["think_time_s"] = seconds
        plan["steps"]["api"] = {"think_time_s": 0.25, "levels": [{"users": 3, "hold_s": 5}]}

    changed = read_study(own_cycle(tmp_path, edit=slower))
    assert think_time_s(changed, changed.main("scenario")) == pytest.approx((5 * 1 + 3 * 2 + 2 * 6) / 10)
    assert think_time_s(changed, changed.main("api")) == 0.25
    assert think_time_s(study, study.main("scenario")) == pytest.approx(1.0)


def test_the_generators_links_are_its_bandwidth(tmp_path: Path, study: Study) -> None:
    cycle = own_cycle(tmp_path)
    read_study(cycle).main("scenario").run.write_record(link_bytes_per_s=1.25e9)
    told = read_study(cycle)
    facts = tables_of(told, told.main("scenario")).facts
    limits, here = facts.limits, facts.generator_host
    assert (limits[f"host:{here} network.in"], limits[f"host:{here} network.out"]) == (1.25e9, 1.25e9)
    assert not any(name.startswith("host:") for name in tables_of(study, study.main("scenario")).facts.limits)


def test_arrival_rates_and_own_locustfiles_have_no_think_time(tmp_path: Path, study: Study) -> None:
    assert think_time_s(study, study.main("api")) is None

    def own_file(plan) -> None:
        plan["scenarios"] = [{"name": "shopping", "locustfile": str(tmp_path / "mine.py")}]

    (tmp_path / "mine.py").write_text("")
    changed = read_study(own_cycle(tmp_path, edit=own_file))
    assert think_time_s(changed, changed.main("scenario")) is None


def test_a_step_that_the_plan_does_not_have_has_none_either(tmp_path: Path) -> None:
    changed = read_study(own_cycle(tmp_path, edit=lambda plan: plan["steps"].pop("api")))
    assert think_time_s(changed, changed.main("api")) is None


def test_the_fit_finds_the_limit_that_was_measured(study: Study) -> None:
    run = study.main("scenario")
    fit = fit_run(study, run)
    best = run.whole["throughput_rps"].max()
    assert fit["ceiling_rps"]["value"] == pytest.approx(best, rel=0.03)
    assert fit["ceiling_rps"]["value"] == pytest.approx(story.COLD_CAPACITY_RPS, rel=0.05)
    assert fit_run(study, study.main("verify"))["model"] is None, "one level is no line"


def test_the_tables_of_the_diagnosis_are_those_of_the_run(study: Study) -> None:
    run = study.main("scenario")
    tables = tables_of(study, run)
    assert tables.target_rps == study.target_rps
    assert tables.levels is run.whole
    assert list(case_of(study, run).levels["intended"]) == list(run.whole["intended"])


def test_known_ceilings_come_from_discovery_and_clocks_from_the_run(study: Study) -> None:
    facts = tables_of(study, study.main()).facts
    assert len(facts.limits) == 4
    assert {round(value * 8 / 1e9, 3) for value in facts.limits.values()} == {0.256}  # t3.medium's base line, Gbps
    assert facts.clock_offsets_s == {"local": (0.0, 0.0)}


def test_every_evidence_with_a_series_refers_to_the_figure_of_its_finding(study: Study) -> None:
    run = study.main("scenario")
    record = diagnose_run(study, run, fit_run(study, run))
    assert record["findings"][0]["cause"] == "load_balancer_capacity"
    for number, finding in enumerate(record["findings"], 1):
        drawn = set(evidence_series(run, finding)["metric"])
        for item in finding["evidence"]:
            assert item["figure"] == (f"fig-evidence-{number}" if item["metric"] in drawn else None)
    json.dumps(record, allow_nan=False)


def test_verdicts_agree_with_what_each_step_was_told_then(study: Study) -> None:
    record = cycle_record(study)
    told = {s["step"]: s["status"] for s in record["steps"]}
    for path in (SAMPLE / "results").glob("step-*.json"):
        step = json.loads(path.read_text())
        assert told[step["step"]] == step["status"], path.name
    assert told["endurance"] == "not_run"
    assert record["overall"]["status"] == "fail"
    missed = [t for t in record["targets"] if t["step"] == "scenario" and t["what"] == "throughput"]
    best = study.main("scenario").whole["throughput_rps"].max()
    assert missed[0]["measured"]["value"] == pytest.approx(best, rel=0.01)


def test_a_cycle_against_itself_is_neither_better_nor_worse(study: Study) -> None:
    record = cycle_comparison(study, study)
    verdicts = {row["verdict"] for row in record["rows"]}
    assert verdicts
    assert not verdicts & {"better", "worse"}


def test_cycles_are_compared_at_equal_size_only(tmp_path: Path, study: Study) -> None:
    before = read_study(sized_cycle(tmp_path, 1, 4, base=2))
    after = read_study(sized_cycle(tmp_path, 2, base=4, number=2))
    chosen = {r.step: r.run.name for r in of_equal_size(before, after)}
    assert chosen == {"verify": "1-verify-health", "api": chosen["api"], "scenario": "3-scenario-shopping@4"}
    alone = read_study(sized_cycle(tmp_path, base=8, number=3))
    assert "scenario" not in {r.step for r in of_equal_size(before, alone)}
    assert of_equal_size(study, before) == study.runs, "a size that nobody set counts as any"
