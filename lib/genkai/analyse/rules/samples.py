"""The metrics table, indexed once, and its signals as one value per load level."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from genkai.analyse.rules.signals import Carrier, Signal
from genkai.metrics import Arrays, Key, Metrics

Spans = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Series:
    """One signal of one resource: a value per level (NaN: not measured) and the number of samples behind it."""

    signal: str
    unit: str
    source: str
    resource: str
    metric: str
    values: np.ndarray
    samples: np.ndarray


def epoch_s(times: pd.Series) -> np.ndarray:
    """Epoch seconds of a column of times; NaN where there is none."""
    seconds = (times - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
    return seconds.to_numpy(float, na_value=np.nan)


class Samples:
    """The metrics table by source, metric, resource and statistic; a series is read when a rule asks for it."""

    def __init__(self, metrics: Metrics | pd.DataFrame) -> None:
        self._metrics = Metrics.of(metrics)
        self._found: dict[str, dict[str, dict[str, dict[str, Key]]]] = {}
        for key in sorted(self._metrics.keys, key=lambda k: (k.source, k.metric, k.resource, k.statistic)):
            by_resource = self._found.setdefault(key.source, {}).setdefault(key.metric, {})
            by_resource.setdefault(key.resource, {})[key.statistic.lower()] = key

    def series(self, signal: Signal, spans: Spans) -> list[Series]:
        """The signal for each resource that has it, over each span (epoch seconds); the first carrier found wins."""
        found: dict[str, Series] = {}
        for carrier in signal.carriers:
            best: dict[str, Series] = {}
            for metric, resource, arrays in self._carried(carrier):
                series = _over(signal, carrier, metric, resource, arrays, spans)
                if resource not in best or _highest(series) > _highest(best[resource]):
                    best[resource] = series
            found = best | found
        return [series for _, series in sorted(found.items()) if np.isfinite(series.values).any()]

    def raw(self, signal: Signal, resource: str) -> tuple[np.ndarray, np.ndarray]:
        """(epoch seconds, values) of every sample of a signal of one resource."""
        for carrier in signal.carriers:
            mine = [arrays for _, owner, arrays in self._carried(carrier) if owner == resource and len(arrays[0])]
            if mine:
                start, _, value = max(mine, key=lambda arrays: arrays[2].max())
                return start, value
        return np.empty(0), np.empty(0)

    def _carried(self, carrier: Carrier) -> Iterator[tuple[str, str, Arrays]]:
        """(metric, resource, samples in the signal's unit) of all that a carrier stands for."""
        for metric in self._named(carrier):
            for resource, by_statistic in self._found[carrier.source][metric].items():
                key = _choose(by_statistic, carrier.statistics)
                limit = self._limit(carrier, metric, resource)
                if resource.partition(":")[0] == carrier.kind and key is not None and limit is not None:
                    start, period, value = self._metrics.arrays(key)
                    value = value * carrier.scale / limit
                    yield metric, resource, (start, period, 1 - value if carrier.inverse else value)

    def _named(self, carrier: Carrier) -> list[str]:
        known = self._found.get(carrier.source, {})
        if "*" not in carrier.metric:
            return [carrier.metric] if carrier.metric in known else []
        return [metric for metric in known if fnmatchcase(metric, carrier.metric)]

    def _limit(self, carrier: Carrier, metric: str, resource: str) -> float | None:
        """The value of the limit that belongs to this metric; 1 where none is named, None where it is not known."""
        if not carrier.divide:
            return 1.0
        before, _, after = carrier.metric.partition("*")
        device = metric[len(before) : len(metric) - len(after)] if "*" in carrier.metric else ""
        name = carrier.divide.replace("*", device)
        key = _choose(self._found[carrier.source].get(name, {}).get(resource, {}), ())
        middle = float(np.median(self._metrics.arrays(key)[2])) if key is not None else 0.0
        return middle if middle > 0 else None


def process_series(generator: pd.DataFrame, column: str, spans: Spans) -> list[Series]:
    """A column of the generator table for each process: the median over each span (epoch seconds)."""
    unit = next((unit for end, unit in (("_ratio", "ratio"), ("_s", "s")) if column.endswith(end)), "count")
    found = []
    for process, rows in generator.groupby("process", sort=True):
        times, values = epoch_s(rows["time"]), rows[column].to_numpy(float, na_value=np.nan)
        measured = [part[np.isfinite(part)] for part in (values[(times >= a) & (times < b)] for a, b in spans)]
        medians = np.array([np.median(part) if len(part) else np.nan for part in measured])
        counts = np.array([len(part) for part in measured], int)
        found.append(Series(column, unit, "generator", f"process:{process}", column, medians, counts))
    return found


def _over(signal: Signal, carrier: Carrier, metric: str, resource: str, arrays: Arrays, spans: Spans) -> Series:
    start, period, value = arrays
    results, counts = np.full(len(spans), np.nan), np.zeros(len(spans), int)
    for index, span in enumerate(spans):
        inside = _inside(start, period, span)
        counts[index] = len(inside)
        if len(inside):
            results[index] = _taken(signal.over, value[inside], period[inside])
    return Series(signal.name, signal.unit, carrier.source, resource, metric, results, counts)


def _choose(by_statistic: dict[str, Key], wanted: tuple[str, ...]) -> Key | None:
    if not wanted:
        return next(iter(by_statistic.values()), None)
    return next((by_statistic[name] for name in wanted if name in by_statistic), None)


def _highest(series: Series) -> float:
    return float(np.nanmax(series.values)) if np.isfinite(series.values).any() else -np.inf


def _inside(start: np.ndarray, period: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    """Samples whose middle lies in the span; failing that, the one interval that covers the middle of the span.

    Of several, those that do not reach into what follows: there the load of the next level begins.
    """
    middle = start + period / 2
    inside = (middle >= span[0]) & (middle < span[1])
    if inside.any():
        ended = inside & (start + period <= span[1] + 0.05 * period)
        return np.flatnonzero(ended if ended.any() else inside)
    centre = (span[0] + span[1]) / 2
    covering = (start <= centre) & (start + period > centre)
    # a bucket much longer than the level says more about its neighbours than about it
    return np.flatnonzero(covering & (period <= 2 * (span[1] - span[0])))[:1]


def _taken(over: str, value: np.ndarray, period: np.ndarray) -> float:
    if over == "rate":
        return float(value.sum() / period.sum()) if period.sum() > 0 else float("nan")
    reduce = {"mean": np.mean, "maximum": np.max, "minimum": np.min, "total": np.sum}[over]
    return float(reduce(value))
