"""Load, response time and any machine metrics on one time axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genkai.figures import quantities as q
from genkai.figures.bands import (
    Mark,
    bucket_s,
    draw_series,
    draw_threshold,
    name_levels,
    shade_levels,
    top_of,
    usual_period,
)
from genkai.figures.place import SideLabel, label_panels
from genkai.figures.style import PALETTE, SERIES, TEXT_PT, blank, new_figure, panel_title, panels, styled
from genkai.figures.texts import Texts, texts_of

NAMED = len(SERIES)
MAX_METRICS = 6
PANEL_MM = 21
STATISTICS = ("average", "maximum", "mean", "minimum", "sum")
FLATTENS = 4  # a limit so many times the highest sample would leave the samples a quarter of the panel


@dataclass(frozen=True)
class Limit:
    """What a machine's type can do, in the unit of the metrics table, and what readers call it: "t3.medium: base"."""

    value: float
    name: str


@dataclass(frozen=True)
class _Shared:
    """What all panels of a timeline have in common: where time begins, the width of a band, and words."""

    origin: float
    bucket_s: float
    thresholds: Mapping[str, float]
    names: Mapping[str, str]
    t: Texts


@styled
def timeline(seconds: pd.DataFrame, metrics: pd.DataFrame | None = None, marks: Sequence[Mark] = (), *,
             thresholds: Mapping[str, float] | None = None, limits: Mapping[str, Sequence[Limit]] | None = None,
             names: Mapping[str, str] | None = None, t: Any = None) -> Figure:  # fmt: skip
    """Throughput with errors, response time, and one panel for each metric, over the time of the run.

    seconds: time, throughput_rps, and where known p95_s, p50_s, error_rps; of several APIs, the rows of all;
    metrics: rows of the metrics table, chosen beforehand, at most 6 metrics; marks: the levels;
    thresholds: {"throughput_rps" | "p95_s" | metric: value in the table's unit}; limits: {metric: lines}; a limit far
    above all samples is named at the upper edge, for a line there would flatten them;
    names: {metric or resource: what readers call it}.
    """
    t, thresholds, names = texts_of(t), thresholds or {}, names or {}
    q.need_columns(seconds, ["time", "throughput_rps"], "timeline")
    seconds = q.of_all_apis(seconds)
    groups = _groups(metrics)
    times = [q.seconds_of(frame["time"]) for frame in (seconds, *(rows for _, rows in groups)) if len(frame)]
    if not times:
        return blank(t("bands.no_seconds"))
    origin, end = _range(times, marks)
    figure = new_figure(16 + PANEL_MM * (2 + len(groups)))
    axes = panels(figure, 2 + len(groups), sharex=True)
    axes[0].set_xlim(0, end - origin)
    shared = _Shared(origin, bucket_s(end - origin), thresholds, names, t)
    shade_levels(axes, marks, origin)
    waiting = [
        _draw_load(axes[0], seconds, shared),
        _draw_response(axes[1], seconds, shared),
    ]
    for panel, (metric, rows) in zip(axes[2:], groups, strict=True):
        waiting.append(_draw_metric(panel, metric, rows, (limits or {}).get(metric, ()), shared))
    q.clock_ticks(axes[-1].xaxis, end - origin)
    label = "bands.elapsed_h" if end - origin > 7200 else "bands.elapsed"
    note = t("bands.buckets", seconds=f"{shared.bucket_s:g}") if shared.bucket_s > 1 else ""
    axes[-1].set_xlabel(t(label, start=f"{pd.Timestamp(origin, unit='s'):%Y-%m-%d %H:%M:%S}") + note)
    if marks:
        title = axes[0].get_title(loc="left")
        axes[0].set_title(title, loc="left", fontsize=TEXT_PT, color=PALETTE["muted"], fontweight="normal", pad=14)
    label_panels(list(zip(axes, waiting, strict=True)))
    name_levels(axes[0], marks, origin, t)
    return figure


def _groups(metrics: pd.DataFrame | None) -> list[tuple[str, pd.DataFrame]]:
    if metrics is None or metrics.empty:
        return []
    q.need_columns(metrics, ["time", "resource", "metric", "unit", "period_s", "value"], "timeline")
    by = ["metric", "statistic"] if "statistic" in metrics.columns else ["metric"]
    return [(str(key[0]), rows) for key, rows in metrics.groupby(by, sort=False)][:MAX_METRICS]


def _range(times: list[np.ndarray], marks: Sequence[Mark]) -> tuple[float, float]:
    """The first and the last second to show: the levels' where there are any, else the tables'."""
    if marks:
        return float(min(m["start"] for m in marks)), float(max(m["end"] for m in marks))
    return float(min(x.min() for x in times)), float(max(x.max() for x in times)) + 1


def _draw_load(axes: Axes, seconds: pd.DataFrame, shared: _Shared) -> list[SideLabel]:
    t = shared.t
    panel_title(axes, t("bands.throughput"))
    x = q.seconds_of(seconds["time"]) - shared.origin
    y = seconds["throughput_rps"].to_numpy(float)
    look = {"color": PALETTE["measured"], "linewidth": 1.2, "zorder": 3, "label": "throughput_rps"}
    draw_series(axes, x, y, usual_period(x), shared.bucket_s, **look)
    labels = []
    errors = seconds["error_rps"].fillna(0).to_numpy(float) if "error_rps" in seconds else np.zeros(len(x))
    if (errors > 0).any():
        axes.fill_between(x, 0, errors, step="post", color=PALETTE["error"], alpha=0.75, linewidth=0, zorder=2.5)
        labels.append(SideLabel(float(errors[-1]), t("bands.errors"), PALETTE["error"], True))
    _scale_axis(axes, np.concatenate([y, errors]), shared.thresholds.get("throughput_rps"), 1.0, "rps", labels, t)
    if len(y) and np.isfinite(y).any():
        labels.append(SideLabel(float(y[np.isfinite(y)][-1]), t("bands.successes"), PALETTE["measured"], True))
    return labels


def _draw_response(axes: Axes, seconds: pd.DataFrame, shared: _Shared) -> list[SideLabel]:
    t, target_s = shared.t, shared.thresholds.get("p95_s")
    known = [name for name in ("p50_s", "p95_s") if name in seconds and seconds[name].notna().any()]
    if not known:
        panel_title(axes, t("load.not_measured", quantity=t("load.p95_s")))
        axes.set_yticks([])
        return []
    values = seconds[known].astype(float)
    factor, unit = q.time_unit(top_of(values.to_numpy().ravel(), target_s or 0, headroom=1.0))
    panel_title(axes, t("bands.response", unit=unit))
    x = q.seconds_of(seconds["time"]) - shared.origin
    labels: list[SideLabel] = []
    for name in known:
        y = values[name].to_numpy() * factor
        main = name == "p95_s"
        color = PALETTE["measured"] if main else PALETTE["measured_light"]
        look = {"color": color, "linewidth": 1.2 if main else 0.9, "zorder": 3, "label": name}
        draw_series(axes, x, y, usual_period(x), shared.bucket_s, **look)
        labels.append(SideLabel(float(y[np.isfinite(y)][-1]), name[:-2], PALETTE["measured"], main))
    _scale_axis(axes, values.to_numpy().ravel() * factor, target_s, factor, unit, labels, t)
    return labels


def _draw_metric(axes: Axes, metric: str, rows: pd.DataFrame, limits: Sequence[Limit],
                 shared: _Shared) -> list[SideLabel]:  # fmt: skip
    """One metric of all its resources; the first seven are named, the others grey."""
    threshold, names, t = shared.thresholds.get(metric), shared.names, shared.t
    table_unit, highest = str(rows["unit"].iloc[0]), top_of(rows["value"], headroom=1.0)
    whole = {"ratio": 1.0, "Percent": 100.0}.get(table_unit, 0.0)  # shares are drawn against all there is
    near = [limit for limit in limits if limit.value <= max(FLATTENS * highest, whole)]
    largest = max([highest, threshold or 0.0, *(limit.value for limit in near)])
    factor, unit = q.display_unit(table_unit, largest)
    panel_title(axes, metric_title(metric, rows, names, unit, t))
    labels: list[SideLabel] = []
    groups = list(rows.groupby("resource", sort=False))
    for index, (resource, part) in enumerate(groups):
        part = part.sort_values("time")
        x, y = q.seconds_of(part["time"]) - shared.origin, part["value"].to_numpy(float) * factor
        color = SERIES[index] if index < NAMED else PALETTE["idle"]
        period = float(part["period_s"].iloc[0]) or usual_period(x)
        faint = 0.3 / (1 + len(groups))  # bands of many resources lie over one another
        draw_series(
            axes, x, y, period, shared.bucket_s, faint, color=color, linewidth=1.2, zorder=3, label=str(resource)
        )
        if index < NAMED and np.isfinite(y).any():
            labels.append(SideLabel(float(y[np.isfinite(y)][-1]), _short(str(resource), names), color))
    values = np.append(rows["value"].to_numpy(float), [whole, *(limit.value for limit in near)]) * factor
    _scale_axis(axes, values, threshold, factor, unit, labels, t)
    for limit in limits:
        if limit in near:
            draw_threshold(axes, limit.value * factor, "limit")
            text = f"{limit.name} {q.with_unit(limit.value * factor, unit)}"
            labels.append(SideLabel(limit.value * factor, text, PALETTE["limit"]))
        else:
            own, its_unit = q.display_unit(table_unit, limit.value)
            text = f"↑ {limit.name} {q.with_unit(limit.value * own, its_unit)}"
            labels.append(SideLabel(axes.get_ylim()[1], text, PALETTE["limit"]))
    return labels


def metric_title(metric: str, rows: pd.DataFrame, names: Mapping[str, str], unit: str, t: Texts) -> str:
    """ "SurgeQueueLength, maximum" or "cpu (%)": what readers call it, the statistic where it is one, the unit."""
    statistic = str(rows["statistic"].iloc[0]).lower() if "statistic" in rows else "sample"
    periods = rows["period_s"].dropna().unique() if "period_s" in rows else ()
    if statistic == "sum" and len(periods) == 1:
        statistic = t("bands.sum_of", seconds=q.number(periods[0]))
    elif statistic in STATISTICS:
        statistic = t(f"bands.{statistic}")
    name = names.get(metric, metric)
    if statistic not in ("sample", ""):
        name = t("bands.with_statistic", name=name, statistic=statistic)
    return t("bands.with_unit", name=name, unit=t("bands.requests") if unit == "requests" else unit) if unit else name


def _short(resource: str, names: Mapping[str, str]) -> str:
    """What the resource is called, its kind left out: "elb:shop" → "shop"."""
    name = names.get(resource, resource.partition(":")[2] or resource)
    return name if len(name) <= 20 else name[:19] + "…"


def _scale_axis(axes: Axes, values: np.ndarray, threshold: float | None, factor: float, unit: str,
                labels: list[SideLabel], t: Texts) -> None:  # fmt: skip
    limit = 0.0 if threshold is None else threshold * factor
    axes.set_ylim(0, top_of(values, limit, headroom=1.1))
    q.plain_ticks(axes.yaxis, 3)
    if threshold is not None:
        draw_threshold(axes, limit)
        labels.append(SideLabel(limit, t("load.target", value=q.with_unit(limit, unit)), PALETTE["target"]))
