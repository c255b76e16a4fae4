"""The path of a capacity search: each trial's rate and verdict, closing in on the limit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genkai.figures import quantities as q
from genkai.figures.bands import draw_threshold
from genkai.figures.place import SideLabel, fit_text, label_panels, name_line
from genkai.figures.style import DASHES, PALETTE, SMALL_PT, blank, headline, new_figure, panel_title, panels, styled
from genkai.figures.texts import Texts, texts_of

LOOKS = {
    "kept": {"marker": "o", "color": PALETTE["measured"], "markeredgecolor": "white", "markersize": 7},
    "missed": {"marker": "X", "color": PALETTE["limit"], "markeredgecolor": "white", "markersize": 8},
    "stopped": {"marker": "s", "color": PALETTE["error"], "markeredgecolor": "white", "markersize": 7},
    "discarded": {"marker": "o", "color": "white", "markeredgecolor": PALETTE["generator"], "markersize": 6.5},
}


@styled
def search(record: Mapping[str, Any], *, t: Any = None) -> Figure:
    """Rate of each trial in order, marked by its verdict; phases side by side; the limit with its interval.

    record: the search record. A search without trials gives a figure that says so.
    """
    t = texts_of(t)
    trials = pd.DataFrame(record.get("trials") or [])
    if trials.empty:
        return blank(t("search.empty"))
    near = _near(record, trials)
    figure = new_figure(98 if near else 78)
    axes, *close = panels(figure, 2, sharex=True, height_ratios=[1.5, 1]) if near else panels(figure, 1)
    axes.set_xlim(0.4, len(trials) + 0.6)
    axes.set_ylim(0, 1.22 * float(trials["rate_rps"].max()))
    labels = [(axes, _draw_limit(axes, record, t))]
    _draw_trials(axes, trials)
    headline(axes, _answer(record, t))
    axes.set_ylabel(t("search.rate_axis"))
    for below in close:
        below.set_ylim(*near)
        _draw_trials(below, trials)
        panel_title(below, t("search.near"))
        q.plain_ticks(below.yaxis, 4)
        labels.append((below, _draw_limit(below, record, t, interval=True)))
    (close or [axes])[-1].set_xlabel(t("search.trial_axis"))
    q.plain_ticks(axes.yaxis, 5)
    axes.xaxis.get_major_locator().set_params(integer=True)
    label_panels(labels)
    _name_phases(axes, trials, t)
    for verdict, look in LOOKS.items():
        some = trials[trials["verdict"] == verdict]
        points = list(zip(some["number"].astype(float), some["rate_rps"], strict=True))
        if points:
            color = look["markeredgecolor"] if verdict == "discarded" else look["color"]
            name_line(axes, points[::-1], t(f"search.{verdict}"), color, bold=True)
    return figure


def _draw_trials(axes: Axes, trials: pd.DataFrame) -> None:
    axes.plot(trials["number"], trials["rate_rps"], color=PALETTE["grid"], linewidth=1, zorder=2)
    for verdict, look in LOOKS.items():
        some = trials[(trials["verdict"] == verdict) & trials["rate_rps"].between(*axes.get_ylim())]
        axes.plot(some["number"], some["rate_rps"], linestyle="none", zorder=5, label=verdict, clip_on=False,
                  in_layout=False, **look)  # fmt: skip


def _near(record: Mapping[str, Any], trials: pd.DataFrame) -> tuple[float, float] | None:
    """The rates around the limit, to look at it closely; None where it is not known from both sides."""
    value, low, high = q.point(record["limit"])
    if not (math.isfinite(value) and math.isfinite(high)):
        return None
    reach = max(4 * (high - low), 0.04 * value)
    inside = trials["rate_rps"].between(value - reach, value + reach)
    return (value - reach, value + reach) if inside.sum() >= 3 else None


def _answer(record: Mapping[str, Any], t: Texts) -> str:
    limit = record["limit"]
    if record["status"] == "found":
        return t("search.found", limit=q.number(q.value_of(limit)), interval=q.interval(limit)).strip()
    least = limit.get("low")
    if least:
        return t(f"search.at_least_{record['status']}", least=q.number(least))
    return t("search.unknown")


def _draw_limit(axes: Axes, record: Mapping[str, Any], t: Texts, interval: bool = False) -> list[SideLabel]:
    """The limit with its interval, and the plan's target; returns the labels beside the axes."""
    labels, (foot, height) = [], axes.get_ylim()
    value, low, high = q.point(record["limit"])
    if math.isfinite(low):
        top = high if math.isfinite(high) else height
        axes.axhspan(low, min(top, height), color=PALETTE["limit"], alpha=0.16, linewidth=0, zorder=1)
    if math.isfinite(value):
        axes.axhline(value, color=PALETTE["limit"], linestyle=DASHES["limit"], linewidth=1.3, zorder=2.4)
        name = q.interval(record["limit"]) if interval else t("search.limit", value=q.number(value))
        labels.append(SideLabel(value, name, PALETTE["limit"], True))
    target = record.get("target_rps")
    if target and foot <= target <= height:
        draw_threshold(axes, target)
        labels.append(SideLabel(target, t("search.target", value=q.number(target)), PALETTE["target"], True))
    return labels


def _name_phases(axes: Axes, trials: pd.DataFrame, t: Texts) -> None:
    """Shade every other stretch of one phase (a search may ramp again) and name each at its foot."""
    stretch = (trials["phase"] != trials["phase"].shift()).cumsum()
    for index, (_, part) in enumerate(trials.groupby(stretch)):
        phase = part["phase"].iloc[0]
        left, right = float(part["number"].min()) - 0.5, float(part["number"].max()) + 0.5
        if index % 2:
            axes.axvspan(left, right, color=PALETTE["level"], linewidth=0, zorder=0.2)
        last = float(part["number"].max()) == len(trials)
        if last and right - left < 0.15 * len(trials):  # too narrow for its name, which may reach to the left
            axes.text(right - 0.1, 0.03, t(f"search.phase_{phase}"), transform=axes.get_xaxis_transform(), ha="right",
                      va="bottom", fontsize=SMALL_PT, color=PALETTE["muted"])  # fmt: skip
            continue
        fit_text(axes, left, right, t(f"search.phase_{phase}"), PALETTE["muted"])
