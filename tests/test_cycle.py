"""The cycle's own part: where reports lie, the gate, what is complete, languages, exit codes, stopping; the whole way
by notebooks is in e2e/test_whole_cycle.py."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from genkai import cycle as module
from genkai.cycle import (
    CycleOutcome,
    languages,
    report_cycle,
    reports_dir,
    run_cycle,
    run_one_step,
    stop_runs,
    write_outcome,
)
from genkai.load.ceiling import WARM_UP_S
from genkai.load.process import start_time
from genkai.notebooks import NotebookError, WarmKernel
from genkai.pages import report as report_page
from genkai.planfile import PlanError, read_plan
from genkai.profiling import new_folder
from genkai.steps import StepError
from genkai.study import StudyError, read_study
from genkai.workspace import Run, WorkspaceError
from sample_cycles import ROOT, checksums, copy_sample, own_cycle

DEMO = ROOT / "data/plans/demo.yaml"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_where_reports_lie(here: Path) -> None:
    assert reports_dir(own_cycle(here, 3)) == Path("reports/demo/03")
    assert reports_dir(copy_sample(here)) == Path("reports/sample")


def test_reports_of_imports_replace_no_others(here: Path) -> None:
    for folder in ("a/01", "b/01", "imports/sample"):
        imported = copy_sample(here / folder)
        imported.write_manifest(imported="k6")
        assert reports_dir(imported) == imported.path / "reports"


@pytest.mark.parametrize(("status", "code"), [("pass", 0), ("fail", 1), ("cannot_tell", 2), ("not_run", 2)])
def test_exit_codes(here: Path, status: str, code: int) -> None:
    assert CycleOutcome(own_cycle(here, runs=False), status, (), 0.0).exit_code == code


def test_languages() -> None:
    assert [languages(x) for x in ("en", "ja", "both")] == [("en",), ("ja",), ("en", "ja")]
    with pytest.raises(StudyError, match="--lang: expected en, ja or both, got 'fr'"):
        languages("fr")


def test_what_is_refused_leaves_nothing_behind(here: Path) -> None:
    with pytest.raises(StudyError, match="--lang: expected"):
        run_cycle(DEMO, lang="fr")
    with pytest.raises(StudyError, match=r"--resume: expected a cycle of plan demo under data/cycles, got none"):
        run_cycle(DEMO, resume=True)
    with pytest.raises(PlanError, match=r"none\.yaml: expected a readable plan file"):
        run_cycle(Path("none.yaml"))
    with pytest.raises(StepError, match="step: expected one of verify, api, scenario, endurance, got 'warmup'"):
        run_one_step(DEMO, "warmup")
    with pytest.raises(WorkspaceError, match="nowhere: expected the folder of a cycle"):
        report_cycle(Path("nowhere"))
    assert list(here.iterdir()) == []


def test_a_plan_that_changed_is_told_when_going_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_cycle(here, 1)
    own_cycle(here, 2)
    assert module._newest(DEMO).number == 2
    note = "has changed since cycle 2 was frozen; going on with the frozen plan"
    assert note in capsys.readouterr().out, "the sample has other ports"
    own_cycle(here, 3, plan_digest=read_plan(DEMO).digest())
    assert module._newest(DEMO).number == 3
    assert capsys.readouterr().out == ""


def test_a_closed_gate_is_told_and_nothing_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cycle = own_cycle(here)
    before = checksums(cycle.path)
    with WarmKernel() as kernel:
        module._launch(cycle, "endurance", False, kernel)
    assert (
        "20_launch-endurance: not run (steps.endurance: expected step scenario to have passed"
        in capsys.readouterr().out
    )
    assert checksums(cycle.path) == before
    with pytest.raises(StepError, match="expected step scenario to have passed first, got fail"):
        run_one_step(DEMO, "endurance")
    assert checksums(cycle.path) == before
    assert [p.name for p in (here / "data/cycles/demo").iterdir()] == ["01"], "no new cycle"


def test_what_is_complete_is_not_run_again(here: Path) -> None:
    """A notebook counts as done with its mark and its executed copy; with one of them, it is run."""
    cycle = own_cycle(here)
    output = reports_dir(cycle) / "20_launch-api.ipynb"
    module._mark(cycle, "20_launch-api", "complete")
    module._mark(cycle, "10_plan", "complete")
    assert cycle.manifest()["notebooks"] == {"20_launch-api": "complete", "10_plan": "complete"}
    with WarmKernel() as kernel:
        with pytest.raises(NotebookError, match=r"notebooks/20_launch\.ipynb: expected a notebook, got no file"):
            module._run(cycle, "20_launch", {"step": "api"}, kernel)
        output.parent.mkdir(parents=True)
        output.write_text("{}")
        assert module._run(cycle, "20_launch", {"step": "api", "keep_going": False}, kernel) == output
        with pytest.raises(NotebookError, match="expected a notebook, got no file"):
            module._run(cycle, "20_launch", {"step": "scenario"}, kernel)
    assert "20_launch-scenario" not in cycle.manifest()["notebooks"]


def test_a_step_that_is_complete_gets_its_verdict_from_its_runs(here: Path) -> None:
    """As after a kill between notebook and verdict."""
    cycle = own_cycle(here)
    cycle.result("step-api.json").unlink()
    module._mark(cycle, "20_launch-api", "complete")
    output = reports_dir(cycle) / "20_launch-api.ipynb"
    output.parent.mkdir(parents=True)
    output.write_text("{}")
    with WarmKernel() as kernel:
        module._launch(cycle, "api", False, kernel)
    assert cycle.read_result("step-api")["status"] == "pass"


def test_the_sample_gets_no_marks(here: Path) -> None:
    cycle = copy_sample(here)
    before = checksums(cycle.path)
    module._mark(cycle, "10_plan", "complete")
    assert checksums(cycle.path) == before


def test_the_load_that_the_plan_asks_for(here: Path) -> None:
    cycle = own_cycle(here)
    plan = cycle.plan()
    at_sink_s = plan.steps.verify.ceiling_s + WARM_UP_S
    for step, runs, more in (("verify", 1, at_sink_s), ("api", 3, 0), ("scenario", 1, 0)):
        held = sum(level.ramp_s + level.hold_s for level in plan.step_named(step).levels)
        assert module._load_s(cycle, step) == pytest.approx(held * runs + more)
    two = own_cycle(here, 2, edit=lambda plan: plan.update(generator={"processes": 2}))
    extra = module._load_s(two, "verify") - module._load_s(cycle, "verify")
    assert extra == at_sink_s, "the ceiling of one process and of all"


def test_the_outcome_of_the_sample_is_written_beside_its_reports(here: Path) -> None:
    cycle = copy_sample(here)
    before = checksums(cycle.path)
    report_page.Report(read_study(cycle)).write()
    assert write_outcome(cycle) == "fail"
    assert checksums(cycle.path) == before
    record = json.loads((here / "reports/sample/verdict.json").read_text())
    assert (record["status"], record["exit_code"]) == ("fail", 1)
    assert (here / "reports/sample/verdict.xml").read_text().startswith("<?xml")
    pages = [p for p in (here / "reports").iterdir() if p.suffix == ".html"]
    assert pages
    assert all("demo" in p.read_text() for p in pages)


def test_without_verdicts_there_is_no_outcome(here: Path) -> None:
    cycle = own_cycle(here, results=False)
    with pytest.raises(WorkspaceError, match=r"verdicts\.json: expected a file, got none; run the step that writes it"):
        write_outcome(cycle)


@pytest.fixture
def process() -> Iterator[subprocess.Popen]:
    """A process group of our own stands for the load processes: stop needs its id and its start only."""
    started = subprocess.Popen(
        [sys.executable, "-c", "import signal; print(1, flush=True); signal.pause()"],
        start_new_session=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        started.stdout.readline()
        yield started
    finally:
        started.kill()
        started.wait(10)
        started.stdout.close()


def under_way(run: Run, process: subprocess.Popen) -> Run:
    run.write_record(state="running", pid=process.pid, pid_started=start_time(process.pid))
    (run.path / "job.json").write_text(json.dumps({"drain_s": 1.0}))
    return run


def test_stop_ends_what_runs_and_only_that(here: Path, process: subprocess.Popen) -> None:
    cycle, idle = own_cycle(here, 1), own_cycle(here, 2)
    assert stop_runs() == []
    run, gone = under_way(cycle.run("api", "item"), process), idle.run("api", "item")
    gone.write_record(state="running", pid=process.pid, pid_started=1.0)
    assert stop_runs(idle.path) == [], "another process that got the same id is left alone"
    assert process.poll() is None
    assert stop_runs() == [str(run.path.relative_to(here))]
    assert process.wait(10) != 0
    assert run.record()["stop_reason"] == "genkai stop"
    with pytest.raises(WorkspaceError, match="expected the folder of a cycle"):
        stop_runs(here / "nowhere")


def test_stop_ends_a_profiling_run_too(here: Path, process: subprocess.Popen) -> None:
    """Where `genkai profile` really puts its run: data/profiles/<plan>/<NN>/runs/."""
    cycle = own_cycle(here, 1)
    run = under_way(Run(new_folder(cycle.plan()) / "runs" / "3-scenario-mix"), process)
    run.write_record(profiling=True)
    assert stop_runs(cycle.path) == [], "a cycle's load is not the profile's"
    assert stop_runs() == [str(run.path)]
    assert process.wait(10) != 0
