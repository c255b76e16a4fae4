"""Label placement, the legibility check itself, colours and small quantities."""

import doctest
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from genkai.figures import bands, place, quantities
from genkai.figures.style import PALETTE, SERIES, FigureError, figure_style, new_figure, panels
from legible import legibility_problems

BOXES = st.lists(st.tuples(st.floats(0, 100), st.floats(1, 8)), min_size=1, max_size=8)


@given(BOXES)
def test_spread_boxes_stay_inside_in_order_and_apart(boxes):
    wanted, heights = zip(*boxes, strict=True)
    centres = place.spread(wanted, heights, 0, 100, gap=1)
    order = sorted(range(len(boxes)), key=lambda i: wanted[i])
    for a, b in itertools.pairwise(order):
        assert centres[b] - centres[a] >= (heights[a] + heights[b]) / 2 + 1 - 1e-6
    for centre, height in zip(centres, heights, strict=True):
        assert height / 2 - 1e-6 <= centre <= 100 - height / 2 + 1e-6


@given(BOXES)
def test_spread_leaves_boxes_that_are_apart_where_they_are(boxes):
    wanted = [12.0 * i + 6 for i in range(len(boxes))]
    assert place.spread(wanted, [4] * len(boxes), 0, 100) == pytest.approx(wanted)


@pytest.mark.parametrize("module", [place, quantities])
def test_examples_in_docstrings(module):
    assert doctest.testmod(module).failed == 0


def drawn(height_mm=60):
    with figure_style():
        figure = new_figure(height_mm)
        (axes,) = panels(figure, 1)
        axes.plot([0, 1], [0, 1])
    return figure, axes


def test_a_figure_in_order_has_no_problems():
    assert legibility_problems(drawn()[0]) == []


def test_check_finds_overlap_cut_off_small_and_crossed_texts():
    figure, axes = drawn()
    with figure_style():
        axes.text(0.2, 0.7, "first words")
        axes.text(0.22, 0.7, "second words")
        axes.text(0.5, 0.5, "on the diagonal", ha="center", va="center")
        axes.text(0.7, 0.2, "tiny", fontsize=5)
        figure.text(0.999, 0.999, "beyond the edge")
    problems = " ".join(legibility_problems(figure))
    assert "'first words' overlaps 'second words'" in problems
    assert "'on the diagonal' is crossed by a line" in problems
    assert "'tiny' has 5 pt" in problems
    assert "'beyond the edge' is cut off" in problems


def test_callout_hides_neither_lines_nor_other_texts():
    figure, axes = drawn()
    with figure_style():
        for x in (0.3, 0.5, 0.52, 0.7):
            place.callout(axes, x, x, f"the point at {x}", "#000000")
    assert legibility_problems(figure) == []


def test_labels_at_one_height_are_set_apart_with_leaders():
    figure, axes = drawn()
    with figure_style():
        notes = place.label_right(axes, [place.SideLabel(0.5, f"label {i}", "#000000") for i in range(5)])
    assert legibility_problems(figure) == []
    assert len({note.get_position()[1] for note in notes}) == 5
    assert [d.get_gid() for d in axes.lines].count("leader") == 4


def test_strip_text_breaks_or_gives_up():
    axes = drawn()[1]
    with figure_style():
        axes.set_xlim(0, 1)
        assert "\n" not in place.fit_text(axes, 0, 1, "more load, no more throughput", "#000000").get_text()
        assert place.fit_text(axes, 0, 0.2, "more load, no more throughput", "#000000").get_text().count("\n") in (1, 2)
        assert place.fit_text(axes, 0, 0.02, "more load, no more throughput", "#000000") is None


@pytest.mark.parametrize("lines", [2, 3, 4])
def test_japanese_breaks_between_words_of_katakana(lines):
    text = "負荷を増やしてもスループットは伸びない"
    parts = place.broken(text, lines).split("\n")
    assert "".join(parts) == text
    assert len(parts) == lines
    assert [part for part in parts if "スループット" in part]


def test_names_of_upright_lines_stand_apart_above_the_axes():
    figure = new_figure(60)
    (axes,) = panels(figure, 1)
    axes.set_xlim(0, 100)
    notes = place.label_top(axes, [(98.0, "target 98 rps", "black"), (99.0, "limit 99 rps", "black")])
    assert legibility_problems(figure) == []
    left, right = (place.text_box(note) for note in notes)
    assert left.x1 < right.x0
    assert min(left.y0, right.y0) >= axes.get_window_extent().y1


def test_gaps_open_where_samples_are_missing():
    x, y = bands.with_gaps(np.array([0, 1, 2, 9, 10.0]), np.array([1, 2, 3, 4, 5.0]), 1.0)
    assert list(x) == [0, 1, 2, 3, 9, 10]
    assert np.isnan(y[3])
    assert bands.usual_period(np.array([0, 10, 20, 50.0])) == 10


def test_a_sample_between_two_gaps_is_still_seen():
    axes = drawn()[1]
    bands.draw_series(axes, np.array([0, 1, 5, 9, 10.0]), np.arange(5.0), 1.0, color="#000000")
    dots = axes.lines[-1]
    assert (list(dots.get_xdata()), dots.get_marker()) == ([5], ".")


@pytest.mark.parametrize(
    ("unit", "largest", "expected"),
    [("s", 0.3, (1e3, "ms")), ("Seconds", 12, (1, "s")), ("Bytes/Second", 2e9, (1e-9, "GB/s")), ("Count", 3, (1, ""))],
)
def test_display_units(unit, largest, expected):
    assert quantities.display_unit(unit, largest) == pytest.approx(expected)


def test_open_intervals_say_so():
    assert quantities.interval({"value": 5, "low": 4, "high": None}) == "(≥ 4)"
    assert quantities.interval({"value": 5, "low": None, "high": None}) == ""


def test_an_unknown_language_has_no_style():
    with pytest.raises(FigureError, match="expected a language of en, ja, got 'fr'"), figure_style("fr"):
        pass


def linear(color):
    c = np.array(to_rgb(color))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE L*a*b*, D65."""
    m = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    f = np.cbrt(np.maximum(m @ rgb / np.array([0.9505, 1, 1.089]), 0.008856))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


TEXT_ROLES = ("measured", "model", "runner_up", "target", "limit", "generator", "error", "text", "muted")
ROLES = ("measured", "target", "limit", "generator", "error", "idle")


@pytest.mark.parametrize("color", [*(PALETTE[role] for role in TEXT_ROLES), *SERIES])
def test_text_colours_have_contrast_on_white(color):
    assert 1.05 / (linear(color) @ [0.2126, 0.7152, 0.0722] + 0.05) >= 4.5


# Machado, Oliveira, Fernandes (2009), "A physiologically-based model for simulation of color vision deficiency":
# complete loss (severity 1).
SIGHT = {
    "usual": np.eye(3),
    "deuteranope": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "protanope": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
}


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("pair", list(itertools.combinations(ROLES, 2)))
def test_roles_stay_apart_for_colour_blind_readers(pair, sight):
    a, b = (lab(np.clip(np.array(SIGHT[sight]) @ linear(PALETTE[role]), 0, 1)) for role in pair)
    assert np.linalg.norm(a - b) >= 15
