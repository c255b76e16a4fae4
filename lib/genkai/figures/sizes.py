"""Scale-out and scale-up: throughput against load at each size, the maximum of each size, efficiency and cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genkai.analyse.whatif import predict_throughput
from genkai.figures import quantities as q
from genkai.figures.bands import draw_threshold, top_of
from genkai.figures.fits import model_name
from genkai.figures.place import SideLabel, callout, label_right, name_line
from genkai.figures.scale import load_axis
from genkai.figures.style import DASHES, PALETTE, TEXT_PT, blank, headline, new_figure, panel_title, panels, styled
from genkai.figures.texts import Texts, texts_of

LIGHTEST = 0.5  # of the blue of what was measured: the smallest size; the largest has all of it
BESIDE = 0.6  # sizes beyond the largest that the axis shows at least
FAR = 2.5  # a target higher than this multiple of all maxima is named at the top instead
REACH = 2.0  # × the largest size: nothing is drawn beyond
OVER_LINES = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}


@styled
def size_curves(levels: Mapping[int, pd.DataFrame], target_rps: float | None = None, unit: str = "instances",
                best: Mapping[int, float] | None = None, *, t: Any = None) -> Figure:  # fmt: skip
    """Throughput against load, a line for each size of the target on one axis.

    levels: {size: levels table of its subject}; best: {size: requests/s} to name beside the lines, by default the
    highest level. Raises FigureError when a table lacks a column.
    """
    t = texts_of(t)
    for table in levels.values():
        q.need_columns(table, ["intended", "throughput_rps"], "size_curves")
    tables = {s: d[d["throughput_rps"].notna()].sort_values("intended") for s, d in sorted(levels.items())}
    tables = {size: table for size, table in tables.items() if len(table)}
    if not tables:
        return blank(t("sizes.empty"))
    figure = new_figure(72)
    (axes,) = panels(figure, 1)
    highest = {size: float(table["throughput_rps"].max()) for size, table in tables.items()}
    best = highest | {size: value for size, value in (best or {}).items() if size in highest}
    axes.set_xlim(0, 1.03 * max(float(table["intended"].max()) for table in tables.values()))
    axes.set_ylim(0, top_of(list(highest.values()), target_rps or 0, headroom=1.12))
    labels = []
    for size, color in zip(tables, shades(len(tables)), strict=True):
        table = tables[size]
        axes.plot(table["intended"], table["throughput_rps"], "o-", color=color, markeredgecolor="white", zorder=4,
                  label=str(size))  # fmt: skip
        text = t("sizes.line", size=counted(size, unit, t), best=q.number(best[size]))
        labels.append(SideLabel(float(table["throughput_rps"].iloc[-1]), text, PALETTE["measured"], True))
    if target_rps:
        draw_threshold(axes, target_rps)
        labels.append(SideLabel(target_rps, t("scale.target", value=q.number(target_rps)), PALETTE["target"], True))
    headline(axes, _growth(best, unit, t))
    axes.set_ylabel(t("scale.throughput_axis"))
    axes.set_xlabel(load_axis(next(iter(tables.values())), "intended", t))
    q.plain_ticks(axes.xaxis, 8)
    q.plain_ticks(axes.yaxis, 5)
    label_right(axes, labels)
    return figure


def shades(count: int) -> list[tuple[float, float, float]]:
    """The blue of what was measured, from light to full: the larger, the darker."""
    red, green, blue = (int(PALETTE["measured"][i : i + 2], 16) / 255 for i in (1, 3, 5))
    shares = np.linspace(LIGHTEST if count > 1 else 1, 1, count)
    return [tuple(1 - share * (1 - part) for part in (red, green, blue)) for share in shares]


def counted(size: float, unit: str, t: Texts) -> str:
    """ "1 instance", "4 instances", or the plan's own word for what a size counts."""
    known = ("instances", "tasks")
    key = f"sizes.{'one' if size == 1 else 'many'}_{unit}" if unit in known else "sizes.many"
    return t(key, size=q.number(size), unit=unit)


def _growth(best: Mapping[int, float], unit: str, t: Texts) -> str:
    smallest, largest = min(best), max(best)
    if smallest == largest:
        return t("sizes.line", size=counted(largest, unit, t), best=q.number(best[largest])).replace("\n", " ")
    return t("sizes.growth", smallest=counted(smallest, unit, t), largest=counted(largest, unit, t),
             low=q.number(best[smallest]), high=q.number(best[largest]),
             factor=q.number(best[largest] / best[smallest], 2), ideal=q.number(largest / smallest))  # fmt: skip


@styled
def size_maximum(record: Mapping[str, Any], *, t: Any = None) -> Figure:
    """Highest throughput against size, with the model over sizes and its band, the ideal, the target, the size needed.

    record: scale_out's record. A record without any measured size gives a figure that says so.
    """
    t = texts_of(t)
    rows = [row for row in record["rows"] if row["maximum_rps"]]
    if not rows:
        return blank(t("sizes.empty"))
    unit, target, fit = record["unit"], record.get("target_rps"), record.get("fit")
    figure = new_figure(84)
    (axes,) = panels(figure, 1)
    largest = max(row["size"] for row in rows)
    far = _far(largest, record)
    height = top_of([q.value_of(r["maximum_rps"]) for r in rows], [q.point(r["maximum_rps"])[2] for r in rows],
                    target if target and target <= FAR * max(q.value_of(r["maximum_rps"]) for r in rows) else 0,
                    headroom=1.15)  # fmt: skip
    axes.set_xlim(0, far)
    axes.set_ylim(0, height)
    labels = _draw_model(axes, fit, largest, far, t) if fit else []
    ideal = _draw_ideal(axes, rows[0], far, height)
    _draw_maxima(axes, rows)
    if target:
        beyond = target > height
        if not beyond:
            draw_threshold(axes, target)
        text = t("scale.target", value=q.number(target))
        labels.append(SideLabel(height if beyond else target, ("▲ " if beyond else "") + text, PALETTE["target"], True))
    headline(axes, _answer(record, rows, t))
    axes.set_ylabel(t("sizes.maximum_axis"))
    axes.set_xlabel(_size_axis(unit, t))
    q.plain_ticks(axes.xaxis, 9, integer=True)
    q.plain_ticks(axes.yaxis, 5)
    label_right(axes, labels)
    name_line(axes, ideal, t("sizes.ideal"), PALETTE["muted"])
    _name_needed(axes, record, t)
    last = rows[-1]
    callout(axes, last["size"], q.value_of(last["maximum_rps"]), _measured_name(last, t), PALETTE["measured"])
    return figure


def _far(largest: float, record: Mapping[str, Any]) -> float:
    """How far the axis of sizes goes: the size needed is shown, up to twice the largest that was measured."""
    needed = q.point((record.get("needed") or {}).get("size"))
    shown = [v for v in (needed[0], needed[2]) if math.isfinite(v)]
    return min(max([largest + BESIDE, 1.12 * largest, *(v + BESIDE for v in shown)]), REACH * largest + BESIDE)


def _draw_model(axes: Axes, fit: Mapping[str, Any], largest: float, far: float, t: Texts) -> list[SideLabel]:
    x = np.linspace(far / 300, far, 300)
    curve = predict_throughput(fit, x)
    axes.fill_between(x, curve["low"], curve["high"], color=PALETTE["band"], linewidth=0, zorder=1.5)
    inside = x <= largest
    y = curve["throughput_rps"].to_numpy()
    end = min(float(y[-1]), 0.97 * axes.get_ylim()[1])
    axes.plot(x[inside], y[inside], color=PALETTE["model"], linewidth=1.7, zorder=3, label="model")
    axes.plot(x[~inside], y[~inside], color=PALETTE["model"], linewidth=1.2, linestyle=(0, (3, 2)), zorder=3,
              label="beyond")  # fmt: skip
    return [SideLabel(end, t("scale.model", model=model_name(fit["model"], t)), PALETTE["model"])]


def _draw_ideal(axes: Axes, first: Mapping[str, Any], far: float, height: float) -> list[tuple[float, float]]:
    """The line of perfect scaling through the smallest size; returns the points of it to be named at, best first."""
    slope = q.value_of(first["maximum_rps"]) / first["size"]
    end = min(far, 0.985 * height / slope)
    axes.plot([0, end], [0, slope * end], color=PALETTE["idle"], linewidth=1, linestyle=(0, (1, 1.6)), zorder=1.8,
              label="ideal")  # fmt: skip
    return [(share * end, share * slope * end) for share in (0.9, 0.8, 0.97, 0.7, 0.6)]


def _draw_maxima(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """A point for each size with its interval; a lower bound is hollow and points upward."""
    for row in rows:
        value, low, high = q.point(row["maximum_rps"])
        if math.isfinite(low) and math.isfinite(high):
            axes.plot([row["size"]] * 2, [low, high], "_-", color=PALETTE["measured"], linewidth=1.4, markersize=8,
                      markeredgewidth=1.3, zorder=5.5, label="interval")  # fmt: skip
        open_end = row["kind"] == "at_least"
        axes.plot([row["size"]], [value], "^" if open_end else "o", color=PALETTE["measured"], markersize=7, zorder=5.6,
                  markerfacecolor="white" if open_end else PALETTE["measured"], label=row["kind"],
                  markeredgecolor=PALETTE["measured"] if open_end else "white")  # fmt: skip


def _measured_name(row: Mapping[str, Any], t: Texts) -> str:
    return t("sizes.at_least" if row["kind"] == "at_least" else "sizes.measured")


def _name_needed(axes: Axes, record: Mapping[str, Any], t: Texts) -> None:
    """A line down from the target to the size that carries it."""
    needed, target = record.get("needed") or {}, record.get("target_rps")
    size = q.value_of(needed.get("size"))
    if not (math.isfinite(size) and target and size <= axes.get_xlim()[1] and target <= axes.get_ylim()[1]):
        return
    axes.plot([size, size], [0, target], color=PALETTE["target"], linewidth=1.2, linestyle=DASHES["target"], zorder=2.6,
              label="needed")  # fmt: skip
    text = t("sizes.needed_here", size=counted(size, record["unit"], t), interval=_whole(needed["size"])).strip()
    callout(axes, size, 0.12 * target, text, PALETTE["target"], bold=True)


def _whole(record: Any) -> str:
    """The interval of a whole number, left out where it is that number alone."""
    value, low, high = q.point(record)
    return "" if low == value == high else q.interval(record)


def _answer(record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], t: Texts) -> str:
    needed, target, unit = record.get("needed"), record.get("target_rps"), record["unit"]
    if not needed or not target:
        return _growth({r["size"]: q.value_of(r["maximum_rps"]) for r in rows}, unit, t)
    size = needed["size"]
    limit = (record.get("fit") or {}).get("ceiling_rps") or max((r["maximum_rps"] for r in rows), key=q.value_of)
    values = {
        "target": q.number(target), "limit": f"{q.number(q.value_of(limit))} rps {q.interval(limit)}".strip(),
        "size": counted(q.value_of(size), unit, t), "interval": _whole(size), "unit": _plural(unit, t),
        "best": q.number(max(q.value_of(r["maximum_rps"]) for r in rows)),
        "largest": counted(rows[-1]["size"], unit, t),
    }  # fmt: skip
    return " ".join(t(f"sizes.answer_{needed['status']}", **values).split())


def _plural(unit: str, t: Texts) -> str:
    return t(f"sizes.unit_{unit}") if unit in ("instances", "tasks") else unit


def _size_axis(unit: str, t: Texts) -> str:
    return t("sizes.size_axis", unit=_plural(unit, t))


@styled
def size_economy(record: Mapping[str, Any], least_efficiency: float | None = None, *, t: Any = None) -> Figure:
    """Efficiency of each size, and beside it what 1 000 requests/s cost where a price is known.

    record: scale_out's record; least_efficiency: what the plan asks of the largest size, as a ratio.
    """
    t = texts_of(t)
    rows = [row for row in record["rows"] if row["efficiency"] or row["cost_per_krps"]]
    if not rows:
        return blank(t("sizes.no_efficiency"))
    priced = any(row["cost_per_krps"] for row in rows)
    figure = new_figure(58)
    shown = panels(figure, 1, 2 if priced else 1)
    panel_title(shown[0], t("sizes.efficiency_axis"))
    _bars(shown[0], rows, "efficiency", 100.0, record["unit"], t)
    shown[0].axhline(100, color=PALETTE["idle"], linewidth=1, linestyle=(0, (1, 1.6)), zorder=1.8, label="ideal")
    if least_efficiency:
        draw_threshold(shown[0], 100 * least_efficiency)
    if priced:
        panel_title(shown[1], t("sizes.cost_axis", currency=record["currency"]))
        _bars(shown[1], rows, "cost_per_krps", 1.0, record["unit"], t)
    if least_efficiency:
        text = t("sizes.least", value=q.number(100 * least_efficiency))
        label_right(shown[0], [SideLabel(100 * least_efficiency, text, PALETTE["target"], True)])
    return figure


def _bars(axes: Axes, rows: Sequence[Mapping[str, Any]], key: str, factor: float, unit: str, t: Texts) -> None:
    """A bar for each size with its value above and its interval as a whisker; a bound is hollow."""
    known = [row for row in rows if row[key]]
    names = [q.number(row["size"]) for row in known]
    values = [factor * q.value_of(row[key]) for row in known]
    tops = [max(v, *(factor * e for e in q.point(row[key]) if math.isfinite(e))) for v, row in
            zip(values, known, strict=True)]  # fmt: skip
    axes.set_ylim(0, 1.22 * max([*tops, 100 if key == "efficiency" else 0]))
    axes.set_xlim(-0.6, len(known) - 0.4)
    for place, (row, value, top) in enumerate(zip(known, values, tops, strict=True)):
        bound = row["kind"] == "at_least"
        axes.bar([place], [value], width=0.55, color="white" if bound else PALETTE["measured_light"], zorder=2,
                 edgecolor=PALETTE["measured"], linewidth=0.8)  # fmt: skip
        _, low, high = (factor * v for v in q.point(row[key]))
        if math.isfinite(low) and math.isfinite(high):
            axes.plot([place] * 2, [low, high], "_-", color=PALETTE["measured"], linewidth=1.2, markersize=6, zorder=4)
        sign = "" if not bound else "≥ " if key == "efficiency" else "≤ "
        axes.annotate(sign + q.number(value), (place, top), (0, 4), textcoords="offset points", ha="center",
                      va="bottom", fontsize=TEXT_PT, fontweight="bold", color=PALETTE["measured"], zorder=6,
                      bbox=OVER_LINES)  # fmt: skip
    axes.set_xticks(range(len(known)), names)
    axes.set_xlabel(_size_axis(unit, t))
    q.plain_ticks(axes.yaxis, 4)
