"""Whether and where the load levels say that a limit was reached: before any machine is looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

MARGINAL_GAIN = 0.5  # of the load's growth that throughput must still gain; linear scaling gains all of it
RESPONSE_RISE = 1.3  # factor on the median response time that counts as waiting
ERROR_RISE = 0.01
OPEN_SHORTFALL = 0.95  # of the intended arrival rate
LEVEL_STEP = 1.1  # levels closer than this are not compared: their difference is noise


@dataclass(frozen=True)
class Stall:
    """Where it stops: position of the first level over the limit, of the last one under it, and what showed it.

    kind: throughput (more load, no more throughput), response_time or errors (a target is broken first).
    """

    kind: str
    level: int
    knee: int | None
    ceiling_rps: float
    generator_limited: bool


def find_stall(levels: pd.DataFrame, limits_s: dict[str, float], error_limit: float) -> Stall | None:
    """The first limit that the level table shows, or None; levels: rows of one subject in order of load.

    limits_s: {quantile column: seconds}. A level whose throughput is missing is passed over.
    """
    flat = _first(levels, _stalled)
    broken, kind = _first_broken(levels, limits_s, error_limit)
    if flat is None and broken is None:
        return None
    level, kind = (flat, "throughput") if flat is not None else (broken, kind)
    earlier = [i for i in range(level) if _measured(levels, i)]
    throughput = levels["throughput_rps"].to_numpy(float)
    # nothing may be measured beyond but errors; and a level below may have carried more than those beyond
    ceiling = float(np.nanmax(throughput)) if np.isfinite(throughput[level:]).any() else math.nan
    return Stall(
        kind, level, earlier[-1] if earlier else None, ceiling, is_true(levels["generator_limited"].iloc[level])
    )


def is_true(value: object) -> bool:
    """Whether a nullable boolean is there and true."""
    return bool(value) if not pd.isna(value) else False


def _measured(levels: pd.DataFrame, index: int) -> bool:
    return not pd.isna(levels["throughput_rps"].iloc[index])


def _first(levels: pd.DataFrame, rule) -> int | None:
    measured = [i for i in range(len(levels)) if _measured(levels, i)]
    return next((i for n, i in enumerate(measured) if rule(levels, measured[:n], i)), None)


def _stalled(levels: pd.DataFrame, before: list[int], index: int) -> bool:
    row = levels.iloc[index]
    if row["workload"] == "open":
        return _open_stalled(levels, before, row)
    reference = [i for i in before if row["intended"] >= LEVEL_STEP * levels["intended"].iloc[i]]
    if not reference:
        return False
    last = levels.iloc[reference[-1]]
    if not last["throughput_rps"] > 0:
        return False
    gain = row["throughput_rps"] / last["throughput_rps"] - 1
    asked = row["intended"] / last["intended"] - 1
    return gain < MARGINAL_GAIN * asked and _suffers(row, last)


def _open_stalled(levels: pd.DataFrame, before: list[int], row: pd.Series) -> bool:
    seconds = max((row["end"] - row["hold_start"]).total_seconds(), 1.0)
    # two standard deviations of a Poisson count, so that a short level is not called a stall by chance
    enough = OPEN_SHORTFALL - 2 / math.sqrt(max(row["intended"] * seconds, 1.0))
    if row["throughput_rps"] >= enough * row["intended"]:
        return False
    if not before:
        return True
    return _suffers(row, levels.iloc[before[0]]) or row["sent_rps"] < enough * row["intended"]


def _suffers(row: pd.Series, other: pd.Series) -> bool:
    # The mean, too: it is what users' throughput depends on (N = X·(R + Z)), and where one instance of several is
    # slow, most requests, and so the median, are as fast as ever.
    slower = any(_rises(row[column], other[column]) for column in ("p50_s", "mean_s"))
    errors = row["error_ratio"] - other["error_ratio"] > ERROR_RISE
    return bool(slower or errors)


def _rises(value: float, other: float) -> bool:
    return not pd.isna(value) and not pd.isna(other) and value >= RESPONSE_RISE * other


def _first_broken(levels: pd.DataFrame, limits_s: dict[str, float], error_limit: float) -> tuple[int | None, str]:
    for index in range(len(levels)):
        row = levels.iloc[index]
        if not pd.isna(row["error_ratio"]) and row["error_ratio"] > error_limit:
            return index, "errors"
        if any(not pd.isna(row[column]) and row[column] > limit for column, limit in limits_s.items()):
            return index, "response_time"
    return None, ""
