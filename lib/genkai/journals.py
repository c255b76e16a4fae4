"""A run's journals as tables: at any moment, also after a kill -9, and whichever process wrote them.

Lines that speak of the same second and API add up; a line that a kill cut short is dropped.
"""

from __future__ import annotations

import heapq
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genkai import histogram, schema
from genkai.workspace import COUNTS, Run, read_journal, read_json, write_json

GENERATOR_COLUMNS = (
    "cpu_ratio", "loop_lag_p99_s", "schedule_slip_p99_s", "in_flight", "users", "sockets_time_wait", "fds",
    "run_queue_wait_ratio", "steal_ratio", "ports_left", "ports",
)  # fmt: skip


def read_requests(run: Run) -> pd.DataFrame:
    """The requests table: the finished one, else from the journals as far as they go."""
    finished = run.table("requests")
    return schema.read_table(finished, "requests") if finished.exists() else compile_requests(run)


def read_failures(run: Run) -> pd.DataFrame:
    """The failures table: the finished one, else from the journals as far as they go."""
    finished = run.table("failures")
    return schema.read_table(finished, "failures") if finished.exists() else compile_failures(run)


def read_generator(run: Run) -> pd.DataFrame:
    """The generator table: the finished one, else from the journals as far as they go."""
    finished = run.table("generator")
    return schema.read_table(finished, "generator") if finished.exists() else compile_generator(run)


def read_marks(run: Run) -> list[dict[str, Any]]:
    """{level, workload, intended, start, hold_start, end} of each level that began, epoch seconds.

    A level that was cut short ends where the run did; its hold_start is its end when the hold was not reached.
    """
    finished = run.path / "marks.json"
    return read_json(finished) if finished.exists() else compile_marks(run)


def read_stop(run: Run) -> dict[str, Any] | None:
    """{time, reason} when the run was ended before its time by the load processes themselves."""
    stops = [e for e in read_journal(run.journal("levels")) if e.get("event") == "stop"]
    return {"time": stops[0]["time"], "reason": stops[0]["reason"]} if stops else None


BATCH = 20_000  # journal lines held at once: minutes of a run, megabytes of memory


@dataclass(frozen=True, slots=True)
class _Line:
    """One line with where it came from; `newest` is the latest second that its journal had told by then."""

    newest: int
    second: int
    process: str
    record: dict[str, Any]


def _lines(path: Path) -> Iterator[_Line]:
    newest, process = 0, path.name.split(".", 2)[1]
    for record in read_journal(path):
        second = int(record["t"])
        newest = max(newest, second)
        yield _Line(newest, second, process, record)


def _span(path: Path) -> tuple[int, int]:
    """(latest second, by how many seconds a line comes after later ones at most: an answer is told when it comes)."""
    newest = late = 0
    with open(path, "rb") as stream:
        for text in stream:
            if not text.endswith(b"\n"):
                break
            try:  # our own writer puts t first: no need to parse it all
                own = text.startswith(b'{"t":')
                second = int(float(text[5 : text.find(b",")] if own else json.loads(text)["t"]))
            except ValueError:
                continue
            newest, late = max(newest, second), max(late, newest - second)
    return newest, late


def _batches(run: Run, table: str) -> Iterator[list[_Line]]:
    """All lines of a table in batches of whole seconds, the earliest first; memory does not grow with the run."""
    paths = run.journals(table)
    late = max((_span(path)[1] for path in paths), default=0)
    waiting: list[_Line] = []
    limit = BATCH
    for line in heapq.merge(*map(_lines, paths), key=lambda line: line.newest):
        waiting.append(line)
        if len(waiting) >= limit:
            ready = [w for w in waiting if w.second < line.newest - late]
            waiting = [w for w in waiting if w.second >= line.newest - late]
            limit = len(waiting) + BATCH
            if ready:
                yield ready
    if waiting:
        yield waiting


def _times(seconds: Iterable[float]) -> pd.Series:
    return pd.Series(pd.to_datetime(np.asarray(list(seconds), dtype="int64"), unit="s", utc=True))


def compile_marks(run: Run) -> list[dict[str, Any]]:
    """The marks from the levels journal."""
    marks: dict[int, dict[str, Any]] = {}
    for event in read_journal(run.journal("levels")):
        if event["event"] == "start":
            marks[event["level"]] = {
                "level": event["level"], "workload": event["workload"], "intended": event["intended"],
                "start": event["time"], "hold_start": None, "end": None,
            }  # fmt: skip
        elif event["event"] in ("hold", "end") and event["level"] in marks:
            marks[event["level"]]["hold_start" if event["event"] == "hold" else "end"] = event["time"]
    ordered = [marks[level] for level in sorted(marks)]
    for mark, following in zip_longest(ordered, ordered[1:]):
        if mark["end"] is None:
            mark["end"] = following["start"] if following else max(_last_second(run) + 1.0, mark["start"])
        if mark["hold_start"] is None:
            mark["hold_start"] = mark["end"]
    return ordered


def _last_second(run: Run) -> float:
    return max((_span(path)[0] for path in run.journals("requests")), default=0.0)


def _assign_levels(seconds: np.ndarray, marks: list[dict[str, Any]]) -> np.ndarray:
    level = np.full(len(seconds), -1, dtype="int64")
    for mark in marks:
        level[(seconds >= mark["start"]) & (seconds < mark["end"])] = mark["level"]
    return level


class _Row:
    """What the lines of one second and API add up to; slim, since a day of 20 APIs has 1.7 million."""

    __slots__ = ("counts", "hist", "hist_service")

    def __init__(self) -> None:
        self.counts = (0,) * len(COUNTS)
        self.hist: tuple[bytes, ...] = ()
        self.hist_service: tuple[bytes, ...] = ()

    def add(self, line: dict[str, Any]) -> None:
        """Take one more line into account."""
        self.counts = tuple(total + line.get(name, 0) for total, name in zip(self.counts, COUNTS, strict=True))
        if line.get("hist"):
            self.hist += (line["hist"].encode("ascii"),)
        if line.get("hist_service"):
            self.hist_service += (line["hist_service"].encode("ascii"),)


def _requests_frame(lines: list[_Line], marks: list[dict[str, Any]]) -> pd.DataFrame:
    rows: dict[tuple[int, str], _Row] = defaultdict(_Row)
    for line in lines:
        rows[(line.second, str(line.record["api"]))].add(line.record)
    keys = sorted(rows)
    empty = histogram.encode(histogram.new_histogram())
    is_open = any(mark["workload"] == "open" for mark in marks)
    frame = pd.DataFrame(
        [rows[key].counts for key in keys], columns=["sent", "completed", "failed", "dropped", "bytes_received"]
    )
    frame["time"] = _times(second for second, _ in keys)
    frame["api"] = [api for _, api in keys]
    frame["level"] = _assign_levels(np.array([second for second, _ in keys]), marks)
    frame["hist"] = [histogram.join(rows[key].hist) if rows[key].hist else empty for key in keys]
    frame["hist_service"] = [
        histogram.join(rows[key].hist_service) if rows[key].hist_service else (empty if is_open else None)
        for key in keys
    ]
    return frame


def _failures_frame(lines: list[_Line]) -> pd.DataFrame:
    counts: dict[tuple, int] = defaultdict(int)
    for line in lines:
        told = line.record
        kind = told["kind"] if told["kind"] in schema.FAILURE_KINDS else "other"
        counts[(line.second, told["api"], kind, told["status"], told["errno"], told["message"])] += told["count"]
    keys = sorted(counts, key=lambda k: (k[0], *("" if part is None else str(part) for part in k[1:])))
    frame = pd.DataFrame([key[1:] for key in keys], columns=["api", "kind", "status", "errno", "message"])
    frame["time"] = _times(key[0] for key in keys)
    frame["count"] = [counts[key] for key in keys]
    return frame


def _generator_frame(lines: list[_Line]) -> pd.DataFrame:
    ordered = sorted(lines, key=lambda line: (line.second, line.process))
    frame = pd.DataFrame(
        [{"process": line.process, **{n: line.record.get(n) for n in GENERATOR_COLUMNS}} for line in ordered]
    )
    frame["time"] = _times(line.second for line in ordered)
    return frame


def _frames(run: Run, table: str) -> Iterator[pd.DataFrame]:
    """The rows of a table piece by piece, in the order of time."""
    marks = compile_marks(run) if table == "requests" else []
    for lines in _batches(run, table):
        if table == "requests":
            yield _requests_frame(lines, marks)
        else:
            yield _failures_frame(lines) if table == "failures" else _generator_frame(lines)


def _compile(run: Run, table: str) -> pd.DataFrame:
    parts = [schema.check_table(frame, table) for frame in _frames(run, table)]
    return pd.concat(parts, ignore_index=True) if parts else schema.empty_table(table)


def compile_requests(run: Run) -> pd.DataFrame:
    """The requests table from the journals: one row for each second and API, levels by the marks."""
    return _compile(run, "requests")


def compile_failures(run: Run) -> pd.DataFrame:
    """The failures table from the journals; the same failure in one second is one row, whoever saw it."""
    return _compile(run, "failures")


def compile_generator(run: Run) -> pd.DataFrame:
    """The generator table from the journals."""
    return _compile(run, "generator")


def write_tables(run: Run) -> None:
    """Compile the journals into requests, failures and generator tables and marks.json, piece by piece."""
    for table in ("requests", "failures", "generator"):
        schema.write_table_parts(_frames(run, table), table, run.table(table))
    write_json(run.path / "marks.json", compile_marks(run))
