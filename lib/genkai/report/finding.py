"""Findings (claim, evidence, remedy, proof) and the few numbers that a reader remembers."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from genkai.report.displayed import COLOURS, Badge, Displayed, status_colour
from genkai.report.errors import ReportError
from genkai.report.inline import Text, as_text
from genkai.report.messages import Messages
from genkai.report.quantities import interval, is_record
from genkai.report.typst_text import array, call, literal

_ADVICE = ("remedy", "verify", "risk")


class Finding(Displayed):
    """A claim with its strength (strong, moderate, weak), its evidence, and what to do about it; note: what all of the
    evidence speaks of.

    Raises ReportError for a claim without evidence: such a claim does not go into a document.
    """

    def __init__(
        self,
        claim: str | Text,
        *,
        strength: str,
        evidence: Sequence[str | Text],
        note: str | Text = "",
        remedy: str | Text = "",
        verify: str | Text = "",
        risk: str | Text = "",
        messages: Messages | None = None,
    ) -> None:
        self.messages, self.claim = messages or Messages(), as_text(claim)
        if not evidence:
            raise ReportError(
                f'finding "{self.claim}"', "at least one piece of evidence", "none", "give evidence or drop it"
            )
        self.badge = Badge(strength, self.messages)
        self.evidence, self.note = [as_text(item) for item in evidence], as_text(note)
        advice = dict(zip(_ADVICE, map(as_text, (remedy, verify, risk)), strict=True))
        self.advice = {self.messages(f"finding.{key}"): text for key, text in advice.items() if str(text)}

    def to_html(self) -> str:
        """Return the finding as HTML."""
        colour = COLOURS[status_colour(self.badge.status)]
        title = f"{html.escape(self.messages('finding.evidence'))} {self.note.to_html()}"
        items = "".join(f"<li>{item.to_html()}</li>" for item in self.evidence)
        advice = "".join(
            f"<div><b>{html.escape(name)}</b>: {text.to_html()}</div>" for name, text in self.advice.items()
        )
        return (
            f'<div style="border-left:5px solid {colour};padding:2px 14px;margin:8px 0;max-width:760px">'
            f"<div><b>{self.claim.to_html()}</b> &nbsp;{self.badge.to_html()}</div>"
            f"<div>{title}</div><ul>{items}</ul>{advice}</div>"
        )

    def to_typst(self) -> str:
        """Return the finding as Typst markup."""
        return "#" + call(
            "finding",
            literal(status_colour(self.badge.status)),
            self.claim.to_typst(),
            self.badge.expression(),
            evidence_title=literal(self.messages("finding.evidence")),
            evidence_note=self.note.to_typst(),
            evidence=array(item.to_typst() for item in self.evidence),
            advice=array(array([literal(name), text.to_typst()]) for name, text in self.advice.items()),
        )

    def to_plain(self) -> str:
        """Return the finding as plain text."""
        advice = [f"{name}: {text}" for name, text in self.advice.items()]
        head = [f"{self.claim} {self.badge.to_plain()}", *([str(self.note)] if str(self.note) else [])]
        return "\n".join([*head, *(f"- {item}" for item in self.evidence), *advice])


class KeyFigures(Displayed):
    """Up to four big numbers with units and intervals: `figures` is a list of (name, number record or text, note)."""

    def __init__(self, figures: Sequence[tuple[str, Any, str]], messages: Messages | None = None) -> None:
        self.messages = m = messages or Messages()
        if not 1 <= len(figures) <= 4:
            raise ReportError("KeyFigures", "1 to 4 figures", str(len(figures)), "choose the ones that decide")
        self.figures = []
        for name, value, note in figures:
            shown = m.format({**value, "low": None, "high": None} if is_record(value) else value)
            spread = interval(m._units, value) if is_record(value) else ""
            self.figures.append((name, shown, m("number.interval_95", interval=spread) if spread else "", note))

    def to_html(self) -> str:
        """Return the numbers as HTML."""
        box = "display:inline-block;vertical-align:top;padding:6px 22px 6px 0;min-width:150px"
        return "".join(
            f'<div style="{box}"><div>{html.escape(name)}</div>'
            f'<div style="font-size:24px;font-weight:bold">{html.escape(shown)}</div>'
            f"<div>{html.escape(' · '.join(part for part in (spread, note) if part))}</div></div>"
            for name, shown, spread, note in self.figures
        )

    def to_typst(self) -> str:
        """Return the numbers as Typst markup."""
        return "#" + call("key-figures", array(array(map(literal, figure)) for figure in self.figures))

    def to_plain(self) -> str:
        """Return the numbers as plain text."""
        return "\n".join(f"{name}: {' '.join(part for part in rest if part)}" for name, *rest in self.figures)
