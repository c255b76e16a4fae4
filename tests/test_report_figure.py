import sys

import numpy as np
import pytest
from matplotlib.figure import Figure as MplFigure

from genkai.figures.style import figure_style
from genkai.report.display import Figure
from genkai.report.errors import ReportError
from genkai.report.figure import RASTERISE_ABOVE
from report_records import scale_figure


def test_svg_has_live_text_and_html_has_png_caption_and_alt():
    shown = Figure(scale_figure("ja"), caption="上限 <1>", label="fig-a", alt='alt "x"')
    assert ">ユーザ数</text>" in shown.resources()["fig-a.svg"]
    assert shown.png.startswith(b"\x89PNG")
    assert 'alt="alt &quot;x&quot;"' in shown.to_html()
    assert "上限 &lt;1&gt;" in shown.to_html()
    assert 'alt: "alt \\"x\\""' in shown.to_typst()


def test_same_data_gives_the_same_bytes():
    one, other = (Figure(scale_figure("en"), caption="c", label="fig-a", alt="a") for _ in range(2))
    assert one.svg == other.svg
    assert one.png == other.png


@pytest.mark.parametrize(("points", "pixels"), [(RASTERISE_ABOVE + 1, True), (100, False)])
@pytest.mark.parametrize("kind", ["plot", "scatter"])
def test_many_points_become_pixels(points, pixels, kind):
    with figure_style():
        figure = MplFigure()
        getattr(figure.subplots(), kind)(np.arange(points), np.arange(points) % 7)
    svg = Figure(figure, caption="c", label="fig-a", alt="a").svg
    assert ("<image" in svg) == pixels


def test_figures_with_bands_and_fills_are_shown():
    with figure_style() as colours:
        figure = MplFigure()
        axes = figure.subplots()
        axes.fill_between([0, 1], [0, 1], [1, 2], color=colours["band"])
        axes.bar([0, 1], [1, 2])
        axes.vlines([0.5], 0, 1)
    assert "<svg" in Figure(figure, caption="c", label="fig-a", alt="a").svg


def test_a_pyplot_figure_is_closed_so_that_it_shows_once():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    assert "matplotlib.pyplot" in sys.modules
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    Figure(figure, caption="c", label="fig-a", alt="a")
    assert not plt.fignum_exists(figure.number)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"caption": " "}, "expected a caption and an alt text"),
        ({"alt": ""}, "expected a caption and an alt text"),
        ({"label": "scale"}, 'a label like "fig-scale" or "tab-targets", got "scale"'),
    ],
)
def test_caption_label_and_alt_are_required(arguments, message):
    with pytest.raises(ReportError, match=message):
        Figure(MplFigure(), **({"caption": "c", "label": "fig-a", "alt": "a"} | arguments))
