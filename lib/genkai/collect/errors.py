"""The one error that a collector raises for what the user can mend, and what a text is that it cannot read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from genkai.refusals import Refusal

Signs = Sequence[tuple[re.Pattern[str], str]]


class CollectError(Refusal, RuntimeError):
    """Something could not be collected or read: one paragraph that says where, expected, got and what to do next."""


def signs(*known: tuple[str, str]) -> Signs:
    """(pattern, what a text is that has it) of what is often taken for something else, ready for `what_else`."""
    return [(re.compile(pattern, re.MULTILINE), what) for pattern, what in known]


def what_else(text: str, known: Signs, otherwise: str | None = None) -> str:
    """What a text is instead of what was expected: empty, the first of those known, else how it begins."""
    if not text.strip():
        return "an empty file"
    otherwise = repr(" ".join(text.split())[:50]) if otherwise is None else otherwise
    return next((what for sign, what in known if sign.search(text)), otherwise)
