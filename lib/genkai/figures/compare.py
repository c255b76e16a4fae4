"""This cycle against the previous one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from genkai.figures import quantities as q
from genkai.figures.bands import draw_threshold, top_of
from genkai.figures.place import SideLabel, label_panels
from genkai.figures.scale import amount, load_axis
from genkai.figures.style import PALETTE, SMALL_PT, blank, dress, new_figure, panel_title, styled
from genkai.figures.texts import Texts, texts_of

RATIO_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


@styled
def compare(levels_a: pd.DataFrame, levels_b: pd.DataFrame, ratios: Sequence[Mapping[str, Any]] = (), *,
            target_rps: float | None = None, target_p95_s: float | None = None, name_a: str | None = None,
            name_b: str | None = None, minimum_effect: float = 0.05, subject: str | None = None,
            load: str = "intended", t: Any = None) -> Figure:  # fmt: skip
    """Throughput and p95 against load of two cycles, and the ratios this ÷ previous with their intervals.

    levels_a, levels_b: levels tables, previous and this; ratios: {"metric": levels' column, "load": number,
    "ratio": record}; minimum_effect: changes smaller than this count as none.
    """
    t = texts_of(t)
    for levels in (levels_a, levels_b):
        q.need_columns(levels, [load, "throughput_rps", "p95_s"], "compare")
    levels_a, levels_b = (q.of_subject(levels, subject) for levels in (levels_a, levels_b))
    sides = [(levels[levels["throughput_rps"].notna()].sort_values(load), name, role)
             for levels, name, role in ((levels_a, name_a or t("compare.previous"), "idle"),
                                        (levels_b, name_b or t("compare.current"), "measured"))]  # fmt: skip
    if all(shown.empty for shown, _, _ in sides):
        return blank(t("compare.empty"))
    ratios = [r for r in ratios if q.value_of(r["ratio"]) > 0]
    figure = new_figure(max(82, 30 + 6.5 * len(ratios)))
    grid = figure.add_gridspec(2, 2 if ratios else 1, width_ratios=[1.3, 1] if ratios else [1], height_ratios=[1.5, 1])
    top = dress(figure.add_subplot(grid[0, 0]))
    below = dress(figure.add_subplot(grid[1, 0], sharex=top))
    top.tick_params(axis="x", labelbottom=False)
    top.set_xlim(0, max(float(shown[load].max()) for shown, _, _ in sides if len(shown)) * 1.04)
    factor, unit = q.time_unit(top_of(*(shown["p95_s"] for shown, _, _ in sides), headroom=1.0))
    labels = _draw_sides(top, sides, load, "throughput_rps", 1.0, target_rps, "rps", t)
    lower = _draw_sides(below, sides, load, "p95_s", factor, target_p95_s, unit, t)
    panel_title(top, t("scale.throughput_axis"))
    panel_title(below, t("scale.response_axis", unit=unit))
    below.set_xlabel(load_axis(sides[1][0], load, t))
    q.plain_ticks(below.xaxis, 5)
    if ratios:
        _draw_ratios(dress(figure.add_subplot(grid[:, 1]), grid="x"), ratios, minimum_effect, levels_b, load, t)
    label_panels([(top, labels), (below, lower)])
    return figure


def _draw_sides(axes: Axes, sides: list[tuple[pd.DataFrame, str, str]], load: str, column: str, factor: float,
                target: float | None, unit: str, t: Texts) -> list[SideLabel]:  # fmt: skip
    labels = []
    for shown, name, role in sides:
        known = shown[shown[column].notna()]
        axes.plot(known[load], known[column] * factor, "o-", color=PALETTE[role], markeredgecolor="white", zorder=4,
                  linewidth=1.7 if role == "measured" else 1.2, label=name)  # fmt: skip
        if len(known):
            color = PALETTE["measured" if role == "measured" else "muted"]
            labels.append(SideLabel(float(known[column].iloc[-1]) * factor, name, color, role == "measured"))
    if target:
        draw_threshold(axes, target * factor)
        labels.append(SideLabel(target * factor, t("load.target", value=q.with_unit(target * factor, unit)),
                                PALETTE["target"], True))  # fmt: skip
    axes.set_ylim(0, top_of(*(shown[column] * factor for shown, _, _ in sides), (target or 0) * factor))
    q.plain_ticks(axes.yaxis, 4)
    return labels


def _draw_ratios(axes: Axes, ratios: Sequence[Mapping[str, Any]], minimum_effect: float, levels: pd.DataFrame,
                 load: str, t: Texts) -> None:  # fmt: skip
    """Dots with intervals on a logarithmic axis, where twice and half are equally far from no change."""
    axes.yaxis.grid(False)
    axes.set_xscale("log")
    axes.axvspan(1 - minimum_effect, 1 + minimum_effect, color=PALETTE["band"], linewidth=0, zorder=0.5)
    axes.axvline(1, color=PALETTE["muted"], linewidth=0.9, zorder=1)
    ends = [1 / 1.3, 1.3]
    for y, row in zip(range(len(ratios))[::-1], ratios, strict=True):
        value, low, high = q.point(row["ratio"])
        low, high = (v if math.isfinite(v) and v > 0 else value for v in (low, high))
        color = _verdict_color(row["metric"], low, high, minimum_effect)
        axes.axhline(y, color=PALETTE["grid"], linewidth=0.6, zorder=0.4)
        axes.plot([low, high], [y, y], color=color, linewidth=2.4, alpha=0.55, solid_capstyle="butt", zorder=3)
        axes.plot([value], [y], "o", color=color, markeredgecolor="white", markersize=4.5, zorder=4)
        axes.annotate(f"×{q.number(value)}", (value, y), (0, 4.5), textcoords="offset points", ha="center", va="bottom",
                      fontsize=SMALL_PT, color=color, fontweight="bold", zorder=3,
                      bbox={"boxstyle": "square,pad=0.05", "facecolor": "white", "edgecolor": "none"})  # fmt: skip
        ends += [low, high]
    axes.set_xlim(min(ends) / 1.25, max(ends) * 1.25)
    axes.set_ylim(-0.6, len(ratios) - 0.25)
    names = [t(f"compare.{row['metric']}", load=amount(float(row["load"]), levels, load, t)) for row in ratios]
    axes.set_yticks(range(len(ratios))[::-1], names)
    axes.tick_params(axis="y", length=0, labelcolor=PALETTE["text"])
    axes.spines["left"].set_visible(False)
    inside = [tick for tick in RATIO_TICKS if min(ends) / 1.25 <= tick <= max(ends) * 1.25]
    few = inside if len(inside) <= 5 else [v for v in inside if round(math.log10(v), 6).is_integer()]
    axes.xaxis.set_major_locator(FixedLocator(few))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"×{value:g}"))
    panel_title(axes, t("compare.ratio_title"))
    axes.set_xlabel(t("compare.ratio_axis", percent=q.number(100 * minimum_effect)))


def _verdict_color(metric: str, low: float, high: float, minimum_effect: float) -> str:
    """Better, worse, or no clear change; more throughput is better, more of anything else is worse."""
    up, down = low > 1 + minimum_effect, high < 1 - minimum_effect
    if not up and not down:
        return PALETTE["muted"]
    better = up if metric == "throughput_rps" else down
    return PALETTE["target"] if better else PALETTE["limit"]
