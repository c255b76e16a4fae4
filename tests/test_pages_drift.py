"""The drift part of notebook 50 and of the report: a leak with its figure, nothing that drifts, no endurance at all."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genkai import schema
from genkai.pages.drift import drift
from genkai.pages.findings import exit_code, findings_record, findings_text
from genkai.report.messages import Messages
from genkai.report.sections.decision import decision
from genkai.steps import judge_step
from genkai.study import Study, read_study
from genkai.study.actions import proposed_rows
from genkai.study.results import cycle_record, drift_findings
from genkai.workspace import Cycle
from sample_cycles import SAMPLE, own_cycle, plain

HOLD_S = 40


def endured(place: Path, used: np.ndarray, machines: bool = False) -> Study:
    """The recorded cycle with an endurance step: the last level of its scenario, held on, and this memory."""

    def edit(plan: dict[str, Any]) -> None:
        plan["preconditions"]["hold_h"] = 2
        if not machines:  # nothing tells of instances in what is made here
            del plan["targets"]["machines"]

    cycle = own_cycle(place, results=False, edit=edit)
    source, run = cycle.run("scenario", "shopping"), cycle.run("endurance", "shopping")
    run.path.mkdir(parents=True)
    start = source_start(source)
    mark = {
        "level": 0,
        "workload": "closed",
        "intended": 100.0,
        "start": start,
        "hold_start": start,
        "end": start + HOLD_S,
    }
    (run.path / "marks.json").write_text(pd.Series([mark]).to_json(orient="values"))
    run.write_record(**{**source.record(), "step": "endurance", "state": "finished", "stop_reason": None})
    for table in ("requests", "failures", "generator"):
        schema.write_table(pd.read_parquet(source.table(table)), table, run.table(table))
    times = pd.to_datetime(start + np.arange(len(used)), unit="s", utc=True).astype("datetime64[us, UTC]")
    rows = pd.DataFrame({
        "time": times, "source": "proc", "resource": "host:local", "metric": "mem_used_ratio", "statistic": "sample",
        "unit": "ratio", "period_s": 1.0, "value": used,
    })  # fmt: skip
    schema.write_table(schema.check_table(rows, "metrics"), "metrics", run.table("metrics", "hosts"))
    return read_study(cycle)


def source_start(run) -> float:
    return float(pd.read_json(run.path / "marks.json")["hold_start"].iloc[0])


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return endured(tmp_path_factory.mktemp("leak"), 0.3 + 0.5 * np.arange(HOLD_S) / HOLD_S)


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Study:
    rng = np.random.default_rng(1)
    return endured(tmp_path_factory.mktemp("steady"), 0.3 + rng.normal(0, 0.001, HOLD_S))


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_a_leak_is_told_with_its_table_and_its_figure(leaking: Study, lang: str) -> None:
    m, shown = Messages(lang), drift(leaking, lang)
    assert set(shown.labels()) == {"tab-drift", "fig-drift"}
    told = plain(shown)
    assert f"[{m('status.drifts')}]" in told
    assert m("drift.memory_available") in told
    assert m("cause.memory_leak.risk") in told


def test_told_elsewhere_it_is_not_told_twice(leaking: Study) -> None:
    assert Messages()("cause.memory_leak.risk") not in plain(drift(leaking, told=True))


def test_the_step_fails_though_its_targets_are_met(leaking: Study) -> None:
    verdict = judge_step(leaking, "endurance")
    assert {row["status"] for row in verdict["targets"]} == {"pass"}
    assert (verdict["status"], verdict["why_key"]) == ("fail", "verdict.why.will_not_last")
    step = next(s for s in cycle_record(leaking)["steps"] if s["step"] == "endurance")
    assert step["status"] == "fail"
    for lang in ("en", "ja"):
        assert Messages(lang)(verdict["why_key"], **verdict["values"])


def test_what_is_used_up_fails_the_step_though_a_machine_was_not_measured(tmp_path: Path) -> None:
    study = endured(tmp_path, 0.3 + 0.5 * np.arange(HOLD_S) / HOLD_S, machines=True)
    verdict = judge_step(study, "endurance")
    step = next(s for s in cycle_record(study)["steps"] if s["step"] == "endurance")
    assert (step["status"], step["why_key"]) == ("fail", "verdict.why.used_up")
    assert verdict["status"] == "fail"
    for lang in ("en", "ja"):
        assert Messages(lang)(step["why_key"], **step["values"])


def test_page_1_does_not_call_the_endurance_step_passed_and_the_actions_hold_its_remedy(
    leaking: Study, steady: Study
) -> None:
    m = Messages()
    for study, status in ((leaking, "fail"), (steady, "pass")):
        page = decision(m, cycle_record(study)).to_plain()
        row = next(line for line in page.splitlines() if line.startswith(m("step_short.endurance")) and " | " in line)
        assert f"[{m(f'status.{status}')}]" in row
        asked = [row["action"]["key"] for row in proposed_rows(study, {"findings": []})]
        assert ("cause.memory_leak.remedy" in asked) is (status == "fail")
    twice = proposed_rows(leaking, {"findings": drift_findings(leaking)})
    assert len(twice) == len(drift_findings(leaking))


def test_what_is_steady_is_said_to_be(steady: Study) -> None:
    assert drift_findings(steady) == []
    told = plain(drift(steady))
    assert Messages()("page.no_drift") in told
    assert "[DRIFTS]" not in told
    assert judge_step(steady, "endurance")["status"] == "pass"


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_command_tells_it_too(leaking: Study, lang: str) -> None:
    record = findings_record(leaking.cycle.run("endurance", "shopping").path, lang=lang)
    assert (record["answer_key"], exit_code(record)) == ("answer.drift", 1)
    m, told = Messages(lang), findings_text(record, lang, 100)
    assert m("section.drift") in told
    assert m("status.drifts") in told


def test_without_an_endurance_step_nothing_is_claimed() -> None:
    study = read_study(Cycle(SAMPLE))
    assert plain(drift(study)) == Messages()("page.no_endurance")
    assert drift_findings(study) == []
