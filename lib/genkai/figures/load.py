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
    fix_layout,
    new_figure,
    panel_title,
    panels,
    styled,
)  # fmt: skip
from genkai.figures.texts import Texts, texts_of

# Panel of the live view: role of its colour, unit, least height of its axis in the drawn unit.
LIVE_PANELS = {
    "throughput_rps": ("measured", "rps", 0.0),
    "p95_s": ("measured", "s", 0.0),
    "failed_rps": ("error", "rps", 5.0),
    "generator_cpu_ratio": ("generator", "ratio", 100.0),
}
FAR = 8.0  # a ceiling this many times what is needed goes on a logarithmic axis
LIVE_POINTS = 600  # more than pixels: older seconds are thinned so that a redraw costs the same after an hour
MAX_PANELS = 12


@styled
def live(progress: Iterable[Any], figure: Figure | None = None, *, target_rps: float | None = None,
         t: Any = None) -> Figure:  # fmt: skip
    """The view while a run goes on: throughput, response time, failures a second, the generator's CPU.

    progress: launch.Progress of each second so far (or mappings of its fields); figure: the one returned before, which
    is drawn anew. The margins are fixed and old seconds thinned, so that a redraw costs the same after an hour.
    """
    t = texts_of(t)
    figure = figure or new_figure(72, layout=None)
    figure.clear()
    frame = pd.DataFrame([row if isinstance(row, Mapping) else vars(row) for row in progress])
    if frame.empty:
        figure.text(0.5, 0.5, t("load.waiting"), ha="center", va="center", color=PALETTE["muted"], fontsize=TITLE_PT)
        return figure
    q.need_columns(frame, ["elapsed_s", "throughput_rps"], "live")
    frame = _live_frame(frame)
    axes = [dress(panel) for panel in figure.subplots(2, 2, sharex=True, squeeze=False).ravel()]
    figure.subplots_adjust(left=0.075, right=0.975, bottom=0.13, top=0.9, hspace=0.42, wspace=0.2)
    for panel, (name, look) in zip(axes, LIVE_PANELS.items(), strict=True):
        _live_panel(panel, frame, name, look, t)
        panel.set_xlim(0, max(float(frame["elapsed_s"].iloc[-1]), 10.0))
    if target_rps:
        draw_threshold(axes[0], target_rps)
        axes[0].set_ylim(0, max(axes[0].get_ylim()[1], target_rps * 1.12))
    q.clock_ticks(axes[0].xaxis, 1.6 * axes[0].get_xlim()[1])
    for panel in axes[2:]:
        panel.set_xlabel(t("plan.time_axis"))
    return figure


def _live_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """At most LIVE_POINTS rows, the last one kept, with failures a second from the count so far."""
    step = max(1, math.ceil(len(frame) / LIVE_POINTS))
    frame = frame.sort_values("elapsed_s").iloc[::-step].iloc[::-1]
    if "failed" in frame:
        frame["failed_rps"] = frame["failed"].diff().fillna(0.0) / frame["elapsed_s"].diff().fillna(1.0).clip(
            lower=1e-3
        )
    return frame


def _live_panel(axes: Axes, frame: pd.DataFrame, name: str, look: tuple[str, str, float], t: Texts) -> None:
    """One quantity of the live view, its latest value in the title; with the throughput, the load that is asked for."""
    role, unit, floor = look
    title = t(f"load.{name}")
    if name not in frame or frame[name].isna().all():
        panel_title(axes, t("load.not_measured", quantity=title))
        axes.set_ylim(0, 1)
        axes.set_yticks([])
        return
    y = frame[name].to_numpy(float)
    factor, unit = q.display_unit(unit, float(np.nanmax(y)))
    x, period = frame["elapsed_s"].to_numpy(float), usual_period(frame["elapsed_s"])
    axes.plot(*with_gaps(x, y * factor, period), color=PALETTE[role], linewidth=1.5, zorder=3, label=name)
    text = t("load.now", quantity=title, value=q.with_unit(y[np.isfinite(y)][-1] * factor, unit))
    highest = floor
    if name == "throughput_rps" and "intended" in frame:
        asked, rate = frame["intended"].to_numpy(float), frame["workload"].iloc[-1] == "open"
        text += " " + t("load.asked", load=t("bands.rps" if rate else "bands.users", value=q.number(round(asked[-1]))))
        if rate:
            axes.plot(x, asked, color=PALETTE["idle"], linewidth=1.1, zorder=2, label="intended")
            highest = float(asked.max())
    axes.set_title(text, loc="left", fontsize=TEXT_PT, pad=3, color=PALETTE[role], fontweight="bold")
    axes.set_ylim(0, top_of(y * factor, highest, headroom=1.12))
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
    fix_layout(figure)
    for title in titles:
        trim(title.axes, title)
    for axes, height, text in waiting:
        ends = [(edge, height) for edge in axes.get_xlim()]
        name_line(axes, ends, text, PALETTE["target"], bold=True)
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
            named.append((axes, limit, t("load.target", value=q.with_unit(limit, unit))))
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
    best = max(q.value_of(r) for r in rows.values())
    far = bool(needed) and best > FAR * needed  # on a linear axis the target would be a hair's breadth
    if far:
        axes.set_xscale("log")
        axes.set_xlim(target_rps / 4, best * 6)
    else:
        axes.set_xlim(0, top_of(best, needed, headroom=1.28))
    for y, record in zip(range(len(rows), 0, -1), rows.values(), strict=True):
        _ceiling_bar(axes, y, record, needed, target_rps, t)
    if target_rps:
        _target_bar(axes, target_rps, margin, t)
    names = [*rows, *([t("plan.target")] if target_rps else [])]
    axes.set_yticks([*range(len(rows), 0, -1), *([0] if target_rps else [])], names)
    axes.tick_params(axis="y", length=0, labelsize=TEXT_PT, labelcolor=PALETTE["text"])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(t("plan.rps_axis"))
    if far:
        axes.xaxis.set_major_formatter(lambda value, _: q.number(value))
        axes.minorticks_off()
    else:
        q.plain_ticks(axes.xaxis, 7)
    return figure


def _target_bar(axes: Axes, target_rps: float, margin: float, t: Texts) -> None:
    needed = target_rps * margin
    axes.barh(0, target_rps, height=0.52, color=PALETTE["target"], zorder=3)
    axes.annotate(f"{q.number(target_rps)} rps", (target_rps, 0), (-4, 0), textcoords="offset points", va="center",
                  ha="right", color="white", fontsize=SMALL_PT, fontweight="bold", zorder=5)  # fmt: skip
    axes.axvline(needed, color=PALETTE["target"], linestyle=DASHES["target"], linewidth=1.1, zorder=4)
    text = t("load.needed", margin=q.number(margin), value=q.number(needed))
    axes.annotate(text, (needed, 0), (4, 0), va="center", textcoords="offset points", color=PALETTE["target"],
                  fontsize=SMALL_PT)  # fmt: skip


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
