"""Whether the load generator kept up, and to which load: the first question of whoever is stuck at a plateau."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from genkai.analyse.rules.case import Case
from genkai.analyse.rules.evidence import Finding, amount

PLANNED = ("generator_too_few_users", "clock_unsynchronised")  # what was asked for, not that it was not delivered


def trust(case: Case, own: Iterable[Finding]) -> dict[str, Any]:
    """{text_key, values: load, used (of a core), lag (s)} of the generator's fullest process where it kept up.

    own: the findings about the test set-up itself. Only the levels before the first one that is marked as limited by
    the generator count: what it could not do there, it need not have done further up, marked or not.
    """
    marked = np.flatnonzero(case.generator_limited())
    first = int(marked[0]) if len(marked) else len(case.levels)
    kept = np.flatnonzero(np.isfinite(case.column("throughput_rps")[:first]))
    values = {
        "load": amount(_highest(case.column("intended"), kept), case.load_unit),
        "used": amount(_of_processes(case, "cpu_ratio", kept), "ratio"),
        "lag": amount(_of_processes(case, "loop_lag_p99_s", kept), "s"),
    }
    stopped = len(marked) and (not len(kept) or (case.stall is not None and first <= case.stall.level))
    if stopped or any(f.cause not in PLANNED and not f.contributes for f in own):
        return {"text_key": "trust.own_limit", "values": values}
    known = values["used"]["value"] is not None and values["lag"]["value"] is not None
    return {"text_key": "trust.kept_up" if known else "trust.not_measured", "values": values}


def _highest(values: np.ndarray, positions: np.ndarray) -> float:
    known = values[positions]
    known = known[np.isfinite(known)]
    return float(known.max()) if len(known) else math.nan


def _of_processes(case: Case, column: str, positions: np.ndarray) -> float:
    found = [_highest(series.values, positions) for series in case.of_processes(column)]
    return max((value for value in found if math.isfinite(value)), default=math.nan)
