"""CloudWatch for one run: which series, pulled in as few calls as possible, cached until they are settled.

Values stay in CloudWatch's units; `unit` says which. Row times are bucket starts, UTC. Only whole buckets within the
run count, unless there is none: a partial first or last minute says less than it seems to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from genkai import schema
from genkai.collect.aws import call, client
from genkai.collect.catalogue import STATISTICS, Metric, Resource, metrics_of
from genkai.collect.errors import CollectError
from genkai.collect.metric_data import Points, Query, fetch_points
from genkai.metrics import Block, frame_of, micros
from genkai.plan import Aws

RETENTION = ((3 * 3600, 1), (15 * 86400, 60), (63 * 86400, 300), (455 * 86400, 3600))  # age in s, finest period in s
NEWLY_LISTED_S = 900.0  # a new metric is listed within a quarter of an hour
LISTED_S = 14 * 86400.0  # ListMetrics leaves out what has been silent for so long
USD_PER_METRIC = 0.01 / 1000


@dataclass(frozen=True)
class Series:
    """One metric, statistic and period of one resource over one window: what is asked, cached and settled as one.

    published_s: the period that AWS publishes it with. whole_run: one bucket as long as the run.
    """

    resource: Resource
    metric: Metric
    statistic: str
    period_s: int
    start: float
    end: float
    dimensions: tuple[tuple[str, str], ...]
    suffix: str = ""
    published_s: int = 60
    whole_run: bool = False

    @property
    def key(self) -> str:
        """Identity in the cache."""
        return f"{self.resource.label}|{self.label}|{self.statistic}|{self.period_s}|{self.start:.0f}|{self.end:.0f}"

    @property
    def label(self) -> str:
        """Metric name in the table; the agent's own dimensions follow in braces."""
        return self.metric.label + self.suffix

    def query(self) -> Query:
        """What GetMetricData is asked."""
        return Query(self.metric.namespace, self.metric.name, self.dimensions, self.statistic, self.period_s)


@dataclass
class Pull:
    """What is known of a run after a pull: every series with its points (the cache), and what went wrong.

    listed_early: the agent's new metrics may not have been listed yet.
    series: {key: {"fetched_at", "settled", "times": [epoch s], "values": […]}}.
    """

    frame: pd.DataFrame
    series: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    metrics_requested: int = 0
    calls: int = 0
    listed_early: bool = False

    @property
    def settled(self) -> bool:
        """All values are final."""
        return not self.listed_early and all(entry["settled"] for entry in self.series.values())

    def record(self) -> dict[str, Any]:
        """The cache, JSON-able."""
        return {
            "settled": self.settled, "fetched_at": max((e["fetched_at"] for e in self.series.values()), default=None),
            "metrics_requested": self.metrics_requested, "calls": self.calls,
            "cost_usd": round(estimate_cost(self.metrics_requested), 6), "warnings": self.warnings,
            "series": self.series,
        }  # fmt: skip


def finest_period(age_s: float, wanted_s: int) -> int:
    """The period to ask for points of this age: finer than what is kept returns nothing, and no error.

    Source: Amazon CloudWatch user guide, metrics retention. Raises CollectError beyond 455 days.
    """
    for limit, period in RETENTION:
        if age_s <= limit:
            return max(wanted_s, period)
    raise CollectError(f"aws cloudwatch: expected a run within the last 455 days, got one {age_s / 86400:.0f} days old")


def estimate_cost(queries: int) -> float:
    """USD for asking so many metrics: at most 0.01 per 1 000 (us-east-1 price; several statistics may count as one)."""
    return queries * USD_PER_METRIC


def pull_cloudwatch(
    aws: Aws, resources: Sequence[Resource], start: datetime, end: datetime, *,
    known: dict[str, dict[str, Any]] | None = None, now: datetime | None = None,
    announce: Callable[[str], None] | None = None,
) -> Pull:  # fmt: skip
    """All metrics of the catalogue for these resources between start and end, as rows of the metrics table.

    known: series of an earlier pull's record; settled ones are not asked again. announce: told the cost before the
    call. A missing permission is a warning, and the rest goes on. Raises CollectError.
    """
    if start >= end:
        raise CollectError(f"aws cloudwatch: expected start before end, got {start.isoformat()} and {end.isoformat()}")
    moment = (now or datetime.now(UTC)).timestamp()
    made = client(aws, "cloudwatch")
    pull, known, agent = Pull(schema.empty_table("metrics")), known or {}, _Agent(aws, made)
    found = [s for r in resources for s in _series_of(aws, agent, r, start, end, moment)]
    series = list({s.key: s for s in found}.values())
    pull.warnings += agent.warnings
    pull.listed_early = agent.asked and moment - end.timestamp() < NEWLY_LISTED_S
    if agent.asked and moment - end.timestamp() > LISTED_S:
        pull.warnings.append("aws cloudwatch ListMetrics: metrics that were silent for two weeks are not listed: the "
                             "agent's of instances that are gone meanwhile are missing")  # fmt: skip
    pull.series = {s.key: known[s.key] for s in series if s.key in known}
    waiting = [s for s in series if not pull.series.get(s.key, {}).get("settled")]
    if waiting and announce:
        announce(
            f"CloudWatch: {len(waiting)} series of {len(resources)} resources in {aws.region}, "
            f"about {estimate_cost(len(waiting)):.4f} USD"
        )
    for entry, points in _fetch(aws, made, waiting, pull):
        pull.series[entry.key] = {
            "fetched_at": datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds"),
            "settled": moment >= end.timestamp() + entry.metric.settles_s,
            "times": sorted(points), "values": [points[t] for t in sorted(points)],
        }  # fmt: skip
    pull.frame = _table(series, pull, start, end)
    return pull


def _table(series: list[Series], pull: Pull, start: datetime, end: datetime) -> pd.DataFrame:
    frame = frame_of(_block(s, pull.series[s.key], start, end) for s in series if s.key in pull.series)
    if not len(frame):
        return frame
    frame = pd.concat([frame, *_zeros(series, frame)], ignore_index=True)
    frame = frame.sort_values(["resource", "metric", "statistic", "time"], kind="stable")
    return schema.check_table(frame.reset_index(drop=True), "metrics")


class _Agent:
    """Which series the CloudWatch agent of an instance publishes: its dimensions vary, so ListMetrics is asked once."""

    def __init__(self, aws: Aws, made: Any) -> None:
        self._aws, self._made = aws, made
        self._found: dict[str, dict[str, list[dict[str, str]]]] | None = None
        self.warnings: list[str] = []

    @property
    def asked(self) -> bool:
        """Whether an instance's series were asked for."""
        return self._found is not None

    def of(self, instance: str) -> dict[str, list[dict[str, str]]]:
        """{metric: [dimensions, …]} of one instance."""
        if self._found is None:
            self._found = {}
            try:
                self._read()
            except CollectError as error:
                self.warnings.append(str(error))
        return self._found.get(instance, {})

    def _read(self) -> None:
        given: dict[str, Any] = {"Namespace": "CWAgent", "Dimensions": [{"Name": "InstanceId"}]}
        for _ in range(100):
            page = call(self._made, self._aws, "cloudwatch", "ListMetrics", **given)
            for entry in page["Metrics"]:
                pairs = {d["Name"]: d["Value"] for d in entry["Dimensions"]}
                of_instance = self._found.setdefault(pairs["InstanceId"], {})
                of_instance.setdefault(entry["MetricName"], []).append(pairs)
            if not page.get("NextToken"):
                return
            given["NextToken"] = page["NextToken"]


def _series_of(
    aws: Aws, agent: _Agent, resource: Resource, start: datetime, end: datetime, now: float
) -> Iterable[Series]:
    finest = finest_period(now - start.timestamp(), 1)
    whole = _run_window(start.timestamp(), end.timestamp(), max(60, finest))
    # One window for all periods, so that all go into one sequence of calls: buckets begin at StartTime.
    step = max(300, finest)
    first, last = math.floor(start.timestamp() / step) * step, math.ceil(end.timestamp() / step) * step
    for metric in metrics_of(resource.kind):
        coarse = max(metric.period_s, resource.period_s)
        period = max(aws.period_s if coarse == 60 or aws.period_s < 60 else coarse, finest)
        for dimensions, suffix in _dimensions(agent, resource, metric):
            for statistic in metric.stats:
                yield Series(resource, metric, statistic, period, first, last, dimensions, suffix, coarse)
            for percentile in metric.run:
                length = int(whole[1] - whole[0])
                yield Series(resource, metric, percentile, length, *whole, dimensions, suffix, coarse, True)


def _run_window(start: float, end: float, step: int) -> tuple[float, float]:
    """The run in whole minutes (a period must be one): those within it, or, when there is none, those around it."""
    first, last = math.ceil(start / step) * step, math.floor(end / step) * step
    return (first, last) if last > first else (math.floor(start / step) * step, math.ceil(end / step) * step)


def _dimensions(agent: _Agent, resource: Resource, metric: Metric) -> Iterable[tuple[tuple[tuple[str, str], ...], str]]:
    if not metric.listed:
        own = {name: resource.dimensions[name] for name in metric.dimensions if name in resource.dimensions}
        yield tuple({**own, **dict(metric.fixed)}.items()), ""
        return
    for listed in agent.of(resource.dimensions["InstanceId"]).get(metric.name, []):
        extra = ",".join(f"{k}={v}" for k, v in sorted(listed.items()) if k in ("path", "device", "interface", "name"))
        yield tuple(listed.items()), f"{{{extra}}}" if extra else ""


def _fetch(aws: Aws, made: Any, series: list[Series], pull: Pull) -> Iterable[tuple[Series, Points]]:
    windows: dict[tuple[float, float], list[Series]] = {}
    for entry in series:
        windows.setdefault((entry.start, entry.end), []).append(entry)
    for (start, end), group in windows.items():
        got = fetch_points(aws, made, [s.query() for s in group], start, end)
        pull.calls, pull.metrics_requested = pull.calls + got.calls, pull.metrics_requested + len(group)
        pull.warnings += got.warnings
        empty = [i for i, s in enumerate(group) if not got.points[i] and s.period_s < 60 and i not in got.failed]
        if empty:  # finer than AWS publishes it: then as it does
            coarser = [group[i].query().every(group[i].published_s) for i in empty]
            again = fetch_points(aws, made, coarser, start, end)
            pull.calls, pull.metrics_requested = pull.calls + again.calls, pull.metrics_requested + len(empty)
            for i, points in zip(empty, again.points, strict=True):
                got.points[i] = points
        yield from ((s, got.points[i]) for i, s in enumerate(group) if i not in got.failed)


def _block(series: Series, entry: dict[str, Any], start: datetime, end: datetime) -> Block:
    times, values = np.array(entry["times"], float), np.array(entry["values"], float)
    period = float(series.period_s)
    published = series.published_s
    if (
        len(times)
        and period < published
        and np.all(times % published == 0)
        and (len(times) == 1 or np.diff(times).min() >= published)
    ):
        period = float(published)
    statistic = STATISTICS.get(series.statistic, series.statistic)
    if series.metric.increments:
        grown = np.diff(values)
        times, values, statistic = times[1:], np.where(grown < 0, values[1:], grown), "increase"
    if not series.whole_run:
        inside = (times >= start.timestamp()) & (times + period <= end.timestamp())
        if not inside.any():
            inside = (times < end.timestamp()) & (times + period > start.timestamp())
        times, values = times[inside], values[inside]
    label, units = series.label, {series.label: series.metric.unit}
    return Block("cloudwatch", series.resource.label, micros(times), period, {label: values}, units, statistic)


def _zeros(series: list[Series], rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Zeros where the always-reported metric of the same resource has a value and a counter has none."""
    present = dict(list(rows.groupby(["resource", "metric", "statistic"])))
    filled = []
    for entry in series:
        always = present.get((entry.resource.label, entry.metric.zero, "sum"))
        if always is None or entry.statistic != "Sum":
            continue
        own = present.get((entry.resource.label, entry.label, "sum"))
        missing = always if own is None else always[~always["time"].isin(own["time"])]
        if len(missing):
            filled.append(missing.assign(metric=entry.label, unit=entry.metric.unit, value=0.0))
    return filled
