"""Notebook 10 of the recorded plan: its numbers against the rule worked by hand, in both languages."""

import dataclasses
from pathlib import Path

import pytest

from genkai.pages import plan as page
from genkai.pages.plan_document import PlanDocument
from genkai.pages.plan_tables import actions, safety, safety_settings
from genkai.plan import Action, HostLimit, StopRule
from genkai.report.messages import Messages
from genkai.study import Study, read_study
from genkai.workspace import Cycle
from sample_cycles import SAMPLE, own_cycle, plain, table_rows

LANGUAGES = ("en", "ja")


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(Cycle(SAMPLE))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_part_is_shown(study: Study, lang: str) -> None:
    told = plain(page.conditions(study, lang))
    assert study.plan.base_url in told
    assert Messages(lang)("word.semicolon").join(study.plan.scope.included) in told
    assert plain(page.tornado(study, lang)).startswith("[fig-tornado]")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_estimate_is_the_rule_worked_by_hand(study: Study, lang: str) -> None:
    m, told = Messages(lang), plain(page.capacity(study, lang))
    rows = dict(table_rows(told, f"{m('column.item')} | "))
    users, accesses, peak, safety = 350_000, 20, 3, 3
    assert rows[m("factor.users_per_day")] == "350,000 (300,000–380,000)"
    assert rows[m("estimate.accesses_per_day")] == f"{users * accesses:,}"
    for key, value in (("mean", 1), ("peak", peak)):
        expected = m.format({"value": users * accesses / 86_400 * value, "unit": "rps"})
        assert rows[m(f"estimate.{key}")] == expected
    assert rows[m("estimate.target")].startswith(f"{users * accesses / 86_400 * peak * safety:.3g} rps (")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_each_api_has_its_share(study: Study, lang: str) -> None:
    m = Messages(lang)
    rows = {r[0]: r for r in table_rows(plain(page.split(study, lang)), f"{m('column.api')} | ")}
    assert list(rows) == [a.name for a in study.plan.apis]
    for api in study.plan.apis:
        value = study.target_rps * api.share if api.share else None
        assert rows[api.name][2] == m.format({"value": value, "unit": "rps"})
    assert rows["order"][1] == "POST /orders"
    assert f"p95 {m('number.at_most', value='200 ms')}" in rows["order"]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_load_curve_for_each_step(study: Study, lang: str) -> None:
    shown = page.load_curves(study, lang)
    assert shown.labels() == tuple(f"fig-load-{s}" for s in ("verify", "api", "scenario", "endurance"))
    seconds = sum(level.ramp_s + level.hold_s for level in study.plan.steps.scenario.levels)
    assert Messages(lang).format(seconds, "duration") in plain(shown.items[2])


def test_a_step_that_is_left_out_has_no_curve(tmp_path: Path) -> None:
    study = read_study(own_cycle(tmp_path, edit=lambda plan: plan["steps"].pop("api"), runs=False))
    assert "fig-load-api" not in page.load_curves(study).labels()


def test_a_stated_target_is_shown_the_same_way(tmp_path: Path) -> None:
    def stated(plan) -> None:
        del plan["estimate"]
        plan["targets"]["throughput_rps"] = 250.0

    study = read_study(own_cycle(tmp_path, edit=stated, runs=False))
    m = Messages("en")
    rows = dict(table_rows(plain(page.capacity(study)), f"{m('column.item')} | "))
    assert rows[m("estimate.target")] == "250 rps"
    assert plain(page.tornado(study))


def test_the_document_tells_a_hold_from_a_count_of_events(study: Study) -> None:
    limits = HostLimit(host="app", metric="run_queue", above=8), HostLimit(metric="oom_kills", above=0, for_s=60)
    plan = study.plan.model_copy(update={"stop": StopRule(hosts=list(limits))})
    told = plain(safety(Messages("en"), plan))
    assert "app: run_queue > 8 for 10 s, every host but the generators: oom_kills > 0 within 1 min" in told
    assert "app の run_queue > 8 が 10 秒" in plain(safety(Messages("ja"), plan))
    assert "の oom_kills > 0（1 分間の合計）" in plain(safety(Messages("ja"), plan))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_how_an_action_is_verified_has_a_column_where_a_plan_says_so(study: Study, lang: str) -> None:
    m, asked = Messages(lang), Action(what="warm", cause="load_balancer_capacity", verify="throughput above 520 rps")
    told = plain(actions(m, study.plan.model_copy(update={"actions": [asked, Action(what="ssd")]})))
    assert f" | {m('column_plan.shown_by')} | " in told
    assert " | throughput above 520 rps | " in told
    without = plain(actions(m, study.plan.model_copy(update={"actions": [Action(what="ssd")]})))
    assert m("column_plan.shown_by") not in without


@pytest.mark.parametrize("lang", LANGUAGES)
def test_an_actions_own_cause_is_shown_by_its_word(study: Study, lang: str) -> None:
    done = [Action(what="ssd", cause="slow_disk"), Action(what="warm", cause="load_balancer_capacity")]
    told = plain(actions(Messages(lang), study.plan.model_copy(update={"actions": done})))
    assert "ssd | slow_disk | " in told
    assert f"warm | {Messages(lang)('cause.load_balancer_capacity.name')} | " in told


@pytest.mark.parametrize(("lang", "stop", "allow"), [
    ("en", "when more than 50% of the requests fail for 10 s in a row; "
           "when response time p95 exceeds 800 ms for 10 s in a row",
     "this machine only (loopback)"),
    ("ja", "リクエストの 50% を超える失敗が 10 秒続いた場合、応答時間 p95 が 800 ms を超え 10 秒続いた場合",
     "本マシンのみ（ループバック）"),
])  # fmt: skip
def test_the_report_says_what_stops_and_where_load_may_go_as_the_plan_does(
    study: Study, lang: str, stop: str, allow: str
) -> None:
    m, limits = Messages(lang), [HostLimit(metric="oom_kills", above=0)]
    plan = study.plan.model_copy(update={"stop": StopRule(p95_ms=800, hosts=limits)})
    told = safety_settings(m, plan)
    assert (told["stop"][0], told["allow"]) == (stop, [allow])
    shown = plain(safety(m, plan))
    assert all(text in shown for texts in told.values() for text in texts)
    assert len(told["stop"]) == 2
    assert "oom_kills > 0" in told["stop"][1]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_levels_and_the_ceiling_add_up_to_the_load(study: Study, lang: str) -> None:
    document, m = PlanDocument(study, lang), Messages(lang)
    steps_s = sum(step["duration_s"] for step in document.setup["steps"])
    assert document.load_s - steps_s == document.ceiling_s > 0
    assert m.format(document.ceiling_s, "duration") in plain(document.load())
    parts = study.plan.steps
    without = parts.model_copy(update={"verify": parts.verify.model_copy(update={"ceiling_s": 0})})
    bare = PlanDocument(dataclasses.replace(study, plan=study.plan.model_copy(update={"steps": without})), lang)
    assert m("plan_doc.total", duration=steps_s) in plain(bare.load())


@pytest.mark.parametrize(("count", "en", "ja"), [(1, "1 process", "1 プロセス"), (4, "4 processes", "4 プロセス")])
def test_processes_are_counted(study: Study, count: int, en: str, ja: str) -> None:
    plan = study.plan.model_copy(update={"generator": study.plan.generator.model_copy(update={"processes": count})})
    assert page.generator_said(Messages("en"), plan) == f"this machine: {en}"
    assert page.generator_said(Messages("ja"), plan) == f"本マシン：{ja}"


def test_the_artifact_is_what_the_page_shows(tmp_path: Path) -> None:
    cycle = own_cycle(tmp_path, runs=False)
    path = page.write(read_study(cycle))
    assert path == cycle.path / "results/capacity.json"
    record = cycle.read_result("capacity")
    assert record["target_rps"] == pytest.approx(350_000 * 20 / 86_400 * 9)
    assert sum(record["split_rps"].values()) == pytest.approx(record["target_rps"])
