"""The command of the fault bench; see the package."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench.faults.cases import CASES, GROUPS
from bench.faults.corpus import record
from bench.faults.runner import judge, newest_cycle, run_case, run_here, table, temporary
from genkai.study import StudyError
from genkai.workspace import WorkspaceError

parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
parser.add_argument("names", nargs="*", help="cases; default: all")
parser.add_argument("--group", choices=GROUPS, help="only these")
parser.add_argument("--into", type=Path, help="folder of the runs; kept")
parser.add_argument("--again", action="store_true", help="no load: diagnose what lies in --into once more")
parser.add_argument("--record", type=Path, help="write what lies in --into as the recorded corpus to this folder")
parser.add_argument("--seed", type=int, help="run under other loads and hold times, drawn from this seed")
parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
chosen = parser.parse_args()
tests = Path(__file__).parent.parent.parent
os.environ["PYTHONPATH"] = os.pathsep.join([str(tests), *filter(None, [os.environ.get("PYTHONPATH")])])
unknown = sorted(set(chosen.names) - set(CASES))
if unknown:
    parser.error(f"expected cases among {', '.join(CASES)}, got {', '.join(unknown)}")
cases = [CASES[n] for n in chosen.names] or list(GROUPS.get(chosen.group or "", CASES.values()))
if chosen.seed is not None:
    cases = [case.sized(chosen.seed) for case in cases]
into = (chosen.into or temporary()).resolve()
into.mkdir(parents=True, exist_ok=True)
results = []
for case in cases:
    if chosen.again or chosen.record:
        try:
            cycle = newest_cycle(case, into)
            results.append(judge(case, cycle))
            if chosen.record:
                record(case, cycle, chosen.record)
        except (WorkspaceError, StudyError):
            print(f"{case.name}: not run", file=sys.stderr)
        continue
    result = run_here(case, into) if chosen.here else run_case(case, into)
    print(f"{result.name}: {result.truth or '(healthy)'} → {', '.join(result.causes) or result.answer} "
          f"({result.seconds:g} s)", flush=True)  # fmt: skip
    results.append(result)
if results:
    print(table(results))
sys.exit(0 if results and all(r.right or r.answer.startswith("skipped") for r in results) else 1)
