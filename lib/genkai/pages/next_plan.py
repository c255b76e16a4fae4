"""`genkai next`: the plan file of the next cycle, with the newest findings as actions to confirm.

Only the block `actions` of the text is touched; every other line and every comment stays as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from genkai.plan import STEPS, Plan
from genkai.planfile import parse_plan, read_plan
from genkai.report.messages import Messages
from genkai.report.sections.decision import cause_text
from genkai.study import CYCLES, StudyError
from genkai.workspace import Cycle, cycles, write_text

SUFFIX = ".next.yaml"


def next_plan(plan_file: Path, lang: str = "en") -> tuple[Path, list[dict[str, Any]]]:
    """Write <plan>.next.yaml beside the plan; (its path, the actions that it proposes).

    Raises PlanError, StudyError where no cycle has been analysed or the file exists already.
    """
    plan = read_plan(plan_file, files=False)
    path = plan_file.with_name(plan_file.name.removesuffix(".yaml").removesuffix(".yml") + SUFFIX)
    if path.exists():
        raise StudyError(f"{path}: expected no such file, got one; confirm what it proposes, or move it away")
    cycle = newest_analysed(plan)
    proposed = proposed_actions(cycle.read_result("findings"), plan, Messages(lang))
    text = with_actions(plan_file.read_text(encoding="utf-8"), proposed, cycle.number)
    parse_plan(text, str(path), plan_file.parent, files=False)
    write_text(path, text)
    return path, proposed


def newest_analysed(plan: Plan) -> Cycle:
    """The newest cycle of the plan whose findings are known. Raises StudyError."""
    found = [c for c in cycles(CYCLES / plan.name) if c.result("findings.json").exists()]
    if not found:
        raise StudyError(f"next: expected a cycle of plan {plan.name} with findings under {CYCLES}, got none; "
                         "start one with: genkai cycle PLAN")  # fmt: skip
    return found[-1]


def proposed_actions(findings: Mapping[str, Any], plan: Plan, m: Messages) -> list[dict[str, Any]]:
    """An action for each cause with at least moderate evidence, most telling step first.

    A cause that an action of the plan is still to answer is not proposed twice.
    """
    waiting = {a.cause for a in plan.actions if not a.done}
    order = ["scenario", "endurance", "api", *[s for s in STEPS if s == "verify"]]
    proposed: dict[str, dict[str, Any]] = {}
    for run in sorted(findings, key=lambda name: (order.index(name.split("-")[1]), name)):
        for found in findings[run]["findings"]:
            if found["strength"] != "weak" and found["cause"] not in waiting:
                what = str(cause_text(m, found, "remedy").first_sentence())
                proposed.setdefault(found["cause"], {"what": what, "cause": found["cause"], "done": False})
    return list(proposed.values())


def with_actions(text: str, proposed: Sequence[Mapping[str, Any]], cycle: int) -> str:
    """The plan's text with the proposed actions at the end of its block `actions`."""
    if not proposed:
        return text
    head = f"# proposed by the findings of cycle {cycle}: confirm, name owner and due, set done: true once it is done\n"
    found = next((pair for pair in yaml.compose(text).value if pair[0].value == "actions"), None)
    if found is None:
        return f"{text.rstrip()}\n\nactions:\n{_items(head, proposed, '  ')}"
    key, value = found
    items = getattr(value, "value", [])
    if items and not value.flow_style:
        end = items[-1].end_mark.index
        end = len(text[:end].rstrip())  # a block's end mark is the next token
        end = text.find("\n", end) + 1 or len(text)
        indent = " " * value.start_mark.column
        before = text[:end] if text[:end].endswith("\n") else text[:end] + "\n"
        return before + _items(head, proposed, indent) + text[end:]
    kept = yaml.safe_load(text)["actions"] or []
    return text[: key.start_mark.index] + "actions:\n" + _items("", kept, "  ") + _items(head, proposed, "  ") + (
        text[value.end_mark.index :].lstrip(" ").removeprefix("\n")
    )  # fmt: skip


def _items(head: str, actions: Sequence[Mapping[str, Any]], indent: str) -> str:
    """Actions as a block of YAML; JSON strings are YAML strings."""
    lines = [indent + head] if head else []
    for action in actions:
        fields = [f"{k}: {json.dumps(v, ensure_ascii=False)}\n" for k, v in action.items()]
        lines += [f"{indent}- {fields[0]}", *(f"{indent}  {field}" for field in fields[1:])]
    return "".join(lines)


def next_text(path: Path, proposed: Sequence[Mapping[str, Any]]) -> str:
    """What the command prints."""
    if not proposed:
        return f"{path}: no finding asks for an action; the plan is the same"
    lines = [f"  {a['cause']}: {a['what']}" for a in proposed]
    return "\n".join([f"{path}: confirm these actions, act, then: genkai cycle {path}", *lines])
