"""Do the two sides of the same measurement agree? If not, the generator is suspected before the service is.

Little's law with think time, N = X·(R + Z), and the asymptotic bound X ≤ N/(R₀ + Z) (Denning and Buzen 1978) hold
for any service; R₀ is the mean response time at the lowest load.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from genkai.analyse.texts import FIT, phrase

TOLERANCE = 0.1


def cross_checks(levels: pd.DataFrame, think_time_s: float | None) -> list[dict[str, Any]]:
    """Phrases with `alarm` (bool) for the rows of one subject; closed workload only."""
    closed = levels[(levels["workload"] == "closed") & levels["throughput_rps"].notna() & levels["mean_s"].notna()]
    closed = closed[closed["steady"].fillna(True).astype(bool) & (closed["mean_s"] > 0)]
    why = "the think time is not known" if think_time_s is None else "no closed level was measured in a steady state"
    if think_time_s is None or closed.empty:
        return [{**phrase(FIT, "crosscheck.unknown", why=why), "alarm": False}]
    closed = closed.sort_values("intended")
    least = float(closed["mean_s"].iloc[0]) + think_time_s
    found, largest = [], 0.0
    for row in closed.itertuples():
        answered = row.concurrency / row.mean_s
        expected, bound = answered * (row.mean_s + think_time_s), row.intended / least
        largest = max(largest, abs(expected / row.intended - 1))
        if abs(expected / row.intended - 1) > TOLERANCE:
            found.append(
                phrase(FIT, "crosscheck.little", level=int(row.level) + 1, users=row.intended, expected=expected)
            )
        if answered > bound * (1 + TOLERANCE):
            found.append(phrase(FIT, "crosscheck.bound", level=int(row.level) + 1, measured=answered, bound=bound))
    return [{**f, "alarm": True} for f in found] or [{**phrase(FIT, "crosscheck.ok", largest=largest), "alarm": False}]
