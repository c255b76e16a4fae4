"""Numbers and times as figures print and place them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, MaxNLocator

from genkai.analyse.records import significant
from genkai.figures.style import FigureError
from genkai.plan import ALL_APIS


def number(value: float, digits: int = 3) -> str:
    """The value as tables print it: three significant digits, thousands separators; "–" where there is none.

    >>> number(1234.5), number(81.02), number(0.0123), number(0)
    ('1,234', '81.0', '0.0123', '0')
    """
    return significant(value, digits) if math.isfinite(value) else "–"


def with_unit(value: float, unit: str) -> str:
    """The number with a unit of `display_unit`.

    >>> with_unit(20, "%"), with_unit(81.02, "rps"), with_unit(7, "")
    ('20%', '81.0 rps', '7')
    """
    return f"{number(value)}{unit}" if unit in ("", "%") else f"{number(value)} {unit}"


def point(record: Any) -> tuple[float, float, float]:
    """(value, low, high) of a number record or a bare number; NaN where it has none."""
    if isinstance(record, Mapping):
        return tuple(_float(record.get(key)) for key in ("value", "low", "high"))
    return _float(record), math.nan, math.nan


def _float(value: Any) -> float:
    return math.nan if value is None or value is pd.NA else float(value)


def value_of(record: Any) -> float:
    """The value of a number record or a bare number; NaN where it has none."""
    return point(record)[0]


def interval(record: Any, scale: float = 1.0) -> str:
    """ "(low–high)", or "" where the record has no interval."""
    _, low, high = point(record)
    if math.isfinite(low) and not math.isfinite(high):
        return f"(≥ {number(low * scale)})"
    return f"({number(low * scale)}–{number(high * scale)})" if math.isfinite(low) else ""


def measured(record: Any, unit: str) -> str:
    """ "499 rps (496–502)".

    >>> measured({"value": 499, "low": 496, "high": 502}, "rps"), measured(12.5, "rps")
    ('499 rps (496–502)', '12.5 rps')
    """
    return f"{number(value_of(record))} {unit} {interval(record)}".strip()


def time_unit(longest_s: float) -> tuple[float, str]:
    """(factor from seconds, unit) for an axis whose largest value is given: ms up to 5 s."""
    return (1.0, "s") if math.isfinite(longest_s) and longest_s >= 5 else (1e3, "ms")


def display_unit(unit: str, largest: float) -> tuple[float, str]:
    """(factor, unit) in which a quantity given in base or CloudWatch units is drawn.

    >>> display_unit("ratio", 0.7), display_unit("bytes/s", 4e6), display_unit("s", 0.2), display_unit("bit/s", 3e9)
    ((100.0, '%'), (1e-06, 'MB/s'), (1000.0, 'ms'), (1e-09, 'Gbps'))
    """
    lower = unit.lower().replace("/second", "/s")
    if lower in ("s", "seconds"):
        return time_unit(largest)
    if lower.startswith("byte"):
        factor, name = next((s for s in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if largest >= s[0]), (1.0, "B"))
        return 1 / factor, name + ("/s" if lower.endswith("/s") else "")
    if lower == "bit/s":  # as AWS writes its limits
        factor, name = next((s for s in ((1e9, "Gbps"), (1e6, "Mbps")) if largest >= s[0]), (1e3, "kbps"))
        return 1 / factor, name
    known = {"ratio": (100.0, "%"), "percent": (1.0, "%"), "%": (1.0, "%"), "none": (1.0, ""), "count": (1.0, "")}
    return known.get(lower, (1.0, unit))


def plain_ticks(axis: Axis, count: int = 5, integer: bool = False) -> None:
    """About so many ticks at round numbers, with thousands separators."""
    axis.set_major_locator(MaxNLocator(count, steps=[1, 2, 2.5, 5, 10], integer=integer))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(round(value, 12), 6)))


def seconds_of(times: Iterable[Any]) -> np.ndarray:
    """Epoch seconds of UTC time stamps, or of numbers that are epoch seconds already."""
    series = pd.Series(times)
    if not isinstance(series.dtype, pd.DatetimeTZDtype):
        return series.to_numpy(float)
    return ((series - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)).to_numpy(float)


def clock_ticks(axis: Axis, span_s: float) -> None:
    """Ticks of elapsed time at whole seconds, minutes or hours, as min:s or h:min."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
    step = next((s for s in steps if span_s / s <= 10), 86400)
    axis.set_major_locator(_Every(step))
    axis.set_major_formatter(FuncFormatter(lambda value, _: elapsed(value, hours=span_s > 2 * 3600)))


class _Every(MaxNLocator):
    """Ticks at the multiples of a step, however the limits lie."""

    def __init__(self, step: float) -> None:
        super().__init__()
        self.step = step

    def tick_values(self, vmin: float, vmax: float) -> np.ndarray:
        """The multiples of the step within the limits."""
        return np.arange(math.ceil(vmin / self.step), math.floor(vmax / self.step) + 1) * self.step


def elapsed(seconds: float, hours: bool = False) -> str:
    """min:s, or h:min.

    >>> elapsed(75), elapsed(5400, hours=True)
    ('1:15', '1:30')
    """
    sign, whole = ("−" if seconds < 0 else ""), abs(round(seconds))
    return f"{sign}{whole // 3600}:{whole % 3600 // 60:02d}" if hours else f"{sign}{whole // 60}:{whole % 60:02d}"


def need_columns(frame: pd.DataFrame, names: Sequence[str], figure: str) -> None:
    """Raises FigureError naming the figure and the columns that the table lacks."""
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise FigureError(
            f"figure {figure}: expected columns {', '.join(names)}, missing {', '.join(missing)}, "
            f"got {', '.join(map(str, frame.columns)) or 'none'}; pass the table that has them"
        )


def of_subject(levels: pd.DataFrame, subject: str | None = None) -> pd.DataFrame:
    """The rows of one API or scenario; by default of what comes first, as the level table puts its subject first."""
    if "api" not in levels.columns or levels.empty:
        return levels
    return levels[levels["api"] == (subject or levels["api"].iloc[0])]


def of_all_apis(seconds: pd.DataFrame) -> pd.DataFrame:
    """The rows of all APIs together where the table has rows of each API too, in order of time."""
    if "api" in seconds.columns and (seconds["api"] == ALL_APIS).any():
        seconds = seconds[seconds["api"] == ALL_APIS]
    return seconds.sort_values("time")
