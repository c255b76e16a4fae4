"""The evidence of a finding: what runs full at the limit, beside what stays idle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genkai.figures import quantities as q
from genkai.figures.bands import Mark, draw_series, draw_threshold, name_levels, shade_levels, top_of, usual_period
from genkai.figures.place import SideLabel, label_panels
from genkai.figures.style import PALETTE, SMALL_PT, TEXT_PT, blank, dress, new_figure, panel_title, styled
from genkai.figures.texts import Texts, texts_of
from genkai.figures.timeline import metric_title

MAX_PANELS = 4
STATISTICS = ("maximum", "average", "sum", "sample")
BOTTLENECK, OTHER = "bottleneck", "other"


@styled
def evidence(series: pd.DataFrame, *, stall_load: float | None = None, workload: str = "closed",
             marks: Sequence[Mark] = (), thresholds: Mapping[str, float] | None = None,
             names: Mapping[str, str] | None = None, t: Any = None) -> Figure:  # fmt: skip
    """The bottleneck's queue or utilisation in full colour beside the others in grey, against load or over time.

    series: resource, metric, unit, value, role ("bottleneck" or "other"), and either intended (users, or rps with
    workload "open") or time; optionally low, high. One panel a metric, the bottleneck's first, at most 4.
    stall_load: load at which throughput stops; thresholds: {metric: value in the series' unit}.
    Raises FigureError when a column is missing.
    """
    t, names, thresholds = texts_of(t), names or {}, thresholds or {}
    over_time = "time" in series.columns and "intended" not in series.columns
    x_name = "time" if over_time else "intended"
    q.need_columns(series, ["resource", "metric", "unit", "value", "role", x_name], "evidence")
    shown = series[series["value"].notna()]
    if shown.empty:
        return blank(t("evidence.empty"))
    metrics = list(dict.fromkeys([*shown.loc[shown["role"] == BOTTLENECK, "metric"], *shown["metric"]]))[:MAX_PANELS]
    figure = new_figure(18 + 26 * len(metrics) if over_time else 66 if len(metrics) <= 2 else 112)
    axes = _panels(figure, len(metrics), over_time)
    x_all = q.seconds_of(shown["time"]) if over_time else shown["intended"].to_numpy(float)
    origin = (float(marks[0]["start"]) if marks else float(x_all.min())) if over_time else 0.0
    _place_x(axes, x_all - origin, over_time, origin, workload, t)
    waiting = [_draw_panel(panel, shown[shown["metric"] == metric], metric, x_name, origin, thresholds, names, t)
               for panel, metric in zip(axes, metrics, strict=True)]  # fmt: skip
    if over_time and marks:
        shade_levels(axes, marks, origin)
        axes[0].set_title(axes[0].get_title(loc="left"), loc="left", fontsize=TEXT_PT, color=PALETTE["muted"],
                          fontweight="normal", pad=14)  # fmt: skip
    elif stall_load is not None:
        _mark_stall(axes, stall_load, t)
    label_panels(list(zip(axes, waiting, strict=True)))
    if over_time:
        name_levels(axes[0], marks, origin, t)
    return figure


def evidence_rows(evidence: Sequence[Mapping[str, Any]], metrics: pd.DataFrame,
                  also: Sequence[str] = ()) -> pd.DataFrame:  # fmt: skip
    """What evidence() draws over time: the series that a finding names, and the same metrics of other resources.

    evidence: a finding's, each with source, resource, metric; metrics: the metrics table; also: further metrics that
    show what stayed idle. Of several statistics of a metric the most telling is kept.
    """
    named = {(e["source"], e["resource"], e["metric"]) for e in evidence if e.get("resource")}
    wanted = [*dict.fromkeys(metric for _, _, metric in named), *also]
    rows = metrics[metrics["metric"].isin(wanted)].copy()
    keys = list(zip(rows["source"], rows["resource"], rows["metric"], strict=True))
    rows["role"] = [BOTTLENECK if key in named else OTHER for key in keys]
    rank = {name: index for index, name in enumerate(STATISTICS)}
    order = rows["statistic"].str.lower().map(rank).fillna(len(rank))
    best = order.groupby([rows["source"], rows["resource"], rows["metric"]]).transform("min")
    return rows[order == best]


def _panels(figure: Figure, count: int, over_time: bool) -> list[Axes]:
    """Stacked over time; side by side against load, where the eye compares heights."""
    rows, columns = (count, 1) if over_time else (1, count) if count <= 2 else (2, 2)
    found = list(figure.subplots(rows, columns, squeeze=False, sharex=over_time).ravel())
    for spare in found[count:]:
        spare.set_visible(False)
    return [dress(panel) for panel in found[:count]]


def _place_x(axes: list[Axes], x: np.ndarray, over_time: bool, origin: float, workload: str, t: Texts) -> None:
    for panel in axes:
        panel.set_xlim(0, max(float(np.nanmax(x)) * (1.0 if over_time else 1.04), 1e-9))
        if over_time:
            q.clock_ticks(panel.xaxis, float(np.nanmax(x)))
        else:
            q.plain_ticks(panel.xaxis, 4 if len(axes) > 1 else 8)
            panel.set_xlabel(t("scale.load_users" if workload == "closed" else "scale.load_rate"))
    if over_time:
        axes[-1].set_xlabel(t("bands.elapsed", start=f"{pd.Timestamp(origin, unit='s'):%Y-%m-%d %H:%M:%S}"))


def _draw_panel(axes: Axes, rows: pd.DataFrame, metric: str, x_name: str, origin: float,
                thresholds: Mapping[str, float], names: Mapping[str, str], t: Texts) -> list[SideLabel]:  # fmt: skip
    factor, unit = q.display_unit(
        str(rows["unit"].iloc[0]), top_of(rows["value"], thresholds.get(metric, 0), headroom=1.0)
    )
    panel_title(axes, metric_title(metric, rows, names, unit, t))
    labels = []
    for resource, part in rows.groupby("resource", sort=False):
        main = (part["role"] == BOTTLENECK).any()
        labels.append(
            _draw_resource(axes, part.sort_values(x_name), x_name, origin, factor, main, str(resource), names)
        )
    floor = [100.0] if unit == "%" else []
    limit = thresholds.get(metric)
    axes.set_ylim(0, top_of(rows["value"] * factor, floor, (limit or 0) * factor, headroom=1.12))
    q.plain_ticks(axes.yaxis, 4)
    if limit is not None:
        draw_threshold(axes, limit * factor)
        text = t("evidence.threshold", value=q.number(limit * factor), unit=unit).strip()
        labels.append(SideLabel(limit * factor, text, PALETTE["target"]))
    return labels


def _draw_resource(axes: Axes, part: pd.DataFrame, x_name: str, origin: float, factor: float, main: bool, resource: str,
                   names: Mapping[str, str]) -> SideLabel:  # fmt: skip
    color = PALETTE["limit"] if main else PALETTE["idle"]
    width, z = (2.0, 4) if main else (1.1, 3)
    y = part["value"].to_numpy(float) * factor
    if x_name == "time":
        x = q.seconds_of(part["time"]) - origin
        period = float(part["period_s"].iloc[0]) if "period_s" in part else usual_period(x)
        draw_series(axes, x, y, period, color=color, linewidth=width, zorder=z, label=resource)
    else:
        x = part["intended"].to_numpy(float)
        axes.plot(x, y, "o-", color=color, linewidth=width, markersize=5 if main else 3.5, markeredgecolor="white",
                  markeredgewidth=0.6, zorder=z, label=resource)  # fmt: skip
        if {"low", "high"} <= set(part.columns):
            axes.fill_between(
                x, part["low"] * factor, part["high"] * factor, color=color, alpha=0.18, linewidth=0, zorder=2
            )
    name = names.get(resource, resource.partition(":")[2] or resource)
    text = name if len(name) <= 20 else name[:19] + "…"
    return SideLabel(float(y[-1]), text, color if main else PALETTE["muted"], main)


def _mark_stall(axes: list[Axes], stall_load: float, t: Texts) -> None:
    """Tint the loads at which throughput no longer grows, on every panel; say so once."""
    for index, panel in enumerate(axes):
        right = panel.get_xlim()[1]
        if stall_load >= right:
            continue
        panel.axvspan(stall_load, right, color=PALETTE["stalled"], linewidth=0, zorder=0.2)
        if index == 0:
            panel.annotate(
                t("evidence.stalled"),
                (stall_load, 1),
                (3, -3),
                xycoords=panel.get_xaxis_transform(),
                textcoords="offset points",
                ha="left",
                va="top",
                fontsize=SMALL_PT,
                color=PALETTE["limit"],
            )
