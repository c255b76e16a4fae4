"""vegeta's results as `vegeta encode` writes them: JSON lines, or CSV without a header.

Source: vegeta, lib/results.go: CSV columns timestamp (ns), code, latency (ns), bytes out, bytes in, error, body,
attack, sequence, method, URL, headers; times in JSON are RFC 3339, latencies nanoseconds. vegeta keeps a rate, it has
no users.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from genkai.study.foreign import Imported, ImportedError
from genkai.study.samples import COLUMNS, imported, kind_of, read_lines, rfc3339

NOTES = (
    "vegeta stamps a request when it sends it: time that it waited for a free worker is unseen in these times.",
    "Percentiles are made anew by level from the single requests: vegeta's own are of a whole attack.",
)
HINT = "write it with: vegeta encode --to json results.bin"


def read_vegeta(path: Path) -> Imported:
    """The requests of one attack, or of several in one file. Raises ImportedError."""
    try:
        head = path.read_bytes()[:1]
    except OSError as error:
        raise ImportedError.unreadable(path, error) from error
    if head and not (head in b"{\xef" or head.isdigit()):
        raise ImportedError(f"{path}: expected vegeta's JSON lines or CSV, got something else (gob?); {HINT}")
    rows = []
    for number, line in read_lines(path, "vegeta's JSON lines or CSV"):
        where = f"{path}:{number}"
        try:
            rows.append(_of_json(json.loads(line)) if line.startswith("{") else _of_csv(next(csv.reader([line]))))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ImportedError(f"{where}: expected a result of vegeta, got {line[:60]!r}; {HINT}") from error
    return imported(path, pd.DataFrame(rows, columns=list(COLUMNS)), None, list(NOTES))


def _of_json(record: dict[str, Any]) -> tuple[Any, ...]:
    start, received = rfc3339(record["timestamp"]), int(record.get("bytes_in") or 0)
    return _sample(start, int(record["code"]), int(record["latency"]), received,
                   record.get("error") or "", record.get("method") or "", record.get("url") or "",
                   record.get("attack") or "")  # fmt: skip


def _of_csv(cells: list[str]) -> tuple[Any, ...]:
    cells = [*cells, *[""] * (11 - len(cells))] if len(cells) >= 6 else cells
    return _sample(int(cells[0]) / 1e9, int(cells[1]), int(cells[2]), int(cells[4]), cells[5], cells[9], cells[10],
                   cells[7])  # fmt: skip


def _sample(start: float, code: int, latency_ns: int, received: int, error: str, method: str, url: str,
            attack: str) -> tuple[Any, ...]:  # fmt: skip
    path = urlsplit(url).path
    label = " ".join(filter(None, (method, path))) or attack or "request"
    success = not error and 200 <= code < 400
    kind = None if success else kind_of(code or None, error)
    return label, start, latency_ns / 1e9, success, received, kind, code or None, error
