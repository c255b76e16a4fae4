"""When a trial of the capacity search is decided before its time, and how.

Missed: so many requests already broke a target that the rest of the trial cannot mend it (curtailed inspection; the
verdict is that of the whole trial: Wald, "Sequential Analysis", 1947, § 0.2). Kept: the straight line through the
seconds, carried on to the trial's end, keeps every target even at its upper 97.5 % confidence bound; a queue that fills
slowly, or a quantile that scatters, therefore gets the whole trial.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

LEAST_S = 4  # seconds that a straight line needs
SURE = 1.05  # × what may break a target: the later share of an API is known to about that
Z = 1.96


@dataclass(frozen=True)
class GoalSeconds:
    """One target of one API over the seconds of a trial so far.

    share: of its requests, how many may break it. due, bad: requests of each second, and those that broke it so far;
    value: each second's quantile of the requests due, NaN while too few of them are answered; limit: its bound.
    value None: an error ratio, of which only the counts tell.
    """

    share: float
    due: np.ndarray
    bad: np.ndarray
    value: np.ndarray | None = None
    limit: float = math.inf


def decide_trial(goals: Sequence[GoalSeconds], planned_s: float) -> str | None:
    """kept, missed, or None while the trial must go on. planned_s: its whole length, seconds."""
    if any(_certainly_missed(goal, planned_s) for goal in goals):
        return "missed"
    if goals and all(_clearly_kept(goal, planned_s) for goal in goals):
        return "kept"
    return None


def _certainly_missed(goal: GoalSeconds, planned_s: float) -> bool:
    seconds, due = len(goal.due), float(goal.due.sum())
    if not seconds or not due:
        return False
    whole = due / seconds * max(planned_s, seconds)
    return float(goal.bad.sum()) > SURE * goal.share * whole + 1


def _clearly_kept(goal: GoalSeconds, planned_s: float) -> bool:
    if goal.value is None:
        return len(goal.due) >= LEAST_S and share_bound(float(goal.bad.sum()), float(goal.due.sum())) <= goal.share
    value = goal.value[:-1] if len(goal.value) and math.isnan(goal.value[-1]) else goal.value  # still being answered
    if len(value) < LEAST_S or not np.isfinite(value).all():
        return False
    return line_bound(value, planned_s - 1) <= goal.limit


def share_bound(bad: float, due: float) -> float:
    """Upper 97.5 % bound of a share (Wilson 1927); 0 for none of any number: a trial is no proof of rare errors."""
    if bad == 0 or due == 0:
        return 0.0
    share, z2 = bad / due, Z * Z / due
    return (share + z2 / 2 + Z * math.sqrt(share * (1 - share) / due + z2 / due / 4)) / (1 + z2)


def line_bound(value: np.ndarray, at: float) -> float:
    """Upper 97.5 % confidence bound, at x = at, of the straight line through value at x = 0, 1, 2 … (n ≥ 3)."""
    n = len(value)
    x = np.arange(n) - (n - 1) / 2
    spread = float(x @ x)
    slope, middle = float(x @ value) / spread, float(value.mean())
    residual = value - middle - slope * x
    sigma = math.sqrt(float(residual @ residual) / (n - 2))
    ahead = at - (n - 1) / 2
    return middle + slope * ahead + float(stdtrit(n - 2, 0.975)) * sigma * math.sqrt(1 / n + ahead**2 / spread)
