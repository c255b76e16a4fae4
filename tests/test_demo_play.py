"""The demo's plan for a world that runs, and its summary: when the machine told another story, it says so."""

import json
from pathlib import Path

import pytest

from genkai.cycle import CycleOutcome
from genkai.demo import play, story
from genkai.demo.world import DemoWorld
from genkai.planfile import parse_plan
from sample_cycles import ROOT, own_cycle

NOTE = "  note: the story expects the load balancer to stop cycle 1"


@pytest.mark.load
def test_the_plan_gets_the_ports_of_the_world_and_after_the_remedy_its_action(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with DemoWorld(publish_period_s=1) as world:
        cold, warm = (parse_plan(play.plan_text(world, warmed=w), "demo", ROOT / "data/plans") for w in (False, True))
        url, endpoints = world.base_url, world.aws_endpoints
    for plan in (cold, warm):
        assert plan.base_url == url
        assert plan.aws.endpoints == endpoints
        assert plan.aws.load_balancer == story.LOAD_BALANCER
        assert plan.aws.period_s == play.PERIOD_S
        assert plan.environment.production["prewarmed"] is True
    assert (cold.environment.target["prewarmed"], warm.environment.target["prewarmed"]) == (False, True)
    assert cold.actions == []
    assert [(a.cause, a.done) for a in warm.actions] == [(play.CAUSE, True)]
    assert f"{story.WARM_CAPACITY_RPS:,.0f} rps" in warm.actions[0].what
    assert cold.digest() != warm.digest()
    assert cold.model_copy(update={"environment": warm.environment, "actions": warm.actions}) == warm, "nothing else"


def test_the_ports_for_serving_are_those_of_the_plan() -> None:
    text = (ROOT / play.PLAN).read_text()
    assert f"base_url: http://127.0.0.1:{play.PORT}\n" in text
    assert f"period_s: {play.PERIOD_S} " in text


def ended(place: Path, number: int, status: str, *causes: str) -> CycleOutcome:
    cycle = own_cycle(place, number, results=False)
    scenario = {"findings": [{"cause": cause} for cause in causes]}
    api = {"findings": [{"cause": "of another run"}]}
    cycle.write_result("findings", {"2-api-item": api, "3-scenario-shopping": scenario})
    return CycleOutcome(cycle, status, (Path(f"reports/demo/{number:02d}/report-en.pdf"),), 12.0)


@pytest.mark.parametrize(
    ("first", "second", "notes"),
    [
        (("fail", play.CAUSE, "target_cpu"), ("pass",), 0),
        (("fail", "generator_cpu", play.CAUSE), ("pass",), 1),
        (("fail",), ("pass",), 1),
        (("pass",), ("pass",), 1),
        (("cannot_tell", play.CAUSE), ("pass",), 1),
        (("fail", play.CAUSE), ("fail", "target_cpu"), 1),
        (("fail", play.CAUSE), ("cannot_tell",), 1),
        (("cannot_tell",), ("fail",), 2),
    ],
)
def test_the_summary_says_when_the_machine_told_another_story(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], first, second, notes
) -> None:
    outcomes = [ended(tmp_path, n, *told) for n, told in enumerate((first, second), 1)]
    play._summarise(outcomes, 246.0)
    lines = capsys.readouterr().out.splitlines()
    assert "the demo took 4.1 minutes" in lines
    for number, (status, *causes) in enumerate((first, second), 1):
        stopped = f", stopped by {causes[0]}" if causes else ""
        assert f"cycle {number}: {status}{stopped}" in lines
        assert f"  reports/demo/{number:02d}/report-en.pdf" in lines
    assert sum(line.startswith(NOTE) for line in lines) == notes


def test_without_findings_no_cause_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cycle = own_cycle(tmp_path, runs=False, results=False)
    play._summarise([CycleOutcome(cycle, "cannot_tell", (), 1.0)], 60.0)
    told = capsys.readouterr().out
    assert "stopped by" not in told
    assert NOTE in told
    cycle.write_result("findings", json.loads("{}"))
    assert play._cause(CycleOutcome(cycle, "cannot_tell", (), 1.0)) is None
