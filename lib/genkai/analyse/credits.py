"""CPU credits of burstable instances: what is left, what is spent and earned, and how long it lasts at this pace.

One credit is one vCPU at 100 % for one minute; an instance earns its base line. Source: EC2 user guide, key concepts of
burstable performance instances.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from genkai.analyse.records import number
from genkai.analyse.type_limits import instances_of
from genkai.metrics import Key, Metrics

RECENT_S = 60.0  # the present
SOON_S = 1800.0  # less than half an hour left is worth a warning
NOT_WHOLE = "CloudWatch's value at the end of the load reaches beyond the load"


def credit_rows(metrics: Metrics, found: Mapping[str, Any], load: tuple[float, float]) -> list[dict[str, Any]]:
    """One row a burstable instance whose spending was measured: least time left first, then who spends most.

    {resource, type, mode, balance, spent, earned (credits a minute), surplus, left (duration; null: it does not run
    out, or the balance was not measured), soon}: as of the end of the load. load: its start and end, epoch seconds.
    """
    rows = [
        _row(metrics, load, resource, kind, limits, instance.get("credit_mode") or "")
        for resource, kind, limits, instance in instances_of(found)
        if limits.get("burstable") and limits.get("credit_base_line_ratio") and limits.get("vcpus")
    ]
    known = [row for row in rows if row is not None]
    left = [math.inf if row["left"]["value"] is None else row["left"]["value"] for row in known]
    order = sorted(range(len(known)), key=lambda i: (left[i], -known[i]["spent"]["value"]))
    return [known[i] for i in order]


def _row(metrics: Metrics, load: tuple[float, float], resource: str, kind: str, limits: Mapping[str, Any],
         mode: str) -> dict[str, Any] | None:  # fmt: skip
    earned = limits["credit_base_line_ratio"] * limits["vcpus"]
    spent = _spent_per_min(metrics, load, resource, limits["vcpus"])
    if spent is None:
        return None
    balance, surplus = (
        _last(metrics, load, resource, name, statistic)
        for name, statistic in (("CPUCreditBalance", "minimum"), ("CPUSurplusCreditBalance", "maximum"))
    )
    pace = spent["value"] - earned
    left = balance / pace * 60 if balance is not None and pace > 0 else None
    return {
        "resource": resource, "type": kind, "mode": mode, "balance": number(balance, unit="count"),
        "spent": spent, "earned": number(earned, unit="count"),
        "surplus": number(surplus, unit="count"), "left": number(left, unit="duration"),
        "soon": left is not None and left < SOON_S,
    }  # fmt: skip


def _last(metrics: Metrics, load: tuple[float, float], resource: str, name: str, statistic: str) -> float | None:
    key = Key("cloudwatch", resource, name, statistic)
    if key not in metrics.keys:
        return None
    start, _, value = metrics.arrays(key)
    return float(value[max(int((start < load[1]).sum()) - 1, 0)])


def _spent_per_min(metrics: Metrics, load: tuple[float, float], resource: str, vcpus: float) -> dict[str, Any] | None:
    """Credits a minute: CPU × vCPUs of the load's last minute, or, where CPU was not measured, CPUCreditUsage.

    CPUCreditUsage covers five minutes: in a short run most of them may lie before or after the load.
    """
    for name, statistic, per_min in (("CPUUtilization", "average", vcpus / 100), ("CPUCreditUsage", "sum", None)):
        key = Key("cloudwatch", resource, name, statistic)
        if key in metrics.keys:
            start, period, value = metrics.arrays(key)
            rate = value * per_min if per_min else value / period * 60
            if (spent := _under_load(start, period, rate, load, vcpus)) is not None:
                return spent
    return None


def _under_load(start: np.ndarray, period: np.ndarray, rate: np.ndarray, load: tuple[float, float],
                most: float) -> dict[str, Any] | None:  # fmt: skip
    """The mean of the load's last minute; None where no value tells of the load's end.

    A value that reaches beyond the load (a short run, values of five minutes) bounds what was spent: from its mean, had
    the load been the same all the time, to all of it spent under the load, but no more than every vCPU can. The value
    is the upper bound, so that credits are never said to last when they may not.
    """
    end = start + period
    covered = np.minimum(end, load[1]) - np.maximum(start, load[0])
    # fine values count where they are whole: what is left of the load is less than a minute
    fine = (covered >= period) & (period <= RECENT_S) & (end > load[1] - RECENT_S)
    told = fine if fine.any() else covered > 0
    start, end, period, rate, covered = (column[told] for column in (start, end, period, rate, covered))
    upto = min(float(end.max(initial=-math.inf)), load[1])
    if load[1] - upto > max(RECENT_S, float(period.max(initial=0.0))):
        return None  # later load may have spent more
    weight = np.clip(np.minimum(end, upto) - np.maximum(start, max(load[0], upto - RECENT_S)), 0.0, None)
    bound = np.maximum(rate, np.minimum(rate * period / covered, most))
    low, high = (float(np.average(column, weights=weight)) for column in (rate, bound))
    if np.all((covered >= period) | (weight == 0)):
        return number(high, unit="count")
    return number(high, low, high, unit="count", notes=[NOT_WHOLE])
