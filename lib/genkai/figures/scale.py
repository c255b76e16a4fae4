"""The scale characteristic: throughput against load, what bends it, and response time beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genkai.analyse.limit import beyond_measured, limit_of
from genkai.figures import quantities as q
from genkai.figures.bands import draw_threshold, top_of
from genkai.figures.fits import bend_of, drawn_curve, intervals_of, model_name, stall_start
from genkai.figures.place import SideLabel, callout, fit_text, label_panels, name_line
from genkai.figures.style import DASHES, PALETTE, blank, headline, new_figure, panel_title, panels, styled
from genkai.figures.texts import Texts, texts_of

BAND, FADES = 0.14, 16  # opacity of an interval's band, and steps in which it fades where it has no upper end
OPEN_AT = 0.05  # share of the load axis at which the arrow of an open end stands
FAR = 1.5  # a line higher than this multiple of all else is named at the top instead of flattening everything


@styled
def scale(levels: pd.DataFrame, fit: Mapping[str, Any] | None = None, curve: pd.DataFrame | None = None,
          target_rps: float | None = None, generator_ceiling: Any = None, *, target_p95_s: float | None = None,
          subject: str | None = None, load: str = "intended", title: str | None = None,
          t: Any = None) -> Figure:  # fmt: skip
    """Throughput against load with the model, its bend and its limit; response time below on the same load axis.

    levels: the levels table, of several APIs the rows of subject; fit: the fit record, or None; its points carry the
    intervals; curve: what to draw of the fit, columns load, throughput_rps and where known low, high, runner_up_rps,
    ideal_rps (default: drawn_curve of the fit); generator_ceiling: rps, number or record; load: the levels' column on
    the x axis, the one that was fitted. Raises FigureError when levels lack a column.
    """
    t, fit = texts_of(t), fit or {}
    q.need_columns(levels, [load, "throughput_rps", "p95_s"], "scale")
    levels = q.of_subject(levels, subject)
    curve = drawn_curve(fit) if curve is None else curve
    shown = levels[levels["throughput_rps"].notna() & levels[load].notna()].sort_values(load)
    if shown.empty:
        return blank(t("scale.empty", levels=len(levels)))
    figure = new_figure(88)
    top, below = panels(figure, 2, sharex=True, height_ratios=[2.5, 1])
    far = max([float(shown[load].max()), *_values(curve, "load")]) * 1.03
    top.set_xlim(0, far)
    labels = _draw_lines(top, fit, curve, target_rps, generator_ceiling, shown, t)
    _shade_stall((top, below), fit, far)
    _draw_measured(top, shown, load, fit)
    lower = _draw_response(below, shown, load, target_p95_s, t)
    headline(top, title or _answer(shown, fit, curve, target_rps, load, t))
    _dress_axes(top, below, shown, load, t)
    label_panels([(top, labels), (below, lower)])
    _name_bends(top, below, shown, fit, curve, load, t)
    if curve is not None and "ideal_rps" in curve:
        _name_ideal(top, curve, t)
    return figure


def _values(curve: pd.DataFrame | None, column: str) -> list[float]:
    if curve is None or column not in curve.columns:
        return []
    return [float(v) for v in curve[column] if math.isfinite(v)]


def _answer(shown: pd.DataFrame, fit: Mapping[str, Any], curve: pd.DataFrame | None, target_rps: float | None,
            load: str, t: Texts) -> str:  # fmt: skip
    """The headline: the limit, else the bend, else how far it went without one; and the target."""
    limit = limit_of(fit)
    goal = t("scale.answer_target", target=q.number(target_rps)) if target_rps else ""
    best = float(shown["throughput_rps"].max())
    if math.isfinite(q.value_of(limit)) and q.value_of(limit) <= FAR * max(best, target_rps or 0):
        told = t(f"scale.answer_{_limit_key(fit)}", limit=q.number(q.value_of(limit)), interval=q.interval(limit))
        return told.strip() + goal
    knee = bend_of(fit)
    if math.isfinite(knee):
        bend = amount(knee, shown, load, t)
        return t("scale.answer_bend", knee=bend, best=q.number(best)) + goal
    return t("scale.answer_none" if fit.get("model") else "scale.answer_unknown", best=q.number(best)) + goal


def _limit_key(fit: Mapping[str, Any]) -> str:
    """The text of the limit: of what kind it is."""
    return "limit_model" if beyond_measured(fit) else "limit"


def _draw_lines(axes: Axes, fit: Mapping[str, Any], curve: pd.DataFrame | None, target_rps: float | None,
                generator_ceiling: Any, shown: pd.DataFrame, t: Texts) -> list[SideLabel]:  # fmt: skip
    """Model, band, runner-up, ideal, target, limits; sets the height of the axis and returns the labels beside it."""
    limit, generator = limit_of(fit), q.value_of(generator_ceiling)
    near = top_of(shown["throughput_rps"], target_rps or 0, _values(curve, "throughput_rps"), headroom=1.0)
    height = max([near, *(v for v in (generator, q.value_of(limit)) if v <= FAR * near)]) * 1.1
    axes.set_ylim(0, height)
    labels = _draw_model(axes, fit, curve, height, t) if curve is not None and len(curve) else []
    if target_rps:
        draw_threshold(axes, target_rps)
        labels.append(SideLabel(target_rps, t("scale.target", value=q.number(target_rps)), PALETTE["target"], True))
    for record, value, role in ((limit, q.value_of(limit), "limit"), (generator_ceiling, generator, "generator")):
        if not math.isfinite(value):
            continue
        key = _limit_key(fit) if role == "limit" else role
        label = t(f"scale.{key}", value=q.number(value), interval=q.interval(record)).strip()
        if value > height:
            labels.append(SideLabel(height, "▲ " + label, PALETTE[role]))
            continue
        if role == "limit":
            _draw_interval(axes, record, height)
        axes.axhline(value, color=PALETTE[role], linestyle=DASHES[role], linewidth=1.3, zorder=2.4)
        labels.append(SideLabel(value, label, PALETTE[role], role == "limit"))
    return labels


def _draw_interval(axes: Axes, record: Any, height: float) -> None:
    """The band of a limit's interval; without an upper end it fades upwards, and an arrow points there."""
    value, low, high = q.point(record)
    look = {"color": PALETTE["limit"], "linewidth": 0, "zorder": 1.2}
    if math.isfinite(low):
        axes.axhspan(low, min(high, height) if math.isfinite(high) else value, alpha=BAND, **look)
    if math.isfinite(high) or not math.isfinite(low):
        return
    for place, (bottom, top) in enumerate(pairwise(np.linspace(value, height, FADES + 1))):
        axes.axhspan(bottom, top, alpha=BAND * (1 - (place + 0.5) / FADES), **look)
    x, tip = OPEN_AT * axes.get_xlim()[1], value + 0.7 * (height - value)
    axes.plot([x, x], [value, tip], color=PALETTE["limit"], linewidth=1.3, zorder=2.4)
    axes.plot([x], [tip], "^", color=PALETTE["limit"], markersize=5.5, zorder=2.5, label="open_end")


def _draw_model(axes: Axes, fit: Mapping[str, Any], curve: pd.DataFrame, height: float, t: Texts) -> list[SideLabel]:
    x = curve["load"].to_numpy(float)
    labels = []
    if {"low", "high"} <= set(curve.columns):
        axes.fill_between(x, curve["low"], curve["high"], color=PALETTE["band"], linewidth=0, zorder=1.5)
    if "ideal_rps" in curve.columns:
        ideal = curve["ideal_rps"].where(curve["ideal_rps"] <= height * 0.985)
        axes.plot(x, ideal, color=PALETTE["idle"], linewidth=1, linestyle=(0, (1, 1.6)), zorder=1.8, label="ideal")
    if "runner_up_rps" in curve.columns:
        axes.plot(x, curve["runner_up_rps"], color=PALETTE["runner_up"], linewidth=0.9, linestyle=DASHES["runner_up"],
                  zorder=2.2, label="runner_up")  # fmt: skip
        name = model_name(fit.get("runner_up"), t)
        last = curve["runner_up_rps"].dropna()
        if len(last) and name:
            labels.append(SideLabel(float(last.iloc[-1]), t("scale.runner_up", model=name), PALETTE["runner_up"]))
    axes.plot(x, curve["throughput_rps"], color=PALETTE["model"], linewidth=1.7, zorder=3, label="model")
    last, name = curve["throughput_rps"].dropna(), model_name(fit.get("model"), t)
    if len(last) and name:
        labels.append(SideLabel(float(last.iloc[-1]), t("scale.model", model=name), PALETTE["model"]))
    return labels


def _name_ideal(axes: Axes, curve: pd.DataFrame, t: Texts) -> None:
    """Name the ideal line where it has left the model, at the place that is freest."""
    x, ideal = curve["load"].to_numpy(float), curve["ideal_rps"].to_numpy(float)
    ideal = np.where((ideal <= axes.get_ylim()[1] * 0.985) & (x <= axes.get_xlim()[1]), ideal, np.nan)
    apart = ideal > 1.1 * curve["throughput_rps"].to_numpy(float)
    known = np.flatnonzero(np.isfinite(ideal) & apart)
    if len(known) > 1:
        places = [known[int(len(known) * share) - 1] for share in (0.9, 0.97, 0.82, 0.75, 0.65)]
        name_line(axes, [(x[i], ideal[i]) for i in places], t("scale.ideal"), PALETTE["muted"])


def _shade_stall(axes: tuple[Axes, ...], fit: Mapping[str, Any], far: float) -> None:
    """Shade where more load brings no more: from the knee, or the peak where there is no knee, to the right."""
    start = stall_start(fit)
    if math.isfinite(start) and start < far:
        for panel in axes:
            panel.axvspan(start, far, color=PALETTE["stalled"], linewidth=0, zorder=0.2)


def _draw_measured(axes: Axes, shown: pd.DataFrame, load: str, fit: Mapping[str, Any]) -> None:
    kept = shown[~generator_limited(shown)]
    for level in intervals_of(fit):
        axes.plot([level["load"]] * 2, [level["low"], level["high"]], "_-", color=PALETTE["measured"], linewidth=1.4,
                  markersize=7, markeredgewidth=1.3, zorder=5.5, label="interval")  # fmt: skip
    size = 5 if intervals_of(fit) else 6.5
    axes.plot(kept[load], kept["throughput_rps"], "o", color=PALETTE["measured"], markeredgecolor="white",
              markeredgewidth=0.8, markersize=size, zorder=5.6, label="measured")  # fmt: skip
    draw_generator_limited(axes, shown, shown[load], shown["throughput_rps"])


def generator_limited(levels: pd.DataFrame) -> pd.Series:
    """Of each level, whether the generator was the limit: such a level tells nothing about the target."""
    if "generator_limited" not in levels:
        return pd.Series(False, index=levels.index)
    return levels["generator_limited"].fillna(False).astype(bool)


def draw_generator_limited(axes: Axes, levels: pd.DataFrame, x: pd.Series, y: pd.Series) -> None:
    """The levels at which the generator was the limit, hollow; x, y: where each level is, in the levels' order."""
    out = generator_limited(levels)
    if out.any():
        axes.plot(x[out], y[out], "o", markerfacecolor="white", markeredgecolor=PALETTE["generator"],
                  markeredgewidth=1.2, markersize=6, zorder=5, label="generator_limited")  # fmt: skip


def _draw_response(axes: Axes, shown: pd.DataFrame, load: str, target_p95_s: float | None,
                   t: Texts) -> list[SideLabel]:  # fmt: skip
    """Quantiles and their target; returns the labels beside the axes."""
    factor, unit = q.time_unit(float(shown["p95_s"].max()))
    panel_title(axes, t("bands.response", unit=unit))
    labels = draw_quantiles(axes, shown, load, factor)
    axes.set_ylim(0, top_of(shown["p95_s"] * factor, (target_p95_s or 0) * factor, headroom=1.15))
    if target_p95_s:
        draw_threshold(axes, target_p95_s * factor)
        text = t("scale.target_time", value=q.number(target_p95_s * factor), unit=unit)
        labels.append(SideLabel(target_p95_s * factor, text, PALETTE["target"], True))
    return labels


def draw_quantiles(axes: Axes, shown: pd.DataFrame, x: str, factor: float) -> list[SideLabel]:
    """p95, and p50 where it is known, against a column; returns the labels of the lines' ends."""
    labels = []
    for name, color, width in (("p50_s", PALETTE["measured_light"], 1.0), ("p95_s", PALETTE["measured"], 1.3)):
        known = shown[shown[name].notna()] if name in shown else shown.iloc[:0]
        if len(known):
            axes.plot(known[x], known[name] * factor, "o-", color=color, markeredgecolor="white", markeredgewidth=0.6,
                      markersize=3.2 + width, linewidth=width, zorder=3 + width, label=name[:-2])  # fmt: skip
            bold = name == "p95_s"
            labels.append(SideLabel(float(known[name].iloc[-1]) * factor, name[:-2], PALETTE["measured"], bold))
    return labels


def load_axis(levels: pd.DataFrame, load: str, t: Texts) -> str:
    """What the load axis is: users, arrival rate or concurrency, with its unit."""
    if load == "intended":
        closed = "workload" not in levels or not (levels["workload"] == "open").any()
        return t("scale.load_users") if closed else t("scale.load_rate")
    return t(f"scale.load_{load}") if load in ("concurrency", "instances") else load


def amount(value: float, levels: pd.DataFrame, load: str, t: Texts) -> str:
    """ "500 users", "500 rps" or, for another load, "500"."""
    if load != "intended":
        return q.number(value)
    closed = "workload" not in levels or not (levels["workload"] == "open").any()
    return t("bands.users" if closed else "bands.rps", value=q.number(value))


def _dress_axes(top: Axes, below: Axes, shown: pd.DataFrame, load: str, t: Texts) -> None:
    top.set_ylabel(t("scale.throughput_axis"))
    below.set_xlabel(load_axis(shown, load, t))
    q.plain_ticks(top.yaxis, 5)
    q.plain_ticks(below.yaxis, 3)
    q.plain_ticks(below.xaxis, 8)


def _name_bends(top: Axes, below: Axes, shown: pd.DataFrame, fit: Mapping[str, Any], curve: pd.DataFrame | None,
                load: str, t: Texts) -> None:  # fmt: skip
    """Name knee and peak on the model, the stalled region, the points that were left out, and the errors."""
    far = top.get_xlim()[1]
    start = stall_start(fit)
    if math.isfinite(start) and start < far:
        fit_text(top, start, far, t("scale.stalled"), PALETTE["limit"])
    bends = {"knee_load": ("D", bend_of(fit)), "peak_load": ("^", q.value_of(fit.get("peak_load")))}
    for key, (marker, at) in bends.items():
        if curve is None or not 0 < at <= far:
            continue
        y = float(np.interp(at, curve["load"].astype(float), curve["throughput_rps"].astype(float)))
        top.plot(
            [at], [y], marker, color=PALETTE["limit"], markeredgecolor="white", markersize=6.5, zorder=6, label=key
        )
        text = t(f"scale.{key}", value=amount(at, shown, load, t), interval=q.interval(fit[key])).strip()
        callout(top, at, y, text, PALETTE["limit"], bold=True)
    for arrow in (d for d in top.lines if d.get_label() == "open_end"):
        callout(top, *(float(v[0]) for v in arrow.get_data()), t("scale.open_end"), PALETTE["limit"])
    kept = shown[~generator_limited(shown)]
    if len(kept):
        middle = kept.iloc[len(kept) // 3]
        callout(top, float(middle[load]), float(middle["throughput_rps"]), _measured_name(fit, t), PALETTE["measured"])
    if len(kept) < len(shown):
        out = shown.drop(kept.index).iloc[-1]
        callout(top, float(out[load]), float(out["throughput_rps"]), t("scale.generator_limited"), PALETTE["generator"])
    _name_errors(below, shown, load, t)


def _measured_name(fit: Mapping[str, Any], t: Texts) -> str:
    return t("scale.measured" if intervals_of(fit) else "scale.measured_plain")


def _name_errors(axes: Axes, shown: pd.DataFrame, load: str, t: Texts) -> None:
    if "error_ratio" not in shown or not (shown["error_ratio"] > 0.001).any():
        return
    factor, _ = q.time_unit(float(shown["p95_s"].max()))
    worst = shown.loc[shown["error_ratio"].idxmax()]
    if math.isfinite(worst["p95_s"]):
        text = t("scale.errors", percent=q.number(100 * float(worst["error_ratio"])))
        callout(axes, float(worst[load]), float(worst["p95_s"]) * factor, text, PALETTE["error"], bold=True)
