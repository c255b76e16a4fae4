"""A bench of many seeded cases in slices: each slice writes its counts, the counts add up.

python tests/bench/bench_coverage.py --first 0 --seeds 100 --json a.json     (the same with --first 100 … 400)
python tests/bench/bench_coverage.py --add a.json b.json …                   prints the table of the whole
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path


def slice_arguments(parser: argparse.ArgumentParser, seeds: int) -> None:
    """--seeds, --first, --json and --add of a bench."""
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--json", type=Path, help="write the counts here")
    parser.add_argument("--add", type=Path, nargs="+", help="compute nothing, add up the counts of these files")


def added(files: Iterable[Path], keys: Sequence[str]) -> list[dict]:
    """The rows of several slices: those with the same `keys` are one, their other fields are sums."""
    whole: dict[tuple, dict] = {}
    for row in (row for file in files for row in json.loads(file.read_text())):
        found = whole.setdefault(tuple(row[key] for key in keys), {key: row[key] for key in keys})
        for field in row.keys() - set(keys):
            found[field] = found.get(field, 0) + row[field]
    return list(whole.values())


def tell_slice(
    arguments: argparse.Namespace, keys: Sequence[str], count: Callable[[range], Iterable[dict]],
    told_row: Callable[[dict], bool], what: str,
) -> int:  # fmt: skip
    """Count the seeds that are asked for, or add up the slices; tell each row as it comes. 1 when a bar is missed."""
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    rows, kept = [], []
    for row in added(arguments.add, keys) if arguments.add else count(seeds):
        rows.append(row)
        kept.append(told_row(row))
    print(f"{sum(kept)} of {len(kept)} {what}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0 if all(kept) else 1
