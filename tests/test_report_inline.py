import pytest
import typst
from hypothesis import given
from hypothesis import strategies as st

from genkai.report.inline import Text, as_text
from genkai.report.typst_text import literal

HOSTILE = '#let x = $1 @fig-a <script>alert("q")</script> \\ */ // `code` **b** ]'


def test_markup_becomes_spans():
    text = Text.parse("前の@fig-aと**太字**、`x y`")
    assert [(s.kind, s.content) for s in text.spans] == [
        ("plain", "前の"), ("ref", "fig-a"), ("plain", "と"), ("bold", "太字"), ("plain", "、"), ("code", "x y"),
    ]  # fmt: skip
    assert text.labels == ("fig-a",)


def test_an_address_is_no_reference():
    assert Text.parse("mail sre@fig-team.example, a@tab-x").labels == ()


def test_plain_text_is_literal():
    text = as_text(HOSTILE)
    assert (str(text), text.labels) == (HOSTILE, ())
    assert "<script>" not in text.to_html()


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])))
def test_typst_reads_back_every_string_literal(text):
    import json

    assert json.loads(typst.eval(b" ", literal(text))) == text


@pytest.mark.parametrize("text", [HOSTILE, "日本語\n改行", ""])
def test_typst_evaluates_the_text_without_running_it(text):
    assert typst.eval(b" ", f"type({Text.plain(text).to_typst()})") == '"content"'


def test_whole_text_is_one_line_in_every_form():
    text = Text.whole("1,000 ユーザ")
    assert text.to_typst() == '{box(text("1,000 ユーザ"))}'
    assert text.to_html() == '<span style="white-space:nowrap">1,000 ユーザ</span>'
    assert (str(text), Text.whole("").spans) == ("1,000 ユーザ", ())
