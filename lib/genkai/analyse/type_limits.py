"""What instances used of what their types can do: CPU, network, EBS against base line and burst; CPU credits.

`found` is the discovery's record: instances [{id, type, address, credit_mode}], instance_types {type: limits}.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from genkai.analyse.records import number
from genkai.metrics import Arrays, Block, Key, Metrics, frame_of, micros

NEAR = 0.8  # share of the base line from which a resource is worth a look
Found = Mapping[str, Any]


@dataclass(frozen=True)
class Quantity:
    """What a type limits: the limits' names and factor to the unit, and the metrics that tell the use, best first.

    carriers: (source, metrics that add up, statistic, factor); a sum is divided by its period.
    """

    name: str
    unit: str
    base: str
    burst: str
    factor: float
    carriers: tuple[tuple[str, tuple[str, ...], str, float], ...]


QUANTITIES = (
    Quantity("cpu_use", "ratio", "credit_base_line_ratio", "", 1.0, (
        ("proc", ("cpu_busy_ratio",), "sample", 1.0), ("cloudwatch", ("CPUUtilization",), "average", 0.01))),
    Quantity("network_in", "bit/s", "network_base_line_gbps", "network_peak_gbps", 1e9, (
        ("proc", ("net_received_bytes_per_s",), "sample", 8.0), ("cloudwatch", ("NetworkIn",), "sum", 8.0))),
    Quantity("network_out", "bit/s", "network_base_line_gbps", "network_peak_gbps", 1e9, (
        ("proc", ("net_sent_bytes_per_s",), "sample", 8.0), ("cloudwatch", ("NetworkOut",), "sum", 8.0))),
    Quantity("ebs_throughput", "bit/s", "ebs_base_line_mbps", "ebs_maximum_mbps", 1e6, (
        ("cloudwatch", ("EBSReadBytes", "EBSWriteBytes"), "sum", 8.0),)),
    Quantity("ebs_operations", "1/s", "ebs_base_line_iops", "ebs_maximum_iops", 1.0, (
        ("cloudwatch", ("EBSReadOps", "EBSWriteOps"), "sum", 1.0),)),
)  # fmt: skip


def instances_of(found: Found, hosts: Mapping[str, str] | None = None) -> Iterator[tuple[str, str, Found, Found]]:
    """(resource, type, limits of the type, instance) of what discovery knows; hosts: {address: host name} of the plan.

    A host that is sampled and whose address is an instance's is that instance.
    """
    for instance in found.get("instances") or []:
        limits = (found.get("instance_types") or {}).get(instance.get("type"))
        if limits:
            yield f"ec2:{instance['id']}", instance["type"], limits, instance
            if host := (hosts or {}).get(instance.get("address") or ""):
                yield f"host:{host}", instance["type"], limits, instance


def limits_of(quantity: Quantity, limits: Found) -> tuple[float | None, float | None]:
    """(base line, burst) of a type in the quantity's unit; None where the type has none or AWS does not tell."""
    base, burst = (limits.get(name) if name else None for name in (quantity.base, quantity.burst))
    return (None if base is None else base * quantity.factor), (None if burst is None else burst * quantity.factor)


def used_of(metrics: Metrics, quantity: Quantity, resource: str) -> Arrays | None:
    """(start, period, value) of what a resource used, in the quantity's unit; None where it was not measured."""
    known = metrics.keys
    for source, names, statistic, factor in quantity.carriers:
        keys = [Key(source, resource, name, statistic) for name in names]
        if not all(key in known for key in keys):
            continue
        parts = [metrics.arrays(key) for key in keys]
        together = [dict(zip(start, value, strict=True)) for start, _, value in parts]
        start, period, _ = parts[0]
        value = np.array([sum(part.get(t, math.nan) for part in together) for t in start])
        return start, period, value * factor / (period if statistic == "sum" else 1.0)
    return None


def panel_of(quantity: str, kind: str) -> str:
    """The metric that `used_table` calls a quantity of a type: types differ by orders of magnitude.

    >>> panel_of("network_in", "t3.medium")
    'network_in[t3.medium]'
    """
    return f"{quantity}[{kind}]"


def used_table(metrics: Metrics, found: Found, hosts: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Rows of the metrics table, a metric for each type and quantity whose limit is known, in bit/s, 1/s or ratio.

    First what is nearest its base line.
    """
    rows = limit_rows(metrics, found, hosts)
    known = {quantity.name: quantity for quantity in QUANTITIES}
    blocks = []
    for row in sorted(rows, key=lambda row: -row["share"]["value"]):
        quantity = known[row["what"]]
        for resource, kind, _, _ in instances_of(found, hosts):
            used = used_of(metrics, quantity, resource) if kind == row["type"] else None
            if used is not None:
                name = panel_of(quantity.name, kind)
                blocks.append(Block("limits", resource, micros(used[0]), used[1], {name: used[2]},
                                    {name: quantity.unit}))  # fmt: skip
    return frame_of(blocks)


def limit_rows(metrics: Metrics, found: Found, hosts: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """One row a type and quantity, of the instance that used most: {type, resource, what, used, base, burst, share,
    above}; used: the highest of its samples; share: used ÷ base line; above: how long it was above the base line.
    """
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for quantity in QUANTITIES:
        for resource, kind, limits, _ in instances_of(found, hosts):
            base, burst = limits_of(quantity, limits)
            used = used_of(metrics, quantity, resource)
            if used is None or not base or not np.isfinite(used[2]).any():
                continue
            highest, row = float(np.nanmax(used[2])), best.get((kind, quantity.name))
            if row is None or highest > row["used"]["value"]:
                best[kind, quantity.name] = {
                    "type": kind, "resource": resource, "what": quantity.name,
                    "used": number(highest, n=len(used[2]), unit=quantity.unit),
                    "base": number(base, unit=quantity.unit), "burst": number(burst, unit=quantity.unit),
                    "share": number(highest / base, unit="ratio"),
                    "above": number(float(used[1][used[2] > base].sum()), unit="duration"),
                }  # fmt: skip
    return [best[key] for key in sorted(best)]
