"""Do 95 % intervals of the scale characteristic hold the truth in 92–98 % of seeded cases? For every number reported.

    python tests/bench/bench_coverage.py [--seeds 500] [--levels 12 8 6] [--noise 0.02] [--equal]
                                           [--first 0] [--json FILE] [--add FILE…]   (slices.py)

Truths: one of each model, bent within the measured range. Levels scatter in proportion to the throughput, or all the
same (--equal). `fixed`: the true model is given; `auto`: the model is chosen, and counted is each case in which the
true one was; `told`: what a user gets, each case counts, whichever model was chosen. `lost`: cases in which a number
that the truth has was not stated. Also: how often a hard ceiling was told as a peak of USL (never), and how often a
limit was told with an upper end where the truth has none (`made up`). `±`: half an interval ÷ truth, geometric mean of
those with an upper end; `open`: how many have none. The bar is for `fixed`.
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


Outcome = tuple[bool, float]
Case = tuple[bool, Outcome | None, Outcome | None]


def outcome(record: dict | None, truth: float) -> Outcome | None:
    """(whether the interval holds the truth, half of it ÷ truth); None where no number was stated."""
    if record is None or record["low"] is None:
        return None
    high = math.inf if record["high"] is None else record["high"]
    return record["low"] <= truth <= high, (high - record["low"]) / 2 / abs(truth)


def cover(name: str, levels: int, noise: float, seeds: range, equal: bool) -> dict[str, list]:
    """{number: (whether the true model was chosen, outcome of its interval and of the one told)}."""
    loads = np.array(LOADS[levels], dtype=float)
    exact, truth = CATALOGUE[name].throughput(np.array(TRUTHS[name]), loads), truth_numbers(name)
    found: dict[str, list[Case] | list[bool]] = defaultdict(list)
    for seed in seeds:
        rng = np.random.default_rng([seed, levels, MODELS.index(name)])
        scatter = np.full(levels, np.median(exact)) if equal else exact
        series = np.maximum(exact + scatter * rng.normal(0, noise, levels), 0)
        told = fit_scalability(loads, series, seed=seed)
        chosen = told["model"] == name
        peak = name == "ceiling" and told["model"] == "usl" and told["peak_load"] is not None
        found["false_peak"].append(peak)
        made_up = any(told[key] and told[key]["high"] is not None for key in LIMITS if key not in truth)
        found["made_up"].append(made_up)
        alone = chosen and not any(w["key"].endswith("close_runner_up") for w in told["warnings"])
        fit = told if alone else fit_scalability(loads, series, model=name, seed=seed)
        for key, value in truth.items():
            found[key].append((chosen, outcome(stated(fit, key), value), outcome(stated(told, key), value)))
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
            known = [case for case in cases if case]
            closed = [max(width, 1e-9) for _, width in known if math.isfinite(width)]
            row |= {f"{kind}_known": len(known), f"{kind}_lost": len(cases) - len(known),
                    f"{kind}_inside": sum(held for held, _ in known), f"{kind}_open": len(known) - len(closed),
                    f"{kind}_logs": sum(map(math.log, closed))}  # fmt: skip
        row["chosen"] = sum(c[0] for c in told[key])
        row["false_peaks"], row["made_up"] = sum(told["false_peak"]), sum(told["made_up"])
        rows.append(row)
    return rows


def told_row(row: dict) -> bool:
    """Print a row; whether it keeps the bar."""
    share = {kind: row[f"{kind}_inside"] / row[f"{kind}_known"] if row[f"{kind}_known"] else math.nan
             for kind in ("fixed", "auto", "told")}  # fmt: skip
    wide = {kind: math.exp(row[f"{kind}_logs"] / max(row[f"{kind}_known"] - row[f"{kind}_open"], 1)) for kind in share}
    ok = LOW <= share["fixed"] <= HIGH and not row["false_peaks"]
    print(f"{row['levels']:6d} {row['model']:7s} {row['number']:20s}"
          + "".join(f" {share[k]:6.1%} ±{wide[k]:6.1%} ({row[f'{k}_lost']:3d} {row[f'{k}_open']:3d})" for k in share)
          + f" {row['chosen'] / row['cases']:6.1%} {row['false_peaks']:3d} {row['made_up']:7d}"
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
    print(f"levels model   {'number':20s} " + " ".join(f"{k} held ± (lost open)" for k in ("fixed", "auto ", "told "))
          + " chosen false peaks made up")  # fmt: skip

    def count(seeds: range) -> Iterator[dict]:
        for levels in arguments.levels:
            for name in arguments.models:
                yield from rows_of(levels, arguments.noise, seeds, name, arguments.equal)

    return tell_slice(arguments, KEYS, count, told_row, f"numbers within {LOW:.0%}–{HIGH:.0%}")


if __name__ == "__main__":
    sys.exit(main())
