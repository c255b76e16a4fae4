"""This cycle against the previous one, and the history of all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from genkai.figures import quantities as q
from genkai.figures.bands import draw_threshold, top_of
from genkai.figures.place import SideLabel, label_right
from genkai.figures.scale import amount, load_axis
from genkai.figures.style import PALETTE, SMALL_PT, TEXT_PT, blank, dress, new_figure, panel_title, panels, styled
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
    label_right(top, labels)
    label_right(below, lower)
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
        labels.append(SideLabel(target * factor, t("load.target", value=q.number(target * factor), unit=unit),
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


@styled
def history(cycles: Sequence[Mapping[str, Any]], *, t: Any = None) -> Figure:
    """The limit found in each cycle with its interval, against the target, and what was done before it.

    cycles: oldest first: {"number", "limit": record (rps) or None, "target_rps", "action": text or None}; the last 12.
    """
    t = texts_of(t)
    rows = list(cycles)[-12:]
    if not rows:
        return blank(t("compare.no_cycles"))
    figure = new_figure(22 + 11.5 * len(rows))
    (axes,) = panels(figure, 1)
    dress(axes, grid="x")
    axes.yaxis.grid(False)
    places = list(range(len(rows)))[::-1]
    targets = [float(row.get("target_rps") or math.nan) for row in rows]
    axes.set_xlim(0, top_of([q.value_of(row.get("limit")) for row in rows], targets, headroom=1.3))
    for y, row, target in zip(places, rows, targets, strict=True):
        _history_row(axes, y, row, target, t)
    axes.set_yticks(places, [t("compare.cycle", number=row["number"]) for row in rows])
    axes.tick_params(axis="y", length=0, labelsize=TEXT_PT, labelcolor=PALETTE["text"])
    axes.set_ylim(-0.62, len(rows) - 0.35)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(t("compare.limit_axis"))
    q.plain_ticks(axes.xaxis, 7)
    known = [v for v in targets if math.isfinite(v)]
    if known:
        axes.annotate(t("load.target", value=q.number(known[0]), unit="rps"), (known[0], 1), (0, 2), ha="center",
                      va="bottom", xycoords=axes.get_xaxis_transform(), textcoords="offset points", fontsize=SMALL_PT,
                      color=PALETTE["target"], fontweight="bold")  # fmt: skip
    return figure


def _history_row(axes: Axes, y: int, row: Mapping[str, Any], target: float, t: Texts) -> None:
    value, low, high = q.point(row.get("limit"))
    reached = math.isfinite(target) and value >= target
    color = PALETTE["measured"] if reached or not math.isfinite(target) else PALETTE["limit"]
    if math.isfinite(target):
        axes.plot([target, target], [y - 0.42, y + 0.42], color=PALETTE["target"], linewidth=1.6, zorder=5)
    if row.get("action"):
        text = str(row["action"])
        axes.annotate(text if len(text) <= 90 else text[:89] + "…", (0, y - 0.26), (2, 0), textcoords="offset points",
                      va="top", ha="left", fontsize=SMALL_PT, color=PALETTE["muted"])  # fmt: skip
    if not math.isfinite(value):
        axes.annotate(t("compare.no_limit"), (0, y), (4, 0), textcoords="offset points", va="center", fontsize=SMALL_PT,
                      color=PALETTE["muted"])  # fmt: skip
        return
    axes.barh(y + 0.06, value, height=0.42, color=color, zorder=3)
    if math.isfinite(low) and math.isfinite(high):
        axes.errorbar([value], [y + 0.06], xerr=np.array([[max(value - low, 0)], [max(high - value, 0)]]), fmt="none",
                      ecolor=PALETTE["model"], elinewidth=1.2, capsize=3, zorder=6)  # fmt: skip
    right = max(v for v in (value, high, target if abs(target - value) < 0.12 * value else value) if math.isfinite(v))
    axes.annotate(q.measured(row["limit"], "rps"), (right, y + 0.06), (6, 0), textcoords="offset points", va="center",
                  fontsize=SMALL_PT, fontweight="bold", color=color, zorder=7,
                  bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"})  # fmt: skip
