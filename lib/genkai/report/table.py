"""Tables: typed columns, literal cells, badges, a caption and a label; high ones go over pages with their header."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from genkai.report.displayed import Badge, Displayed, badge_html
from genkai.report.errors import ReportError
from genkai.report.inline import Text, as_text
from genkai.report.messages import Messages, check_label
from genkai.report.quantities import is_missing, is_record
from genkai.report.typst_text import array, call, literal

_TEXT_SPECS = ("text", "datetime", "date")


class Table(Displayed):
    """A pandas DataFrame (or a list of dicts) as a numbered table.

    `columns` maps a column to its header, in order; `formats` a column to a format of genkai.report.quantities.SPECS;
    `widths` a column to a Typst width ("1fr", "20mm", "auto"). Cells may be numbers, number records, text, Text or
    Badge.
    """

    def __init__(
        self,
        rows: Any,
        *,
        caption: str | Text = "",
        label: str = "",
        columns: Mapping[str, str] | None = None,
        formats: Mapping[str, str] | None = None,
        widths: Mapping[str, str] | None = None,
        messages: Messages | None = None,
    ) -> None:
        self.messages = messages or Messages()
        records = rows.to_dict("records") if hasattr(rows, "to_dict") else [dict(row) for row in rows]
        names = list(rows.columns) if hasattr(rows, "columns") else list(records[0]) if records else []
        self.columns = dict(columns) if columns else {name: str(name) for name in names}
        self.formats, self.widths = dict(formats or {}), dict(widths or {})
        self.caption, self.label = as_text(caption), check_label(label, "Table") if label else ""
        if self.label and not str(self.caption):
            raise ReportError(f'Table "{label}"', "a caption with the label", "none", "pass caption=…")
        self._check_columns(names)
        self.cells = [[self._cell(record[name], name) for name in self.columns] for record in records]
        self.numeric = [self._is_numeric(records, name) for name in self.columns]

    def _check_columns(self, names: Sequence[Any]) -> None:
        for argument in ("columns", "formats", "widths"):
            wrong = [name for name in getattr(self, argument) if names and name not in names]
            if wrong:
                got, expected = f"{argument} for {wrong}", f"columns among {[str(name) for name in names]}"
                raise ReportError(f'Table "{self.label}"', expected, got, "correct the name")

    def _cell(self, value: Any, name: Any) -> Text | Badge:
        if isinstance(value, Badge | Text):
            return value
        spec = self.formats.get(name, "")
        return Text.plain(value if isinstance(value, str) and not spec else self.messages.format(value, spec))

    def _is_numeric(self, records: Sequence[Mapping[Any, Any]], name: Any) -> bool:
        if self.formats.get(name) in _TEXT_SPECS:
            return False
        values = [record[name] for record in records if not is_missing(record[name])]
        return bool(values) and all(
            is_record(value) or (hasattr(value, "__float__") and not isinstance(value, bool)) for value in values
        )

    def labels(self) -> tuple[str, ...]:
        """Return the labels that the table defines."""
        return (self.label,) if self.label else ()

    def to_html(self) -> str:
        """Return the table as HTML."""
        line = "border-bottom:1px solid #8c959f;padding:3px 10px"
        styles = [f"{line};text-align:{'right' if numeric else 'left'}" for numeric in self.numeric]
        heads = _html_row("th", [html.escape(head) for head in self.columns.values()], styles)
        body = "".join(_html_row("td", [_html(cell) for cell in row], styles) for row in self.cells)
        caption = f"{label_html(self.label)}{self.caption.to_html()}" if str(self.caption) else ""
        anchor = f' id="{self.label}"' if self.label else ""
        table = f'<table style="border-collapse:collapse"><thead>{heads}</thead><tbody>{body}</tbody></table>'
        return f'<div{anchor}><div style="margin:8px 0 4px 0">{caption}</div>{table}</div>'

    def to_typst(self) -> str:
        """Return the table as Typst markup."""
        widths = array(self.widths.get(name, "auto") for name in self.columns)
        align = array("right" if numeric else "left" for numeric in self.numeric)
        header = array(literal(head) for head in self.columns.values())
        rows = array(array(_typst(cell) for cell in row) for row in self.cells)
        return "#" + call(
            "report-table",
            columns=widths,
            align=align,
            header=header,
            rows=rows,
            caption=self.caption.to_typst() if str(self.caption) else None,
            tag=f"<{self.label}>" if self.label else None,
        )

    def to_plain(self) -> str:
        """Return the table as plain text."""
        lines = [" | ".join(self.columns.values())]
        lines += [" | ".join(c.to_plain() if isinstance(c, Badge) else str(c) for c in row) for row in self.cells]
        return "\n".join([str(self.caption), *lines] if str(self.caption) else lines)


def _html(cell: Text | Badge) -> str:
    return badge_html(cell.status, cell.word) if isinstance(cell, Badge) else cell.to_html()


def _typst(cell: Text | Badge) -> str:
    return cell.expression() if isinstance(cell, Badge) else cell.to_typst()


def _html_row(tag: str, cells: Sequence[str], styles: Sequence[str]) -> str:
    pairs = zip(cells, styles, strict=True)
    return "<tr>" + "".join(f'<{tag} style="{style}">{cell}</{tag}>' for cell, style in pairs) + "</tr>"


def label_html(label: str) -> str:
    """Return the label in grey brackets; the notebook has no numbers, so a label is what a reference shows."""
    return f'<span style="color:#6e7781">[{html.escape(label)}]</span> ' if label else ""
