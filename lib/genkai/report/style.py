"""One look for all figures: A4 column width, light background, colours by role that colour-blind readers tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from genkai.report.fonts import FAMILY, font_files

WIDTH_MM = 165.0
DPI = 144

# Okabe & Ito (2008), "Color universal design", darkened where text or thin lines need contrast on white.
PALETTE = MappingProxyType(
    {
        "measured": "#0072B2",
        "model": "#1F2933",
        "runner_up": "#8A94A0",
        "target": "#00795A",
        "limit": "#D55E00",
        "generator": "#AA4499",
        "error": "#B3261E",
        "band": "#CFE3F1",
        "grid": "#DDE2E7",
        "text": "#1F2933",
    }
)
CYCLE = ("#0072B2", "#D55E00", "#00795A", "#AA4499", "#56B4E9", "#B58900", "#1F2933")
LINESTYLES = MappingProxyType({"model": "-", "runner_up": (0, (4, 2)), "target": (0, (6, 2)), "limit": (0, (2, 1.5))})


def figure_size(height_mm: float = 70.0, width_mm: float = WIDTH_MM) -> tuple[float, float]:
    """Return (width, height) in inches for `figsize`."""
    return width_mm / 25.4, height_mm / 25.4


def _register_fonts() -> None:
    """Make the document's fonts known to matplotlib; at call time, because importing must not touch global state."""
    from matplotlib import font_manager

    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in font_files():
        if str(path) not in known:
            font_manager.fontManager.addfont(str(path))


def style_parameters() -> dict[str, Any]:
    """Return the matplotlib rc parameters of the style."""
    from cycler import cycler

    text, grid = PALETTE["text"], PALETTE["grid"]
    return {
        "font.family": FAMILY, "font.size": 8.5, "text.color": text,
        "figure.figsize": figure_size(), "figure.dpi": DPI, "savefig.dpi": DPI, "figure.facecolor": "white",
        "figure.constrained_layout.use": True, "figure.constrained_layout.wspace": 0.06, "savefig.facecolor": "white",
        "axes.facecolor": "white", "axes.edgecolor": "#9AA5B1", "axes.linewidth": 0.8, "axes.labelcolor": text,
        "axes.titlesize": 9, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.labelsize": 8.5,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
        "axes.prop_cycle": cycler(color=CYCLE),
        "grid.color": grid, "grid.linewidth": 0.6, "lines.linewidth": 1.6, "lines.markersize": 4.5,
        "xtick.labelsize": 8, "ytick.labelsize": 8, "xtick.color": "#52606D", "ytick.color": "#52606D",
        "legend.fontsize": 8, "legend.frameon": False, "svg.fonttype": "none", "svg.hashsalt": "genkai",
        "path.simplify": True, "date.converter": "concise", "timezone": "UTC",
    }  # fmt: skip


@contextmanager
def figure_style(lang: str = "en") -> Iterator[MappingProxyType[str, str]]:
    """Within the context, matplotlib draws in the style of the reports; yields the palette by role.

    `lang` is "en" or "ja"; one font serves both, so the two documents have the same layout.
    """
    import matplotlib

    from genkai.report.messages import catalogue

    catalogue(lang)  # refuses an unknown language here, where the caller named it
    _register_fonts()
    with matplotlib.rc_context(style_parameters()):
        yield PALETTE
