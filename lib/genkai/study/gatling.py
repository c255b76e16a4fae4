"""Gatling's simulation.log in its text versions (2.x to 3.11): requests and users, one record a line, tab-separated.

Fields moved between versions; what stayed is the end of a REQUEST record (name, start, end, OK or KO, message) and that
a USER record holds START or END and ends in a time. From 3.12 on the file is binary.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from genkai.study.foreign import Imported, ImportedError
from genkai.study.samples import COLUMNS, active, imported, kind_of, read_lines

NOTES = (
    "Gatling measures from the actual send: what a stalled target makes its users wait is unseen in these times.",
    "Gatling logs no bytes and no status of its own: a failure's kind is read from its message.",
)
BINARY = ("expected a simulation.log as text, got a binary one (Gatling 3.12 and later); convert it, or run the test "
          "with Gatling 3.11 or earlier")  # fmt: skip
FOUND = re.compile(r"found (\d{3})\b")  # status.find.is(200), but actually found 503


def read_gatling(path: Path, by_rate: bool = False) -> Imported:
    """The requests of a Gatling run. by_rate: levels are plateaus of the rate, not of users. Raises ImportedError."""
    try:
        if b"" < path.read_bytes()[:1] < b"\x20":
            raise ImportedError(f"{path}: {BINARY}")
    except OSError as error:
        raise ImportedError.unreadable(path, error) from error
    rows, starts, ends, known = [], [], [], False
    for number, line in read_lines(path, "Gatling's simulation.log as text"):
        fields = line.split("\t")
        kind = next((f for f in fields[:3] if f in ("RUN", "USER", "REQUEST", "GROUP", "ASSERTION", "ERROR")), None)
        known = known or kind is not None
        if kind == "REQUEST":
            rows.append(_request(f"{path}:{number}", fields))
        elif kind == "USER":
            state = "START" if "START" in fields else "END"
            (starts if state == "START" else ends).append(_milliseconds(f"{path}:{number}", fields[-1], "USER") / 1000)
    if not known:
        raise ImportedError(f"{path}: expected records RUN, USER, REQUEST of a simulation.log, got none")
    users = active(pd.Series(starts), pd.Series(ends, dtype=float)) if starts and not by_rate else None
    return imported(path, pd.DataFrame(rows, columns=list(COLUMNS)), users, list(NOTES))


def _request(where: str, fields: list[str]) -> tuple[Any, ...]:
    at = next((i for i, f in enumerate(fields) if f in ("OK", "KO") and i >= 4), None)
    if at is None:
        raise ImportedError(f"{where}: REQUEST: expected … name, start, end, OK or KO, got {' '.join(fields)[:80]!r}")
    start, end = (_milliseconds(where, fields[i], "REQUEST") for i in (at - 2, at - 1))
    message = fields[at + 1].strip() if len(fields) > at + 1 else ""
    success = fields[at] == "OK"
    found = FOUND.search(message)
    status = int(found[1]) if found else None
    kind = None if success else kind_of(status, message)
    return fields[at - 3] or "request", start / 1000, max(0, end - start) / 1000, success, 0, kind, status, message


def _milliseconds(where: str, text: str, record: str) -> int:
    if not text.strip().isdigit():
        raise ImportedError(f"{where}: {record}: expected epoch milliseconds, got {text[:40]!r}")
    return int(text)
