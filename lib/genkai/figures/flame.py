"""The flame graph: what the target's threads do at the limit, as wide as their time, coloured by what grows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import matplotlib.colors as colors
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from genkai.figures import quantities as q
from genkai.figures.style import (
    DPI,
    PALETTE,
    SMALL_PT,
    TITLE_PT,
    WIDTH_MM,
    blank,
    dress,
    new_figure,
    panel_title,
    styled,
)
from genkai.figures.texts import Texts, texts_of

ROW_MM = 4.1
DEEPEST = 26  # boxes above each other; deeper ones would leave the page
LARGEST = 0.75  # strength of a change from which on the colour grows no further
UNCHANGED, NOT_COMPARED = "#E4E9EE", "#DCE8F2"


@styled
def flame(boxes: Mapping[str, pd.DataFrame], *, compared: bool = False, note: str = "", t: Any = None) -> Figure:
    """Computing above, waiting below: each box a function (or what it waits for), on top of the one that called it.

    boxes: {"cpu": …, "wait": …} of analyse.flame; compared: whether there was a low load; note: the headline.
    """
    t = texts_of(t)
    shown = {state: _cut(boxes[state]) for state in ("cpu", "wait") if state in boxes and len(boxes[state])}
    if not shown:
        return blank(t("flame.empty"))
    depths = {state: int(table["depth"].max()) + 1 for state, table in shown.items()}
    figure = new_figure(22 + 9 * len(shown) + ROW_MM * sum(depths.values()))
    grid = figure.add_gridspec(len(shown), 1, height_ratios=list(depths.values()))
    for row, (state, table) in enumerate(shown.items()):
        axes = dress(figure.add_subplot(grid[row, 0]), grid="x")
        axes.set_xlim(0, 100)
        axes.set_ylim(0, depths[state])
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        q.plain_ticks(axes.xaxis, 5)
        panel_title(axes, t(f"flame.{state}"))
        if row == len(shown) - 1:
            axes.set_xlabel(t("flame.share_axis"))
        _draw(axes, table, t)
    if note:
        figure.suptitle(note, x=0.006, ha="left", fontsize=TITLE_PT, fontweight="bold", parse_math=False)
    if compared:
        figure.legend(handles=_key(t), loc="outside lower left", ncols=3, fontsize=SMALL_PT, frameon=False,
                      handlelength=1.2, handleheight=0.9)  # fmt: skip
    return figure


def short_name(name: str) -> str:
    """A function without its package.

    >>> short_name("java.util.concurrent.ThreadPoolExecutor.runWorker"), short_name("spin (genkai/demo/shop.py)")
    ('ThreadPoolExecutor.runWorker', 'spin (shop.py)')
    """
    file = re.fullmatch(r"(.*) \((?:.*/)?([^/]+)\)", name)
    return f"{file[1]} ({file[2]})" if file else ".".join(name.split(".")[-2:])


def _cut(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["depth"] < DEEPEST]


def _draw(axes: Axes, table: pd.DataFrame, t: Texts) -> None:
    renderer = axes.figure.canvas.get_renderer()
    width_px = (WIDTH_MM - 6) / 25.4 * DPI
    for box in table.to_dict("records"):
        left, width = 100 * box["start"], 100 * box["width"]
        fill = _fill(box["trend"], box["strength"])
        axes.add_patch(Rectangle((left, box["depth"]), width, 1, facecolor=fill, edgecolor="white", linewidth=0.6))
        names = [t(f"flame.kind_{box['kind']}")] if box["kind"] else _names(box["name"])
        text = _fitting(renderer, names, width / 100 * width_px - 5)
        if text:
            axes.text(left + width / 2, box["depth"] + 0.47, text, ha="center", va="center", fontsize=SMALL_PT,
                      color=PALETTE["text"], fontstyle="normal", fontweight="bold" if box["kind"] else "normal",
                      clip_on=True, parse_math=False)  # fmt: skip


def _names(name: str) -> list[str]:
    return [short_name(name), short_name(name).split(" (")[0], short_name(name).split(" (")[0].split(".")[-1]]


def _fitting(renderer: Any, names: list[str], room_px: float) -> str:
    """The longest of the names that fits, the last one cut at its end, or "" where not even that says something."""
    from matplotlib.font_manager import FontProperties

    font = FontProperties(family="Noto Sans CJK JP", size=SMALL_PT, weight="bold")
    if room_px < 12:
        return ""

    def fits(text: str) -> bool:
        return renderer.get_text_width_height_descent(text, font, False)[0] <= room_px

    for name in names:
        if fits(name):
            return name
    for kept in range(len(names[-1]) - 1, 3, -1):
        if fits(names[-1][:kept] + "…"):
            return names[-1][:kept] + "…"
    return ""


def _fill(trend: str, strength: float) -> Any:
    if trend not in ("grows", "shrinks"):
        return UNCHANGED if trend == "same" else NOT_COMPARED
    full = colors.to_rgb(PALETTE["limit"] if trend == "grows" else PALETTE["measured"])
    share = 0.22 + 0.4 * min(strength / LARGEST, 1.0)
    return tuple(1 - share * (1 - part) for part in full)


def _key(t: Texts) -> list[Patch]:
    return [Patch(facecolor=_fill(trend, LARGEST), label=t(f"flame.{trend}")) for trend in ("grows", "same", "shrinks")]
