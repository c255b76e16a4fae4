"""One look for all figures: A4 column width, white ground, colours by role that colour-blind readers tell apart.

Figures are made with `matplotlib.figure.Figure`, never pyplot; every property that matplotlib would otherwise look up
when the figure is drawn is set when it is made, so that a figure looks the same wherever it is saved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any, ParamSpec

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

LANGUAGES = ("en", "ja")
FAMILY = "Noto Sans CJK JP"
WIDTH_MM = 165.0
DPI = 144
TEXT_PT, SMALL_PT, TITLE_PT = 8.0, 7.5, 9.5

# After Okabe & Ito (2008), "Color universal design"; darkened until text on white has a contrast of 4.5 (WCAG 2.2,
# 1.4.3) and each pair that shares a figure stays apart for protanopes and deuteranopes (the test computes both).
PALETTE = MappingProxyType(
    {
        "measured": "#0072B2",
        "model": "#1F2933",
        "runner_up": "#6B7785",
        "target": "#00795A",
        "limit": "#C24E00",
        "generator": "#5E2D79",
        "error": "#8C1515",
        "idle": "#8A94A0",
        "measured_light": "#7FB4D6",
        "band": "#D3DCE4",
        "stalled": "#FBE9DD",
        "level": "#F1F4F7",
        "grid": "#DDE2E7",
        "text": "#1F2933",
        "muted": "#52606D",
    }
)
# Lines that have no role; none looks like a target or a limit.
SERIES = ("#0072B2", "#946200", "#1F2933", "#A8478F", "#3F7D20", "#4A5FC1", "#6B7785")
DASHES = MappingProxyType(
    {"model": "-", "runner_up": (0, (4, 2)), "target": (0, (6, 2)), "limit": "-", "generator": (0, (5, 1.5, 1, 1.5))}
)
P = ParamSpec("P")


class FigureError(ValueError):
    """Input that no figure can be made of; the message says figure, expected, got, next step."""


def style_parameters() -> dict[str, Any]:
    """The matplotlib parameters of the style."""
    text, muted = PALETTE["text"], PALETTE["muted"]
    return {
        "font.family": [FAMILY], "font.size": TEXT_PT, "text.color": text, "axes.unicode_minus": True,
        "figure.dpi": DPI, "savefig.dpi": DPI, "figure.facecolor": "white", "savefig.facecolor": "white",
        "savefig.bbox": None, "axes.facecolor": "white", "axes.edgecolor": "#9AA5B1", "axes.linewidth": 0.8,
        "axes.labelcolor": text, "axes.labelsize": TEXT_PT, "axes.titlesize": TITLE_PT, "axes.titleweight": "bold",
        "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
        "axes.grid": False, "grid.color": PALETTE["grid"], "grid.linewidth": 0.6, "lines.linewidth": 1.6,
        "lines.markersize": 4.5, "xtick.labelsize": SMALL_PT, "ytick.labelsize": SMALL_PT, "xtick.color": muted,
        "ytick.color": muted, "legend.fontsize": SMALL_PT, "legend.frameon": False, "svg.fonttype": "none",
        "svg.hashsalt": "genkai", "path.simplify": True, "timezone": "UTC",
    }  # fmt: skip


def font_files() -> tuple[Path, Path]:
    """Paths of the regular and the bold font, from two packages, never from the system."""
    import noto_cjk_sans_jp_bold
    import noto_cjk_sans_jp_regular

    return Path(noto_cjk_sans_jp_regular.FONT_PATH), Path(noto_cjk_sans_jp_bold.FONT_PATH)


def register_fonts() -> None:
    """Make the fonts known to matplotlib; called where figures are made or saved, never on import."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in font_files():
        if str(path) not in known:
            font_manager.fontManager.addfont(str(path))


@contextmanager
def figure_style(lang: str = "en") -> Iterator[MappingProxyType[str, str]]:
    """Within the context matplotlib makes and saves figures in the style of the reports; yields the colours by role.

    One font serves both languages, so that both documents have the same layout. Raises FigureError for another one.
    """
    if lang not in LANGUAGES:
        raise FigureError(f"figure style: expected a language of {', '.join(LANGUAGES)}, got {lang!r}; correct it")
    register_fonts()
    with matplotlib.rc_context(style_parameters()):
        yield PALETTE


def styled(figure: Callable[P, Figure]) -> Callable[P, Figure]:
    """The figure function, run within the style; the finished layout is kept, so that each saving gives the same."""

    @wraps(figure)
    def run(*args: P.args, **named: P.kwargs) -> Figure:
        with figure_style():
            drawn = figure(*args, **named)
            fix_layout(drawn)
            return drawn

    return run


def fix_layout(figure: Figure) -> None:
    """Give the axes their final places, once all that takes room is there; labels that depend on places come after.

    Laying out costs more than drawing: it is done once for a figure. A second call changes nothing.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")


def new_figure(height_mm: float, layout: str | None = "constrained") -> Figure:
    """An empty figure with a canvas of its own, so that texts can be measured without pyplot."""
    figure = Figure(figsize=(WIDTH_MM / 25.4, height_mm / 25.4), layout=layout)
    FigureCanvasAgg(figure)
    if layout == "constrained":
        figure.get_layout_engine().set(w_pad=0.04, h_pad=0.05, hspace=0.02, wspace=0.02)
    return figure


def panels(figure: Figure, rows: int, columns: int = 1, **options: Any) -> list[Axes]:
    """The figure's axes, row by row, dressed."""
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    return [dress(axes) for axes in grid.ravel()]


def dress(axes: Axes, grid: str = "y") -> Axes:
    """Fix the ticks' looks now: matplotlib makes ticks when it draws, which may be outside the style."""
    muted = PALETTE["muted"]
    for which in ("x", "y"):
        axes.tick_params(axis=which, labelsize=SMALL_PT, labelcolor=muted, color="#9AA5B1", length=2.5, width=0.7,
                         labelfontfamily=FAMILY)  # fmt: skip
    axes.grid(axis=grid, color=PALETTE["grid"], linewidth=0.6)
    return axes


def headline(axes: Axes, text: str, pad: float = 5) -> None:
    """The message of the figure above its first panel, flush left with the y axis; pad: points above it."""
    axes.set_title(text, loc="left", fontsize=TITLE_PT, fontweight="bold", color=PALETTE["text"], pad=pad)


def panel_title(axes: Axes, text: str) -> None:
    """What one panel shows: the name of the quantity and its unit, where a rotated label would cost width."""
    axes.set_title(text, loc="left", fontsize=TEXT_PT, fontweight="normal", color=PALETTE["muted"], pad=3)


def blank(text: str, height_mm: float = 40) -> Figure:
    """A figure that says why there is nothing to draw."""
    figure = new_figure(height_mm, layout=None)
    figure.text(0.5, 0.5, text, ha="center", va="center", color=PALETTE["muted"], fontsize=TEXT_PT + 1, wrap=True)
    return figure
