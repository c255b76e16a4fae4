"""Where figures stand, how much of a page stays white, how columns share a table's width: compiled, and looked at."""

from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from pypdf import PdfReader

from genkai.report.display import Contents, Displayed, Document, Heading, Paragraph, Table
from genkai.report.exporter import compile_pdf, laid_out
from genkai.report.layout import MOST_WHITE, compiler_of, floating_figures, laid, white_below
from genkai.report.typst_source import Source, notebook_source
from report_records import notebook, shown_cell

TEXT = "Word after word fills a line of the page until the line is full and another one begins. " * 4
TALL = '<svg xmlns="http://www.w3.org/2000/svg" width="160mm" height="{}mm"><rect width="100%" height="100%"/></svg>'


def source(*items: Displayed, figures: dict[str, int] | None = None) -> Source:
    """A document of these parts; {label: height in mm}: pictures that stand where a paragraph says "HERE label"."""
    found = notebook_source(notebook(shown_cell(Contents([Document("Pages", plan="p", plan_hash="0" * 12), *items]))))
    main = found.main
    for label in figures or {}:
        mark = f'#par({{text("HERE {label}")}})'
        assert mark in main
        main = main.replace(mark, f'#report-figure("{label}.svg", [{label}], alt: "a box") <{label}>')
    files = {f"{label}.svg": TALL.format(height).encode() for label, height in (figures or {}).items()}
    return Source(main, found.files | files, found.document)


def here(label: str) -> Paragraph:
    return Paragraph(f"HERE {label}")


def floats(made: Source) -> list[str]:
    with laid_out(made) as main:
        return floating_figures(compiler_of(main))


def whites(made: Source, floating: list[str]) -> tuple[float, ...]:
    with laid_out(made) as main:
        return laid(compiler_of(main), floating).white


def pages(made: Source) -> list[str]:
    return [page.extract_text() for page in PdfReader(BytesIO(compile_pdf(made))).pages]


@pytest.mark.parametrize(("ink_from", "white"), [(None, 1.0), (100, 0.82), (276, 0.0)])
def test_the_white_below_the_last_line(ink_from: int | None, white: float) -> None:
    page = Image.new("L", (210 * 2, 297 * 2), 255)
    page.paste(0, (0, 285 * 2, 210, 290 * 2))  # the foot, which does not count
    if ink_from is not None:
        page.paste(0, (50, ink_from * 2 - 60, 60, ink_from * 2 if ink_from < 276 else 277 * 2))
    saved = BytesIO()
    page.save(saved, "png")
    assert white_below(saved.getvalue()) == pytest.approx(white if ink_from != 100 else 1 - 76 / 253, abs=0.01)


def test_a_figure_that_does_not_fit_floats_and_what_follows_fills_the_page() -> None:
    made = source(*[Paragraph(TEXT)] * 6, here("fig-a"), *[Paragraph(TEXT)] * 6, figures={"fig-a": 140})
    assert whites(made, [])[0] > 0.3
    assert floats(made) == ["fig-a.svg"]
    assert whites(made, ["fig-a.svg"])[0] < MOST_WHITE
    assert "Figure 1" not in pages(made)[0]


def test_a_figure_that_fits_stays_where_it_is_told_of() -> None:
    made = source(Paragraph(TEXT), here("fig-a"), Paragraph("after the figure"), figures={"fig-a": 140})
    assert floats(made) == []
    (page,) = pages(made)
    assert page.index("Word") < page.index("fig-a") < page.index("after the figure")


def test_a_figure_with_nothing_behind_it_stays_too() -> None:
    made = source(*[Paragraph(TEXT)] * 6, here("fig-a"), figures={"fig-a": 180})
    assert floats(made) == [], "nothing could fill the page"


def test_a_low_table_stays_in_one_piece_and_a_high_one_goes_over_pages_with_its_header() -> None:
    def table(lines: int) -> Table:
        return Table([{"name of the row": f"row {n}"} for n in range(lines)], caption="rows", label="tab-rows")

    before: list[Any] = [Paragraph(TEXT)] * 10
    first, second = pages(source(*before, table(6)))
    assert ("row 0" in first, "row 0" in second) == (False, True)
    first, second, *_ = pages(source(*before, table(40)))
    assert "row 0" in first
    assert "name of the row" in second


def columns_of(cells: dict[str, str], widths: dict[str, str]) -> str:
    """The page's text, a line a line: what is on one line was not broken."""
    return pages(source(Heading("Table"), Table([cells], caption="c", label="tab-a", widths=widths)))[0]


def test_a_long_cell_does_not_squeeze_the_others() -> None:
    long, call = "a-name-of-sixty-letters-" * 3, "GET /items?q=word and a few more words of its own"
    text = columns_of({"API": long, "Call": call, "Due": "2026-12-01"}, {"Call": "1fr"})
    assert "2026-12-01" in text
    assert max(len(line) for line in text.splitlines() if line.strip() and line.strip() in call) > 15


def test_what_fits_on_one_line_is_on_one_line() -> None:
    reason, run = "shopping: 520 rps (519–521) instead of 729 rps.", "2-api-item, 2-api-order, 2-api-search"
    text = columns_of({"Step": "Each API", "Reason": reason, "Run": run}, {"Reason": "3fr", "Run": "1fr"})
    assert reason in text
    assert run in text


def test_cells_move_together_before_one_breaks_its_line() -> None:
    cells = {"Step and API": "Scenario · instance 1", "Quantity": "Response time, p95", "Target": "≥ 1,094 rps",
             "Measured (95% interval)": "29.3 ms (28.8–30.3)", "Margin": "+9,427%", "Verdict": "CANNOT TELL YET",
             "Evidence": "Table 11"}  # fmt: skip
    assert "Response time, p95" in columns_of(cells, {"Quantity": "1fr"})
