"""Notebook 20 around a run: what is planned, what was measured, the generator's ceiling, the verdict and its file."""

import dataclasses
import json
from pathlib import Path

import pytest

from genkai.pages import launch as page
from genkai.report.messages import Messages
from genkai.steps import StepError
from genkai.study import Study, read_study
from genkai.workspace import Cycle
from sample_cycles import SAMPLE, checksums, copy_sample, naive_level, own_cycle, plain, table_rows

LANGUAGES = ("en", "ja")


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(Cycle(SAMPLE))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_a_step_will_do(study: Study, lang: str) -> None:
    told = plain(page.planned(study, "api", lang))
    seconds = sum(level.ramp_s + level.hold_s for level in study.plan.steps.api.levels) * 3
    assert Messages(lang).format(seconds, "duration") in told
    assert "search, item, order" in told


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_step_that_is_not_planned_is_said(tmp_path: Path, lang: str) -> None:
    study = read_study(own_cycle(tmp_path, edit=lambda plan: plan["steps"].pop("endurance"), runs=False))
    m = Messages(lang)
    told = plain(page.planned(study, "endurance", lang))
    assert told == str(m.text("page.step_not_planned", step=m("step.endurance")))


def test_a_name_that_is_no_step_is_told(study: Study) -> None:
    with pytest.raises(StepError, match="step: expected one of verify, api, scenario, endurance, got 'warmup'"):
        page.planned(study, "warmup")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_levels_are_the_numbers_that_a_naive_count_gives(study: Study, lang: str) -> None:
    m, run = Messages(lang), study.main("scenario")
    shown = page.levels(study, "scenario", lang)
    header = shown.items[0].columns
    rows = [dict(zip(header, r, strict=True)) for r in
            table_rows(plain(shown), " | ".join(header.values()))]  # fmt: skip
    assert len(rows) == len(run.marks)
    for row, level in zip(rows, run.whole.to_dict("records"), strict=True):
        naive = naive_level(run, level)
        assert row["intended"] == m.format({"value": level["intended"], "unit": "users"})
        assert row["error_ratio"] == m.format({"value": naive["error_ratio"], "unit": "ratio"})
        assert row["p95"] == m.format({"value": level["p95_s"], "unit": "s"})
        assert level["p95_s"] == pytest.approx(naive["p95_s"], rel=2e-3)
        assert row["throughput"] == m.format({"value": level["throughput_rps"], "unit": "rps"})
        assert row["steady"] == m("word.yes")


def test_a_table_and_a_figure_for_each_run_of_the_step(study: Study) -> None:
    assert page.levels(study, "api").labels() == ("tab-levels-1", "tab-levels-2", "tab-levels-3")
    assert page.seconds(study, "api").labels() == ("fig-windows-1", "fig-windows-2", "fig-windows-3")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_before_a_run_it_says_so(study: Study, lang: str) -> None:
    m = Messages(lang)
    expected = str(m.text("page.nothing_ran", step=m("step.endurance")))
    assert plain(page.levels(study, "endurance", lang)) == expected
    assert plain(page.seconds(study, "endurance", lang)) == expected


def test_a_run_without_a_level_still_shows_what_was_sent(study: Study) -> None:
    run = dataclasses.replace(study.main("verify"), marks=[])
    short = dataclasses.replace(study, runs=(run,))
    assert plain(page.seconds(short, "verify"))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_ceiling_is_what_was_put_out(study: Study, lang: str) -> None:
    m, found = Messages(lang), study.ceiling
    records = page.ceiling_records(m, found)
    assert [r["value"] for r in records.values()] == [p["throughput_rps"] for p in found["measurements"]]
    key = "page.one_process" if found["measured"] else "page.one_process_at_least"
    assert list(records) == [m(key)], "an extrapolated ceiling is a lower bound"
    told = plain(page.ceiling(study, lang))
    assert m.format({"value": found["throughput_rps"] / study.target_rps, "unit": "factor"}) in told


def test_several_processes_are_told_apart() -> None:
    parts = [{"processes": n, "measured": n == 1, "throughput_rps": 100.0 * n} for n in (1, 2)]
    records = page.ceiling_records(Messages("en"), {**parts[0], "measurements": parts})
    assert {name: r["value"] for name, r in records.items()} == {"1 process": 100.0, "2 processes, at least": 200.0}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_ceiling_is_said(tmp_path: Path, lang: str) -> None:
    empty = read_study(own_cycle(tmp_path, runs=False))
    assert plain(page.ceiling(empty, lang)) == str(Messages(lang).text("page.no_ceiling"))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_verdict_opens_the_gate(tmp_path: Path, lang: str) -> None:
    study = read_study(own_cycle(tmp_path, results=False))
    assert not study.cycle.result("step-api.json").exists()
    told = plain(page.verdict(study, "api", lang))
    recorded = json.loads((SAMPLE / "results/step-api.json").read_text())
    assert told.startswith(f"[{Messages(lang)('status.' + recorded['status'])}]")
    written = json.loads(study.cycle.result("step-api.json").read_text())
    assert written["status"] == recorded["status"]
    assert [t["status"] for t in written["targets"]] == [t["status"] for t in recorded["targets"]]


def test_the_verdict_of_the_sample_goes_elsewhere(tmp_path: Path) -> None:
    cycle = copy_sample(tmp_path)
    before = checksums(cycle.path)
    page.verdict(read_study(cycle), "scenario")
    assert checksums(cycle.path) == before
    assert (tmp_path / "data/cycles/.recorded/sample/step-scenario.json").is_file()
