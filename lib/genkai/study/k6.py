"""k6's results: `--out csv=FILE` (any time format, gzipped or not) and `--out json=FILE` (JSON lines).

Source: k6 documentation, "Real-time output", CSV and JSON. A point's time is the end of its request, its duration
leaves out the wait for a connection (http_req_blocked).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pandas as pd

from genkai.study.foreign import Imported, ImportedError
from genkai.study.samples import COLUMNS, imported, kind_of, read_lines, rfc3339

DURATION, BLOCKED = "http_req_duration", "http_req_blocked"
USERS, DROPPED = "vus", "dropped_iterations"
WANTED = (DURATION, BLOCKED, USERS, DROPPED)
NEEDED = ("metric_name", "timestamp", "metric_value")
SUMMARY_LINES = 10_000  # within which a summary, one value a line, names its metrics
UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))  # a stamp above the first is so many to the second
NOTES = (
    "k6 measures from the actual send, without the wait for a connection: what a stalled target makes virtual users "
    "wait is unseen in these times.",
    "Percentiles are made anew from the single requests: those of k6's summary are of the whole run, ramps included.",
)
CODES = ((1050, 1051, "timeout"), (1211, 1212, "timeout"), (1212, 1213, "refused"), (1220, 1221, "reset"),
         (1300, 1400, "tls"))  # fmt: skip


def read_k6(path: Path, by_rate: bool = False) -> Imported:
    """The requests of a k6 run. by_rate: levels are plateaus of the rate, not of the virtual users.

    Raises ImportedError.
    """
    rows, users, dropped = [], {}, 0.0
    blocked = 0.0
    for where, name, moment, value, tags in _points(path):
        if name == USERS:
            users[int(moment)] = value
        elif name == DROPPED:
            dropped += value
        elif name == BLOCKED:
            blocked = max(blocked, value)
        elif name == DURATION:
            if not value >= 0:
                raise ImportedError(f"{where}: {DURATION}: expected milliseconds ≥ 0, got {value}")
            rows.append(_sample(moment, value, tags))
    notes = list(NOTES)
    if dropped:
        notes.append(f"k6 dropped {dropped:g} iterations: no virtual user was free; that load was never put out.")
    if blocked > 100:
        notes.append(f"A request waited up to {blocked:.0f} ms for a connection, which its response time leaves out.")
    if not users and not by_rate:
        notes.append("No metric vus: levels are plateaus of the request rate.")
    load = pd.Series(users, dtype=float).sort_index() if users and not by_rate else None
    return imported(path, pd.DataFrame(rows, columns=list(COLUMNS)), load, notes)


def _sample(moment: float, value: float, tags: dict[str, str]) -> tuple[Any, ...]:
    elapsed = value / 1000
    status = int(tags["status"]) if tags.get("status", "").isdigit() else 0
    told = tags.get("expected_response", "")
    success = told == "true" if told else not tags.get("error_code") and 200 <= status < 400
    message = tags.get("error", "")
    kind = None if success else _kind(tags.get("error_code", ""), status, message)
    name = tags.get("name") or tags.get("url") or "request"
    label = f"{tags['method']} {name}" if tags.get("method") else name
    return label, moment - elapsed, elapsed, success, 0, kind, status or None, message


def _kind(code: str, status: int, message: str) -> str:
    number = int(code) if code.isdigit() else 0
    found = next((kind for low, high, kind in CODES if low <= number < high), None)
    return found or kind_of(status, message)


def _points(path: Path) -> Iterator[tuple[str, str, float, float, dict[str, str]]]:
    """(where, metric, epoch second, value, tags) of every point of a file of either kind."""
    lines = read_lines(path, "k6's CSV or JSON lines")
    number, first = next(lines, (1, ""))
    if first.startswith("{"):
        yield from _json_points(path, number, first, lines)
    else:
        yield from _csv_points(path, first, lines)


def _json_points(path: Path, number: int, first: str, lines: Iterator[tuple[int, str]]) -> Iterator[tuple]:
    begun = [(number, first)]
    if '"type"' not in first:  # every line of k6's output has one
        begun += islice(lines, SUMMARY_LINES)
        if any('"metrics"' in text for _, text in begun):
            raise ImportedError(f"{path}: expected k6's requests over time, got the summary of a whole run "
                                "(--summary-export, handleSummary), which holds no requests; run k6 again with "
                                "--out csv=FILE or --out json=FILE and import that file")  # fmt: skip
    for line, text in chain(begun, lines):
        where = f"{path}:{line}"
        try:
            record = json.loads(text)
            if record.get("type") != "Point" or record.get("metric") not in WANTED:
                continue
            data = record["data"]
            tags = {key: str(value) for key, value in (data.get("tags") or {}).items()}
            yield where, record["metric"], _epoch(where, str(data["time"])), float(data["value"]), tags
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, ImportedError):
                raise
            raise ImportedError(f"{where}: expected a point of k6's JSON output, got {text[:60]!r}; "
                                "write it with --out json=FILE (not --summary-export)") from error  # fmt: skip


def _csv_points(path: Path, first: str, lines: Iterator[tuple[int, str]]) -> Iterator[tuple]:
    header = [name.strip() for name in next(csv.reader([first]), [])]
    missing = [name for name in NEEDED if name not in header]
    if missing:
        raise ImportedError(f"{path}: expected columns {', '.join(NEEDED)} in line 1, missing {', '.join(missing)}; "
                            "write it with k6 run --out csv=FILE")  # fmt: skip
    for line, text in lines:
        cells = next(csv.reader([text]))
        tags = dict(zip(header, cells, strict=False))
        if tags.get("metric_name") not in WANTED:
            continue
        where = f"{path}:{line}"
        try:
            value = float(tags["metric_value"])
        except (KeyError, ValueError) as error:
            raise ImportedError(f"{where}: metric_value: expected a number, got {text[:60]!r}") from error
        yield where, tags["metric_name"], _epoch(where, tags.get("timestamp", "")), value, tags


def _epoch(where: str, stamp: str) -> float:
    """Epoch seconds of a stamp: a number in s, ms, µs or ns by its size, or RFC 3339."""
    try:
        if stamp.replace(".", "", 1).isdigit():
            number = float(stamp)
            return number / next((unit for above, unit in UNITS if number > above), 1.0)
        return rfc3339(stamp)
    except ValueError as error:
        raise ImportedError(f"{where}: time: expected epoch seconds or RFC 3339, got {stamp[:40]!r}") from error
