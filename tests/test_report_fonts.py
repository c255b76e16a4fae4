import subprocess
import sys
from pathlib import Path

from genkai.report.fonts import covered_code_points, font_files


def test_both_weights_cover_kana_kanji_and_symbols():
    assert {ord(c) for c in "限界負荷試験カナかなABC≤≥×→○■−–"} <= covered_code_points()


def test_figures_and_documents_have_the_same_fonts():
    from genkai import report
    from genkai.figures import style

    assert font_files() == style.font_files()
    assert f'set text(font: "{style.FAMILY}"' in (Path(report.__file__).parent / "template.typ").read_text()


def test_importing_the_report_is_light_and_leaves_locust_alone():
    code = (
        "import sys, genkai.report.display, genkai.report.sections, genkai.report.exporter\n"
        "print([m for m in ('matplotlib', 'locust', 'gevent', 'typst', 'pypandoc', 'fontTools') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
