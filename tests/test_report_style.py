import io
import itertools
import subprocess
import sys

import matplotlib
import pytest
from matplotlib.figure import Figure

from genkai.report.errors import ReportError
from genkai.report.style import CYCLE, PALETTE, WIDTH_MM, figure_size, figure_style


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in matplotlib.colors.to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("role", ["measured", "model", "target", "limit", "generator", "error", "text"])
def test_roles_stand_out_from_white_paper(role):
    assert 1.05 / (luminance(PALETTE[role]) + 0.05) >= 3  # WCAG 2.1, 1.4.11 non-text contrast


def deuteranope(colour):
    """Viénot, Brettel & Mollon (1999), the linear-RGB matrix for deuteranopia."""
    r, g, b = (c**2.2 for c in matplotlib.colors.to_rgb(colour))
    same = 0.29275 * r + 0.70725 * g
    return same, same, max(0.0, -0.02234 * r + 0.02234 * g + b)


def test_curves_differ_for_colour_blind_readers():
    roles = ("measured", "model", "limit", "runner_up")
    for one, other in itertools.combinations(roles, 2):
        a, b = (deuteranope(PALETTE[role]) for role in (one, other))
        assert sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) > 0.01, (one, other)
    assert len(set(CYCLE)) == len(CYCLE)


def test_style_is_left_as_it_was_and_text_uses_the_documents_font():
    before = dict(matplotlib.rcParams)
    with figure_style("ja") as colours:
        figure = Figure(figsize=figure_size(50))
        axes = figure.subplots()
        axes.plot([1, 2], color=colours["measured"])
        axes.set_xlabel("ユーザ数 −5")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg")
    assert dict(matplotlib.rcParams) == before
    svg = buffer.getvalue().decode()
    assert "ユーザ数" in svg
    assert "Noto Sans CJK JP" in svg
    assert figure.get_figwidth() * 25.4 == pytest.approx(WIDTH_MM)


def test_unknown_language_is_refused():
    with pytest.raises(ReportError, match='got "de"'), figure_style("de"):
        pass


def test_importing_the_report_imports_neither_matplotlib_nor_locust_nor_registers_fonts():
    code = (
        "import sys, genkai.report.display, genkai.report.sections, genkai.report.style\n"
        "print([m for m in ('matplotlib', 'locust', 'gevent', 'typst', 'pypandoc', 'fontTools') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
