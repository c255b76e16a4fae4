"""GetMetricData: 500 queries a call, all pages, merged by Id, ascending, UTC, in quota; nothing lost, none doubled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from genkai.collect.aws import call
from genkai.collect.errors import CollectError
from genkai.plan import Aws

QUERIES_PER_CALL = 500
DATAPOINTS_PER_PAGE = 100_800
MAX_PAGES = 1000
CALLS_PER_S = 50
# Per second and region, counted as range ÷ period whether there are points or not; more for what is older than 3 h.
# Source: Amazon CloudWatch user guide, quotas.
DATAPOINTS_PER_S, OLDER_DATAPOINTS_PER_S = 180_000, 396_000
_RECENT_S = 3 * 3600
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


class Pace:
    """Keeps the calls of a process within a region's quotas: each waits until those before it are paid off."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._free: dict[str, float] = {}

    def wait(self, region: str, datapoints: float, per_s: float) -> None:
        """Wait for one's turn with a call that asks for so many datapoints."""
        with self._lock:
            turn = max(self._clock(), self._free.get(region, 0.0))
            self._free[region] = turn + max(datapoints / per_s, 1 / CALLS_PER_S)
        if (left := turn - self._clock()) > 0:
            self._sleep(left)


_pace = Pace()


def calls_of(queries: Sequence[Query], waiting: Sequence[int], span_s: float) -> list[list[int]]:
    """The indexes of `waiting` in as few calls as hold at most 500 queries and one page of datapoints each."""
    calls: list[list[int]] = []
    held = 0.0
    for index in waiting:
        datapoints = span_s / queries[index].period_s
        if not calls or len(calls[-1]) == QUERIES_PER_CALL or held + datapoints > DATAPOINTS_PER_PAGE:
            calls.append([])
            held = 0.0
        calls[-1].append(index)
        held += datapoints
    return calls


def fetch_points(aws: Aws, made: Any, queries: Sequence[Query], start: float, end: float) -> Fetched:
    """The points of all queries between start and end (epoch seconds, end exclusive).

    A query that CloudWatch leaves incomplete or answers with an internal error is asked again, at most 3 times; what is
    still incomplete then is a warning. Raises CollectError.
    """
    result = Fetched([{} for _ in queries])
    waiting = list(range(len(queries)))
    for _ in range(_TRIES):
        again: list[int] = []
        for chosen in calls_of(queries, waiting, end - start):
            again += _fetch_call(aws, made, queries, chosen, start, end, result)
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
    datapoints = sum((end - start) / queries[i].period_s for i in chosen)
    per_s = DATAPOINTS_PER_S if time.time() - start <= _RECENT_S else OLDER_DATAPOINTS_PER_S
    for number in range(MAX_PAGES):
        _pace.wait(aws.region, datapoints if number == 0 else 0, per_s)
        page = call(made, aws, "cloudwatch", "GetMetricData", **given)
        status |= _take_page(page, result)
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


def _take_page(page: dict[str, Any], result: Fetched) -> dict[int, str]:
    """The points and messages of a page go into the result; {index of a query: its status on this page}."""
    result.calls += 1
    for part in page["MetricDataResults"]:
        # One bucket has one value: the same one on two pages, or twice on one, is the same point.
        result.points[int(part["Id"][1:])].update(
            (moment.timestamp(), float(value))
            for moment, value in zip(part["Timestamps"], part["Values"], strict=False)
        )
    for message in page.get("Messages", []):
        text = f"aws cloudwatch GetMetricData: {message.get('Code')}: {message.get('Value')}"
        if text not in result.warnings:
            result.warnings.append(text)
    return {int(part["Id"][1:]): part["StatusCode"] for part in page["MetricDataResults"]}
