"""vmstat: the command to start, its log read whatever Linux wrote it, and its rows as metrics.

| column | metric | unit |
| --- | --- | --- |
| r, b | run_queue, blocked_processes | processes |
| swpd, free, buff, cache, inact, active | swap_used_bytes, memory_free_bytes, memory_buffers_bytes, … | bytes |
| si, so, bi, bo | swap_in_bytes_per_s, swap_out_…, block_in_…, block_out_… | bytes/s |
| in, cs | interrupts_per_s, context_switches_per_s | 1/s |
| us, sy, id, wa, st, gu | cpu_user_ratio, cpu_system_…, _idle_…, _iowait_…, _steal_…, _guest_… | ratio (of all cores) |
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from genkai.collect.errors import CollectError
from genkai.collect.rows import naive, utc_times
from genkai.collect.stamps import own_zone, zone_named
from genkai.collect.vmstat_lines import CPU, is_binary, why_not_vmstat
from genkai.collect.vmstat_runs import Lines, read_lines, row_times, since_boot_rows
from genkai.metrics import Block

UNITS = {"k": 1000, "K": 1024, "m": 1_000_000, "M": 1_048_576}
_SCALED = ("swpd", "free", "buff", "cache", "inact", "active", "si", "so")
_MEMORY = ("free", "buff", "cache", "inact", "active")
_FROZEN_ROWS = 10

METRICS = {  # column: metric, unit, factor from KiB or per cent
    "r": ("run_queue", "processes", 1.0),
    "b": ("blocked_processes", "processes", 1.0),
    "w": ("swapped_processes", "processes", 1.0),
    "swpd": ("swap_used_bytes", "bytes", 1024.0),
    "free": ("memory_free_bytes", "bytes", 1024.0),
    "buff": ("memory_buffers_bytes", "bytes", 1024.0),
    "cache": ("memory_cache_bytes", "bytes", 1024.0),
    "inact": ("memory_inactive_bytes", "bytes", 1024.0),
    "active": ("memory_active_bytes", "bytes", 1024.0),
    "si": ("swap_in_bytes_per_s", "bytes/s", 1024.0),
    "so": ("swap_out_bytes_per_s", "bytes/s", 1024.0),
    "bi": ("block_in_bytes_per_s", "bytes/s", 1024.0),
    "bo": ("block_out_bytes_per_s", "bytes/s", 1024.0),
    "in": ("interrupts_per_s", "1/s", 1.0),
    "cs": ("context_switches_per_s", "1/s", 1.0),
    "us": ("cpu_user_ratio", "ratio", 0.01),
    "sy": ("cpu_system_ratio", "ratio", 0.01),
    "id": ("cpu_idle_ratio", "ratio", 0.01),
    "wa": ("cpu_iowait_ratio", "ratio", 0.01),
    "st": ("cpu_steal_ratio", "ratio", 0.01),
    "gu": ("cpu_guest_ratio", "ratio", 0.01),
}


class VmstatError(CollectError):
    """A file that is not the log of a Linux vmstat, or holds no interval."""


@dataclass(frozen=True)
class VmstatLog:
    """The rows of a log: frame has `time` (end of the interval, UTC, or missing) and vmstat's columns, memory in KiB.

    period_s: length of an interval. frozen: memory columns that never move (procps 4.0.2).
    """

    frame: pd.DataFrame
    since_boot_dropped: int
    warnings: list[str] = field(default_factory=list)
    period_s: float = 1.0
    frozen: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """{rows, columns, since_boot_dropped, first, last, min, max, sum, warnings}, the last five keyed by column."""
        values = self.frame.drop(columns="time")
        return {
            "rows": len(values),
            "columns": list(values.columns),
            "since_boot_dropped": self.since_boot_dropped,
            "first": _plain(values.iloc[0]),
            "last": _plain(values.iloc[-1]),
            "min": _plain(values.min()),
            "max": _plain(values.max()),
            "sum": _plain(values.sum()),
            "warnings": list(self.warnings),
        }


def _plain(row: pd.Series) -> dict[str, int | float | None]:
    return {
        str(name): None if math.isnan(value) else int(value) if float(value).is_integer() else float(value)
        for name, value in row.items()
    }


def vmstat_command(samples: int) -> str:
    """The shell command that prints one row a second: C locale, UTC, one heading, wide, time stamps."""
    return f"env LC_ALL=C TZ=UTC vmstat -n -w -t 1 {samples}"


def parse_vmstat(
    text: str | bytes,
    *,
    unit: str = "K",
    timezone: str = "UTC",
    start: datetime | None = None,
    period_s: float | None = None,
    since_boot: bool = True,
    where: str = "vmstat log",
) -> VmstatLog:
    """Read what a Linux vmstat printed.

    unit: that of -S (k, K, m, M). timezone: of stamps that do not say theirs. start: time of the first row of a log
    without stamps. period_s: the interval, when the log cannot tell. since_boot: False when started with -y.
    Raises VmstatError with what the text is instead.
    """
    if unit not in UNITS:
        raise VmstatError(f"{where}: unit: expected one of {', '.join(UNITS)} (as of vmstat -S), got {unit!r}")
    lines = read_lines(_decoded(text, where))
    if not lines.segments:
        raise VmstatError(
            f"{where}: expected the output of a Linux vmstat, got {why_not_vmstat(_decoded(text, where))}"
        )
    try:
        times, period, notes = row_times(lines, zone_named(timezone), start, period_s)
    except ValueError as error:
        raise VmstatError(f"{where}: {error}") from error
    dropped = since_boot_rows(lines, times, period) if since_boot else np.zeros(len(times), bool)
    frame, spoiled = _frame(lines, times, unit)
    kept = frame[~dropped & ~spoiled].reset_index(drop=True)
    if kept.empty:
        raise VmstatError(
            f"{where}: expected rows that describe an interval, got {int(dropped.sum())} since-boot row(s) only; "
            "record with an interval and a count, e.g. vmstat -n -w -t 1 600"
        )
    frozen = _frozen(kept, np.cumsum(dropped)[~dropped & ~spoiled])
    warnings = [*lines.warnings, *notes, *_warnings(kept, spoiled, frozen, lines, timezone)]
    return VmstatLog(kept, int(dropped.sum()), warnings, period, frozen)


def _decoded(text: str | bytes, where: str) -> str:
    if isinstance(text, bytes):
        if is_binary(text):
            raise VmstatError(
                f"{where}: expected the output of a Linux vmstat, got binary data; export it as text first"
            )
        text = text.decode("utf-8", "replace")
    if "\0" in text[:100_000]:
        raise VmstatError(f"{where}: expected the output of a Linux vmstat, got binary data; export it as text first")
    return text.lstrip("\ufeff")


def _frame(lines: Lines, times: np.ndarray, unit: str) -> tuple[pd.DataFrame, np.ndarray]:
    parts = []
    for segment in lines.segments:
        if segment.fields:
            # all are plain digits: Arrow reads them in a third of NumPy's time
            values = pa.array(segment.fields, pa.string()).cast(pa.float64()).to_numpy(zero_copy_only=False)
            parts.append(pd.DataFrame(values.reshape(-1, len(segment.layout.columns)), columns=segment.layout.columns))
    frame = pd.concat(parts, ignore_index=True) if len(parts) != 1 else parts[0]
    shares = frame[[c for c in CPU if c in frame]]
    # 2^53: where float64, and any counter that vmstat can print, ends
    spoiled = ((frame >= 2**53).any(axis=1) | (shares > 100).any(axis=1)).to_numpy()
    if UNITS[unit] != 1024:
        scaled = [c for c in _SCALED if c in frame]
        frame[scaled] = frame[scaled] * (UNITS[unit] / 1024)
    whole = {c: "int64" for c in frame.columns if not frame[c].isna().any() and (frame[c] % 1 == 0).all()}
    frame = frame.mask(frame >= 2**53, 0).astype(whole)
    frame.insert(0, "time", utc_times(times))
    return frame, spoiled


def _frozen(frame: pd.DataFrame, runs: np.ndarray) -> tuple[str, ...]:
    """The memory columns when none of them moves within any run; () when they do, or there are too few rows to tell."""
    memory = [c for c in _MEMORY if c in frame]
    by_run = frame[memory].groupby(runs)
    still = by_run.size().max() >= _FROZEN_ROWS and bool((by_run.nunique() <= 1).all(axis=None))
    return tuple(memory) if still else ()


def _warnings(
    frame: pd.DataFrame, spoiled: np.ndarray, frozen: tuple[str, ...], lines: Lines, timezone: str
) -> list[str]:
    notes = []
    if spoiled.any():
        notes.append(f"{int(spoiled.sum())} row(s) left out: a CPU share above 100% or a number too large to be one")
    total = frame[[c for c in CPU if c in frame]].sum(axis=1)
    odd = (total < 95) | ((total - frame.get("gu", 0)) > 105)
    if odd.any():
        notes.append(f"{int(odd.sum())} row(s) whose CPU columns do not add up to 100%")
    if frozen:
        notes.append(
            f"memory columns ({', '.join(frozen)}) stand still at the first sample, as procps 4.0.2 prints them "
            "(Debian bug 1027963): take memory from /proc/meminfo"
        )
    zones = {s.layout.zone for s in lines.segments if s.layout.zone and own_zone(s.layout.zone) is None}
    if zones and timezone == "UTC":
        notes.append(f"stamps are in {', '.join(sorted(zones))}, read as UTC: pass the time zone, e.g. Asia/Tokyo")
    if any(s.layout.by_position for s in lines.segments):
        notes.append("translated heading: columns read by their position; 5 and 6 taken for buff and cache")
    return notes


def vmstat_block(log: VmstatLog, host: str, clock_offset_s: float = 0.0) -> Block:
    """The log as metrics of the resource host:NAME; a row's time is the start of its interval.

    clock_offset_s: how far the host's clock is ahead of ours. Frozen memory columns and rows without a time are left
    out. Raises VmstatError when no row has a time.
    """
    frame = log.frame[log.frame["time"].notna()]
    if frame.empty:
        raise VmstatError(f"{host}: expected time stamps in the vmstat log, got none; give the time of the first row")
    times = naive(frame["time"] - pd.Timedelta(seconds=log.period_s + clock_offset_s))
    columns = [c for c in METRICS if c in frame and c not in log.frozen]
    values = {METRICS[c][0]: frame[c].to_numpy(float) * METRICS[c][2] for c in columns}
    units = {METRICS[c][0]: METRICS[c][1] for c in columns}
    return Block("vmstat", f"host:{host}", times, log.period_s, values, units)


def vmstat_metrics(log: VmstatLog, host: str, clock_offset_s: float = 0.0) -> pd.DataFrame:
    """`vmstat_block` as rows of the metrics table."""
    return vmstat_block(log, host, clock_offset_s).frame
