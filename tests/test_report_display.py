import pytest

from genkai.report.display import (
    Badge,
    Bullets,
    Contents,
    Document,
    Heading,
    KeyFigures,
    Paragraph,
    Terms,
    Text,
    Verdict,
)
from genkai.report.displayed import COLOURS, REPORT_MIME, TYPST_MIME
from genkai.report.errors import ReportError
from genkai.report.messages import Messages, catalogue
from report_records import number

HOSTILE = '<script>alert("q")</script> #let $x @fig-a \\ *b*'
OBJECTS = [
    Verdict("pass", HOSTILE), Heading(HOSTILE), Paragraph(HOSTILE), Bullets([HOSTILE]), Terms([("a", HOSTILE)]),
    KeyFigures([(HOSTILE, number(1, "rps", 0.1), HOSTILE)]), Contents([Paragraph(HOSTILE), Badge("fail")]),
    Document(HOSTILE, subtitle=HOSTILE, environment=HOSTILE),
]  # fmt: skip


@pytest.mark.parametrize("shown", OBJECTS, ids=lambda o: type(o).__name__)
def test_every_object_has_its_three_forms_and_escapes_html(shown):
    bundle = shown._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", TYPST_MIME, REPORT_MIME}
    assert "<script>" not in bundle["text/html"]
    assert HOSTILE in bundle["text/plain"]


def test_template_and_notebook_show_the_same_colours():
    from importlib import resources

    template = (resources.files("genkai.report") / "template.typ").read_text(encoding="utf-8")
    for status, colour in COLOURS.items():
        assert f'{status}: rgb("{colour}")' in template


@pytest.mark.parametrize("colour", COLOURS.values())
def test_white_text_is_readable_on_badges(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    assert 1.05 / (luminance + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_a_badge_has_its_word_in_both_languages(lang):
    for key in catalogue(lang):
        if key.startswith("status."):
            badge = Badge(key.removeprefix("status."), Messages(lang))
            assert badge.word == catalogue(lang)[key]
            assert badge.word in badge.to_html()


def test_an_unknown_status_is_refused():
    with pytest.raises(ReportError, match=r'a message "status\.maybe"'):
        Badge("maybe")


def test_markup_is_shown_in_both_forms():
    shown = Paragraph(Text.parse("see **this** in @fig-a"))
    assert '<a href="#fig-a">fig-a</a>' in shown.to_html()
    assert "ref(<fig-a>)" in shown.to_typst()


def test_contents_collects_what_is_inside():
    inside = Document("T", language="ja", cycle=3)
    facts = Contents([Contents([Paragraph("x"), inside])])._repr_mimebundle_()[REPORT_MIME]
    assert facts["document"]["running_head"] == "T · 第 3 回"


def test_key_figures_print_value_and_interval():
    plain = KeyFigures([("上限", number(497.3, "rps", 8.4), "注")], Messages("ja")).to_plain()
    assert plain == "上限: 497 rps 95% 区間 489–506 rps 注"
    with pytest.raises(ReportError, match="expected 1 to 4 figures, got 5"):
        KeyFigures([("a", 1, "")] * 5)


def test_document_states_its_window_in_utc():
    shown = Document("T", window=("2026-05-09T16:35:00+09:00", 1778316060), plan_hash="0123456789abcdef", cycle=2)
    assert ("Test window (UTC)", "2026-05-09 07:35 – 08:41") in shown.facts()
    assert ("Plan hash", "0123456789ab") in shown.facts()
    assert shown.document()["window"] == ["2026-05-09 07:35:00 UTC", "2026-05-09 08:41:00 UTC"]
