"""Notebook 00: the cycles so far, and what comes next."""

from __future__ import annotations

from genkai.plan import STEPS
from genkai.report.display import Badge, Displayed, Paragraph, Table
from genkai.report.messages import Messages
from genkai.workspace import Cycle, cycles, project_root, read_json


def _all(root: str) -> list[Cycle]:
    found = [c for plan in sorted((project_root() / root).glob("*")) for c in cycles(plan)]
    return sorted(found, key=lambda c: str(c.manifest().get("created", "")))


def _status(cycle: Cycle) -> str:
    path = cycle.result("verdicts.json")
    return read_json(path)["overall"]["status"] if path.exists() else "not_run"


def cycles_so_far(root: str, lang: str = "en") -> Displayed:
    """Plan, number, date, steps that ran and verdict of each cycle under root."""
    m, found = Messages(lang), _all(root)
    if not found:
        return Paragraph(m.text("page.no_cycles", root=root), m)
    rows = []
    for cycle in found:
        steps = [m(f"step_short.{s}") for s in STEPS if cycle.runs(s)]
        rows.append({
            "plan": cycle.manifest()["plan"], "cycle": f"{cycle.number}",
            "start": str(cycle.manifest().get("created", ""))[:16].replace("T", " "), "step": ", ".join(steps) or "–",
            "verdict": Badge(_status(cycle), m),
        })  # fmt: skip
    columns = {name: m(f"column.{name}") for name in rows[0]}
    return Table(rows, caption=m("caption.cycles"), label="tab-cycles", columns=columns, messages=m)


def next_step(root: str, lang: str = "en") -> Paragraph:
    """One sentence: what to do now."""
    m, found = Messages(lang), _all(root)
    if not found:
        return Paragraph(m.text("page.next_demo"), m)
    newest = found[-1]
    status, plan = _status(newest), newest.manifest()["plan"]
    key = {"pass": "page.next_passed", "not_run": "page.next_resume"}.get(status, "page.next_act")
    return Paragraph(m.text(key, plan=plan, number=newest.number, path=str(newest.path)), m)
