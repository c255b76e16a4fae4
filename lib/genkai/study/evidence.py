"""The series behind a finding, one value per level, so that a figure can show the suspect beside the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

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
    frames: list[pd.DataFrame] = []
    seen: list[str] = []
    for item in finding.get("evidence") or []:
        metric = item.get("metric")
        if not metric or metric in seen or len(seen) == MOST_METRICS:
            continue
        rows = _rows(run, item)
        if len(rows):
            seen.append(metric)
            frames.append(rows)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)


def _rows(run: RunStudy, item: Mapping[str, Any]) -> pd.DataFrame:
    source, metric = item.get("source", ""), item["metric"]
    if source == "levels":
        return _of_levels(run, metric)
    if source == "generator":
        table = run.generator.assign(
            resource="process:" + run.generator["process"].astype(str), value=run.generator[metric]
        )
        return _per_level(run, table, item, metric, "ratio" if metric.endswith("_ratio") else "s")
    found = run.metrics[(run.metrics["metric"] == metric) & (run.metrics["source"] == source)]
    if not len(found):
        return pd.DataFrame(columns=COLUMNS)
    statistics = sorted(found["statistic"].unique(), key=_rank)
    found = found[found["statistic"] == statistics[0]]
    kind = str(item.get("resource", "")).partition(":")[0]
    found = found[found["resource"].str.startswith(kind)]
    return _per_level(run, found, item, metric, str(found["unit"].iloc[0]) if len(found) else "")


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
