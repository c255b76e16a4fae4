"""What became of an action: judged by its cause and by the rows that this cause limited, and by nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genkai.analyse.actions import Seen, aim_of, cause_name, judge_action, telling_rows, verdict_of_rows
from genkai.analyse.records import number
from genkai.plan import Action, JudgedBy
from genkai.report.messages import LANGUAGES, Messages
from genkai.report.sections.closing import outcome_text

CAUSE, OTHER = "load_balancer_capacity", "target_cpu"
AIM = JudgedBy(subject="mix", step="scenario", quantity="throughput", load=500, cycle=1)
SURGE = ("cloudwatch", "SurgeQueueLength")
VERDICTS = ("better", "same", "worse", "cannot_tell")


def finding(cause: str = CAUSE, load: float = 500, strength: str = "strong", **fields: Any) -> dict[str, Any]:
    evidence = [{"source": "levels", "metric": "throughput_rps"}, {"source": SURGE[0], "metric": SURGE[1]}]
    return {"cause": cause, "group": "balancer", "strength": strength, "contributes": False, "evidence": evidence,
            "values": {"load": number(load, unit="users")}, **fields}  # fmt: skip


def record(*findings: dict[str, Any], highest: float = 1000, kind: str | None = "throughput", unit: str = "users"):
    values = {"load": number(highest, unit=unit), "highest_load": number(highest, unit=unit)}
    return {"findings": list(findings), "kind": kind, "values": values}


def seen(*records: dict[str, Any], cycle: int = 2, series: tuple = (SURGE,), held_s: float = 60) -> Seen:
    return Seen(cycle, records or [record(kind=None)], series, held_s)


BEFORE = seen(record(finding(), highest=750), cycle=1)


def row(verdict: str, what: str = "throughput", load: float | None = 750, **fields: Any) -> dict[str, Any]:
    values = {"before": number(500, unit="rps"), "after": number(700, unit="rps"),
              "ratio": number(1.4, 1.3, 1.5, unit="factor")}  # fmt: skip
    return {"step": "scenario", "subject": "mix", "api": "mix", "what": what, "load": load, "verdict": verdict,
            **values, **fields}  # fmt: skip


def compared(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"details": [r for r in rows if r["load"]], "rows": [r for r in rows if not r["load"]]}


def judged(now: Seen | None, comparison: Any, aim: JudgedBy | None = AIM, before: Seen | None = BEFORE, **action: Any):
    action = Action(**{"what": "warmed", "cause": CAUSE, **action})
    found = judge_action(action, aim, before, now, comparison, ["p95"], {"scenario": "users"})
    told = [str(outcome_text(Messages(lang), found)) for lang in LANGUAGES] if "text_key" in found else []
    assert all(told), "every outcome can be said in every language"
    return found


@pytest.mark.parametrize(("verdict", "outcome"), [("better", "worked"), ("same", "cause_gone"),
                                                  ("worse", "made_worse"), ("cannot_tell", "cannot_tell")])  # fmt: skip
def test_a_cause_that_is_gone(verdict: str, outcome: str) -> None:
    found = judged(seen(), compared(row(verdict)))
    assert (found["outcome"], found["rows"]) == (outcome, [row(verdict)])


@pytest.mark.parametrize(
    ("load", "verdict", "outcome"),
    [(500, "better", "partly"), (750, "better", "partly"), (500, "same", "did_not_work"), (750, "same", "did_not_work"),
     (500, "cannot_tell", "did_not_work"), (250, "cannot_tell", "did_not_work"), (750, "cannot_tell", "cannot_tell"),
     (500, "worse", "made_worse")],
)  # fmt: skip
def test_a_cause_that_is_found_again(load: float, verdict: str, outcome: str) -> None:
    assert judged(seen(record(finding(load=load))), compared(row(verdict)))["outcome"] == outcome


@pytest.mark.parametrize("load", [500, 750])
def test_better_and_worse_numbers_decide_nothing_and_are_not_called_no_gain(load: float) -> None:
    found = judged(seen(record(finding(load=load))), compared(row("better", "ceiling", None), row("worse")))
    assert (found["outcome"], found["text_key"]) == ("cannot_tell", "outcome.mixed_again")
    assert "some numbers are better and others worse" in str(outcome_text(Messages(), found))


def test_what_got_better_elsewhere_proves_nothing() -> None:
    elsewhere = [row("better", api="item"), row("better", what="p95"), row("better", step="api", subject="mix"),
                 row("better", load=250)]  # fmt: skip
    found = judged(seen(), compared(*elsewhere))
    assert (found["outcome"], found["rows"]) == ("cannot_tell", [])
    assert judged(seen(record(finding())), compared(*elsewhere))["outcome"] == "did_not_work"


def test_a_weak_suspicion_is_not_the_cause_unless_it_is_all_there_is() -> None:
    weak = finding(strength="weak")
    assert judged(seen(record(finding(OTHER), weak)), compared(row("better")))["outcome"] == "worked"
    assert judged(seen(record(weak)), compared(row("better")))["outcome"] == "partly"


def test_what_limits_now_is_said_where_the_numbers_stay() -> None:
    found = judged(seen(record(finding(OTHER))), compared(row("same")))
    assert f"What limits now: {Messages()(f'cause.{OTHER}.name')}." in str(outcome_text(Messages(), found))
    assert found["values"]["following"]["values"]["cause"] == cause_name(OTHER)
    assert judged(seen(), compared(row("same")))["values"]["following"]["key"] == "outcome.nothing_limits"
    unknown = judged(seen(record()), compared(row("same")))
    assert unknown["values"]["following"]["key"] == "outcome.limit_unknown"


def gone_but(key: str, now: Seen | None, **given: Any) -> None:
    found = judged(now, compared(row("better")), **given)
    assert (found["outcome"], found["text_key"]) == ("cannot_tell", f"outcome.{key}")


def test_a_cause_is_gone_only_where_as_much_was_loaded_and_measured() -> None:
    gone_but("not_so_far", seen(record(highest=499, kind=None)))
    gone_but("not_measured", seen(series=()))
    gone_but("other_workload", seen(record(kind=None, unit="rps")))
    gone_but("not_run", None)
    gone_but("not_run", Seen(2, []))
    assert judged(seen(series=()), compared(row("better")), before=Seen(1, BEFORE.records))["outcome"] == "worked"


@pytest.mark.parametrize("load", [None, 50])
def test_a_plan_that_names_no_load_or_less_does_not_make_a_cause_gone_below_where_it_was_found(load) -> None:
    """The cause was found at 500 users; this cycle went to 100."""
    aim = JudgedBy(subject="mix", step="scenario", load=load)
    gone_but("not_so_far", seen(record(highest=100, kind=None)), aim=aim)
    assert judged(seen(), None, aim)["text_key"] == "outcome.worked_alone"
    slow = aim.model_copy(update={"quantity": "response_time"})
    assert judged(seen(), compared(row("better", "p95", 250)), slow)["rows"] == [], "below it nothing limited"
    leak = record(finding("memory_leak", group="endurance", load=0))
    assert judged(seen(), None, aim, seen(leak, cycle=1), cause="memory_leak")["outcome"] == "worked"


def test_what_was_not_there_before_cannot_go() -> None:
    gone_but("not_found", seen(), before=seen(cycle=1))
    gone_but("not_found", seen(), aim=None)
    gone_but("no_earlier", seen(), before=None)
    now = seen(record(finding(load=250)))
    assert judged(now, None, before=seen(cycle=1))["text_key"] == "outcome.found_now"
    assert judged(now, None, aim=None)["outcome"] == "did_not_work"


def test_one_run_of_several_decides_nothing() -> None:
    runs = [record(finding()), record(kind=None), record(kind=None)]
    gone_but("some_runs", seen(*runs))
    assert judged(seen(*runs[:2]), compared(row("better")))["outcome"] == "partly"


def test_causes_of_the_test_itself_and_drifts_are_judged_alone() -> None:
    aim = AIM.model_copy(update={"quantity": None})
    assert judged(seen(), None, aim=aim)["text_key"] == "outcome.worked_alone"
    assert judged(seen(record(finding())), None, aim=aim)["outcome"] == "did_not_work"
    leak = finding("memory_leak", group="endurance")
    before = seen(record(leak), cycle=1, held_s=600)
    for held_s, key in ((600, "worked_alone"), (300, "too_short")):
        assert judged(seen(held_s=held_s), None, aim, before, cause="memory_leak")["text_key"] == f"outcome.{key}"


@pytest.mark.parametrize(
    ("group", "kind", "quantity"),
    [("balancer", "throughput", "throughput"), ("application", "response_time", "response_time"),
     ("host", "errors", "errors"), ("generator", "throughput", None), ("endurance", None, None), ("host", None, None)],
)  # fmt: skip
def test_the_aim_of_a_finding(group: str, kind: str | None, quantity: str | None) -> None:
    aim = aim_of(record(kind=kind), finding(group=group), "scenario", "mix", 3)
    assert aim == JudgedBy(subject="mix", step="scenario", quantity=quantity, load=500, cycle=3)
    assert aim_of(record(), finding(load=0), "api", "a", 1).load is None


def test_throughput_is_read_at_the_highest_load_and_response_time_where_it_broke() -> None:
    table = compared(*[row("same", what, load) for what in ("throughput", "p95", "error_ratio") for load in (500, 750)])
    loads = {q: [(r["what"], r["load"]) for r in telling_rows(table, AIM.model_copy(update={"quantity": q}), ["p95"])]
             for q in ("throughput", "response_time", "errors", None)}  # fmt: skip
    assert loads == {
        "throughput": [("throughput", 750)], "response_time": [("p95", 500)], "errors": [("error_ratio", 500)],
        None: [("throughput", 750), ("p95", 500), ("error_ratio", 500)],
    }  # fmt: skip
    without = [r["load"] for r in telling_rows(table, JudgedBy(subject="mix"), [])]
    assert without == [750, 750, 750]


def test_the_quantile_with_a_target_counts_and_a_ceiling_where_it_says_something() -> None:
    slow = AIM.model_copy(update={"quantity": "response_time"})
    table = compared(row("same", "p95"), row("better", "p99"))
    assert [r["what"] for r in telling_rows(table, slow, ["p90", "p99"])] == ["p99"]
    assert [r["what"] for r in telling_rows(table, slow, [])] == ["p95"]
    for verdict, shown in (("better", ["ceiling", "throughput"]), ("cannot_tell", ["throughput"])):
        rows = telling_rows(compared(row(verdict, "ceiling", None), row("same")), AIM, [])
        assert [r["what"] for r in rows] == shown
    assert [r["what"] for r in telling_rows(compared(row("cannot_tell", "ceiling", None)), AIM, [])] == ["ceiling"]
    assert telling_rows({"refused": {"key": "x"}, "rows": [], "details": []}, AIM, []) == []


def test_an_api_is_found_in_its_own_run_before_a_mix() -> None:
    table = compared(row("same", api="item"), row("better", step="api", subject="item", api="item"))
    assert [r["verdict"] for r in telling_rows(table, JudgedBy(subject="item", quantity="throughput"), [])] == [
        "better"
    ]
    mixed = JudgedBy(subject="item", step="scenario", quantity="throughput")
    assert [r["verdict"] for r in telling_rows(table, mixed, [])] == ["same"]


@pytest.mark.parametrize(("verdicts", "outcome"), [
    (["better", "cannot_tell"], "worked"), (["same", "same"], "did_not_work"), (["worse"], "made_worse"),
    (["better", "worse"], "cannot_tell"), (["same", "cannot_tell"], "cannot_tell"), ([], "cannot_tell"),
])  # fmt: skip
def test_an_action_of_ones_own_is_judged_by_what_it_names(verdicts: list[str], outcome: str) -> None:
    table = compared(*[row(v, what) for v, what in zip(verdicts, ("throughput", "p95"), strict=False)])
    assert judged(seen(), table, JudgedBy(subject="mix"), cause=None)["outcome"] == outcome


def test_an_action_that_names_nothing_says_so_and_one_not_done_what_will_show_it() -> None:
    assert judged(seen(), compared(row("better")), None, cause=None)["text_key"] == "outcome.no_aim"
    waiting = judged(seen(), compared(row("better")), done=False, verify="no 429")
    assert (waiting["outcome"], str(outcome_text(Messages(), waiting))) == ("open", "no 429")
    assert judged(seen(), None, done=False) == {"outcome": "open", "rows": []}


def test_ceilings_that_came_or_went_are_said() -> None:
    none = number(None)
    for before, after, key in (
        (number(5, unit="rps"), none, "ceiling_gone"),
        (none, number(5, unit="rps"), "ceiling_new"),
    ):
        found = judged(seen(), compared(row("better", "ceiling", None, before=before, after=after)))
        assert found["values"]["changes"][0]["key"] == f"outcome.{key}"


@given(
    st.lists(st.tuples(st.sampled_from(VERDICTS), st.sampled_from(("throughput", "p95", "error_ratio"))), max_size=4),
    st.booleans(), st.sampled_from((250.0, 500.0, 750.0)), st.sampled_from((None, "throughput", "response_time")),
)  # fmt: skip
def test_no_action_works_whose_cause_is_found_again_or_whose_rows_are_worse(rows, again, load, quantity) -> None:
    table = compared(*[row(verdict, what, load + i) for i, (verdict, what) in enumerate(rows)])
    now = seen(record(finding())) if again else seen()
    found = judged(now, table, AIM.model_copy(update={"quantity": quantity}))
    if found["outcome"] == "worked":
        assert not again
        assert "worse" not in {r["verdict"] for r in found["rows"]}
        assert quantity is None or verdict_of_rows(found["rows"]) == "better"
    if found["outcome"] in ("partly", "made_worse", "cause_gone"):
        assert found["rows"], "what is said of numbers has numbers"
