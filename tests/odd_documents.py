"""Plans and cycles with odd contents, whose documents must look as sound as the example's."""

from __future__ import annotations

import json
import shutil
from typing import Any

from genkai import schema
from genkai.workspace import Cycle

HOSTILE = "#let x = $1$ @fig-a *b* _i_ <tab-x> [c] \\u{41} `d` // /* ~ \"q\" 'q' {e} %s 〜 −"
EMOJI = "開店 🚀 セール 😀"
LONG = "a-very-long-name-of-an-api-that-nobody-would-type-by-hand-60c"[:56]
JAPANESE = "/商品一覧/絞り込み/とても長い経路の名前を持つ検索条件付き一覧取得/{word}"
REMEDY = (
    "Have the load balancer's capacity raised before test and launch, agree on the hour with its operators, write down"
    " which alarms are expected, and keep the old configuration at hand until the next cycle has shown that it worked. "
)


def large(plan: dict[str, Any]) -> None:
    """30 APIs with long names, 10 hosts, 15 actions with long remedies."""
    health, *_ = plan["apis"]
    plan["apis"] = [health] + [
        {
            "name": f"{LONG}-{n:02d}",
            "path": JAPANESE if n % 2 else f"/items/{LONG}?q={{word}}",
            "data": "demo-words.csv",
        }
        for n in range(30)
    ]
    plan["scenarios"] = [{"name": "shopping", "why": REMEDY, "calls": [{"api": a["name"]} for a in plan["apis"][1:]]}]
    plan["hosts"] = [{"name": f"application-server-{n:02d}.internal.example", "role": "target"} for n in range(10)]
    plan["actions"] = [
        {"what": f"{n}. {REMEDY * 2}", "owner": "the team of the platform", "due": "2026-12-01", "done": n % 2 == 0}
        for n in range(15)
    ]
    plan["schedule"] = [{"when": f"2026-12-{n + 1:02d}", "what": REMEDY} for n in range(12)]
    plan["open_questions"] = [REMEDY] * 6
    plan["roles"] = {f"role {n}": "somebody with a long name of the department" for n in range(8)}
    plan["environment"] = {
        "target": {f"setting_{n:02d}": "x" * 45 for n in range(25)},
        "production": {f"setting_{n:02d}": "y" * 45 for n in range(25)},
    }


def hostile(plan: dict[str, Any]) -> None:
    """Characters that Typst, Markdown or format strings treat specially, and emoji, in every text."""
    plan["title"] = f"{HOSTILE} {EMOJI}"
    plan["scope"] = {"included": [HOSTILE, EMOJI], "excluded": [HOSTILE]}
    plan["preconditions"] = {"data_volume": HOSTILE, "method": HOSTILE, "other": [HOSTILE, EMOJI], "hold_h": 1}
    plan["environment"] = {"target": {HOSTILE: HOSTILE, "a": EMOJI}, "production": {HOSTILE: EMOJI},
                           "differences": [HOSTILE]}  # fmt: skip
    plan["apis"][1]["path"] = "/" + HOSTILE.replace("{", "(").replace("}", ")")
    plan["scenarios"][0]["why"] = HOSTILE
    plan["schedule"] = [{"when": HOSTILE, "what": EMOJI}]
    plan["roles"] = {HOSTILE: EMOJI}
    plan["open_questions"] = [HOSTILE, EMOJI]
    plan["actions"] = [{"what": HOSTILE, "owner": EMOJI, "due": HOSTILE, "done": True}]


def fail_all(cycle: Cycle) -> None:
    """Every request failed."""
    for run in cycle.runs():
        path = run.path / "requests.parquet"
        rows = schema.read_table(path, "requests")
        rows["failed"] = rows["failed"] + rows["completed"]
        rows["completed"] = (rows["completed"] * 0).astype("Int64")
        schema.write_table(rows, "requests", path)


def times(cycle: Cycle, factor: float) -> None:
    """Counts of every second multiplied, as in a service that is larger by a factor."""
    for run in cycle.runs():
        path = run.path / "requests.parquet"
        rows = schema.read_table(path, "requests")
        for name in ("sent", "completed", "failed", "dropped", "bytes_received"):
            rows[name] = (rows[name] * factor).round().astype("Int64")
        schema.write_table(rows, "requests", path)


def one_level(cycle: Cycle) -> None:
    """The scenario with its first level only."""
    run = cycle.run("scenario", "shopping")
    marks = json.loads((run.path / "marks.json").read_text())
    (run.path / "marks.json").write_text(json.dumps(marks[:1]))
    path = run.path / "requests.parquet"
    rows = schema.read_table(path, "requests")
    schema.write_table(rows[rows["level"] <= 0].reset_index(drop=True), "requests", path)


def keep_steps(cycle: Cycle, *kept: str) -> None:
    """Only the runs of these steps."""
    for run in cycle.runs():
        if run.step not in kept:
            shutil.rmtree(run.path)


def without_p95(plan: dict[str, Any], target_rps: float = 729) -> None:
    """A target that is stated outright, without a response time."""
    plan.pop("estimate", None)
    plan["targets"] = {"throughput_rps": target_rps, "error_ratio": 0.01}
