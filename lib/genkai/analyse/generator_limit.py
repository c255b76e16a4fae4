"""Whether the load generator, not the service, was the limit of a level; each rule says what it saw.

Rules, on the worst process and the median over the seconds of the window:
cpu       the process used ≥ 0.9 of one core (a Python process cannot use more than one)
loop_lag  the event loop woke later (p99) than 50 ms and than a quarter of the level's median response time
slip      requests left later than intended (p99) by the same bounds (open workload)
ports     fewer than 1 % of the ephemeral ports were left towards the target
shortfall sent and dropped are fewer than 98 % of the intended arrivals, beyond Poisson noise (3 σ) (open workload)
lost      load processes that died took more than 2 % of the level's intended load with them (`mark_lost`)
Lateness counts into the response time, which is measured from the intended send; hence the bound relative to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

CPU_RATIO = 0.9
LATE_FLOOR_S = 0.05
LATE_RATIO = 0.25
SENT_RATIO = 0.98
PORTS_RATIO = 0.01
_LATENESS = {
    "loop_lag": ("loop_lag_p99_s", "the event loop of {process} woke {value:.0f} ms late (p99), bound {bound:.0f} ms"),
    "slip": ("schedule_slip_p99_s", "{process} sent {value:.0f} ms later than intended (p99), bound {bound:.0f} ms"),
}


def generator_limited(
    generator: pd.DataFrame,
    *,
    p50_s: float | None,
    workload: str,
    intended: float,
    arrivals: float,
    seconds: float,
) -> tuple[bool | None, str | None]:
    """(limited, note) of one window; limited is None when nothing is known of the generator.

    generator: the generator table's rows of the window; arrivals: requests sent and dropped within it.
    """
    found = []
    if workload == "open":
        expected = intended * seconds
        if arrivals < SENT_RATIO * expected - 3 * math.sqrt(expected):
            found.append(f"shortfall: {arrivals / seconds:.1f} of {intended:.1f} requests/s were started")
    if generator.empty:
        return (True, found[0]) if found else (None, "no rows of the generator within the window")
    by_process = generator.groupby("process")
    cpu = by_process["cpu_ratio"].median().dropna()
    if len(cpu) and cpu.max() >= CPU_RATIO:
        found.append(f"cpu: {cpu.idxmax()} used {cpu.max():.2f} of a core (median), bound {CPU_RATIO}")
    bound = max(LATE_FLOOR_S, LATE_RATIO * (p50_s or 0.0))
    for rule, (column, text) in _LATENESS.items():
        late = by_process[column].median().dropna()
        if len(late) and late.max() > bound:
            found.append(f"{rule}: " + text.format(process=late.idxmax(), value=late.max() * 1e3, bound=bound * 1e3))
    found += _out_of_ports(generator)
    return bool(found), "; ".join(found) or None


def _out_of_ports(generator: pd.DataFrame) -> list[str]:
    """Runs from before ports were counted per target have no column `ports`."""
    if not {"ports", "ports_left"} <= set(generator.columns):
        return []
    left = generator.groupby("process")[["ports_left", "ports"]].median().dropna()
    left = left[left["ports_left"] < PORTS_RATIO * left["ports"]]
    return [f"ports: {process} had {row['ports_left']:.0f} of {row['ports']:.0f} left towards the target (median)"
            for process, row in left.head(1).iterrows()]  # fmt: skip


def mark_lost(levels: pd.DataFrame, lost_levels: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The levels table with those marked generator_limited that lack load of lost processes.

    lost_levels: {level, lost_share} as run.json has them (see `load.losses`).
    """
    marked = levels.copy()
    for lost in lost_levels:
        if lost["lost_share"] > 1 - SENT_RATIO:
            rows = marked["level"] == lost["level"]
            note = f"lost: {lost['lost_share']:.1%} of the load went with processes that died"
            marked.loc[rows, "generator_limited"] = True
            earlier = marked.loc[rows, "generator_note"]
            marked.loc[rows, "generator_note"] = [note if pd.isna(e) else f"{e}; {note}" for e in earlier]
    return marked
