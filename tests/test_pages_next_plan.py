"""The next cycle's plan: only the block `actions` changes, whatever shape it had; nothing is overwritten."""

import json
from pathlib import Path

import pytest
import yaml

from genkai.pages.next_plan import Next, next_plan, next_text, proposed_actions, with_actions
from genkai.planfile import parse_plan, read_plan
from genkai.report.messages import Messages
from genkai.study import StudyError
from genkai.workspace import new_cycle
from report_records import FINDINGS

BASE = """\
# words of a human
name: mini   # the name
purposes: [responsiveness]
base_url: http://127.0.0.1:9
targets: {throughput_rps: 1}
apis: [{name: a, path: /}]
"""
AFTER = "# the steps\nsteps:\n  verify: {levels: [{users: 1}]}\n"
OLD = {"what": "old", "cause": "target_cpu", "done": True}
SHAPES = {
    "none": BASE + AFTER,
    "none, no line end": (BASE + AFTER).rstrip(),
    "empty": BASE + "actions: []   \n" + AFTER,
    "empty, last": BASE + AFTER + "actions: []",
    "flow": BASE + "actions: [{what: old, cause: target_cpu}]\n" + AFTER,
    "block": BASE + "actions:\n  # mine\n  - what: old   # why\n    cause: target_cpu\n\n" + AFTER,
    "block at the margin": BASE + "actions:\n- {what: old, cause: target_cpu}\n# about what follows\n" + AFTER,
    "block, last, no line end": BASE + AFTER + "actions:\n  - {what: old, cause: target_cpu}",
}
PROPOSED = [{"what": 'Do "it": now, #1', "cause": "load_balancer_capacity", "done": False}]


@pytest.mark.parametrize("name", SHAPES)
def test_only_the_actions_change(name: str) -> None:
    text = SHAPES[name]
    made = with_actions(text, PROPOSED, 7)
    given, found = yaml.safe_load(text), yaml.safe_load(made)
    old = given.pop("actions", None) or []
    assert found.pop("actions") == old + PROPOSED
    assert found == given
    comments = [line[line.index("#") :].rstrip() for line in text.splitlines() if "#" in line]
    assert [c for c in comments if c not in made] == []
    assert "cycle 7" in made
    parse_plan(made)


def test_without_a_finding_the_text_stays() -> None:
    assert with_actions(BASE + AFTER, [], 7) == BASE + AFTER
    assert "the plan is the same" in next_text(Next(Path("x"), [], 7))


def findings(**fields: object) -> dict:
    return {"3-scenario-mix": {**FINDINGS, "kind": "throughput", "findings": [{**FINDINGS["findings"][0], **fields}]}}


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_a_finding_becomes_one_sentence(lang: str) -> None:
    found = proposed_actions(findings(), parse_plan(BASE + AFTER), Messages(lang), 1)
    assert [(a["cause"], a["done"]) for a in found] == [("load_balancer_capacity", False)]
    whole = Messages(lang)("cause.load_balancer_capacity.remedy", **FINDINGS["findings"][0]["values"])
    assert whole.startswith(found[0]["what"])
    assert len(found[0]["what"]) < len(whole)


def test_weak_evidence_and_what_is_waiting_are_not_proposed() -> None:
    plan, m = parse_plan(BASE + AFTER), Messages()
    assert proposed_actions(findings(strength="weak"), plan, m, 1) == []
    twice = {**findings(), "2-api-a": findings()["3-scenario-mix"]}
    assert len(proposed_actions(twice, plan, m, 1)) == 1
    asked = "actions: [{what: warm it, cause: load_balancer_capacity, done: %s}]\n" + AFTER
    assert proposed_actions(findings(), parse_plan(BASE + asked % "false"), m, 1) == []
    assert len(proposed_actions(findings(), parse_plan(BASE + asked % "true"), m, 1)) == 1, "it did not work"


def test_the_newest_cycle_speaks_and_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan_file = tmp_path / "mini.yaml"
    plan_file.write_text(BASE + AFTER)
    with pytest.raises(StudyError, match=r"expected a cycle of plan mini with findings under data/cycles, got none"):
        next_plan(plan_file)
    first = new_cycle(Path("data/cycles"), plan_file)
    first.write_result("findings", findings())
    new_cycle(Path("data/cycles"), plan_file)  # begun, not analysed
    made = next_plan(plan_file)
    path, proposed = made.path, made.proposed
    assert (path.name, len(proposed), made.cycle, made.unread) == ("mini.cycle-03.yaml", 1, 1, [2])
    assert next_text(made).startswith("note: cycle 2 is not analysed")
    (action,) = read_plan(path).actions
    assert (action.cause, action.done) == ("load_balancer_capacity", False)
    aim = action.judged_by
    assert (aim.subject, aim.step, aim.quantity, aim.cycle) == ("mix", "scenario", "throughput", 1)
    assert aim.load == FINDINGS["findings"][0]["values"]["load"]["value"]
    assert action.verify.startswith("In the next cycle, throughput rises above")
    assert plan_file.read_text() == BASE + AFTER
    assert json.dumps(proposed)
    with pytest.raises(StudyError, match=r"mini\.cycle-03\.yaml: expected no such file"):
        next_plan(plan_file)


def test_the_plan_of_the_cycle_after_next_is_named_like_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan_file = tmp_path / "mini.cycle-01.yaml"
    plan_file.write_text(BASE + AFTER)
    new_cycle(Path("data/cycles"), plan_file).write_result("findings", findings())
    assert next_plan(plan_file).path.name == "mini.cycle-02.yaml"


def test_an_older_plan_file_says_that_a_newer_one_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan_file, second = Path("mini.yaml"), Path("mini.cycle-02.yaml")
    for path in (plan_file, second, Path("minimal.cycle-07.yaml")):
        path.write_text(BASE + AFTER)
        new_cycle(Path("data/cycles"), path).write_result("findings", findings())
    made = next_plan(plan_file)
    assert made.beside == second
    assert "note: mini.cycle-02.yaml is newer than the plan that this was made of" in next_text(made)
    made.path.unlink()
    assert next_plan(second).beside is None
