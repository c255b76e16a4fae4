"""Load processes on other machines: real sshd in network namespaces, a process that joins, kill -9 and a cut link."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from genkai import journals, launch
from genkai.launch import LaunchError
from genkai.plan import Plan
from genkai.workspace import Run
from load_target import Target, make_plan, running_target
from namespaces import Machine, running_machines
from sshd import Sshd, needs_sshd, wait_until

pytestmark = [pytest.mark.load, needs_sshd]


@contextmanager
def world(folder: Path, hosts: int) -> Iterator[tuple[Target, list[Machine], list[dict[str, Any]]]]:
    """A target and machines with an sshd each, every one in a namespace of its own; and the plan's lines for them."""
    with ExitStack() as stack:
        place, *machines = stack.enter_context(running_machines(hosts + 1))
        target = stack.enter_context(running_target(folder, address=place.address, within=place.within))
        lines = []
        for machine in machines:
            (folder / machine.name).mkdir()
            sshd = stack.enter_context(Sshd(folder / machine.name, address=machine.address, within=machine.within))
            lines.append({"ssh": sshd.destination, "python": sys.executable, "options": list(sshd.options)})
        yield target, machines, lines


def plan_of(target: Target, hold_s: float, generator: dict[str, Any], **fields: Any) -> Plan:
    allow = [] if target.address == "127.0.0.1" else [{"host": target.address, "resolves_to": [target.address]}]
    return make_plan(target.url, [{"arrival_rate_rps": 90, "ramp_s": 0, "hold_s": hold_s}],
                     generator=generator, allow=allow, **fields)  # fmt: skip


def left_behind() -> list[str]:
    """Folders of agents, and processes that work in them."""
    folders = [str(p) for p in Path("/tmp").glob("genkai.*")]
    for process in psutil.process_iter():
        try:
            if "/genkai." in process.environ().get("GENKAI_RUN", ""):
                folders.append(f"{process.pid} {' '.join(process.cmdline())}")
        except (psutil.Error, OSError):
            continue
    return folders


def load_process_of(run: Run) -> psutil.Process:
    """The load process on the only host."""
    return psutil.Process(run.record()["worker_hosts"][0]["agent"]).children()[0]


def seconds_of(run: Run) -> dict[int, int]:
    """{epoch second: requests completed}."""
    requests = journals.read_requests(run)
    return dict(zip(requests["time"].astype("int64") // 1_000_000, requests["completed"], strict=True))


def judge_killed(folder: Path, target: Target, host: dict[str, Any], machine: Machine) -> None:
    """kill -9 of the process there: every second before is complete, the rest goes on, and it is said."""
    run = Run(folder / "2-api-ok")
    running = launch.start_run(run, plan_of(target, 8, {"hosts": [host]}), "api", "ok")
    assert wait_until(lambda: len(journals.read_requests(run)) >= 3, 60)
    killed = int(time.time())
    load_process_of(run).kill()
    outcome = running.wait()
    assert outcome.state == "finished"
    told = seconds_of(run)
    assert {n for second, n in told.items() if second < killed - 1} == {90}
    assert {n for second, n in told.items() if second > killed} == {45}
    record = run.record()
    (lost,) = record["lost_processes"]
    assert record["process_hosts"] == {lost: machine.address}
    assert record["lost_share"] == 0.5
    assert record["lost_levels"][0]["lost_share"] == pytest.approx(1 - sum(told.values()) / 720, abs=0.1)


def judge_cut(folder: Path, target: Target, host: dict[str, Any], machine: Machine) -> None:
    """A cut link closes nothing: the run ends by the plan's word, and the far side by its lease."""
    run = Run(folder / "2-api-ok")
    running = launch.start_run(run, plan_of(target, 60, {"hosts": [host], "on_loss": "stop"}), "api", "ok")
    assert wait_until(lambda: len(journals.read_requests(run)) >= 3, 60)
    far = load_process_of(run)
    cut = int(time.time())
    machine.cut()
    outcome = running.wait()
    assert outcome.state == "stopped"
    (lost,) = outcome.lost_processes
    assert outcome.stop_reason == f"lost {lost}: told nothing for 5 s (plan: generator.on_loss)"
    told = seconds_of(run)
    assert {n for second, n in told.items() if second < cut - 1} == {90}
    assert "lost" in run.record()["worker_hosts"][0]
    assert wait_until(lambda: not far.is_running(), 30), "nothing is left running there, though the link is still cut"


def judge_shared(folder: Path, target: Target, hosts: list[dict[str, Any]], machines: list[Machine]) -> None:
    """Two hosts and this machine: each second complete, each row of the data file once, clocks compared."""
    folder.mkdir()
    (folder / "items.csv").write_text("item\n" + "\n".join(map(str, range(500))) + "\n")
    plan = plan_of(target, 3, {"processes": 1, "hosts": hosts}, base_dir=folder,
                   paths={"row": {"path": "/ok?{item}", "data": "items.csv"}})  # fmt: skip
    run = Run(folder / "2-api-row")
    outcome = launch.run_load(run, plan, "api", "row")
    assert outcome == launch.RunOutcome("finished", 0, None)
    assert list(journals.read_requests(run)["sent"]) == [90, 90, 90], "whoever sent"
    assert sum(seconds_of(run).values()) == 270
    rows = sorted(int(path.partition("?")[2]) for _, _, path in target.answered() if "?" in path)
    assert rows == sorted([*range(270), 0, 0, 0]), (
        "none twice, none left out; and one before the load from each machine"
    )
    assert {p.name.split(".")[1] for p in run.journals("requests")} == {"worker-0", "worker-1", "worker-2"}
    told = run.record()["worker_hosts"]
    assert [h["name"] for h in told] == [m.address for m in machines]
    assert [h["exit_code"] for h in told] == [0, 0]
    assert all(abs(h["clock_offset"]["offset_s"]) < 0.1 for h in told)


def test_hosts_over_ssh_share_the_load_are_lost_as_it_is_said_and_keep_nothing(tmp_path: Path) -> None:
    with world(tmp_path, 4) as (target, machines, hosts), ThreadPoolExecutor(3) as pool:
        judges = [
            pool.submit(judge_shared, tmp_path / "shared", target, hosts[:2], machines[:2]),
            pool.submit(judge_killed, tmp_path / "killed", target, hosts[2], machines[2]),
            pool.submit(judge_cut, tmp_path / "cut", target, hosts[3], machines[3]),
        ]
        for done in judges:
            done.result()
        assert wait_until(lambda: left_behind() == [], 20)


def test_a_host_that_cannot_do_it_is_named_before_any_load(tmp_path: Path) -> None:
    """The target answers here and not there; an interpreter that lacks the requirements; nobody at the address."""
    with world(tmp_path, 1) as (_, machines, hosts), running_target(tmp_path) as near:
        for number, (changes, told) in enumerate([
            ({}, "expected http://127.0.0.1:.* to answer from there as it does from here, got: .*no load was started"),
            ({"python": "/usr/bin/env -i python3"}, "end of the connection: .*not found"),
            ({"ssh": f"root@{machines[0].address}0"}, "expected hello from there, got the end of the connection"),
        ]):  # fmt: skip
            run = Run(tmp_path / f"2-api-{number}")
            with pytest.raises(LaunchError, match=told):
                launch.run_load(run, plan_of(near, 3, {"hosts": [{**hosts[0], **changes}]}), "api", "ok")
        assert len(near.answered()) == 3, "the request of this machine before each attempt"
        assert left_behind() == []


def test_a_worker_joins_by_the_printed_command_and_leaves_nothing(tmp_path: Path, capsys) -> None:
    with running_target(tmp_path) as target:
        port = Sshd.closed_port()
        plan = plan_of(target, 3, {"local": False, "workers": 2, "listen": f"127.0.0.1:{port}"})
        run = Run(tmp_path / "2-api-ok")
        running = launch.start_run(run, plan, "api", "ok")
        command = capsys.readouterr().out.partition("genkai worker ")[2].split()
        assert command[0] == f"127.0.0.1:{port}"
        wrong = [*command[:2], "wrong", *command[3:]]
        refused, served = (subprocess.Popen(
            [sys.executable, "-m", "genkai.cli", "worker", *words, "--once", "--wait-s", "60"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for words in (wrong, command))  # fmt: skip
        outcome = running.wait()
        out, _ = served.communicate(timeout=60)
        _, error = refused.communicate(timeout=60)
        answered = target.answered()
    assert outcome == launch.RunOutcome("finished", 0, None)
    assert len(answered) == 270 + 1
    assert set(seconds_of(run).values()) == {90}
    assert set(run.record()["process_hosts"]) == {"worker-0", "worker-1"}
    assert (served.returncode, refused.returncode) == (0, 3)
    assert "2 load processes, clock" in out
    assert "expected the token that the run printed" in error
    assert left_behind() == []
