"""What the lines of a vmstat log are: headings of the Linux layouts, rows, stamps; and formats that are not ours.

Facts measured on procps 3.2.8 (stamp with zone on each row), 3.3.17, 4.0.2 (gu only with -w), 4.0.4 and toybox.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from genkai.collect.errors import signs, what_else
from genkai.collect.stamps import is_time_of_day, parse_stamp

COLUMNS = (
    "r", "b", "w", "swpd", "free", "buff", "cache", "inact", "active", "si", "so", "bi", "bo", "in", "cs",
    "us", "sy", "id", "wa", "st", "gu",
)  # fmt: skip
NEEDED = frozenset(["r", "b", "swpd", "free", "si", "so", "bi", "bo", "in", "cs", "us", "sy", "id"])
CPU = ("us", "sy", "id", "wa", "st", "gu")
_BY_POSITION = tuple(c for c in COLUMNS if c not in ("w", "inact", "active"))
_GROUPS = re.compile(r"\S+\s+-+[^\s-]\S*-+\s+-+\S*[^\s-]-+\s+-+\S*[^\s-]-+\s+-+\S*[^\s-]-+\s+-+\S*[^\s-]-+")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_ISO_TIME = re.compile(r"\d{2}:\d{2}:\d{2}")

_FOREIGN = signs(
    (r"Mach Virtual Memory Statistics", "macOS vm_stat"),
    (r"^System [Cc]onfiguration: lcpu|\br\s+b\s+(p\s+)?(w\s+)?avm\s+fre\s+re\s+pi", "AIX vmstat"),
    (r"\br\s+b\s+w\s+swap\s+free\s+re\s+mf\b", "Solaris vmstat"),
    (r"\br\s+b\s+w\s+avm\s+free\s+re\s+at\b", "HP-UX vmstat"),
    (r"\b(r\s+b\s+(w\s+)?|r\s+s\s+)avm\s+fre\b", "BSD vmstat"),
    (r"^avg-cpu:|^Device:?\s+.*(tps|r/s|rrqm)", "iostat"),
    (r"^disk-.*-+reads-+|^\s*total merged sectors", "vmstat -d (disks)"),
    (r"^Cache\s+Num\s+Total\s+Size\s+Pages", "vmstat -m (slabs)"),
    (r"\d+ K total memory", "vmstat -s (totals since boot)"),
    (r"\breads\s+read sectors\s+writes", "vmstat -p (one partition)"),
    (r"%(user|usr)\s+%nice\s+%sys", "sar or mpstat (genkai import sar reads sar)"),
    (r"^Linux \d\S* \(.*\)\s+\S+\s+_\w+_", "a sysstat report (genkai import sar reads sar)"),
    (r"^top - \d|^\s*PID\s+USER", "top"),
    (r"^\s*total\s+used\s+free\s+shared", "free"),
    (r"^-+total-(cpu-)?usage-+|----total-usage----", "dstat"),
    (r"^Netid\s+State|^State\s+Recv-Q|^Total: \d+", "ss (genkai import ss reads it)"),
    (r"^Active Internet connections", "netstat (genkai import netstat reads it)"),
    (r"^\s*\d+(\s+\d+){14,}",
     "numbers without vmstat's line of column names (r b swpd free …); which column is which cannot be told"),
)  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """The columns that a heading names; zone is that of its stamps (vmstat -t), by_position: translated heading."""

    columns: tuple[str, ...]
    zone: str | None = None
    by_position: bool = False


@dataclass(frozen=True)
class Place:
    """Where, in a row's fields, the numbers begin and end, and which fields are its stamp."""

    begin: int
    end: int
    stamp: slice | None


def is_group_line(line: str) -> bool:
    """Whether this is the first line of a heading (procs ---memory--- …), in any language."""
    return bool(_GROUPS.search(line))


def read_heading(fields: list[str], group_line: str | None) -> Layout | None:
    """The layout that a line of column names stands for, or None.

    group_line: the line before when it was the heading's first line. A translated heading is read by position, and
    only below such a line.
    """
    start = next((i for i in range(len(fields) - 1) if fields[i] == "r" and fields[i + 1] == "b"), None)
    if start is not None:
        names = fields[start:]
        if set(names) >= NEEDED:
            last = max(i for i, name in enumerate(names) if name in COLUMNS)
            columns, rest = tuple(names[: last + 1]), names[last + 1 :]
            if len(set(columns)) == len(columns) and set(columns) <= set(COLUMNS) and len(rest) <= 1:
                return Layout(columns, rest[0] if rest else None)
            return None
    return _translated(fields, group_line) if group_line else None


def _translated(fields: list[str], group_line: str) -> Layout | None:
    if any(f[0].isdigit() for f in fields):
        return None
    stamped = len(re.findall(r"-+[^\s-][^\s]*-+", group_line)) > (6 if group_line.lstrip().startswith("-") else 5)
    names = fields[:-1] if stamped and len(fields) > 16 else fields
    if len(names) not in (16, 17, 18):
        return None
    return Layout(tuple(_BY_POSITION[: len(names)]), fields[-1] if len(names) < len(fields) else None, True)


def place_numbers(fields: list[str], width: int) -> Place | None:
    """Where the numbers of a row are: a stamp may follow them (vmstat -t) or go before them (ts); None: not a row."""
    for after in (2, 3, 0):
        end = len(fields) - after
        if end < width:
            continue
        if after and not (_ISO_DATE.fullmatch(fields[end]) and _ISO_TIME.fullmatch(fields[end + 1])):
            continue
        if after == 3 and not re.fullmatch(r"[A-Z][A-Za-z]{1,5}|[+-]\d{2,4}", fields[end + 2]):
            continue
        begin = end - width
        if not all(f.isascii() and f.isdigit() for f in fields[begin:end]):
            continue
        if begin == 0:
            return Place(0, end, slice(end, end + after) if after else None)
        before = " ".join(fields[:begin])
        if parse_stamp(before) is not None or is_time_of_day(before):
            return Place(begin, end, slice(end, end + after) if after else slice(0, begin))
    return None


def why_not_vmstat(text: str) -> str:
    """What a text without a Linux vmstat heading is, as far as one can tell."""
    head = text[:100_000]
    return what_else(head, _FOREIGN, "something else (no line of column names r b swpd free …)")


def is_binary(data: bytes) -> bool:
    """Whether the bytes are no text."""
    head = data[:100_000]
    control = sum(byte < 32 and byte not in (9, 10, 12, 13, 27) for byte in head[:4000])
    return b"\0" in head or control > 0.02 * max(len(head[:4000]), 1)
