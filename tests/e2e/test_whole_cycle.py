"""Two whole cycles on a small real target: the load balancer is found, warmed, and proved to have been the limit.

The second one is killed in the middle and resumed: a cycle that was cut short proves as much as any other.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from pypdf import PdfReader

from genkai import cycle as cycles
from genkai.cycle import CycleOutcome, report_cycle, run_cycle
from genkai.demo.world import DemoWorld
from genkai.notebooks import ARTIFACTS
from genkai.study import RunStudy, read_study
from genkai.workspace import Cycle
from mini import mini_plan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def first(world: DemoWorld, workplace: Path) -> CycleOutcome:
    """Cycle 1, on the cold load balancer."""
    plan = workplace / "mini.yaml"
    plan.write_text(mini_plan(world, warmed=False))
    return run_cycle(plan, lang="both")


@dataclass(frozen=True)
class Interrupted:
    """What was left of a cycle that was killed: its run under way as it read then, and when its first run began."""

    cycle: Cycle
    under_way: RunStudy
    verify_start: str


@pytest.fixture(scope="module")
def interrupted(
    first: CycleOutcome, world: DemoWorld, workplace: Path, tmp_path_factory: pytest.TempPathFactory
) -> Interrupted:
    """Cycle 2, after the remedy: kill -9 of everything in its scenario step."""
    world.set_capacity(1000)
    (workplace / "mini.yaml").write_text(mini_plan(world, warmed=True))
    cycle = Cycle(Path("data/cycles/mini/02"))
    journal = cycle.run("scenario", "browse").journal("requests", "local")
    command = [sys.executable, "-m", "genkai.cli", "cycle", "mini.yaml"]
    own = os.environ | {"TMPDIR": str(tmp_path_factory.mktemp("left"))}  # what a kernel that is killed cannot remove
    victim = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env=own
    )
    _wait_for(lambda: journal.exists() and len(journal.read_bytes().splitlines()) >= 4, 120)
    family = [victim, *psutil.Process(victim.pid).children(recursive=True)]
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    _wait_for(lambda: not [p for p in family[1:] if p.is_running() and p.status() != psutil.STATUS_ZOMBIE], 30)
    return Interrupted(cycle, read_study(cycle).main("scenario"), cycle.run("verify", "health").record()["start"])


@pytest.fixture(scope="module")
def second(interrupted: Interrupted, workplace: Path) -> CycleOutcome:
    """The same cycle, resumed to its end."""
    return run_cycle(workplace / "mini.yaml", lang="en", resume=True)


def _wait_for(condition, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)


def text_of(pdf: Path) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(pdf).pages)


def scenario_findings(cycle: Cycle) -> dict:
    return cycle.read_result("findings")["3-scenario-browse"]


def test_cycle_1_misses_the_target_and_says_why(first: CycleOutcome) -> None:
    assert (first.status, first.exit_code) == ("fail", 1)
    causes = [f["cause"] for f in scenario_findings(first.cycle)["findings"]]
    assert causes[0] == "load_balancer_capacity"
    steps = {s["step"]: s["status"] for s in first.cycle.read_result("verdicts")["steps"]}
    assert steps == {"verify": "pass", "api": "pass", "scenario": "fail", "endurance": "not_run"}


def test_the_limit_is_near_the_truth(first: CycleOutcome) -> None:
    """The balancer passes 60 requests/s on; the fitted ceiling must say so."""
    fit = first.cycle.read_result("scale")["3-scenario-browse"]
    assert fit["ceiling_rps"]["value"] == pytest.approx(60, rel=0.1)
    assert fit["bend"]


def test_cycle_2_passes_and_the_action_worked(second: CycleOutcome) -> None:
    assert (second.status, second.exit_code) == ("pass", 0)
    assert scenario_findings(second.cycle)["findings"] == []
    comparison = second.cycle.read_result("comparison")
    assert "better" in {row["verdict"] for row in comparison["rows"] if row["what"] == "throughput"}
    assert any("prewarmed" in change["what"] for change in comparison["changes"])
    text = text_of(second.reports[0])
    assert "load balancer warmed" in text
    assert "WORKED" in text


def test_the_report_says_what_the_results_say_in_both_languages(first: CycleOutcome) -> None:
    limit = first.cycle.read_result("scale")["3-scenario-browse"]["ceiling_rps"]["value"]
    for pdf in first.reports:
        text = text_of(pdf)
        assert re.search(rf"\b{limit:.3g}", text), pdf
        assert "90" in text
    english, japanese = (text_of(p) for p in first.reports)
    assert "FAIL" in english
    assert "負荷試験" in japanese
    assert all(len(PdfReader(p).pages) >= 3 for p in first.reports)
    assert all(p.stat().st_size < 3_000_000 for p in first.reports)


def test_every_notebook_left_its_artifacts_and_its_executed_copy(first: CycleOutcome, second: CycleOutcome) -> None:
    for name, promised in ARTIFACTS.items():
        for artifact in promised:
            for step in ("verify", "api", "scenario") if "{step}" in artifact else ("",):
                assert (first.cycle.results_dir / artifact.format(step=step)).is_file(), (name, artifact)
    made = {p.name for p in cycles.reports_dir(first.cycle).iterdir()}
    assert {
        "10_plan-en.ipynb",
        "20_launch-verify.ipynb",
        "30_monitor.ipynb",
        "60_report-en.ipynb",
        "report-ja.pdf",
        "plan-en.pdf",
        "plan-ja.pdf",
        "verdict.json",
        "verdict.xml",
    } <= made
    assert (second.cycle.path / "results/step-endurance.json").is_file()


def test_metrics_of_hosts_and_cloudwatch_are_in_one_table(first: CycleOutcome) -> None:
    run = read_study(first.cycle).main("scenario")
    assert {"vmstat", "proc", "cloudwatch"} <= set(run.metrics.frame["source"])
    queue = run.metrics.select("SurgeQueueLength")
    assert queue["value"].max() == pytest.approx(20, abs=2), "the queue of the balancer was full"


def test_the_report_can_be_made_again_and_is_the_same(first: CycleOutcome) -> None:
    before = first.reports[0].read_bytes()
    again = report_cycle(first.cycle.path, lang="en")
    assert again.exit_code == 1
    assert again.reports[0].read_bytes() == before


def test_a_cycle_that_was_killed_is_readable_and_goes_on(interrupted: Interrupted, second: CycleOutcome) -> None:
    """Tables read to the last second, --resume does the rest only."""
    assert len(interrupted.under_way.requests) >= 3
    assert int(interrupted.under_way.requests["sent"].sum()) > 0
    assert second.cycle.path == interrupted.cycle.path
    verify, scenario = second.cycle.run("verify", "health"), second.cycle.run("scenario", "browse")
    assert verify.record()["start"] == interrupted.verify_start, "a finished run is not repeated"
    assert (scenario.path / "previous-1").is_dir(), "the first attempt is kept"


def test_a_target_that_is_gone_is_told_and_earlier_results_stay(second: CycleOutcome, workplace: Path) -> None:
    text = (workplace / "mini.yaml").read_text()
    gone = workplace / "gone.yaml"
    gone.write_text(re.sub(r"base_url: .*", "base_url: http://127.0.0.1:9", text).replace("name: mini", "name: gone"))
    found = subprocess.run(
        [sys.executable, "-m", "genkai.cli", "cycle", str(gone)], capture_output=True, text=True, timeout=120
    )
    assert found.returncode == 3
    assert "Traceback" not in found.stderr
    assert "127.0.0.1:9" in found.stderr
    assert second.cycle.result("verdicts.json").exists()


def test_an_endpoint_that_does_not_answer_is_told(first: CycleOutcome, workplace: Path) -> None:
    """CloudWatch unreachable: one paragraph, and what was measured is kept."""
    copy = workplace / "data/cycles/lost/01"
    shutil.copytree(first.cycle.path, copy)
    for path in [*copy.glob("runs/*/raw/cloudwatch.json"), *copy.glob("runs/*/raw/discovery.json"),
                 *copy.glob("runs/*/metrics.cloudwatch.parquet"), copy / "results/monitor.json"]:  # fmt: skip
        path.unlink()
    plan = copy / "plan.yaml"
    plan.write_text(re.sub(r'"(cloudwatch|elb|elbv2)": "[^"]*"', r'"\1": "http://127.0.0.1:9"', plan.read_text()))
    manifest = json.loads((copy / "cycle.json").read_text())
    (copy / "cycle.json").write_text(json.dumps({**manifest, "plan": "lost", "notebooks": {}}))
    found = subprocess.run(
        [sys.executable, "-m", "genkai.cli", "report", str(copy)], capture_output=True, text=True, timeout=180
    )
    assert found.returncode == 3
    assert "Traceback" not in found.stderr
    assert "http://127.0.0.1:9" in found.stderr
    assert read_study(Cycle(copy)).main("scenario").requests["sent"].sum() > 0
