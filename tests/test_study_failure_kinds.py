"""Failures by kind, of the recorded cycle and of tables made by hand."""

from types import SimpleNamespace

import pandas as pd

from genkai import schema
from genkai.study import read_study
from genkai.study.failure_kinds import MOST_KINDS, failure_rows
from genkai.workspace import Cycle
from sample_cycles import SAMPLE


def run(failures: list[tuple[int, str, str, str | None, int]], sent: int) -> SimpleNamespace:
    """A run with failures (second, API, kind, message, count) and so many requests sent."""
    table = pd.DataFrame(failures, columns=["time", "api", "kind", "message", "count"])
    table["time"] = pd.to_datetime(table["time"], unit="s", utc=True)
    return SimpleNamespace(failures=table, requests=pd.DataFrame({"sent": [sent]}))


def test_they_add_up_over_runs_and_the_most_frequent_comes_first() -> None:
    runs = [run([(5, "b", "http_5xx", "HTTP 503", 3), (9, "a", "http_5xx", "HTTP 503", 4)], 60),
            run([(7, "a", "timeout", None, 2)], 40)]  # fmt: skip
    assert failure_rows(runs) == [
        {"kind": "http_5xx", "message": "HTTP 503", "count": 7, "share": 0.07, "apis": ["a", "b"],
         "first": 5.0, "last": 9.0},
        {"kind": "timeout", "message": "", "count": 2, "share": 0.02, "apis": ["a"], "first": 7.0, "last": 7.0},
    ]  # fmt: skip


def test_nothing_failed_and_too_many_kinds() -> None:
    assert failure_rows([]) == failure_rows([run([], 10)]) == []
    many = [(1, "a", "check", f"message {n}", n + 1) for n in range(MOST_KINDS + 3)]
    assert [row["count"] for row in failure_rows([run(many, 1000)])] == list(range(MOST_KINDS + 3, 3, -1))


def test_the_recorded_cycle_lost_nothing() -> None:
    study = read_study(Cycle(SAMPLE))
    (row,) = failure_rows(study.shown("scenario"))
    table = schema.read_table(SAMPLE / "runs/3-scenario-shopping/failures.parquet", "failures")
    assert (row["kind"], row["message"], row["count"]) == ("http_5xx", "HTTP 503", table["count"].sum())
    assert failure_rows(study.shown("api")) == []
