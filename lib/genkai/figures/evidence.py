"""The evidence of a finding: what runs full at the limit, beside what stays idle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genkai.figures import quantities as q
from genkai.figures.bands import top_of
from genkai.figures.place import SideLabel, label_panels
from genkai.figures.style import PALETTE, SMALL_PT, blank, dress, new_figure, panel_title, styled
from genkai.figures.texts import Texts, texts_of
from genkai.figures.timeline import metric_title

MAX_PANELS = 4
BOTTLENECK = "bottleneck"


@styled
def evidence(series: pd.DataFrame, *, stall_load: float | None = None, workload: str = "closed",
             t: Any = None) -> Figure:  # fmt: skip
    """The bottleneck's queue or utilisation in full colour beside the others in grey, against load.

    series: resource, metric, unit, value, role ("bottleneck" or "other"), intended (users, or rps with workload
    "open"). One panel a metric, the bottleneck's first, at most 4. stall_load: load at which throughput stops.
    Raises FigureError when a column is missing.
    """
    t = texts_of(t)
    q.need_columns(series, ["resource", "metric", "unit", "value", "role", "intended"], "evidence")
    shown = series[series["value"].notna()]
    if shown.empty:
        return blank(t("evidence.empty"))
    metrics = list(dict.fromkeys([*shown.loc[shown["role"] == BOTTLENECK, "metric"], *shown["metric"]]))[:MAX_PANELS]
    figure = new_figure(58 if len(metrics) <= 2 else 98)
    axes = _panels(figure, len(metrics))
    _place_x(axes, float(shown["intended"].max()), workload, t)
    waiting = [_draw_panel(panel, shown[shown["metric"] == metric], metric, t)
               for panel, metric in zip(axes, metrics, strict=True)]  # fmt: skip
    if stall_load is not None:
        _mark_stall(axes, stall_load, t)
    label_panels(list(zip(axes, waiting, strict=True)))
    return figure


def _panels(figure: Figure, count: int) -> list[Axes]:
    """Side by side, where the eye compares heights."""
    rows, columns = (1, count) if count <= 2 else (2, 2)
    figure.get_layout_engine().set(wspace=0.1)  # a name at a line's end is not read with the next panel's ticks
    found = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for spare in found[count:]:
        spare.set_visible(False)
    return [dress(panel) for panel in found[:count]]


def _place_x(axes: list[Axes], most: float, workload: str, t: Texts) -> None:
    for panel in axes:
        panel.set_xlim(0, max(most * 1.04, 1e-9))
        q.plain_ticks(panel.xaxis, 4 if len(axes) > 1 else 8)
        panel.set_xlabel(t("scale.load_users" if workload == "closed" else "scale.load_rate"))


def _draw_panel(axes: Axes, rows: pd.DataFrame, metric: str, t: Texts) -> list[SideLabel]:
    factor, unit = q.display_unit(str(rows["unit"].iloc[0]), top_of(rows["value"], headroom=1.0))
    panel_title(axes, metric_title(metric, rows, {}, unit, t))
    labels = [
        _draw_resource(axes, part.sort_values("intended"), factor, (part["role"] == BOTTLENECK).any(), str(resource))
        for resource, part in rows.groupby("resource", sort=False)
    ]
    floor = [100.0] if unit == "%" else []
    axes.set_ylim(0, top_of(rows["value"] * factor, floor, headroom=1.12))
    q.plain_ticks(axes.yaxis, 4)
    return labels


def _draw_resource(axes: Axes, part: pd.DataFrame, factor: float, main: bool, resource: str) -> SideLabel:
    color = PALETTE["limit"] if main else PALETTE["idle"]
    width, z = (2.0, 4) if main else (1.1, 3)
    y = part["value"].to_numpy(float) * factor
    axes.plot(part["intended"].to_numpy(float), y, "o-", color=color, linewidth=width, markersize=5 if main else 3.5,
              markeredgecolor="white", markeredgewidth=0.6, zorder=z, label=resource)  # fmt: skip
    name = resource.partition(":")[2] or resource
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
            low, high = panel.get_ylim()
            lines = [np.interp(stall_load, *line.get_data()) for line in panel.get_lines() if len(line.get_xdata()) > 2]
            above = max(lines, default=low) < (low + high) / 2  # where the lines are not
            panel.annotate(
                t("evidence.stalled"),
                (stall_load, 1 if above else 0),
                (3, -3 if above else 3),
                xycoords=panel.get_xaxis_transform(),
                textcoords="offset points",
                ha="left",
                va="top" if above else "bottom",
                fontsize=SMALL_PT,
                color=PALETTE["limit"],
            )
