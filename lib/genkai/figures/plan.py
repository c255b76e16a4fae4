"""Figures of the plan: how much load must be carried, what that depends on, and the load that is planned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genkai.capacity import Capacity, Sensitivity
from genkai.figures import quantities as q
from genkai.figures.bands import draw_threshold, top_of
from genkai.figures.place import SideLabel, label_right
from genkai.figures.style import (
    PALETTE,
    SMALL_PT,
    TEXT_PT,
    blank,
    dress,
    fix_layout,
    new_figure,
    panel_title,
    panels,
    styled,
)
from genkai.figures.texts import Texts, texts_of
from genkai.plan import Level


@styled
def plan_tornado(sensitivity: Sequence[Sensitivity], capacity: Capacity, *, t: Any = None) -> Figure:
    """How far the target moves when one factor of the estimate moves through its range, widest first."""
    t = texts_of(t)
    if not sensitivity:
        return blank(t("plan.no_range"), height_mm=30)
    figure = new_figure(22 + 9.5 * len(sensitivity))
    (axes,) = panels(figure, 1)
    dress(axes, grid="x")
    axes.yaxis.grid(False)
    rows = list(range(len(sensitivity)))[::-1]
    for y, row in zip(rows, sensitivity, strict=True):
        for end, factor, color, ha, shift in (
            (row.target_at_low_rps, row.low, PALETTE["measured_light"], "right", -3),
            (row.target_at_high_rps, row.high, PALETTE["measured"], "left", 3),
        ):
            axes.barh(y, end - capacity.target_rps, left=capacity.target_rps, height=0.56, color=color, zorder=3)
            label = t("plan.tornado_end", factor=q.number(factor), target=q.number(end))
            axes.annotate(
                label, (end, y), (shift, 0), textcoords="offset points", ha=ha, va="center", fontsize=SMALL_PT
            )
    axes.axvline(capacity.target_rps, color=PALETTE["target"], linewidth=1.4, zorder=4)
    axes.annotate(t("scale.target", value=q.number(capacity.target_rps)).replace("\n", " "), (capacity.target_rps, 1),
                  (0, 2), xycoords=axes.get_xaxis_transform(), textcoords="offset points", ha="center", va="bottom",
                  color=PALETTE["target"], fontweight="bold", fontsize=TEXT_PT)  # fmt: skip
    _dress_tornado(axes, sensitivity, rows, t)
    return figure


def _dress_tornado(axes: Axes, sensitivity: Sequence[Sensitivity], rows: list[int], t: Texts) -> None:
    axes.set_yticks(rows, [t(f"plan.{row.factor}") for row in sensitivity])
    axes.tick_params(axis="y", length=0, labelsize=TEXT_PT, labelcolor=PALETTE["text"])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlim(0, max(row.target_at_high_rps for row in sensitivity) * 1.22)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(t("plan.target_axis"))
    q.plain_ticks(axes.xaxis, 7)


@styled
def plan_capacity(capacity: Capacity, *, t: Any = None) -> Figure:
    """From accesses a day to the target: mean, times peak factor, times safety factor, with the estimate's range."""
    t = texts_of(t)
    figure = new_figure(52)
    (axes,) = panels(figure, 1)
    dress(axes, grid="x")
    axes.yaxis.grid(False)
    values = [capacity.mean_rps, capacity.peak_rps, capacity.target_rps]
    right = top_of(values, capacity.high_rps, headroom=1.3)
    axes.set_xlim(0, right)
    axes.barh([2, 1, 0], values, height=0.5, zorder=3,
              color=[PALETTE["measured_light"], PALETTE["measured"], PALETTE["target"]])  # fmt: skip
    if capacity.high_rps > capacity.low_rps:
        axes.errorbar([capacity.target_rps], [0], xerr=[[capacity.target_rps - capacity.low_rps],
                      [capacity.high_rps - capacity.target_rps]], fmt="none", ecolor=PALETTE["model"], elinewidth=1.2,
                      capsize=3, zorder=5)  # fmt: skip
    texts = [
        t("plan.from_day", accesses=q.number(capacity.accesses_per_day), value=q.number(capacity.mean_rps)),
        t("plan.times", factor=q.number(capacity.peak_rps / capacity.mean_rps), value=q.number(capacity.peak_rps)),
        t("plan.times", factor=q.number(capacity.target_rps / capacity.peak_rps), value=q.number(capacity.target_rps)),
    ]
    if capacity.high_rps > capacity.low_rps:
        texts[2] += "  " + t("plan.range", low=q.number(capacity.low_rps), high=q.number(capacity.high_rps))
    for y, end in ((2, values[0]), (1, values[1])):
        axes.plot(
            [end, end], [y - 0.25, y - 0.75], color=PALETTE["idle"], linewidth=0.8, linestyle=(0, (2, 1.5)), zorder=2
        )
    axes.set_yticks([2, 1, 0], [t("plan.mean"), t("plan.peak"), t("plan.target")])
    axes.tick_params(axis="y", length=0, labelsize=TEXT_PT, labelcolor=PALETTE["text"])
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-0.6, 2.55)
    axes.set_xlabel(t("plan.rps_axis"))
    q.plain_ticks(axes.xaxis, 7)
    fix_layout(figure)
    for y, text, end in zip((2, 1, 0), texts, values, strict=True):
        _beside(axes, end, y, text, right, over_whisker=y == 0 and capacity.high_rps > capacity.low_rps)
    return figure


def _beside(axes: Axes, end: float, y: float, text: str, right: float, over_whisker: bool) -> None:
    """Write beside a bar's end, above the whisker where there is one, or above the bar where there is no room."""
    note = axes.annotate(text, (end, y), (5, 4 if over_whisker else 0), textcoords="offset points", ha="left",
                         va="bottom" if over_whisker else "center", fontsize=SMALL_PT,
                         fontweight="bold" if y == 0 else "normal")  # fmt: skip
    if note.get_window_extent().x1 > axes.get_window_extent().x1:
        note.xy, note.xyann = (right, y + 0.3), (0, 1)
        note.set(ha="right", va="bottom")


@styled
def load_curve(levels: Sequence[Level], target_rps: float | None = None, *, t: Any = None) -> Figure:
    """The planned load over time: ramps, holds as bands, and the target where the load is an arrival rate.

    levels: of one step of the plan; a level given as target_ratio is drawn in rps where target_rps is known.
    """
    t = texts_of(t)
    if not levels:
        return blank(t("plan.no_levels"))
    kind, heights = _planned(levels, target_rps)
    figure = new_figure(42 if len(levels) == 1 else 50)
    (axes,) = panels(figure, 1)
    x, y = [0.0], [0.0]
    label_points, labels = [], []
    for level, height in zip(levels, heights, strict=True):
        x += [x[-1] + level.ramp_s, x[-1] + level.ramp_s + level.hold_s]
        y += [height, height]
        axes.axvspan(x[-2], x[-1], color=PALETTE["level"], linewidth=0, zorder=0)
        label_points.append(((x[-2] + x[-1]) / 2, height))
    axes.fill_between(x, 0, y, color=PALETTE["measured"], alpha=0.15, linewidth=0, zorder=2)
    axes.plot(x, y, color=PALETTE["measured"], linewidth=1.8, zorder=3, label="planned")
    goal = {"rps": target_rps, "ratio": 1.0}.get(kind)
    axes.set_xlim(0, x[-1])
    axes.set_ylim(0, top_of(y, goal or 0, headroom=1.2))
    if goal:
        draw_threshold(axes, goal)
        text = t("scale.target", value=q.number(goal)) if kind == "rps" else t("plan.target")
        labels.append(SideLabel(goal, text, PALETTE["target"], True))
    axes.set_xlabel(t("plan.time_axis_h" if x[-1] > 7200 else "plan.time_axis"))
    panel_title(axes, t(f"plan.load_{kind}"))
    q.clock_ticks(axes.xaxis, x[-1])
    q.plain_ticks(axes.yaxis, 5)
    label_right(axes, labels)
    _name_planned(axes, label_points, goal or np.inf)
    return figure


def _planned(levels: Sequence[Level], target_rps: float | None) -> tuple[str, list[float]]:
    """(users, rps or ratio; the heights of the levels in it)."""
    if levels[0].users is not None:
        return "users", [float(level.users or 0) for level in levels]
    ratios = any(level.target_ratio is not None for level in levels)
    if ratios and not target_rps:
        return "ratio", [float(level.target_ratio or np.nan) for level in levels]
    return "rps", [level.arrival_rate_rps or (level.target_ratio or 0) * (target_rps or 0) for level in levels]


def _name_planned(axes: Axes, points: list[tuple[float, float]], goal: float) -> None:
    """Write each level's load above its hold, or below where the goal's line runs there, as far as there is room."""
    fix_layout(axes.figure)
    last = -np.inf
    for x, y in points:
        below = y <= goal < y + 0.12 * axes.get_ylim()[1]
        note = axes.annotate(q.number(y), (x, y), (0, -3 if below else 3), textcoords="offset points", ha="center",
                             va="top" if below else "bottom",
                             fontsize=SMALL_PT, color=PALETTE["measured"], fontweight="bold")  # fmt: skip
        box = note.get_window_extent()
        note.set_visible(box.x0 > last + 2)
        last = box.x1 if note.get_visible() else last
