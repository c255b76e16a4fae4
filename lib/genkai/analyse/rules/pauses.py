"""Seconds in which responses stand still, found in the per-second histograms, and whether they come regularly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genkai.analyse.distributions import read_distributions
from genkai.analyse.rules.case import Case
from genkai.analyse.rules.samples import epoch_s

FEWEST, LONGEST_S = 3, 6
STANDS_OUT = 4.0  # times the level's usual p99
AT_LEAST_S = 0.2


@dataclass(frozen=True)
class Pauses:
    """Episodes of slow seconds: how many, mean interval, longest response in them, usual p99; seconds."""

    count: int
    interval_s: float
    length_s: float
    usual_s: float
    regular: bool


def find_pauses(case: Case) -> Pauses | None:
    """Three or more short episodes at nearly equal intervals within the levels' holds, or None."""
    times, slowest = seconds_p99(case)
    starts, gaps, lengths, usual = [], [], [], []
    for begin, end in case.holds:
        inside = (times >= begin) & (times < end)
        found, typical = _episodes(times[inside], slowest[inside])
        starts += [start for start, _ in found]
        gaps += list(np.diff([start for start, _ in found]))
        lengths += [length for _, length in found]
        usual.append(typical)
    if len(starts) < FEWEST or len(gaps) < FEWEST - 1:
        return None
    spread = float(np.std(gaps) / np.mean(gaps))
    if spread > 0.4:
        return None
    regular = spread < 0.25 and len(starts) > FEWEST
    return Pauses(len(starts), float(np.mean(gaps)), float(np.median(lengths)), float(np.nanmedian(usual)), regular)


def seconds_p99(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """(epoch seconds, p99 of the response time in that second over all APIs), in order of time; kept on the case."""
    if "p99" not in case.kept:
        table = case.tables.requests
        rows = table[table["sent"] > 0]
        stamps = epoch_s(rows["time"])
        times, place = np.unique(stamps, return_inverse=True)
        by_second = read_distributions(list(rows["hist"])).summed(place, len(times))
        case.kept["p99"] = times, by_second.row_quantiles([0.99]).ravel()
    return case.kept["p99"]


def _episodes(times: np.ndarray, slowest: np.ndarray) -> tuple[list[tuple[float, float]], float]:
    """([(start, longest response)] of the episodes of a level, its usual p99)."""
    known = np.isfinite(slowest)
    times, slowest = times[known], slowest[known]
    if len(times) < 5:
        return [], float("nan")
    typical = float(np.median(slowest))
    slow = np.flatnonzero(slowest >= max(STANDS_OUT * typical, typical + AT_LEAST_S))
    found: list[tuple[float, float]] = []
    for group in np.split(slow, np.flatnonzero(np.diff(times[slow]) > 1.5) + 1):
        if len(group) and times[group[-1]] - times[group[0]] <= LONGEST_S:
            found.append((float(times[group[0]]), float(slowest[group].max())))
    return found, typical
