"""Do the 95 % intervals of what each size of the target carries, and of its efficiency, hold the truth?

    python tests/bench/bench_sizes.py [--seeds 500] [--noise 0.02] [--first 0] [--json FILE] [--add FILE…]   (slices.py)

Truths: instances that scale, that fill what they share, and that wait for one another. Each size has a characteristic
of its own, a ceiling over six levels of users, each level off by `noise`. Width: mean of half an interval ÷ truth.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from slices import slice_arguments, tell_slice

from genkai.analyse.models import CATALOGUE
from genkai.analyse.scalability import fit_scalability
from genkai.analyse.sizes import scale_out, size_maximum

SIZES, USERS = (1, 2, 4), np.array([20, 50, 100, 200, 400, 600.0])
TRUTHS = {
    "scales": lambda size: 60.0 * size,
    "shared": lambda size: min(60.0 * size, 200.0),
    "usl": lambda size: float(CATALOGUE["usl"].throughput(np.array([60.0, 0.05, 0.004]), np.array([size]))[0]),
}
KEYS = ("noise", "truth", "size", "number")
LOW, HIGH = 0.92, 0.98


def rows_of(truth: str, noise: float, seeds: range) -> list[dict]:
    """How many intervals hold the truth, for each size and number."""
    capacity, counts = TRUTHS[truth], {}
    for seed in seeds:
        rng = np.random.default_rng([seed, list(TRUTHS).index(truth)])
        maxima = []
        for size in SIZES:
            x = np.minimum(USERS, capacity(size)) * (1 + noise * rng.standard_normal(len(USERS)))
            maxima.append(size_maximum(size, fit_scalability(USERS, x, seed=seed)))
        for row in scale_out(maxima)["rows"]:
            size = row["size"]
            exact = {"maximum_rps": capacity(size), "efficiency": capacity(size) / (size * capacity(1))}
            for number, value in exact.items():
                if (number, size) != ("efficiency", 1):  # 1 by definition
                    known = counts.setdefault((size, number), [])
                    low, high = row[number]["low"], row[number]["high"] or math.inf
                    known.append((low <= value <= high, (high - low) / 2 / value))
    return [{"noise": noise, "truth": truth, "size": size, "number": number, "cases": len(told),
             "inside": sum(held for held, _ in told), "open": sum(math.isinf(width) for _, width in told),
             "width": sum(width for _, width in told if math.isfinite(width))}
            for (size, number), told in counts.items()]  # fmt: skip


def told_row(row: dict) -> bool:
    """Print a row; whether it keeps the bar."""
    share = row["inside"] / row["cases"]
    ok = LOW <= share <= HIGH
    width = row["width"] / max(row["cases"] - row["open"], 1)
    print(f"{row['truth']:8s} {row['size']:4d} {row['number']:12s} {share:8.1%}   {width:5.1%}"
          f"{'' if ok else '   <-- outside 92–98 %'}")  # fmt: skip
    return ok


def main() -> int:
    """Print the table; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    slice_arguments(parser, 500)
    parser.add_argument("--noise", type=float, default=0.02)
    arguments = parser.parse_args()
    print("truth    size number       coverage   width")
    return tell_slice(
        arguments, KEYS, lambda seeds: (row for truth in TRUTHS for row in rows_of(truth, arguments.noise, seeds)),
        told_row, f"numbers within {LOW:.0%}–{HIGH:.0%}",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
