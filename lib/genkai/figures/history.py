"""The cycles of a plan in a row: what each reached, the target, and where the level changed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genkai.figures import quantities as q
from genkai.figures.bands import draw_threshold, top_of
from genkai.figures.place import SideLabel, label_panels
from genkai.figures.style import PALETTE, SMALL_PT, blank, new_figure, panel_title, panels, styled
from genkai.figures.texts import Texts, texts_of

MOST = 24  # cycles that one figure still shows apart


def changes_shown(series: Mapping[str, Any], numbers: Sequence[int]) -> list[Mapping[str, Any]]:
    """The change points that the figure of these cycles shows: between two of the last 24."""
    return [change for change in series["changes"] if change["number"] > list(numbers)[-MOST:][0]]


@styled
def history(numbers: Sequence[int], series: Sequence[Mapping[str, Any]], *, target_rps: float | None = None,
            target_p95_s: float | None = None, t: Any = None) -> Figure:  # fmt: skip
    """One panel a series over the cycles' numbers: points with intervals, mean of each level, change points.

    series: {"what": limit | throughput | p95, "load": record or None, "unit", "points": [record or None], "changes":
    [{"number", "before", "after", "change"}]}; the last 24 cycles.
    """
    t = texts_of(t)
    recent = [{**s, "points": list(s["points"])[-MOST:]} for s in series]
    shown = [s for s in recent if any(math.isfinite(q.value_of(p)) for p in s["points"])]
    if not numbers or not shown:
        return blank(t("compare.no_cycles"))
    figure = new_figure(24 + 34 * len(shown))
    axes = panels(figure, len(shown), sharex=True)
    last = list(numbers)[-MOST:]
    labels = []
    for panel, one in zip(axes, shown, strict=True):
        target = target_p95_s if one["what"] == "p95" else target_rps
        labels.append(_draw_series(panel, last, {**one, "changes": changes_shown(one, last)}, target, t))
    axes[-1].set_xlim(last[0] - 0.5, last[-1] + 0.5)
    axes[-1].set_xlabel(t("history.cycle_axis"))
    q.plain_ticks(axes[-1].xaxis, 12, integer=True)
    label_panels(list(zip(axes, labels, strict=True)))
    return figure


def _draw_series(axes: Axes, numbers: Sequence[int], series: Mapping[str, Any], target: float | None,
                 t: Texts) -> list[SideLabel]:  # fmt: skip
    """One quantity over the cycles; returns the labels beside the axes."""
    found = [q.point(p) for p in series["points"]]
    highest = [high if math.isfinite(high) else value for value, _, high in found]
    factor, unit = q.display_unit(series["unit"], max(v for v in [*highest, target or 0.0] if math.isfinite(v)))
    known = [(n, *(v * factor for v in p)) for n, p in zip(numbers, found, strict=True) if math.isfinite(p[0])]
    axes.plot([n for n, *_ in known], [v for _, v, *_ in known], "o", color=PALETTE["measured"], zorder=4,
              markeredgecolor="white")  # fmt: skip
    for n, _, low, high in known:
        if math.isfinite(low) and math.isfinite(high):
            axes.plot([n, n], [low, high], color=PALETTE["measured"], linewidth=1.4, zorder=3)
    axes.set_ylim(0, top_of([h * factor for h in highest], [(target or 0) * factor], headroom=1.28))
    _draw_levels(axes, [(n, v) for n, v, *_ in known], series["changes"])
    labels = []
    if target:
        draw_threshold(axes, target * factor)
        labels.append(SideLabel(target * factor, t("load.target", value=q.with_unit(target * factor, unit)),
                                PALETTE["target"], True))  # fmt: skip
    name = t(f"history.{series['what']}", unit=unit)
    if series.get("load"):
        load = series["load"]
        name = t("history.at_load", name=name, load=t(f"bands.{load['unit']}", value=q.number(load["value"])))
    panel_title(axes, name)
    q.plain_ticks(axes.yaxis, 4)
    return labels


def _draw_levels(axes: Axes, known: Sequence[tuple[int, float]], changes: Sequence[Mapping[str, Any]]) -> None:
    """The mean between change points as a line; each change as a dashed line with its size."""
    places = [known[0][0], *(c["number"] for c in changes), known[-1][0] + 1]
    for first, end in pairwise(places):
        values = [v for n, v in known if first <= n < end]
        if changes and values:
            mean = sum(values) / len(values)
            axes.plot([first - 0.35, end - 0.65], [mean, mean], color=PALETTE["model"], linewidth=1.1, zorder=2)
    for change in changes:
        x = change["number"] - 0.5
        axes.axvline(x, color=PALETTE["limit"], linewidth=1.1, linestyle=(0, (3, 2)), zorder=1.5)
        ratio = q.value_of(change["change"])
        axes.annotate(f"{'+' if ratio > 0 else '−'}{q.number(abs(ratio) * 100)}%", (x, 1),
                      (3, -2), xycoords=axes.get_xaxis_transform(), textcoords="offset points", ha="left", va="top",
                      fontsize=SMALL_PT, color=PALETTE["limit"], fontweight="bold")  # fmt: skip
