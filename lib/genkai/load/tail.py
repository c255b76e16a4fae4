"""A run's journals while they are written: what each look finds new. Imports neither locust nor gevent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genkai import histogram
from genkai.workspace import COUNTS, Run

SILENT_S = 5.0  # a process that told nothing for so long is lost; a slow link delays its lines by less


@dataclass(frozen=True)
class News:
    """What the journals gained since the last look; responses are of all seconds and APIs together.

    told: {process: the last second that it told of}. seconds: how many of them are new, the mean over the processes
    that still tell: 1 in most looks, 0 and then 2 where a flush is late.
    """

    sent: int = 0
    completed: int = 0
    failed: int = 0
    dropped: int = 0
    hists: tuple[bytes, ...] = ()
    p95_s: float | None = None
    users: int | None = None
    cpu_ratio: float | None = None
    late_s: float | None = None
    ports_left: int | None = None
    told: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    event: dict[str, Any] | None = None

    @property
    def error_ratio(self) -> float | None:
        """(failed + dropped) ÷ (completed + failed + dropped); None when nothing ended."""
        ended = self.completed + self.failed + self.dropped
        return (self.failed + self.dropped) / ended if ended else None


def _new_seconds(before: Mapping[str, int], told: Mapping[str, int]) -> float:
    newest = max(told.values(), default=0)
    new = [last - before.get(process, last - 1) for process, last in told.items() if last >= newest - SILENT_S]
    return sum(new) / len(new) if new else 0.0


class Tally:
    """Lines of requests journals, added up: counts by name, and the encoded histograms of response times."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = dict.fromkeys(COUNTS, 0)
        self.hists: list[bytes] = []

    def add(self, line: Mapping[str, Any], histograms: bool = True) -> None:
        """Add one line."""
        for name in COUNTS:
            self.counts[name] += line.get(name, 0)
        if histograms and line.get("hist"):
            self.hists.append(line["hist"].encode("ascii"))

    @classmethod
    def of(cls, parts: Iterable[Tally]) -> Tally:
        """The sum."""
        whole = cls()
        for part in parts:
            whole.add(part.counts)
            whole.hists += part.hists
        return whole


class Tail:
    """Follows the journals of a run while they are written."""

    def __init__(self, run: Run, histograms: bool = True) -> None:
        self._run = run
        self._histograms = histograms
        self._offsets: dict[Path, int] = {}
        self._event: dict[str, Any] | None = None
        self._health: dict[str, dict[str, Any]] = {}
        self._told: dict[str, int] = {}

    def look(self) -> News:
        """What is new; users, CPU, lateness (loop lag, slip), ports: each process's latest, all but users the worst."""
        tally = Tally()
        for line in self.requests():
            tally.add(line, self._histograms)
        for event in self.events():
            self._event = event
        counts, hists, health = tally.counts, tally.hists, self.health().values()
        users = [h["users"] for h in health if h.get("users") is not None]
        cpus = [h["cpu_ratio"] for h in health if h.get("cpu_ratio") is not None]
        late = [h[n] for h in health for n in ("loop_lag_p99_s", "schedule_slip_p99_s") if h.get(n) is not None]
        ports = [h["ports_left"] for h in health if h.get("ports_left") is not None]
        counts.pop("bytes")
        before, self._told = self._told, {p: h["t"] for p, h in self._health.items()}
        return News(
            **counts, hists=tuple(hists), p95_s=histogram.quantile_s(histogram.merge(hists), 0.95) if hists else None,
            users=sum(users) if users else None, cpu_ratio=max(cpus, default=None),
            late_s=max(late, default=None), ports_left=min(ports, default=None),
            told=dict(self._told), seconds=_new_seconds(before, self._told),
            event=self._event,
        )  # fmt: skip

    def requests(self) -> Iterator[dict[str, Any]]:
        """The new lines of all processes' requests journals."""
        for path in self._run.journals("requests"):
            yield from self.new_lines(path)

    def health(self) -> dict[str, dict[str, Any]]:
        """{process: the newest line of its generator journal}."""
        for path in self._run.journals("generator"):
            for line in self.new_lines(path):
                self._health[path.name.split(".")[1]] = line
        return self._health

    def events(self) -> Iterator[dict[str, Any]]:
        """The new lines of the levels journal that speak of a level."""
        return (event for event in self.new_lines(self._run.journal("levels")) if "level" in event)

    def new_lines(self, path: Path) -> Iterator[dict[str, Any]]:
        """The records that a journal gained since the last time."""
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
