"""Histogram logs (.hlog, HdrHistogram's log writer, format 1.x), as wrk2's forks, YCSB and cassandra-stress leave them.

Each line is an interval: [Tag=NAME,]start,length,maximum,compressed histogram. The maximum is written in another unit
than the histogram's: their ratio tells which it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from hdrh.histogram import HdrHistogram

from genkai import histogram, schema
from genkai.study.foreign import Imported, ImportedError, check_span
from genkai.study.samples import rate_levels, read_lines

UNITS_S = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
RATIOS = ((1e6, "ns"), (1e3, "us"))  # largest value ÷ the maximum as written, in milliseconds by default
NOTES = (
    "A histogram log counts responses, it knows neither users nor failures: levels are plateaus of the rate.",
    "An interval longer than a second is dealt out evenly over its seconds.",
    "Whether times run from the intended send depends on the tool (wrk2: yes; wrk and most others: no).",
)


@dataclass(frozen=True)
class Interval:
    """One line: tag, epoch second of its start, length in seconds, the maximum as written, value → count."""

    where: str
    tag: str
    start: float
    length: float
    maximum: float
    counts: dict[int, int]


def read_hlog(path: Path, unit: str | None = None) -> Imported:
    """The intervals of a log. unit: of the recorded values, one of UNITS_S; None: read from the file.

    Raises ImportedError.
    """
    if unit is not None and unit not in UNITS_S:
        raise ImportedError(f"--unit: expected {', '.join(UNITS_S)}, got {unit!r}")
    intervals = [i for i in _intervals(path) if i.counts]
    if not intervals:
        raise ImportedError(f"{path}: expected intervals with values, got none")
    check_span(path, pd.Series([t for i in intervals for t in (i.start, i.start + i.length)]))
    scale = UNITS_S[unit or _unit(path, intervals)]
    rows, sums = [], {}
    for interval in intervals:
        for second, counts in _dealt(interval):
            recorded = histogram.new_histogram()
            for value, count in counts.items():
                histogram.record_seconds(recorded, value * scale, count)
            rows.append((second, interval.tag, sum(counts.values()), histogram.encode(recorded)))
            sums[second] = sums.get(second, 0.0) + scale * sum(value * count for value, count in counts.items())
    frame = pd.DataFrame(rows, columns=["second", "api", "sent", "hist"])
    merged = frame.groupby(["second", "api"], as_index=False).agg(sent=("sent", "sum"), hist=("hist", list))
    requests = pd.DataFrame({
        "time": pd.to_datetime(merged["second"], unit="s", utc=True), "api": merged["api"], "level": -1,
        "sent": merged["sent"], "completed": merged["sent"], "failed": 0, "dropped": 0, "bytes_received": 0,
        "hist": [histogram.join(parts) for parts in merged["hist"]], "hist_service": None,
    })  # fmt: skip
    load = rate_levels(merged.groupby("second")["sent"].sum())
    return Imported(schema.check_table(requests, "requests"), schema.empty_table("failures"), load,
                    pd.Series(sums).sort_index(), list(NOTES), "open")  # fmt: skip


def _dealt(interval: Interval) -> Iterator[tuple[int, dict[int, int]]]:
    """(epoch second, value → count) of the seconds of an interval."""
    seconds, first = max(1, round(interval.length)), int(interval.start)
    for i in range(seconds):
        part = {v: c * (i + 1) // seconds - c * i // seconds for v, c in interval.counts.items()}
        part = {value: count for value, count in part.items() if count}
        if part:
            yield first + i, part


def _unit(path: Path, intervals: list[Interval]) -> str:
    """By the ratio of the largest recorded value to the maximum as written."""
    ratios = [max(i.counts) / i.maximum for i in intervals if i.maximum > 0 and max(i.counts) > 0]
    ratio = float(np.median(ratios)) if ratios else 0.0
    for wanted, unit in RATIOS:
        if 0.9 < ratio / wanted < 1.1:
            return unit
    raise ImportedError(f"{path}: expected maxima in milliseconds beside histograms in ns or µs, got a ratio of "
                        f"{ratio:.4g}; say the unit of the values with --unit ns, us, ms or s")  # fmt: skip


def _intervals(path: Path) -> Iterator[Interval]:
    base = began = 0.0
    known = False
    for number, line in read_lines(path, "a histogram log (.hlog)"):
        if line.startswith("#"):
            found = re.match(r"#\[(StartTime|BaseTime): ([0-9.]+)", line)
            if found:
                began, base = (float(found[2]), base) if found[1] == "StartTime" else (began, float(found[2]))
            known = known or line.startswith("#[")
            continue
        if line.startswith('"StartTimestamp"'):
            known = True
            continue
        yield _interval(f"{path}:{number}", line, base, began)
        known = True
    if not known:
        raise ImportedError(f"{path}: expected a histogram log (.hlog), got nothing of one")


def _interval(where: str, line: str, base: float, began: float) -> Interval:
    cells = line.split(",")
    tag = cells.pop(0)[4:] if cells[0].startswith("Tag=") else "all"
    try:
        start, length, maximum, encoded = float(cells[0]), float(cells[1]), float(cells[2]), cells[3].strip()
        decoded = HdrHistogram.decode(encoded)
        recorded = decoded.get_recorded_iterator()
        counts = {int(item.value_iterated_to): int(item.count_added_in_this_iter_step) for item in recorded}
    except Exception as error:  # the decoder raises many kinds
        raise ImportedError(f"{where}: expected start, length, maximum and a compressed histogram, "
                            f"got {line[:60]!r} ({error})") from error  # fmt: skip
    # Stamps far below the start time are relative to it (log version 1.2: to BaseTime where that is given).
    offset = base or (began if began and start < began / 2 else 0.0)
    return Interval(where, tag or "all", start + offset, length, maximum, counts)
