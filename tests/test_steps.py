"""One test step: the gate before it, what is run again and what is not, a host that tells nothing, the verdict."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from genkai.journals import read_marks
from genkai.launch import RunOutcome
from genkai.plan import STEPS, Plan
from genkai.planfile import PlanError
from genkai.steps import (
    StepError,
    check_gate,
    judge_step,
    planned_runs,
    run_one,
    run_step,
    step_status,
    write_verdict,
)
from genkai.study import read_study
from genkai.study.history import history_of
from genkai.workspace import Cycle, Run, new_cycle
from load_target import Target, running_target
from sample_cycles import checksums, copy_sample, own_cycle, sized_cycle


def passed(cycle: Cycle, **statuses: str) -> Cycle:
    for step in STEPS:
        cycle.result(f"step-{step}.json").unlink(missing_ok=True)
    for step, status in statuses.items():
        cycle.write_result(f"step-{step}", {"status": status})
    return cycle


@pytest.mark.parametrize(
    ("statuses", "step", "keep_going", "told"),
    [
        ({}, "verify", False, None),
        ({}, "api", False, "steps.api: expected step verify to have passed first, got not run"),
        ({"verify": "pass"}, "api", False, None),
        ({"verify": "cannot_tell"}, "api", False, "expected step verify to have passed first, got cannot_tell"),
        ({"verify": "pass", "api": "fail"}, "scenario", False, "expected step api to have passed first, got fail"),
        ({"verify": "fail", "api": "pass"}, "scenario", False, "expected step verify to have passed first, got fail"),
        ({"verify": "fail"}, "scenario", True, None),
        ({}, "endurance", True, None),
    ],
)
def test_the_gate(tmp_path: Path, statuses, step, keep_going, told) -> None:
    cycle = passed(own_cycle(tmp_path, runs=False), **statuses)
    if told is None:
        check_gate(cycle, step, keep_going)
        return
    with pytest.raises(StepError, match=told) as caught:
        check_gate(cycle, step, keep_going)
    assert "--keep-going" in str(caught.value)


def test_a_step_that_the_plan_leaves_out_is_no_gate(tmp_path: Path) -> None:
    cycle = passed(own_cycle(tmp_path, edit=lambda plan: plan["steps"].pop("api"), runs=False), verify="pass")
    check_gate(cycle, "scenario")
    for keep_going in (False, True):
        with pytest.raises(StepError, match=r"plan demo: expected steps\.api, got none; add it to the plan"):
            check_gate(cycle, "api", keep_going)
    with pytest.raises(StepError, match=r"expected steps\.api, got none"):
        run_step(cycle, "api")


def test_an_unknown_step_is_told_by_name(tmp_path: Path) -> None:
    cycle = own_cycle(tmp_path, runs=False)
    for ask in (check_gate, run_step):
        with pytest.raises(StepError, match="step: expected one of verify, api, scenario, endurance, got 'warmup'"):
            ask(cycle, "warmup")


def test_the_status_is_what_was_written(tmp_path: Path) -> None:
    cycle = passed(own_cycle(tmp_path), verify="pass")
    assert [step_status(cycle, s) for s in ("verify", "api")] == ["pass", None]
    record = write_verdict(read_study(cycle), "scenario")
    assert record == judge_step(read_study(cycle), "scenario")
    assert step_status(cycle, "scenario") == record["status"] == "fail"


def test_finished_runs_are_not_repeated_whatever_the_gate_says(tmp_path: Path) -> None:
    cycle = passed(own_cycle(tmp_path))
    before = checksums(cycle.path)
    study = run_step(cycle, "scenario")
    assert checksums(cycle.path) == before
    assert [r.run.name for r in study.of("scenario")] == ["3-scenario-shopping"]


def test_a_cycle_whose_files_are_gone_is_read_but_not_run_on(tmp_path: Path) -> None:
    cycle = own_cycle(tmp_path, base_dir=str(tmp_path))
    before = checksums(cycle.path)
    assert read_study(cycle).plan.apis[1].data == Path("demo-words.csv")
    assert [r.run.name for r in run_step(cycle, "scenario").of("scenario")] == ["3-scenario-shopping"]
    with pytest.raises(PlanError, match=r"plan\.yaml:\d+: apis\[1\]\.data: expected a file, got 'demo-words\.csv'"):
        run_step(cycle, "endurance", keep_going=True)
    assert checksums(cycle.path) == before


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ({"metric": "run_queue", "above": 8}, "got generators only"),
        ({"metric": "oom_kills", "below": 1}, "expected abo"),
    ],
)
def test_a_cycle_from_before_a_limit_was_refused_is_read_but_not_run_on(tmp_path: Path, limit, expected: str) -> None:
    old = {"hosts": [{"name": "load", "role": "generator"}], "stop": {"hosts": [limit]}}
    cycle = own_cycle(tmp_path, edit=lambda plan: plan.update(old))
    assert read_study(cycle).plan.stop.hosts[0].metric == limit["metric"]
    assert len(history_of([cycle])["cycles"]) == 1, "nor does it stop the report of a later cycle"
    with pytest.raises(PlanError, match=expected):
        run_step(cycle, "endurance", keep_going=True)


def test_the_recorded_sample_is_never_run(tmp_path: Path) -> None:
    cycle = copy_sample(tmp_path)
    before = checksums(cycle.path)
    assert run_step(cycle, "api").cycle == cycle, "what it has is read"
    with pytest.raises(StepError, match="expected a cycle of your own, got the recorded sample; try: genkai demo"):
        run_step(cycle, "endurance", keep_going=True)
    with pytest.raises(StepError, match="expected step scenario to have passed first, got fail"):
        run_step(cycle, "endurance")
    assert checksums(cycle.path) == before


PLAN = """\
name: small
purposes: [responsiveness]
targets: {{throughput_rps: 20, p95_ms: 500}}
base_url: {url}
apis: [{{name: health, path: /ok}}, {{name: slow, path: /slow/0.01}}, {{name: fine, path: /ok}}]
hosts: [{hosts}]
steps:
  verify: {{api: health, ceiling_s: 0, levels: [{{arrival_rate_rps: 20, ramp_s: 0, hold_s: 2}}]}}
  api: {{levels: [{{arrival_rate_rps: 20, ramp_s: 0, hold_s: 2}}]}}
"""


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with running_target(tmp_path) as running:
        yield running


def small_cycle(place: Path, target: Target, hosts: str) -> Cycle:
    plan = place / "small.yaml"
    plan.write_text(PLAN.format(url=target.url, hosts=hosts))
    return passed(new_cycle(place / "data/cycles", plan), verify="pass")


def test_every_subject_of_one_size_comes_before_the_next_size(tmp_path: Path) -> None:
    cycle = sized_cycle(tmp_path, 4)
    plan = cycle.plan()
    assert [(r.name, size) for r, size in planned_runs(cycle, plan, "scenario")] == [
        ("3-scenario-shopping", 2), ("3-scenario-shopping@4", 4),
    ]  # fmt: skip
    assert {size for _, size in planned_runs(cycle, plan, "api")} == {None}


def test_finished_sizes_are_not_repeated_and_nothing_is_resized_for_them(tmp_path: Path) -> None:
    cycle = sized_cycle(tmp_path, 4, command="touch resized-{size}; false")
    study = run_step(cycle, "scenario", keep_going=True)
    assert not (cycle.path / "sizing.json").exists()
    assert [r.size for r in (*study.of("scenario"), *study.resized)] == [2, 4]


@pytest.mark.load
def test_a_repeated_step_runs_each_subject_so_often_and_resumes(tmp_path: Path, target: Target) -> None:
    plan = tmp_path / "small.yaml"
    text = PLAN.format(url=target.url, hosts="{name: local}").replace(
        "api: {levels", "api: {apis: [fine], repeat: 2, levels"
    )
    plan.write_text(text)
    cycle = passed(new_cycle(tmp_path / "data/cycles", plan), verify="pass")
    cycle.run("api", "fine").write_record(state="finished", step="api", subject="fine", start="long ago")
    study = run_step(cycle, "api")
    assert [r.run.name for r in study.of("api")] == ["2-api-fine", "2-api-fine~2"]
    assert study.of("api")[0].record["start"] == "long ago", "what is finished is not run again"
    assert study.of("api")[1].whole["throughput_rps"].iloc[0] == pytest.approx(20, rel=0.3)
    assert study.of("api")[1].run.finished


def test_after_a_stop_by_hand_the_other_sizes_are_not_run_and_the_base_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the load is left out here: what becomes of the sizes around it is real."""
    cycle = sized_cycle(tmp_path, 4, 8, base=2, command=f"echo {{size}} >> {tmp_path}/sizes")
    for run, _ in planned_runs(cycle, cycle.plan(), "scenario"):
        run.write_record(state="stopped")
    ran: list[str] = []

    def stopped(run: Run, plan: Plan, on_second: object, web: bool) -> RunOutcome:
        ran.append(run.name)
        reason = "genkai stop" if run.other_size == 4 else "errors"
        return RunOutcome("stopped", 0, reason)

    monkeypatch.setattr("genkai.steps.run_one", stopped)
    run_step(cycle, "scenario", keep_going=True)
    assert ran == ["3-scenario-shopping", "3-scenario-shopping@4"], (
        "an end by the stop rule goes on, one by hand does not"
    )
    assert (tmp_path / "sizes").read_text().split() == ["2", "4", "2"]
    assert cycle.run("scenario", "shopping", 4).record()["size"] == 4


@pytest.mark.load
def test_a_step_goes_on_where_it_was_cut_short(tmp_path: Path, target: Target) -> None:
    """Of two APIs one is finished, the other was killed: only that one is run, its first attempt is kept."""
    cycle = small_cycle(tmp_path, target, "{name: local}")
    done, cut = cycle.run("api", "slow"), cycle.run("api", "fine")
    done.write_record(state="finished", step="api", subject="slow", start="long ago")
    cut.write_record(state="running", step="api", subject="fine", start="just now", pid=2**22 + 1, pid_started=1.0)
    cut.raw("local.vmstat.log").parent.mkdir()
    cut.raw("local.vmstat.log").write_text("of the first attempt")
    seen: list[str] = []
    study = run_step(cycle, "api", on_second=lambda run, progress: seen.append(run.subject))
    assert done.record()["start"] == "long ago"
    assert json.loads((cut.path / "previous-1/run.json").read_text())["start"] == "just now"
    assert (cut.path / "previous-1/raw/local.vmstat.log").read_text() == "of the first attempt"
    assert cut.finished
    assert set(seen) == {"fine"}
    run = next(r for r in study.runs if r.subject == "fine")
    answered = [path for _, _, path in target.answered() if path == "/ok"]
    assert run.requests["completed"].sum() == len(answered) - 1, "all but the probe"
    assert {"vmstat", "proc"} <= set(run.metrics.frame["source"])
    offsets = cut.record()["clock_offsets"]
    assert set(offsets) == {"start", "end"}
    assert set(offsets["start"]) == {"local"}


@pytest.mark.load
def test_hosts_that_tell_nothing_never_hide_the_loads_outcome(
    tmp_path: Path, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    cycle = small_cycle(tmp_path, target, "{name: gone, ssh: nobody@127.0.0.1:1}")
    run = cycle.run("api", "fine")
    outcome = run_one(run, cycle.plan())
    assert outcome.state == "finished"
    assert "hosts: " in capsys.readouterr().out
    assert "error" in run.record()["clock_offsets"]["start"]["gone"]
    assert "link_bytes_per_s" in run.record()
    assert not run.table("metrics", "hosts").exists()
    study = read_study(cycle)
    assert write_verdict(study, "api")["status"] == step_status(cycle, "api")


@pytest.mark.load
def test_a_limit_on_a_watched_host_ends_the_run_and_is_told(
    tmp_path: Path, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real sampler here: this machine has less memory than asked for, and no process of that name."""
    plan = tmp_path / "small.yaml"
    limits = (
        "stop: {for_s: 2, hosts: [{metric: mem_available_bytes, below: 1.0e+18},"
        " {metric: process_nobody_count, above: 0}]}"
    )
    plan.write_text(PLAN.format(url=target.url, hosts="{name: local}").replace("hold_s: 2}", "hold_s: 60}") + limits)
    cycle = passed(new_cycle(tmp_path / "data/cycles", plan), verify="pass")
    run = cycle.run("api", "fine")
    outcome = run_one(run, cycle.plan())
    assert outcome.state == "stopped"
    assert re.fullmatch(
        r"host local: mem_available_bytes \S+ < 1e\+18 for 2 s \(plan: stop\)", run.record()["stop_reason"]
    )
    memory, nobody = run.record()["host_limits"]
    assert (memory["limit"], nobody["samples"]) == ("mem_available_bytes < 1e+18", 0)
    assert memory["samples"] >= 2
    assert "expected samples for process_nobody_count > 0, got none" in capsys.readouterr().out
    (mark,) = read_marks(run)
    assert mark["end"] - mark["start"] < 30, "of 60"
