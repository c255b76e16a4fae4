"""What was made of a study is kept as long as nothing of it has changed."""

import json
from pathlib import Path

import pytest

from genkai.pages.scale import Scale
from genkai.study import read_study, reading
from genkai.study.kept import kept
from genkai.study.results import findings_of, fit_run
from genkai.workspace import Cycle
from sample_cycles import SAMPLE, own_cycle


@pytest.fixture
def cycle(tmp_path: Path) -> Cycle:
    return own_cycle(tmp_path)


def test_a_function_of_a_study_is_computed_once_for_its_arguments(cycle: Cycle) -> None:
    calls = []

    @kept
    def add(study: object, *numbers: int, times: int = 1) -> int:
        calls.append(numbers)
        return sum(numbers) * times

    study, other = read_study(cycle), read_study(Cycle(SAMPLE))
    assert [add(study, 1, 2), add(study, 1, 2), add(study, 1, 2, times=2), add(other, 1, 2)] == [3, 3, 6, 3]
    assert len(calls) == 3


def test_nothing_is_read_or_computed_again_while_nothing_has_changed(cycle: Cycle) -> None:
    before = read_study(cycle)
    run, fit = before.main(), fit_run(before, before.main())
    intervals = run.intervals
    again = read_study(Cycle(cycle.path))
    assert again is before
    assert again.main().intervals is intervals
    assert fit_run(again, again.main()) is fit
    assert Scale(again).figure() is Scale(before).figure()
    assert Scale(again).figure("ja") is not Scale(before).figure("en")


def test_a_run_that_changed_is_read_again_and_the_others_are_kept(cycle: Cycle) -> None:
    before = read_study(cycle)
    found = findings_of(before, before.main())
    changed = before.main("api").run
    changed.write_record(size=2)
    after = read_study(cycle)
    assert after is not before
    assert after.main("api").record["size"] == 2
    assert after.main() is before.main()
    assert findings_of(after, after.main()) is not found, "a study is judged as a whole"
    assert json.dumps(findings_of(after, after.main())) == json.dumps(found)


def test_a_plan_that_changed_is_judged_anew(cycle: Cycle) -> None:
    before = read_study(cycle)
    plan = cycle.path / "plan.yaml"
    plan.write_text(plan.read_text().replace("p95_ms: 200", "p95_ms: 150"))
    assert "p95_ms: 150" in plan.read_text()
    after = read_study(cycle)
    assert after is not before
    assert after.plan.targets.p95_ms == 150
    assert after.runs == before.runs
    assert after.kept == {}


def test_two_cycles_are_kept_and_large_ones_are_not(
    cycle: Cycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = [own_cycle(tmp_path, number) for number in (2, 3)]
    first = read_study(cycle)
    last = [read_study(copy) for copy in copies]
    assert [read_study(copy) for copy in copies] == last
    assert [read_study(copy) is study for copy, study in zip(copies, last, strict=True)] == [True, True]
    assert read_study(cycle) is not first
    monkeypatch.setattr(reading, "BYTES_KEPT", 1000)
    assert read_study(cycle) is not read_study(cycle)
