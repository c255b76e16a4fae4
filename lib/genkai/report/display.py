"""All display objects in one place, for notebooks: `from genkai.report import display`."""

from genkai.report.displayed import Badge, Bullets, Contents, Displayed, Heading, Paragraph, Terms, Verdict
from genkai.report.document import Document
from genkai.report.figure import Figure
from genkai.report.finding import Finding, KeyFigures
from genkai.report.inline import Text
from genkai.report.table import Table

__all__ = ["Badge", "Bullets", "Contents", "Displayed", "Document", "Figure", "Finding", "Heading", "KeyFigures",
           "Paragraph", "Table", "Terms", "Text", "Verdict"]  # fmt: skip
