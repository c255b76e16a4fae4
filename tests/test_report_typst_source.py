import base64

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from genkai.report.display import Document, Figure, Paragraph, Table, Text
from genkai.report.errors import ReportError
from genkai.report.fonts import missing_glyphs
from genkai.report.typst_source import notebook_source
from report_records import notebook, scale_figure, shown_cell

A_TABLE = Table([{"a": 1}], caption="c", label="tab-a")
DOCUMENT = Document("Title", language="ja", plan="shop", cycle=2, verdict="fail", plan_hash="0123456789abcdef")


def main(*cells, **arguments):
    return notebook_source(notebook(*cells), **arguments).main


def test_references_are_rewritten_outside_code_only():
    text = "前の@tab-aと `@tab-no` と\n\n```\n@tab-no\n```\n\na@tab-a.example ``x ` @tab-no``"
    source = main(new_markdown_cell(text), shown_cell(A_TABLE))
    assert source.count("#ref(<tab-a>)") == 1
    assert "ref(<tab-no>)" not in source


def test_japanese_bold_next_to_brackets():
    assert "#strong[「強調」]です" in main(new_markdown_cell("**「強調」**です"))


def test_hidden_cells_and_code_stay_out():
    cells = [
        new_markdown_cell("how to read", metadata={"tags": ["notebook"]}),
        shown_cell(Paragraph("hidden"), tags=["parameters"]),
        shown_cell(Paragraph("shown")),
    ]
    source = main(*cells)
    assert "how to" not in source
    assert "hidden" not in source
    assert "secret_code" not in source
    assert "shown" in source


def test_the_first_heading_is_the_title_of_an_ordinary_notebook():
    source = main(new_markdown_cell("# How fast is *it*?\n\ntext"), name="x")
    assert 'title: "How fast is it?"' in source
    assert "= How" not in source
    assert 'title: "x"' in main(new_markdown_cell("text"), name="x")


def test_document_facts_reach_the_preamble():
    source = main(shown_cell(DOCUMENT))
    for part in (
        'lang: "ja"',
        'title: "Title"',
        'head: "Title · 第 2 回"',
        'badge("fail", "不合格")',
        '"計画 0123456789ab"',
    ):
        assert part in source


def test_unknown_label_is_named_with_the_known_ones():
    with pytest.raises(ReportError, match='reference @fig-b: expected one of the labels: tab-a, got "fig-b"'):
        main(new_markdown_cell("see @fig-b"), shown_cell(A_TABLE))
    with pytest.raises(ReportError, match="none in this notebook"):
        main(shown_cell(Paragraph(Text.parse("see @fig-b"))))


def test_a_label_used_twice_names_both_cells():
    with pytest.raises(ReportError, match="cell 2, label tab-a: expected a label of its own, got cell 1 has it too"):
        main(shown_cell(A_TABLE), shown_cell(A_TABLE))


def test_a_failed_cell_stops_a_report_but_not_an_ordinary_notebook():
    failed = new_code_cell("1/0", outputs=[new_output("error", ename="ZeroDivisionError", evalue="by zero")])
    assert '#raised("ZeroDivisionError", "by zero")' in main(failed)
    with pytest.raises(
        ReportError, match="cell 2: expected a report whose cells all ran, got ZeroDivisionError: by zero"
    ):
        main(shown_cell(DOCUMENT), failed)


def test_an_unclosed_fence_does_not_swallow_a_verdict():
    with pytest.raises(ReportError, match="cell 2: its output: expected to stand by itself"):
        main(new_markdown_cell("```\nopen"), shown_cell(A_TABLE))


def test_pictures_of_markdown_cells(tmp_path):
    (tmp_path / "a b.png").write_bytes(b"1")
    (tmp_path / "p.png").write_bytes(b"2")
    cell = new_markdown_cell(
        "![local](p.png) ![mine](attachment:x.png)",
        attachments={"x.png": {"image/png": base64.b64encode(b"3").decode()}},
    )
    source = notebook_source(notebook(cell), folder=tmp_path)
    assert set(source.files.values()) == {b"2", b"3"}
    for path, got in (("q.png", "no such file"), ("https://example.org/q.png", "a web address")):
        with pytest.raises(ReportError, match=f"picture {path}: expected a file beside the notebook.*got {got}"):
            main(new_markdown_cell(f"![x]({path})"), folder=tmp_path)


def test_characters_that_the_fonts_lack_are_replaced_and_told():
    source = main(shown_cell(DOCUMENT, Paragraph("ok 😀 限界")))
    assert "ok 〓 限界" in source
    assert "〓 で示す：GRINNING FACE (U+1F600)。" in source
    assert missing_glyphs(source) == []
    assert "〓" not in main(shown_cell(DOCUMENT, Paragraph("ok 限界")))


def test_standard_error_is_left_out_and_the_repr_beside_a_plot():
    outputs = [
        new_output("stream", name="stderr", text="warning"),
        new_output("execute_result", data={"text/plain": "Text(0.5, 1.0, 't')"}),
        new_output("display_data", data={"image/png": base64.b64encode(b"1").decode(), "text/plain": "<Figure>"}),
    ]
    source = main(new_code_cell("plot()", outputs=outputs))
    assert "warning" not in source
    assert "Text(0.5" not in source
    assert "#picture" in source


def test_figures_travel_as_svg_files():
    shown = Figure(scale_figure("en"), caption="c", label="fig-a", alt="a")
    source = notebook_source(notebook(shown_cell(shown)))
    assert source.files == {"fig-a.svg": shown.svg.encode()}
