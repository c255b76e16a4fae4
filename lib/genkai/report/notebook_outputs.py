"""What ordinary notebooks put out (text, tables, pictures, errors) as Typst."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from genkai.report.fonts import missing_glyphs
from genkai.report.typst_text import array, call, literal

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")
_PICTURES = (("image/svg+xml", "svg"), ("image/png", "png"), ("image/jpeg", "jpg"))
_LONGEST = 120  # lines of one printed block; a log of thousands of lines is no report


@dataclass
class Rendered:
    """Typst markup of one output, the files and labels it brings, and the document's facts where it states them."""

    typst: str
    files: dict[str, bytes] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    document: Mapping[str, Any] | None = None
    error: str = ""


def terminal_text(text: str) -> str:
    r"""Return what a terminal would show at last: no colours, progress bars in their final state.

    >>> terminal_text("10 %\r100 %\nok")
    '100 %\nok'
    """
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in _ANSI.sub("", text).split("\n")]
    if len(lines) > _LONGEST:
        left_out = len(lines) - _LONGEST
        lines = [*lines[: _LONGEST // 2], f"… ({left_out} lines left out) …", *lines[-_LONGEST // 2 :]]
    shown = "\n".join(lines).strip("\n").expandtabs(8)
    return shown.translate({ord(c): "\ufffd" for c in missing_glyphs(shown)})


def printed(text: str) -> Rendered:
    """Return printed text as a quiet box, or nothing for blank text."""
    shown = terminal_text(text)
    return Rendered("#" + call("printed", literal(shown)) if shown.strip() else "")


def raised(name: str, value: str) -> Rendered:
    """Return an exception as a red box with its name and message, without the traceback."""
    return Rendered(
        "#" + call("raised", literal(terminal_text(name)), literal(terminal_text(value))), error=f"{name}: {value}"
    )


def picture(data: Mapping[str, Any], metadata: Mapping[str, Any], name: str) -> Rendered | None:
    """Return the picture of a mime bundle, its file called `name`, or None where it has none."""
    for mime, suffix in _PICTURES:
        if mime in data:
            content = joined(data[mime])
            raw = content.encode("utf-8") if suffix == "svg" else base64.b64decode(content)
            alt = str(
                metadata.get("alt") or metadata.get(mime, {}).get("alt") or joined(data.get("text/plain", "picture"))
            )
            return Rendered("#" + call("picture", literal(f"{name}.{suffix}"), literal(alt)), {f"{name}.{suffix}": raw})
    return None


def html_table(markup: str) -> Rendered | None:
    """Return the tables of an HTML output (a DataFrame's, say), or None where it has none."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(markup, "html.parser")
    parts = [_one_table(table) for table in soup.find_all("table") if table.find_parent("table") is None]
    return Rendered("\n\n".join(part for part in parts if part)) if any(parts) else None


def _one_table(table: Any) -> str:
    rows = [
        [terminal_text(cell.get_text(" ", strip=True)) for cell in row.find_all(["th", "td"])]
        for row in table.find_all("tr")
    ]
    rows = [row for row in rows if row]
    if not rows:
        return ""
    width = max(len(row) for row in rows)
    rows = [row + [""] * (width - len(row)) for row in rows]
    numeric = [_is_numeric([row[column] for row in rows[1:]]) for column in range(width)]
    return "#" + call(
        "report-table",
        columns=array(["auto"] * width),
        align=array("right" if side else "left" for side in numeric),
        header=array(literal(cell) for cell in rows[0]),
        rows=array(array(map(literal, row)) for row in rows[1:]),
    )


def _is_numeric(cells: list[str]) -> bool:
    filled = [cell for cell in cells if cell not in ("", "NaN", "None", "–")]
    return bool(filled) and all(re.fullmatch(r"[-−+]?[\d,]*\.?\d+(e[-+]?\d+)?\s*%?", cell) for cell in filled)


def joined(value: Any) -> str:
    """A text that a notebook keeps as one or as a list of lines."""
    return "".join(value) if isinstance(value, list) else str(value)
