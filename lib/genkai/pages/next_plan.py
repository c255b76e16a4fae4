"""`genkai next`: the plan file of the next cycle, with the newest findings as actions to confirm.

Only the block `actions` of the text is touched; every other line and every comment stays as it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from genkai.analyse.actions import MOST_TELLING, aim_of
from genkai.plan import Plan
from genkai.planfile import parse_plan, read_plan
from genkai.report.messages import Messages
from genkai.report.sections.decision import cause_text
from genkai.study import CYCLES, StudyError
from genkai.workspace import Cycle, Run, cycles, write_text

NUMBERED = re.compile(r"(?:\.cycle-(\d+))?\.ya?ml$|$")


@dataclass(frozen=True)
class Next:
    """What was written: the file, the actions that it proposes, the cycle whose findings ask for them.

    unread: newer cycles that are not analysed. beside: the newest plan file beside it that is newer than the one read.
    """

    path: Path
    proposed: Sequence[Mapping[str, Any]]
    cycle: int
    unread: Sequence[int] = ()
    beside: Path | None = None


def next_plan(plan_file: Path, lang: str = "en") -> Next:
    """Write the next cycle's plan beside the plan: shop.yaml or shop.cycle-02.yaml make shop.cycle-03.yaml.

    Raises PlanError, StudyError where no cycle has been analysed or the file exists already.
    """
    plan = read_plan(plan_file, to_run=False)
    cycle = newest_analysed(plan)
    newer = [c.number for c in cycles(CYCLES / plan.name) if c.number > cycle.number]
    name = NUMBERED.sub("", plan_file.name)
    path = plan_file.with_name(f"{name}.cycle-{max([cycle.number, *newer]) + 1:02d}.yaml")
    if path.exists():
        raise StudyError(f"{path}: expected no such file, got one; confirm what it proposes, or move it away")
    proposed = proposed_actions(cycle.read_result("findings"), plan, Messages(lang), cycle.number)
    text = with_actions(plan_file.read_text(encoding="utf-8"), proposed, cycle.number)
    parse_plan(text, str(path), plan_file.parent, to_run=False)
    beside = newer_file(plan_file)
    write_text(path, text)
    return Next(path, proposed, cycle.number, newer, beside)


def newer_file(plan_file: Path) -> Path | None:
    """The newest of the later cycles' plan files beside a plan file, which has what was changed since."""
    own, numbered = NUMBERED.search(plan_file.name), {}
    name = plan_file.name[: own.start()]
    for path in plan_file.parent.glob("*.y*ml"):
        found = NUMBERED.search(path.name)
        if found and path.name[: found.start()] == name:
            numbered[int(found[1] or 0)] = path
    newest = max(numbered, default=0)
    return numbered[newest] if newest > int(own[1] or 0) else None


def newest_analysed(plan: Plan) -> Cycle:
    """The newest cycle of the plan whose findings are known. Raises StudyError."""
    found = [c for c in cycles(CYCLES / plan.name) if c.result("findings.json").exists()]
    if not found:
        raise StudyError(f"next: expected a cycle of plan {plan.name} with findings under {CYCLES}, got none; "
                         "start one with: genkai cycle PLAN")  # fmt: skip
    return found[-1]


def proposed_actions(findings: Mapping[str, Any], plan: Plan, m: Messages, cycle: int) -> list[dict[str, Any]]:
    """An action for each cause with at least moderate evidence in a cycle's findings, most telling step first.

    A cause that an action of the plan is still to answer is not proposed twice.
    """
    waiting = {a.cause for a in plan.actions if not a.done}
    proposed: dict[str, dict[str, Any]] = {}
    runs = [Run(Path(name)) for name in findings]
    for run in sorted(runs, key=lambda run: (MOST_TELLING.index(run.step), run.name)):
        record = findings[run.name]
        for found in record["findings"]:
            if found["strength"] != "weak" and found["cause"] not in waiting:
                aim = aim_of(record, found, run.step, run.subject, cycle)
                texts = {"what": cause_text(m, found, "remedy").first_sentence(), "cause": found["cause"],
                         "verify": cause_text(m, found, "verify")}  # fmt: skip
                action = {**{k: str(v) for k, v in texts.items()}, "judged_by": aim.model_dump(exclude_none=True)}
                proposed.setdefault(found["cause"], {**action, "done": False})
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


def next_text(made: Next) -> str:
    """What the command prints."""
    lines = [f"note: cycle {number} is not analysed, its findings are not in this plan" for number in made.unread]
    if made.beside:
        lines.append(f"note: {made.beside} is newer than the plan that this was made of, and what it changed is not in "
                     f"it; to have it: delete {made.path}, then: genkai next {made.beside}")  # fmt: skip
    if not made.proposed:
        return "\n".join([*lines, f"{made.path}: no finding of cycle {made.cycle} asks for a new action; "
                          "the plan is the same"])  # fmt: skip
    head = f"{made.path}: confirm these actions of cycle {made.cycle}, act, then: genkai cycle {made.path}"
    return "\n".join([*lines, head, *(f"  {a['cause']}: {a['what']}" for a in made.proposed)])
