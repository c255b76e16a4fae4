"""CPU credits of burstable instances: what is left, what is spent and earned, and how long it lasts at this pace.

One credit is one vCPU at 100 % for one minute; an instance earns its base line. Source: EC2 user guide, key concepts of
burstable performance instances.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from genkai.analyse.records import number
from genkai.analyse.type_limits import instances_of
from genkai.metrics import Key, Metrics

RECENT_S = 60.0  # the present
SOON_S = 1800.0  # less than half an hour left is worth a warning


def credit_rows(metrics: Metrics, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a burstable instance whose spending was measured: least time left first, then who spends most.

    {resource, type, mode, balance, spent, earned (credits a minute), surplus, left (duration; null: it does not run
    out, or the balance was not measured), soon}: as of the end of the metrics.
    """
    rows = [
        _row(metrics, resource, kind, limits, instance.get("credit_mode") or "")
        for resource, kind, limits, instance in instances_of(found)
        if limits.get("burstable") and limits.get("credit_base_line_ratio") and limits.get("vcpus")
    ]
    known = [row for row in rows if row is not None]
    left = [math.inf if row["left"]["value"] is None else row["left"]["value"] for row in known]
    order = sorted(range(len(known)), key=lambda i: (left[i], -known[i]["spent"]["value"]))
    return [known[i] for i in order]


def _row(metrics: Metrics, resource: str, kind: str, limits: Mapping[str, Any], mode: str) -> dict[str, Any] | None:
    earned = limits["credit_base_line_ratio"] * limits["vcpus"]
    spent = _spent_per_min(metrics, resource, limits["vcpus"])
    if spent is None:
        return None
    balance, surplus = (
        _last(metrics, resource, name, statistic)
        for name, statistic in (("CPUCreditBalance", "minimum"), ("CPUSurplusCreditBalance", "maximum"))
    )
    left = balance / (spent - earned) * 60 if balance is not None and spent > earned else None
    return {
        "resource": resource, "type": kind, "mode": mode, "balance": number(balance, unit="count"),
        "spent": number(spent, unit="count"), "earned": number(earned, unit="count"),
        "surplus": number(surplus, unit="count"), "left": number(left, unit="duration"),
        "soon": left is not None and left < SOON_S,
    }  # fmt: skip


def _last(metrics: Metrics, resource: str, name: str, statistic: str) -> float | None:
    key = Key("cloudwatch", resource, name, statistic)
    return float(metrics.arrays(key)[2][-1]) if key in metrics.keys else None


def _spent_per_min(metrics: Metrics, resource: str, vcpus: float) -> float | None:
    """Credits a minute: CPU × vCPUs of the last minute, or, where CPU was not measured, the last CPUCreditUsage.

    CPUCreditUsage covers five minutes: in a short run most of them may lie before or after the load.
    """
    busy = Key("cloudwatch", resource, "CPUUtilization", "average")
    usage = Key("cloudwatch", resource, "CPUCreditUsage", "sum")
    if busy not in metrics.keys:
        if usage not in metrics.keys:
            return None
        _, period, value = metrics.arrays(usage)
        return float(value[-1] / period[-1] * 60)
    start, period, value = metrics.arrays(busy)
    recent = start + period > start[-1] + period[-1] - RECENT_S
    return float((value[recent] * period[recent]).sum() / period[recent].sum() / 100 * vcpus)
