"""Packed PDFs: smaller, and to every reader the same document."""

from io import BytesIO

import pytest
import typst
from pypdf import PdfReader

from genkai.report.compact import compact
from genkai.report.errors import ReportError
from genkai.report.fonts import font_directories

TEXT = """
#set document(title: "Limit 限界")
#set text(font: "Noto Sans CJK JP", lang: "ja")
= First
#table(columns: 4, ..range(900).map(n => [cell #n stream endobj]))
#pagebreak()
== Second
#figure(rect(), caption: [限界], alt: "a box") <fig>
See @fig and #link("http://127.0.0.1/")[there].
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    source = tmp_path_factory.mktemp("compact") / "main.typ"
    source.write_text(TEXT, encoding="utf-8")
    return typst.compile(str(source), font_paths=font_directories(), ignore_system_fonts=True, pdf_standards=["a-2b"],
                         timestamp=0)  # fmt: skip


def resolved(node: object, depth: int = 0) -> object:
    """What a reader sees below an object, references followed, without page trees' way back."""
    node = node.get_object() if hasattr(node, "get_object") else node
    if depth > 6:
        return None
    if isinstance(node, dict):
        data = node.get_data() if hasattr(node, "get_data") else None
        ways_back = ("/Parent", "/P", "/Pg", "/Prev", "/Length")
        return {k: resolved(v, depth + 1) for k, v in sorted(node.items()) if k not in ways_back}, data
    return [resolved(v, depth + 1) for v in node] if isinstance(node, list) else str(node)


def test_every_reader_sees_the_same_document(written: bytes) -> None:
    packed = compact(written)
    before, after = (PdfReader(BytesIO(pdf), strict=True) for pdf in (written, packed))
    assert len(before.pages) == len(after.pages) > 1
    assert [p.extract_text() for p in before.pages] == [p.extract_text() for p in after.pages]
    assert [resolved(p) for p in before.pages] == [resolved(p) for p in after.pages]
    assert resolved(before.trailer["/Root"]) == resolved(after.trailer["/Root"])
    assert before.metadata == after.metadata
    assert before.trailer["/ID"] == after.trailer["/ID"]


def test_it_is_less_than_half_and_the_same_each_time(written: bytes) -> None:
    packed = compact(written)
    assert len(packed) < len(written) / 2
    assert compact(written) == packed
    assert packed[:8] == written[:8] == b"%PDF-1.7"


def test_a_pdf_without_a_table_of_references_is_refused(written: bytes) -> None:
    with pytest.raises(ReportError, match="expected a cross-reference table"):
        compact(compact(written))
