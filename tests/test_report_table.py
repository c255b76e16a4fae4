import numpy as np
import pandas as pd
import pytest

from genkai.report.display import Badge, Table
from genkai.report.errors import ReportError
from genkai.report.messages import Messages
from report_records import number


def test_dataframe_columns_headers_and_formats():
    frame = pd.DataFrame({"users": [100, 500], "p95_s": [0.043, np.nan], "x": [1, 2]})
    table = Table(
        frame, columns={"users": "ユーザ数", "p95_s": "p95"}, formats={"p95_s": "ms"}, messages=Messages("ja")
    )
    assert table.to_plain() == "ユーザ数 | p95\n100 | 43 ms\n500 | –"
    assert table.numeric == [True, True]
    assert "align: (right, right,)" in table.to_typst()


def test_records_badges_and_texts_in_cells():
    rows = [{"what": "items", "measured": number(0.612, "s", 0.02), "verdict": Badge("fail")}]
    table = Table(rows, formats={"measured": "measured"}, caption="C", label="tab-c")
    assert "612 ms (592–632)" in table.to_plain()
    assert 'badge("fail", "FAIL")' in table.to_typst()
    assert table.labels() == ("tab-c",)
    assert table.numeric == [False, True, False]


def test_html_escapes_cells_and_headers():
    markup = Table([{"<b>": "<script>"}]).to_html()
    assert "<script>" not in markup
    assert "&lt;script&gt;" in markup
    assert "&lt;b&gt;" in markup


def test_an_empty_table_keeps_its_header():
    assert Table([], columns={"a": "A", "b": "B"}).to_plain() == "A | B"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"columns": {"b": "B"}}, r"expected columns among \['a'\], got columns for \['b'\]"),
        ({"formats": {"b": "rps"}}, r"got formats for \['b'\]"),
        ({"label": "tab-x"}, "expected a caption with the label"),
        ({"label": "x", "caption": "c"}, 'got "x"'),
        ({"formats": {"a": "knots"}}, 'got "knots"'),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ReportError, match=message):
        Table([{"a": 1.0}], **arguments)
