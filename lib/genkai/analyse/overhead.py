"""What profiling cost the service: the same level with and without the profiler."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from genkai.analyse.distributions import quantiles
from genkai.analyse.records import Record, number
from genkai.analyse.seconds import Seconds, decode_requests

QUANTILES = {"p50_s": 0.5, "p95_s": 0.95}


def windows(requests: pd.DataFrame, spans: dict[str, tuple[float, float]]) -> dict[str, dict[str, Any]]:
    """{name: {throughput_rps, p50_s, p95_s: records}} of spans (epoch seconds), whole seconds only.

    throughput_rps counts successful completions. A span without a whole second has no values.
    """
    seconds = decode_requests(requests).seconds()
    return {name: _window(seconds.between(math.ceil(a), math.floor(b))) for name, (a, b) in spans.items()}


def _window(part: Seconds) -> dict[str, Any]:
    if not len(part.finished):
        return {"throughput_rps": number(None, n=0, unit="rps"), **{q: number(None, n=0, unit="s") for q in QUANTILES}}
    found = quantiles(part.responses.total(), part.responses.upper_s, list(QUANTILES.values()))[0]
    count = int(part.responses.total().sum())
    times = {name: number(value, n=count, unit="s") for name, value in zip(QUANTILES, found, strict=True)}
    return {"throughput_rps": _mean(part.finished), **times}


def _mean(values: np.ndarray) -> Record:
    """Mean of the seconds with its 95 % interval (Student)."""
    mean, n = float(np.mean(values)), len(values)
    if n < 3:
        return number(mean, n=n, unit="rps")
    slack = float(student.ppf(0.975, n - 1)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return number(mean, max(mean - slack, 0.0), mean + slack, n=n, unit="rps")


def ratio(with_: Record, without: Record) -> Record:
    """with ÷ without of two means; the interval follows from both (delta method on the logarithm)."""
    if not with_["value"] or not without["value"]:
        return number(None, unit="ratio")
    value = with_["value"] / without["value"]
    if any(r["low"] is None for r in (with_, without)):
        return number(value, unit="ratio")
    slack = math.sqrt(sum(((r["high"] - r["low"]) / 2 / r["value"]) ** 2 for r in (with_, without)))
    return number(value, value * math.exp(-slack), value * math.exp(slack), n=with_["n"], unit="ratio")
