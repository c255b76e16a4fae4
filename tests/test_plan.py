"""The plan's own answers: what each step tests, and a digest that ignores layout."""

import re

import pytest

from genkai.planfile import PlanError, parse_plan

TEXT = """\
name: shop
purposes: [responsiveness]
base_url: http://127.0.0.1:8080
targets: {p95_ms: 100, throughput_rps: 10}
apis:
  - {name: health, path: /health}
  - {name: search, path: /items, targets: {p95_ms: 250}}
  - {name: order, path: /orders, method: POST}
scenarios:
  - {name: mix, calls: [{api: search}]}
steps:
  verify: {api: health, levels: [{users: 1, ramp_s: 1, hold_s: 2}, {users: 2, ramp_s: 1, hold_s: 2}]}
  api: {levels: [{target_ratio: 1}]}
  scenario: {levels: [{users: 10}]}
"""


def test_each_step_knows_its_subjects() -> None:
    plan = parse_plan(TEXT)
    assert plan.subjects("verify") == ["health"]
    assert plan.subjects("api") == ["search", "order"], "the API that only proves the tools is not tested by itself"
    assert plan.subjects("scenario") == ["mix"]
    assert plan.subjects("endurance") == []


def test_each_step_knows_its_sizes() -> None:
    sized = TEXT.replace("scenario: {levels", "scenario: {sizes: [1, 2, 4], levels")
    plan = parse_plan(sized.replace("steps:", "scaling: {command: 'resize {size}', base: 2}\nsteps:"))
    assert plan.sizes("scenario") == [1, 2, 4]
    assert plan.sizes("api") == plan.sizes("endurance") == [None]
    assert parse_plan(TEXT).digest() != plan.digest()


@pytest.mark.parametrize(("given", "told"), [
    ("{base: 2}", "expected exactly one of group, service, command, got none"),
    ("{base: 2, command: 'x {size}', group: g}", "got group, command"),
    ("{base: 2, command: x}", "expected a command that says {size}, got 'x'"),
    ("{base: 0, command: 'x {size}'}", "scaling.base: expected a number > 0"),
    ("{base: 2, service: app}", "scaling.service: expected text like"),
])  # fmt: skip
def test_a_way_of_resizing_that_cannot_be_used_is_told(given: str, told: str) -> None:
    with pytest.raises(PlanError, match=re.escape(told)):
        parse_plan(TEXT.replace("steps:", f"scaling: {given}\nsteps:"))


def test_a_size_that_stands_twice_is_told() -> None:
    with pytest.raises(PlanError, match="expected each size once, got 1, 1"):
        parse_plan(TEXT.replace("scenario: {levels", "scenario: {sizes: [1, 1], levels"))


def test_targets_of_an_api_are_its_own_or_the_plans() -> None:
    plan = parse_plan(TEXT)
    assert plan.targets_for("search").response_times_s() == {"p95_s": 0.25}
    assert plan.targets_for("order").response_times_s() == {"p95_s": 0.1}


def test_the_digest_ignores_layout_and_sees_content() -> None:
    plan = parse_plan(TEXT)
    assert (
        plan.digest() == parse_plan("# a comment\n" + TEXT.replace("{p95_ms: 100, ", "{ p95_ms:   100.0,  ")).digest()
    )
    assert plan.digest() != parse_plan(TEXT.replace("users: 10", "users: 11")).digest()


def test_duration_and_workload() -> None:
    plan = parse_plan(TEXT)
    assert plan.steps.verify.duration_s == 6
    assert [plan.steps.api.levels[0].workload, plan.steps.scenario.levels[0].workload] == ["open", "closed"]
