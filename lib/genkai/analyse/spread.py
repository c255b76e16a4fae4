"""How much runs of the same thing differ from one another, and the ratio of two sides in that light.

Everything is in logarithms, where a ratio is a difference. A run's value scatters for two reasons: what happens within
the run (its own interval tells), and what differs from run to run (only repetitions tell). The latter is pooled over
every subject that was repeated, as one spread for each quantity; without repetitions it is assumed, by judgement and
not by measurement, and whoever reads the verdict is told so.
Source: Kalibera and Jones, "Rigorous benchmarking in reasonable time" (2013): the level with the largest variance is
the one to repeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from genkai.analyse.records import Record, finite, interval_of, number

NORMAL = 1.96
MINIMUM_EFFECT = 0.05
MINIMUM_ERRORS = 0.005  # difference of error ratios that counts
HIGHER_IS_BETTER = ("throughput", "ceiling", "knee")
SINGLE = "one run on a side: the spread between runs is assumed, not known"
# Standard deviation of a quantity between runs (relative), where no repetition tells; error_ratio: of its mean.
ASSUMED = {"throughput_rps": 0.01, "p50_s": 0.05, "p95_s": 0.07, "p99_s": 0.10, "ceiling_rps": 0.03, "knee_load": 0.05,
           "error_ratio": 0.30}  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """One quantity of one run: its value and the variance of its logarithm within the run."""

    value: float
    within: float

    @property
    def log(self) -> float:
        """Natural logarithm of the value."""
        return float(np.log(self.value))


def measured(record: Record) -> Measured | None:
    """A record with its 95 % interval as a value with its scatter; None where it has no positive value."""
    value, interval = finite(record["value"]), interval_of(record)
    if value is None or value <= 0:
        return None
    if interval is None:
        return Measured(value, 0.0)
    low, high = max(interval[0], value / 1e3), interval[1]
    return Measured(value, (float(np.log(high / low)) / (2 * NORMAL)) ** 2)


@dataclass(frozen=True)
class Spread:
    """Variance between runs of each quantity's logarithm, and the degrees of freedom that it was seen with.

    freedom 0: no repetition told it, it is assumed.
    """

    variances: Mapping[str, float]
    freedom: int = 0

    def of(self, column: str) -> float:
        """The variance between runs of a column's logarithm."""
        return self.variances.get(column, ASSUMED[column] ** 2)

    def reach(self, confidence: float = 0.95) -> float:
        """Half the width of an interval in standard errors: Student's t, or the normal's where it is assumed."""
        tail = (1 + confidence) / 2
        return float(stdtrit(self.freedom, tail) if self.freedom else ndtri(tail))


def observed_spread(groups: Iterable[Mapping[str, Sequence[Sequence[Measured]]]]) -> Spread:
    """The spread of repeated runs; the assumed one where nothing was repeated.

    groups: of each side of each subject {column: [the values of its runs at one load and API, …]}. Within a group all
    loads share the effect of their run, so a group of n runs counts n − 1 degrees of freedom whatever its loads.
    """
    excess: dict[str, list[tuple[int, float]]] = {}
    freedom = 0
    for group in groups:
        cells = [(column, runs) for column, found in group.items() for runs in found if len(runs) > 1]
        if not cells:
            continue
        own = max(len(runs) for _, runs in cells) - 1
        freedom += own
        for column in {column for column, _ in cells}:
            between = [
                float(np.var([m.log for m in runs], ddof=1) - np.mean([m.within for m in runs]))
                for name, runs in cells
                if name == column
            ]
            excess.setdefault(column, []).append((own, float(np.mean(between))))
    found = {column: max(0.0, sum(n * v for n, v in seen) / sum(n for n, _ in seen)) for column, seen in excess.items()}
    return Spread(found, freedom)


def ratio_of(
    before: Sequence[Measured], after: Sequence[Measured], column: str, spread: Spread, notes: Sequence[str] = ()
) -> Record:
    """after ÷ before of two sides' runs with its 95 % interval; the ratio of geometric means."""
    difference = _mean(after) - _mean(before)
    variance = sum((np.mean([m.within for m in side]) + spread.of(column)) / len(side) for side in (before, after))
    return _ratio(difference, float(np.sqrt(variance)), spread.reach(), len(before) + len(after), notes)


def overall_ratio(
    subjects: Sequence[Sequence[tuple[Sequence[Measured], Sequence[Measured]]]], column: str, spread: Spread,
    notes: Sequence[str] = (), confidence: float = 0.95,
) -> Record:  # fmt: skip
    """after ÷ before over all subjects and loads: each subject counts the same, and so does each of its loads.

    subjects: for each, (runs before, runs after) at every load. The effect of a run is shared by its loads and counts
    once. Without repetitions the scatter of the subjects' own ratios speaks, too, where it is wider.
    """
    differences, variances = [], []
    for cells in subjects:
        differences.append(float(np.mean([_mean(b) - _mean(a) for a, b in cells])))
        within = sum(np.mean([m.within for m in side]) / len(side) for cell in cells for side in cell) / len(cells) ** 2
        variances.append(within + sum(spread.of(column) / len(side) for side in cells[0]))
    k, n = len(subjects), sum(len(side) for cells in subjects for side in cells[0])
    error, reach = float(np.sqrt(sum(variances))) / k, spread.reach(confidence)
    if not spread.freedom and k > 2:
        scatter = float(np.std(differences, ddof=1)) / np.sqrt(k)
        error = max(error, scatter * float(stdtrit(k - 1, (1 + confidence) / 2)) / reach)
    return _ratio(float(np.mean(differences)), error, reach, n, notes)


def side_record(runs: Sequence[Measured], column: str, spread: Spread, unit: str) -> Record:
    """Geometric mean of a side's runs with its 95 % interval; of a single run, its own interval."""
    between = spread.of(column) if len(runs) > 1 else 0.0
    error = float(np.sqrt((np.mean([m.within for m in runs]) + between) / len(runs)))
    reach = spread.reach() if len(runs) > 1 else NORMAL
    middle = _mean(runs)
    return number(*np.exp([middle, middle - reach * error, middle + reach * error]), len(runs), unit)


def _mean(runs: Sequence[Measured]) -> float:
    return float(np.mean([m.log for m in runs]))


def _ratio(difference: float, error: float, reach: float, n: int, notes: Sequence[str]) -> Record:
    low, high = difference - reach * error, difference + reach * error
    return number(*np.exp([difference, low, high]), n, "factor", notes)


def verdict_of(ratio: Record, what: str, effect: float = MINIMUM_EFFECT) -> str:
    """better, same, worse or cannot_tell from the interval of a ratio (after ÷ before) and a minimum effect."""
    interval = interval_of(ratio)
    if interval is None:
        return "cannot_tell"
    low, high = interval
    if low > 1 + effect or high < 1 - effect:
        return "better" if (low > 1) == (what in HIGHER_IS_BETTER) else "worse"
    return "same" if low >= 1 - effect and high <= 1 + effect else "cannot_tell"


def overall_verdict(ratio: Record, sure: Record, what: str, effect: float = MINIMUM_EFFECT) -> str:
    """The same for all subjects together, where one number is looked at instead of many.

    A change counts when it is surely one (sure: the ratio's 99 % interval, which leaves out 1) and its best estimate
    is beyond the minimum effect.
    """
    verdict = verdict_of(ratio, what, effect)
    low, high = interval_of(sure) or (0.0, np.inf)
    beyond = abs(ratio["value"] - 1) > effect and not low <= 1 <= high
    if not beyond:
        return verdict if verdict == "same" else "cannot_tell"
    return "better" if (ratio["value"] > 1) == (what in HIGHER_IS_BETTER) else "worse"


def errors_verdict(difference: Record) -> str:
    """The same for a difference of error ratios, with MINIMUM_ERRORS as its minimum effect."""
    interval = interval_of(difference)
    if interval is None:
        return "cannot_tell"
    low, high = interval
    if low > MINIMUM_ERRORS or high < -MINIMUM_ERRORS:
        return "worse" if low > 0 else "better"
    return "same" if low >= -MINIMUM_ERRORS and high <= MINIMUM_ERRORS else "cannot_tell"
