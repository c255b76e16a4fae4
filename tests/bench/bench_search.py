"""Capacity search against simulated targets: error and time of MLRsearch behind a ramp beside plain bisection.

    python tests/bench/bench_search.py [--seeds 200] [--json FILE]

Targets: a hard ceiling with an endless queue, 20–5 000 requests/s. Its capacity differs by `noise` from trial to trial;
`disturbed` of all trials find 60 % of it. Bisection: trials of 60 s between 0 and 4 × the target of the plan, down to
the same width. A trial of either costs 4 s besides its load.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from pathlib import Path

import numpy as np

from genkai.analyse.search import Measured, Settings, search_capacity

LIMIT_S, SERVICE_S, OVERHEAD_S, TRIAL_S, WIDTH = 0.2, 0.02, 4.0, 60.0, 0.03
CASES = ((0.0, 0.0), (0.01, 0.0), (0.03, 0.0), (0.01, 0.02))


def simulated(capacity: float, noise: float, disturbed: float, rng: np.random.Generator):
    """A measurer; the delay grows with the seconds beyond the capacity."""

    def measure(phase: str, rate: float, seconds: float) -> Measured:
        now = capacity * (1 + rng.normal(0, noise)) * (0.6 if rng.random() < disturbed else 1.0)
        delay = seconds * max(0.0, rate / now - 1)
        p95 = SERVICE_S + 0.95 * delay
        return Measured(min(rate, now), rate, 0.0, p95, ("p95",) if p95 > LIMIT_S else (), delay <= 0.05)

    return measure


def bisect(measure, highest: float) -> tuple[float, float, int]:
    """(rate, seconds, trials)."""
    low, high, trials = 0.0, highest, 0
    while high - low > WIDTH * high and trials < 30:
        middle = (low + high) / 2
        trials += 1
        kept = not measure("bisection", middle, TRIAL_S).broken
        low, high = (middle, high) if kept else (low, middle)
    return low, trials * (TRIAL_S + OVERHEAD_S), trials


def compare(noise: float, disturbed: float, seeds: int) -> list[dict]:
    """A row for each method."""
    rows: dict[str, list[tuple[float, float, int]]] = {"mlrsearch": [], "bisection": []}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        capacity = math.exp(rng.uniform(math.log(20), math.log(5000)))
        target = capacity * math.exp(rng.uniform(math.log(0.3), math.log(2)))
        found = search_capacity(simulated(capacity, noise, disturbed, rng), Settings(start_rps=0.25 * target))
        seconds = found["load_s"] + OVERHEAD_S * len(found["trials"])
        value = found["limit"]["value"] or math.nan
        rows["mlrsearch"].append((value / capacity - 1, seconds, len(found["trials"])))
        rate, seconds, trials = bisect(simulated(capacity, noise, disturbed, rng), 4 * target)
        rows["bisection"].append((rate / capacity - 1, seconds, trials))
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
    print(" noise disturbed method     found  median    p95|e|   worst  ≤ 5 %  seconds (worst)  trials")
    for r in rows:
        print(f"{r['noise']:6.1%} {r['disturbed']:9.1%} {r['method']:9s} {r['found']:6.1%} {r['error_median']:+7.1%} "
              f"{r['error_p95_abs']:8.1%} {r['error_worst']:7.1%} {r['within_5_percent']:6.1%} {r['seconds']:8.0f} "
              f"({r['seconds_worst']:.0f}) {r['trials']:7.0f}")  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
