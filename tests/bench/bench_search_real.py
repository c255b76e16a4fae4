"""Capacity search on real processes: demo targets of known capacity, worker slots ÷ service time.

    python tests/bench/bench_search_real.py [--slots 4 10 24] [--service-ms 40] [--runs 1] [--json FILE]

The truth is what the slots can carry with the service time that the instance itself measured during the search. A row
a run: error against it, the time from start to result, trials. Exit code 1: an error beyond ±5 % or more than 240 s.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import yaml

from genkai.demo.counters import bucket_value
from genkai.demo.settings import AppSettings
from genkai.demo.world import DemoWorld
from genkai.search import run_search, trial_line

MOST_ERROR, MOST_S = 0.05, 240.0
HEALTH_S = 0.002  # health checks hold no slot worth counting


def service_s(world: DemoWorld) -> float:
    """The mean time that a request held its slot, as the instance counted it."""
    backend = world.stats()["instances"][0]
    with urllib.request.urlopen(f"http://{backend['host']}:{backend['port']}/__stats", timeout=5) as answer:
        service = json.load(answer)["service"]
    requests = sum(count for bucket, count in service["counts"].items() if bucket_value(bucket) > HEALTH_S)
    return service["total_s"] / requests


def one(slots: int, service_ms: float, target_factor: float, verbose: bool) -> dict:
    """A search on a target of its own."""
    app = AppSettings(slots=slots, io_ms=service_ms, io_spread=0.0, cpu_ms=0.0)
    nominal = slots * 1000 / service_ms
    with DemoWorld(instances=1, capacity_rps=0, app=app, aws=False) as world:
        plan = {
            "name": "s", "purposes": ["responsiveness"],
            "targets": {"throughput_rps": round(nominal * target_factor, 1), "p95_ms": 5 * service_ms},
            "base_url": world.base_url, "steps": {"verify": {"levels": [{"users": 1}]}},
            "apis": [{"name": "item", "path": "/items/1"}], "generator": {"processes": 1},
        }  # fmt: skip
        Path("plan.yaml").write_text(yaml.safe_dump(plan))
        begun = time.monotonic()
        record = run_search(Path("plan.yaml"), "item")
        seconds = time.monotonic() - begun
        truth = slots / service_s(world)
    if verbose:
        print("\n".join(trial_line(trial) for trial in record["trials"]))
    value = record["limit"]["value"]
    return {
        "slots": slots, "nominal_rps": nominal, "truth_rps": truth, "status": record["status"], "found_rps": value,
        "low": record["limit"]["low"], "high": record["limit"]["high"],
        "error": value / truth - 1 if value else None, "seconds": seconds, "trials": len(record["trials"]),
    }  # fmt: skip


def main() -> int:
    """Print a row for each search."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slots", type=int, nargs="*", default=[4, 10, 24])
    parser.add_argument("--service-ms", type=float, default=40.0)
    parser.add_argument("--target", type=float, default=1.0, help="the plan's target, as a share of the capacity")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows, bad = [], 0
    print("slots  nominal    truth    found [interval]               error  seconds  trials")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for slots in arguments.slots * arguments.runs:
            row = one(slots, arguments.service_ms, arguments.target, arguments.verbose)
            ok = row["error"] is not None and abs(row["error"]) <= MOST_ERROR and row["seconds"] <= MOST_S
            bad += not ok
            rows.append(row)
            span = f"[{row['low'] or float('nan'):.1f}, {row['high'] or float('nan'):.1f}]"
            found = f"{row['found_rps'] or float('nan'):8.1f} {span} {row['status']}"
            print(f"{slots:5d} {row['nominal_rps']:8.1f} {row['truth_rps']:8.1f} {found:32s} "
                  f"{100 * (row['error'] or float('nan')):+7.1f} % {row['seconds']:6.0f} {row['trials']:7d}"
                  f"{'' if ok else '  <-- missed'}", flush=True)  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
