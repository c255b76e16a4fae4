"""A real step at two sizes of a real target: killed in the second one, restored, resumed, and the truth recovered."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from genkai.demo.publish import read_json
from genkai.demo.settings import AppSettings
from genkai.demo.world import DemoWorld
from genkai.resizing import WATCH_LOG, left_behind
from genkai.steps import run_step
from genkai.study import Study, read_study
from genkai.study.results import fit_run
from genkai.workspace import Cycle, new_cycle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SLOTS, SERVICE_S = 4, 0.04
PLAN = """\
name: sized
purposes: [scalability, scale_characteristics]
targets: {{throughput_rps: 150, p95_ms: 500}}
base_url: {base_url}
apis: [{{name: item, path: /items/7}}]
scenarios: [{{name: browse, calls: [{{api: item, think_time_s: 0}}]}}]
hosts: [{{name: local, role: generator}}]
aws: {{load_balancer: genkai-demo, period_s: 1, endpoints: {endpoints}}}
scaling:
  group: genkai-demo-group
  base: 1
  wait_s: 20
  ready_url: "{control}/__ready?instances={{size}}"
  price_per_hour: 0.05
steps:
  scenario:
    sizes: [1, 2]
    levels:
      - {{users: 2, ramp_s: 0, hold_s: 2.5}}
      - {{users: 6, ramp_s: 0, hold_s: 2.5}}
      - {{users: 16, ramp_s: 0, hold_s: 2.5}}
      - {{users: 32, ramp_s: 0, hold_s: 2.5}}
"""
STEP = """
import sys
from pathlib import Path
from genkai.steps import run_step
from genkai.workspace import Cycle
run_step(Cycle(Path(sys.argv[1])), "scenario", keep_going=True)
"""


@pytest.fixture(scope="module")
def sized_world() -> Iterator[DemoWorld]:
    app = AppSettings(slots=SLOTS, io_ms=1000 * SERVICE_S, io_spread=0)
    with DemoWorld(instances=1, capacity_rps=0, app=app, publish_period_s=1, follow_s=0.3) as running:
        yield running


@pytest.fixture(scope="module")
def study(sized_world: DemoWorld, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Killed with -9 while the second size is under load, then resumed."""
    place = tmp_path_factory.mktemp("sized")
    plan = place / "sized.yaml"
    plan.write_text(PLAN.format(base_url=sized_world.base_url, endpoints=json.dumps(sized_world.aws_endpoints),
                                control=sized_world.control_url))  # fmt: skip
    cycle = new_cycle(place / "data/cycles", plan)
    victim = subprocess.Popen([sys.executable, "-c", STEP, str(cycle.path)], stdout=subprocess.DEVNULL)
    journal = cycle.run("scenario", "browse", 2).journal("requests", "local")
    _wait_for(lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 2, 60)
    family = [victim, *psutil.Process(victim.pid).children(recursive=True)]
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    _wait_for(lambda: not [p for p in family[1:] if p.is_running() and p.status() != psutil.STATUS_ZOMBIE], 30)
    assert left_behind(place / "data/cycles") == [], "the watch, one of the family, has restored it"
    assert "size 1 restored" in (cycle.path / WATCH_LOG).read_text()
    _wait_for(lambda: len(sized_world.instance_ids) == 1, 10)
    begun = cycle.run("scenario", "browse").record()["start"]
    found = run_step(cycle, "scenario", keep_going=True)
    assert cycle.run("scenario", "browse").record()["start"] == begun, "what was measured is not run again"
    return found


def _wait_for(condition, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)


def test_runs_of_several_sizes_are_kept_apart(study: Study) -> None:
    assert [(r.run.name, r.size) for r in study.runs] == [("3-scenario-browse", 1)]
    assert [(r.run.name, r.size) for r in study.resized] == [("3-scenario-browse@2", 2)]
    assert (study.resized[0].run.path / "previous-1").is_dir(), "the first attempt is kept"
    assert study.main().size == 1, "verdict and diagnosis speak of the base size"


def test_the_size_that_was_found_is_restored_though_its_changer_was_killed(
    study: Study, sized_world: DemoWorld
) -> None:
    record = json.loads((study.cycle.path / "sizing.json").read_text())
    assert (record["state"], record["found"]) == ("restored", 1)
    _wait_for(lambda: len(sized_world.instance_ids) == 1, 10)


def test_each_size_has_the_capacity_that_it_was_given(study: Study, sized_world: DemoWorld) -> None:
    """By the time that a slot was really taken for, which is longer where the machine has other things to do."""
    (instance,) = sized_world.stats()["instances"]
    service = read_json(f"http://{instance['host']}:{instance['port']}/__stats")["service"]
    service_s = service["total_s"] / sum(service["counts"].values())
    assert service_s >= 0.98 * SERVICE_S, "a timer may fire early by the resolution of its clock"
    judged = 0
    for run in (*study.runs, *study.resized):
        fit = fit_run(study, run)
        if not fit["bend"] and run.levels["generator_limited"].any():
            continue  # others used the machine: levels that the generator limited say nothing, and nothing is claimed
        assert fit["bend"], (run.run.name, run.levels)
        # between two requests a slot waits for the CPU, too, which that account does not hold
        crowded = run.metrics.select("run_queue")["value"].mean() > 2 * os.cpu_count()
        expected = pytest.approx(SLOTS / service_s * run.size, rel=0.2 if crowded else 0.08)
        assert fit["ceiling_rps"]["value"] == expected
        judged += 1
    if not judged:
        pytest.skip("others used the machine: the generator limited every run, and none says anything of the target")


def test_reading_the_cycle_again_gives_the_same(study: Study) -> None:
    again = read_study(Cycle(study.cycle.path))
    assert [r.run for r in again.resized] == [r.run for r in study.resized]
