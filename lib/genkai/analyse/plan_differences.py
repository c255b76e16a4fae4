"""What changed between two cycles besides what was meant to: plan, versions, place; shown beside every comparison."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from genkai.plan import Plan

Change = dict[str, str]
ABOUT_IT = ("name", "title", "purposes", "schedule", "roles", "open_questions", "actions")  # words about the test
NAMED = ("apis", "scenarios", "hosts")
ABSENT = "–"
LOOPBACK_PORT = re.compile(r"(//(?:127\.[\d.]+|localhost|\[::1\])):\d+")  # the system gives another one each time


def plan_differences(plan_a: Plan, plan_b: Plan) -> list[Change]:
    """{"what": dotted path, "before", "after"} of every field that differs and may change a measurement."""
    given = [plan.model_dump(mode="json", by_alias=True, exclude=set(ABOUT_IT)) for plan in (plan_a, plan_b)]
    return differences(*(_flat(_by_name(g)) for g in given))


def run_differences(record_a: Mapping[str, Any], record_b: Mapping[str, Any]) -> list[Change]:
    """The same for two run records: versions, number of processes, hosts."""
    chosen = [
        _flat({key: record.get(key) for key in ("versions", "processes", "hosts") if record.get(key) is not None})
        for record in (record_a, record_b)
    ]
    return differences(*chosen)


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    """Keys of two flat mappings whose values differ, in their order; a key that one lacks has "–" there."""
    return [
        {"what": key, "before": before.get(key, ABSENT), "after": after.get(key, ABSENT)}
        for key in dict.fromkeys([*before, *after])
        if before.get(key, ABSENT) != after.get(key, ABSENT)
    ]


def check_poolable(records: Sequence[Mapping[str, Any]]) -> None:
    """Refuse to treat runs as repetitions of one another when plan, versions or processes differ.

    Raises ValueError that names the first difference.
    """
    for other in records[1:]:
        found = _hidden(records[0], other)
        if found:
            told = "{what}: {before} and {after}".format(**found[0])
            raise ValueError(
                f"repetitions: expected runs of one plan and environment, got {told}; compare them as two sides instead"
            )


def poolable(runs: Sequence[Any]) -> tuple[list[Any], list[Change]]:
    """(the runs that are repetitions of the first one, what is different in those that are not). runs: with .record."""
    kept, left_out = list(runs[:1]), []
    for run in runs[1:]:
        found = _hidden(runs[0].record, run.record)
        kept += [] if found else [run]
        left_out += [{**c, "what": f"{run.step} {run.subject}, repetitions: {c['what']}"} for c in found]
    return kept, left_out


def _hidden(first: Mapping[str, Any], other: Mapping[str, Any]) -> list[Change]:
    digests = [str(record.get("plan_digest")) for record in (first, other)]
    plan = [{"what": "plan_digest", "before": digests[0], "after": digests[1]}] if digests[0] != digests[1] else []
    return plan + run_differences(first, other)


def _by_name(given: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of named things as mappings, so that one more API is not a change of all that follow."""
    return {k: {i["name"]: i for i in v} if k in NAMED and isinstance(v, list) else v for k, v in given.items()}


def _flat(node: Any, path: str = "") -> dict[str, str]:
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else None
    if items is None:
        return {} if node is None else {path: LOOPBACK_PORT.sub(r"\1", str(node))}
    return {k: v for key, child in items for k, v in _flat(child, f"{path}.{key}" if path else str(key)).items()}
