"""Where labels go: direct labels beside the lines' ends, call-outs where nothing else is, all without overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from genkai.figures.style import PALETTE, SMALL_PT


@dataclass(frozen=True)
class SideLabel:
    """A label beside the right edge of the axes at a height in data units."""

    y: float
    text: str
    color: str
    bold: bool = False


def spread(wanted: Sequence[float], heights: Sequence[float], low: float, high: float, gap: float = 1.0) -> list[float]:
    """Centres closest to those wanted such that boxes of these heights neither overlap nor leave low … high.

    Boxes keep the order of the wanted centres; blocks that touch move as one (pool adjacent violators).
    Where they do not all fit, they are spaced evenly from low upwards.

    >>> spread([10, 11, 50], [4, 4, 4], 0, 100, gap=0)
    [8.5, 12.5, 50.0]
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    sizes = [heights[i] + gap for i in order]
    offsets = np.concatenate([[0.0], np.cumsum([(a + b) / 2 for a, b in zip(sizes, sizes[1:], strict=False)])])
    blocks: list[list[float]] = []
    for index, offset in zip(order, offsets, strict=False):
        blocks.append([wanted[index] - offset, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, count = blocks.pop()
            blocks[-1] = [(blocks[-1][0] * blocks[-1][1] + mean * count) / (blocks[-1][1] + count), blocks[-1][1] + count]
    starts = [mean for mean, count in blocks for _ in range(int(count))]
    if not starts:
        return []
    bottom, top = low + sizes[0] / 2, high - sizes[-1] / 2 - offsets[-1]
    centres = [0.0] * len(wanted)
    for place, index in enumerate(order):
        centres[index] = float(max(bottom, min(starts[place], top)) + offsets[place])
    return centres


def label_right(axes: Axes, labels: Sequence[SideLabel], size: float = SMALL_PT, x: float = 1.012) -> list[Annotation]:
    """Write labels at the right of the axes, each at its height or as near as the others leave room.

    The layout is computed once, because heights in points are known only then; a label that had to move gets a leader.
    """
    labels = [label for label in labels if math.isfinite(label.y)]
    notes = [
        axes.annotate(label.text, (1.0, label.y), xycoords=axes.get_yaxis_transform(), xytext=(x, label.y),
                      textcoords=axes.get_yaxis_transform(), color=label.color, fontsize=size, ha="left", va="center",
                      fontweight="bold" if label.bold else "normal", linespacing=1.15, annotation_clip=False)
        for label in labels
    ]  # fmt: skip
    if not notes:
        return notes
    figure = axes.figure
    figure.draw_without_rendering()
    box = axes.get_window_extent()
    extents = [note.get_window_extent() for note in notes]
    wanted = [float(axes.transData.transform((0, label.y))[1]) for label in labels]
    slack = figure.dpi * 5 / 72
    centres = spread(wanted, [e.height for e in extents], box.y0 - slack, box.y1 + slack, gap=figure.dpi / 72)
    for note, centre, want in zip(notes, centres, wanted, strict=True):
        if abs(centre - want) > figure.dpi / 72:
            note.set_y(float(axes.transData.inverted().transform((0, centre))[1]))
        if abs(centre - want) > figure.dpi * 3 / 72:
            _add_leader(axes, note, want)
    return notes


def _add_leader(axes: Axes, note: Annotation, want: float) -> None:
    y = float(axes.transData.inverted().transform((0, want))[1])
    axes.plot([1.0, note.get_position()[0] - 0.002], [y, note.get_position()[1]], transform=axes.get_yaxis_transform(),
              color=note.get_color(), linewidth=0.6, clip_on=False, gid="leader", solid_capstyle="butt")  # fmt: skip


def obstacles(axes: Axes, step_px: float = 4.0) -> np.ndarray:
    """Pixels that a label should leave free: points about every step along the lines of the axes; shape (n, 2)."""
    found = [np.empty((0, 2))]
    for line in axes.lines:
        if line.get_gid() == "leader" or not line.get_visible():
            continue
        path = line.get_transform().transform(np.column_stack(line.get_data()).astype(float))
        path = path[np.isfinite(path).all(axis=1)]
        found.append(path)
        if line.get_linestyle() in ("None", " ", "") or len(path) < 2:
            continue
        for start, end in zip(path, path[1:], strict=False):
            count = int(np.hypot(*(end - start)) / step_px)
            if 1 < count < 2000:
                found.append(start + np.linspace(0, 1, count)[:, None] * (end - start))
    return np.vstack(found)


def callout(axes: Axes, x: float, y: float, text: str, color: str, size: float = SMALL_PT, bold: bool = False,
            reach: Sequence[float] = (9, 16, 26, 38, 52, 68)) -> Annotation:  # fmt: skip
    """Name a point, with a thin arrow, at the nearest place within the axes that hides no line and no other text."""
    figure = axes.figure
    note = axes.annotate(text, (x, y), xytext=(0, 0), textcoords="offset points", color=color, fontsize=size,
                         fontweight="bold" if bold else "normal", ha="center", va="center", linespacing=1.15,
                         arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 3},
                         bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
                         zorder=8)  # fmt: skip
    note.set_in_layout(False)
    figure.draw_without_rendering()
    extent, px = Annotation.get_window_extent(note), figure.dpi / 72
    text_box = Text.get_window_extent(note)
    width, height = text_box.width, text_box.height
    others = [t.get_window_extent() for t in axes.texts if t is not note and t.get_text()]
    busy, room, at = obstacles(axes), axes.get_window_extent(), axes.transData.transform((x, y))
    best = min(_candidates(width / px, height / px, reach),
               key=lambda c: _cost(c, at, px, (width, height), busy, others, room))  # fmt: skip
    note.set_position(best)
    assert extent is not None
    return note


def _candidates(width: float, height: float, reach: Sequence[float]) -> list[tuple[float, float]]:
    """Offsets in points of the text's centre from the point, nearest first."""
    directions = [(1, -1), (-1, 1), (1, 1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0), (1, -0.5), (-1, 0.5)]
    return [(dx * (width / 2 + r), dy * (height / 2 + r)) for r in reach for dx, dy in directions]


def _cost(offset: tuple[float, float], at: np.ndarray, px: float, size: tuple[float, float], busy: np.ndarray,
          others: Sequence[Bbox], room: Bbox) -> float:  # fmt: skip
    x, y = at[0] + offset[0] * px, at[1] + offset[1] * px
    pad = 2.5 * px
    x0, x1, y0, y1 = x - size[0] / 2 - pad, x + size[0] / 2 + pad, y - size[1] / 2 - pad, y + size[1] / 2 + pad
    hidden = int(np.sum((busy[:, 0] > x0) & (busy[:, 0] < x1) & (busy[:, 1] > y0) & (busy[:, 1] < y1)))
    covered = sum(box.x0 < x1 and box.x1 > x0 and box.y0 < y1 and box.y1 > y0 for box in others)
    outside = max(0, room.x0 - x0) + max(0, x1 - room.x1) + max(0, room.y0 - y0) + max(0, y1 - room.y1)
    return 1000 * covered + 100 * outside / px + 12 * hidden + 0.15 * math.hypot(*offset)


def muted(axes: Axes, x: float, y: float, text: str, **options: object) -> Text:
    """A quiet remark within the axes."""
    return axes.text(x, y, text, **{"color": PALETTE["muted"], "fontsize": SMALL_PT, **options})
