"""What a rule hands back: a finding with its evidence, every number a record with unit and number of samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from genkai.analyse.records import number
from genkai.analyse.rules.case import Case
from genkai.analyse.rules.samples import Series

STRENGTHS = {"strong": 3.0, "moderate": 2.0, "weak": 1.0}


@dataclass(frozen=True)
class Evidence:
    """One observation that speaks for a cause: the text's key and values, and the series that a figure can draw.

    metric: empty where there is no series to draw (counts of failures, a fitted parameter). signal: the quantity that
    was judged, where the series is one of signals.yaml, so that a figure shows the very same values.
    """

    text_key: str
    values: dict[str, Any]
    source: str = ""
    resource: str = ""
    metric: str = ""
    signal: str = ""

    @classmethod
    def of(cls, text_key: str, values: dict[str, Any], series: Series) -> Evidence:
        """The observation of one series."""
        return cls(text_key, values, series.source, series.resource, series.metric, series.signal)

    def record(self, figure: str | None) -> dict[str, Any]:
        """As JSON, with the label of the figure that shows it, if any."""
        return {
            "text_key": self.text_key, "values": self.values, "source": self.source, "resource": self.resource,
            "metric": self.metric, "signal": self.signal, "figure": figure,
        }  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """A cause that the tables support; fit (0–1) orders findings of equal strength.

    contributes: worth knowing, but no explanation of the limit by itself.
    """

    cause: str
    strength: str
    evidence: tuple[Evidence, ...]
    fit: float = 0.5
    values: dict[str, Any] = field(default_factory=dict)
    contributes: bool = False

    @property
    def score(self) -> float:
        """Strength first, fit second: 0–4."""
        return STRENGTHS[self.strength] + min(max(self.fit, 0.0), 0.99)


@dataclass(frozen=True)
class Rule:
    """A cause of the catalogue, its group, and the function that says whether the tables support it.

    even_without_stall: asked too when the levels show no limit (too few users, drift).
    """

    cause: str
    group: str
    applies: Callable[[Case], Finding | None]
    even_without_stall: bool = False


def amount(value: float | None, unit: str, n: int | None = None) -> dict[str, Any]:
    """A number record without an interval; NaN becomes null."""
    known = value is not None and math.isfinite(value)
    return number(float(value) if known else None, None, None, n, unit, [])


def observed(key: str, case: Case, series: Series, limit: float | None = None, **more: Any) -> Evidence:
    """Evidence from one series: its value under the limit and at the limit."""
    at_limit = case.peak(series) if limit is None else limit
    samples = int(series.samples[case.limit].sum())
    values = {
        "resource": series.resource.partition(":")[2] or series.resource,
        "metric": series.metric,
        "below": amount(case.before(series), series.unit),
        "limit": amount(at_limit, series.unit, samples),
        **more,
    }
    return Evidence.of(key, values, series)


def throughput_evidence(case: Case) -> Evidence:
    """That throughput stopped (or a target broke) where it did: the first line of every finding but the generator's."""
    stall = case.stall
    response = case.response()
    at = stall.level
    knee = stall.knee if stall.knee is not None else at
    values = {
        "load": amount(case.levels["intended"].iloc[at], case.load_unit),
        "knee_load": amount(case.levels["intended"].iloc[knee], case.load_unit),
        "throughput": amount(case.column("throughput_rps")[at], "rps"),
        "knee_throughput": amount(case.column("throughput_rps")[knee], "rps"),
        "response": amount(response.values[at], "s"),
        "knee_response": amount(response.values[knee], "s"),
        "errors": amount(case.column("error_ratio")[at], "ratio"),
    }
    key = "evidence.levels." + (stall.kind if stall.knee is not None else "first_level")
    key += "_mean" if response.metric == "mean_s" else ""
    return Evidence(key, values, "levels", "", "throughput_rps")
