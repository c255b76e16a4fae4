"""The levels of a run on the clock: when each ramp and hold begins, and what load is intended at a moment."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from genkai.load.job import JobLevel


@dataclass(frozen=True)
class TimedLevel:
    """One level with its times in epoch seconds; the load moves linearly from `before` to `intended`."""

    level: int
    workload: str
    before: float
    intended: float
    start: float
    hold_start: float
    end: float

    @property
    def change_per_s(self) -> float:
        """How fast the load changes during the ramp; the whole change at once where there is no ramp."""
        change, ramp_s = abs(self.intended - self.before), self.hold_start - self.start
        return change / ramp_s if ramp_s else change

    def load_at(self, moment: float) -> float:
        """The intended users or requests/s at an epoch second inside the level."""
        if moment >= self.hold_start:
            return self.intended
        return self.before + (self.intended - self.before) * (moment - self.start) / (self.hold_start - self.start)


def time_levels(levels: Sequence[JobLevel], start: float) -> list[TimedLevel]:
    """The levels one after the other from an epoch second on."""
    timed, before = [], 0.0
    for index, level in enumerate(levels):
        hold_start = start + level.ramp_s
        end = hold_start + level.hold_s
        timed.append(TimedLevel(index, level.workload, before, level.intended, start, hold_start, end))
        before, start = level.intended, end
    return timed


def level_at(timed: Sequence[TimedLevel], moment: float) -> TimedLevel | None:
    """The level of a moment; None before the first and after the last."""
    index = bisect_right([t.start for t in timed], moment) - 1
    return timed[index] if index >= 0 and moment < timed[index].end else None
