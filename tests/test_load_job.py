"""The job: what of the plan the load processes are told, in numbers."""

import pytest

from genkai.load.calls import CallError, compile_calls
from genkai.load.job import Job, make_job
from genkai.workspace import Run
from load_target import make_plan


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path / "2-api-a")


def test_a_job_survives_its_file(run: Run) -> None:
    plan = make_plan("http://127.0.0.1:1", [{"users": 3, "hold_s": 5}],
                     {"a": {"path": "/a", "check": {"json": {"x.y": 1}}}, "b": "/b"})  # fmt: skip
    job = make_job(run, plan, "scenario", "mix")
    job.write(run.path)
    assert Job.read(run.path) == job
    assert [call.api.name for call in job.calls] == ["a", "b"]
    assert job.duration_s == 15
    assert job.workload == "closed"


def test_target_ratios_become_rates_of_what_is_tested(run: Run) -> None:
    plan = make_plan("http://127.0.0.1:1", [{"target_ratio": 1.5}], {"a": {"path": "/a", "share": 0.2}, "b": "/b"})
    assert make_job(run, plan, "api", "a").levels[0].intended == pytest.approx(30)
    assert make_job(run, plan, "scenario", "mix").levels[0].intended == pytest.approx(150)
    assert make_job(run, plan, "verify", "a").levels[0].intended == pytest.approx(150)


def test_an_own_locustfile_has_no_calls(run: Run, tmp_path) -> None:
    (tmp_path / "own.py").write_text("")
    plan = make_plan("http://127.0.0.1:1", [{"users": 1}], base_dir=tmp_path,
                     scenarios=[{"name": "s", "locustfile": "own.py"}])  # fmt: skip
    job = make_job(run, plan, "scenario", "s")
    assert (job.calls, job.locustfile) == ([], tmp_path / "own.py")


def test_calls_take_their_values_from_the_data_file_and_computed_sources(run: Run, tmp_path) -> None:
    (tmp_path / "items.csv").write_text("item,name\n7,bolt\n8,nut\n")
    plan = make_plan("http://127.0.0.1:1", [{"users": 2}], base_dir=tmp_path, paths={
        "a": {"path": "/item/{item}?n={counter}", "data": "items.csv"}})  # fmt: skip
    call = compile_calls(make_job(run, plan, "api", "a"))[0]
    states = [call.new_state(user, 2, 1) for user in (0, 1)]
    lines = [call.template.render(state).split(b" ")[1] for state in (*states, *states)]
    assert lines == [b"/item/7?n=1", b"/item/8?n=2", b"/item/7?n=3", b"/item/8?n=4"]


def test_a_data_file_without_rows_is_refused(run: Run, tmp_path) -> None:
    (tmp_path / "items.csv").write_text("item\n")
    plan = make_plan("http://127.0.0.1:1", [{"users": 2}], base_dir=tmp_path, paths={
        "a": {"path": "/item/{item}", "data": "items.csv"}})  # fmt: skip
    with pytest.raises(CallError, match="at least one row"):
        compile_calls(make_job(run, plan, "api", "a"))
