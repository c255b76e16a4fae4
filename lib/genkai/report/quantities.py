"""Numbers as a reader wants them: three significant digits, thousands separators, always a unit, intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from genkai.analyse.records import significant
from genkai.report.errors import ReportError

_BYTE_STEPS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))
# Unit of a record in base units -> (factor to the printed unit, key of the unit's message).
_UNITS: dict[str, tuple[float, str]] = {
    "rps": (1, "rps"),
    "requests/s": (1, "rps"),
    "ratio": (100, "percent"),
    "percent": (1, "percent"),
    "ms": (1, "ms"),
    "count": (1, "count"),
    "1": (1, "count"),
    "": (1, "count"),
    "users": (1, "users"),
    "requests": (1, "requests"),
    "connections": (1, "connections"),
    "factor": (1, "factor"),
    "points": (100, "points"),  # a difference of two ratios
}
_SPEC_UNITS = {"rps": "rps", "ms": "s_as_ms", "time": "s", "percent": "ratio", "count": "count", "users": "users",
               "bytes": "bytes", "factor": "factor", "duration": "duration", "requests": "requests"}  # fmt: skip
SPECS = frozenset(
    {*_SPEC_UNITS, "number", "interval", "measured", "ref", "datetime", "date", "text", "points", "signed"}
)


def is_record(value: Any) -> bool:
    """Return whether `value` is a number record (`value, low, high, n, unit, notes`)."""
    return isinstance(value, Mapping) and "value" in value


def is_missing(value: Any) -> bool:
    """Return whether `value` holds no number: None, NaN, NaT, or a record of one."""
    if is_record(value):
        value = value["value"]
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or type(value).__name__ in ("NaTType", "NAType")
    )


def _scaled(value: float, unit: str, reference: float) -> tuple[float, str]:
    """Return (printed value, unit key); `reference` decides between ms and s, kB and MB, for a whole interval."""
    if unit in ("s", "seconds"):
        return (value * 1e3, "ms") if abs(reference) < 1 else (value, "s")
    if unit == "s_as_ms":
        return value * 1e3, "ms"
    if unit in ("bytes", "bytes/s"):
        factor, name = next((step for step in _BYTE_STEPS if abs(reference) >= step[0]), _BYTE_STEPS[-1])
        return value / factor, name + unit[5:]
    if unit == "bit/s":  # as AWS writes its limits
        factor, name = next(
            (step for step in ((1e9, "Gbps"), (1e6, "Mbps")) if abs(reference) >= step[0]), (1e3, "kbps")
        )
        return value / factor, name
    if unit in _UNITS:
        factor, key = _UNITS[unit]
        return value * factor, key
    return value, unit


def with_unit(units: Mapping[str, str], value: float, unit: str) -> str:
    """Return one number in base units with its printed unit; `units` maps unit keys to templates with `{value}`."""
    if unit == "duration":
        return duration(units, value)
    printed, key = _scaled(float(value), unit, float(value))
    return _unit_template(units, key).format(value=significant(printed))


def interval(units: Mapping[str, str], record: Mapping[str, Any]) -> str:
    """Return "low–high unit" of a number record, or "" where it has no interval.

    >>> interval({"rps": "{value} rps"}, {"value": 421, "low": 412.2, "high": 431, "unit": "rps"})
    '412–431 rps'
    """
    text, key = _interval_text(units, record)
    return _unit_template(units, key).format(value=text) if text else ""


def _interval_text(
    units: Mapping[str, str], record: Mapping[str, Any], reference: float | None = None
) -> tuple[str, str]:
    low, high, unit = record.get("low"), record.get("high"), str(record.get("unit") or "")
    if is_missing(low) or is_missing(high):
        return "", ""
    reference = max(abs(low), abs(high)) if reference is None else reference
    low, key = _scaled(float(low), unit, reference)
    high, _ = _scaled(float(high), unit, reference)
    signed = low < 0 or high < 0  # a dash beside a sign is one too many
    between = units.get("to", "{low} to {high}") if signed else "{low}–{high}"
    return between.format(low=significant(low), high=significant(high)), key


def measured(units: Mapping[str, str], record: Mapping[str, Any]) -> str:
    """Return "value unit (low–high)" of a number record, the interval in the unit of the value.

    >>> measured({"ms": "{value} ms"}, {"value": 0.0852, "low": 0.083, "high": 0.0881, "unit": "s"})
    '85.2 ms (83–88.1)'
    """
    value, unit = float(record["value"]), str(record.get("unit") or "")
    text, _ = _interval_text(units, record, reference=value)
    return with_unit(units, value, unit) + (f" ({text})" if text else "")


def duration(units: Mapping[str, str], seconds: float) -> str:
    """Return a span of time in hours, minutes and seconds, at most two of them."""
    if abs(seconds) < 60:
        return units["s"].format(value=significant(seconds))
    total = round(seconds)
    parts = ((total // 3600, "h"), (total % 3600 // 60, "min"), (total % 60, "s"))
    return " ".join([units[key].format(value=count) for count, key in parts if count][:2])


def instant(value: Any, spec: str) -> str:
    """Return a time as "2026-05-09 07:35:25 UTC" (`datetime`) or "2026-05-09" (`date`).

    `value` is a datetime, ISO 8601 text, or seconds since 1970.
    """
    if isinstance(value, int | float):
        value = datetime.fromtimestamp(value, UTC)
    elif isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        value = value.astimezone(UTC) if value.tzinfo else value
        return f"{value:%Y-%m-%d}" if spec == "date" else f"{value:%Y-%m-%d %H:%M:%S} UTC"
    return str(value)


def _unit_template(units: Mapping[str, str], key: str) -> str:
    return units.get(key) or "{value} " + key.replace("{", "{{").replace("}", "}}")


def formatted(units: Mapping[str, str], value: Any, spec: str, missing: str) -> str:
    """Return `value` as text by `spec`, one of SPECS; "" chooses by type; an absent number gives `missing`.

    Raises ReportError for an unknown spec or a value that the spec cannot print.
    """
    if spec and spec not in SPECS:
        raise ReportError(
            "number format", f"one of {', '.join(sorted(SPECS))}", f'"{spec}"', "correct the message or column"
        )
    if is_missing(value):
        return missing
    try:
        return _formatted(units, value, spec)
    except (TypeError, ValueError) as error:
        raise ReportError(f'format "{spec}"', "a value that it can print", repr(value), "correct the record") from error


def _formatted(units: Mapping[str, str], value: Any, spec: str) -> str:
    if spec in ("text", "ref"):
        return str(value)
    if spec in ("datetime", "date"):
        return instant(value, spec)
    if spec == "interval":
        return interval(units, value) or measured(units, value)
    if spec == "measured" and is_record(value):
        return measured(units, value)
    if is_record(value):
        value, unit = value["value"], str(value.get("unit") or "")
    elif isinstance(value, bool) or not (isinstance(value, int | float) or hasattr(value, "__float__")):
        if spec:
            raise TypeError(spec)
        return str(value)
    else:
        unit = "count"
    if spec == "signed":
        value = round(float(value), 3) if unit == "ratio" and abs(value) < 0.1 else value  # 0.1 % is as fine as it gets
        sign = "+" if value > 0 else "" if value else "±"
        return sign + with_unit(units, value, "ratio" if unit == "count" else unit)
    if spec == "points":
        return significant(float(value) * 100)
    return with_unit(units, value, _SPEC_UNITS.get(spec, unit))
