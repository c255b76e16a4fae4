"""Do the load balancer's count of requests and the generator's agree?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from genkai.analyse.records import number
from genkai.metrics import Metrics

AGREES = 0.02  # of the requests; what is under way at the edges of the load balancer's minutes comes on top
KEYS = ("source", "metric", "statistic")


def request_counts(metrics: Metrics, requests: pd.DataFrame, generator: pd.DataFrame) -> list[dict[str, Any]]:
    """One row a load balancer, over its whole minutes: {resource, counted, sent, completed, under_way, verdict}.

    verdict: agree; more (than were recorded as sent: by others, a locustfile's redirects, or outside the levels);
    fewer (than succeeded: they went elsewhere). completed: responses that passed their checks.
    """
    wanted = ("cloudwatch", "RequestCount", "sum")
    found = []
    for key in metrics.keys:
        if not key.resource.startswith("elb:") or tuple(getattr(key, name) for name in KEYS) != wanted:
            continue
        start, period, value = metrics.arrays(key)
        sent, completed = (_within(requests, name, start, start + period) for name in ("sent", "completed"))
        if not sent:
            continue
        counted, under_way = float(value.sum()), _under_way(generator, start[0], start[-1] + period[-1])
        slack = AGREES * sent + under_way
        verdict = "more" if counted > sent + slack else "fewer" if counted < completed - slack else "agree"
        found.append({
            "resource": key.resource, "verdict": verdict, "counted": number(counted, n=len(value), unit="requests"),
            "sent": number(sent, unit="requests"), "completed": number(completed, unit="requests"),
            "under_way": number(under_way, unit="requests"),
        })  # fmt: skip
    return found


def _epochs(times: pd.Series) -> np.ndarray:
    return (times - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy(float)


def _within(rows: pd.DataFrame, column: str, start: np.ndarray, end: np.ndarray) -> float:
    """The sum of a column over the seconds that the intervals hold."""
    at = _epochs(rows["time"])
    place = np.searchsorted(start, at, side="right") - 1
    inside = (place >= 0) & (at < end[np.maximum(place, 0)])
    return float(rows[column].to_numpy(float)[inside].sum())


def _under_way(generator: pd.DataFrame, first: float, last: float) -> float:
    """The most requests that were in flight around the edges of the time that is compared."""
    if not len(generator):
        return 0.0
    at = generator.groupby("time")["in_flight"].sum()
    near = [abs(_epochs(pd.Series(at.index)) - edge) <= 2 for edge in (first, last)]
    return float(sum(at.to_numpy(float)[part].max() if part.any() else 0.0 for part in near))
