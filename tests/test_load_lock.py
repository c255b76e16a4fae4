"""One load at a time in a project: who comes second changes nothing and is told who has it; nothing goes stale."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from genkai.load.lock import LOCK, load_lock
from genkai.load.process import LaunchError
from genkai.profiling import PROFILES, run_profile
from genkai.search import run_search
from genkai.steps import run_step
from genkai.study.searches import SEARCHES
from genkai.workspace import Cycle
from sample_cycles import checksums, own_cycle

HOLD = """
import sys
from pathlib import Path
from genkai.load.lock import load_lock
with load_lock(Path(sys.argv[1]), "step api of elsewhere/07", "genkai stop elsewhere/07"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """Another process that bears load in the project at tmp_path."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "data/cycles")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def search(_: Cycle, __: int) -> None:
    run_search(Path("plan.yaml"), "item")


def profile(_: Cycle, pid: int) -> None:
    run_profile(Path("plan.yaml"), pids=[pid], seconds=3)


def step(cycle: Cycle, _: int) -> None:
    run_step(cycle, "endurance", keep_going=True)


def step_by_relative_path(cycle: Cycle, _: int) -> None:
    os.chdir(cycle.path)
    run_step(Cycle(Path(".")), "endurance", keep_going=True)


@pytest.mark.parametrize("load", [search, profile, step, step_by_relative_path])
def test_who_comes_second_changes_nothing_and_is_told_who_has_it(
    load: Callable[[Cycle, int], None], holder: subprocess.Popen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = {
        "name": "p", "purposes": ["responsiveness"], "targets": {"throughput_rps": 200, "p95_ms": 150},
        "base_url": "http://127.0.0.1:9", "apis": [{"name": "item", "path": "/items/1"}],
        "hosts": [{"name": "local", "role": "target"}], "scenarios": [{"name": "mix", "calls": [{"api": "item"}]}],
        "steps": {"scenario": {"levels": [{"users": 1, "ramp_s": 0, "hold_s": 9}, {"users": 2, "hold_s": 9}]}},
    }  # fmt: skip
    Path("plan.yaml").write_text(yaml.safe_dump(plan))
    cycle = own_cycle(tmp_path)
    before = checksums(cycle.path)
    with pytest.raises(LaunchError) as refused:
        load(cycle, holder.pid)
    told = rf"expected no other load of this project, got step api of elsewhere/07 \(process {holder.pid}, since 2.*\)"
    assert re.search(rf"load\.lock: .*: {told}; wait for it, or end it: genkai stop elsewhere/07$", str(refused.value))
    assert checksums(cycle.path) == before
    assert [folder for folder in (SEARCHES, PROFILES) if (tmp_path / folder).exists()] == []


def test_a_killed_process_leaves_no_lock(holder: subprocess.Popen, tmp_path: Path) -> None:
    holder.kill()
    holder.wait()
    with load_lock(tmp_path / "data/cycles", "step api"):
        assert "step api (process" in (tmp_path / "data/cycles" / LOCK).read_text()


def test_the_lock_ends_with_the_load_and_what_it_started_does_not_keep_it(tmp_path: Path) -> None:
    with load_lock(tmp_path, "step api"):
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
        with pytest.raises(LaunchError), load_lock(tmp_path, "step api"):
            pytest.fail("twice in one process")
    with load_lock(tmp_path, "step scenario"), load_lock(tmp_path / "other project", "step api"):
        child.communicate()


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    told = r"load\.lock: expected a file to lock, got Is a directory; make it writable, or remove it"
    with pytest.raises(LaunchError, match=told), load_lock(tmp_path, "step api"):
        pytest.fail("held nothing")
