"""Sizes in notebook 40, the report and the verdict: a recorded run at three sizes, whose load balancer all share."""

import json
from pathlib import Path

import pytest

from genkai.pages import launch
from genkai.pages import sizes as page
from genkai.pages.findings import find_run
from genkai.pages.sizes import Sizes
from genkai.pages.whatif import what_if, whatif_of, whatif_record, whatif_text
from genkai.report.messages import Messages
from genkai.report.sections.sizes import counted
from genkai.study import Study, StudyError, read_study
from genkai.study.results import cycle_record
from genkai.study.sizes import main_scale_out, sized_runs, sized_subjects
from genkai.workspace import Cycle
from sample_cycles import SAMPLE, plain, sized_cycle

LANGUAGES = ("en", "ja")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return read_study(sized_cycle(tmp_path_factory.mktemp("sized"), 1, 4, price_per_hour=0.05))


@pytest.fixture(scope="module")
def shown(study: Study) -> Sizes:
    return Sizes(study)


def test_runs_of_each_size_are_found_smallest_first(study: Study) -> None:
    assert sized_subjects(study) == [("scenario", "shopping")]
    runs = sized_runs(study, "scenario", "shopping")
    assert {size: run.run.name for size, run in runs.items()} == {
        1: "3-scenario-shopping@1", 2: "3-scenario-shopping", 4: "3-scenario-shopping@4",
    }  # fmt: skip


def test_a_limit_that_all_sizes_share_gives_no_efficiency(shown: Sizes) -> None:
    rows = shown.record["rows"]
    assert [row["size"] for row in rows] == [1, 2, 4]
    assert [row["efficiency"]["value"] for row in rows] == pytest.approx([1, 0.5, 0.25], rel=1e-6)
    assert [row["cost_per_krps"]["value"] for row in rows] == pytest.approx(
        [50 * size / rows[0]["maximum_rps"]["value"] for size in (1, 2, 4)]
    )
    assert shown.record["needed"]["status"] == "unreachable"
    assert shown.largest["size"] == 4
    assert shown.largest["findings"]["findings"][0]["cause"] == "load_balancer_capacity"


def test_the_purpose_scalability_is_decided_by_the_sizes(study: Study, shown: Sizes) -> None:
    by = {p["purpose"]: p for p in cycle_record(study, None, shown.record)["purposes"]}
    assert (by["scalability"]["status"], by["scalability"]["why_key"]) == ("fail", "verdict.why.does_not_scale_out")
    without = {p["purpose"]: p for p in cycle_record(study)["purposes"]}
    assert without["scalability"]["why_key"] != by["scalability"]["why_key"]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_section_says_the_answer_and_every_number(shown: Sizes, lang: str) -> None:
    m, told = Messages(lang), plain(shown.section(lang))
    assert m("section.sizes") in told
    for row in shown.record["rows"]:
        for key in ("maximum_rps", "efficiency", "cost_per_krps"):
            assert m.format(row[key], "measured") in told
    assert str(m.text("sizes.base", base=counted(m, 2, "instances"))) in told
    for label in ("fig-size-maximum", "fig-size-curves", "fig-size-economy"):
        assert f"[{label}]" in told
    assert "729" in told, "the target"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_without_sizes_the_notebook_says_how_and_the_report_says_nothing(lang: str) -> None:
    alone = Sizes(read_study(Cycle(SAMPLE)))
    assert (alone.record, alone.largest) == (None, None)
    assert plain(alone.shown(lang)) == str(Messages(lang).text("sizes.none"))
    assert list(alone.section(lang).items) == []


def test_a_run_during_which_the_size_changed_is_left_out(tmp_path: Path) -> None:
    cycle = sized_cycle(tmp_path, 1, 4)
    cycle.run("scenario", "shopping", 4).write_record(resized_meanwhile=True)
    record = main_scale_out(read_study(cycle))
    assert [row["kind"] for row in record["rows"]] == ["limit", "limit", "unmeasured"]
    assert record["warnings"][-1]["key"] == "sizes.warning.resized"


def test_the_result_is_written_where_there_are_sizes(tmp_path: Path, study: Study) -> None:
    path = page.write(study)
    found = json.loads(path.read_text())["scenario/shopping"]
    assert (found["base"], sorted(found["fits"])) == (2, ["1", "2", "4"])
    assert page.write(read_study(Cycle(SAMPLE))) is None


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_step_shows_the_levels_of_every_size(study: Study, lang: str) -> None:
    told = plain(launch.levels(study, "scenario", lang))
    for title in ("shopping", "shopping @1", "shopping @4"):
        assert Messages(lang)("caption.run_levels", subject=title) in told


def test_one_size_can_be_diagnosed_by_its_folder(study: Study) -> None:
    assert find_run(sized_runs(study, "scenario", "shopping")[4].run.path)[1].size == 4


# ---- what if


def test_what_the_target_needs_is_told_in_both_languages(study: Study) -> None:
    for lang in LANGUAGES:
        m, told = Messages(lang), plain(what_if(study, study.main("scenario"), lang))
        assert m("whatif.note.never") in told
        assert m("whatif.size.unreachable") in told
        assert "1.4" in told, "the target is 1.4 times the limit"


def test_a_load_is_predicted_with_an_interval_and_goes_round(study: Study) -> None:
    run = study.main("scenario")
    at = whatif_of(study, run, load=300)["at_load"]
    assert at["throughput_rps"]["low"] <= at["throughput_rps"]["value"] <= at["throughput_rps"]["high"]
    back = whatif_of(study, run, target_rps=at["throughput_rps"]["value"])
    assert back["load_needed"]["value"] == pytest.approx(300, rel=1e-6)
    assert back["response_time"]["value"] == pytest.approx(at["response_time"]["value"], rel=1e-6)
    assert back["factor_of_limit"]["value"] < 1


def test_the_command_speaks_of_the_run_that_shows_the_limit(study: Study) -> None:
    record = whatif_record(study.cycle.path, target_rps=400, load=300)
    text = whatif_text(record)
    assert text.splitlines()[0] == "3-scenario-shopping, model: hard ceiling"
    assert "Size of the target for 400 rps: 1 instance" in text
    assert "Throughput at 300 users:" in text


def test_without_a_model_it_says_so(study: Study) -> None:
    verify = study.main("verify")
    record = whatif_of(study, verify)
    assert (record["model"], record["load_needed"]) == (None, None)
    assert record["warnings"][0] in whatif_text(record)
    sample = read_study(Cycle(SAMPLE))
    assert "no model" in plain(what_if(sample, sample.main("verify")))


@pytest.mark.parametrize(("given", "told"), [({"target_rps": 0}, "--target-rps"), ({"load": -1}, "--load")])
def test_what_makes_no_sense_is_refused(study: Study, given: dict, told: str) -> None:
    with pytest.raises(StudyError, match=f"{told}: expected a number > 0, got"):
        whatif_record(study.cycle.path, **given)
