"""Facts for the report: what differs from production, planned load, what became of actions, what cannot be said."""

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from genkai.plan import Plan
from genkai.report.messages import Messages
from genkai.study import Study, facts, read_study
from genkai.workspace import Cycle, write_json
from sample_cycles import SAMPLE, own_cycle


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(Cycle(SAMPLE))


def changed(plan: Plan, **fields: Any) -> Plan:
    return Plan.model_validate({**plan.model_dump(by_alias=True), **fields})


def with_plan(study: Study, **fields: Any) -> Study:
    return dataclasses.replace(study, plan=changed(study.plan, **fields))


@pytest.mark.parametrize(
    ("url", "host"),
    [("http://shop.example.com", "shop.example.com"), ("https://shop.example.com:8443", "shop.example.com"),
     ("http://[::1]:8080", "::1"), ("http://[::1]", "::1"), ("http://127.0.0.1:80", "127.0.0.1")],
)  # fmt: skip
def test_the_host_of_an_address(study: Study, url: str, host: str) -> None:
    assert facts.host_of(changed(study.plan, base_url=url)) == host


@pytest.mark.parametrize(
    ("url", "shared"),
    [("http://127.0.0.1:1", True), ("http://[::1]", True), ("http://[::1]:1", True), ("http://localhost", True),
     ("http://shop.example.com", False), ("http://[2001:db8::1]", False)],
)  # fmt: skip
def test_whether_generator_and_target_share_a_machine(study: Study, url: str, shared: bool) -> None:
    assert facts.shares_machine(changed(study.plan, base_url=url)) is shared


def test_facts_are_written_as_people_do() -> None:
    given = {"instance_type": "t3.medium", "prewarmed": True, "stubs": False, "instances": 2}
    assert facts.plainly(given) == ["instance type: t3.medium", "prewarmed: yes", "stubs: no", "instances: 2"]


@pytest.mark.parametrize(
    ("facts_given", "line"),
    [({"a": "x" * 40, "b": "y" * 40, "c": "z" * 40}, f"a: {'x' * 40}; b: {'y' * 40}; …"),
     ({"machines": "sixteen " * 15}, f"machines: {'sixteen ' * 13}".rstrip() + "…"),
     ({"構成": "大" * 200}, f"構成: {'大' * 116}…"), ({"a": 1}, "a: 1")],
)  # fmt: skip
def test_a_long_environment_is_cut_between_facts_else_between_words(
    study: Study, facts_given: dict[str, Any], line: str
) -> None:
    told = facts.environment_line(changed(study.plan, environment={"target": facts_given}))
    assert told == line
    assert len(told) <= 123


@pytest.mark.parametrize(
    ("target", "production", "words", "expected"),
    [
        ({"instances": 2}, {"instances": 2}, [], []),
        ({"instances": 2, "cache": "cold"}, {"instances": 8}, [], ["instances: 2 ≠ 8"]),
        ({}, {"instances": 8}, [], ["instances: – ≠ 8"]),
        ({"prewarmed": False}, {"prewarmed": True}, ["no TLS"], ["no TLS", "prewarmed: no ≠ yes"]),
        ({"url": "a: b"}, {"url": "c: d"}, [], ["url: a: b ≠ c: d"]),
        ({"only_here": 1}, {}, [], []),
    ],
)
def test_differences_of_environments(study: Study, target, production, words, expected) -> None:
    environment = {"target": target, "production": production, "differences": words}
    assert facts.differences(changed(study.plan, environment=environment)) == expected


def test_planned_load_is_a_number_where_there_is_one_target_else_a_share(study: Study) -> None:
    steps = {s["step"]: s for s in facts.setup_record(study)["steps"]}
    assert list(steps) == ["verify", "api", "scenario", "endurance"]
    part = study.plan.steps.verify
    assert steps["verify"]["levels"] == [level.target_ratio * study.target_rps for level in part.levels]
    assert steps["api"]["levels"] == [f"{level.target_ratio:.0%}" for level in study.plan.steps.api.levels]
    assert steps["scenario"]["levels"] == [float(level.users) for level in study.plan.steps.scenario.levels]
    assert steps["api"]["duration_s"] == sum(x.ramp_s + x.hold_s for x in study.plan.steps.api.levels) * 3
    assert (steps["api"]["workload"], steps["scenario"]["workload"]) == ("open", "closed")


def test_one_api_has_a_target_of_its_own_and_rates_are_rates(study: Study) -> None:
    steps = study.plan.steps.model_dump(by_alias=True)
    steps["api"] |= {"apis": ["search"], "levels": [{"target_ratio": 0.5}]}
    one = facts.setup_record(with_plan(study, steps=steps))["steps"]
    assert next(s for s in one if s["step"] == "api")["levels"] == [0.5 * study.split["search"]]
    steps["api"] |= {"apis": ["search", "item"], "levels": [{"arrival_rate_rps": 37.5}]}
    rate = facts.setup_record(with_plan(study, steps=steps))["steps"]
    assert next(s for s in rate if s["step"] == "api")["levels"] == [37.5]


def test_conditions_name_what_is_watched_and_leave_out_what_is_empty(study: Study) -> None:
    rows = {r["key"]: r["value"] for r in facts.setup_record(study)["rows"]}
    assert rows["watched"] == ["local (generator)", study.plan.aws.load_balancer]
    assert rows["hold"] == {"value": study.plan.preconditions.hold_h * 3600, "unit": "duration"}
    assert "actions_taken" not in rows
    assert all(rows.values())
    assert all(f"setup.{key}" in Messages(lang) for key in rows for lang in ("en", "ja"))


def limits(study: Study) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in facts.limit_rows(study):
        rows.setdefault(row["text_key"], []).append(row["values"])
    return rows


@pytest.mark.parametrize(("lang", "said"), [
    ("en", "worker-0, worker-2 (load-1) was lost while the load ran; 66.7% of the load is missing"),
    ("ja", "負荷をかけている間に worker-0, worker-2 (load-1) が失われた。以後、負荷の 66.7% が欠けている"),
])  # fmt: skip
def test_the_report_says_what_lost_load_processes_took_along(lang: str, said: str) -> None:
    study = read_study(Cycle(SAMPLE))
    run = study.of("api")[0]
    run.record.update(lost_processes=["worker-0", "worker-2"], lost_share=2 / 3, process_hosts={"worker-2": "load-1"})
    (values,) = limits(study)["limits.lost_processes"]
    assert said in str(Messages(lang).text("limits.lost_processes", **values))


def test_the_report_says_whose_clock_was_off_and_by_how_much() -> None:
    study = read_study(Cycle(SAMPLE))

    def at(**seconds: float) -> dict:
        return {host: {"offset_s": s, "uncertainty_s": 0.002, "warnings": []} for host, s in seconds.items()}

    study.of("api")[0].record["clock_offsets"] = {"start": at(web=0.2, db=-0.3), "end": at(web=-0.4, db=-0.3, app=0.09)}
    study.of("api")[1].record["clock_offsets"] = {"start": at(web=0.1), "end": {"web": {"error": "not reached"}}}
    rows = limits(study)["limits.clock"]
    assert [(r["host"], r["offset"]["value"]) for r in rows] == [("db", -0.3), ("web", -0.4)]
    assert "web was off by −400 ms at most (known to 2 ms); in each run its samples were moved by the mean" in str(
        Messages("en").text("limits.clock", **rows[1])
    )
    assert "web の時計は最大 −400 ms ずれていた（不確かさ 2 ms）。サンプルの時刻は、実行ごとに" in str(
        Messages("ja").text("limits.clock", **rows[1])
    )


def test_the_report_says_that_values_may_still_change(tmp_path: Path) -> None:
    cycle = own_cycle(tmp_path, edit=lambda plan: plan["aws"].update(endpoints={}))
    run = cycle.run("api", "item")
    end = datetime.fromisoformat(run.record()["end"])
    for minutes, told in ((4, [{"runs": "2-api-item"}]), (11, None)):
        fetched = (end + timedelta(minutes=minutes)).isoformat()
        for each in cycle.runs():
            late = fetched if each.name == run.name else "2099-01-01T00:00:00+00:00"
            write_json(each.raw("cloudwatch.json"), {"fetched_at": late, "series": {}})
        assert limits(read_study(cycle)).get("limits.preliminary") == told


def test_what_the_report_cannot_say(study: Study) -> None:
    rows = limits(study)
    told = facts.differences(study.plan)
    assert rows["limits.environment_differs"] == [{"differences": told}]
    assert "prewarmed: no ≠ yes" in told
    assert rows["limits.generator_margin"][0]["ceiling"]["value"] == study.ceiling["throughput_rps"]
    assert rows["limits.step_missing"] == [{"step": {"key": "step.endurance"}}]
    longest = max((r.whole["window_end"] - r.whole["window_start"]).max().total_seconds() for r in study.runs)
    assert rows["limits.short_run"] == [{"duration": longest}]
    assert "limits.same_machine" in rows
    for key in rows:
        assert all(key in Messages(lang) for lang in ("en", "ja"))


def test_what_does_not_apply_is_not_said(study: Study) -> None:
    elsewhere = with_plan(
        study, base_url="http://shop.example.com", environment={}, allow=[{"host": "shop.example.com"}]
    )
    rows = limits(dataclasses.replace(elsewhere, runs=()))
    assert set(rows) == {"limits.single_run", "limits.step_missing"}
    assert len(rows["limits.step_missing"]) == 4


def test_the_appendix_names_settings_versions_and_runs(study: Study) -> None:
    record = facts.appendix_record(study)
    assert record["plan_hash"] == study.plan.digest()
    assert record["versions"] == study.runs[0].record["versions"]
    assert [r["run_id"] for r in record["runs"]] == [r.run.name for r in study.runs]
    assert {r["stop_reason"] for r in record["runs"]} == {"finished"}
    assert record["settings"]["base_url"] == study.plan.base_url
    assert record["settings"]["environment"] == facts.plainly(study.plan.environment.target)


def test_a_run_that_was_stopped_says_why(tmp_path: Path) -> None:
    cycle = own_cycle(tmp_path)
    cycle.run("api", "item").write_record(state="stopped", stop_reason="error ratio 0.9")
    rows = {r["run_id"]: r for r in facts.run_rows(cycle.runs())}
    assert rows["2-api-item"]["stop_reason"] == "error ratio 0.9"
    assert rows["2-api-item"]["step"] == "api"
    assert rows["2-api-order"]["stop_reason"] == "finished"


def test_the_window_is_that_of_all_runs(study: Study) -> None:
    marks = [m for r in study.runs for m in r.marks]
    assert facts.window_of(study) == (min(m["start"] for m in marks), max(m["end"] for m in marks))
    reversed_runs = dataclasses.replace(study, runs=study.runs[::-1])
    assert facts.window_of(reversed_runs) == facts.window_of(study)
    unmarked = tuple(dataclasses.replace(r, marks=[]) for r in study.runs)
    assert facts.window_of(dataclasses.replace(study, runs=unmarked)) == ()


def test_a_plan_that_was_changed_after_it_was_run_is_told(study: Study) -> None:
    assert "limits.plan_changed" not in limits(study)
    (values,) = limits(with_plan(study, title="Another title"))["limits.plan_changed"]
    assert study.of("api")[0].run.name in values["runs"]
