"""The fonts of every document and figure: Noto Sans CJK JP, from two pip packages, never from the system."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

GETA = "〓"  # what Japanese typesetters put where they have no type for a character


def font_files() -> tuple[Path, Path]:
    """Return the paths of the regular and the bold font file."""
    # Not by genkai.figures.style, which has the same: it would make every export import matplotlib.
    import noto_cjk_sans_jp_bold
    import noto_cjk_sans_jp_regular

    return Path(noto_cjk_sans_jp_regular.FONT_PATH), Path(noto_cjk_sans_jp_bold.FONT_PATH)


def font_directories() -> list[str]:
    """Return the directories that Typst searches for fonts."""
    return [str(path.parent) for path in font_files()]


@lru_cache(maxsize=1)
def covered_code_points() -> frozenset[int]:
    """Return the Unicode code points that the regular and the bold font both have a glyph for."""
    from fontTools.ttLib import TTFont

    tables = []
    for path in font_files():
        with TTFont(path, lazy=True) as font:
            tables.append(frozenset(font.getBestCmap()))
    return tables[0] & tables[1]


def missing_glyphs(text: str) -> list[str]:
    """Return the characters of `text` without a glyph, sorted; white space and control characters are not counted.

    >>> missing_glyphs("限界 limit ≤ 5")
    []
    """
    covered = covered_code_points()
    return sorted({c for c in set(text) if ord(c) not in covered and not c.isspace() and ord(c) >= 32})
