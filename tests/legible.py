"""Is everything on a figure readable: nothing cut off, no text over another, no text too small for print?"""

from __future__ import annotations

from itertools import combinations

from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from genkai.figures.place import obstacles, text_box

MINIMUM_PT = 7.0


def legibility_problems(figure: Figure, tolerance_pt: float = 0.5) -> list[str]:
    """What a reader could not read, one sentence each; [] when all is well. Draws the figure.

    Text boxes may touch by tolerance_pt, since a box is higher than its letters.
    """
    figure.canvas.draw()
    boxes = [(text, text_box(text)) for text in visible_texts(figure)]
    slack = tolerance_pt * figure.dpi / 72
    problems = [f"{_name(text)} is cut off by the figure's edge" for text, box in boxes
                if not _inside(box, figure.bbox, slack)]  # fmt: skip
    problems += [f"{_name(a)} overlaps {_name(b)}" for (a, box_a), (b, box_b) in combinations(boxes, 2)
                 if _overlap(box_a, box_b, slack)]  # fmt: skip
    problems += [f"{_name(text)} is crossed by a line" for text, box in boxes if _crossed(text, box)]
    problems += [f"{_name(text)} has {text.get_fontsize():g} pt, less than {MINIMUM_PT:g}" for text, _ in boxes
                 if text.get_fontsize() < MINIMUM_PT]  # fmt: skip
    return problems


def visible_texts(figure: Figure) -> list[Text]:
    """All texts that are drawn: titles, labels, ticks within the axes' limits, annotations."""
    hidden = {id(text) for axes in figure.axes for text in _ticks_outside(axes)}
    return [t for t in figure.findobj(Text)
            if t.get_visible() and t.get_text().strip() and id(t) not in hidden and _shown(t)]  # fmt: skip


def _shown(text: Text) -> bool:
    axes = text.axes
    return axes is None or (axes.get_visible() and (axes.axison or text not in _tick_texts(axes)))


def _tick_texts(axes) -> list[Text]:
    return [label for axis in (axes.xaxis, axes.yaxis) for label in axis.get_ticklabels(which="both")]


def _ticks_outside(axes) -> list[Text]:
    found = []
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        slack = (high - low) * 1e-6
        for tick in [*axis.majorTicks, *axis.minorTicks]:
            drawn = low - slack <= tick.get_loc() <= high + slack and axis.get_visible()
            found += [
                label
                for label, on in (
                    (tick.label1, drawn and tick.label1.get_visible()),
                    (tick.label2, drawn and tick.label2.get_visible()),
                )
                if not on
            ]
    return found


def _crossed(text: Text, box: Bbox) -> bool:
    """Whether a line of the data runs through the letters of a text that stands within the axes."""
    axes = text.axes
    patch = text.get_bbox_patch()
    if axes is None or text not in axes.texts or (patch is not None and patch.get_alpha() in (None, 1)):
        return False
    room, busy = axes.get_window_extent(), obstacles(axes, step_px=2.0)
    inset = 0.15 * text.get_fontsize() * axes.figure.dpi / 72
    inside = ((busy[:, 0] > max(box.x0, room.x0) + inset) & (busy[:, 0] < min(box.x1, room.x1) - inset)
              & (busy[:, 1] > max(box.y0, room.y0) + inset) & (busy[:, 1] < min(box.y1, room.y1) - inset))  # fmt: skip
    return bool(inside.any())


def _name(text: Text) -> str:
    return repr(" ".join(text.get_text().split()))


def _inside(box: Bbox, room: Bbox, slack: float) -> bool:
    return (box.x0 >= room.x0 - slack and box.x1 <= room.x1 + slack
            and box.y0 >= room.y0 - slack and box.y1 <= room.y1 + slack)  # fmt: skip


def _overlap(a: Bbox, b: Bbox, slack: float) -> bool:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return width > slack and height > slack
