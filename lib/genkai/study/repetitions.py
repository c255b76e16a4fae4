"""How much the repetitions of a step differ from one another."""

from __future__ import annotations

from typing import Any

import numpy as np

from genkai.analyse.records import number
from genkai.analyse.resample import UNITS
from genkai.study.reading import RunStudy, Study

COLUMNS = {"throughput": "throughput_rps", "p50": "p50_s", "p95": "p95_s"}


def repetition_rows(study: Study, step: str) -> list[dict[str, Any]]:
    """{"api", "what", "runs", "lowest", "middle", "highest", "spread"} of each repeated subject at its highest load.

    The highest load is the one that every repetition reached; spread: standard deviation ÷ mean.
    """
    rows = []
    for subject in dict.fromkeys(run.subject for run in study.of(step)):
        runs = [run for run in study.of(step) if run.subject == subject and len(run.marks)]
        reached = [set(_measured(run)["intended"]) for run in runs]
        common = set.intersection(*reached) if len(runs) > 1 else set()
        if common:
            rows += [_row(subject, what, column, [_value(r, max(common), column) for r in runs])
                     for what, column in COLUMNS.items()]  # fmt: skip
    return rows


def _measured(run: RunStudy) -> Any:
    return run.whole[run.whole["window_start"].notna()]


def _value(run: RunStudy, load: float, column: str) -> float:
    levels = _measured(run)
    return float(levels[levels["intended"] == load][column].iloc[-1])


def _row(subject: str, what: str, column: str, values: list[float]) -> dict[str, Any]:
    spread = float(np.std(values, ddof=1) / np.mean(values)) if np.mean(values) > 0 else None
    told = {"lowest": min(values), "middle": float(np.median(values)), "highest": max(values)}
    return {"api": subject, "what": what, "runs": len(values), "spread": number(spread, unit="ratio"),
            **{name: number(value, unit=UNITS[column]) for name, value in told.items()}}  # fmt: skip
