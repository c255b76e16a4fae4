"""The cycles of a plan in a row: what is read of each, what they have in common, where the level changes."""

from pathlib import Path

import pytest

from genkai.analyse.records import number
from genkai.analyse.resample import interval_key
from genkai.study import read_study
from genkai.study.history import NAME, earlier_cycles, history_of, read_summary, series_of, summary_of
from genkai.workspace import Cycle
from sample_cycles import SAMPLE, own_cycle

LIMITS = (500.0, 507.0, 495.0, 940.0, 955.0, 948.0)


def test_a_cycle_without_a_report_is_not_earlier(tmp_path: Path) -> None:
    first, second = (own_cycle(tmp_path, n, runs=False, results=False) for n in (1, 2))
    assert earlier_cycles(second) == []
    first.write_result("verdicts", {})
    assert (earlier_cycles(second), earlier_cycles(first)) == ([first], [])


def past(place: Path, limit: float, number_: int, users: tuple[int, ...] = (100, 500), **edit: object) -> Cycle:
    """A reported cycle of which only the results are left."""
    cycle = own_cycle(place, number_, runs=False, edit=lambda plan: plan.update(edit))
    levels = [
        {"workload": "closed", "intended": float(n), "throughput_rps": min(n, limit), "p95_s": 20 / limit}
        for n in users
    ]
    cycle.write_result(NAME, {
        "number": number_, "created": None, "status": "pass" if limit > 729 else "fail", "target_rps": 729.0,
        "actions": ["warmed"] if number_ == 4 else [], "step": "scenario", "subject": "shopping",
        "limit": number(limit, limit - 8, limit + 8, unit="rps"), "levels": levels,
    })  # fmt: skip
    cycle.write_result("verdicts", {"overall": {"status": "fail"}})
    return cycle


def test_the_summary_of_a_cycle_is_its_main_run(tmp_path: Path) -> None:
    study = read_study(own_cycle(tmp_path))
    summary = summary_of(study, "fail")
    run = study.main()
    assert (summary["step"], summary["subject"], summary["status"]) == ("scenario", "shopping", "fail")
    assert summary["limit"]["low"] <= 520 * 1.03
    assert [level["intended"] for level in summary["levels"]] == list(run.whole["intended"])
    assert summary["levels"][0]["p95_s"] == pytest.approx(run.whole["p95_s"].iloc[0])


def test_every_point_has_its_interval_where_the_data_gives_one(tmp_path: Path) -> None:
    run = read_study(own_cycle(tmp_path)).main()
    level = run.whole.iloc[-1]
    known = run.intervals[interval_key(int(level["level"]), run.subject)]
    old = past(tmp_path, 500.0, 2, users=tuple(int(n) for n in run.whole["intended"]))
    series = {one["what"]: one for one in history_of([Cycle(tmp_path / "data/cycles/demo/01"), old])["series"]}
    for what, column in (("throughput", "throughput_rps"), ("p95", "p95_s")):
        new, before = series[what]["points"]
        assert (new["value"], new["low"], new["high"]) == (level[column], known[column]["low"], known[column]["high"])
        assert new["low"] < new["value"] < new["high"]
        assert (before["low"], before["high"]) == (None, None), "what an earlier version wrote has none"


def test_a_cycle_without_runs_has_a_summary_too(tmp_path: Path) -> None:
    summary = summary_of(read_study(own_cycle(tmp_path, runs=False)))
    assert (summary["limit"], summary["levels"]) == (None, [])
    assert series_of([summary]) == []


def test_what_the_report_wrote_is_read_and_otherwise_made_anew(tmp_path: Path) -> None:
    written = past(tmp_path, 500.0, 1)
    assert read_summary(written)["limit"]["value"] == 500
    written.result(f"{NAME}.json").unlink()
    assert read_summary(written)["limit"] is None, "nothing was left to read it from"


def test_levels_that_change_are_found_in_limit_and_response_time(tmp_path: Path) -> None:
    found = [past(tmp_path, limit, n, hosts=[{"name": f"h{n // 4}"}]) for n, limit in enumerate(LIMITS, 1)]
    record = history_of(found)
    assert [row["number"] for row in record["cycles"]] == [1, 2, 3, 4, 5, 6]
    assert record["cycles"][3]["actions"] == ["warmed"]
    assert [bool(row["changes"]) for row in record["cycles"]] == [False, False, False, True, False, False]
    series = {one["what"]: one for one in record["series"]}
    (change,) = series["limit"]["changes"]
    assert (change["number"], change["before"]["unit"]) == (4, "rps")
    assert change["change"]["value"] == pytest.approx(sum(LIMITS[3:]) / sum(LIMITS[:3]) - 1)
    assert series["p95"]["changes"][0]["number"] == 4
    assert series["p95"]["load"] == {"value": 500.0, "unit": "users"}
    assert series["throughput"]["changes"] == [], "500 users get what they ask for"


def test_a_load_that_not_all_cycles_had_is_not_compared(tmp_path: Path) -> None:
    found = [past(tmp_path, limit, n, users=(100, 100 + n)) for n, limit in enumerate(LIMITS, 1)]
    assert {s["load"]["value"] for s in history_of(found)["series"] if s["load"]} == {100.0}


def test_earlier_cycles_are_those_that_were_reported(tmp_path: Path) -> None:
    found = [past(tmp_path, limit, n) for n, limit in enumerate(LIMITS[:3], 1)]
    found[1].result("verdicts.json").unlink()
    assert [c.number for c in earlier_cycles(found[2])] == [1]
    assert earlier_cycles(found[0]) == earlier_cycles(Cycle(SAMPLE)) == []
