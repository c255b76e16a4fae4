"""The series behind a finding, one value per level, so that a figure can show the suspect beside the others.

Where the rule judged a signal, the figure shows the signal's own values: text and figure never disagree. What is no
signal (any metric of the table) is shown as the median of each hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from genkai import schema
from genkai.analyse.rules.case import signal_table
from genkai.analyse.rules.samples import Samples, epoch_s
from genkai.analyse.rules.signals import Signal
from genkai.study.reading import RunStudy

# Of several statistics of one metric, the one that shows trouble first.
STATISTICS = ("maximum", "sum", "sample", "average", "minimum")
LEVEL_UNITS = {"throughput_rps": "rps", "sent_rps": "rps", "error_ratio": "ratio", "concurrency": "requests"}
COLUMNS = ["resource", "metric", "unit", "value", "role", "intended"]
MOST_METRICS = 4  # a figure of more panels is not read


def evidence_series(run: RunStudy, finding: Mapping[str, Any]) -> pd.DataFrame:
    """resource, metric, unit, value, role (bottleneck or other), intended: every series that the finding names.

    Resources of the same kind that the finding does not name stand beside it as `other`.
    """
    frames: dict[str, pd.DataFrame] = {}
    items = [i for i in finding.get("evidence") or [] if i.get("metric")]
    suspect = next((_kind(i) for i in items if i.get("source") != "levels"), "")
    for item in sorted(items, key=lambda i: i.get("source") == "levels"):  # what users feel has figures of its own
        rows = _rows(run, item) if item["metric"] not in frames else ()
        if len(rows):
            role = rows["role"] if _kind(item) in (suspect, "") else "other"
            frames[item["metric"]] = rows.assign(role=role)
    shown = list(frames.values())[:MOST_METRICS]
    return pd.concat(shown, ignore_index=True) if shown else pd.DataFrame(columns=COLUMNS)


def _kind(item: Mapping[str, Any]) -> str:
    """elb, ec2, host, process …"""
    return str(item.get("resource", "")).partition(":")[0]


def _rows(run: RunStudy, item: Mapping[str, Any]) -> pd.DataFrame:
    source, metric = item.get("source", ""), item["metric"]
    if source == "levels":
        return _of_levels(run, metric)
    if source == "generator":
        return _of_generator(run, item, metric)
    if item.get("signal") in signal_table():
        return _of_signal(run, item, signal_table()[item["signal"]])
    found = run.metrics.select(metric, source)
    found = found[found["resource"].str.partition(":")[0] == _kind(item)] if len(found) else found
    if not len(found):
        return pd.DataFrame(columns=COLUMNS)
    statistics = sorted(found["statistic"].unique(), key=_rank)
    found = found[found["statistic"] == statistics[0]]
    return _per_level(run, found, item, metric, str(found["unit"].iloc[0]))


def _of_signal(run: RunStudy, item: Mapping[str, Any], signal: Signal) -> pd.DataFrame:
    """The very values that the rule judged, of every resource of the kind that the same source tells it of."""
    levels, source = run.whole, item["source"]
    spans = list(zip(epoch_s(levels["hold_start"]), epoch_s(levels["end"]), strict=True))
    found = [s for s in Samples(run.metrics).series(signal, spans) if s.source == source and _is_kind(s.resource, item)]
    rows = [
        [s.resource, item["metric"], s.unit, value, _role(s.resource, item), intended]
        for s in found for value, intended in zip(s.values, levels["intended"].astype(float), strict=True)
        if np.isfinite(value)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def _is_kind(resource: str, item: Mapping[str, Any]) -> bool:
    return resource.partition(":")[0] == _kind(item)


def _role(resource: str, item: Mapping[str, Any]) -> str:
    return "bottleneck" if resource == item.get("resource") else "other"


def _rank(statistic: str) -> int:
    name = statistic.lower()
    return STATISTICS.index(name) if name in STATISTICS else len(STATISTICS)


def _of_levels(run: RunStudy, metric: str) -> pd.DataFrame:
    levels = run.whole
    if metric not in levels:
        return pd.DataFrame(columns=COLUMNS)
    return pd.DataFrame({
        "resource": run.subject, "metric": metric, "unit": LEVEL_UNITS.get(metric, "s"),
        "value": levels[metric].astype(float), "role": "bottleneck", "intended": levels["intended"].astype(float),
    })  # fmt: skip


def _of_generator(run: RunStudy, item: Mapping[str, Any], metric: str) -> pd.DataFrame:
    units = {column.name: column.unit for column in schema.columns("generator")}
    if metric not in units:
        return pd.DataFrame(columns=COLUMNS)
    table = run.generator.assign(resource="process:" + run.generator["process"], value=run.generator[metric])
    return _per_level(run, table, item, metric, units[metric])


def _per_level(run: RunStudy, table: pd.DataFrame, item: Mapping[str, Any], metric: str, unit: str) -> pd.DataFrame:
    """Median over each level's hold, per resource."""
    rows = []
    seconds = table["time"].astype("int64") / 1e6  # schema times are microseconds
    for mark in run.marks:
        start = mark["start"] if mark["hold_start"] is None else mark["hold_start"]
        inside = table[(seconds >= start) & (seconds < mark["end"])]
        for resource, part in inside.groupby("resource"):
            values = part["value"].dropna().astype(float)
            if len(values):
                rows.append(
                    [resource, metric, unit, float(np.median(values)), _role(resource, item), float(mark["intended"])]
                )
    return pd.DataFrame(rows, columns=COLUMNS)
