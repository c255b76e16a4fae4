"""The errors that speak for themselves: where, expected, got, what to do next; told in one paragraph, no traceback.

By name, so that telling an error costs no imports; a test finds each of them in the package.
"""

from __future__ import annotations

REFUSALS = frozenset({
    "CollectError", "FitError", "HostError", "JoinError", "LaunchError", "NotebookError", "PlanError", "ReportError",
    "StepError", "StudyError", "TableError", "TargetRefused", "WorkspaceError",
})  # fmt: skip


def is_refusal(error: BaseException) -> bool:
    """Whether the error is one of ours, or derived from one.

    >>> is_refusal(ValueError("no"))
    False
    """
    return any(base.__name__ in REFUSALS and base.__module__.startswith("genkai") for base in type(error).__mro__)
