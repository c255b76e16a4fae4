"""Other views of the levels: response time against throughput, efficiency, the windows that were measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genkai.analyse.limit import REACHED, limit_of
from genkai.figures import quantities as q
from genkai.figures.bands import draw_threshold, name_levels, top_of, usual_period, with_gaps
from genkai.figures.place import SideLabel, callout, label_right, label_top
from genkai.figures.scale import amount, draw_generator_limited, generator_limited, load_axis
from genkai.figures.style import DASHES, PALETTE, blank, dress, headline, new_figure, panels, styled
from genkai.figures.texts import Texts, texts_of


@styled
def hockey_stick(levels: pd.DataFrame, target_rps: float | None = None, target_p95_s: float | None = None, *,
                 fit: Mapping[str, Any] | None = None, subject: str | None = None, load: str = "intended",
                 t: Any = None) -> Figure:  # fmt: skip
    """Response time against throughput, in the order of the load; the corner that keeps both targets is tinted.

    levels: the levels table; fit: the fit record, whose limit is drawn where the curve turns. Raises FigureError when
    levels lack a column.
    """
    t = texts_of(t)
    q.need_columns(levels, [load, "throughput_rps", "p95_s"], "hockey_stick")
    levels = q.of_subject(levels, subject)
    shown = levels[levels["throughput_rps"].notna() & levels["p95_s"].notna()].sort_values(load)
    if shown.empty:
        return blank(t("scale.empty", levels=len(levels)))
    figure = new_figure(70)
    (axes,) = panels(figure, 1)
    dress(axes, grid="both")
    factor, unit = q.time_unit(float(shown["p95_s"].max()))
    right = top_of(shown["throughput_rps"], target_rps or 0, headroom=1.08)
    height = top_of(shown["p95_s"] * factor, (target_p95_s or 0) * factor, headroom=1.12)
    axes.set_xlim(0, right)
    axes.set_ylim(0, height)
    axes.plot(shown["throughput_rps"], shown["p95_s"] * factor, "o-", color=PALETTE["measured"], zorder=4,
              markeredgecolor="white", label="p95")  # fmt: skip
    draw_generator_limited(axes, shown, shown["throughput_rps"], shown["p95_s"] * factor)
    _tint_goal(axes, target_rps, (target_p95_s or 0) * factor)
    limit = _draw_limit(axes, fit or {})
    axes.set_xlabel(t("scale.throughput_axis"))
    axes.set_ylabel(t("scale.response_axis", unit=unit))
    headline(axes, _turn(shown, limit, factor, unit, t), pad=16)
    q.plain_ticks(axes.xaxis, 8)
    q.plain_ticks(axes.yaxis, 5)
    if target_p95_s:
        text = t("scale.target_time", value=q.number(target_p95_s * factor), unit=unit)
        label_right(axes, [SideLabel(target_p95_s * factor, text, PALETTE["target"], True)])
    _name_uprights(axes, target_rps, limit, t)
    _name_limited(axes, shown, shown["throughput_rps"], shown["p95_s"] * factor, t)
    for _, row in _ends(shown, factor, right, height).iterrows():
        callout(axes, float(row["throughput_rps"]), float(row["p95_s"]) * factor,
                amount(float(row[load]), levels, load, t), PALETTE["measured"])  # fmt: skip
    return figure


def _name_uprights(axes: Axes, target_rps: float | None, limit: Any, t: Texts) -> None:
    """Name the lines of target and limit above the axes: within, they would lie on each other and on the curve."""
    names = [(target_rps, "curves.target", "target"), (q.value_of(limit), "search.limit", "limit")]
    label_top(axes, [(x, t(key, value=q.number(x)), PALETTE[role]) for x, key, role in names
                     if x and math.isfinite(x)])  # fmt: skip


def _name_limited(axes: Axes, levels: pd.DataFrame, x: pd.Series, y: pd.Series, t: Texts) -> None:
    """Name the highest of the levels at which the generator was the limit."""
    out = generator_limited(levels) & x.notna() & y.notna()
    if out.any():
        callout(axes, float(x[out].iloc[-1]), float(y[out].iloc[-1]), t("scale.generator_limited"),
                PALETTE["generator"])  # fmt: skip


def _draw_limit(axes: Axes, fit: Mapping[str, Any]) -> Any:
    """The limit as a line that the curve cannot cross; the record, or None where there is none within the axes."""
    limit = limit_of(fit)
    value, low, high = q.point(limit)
    if not math.isfinite(value) or value > axes.get_xlim()[1]:
        return None
    if math.isfinite(low) and math.isfinite(high):
        axes.axvspan(low, high, color=PALETTE["limit"], alpha=0.16, linewidth=0, zorder=1)
    axes.axvline(value, color=PALETTE["limit"], linestyle=DASHES["limit"], linewidth=1.3, zorder=2.4)
    return limit


def _turn(shown: pd.DataFrame, limit: Any, factor: float, unit: str, t: Texts) -> str:
    """The headline: what waiting does at the limit, or how far it went without reaching one."""
    first, last = (q.number(float(shown["p95_s"].iloc[i]) * factor) for i in (0, -1))
    best = float(shown["throughput_rps"].max())
    if limit is not None and best >= REACHED * q.value_of(limit):
        return t("curves.answer_limit", limit=q.number(q.value_of(limit)), first=first, last=last, unit=unit)
    most = q.number(float(shown["p95_s"].max()) * factor)
    return t("curves.answer_no_limit", best=q.number(best), most=most, unit=unit)


def _ends(shown: pd.DataFrame, factor: float, right: float, height: float) -> pd.DataFrame:
    """The levels worth naming: those that stand apart by an eighth of the axes' width or height."""
    kept: list[int] = []
    x, y = shown["throughput_rps"].to_numpy(float) / right, shown["p95_s"].to_numpy(float) * factor / height
    for index in range(len(shown) - 1, -1, -1):
        if all(abs(x[index] - x[k]) > 0.125 or abs(y[index] - y[k]) > 0.125 for k in kept):
            kept.append(index)
    return shown.iloc[kept]


def _tint_goal(axes: Axes, target_rps: float | None, limit: float) -> None:
    right = axes.get_xlim()[1]
    if limit:
        draw_threshold(axes, limit)
    if target_rps:
        axes.axvline(target_rps, color=PALETTE["target"], linewidth=1.1, linestyle=(0, (6, 2)), zorder=2.5)
    if limit and target_rps:
        axes.fill_between([target_rps, right], 0, limit, color=PALETTE["target"], alpha=0.14, linewidth=0, zorder=0.5)


@styled
def efficiency(levels: pd.DataFrame, *, t: Any = None) -> Figure:
    """Throughput for each unit of load, as a share of the first level's: 100% is a system that scales perfectly."""
    t = texts_of(t)
    load = "intended"
    q.need_columns(levels, [load, "throughput_rps"], "efficiency")
    levels = q.of_subject(levels)
    shown = levels[levels["throughput_rps"].notna() & (levels[load] > 0)].sort_values(load)
    if shown.empty:
        return blank(t("scale.empty", levels=len(levels)))
    each = shown["throughput_rps"].astype(float) / shown[load].astype(float)
    ideal = float(each.iloc[0]) or math.nan
    share = 100 * each / ideal
    figure = new_figure(58)
    (axes,) = panels(figure, 1)
    axes.set_xlim(0, float(shown[load].max()) * 1.06)
    axes.set_ylim(0, top_of(share, 100, headroom=1.18))
    draw_threshold(axes, 100, "runner_up")
    axes.plot(
        shown[load], share, "o-", color=PALETTE["measured"], markeredgecolor="white", label="efficiency", zorder=4
    )
    draw_generator_limited(axes, shown, shown[load], share)
    axes.set_xlabel(load_axis(shown, load, t))
    axes.set_ylabel(t("curves.efficiency_axis"))
    out = generator_limited(shown)
    last = shown[~out].index[-1] if not out.all() else shown.index[-1]
    key = "curves.answer_efficiency_generator" if out.all() else "curves.answer_efficiency"
    headline(axes, t(key, share=f"{share[last]:.0f}", load=amount(float(shown[load][last]), shown, load, t)))
    q.plain_ticks(axes.xaxis, 8)
    q.plain_ticks(axes.yaxis, 5)
    label_right(axes, [SideLabel(100, t("curves.ideal"), PALETTE["runner_up"])])
    for x, y in zip(shown[load], share, strict=True):
        if math.isfinite(y):
            callout(axes, float(x), float(y), f"{y:.0f}%", PALETTE["measured"], reach=(4, 7, 11, 16))
    _name_limited(axes, shown, shown[load], share, t)
    return figure


@styled
def windows(seconds: pd.DataFrame, levels: pd.DataFrame, *, t: Any = None) -> Figure:
    """Throughput of each second with the steady window of each level, and what was cut before and after it.

    seconds: time, throughput_rps; levels: start, end, window_start, window_end, steady, throughput_rps, intended.
    """
    t = texts_of(t)
    q.need_columns(seconds, ["time", "throughput_rps"], "windows")
    seconds = q.of_all_apis(seconds)
    q.need_columns(levels, ["start", "end", "window_start", "window_end", "steady", "throughput_rps"], "windows")
    if seconds.empty:
        return blank(t("bands.no_seconds"))
    levels = q.of_subject(levels)
    x, y = q.seconds_of(seconds["time"]), seconds["throughput_rps"].to_numpy(float)
    origin = float(min(x.min(), *q.seconds_of(levels["start"]))) if len(levels) else float(x.min())
    figure = new_figure(66)
    (axes,) = panels(figure, 1)
    axes.set_ylim(0, top_of(y, headroom=1.15))
    axes.set_xlim(0, max(float(x.max() + 1 - origin), 1.0))
    line = with_gaps(x - origin, y, usual_period(x))
    axes.plot(*line, color=PALETTE["idle"], linewidth=0.8, zorder=2, label="cut")
    spans = [_draw_window(axes, row, x - origin, y, origin) for row in levels.to_dict("records")]
    q.clock_ticks(axes.xaxis, axes.get_xlim()[1])
    q.plain_ticks(axes.yaxis, 5)
    axes.set_xlabel(t("bands.elapsed", start=f"{pd.Timestamp(origin, unit='s'):%H:%M:%S}"))
    axes.set_ylabel(t("curves.windows_axis"))
    headline(axes, _counted(levels, axes.get_xlim()[1], t), pad=16)
    _name_windows(axes, spans, levels, t)
    name_levels(axes, [_mark(row, origin) for row in levels.to_dict("records")], 0.0, t)
    return figure


def _counted(levels: pd.DataFrame, whole_s: float, t: Texts) -> str:
    """The headline: how many levels were steady, and what share of the time counts."""
    drawn = levels[levels["window_start"].notna() & levels["window_end"].notna()]
    seconds = (q.seconds_of(drawn["window_end"]) - q.seconds_of(drawn["window_start"])).sum() if len(drawn) else 0.0
    steady = int(drawn["steady"].fillna(False).astype(bool).sum())
    return t("curves.answer_windows", steady=steady, levels=len(levels), share=f"{100 * seconds / whole_s:.0f}")


def _mark(row: Mapping[str, Any], origin: float) -> dict[str, Any]:
    start, end = q.seconds_of([row["start"], row["end"]]) - origin
    return {
        "workload": row.get("workload", "closed"),
        "intended": row.get("intended", math.nan),
        "start": start,
        "end": end,
    }


def _draw_window(axes: Axes, row: Mapping[str, Any], x: np.ndarray, y: np.ndarray,
                 origin: float) -> tuple[float, float] | None:  # fmt: skip
    """Tint one level's window and draw its seconds and its throughput in full colour; None where it has none."""
    if pd.isna(row["window_start"]) or pd.isna(row["window_end"]):
        return None
    start, end = (float(v) for v in q.seconds_of([row["window_start"], row["window_end"]]) - origin)
    steady = None if pd.isna(row["steady"]) else bool(row["steady"])
    color = PALETTE["limit"] if steady is False else PALETTE["measured"]
    axes.axvspan(start, end, color=color, alpha=0.13, linewidth=0, zorder=0.5)
    inside = (x >= start) & (x < end)
    axes.plot(*with_gaps(x[inside], y[inside], usual_period(x)), color=color, linewidth=1.1, zorder=3, label="window")
    if not pd.isna(row["throughput_rps"]):
        axes.hlines(row["throughput_rps"], start, end, color=PALETTE["model"], linewidth=1.8, zorder=4)
    return start, end


def _name_windows(axes: Axes, spans: list[tuple[float, float] | None], levels: pd.DataFrame, t: Texts) -> None:
    """What the colours mean, beside the axes; only those that occur."""
    drawn = [row for row, span in zip(levels.to_dict("records"), spans, strict=True) if span]
    restless = [not pd.isna(row["steady"]) and not bool(row["steady"]) for row in drawn]
    key = [("curves.steady", "measured")] if not all(restless) else []
    key += [("curves.not_steady", "limit")] if any(restless) else []
    key += [("curves.mean", "model")] if drawn else []
    key.append(("curves.cut", "muted"))
    box = axes.get_ylim()[1]
    label_right(axes, [SideLabel(box * (0.9 - 0.22 * i), t(name), PALETTE[role]) for i, (name, role) in enumerate(key)])
    if not any(spans):
        axes.text(0.5, 0.5, t("curves.no_window"), transform=axes.transAxes, ha="center", color=PALETTE["limit"],
                  zorder=9, bbox={"boxstyle": "square,pad=0.3", "facecolor": "white", "edgecolor": "none"})  # fmt: skip
