"""Time stamps as tools print them (vmstat -t, ts, date, sar): text → epoch seconds, UTC."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from math import inf
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
_TIME = r"(?P<H>\d{1,2}):(?P<M>\d{2}):(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?(?:\s*(?P<half>AM|PM))?"
_ZONE = r"(?:\s*(?P<zone>Z|[+-]\d{2}:?\d{2}|[+-]\d{2}|[A-Z]{2,5}))?"
_DAY = r"(?:[A-Z][a-z]{2,8},?\s+)?"
_FORMS = [
    re.compile(form)
    for form in (
        rf"(?P<y>\d{{4}})[-/](?P<m>\d{{1,2}})[-/](?P<d>\d{{1,2}})[T\s]+{_TIME}{_ZONE}",
        rf"{_DAY}(?P<b>[A-Z][a-z]{{2}})\s+(?P<d>\d{{1,2}})\s+{_TIME}{_ZONE}(?:\s+(?P<y>\d{{4}}))?",
        rf"{_DAY}(?P<d>\d{{1,2}})\s+(?P<b>[A-Z][a-z]{{2,8}}),?\s+(?P<y>\d{{4}}),?\s+{_TIME}{_ZONE}",
        rf"(?P<y>\d{{4}})年\s*(?P<m>\d{{1,2}})月\s*(?P<d>\d{{1,2}})日\s*\S*\s*{_TIME}{_ZONE}",
    )
]
_EPOCH = re.compile(r"\d{10}(?:\.\d{1,9})?|\d{13}")
_TIME_ALONE = re.compile(_TIME)


class NoZone(ValueError):
    """A time zone that nobody knows."""


def zone_named(name: str) -> tzinfo:
    """UTC, an offset such as +09:00, or a name such as Asia/Tokyo. Raises NoZone."""
    if name.upper() in ("UTC", "GMT", "Z"):
        return UTC
    if match := re.fullmatch(r"([+-])(\d{2}):?(\d{2})?", name):
        minutes = int(match[2]) * 60 + int(match[3] or 0)
        if minutes < 24 * 60:
            return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise NoZone(f"time zone: expected UTC, +09:00 or a name such as Asia/Tokyo, got {name!r}") from error


def own_zone(text: str) -> tzinfo | None:
    """The zone that a stamp itself names beyond doubt (UTC, Z, an offset), or None."""
    try:
        return zone_named(text) if text.upper() in ("UTC", "GMT", "Z") or text[:1] in ("+", "-") else None
    except NoZone:
        return None


def parse_stamp(text: str, zone: tzinfo = UTC, now: datetime | None = None) -> float | None:
    """Epoch seconds of a stamp, or None when the text is none.

    zone: of stamps that do not say theirs. Stamps without a year (ts, syslog) are of the last year that puts them
    before now, give or take a day: a log of December is read in January.
    """
    text = text.strip().strip("[]|,;").rstrip(":").strip()
    if _EPOCH.fullmatch(text):
        return int(text) / 1000 if len(text) == 13 and "." not in text else float(text)
    for form in _FORMS:
        if match := form.fullmatch(text):
            return _epoch(match.groupdict(), zone, now or datetime.now(UTC))
    return None


def _epoch(part: dict[str, str | None], zone: tzinfo, now: datetime) -> float | None:
    month = int(part["m"]) if part.get("m") else _MONTHS.get((part.get("b") or "")[:3].lower())
    hour = int(part["H"])
    if part["half"]:
        hour = hour % 12 + (12 if part["half"] == "PM" else 0)
    if month is None:
        return None
    within = month, int(part["d"]), hour, int(part["M"]), int(part["S"])
    zone = own_zone(part["zone"] or "") or zone
    latest = inf if part["y"] else (now + timedelta(days=1)).timestamp()
    # the next year is this one already where the sun rises; a 29th of February may be eight years old
    for year in [int(part["y"])] if part["y"] else range(now.year + 1, now.year - 9, -1):
        with suppress(ValueError, OverflowError):
            when = datetime(year, *within, tzinfo=zone).timestamp()
            if when <= latest:
                return when + float("0." + (part["f"] or "0"))
    return None


def is_time_of_day(text: str) -> bool:
    """Whether the text is a time without a date."""
    return bool(_TIME_ALONE.fullmatch(text.strip().strip("[]|,;")))
