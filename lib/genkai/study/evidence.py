"""The series behind a finding, one value per level, so that a figure can show the suspect beside the others.

They are the very values that the rule judged: text and figure never disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from genkai.analyse.rules.case import signal_table
from genkai.analyse.rules.samples import Samples, epoch_s, process_series
from genkai.study.reading import RunStudy

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
    levels = run.whole
    spans = list(zip(epoch_s(levels["hold_start"]), epoch_s(levels["end"]), strict=True))
    if source == "generator":
        found = process_series(run.generator, metric, spans)
    else:
        told = Samples(run.metrics).series(signal_table()[item["signal"]], spans)
        found = [s for s in told if s.source == source and s.resource.partition(":")[0] == _kind(item)]
    rows = [
        [s.resource, metric, s.unit, value, "bottleneck" if s.resource == item.get("resource") else "other", intended]
        for s in found for value, intended in zip(s.values, levels["intended"].astype(float), strict=True)
        if np.isfinite(value)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_levels(run: RunStudy, metric: str) -> pd.DataFrame:
    levels = run.whole
    return pd.DataFrame({
        "resource": run.subject, "metric": metric, "unit": LEVEL_UNITS.get(metric, "s"),
        "value": levels[metric].astype(float), "role": "bottleneck", "intended": levels["intended"].astype(float),
    })  # fmt: skip
