"""What others recorded, read from their files: vmstat logs, sar, socket listings; anything else is refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from genkai.collect.errors import CollectError
from genkai.collect.imports import ImportFileError, Listing, listing_metrics, parse_listings
from genkai.collect.sar import parse_sar
from genkai.collect.stamps import zone_named
from genkai.collect.vmstat import parse_vmstat, vmstat_metrics


@dataclass(frozen=True)
class Reading:
    """How to read a file: unit of vmstat -S, zone of its stamps, time of its first row or listing (ISO), day of a sar
    report, how far the host's clock was ahead.
    """

    unit: str = "K"
    timezone: str = "UTC"
    start: str = ""
    day: str = ""
    clock_offset_s: float = 0.0

    @property
    def begin(self) -> datetime | None:
        """start as a moment. Raises CollectError."""
        if not self.start:
            return None
        try:
            moment = datetime.fromisoformat(self.start)
        except ValueError as error:
            raise CollectError(f"--start: expected 2024-05-01T12:00:00, got {self.start!r}") from error
        return moment if moment.tzinfo else moment.replace(tzinfo=zone_named(self.timezone))

    @property
    def date(self) -> date | None:
        """day as a date. Raises CollectError."""
        try:
            return date.fromisoformat(self.day) if self.day else None
        except ValueError as error:
            raise CollectError(f"--day: expected 2024-05-01, got {self.day!r}") from error

    @property
    def zone(self) -> Any:
        """timezone as one. Raises CollectError."""
        try:
            return zone_named(self.timezone)
        except ValueError as error:
            raise CollectError(f"--timezone: {error}") from error


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CollectError(f"{path}: expected a readable file, got {error.strerror or error}") from error


def vmstat_summary(path: Path, unit: str = "K") -> dict[str, Any]:
    """{rows, columns, since_boot_dropped, first, last, min, max, sum, warnings} of a log. Raises CollectError."""
    return parse_vmstat(_bytes_of(path), unit=unit, where=str(path)).record()


def vmstat_text(name: str, record: dict[str, Any]) -> str:
    """The summary as lines: one for the file, one for each column."""
    head = f"{name}: {record['rows']} rows, {record['since_boot_dropped']} since-boot rows dropped"
    return _lines(head, record)


def _lines(head: str, record: dict[str, Any]) -> str:
    width = max((len(c) for c in record["columns"]), default=0)
    lines = [
        f"  {c:{width}} min {record['min'][c]:>14g}  max {record['max'][c]:>14g}"
        for c in record["columns"]
        if record["min"].get(c) is not None
    ]
    return "\n".join([head, *lines, *(f"  note: {w}" for w in record["warnings"])])


_SUMS = ("first", "last", "min", "max", "sum")


def sar_summary(path: Path, how: Reading | None = None) -> dict[str, Any]:
    """{rows, columns, first, last, min, max, sum, warnings, begin, end} of a sar text; columns are metrics.

    rows: values in all. Raises CollectError.
    """
    how = how or Reading()
    log = parse_sar(_bytes_of(path), "file", day=how.date, zone=how.zone, where=str(path))
    by = log.frame.sort_values("time", kind="stable").groupby("metric", sort=False)["value"]
    named = {name: {str(m): float(v) for m, v in getattr(by, name)().items()} for name in _SUMS}
    begin, end = (f"{t:%Y-%m-%dT%H:%M:%SZ}" for t in (log.frame["time"].min(), log.frame["time"].max()))
    return {"rows": len(log.frame), "columns": list(named["first"]), **named, "warnings": log.warnings, "begin": begin,
            "end": end}  # fmt: skip


def sar_text(name: str, record: dict[str, Any]) -> str:
    """The summary as lines: one for the file, one for each metric."""
    return _lines(f"{name}: {record['rows']} values, {record['begin']} to {record['end']}", record)


def socket_summary(path: Path, tool: str = "") -> dict[str, Any]:
    """Sockets by state; of several listings those of the last. Raises CollectError for text of no known kind.

    tool: ss or netstat, when the text must be of that one.
    """
    return dict(_listings(path, tool, Reading())[-1].counts)


def _listings(path: Path, tool: str, how: Reading) -> list[Listing]:
    found = parse_listings(_bytes_of(path).decode(errors="replace"), how.zone, str(path))
    other = next((listing.tool for listing in found if (tool == "netstat" and listing.tool != "netstat")
                  or (tool == "ss" and listing.tool == "netstat")), None)  # fmt: skip
    if other:
        raise ImportFileError(f"{path}: expected the output of {tool}, got that of {other} (genkai import {other})")
    return found


def host_table(tool: str, path: Path, host: str, how: Reading) -> tuple[pd.DataFrame, list[str]]:
    """(rows of the metrics table, what was odd) of one file of vmstat, sar, ss or netstat. Raises CollectError."""
    if tool == "vmstat":
        log = parse_vmstat(_bytes_of(path), unit=how.unit, timezone=how.timezone, start=how.begin, where=str(path))
        return vmstat_metrics(log, host, how.clock_offset_s), log.warnings
    if tool == "sar":
        found = parse_sar(_bytes_of(path), host, day=how.date, zone=how.zone, where=str(path))
        table = found.frame.assign(time=found.frame["time"] - pd.Timedelta(seconds=how.clock_offset_s))
        return table, found.warnings
    listings, notes = _listings(path, tool, how), []
    if any(listing.time is None for listing in listings):
        moment = how.begin or datetime.fromtimestamp(path.stat().st_mtime, UTC)
        listings = [Listing(x.tool, moment.timestamp(), x.counts) for x in listings]
        if how.begin is None:
            notes = [
                f"{path}: no date line: taken as of the file's own time, {moment:%Y-%m-%d %H:%M:%S} UTC; else --start"
            ]
    return listing_metrics(listings, host, how.clock_offset_s), notes
