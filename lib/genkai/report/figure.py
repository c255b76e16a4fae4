"""Figures: matplotlib figures as SVG with live text for the PDF and as PNG for the notebook, with caption and alt."""

from __future__ import annotations

import base64
import html
import io
import sys
from typing import Any

from genkai.report.displayed import Displayed
from genkai.report.errors import ReportError
from genkai.report.inline import Text, as_text
from genkai.report.messages import Messages, check_label
from genkai.report.table import label_html
from genkai.report.typst_text import call, literal

RASTERISE_ABOVE = 10_000  # points of one artist; more make the SVG slow to open and large


class Figure(Displayed):
    """A matplotlib figure as a numbered figure.

    `alt` says in words what the figure shows, for readers who cannot see it; `caption` and `label` are required too, so
    that claims can refer to it. Artists of more than RASTERISE_ABOVE points become pixels inside the SVG.
    """

    def __init__(
        self,
        figure: Any,
        *,
        caption: str | Text,
        label: str,
        alt: str,
        width: str = "100%",
        messages: Messages | None = None,
    ) -> None:
        self.messages = messages or Messages()
        self.caption, self.label, self.alt, self.width = (
            as_text(caption),
            check_label(label, "Figure"),
            alt.strip(),
            width,
        )
        if not str(self.caption).strip() or not self.alt:
            raise ReportError(
                f'Figure "{label}"', "a caption and an alt text", "an empty one", "say what the figure shows"
            )
        _rasterise_large(figure)
        self.svg = _saved(figure, "svg", self.messages.lang).decode("utf-8")
        self.png = _saved(figure, "png", self.messages.lang)
        if "matplotlib.pyplot" in sys.modules:  # else the inline backend shows the figure a second time
            sys.modules["matplotlib.pyplot"].close(figure)

    def labels(self) -> tuple[str, ...]:
        """Return the labels that the figure defines."""
        return (self.label,)

    def resources(self) -> dict[str, str]:
        """Return the files of the figure: name -> SVG text."""
        return {f"{self.label}.svg": self.svg}

    def to_html(self) -> str:
        """Return the figure as HTML."""
        image = f"data:image/png;base64,{base64.b64encode(self.png).decode('ascii')}"
        alt = html.escape(self.alt, quote=True)
        return (
            f'<div id="{self.label}"><img src="{image}" alt="{alt}" style="width:100%;max-width:860px">'
            f"<div>{label_html(self.label)}{self.caption.to_html()}</div></div>"
        )

    def to_typst(self) -> str:
        """Return the figure as Typst markup."""
        file, alt = literal(f"{self.label}.svg"), literal(self.alt)
        return (
            "#" + call("report-figure", file, self.caption.to_typst(), alt=alt, width=self.width) + f" <{self.label}>"
        )

    def to_plain(self) -> str:
        """Return the figure as plain text."""
        return f"[{self.label}] {self.caption} ({self.alt})"


def _rasterise_large(figure: Any) -> None:
    for axes in figure.axes:
        for artist in [*axes.lines, *axes.collections]:
            points = artist.get_xdata() if hasattr(artist, "get_xdata") else artist.get_offsets()
            if len(points) > RASTERISE_ABOVE:
                artist.set_rasterized(True)


def _saved(figure: Any, kind: str, lang: str) -> bytes:
    """Return the figure's bytes; no date and a fixed hash salt, so that the same figure gives the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    from genkai.figures.style import DPI, figure_style

    buffer, dpi = io.BytesIO(), figure.dpi
    with figure_style(lang):
        figure.set_dpi(DPI)
        # By its canvas: Figure.savefig would draw everything twice, in case the layout were not fixed.
        if kind == "svg":
            FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
        else:
            FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
        figure.set_dpi(dpi)
    return buffer.getvalue()
