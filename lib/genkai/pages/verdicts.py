"""A verdict as a banner with its reasons, for a step (notebook 20) and for the cycle (notebook 60)."""

from __future__ import annotations

from typing import Any

from genkai.report.display import Contents, Verdict
from genkai.report.messages import Messages
from genkai.report.sections.decision import targets_table
from genkai.report.sections.records import message


def step_banner(record: dict[str, Any], lang: str = "en") -> Contents:
    """The step's verdict in one sentence, and the targets that it rests on."""
    m = Messages(lang)
    items: list[Any] = [Verdict(record["status"], message(m, record, "why_key"), m)]
    if record.get("targets"):
        items.append(targets_table(m, record["targets"]))
    return Contents(items, m)
