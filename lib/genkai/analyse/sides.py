"""The runs of one side of a comparison: what each measured at every load, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from genkai.analyse.judge import MeasuredRun
from genkai.analyse.plan_differences import check_poolable
from genkai.analyse.records import Record, finite
from genkai.analyse.resample import interval_key, level_intervals
from genkai.analyse.spread import Measured, measured

RESAMPLES = 500
TIMES = ("p50_s", "p95_s", "p99_s")
COLUMNS = ("throughput_rps", *TIMES, "error_ratio")
CARRIED = 0.9  # a load counts as carried while throughput per unit of load is this share of that at the lowest load
Load = tuple[str, float]


@dataclass
class Side:
    """Runs of one side: repetitions of one step and subject. Raises ValueError when they are no repetitions."""

    runs: Sequence[MeasuredRun]

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError("compare: expected at least one run on each side, got none")
        check_poolable([r.record for r in self.runs])

    @cached_property
    def intervals(self) -> list[Mapping[str, Mapping[str, Record]]]:
        """Of each run {interval_key: {column: record}}: what the study has already, or drawn anew."""
        return [_intervals_of(run) for run in self.runs]

    @cached_property
    def loads(self) -> set[Load]:
        """(workload, intended) of every level that has a window."""
        rows = (row for run in self.runs for row in run.levels.to_dict("records"))
        return {_load(row) for row in rows if not pd.isna(row["window_start"])}

    @cached_property
    def _rows(self) -> list[dict[tuple[Load, str], dict[str, Any]]]:
        """Of each run {(load, API): its last row with a window and a generator that was not the limit}."""
        return [
            {(_load(row), row["api"]): row for row in run.levels.to_dict("records") if _counts(row)}
            for run in self.runs
        ]

    def rows(self, load: Load, api: str) -> list[dict[str, Any] | None]:
        """Of each run the row of an API at a load; None where it was not measured or the generator was the limit."""
        return [rows.get((load, api)) for rows in self._rows]

    def usable(self, load: Load) -> bool:
        """Whether every run measured its subject at that load without the generator as the limit."""
        return None not in self.rows(load, self.runs[0].subject)

    def records(self, load: Load, api: str) -> list[dict[str, Record]] | None:
        """Of each run {column: record with its interval}; None where a run lacks the API."""
        found = []
        for row, intervals in zip(self.rows(load, api), self.intervals, strict=True):
            known = None if row is None else intervals.get(interval_key(int(row["level"]), api))
            if known is None:
                return None
            found.append({column: {**known[column], "value": finite(row[column])} for column in COLUMNS})
        return found

    def cell(self, load: Load, api: str, column: str) -> list[Measured] | None:
        """Of each run the value of a column; None where one has none."""
        values = [measured(r[column]) for r in self.records(load, api) or [{column: {"value": None}}]]
        return None if None in values else values

    def carried(self, load: Load) -> bool:
        """Whether every run still gives nearly as much throughput for this load as for its lowest."""
        return all(high >= CARRIED * low for high, low in zip(self._yield(load), self._lowest, strict=True))

    @cached_property
    def _lowest(self) -> list[float]:
        return self._yield(min(self.loads))

    def _yield(self, load: Load) -> list[float]:
        rows = self.rows(load, self.runs[0].subject)
        return [float(row["throughput_rps"] / load[1]) if row else 0.0 for row in rows]


def _load(row: Mapping[str, Any]) -> Load:
    return row["workload"], round(float(row["intended"]), 6)


def _counts(row: Mapping[str, Any]) -> bool:
    limited = row["generator_limited"]
    return not pd.isna(row["window_start"]) and (pd.isna(limited) or not limited)


def _intervals_of(run: Any) -> Mapping[str, Mapping[str, Record]]:
    ready = getattr(run, "intervals", None)
    requests = getattr(run, "requests", None)
    if ready is not None:
        return ready
    return {} if requests is None or requests.empty else level_intervals(requests, run.levels, RESAMPLES)


@dataclass
class Pair:
    """One step and subject on both sides, with the loads that both measured."""

    before: Side
    after: Side

    @cached_property
    def loads(self) -> list[Load]:
        """Loads that both sides measured and at which the generator was never the limit, lowest first."""
        common = sorted(self.before.loads & self.after.loads)
        return [load for load in common if self.before.usable(load) and self.after.usable(load)]

    @cached_property
    def apis(self) -> list[str]:
        """The subject, then the APIs in it."""
        return list(dict.fromkeys(self.after.runs[0].levels["api"]))

    def head(self, load: Load, api: str) -> dict[str, Any]:
        """Which row of the comparison a cell makes."""
        run = self.after.runs[0]
        level = int(self.after.rows(load, api)[0]["level"])
        return {"step": run.step, "subject": run.subject, "api": api, "level": level, "load": load[1]}

    def repeated(self) -> list[dict[str, list[list[Measured]]]]:
        """Of each side {column: cells}, for the spread between its runs."""
        return [
            {
                column: [
                    cell
                    for load in self.loads
                    for api in self.apis
                    if (cell := side.cell(load, api, column)) is not None
                ]
                for column in ("throughput_rps", *TIMES)
            }
            for side in (self.before, self.after)
            if len(side.runs) > 1
        ]

    def carried(self, column: str) -> list[tuple[list[Measured], list[Measured]]]:
        """The subject's values of a column at every common load that both sides carried."""
        api = self.after.runs[0].subject
        cells = [
            (self.before.cell(load, api, column), self.after.cell(load, api, column))
            for load in self.loads
            if self.before.carried(load) and self.after.carried(load)
        ]
        return [(a, b) for a, b in cells if a is not None and b is not None]
