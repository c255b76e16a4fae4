"""The base of all display objects: one object, three forms (HTML for JupyterLab, Typst for the PDF, plain text)."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from genkai.report.inline import Text, as_text
from genkai.report.messages import Messages
from genkai.report.typst_text import array, call, literal

TYPST_MIME = "text/vnd.typst"
REPORT_MIME = "application/vnd.genkai.report+json"

# Dark enough for white text (contrast ≥ 4.5) on light and on dark themes; template.typ holds the same values.
COLOURS = {"pass": "#1a7f37", "fail": "#b3261e", "warn": "#9a6700", "cannot_tell": "#57606a", "not_run": "#6e7781",
           "strong": "#1f3a5f", "moderate": "#3f6593", "weak": "#6e7781"}  # fmt: skip
_STATUS_OF = {
    "better": "pass", "worse": "fail", "worked": "pass", "did_not_work": "fail", "made_worse": "fail",
    "partly": "warn", "cause_gone": "warn", "open": "not_run",
    "limit": "fail", "busy": "warn", "idle": "pass",
    "unknown": "not_run", "not_measured": "not_run", "drifts": "fail", "changed": "warn", "steady": "pass",
}  # fmt: skip


class Displayed:
    """What `display()` shows: subclasses give the three forms, their files and their labels."""

    messages: Messages

    def to_html(self) -> str:
        """Return an HTML fragment that carries its own style."""
        raise NotImplementedError

    def to_typst(self) -> str:
        """Return Typst markup that uses the functions of template.typ."""
        raise NotImplementedError

    def to_plain(self) -> str:
        """Return plain text."""
        raise NotImplementedError

    def resources(self) -> dict[str, str]:
        """Return the files that the Typst form needs: name -> SVG text."""
        return {}

    def labels(self) -> tuple[str, ...]:
        """Return the labels that this object defines."""
        return ()

    def document(self) -> dict[str, Any] | None:
        """Return the facts about the whole document, where this object is the one that states them."""
        return None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        facts: dict[str, Any] = {"version": 1, "resources": self.resources(), "labels": list(self.labels())}
        if self.document() is not None:
            facts["document"] = self.document()
        return {
            "text/plain": self.to_plain(),
            "text/html": self.to_html(),
            TYPST_MIME: self.to_typst(),
            REPORT_MIME: facts,
        }


def status_colour(status: str) -> str:
    """Return the colour class of a status or of a word that is shown like one ("better", "strong", "idle" …)."""
    return status if status in COLOURS else _STATUS_OF.get(status, "cannot_tell")


def badge_html(status: str, word: str) -> str:
    """Return a coloured badge with its word."""
    style = f"display:inline-block;padding:1px 8px;border-radius:4px;background-color:{COLOURS[status_colour(status)]};"
    return f'<span style="{style}color:#ffffff;font-weight:bold;font-size:12px">{html.escape(word)}</span>'


class Badge(Displayed):
    """A coloured word: PASS, FAIL, WARN, CANNOT TELL, NOT RUN, or a word shown like one (better, strong, idle …)."""

    def __init__(self, status: str, messages: Messages | None = None) -> None:
        self.status, self.messages = status, messages or Messages()
        self.word = self.messages(f"status.{status}")

    def to_html(self) -> str:
        """Return the badge as HTML."""
        return badge_html(self.status, self.word)

    def to_typst(self) -> str:
        """Return the badge as Typst markup."""
        return "#" + self.expression()

    def expression(self) -> str:
        """Return the badge as a Typst expression, for use inside other objects."""
        return call("badge", literal(status_colour(self.status)), literal(self.word))

    def to_plain(self) -> str:
        """Return the badge as plain text."""
        return f"[{self.word}]"


class Heading(Displayed):
    """A section heading of level 1 to 3; it becomes a bookmark of the PDF."""

    def __init__(self, text: str | Text, level: int = 1, messages: Messages | None = None) -> None:
        self.text, self.level, self.messages = as_text(text), level, messages or Messages()

    def to_html(self) -> str:
        """Return the heading as HTML."""
        return f"<h{self.level + 1}>{self.text.to_html()}</h{self.level + 1}>"

    def to_typst(self) -> str:
        """Return the heading as Typst markup."""
        return "#" + call("heading", self.text.to_typst(), level=str(self.level))

    def to_plain(self) -> str:
        """Return the heading as plain text."""
        return f"{'#' * self.level} {self.text}"


class Paragraph(Displayed):
    """One paragraph; a plain `str` is literal, markup comes from `Text.parse` or `Messages.text`.

    A `lead` paragraph stays on the page of what follows it.
    """

    def __init__(self, text: str | Text, messages: Messages | None = None, *, lead: bool = False) -> None:
        self.text, self.messages, self.lead = as_text(text), messages or Messages(), lead

    def to_html(self) -> str:
        """Return the paragraph as HTML."""
        return f'<p style="max-width:760px">{self.text.to_html()}</p>'

    def to_typst(self) -> str:
        """Return the paragraph as Typst markup."""
        return "#" + call("lead" if self.lead else "par", self.text.to_typst())

    def to_plain(self) -> str:
        """Return the paragraph as plain text."""
        return str(self.text)


class Bullets(Displayed):
    """A list of short texts, with bullets or numbers."""

    def __init__(
        self, items: Sequence[str | Text], *, numbered: bool = False, messages: Messages | None = None
    ) -> None:
        self.items, self.numbered = [as_text(item) for item in items], numbered
        self.messages = messages or Messages()

    def to_html(self) -> str:
        """Return the list as HTML."""
        tag = "ol" if self.numbered else "ul"
        items = "".join(f"<li>{item.to_html()}</li>" for item in self.items)
        return f'<{tag} style="max-width:760px">{items}</{tag}>'

    def to_typst(self) -> str:
        """Return the list as Typst markup."""
        return "#" + call("enum" if self.numbered else "list", *(item.to_typst() for item in self.items))

    def to_plain(self) -> str:
        """Return the list as plain text."""
        return "\n".join(
            f"{f'{number}.' if self.numbered else '-'} {item}" for number, item in enumerate(self.items, 1)
        )


class Terms(Displayed):
    """Names with their explanations, in two columns."""

    def __init__(self, pairs: Sequence[tuple[str, str | Text]], messages: Messages | None = None) -> None:
        self.pairs, self.messages = [(name, as_text(text)) for name, text in pairs], messages or Messages()

    def to_html(self) -> str:
        """Return names and explanations as HTML."""
        return "".join(
            f'<div style="max-width:760px"><b>{html.escape(name)}</b>: {text.to_html()}</div>'
            for name, text in self.pairs
        )

    def to_typst(self) -> str:
        """Return names and explanations as Typst markup."""
        return "#" + call("term-grid", array(array([literal(name), text.to_typst()]) for name, text in self.pairs))

    def to_plain(self) -> str:
        """Return names and explanations as plain text."""
        return "\n".join(f"{name}: {text}" for name, text in self.pairs)


class Verdict(Displayed):
    """A banner with the status word and one sentence, which may be the heading of its part of the document."""

    def __init__(
        self, status: str, sentence: str | Text, messages: Messages | None = None, *, heading: bool = False
    ) -> None:
        self.heading = heading
        self.badge, self.sentence = Badge(status, messages), as_text(sentence)
        self.messages = self.badge.messages

    def to_html(self) -> str:
        """Return the banner as HTML."""
        colour = COLOURS[status_colour(self.badge.status)]
        border = f"border:1px solid {colour};border-left:8px solid {colour};border-radius:6px"
        sentence = f"{self.badge.to_html()} &nbsp;<b>{self.sentence.to_html()}</b>"
        return f'<div style="{border};padding:10px 14px;max-width:760px">{sentence}</div>'

    def to_typst(self) -> str:
        """Return the banner as Typst markup."""
        status, named = literal(status_colour(self.badge.status)), {"as_heading": "true"} if self.heading else {}
        return "#" + call("verdict-banner", status, literal(self.badge.word), self.sentence.to_typst(), **named)

    def to_plain(self) -> str:
        """Return the banner as plain text."""
        return f"{self.badge.to_plain()} {self.sentence}"


class Contents(Displayed):
    """Several display objects, one after the other."""

    def __init__(self, items: Sequence[Displayed], messages: Messages | None = None) -> None:
        self.items, self.messages = list(items), messages or Messages()

    def to_html(self) -> str:
        """Return the objects, one after the other, as HTML."""
        return "\n".join(item.to_html() for item in self.items)

    def to_typst(self) -> str:
        """Return the objects, one after the other, as Typst markup."""
        return "\n\n".join(item.to_typst() for item in self.items)

    def to_plain(self) -> str:
        """Return the objects, one after the other, as plain text."""
        return "\n\n".join(item.to_plain() for item in self.items)

    def resources(self) -> dict[str, str]:
        """Return the files of all objects: name -> SVG text."""
        return {name: content for item in self.items for name, content in item.resources().items()}

    def labels(self) -> tuple[str, ...]:
        """Return the labels that the objects define."""
        return tuple(label for item in self.items for label in item.labels())

    def document(self) -> Mapping[str, Any] | None:
        """Return the facts about the whole document."""
        return next((facts for item in self.items if (facts := item.document()) is not None), None)
