"""A cycle read as a whole: levels against a naive count, which run shows the limit, which cycle is the newest."""

import dataclasses
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from genkai import histogram, schema
from genkai.plan import STEPS
from genkai.study import Study, StudyError, find_cycle, read_study
from genkai.workspace import Cycle, WorkspaceError
from sample_cycles import SAMPLE, copy_sample, naive_level, own_cycle


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(Cycle(SAMPLE))


def test_runs_come_in_the_order_of_the_steps(study: Study) -> None:
    order = [(STEPS.index(r.step), r.run.name) for r in study.runs]
    assert order == sorted(order)
    assert {r.run.name for r in study.runs} == {p.name for p in (SAMPLE / "runs").iterdir()}
    assert [r.subject for r in study.of("verify")] == ["health"]
    assert study.of("endurance") == []


def test_levels_are_what_a_naive_count_gives(study: Study) -> None:
    for run in study.runs:
        assert list(run.whole["intended"]) == [m["intended"] for m in run.marks]
        for row in run.whole.to_dict("records"):
            naive = naive_level(run, row)
            assert row["sent_rps"] == pytest.approx(naive["sent_rps"])
            assert row["error_ratio"] == pytest.approx(naive["error_ratio"])
            assert row["p95_s"] == pytest.approx(naive["p95_s"], rel=2e-3)
            # Throughput counts by the second of the response: the same but for what crosses the window's ends.
            assert row["throughput_rps"] == pytest.approx(naive["completed_rps"], rel=0.02)


def test_seconds_hold_every_request_once(study: Study) -> None:
    run = study.main("scenario")
    whole = run.seconds[run.seconds["api"] == "(all)"]
    assert whole["sent_rps"].sum() == run.requests["sent"].sum()
    apis = run.seconds[run.seconds["api"] != "(all)"]
    assert apis["sent_rps"].sum() == run.requests["sent"].sum()
    assert (whole["time"].iloc[0], len(whole)) == (run.requests["time"].min(), whole["time"].nunique())


def test_of_repetitions_figures_show_the_one_in_the_middle(tmp_path: Path) -> None:
    cycle = own_cycle(tmp_path, edit=lambda plan: plan["steps"]["api"].update(repeat=3))
    for n, dropped in ((2, 0.5), (3, 0.25)):
        place = cycle.run("api", "item", repetition=n).path
        shutil.copytree(cycle.run("api", "item").path, place)
        table = pd.read_parquet(place / "requests.parquet")
        fewer = table.assign(completed=(table["completed"] * (1 - dropped)).astype(int), sent=table["sent"])
        schema.write_table(fewer, "requests", place / "requests.parquet")
    study = read_study(cycle)
    assert [r.run.repetition for r in study.of("api") if r.subject == "item"] == [1, 2, 3]
    assert [(r.subject, r.run.repetition) for r in study.shown("api")] == [("item", 3), ("order", 1), ("search", 1)]
    assert study.main("api") in study.shown("api")
    planned = study.plan.runs_of("api")
    assert planned[:4] == [("search", None, 1), ("item", None, 1), ("order", None, 1), ("search", None, 2)]
    assert len(planned) == 9


def test_window_and_intervals(study: Study) -> None:
    run = study.main("scenario")
    assert run.window == (run.marks[0]["start"], run.marks[-1]["end"])
    assert len(run.intervals) == run.levels["window_start"].notna().sum()
    for interval, value in zip(run.intervals.values(), run.levels["throughput_rps"], strict=True):
        record = interval["throughput_rps"]
        assert record["low"] <= record["value"] <= record["high"]
        assert record["value"] == pytest.approx(value)


def test_the_main_run_is_the_scenario_else_the_one_with_most_throughput(study: Study) -> None:
    assert study.main().step == "scenario"
    apis = study.of("api")
    assert study.main("api") is max(apis, key=lambda r: r.whole["throughput_rps"].max())
    assert dataclasses.replace(study, runs=tuple(apis)).main() is study.main("api")


def test_an_api_that_misses_its_target_goes_before_one_that_carries_more(study: Study) -> None:
    """Page 1 would else show the API that passed, and say that no limit was found."""
    apis = study.of("api")
    least = min(apis, key=lambda r: r.whole["throughput_rps"].max())
    rows = [a.model_copy(update={"share": 0.9}) if a.name == least.subject else a for a in study.plan.apis]
    others = [a.model_copy(update={"share": 0.01}) if a.share != 0.9 else a for a in rows]
    greedy = dataclasses.replace(study, plan=study.plan.model_copy(update={"apis": others}))
    assert greedy.main("api") is least


def test_a_run_cut_short_never_hides_one_that_was_measured(study: Study) -> None:
    """Its throughput is unknown, and nothing is larger than that."""
    apis = study.of("api")
    short = dataclasses.replace(apis[0], requests=apis[0].requests.iloc[:0])
    assert short.whole["throughput_rps"].isna().all()
    others = dataclasses.replace(study, runs=(short, *apis[1:]))
    assert others.main("api") is max(apis[1:], key=lambda r: r.whole["throughput_rps"].max())
    alone = dataclasses.replace(study, runs=(short,))
    assert alone.main() is short


def test_targets(study: Study) -> None:
    estimate = study.plan.estimate
    whole = estimate.users_per_day.value * estimate.accesses_per_user.value / 86_400
    whole *= estimate.peak_factor.value * estimate.safety_factor.value
    assert study.target_rps == pytest.approx(whole)
    for run in study.of("api"):
        assert study.target_of(run) == pytest.approx(whole * study.plan.api_named(run.subject).share)
    assert study.target_of(study.main("scenario")) == study.target_rps
    assert study.target_of(study.main("verify")) == study.target_rps, "no share: the whole"


def test_the_ceiling_is_the_one_of_verify(study: Study) -> None:
    assert study.ceiling == json.loads((SAMPLE / "runs/1-verify-health/ceiling.json").read_text())
    assert dataclasses.replace(study, runs=tuple(study.of("api"))).ceiling is None


def test_a_cycle_of_no_runs_says_what_to_run(tmp_path: Path) -> None:
    empty = read_study(own_cycle(tmp_path, runs=False))
    assert empty.runs == ()
    assert empty.ceiling is None
    with pytest.raises(StudyError, match=r"demo/01: expected a run, got none; run notebook 20_launch first"):
        empty.main()
    with pytest.raises(StudyError, match="expected a run of step api, got none"):
        empty.main("api")


def test_a_killed_run_is_read_to_its_last_whole_line(tmp_path: Path) -> None:
    """Journals only, and the last line cut: what was flushed before counts."""
    cycle = own_cycle(tmp_path, runs=False)
    run = cycle.run("api", "search")
    (run.path / "journal").mkdir(parents=True)
    run.write_record(state="running", step="api", subject="search")
    counts = [5, 7, 6, 8]
    start = 1_800_000_000
    made = histogram.new_histogram()
    histogram.record_seconds(made, 0.02)
    text = histogram.encode(made).decode()
    lines = [
        {"t": start + i, "api": "search", "sent": n, "completed": n, "failed": 0, "dropped": 0, "bytes": 10 * n,
         "hist": text, "hist_service": None}
        for i, n in enumerate(counts)
    ]  # fmt: skip
    whole = "".join(json.dumps(line) + "\n" for line in lines)
    run.journal("requests", "local").write_text(whole[:-20])
    events = [{"event": "start", "level": 0, "time": float(start), "workload": "open", "intended": 6.0},
              {"event": "hold", "level": 0, "time": float(start), "workload": "open", "intended": 6.0}]  # fmt: skip
    run.journal("levels").write_text("".join(json.dumps(e) + "\n" for e in events))
    found = read_study(cycle).main("api")
    assert list(found.requests["sent"]) == counts[:-1]
    assert found.window == (start, start + 3)
    assert list(found.whole["intended"]) == [6.0]


def test_find_cycle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=r"data/cycles: expected a cycle, got none; start one with: genkai cycle PLAN"):
        find_cycle()
    copy_sample(tmp_path)
    assert find_cycle().recorded, "the sample, while there is nothing else"
    older = own_cycle(tmp_path, 1, created="2026-01-01T00:00:00+00:00")
    newer = own_cycle(tmp_path, 2, created="2026-02-01T00:00:00+00:00")
    assert find_cycle().path.resolve() == newer.path.resolve()
    assert find_cycle(older.path) == older
    assert find_cycle(str(tmp_path / "data/sample")).recorded
    with pytest.raises(WorkspaceError, match="expected the folder of a cycle"):
        find_cycle(tmp_path / "data")


def test_of_cycles_begun_in_the_same_second_the_last_is_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2, 3):
        own_cycle(tmp_path, number, created="2026-01-01T00:00:00+00:00")
    assert find_cycle().number == 3


def test_reading_the_sample_writes_nothing() -> None:
    before = {p: p.stat().st_mtime_ns for p in SAMPLE.rglob("*")}
    found = read_study(Cycle(SAMPLE))
    assert found.cycle.recorded
    assert all(len(r.metrics) for r in found.runs)
    assert {p: p.stat().st_mtime_ns for p in SAMPLE.rglob("*")} == before
