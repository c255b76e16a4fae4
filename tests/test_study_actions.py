"""Actions judged on recorded runs: the fault bench's systems as a cycle before and a cycle after."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.faults.corpus import unpack
from genkai.report.messages import Messages
from genkai.report.sections.closing import outcome_text
from genkai.study import Study, read_study
from genkai.study.actions import proposed_rows, taken_rows
from genkai.study.results import findings_of
from genkai.workspace import Cycle
from sample_cycles import SAMPLE, own_cycle

CORPUS = Path(__file__).parent / "data/faults"
LB = "load_balancer_capacity"


def cycle_of(place: Path, name: str, number: int, *actions: dict[str, Any]) -> Study:
    """A recorded system as a reported cycle of one's own with these actions."""
    path = unpack(CORPUS / f"{name}.zip", place / "unpacked").path.rename(place / f"{number:02d}")
    record = json.loads((path / "cycle.json").read_text(encoding="utf-8")) | {"number": number}
    (path / "cycle.json").write_text(json.dumps({k: v for k, v in record.items() if k != "recorded"}))
    plan = yaml.safe_load((path / "plan.yaml").read_text(encoding="utf-8"))
    (path / "plan.yaml").write_text(yaml.safe_dump({**plan, "actions": list(actions)}), encoding="utf-8")
    cycle = Cycle(path)
    study = read_study(cycle)
    cycle.write_result("verdicts", {})
    cycle.write_result("findings", {r.run.name: findings_of(study, r) for r in study.runs})
    return study


def became(place: Path, before: str, after: str, cause: str | None, **action: Any) -> dict[str, Any]:
    """What became of an action between two recorded systems."""
    place.mkdir(exist_ok=True)
    first = cycle_of(place, before, 1)
    second = cycle_of(place, after, 2, {"what": "mended", "cause": cause, **action})
    (row,) = taken_rows(second, first)
    return row


@pytest.mark.parametrize(
    ("before", "after", "cause", "outcome", "said"),
    [
        ("worker_slots", "closed", "worker_slots", "worked", "is gone up to 90 users. Throughput"),
        ("worker_slots", "worker_slots", "worker_slots", "did_not_work", "is found again at 40 users (cycle 1: at 40"),
        (
            "nginx_rate_limit",
            "open",
            "rate_limit",
            "worked",
            "gone up to 250 rps. Throughput no longer stops at 100 rps",
        ),
        ("memory_leak", "steady_hours", "memory_leak", "worked", "is gone up to 30 users"),
        ("memory_leak", "memory_leak", "memory_leak", "did_not_work", "is found again"),
        ("closed", "worker_slots", "worker_slots", "did_not_work", "before the action, in cycle 1, it was not"),
        ("closed", "closed", "worker_slots", "cannot_tell", "was not found in cycle 1 either"),
        ("worker_slots", "closed", None, "cannot_tell", "names neither a cause nor what it is to change"),
    ],
)
def test_recorded_systems_before_and_after(
    tmp_path: Path, before: str, after: str, cause: str | None, outcome: str, said: str
) -> None:
    row = became(tmp_path, before, after, cause)
    told = str(outcome_text(Messages(), row))
    assert (row["outcome"], said in told) == (outcome, True), told
    assert row["evidence"] == ("tab-comparison" if row["rows"] else None)
    json.dumps(row, allow_nan=False)


@pytest.mark.parametrize("given", [{"subject": "mix"}, {"subject": "mix", "step": "scenario"}])
def test_what_a_plan_leaves_out_is_taken_from_the_finding(tmp_path: Path, given: dict[str, str]) -> None:
    row = became(tmp_path / "gone", "worker_slots", "closed", "worker_slots", judged_by=given)
    assert (row["outcome"], row["text_key"], {r["what"] for r in row["rows"]}) == (
        "worked", "outcome.worked", {"throughput"},
    )  # fmt: skip
    row = became(tmp_path / "came", "closed", "worker_slots", "worker_slots", judged_by=given)
    assert (row["outcome"], row["text_key"]) == ("did_not_work", "outcome.found_now")


def test_an_action_of_ones_own_is_judged_by_what_the_plan_names(tmp_path: Path) -> None:
    named = {"judged_by": {"subject": "mix", "quantity": "throughput"}}
    row = became(tmp_path / "a", "worker_slots", "closed", None, **named)
    assert (row["outcome"], {r["what"] for r in row["rows"]} - {"ceiling"}) == ("worked", {"throughput"})
    assert became(tmp_path / "b", "closed", "worker_slots", None, **named)["outcome"] == "made_worse"
    elsewhere = {"judged_by": {"subject": "mix", "step": "api"}}
    assert became(tmp_path / "c", "worker_slots", "closed", None, **elsewhere)["text_key"] == "outcome.own_nothing"


def test_an_action_is_compared_with_the_cycle_that_found_its_cause(tmp_path: Path) -> None:
    first, second = cycle_of(tmp_path, "worker_slots", 1), cycle_of(tmp_path, "closed", 2)
    by_cause = {"what": "more workers", "cause": "worker_slots"}
    named = {**by_cause, "judged_by": {"subject": "mix", "cycle": 2}}
    third = cycle_of(tmp_path, "closed", 3, by_cause, named)
    rows = taken_rows(third, second)
    assert [(r["outcome"], r["values"]["cycle"]) for r in rows] == [("worked", "1"), ("cannot_tell", "2")]
    assert [r["evidence"] for r in rows] == [None, None], "the report's table compares with cycle 2"
    assert taken_rows(third, first)[0]["evidence"] == "tab-comparison"


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_actions_judged_by_the_same_numbers_say_that_their_effects_cannot_be_told_apart(
    tmp_path: Path, lang: str
) -> None:
    by_cause = {"what": "more workers", "cause": "worker_slots"}
    by_number = {"what": "a larger machine", "judged_by": {"subject": "mix", "quantity": "throughput"}}
    waiting, alone = {**by_cause, "what": "later", "done": False}, {"what": "prayed"}
    first = cycle_of(tmp_path, "worker_slots", 1)
    rows = taken_rows(cycle_of(tmp_path, "closed", 2, by_cause, by_number, waiting, alone), first)
    assert [row["shared_with"] for row in rows] == [["a larger machine"], ["more workers"], [], []]
    m = Messages(lang)
    for row, other in zip(rows[:2], rows[1::-1], strict=True):
        assert m("actions.shared", others=m("actions.named", action=other["action"])) in str(outcome_text(m, row))
    assert rows[0]["action"] not in str(outcome_text(m, rows[3]))


def test_what_is_not_done_waits_and_the_first_cycle_has_nothing_to_compare_with(tmp_path: Path) -> None:
    waiting = {"what": "later", "cause": LB, "done": False, "verify": "the queue stays empty"}
    study = read_study(own_cycle(tmp_path, edit=lambda plan: plan.update(actions=[waiting, {**waiting, "done": True}])))
    rows = taken_rows(study, None)
    assert [r["outcome"] for r in rows] == ["open", "cannot_tell"]
    assert [str(outcome_text(Messages(), r)) for r in rows] == [
        "the queue stays empty", "There is no earlier cycle to compare with.",
    ]  # fmt: skip


def found(cause: str, strength: str = "strong") -> dict[str, Any]:
    finding = {"cause": cause, "strength": strength, "remedy_key": f"cause.{cause}.remedy", "values": {},
               "verify_key": f"cause.{cause}.verify",
               "evidence": [{"figure": None}, {"figure": "fig-evidence-1"}]}  # fmt: skip
    return {"findings": [finding]}


def test_findings_ask_for_actions_but_weak_ones() -> None:
    study = read_study(Cycle(SAMPLE))
    assert proposed_rows(study, found(LB)) == [
        {"action": {"key": f"cause.{LB}.remedy", "values": {}}, "outcome": "open", "text_key": f"cause.{LB}.verify",
         "values": {}, "evidence": "fig-evidence-1"}
    ]  # fmt: skip
    assert proposed_rows(study, found(LB, strength="weak")) == []
    assert proposed_rows(study, None) == []
