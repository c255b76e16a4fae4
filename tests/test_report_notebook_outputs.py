import base64

import pandas as pd
import pytest

from genkai.report.notebook_outputs import html_table, picture, printed, raised, terminal_text


def test_colours_progress_bars_and_foreign_glyphs():
    assert terminal_text("\x1b[31mred\x1b[0m\r\n") == "red"
    assert terminal_text("10 %\r50 %\r100 %") == "100 %"
    assert terminal_text("a\tb 😀") == "a       b \ufffd"


def test_long_output_says_what_was_left_out():
    shown = terminal_text("\n".join(map(str, range(1000))))
    assert "… (880 lines left out) …" in shown
    assert shown.startswith("0\n")
    assert shown.endswith("\n999")


def test_blank_output_takes_no_space():
    assert printed(" \n\n").typst == ""


def test_exception_is_shown_and_remembered():
    shown = raised("ValueError", "bad #x")
    assert (shown.typst, shown.error) == ('#raised("ValueError", "bad #x")', "ValueError: bad #x")


def test_dataframe_html_becomes_a_table():
    frame = pd.DataFrame({"name": ["a#b", "<c>"], "v": [1.5, -2.25]})
    typst = html_table(frame._repr_html_()).typst
    assert 'header: ("", "name", "v",)' in typst
    assert '("1", "<c>", "-2.25",)' in typst
    assert "align: (right, left, right,)" in typst


def test_html_without_a_table_is_left_to_its_plain_text():
    assert html_table("<b>x</b>") is None


@pytest.mark.parametrize(("mime", "suffix"), [("image/png", "png"), ("image/jpeg", "jpg")])
def test_pictures_are_files(mime, suffix):
    shown = picture({mime: base64.b64encode(b"bytes").decode(), "text/plain": "<Figure>"}, {}, "output-1-0")
    assert shown.files == {f"output-1-0.{suffix}": b"bytes"}
    assert shown.typst == f'#picture("output-1-0.{suffix}", "<Figure>")'


def test_alt_text_comes_from_the_metadata():
    assert '"curve"' in picture({"image/png": ""}, {"image/png": {"alt": "curve"}}, "o").typst
