"""What failed in a step, by kind: how often, of which APIs, when first and last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from genkai.study.reading import RunStudy

MOST_KINDS = 8


def failure_rows(runs: Sequence[RunStudy]) -> list[dict[str, Any]]:
    """{"kind", "message", "count", "share" of what was sent, "apis", "first", "last"}, the most frequent first.

    count: failures; share: ratio; first, last: epoch seconds. At most eight kinds.
    """
    tables = [run.failures for run in runs if len(run.failures)]
    if not tables:
        return []
    failures = pd.concat(tables, ignore_index=True).fillna({"message": ""})
    sent = sum(int(run.requests["sent"].sum()) for run in runs)
    rows = [
        {
            "kind": kind, "message": message, "count": int(part["count"].sum()),
            "share": float(part["count"].sum() / sent) if sent else None, "apis": sorted(part["api"].unique()),
            "first": part["time"].min().timestamp(), "last": part["time"].max().timestamp(),
        }
        for (kind, message), part in failures.groupby(["kind", "message"])
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -row["count"])[:MOST_KINDS]
