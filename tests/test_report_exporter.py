import json
import os
import re
import subprocess
import sys
import time
import unicodedata
import urllib.request
from importlib.metadata import entry_points
from io import BytesIO
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pypdf import PdfReader

from genkai.report.display import Badge, Document, Figure, Paragraph, Table, Text, Verdict
from genkai.report.errors import ReportError
from genkai.report.exporter import ReportPDFExporter, compile_pdf
from genkai.report.messages import Messages
from genkai.report.typst_source import Source
from report_records import VERDICTS, document, notebook, scale_figure, shown_cell, whole_report

HOSTILE = [
    "#let x = 1",
    "$x$ $",
    "@fig-a",
    "<tab-x>",
    "\"q\" 'q'",
    "\\ \\u{41}",
    "[a] {b} */ //",
    "*b* _i_ `c` ~ = -",
    "表#限界",
]


def export(*cells):
    return ReportPDFExporter().from_notebook_node(notebook(*cells), {"metadata": {"name": "n"}})[0]


def text_of(pdf):
    """The text as readers copy it, white space squeezed; NFKC because look-alike characters share glyphs."""
    if not _PDFTOTEXT:
        return squeezed("\n".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages))
    done = subprocess.run(["pdftotext", "-raw", "-", "-"], input=pdf, capture_output=True, check=True)
    return squeezed(done.stdout.decode())


def squeezed(text):
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text))


_PDFTOTEXT = any((Path(folder) / "pdftotext").exists() for folder in os.get_exec_path())


@pytest.fixture(scope="module", params=["en", "ja"])
def report(request):
    lang = request.param
    cell = shown_cell(whole_report(lang))
    return lang, cell, export(cell)


def test_the_text_of_the_pdf_says_what_the_records_say(report):
    lang, _, pdf = report
    text, m = text_of(pdf), Messages(lang)
    overall = VERDICTS["overall"]
    assert squeezed(m(overall["sentence_key"], **overall["values"])) in text
    for row in VERDICTS["targets"]:
        for value, spec in ((row["measured"], "measured"), (row["margin_ratio"], "signed"), (row["target"], "number")):
            assert squeezed(m.format(value, spec)) in text
        assert squeezed(m(f"status.{row['status']}")) in text
    for row in VERDICTS["steps"]:
        assert squeezed(m(row["why_key"], **row["values"])) in text
    for row in VERDICTS["purposes"]:  # page 1 says them without intervals
        plain = {k: {**v, "low": None, "high": None} if isinstance(v, dict) else v for k, v in row["values"].items()}
        assert squeezed(m(row["why_key"], **plain)) in text
    for part in ("claim", "remedy", "risk"):
        assert squeezed(m(f"cause.load_balancer_capacity.{part}")) in text
    for key in ("conditions", "steps", "scale", "monitoring", "diagnosis", "comparison", "actions", "limits"):
        assert squeezed(m(f"section.{key}")) in text


def test_page_one_is_the_decision(report):
    lang, _, pdf = report
    m, first = Messages(lang), squeezed(PdfReader(BytesIO(pdf)).pages[0].extract_text())
    remedy = str(m.text("cause.load_balancer_capacity.remedy").first_sentence())
    for text in (m("cause.load_balancer_capacity.claim"), remedy, m("status.fail")):
        assert squeezed(text) in first
    assert squeezed({"en": "Figure 1", "ja": "図 1"}[lang]) in first
    assert squeezed({"en": "Table 2", "ja": "表 2"}[lang]) in first


def test_pages_are_a4_and_numbered(report):
    pages = PdfReader(BytesIO(report[2])).pages
    for number, page in enumerate(pages, 1):
        assert (float(page.mediabox.width), float(page.mediabox.height)) == pytest.approx((595.28, 841.89), abs=0.01)
        assert squeezed(f"{number} / {len(pages)}") in squeezed(page.extract_text())


def test_the_pdf_is_tagged_archivable_accessible_and_has_bookmarks(report):
    lang, _, pdf = report
    reader = PdfReader(BytesIO(pdf))
    assert reader.root_object["/MarkInfo"]["/Marked"]
    assert reader.root_object["/Lang"].startswith(lang)
    assert reader.metadata.title == document(lang).title
    xmp = reader.root_object["/Metadata"].get_data().decode()
    assert "<pdfaid:part>2</pdfaid:part>" in xmp
    assert "<pdfuaid:part>1</pdfuaid:part>" in xmp
    titles = [squeezed(item.title) for item in reader.outline if not isinstance(item, list)]
    m = Messages(lang)
    assert titles[0] == squeezed(m(VERDICTS["overall"]["sentence_key"], **VERDICTS["overall"]["values"]))
    assert titles[-1] == squeezed(m("section.appendix"))


def test_rendering_twice_gives_the_same_bytes(report):
    lang, _, pdf = report
    again = shown_cell(whole_report(lang))
    assert export(again) == pdf
    assert len(pdf) < 3_000_000


def test_no_page_but_the_last_is_half_empty(report, tmp_path):
    from PIL import Image

    path = tmp_path / "r.pdf"
    path.write_bytes(report[2])
    if not _PDFTOTEXT:
        pytest.skip("poppler is not installed")
    subprocess.run(["pdftoppm", "-r", "20", "-gray", "-png", str(path), str(tmp_path / "p")], check=True)
    pictures = sorted(tmp_path.glob("p-*.png"))
    for picture in pictures[:-1]:
        with Image.open(picture).convert("L") as image:
            body = image.crop((0, 0, image.width, int(image.height * 0.93)))
            inked = [y for y in range(body.height) if body.crop((0, y, body.width, y + 1)).getextrema()[0] < 200]
            assert max(inked) > 0.6 * image.height, picture.name


def test_hostile_strings_are_printed_as_they_are():
    table = Table([{"c": text, "d": 1} for text in HOSTILE], caption=" ".join(HOSTILE), label="tab-h")
    figure = Figure(scale_figure("en"), caption=" ".join(HOSTILE), label="fig-h", alt=" ".join(HOSTILE))
    text = text_of(export(shown_cell(table, figure, *map(Paragraph, HOSTILE))))
    for hostile in HOSTILE:
        assert text.count(squeezed(hostile)) >= 4


def test_long_words_stay_inside_their_cells():
    table = Table([{"a": "x" * 300, "b": "https://example.org/" + "0123456789" * 20}], widths={"a": "1fr", "b": "1fr"})
    printed = new_code_cell("", outputs=[new_output("stream", name="stdout", text="y" * 400)])
    (page,) = PdfReader(BytesIO(export(shown_cell(table), printed))).pages
    text = page.extract_text().replace("\u200b", "")
    assert max(map(len, text.splitlines())) < 130  # 165 mm hold no more; unbroken, a line would have 300
    assert text.count("x") >= 300
    assert text.count("y") == 400


def test_a_table_of_200_rows_repeats_its_header_and_loses_no_row():
    table = Table([{"number": f"row-{i:03d}", "v": i} for i in range(200)], columns={"number": "HEAD", "v": "V"})
    reader = PdfReader(BytesIO(export(shown_cell(table))))
    text = "\n".join(page.extract_text() for page in reader.pages)
    assert len(reader.pages) >= 3
    assert text.count("HEAD") == len(reader.pages)
    assert re.findall(r"row-(\d+)", text) == [f"{i:03d}" for i in range(200)]


def test_markdown_tables_take_no_number():
    table = Table([{"a": 1}], caption="numbered", label="tab-a")
    text = text_of(export(new_markdown_cell("see @tab-a\n\n| x | y |\n|---|---|\n| 1 | 2 |"), shown_cell(table)))
    assert "seeTable1" in text
    assert "Table1numbered" in text


@pytest.mark.parametrize("status", ["pass", "fail", "warn", "cannot_tell", "not_run"])
def test_every_status_compiles(status):
    m = Messages("ja")
    long = Table([{"a": i} for i in range(60)])
    shown = [
        Document("T", verdict=status, language="ja"),
        Verdict(status, "S", m, heading=True),
        Badge(status, m),
        long,
    ]
    assert text_of(export(shown_cell(*shown))).count(squeezed(m(f"status.{status}"))) == 3


def test_an_executed_notebook_by_a_real_kernel(tmp_path):
    sources = [
        "print('printed # text')",
        "import pandas as pd\npd.DataFrame({'name': ['a#b'], 'v': [1.5]})",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]);",
        "from genkai.report.display import Verdict\nVerdict('pass', '目標値を達成した。')",
    ]
    book = new_notebook(cells=[new_markdown_cell("# 速さは**十分**か?"), *map(new_code_cell, sources)])
    NotebookClient(book, kernel_name="python3", timeout=120).execute()
    path = tmp_path / "ordinary.ipynb"
    nbformat.write(book, path)
    pdf, resources = ReportPDFExporter().from_filename(str(path))
    text = text_of(pdf)
    assert resources["output_extension"] == ".pdf"
    assert all(part in text for part in ("速さは十分か?", "printed#text", "a#b", "1.5", "PASS", "目標値を達成した。"))
    assert "import" not in text
    assert len(PdfReader(BytesIO(pdf)).pages[0].images) == 1


def test_compiler_errors_and_warnings_are_errors():
    with pytest.raises(ReportError, match="Typst: expected a document that compiles, got unknown variable: nonsense"):
        compile_pdf(Source("#nonsense()"))
    with pytest.raises(ReportError, match="Typst: expected no warning, got unknown font family: no such font"):
        compile_pdf(
            Source('#set document(date: datetime(year: 2026, month: 1, day: 1))\n#text(font: "No Such Font")[x]')
        )


def test_the_entry_point_has_a_name_that_jupyterlab_can_route():
    (entry,) = [e for e in entry_points(group="nbconvert.exporters") if e.value.endswith(":ReportPDFExporter")]
    assert re.fullmatch(r"\w+", entry.name)
    assert entry.load() is ReportPDFExporter


def _get(url, token, attempts=1):
    request = urllib.request.Request(url, headers={"Authorization": f"token {token}"})
    for left in reversed(range(attempts)):
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.read(), response.headers
        except OSError:
            if not left:
                raise
            time.sleep(0.1)
    raise AssertionError


def test_jupyterlabs_export_menu_gives_the_pdf(tmp_path):
    nbformat.write(notebook(shown_cell(Document("メニュー"), Paragraph(Text.plain("exported")))), tmp_path / "a.ipynb")
    runtime = tmp_path / "runtime"
    environment = os.environ | {"JUPYTER_RUNTIME_DIR": str(runtime), "JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
    command = [sys.executable, "-m", "jupyter_server", "--ip=127.0.0.1", "--port=0", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.root_dir={tmp_path}", "--IdentityProvider.token=t0ken"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while not (found := [json.loads(p.read_text() or "{}") for p in runtime.glob("jpserver-*.json")]):
                assert server.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.05)
            base = found[0]["url"]
            listed, _ = _get(f"{base}api/nbconvert", "t0ken", attempts=50)
            pdf, headers = _get(f"{base}nbconvert/report_pdf/a.ipynb?download=true", "t0ken")
        finally:
            server.terminate()
            server.wait(30)
    assert json.loads(listed)["report_pdf"]["output_mimetype"] == "application/pdf"
    assert headers["Content-Type"].startswith("application/pdf")
    assert "exported" in text_of(pdf)
