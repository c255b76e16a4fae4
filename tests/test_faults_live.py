"""A part of the fault bench on real systems, quick and robust: each limit is named, a healthy system is not."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.faults.case import Case, System
from bench.faults.cases import CASES, FAULTS, GROUPS, HEALTHY
from bench.faults.runner import Result, run_case, summary, table
from genkai.analyse.rules import CAUSES

TESTS = Path(__file__).parent


@pytest.mark.parametrize("name", ["worker_slots", "rate_limit", "generator_descriptors", "closed"])
@pytest.mark.load
@pytest.mark.timeout(120)
def test_a_live_case_is_diagnosed_right(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    result = run_case(CASES[name], tmp_path)
    assert result.right or is_honest(result), table([result])


def is_honest(result: Result) -> bool:
    """Where others use most of the machine, that is said first, and the truth, if there is one, right after it.

    Of a healthy system nothing else is said.
    """
    told = ("shared_machine_cpu", *filter(None, [result.truth]))
    said = result.causes[: len(told)] if result.truth else result.causes
    return result.others_cpu > 0.6 and said == told


def test_every_case_has_a_truth_of_the_catalogue_and_names_are_unique() -> None:
    assert sum(len(group) for group in GROUPS.values()) == len(CASES)
    assert {case.truth for case in FAULTS} <= set(CAUSES)
    assert all(set(case.also) <= set(CAUSES) for case in CASES.values())
    assert len(FAULTS) >= 20
    assert len(HEALTHY) >= 8
    assert all(case.duration_s <= 25 for case in CASES.values())


def test_a_plan_of_a_case_is_one_that_a_user_could_write() -> None:
    plan = CASES["rate_limit"].plan(System("http://127.0.0.1:1"))
    assert plan["steps"]["scenario"]["levels"][0] == {"arrival_rate_rps": 60, "ramp_s": 0.3, "hold_s": 3.2}


def test_another_size_is_drawn_from_its_seed_and_stays_near() -> None:
    case = CASES["lb_queue"]
    assert case.sized(1) == case.sized(1)
    assert case.sized(1).loads != case.sized(2).loads
    for name, one in CASES.items():
        drawn = CASES[name].sized(3)
        assert (drawn.truth, len(drawn.loads), list(drawn.loads)) == (one.truth, len(one.loads), sorted(drawn.loads))
        assert all(0.75 * a <= b <= 1.3 * a + 1 for a, b in zip(one.loads, drawn.loads, strict=True)), name
        assert one.hold_s <= drawn.hold_s <= 1.3 * one.hold_s + 0.1


def test_a_busy_machine_excuses_only_who_says_so() -> None:
    busy = {"others_cpu": 0.9}
    assert is_honest(replace(outcome("lock", 2, causes=("shared_machine_cpu", "lock")), **busy))
    assert is_honest(replace(outcome("", causes=("shared_machine_cpu",)), **busy))
    assert not is_honest(replace(outcome("", causes=("shared_machine_cpu", "lock")), **busy)), "a false alarm"
    assert not is_honest(outcome("lock", 2, causes=("shared_machine_cpu", "lock")))
    assert not is_honest(replace(outcome("lock", 2, causes=("rate_limit", "lock")), **busy))
    assert not is_honest(replace(outcome("lock", causes=("shared_machine_cpu",)), **busy))


def outcome(truth: str, rank: int = 0, answer: str = "answer.limit_found", causes: tuple = (), **more) -> Result:
    return Result("case", truth, rank, answer, causes, more.get("missing", ()), 1.0)


@pytest.mark.parametrize(
    ("result", "right"),
    [
        (outcome("lock", 1), True),
        (outcome("lock", 2), False),
        (outcome("lock", 1, missing=("no_keep_alive",)), False),
        (outcome("", answer="answer.no_limit"), True),
        (outcome("", answer="answer.no_limit", causes=("target_cpu",)), False),
        (outcome("", answer="answer.cannot_tell"), False),
        (outcome("cannot_tell", answer="answer.cannot_tell"), True),
        (outcome("cannot_tell", answer="answer.limit_found", causes=("lock",)), False),
        (outcome("cannot_tell", answer="answer.no_limit"), False),
    ],
)
def test_what_counts_as_right(result: Result, right: bool) -> None:
    assert result.right is right


def test_the_summary_counts_against_the_bars_and_a_missing_program_is_seen() -> None:
    skipped = run_case(Case("odd", "lock", lambda: None, (1,), needs="no-such-program"), Path())
    lines = summary([outcome("lock", 1), outcome("lock", 2), outcome("", answer="answer.no_limit"), skipped])
    assert lines == [
        "true cause first: 1 of 2 (50%; bar 90 %)", "among the first two: 2 of 2 (100%; bar 100 %)",
        "false alarms: 0 of 1 healthy runs (bar 0)", "skipped: odd",
    ]  # fmt: skip
