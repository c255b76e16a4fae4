"""A/A of fits: how often two sides with the same truth are told to have different ceilings or knees (bar: 5 %).

    python tests/bench/bench_fit_aa.py [--seeds 200] [--runs 1 3] [--first 0] [--json FILE] [--add FILE…]   (slices.py)

A side is one run or several; each run is off by `spread` as a whole (as runs of the same thing are) and each level by
2 % by itself. Fits choose their model themselves, as in a comparison of cycles. A/B: side B is
15 % smaller.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from bench_coverage import LOADS, TRUTHS
from slices import slice_arguments, tell_slice

from genkai.analyse.compare_limits import compare_limits
from genkai.analyse.models import CATALOGUE
from genkai.analyse.scalability import fit_scalability

NOISE, LOWER, BAR = 0.02, 0.85, 0.05
MODELS = ("ceiling", "broken", "amdahl", "usl")
KEYS = ("model", "levels", "runs", "spread")


def side(name: str, levels: int, runs: int, spread: float, factor: float, rng: np.random.Generator) -> list[dict]:
    """Fits of some runs whose limit is `factor` times the truth's."""
    loads = np.array(LOADS[levels], dtype=float)
    exact = factor * CATALOGUE[name].throughput(np.array(TRUTHS[name]), loads / factor)
    made = [
        exact * (1 + rng.normal(0, spread)) * (1 + rng.normal(0, NOISE, levels)) for _ in range(runs)
    ]  # fmt: skip
    return [fit_scalability(loads, series, resamples=200) for series in made]


def count(name: str, levels: int, runs: int, spread: float, seeds: range) -> dict:
    """How many A/A and A/B pairs have a row that says better or worse."""
    alarms = {"aa": 0, "ab": 0}
    for seed in seeds:
        rng = np.random.default_rng([seed, levels, runs])
        first = side(name, levels, runs, spread, 1.0, rng)
        for kind, factor in (("aa", 1.0), ("ab", LOWER)):
            rows = compare_limits(first, side(name, levels, runs, spread, factor, rng))
            alarms[kind] += any(row["verdict"] in ("better", "worse") for row in rows)
    return {"model": name, "levels": levels, "runs": runs, "spread": spread, "cases": len(seeds), **alarms}


def told_row(row: dict) -> bool:
    """Print a row; whether it keeps the bar."""
    alarms, found = row["aa"] / row["cases"], row["ab"] / row["cases"]
    print(f"{row['model']:7s} {row['levels']:6d} {row['runs']:4d} {row['spread']:6.0%} {alarms:12.1%} {found:11.1%}"
          f"{'' if alarms <= BAR else '   <-- more than 5 %'}", flush=True)  # fmt: skip
    return alarms <= BAR


def main() -> int:
    """Print the table; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    slice_arguments(parser, 200)
    parser.add_argument("--runs", type=int, nargs="*", default=[1, 3])
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    arguments = parser.parse_args()
    print("model   levels runs spread   A/A alarms   A/B found")
    cases = [(m, 8, runs, spread) for m in arguments.models for runs in arguments.runs for spread in (0.01, 0.04)]
    return tell_slice(
        arguments, KEYS, lambda seeds: (count(*case, seeds) for case in cases), told_row,
        f"rows with at most {BAR:.0%} alarms",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
