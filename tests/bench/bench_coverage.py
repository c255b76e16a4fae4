"""Do 95 % intervals of the scale characteristic hold the truth in 92–98 % of seeded cases? For every number reported.

    python tests/bench/bench_coverage.py [--seeds 500] [--levels 12 8 6] [--noise 0.02] [--equal]
                                           [--first 0] [--json FILE] [--add FILE…]   (slices.py)

Truths: one of each model, bent within the measured range. Levels scatter in proportion to the throughput, or all the
same (--equal). `fixed`: the true model is given; `auto`: the model is chosen, and counted is each case in which the
true one was; `told`: what a user gets, each case counts, whichever model was chosen. `lost`: cases in which a number
that the truth has was not stated. Also: how often a hard ceiling was told as a peak of USL (never), and how often a
limit was told with an upper end where the truth has none (`made up`). The bar is for `fixed`.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from slices import slice_arguments, tell_slice

from genkai.analyse import models
from genkai.analyse.models import CATALOGUE, MODELS
from genkai.analyse.scalability import fit_scalability

LOADS = {
    12: (10, 25, 50, 75, 100, 150, 200, 250, 300, 400, 500, 600),
    8: (25, 50, 100, 150, 200, 300, 450, 600),
    6: (50, 100, 200, 300, 450, 600),
}
TRUTHS = {
    "linear": (1.0,), "ceiling": (1.0, 220.0), "amdahl": (1.0, 0.01), "broken": (1.0, 180.0, 0.2),
    "usl": (1.0, 0.004, 1e-5),
}  # fmt: skip
LIMITS = {
    "knee_load": models.knee_load, "peak_load": models.peak_load, "peak_throughput_rps": models.peak_throughput,
    "ceiling_rps": models.ceiling,
}  # fmt: skip
LOW, HIGH = 0.92, 0.98
KEYS = ("equal", "noise", "levels", "model", "number")


def truth_numbers(name: str) -> dict[str, float]:
    """Every number that a model's truth has."""
    p = np.array(TRUTHS[name])
    found = dict(zip(CATALOGUE[name].parameters, map(float, p), strict=True))
    limits = {key: float(function(name, p)) for key, function in LIMITS.items()}
    return found | {key: value for key, value in limits.items() if math.isfinite(value)}


def inside(record: dict | None, truth: float) -> bool | None:
    """Whether the interval holds the truth; None where no number was stated."""
    if record is None or record["low"] is None:
        return None
    return record["low"] <= truth <= (math.inf if record["high"] is None else record["high"])


Case = tuple[bool, bool | None, bool | None]


def cover(name: str, levels: int, noise: float, seeds: range, equal: bool) -> dict[str, list[Case]]:
    """{number: (whether the true model was chosen, whether its interval and the one told hold the truth)}."""
    loads = np.array(LOADS[levels], dtype=float)
    exact, truth = CATALOGUE[name].throughput(np.array(TRUTHS[name]), loads), truth_numbers(name)
    found: dict[str, list[Case]] = defaultdict(list)
    for seed in seeds:
        rng = np.random.default_rng([seed, levels, MODELS.index(name)])
        scatter = np.full(levels, np.median(exact)) if equal else exact
        series = np.maximum(exact + scatter * rng.normal(0, noise, levels), 0)
        told = fit_scalability(loads, series, seed=seed)
        chosen = told["model"] == name
        peak = name == "ceiling" and told["model"] == "usl" and told["peak_load"] is not None
        found["false_peak"].append((chosen, peak, None))
        made_up = any(told[key] and told[key]["high"] is not None for key in LIMITS if key not in truth)
        found["made_up"].append((chosen, made_up, None))
        fit = told if chosen else fit_scalability(loads, series, model=name, seed=seed)
        for key, value in truth.items():
            found[key].append((chosen, inside(stated(fit, key), value), inside(stated(told, key), value)))
    return found


def stated(fit: dict, key: str) -> dict | None:
    """A limit or a parameter of a fit; None where it states none."""
    return fit[key] if key in LIMITS else fit["parameters"].get(key)


def rows_of(levels: int, noise: float, seeds: range, name: str, equal: bool) -> list[dict]:
    """The counts of each number of a model."""
    told = cover(name, levels, noise, seeds, equal)
    rows = []
    for key in truth_numbers(name):
        row = {"equal": equal, "noise": noise, "levels": levels, "model": name, "number": key, "cases": len(seeds)}
        for kind, cases in (("fixed", [c[1] for c in told[key]]), ("auto", [c[1] for c in told[key] if c[0]]),
                            ("told", [c[2] for c in told[key]])):  # fmt: skip
            row[f"{kind}_known"] = sum(held is not None for held in cases)
            row[f"{kind}_inside"] = sum(held is True for held in cases)
            row[f"{kind}_lost"] = len(cases) - row[f"{kind}_known"]
        row["chosen"] = sum(c[0] for c in told[key])
        row["false_peaks"] = sum(c[1] for c in told["false_peak"])
        row["made_up"] = sum(c[1] for c in told["made_up"])
        rows.append(row)
    return rows


def told_row(row: dict) -> bool:
    """Print a row; whether it keeps the bar."""
    share = {kind: row[f"{kind}_inside"] / row[f"{kind}_known"] if row[f"{kind}_known"] else math.nan
             for kind in ("fixed", "auto", "told")}  # fmt: skip
    ok = LOW <= share["fixed"] <= HIGH and not row["false_peaks"]
    print(f"{row['levels']:6d} {row['model']:7s} {row['number']:22s} {share['fixed']:6.1%} ({row['fixed_lost']:3d})  "
          f"{share['auto']:6.1%} ({row['auto_lost']:3d})  {share['told']:6.1%} ({row['told_lost']:3d})  "
          f"{row['chosen'] / row['cases']:6.1%}  {row['false_peaks']:5d}  {row['made_up']:7d}"
          f"{'' if ok else '   <-- outside 92–98 %'}", flush=True)  # fmt: skip
    return ok


def main() -> int:
    """Print the table; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    slice_arguments(parser, 500)
    parser.add_argument("--levels", type=int, nargs="*", default=[12, 8, 6])
    parser.add_argument("--noise", type=float, default=0.02)
    parser.add_argument("--equal", action="store_true", help="the same scatter at every level")
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    arguments = parser.parse_args()
    print("levels model   number                  fixed (lost)    auto (lost)    told (lost)   chosen  false peaks  "
          "made up")  # fmt: skip

    def count(seeds: range) -> Iterator[dict]:
        for levels in arguments.levels:
            for name in arguments.models:
                yield from rows_of(levels, arguments.noise, seeds, name, arguments.equal)

    return tell_slice(arguments, KEYS, count, told_row, f"numbers within {LOW:.0%}–{HIGH:.0%}")


if __name__ == "__main__":
    sys.exit(main())
