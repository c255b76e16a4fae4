"""The quantities that rules speak of, each with the metrics that carry it: data, read from signals.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

OVER = ("mean", "maximum", "minimum", "rate", "total")
OPTIONS = ("statistic", "scale", "inverse", "divide")


@dataclass(frozen=True)
class Carrier:
    """One metric that carries a signal: source, kind of resource (the part before the colon), metric, statistics.

    scale: factor to the signal's unit. inverse: the signal is 1 − scaled value (idle → busy). divide: the metric of the
    same resource that holds its limit. A * in a metric stands for a device, port or process.
    """

    source: str
    kind: str
    metric: str
    statistics: tuple[str, ...] = ()
    scale: float = 1.0
    inverse: bool = False
    divide: str = ""


@dataclass(frozen=True)
class Signal:
    """A quantity that rules speak of: its unit, how it is taken over a level, and its carriers, best first."""

    name: str
    unit: str
    over: str
    carriers: tuple[Carrier, ...]


def read_signals(path: Path | None = None) -> dict[str, Signal]:
    """The signals of signals.yaml by name. Raises ValueError naming the signal for a wrong entry."""
    path = path or Path(__file__).with_name("signals.yaml")
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: _signal(name, entry) for name, entry in table.items()}


def _signal(name: str, entry: dict) -> Signal:
    where = f"signals.yaml: {name}"
    if entry.get("over") not in OVER:
        raise ValueError(f"{where}: over: expected one of {', '.join(OVER)}, got {entry.get('over')!r}")
    return Signal(name, entry["unit"], entry["over"], tuple(_carrier(where, *line) for line in entry["carriers"]))


def _carrier(where: str, source: str, kind: str, metric: str, options: dict | None = None) -> Carrier:
    options = dict(options or {})
    unknown = sorted(options.keys() - set(OPTIONS))
    if unknown:
        raise ValueError(f"{where}: options: expected {', '.join(OPTIONS)}, got {', '.join(unknown)}")
    statistics = options.pop("statistic", ())
    statistics = (statistics,) if isinstance(statistics, str) else tuple(statistics)
    return Carrier(source, kind, metric, statistics, **options)
