"""Which figures go to the top of the next page, so that the text behind them fills what they would leave white.

A figure stands where it is told of, unless it does not fit there. Typst can let it float, but only by a rule given
beforehand: floating figures would then stand at the top or bottom even where they fit. So the document is laid out, and
again with each figure floating that left a page with much white: whole layouts take hundredths of a second each.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genkai.report.fonts import font_directories

MOST_WHITE = 0.15  # share of a page's height that may stay white before a figure is moved
BODY = (24 / 297, 277 / 297)  # where text stands on a page, as shares of its height: the margins of template.typ
_FROM_TOP_MM = 75  # a figure above this line came with its heading and lead from the page before
_PPI = 18


@dataclass(frozen=True)
class Layout:
    """White at the bottom of each page, and (file, page, distance from the page's top in mm) of each figure."""

    white: tuple[float, ...]
    figures: tuple[tuple[str, int, float], ...]


def compiler_of(main: Path) -> Any:
    """The Typst compiler of the document at `main`: one for all its layouts, which share what they have in common."""
    import typst

    return typst.Compiler(str(main), root=str(main.parent), font_paths=font_directories(), ignore_system_fonts=True)


def floating_figures(compiler: Any) -> list[str]:
    """Names of the files of the figures that float, in order, of a document by its compiler."""
    floating: list[str] = []
    found, tried = laid(compiler, floating), set[str]()
    while moved := _first_to_move(found, {*floating, *tried}):
        after = laid(compiler, [*floating, moved])
        if _total(after) < _total(found):
            floating, found = [*floating, moved], after
            tried.clear()
        else:
            tried.add(moved)
    return floating


def laid(compiler: Any, floating: Sequence[str] = ()) -> Layout:
    """The document as it stands with these figures floating."""
    pages = compiler.compile(format="png", ppi=_PPI, sys_inputs=inputs(floating))
    placed = json.loads(compiler.query("<placed>", field="value"))
    figures = tuple((row["file"], row["page"], row["y"]) for row in placed)
    return Layout(tuple(white_below(page) for page in ([pages] if isinstance(pages, bytes) else pages)), figures)


def inputs(floating: Sequence[str]) -> dict[str, str]:
    """What tells the template which figures float."""
    return {"floating": json.dumps(list(floating))}


def white_below(page: bytes) -> float:
    """Share of the height for text that is white at the bottom of a page, given as PNG."""
    from PIL import Image

    grey = np.asarray(Image.open(io.BytesIO(page)).convert("L"))
    top, bottom = (round(share * len(grey)) for share in BODY)
    inked = np.flatnonzero((grey[top:bottom] < 250).any(axis=1))
    return float(1 - (inked[-1] + 1) / (bottom - top)) if len(inked) else 1.0


def _first_to_move(found: Layout, settled: set[str]) -> str | None:
    """The figure that opens the page after the first one with much white."""
    for page, white in enumerate(found.white[:-1], 1):
        if white > MOST_WHITE:
            opening = (f for f, on, y in found.figures if on == page + 1 and y < _FROM_TOP_MM and f not in settled)
            if moved := next(opening, None):
                return moved
    return None


def _total(found: Layout) -> tuple[int, float]:
    """What is to become less: pages, and white above what may be."""
    return len(found.white), sum(max(0.0, white - MOST_WHITE) for white in found.white[:-1])
