"""The nbconvert exporter `report_pdf`: executed notebook in, PDF out; also in JupyterLab's export menu."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources as package_files
from pathlib import Path
from typing import Any

from nbconvert.exporters import Exporter

from genkai.report.compact import compact
from genkai.report.errors import ReportError
from genkai.report.layout import compiler_of, floating_figures, inputs
from genkai.report.typst_source import Source, notebook_source

# Archivable, figures keep their transparency; documents for stakeholders must be accessible (alt texts, headings) too.
STANDARDS = ("a-2b",)
DOCUMENT_STANDARDS = ("a-2b", "ua-1")
_TIMESTAMP = 0  # the same notebook gives the same bytes


class ReportPDFExporter(Exporter):
    """Export an executed notebook as PDF by pandoc and Typst; code is never printed."""

    export_from_notebook = "Report as PDF"
    output_mimetype = "application/pdf"

    def _file_extension_default(self) -> str:
        return ".pdf"

    def from_notebook_node(self, nb: Any, resources: Any = None, **kw: Any) -> tuple[bytes, Any]:
        """Return (PDF bytes, resources). Raises ReportError where the document cannot be made."""
        notebook, resources = super().from_notebook_node(nb, resources, **kw)
        metadata = resources.get("metadata", {})
        folder = Path(metadata["path"]) if metadata.get("path") else None
        source = notebook_source(notebook, name=metadata.get("name") or "notebook", folder=folder)
        resources["output_extension"] = self.file_extension
        return compile_pdf(source), resources


@contextmanager
def laid_out(source: Source) -> Iterator[Path]:
    """A folder for a while with all that the Typst compiler reads; the path of its main file."""
    with tempfile.TemporaryDirectory(prefix="genkai-report-") as folder:
        root = Path(folder)
        template = package_files.files("genkai.report") / "template.typ"
        (root / "template.typ").write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
        (root / "main.typ").write_text(source.main, encoding="utf-8")
        for name, content in source.files.items():
            (root / Path(name).name).write_bytes(content)
        yield root / "main.typ"


def compile_pdf(source: Source) -> bytes:
    """Return the PDF of a Typst source. Raises ReportError for an error and for any warning of the compiler."""
    import typst

    standards = DOCUMENT_STANDARDS if source.document else STANDARDS
    with laid_out(source) as main:
        compiler = compiler_of(main)
        try:
            pdf, warnings = compiler.compile_with_warnings(
                format="pdf", pdf_standards=list(standards), timestamp=_TIMESTAMP,
                sys_inputs=inputs(floating_figures(compiler)),
            )  # fmt: skip
        except typst.TypstError as error:
            raise ReportError("Typst", "a document that compiles", _told(error), "correct the output named") from error
    if warnings:
        raise ReportError("Typst", "no warning", "; ".join(map(_told, warnings)), "correct the output named")
    return compact(pdf)


def _told(problem: Any) -> str:
    hints = "; ".join(getattr(problem, "hints", None) or [])
    return f"{problem.message}{f' ({hints})' if hints else ''}"


def export_notebook(path: Path) -> bytes:
    """Return the PDF of the executed notebook file at `path`."""
    pdf, _ = ReportPDFExporter().from_filename(str(path))
    return pdf
