"""Files of a cycle: frozen plan, numbering, atomic writes, journals that a kill cut short."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai.planfile import PlanError
from genkai.workspace import (
    Cycle,
    Journal,
    Run,
    WorkspaceError,
    new_cycle,
    open_cycle,
    read_journal,
    read_json,
    write_json,
    write_text,
)

PLAN = """\
name: shop
purposes: [responsiveness]
base_url: http://127.0.0.1
targets: {throughput_rps: 5}
apis: [{name: a-b, path: /}]
steps: {api: {levels: [{users: 1}]}}
"""


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(PLAN)
    return path


def test_cycles_are_numbered_and_frozen(plan_file: Path, tmp_path: Path) -> None:
    first = new_cycle(tmp_path / "cycles", plan_file)
    plan_file.write_text(PLAN.replace("rps: 5", "rps: 6"))
    second = new_cycle(tmp_path / "cycles", plan_file)
    assert [first.path.name, second.path.name] == ["01", "02"]
    assert [c.plan().targets.throughput_rps for c in (first, second)] == [5, 6]
    assert first.manifest()["plan_digest"] != second.manifest()["plan_digest"]


def test_a_wrong_plan_makes_no_cycle(plan_file: Path, tmp_path: Path) -> None:
    plan_file.write_text("name: x")
    with pytest.raises(PlanError):
        new_cycle(tmp_path / "cycles", plan_file)
    assert not (tmp_path / "cycles").exists()


def test_a_run_knows_its_step_and_subject(plan_file: Path, tmp_path: Path) -> None:
    cycle = new_cycle(tmp_path / "cycles", plan_file)
    run = cycle.run("api", "a-b")
    assert (run.name, run.step, run.subject, run.finished) == ("2-api-a-b", "api", "a-b", False)
    run.write_record(state="running", pid=1)
    run.write_record(state="finished")
    assert run.record() == {"state": "finished", "pid": 1}
    assert cycle.runs("api") == [run]
    assert cycle.runs("verify") == []


def test_a_run_at_another_size_lies_beside_that_at_the_base(tmp_path: Path) -> None:
    cycle = Cycle(tmp_path)
    run = cycle.run("api", "item-1", 4)
    assert (run.name, run.step, run.subject, run.other_size) == ("2-api-item-1@4", "api", "item-1", 4)
    assert (run.title, cycle.run("api", "item-1", 4, repetition=2).title) == ("item-1 @4", "item-1 @4 #2")
    base = cycle.run("api", "item-1")
    assert (base.name, base.other_size) == ("2-api-item-1", None)
    again = cycle.run("api", "item-1", 4, repetition=2)
    assert (again.name, again.subject, again.other_size, again.repetition) == ("2-api-item-1@4~2", "item-1", 4, 2)


def test_repetitions_have_folders_of_their_own(plan_file: Path, tmp_path: Path) -> None:
    cycle = new_cycle(tmp_path / "cycles", plan_file)
    runs = [cycle.run("api", "a-b", repetition=n) for n in (1, 2, 3)]
    assert [r.name for r in runs] == ["2-api-a-b", "2-api-a-b~2", "2-api-a-b~3"]
    assert [(r.step, r.subject, r.repetition) for r in runs] == [("api", "a-b", n) for n in (1, 2, 3)]
    assert [r.title for r in runs] == ["a-b", "a-b #2", "a-b #3"]


def test_a_folder_that_is_no_cycle(plan_file: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="expected the folder of a cycle"):
        open_cycle(tmp_path)
    cycle = new_cycle(tmp_path, plan_file)
    with pytest.raises(WorkspaceError, match=r"verdicts\.json: expected a file, got none; run the step that writes it"):
        cycle.read_result("verdicts")


def test_json_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]
    path.write_text("{")
    with pytest.raises(WorkspaceError, match="expected JSON"):
        read_json(path)


@settings(max_examples=40, deadline=None)
@given(
    records=st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=5), max_size=3), max_size=6), data=st.data()
)
def test_a_journal_cut_anywhere_reads_to_the_last_whole_line(
    records: list[dict], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("j") / "requests.jsonl"
    journal = Journal(path)
    journal.write(*records)
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    found = list(read_journal(path))
    assert found == records[: len(found)]
    assert len(found) == path.read_bytes().count(b"\n")


def test_a_journal_survives_kill_9(tmp_path: Path) -> None:
    """The writer is killed while it writes; every line it wrote before is there."""
    script = (
        "import sys, itertools\nfrom pathlib import Path\nfrom genkai.workspace import Journal\n"
        "j = Journal(Path(sys.argv[1]))\n"
        "for i in itertools.count():\n    j.write({'i': i})\n    print(i, flush=True)\n"
    )
    path = tmp_path / "j.jsonl"
    writer = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    for line in writer.stdout:
        if int(line) >= 200:
            break
    os.kill(writer.pid, signal.SIGKILL)
    told = [int(line) for line in writer.stdout.read().split()]
    writer.wait()
    assert [r["i"] for r in read_journal(path)][: max(told, default=200) + 1] == list(range(max(told, default=200) + 1))


def test_a_journal_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert list(read_journal(tmp_path / "none.jsonl")) == []
    assert Run(tmp_path / "1-verify-a").journals("requests") == []


def test_the_frozen_plan_keeps_its_folder(plan_file: Path, tmp_path: Path) -> None:
    (tmp_path / "words.csv").write_text("w\n1\n")
    plan_file.write_text(PLAN.replace("path: /}", "path: /, data: words.csv}"))
    cycle = new_cycle(tmp_path / "cycles", plan_file)
    plan = cycle.plan()
    assert (plan.base_dir / plan.apis[0].data).is_file()
    assert json.loads((cycle.path / "cycle.json").read_text())["number"] == 1
    (tmp_path / "words.csv").unlink()
    assert cycle.plan().digest() == plan.digest(), "what was measured opens without what only a run needs"
    with pytest.raises(PlanError, match=r"apis\[0\]\.data: expected a file, got 'words\.csv'"):
        cycle.plan(to_run=True)
    with pytest.raises(PlanError, match="expected a file"):
        new_cycle(tmp_path / "cycles", plan_file)


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "\ud800")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]
