"""Documents with odd contents: each compiles without a warning, within its margins, and without half white pages."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import odd_documents as odd
from genkai.report.exporter import laid_out
from genkai.report.fonts import missing_glyphs
from genkai.report.layout import compiler_of, floating_figures, inputs
from genkai.report.typst_source import Source
from genkai.workspace import Cycle
from sample_cycles import own_cycle
from test_report_gates import Rendered, half_white

MARGIN_MM, PAGE_MM = 22.5, 210
PPI = 36


def large(place: Path) -> Cycle:
    return own_cycle(place, edit=odd.large, runs=False)


def hostile(place: Path) -> Cycle:
    return own_cycle(place, edit=odd.hostile, runs=False)


def failed(place: Path) -> Cycle:
    cycle = own_cycle(place)
    odd.keep_steps(cycle, "scenario")
    odd.fail_all(cycle)
    return cycle


def api_only(place: Path) -> Cycle:
    cycle = own_cycle(place, edit=lambda plan: odd.without_p95(plan, 250_000))
    odd.keep_steps(cycle, "api")
    return cycle


DOCUMENTS = [
    (large, "10_plan", "en"), (large, "60_report", "ja"), (hostile, "10_plan", "ja"), (hostile, "60_report", "en"),
    (failed, "60_report", "en"), (api_only, "60_report", "ja"),
]  # fmt: skip


def beyond_margins(source: Source) -> list[int]:
    """Numbers of the pages on which something stands beside the text."""
    with laid_out(source) as main:
        compiler = compiler_of(main)
        pages = compiler.compile(format="png", ppi=PPI, sys_inputs=inputs(floating_figures(compiler)))
    wide = [np.asarray(Image.open(BytesIO(page)).convert("L")).min(axis=0) for page in pages]
    edge = round((MARGIN_MM - 2) / PAGE_MM * len(wide[0]))
    return [n for n, inked in enumerate(wide, 1) if min(*inked[:edge], *inked[-edge:]) < 250]


@pytest.mark.parametrize(("made", "name", "lang"), DOCUMENTS)
def test_odd_contents_make_sound_documents(made, name: str, lang: str, tmp_path: Path) -> None:
    found = Rendered(name, made(tmp_path), lang)
    assert half_white(found.source) == []
    assert beyond_margins(found.source) == []
    assert missing_glyphs(found.text) == []
    assert found.says("〓") == (made is hostile)
    if made is hostile:
        assert found.says(odd.HOSTILE)
        assert found.says("GRINNING FACE (U+1F600)")


def test_what_stands_beside_the_text_is_seen() -> None:
    wide = "#set page(margin: 22.5mm)\n#box(width: 180mm, height: 5mm, fill: black)\n#pagebreak()x"
    assert beyond_margins(Source(wide)) == [1]
