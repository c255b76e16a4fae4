"""What a lost process took with it, by hand-written journals."""

import pytest

from genkai.load.job import Job, JobLevel
from genkai.load.losses import find_losses
from genkai.workspace import Journal, Run


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path / "2-api-ok")


def write(run: Run, table: str, part: str, *records: dict) -> None:
    journal = Journal(run.journal(table, part))
    journal.write(*records)
    journal.close()


def job_of(run: Run, workload: str, processes: int) -> Job:
    levels = [JobLevel(workload=workload, intended=12, ramp_s=0, hold_s=10)] * 2
    return Job(run=run.name, step="api", subject="ok", base_url="http://127.0.0.1:1", base_dir=run.path,
               levels=levels, processes=processes)  # fmt: skip


def write_levels(run: Run, workload: str) -> None:
    for level in (0, 1):
        for kind, moment in (("start", 100.0), ("hold", 100.0), ("end", 110.0)):
            write(run, "levels", "", {"event": kind, "level": level, "time": moment + 10 * level,
                                      "workload": workload, "intended": 12.0})  # fmt: skip


def test_an_open_workload_lacks_the_share_of_the_dead_to_the_end(run: Run) -> None:
    """Of three processes one tells nothing after second 104: 5 of 10 s at a third, then a third."""
    write_levels(run, "open")
    for process, last in (("worker-0", 120), ("worker-1", 104), ("worker-2", 120)):
        write(run, "generator", process, *({"t": t} for t in range(100, last + 1)))
    found = find_losses(run, job_of(run, "open", 3))
    assert found["lost_processes"] == ["worker-1"]
    assert found["lost_share"] == pytest.approx(1 / 3)
    assert [(m["level"], m["start"], m["seconds"]) for m in found["lost_levels"]] == [(0, 105.0, 5.0), (1, 110.0, 10.0)]
    assert [m["lost_share"] for m in found["lost_levels"]] == pytest.approx([1 / 6, 1 / 3])


def test_a_closed_workload_lacks_the_users_that_were_not_dealt_anew(run: Run) -> None:
    """Half of the users are gone from second 105 on; the next level deals all of them to the one that is left."""
    write_levels(run, "closed")
    write(run, "generator", "worker-0", *({"t": t, "users": 6 if t < 110 else 12} for t in range(100, 121)))
    write(run, "generator", "worker-1", *({"t": t, "users": 6} for t in range(100, 105)))
    found = find_losses(run, job_of(run, "closed", 2))
    assert found["lost_share"] == 0.5
    assert [m["lost_share"] for m in found["lost_levels"]] == pytest.approx([0.25, 0.0])


def test_a_process_that_never_told_anything_is_lost_from_the_start(run: Run) -> None:
    write_levels(run, "open")
    write(run, "generator", "worker-0", *({"t": t} for t in range(100, 121)))
    found = find_losses(run, job_of(run, "open", 2))
    assert found["lost_processes"] == ["worker-1"]
    assert [m["lost_share"] for m in found["lost_levels"]] == [0.5, 0.5]


@pytest.mark.parametrize(("last", "lost"), [(126, []), (119, []), (118, []), (117, ["worker-1"])])
def test_some_drain_longer_than_others_and_death_shortly_before_the_end_is_seen(
    run: Run, last: int, lost: list
) -> None:
    """The load ends at 120; worker-0 waits 6 s for an answer."""
    write_levels(run, "open")
    for process, second in (("worker-0", 126), ("worker-1", last)):
        write(run, "generator", process, *({"t": t} for t in range(100, second + 1)))
    assert find_losses(run, job_of(run, "open", 2))["lost_processes"] == lost


def test_nothing_lost_is_said_as_such(run: Run) -> None:
    write_levels(run, "open")
    for process, last in (("worker-0", 120), ("worker-1", 118)):
        write(run, "generator", process, *({"t": t} for t in range(100, last + 1)))
    nothing = {"lost_processes": [], "lost_share": 0.0, "lost_levels": [], "process_hosts": {}}
    assert find_losses(run, job_of(run, "open", 2)) == nothing
