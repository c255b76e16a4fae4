"""Capacity search against simulated targets: error and time of MLRsearch behind a ramp beside plain bisection.

    python tests/bench/bench_search.py [--seeds 200] [--json FILE]

Targets: a hard ceiling with an endless queue, 20–5 000 requests/s, simulated second by second. Its capacity differs by
`noise` from trial to trial and as much again from second to second; `disturbed` of all trials find 60 % of it. Trials
are decided early by the same rule as real ones; bisection has trials of 60 s, or of as many as it takes to be
as exact (15 s), between 0 and 4 × the target of the plan, down to the same width. Besides its load a trial costs the
seconds that it cost on real processes: OVERHEAD_S within one run, RESTART_S where the load processes start anew.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from pathlib import Path

import numpy as np

from genkai.analyse.search import Measured, Settings, search_capacity
from genkai.analyse.trial import GoalSeconds, decide_trial

LIMIT_S, SERVICE_S, WIDTH = 0.2, 0.02, Settings.width
OVERHEAD_S, RESTART_S = 1.6, 4.0
JITTER_S = 0.002  # by which the p95 of a second differs
CASES = ((0.0, 0.0), (0.01, 0.0), (0.03, 0.0), (0.01, 0.02))


def simulated(capacity: float, noise: float, disturbed: float, rng: np.random.Generator, early: bool = True):
    """A measurer. The wait grows with what came beyond the capacity; early: cut as soon as it is decided."""

    def measure(phase: str, rate: float, seconds: float) -> Measured:
        now = capacity * (1 + rng.normal(0, noise)) * (0.6 if rng.random() < disturbed else 1.0)
        length = round(seconds)
        each = np.maximum(now * (1 + rng.normal(0, noise, length)), 1e-9)
        wait = np.concatenate([[0.0], _waits(rate / each - 1)])
        value = np.abs(SERVICE_S + wait[:-1] + 0.95 * np.diff(wait).clip(0) + rng.normal(0, JITTER_S, length))
        slow = rate * np.clip((SERVICE_S + wait[1:] - LIMIT_S) / np.maximum(np.diff(wait), 1e-9), 0, 1)
        due, taken, decided = np.full(length, rate), length, None
        for n in range(1, length + 1) if early else ():
            decided = decide_trial([GoalSeconds(0.05, due[:n], slow[:n], value[:n], LIMIT_S)], seconds)
            if decided == "missed" or (decided == "kept" and (phase != "confirm" or n >= seconds / 2)):
                taken = n
                break
        broken = ("p95",) if slow[:taken].sum() > 0.05 * due[:taken].sum() else ()
        carried = min(rate, float(each[:taken].mean()))
        steady = bool(wait[taken] - wait[0] <= 0.05) if taken >= 10 else None
        return Measured(carried, rate, 0.0, float(value[:taken].max()), broken, steady, measured_s=float(taken))

    return measure


def _waits(beyond: np.ndarray) -> np.ndarray:
    """Seconds that the queue needs to empty, at the end of each second."""
    total, found = 0.0, []
    for gained in beyond:
        total = max(0.0, total + float(gained))
        found.append(total)
    return np.array(found)


def bisect(measure, highest: float, seconds: float, confirm_s: float = 0.0) -> tuple[float, float, int]:
    """(rate, seconds of load, trials); the rate found is lowered by WIDTH until a long trial confirms it."""
    low, high, trials, load = 0.0, highest, 0, 0.0
    while high - low > WIDTH * high and trials < 30:
        middle = (low + high) / 2
        trial = measure("bisection", middle, seconds)
        trials, load = trials + 1, load + trial.measured_s
        low, high = (low, middle) if trial.broken else (middle, high)
    while confirm_s:
        trial = measure("confirm", low, confirm_s)
        trials, load = trials + 1, load + trial.measured_s
        if not trial.broken:
            break
        low *= 1 - WIDTH
    return low, load, trials


def compare(noise: float, disturbed: float, seeds: int) -> list[dict]:
    """A row for each method."""
    rows: dict[str, list[tuple[float, float, int]]] = {"MLRsearch": [], "bisection, 60 s": [], "bisection, cut": []}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        capacity = math.exp(rng.uniform(math.log(20), math.log(5000)))
        target = capacity * math.exp(rng.uniform(math.log(0.3), math.log(2)))
        settings = Settings(start_rps=0.25 * target)
        found = search_capacity(simulated(capacity, noise, disturbed, rng), settings)
        seconds = found["load_s"] + OVERHEAD_S * len(found["trials"])
        value = found["limit"]["value"] or math.nan
        rows["MLRsearch"].append((value / capacity - 1, seconds, len(found["trials"])))
        for name, cut, each, confirm_s, cost in (("bisection, 60 s", False, 60.0, 0.0, RESTART_S),
                                                 ("bisection, cut", True, settings.trial_s, settings.confirm_s,
                                                  OVERHEAD_S)):  # fmt: skip
            measure = simulated(capacity, noise, disturbed, rng, early=cut)
            rate, seconds, trials = bisect(measure, 4 * target, each, confirm_s)
            rows[name].append((rate / capacity - 1, seconds + cost * trials, trials))
    return [{"noise": noise, "disturbed": disturbed, "method": name, **_summary(found)} for name, found in rows.items()]


def _summary(found: list[tuple[float, float, int]]) -> dict[str, float]:
    errors = np.array([f[0] for f in found])
    return {
        "found": float(np.isfinite(errors).mean()), "error_median": float(np.nanmedian(errors)),
        "error_p95_abs": float(np.nanquantile(np.abs(errors), 0.95)), "error_worst": float(np.nanmax(np.abs(errors))),
        "within_5_percent": float((np.abs(errors) <= 0.05).mean()), "seconds": statistics.median(f[1] for f in found),
        "seconds_worst": max(f[1] for f in found), "trials": statistics.median(f[2] for f in found),
    }  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = [row for case in CASES for row in compare(*case, arguments.seeds)]
    print(" noise disturbed method          found  median    p95|e|   worst  ≤ 5 %  seconds (worst)  trials")
    for r in rows:
        print(f"{r['noise']:6.1%} {r['disturbed']:9.1%} {r['method']:15s} {r['found']:6.1%} {r['error_median']:+7.1%} "
              f"{r['error_p95_abs']:8.1%} {r['error_worst']:7.1%} {r['within_5_percent']:6.1%} {r['seconds']:8.0f} "
              f"({r['seconds_worst']:.0f}) {r['trials']:7.0f}")  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
