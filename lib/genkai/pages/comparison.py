"""`genkai compare`: two cycles side by side, as a record and as lines for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genkai.report.messages import Messages
from genkai.report.sections import comparison
from genkai.report.table import Table
from genkai.study import StudyError, read_study
from genkai.study.results import cycle_comparison
from genkai.workspace import open_cycle


def comparison_record(before: Path, after: Path) -> dict[str, Any]:
    """The second cycle against the first at equal load. Raises WorkspaceError, StudyError for one cycle twice."""
    if before.resolve() == after.resolve():
        raise StudyError(f"compare: expected two cycles, got {before} twice; name the earlier one, then the later one")
    record = cycle_comparison(*(read_study(open_cycle(path)) for path in (before, after)))
    return {**record, "paths": {"before": str(before), "after": str(after)}}


def comparison_text(record: dict[str, Any], lang: str = "en") -> str:
    """The record as aligned columns: rows with their verdicts, then what else changed between the cycles."""
    m = Messages(lang)
    parts = []
    for item in comparison(m, record).items[1:]:  # without the heading
        parts.append(aligned(item) if isinstance(item, Table) else item.to_plain())
    return "\n\n".join(parts)


def aligned(table: Table) -> str:
    """A table in straight columns, for a terminal."""
    rows = [list(table.columns.values())]
    rows += [[cell.to_plain() if hasattr(cell, "to_plain") else str(cell) for cell in row] for row in table.cells]
    widths = [max(_width(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [_line(row, widths, table.numeric) for row in rows]
    return "\n".join([str(table.caption), lines[0], "  ".join("─" * w for w in widths), *lines[1:]])


def _line(row: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    cells = []
    for text, width, right in zip(row, widths, numeric, strict=True):
        blank = " " * (width - _width(text))
        cells.append(blank + text if right else text + blank)
    return "  ".join(cells).rstrip()


def _width(text: str) -> int:
    """Columns that a terminal gives a text: two for each wide character (Unicode Standard Annex 11)."""
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)
