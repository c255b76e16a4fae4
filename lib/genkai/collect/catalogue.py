"""The catalogue of CloudWatch metrics as data: what is asked of which resource, what it tells, when it warns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any

import pandas as pd
import yaml

from genkai.collect.cache_nodes import core_share

STATISTICS = {
    "Average": "average", "Sum": "sum", "Minimum": "minimum", "Maximum": "maximum", "Increase": "increase",
}  # fmt: skip
PREFIXES = {
    "instance": "ec2", "group": "asg", "alb": "elb", "nlb": "elb", "classic": "elb", "alb_target_group": "targetgroup",
    "nlb_target_group": "targetgroup", "ecs": "ecs", "lambda": "lambda", "dynamodb": "dynamodb", "rds": "rds",
    "elasticache": "elasticache", "sqs": "sqs",
}  # fmt: skip
USED_UP = 0.8
_RULE = re.compile(r"(Average|Sum|Minimum|Maximum|Increase) ([<>]) (\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Rule:
    """A limit of one statistic beyond which the metric is worth a look."""

    statistic: str
    above: bool
    limit: float
    severe: bool = False

    @property
    def text(self) -> str:
        """The rule as it stands in the catalogue, e.g. maximum > 80."""
        return f"{self.statistic} {'>' if self.above else '<'} {self.limit:g}"


@dataclass(frozen=True)
class Metric:
    """One metric of one kind of resource; `catalogue.yaml` explains the fields."""

    namespace: str
    kind: str
    dimensions: tuple[str, ...]
    name: str
    stats: tuple[str, ...]
    unit: str
    tells: str
    run: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    compare: str = ""
    of: str | None = None
    zero: str | None = None
    period_s: int = 60
    settles_s: int = 600
    increments: bool = False
    listed: bool = False
    one_core: bool = False
    fixed: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """Name in the metrics table; fixed dimensions in brackets, e.g. ThrottledRequests[Query]."""
        return self.name + "".join(f"[{value}]" for _, value in self.fixed)


@dataclass(frozen=True)
class Resource:
    """A resource whose metrics are pulled: its kind in the catalogue, its name, and its dimensions' values.

    period_s: the finest period that it publishes (300 for an instance without detailed monitoring).
    """

    kind: str
    name: str
    dimensions: dict[str, str] = field(hash=False)
    period_s: int = 60

    @property
    def label(self) -> str:
        """Name in the metrics table, e.g. elb:shop or ec2:i-0abc."""
        return f"{PREFIXES[self.kind]}:{self.name}"


@cache
def catalogue() -> tuple[Metric, ...]:
    """All metrics of the catalogue."""
    text = (files("genkai.collect") / "catalogue.yaml").read_text(encoding="utf-8")
    return tuple(metric for group in yaml.safe_load(text) for metric in _group(group))


def _group(group: dict[str, Any]) -> Iterable[Metric]:
    each = group.get("each", {})
    for line in group["metrics"]:
        for values in product(*each.values()):
            yield Metric(
                namespace=group["namespace"], kind=group["kind"], dimensions=tuple(group["dimensions"]),
                name=line["name"], stats=tuple(line["stats"]), unit=str(line["unit"]), tells=line["tells"],
                run=tuple(line.get("run", ())), rules=_rules(line), compare=line.get("compare", ""),
                of=line.get("of"), zero=line.get("zero"),
                period_s=line.get("period", 60), settles_s=line.get("settles", 600),
                increments=line.get("increments", False), listed=group.get("listed", False),
                one_core=line.get("one_core", False),
                fixed=tuple(zip(each, values, strict=True)),
            )  # fmt: skip


def _rules(line: dict[str, Any]) -> tuple[Rule, ...]:
    found = []
    for key in ("warn", "severe"):
        if key in line:
            statistic, sign, limit = _RULE.fullmatch(line[key]).groups()
            found.append(Rule(STATISTICS[statistic], sign == ">", float(limit), key == "severe"))
    return tuple(found)


def metrics_of(kind: str) -> list[Metric]:
    """The catalogue's metrics of one kind of resource."""
    return [metric for metric in catalogue() if metric.kind == kind]


def metric_warnings(frame: pd.DataFrame, nodes: Mapping[str, Mapping[str, Any]] | None = None) -> list[dict[str, Any]]:
    """Where CloudWatch rows of a metrics table are beyond the catalogue's limits, severe ones first.

    nodes: {resource: type, engine, vcpus} as discovery found them; what is not known is judged as if it had one core.

    Records {resource, metric, statistic, rule, severe, worst, time, points, tells}: time is that of the worst value.
    """
    known = {(PREFIXES[m.kind], m.label, r.statistic): (m, r) for m in catalogue() for r in m.rules if not r.severe}
    severe = {(m.label, r.statistic): r for m in catalogue() for r in m.rules if r.severe}
    found = []
    rows = frame[frame["source"] == "cloudwatch"]
    for (resource, label, statistic), part in rows.groupby(["resource", "metric", "statistic"], sort=False):
        key = resource.split(":")[0], label.split("{")[0], statistic
        if key not in known:
            continue
        metric, rule = known[key]
        if metric.one_core:
            rule = replace(rule, limit=rule.limit * core_share((nodes or {}).get(resource)))
        beyond = part[(part["value"] > rule.limit) if rule.above else (part["value"] < rule.limit)]
        if len(beyond):
            worst = beyond.loc[beyond["value"].idxmax() if rule.above else beyond["value"].idxmin()]
            hard = severe.get((metric.label, statistic))
            found.append({
                "resource": resource, "metric": label, "statistic": statistic, "rule": rule.text,
                "severe": bool(hard and (worst["value"] > hard.limit) == hard.above),
                "worst": float(worst["value"]), "time": worst["time"].isoformat(), "points": len(beyond),
                "tells": metric.tells,
            })  # fmt: skip
    return sorted([*found, *_used_up(rows)], key=lambda row: not row["severe"])


def _used_up(rows: pd.DataFrame) -> Iterable[dict[str, Any]]:
    """Where a sum a second is beyond 80 % of what another metric of the resource says there is, at that time."""
    limits = {(PREFIXES[m.kind], m.label): m for m in catalogue() if m.of}
    for (resource, label), part in rows[rows["statistic"] == "sum"].groupby(["resource", "metric"], sort=False):
        metric = limits.get((resource.split(":")[0], label))
        there = rows[(rows["resource"] == resource) & (rows["metric"] == metric.of)] if metric else rows.iloc[:0]
        if not len(there):
            continue
        each = part.sort_values("time").assign(rate=part["value"] / part["period_s"])
        known = there.sort_values("time")[["time", "value"]].rename(columns={"value": "limit"})
        each = pd.merge_asof(each, known, on="time", direction="nearest")
        beyond = each[each["rate"] > USED_UP * each["limit"]]
        if len(beyond):
            worst = beyond.loc[(beyond["rate"] / beyond["limit"]).idxmax()]
            yield {
                "resource": resource, "metric": label, "statistic": "sum", "severe": False,
                "rule": f"a second > {USED_UP:.0%} of {worst['limit']:g}", "worst": float(worst["rate"]),
                "time": worst["time"].isoformat(), "points": len(beyond), "tells": metric.tells,
            }  # fmt: skip
