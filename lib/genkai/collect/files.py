"""What others recorded, read from their files: vmstat logs and socket counts; others are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genkai.collect.errors import CollectError
from genkai.collect.imports import parse_sockets
from genkai.collect.vmstat import parse_vmstat


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CollectError(f"{path}: expected a readable file, got {error.strerror or error}") from error


def vmstat_summary(path: Path, unit: str = "K") -> dict[str, Any]:
    """{rows, columns, since_boot_dropped, first, last, min, max, sum, warnings} of a log. Raises CollectError."""
    return parse_vmstat(_bytes_of(path), unit=unit, where=str(path)).record()


def vmstat_text(name: str, record: dict[str, Any]) -> str:
    """The summary as lines: one for the file, one for each column."""
    head = f"{name}: {record['rows']} rows, {record['since_boot_dropped']} since-boot rows dropped"
    lines = [
        f"  {c:8} min {record['min'][c]:>14g}  max {record['max'][c]:>14g}"
        for c in record["columns"]
        if c in record["min"]
    ]
    return "\n".join([head, *lines, *(f"  note: {w}" for w in record["warnings"])])


def socket_summary(path: Path) -> dict[str, Any]:
    """Sockets by state. Raises CollectError for text that is none of the known kinds."""
    return dict(parse_sockets(_bytes_of(path).decode(errors="replace")))
