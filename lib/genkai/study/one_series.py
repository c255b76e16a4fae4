"""Tables that tell of several things at each time stamp: such lines are not seconds that follow each other."""

from __future__ import annotations

import math
from pathlib import Path

from genkai.study.reading import StudyError

ALL = "Aggregated"  # how Locust names the lines of all requests together
STAMPS = ("timestamp", "time", "datetime", "date", "second")
SEVERAL = 1.5  # lines at each time: more than what a clock that ticks coarsely brings
Line = tuple[int, list[str]]  # its number, its cells


def one_series(path: Path, rows: list[Line]) -> list[Line]:
    """Header and the lines that follow each other in time; of Locust's history those of all requests.

    Raises StudyError where several lines of each time stamp are told apart by a text.
    """
    header, *lines = rows
    names = [name.strip() for name in header[1]]
    whole = [line for line in lines if ALL in line[1]] if "Name" in names else []
    stamp = next((i for i, name in enumerate(names) if name.casefold() in STAMPS), None)
    if whole or stamp is None:
        return [header, *(whole or lines)]
    kinds = [i for i in range(len(names)) if i != stamp and _tells_apart([row[i] for _, row in lines if i < len(row)])]
    stamps = {row[stamp] for _, row in lines if len(row) > stamp}
    told = {tuple(row[i] for i in (stamp, *kinds) if i < len(row)) for _, row in lines}
    if kinds and len(lines) >= SEVERAL * len(stamps) and len(told) * SEVERAL > len(lines):
        by = ", ".join(names[i] for i in kinds)
        raise StudyError(f"{path}: column {names[stamp]}: expected one line for each time, got {len(lines):,} lines "
                         f"at {len(stamps):,} times, told apart by {by}; keep the lines of one")  # fmt: skip
    return rows


def _tells_apart(cells: list[str]) -> bool:
    """Whether a column holds several texts, and no number."""
    return len(set(cells)) > 1 and not any(map(_is_number, cells))


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
