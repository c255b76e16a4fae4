"""The facts about a whole document: what its cover, running head and PDF metadata say."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from genkai.report.displayed import Displayed
from genkai.report.messages import Messages
from genkai.report.quantities import instant
from genkai.report.typst_text import array, call, literal


@dataclass
class Document(Displayed):
    """Title block on page 1 and running head of the rest; display it once, before everything else.

    `window` is (start, end) of the tests, as ISO 8601 text, datetime or seconds since 1970, UTC; `verdict` is pass,
    fail, cannot_tell, not_run or "".
    """

    title: str
    language: str = "en"
    subtitle: str = ""
    plan: str = ""
    cycle: int | None = None
    environment: str = ""
    window: Sequence[Any] = ()
    verdict: str = ""
    plan_hash: str = ""
    kind: str = "report"
    extra: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.messages = Messages(self.language)
        self.window = tuple(instant(value, "datetime") for value in self.window)

    def facts(self) -> list[tuple[str, str]]:
        """Return the (name, value) pairs that the cover prints, empty ones left out."""
        m = self.messages
        cycle = "" if self.cycle is None else m("cover.cycle_number", number=self.cycle)
        rows = [("plan", self.plan), ("cycle", cycle), ("environment", self.environment)]
        rows += [
            ("window", m("cover.from_to", start=_minute(self.window[0]), end=_end(self.window)) if self.window else "")
        ]
        rows += [("plan_hash", self.plan_hash[:12])]
        return [(m(f"cover.{key}"), value) for key, value in rows if value] + list(self.extra.items())

    def running_head(self) -> str:
        """Return the text that heads every page after the first."""
        cycle = "" if self.cycle is None else self.messages("cover.cycle_short", number=self.cycle)
        return " · ".join(part for part in (self.title, cycle) if part)

    def document(self) -> dict[str, Any]:
        """Return the facts about the whole document."""
        facts = {key: value for key, value in asdict(self).items() if key != "messages"}
        return facts | {"window": list(self.window), "running_head": self.running_head()}

    def to_html(self) -> str:
        """Return the title block as HTML."""
        box = "display:inline-block;padding-right:24px"
        rows = "".join(
            f'<span style="{box}">{html.escape(name)}: <b>{html.escape(value)}</b></span>'
            for name, value in self.facts()
        )
        subtitle = f"<div>{html.escape(self.subtitle)}</div>" if self.subtitle else ""
        return f"<h1>{html.escape(self.title)}</h1>{subtitle}<div>{rows}</div>"

    def to_typst(self) -> str:
        """Return the title block as Typst markup."""
        facts = array(array([literal(name), literal(value)]) for name, value in self.facts())
        kicker = self.messages(f"cover.kind_{self.kind}")
        return "#" + call("cover", literal(kicker), literal(self.title), literal(self.subtitle), facts)

    def to_plain(self) -> str:
        """Return the title block as plain text."""
        return "\n".join([self.title, self.subtitle, *(f"{name}: {value}" for name, value in self.facts())])


def _minute(text: str) -> str:
    return text.removesuffix(" UTC")[:16]


def _end(window: Sequence[str]) -> str:
    start, end = _minute(window[0]), _minute(window[-1])
    return end[11:] if end[:10] == start[:10] else end
