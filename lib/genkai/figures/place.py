"""Where labels go: direct labels beside the lines' ends, call-outs where nothing else is, all without overlap."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from genkai.figures.style import SMALL_PT, fix_layout

LEADER_PT = 4.0  # width of the line between a height and the label that had to move
KATAKANA = re.compile(r"[ァ-ヶー]")
STARTS_NO_LINE = "、。，．・：；！？）」』】ぁぃぅぇぉっゃゅょゎー"
HIDES_A_LINE = 12.0  # cost of each piece of a line under a text, in points of distance from what it names


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
    offsets = np.concatenate([[0.0], np.cumsum([(a + b) / 2 for a, b in pairwise(sizes)])])
    blocks: list[list[float]] = []
    for index, offset in zip(order, offsets, strict=False):
        blocks.append([wanted[index] - offset, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, count = blocks.pop()
            blocks[-1] = [
                (blocks[-1][0] * blocks[-1][1] + mean * count) / (blocks[-1][1] + count),
                blocks[-1][1] + count,
            ]
    starts = [mean for mean, count in blocks for _ in range(int(count))]
    if not starts:
        return []
    bottom, top = low + sizes[0] / 2, high - sizes[-1] / 2 - offsets[-1]
    centres = [0.0] * len(wanted)
    for place, index in enumerate(order):
        centres[index] = float(max(bottom, min(starts[place], top)) + offsets[place])
    return centres


def label_right(axes: Axes, labels: Sequence[SideLabel]) -> list[Annotation]:
    """Write labels at the right of the axes, each at its height or as near as the others leave room.

    The layout is fixed then, because heights in points are known only from it: what takes room must be there before. A
    label that had to move gets a leader.
    """
    return label_panels([(axes, labels)])[0]


def label_panels(panels: Sequence[tuple[Axes, Sequence[SideLabel]]]) -> list[list[Annotation]]:
    """`label_right` for several axes of one figure, whose layout is fixed for all of them."""
    written = [(axes, *_write_right(axes, labels)) for axes, labels in panels]
    if any(notes for _, _, notes in written):
        fix_layout(panels[0][0].figure)
    for axes, labels, notes in written:
        _spread_right(axes, labels, notes)
    return [notes for _, _, notes in written]


def label_top(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> list[Annotation]:
    """Name vertical lines in a row above the axes: (x, text, colour) each, at its line or as near as the others allow.

    The layout is fixed then; leave the row free below the headline (its pad).
    """
    notes = [
        axes.annotate(text, (x, 1.0), xycoords=axes.get_xaxis_transform(), xytext=(0, 2.5), textcoords="offset points",
                      color=color, fontsize=SMALL_PT, fontweight="bold", ha="center", va="bottom",
                      annotation_clip=False)
        for x, text, color in labels
    ]  # fmt: skip
    fix_layout(axes.figure)
    box, px = axes.get_window_extent(), axes.figure.dpi / 72
    wanted = [float(axes.transData.transform((x, 0))[0]) for x, _, _ in labels]
    widths = [text_box(note).width for note in notes]
    for note, centre, want in zip(notes, spread(wanted, widths, box.x0, box.x1, gap=8 * px), wanted, strict=True):
        note.set_position(((centre - want) / px, 2.5))
    return notes


def _write_right(axes: Axes, labels: Sequence[SideLabel]) -> tuple[list[SideLabel], list[Annotation]]:
    labels = [label for label in labels if math.isfinite(label.y)]
    notes = [
        axes.annotate(label.text, (1.0, label.y), xycoords=axes.get_yaxis_transform(), xytext=(1.012, label.y),
                      textcoords=axes.get_yaxis_transform(), color=label.color, fontsize=SMALL_PT, ha="left",
                      va="center", fontweight="bold" if label.bold else "normal", linespacing=1.15,
                      annotation_clip=False)
        for label in labels
    ]  # fmt: skip
    return labels, notes


def _spread_right(axes: Axes, labels: Sequence[SideLabel], notes: Sequence[Annotation]) -> None:
    if not notes:
        return
    figure, box = axes.figure, axes.get_window_extent()
    extents = [note.get_window_extent() for note in notes]
    wanted = [float(axes.transData.transform((0, label.y))[1]) for label in labels]
    slack = figure.dpi * 5 / 72
    centres = spread(wanted, [e.height for e in extents], box.y0 - slack, box.y1 + slack, gap=figure.dpi / 72)
    for note, centre, want in zip(notes, centres, wanted, strict=True):
        if abs(centre - want) > figure.dpi / 72:
            note.set_y(float(axes.transData.inverted().transform((0, centre))[1]))
        if abs(centre - want) > figure.dpi * 3 / 72:
            # In a narrow panel a share of its width is no room for a line.
            note.set_x(max(note.get_position()[0], 1 + LEADER_PT * figure.dpi / 72 / box.width))
            _add_leader(axes, note, want)


def _add_leader(axes: Axes, note: Annotation, want: float) -> None:
    y = float(axes.transData.inverted().transform((0, want))[1])
    end = 1 + 0.8 * (note.get_position()[0] - 1)
    axes.plot([1.0, end], [y, note.get_position()[1]], transform=axes.get_yaxis_transform(),
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
        for start, end in pairwise(path):
            count = int(np.hypot(*(end - start)) / step_px)
            if 1 < count < 2000:
                found.append(start + np.linspace(0, 1, count)[:, None] * (end - start))
    return np.vstack(found)


def callout(axes: Axes, x: float, y: float, text: str, color: str, bold: bool = False,
            reach: Sequence[float] = (9, 16, 26, 38, 52, 68)) -> Annotation:  # fmt: skip
    """Name a point, with a thin arrow, at the nearest place within the axes that hides no line and no other text."""
    note = axes.annotate(text, (x, y), xytext=(0, 0), textcoords="offset points", color=color, fontsize=SMALL_PT,
                         fontweight="bold" if bold else "normal", ha="center", va="center", linespacing=1.15,
                         arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 3},
                         bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
                         zorder=8)  # fmt: skip
    _settle(axes, note, [(x, y)], lambda width, height: _candidates(width, height, reach))
    return note


def name_line(axes: Axes, points: Sequence[tuple[float, float]], text: str, color: str,
              bold: bool = False) -> Annotation:  # fmt: skip
    """Write a line's name beside the point of it that leaves the text freest; the first points are preferred."""
    note = axes.annotate(text, points[0], (0, 0), textcoords="offset points", color=color, fontsize=SMALL_PT,
                         ha="center", va="center", fontweight="bold" if bold else "normal", zorder=7)  # fmt: skip
    _settle(axes, note, points, lambda width, height: [
        (dx * (width / 2 + 4), dy * (height / 2 + 2)) for dy in (1, -1) for dx in (1, -1, 0)])  # fmt: skip
    return note


def _settle(axes: Axes, note: Annotation, points: Sequence[tuple[float, float]],
            offsets: Callable[[float, float], list[tuple[float, float]]]) -> None:  # fmt: skip
    """Move the note to the cheapest pair of a point (data units) and an offset (points); fixes the layout."""
    figure = axes.figure
    note.set_in_layout(False)
    fix_layout(figure)
    px, own = figure.dpi / 72, text_box(note)
    others = [text_box(t) for t in axes.texts if t is not note and t.get_text() and t.get_visible()]
    busy, room = obstacles(axes), axes.get_window_extent()
    choices = []
    for rank, point in enumerate(points):
        at = axes.transData.transform(point)
        for offset in offsets(own.width / px, own.height / px):
            cost = _cost(offset, at, px, (own.width, own.height), busy, others, room)
            choices.append((cost + 2 * rank, point, offset))
    cost, note.xy, best = min(choices)
    note.set_position(best)
    if cost >= HIDES_A_LINE:  # nowhere is free: better to hide a piece of a line than to print over it
        note.set_bbox({"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"})


def text_box(text: Text) -> Bbox:
    """Where the letters are, pixels: a call-out without its arrow."""
    if not isinstance(text, Annotation):
        return text.get_window_extent()
    text.update_positions(text.figure.canvas.get_renderer())
    return Text.get_window_extent(text)


def _candidates(width: float, height: float, reach: Sequence[float]) -> list[tuple[float, float]]:
    """Offsets in points of the text's centre from the point, nearest first."""
    directions = [(1, -1), (-1, 1), (1, 1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0), (1, -0.5), (-1, 0.5)]
    return [(dx * (width / 2 + r), dy * (height / 2 + r)) for r in reach for dx, dy in directions]


def _cost(offset: tuple[float, float], at: np.ndarray, px: float, size: tuple[float, float], busy: np.ndarray,
          others: Sequence[Bbox], room: Bbox) -> float:  # fmt: skip
    x, y = at[0] + offset[0] * px, at[1] + offset[1] * px
    pad = 2.5 * px
    x0, x1, y0, y1 = x - size[0] / 2 - pad, x + size[0] / 2 + pad, y - size[1] / 2 - pad, y + size[1] / 2 + pad
    hidden = _count_inside(busy, Bbox([[x0, y0], [x1, y1]]))
    covered = sum(box.x0 < x1 and box.x1 > x0 and box.y0 < y1 and box.y1 > y0 for box in others)
    arrow = at + np.linspace(0, 1, 12)[:, None] * np.array([x - at[0], y - at[1]])
    crossed = sum(_count_inside(arrow, box) > 0 for box in others)
    outside = max(0, room.x0 - x0) + max(0, x1 - room.x1) + max(0, room.y0 - y0) + max(0, y1 - room.y1)
    return 1000 * covered + 300 * crossed + 100 * outside / px + HIDES_A_LINE * hidden + 0.15 * math.hypot(*offset)


def _count_inside(points: np.ndarray, box: Bbox) -> int:
    x, y = points[:, 0], points[:, 1]
    return int(np.sum((x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)))


def trim(axes: Axes, note: Text) -> None:
    """Shorten a text in its middle until it is no wider than the axes: names that differ at their end stay apart."""
    room, text = axes.get_window_extent().width, note.get_text()
    kept = len(text)
    while kept > 2 and note.get_window_extent().width > room:
        kept -= 1
        note.set_text(text[: (kept + 1) // 2] + "…" + text[len(text) - kept // 2 :])


def fit_text(axes: Axes, left: float, right: float, text: str, color: str) -> Text | None:
    """Write at the foot of a strip of the axes (data units): in one line, else in two or three, else not at all."""
    note = axes.text((left + right) / 2, 0.03, text, transform=axes.get_xaxis_transform(), ha="center", va="bottom",
                     fontsize=SMALL_PT, color=color, linespacing=1.15)  # fmt: skip
    fix_layout(axes.figure)
    (x0, x1), room = axes.transData.transform([(left, 0), (right, 0)])[:, 0], axes.figure.dpi * 4 / 72
    for lines in (1, 2, 3):
        note.set_text(broken(text, lines))
        if note.get_window_extent().width <= x1 - x0 - room:
            return note
    note.remove()
    return None


def broken(text: str, lines: int) -> str:
    r"""The text in so many lines of about equal length, broken at spaces, or anywhere where there are none.

    >>> broken("more load, no more throughput", 2)
    'more load, no\nmore throughput'
    """
    if " " not in text:
        return _broken_anywhere(text, lines)
    return min((_wrapped(text, width) for width in range(1, len(text) + 1)),
               key=lambda w: (w.count("\n") >= lines, max(map(len, w.split("\n")))))  # fmt: skip


def _broken_anywhere(text: str, lines: int) -> str:
    """Japanese: lines of about equal length, never within a word of katakana nor before a small letter or a stop."""
    places = [i for i in range(1, len(text)) if text[i] not in STARTS_NO_LINE
              and not (KATAKANA.match(text[i - 1]) and KATAKANA.match(text[i]))]  # fmt: skip
    cuts = [0]
    for line in range(1, lines):
        left = [i for i in places if i > cuts[-1]]
        if left:
            cuts.append(min(left, key=lambda i, ideal=line * len(text) / lines: (abs(i - ideal), i)))
    return "\n".join(text[a:b] for a, b in pairwise([*cuts, len(text)]))


def _wrapped(text: str, width: int) -> str:
    return textwrap.fill(text, width, break_long_words=False)
