"""Short texts with bold, code and references, kept apart from their markup so that values are never read as markup."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

from genkai.report.typst_text import literal

LABEL = re.compile(r"(?:fig|tab)-[A-Za-z0-9][A-Za-z0-9_.-]*[A-Za-z0-9]|(?:fig|tab)-[A-Za-z0-9]")
_MARKUP = re.compile(rf"\*\*(?P<bold>[^*]+)\*\*|`(?P<code>[^`]+)`|(?<![A-Za-z0-9_.@])@(?P<ref>{LABEL.pattern})")

_BRACKET_OR_END = re.compile(r"[(（「“)）」”]|。|\.(?=\s+[A-Z])")


@dataclass(frozen=True)
class Span:
    """A run of characters of one kind: plain, whole (no line ends in it), bold, code, or ref (`content` is a label)."""

    kind: str
    content: str


@dataclass(frozen=True)
class Text:
    """A short text as a sequence of spans."""

    spans: tuple[Span, ...]

    @classmethod
    def plain(cls, text: str) -> Text:
        """Return `text` as it is: nothing in it is markup."""
        return cls((Span("plain", text),) if text else ())

    @classmethod
    def whole(cls, text: str) -> Text:
        """Return `text` as it is, in one line: a number with its unit, which Japanese would part anywhere."""
        return cls((Span("whole", text),) if text else ())

    @classmethod
    def parse(cls, markup: str) -> Text:
        """Read `**bold**`, `` `code` `` and `@fig-label` / `@tab-label`.

        >>> Text.parse("see **this** in @fig-a").labels
        ('fig-a',)
        """
        spans, position = [], 0
        for match in _MARKUP.finditer(markup):
            spans.append(Span("plain", markup[position : match.start()]))
            spans.append(Span(str(match.lastgroup), match[str(match.lastgroup)]))
            position = match.end()
        spans.append(Span("plain", markup[position:]))
        return cls(tuple(span for span in spans if span.content))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels referred to."""
        return tuple(span.content for span in self.spans if span.kind == "ref")

    def first_sentence(self) -> Text:
        """Return the text up to the end of its first sentence.

        >>> str(Text.parse("Set `a. B` first. Then repeat.").first_sentence())
        'Set a. B first.'
        >>> str(Text.plain("予約（A。Bに当たる）する。次に、繰り返す。").first_sentence())
        '予約（A。Bに当たる）する。'
        """
        depth, kept = 0, []
        for span in self.spans:
            for match in _BRACKET_OR_END.finditer(span.content) if span.kind == "plain" else ():
                depth += (match[0] in "(（「“") - (match[0] in ")）」”")
                if match[0] in ".。" and depth <= 0:
                    return Text((*kept, Span("plain", span.content[: match.end()])))
            kept.append(span)
        return self

    def __add__(self, other: Text) -> Text:
        return Text(self.spans + other.spans)

    def __str__(self) -> str:
        return "".join(f"[{span.content}]" if span.kind == "ref" else span.content for span in self.spans)

    def to_html(self) -> str:
        """Return the text as an HTML fragment."""
        return "".join(_span_html(span) for span in self.spans)

    def to_typst(self) -> str:
        """Return the text as a Typst expression (content)."""
        return "{" + "; ".join(_span_typst(span) for span in self.spans) + "}" if self.spans else "[]"


def _span_html(span: Span) -> str:
    content = html.escape(span.content).replace("\n", "<br>")
    templates = {"bold": "<b>{}</b>", "code": "<code>{}</code>", "ref": '<a href="#{0}">{0}</a>', "plain": "{}",
                 "whole": '<span style="white-space:nowrap">{}</span>'}  # fmt: skip
    return templates[span.kind].format(content)


def _span_typst(span: Span) -> str:
    if span.kind == "ref":
        return f"ref(<{span.content}>)"
    templates = {"bold": "strong({})", "code": "raw({})", "plain": "text({})", "whole": "box(text({}))"}
    return templates[span.kind].format(literal(span.content))


def as_text(value: str | Text) -> Text:
    """Return `value` as a Text; a plain `str` is literal."""
    return value if isinstance(value, Text) else Text.plain(value)
