"""The series behind a finding, one value per level, so that a figure can show the suspect beside the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from genkai import schema
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
    found = run.metrics.select(metric, source)
    found = found[found["resource"].str.partition(":")[0] == _kind(item)] if len(found) else found
    if not len(found):
        return pd.DataFrame(columns=COLUMNS)
    statistics = sorted(found["statistic"].unique(), key=_rank)
    found = found[found["statistic"] == statistics[0]]
    return _per_level(run, found, item, metric, str(found["unit"].iloc[0]))


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
                role = "bottleneck" if resource == item.get("resource") else "other"
                rows.append([resource, metric, unit, float(np.median(values)), role, float(mark["intended"])])
    return pd.DataFrame(rows, columns=COLUMNS)
