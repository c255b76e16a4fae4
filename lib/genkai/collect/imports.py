"""Sockets that others listed: `ss -s`, `ss -tan`, `netstat -an`, /proc/net/sockstat, once or again and again.

| metric | unit | from |
| --- | --- | --- |
| tcp_established, sockets_time_wait, tcp_STATE | sockets | ss, netstat (listed sockets or the summary) |
| sockets_used, sockets_tcp_in_use, sockets_orphaned, tcp_memory_bytes | sockets, bytes | ss -s, sockstat |
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

import numpy as np
import pandas as pd

from genkai.collect.errors import CollectError, signs, what_else
from genkai.collect.rows import metric_rows, utc_times
from genkai.collect.stamps import parse_stamp

_STATES = {
    "ESTAB": "tcp_established", "ESTABLISHED": "tcp_established", "TIME-WAIT": "sockets_time_wait",
    "TIME_WAIT": "sockets_time_wait", "LISTEN": "tcp_listen", "SYN-SENT": "tcp_syn_sent", "SYN_SENT": "tcp_syn_sent",
    "SYN-RECV": "tcp_syn_received", "SYN_RECV": "tcp_syn_received", "FIN-WAIT-1": "tcp_fin_wait_1",
    "FIN_WAIT1": "tcp_fin_wait_1", "FIN-WAIT-2": "tcp_fin_wait_2", "FIN_WAIT2": "tcp_fin_wait_2",
    "CLOSE-WAIT": "tcp_close_wait", "CLOSE_WAIT": "tcp_close_wait", "LAST-ACK": "tcp_last_ack",
    "LAST_ACK": "tcp_last_ack",
    "CLOSING": "tcp_closing", "UNCONN": "tcp_unconnected", "CLOSED": "tcp_unconnected",
}  # fmt: skip
_SUMMARY = {"estab": "tcp_established", "timewait": "sockets_time_wait", "orphaned": "sockets_orphaned",
            "closed": "tcp_closed", "synrecv": "tcp_syn_received"}  # fmt: skip


class ImportFileError(CollectError):
    """A file that is not what it was said to be."""


@dataclass(frozen=True)
class ImportLog:
    """Rows of the metrics table, and what was left out."""

    frame: pd.DataFrame
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Listing:
    """One listing: which tool printed it, when (epoch seconds, None: it does not say), and its counts by metric."""

    tool: str
    time: float | None
    counts: dict[str, float]


_HEADS = {
    "ss": re.compile(r"State\s+Recv-Q|Netid\s+State|Total: \d+"),
    "netstat": re.compile(r"Active Internet connections"),
    "sockstat": re.compile(r"sockets: used \d+"),
}
_OTHERS = signs(
    (r"^\s*Active Connections", "netstat of Windows, whose states are other ones"),
    (r"^\s*Proto\s+Local Address", "netstat of Windows, whose states are other ones"),
    (r"^(udp|UNCONN).*", "a listing without its line of column names"),
    (r"^(tcp6?|ESTAB|LISTEN|TIME-WAIT)\s", "a listing without its line of column names"),
    (r"^Kernel Interface table|^Iface\s", "netstat -i (interfaces)"),
    (r"^Kernel IP routing table", "netstat -r (routes)"),
    (r"^(Tcp|Ip|TcpExt):\s*$", "netstat -s (counters since boot)"),
    (r"^#?kernel|^TcpInSegs", "nstat (counters)"),
)


def parse_listings(text: str, zone: tzinfo = UTC, where: str = "sockets") -> list[Listing]:
    """Every listing of the text, each with the date line before it, if any. Raises ImportFileError.

    zone: of date lines that do not say theirs.
    """
    found: list[Listing] = []
    tool, lines, when, date = "", [], None, None

    def close() -> None:
        if tool:
            found.append(Listing(tool, when, _counts(tool, lines)))

    for line in text.splitlines():
        begins = next((name for name, head in _HEADS.items() if head.match(line.strip())), None)
        # ss -s and sockstat go on with lines of their own; a second heading begins a second listing
        if begins:
            close()
            tool, lines, when, date = begins, [line], date, None
        elif (stamp := parse_stamp(line.strip(), zone)) is not None:
            date = stamp
        elif line.strip():
            lines.append(line)
    close()
    if not found:
        raise ImportFileError(
            f"{where}: expected ss -s, ss -tan, netstat -an or /proc/net/sockstat, got {what_else(text, _OTHERS)}"
        )
    if len(found) > 1 and any(listing.time is None for listing in found):
        raise ImportFileError(
            f"{where}: expected a line with the date before each listing, got {len(found)} listings, some without; "
            "record with: while :; do date -Is; ss -s; sleep 1; done"
        )
    return found


def _counts(tool: str, lines: list[str]) -> dict[str, float]:
    text = "\n".join(lines)
    if tool == "sockstat":
        return _sockstat(text)
    if summary := re.search(r"^TCP:\s+(\d+)\s+\(([^)]*)\)", text, re.MULTILINE):
        known = {_SUMMARY[n]: float(v) for n, v in re.findall(r"(\w+) (\d+)", summary[2]) if n in _SUMMARY}
        return {"sockets_tcp_allocated": float(summary[1]), **known}
    counts: dict[str, float] = {}
    for row in (line.split() for line in lines[1:]):
        state = _state(tool, row)
        if state in _STATES:
            counts[_STATES[state]] = counts.get(_STATES[state], 0.0) + 1
    return counts


def _state(tool: str, row: list[str]) -> str:
    """The state of a listed TCP socket, or ""."""
    if tool == "netstat":
        return row[5] if len(row) >= 6 and row[0] in ("tcp", "tcp6", "tcp4", "tcp46") else ""
    if len(row) > 5 and row[0] in ("tcp", "tcp6"):
        return row[1]
    return row[0] if len(row) >= 5 and row[1].isdigit() and row[2].isdigit() else ""


def _sockstat(text: str) -> dict[str, float]:
    counts: dict[str, float] = {}
    if match := re.search(r"^TCP: inuse (\d+) orphan (\d+) tw (\d+) alloc (\d+) mem (\d+)", text, re.MULTILINE):
        names = ("sockets_tcp_in_use", "sockets_orphaned", "sockets_time_wait", "sockets_tcp_allocated",
                 "tcp_memory_bytes")  # fmt: skip
        counts = dict(zip(names, map(float, match.groups()), strict=True))
        counts["tcp_memory_bytes"] *= 4096
    if used := re.search(r"^sockets: used (\d+)", text, re.MULTILINE):
        counts["sockets_used"] = float(used[1])
    return counts


def listing_metrics(listings: list[Listing], host: str, clock_offset_s: float = 0.0) -> pd.DataFrame:
    """Dated listings as rows of the metrics table (source ss); a state that one of them lacks is 0 there."""
    names = sorted({name for listing in listings for name in listing.counts})
    times = np.array([np.nan if x.time is None else x.time for x in listings]) - clock_offset_s
    # a listing without sockets of a state does not name it; the summaries always name all of theirs
    values = {name: np.array([x.counts.get(name, 0.0) for x in listings]) for name in names}
    units = {name: "bytes" if name.endswith("_bytes") else "sockets" for name in names}
    return metric_rows(utc_times(times), values, units, "ss", f"host:{host}", 0.0)
