"""Trials on a real target: levels ordered one by one within one run, cut when they are decided, and how it may end."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from genkai import journals
from genkai.cycle import stop_runs
from genkai.load.preflight import LaunchError
from genkai.trials import Goal, Trials
from genkai.workspace import Run, read_journal
from load_target import make_plan, running_target

pytestmark = pytest.mark.load

LEVELS = [{"users": 1, "hold_s": 1}]
FAST = [Goal(None, 0.05, 0.95, 0.2), Goal(None, 0.01)]
SLOW = [Goal("ok", 0.05, 0.95, 1e-6)]  # nothing answers so fast


def test_levels_are_ordered_one_by_one_and_cut_when_they_are_decided(tmp_path: Path) -> None:
    with running_target(tmp_path) as target:
        plan = make_plan(target.url, LEVELS, {"ok": "/ok"}, generator={"processes": 2})
        run = Run(tmp_path / "2-api-ok")
        with Trials(run, plan, "api", "ok") as trials:
            kept = trials.measure(40.0, 9.0, FAST)
            missed = trials.measure(60.0, 9.0, SLOW)
            whole = trials.measure(20.0, 2.0, FAST)
        answered = target.answered()
    assert (kept.decided, missed.decided, whole.decided) == ("kept", "missed", None)
    lengths = [t.mark["end"] - t.mark["hold_start"] for t in (kept, missed, whole)]
    assert 4 <= lengths[0] < 9
    assert lengths[1] < 9
    assert lengths[2] == 2
    requests = journals.read_requests(run)
    assert requests["sent"].sum() == requests["completed"].sum() == len(answered) - 1
    second = requests["time"].astype("int64") // 1_000_000
    for trial, rate in ((kept, 40), (missed, 60), (whole, 20)):
        inside = (second >= trial.mark["hold_start"]) & (second < trial.mark["end"])
        assert requests["sent"][inside].sum() == pytest.approx(rate * (trial.mark["end"] - trial.mark["hold_start"]))
    marks = journals.read_marks(run)
    assert [m["level"] for m in marks] == [0, 1, 2]
    assert all(0 <= m["end"] - t.mark["end"] < 1 for m, t in zip(marks, (kept, missed, whole), strict=True))
    record = run.record()
    assert (record["state"], record["stop_reason"], record["lost_processes"]) == ("finished", None, [])


def test_genkai_stop_ends_a_search_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with running_target(tmp_path) as target, ThreadPoolExecutor(1) as pool:
        plan = make_plan(target.url, LEVELS, {"ok": "/ok"}, generator={"processes": 1})
        run = Run(tmp_path / "data/searches/t/01/1-api-ok")
        with Trials(run, plan, "api", "ok") as trials:
            trial = pool.submit(trials.measure, 10.0, 60.0, [])
            while not trial.done() and "hold" not in [e["event"] for e in read_journal(run.journal("levels"))]:
                time.sleep(0.05)
            assert stop_runs() == ["data/searches/t/01/1-api-ok"]
            assert trial.result(30).stop_reason == "genkai stop"
    assert run.record()["state"] == "stopped"


def test_the_stop_rule_ends_the_trials_and_is_told(tmp_path: Path) -> None:
    with running_target(tmp_path) as target:
        stop = {"error_ratio": 0.2, "for_s": 3}  # longer than a ramp, which may take 1.5 s
        plan = make_plan(target.url, LEVELS, {"ok": "/once"}, stop=stop)
        timeouts = {"connect_s": 1, "read_s": 0.3, "total_s": 1}
        with Trials(Run(tmp_path / "2-api-ok"), plan, "api", "ok", timeouts=timeouts) as trials:
            found = trials.measure(20.0, 9.0, [])
            assert "error ratio" in found.stop_reason
            with pytest.raises(LaunchError, match="expected level 1 to begin, got error ratio"):
                trials.measure(20.0, 9.0, [])
    assert Run(tmp_path / "2-api-ok").record()["state"] == "stopped"
