"""The errors that speak for themselves: where, expected, got, what to do next; told in one paragraph, no traceback."""

from __future__ import annotations


class Refusal(Exception):
    """Base of every error whose message says all that its reader needs, on the command line and in a notebook."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows instead of a traceback (IPython asks for this by name)."""
        return [f"{type(self).__name__}: {self}"]


def is_told(traceback: list[str]) -> bool:
    """Whether what a notebook keeps of an error is the paragraph of a Refusal, and no traceback.

    >>> is_told(Refusal("plan: expected a name")._render_traceback_())
    True
    """
    return len(traceback) == 1
