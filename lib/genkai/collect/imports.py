"""Files that others recorded: sar and sadf text, `ss -s`, `ss -tan`, `netstat -an`, /proc/net/sockstat.

| metric | unit | from |
| --- | --- | --- |
| tcp_established, sockets_time_wait, tcp_STATE | sockets | ss, netstat (listed sockets or the summary) |
| sockets_used, sockets_tcp_in_use, sockets_orphaned, tcp_memory_bytes | sockets, bytes | ss -s, sockstat |
| cpu_*_ratio, coreN_*_ratio, net_IF_*, disk_DEV_*, run_queue, … | as of `proc` | sar, sadf -d: columns that are known |
| sar_COLUMN | as sar has it | sar, sadf -d: all others |
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo

import numpy as np
import pandas as pd

from genkai import schema
from genkai.collect.errors import CollectError
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
_SAR = {  # column: metric, unit, factor; {} stands for the device
    "%user": ("cpu_user_ratio", "ratio", 0.01), "%usr": ("cpu_user_ratio", "ratio", 0.01),
    "%system": ("cpu_system_ratio", "ratio", 0.01), "%sys": ("cpu_system_ratio", "ratio", 0.01),
    "%iowait": ("cpu_iowait_ratio", "ratio", 0.01), "%steal": ("cpu_steal_ratio", "ratio", 0.01),
    "%idle": ("cpu_idle_ratio", "ratio", 0.01), "cswch/s": ("context_switches_per_s", "1/s", 1.0),
    "proc/s": ("forks_per_s", "1/s", 1.0), "runq-sz": ("run_queue", "processes", 1.0),
    "blocked": ("blocked_processes", "processes", 1.0), "kbmemfree": ("mem_free_bytes", "bytes", 1024.0),
    "kbavail": ("mem_available_bytes", "bytes", 1024.0), "kbbuffers": ("mem_buffers_bytes", "bytes", 1024.0),
    "kbcached": ("mem_cached_bytes", "bytes", 1024.0), "kbswpused": ("swap_used_bytes", "bytes", 1024.0),
    "rxpck/s": ("net_{}_received_packets_per_s", "1/s", 1.0), "txpck/s": ("net_{}_sent_packets_per_s", "1/s", 1.0),
    "rxkB/s": ("net_{}_received_bytes_per_s", "bytes/s", 1024.0),
    "txkB/s": ("net_{}_sent_bytes_per_s", "bytes/s", 1024.0),
    "tcpsck": ("sockets_tcp_in_use", "sockets", 1.0), "tcp-tw": ("sockets_time_wait", "sockets", 1.0),
    "totsck": ("sockets_used", "sockets", 1.0), "active/s": ("tcp_active_opens_per_s", "1/s", 1.0),
    "passive/s": ("tcp_passive_opens_per_s", "1/s", 1.0), "rkB/s": ("disk_{}_read_bytes_per_s", "bytes/s", 1024.0),
    "wkB/s": ("disk_{}_written_bytes_per_s", "bytes/s", 1024.0), "%util": ("disk_{}_busy_ratio", "ratio", 0.01),
}  # fmt: skip
_KEYS = ("CPU", "DEV", "IFACE")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d):([0-5]\d)", re.ASCII)
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?", re.ASCII)


class ImportFileError(CollectError):
    """A file that is not what it was said to be."""


@dataclass(frozen=True)
class ImportLog:
    """Rows of the metrics table, and what was left out."""

    frame: pd.DataFrame
    warnings: list[str] = field(default_factory=list)


def parse_sockets(text: str, where: str = "sockets") -> dict[str, float]:
    """Counts of `ss -s`, `ss -tan`, `netstat -an` or /proc/net/sockstat, by metric name. Raises ImportFileError."""
    counts: dict[str, float] = {}
    lines = [line.split() for line in text.splitlines() if line.strip()]
    heads = [" ".join(line[:3]) for line in lines]
    if any(h.startswith(("State Recv-Q", "Netid State")) for h in heads):
        for line in lines:
            state = line[1] if len(line) > 5 and line[0] in ("tcp", "tcp6") else line[0]
            if len(line) >= 5 and state in _STATES:
                counts[_STATES[state]] = counts.get(_STATES[state], 0) + 1
    elif any(h.startswith("Active Internet") for h in heads):
        for line in lines:
            if line[0] in ("tcp", "tcp6", "tcp4", "tcp46") and len(line) >= 6 and line[5] in _STATES:
                counts[_STATES[line[5]]] = counts.get(_STATES[line[5]], 0) + 1
    elif match := re.search(r"^TCP:\s+(\d+)\s+\(([^)]*)\)", text, re.MULTILINE):
        counts["sockets_tcp_allocated"] = float(match[1])
        for name, number in re.findall(r"(\w+) (\d+)", match[2]):
            if name in _SUMMARY:
                counts[_SUMMARY[name]] = float(number)
    elif match := re.search(r"^TCP: inuse (\d+) orphan (\d+) tw (\d+) alloc (\d+) mem (\d+)", text, re.MULTILINE):
        names = (
            "sockets_tcp_in_use",
            "sockets_orphaned",
            "sockets_time_wait",
            "sockets_tcp_allocated",
            "tcp_memory_bytes",
        )
        counts = dict(zip(names, map(float, match.groups()), strict=True))
        counts["tcp_memory_bytes"] *= 4096
        if used := re.search(r"^sockets: used (\d+)", text, re.MULTILINE):
            counts["sockets_used"] = float(used[1])
    else:
        raise ImportFileError(
            f"{where}: expected ss -s, ss -tan, netstat -an or /proc/net/sockstat, got {' '.join(text.split())[:50]!r}"
        )
    return counts


def socket_metrics(counts: dict[str, float], host: str, when: datetime, source: str = "ss") -> pd.DataFrame:
    """The counts at one moment as rows of the metrics table."""
    units = {name: "bytes" if name.endswith("_bytes") else "sockets" for name in counts}
    values = {name: np.array([value]) for name, value in counts.items()}
    return metric_rows(utc_times(np.array([when.timestamp()])), values, units, source, f"host:{host}", 0.0)


def parse_sar(text: str, host: str, *, day: date | None = None, zone: tzinfo = UTC, where: str = "sar") -> ImportLog:
    """`sar` text or `sadf -d`; a row's time is the start of the interval before its stamp.

    day: of a log without the line that names it (Linux … date …). zone: of stamps that do not say theirs. Rows named
    Average are left out. Raises ImportFileError.
    """
    if re.search(r"^# hostname;interval;timestamp", text, re.MULTILINE):
        points = _sadf_points(text, zone)
    else:
        points = _sar_points(text, day, zone, where)
    if not points:
        raise ImportFileError(
            f"{where}: expected the text of sar or sadf -d, got {' '.join(text.split())[:50]!r}; "
            "export with: sar -A -f FILE"
        )
    frame = pd.DataFrame(points, columns=["epoch", "metric", "unit", "value"])
    doubled = frame.duplicated(["epoch", "metric"])
    steps = frame["epoch"].drop_duplicates().sort_values().diff()
    period = float(steps[steps > 0].median()) if (steps > 0).any() else 1.0
    frame = frame[~doubled]
    tables = [
        metric_rows(utc_times(part["epoch"].to_numpy() - period), {name: part["value"].to_numpy()},
                    {name: part["unit"].iloc[0]}, "sar", f"host:{host}", period)
        for name, part in frame.groupby("metric", sort=False)
    ]  # fmt: skip
    notes = [f"{int(doubled.sum())} value(s) with the stamp of another were left out"] if doubled.any() else []
    return ImportLog(schema.check_table(pd.concat(tables, ignore_index=True), "metrics"), notes)


_Point = tuple[float, str, str, float]


def _value(column: str, device: str, text: str) -> tuple[str, str, float] | None:
    if not _NUMBER.fullmatch(text):
        return None
    metric, unit, factor = _SAR.get(
        column, ("sar_" + re.sub(r"\W+", "_", column.replace("%", "percent_")).strip("_"), "", 1.0)
    )
    if device in ("all", "-1", ""):
        device = ""
    if metric.startswith("cpu_") and device:
        metric = f"core{device}_" + metric.removeprefix("cpu_")
    elif "{}" in metric:
        metric = metric.format(device or "all")
    elif device and not metric.startswith("core"):
        metric = f"{metric}[{device}]"
    return metric, unit, float(text.replace(",", ".")) * factor


def _sadf_points(text: str, zone: tzinfo) -> list[_Point]:
    points: list[_Point] = []
    columns: list[str] = []
    for line in text.splitlines():
        cells = line.split(";")
        if line.startswith("# hostname;"):
            columns = cells
        elif columns and len(cells) == len(columns):
            when = parse_stamp(cells[2], zone)
            key = next((cells[i] for i, c in enumerate(columns) if c in _KEYS), "")
            for column, cell in zip(columns[3:], cells[3:], strict=True):
                found = _value(column, key, cell) if column not in _KEYS else None
                if when is not None and found:
                    points.append((when, *found))
    return points


def _sar_points(text: str, day: date | None, zone: tzinfo, where: str) -> list[_Point]:
    points: list[_Point] = []
    columns: list[str] = []
    last = -1
    for line in text.splitlines():
        if head := re.match(r"Linux \S+ \(.*?\)\s+(\S+)", line):
            day, last, columns = _sar_date(head[1]) or day, -1, []
            continue
        fields = line.split()
        clock = _CLOCK.fullmatch(fields[0]) if fields else None
        if clock is None:
            columns = [] if not fields else columns  # a block ends with an empty line
            continue
        seconds = int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3])
        if len(fields) > 1 and fields[1] in ("AM", "PM"):
            seconds = int(clock[1]) % 12 * 3600 + (43200 if fields[1] == "PM" else 0) + seconds % 3600
            fields = fields[1:]
        cells = fields[1:]
        if cells and not any(_NUMBER.fullmatch(c) for c in cells):
            last = seconds if not columns and cells[0] != "LINUX" else last
            columns = [] if "RESTART" in line else cells
            continue
        if len(cells) != len(columns) or not cells:
            continue
        if day is None:
            raise ImportFileError(f"{where}: expected the line that names the day (Linux …), got none; give the day")
        wrapped = 1 if seconds < last - 43200 else 0
        midnight = datetime.combine(day + timedelta(days=wrapped), datetime.min.time(), zone)
        key = cells[0] if columns[0] in _KEYS else ""
        for column, cell in zip(columns, cells, strict=True):
            if column not in _KEYS and (found := _value(column, key, cell)):
                points.append((midnight.timestamp() + seconds, *found))
    return points


def _sar_date(text: str) -> date | None:
    for form in ("%Y-%m-%d", "%m/%d/%Y", "%m/%d/%y", "%d.%m.%Y", "%Y/%m/%d", "%Y年%m月%d日"):
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    return None
