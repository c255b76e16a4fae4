"""Notebook 60 of the recorded cycle: numbers of the tables, both languages, and what a second cycle adds."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from genkai.analyse.scalability import fit_scalability
from genkai.pages.report import Report, scale_record
from genkai.report import sections
from genkai.report.display import Displayed
from genkai.report.messages import Messages
from genkai.study import Study, facts, read_study
from genkai.workspace import Cycle
from sample_cycles import SAMPLE, checksums, copy_sample, own_cycle, plain

LANGUAGES = ("en", "ja")
ACTION = {"what": "load balancer warmed", "cause": "load_balancer_capacity", "owner": "A. Engineer", "due": "today"}


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(Cycle(SAMPLE))


@pytest.fixture(scope="module")
def computed(study: Study) -> dict[str, Any]:
    """What does not depend on the language, computed once."""
    made = Report(study)
    return {name: getattr(made, name) for name in ("verdicts", "scale", "findings")}


@pytest.fixture(scope="module", params=LANGUAGES)
def report(request: pytest.FixtureRequest, study: Study, computed: dict[str, Any]) -> Report:
    made = Report(study, request.param)
    vars(made).update(computed)
    return made


@pytest.fixture(scope="module")
def parts(report: Report) -> dict[str, Displayed]:
    """Every section, made once."""
    return {name: getattr(report, name)() for name in ("decision", "results", "explanation", "closing")}


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Cycle 2 with the same tables as cycle 1, after an action that did nothing."""
    place = tmp_path_factory.mktemp("two")
    first = own_cycle(place, 1)
    first.write_result("verdicts", {"overall": {"status": "fail"}})
    return Report(read_study(own_cycle(place, 2, edit=lambda plan: plan.update(actions=[ACTION]))))


def test_page_1_says_verdict_limit_and_cause(report: Report, parts: dict[str, Displayed]) -> None:
    m, told = report.m, plain(parts["decision"])
    assert f"[{m('status.fail')}]" in told
    best = report.study.main("scenario").whole["throughput_rps"].max()
    limit = report.scale.fit["ceiling_rps"]
    assert limit["value"] == pytest.approx(best, rel=0.03)
    assert f"{limit['value']:.0f}" in told
    assert re.search(rf"{report.study.target_rps:.3g}", told)
    finding = report.findings["findings"][0]
    assert m(f"cause.{finding['cause']}.name") in told or str(m.text(finding["claim_key"], **finding["values"])) in told


def test_the_title_block_holds_the_frozen_plan(report: Report) -> None:
    stated = report.document().document()
    assert stated["language"] == report.lang if "language" in stated else report.document().to_plain()
    assert report.study.plan.digest() in json.dumps(report.document()._repr_mimebundle_(), default=str)


def test_each_step_and_its_levels(report: Report, parts: dict[str, Displayed]) -> None:
    shown = parts["results"]
    told = plain(shown)
    for run in report.study.runs:
        for value in run.whole["throughput_rps"]:
            assert report.m.format({"value": value, "unit": "rps"}) in told
    assert {"fig-ceiling", "fig-apis"} <= set(shown.labels())


def test_what_a_mix_answered_by_api_stands_where_its_verdicts_refer_to(
    report: Report, parts: dict[str, Displayed]
) -> None:
    apis = {call.api for scenario in report.study.plan.scenarios for call in scenario.calls}
    rows = [t for t in report.verdicts["targets"] if t["step"] == "scenario" and t["api"] in apis]
    assert {t["api"] for t in rows} == apis
    assert {t["evidence"] for t in rows} == {"tab-apis-scenario"}
    (table,) = [shown for part in parts["results"].items for shown in part.items
                if shown.labels() == ("tab-apis-scenario",)]  # fmt: skip
    told = {str(row[0]): " | ".join(map(str, row)) for row in table.cells}
    assert len(told) == len(table.cells), "the level that decides, no other"
    for target in rows:
        value = {**target["measured"], "low": None, "high": None}
        assert report.m.format(value) in told[target["api"]], target["what"]


def test_intended_starts_stand_in_the_report_where_the_plan_asks_for_them(
    tmp_path: Path, report: Report, parts: dict[str, Displayed], computed: dict[str, Any]
) -> None:
    def ask(plan: dict[str, Any]) -> None:
        plan["steps"]["scenario"]["intended_starts"] = True

    asked = Report(read_study(own_cycle(tmp_path, 1, edit=ask)), report.lang)
    vars(asked).update(computed)
    label = report.m("caption.step_paced", step=report.m("step.scenario"))
    assert label in plain(asked.results())
    assert label not in plain(parts["results"])
    measured, corrected = asked._levels()["scenario"], asked._paced()["scenario"]
    assert list(asked._paced()) == ["scenario"]
    assert (corrected["p99_s"] >= measured.loc[corrected.index, "p99_s"] - 1e-9).all()
    assert corrected["throughput_rps"].tolist() == measured["throughput_rps"].tolist()


def test_explanation_and_closing(report: Report, parts: dict[str, Displayed]) -> None:
    shown = parts["explanation"]
    assert plain(shown)
    assert {"fig-hockey-stick", "fig-timeline", "fig-evidence-1"} <= set(shown.labels())
    told = plain(parts["closing"])
    for row in facts.limit_rows(report.study):
        assert str(report.m.text(row["text_key"], **row["values"]))[:20] in told
    assert report.study.plan.digest() in told
    assert all(r.run.name in told for r in report.study.runs)


def test_every_reference_has_its_figure_or_table(report: Report, parts: dict[str, Displayed]) -> None:
    """A reference to a label that nothing defines would break the PDF."""
    labels = [label for part in parts.values() for label in part.labels()]
    assert len(labels) == len(set(labels)), "each label is defined once"
    evidence = {row["evidence"] for row in report.verdicts["targets"] if row["evidence"]}
    assert evidence <= set(labels)
    used = set(re.findall(r"@((?:fig|tab)-[a-z0-9-]+)", "".join(part.to_typst() for part in parts.values())))
    assert used <= set(labels)


def test_the_first_cycle_has_nothing_to_compare(report: Report, parts: dict[str, Displayed]) -> None:
    assert report.before is None
    assert report.comparison is None
    assert "fig-compare" not in parts["closing"].labels()


def test_verdicts_go_beside_the_sample_not_into_it(tmp_path: Path, computed: dict[str, Any]) -> None:
    cycle = copy_sample(tmp_path)
    before = checksums(cycle.path)
    made = Report(read_study(cycle))
    vars(made).update(computed)
    made.write()
    assert checksums(cycle.path) == before
    folder = tmp_path / "data/cycles/.recorded/sample"
    assert sorted(p.name for p in folder.iterdir()) == ["actions.json", "summary.json", "verdicts.json"]
    assert json.loads((folder / "verdicts.json").read_text()) == json.loads(json.dumps(made.verdicts))


def test_a_second_cycle_is_compared_with_the_first(second: Report) -> None:
    assert second.before.cycle.number == 1
    second.write()
    written = second.study.cycle.read_result("comparison")
    assert {row["verdict"] for row in written["rows"]} <= {"same", "cannot_tell"}, "the same tables twice"
    shown = second.closing()
    told = plain(shown)
    assert "fig-compare" in shown.labels()
    assert ACTION["what"] in told
    assert f"[{Messages('en')('status.did_not_work')}]" in told, "its cause is still found"


def test_what_was_said_of_cycles_that_are_gone_goes(tmp_path: Path, computed: dict[str, Any]) -> None:
    cycle = own_cycle(tmp_path)
    for name in ("history", "comparison"):
        cycle.write_result(name, {"rows": []})
    made = Report(read_study(cycle))
    vars(made).update(computed)
    made.write()
    assert {p.name for p in cycle.results_dir.iterdir()} & {"history.json", "comparison.json"} == set()
    assert cycle.result("verdicts.json").exists()


def test_the_comparison_shows_main_rows_only_the_mix_first(second: Report) -> None:
    rows = second._compared()["rows"]
    assert 0 < len(rows) < len(second.comparison["rows"])
    assert all(row["api"] == row["subject"] for row in rows)
    order = [("verify", "api", "scenario", "endurance", None).index(row["step"]) for row in rows]
    assert order == sorted(order, reverse=True)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_cycle_that_was_stopped_before_its_first_run(tmp_path: Path, lang: str) -> None:
    """After a finished one: what there is is told, and nothing fails."""
    first = own_cycle(tmp_path, 1)
    first.write_result("verdicts", {"overall": {"status": "fail"}})
    bare = Report(read_study(own_cycle(tmp_path, 2, runs=False, results=False)), lang)
    assert bare.scale is None
    assert bare.findings is None
    assert bare.verdicts["overall"]["status"] != "pass"
    told = [part.to_plain() for part in (bare.decision(), bare.results(), bare.explanation(), bare.closing())]
    assert f"[{bare.m('status.' + bare.verdicts['overall']['status'])}]" in told[0]
    assert told[3]


def test_the_cycle_before_may_have_measured_nothing(tmp_path: Path) -> None:
    first = own_cycle(tmp_path, 1, runs=False, results=False)
    first.write_result("verdicts", {"overall": {"status": "not_run"}})
    made = Report(read_study(own_cycle(tmp_path, 2)))
    assert plain(made.closing())


def test_a_cycle_that_lacks_the_main_run_is_passed_over(tmp_path: Path) -> None:
    """Cycle 2 was stopped before its scenario: cycle 3 is compared with cycle 1, and says so."""
    first, second = own_cycle(tmp_path, 1), own_cycle(tmp_path, 2)
    shutil.rmtree(second.run("scenario", "shopping").path)
    for cycle in (first, second):
        cycle.write_result("verdicts", {"overall": {"status": "fail"}})
    third = own_cycle(tmp_path, 3, edit=lambda plan: plan.update(purposes=["improvement"]))
    said = {"en": "Compared with cycle 1: “Scenario · shopping” was not measured in cycle 2.",
            "ja": "第 2 回では「シナリオ · shopping」を計測していないため、第 1 回と比較する。"}  # fmt: skip
    for lang, words in said.items():
        made = Report(read_study(third), lang)
        assert made.comparison["before"] == 1
        assert "scenario" in {row["step"] for row in made.comparison["rows"]}
        assert words in plain(made.closing())
        assert ("over cycle 1 could" if lang == "en" else "第 1 回からの改善は") in plain(made.decision())
    shutil.rmtree(first.run("scenario", "shopping").path)
    alone = Report(read_study(third))
    assert alone.comparison["before"] == 2
    assert "No earlier cycle measured “Scenario · shopping”" in plain(alone.closing())


def test_a_machine_that_bears_the_name_of_an_api_refers_to_the_table_of_machines(tmp_path: Path) -> None:
    def ask(plan: dict[str, Any]) -> None:
        plan["targets"]["machines"] = [{"metric": "CPUUtilization", "resource": "ec2", "at_most": 70}]

    cycle = own_cycle(tmp_path, edit=ask)
    path = cycle.run("scenario", "shopping").path / "metrics.cloudwatch.parquet"
    metrics = pd.read_parquet(path)
    metrics["resource"] = metrics["resource"].str.replace(r"^ec2:.*", "ec2:search", regex=True)
    metrics.to_parquet(path)
    rows = [t for t in Report(read_study(cycle)).verdicts["targets"] if t["step"] == "scenario"]
    machine = [t for t in rows if t["kind"] == "machine"]
    assert [(t["api"], t["evidence"]) for t in machine] == [("search", "tab-machines-scenario")]
    assert {t["evidence"] for t in rows if t["api"] == "search" and t not in machine} == {"tab-apis-scenario"}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_page_1_and_the_steps_call_a_machine_as_the_tables_do(tmp_path: Path, lang: str) -> None:
    def ask(plan: dict[str, Any]) -> None:
        plan["targets"] = {"throughput_rps": 400, "p95_ms": 2000, "error_ratio": 0.5}
        plan["targets"]["machines"] = [{"metric": "CPUUtilization", "resource": "ec2", "at_most": 3}]

    made = Report(read_study(own_cycle(tmp_path, edit=ask)), lang)
    (row,) = (t for t in made.verdicts["targets"] if t["kind"] == "machine")
    assert row["status"] == "fail"
    told = plain(made.decision()) + plain(made.results())
    assert row["api"] not in told
    assert row["values"]["metric"] not in told
    assert told.count(made.m("page.instance", n=1)) >= 4, "the banner, the steps' table, their paragraph, the targets"


@pytest.mark.parametrize(
    ("throughput", "knee"),
    [((98, 243, 391, 472, 490, 517), True), ((98, 246, 391, 490, 734, 963), False)],
    ids=["bends, with a slope beyond", "hardly leaves the line"],
)
def test_a_knee_is_stated_where_the_figure_shows_one(throughput: tuple[float, ...], knee: bool) -> None:
    fit = fit_scalability((100, 250, 400, 500, 750, 1000), throughput)
    assert fit["bend"] is False
    record = scale_record(SimpleNamespace(fit=fit))
    assert (record["growth"], record["knee"] is not None, record["ceiling"]) == (
        "slows" if knee else "straight",
        knee,
        None,
    )
    assert ("fit.warning.no_bend" in [w["key"] for w in record["warnings"]]) != knee
    told = sections.scale(Messages(), record).to_plain()
    assert (Messages()("scale.knee") in told) == knee
    assert (Messages()("scale.read_straight", model=Messages()(f"model.{fit['model']}")) in told) != knee
