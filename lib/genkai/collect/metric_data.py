"""GetMetricData: 500 queries a call, all pages, merged by Id, ascending, UTC; nothing lost, nothing doubled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from genkai.collect.aws import call
from genkai.collect.errors import CollectError
from genkai.plan import Aws

QUERIES_PER_CALL = 500
DATAPOINTS_PER_PAGE = 100_800
MAX_PAGES = 1000
_TRIES = 3

Points = dict[float, float]  # epoch seconds of the bucket's start → value


@dataclass(frozen=True)
class Query:
    """One metric, statistic (Average, Sum, p95 …) and period in seconds."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str
    period_s: int

    def every(self, period_s: int) -> Query:
        """The same at another period."""
        return replace(self, period_s=period_s)

    def as_request(self, identity: str) -> dict[str, Any]:
        """The query in the API's form."""
        metric = {
            "Namespace": self.namespace,
            "MetricName": self.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in self.dimensions],
        }
        return {"Id": identity, "MetricStat": {"Metric": metric, "Period": self.period_s, "Stat": self.statistic}}


@dataclass
class Fetched:
    """Points of each query, in the order asked; failed: indexes of queries that were refused; warnings say why."""

    points: list[Points]
    calls: int = 0
    failed: set[int] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)


def fetch_points(aws: Aws, made: Any, queries: Sequence[Query], start: float, end: float) -> Fetched:
    """The points of all queries between start and end (epoch seconds, end exclusive).

    A query that CloudWatch leaves incomplete or answers with an internal error is asked again, at most 3 times; what is
    still incomplete then is a warning. Raises CollectError.
    """
    result = Fetched([{} for _ in queries])
    waiting = list(range(len(queries)))
    for _ in range(_TRIES):
        again: list[int] = []
        for first in range(0, len(waiting), QUERIES_PER_CALL):
            again += _fetch_call(aws, made, queries, waiting[first : first + QUERIES_PER_CALL], start, end, result)
        waiting = again
        if not waiting:
            return result
    names = ", ".join(sorted({queries[i].name for i in waiting}))
    result.failed |= set(waiting)
    result.warnings.append(
        f"aws cloudwatch GetMetricData: {len(waiting)} series stayed incomplete ({names}); try again"
    )
    return result


def _fetch_call(
    aws: Aws, made: Any, queries: Sequence[Query], chosen: list[int], start: float, end: float, result: Fetched
) -> list[int]:
    """All pages of one call; returns the indexes to ask again."""
    given: dict[str, Any] = {
        "MetricDataQueries": [queries[i].as_request(f"q{i}") for i in chosen],
        "StartTime": datetime.fromtimestamp(start, UTC),
        "EndTime": datetime.fromtimestamp(end, UTC),
        "ScanBy": "TimestampAscending",
        "MaxDatapoints": DATAPOINTS_PER_PAGE,
    }
    status: dict[int, str] = dict.fromkeys(chosen, "PartialData")
    for _ in range(MAX_PAGES):
        page = call(made, aws, "cloudwatch", "GetMetricData", **given)
        result.calls += 1
        for part in page["MetricDataResults"]:
            index = int(part["Id"][1:])
            status[index] = part["StatusCode"]
            # One bucket has one value: the same one on two pages, or twice on one, is the same point.
            result.points[index].update(
                (time.timestamp(), float(value))
                for time, value in zip(part["Timestamps"], part["Values"], strict=False)
            )
        for message in page.get("Messages", []):
            text = f"aws cloudwatch GetMetricData: {message.get('Code')}: {message.get('Value')}"
            if text not in result.warnings:
                result.warnings.append(text)
        if not page.get("NextToken"):
            break
        if page["NextToken"] == given.get("NextToken"):
            raise CollectError("aws cloudwatch GetMetricData: expected the next page, got the same one again")
        given["NextToken"] = page["NextToken"]
    refused = [i for i, code in status.items() if code == "Forbidden"]
    if refused:
        result.failed |= set(refused)
        names = ", ".join(sorted({queries[i].name for i in refused}))
        result.warnings.append(f"aws cloudwatch GetMetricData: expected permission for {names}, got Forbidden")
    return [i for i, code in status.items() if code in ("PartialData", "InternalError")]
