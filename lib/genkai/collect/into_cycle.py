"""Host data that others recorded, as metrics of a cycle's runs, so that the timeline and the diagnosis read it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from genkai.collect.errors import CollectError
from genkai.journals import read_marks
from genkai.metrics import Metrics, write_metrics
from genkai.workspace import Cycle, Run, now_text, write_json

AROUND_S = 60.0  # what a host did right before and after the load belongs to the picture
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}")
_HOURS = range(-14, 15)


@dataclass(frozen=True)
class Added:
    """What one host's files gave one run."""

    run: str
    host: str
    path: Path
    rows: int


def host_of(path: Path) -> str:
    """The host that a file's name tells: all before its first point (web1.vmstat.log → web1)."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", path.name.partition(".")[0]).strip("-_") or "host"


def add_metrics(
    cycle: Cycle, tool: str, frames: Mapping[str, Sequence[pd.DataFrame]], files: Sequence[Path]
) -> list[Added]:
    """Write each host's rows into every run that they overlap; what was there of the same host and tool is replaced.

    frames: {host: tables}. Raises CollectError when no run overlaps, with the times of both.
    """
    if cycle.recorded and not any("imported" in run.record() for run in cycle.runs()):
        raise CollectError(f"{cycle.path}: expected a cycle of your own, got the recorded sample, which is only read")
    windows = {run: (marks[0]["start"], marks[-1]["end"]) for run in cycle.runs() if (marks := read_marks(run))}
    if not windows:
        raise CollectError(
            f"{cycle.path}: expected a run with levels, got none; run it, or import a load tool's results"
        )
    added: list[Added] = []
    for host, tables in frames.items():
        if not _NAME.fullmatch(host):
            raise CollectError(f"host name: expected letters, digits, - and _, got {host!r}; give one with --host")
        table = Metrics.of(pd.concat(tables, ignore_index=True))
        found = [a for run, window in windows.items() if (a := _add(run, window, table, host, tool))]
        if not found:
            raise CollectError(_nowhere(cycle, windows, table, host))
        added += found
    for run in {a.path.parent: Run(a.path.parent) for a in added}.values():
        rows = {a.host: a.rows for a in added if a.path.parent == run.path}
        write_json(
            run.raw(f"imported.{tool}.json"), {"time": now_text(), "files": [f.name for f in files], "rows": rows}
        )
    return added


def _add(run: Run, window: tuple[float, float], table: Metrics, host: str, tool: str) -> Added | None:
    if not len(table.select(window=window)):
        return None
    rows = table.select(window=(window[0] - AROUND_S, window[1] + AROUND_S))
    path = run.table("metrics", f"imported-{host}-{tool}")
    write_metrics([rows], path)
    return Added(run.name, host, path, len(rows))


def _nowhere(cycle: Cycle, windows: Mapping[Run, tuple[float, float]], table: Metrics, host: str) -> str:
    starts = [table.arrays(key)[0] for key in table.keys]
    first, last = min(s[0] for s in starts), max(s[-1] for s in starts)
    runs = ", ".join(f"{run.name} {_span(*window)}" for run, window in windows.items())
    fits = [h for h in _HOURS if h and any(first - h * 3600 < b and last - h * 3600 > a for a, b in windows.values())]
    hint = f"; with --timezone {fits[0]:+03d}:00 they would fit: is that the zone of the log?" if len(fits) == 1 else ""
    return f"{cycle.path}: {host}: expected rows within a run ({runs}), got rows of {_span(first, last)}{hint}"


def _span(first: float, last: float) -> str:
    begin, end = (datetime.fromtimestamp(t, UTC) for t in (first, last))
    return f"{begin:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC"
