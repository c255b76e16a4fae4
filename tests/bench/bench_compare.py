"""Comparison of cycles: how often A/A alarms, and how often a 10 % slow-down is found, simulated and on real runs.

    python tests/bench/bench_compare.py [--seeds 20] [--json FILE]           simulated cycles, request by request
    python tests/bench/bench_compare.py --runs [--seeds 1000]                 the statistics alone, run by run
    python tests/bench/bench_compare.py --record DIR --name base-1 [--slow 1.1]   one real cycle on the demo target
    python tests/bench/bench_compare.py --real DIR                            every pair of recorded cycles

Real cycles: the demo's scenario at 100 and 250 users, three repetitions; `--slow` makes the target's waits longer.
A comparison alarms when any of its rows says better or worse.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from analyse_tables import generator_table, mark, request_row, requests_table
from genkai.analyse.compare import compare_cycles, what_of
from genkai.analyse.levels import level_table
from genkai.analyse.spread import (
    ASSUMED,
    Measured,
    observed_spread,
    overall_ratio,
    overall_verdict,
    ratio_of,
    verdict_of,
)
from genkai.plan import Plan
from genkai.study import read_study
from genkai.workspace import Cycle, new_cycle

GIVEN = {
    "name": "bench", "purposes": ["improvement"], "base_url": "http://127.0.0.1:1",
    "targets": {"throughput_rps": 250}, "apis": [{"name": "a", "path": "/"}],
    "scenarios": [{"name": "shopping", "calls": [{"api": "a"}]}], "steps": {"api": {"levels": [{"users": 1}]}},
}  # fmt: skip
PLAN = """\
name: bench
purposes: [improvement]
targets: {{throughput_rps: 250, p95_ms: 200}}
base_url: {url}
apis:
  - {{name: search, path: "/items?q=amber"}}
  - {{name: item, path: /items/7}}
  - {{name: order, method: POST, path: /orders, body: {{item: 1, quantity: 2}}, check: {{status: [200, 201]}}}}
scenarios:
  - name: shopping
    calls: [{{api: search, weight: 5}}, {{api: item, weight: 3}}, {{api: order, weight: 2}}]
hosts: []
steps:
  scenario: {{repeat: 3, levels: [{{users: 100, ramp_s: 1, hold_s: 6}}, {{users: 250, ramp_s: 1, hold_s: 6}}]}}
"""


SUBJECTS = {"search": (100.0, 200.0), "item": (60.0, 120.0), "order": (40.0, 80.0), "shopping": (100.0, 250.0)}
SECONDS, SHAPE, MEAN_S = 8, 4.0, 0.022
GAINED = {"throughput_rps": 0.1, "time": 1.0, "tail": 1.5}  # how much of a run's spread each quantity shows


def simulated(rng: np.random.Generator, number: int, repetitions: int, spread: float, slow: float = 1.0) -> Any:
    """A cycle of four subjects at two loads: requests of gamma-distributed response times, second by second.

    A run has an effect of its own on its response times (standard deviation `spread`), half of it on the tail again,
    a tenth on its throughput; within the run, seconds differ by 3 % and neighbours are alike.
    """
    runs = []
    for _ in range(repetitions):
        for subject, rates in SUBJECTS.items():
            effect, tail, rate = rng.normal(0, spread, 3) * (1, 0.5, 0.1)
            rows, marks = [], []
            for level, load in enumerate(rates):
                slowly = np.convolve(rng.normal(0, 0.03, SECONDS + 2), np.ones(3) / np.sqrt(3), "valid")
                for second in range(SECONDS):
                    n = max(1, rng.poisson(load * np.exp(rate)))
                    shape = SHAPE * np.exp(-2 * tail)
                    times = rng.gamma(shape, MEAN_S * slow * np.exp(effect + slowly[second]) / shape, n)
                    rows.append(request_row(level * SECONDS + second, times, level=level))
                marks.append(mark(level, load, level * SECONDS, level * SECONDS, (level + 1) * SECONDS))
            requests = requests_table(rows)
            levels = level_table(requests, marks, generator_table(range(2 * SECONDS)), subject=subject)
            step = "scenario" if subject == "shopping" else "api"
            runs.append(SimpleNamespace(step=step, subject=subject, levels=levels, requests=requests, record={}))
    return SimpleNamespace(cycle=SimpleNamespace(number=number), plan=Plan.model_validate(GIVEN), runs=runs)


WITHIN = {"throughput_rps": 0.01, "p50_s": 0.015, "p95_s": 0.025, "p99_s": 0.04}  # within a run, one load of 8 s
GAIN = {"throughput_rps": 0.1, "p50_s": 1.0, "p95_s": 1.2, "p99_s": 1.5}  # how much of a run's effect each shows


def drawn(rng: np.random.Generator, repetitions: int, spread: float, slow: float) -> list[dict[str, list[list[Any]]]]:
    """Of each subject {column: [runs at each of two loads]}: what `simulated` gives, drawn without its requests."""
    subjects = []
    for _ in SUBJECTS:
        effects = rng.normal(0, spread, repetitions)
        subjects.append({
            column: [
                [Measured(float(np.exp(GAIN[column] * e + (np.log(slow) if column != "throughput_rps" else 0)
                                       + rng.normal(0, w))), w**2) for e in effects]
                for _ in range(2)
            ]
            for column, w in WITHIN.items()
        })  # fmt: skip
    return subjects


def simulate_runs(seeds: int, spreads: Sequence[float]) -> list[dict[str, Any]]:
    """The same three comparisons many times: the statistics alone, on numbers as runs give them."""
    found = []
    for spread, (name, repetitions, slow) in product(
        spreads, (("A/A", 1, 1.0), ("A/A", 3, 1.0), ("10 % slower", 3, 1.1))
    ):
        hits = 0
        for seed in range(seeds):
            rng = np.random.default_rng([seed, repetitions, round(1000 * spread)])
            before, after = drawn(rng, repetitions, spread, 1.0), drawn(rng, repetitions, spread, slow)
            known = observed_spread([*before, *after] if repetitions > 1 else [])
            verdicts = set()
            for column in WITHIN:
                what = what_of(column)
                subjects = [list(zip(a[column], b[column], strict=True)) for a, b in zip(before, after, strict=True)]
                ratios = [overall_ratio(subjects, column, known, confidence=c) for c in (0.95, 0.99)]
                verdicts.add(overall_verdict(*ratios, what))
                verdicts |= {verdict_of(ratio_of(*cells[-1], column, known), what) for cells in subjects}
            hits += bool(verdicts & {"better", "worse"} if slow == 1 else "worse" in verdicts)
        row = {"what": name, "repetitions": repetitions, "spread": spread, "n": seeds,
               "alarm" if slow == 1 else "slower": hits}  # fmt: skip
        print(row, flush=True)
        found.append(row)
    return found


def told(record: dict[str, Any]) -> dict[str, Any]:
    """Whether any row of a comparison alarms, and whether one says that response times are worse."""
    verdicts = {r["verdict"] for r in record["rows"]}
    slower = [r for r in record["rows"] if r["verdict"] == "worse" and r["what"] in ("p50", "p95", "p99")]
    overall = next((r["ratio"]["value"] for r in record["rows"] if r["api"] == "(all)" and r["what"] == "p50"), None)
    return {"alarm": bool(verdicts & {"better", "worse"}), "slower": bool(slower), "overall_p50": overall,
            "spread_p50": record["spread"]["p50_s"]}  # fmt: skip


def simulate(seeds: int, spreads: Sequence[float]) -> list[dict[str, Any]]:
    """A/A comparisons with one and three repetitions, and a slow-down of 10 % with three."""
    found = []
    for spread in spreads:
        for name, repetitions, slow in (("A/A", 1, 1.0), ("A/A", 3, 1.0), ("10 % slower", 3, 1.1)):
            results = []
            for seed in range(seeds):
                rng = np.random.default_rng([seed, repetitions, round(1000 * spread)])
                before = simulated(rng, 1, repetitions, spread)
                results.append(told(compare_cycles(before, simulated(rng, 2, repetitions, spread, slow))))
            key = "slower" if slow > 1 else "alarm"
            row = {"what": name, "repetitions": repetitions, "spread": spread, "n": seeds,
                   key: sum(r[key] for r in results)}  # fmt: skip
            print(row, flush=True)
            found.append(row)
    return found


def told_spread(cycles: Collection[Any]) -> None:
    """How much the runs of one cycle differ, on average, beside what is assumed of them without repetitions."""
    for column in WITHIN:
        logs = [np.log([run.whole[column] for run in cycle.runs]) for cycle in cycles]
        seen = float(np.sqrt(np.mean([np.var(runs, axis=0, ddof=1) for runs in logs])))
        print(f"spread of {column}: {seen:.1%} between runs, {ASSUMED[column] / seen:.1f} times as much is assumed")


def compare_real(place: Path) -> list[dict[str, Any]]:
    """Every pair of recorded cycles; with one repetition each, too."""
    cycles = {p.parts[-4]: read_study(Cycle(p.parent)) for p in sorted(place.glob("*/bench/01/cycle.json"))}
    told_spread(cycles.values())
    base = [n for n in cycles if n.startswith("base")]
    slow = [n for n in cycles if n.startswith("slow")]
    found = []
    for key, pairs in (("alarm", list(combinations(base, 2))), ("slower", list(product(base, slow)))):
        for repetitions in (1, 3):
            results = []
            for a, b in pairs:
                sides = [replace(cycles[n], runs=cycles[n].runs[:repetitions]) for n in (a, b)]
                results.append(told(compare_cycles(*sides)) | {"pair": (a, b)})
            row = {"what": "A/A" if key == "alarm" else "slower", "repetitions": repetitions, "n": len(results),
                   key: sum(r[key] for r in results)}  # fmt: skip
            print(row, [(r["pair"], r[key], round(r["overall_p50"], 3), round(r["spread_p50"], 4)) for r in results])
            found.append(row)
    return found


def record(place: Path, name: str, slow: float) -> None:
    """One real cycle in a folder of its own."""
    from genkai.demo import story
    from genkai.demo.world import DemoWorld
    from genkai.steps import run_step

    app = replace(story.APP, io_ms=story.APP.io_ms * slow, cpu_ms=story.APP.cpu_ms * slow)
    with DemoWorld(capacity_rps=story.WARM_CAPACITY_RPS, app=app, aws=False) as world:
        os.environ.update(world.environment)
        plan = place / f"{name}.yaml"
        plan.parent.mkdir(parents=True, exist_ok=True)
        plan.write_text(PLAN.format(url=world.base_url))
        cycle = new_cycle(place / name, plan)
        study = run_step(cycle, "scenario", keep_going=True)
        for run in study.runs:
            print(run.run.name, run.whole[["intended", "throughput_rps", "p50_s", "p95_s", "p99_s"]].to_string())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--runs", action="store_true")
    parser.add_argument("--name", default="base")
    parser.add_argument("--slow", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--spreads", type=float, nargs="+", default=[0.01, 0.02, 0.04])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.record:
        record(given.record, given.name, given.slow)
        return
    if given.real:
        found = compare_real(given.real)
    else:
        found = (simulate_runs if given.runs else simulate)(given.seeds, given.spreads)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
