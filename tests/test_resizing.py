"""The size that was found comes back, after an error, an interrupt, a kill -9, and never over somebody's own change."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from aws_target import SERVICES, AwsTarget, running_aws
from genkai.collect.errors import CollectError
from genkai.doctor import check_machine
from genkai.resizing import RECORD, WATCH_LOG, Resizing, left_behind, restore_left, restore_one, restored
from genkai.workspace import Cycle, new_cycle
from waiting import wait_until

PLAN = """\
name: {name}
purposes: [scalability]
targets: {{throughput_rps: 20}}
base_url: http://127.0.0.1:1
apis: [{{name: a, path: /}}]
{aws}
scaling: {{base: 2, wait_s: {wait_s}, {way}}}
steps: {{}}
"""


@pytest.fixture(scope="module")
def running() -> Iterator[AwsTarget]:
    with running_aws() as target:
        yield target


@pytest.fixture
def target(running: AwsTarget) -> AwsTarget:
    running.reset()
    return running


def cycle_of(
    place: Path, target: AwsTarget | None, way: str = "group: web", name: str = "sized", wait_s: float = 5
) -> Cycle:
    aws = f"aws: {{endpoints: {json.dumps(dict.fromkeys(SERVICES, target.proxy.url))}}}" if target else ""
    plan = place / f"{name}.yaml"
    plan.write_text(PLAN.format(name=name, aws=aws, way=way, wait_s=wait_s))
    return new_cycle(place / "data/cycles", plan)


def use(cycle: Cycle, *sizes: int, checked: Sequence[int] = (), tell=lambda line: None, then=lambda: None) -> Resizing:
    with Resizing(cycle, cycle.plan(), tell) as resizing:
        resizing.check(list(checked))
        for size in sizes:
            resizing.to(size)
        then()
    return resizing


def record(cycle: Cycle) -> dict:
    return json.loads((cycle.path / RECORD).read_text())


def test_sizes_follow_one_another_and_the_one_that_was_found_comes_back(tmp_path: Path, target: AwsTarget) -> None:
    cycle, lines = cycle_of(tmp_path, target), []
    with Resizing(cycle, cycle.plan(), lines.append) as resizing:
        for size in (2, 1, 4):
            resizing.to(size)
            assert target.desired("web") == size
            assert resizing.kept(size)
        assert (record(cycle)["state"], record(cycle)["found"], record(cycle)["asked"]) == ("changed", 2, 4)
    assert target.desired("web") == 2
    assert record(cycle)["state"] == "restored"
    assert lines[-1].strip() == "Auto Scaling group web in ap-northeast-1: size 2 restored"


def test_a_size_that_is_there_already_changes_nothing(tmp_path: Path, target: AwsTarget) -> None:
    cycle = cycle_of(tmp_path, target)
    before = len(target.proxy.calls)
    with Resizing(cycle, cycle.plan(), lambda line: None) as resizing:
        resizing.to(2)
    assert "SetDesiredCapacity" not in target.proxy.calls[before:]
    assert not (cycle.path / RECORD).exists()


def test_a_service_is_resized_and_restored(tmp_path: Path, target: AwsTarget) -> None:
    cycle = cycle_of(tmp_path, target, "service: main/app")
    with Resizing(cycle, cycle.plan(), lambda line: None) as resizing:
        resizing.to(3)
        assert target.tasks() == 3
    assert target.tasks() == 2


def test_a_command_restores_the_base(tmp_path: Path) -> None:
    cycle = cycle_of(tmp_path, None, "command: 'echo {size} >> sizes'")
    with Resizing(cycle, cycle.plan(), lambda line: None) as resizing:
        resizing.to(1)
        resizing.to(3)
    assert (tmp_path / "sizes").read_text().split() == ["1", "3", "2"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_whatever_goes_wrong_the_size_comes_back(tmp_path: Path, target: AwsTarget, error: type[BaseException]) -> None:
    cycle = cycle_of(tmp_path, target)

    def fail() -> None:
        assert target.desired("web") == 4
        raise error

    with pytest.raises(error):
        use(cycle, 4, then=fail)
    assert target.desired("web") == 2


def test_a_target_that_stays_unhealthy_is_told_and_the_size_comes_back(tmp_path: Path, target: AwsTarget) -> None:
    cycle = cycle_of(tmp_path, target, wait_s=0.3)
    target.proxy.unhealthy = 1
    with pytest.raises(CollectError, match=r"expected size 3 to serve within 0.3 s, got 2 of 3 targets healthy"):
        use(cycle, 3)
    assert target.desired("web") == 2


def test_a_max_size_that_is_too_small_is_told_before_anything_changes(tmp_path: Path, target: AwsTarget) -> None:
    cycle = cycle_of(tmp_path, target)
    with pytest.raises(CollectError, match="expected 1 to 4 instances, got 8"):
        use(cycle, 1, checked=[1, 2, 8])
    assert not (cycle.path / RECORD).exists()


def test_a_permission_that_is_missing_leaves_nothing_to_restore(tmp_path: Path, target: AwsTarget) -> None:
    cycle = cycle_of(tmp_path, target)
    target.proxy.denied = {"SetDesiredCapacity"}
    with pytest.raises(CollectError, match="expected permission autoscaling:SetDesiredCapacity on web"):
        use(cycle, 4)
    assert target.desired("web") == 2
    assert record(cycle)["state"] == "restored"


def test_the_doctor_says_before_the_cycle_whether_the_sizes_are_allowed(tmp_path: Path, target: AwsTarget) -> None:
    cycle = cycle_of(tmp_path, target)
    plan = (cycle.path / "plan.yaml").read_text()
    before, found = len(target.proxy.calls), {}
    for name, sizes in (("small", "[1, 2, 4]"), ("large", "[2, 8]")):
        sized = plan.replace("steps: {}", f"steps: {{api: {{sizes: {sizes}, levels: [{{users: 1}}]}}}}")
        (tmp_path / f"{name}.yaml").write_text(sized)
        found[name] = next(c for c in check_machine(tmp_path / f"{name}.yaml") if c.what.startswith("sizes "))
    assert (found["small"].ok, found["large"].ok) == (True, False)
    assert found["small"].found == "Auto Scaling group web in ap-northeast-1: allowed, now 2"
    assert "expected 1 to 4 instances, got 8" in found["large"].found
    assert "SetDesiredCapacity" not in target.proxy.calls[before:]


def test_somebody_elses_change_is_seen_and_not_undone(tmp_path: Path, target: AwsTarget) -> None:
    cycle, lines = cycle_of(tmp_path, target), []
    with Resizing(cycle, cycle.plan(), lines.append) as resizing:
        resizing.to(4)
        target.set_desired("web", 3)
        assert not resizing.kept(4)
    assert target.desired("web") == 3
    assert "size 3 left as it is; somebody changed it from 4 meanwhile" in lines[-1]


HOLD = """
import signal, sys, time
from pathlib import Path
from genkai.resizing import Resizing
from genkai.workspace import Cycle
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test suite that runs in the background ignores it
cycle = Cycle(Path(sys.argv[1]))
with Resizing(cycle, cycle.plan(), print) as resizing:
    resizing.to(4)
    print("held", flush=True)
    time.sleep(60)
"""


def held(cycle: Cycle) -> subprocess.Popen:
    """A process that has set size 4 and waits."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(cycle.path)], stdout=subprocess.PIPE, text=True)
    while process.stdout.readline().strip() != "held":
        assert process.poll() is None
    return process


def end(process: subprocess.Popen, number: int = signal.SIGKILL) -> None:
    process.send_signal(number)
    process.wait(20)
    process.stdout.close()


def cut_power(cycle: Cycle, process: subprocess.Popen) -> None:
    """The watch ends, too, as with the whole machine."""
    os.kill(record(cycle)["watch"], signal.SIGKILL)
    end(process)


def test_after_kill_9_the_watch_restores(tmp_path: Path, target: AwsTarget) -> None:
    cycle = cycle_of(tmp_path, target)
    end(held(cycle))
    wait_until(lambda: record(cycle)["state"] == "restored")
    assert target.desired("web") == 2
    assert "size 2 restored" in (cycle.path / WATCH_LOG).read_text()


def test_after_kill_9_the_watch_runs_the_users_command(tmp_path: Path) -> None:
    cycle = cycle_of(tmp_path, None, "command: 'echo {size} >> sizes'")
    end(held(cycle))
    wait_until(lambda: record(cycle)["state"] == "restored")
    assert (tmp_path / "sizes").read_text().split() == ["4", "2"]


def test_a_watch_that_cannot_restore_tries_again_and_says_why(tmp_path: Path, target: AwsTarget) -> None:
    cycle, lines = cycle_of(tmp_path, target), []
    cut_power(cycle, held(cycle))
    target.proxy.denied = {"SetDesiredCapacity"}

    def tell(line: str) -> None:
        lines.append(line)
        target.proxy.denied = set() if len(lines) == 2 else target.proxy.denied

    assert restore_one(cycle.path / RECORD, tell, [0, 0, 0])
    assert [("expected to restore size 2 from 4" in line) for line in lines] == [True, True, False]
    assert target.desired("web") == 2
    target.set_desired("web", 3)
    assert restore_one(cycle.path / RECORD, tell), "nothing is left to do, and nothing is touched"
    assert target.desired("web") == 3


def test_the_watch_ends_with_a_restored_size(tmp_path: Path, target: AwsTarget) -> None:
    cycle = cycle_of(tmp_path, target)
    with Resizing(cycle, cycle.plan(), lambda line: None) as resizing:
        assert resizing.watch is None, "nothing is changed yet"
        resizing.to(4)
        watch = resizing.watch
        assert watch.poll() is None
    assert watch.poll() == 0
    assert (cycle.path / WATCH_LOG).read_text() == ""


def test_a_watch_that_comes_late_leaves_a_new_owner_alone(tmp_path: Path) -> None:
    """The watch of one that was killed could not restore at first; meanwhile the cycle goes on with another owner."""
    cycle = cycle_of(tmp_path, None, "command: 'echo {size} >> sizes'")
    with Resizing(cycle, cycle.plan(), lambda line: None) as resizing:
        resizing.to(4)
        assert restore_one(cycle.path / RECORD, lambda line: None, (0.0,))
        assert restore_left(tmp_path / "data/cycles", lambda line: None) == []
        assert (tmp_path / "sizes").read_text().split() == ["4"]
    assert (tmp_path / "sizes").read_text().split() == ["4", "2"]


def test_what_its_owner_could_not_restore_is_left_for_whoever_comes(tmp_path: Path) -> None:
    """A notebook's kernel lives on: it must not count as the owner of a size that it has given up."""
    cycle = cycle_of(tmp_path, None, "command: 'test ! -e refused && echo {size} >> sizes'")
    root = tmp_path / "data/cycles"

    def refuse() -> None:
        (tmp_path / "refused").touch()

    with pytest.raises(CollectError):
        use(cycle, 4, then=refuse)
    assert left_behind(root) == [cycle.path / RECORD]
    (tmp_path / "refused").unlink()
    restore_left(root, lambda line: None)
    assert (tmp_path / "sizes").read_text().split() == ["4", "2"]
    assert record(cycle)["state"] == "restored"


def test_a_cycle_whose_plan_cannot_be_read_keeps_no_other_from_running(tmp_path: Path) -> None:
    cycle, lines = cycle_of(tmp_path, None, "command: 'echo {size} >> sizes'"), []
    use(cycle, 4)
    (cycle.path / RECORD).write_text(json.dumps({**record(cycle), "state": "changed", "pid_started": 0.0}))
    (cycle.path / "plan.yaml").write_text("name: [")
    assert restore_left(tmp_path / "data/cycles", lines.append) == []
    assert "plan.yaml" in lines[-1]


def test_after_kill_9_the_next_one_restores(tmp_path: Path, target: AwsTarget) -> None:
    cycle = cycle_of(tmp_path, target)
    process = held(cycle)
    root = tmp_path / "data/cycles"
    other = cycle_of(tmp_path, target, name="other")
    try:
        assert left_behind(root) == [], "its owner lives"
        with pytest.raises(CollectError, match=r"got process \d+, which resizes it from 2 to 4; genkai stop"):
            use(other)
    finally:
        cut_power(cycle, process)
    assert target.desired("web") == 4
    assert left_behind(root) == [cycle.path / RECORD]
    lines = []
    assert use(other, tell=lines.append).original == 2, "not the 4 that was left behind"
    assert "ended without restoring Auto Scaling group web in ap-northeast-1 from 4 to 2" in lines[0]
    assert (target.desired("web"), left_behind(root)) == (2, [])


def test_an_interrupt_restores_at_once(tmp_path: Path, target: AwsTarget) -> None:
    cycle = cycle_of(tmp_path, target)
    end(held(cycle), signal.SIGINT)
    assert target.desired("web") == 2


def test_what_cannot_be_restored_is_told_with_the_way(tmp_path: Path, target: AwsTarget) -> None:
    cycle, lines = cycle_of(tmp_path, target), []
    cut_power(cycle, held(cycle))
    target.proxy.denied = {"SetDesiredCapacity"}
    assert restore_left(tmp_path / "data/cycles", lines.append) == []
    assert "expected to restore size 2 from 4" in lines[1]
    assert "Set it to 2 by hand, or mend that and: genkai stop" in lines[1]
    with pytest.raises(CollectError, match="which ended without restoring it from 2 to 4"):
        use(cycle)
    target.proxy.denied = set()
    assert restore_left(tmp_path / "data/cycles", lines.append) == [lines[-1].strip()]
    assert target.desired("web") == 2


def test_a_kernel_that_dies_within_a_cycle_leaves_nothing(tmp_path: Path, target: AwsTarget) -> None:
    cycle, lines = cycle_of(tmp_path, target), []
    with restored(tmp_path / "data/cycles", lines.append):
        cut_power(cycle, held(cycle))
    assert target.desired("web") == 2


def test_the_record_names_its_owner(tmp_path: Path, target: AwsTarget) -> None:
    cycle = cycle_of(tmp_path, target)
    with Resizing(cycle, cycle.plan(), lambda line: None) as resizing:
        resizing.to(1)
        found = record(cycle)
        assert found["pid"] == os.getpid()
        assert abs(found["pid_started"] - time.time()) < 1e6
