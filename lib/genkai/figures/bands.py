"""The time axis of a run: level bands, lines with gaps left open, buckets as steps, thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from genkai.figures.quantities import number
from genkai.figures.style import PALETTE, SMALL_PT, fix_layout
from genkai.figures.texts import Texts

Mark = Mapping[str, Any]
BUCKETS_S = (5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 1200.0, 1800.0)


def shade_levels(axes: Sequence[Axes], marks: Sequence[Mark], origin: float) -> None:
    """Shade every second level on all panels and draw a hairline where each level begins.

    marks: one mapping a level with start, hold_start, end in epoch seconds; origin: epoch second of x = 0.
    """
    for index, mark in enumerate(marks):
        for panel in axes:
            panel.axvline(mark["start"] - origin, color=PALETTE["grid"], linewidth=0.7, zorder=0.4)
            if index % 2 == 0:
                panel.axvspan(
                    mark["start"] - origin, mark["end"] - origin, color=PALETTE["level"], linewidth=0, zorder=0
                )


def name_levels(axes: Axes, marks: Sequence[Mark], origin: float, t: Texts) -> None:
    """Write each level's intended load above its band, as many as fit; fixes the layout."""
    if not marks:
        return
    kind = "bands.users" if marks[0].get("workload", "closed") == "closed" else "bands.rps"
    notes = []
    for index, mark in enumerate(marks):
        text = number(mark["intended"])
        centre = (mark["start"] + mark["end"]) / 2 - origin
        notes.append(
            axes.annotate(
                t(kind, value=text) if index == 0 else text,
                (centre, 1.0),
                (0, 2.5),
                xycoords=axes.get_xaxis_transform(),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=SMALL_PT,
                color=PALETTE["muted"],
                annotation_clip=False,
            )
        )
    fix_layout(axes.figure)
    last_end = axes.get_window_extent().x0 - 1e6
    for index, note in enumerate(notes):
        box = note.get_window_extent()
        if box.x0 < last_end + 3:
            note.set_text(number(marks[index]["intended"]))
            box = note.get_window_extent()
        note.set_visible(box.x0 >= last_end + 3)
        last_end = box.x1 if note.get_visible() else last_end


def with_gaps(x: np.ndarray, y: np.ndarray, period: float) -> tuple[np.ndarray, np.ndarray]:
    """The series with NaN wherever neighbours are more than 1.5 periods apart, so that a gap is drawn as a gap.

    x: seconds, ascending; returns (x, y).
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    after = np.flatnonzero(np.diff(x) > 1.5 * period) + 1
    return np.insert(x, after, x[after - 1] + period), np.insert(y, after, np.nan)


def usual_period(x: np.ndarray) -> float:
    """The usual distance between samples, seconds; 1 where there are fewer than two."""
    steps = np.diff(np.sort(np.asarray(x, float)))
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else 1.0


def bucket_s(span_s: float) -> float:
    """Seconds that become one point of a long time axis, 0 where each sample has room: print shows some 600 points."""
    return 0.0 if span_s <= 1800 else next((b for b in BUCKETS_S if span_s / b <= 600), 3600.0)


def in_buckets(x: np.ndarray, y: np.ndarray, bucket: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(centre, mean, lowest, highest) of the samples in each bucket that has any, in order of time."""
    known = np.isfinite(y)
    x, y = np.asarray(x, float)[known], np.asarray(y, float)[known]
    number = np.floor(x / bucket)
    order = np.argsort(number, kind="stable")
    number, y = number[order], y[order]
    first = np.flatnonzero(np.r_[True, np.diff(number) > 0]) if len(y) else np.empty(0, int)
    if not len(first):
        return x, y, y, y
    counts = np.diff(np.r_[first, len(y)])
    centre = (number[first] + 0.5) * bucket
    return centre, np.add.reduceat(y, first) / counts, np.minimum.reduceat(y, first), np.maximum.reduceat(y, first)


def _draw_buckets(axes: Axes, x: np.ndarray, y: np.ndarray, bucket: float, band: float, **look: Any) -> Line2D:
    """The mean of each bucket as a line, its range as a band behind; thousands of samples would be a solid block."""
    centre, mean, low, high = in_buckets(x, y, bucket)
    at, low = with_gaps(centre, low, bucket)
    _, high = with_gaps(centre, high, bucket)
    axes.fill_between(at, low, high, color=look.get("color"), alpha=band, linewidth=0, zorder=look.get("zorder", 2) - 1)
    (line,) = axes.plot(*with_gaps(centre, mean, bucket), **look)
    return line


def draw_series(axes: Axes, x: np.ndarray, y: np.ndarray, period: float, bucket: float = 0.0, band: float = 0.16,
                **look: Any) -> Line2D:  # fmt: skip
    """A line with its gaps; samples that stand for 5 s or more are drawn as steps over what they stand for.

    bucket: seconds (see `bucket_s`) that become one point where the samples are finer; band: opacity of their range.
    """
    if bucket > period:
        return _draw_buckets(axes, x, y, bucket, band, **look)
    x, y = with_gaps(x, y, period)
    if period >= 5 and len(x):
        edges, values = np.repeat(x, 2), np.repeat(y, 2)
        edges[1::2] += np.where(np.isfinite(y), period, 0.0)
        (line,) = axes.plot(edges, values, **{"solid_joinstyle": "miter", **look})
    else:
        (line,) = axes.plot(x, y, **look)
        lonely = _lonely(y)
        if lonely.any():
            axes.plot(x[lonely], y[lonely], ".", markersize=3, color=line.get_color(), zorder=line.get_zorder())
    return line


def _lonely(y: np.ndarray) -> np.ndarray:
    """Which samples have a gap on both sides: a line would not show them."""
    known = np.isfinite(y)
    before, after = np.r_[False, known[:-1]], np.r_[known[1:], False]
    return known & ~before & ~after


def draw_threshold(axes: Axes, value: float, role: str = "target") -> None:
    """A dashed line over the whole width."""
    axes.axhline(value, color=PALETTE[role], linewidth=1.1, linestyle=(0, (6, 2)), zorder=2.5)


def top_of(*values: Any, headroom: float = 1.12) -> float:
    """Upper limit of an axis that starts at zero and shows all finite values; 1 where there are none."""
    flat = [float(v) for group in values for v in np.atleast_1d(np.asarray(group, float)) if math.isfinite(v)]
    highest = max(flat, default=0.0)
    return highest * headroom if highest > 0 else 1.0
