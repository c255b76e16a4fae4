"""Figures of the load: the live view of a run, each API by itself, the generator's own ceiling."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genkai.figures import quantities as q
from genkai.figures.bands import draw_threshold, top_of, usual_period, with_gaps
from genkai.figures.place import name_line, trim
from genkai.figures.scale import load_axis
from genkai.figures.style import (
    DASHES,
    PALETTE,
    SMALL_PT,
    TEXT_PT,
    TITLE_PT,
    blank,
    dress,
    new_figure,
    panel_title,
    panels,
    styled,
)  # fmt: skip
from genkai.figures.texts import Texts, texts_of

LIVE_POINTS = 600  # more than pixels: older seconds are thinned so that a redraw costs the same after an hour
MAX_PANELS = 12


@styled
def live(progress: pd.DataFrame | Iterable[Mapping[str, Any]], figure: Figure | None = None, *,
         target_rps: float | None = None, t: Any = None) -> Figure:  # fmt: skip
    """The view while a run goes on: throughput and what is intended, response time, errors, the generator's CPU.

    progress: one record a second: time (epoch seconds or UTC), throughput_rps, and where known intended_rps (or
    intended_users), p95_s, error_ratio, cpu_ratio (of its busiest process). figure: the one returned before; it is
    drawn anew with fixed margins, which costs no layout.
    """
    t = texts_of(t)
    frame = progress if isinstance(progress, pd.DataFrame) else pd.DataFrame(list(progress))
    if figure is None:
        figure = new_figure(72, layout=None)
    figure.clear()
    if frame.empty or "time" not in frame:
        figure.text(0.5, 0.5, t("load.waiting"), ha="center", va="center", color=PALETTE["muted"], fontsize=TITLE_PT)
        return figure
    frame = frame.sort_values("time").iloc[:: -max(1, math.ceil(len(frame) / LIVE_POINTS))].iloc[::-1]
    axes = [dress(panel) for panel in figure.subplots(2, 2, sharex=True, squeeze=False).ravel()]
    figure.subplots_adjust(left=0.075, right=0.975, bottom=0.13, top=0.9, hspace=0.42, wspace=0.2)
    x = q.seconds_of(frame["time"])
    x, start = x - x[0], float(x[0])
    _live_panel(axes[0], x, frame, ("throughput_rps", "intended_rps"), t)
    if target_rps:
        draw_threshold(axes[0], target_rps)
        axes[0].set_ylim(0, max(axes[0].get_ylim()[1], target_rps * 1.12))
    _live_panel(axes[1], x, frame, ("p95_s",), t)
    _live_panel(axes[2], x, frame, ("error_ratio",), t)
    _live_panel(axes[3], x, frame, ("cpu_ratio",), t)
    for panel in axes:
        panel.set_xlim(0, max(float(x[-1]), 10.0))
    q.clock_ticks(axes[0].xaxis, 1.6 * max(float(x[-1]), 10.0))
    for panel in axes[2:]:
        panel.set_xlabel(t("bands.elapsed", start=f"{pd.Timestamp(start, unit='s'):%H:%M:%S}"))
    return figure


def _live_panel(axes: Axes, x: np.ndarray, frame: pd.DataFrame, names: tuple[str, ...], t: Texts) -> None:
    """One quantity of the live view, its latest value in the title."""
    looks = {"throughput_rps": "measured", "intended_rps": "idle", "p95_s": "measured", "error_ratio": "error",
             "cpu_ratio": "generator"}  # fmt: skip
    known = [name for name in names if name in frame and frame[name].notna().any()]
    title = t(f"load.{names[0]}")
    if names[0] not in known:
        panel_title(axes, t("load.not_measured", quantity=title))
        axes.set_ylim(0, 1)
        axes.set_yticks([])
        return
    largest = float(frame[known].astype(float).max().max())
    unit_of = {"throughput_rps": "rps", "p95_s": "s", "error_ratio": "ratio", "cpu_ratio": "ratio"}
    factor, unit = q.display_unit(unit_of[names[0]], largest)
    for name in known:
        line = with_gaps(x, frame[name].to_numpy(float) * factor, usual_period(x))
        axes.plot(
            *line,
            color=PALETTE[looks[name]],
            linewidth=1.5 if name == names[0] else 1.1,
            label=name,
            drawstyle="default" if name == names[0] else "steps-post",
            zorder=3 if name == names[0] else 2,
        )
    now = float(frame[names[0]].dropna().iloc[-1]) * factor
    text = t("load.now", quantity=title, value=q.number(now), unit=unit)
    if len(known) > 1:
        text += " " + t("load.intended", value=q.number(float(frame[known[1]].dropna().iloc[-1]) * factor))
    axes.set_title(text, loc="left", fontsize=TEXT_PT, pad=3, color=PALETTE[looks[names[0]]], fontweight="bold")
    floor = {"error_ratio": 5.0, "cpu_ratio": 100.0}.get(names[0], 0.0)
    axes.set_ylim(0, top_of(largest * factor, floor, headroom=1.12))
    q.plain_ticks(axes.yaxis, 4)


@styled
def api_steps(levels: pd.DataFrame, targets: Mapping[str, Mapping[str, float | None]] | None = None, *,
              load: str = "intended", t: Any = None) -> Figure:  # fmt: skip
    """One panel pair for each API: throughput and p95 against its load, with its targets.

    levels: levels tables of the APIs, one under the other (column api); targets: {api: {"throughput_rps", "p95_s"}}.
    At most 12 APIs are drawn, in the table's order.
    """
    t, targets = texts_of(t), targets or {}
    q.need_columns(levels, ["api", load, "throughput_rps", "p95_s"], "api_steps")
    names = list(dict.fromkeys(levels["api"]))[:MAX_PANELS]
    if not names:
        return blank(t("scale.empty", levels=0))
    columns = len(names) if len(names) <= 3 else 3 if len(names) in (5, 6, 9) else 4 if len(names) > 6 else 2
    blocks = math.ceil(len(names) / columns)
    figure = new_figure(14 + 62 * blocks)
    grid = figure.subplots(2 * blocks, columns, squeeze=False, height_ratios=[1.5, 1] * blocks)
    limits = [(targets.get(name) or {}).get("p95_s") or 0.0 for name in names]
    time = q.time_unit(top_of(levels["p95_s"], limits, headroom=1.0))
    waiting, titles = [], []
    for index in range(blocks * columns):
        pair = [dress(grid[2 * (index // columns) + row][index % columns]) for row in (0, 1)]
        if index >= len(names):
            pair[0].set_visible(False)
            pair[1].set_visible(False)
            continue
        rows, target = levels[levels["api"] == names[index]], targets.get(names[index]) or {}
        waiting += _api_pair(pair, rows, target, load, time, t)
        titles.append(pair[0].set_title(names[index], loc="left", fontsize=TEXT_PT + 0.5, fontweight="bold", pad=4))
        if index % columns == 0:
            pair[0].set_ylabel(t("scale.throughput_axis"))
            pair[1].set_ylabel(t("load.p95_axis", unit=time[1]))
    figure.draw_without_rendering()
    for title in titles:
        trim(title.axes, title)
    for axes, height, text in waiting:
        ends = [(edge, height) for edge in axes.get_xlim()]
        name_line(axes, ends, text, PALETTE["target"], bold=True, laid_out=True)
    return figure


def _api_pair(pair: list[Axes], rows: pd.DataFrame, target: Mapping[str, float | None], load: str,
              time: tuple[float, str], t: Texts) -> list[tuple[Axes, float, str]]:  # fmt: skip
    """Draw one API; returns (axes, height, text) of its targets, to be named when the layout is known."""
    top, below = pair
    shown = rows[rows["throughput_rps"].notna()].sort_values(load)
    top.tick_params(axis="x", labelbottom=False)
    below.set_xlabel(load_axis(rows, load, t))
    named = []
    for axes, column, scale, unit in ((top, "throughput_rps", 1.0, "rps"), (below, "p95_s", *time)):
        limit = (target.get(column) or 0.0) * scale
        axes.set_xlim(0, top_of(rows[load], headroom=1.07))
        axes.set_ylim(0, top_of(shown[column] * scale, limit, headroom=1.3))
        q.plain_ticks(axes.xaxis, 4)
        q.plain_ticks(axes.yaxis, 4)
        axes.plot(shown[load], shown[column] * scale, "o-", color=PALETTE["measured"], markeredgecolor="white",
                  linewidth=1.4, markersize=5, zorder=4, label=column)  # fmt: skip
        if limit:
            draw_threshold(axes, limit)
            named.append((axes, limit, t("load.target", value=q.number(limit), unit=unit)))
    if shown.empty:
        top.text(0.5, 0.4, t("load.nothing"), transform=top.transAxes, ha="center", color=PALETTE["limit"],
                 fontsize=SMALL_PT)  # fmt: skip
    return named


@styled
def ceiling(ceilings: Any, target_rps: float | None, margin: float = 1.5, *, t: Any = None) -> Figure:
    """What the generator can put out at most, against the target and the margin that it must have over it.

    ceilings: one number record (rps), or {name: record} of several set-ups such as one process and two workers.
    """
    t = texts_of(t)
    several = isinstance(ceilings, Mapping) and "value" not in ceilings
    rows = dict(ceilings) if several else {t("load.ceiling"): ceilings}
    rows = {name: record for name, record in rows.items() if math.isfinite(q.value_of(record))}
    if not rows:
        return blank(t("load.no_ceiling"), height_mm=30)
    figure = new_figure(27 + 9 * len(rows))
    (axes,) = panels(figure, 1)
    dress(axes, grid="x")
    axes.yaxis.grid(False)
    needed = (target_rps or 0) * margin
    axes.set_xlim(0, top_of([q.value_of(r) for r in rows.values()], needed, headroom=1.28))
    for y, record in zip(range(len(rows), 0, -1), rows.values(), strict=True):
        _ceiling_bar(axes, y, record, needed, target_rps, t)
    if target_rps:
        axes.barh(0, target_rps, height=0.52, color=PALETTE["target"], zorder=3)
        axes.annotate(f"{q.number(target_rps)} rps", (target_rps, 0), (-4, 0), textcoords="offset points", va="center",
                      ha="right", color="white", fontsize=SMALL_PT, fontweight="bold", zorder=5)  # fmt: skip
        axes.axvline(needed, color=PALETTE["target"], linestyle=DASHES["target"], linewidth=1.1, zorder=4)
        text = t("load.needed", margin=q.number(margin), value=q.number(needed))
        axes.annotate(text, (needed, 0), (4, 0), va="center", textcoords="offset points", color=PALETTE["target"],
                      fontsize=SMALL_PT)  # fmt: skip
    names = [*rows, *([t("plan.target")] if target_rps else [])]
    axes.set_yticks([*range(len(rows), 0, -1), *([0] if target_rps else [])], names)
    axes.tick_params(axis="y", length=0, labelsize=TEXT_PT, labelcolor=PALETTE["text"])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(t("plan.rps_axis"))
    q.plain_ticks(axes.xaxis, 7)
    return figure


def _ceiling_bar(axes: Axes, y: int, record: Any, needed: float, target_rps: float | None, t: Texts) -> None:
    value, low, high = q.point(record)
    axes.barh(y, value, height=0.52, color=PALETTE["generator"], zorder=3)
    if math.isfinite(low) and math.isfinite(high):
        axes.errorbar([value], [y], xerr=[[max(value - low, 0)], [max(high - value, 0)]], fmt="none", zorder=5,
                      ecolor=PALETTE["model"], elinewidth=1.2, capsize=3)  # fmt: skip
    text = q.measured(record, "rps")
    if target_rps:
        text += "\n" + t("load.margin", factor=q.number(value / target_rps))
    short = needed > value * 0.98
    axes.annotate(text, (max(value, high if math.isfinite(high) else value), y), (5, 0), textcoords="offset points",
                  ha="left", va="center", fontsize=SMALL_PT, fontweight="bold", linespacing=1.15,
                  color=PALETTE["limit"] if short else PALETTE["generator"],
                  bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}, zorder=6)  # fmt: skip
