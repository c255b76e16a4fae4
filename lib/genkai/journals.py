"""A run's journals as tables: at any moment, also after a kill -9, and whichever process wrote them.

Lines that speak of the same second and API add up; a line that a kill cut short is dropped.
"""

from __future__ import annotations

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
from genkai.workspace import Run, read_journal, read_json, write_json

COUNTS = ("sent", "completed", "failed", "dropped", "bytes")
GENERATOR_COLUMNS = (
    "cpu_ratio", "loop_lag_p99_s", "schedule_slip_p99_s", "in_flight", "users", "sockets_time_wait", "fds",
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


def _lines(run: Run, table: str) -> Iterator[dict[str, Any]]:
    for path in run.journals(table):
        yield from read_journal(path)


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
    return max((line["t"] for line in _lines(run, "requests")), default=0.0)


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


def _merged(encoded: tuple[bytes, ...]) -> bytes:
    return encoded[0] if len(encoded) == 1 else histogram.encode(histogram.merge(encoded))


def compile_requests(run: Run) -> pd.DataFrame:
    """The requests table from the journals: one row for each second and API, levels by the marks."""
    rows: dict[tuple[int, str], _Row] = defaultdict(_Row)
    for line in _lines(run, "requests"):
        rows[(int(line["t"]), str(line["api"]))].add(line)
    keys = sorted(rows)
    if not keys:
        return schema.empty_table("requests")
    empty = histogram.encode(histogram.new_histogram())
    marks = compile_marks(run)
    is_open = any(mark["workload"] == "open" for mark in marks)
    frame = pd.DataFrame(
        [rows[key].counts for key in keys], columns=["sent", "completed", "failed", "dropped", "bytes_received"]
    )
    frame["time"] = _times(second for second, _ in keys)
    frame["api"] = [api for _, api in keys]
    frame["level"] = _assign_levels(np.array([second for second, _ in keys]), marks)
    frame["hist"] = [_merged(rows[key].hist) if rows[key].hist else empty for key in keys]
    frame["hist_service"] = [
        _merged(rows[key].hist_service) if rows[key].hist_service else (empty if is_open else None) for key in keys
    ]
    return schema.check_table(frame, "requests")


def compile_failures(run: Run) -> pd.DataFrame:
    """The failures table from the journals; the same failure in one second is one row, whoever saw it."""
    counts: dict[tuple, int] = defaultdict(int)
    for line in _lines(run, "failures"):
        kind = line["kind"] if line["kind"] in schema.FAILURE_KINDS else "other"
        counts[(int(line["t"]), line["api"], kind, line["status"], line["errno"], line["message"])] += line["count"]
    if not counts:
        return schema.empty_table("failures")
    keys = sorted(counts, key=lambda k: tuple("" if part is None else str(part) for part in k))
    frame = pd.DataFrame([key[1:] for key in keys], columns=["api", "kind", "status", "errno", "message"])
    frame["time"] = _times(key[0] for key in keys)
    frame["count"] = [counts[key] for key in keys]
    return schema.check_table(frame, "failures")


def compile_generator(run: Run) -> pd.DataFrame:
    """The generator table from the journals."""
    rows = [
        {"t": int(line["t"]), "process": path.name.split(".", 2)[1], **{n: line.get(n) for n in GENERATOR_COLUMNS}}
        for path in run.journals("generator")
        for line in read_journal(path)
    ]
    if not rows:
        return schema.empty_table("generator")
    rows.sort(key=lambda r: (r["t"], r["process"]))
    frame = pd.DataFrame(rows)
    frame["time"] = _times(frame.pop("t"))
    return schema.check_table(frame, "generator")


def write_tables(run: Run) -> None:
    """Compile the journals into requests, failures and generator tables and marks.json."""
    schema.write_table(compile_requests(run), "requests", run.table("requests"))
    schema.write_table(compile_failures(run), "failures", run.table("failures"))
    schema.write_table(compile_generator(run), "generator", run.table("generator"))
    write_json(run.path / "marks.json", compile_marks(run))


@dataclass(frozen=True)
class News:
    """What the journals gained since the last look; responses are of all seconds and APIs together."""

    sent: int = 0
    completed: int = 0
    failed: int = 0
    dropped: int = 0
    hists: tuple[bytes, ...] = ()
    p95_s: float | None = None
    users: int | None = None
    cpu_ratio: float | None = None
    event: dict[str, Any] | None = None

    @property
    def error_ratio(self) -> float | None:
        """(failed + dropped) ÷ (completed + failed + dropped); None when nothing ended."""
        ended = self.completed + self.failed + self.dropped
        return (self.failed + self.dropped) / ended if ended else None


class Tail:
    """Follows the journals of a run while they are written."""

    def __init__(self, run: Run, histograms: bool = True) -> None:
        self._run = run
        self._histograms = histograms
        self._offsets: dict[Path, int] = {}
        self._event: dict[str, Any] | None = None
        self._health: dict[Path, dict[str, Any]] = {}

    def look(self) -> News:
        """What is new; users and CPU are each process's latest, CPU of the busiest one."""
        counts = dict.fromkeys(COUNTS, 0)
        hists: list[bytes] = []
        for path in self._run.journals("requests"):
            for line in self._new_lines(path):
                for name in COUNTS:
                    counts[name] += line.get(name, 0)
                if self._histograms and line.get("hist"):
                    hists.append(line["hist"].encode("ascii"))
        for path in self._run.journals("generator"):
            for line in self._new_lines(path):
                self._health[path] = line
        for event in self._new_lines(self._run.journal("levels")):
            self._event = event if "level" in event else self._event
        health = self._health.values()
        users = [h["users"] for h in health if h.get("users") is not None]
        cpus = [h["cpu_ratio"] for h in health if h.get("cpu_ratio") is not None]
        counts.pop("bytes")
        return News(
            **counts, hists=tuple(hists), p95_s=histogram.quantile_s(histogram.merge(hists), 0.95) if hists else None,
            users=sum(users) if users else None, cpu_ratio=max(cpus, default=None), event=self._event,
        )  # fmt: skip

    def _new_lines(self, path: Path) -> Iterator[dict[str, Any]]:
        if not path.exists():
            return
        with open(path, "rb") as stream:
            stream.seek(self._offsets.get(path, 0))
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                self._offsets[path] = self._offsets.get(path, 0) + len(line)
                try:
                    yield json.loads(line)
                except ValueError:
                    continue


def lost_processes(run: Run, tolerance_s: float = 3.0) -> list[str]:
    """Processes whose health journal ends more than `tolerance_s` before the others': they died on the way."""
    last = {
        path.name.split(".", 2)[1]: max((line["t"] for line in read_journal(path)), default=0)
        for path in run.journals("generator")
    }
    newest = max(last.values(), default=0)
    return sorted(process for process, second in last.items() if second < newest - tolerance_s)
