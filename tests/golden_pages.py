"""Pages as small grey pictures, compared square by square: where something stands, not how its edges are drawn.

`make example` draws the committed ones anew (GENKAI_GOLDEN=update).
"""

import os
import re
from io import BytesIO

import numpy as np
from PIL import Image
from pypdf import PdfReader

from genkai.report.exporter import laid_out
from genkai.report.layout import compiler_of, floating_figures, inputs
from genkai.report.typst_source import Source
from sample_cycles import ROOT

EXAMPLE, GOLDEN = ROOT / "reports/example", ROOT / "tests/golden"
UPDATE = os.environ.get("GENKAI_GOLDEN") == "update"
PPI, SQUARE_PX = 36, 6
TOLERANCE = 24  # grey levels of 255 by which a square may differ


def pages_text(reader: PdfReader) -> list[str]:
    """Text of each page without white space and versions, which are those of the machine."""
    squeezed = (re.sub(r"[\s\u200b]+", "", page.extract_text()) for page in reader.pages)
    return [re.sub(r"\d+\.\d+\.\d+", "N", text) for text in squeezed]


def picture(source: Source, number: int) -> Image.Image:
    """A page of a document, small and grey."""
    with laid_out(source) as main:
        compiler = compiler_of(main)
        pages = compiler.compile(format="png", ppi=PPI, sys_inputs=inputs(floating_figures(compiler)))
    return Image.open(BytesIO(pages[number - 1])).convert("L")


def squares(shown: Image.Image) -> np.ndarray:
    """Mean grey of each square."""
    grey = np.asarray(shown, dtype=float)
    rows, columns = (n // SQUARE_PX for n in grey.shape)
    cut = grey[: rows * SQUARE_PX, : columns * SQUARE_PX]
    return cut.reshape(rows, SQUARE_PX, columns, SQUARE_PX).mean(axis=(1, 3))


def difference(shown: Image.Image, golden: Image.Image) -> np.ndarray:
    """By how much each square differs, grey levels."""
    assert shown.size == golden.size
    return np.abs(squares(shown) - squares(golden))


def check_page(source: Source, name: str, number: int) -> None:
    """The page looks as it did when the picture was committed."""
    shown, path = picture(source, number), GOLDEN / f"{name}-{number}.png"
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        shown.save(path, optimize=True)
    found = difference(shown, Image.open(path))
    places = [tuple(map(int, place)) for place in np.argwhere(found > TOLERANCE)[:5] * SQUARE_PX]
    assert found.max() <= TOLERANCE, f"{path.name} differs at (y, x) {places}: look at it, then: make example"
