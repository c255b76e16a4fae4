"""CloudWatch's metric semantics without the wire: points, buckets, statistics, retention."""

import math
import re
from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

HOUR_S, DAY_S = 3600, 86400
# Finest period still kept for points up to this age (CloudWatch user guide, "Metrics retention").
RETENTION = ((3 * HOUR_S, 1), (15 * DAY_S, 60), (63 * DAY_S, 300), (455 * DAY_S, 3600))
HIGH_RESOLUTION_PERIODS = (1, 5, 10, 20, 30)
MetricKey = tuple[str, str, tuple[tuple[str, str], ...]]
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")
_PLAIN = ("Average", "Sum", "Minimum", "Maximum", "SampleCount")


class InvalidError(ValueError):
    """A request that CloudWatch refuses; `code` is the error code it answers."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, order=True)
class Point:
    """What one PutMetricData datum says: a statistic set, with its raw values where they were sent."""

    time: float
    count: float = field(compare=False)
    total: float = field(compare=False)
    lowest: float = field(compare=False)
    highest: float = field(compare=False)
    values: tuple[tuple[float, float], ...] | None = field(compare=False)  # (value, count); None: statistics only
    unit: str = field(compare=False)
    resolution_s: int = field(compare=False)


def point_of(datum: dict[str, Any], now: float) -> Point:
    """Read one MetricDatum; raises InvalidError as PutMetricData would refuse it."""
    time = float(datum.get("Timestamp", now))
    if not now - 14 * DAY_S <= time <= now + 2 * HOUR_S:
        raise InvalidError(
            "InvalidParameterValue", "Timestamp must be within two weeks before and two hours after now."
        )
    resolution = int(datum.get("StorageResolution", 60))
    if resolution not in (1, 60):
        raise InvalidError("InvalidParameterValue", f"StorageResolution must be 1 or 60, got {resolution}.")
    given = [name for name in ("Value", "Values", "StatisticValues") if name in datum]
    if len(given) != 1:
        raise InvalidError("InvalidParameterCombination", f"Give one of Value, Values, StatisticValues; got {given}.")
    unit = datum.get("Unit", "None")
    if given == ["StatisticValues"]:
        stats = {name: _number(value) for name, value in datum["StatisticValues"].items()}
        count, total, low, high = (stats[name] for name in ("SampleCount", "Sum", "Minimum", "Maximum"))
        same = low == high and math.isclose(total, low * count)
        return Point(time, count, total, low, high, ((low, count),) if same else None, unit, resolution)
    values = datum["Values"] if given == ["Values"] else [datum["Value"]]
    counts = datum.get("Counts", [1] * len(values))
    if not 1 <= len(values) <= 150 or len(counts) != len(values):
        raise InvalidError("InvalidParameterValue", "Values: 1 to 150 entries, and as many Counts.")
    pairs = tuple((_number(value), _number(count)) for value, count in zip(values, counts, strict=True))
    return Point(
        time,
        sum(count for _, count in pairs),
        sum(value * count for value, count in pairs),
        min(value for value, _ in pairs),
        max(value for value, _ in pairs),
        pairs,
        unit,
        resolution,
    )


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number) or abs(number) > 2.0**360:
        raise InvalidError("InvalidParameterValue", f"A value must be finite and within ±2^360, got {value!r}.")
    return number


def percentile(pairs: Iterable[tuple[float, float]], percent: float) -> float:
    """The smallest value that at least `percent` % of the (value, count) pairs do not exceed (nearest rank)."""
    ordered = sorted(pairs)
    wanted = percent / 100 * sum(count for _, count in ordered)
    seen = 0.0
    for value, count in ordered:
        seen += count
        if seen >= wanted and seen > 0:
            return value
    return ordered[-1][0]


def check_statistic(name: str) -> None:
    """Raise InvalidError for a statistic this stand-in (or CloudWatch) does not know."""
    if name not in _PLAIN and not _PERCENTILE.fullmatch(name):
        raise InvalidError("ValidationError", f"Stat: expected one of {', '.join(_PLAIN)} or pNN, got {name!r}.")


def statistic(points: list[Point], name: str) -> float | None:
    """A statistic over a bucket's points; None where there is none (percentiles of statistic sets)."""
    count = sum(point.count for point in points)
    if name == "SampleCount":
        return count
    if name == "Sum":
        return sum(point.total for point in points)
    if name == "Average":
        return sum(point.total for point in points) / count if count else None
    if name == "Minimum":
        return min(point.lowest for point in points)
    if name == "Maximum":
        return max(point.highest for point in points)
    if any(point.values is None for point in points) or not count:
        return None
    return percentile((pair for point in points for pair in point.values or ()), float(name[1:]))


def finest_period_s(age_s: float) -> float:
    """The finest period in seconds still kept for points of this age; infinite when they are gone."""
    return next((period for limit, period in RETENTION if age_s <= limit), math.inf)


def rounded_start(start: float, period_s: int, now: float) -> float:
    """StartTime as CloudWatch rounds it down: by its age, or to the period where that is below a minute."""
    if period_s < 60:
        return start // period_s * period_s
    age = now - start
    step = 60 if age < 15 * DAY_S else 300 if age < 63 * DAY_S else 3600
    return start // step * step


class MetricStore:
    """All points of all metrics, in memory."""

    def __init__(self) -> None:
        self.metrics: dict[MetricKey, list[Point]] = {}

    def put(self, namespace: str, data: list[dict[str, Any]], now: float) -> int:
        """Store data of one PutMetricData call, all or nothing; returns how many."""
        points = [(self.key(namespace, datum), point_of(datum, now)) for datum in data]
        for key, point in points:
            insort(self.metrics.setdefault(key, []), point)
        return len(points)

    @staticmethod
    def key(namespace: str, metric: dict[str, Any]) -> MetricKey:
        """The identity of a metric: namespace, name and dimensions in any order."""
        pairs = sorted((entry["Name"], entry["Value"]) for entry in metric.get("Dimensions", []))
        return namespace, metric["MetricName"], tuple(pairs)

    def series(
        self, key: MetricKey, stat: str, period_s: int, start: float, end: float, now: float, unit: str | None
    ) -> list[tuple[float, float]]:
        """(bucket start, value), ascending; buckets are counted from the rounded StartTime, empty ones left out."""
        points = self.metrics.get(key, [])
        first = rounded_start(start, period_s, now)
        series: list[tuple[float, float]] = []
        at = bisect_left(points, first, key=lambda point: point.time)
        while at < len(points) and points[at].time < end:
            bucket = first + (points[at].time - first) // period_s * period_s
            until = min(bucket + period_s, end)
            stop = bisect_left(points, until, lo=at, key=lambda point: point.time)
            kept = [point for point in points[at:stop] if self._visible(point, period_s, now, unit)]
            value = statistic(kept, stat) if kept else None
            if value is not None:
                series.append((bucket, value))
            at = max(stop, at + 1)
        return series

    @staticmethod
    def _visible(point: Point, period_s: int, now: float, unit: str | None) -> bool:
        fine_enough = period_s >= max(finest_period_s(now - point.time), 1 if point.resolution_s == 1 else 60)
        return fine_enough and (unit is None or point.unit == unit)

    def find(self, request: dict[str, Any], now: float) -> list[MetricKey]:
        """Metrics that a ListMetrics request asks for, in a fixed order; silent for two weeks: not listed."""
        window = 3 * HOUR_S if request.get("RecentlyActive") == "PT3H" else 14 * DAY_S
        wanted = [(entry["Name"], entry.get("Value")) for entry in request.get("Dimensions", [])]
        return [
            (namespace, name, pairs)
            for (namespace, name, pairs), points in sorted(self.metrics.items())
            if request.get("Namespace") in (None, namespace)
            and request.get("MetricName") in (None, name)
            and all(any(n == name_ and v in (None, value) for name_, value in pairs) for n, v in wanted)
            and points[-1].time >= now - window
        ]
