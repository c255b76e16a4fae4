"""What sysstat recorded: the text of `sar`, and `sadf -d` or `sadf -p` (which say times and intervals exactly).

| metric | unit | from |
| --- | --- | --- |
| cpu_*_ratio, coreN_*_ratio, net_IF_*, disk_DEV_*, run_queue, … | as of `proc` | columns that are known |
| sar_COLUMN, sar_COLUMN[DEVICE] | as sar has it | all others |

A row's time is the start of the interval before its stamp. Averages at the end of a section are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo

import pandas as pd

from genkai import schema
from genkai.collect.errors import signs, what_else
from genkai.collect.imports import ImportFileError, ImportLog
from genkai.collect.rows import utc_times
from genkai.collect.stamps import parse_stamp

_KNOWN = {  # column: metric, unit, factor; {} stands for the device
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
_KEYS = ("CPU", "DEV", "IFACE", "INTR", "FILESYSTEM", "MOUNTPOINT", "TTY", "FAN", "TEMP", "IN", "BUS", "FCHOST")
_ALL = ("all", "-1", "-", "")
_CLOCK = re.compile(r"([01]?\d|2[0-3])(?::|時)([0-5]\d)(?::|分)([0-5]\d)秒?", re.ASCII)
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?", re.ASCII)
_HEAD = re.compile(r"Linux \S+ \(.*?\)\s+(\S+)")
_SLASHED = re.compile(r"(\d\d)/(\d\d)/\d\d")
_DATES = ("%Y-%m-%d", "%m/%d/%Y", "%m/%d/%y", "%d.%m.%Y", "%Y/%m/%d", "%Y年%m月%d日")
_FOREIGN = signs(
    (r"\A\s*\{", "JSON (sadf -j)"),
    (r"\A\s*<", "XML (sadf -x or -g)"),
    (r"^\d\d:\d\d:\d\d\s.*\s\d+(\.\d+)?[kMGT%]\s", "numbers with units (sar -h)"),
    (r"^procs -|^\s*r\s+b\s+swpd", "vmstat (genkai import vmstat reads it)"),
    (r"^avg-cpu:", "iostat"),
    (r"^AIX |^SunOS |^HP-UX ", "the sar of another system than Linux"),
    (r"^State\s+Recv-Q|^Netid|^Total: \d+", "ss (genkai import ss reads it)"),
)
_LEAST = -1e15  # numbers beyond are no measurement but a counter that wrapped


@dataclass
class _Points:
    """Values in the order of the lines, and how many lines could not be read."""

    rows: list[tuple[float, float, str, str, float]] = field(
        default_factory=list
    )  # epoch, interval, metric, unit, value
    skipped: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, when: float, interval: float, columns: list[str], cells: list[str]) -> None:
        """One line: its columns and cells; a key column names the device of all others."""
        place = next((i for i, name in enumerate(columns) if name in _KEYS), None)
        device = cells[place] if place is not None else ""
        pairs = [(c, cell) for i, (c, cell) in enumerate(zip(columns, cells, strict=True)) if i != place]
        found = [_value(column, device, cell) for column, cell in pairs if column != "DEVICE"]
        if None in found:
            self.skipped += 1  # half a line may have moved its cells: none of it is taken
        else:
            self.rows += [(when, interval, *value) for value in found if value is not None]


def parse_sar(text: str | bytes, host: str, *, day: date | None = None, zone: tzinfo = UTC,
              where: str = "sar") -> ImportLog:  # fmt: skip
    """Rows of the metrics table from `sar` text, `sadf -d` or `sadf -p`, and what was left out.

    day: of a log without the line that names it (Linux … date …). zone: of stamps that do not say theirs.
    Raises ImportFileError.
    """
    text = _decoded(text, where)
    if re.search(r"^# hostname;interval;timestamp", text, re.MULTILINE):
        points = _database(text, zone)
    elif re.search(r"^[^\t\n]+\t\d+\t[^\t\n]+\t[^\t\n]+\t[^\t\n]+\t-?\d[^\t\n]*$", text, re.MULTILINE):
        points = _pipe(text, zone)
    else:
        points = _report(text, day, zone, where)
    if not points.rows:
        raise ImportFileError(
            f"{where}: expected the text of sar, sadf -d or sadf -p, got {what_else(text, _FOREIGN)}; "
            "export with: sadf -d FILE -- -A"
        )
    return _log(points, host)


def _decoded(text: str | bytes, where: str) -> str:
    if isinstance(text, bytes):
        if b"\0" in text[:100_000]:
            raise ImportFileError(
                f"{where}: expected text, got binary data (a file of sadc?); export with: sadf -d FILE -- -A"
            )
        text = text.decode("utf-8", "replace")
    return text.lstrip("\ufeff")


def _log(points: _Points, host: str) -> ImportLog:
    frame = pd.DataFrame(points.rows, columns=["epoch", "interval", "metric", "unit", "value"])
    frame = frame[frame["value"] > _LEAST]
    doubled = frame.duplicated(["epoch", "metric"])
    steps = frame["epoch"].drop_duplicates().sort_values().diff()
    usual = float(steps[steps > 0].median()) if (steps > 0).any() else 1.0
    interval = frame["interval"].where(frame["interval"] > 0, usual)
    table = pd.DataFrame({
        "time": utc_times((frame["epoch"] - interval).to_numpy()), "source": "sar", "resource": f"host:{host}",
        "metric": frame["metric"].to_numpy(), "statistic": "sample", "unit": frame["unit"].to_numpy(),
        "period_s": interval.to_numpy(), "value": frame["value"].to_numpy(),
    })[~doubled.to_numpy()]  # fmt: skip
    notes = list(points.notes)
    if doubled.any():
        notes.append(f"{int(doubled.sum())} value(s) with the stamp of another were left out")
    if points.skipped:
        notes.append(f"{points.skipped} line(s) were left out: cells that are no plain numbers, or too many or few")
    table = table.sort_values("metric", kind="stable", ignore_index=True)
    return ImportLog(schema.check_table(table, "metrics"), notes)


def _value(column: str, device: str, text: str) -> tuple[str, str, float] | None:
    """(metric, unit, value) of a cell; None when it is no number."""
    if not _NUMBER.fullmatch(text):
        return None
    plain = "sar_" + re.sub(r"\W+", "_", column.replace("%", "percent_")).strip("_")
    metric, unit, factor = _KNOWN.get(column, (plain, "", 1.0))
    device = re.sub(r"^cpu(?=\d+$)", "", device)  # as sadf -p names it
    device = "" if device in _ALL else re.sub(r"[^\w.:/-]", "_", device)
    if metric.startswith("cpu_") and device:
        metric = f"core{device}_" + metric.removeprefix("cpu_")
    elif "{}" in metric:
        metric = metric.format(device or "all")
    elif device:
        metric = f"{metric}[{device}]"
    return metric, unit, float(text.replace(",", ".")) * factor


def _database(text: str, zone: tzinfo) -> _Points:
    points, columns = _Points(), []
    for line in text.splitlines():
        cells = line.split(";")
        if line.startswith("# hostname;"):
            columns = cells
        elif line.strip() and "LINUX-RESTART" not in line and "COM" not in cells[3:4]:
            when = parse_stamp(cells[2], zone) if len(cells) == len(columns) else None
            if when is None or not cells[1].lstrip("-").isdecimal():
                points.skipped += 1
            else:
                points.add(when, float(cells[1]), columns[3:], cells[3:])
    return points


def _pipe(text: str, zone: tzinfo) -> _Points:
    points = _Points()
    for line in text.splitlines():
        cells = line.split("\t")
        if not line.strip() or "LINUX-RESTART" in line or cells[3:4] == ["COM"]:
            continue
        when = parse_stamp(cells[2], zone) if len(cells) == 6 and cells[1].isdecimal() else None
        value = _value(cells[4], cells[3], cells[5]) if when is not None else None
        if value is None:
            points.skipped += 1
        else:
            points.rows.append((when, float(cells[1]), *value))
    return points


class _Days:
    """Which day a time of day means: sections of a saved file each begin at the first day, live ones go on.

    A kind of section that was not seen before begins where the first one did. A time that falls back by more than half
    a day is the next day's; the heading of the next section may then be the day before's again.
    """

    def __init__(self, day: date | None, zone: tzinfo) -> None:
        self.day, self.zone = day, zone
        self.later, self.last = 0, -1
        self.seen: set[tuple[str, ...]] = set()

    def begin(self, day: date | None) -> None:
        """A report begins, and names its day or not."""
        self.day = day or self.day
        self.later, self.last = 0, -1
        self.seen.clear()

    def heading(self, columns: list[str], seconds: int) -> None:
        """A line of column names at a second of the day."""
        if tuple(columns) not in self.seen:
            self.seen.add(tuple(columns))
            self.later, self.last = 0, -1
        self.advance(seconds)

    def advance(self, seconds: int) -> None:
        """A line at a second of the day."""
        if self.last >= 0:
            self.later += (seconds < self.last - 43_200) - (self.later > 0 and seconds > self.last + 43_200)
        self.last = seconds

    def epoch(self, seconds: int) -> float:
        """Epoch seconds of a second of the day."""
        clock = datetime.combine(self.day + timedelta(days=self.later), datetime.min.time()) + timedelta(
            seconds=seconds
        )
        return clock.replace(tzinfo=self.zone).timestamp()


def _report(text: str, day: date | None, zone: tzinfo, where: str) -> _Points:
    points, columns, days = _Points(), [], _Days(day, zone)
    for line in text.splitlines():
        if head := _HEAD.match(line):
            days.begin(_date(head[1]))
            columns = []
            if (slashed := _SLASHED.match(head[1])) and slashed[1] != slashed[2] and int(slashed[2]) <= 12:
                points.notes.append(f"the date {head[1]} was read as month/day/year")
            continue
        fields = line.split()
        seconds, cells = _clock(fields)
        if seconds is None:
            columns = [] if not fields else columns  # a section ends with an empty line; averages are left out
        elif "LINUX" in cells[:1] or cells[:1] == ["COM"]:
            columns = columns if cells[:1] == ["COM"] else []
        elif cells and not any(_NUMBER.fullmatch(c) for c in cells) and len(set(cells)) == len(cells):
            columns = cells
            days.heading(columns, seconds)
        elif columns:
            cells = _named_last(columns, cells)
            days.advance(seconds)
            if len(cells) != len(columns):
                points.skipped += 1
                continue
            if days.day is None:
                raise ImportFileError(
                    f"{where}: expected the line that names the day (Linux …), got none; give the day"
                )
            points.add(days.epoch(seconds), 0.0, columns, cells)
        else:
            points.skipped += 1
    return points


def _clock(fields: list[str]) -> tuple[int | None, list[str]]:
    """(second of the day, the other cells) of a line that begins with a time."""
    clock = _CLOCK.fullmatch(fields[0]) if fields else None
    if clock is None:
        return None, fields
    hour, minute, second = (int(part) for part in clock.groups())
    if len(fields) > 1 and fields[1] in ("AM", "PM"):
        return (hour % 12 + 12 * (fields[1] == "PM")) * 3600 + minute * 60 + second, fields[2:]
    return hour * 3600 + minute * 60 + second, fields[1:]


def _named_last(columns: list[str], cells: list[str]) -> list[str]:
    """The cells, those of a device name with spaces in the last column put together."""
    if columns[-1] in _KEYS and len(cells) > len(columns):
        return [*cells[: len(columns) - 1], " ".join(cells[len(columns) - 1 :])]
    return cells


def _date(text: str) -> date | None:
    for form in _DATES:
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    return None
