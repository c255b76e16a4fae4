"""The record that every number leaves the analysis in: value, interval, sample size, unit, notes; and its digits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

Record = dict[str, Any]


def number(
    value: float | None,
    low: float | None = None,
    high: float | None = None,
    n: int | None = None,
    unit: str = "",
    notes: Iterable[str] = (),
) -> Record:
    """A JSON-safe number record; what is not finite becomes null.

    Raises ValueError when an interval is upside down.

    >>> number(2.0, 1.0, 3.0, n=10, unit="rps")
    {'value': 2.0, 'low': 1.0, 'high': 3.0, 'n': 10, 'unit': 'rps', 'notes': []}
    """
    low, high = finite(low), finite(high)
    if low is not None and high is not None and low > high:
        raise ValueError(f"number: expected low ≤ high, got {low} > {high}; order the interval")
    return {
        "value": finite(value),
        "low": low,
        "high": high,
        "n": None if n is None else int(n),
        "unit": unit,
        "notes": list(notes),
    }


def finite(value: Any) -> float | None:
    """The value as a float, or None for what is missing or not finite."""
    if value is None or value is np.ma.masked or type(value).__name__ in ("NAType", "NaTType"):
        return None
    value = float(value)
    return value if math.isfinite(value) else None


def value_of(record: Mapping[str, Any] | float | None) -> float | None:
    """The value of a record, or of a bare number; None where there is none."""
    return finite(record["value"] if isinstance(record, Mapping) else record)


def margin_of(row: Mapping[str, Any]) -> float:
    """The margin of a target row, for sorting the worst first; infinity where there is none."""
    known = value_of(row.get("margin_ratio"))
    return math.inf if known is None else known


def interval_of(record: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """(low, high) of a record, or None where it has no interval."""
    if not isinstance(record, Mapping) or record.get("low") is None or record.get("high") is None:
        return None
    return float(record["low"]), float(record["high"])


def from_draws(value: float | None, draws: np.ndarray, n: int, unit: str = "") -> Record:
    """A record whose interval is the middle 95 % of bootstrap draws, widened to hold the value."""
    usable = np.asarray(draws, dtype=float)
    usable = usable[np.isfinite(usable)]
    if finite(value) is None or len(usable) < 20:
        return number(value, n=n, unit=unit)
    low, high = np.quantile(usable, [(1 - 0.95) / 2, (1 + 0.95) / 2])
    return number(value, min(low, value), max(high, value), n, unit)


def significant(value: float, digits: int = 3) -> str:
    """Return `value` with `digits` significant digits, all its integer digits and thousands separators.

    A zero at the end stands where rounding made it, and not where the value has no more digits.

    >>> significant(1234.5), significant(104.17), significant(0.012345), significant(99.96), significant(50.0)
    ('1,234', '104', '0.0123', '100', '50')
    """
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "–"
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")  # 0.9999 becomes 1.00, which has a digit more before the point
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    text = f"{value:,.{decimals}f}"
    exact = abs(float(text.replace(",", "")) - value) <= 1e-9 * abs(value)
    if "." in text and exact:
        text = text.rstrip("0").rstrip(".")
    return "−" + text[1:] if text.startswith("-") else text
