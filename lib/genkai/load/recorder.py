"""Per second and API: counts, bytes, histograms and failures, keyed by the intended second and journalled each second.

Hot-path cost is an append: response times wait in a list until the flush counts them into a histogram at once.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from genkai import histogram
from genkai.workspace import Run

MESSAGES_PER_API = 30  # distinct failure messages kept in a second
MESSAGE_LENGTH = 300
OTHER_APIS = "(other)"
APIS_AT_MOST = 500

KIND_OF = {
    "timeout_connect": "timeout", "timeout_read": "timeout", "timeout_total": "timeout", "closed": "reset",
    "dns": "other", "protocol": "other", "blocked": "other", "http_other": "check",
}  # fmt: skip


class Cell:
    """One intended second of one API; running totals, of which the flush writes what is new."""

    __slots__ = ("api", "bytes", "completed", "dropped", "failed", "response", "second", "sent", "service", "written")

    def __init__(self, api: str, second: int) -> None:
        self.api, self.second = api, second
        self.sent = self.completed = self.failed = self.dropped = self.bytes = 0
        self.response: list[float] = []  # seconds from the intended send
        self.service: list[float] = []  # seconds from the actual send, open workload only
        self.written = (0, 0, 0, 0, 0)

    @property
    def in_flight(self) -> int:
        """Requests sent and not yet answered."""
        return self.sent - self.completed - self.failed

    def take(self) -> dict[str, Any] | None:
        """What was added since the last call, as a journal line without histograms; None for nothing."""
        totals = (self.sent, self.completed, self.failed, self.dropped, self.bytes)
        if totals == self.written:
            return None
        new = [now - before for now, before in zip(totals, self.written, strict=True)]
        self.written = totals
        names = ("sent", "completed", "failed", "dropped", "bytes")
        return {"t": self.second, "api": self.api, **dict(zip(names, new, strict=True))}


class HistogramWriter:
    """Turns lists of durations into encoded histograms, many values at once."""

    def __init__(self) -> None:
        self._histogram = histogram.new_histogram()
        self._counts = np.frombuffer(self._histogram.counts, dtype=np.uint64)
        self._half = self._histogram.sub_bucket_half_count
        self._shift = self._histogram.sub_bucket_half_count_magnitude
        self._mask = self._histogram.sub_bucket_mask

    def encode(self, durations_s: Sequence[float]) -> str | None:
        """HDR V2 text of the durations; equal to recording them one by one; None for none."""
        if not durations_s:
            return None
        us = np.rint(np.asarray(durations_s) * 1e6).astype(np.int64)
        us = np.clip(us, histogram.LOWEST_US, histogram.HIGHEST_US)
        bits = np.frexp((us | self._mask).astype(np.float64))[1]
        bucket = bits - self._shift - 1
        index = ((bucket + 1) << self._shift) + (us >> bucket) - self._half
        found, counts = np.unique(index, return_counts=True)
        self._counts[found] = counts
        whole = self._histogram
        whole.total_count, whole.min_value, whole.max_value = len(us), int(us.min()), int(us.max())
        text = histogram.encode(whole).decode("ascii")
        self._counts[found] = 0
        return text


class RequestLog:
    """A sample of the requests, one by one: {"intended", "sent", "done" (epoch seconds), "api", "kind", "status"}."""

    def __init__(self, run: Run, process: str, ratio: float) -> None:
        self._ratio = ratio
        self._lines: list[dict[str, Any]] = []
        self._journal = run.open_journal("samples", process)

    def note(self, api: str, intended: float, sent: float, done: float, kind: str | None, status: int | None) -> None:
        """Take a request into the sample, or not; kind is None for one that passed."""
        if random.random() < self._ratio:
            self._lines.append(
                {"intended": intended, "sent": sent, "done": done, "api": api, "kind": kind, "status": status}
            )

    def flush(self) -> None:
        """Write what came since the last time."""
        lines, self._lines = self._lines, []
        if lines:
            self._journal.write(*lines)

    def close(self) -> None:
        """Write what is left."""
        self.flush()
        self._journal.close()


class Follower(Protocol):
    """Who else wants what a recorder journals, in the same moment."""

    def take_requests(self, line: Mapping[str, Any], durations_s: Sequence[float]) -> None:
        """A line of the requests journal, and the response times that it counts."""

    def take_failures(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Lines of the failures journal."""


class Recorder:
    """The cells of one process; `now` gives epoch seconds; `log` is a sample of single requests, when it is wanted."""

    follower: Follower | None = None

    def __init__(self, run: Run, process: str, now: Callable[[], float], log_ratio: float = 0.0) -> None:
        self.process = process
        self._now = now
        self._cells: dict[tuple[str, int], Cell] = {}
        self._current: dict[str, Cell] = {}
        self._failures: Counter[tuple] = Counter()
        self._messages: dict[tuple[str, int], set[str]] = {}
        self._histograms = HistogramWriter()
        self._requests_journal = run.open_journal("requests", process)
        self._failures_journal = run.open_journal("failures", process)
        self._apis: set[str] = set()
        self.log = RequestLog(run, process, log_ratio) if log_ratio else None

    def cell(self, api: str, intended: float) -> Cell:
        """The cell of an API and the second in which the request was intended."""
        second = int(intended)
        found = self._current.get(api)
        if found is not None and found.second == second:
            return found
        if api not in self._apis:
            if len(self._apis) >= APIS_AT_MOST:
                api = OTHER_APIS
            self._apis.add(api)
        found = self._cells.get((api, second))
        if found is None:
            found = self._cells[(api, second)] = Cell(api, second)
        self._current[api] = found
        return found

    def fail(self, cell: Cell, kind: str, status: int | None, errno: int | None, message: str) -> None:
        """Count a failure in its cell and by its kind; a finer kind than the table's stays in the message."""
        cell.failed += 1
        coarse = KIND_OF.get(kind, kind)
        text = (message if coarse == kind else f"{kind}: {message}")[:MESSAGE_LENGTH]
        known = self._messages.setdefault((cell.api, cell.second), set())
        if text not in known:
            if len(known) >= MESSAGES_PER_API:
                text = "(other messages)"
            known.add(text)
        self._failures[(cell.second, cell.api, coarse, status, errno, text)] += 1

    @property
    def in_flight(self) -> int:
        """Requests of this process that are not answered yet."""
        return sum(cell.in_flight for cell in self._cells.values())

    def flush(self, pause: Callable[[], None] | None = None) -> None:
        """Journal what is new; `pause` is called between APIs so that a long flush delays no request."""
        current = int(self._now())
        lines = []
        for key, cell in list(self._cells.items()):
            if cell.in_flight == 0 and cell.second < current - 1:
                del self._cells[key]
                if self._current.get(cell.api) is cell:
                    del self._current[cell.api]
            if (line := self._line(cell)) is not None:
                lines.append(line)
                if pause is not None:
                    pause()
        if lines:
            self._requests_journal.write(*lines)
        self._flush_failures()
        if self.log is not None:
            self.log.flush()

    def _line(self, cell: Cell) -> dict[str, Any] | None:
        line = cell.take()
        if line is None:
            return None
        response, cell.response = cell.response, []
        service, cell.service = cell.service, []
        if self.follower is not None:
            self.follower.take_requests(line, response)
        return {**line, "hist": self._histograms.encode(response), "hist_service": self._histograms.encode(service)}

    def _flush_failures(self) -> None:
        failures, self._failures = self._failures, Counter()
        self._messages.clear()
        names = ("t", "api", "kind", "status", "errno", "message")
        lines = [{**dict(zip(names, key, strict=True)), "count": count} for key, count in failures.items()]
        if lines:
            self._failures_journal.write(*lines)
            if self.follower is not None:
                self.follower.take_failures(lines)

    def close(self) -> None:
        """Write what is left and close the journals."""
        self.flush()
        self._requests_journal.close()
        self._failures_journal.close()
        if self.log is not None:
            self.log.close()
