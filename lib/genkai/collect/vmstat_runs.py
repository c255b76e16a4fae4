"""Which rows of a vmstat log belong to which run, when they were, and which are averages since boot.

Every run of vmstat (without -y) begins with a row that averages since boot; a heading that is merely repeated inside a
run brings none. The log does not say which is which, so the evidence is weighed: see `_begins_run`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

import numpy as np

from genkai.collect.stamps import own_zone, parse_stamp
from genkai.collect.vmstat_lines import Layout, Place, is_group_line, place_numbers, read_heading

PIPE_HEIGHT = 21  # rows between two headings when vmstat writes to no terminal (24 lines − 3)
_TOLD = 5  # lines that are named in warnings one by one


@dataclass
class Segment:
    """The rows below one heading: fields (flat), their stamps, and the date line that each row follows, if any."""

    layout: Layout
    announced: bool = False  # text other than rows (a date, a shell prompt) stands right before the heading
    fields: list[str] = field(default_factory=list)
    stamps: list[str] = field(default_factory=list)
    dates: list[tuple[int, float] | None] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.stamps)


@dataclass
class Lines:
    """A log taken apart."""

    segments: list[Segment] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_lines(text: str) -> Lines:
    """Take a log apart into segments; what is no row, heading or date is left out with a warning."""
    lines, segment, place, group, other = Lines(), None, None, None, False
    date: tuple[int, float] | None = None
    strange: list[str] = []
    plain, all_lines = text.isascii(), text.split("\n")
    for number, line in enumerate(all_lines, 1):
        fields = line.split()
        if not fields:
            continue
        if segment is not None:
            place = _row_place(fields, segment, place, plain)
            if place is not None and number == len(all_lines) and _cut_short(fields, place, segment.layout):
                strange.append(f"line {number}: the last line is cut short")
                break
            if place is not None:
                segment.fields += fields[place.begin : place.end]
                segment.stamps.append(" ".join(fields[place.stamp]) if place.stamp else "")
                segment.dates.append(date)
                other = False
                continue
        layout = read_heading(fields, group)
        if layout is not None:
            segment = Segment(layout, announced=other or not lines.segments)
            lines.segments.append(segment)
            place, group, other = None, None, False
        elif is_group_line(line):
            group = line
        elif (when := parse_stamp(line)) is not None:
            date, group, other = (number, when), None, True
        else:
            strange.append(f"line {number}: {line.strip()[:60]!r} is not a row")
            group, other = None, True
    if strange:
        more = f" and {len(strange) - _TOLD} more" if len(strange) > _TOLD else ""
        lines.warnings.append("left out: " + "; ".join(strange[:_TOLD]) + more)
    lines.segments = [s for s in lines.segments if s.rows]
    return lines


def _row_place(fields: list[str], segment: Segment, last: Place | None, plain: bool) -> Place | None:
    width = len(segment.layout.columns)
    if last is not None and plain and last.stamp is not None and last.stamp.start == last.end:
        # the same form as the row before: the rest of the fields need no second look, row_times reads the stamp
        if len(fields) == last.stamp.stop and last.begin == 0 and "".join(fields[:width]).isdigit():
            return last
    elif last is not None and plain and last.stamp is None and len(fields) == width and "".join(fields).isdigit():
        return last
    return place_numbers(fields, width)


def _cut_short(fields: list[str], place: Place, layout: Layout) -> bool:
    """Whether a last line that has no line end may have lost digits: complete stamp or CPU shares near 100 say no."""
    if place.stamp is not None and place.stamp.start >= place.end:
        return False
    values = dict(zip(layout.columns, map(int, fields[place.begin : place.end]), strict=True))
    total = sum(values.get(name, 0) for name in ("us", "sy", "id", "wa", "st"))
    return not 97 <= total <= 103


def row_times(
    lines: Lines, zone: tzinfo, start: datetime | None, period_s: float | None
) -> tuple[np.ndarray, float, list[str]]:
    """Epoch seconds of each row (NaN: unknown), the interval in seconds, and notes."""
    parts, notes = [], []
    dated = False
    for segment in lines.segments:
        own = own_zone(segment.layout.zone or "")
        times = _stamped(segment.stamps, own or zone)
        if np.isnan(times).any() and any(segment.dates):
            times, dated = _from_dates(segment, times, period_s or 1.0), True
        parts.append(times)
    times = np.concatenate(parts)
    if dated:
        notes.append("times taken from the date lines between the rows: right to about one interval")
    period = period_s or _interval(times)
    if np.isnan(times).all():
        if start is None:
            notes.append("no time stamps: give the time of the first row to place the rows in time")
        else:
            begin = (start if start.tzinfo else start.replace(tzinfo=UTC)).timestamp()
            times = begin + np.arange(len(times)) * period
    return times, period, notes


def _stamped(stamps: list[str], zone: tzinfo) -> np.ndarray:
    if zone is UTC and stamps and len(stamps[0]) == 19:
        try:
            times = np.array(stamps, dtype="datetime64[s]")
            return np.where(np.isnat(times), np.nan, times.astype(np.int64))
        except ValueError:
            pass  # of several forms: one by one
    return np.array([np.nan if (t := parse_stamp(s, zone)) is None else t for s in stamps], float)


def _from_dates(segment: Segment, times: np.ndarray, period: float) -> np.ndarray:
    times, since = times.copy(), 0
    for row, date in enumerate(segment.dates):
        since = 0 if row == 0 or date != segment.dates[row - 1] else since + 1
        if date is not None and np.isnan(times[row]):
            times[row] = date[1] + since * period
    return times


def _interval(times: np.ndarray) -> float:
    steps = np.diff(times)
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else 1.0


def since_boot_rows(lines: Lines, times: np.ndarray, period: float) -> np.ndarray:
    """Which rows are averages since boot: the first of each run. Shape (rows,), bool."""
    dropped = np.zeros(len(times), bool)
    begin = run_rows = first_height = 0
    boot: dict[str, int] = {}
    for index, segment in enumerate(lines.segments):
        width = len(segment.layout.columns)
        first = dict(zip(segment.layout.columns, map(int, segment.fields[:width]), strict=True))
        step = times[begin] - times[begin - 1] if begin else np.nan
        previous = lines.segments[index - 1] if index else None
        if _begins_run(segment, previous, run_rows, first_height, step, period, first, boot):
            dropped[begin] = True
            run_rows, first_height, boot = 0, segment.rows, first
        run_rows += segment.rows
        begin += segment.rows
    return dropped


def _begins_run(
    segment: Segment, previous: Segment | None, run_rows: int, first_height: int, step: float, period: float,
    first: dict[str, int], boot: dict[str, int],
) -> bool:  # fmt: skip
    """Whether a heading begins a run of its own; when in doubt yes, for that costs one row, and no leaves a wrong one.

    No repeated heading: other columns; text right before it; not after a multiple of the rows below the run's first
    heading; no time passed, or a gap (a run prints its first row at once). Otherwise 21 rows a heading is what vmstat
    does in a pipe, and any other number is a terminal's height unless the row equals the run's since-boot average.
    """
    if previous is None or segment.layout.columns != previous.layout.columns or run_rows % first_height:
        return True
    if segment.announced and len({d for d in previous.dates if d}) <= 1:
        return True
    if not np.isnan(step) and (step < 0.5 * period or step > 2.5 * period + 1):
        return True
    return first_height != PIPE_HEIGHT and _same_average(first, boot)


def _same_average(first: dict[str, int], boot: dict[str, int]) -> bool:
    shares = all(abs(first[c] - boot[c]) <= 1 for c in ("us", "sy", "id", "wa", "st") if c in boot)
    rates = all(abs(first[c] - boot[c]) <= max(2, 0.03 * boot[c]) for c in ("bi", "bo", "in", "cs"))
    return shares and rates
