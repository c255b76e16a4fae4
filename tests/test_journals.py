"""Journals to tables: lines add up, cut lines are dropped, seconds find their level, in pieces as at once."""

import random

import pytest

from genkai import histogram, journals
from genkai.workspace import Run
from journal_lines import hist_of, line, write


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "2-api-search")


def event(kind: str, level: int, time: float, intended: float = 10.0, workload: str = "closed") -> dict:
    return {"event": kind, "level": level, "time": time, "workload": workload, "intended": intended}


def test_lines_of_one_second_and_api_add_up_over_processes_and_time(run: Run) -> None:
    write(run, "requests", "worker-0", line(100, sent=2, completed=1, bytes=10, hist=hist_of(0.1)),
          line(100, completed=1, bytes=5, hist=hist_of(0.3)))  # fmt: skip
    write(run, "requests", "worker-1", line(100, sent=1, failed=1, hist=hist_of(0.2)), line(101, dropped=4))
    table = journals.read_requests(run)
    assert len(table) == 2
    first, second = table.iloc[0], table.iloc[1]
    assert first[["sent", "completed", "failed", "dropped", "bytes_received"]].tolist() == [3, 2, 1, 0, 15]
    merged = histogram.merge([first["hist"]])
    assert merged.total_count == 3
    assert histogram.quantile_s(merged, 0.5) == pytest.approx(0.2, rel=1e-3)
    assert first["time"].isoformat() == "1970-01-01T00:01:40+00:00"
    assert second["dropped"] == 4
    assert histogram.merge([second["hist"]]).total_count == 0
    assert first["hist_service"] is None


def test_a_line_cut_short_is_dropped_and_the_rest_kept(run: Run) -> None:
    write(run, "requests", "local", line(100, sent=1, completed=1, hist=hist_of(0.1)), line(101, sent=7))
    path = run.journal("requests", "local")
    path.write_bytes(path.read_bytes()[:-20])
    table = journals.read_requests(run)
    assert table["sent"].tolist() == [1]


def test_levels_follow_the_marks_and_the_end_belongs_to_the_next(run: Run) -> None:
    write(run, "levels", "", event("start", 0, 100.0), event("hold", 0, 101.0), event("end", 0, 103.0),
          event("start", 1, 103.0, 20), event("hold", 1, 103.0, 20), event("end", 1, 105.0, 20))  # fmt: skip
    write(run, "requests", "local", *(line(t, sent=1) for t in range(99, 107)))
    assert journals.read_requests(run)["level"].tolist() == [-1, 0, 0, 0, 1, 1, -1, -1]
    assert journals.read_marks(run)[1] == {
        "level": 1, "workload": "closed", "intended": 20, "start": 103.0, "hold_start": 103.0, "end": 105.0,
    }  # fmt: skip


@pytest.mark.parametrize("held", [True, False])
def test_a_killed_run_has_marks_up_to_its_last_second(run: Run, held: bool) -> None:
    write(run, "levels", "", event("start", 0, 100.0), *([event("hold", 0, 101.0)] if held else []))
    write(run, "requests", "local", line(100, sent=1), line(102, sent=1))
    assert journals.read_marks(run)[0]["end"] == 103.0
    assert journals.read_marks(run)[0]["hold_start"] == (101.0 if held else 103.0)
    assert journals.read_requests(run)["level"].tolist() == [0, 0]


def test_service_times_exist_for_an_open_workload(run: Run) -> None:
    write(run, "levels", "", event("start", 0, 100.0, workload="open"))
    write(run, "requests", "local", line(100, sent=1, completed=1, hist=hist_of(2.0), hist_service=hist_of(0.1)),
          line(101, dropped=1))  # fmt: skip
    table = journals.read_requests(run)
    assert histogram.quantile_s(histogram.merge(table["hist_service"][:1]), 0.5) == pytest.approx(0.1, rel=1e-3)
    assert histogram.merge(table["hist_service"][1:]).total_count == 0


def test_the_same_failure_of_several_processes_is_one_row(run: Run) -> None:
    failure = {"t": 100, "api": "search", "kind": "refused", "status": None, "errno": 111, "message": "no", "count": 2}
    write(run, "failures", "worker-0", failure, {**failure, "kind": "unheard-of", "errno": None, "count": 1})
    write(run, "failures", "worker-1", failure)
    table = journals.read_failures(run)
    assert dict(zip(table["kind"], table["count"], strict=True)) == {"refused": 4, "other": 1}
    assert table.set_index("kind").loc["refused", "errno"] == 111


def test_tables_once_written_are_what_is_read(run: Run) -> None:
    write(run, "requests", "local", line(100, sent=1))
    write(run, "generator", "local", {"t": 100, "cpu_ratio": 0.5, "users": 3})
    write(run, "levels", "", event("start", 0, 100.0))
    live = [journals.read_requests(run), journals.read_generator(run), journals.read_failures(run)]
    marks = journals.read_marks(run)
    journals.write_tables(run)
    write(run, "requests", "late", line(101, sent=1))
    done = [journals.read_requests(run), journals.read_generator(run), journals.read_failures(run)]
    assert all(a.equals(b) for a, b in zip(live, done, strict=True))
    assert journals.read_marks(run) == marks
    assert live[1]["process"].tolist() == ["local"]


def test_no_journals_make_empty_tables(run: Run) -> None:
    run.path.mkdir()
    assert (
        len(journals.read_requests(run)) == len(journals.read_failures(run)) == len(journals.read_generator(run)) == 0
    )
    assert journals.read_marks(run) == []
    assert journals.read_stop(run) is None


def test_the_reason_to_stop_is_kept(run: Run) -> None:
    write(run, "levels", "", event("start", 0, 100.0), {"event": "stop", "time": 107.0, "reason": "too many errors"})
    assert journals.read_stop(run) == {"time": 107.0, "reason": "too many errors"}


def test_tables_written_piece_by_piece_are_the_same_as_at_once(run: Run, monkeypatch) -> None:
    """Late answers, two processes, batches of a few lines: every second and API still is one row, in order."""
    rng = random.Random(3)
    for worker in ("worker-0", "worker-1"):
        lines, failures, health = [], [], []
        for t in range(100, 160):
            lines += [line(t, api, sent=2, completed=1, hist=hist_of(0.1)) for api in "ab"]
            late = rng.randrange(max(100, t - 17), t + 1)
            lines.append(line(late, rng.choice("ab"), failed=1, hist=hist_of(3.0)))
            failures.append({"t": late, "api": "a", "kind": "timeout", "status": None, "errno": None, "message": "m",
                             "count": 1})  # fmt: skip
            health.append({"t": t, "users": 3, "cpu_ratio": None})
        write(run, "requests", worker, *lines)
        write(run, "failures", worker, *failures)
        write(run, "generator", worker, *health)
    write(run, "levels", "", event("start", 0, 100.0), event("hold", 0, 101.0), event("end", 0, 150.0))
    whole = [journals.compile_requests(run), journals.compile_failures(run), journals.compile_generator(run)]
    monkeypatch.setattr(journals, "BATCH", 7)
    assert len(list(journals._batches(run, "requests"))) > 5
    journals.write_tables(run)
    pieces = [journals.read_requests(run), journals.read_failures(run), journals.read_generator(run)]
    assert all(a.equals(b) for a, b in zip(whole, pieces, strict=True))
    assert len(whole[0]) == 120
    assert whole[0][["sent", "completed", "failed"]].sum().tolist() == [480, 240, 120]
    assert whole[0].equals(whole[0].sort_values(["time", "api"], ignore_index=True))
    assert whole[0].groupby("level").size().to_dict() == {-1: 20, 0: 100}
