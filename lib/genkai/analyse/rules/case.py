"""One run as the rules see it: its tables, the stall, and every signal as a value per level."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd

from genkai.analyse.rules.samples import Samples, Series, epoch_s, process_series
from genkai.analyse.rules.signals import Signal, read_signals
from genkai.analyse.rules.stall import RESPONSE_RISE, Stall, find_stall, is_true
from genkai.metrics import Metrics

NEAR_CEILING = 0.9  # of the ceiling: throughput from here on says that the bottleneck is nearly full


@dataclass(frozen=True)
class Facts:
    """What the plan knows and the tables do not.

    limits_s: {quantile column: seconds}. hosts: {name: role}. shared: load generator and target run on one machine.
    limits: {"resource signal": value} of known ceilings, e.g. {"ec2:i-1 network.out": bytes/s}.
    clock_offsets_s: {host: (at the start, at the end)} against the generator's clock.
    credits: {resource: row of analyse.credits} of burstable instances. zones: {resource: availability zone}.
    """

    step: str = "scenario"
    subject: str = ""
    limits_s: Mapping[str, float] = field(default_factory=dict)
    error_limit: float = 0.01
    hosts: Mapping[str, str] = field(default_factory=dict)
    generator_host: str = "local"
    shared: bool = False
    load_balancer: str | None = None
    think_time_s: float | None = None
    hold_needed_s: float | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)
    clock_offsets_s: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    credits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Tables:
    """Everything a diagnosis reads: the schema tables of one run (metrics of all sources), the fit, the plan's facts.

    fit: the scalability record or None. target_rps: the throughput that this run's subject must carry, or None.
    """

    levels: pd.DataFrame
    requests: pd.DataFrame
    failures: pd.DataFrame
    generator: pd.DataFrame
    metrics: Metrics | pd.DataFrame
    fit: Mapping[str, Any] | None = None
    target_rps: float | None = None
    facts: Facts = field(default_factory=Facts)


@lru_cache(maxsize=1)
def signal_table() -> dict[str, Signal]:
    """The signals of signals.yaml, read once."""
    return read_signals()


class Case:
    """Lookups that rules share; computed when first asked for and kept."""

    def __init__(self, tables: Tables) -> None:
        self.tables, self.facts = tables, tables.facts
        self.levels = _subject_levels(tables.levels, tables.facts.subject)
        self.stall: Stall | None = find_stall(self.levels, dict(self.facts.limits_s), self.facts.error_limit)
        self._series: dict[str, list[Series]] = {}
        self.kept: dict[str, Any] = {}

    @cached_property
    def samples(self) -> Samples:
        """The metrics table, indexed."""
        return Samples(self.tables.metrics)

    @property
    def load_unit(self) -> str:
        """The unit of the levels' load."""
        return "users" if self.levels["workload"].iloc[0] == "closed" else "rps"

    @cached_property
    def holds(self) -> list[tuple[float, float]]:
        """(start, end) of each level's hold, epoch seconds."""
        return list(zip(epoch_s(self.levels["hold_start"]), epoch_s(self.levels["end"]), strict=True))

    @cached_property
    def limit(self) -> np.ndarray:
        """Positions of the levels at or beyond the limit; without a stall, of all levels."""
        return np.arange(self.stall.level if self.stall else 0, len(self.levels))

    @cached_property
    def below(self) -> np.ndarray:
        """Positions of the levels under the limit."""
        return np.arange(0, self.limit[0]) if len(self.limit) else np.arange(0)

    def series(self, name: str) -> list[Series]:
        """A signal for every resource that has it, one value per level."""
        if name not in self._series:
            self._series[name] = self.samples.series(signal_table()[name], self.holds)
        return self._series[name]

    def of_targets(self, name: str) -> list[Series]:
        """A signal of what is tested: instances, and watched hosts that do not generate the load."""
        return [s for s in self.series(name) if not self.generates(s.resource) and not self.is_middleware(s.resource)]

    def of_generator(self, name: str) -> list[Series]:
        """A signal of the machine that generates the load."""
        return [s for s in self.series(name) if self.generates(s.resource)]

    def generates(self, resource: str) -> bool:
        """Whether a resource is the generator's machine."""
        kind, _, host = resource.partition(":")
        return kind == "host" and (host == self.facts.generator_host or self.facts.hosts.get(host) == "generator")

    def is_middleware(self, resource: str) -> bool:
        """Whether a resource is a watched host of the role middleware."""
        kind, _, host = resource.partition(":")
        return kind == "host" and self.facts.hosts.get(host) == "middleware"

    def peak(self, series: Series) -> float:
        """The highest value at the limit; NaN when not measured there."""
        return _reduce(np.nanmax, series.values[self.limit])

    def lowest(self, series: Series) -> float:
        """The lowest value at the limit; NaN when not measured there."""
        return _reduce(np.nanmin, series.values[self.limit])

    def before(self, series: Series) -> float:
        """The value at the last measured level under the limit; NaN when there is none."""
        values = series.values[self.below]
        values = values[np.isfinite(values)]
        return float(values[-1]) if len(values) else math.nan

    def well_before(self, series: Series) -> float:
        """The value at the last measured level whose throughput is clearly under the ceiling; NaN when there is none.

        Utilisation law, U = X·D: where throughput is nine tenths of the ceiling, the bottleneck is nine tenths used,
        too. So that it was nearly full at the knee speaks for it; only that it was full well before speaks against it.
        """
        ceiling = self.stall.ceiling_rps if self.stall else math.inf
        clear = [i for i in self.below if self.column("throughput_rps")[i] < NEAR_CEILING * ceiling]
        values = series.values[clear]
        values = values[np.isfinite(values)]
        return float(values[-1]) if len(values) else math.nan

    def before_or_zero(self, series: Series) -> float:
        """The value at the last measured level under the limit, 0 when there is none: for counters of trouble."""
        before = self.before(series)
        return before if math.isfinite(before) else 0.0

    def base(self, series: Series) -> float:
        """The value at the lowest measured level."""
        values = series.values[np.isfinite(series.values)]
        return float(values[0]) if len(values) else math.nan

    def highest(self, name: str) -> tuple[Series | None, float]:
        """(series, value) of the target whose signal is highest at the limit; (None, NaN) when not measured."""
        return self._extreme(self.of_targets(name), self.peak, max)

    def highest_generator(self, name: str) -> tuple[Series | None, float]:
        """The same of the generator's machine."""
        return self._extreme(self.of_generator(name), self.peak, max)

    def deepest(self, name: str) -> tuple[Series | None, float]:
        """(series, value) of the resource whose signal is lowest at the limit; (None, NaN) when not measured."""
        return self._extreme(self.of_targets(name), self.lowest, min)

    def _extreme(self, found: list[Series], value_of, choose) -> tuple[Series | None, float]:
        measured = [(value_of(s), s) for s in found]
        measured = [(value, s) for value, s in measured if math.isfinite(value)]
        if not measured:
            return None, math.nan
        value, series = choose(measured, key=lambda pair: pair[0])
        return series, value

    def column(self, name: str) -> np.ndarray:
        """A column of the levels table as floats."""
        return self.levels[name].to_numpy(float, na_value=np.nan)

    def client(self, column: str) -> Series:
        """A column of the levels table as a series of the load generator's own measurements."""
        units = {"throughput_rps": "rps", "sent_rps": "rps", "error_ratio": "ratio", "concurrency": "requests"}
        counts = np.ones(len(self.levels), int)
        return Series(column, units.get(column, "s"), "levels", "", column, self.column(column), counts)

    def of_processes(self, column: str) -> list[Series]:
        """A column of the generator table per process: median over each level's hold."""
        return process_series(self.tables.generator, column, self.holds)

    def highest_process(self, column: str) -> tuple[Series | None, float]:
        """(series, value) of the generator process with the highest median at the limit."""
        return self._extreme(self.of_processes(column), self.peak, max)

    def response(self) -> Series:
        """The median response time per level; the mean where there is no median or only the mean rises at the limit."""
        median, mean = self.client("p50_s"), self.client("mean_s")
        if not np.isfinite(median.values).any():
            return mean
        return mean if not self._rises_at_limit(median) and self._rises_at_limit(mean) else median

    def _rises_at_limit(self, series: Series) -> bool:
        before = self.before(series)
        return math.isfinite(before) and self.peak(series) >= RESPONSE_RISE * before

    def generator_limited(self) -> np.ndarray:
        """Whether each level is marked as limited by the generator."""
        return np.array([is_true(v) for v in self.levels["generator_limited"]], bool)

    def failures_in(self, positions: np.ndarray) -> pd.DataFrame:
        """The rows of failures during these levels' holds."""
        times = epoch_s(self.tables.failures["time"])
        spans = [self.holds[i] for i in positions]
        inside = np.zeros(len(times), bool)
        for start, end in spans:
            inside |= (times >= start) & (times < end)
        return self.tables.failures[inside]

    def sent_in(self, positions: np.ndarray) -> float:
        """Requests sent during these levels' holds, from the levels table."""
        spans = np.array([self.holds[i][1] - self.holds[i][0] for i in positions])
        return float(np.nansum(self.column("sent_rps")[positions] * spans)) if len(positions) else 0.0

    def failure_share(self, mask) -> tuple[float, float]:
        """(count, share of requests sent) at the limit of the failures that the mask function picks."""
        rows = self.failures_in(self.limit)
        count = float(rows.loc[mask(rows), "count"].sum()) if len(rows) else 0.0
        sent = self.sent_in(self.limit)
        return count, count / sent if sent > 0 else math.nan


def _reduce(how, values: np.ndarray) -> float:
    return float(how(values)) if np.isfinite(values).any() else math.nan


def _subject_levels(levels: pd.DataFrame, subject: str) -> pd.DataFrame:
    """The rows of one subject in order of load; of a scenario, the row of all its APIs together."""
    apis = list(dict.fromkeys(levels["api"]))
    wanted = next((name for name in (subject, "(all)") if name in apis), apis[0] if apis else "")
    rows = levels[levels["api"] == wanted]
    return rows.sort_values(["intended", "level"], kind="stable").reset_index(drop=True)
