"""A profiling run: its levels, its refusals, and a real one on the demo that no measurement takes in."""

import json
import shutil
from pathlib import Path

import pytest

from genkai import profiling
from genkai.demo.settings import AppSettings
from genkai.demo.world import DemoWorld
from genkai.figures import short_name
from genkai.pages.profile import Profile, profile_text, take_profile
from genkai.plan import Plan
from genkai.planfile import read_plan
from genkai.profiling import (
    PROFILES,
    ProfileError,
    choose_levels,
    find_processes,
    languages,
    new_folder,
    plan_phases,
    run_profile,
)
from genkai.schema import read_table
from genkai.steps import step_status
from genkai.study import StudyError, read_study
from genkai.workspace import Run, new_cycle, read_json

TEXT = """
name: shop
purposes: [responsiveness]
targets: {throughput_rps: 100, p95_ms: 500}
base_url: URL
apis: [{name: search, path: "/items?q=blue"}]
scenarios: [{name: mix, calls: [{api: search, think_time_s: 0.05}]}]
hosts: [{name: local, role: generator, profile: [MARK]}]
steps:
  scenario: {levels: [{users: 1, hold_s: 5}, {users: 4, hold_s: 5}, {users: 8, hold_s: 5}]}
"""


def plan_file(folder: Path, url: str = "http://127.0.0.1:1", mark: str = "genkai.demo.app") -> Path:
    path = folder / "shop.yaml"
    path.write_text(TEXT.replace("URL", url).replace("MARK", mark))
    return path


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return read_plan(plan_file(tmp_path))


def test_levels_are_the_plans_or_a_rate_and_a_quarter_of_it(plan: Plan) -> None:
    users = {n: level.users for n, level in choose_levels(plan, "scenario").items()}
    assert users == {"low": 1, "limit": 8}
    assert [v.users for v in choose_levels(plan, "scenario", 2, 0).values()] == [4]
    assert list(choose_levels(plan, "scenario", 1, 1)) == ["limit"], "a level is not compared with itself"
    rates = {n: level.arrival_rate_rps for n, level in choose_levels(plan, "scenario", rate=40).items()}
    assert rates == {"low": 10, "limit": 40}


def test_each_level_settles_then_is_watched_without_and_with_the_profiler(plan: Plan) -> None:
    low, limit = plan_phases(choose_levels(plan, "scenario"), 60)
    assert low.begin - low.without == 15
    assert limit.without - (low.level.ramp_s + low.level.hold_s) == low.without
    assert limit.level.hold_s >= limit.begin - limit.without + 60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": "endurance"}, "expected a step of the plan, got 'endurance'"),
        ({"level": 4}, r"--level: expected 1 to 3 \(levels of step scenario\), got 4"),
        ({"against": 9}, r"--against: expected 0 to 3 .* got 9"),
        ({"seconds": 1}, "--seconds: expected 3 or more, got 1"),
        ({"api": "nothing"}, "--api: expected one of mix in step scenario, got 'nothing'"),
        ({"host": "elsewhere"}, r"--host: expected a host of the plan \(local\), got 'elsewhere'"),
    ],
)
def test_what_cannot_be_profiled_is_refused_before_any_load(options: dict, message: str, tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProfileError, match=message):
        run_profile(plan_file(tmp_path), **options)
    assert not PROFILES.exists()


def test_a_plan_that_names_no_process_is_refused(tmp_path: Path) -> None:
    path = plan_file(tmp_path)
    path.write_text(path.read_text().replace(", profile: [genkai.demo.app]", ""))
    with pytest.raises(
        ProfileError, match=r"expected hosts that name processes to profile, got none; .*hosts\[\]\.profile"
    ):
        find_processes(read_plan(path))


def test_an_unknown_language_is_refused() -> None:
    assert languages("both") == ("en", "ja")
    with pytest.raises(ProfileError, match="--lang: expected en, ja, both, got 'fr'"):
        languages("fr")


def test_a_level_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="expected a number as in the table of levels, or nothing, got 'last'"):
        take_profile(str(plan_file(tmp_path)), level="last")


def test_folders_are_numbered(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [new_folder(plan).name for _ in range(2)] == ["01", "02"]


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(project, folder of the profile) of a real run on an instance that serves one request at a time."""
    project = tmp_path_factory.mktemp("project")
    patch = pytest.MonkeyPatch()
    for name, value in {"RAMP_S": 0.5, "SETTLE_S": 0.5, "QUIET_S": 2.0, "SLACK_S": 3.0}.items():
        patch.setattr(profiling, name, value)
    patch.chdir(project)
    try:
        with DemoWorld(instances=1, capacity_rps=0, aws=False, app=AppSettings(cpu_ms=10, io_ms=0)) as world:
            (pid,) = world.instance_pids.values()
            record = run_profile(
                plan_file(project, world.base_url, f"--instance-id {world.instance_ids[0]}"), seconds=3
            )
            assert [p["name"] for p in record["processes"]] == [f"local:{pid}"]
    finally:
        patch.undo()
    return project, project / record["folder"]


def test_the_handler_of_the_demo_is_what_computes(profiled: tuple[Path, Path]) -> None:
    folder = profiled[1]
    record, stacks = read_json(folder / "profile.json"), read_table(folder / "stacks.parquet", "stacks")
    hottest = next(f for f in record["functions"] if f["state"] == "cpu")
    assert short_name(hottest["function"]) == "spin (shop.py)"
    assert hottest["self"]["low"] > 0.5
    assert any("Shop.search (genkai/demo/shop.py)" in s for s in stacks["stack"])
    assert set(stacks["phase"]) == {"low", "limit"}
    limit = record["phases"]["limit"]
    assert limit["with"]["throughput_rps"]["value"] > 0
    assert limit["throughput_ratio"]["value"] > 0
    assert limit["cores_counted"] > 0.5 * 0.010 * limit["with"]["throughput_rps"]["value"], "10 ms for each request"
    folded = (folder / "limit.cpu.folded").read_text().splitlines()
    assert all(line.startswith("local:") and line.rsplit(" ", 1)[1].isdigit() for line in folded)


def test_it_is_told_in_both_languages(profiled: tuple[Path, Path]) -> None:
    profile = Profile(profiled[1])
    for lang, word in (("en", "Functions by the time"), ("ja", "計算時間の長い関数")):
        text = profile_text(profile, lang)
        assert word in text
        assert "spin (shop.py)" in text
        for shown in (profile.answer, profile.about, profile.kinds):
            assert shown(lang).to_html()
    assert profile.flame("ja").png


def test_no_measurement_ever_takes_it_in(profiled: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when its run is put among those of a cycle: no verdict, no study, no fit, no finished step."""
    project, folder = profiled
    monkeypatch.chdir(project)
    (source,) = (folder / "runs").iterdir()
    assert read_json(source / "run.json")["state"] == "finished"
    cycle = new_cycle(project / "data/cycles", project / "shop.yaml")
    assert folder.parent.parent == project / PROFILES, "outside every cycle"
    shutil.copytree(source, cycle.run("scenario", "mix").path)
    assert cycle.runs() == []
    assert not cycle.run("scenario", "mix").finished, "the step is still to be measured"
    study = read_study(cycle)
    assert study.runs == ()
    with pytest.raises(StudyError, match="expected a run, got none"):
        study.main()
    assert step_status(cycle, "scenario") is None
    record = Run(source).record()
    record.pop("profiling")  # the mark is what keeps it out
    (cycle.run("scenario", "mix").path / "run.json").write_text(json.dumps(record))
    assert [r.name for r in cycle.runs()] == ["3-scenario-mix"]
