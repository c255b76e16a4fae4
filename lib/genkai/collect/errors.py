"""The one error that a collector raises for what the user can mend."""

from __future__ import annotations

from genkai.refusals import Refusal


class CollectError(Refusal, RuntimeError):
    """Something could not be collected or read: one paragraph that says where, expected, got and what to do next."""
