"""Real runs on loopback: every test starts locust, a target that keeps its own log, and looks at what is left."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from genkai import histogram, journals, launch
from genkai.launch import LaunchError, Progress
from genkai.workspace import Run, read_journal
from load_target import make_plan, running_target
from waiting import wait_until

pytestmark = pytest.mark.load


def group_members(leader: int) -> list[int]:
    found = []
    for process in psutil.process_iter(["pid", "status"]):
        try:
            if os.getpgid(process.pid) == leader and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except ProcessLookupError:
            continue
    return found


def at_once(*work: Callable[[], Any]) -> list[Any]:
    """Runs beside each other: most of a short run is locust's own start."""
    with ThreadPoolExecutor(len(work)) as pool:
        return [future.result() for future in [pool.submit(w) for w in work]]


def judge_closed(folder: Path) -> None:
    seen: list[Progress] = []
    levels = [{"users": 4, "ramp_s": 0, "hold_s": 1.5}, {"users": 8, "ramp_s": 0.5, "hold_s": 1.5}]
    with running_target(folder) as target:
        plan = make_plan(target.url, levels, {"ok": "/ok"}, step={"think_time_s": 0.05})
        run = Run(folder / "2-api-ok")
        outcome = launch.run_load(run, plan, "api", "ok", seen.append, log_ratio=1.0)
        answered = target.answered()
    assert outcome == launch.RunOutcome("finished", 0, None)
    requests = journals.read_requests(run)
    assert requests["completed"].sum() == len(answered) - 1, "all but the probe"
    assert requests["failed"].sum() == 0
    assert requests["sent"].sum() == requests["completed"].sum()
    merged = histogram.merge(requests["hist"])
    assert merged.total_count == requests["completed"].sum()
    single = list(read_journal(run.journal("samples", "local")))
    assert len(single) == merged.total_count
    assert {(s["api"], s["kind"], s["status"]) for s in single} == {("ok", None, 200)}
    assert all(s["intended"] <= s["sent"] <= s["done"] for s in single)
    marks = journals.read_marks(run)
    assert [(m["level"], m["intended"], m["end"] - m["hold_start"]) for m in marks] == [(0, 4, 1.5), (1, 8, 1.5)]
    assert marks[0]["end"] == marks[1]["start"]
    assert set(requests["level"]) == {0, 1}
    generator = journals.read_generator(run)
    assert generator["users"].max() == 8
    assert generator["fds"].min() > 3
    record = run.record()
    assert record["state"] == "finished"
    assert record["plan_digest"] == plan.digest()
    assert {"python", "locust", "genkai"} <= set(record["versions"])
    assert seen[-1].total_s == 3.5
    assert max(p.throughput_rps for p in seen) > 0
    assert seen[-1].level == 1
    assert "WARNING" not in run.raw("locust.log").read_text()


def judge_dropped(folder: Path) -> None:
    with running_target(folder) as target:
        plan = make_plan(target.url, [{"arrival_rate_rps": 50, "ramp_s": 0, "hold_s": 2}], {"slow": "/slow/0.5"},
                         step={"max_in_flight": 5})  # fmt: skip
        run = Run(folder / "2-api-slow")
        launch.run_load(run, plan, "api", "slow", stop={"error_ratio": 1.0, "for_s": 60})
        answered = target.answered()[1:]
    requests = journals.read_requests(run)
    assert requests["sent"].sum() + requests["dropped"].sum() == 100
    assert requests["completed"].sum() == len(answered)
    under_way = [sum(begin <= moment < end for begin, end, _ in answered) for moment, _, _ in answered]
    assert max(under_way) == 5, "never more, and as many as that"
    assert "no tasks left" not in run.raw("locust.log").read_text()


def judge_unanswered(folder: Path, level: dict, sent: int) -> None:
    with running_target(folder) as target:
        levels = [{**level, "ramp_s": 0, "hold_s": 2}]
        plan = make_plan(target.url, levels, {"hang": "/once"}, step={"think_time_s": 0.1})
        run = Run(folder / "2-api-hang")
        outcome = launch.run_load(run, plan, "api", "hang", drain_s=1.0)
    assert outcome.state == "finished"
    requests, failures = journals.read_requests(run), journals.read_failures(run)
    assert (requests["sent"].sum(), requests["completed"].sum(), requests["failed"].sum()) == (sent, 0, sent)
    assert set(failures["kind"]) == {"timeout"}
    assert failures["message"].str.contains("unanswered").all()
    times = histogram.merge(requests["hist"])
    assert times.total_count == sent
    assert 1.0 < histogram.quantile_s(times, 0.01) < histogram.quantile_s(times, 1.0)


def judge_failures(folder: Path) -> None:
    paths = {"ok": "/ok", "gone": "/status/404", "down": "/status/503", "reset": "/reset", "never": "/never",
             "wrong": {"path": "/check", "check": {"contains": "status"}}}  # fmt: skip
    with running_target(folder) as target:
        plan = make_plan(target.url, [{"users": 12, "ramp_s": 0, "hold_s": 3}], paths,
                         stop={"error_ratio": 1.0, "for_s": 60})  # fmt: skip
        run = Run(folder / "3-scenario-mix")
        launch.run_load(run, plan, "scenario", "mix", timeouts={"connect_s": 2, "read_s": 2, "total_s": 2.5})
    failures = journals.read_failures(run)
    kinds = failures.groupby("api")["kind"].agg(set).to_dict()
    assert kinds == {"gone": {"http_4xx"}, "down": {"http_5xx"}, "reset": {"reset"}, "never": {"timeout"},
                     "wrong": {"check"}}  # fmt: skip
    assert set(failures[failures["api"] == "down"]["status"]) == {503}
    assert failures[failures["api"] == "reset"]["errno"].dropna().isin([104]).all()
    requests = journals.read_requests(run)
    assert failures["count"].sum() == requests["failed"].sum()
    assert (requests["sent"] == requests["completed"] + requests["failed"]).all()


def judge_stopped(folder: Path) -> None:
    """The target goes away under load: refused, and the run ends itself."""
    with running_target(folder) as target:
        plan = make_plan(target.url, [{"users": 5, "ramp_s": 0, "hold_s": 30}], step={"think_time_s": 0.05},
                         stop={"error_ratio": 0.5, "for_s": 1})  # fmt: skip
        run = Run(folder / "2-api-ok")
        running = launch.start_run(run, plan, "api", "ok")
        with pytest.raises(LaunchError, match="no run under way"):
            launch.start_run(run, plan, "api", "ok")
        killer = threading.Thread(
            target=lambda: (wait_until(lambda: len(target.answered()) > 50), target.process.kill())
        )
        killer.start()
        outcome = running.wait()
        killer.join()
    assert outcome.state == "stopped"
    assert "error ratio" in outcome.stop_reason
    assert run.record()["stop_reason"] == outcome.stop_reason
    assert journals.read_stop(run)["reason"] == outcome.stop_reason
    failures = journals.read_failures(run)
    refused = failures[failures["kind"] == "refused"]
    assert len(refused)
    assert set(refused["errno"]) == {111}
    mark = journals.read_marks(run)[0]
    assert mark["end"] - mark["start"] < 25


def judge_too_slow(folder: Path) -> None:
    with running_target(folder) as target:
        plan = make_plan(target.url, [{"arrival_rate_rps": 20, "ramp_s": 0, "hold_s": 30}], {"slow": "/slow/0.3"},
                         stop={"p95_ms": 200, "for_s": 2})  # fmt: skip
        run = Run(folder / "2-api-slow")
        outcome = launch.run_load(run, plan, "api", "slow")
    assert outcome.state == "stopped"
    assert re.fullmatch(r"p95 \d{3,4} ms > 200 ms for 2 s \(plan: stop\)", outcome.stop_reason)
    mark = journals.read_marks(run)[0]
    assert 2 <= mark["end"] - mark["start"] < 20


def judge_stopped_from_elsewhere(folder: Path) -> None:
    with running_target(folder) as target:
        run = Run(folder / "2-api-ok")
        plan = make_plan(target.url, [{"users": 2, "ramp_s": 0, "hold_s": 60}])
        running = launch.start_run(run, plan, "api", "ok")
        wait_until(lambda: bool(journals.read_marks(run)))
        assert launch.stop_run(run)
        outcome = running.wait()
    assert (outcome.state, outcome.stop_reason) == ("stopped", "genkai stop")
    assert not launch.stop_run(run)


def judge_two_processes(folder: Path) -> None:
    with running_target(folder) as target:
        plan = make_plan(target.url, [{"arrival_rate_rps": 200, "ramp_s": 1, "hold_s": 1}],
                         generator={"processes": 2})  # fmt: skip
        run = Run(folder / "2-api-ok")
        outcome = launch.run_load(run, plan, "api", "ok")
        answered = len(target.answered()) - 1
    assert outcome == launch.RunOutcome("finished", 0, None)
    assert {p.name for p in run.journals("requests")} == {"requests.worker-0.jsonl", "requests.worker-1.jsonl"}
    requests = journals.read_requests(run)
    assert list(requests["sent"]) == [100, 200]
    assert requests["completed"].sum() == answered == 300
    assert set(journals.read_generator(run)["process"]) == {"worker-0", "worker-1"}


def folders(root: Path, *names: str) -> list[Path]:
    made = [root / name for name in names]
    for folder in made:
        folder.mkdir()
    return made


def test_closed_and_open_runs_from_plan_to_tables(tmp_path: Path) -> None:
    closed, dropped, two = folders(tmp_path, "closed", "dropped", "two")
    at_once(lambda: judge_closed(closed), lambda: judge_dropped(dropped), lambda: judge_two_processes(two))


def test_failures_and_what_is_unanswered_at_the_end_are_told_by_kind(tmp_path: Path) -> None:
    failures, arrivals, users = folders(tmp_path, "failures", "arrivals", "users")
    at_once(
        lambda: judge_failures(failures),
        lambda: judge_unanswered(arrivals, {"arrival_rate_rps": 20}, 40),
        lambda: judge_unanswered(users, {"users": 20}, 20),
    )


def test_runs_end_before_their_time_by_rule_by_word_and_by_a_broken_locustfile(tmp_path: Path) -> None:
    rule, slow, word, broken, judged = folders(tmp_path, "rule", "slow", "word", "broken", "own")
    at_once(
        lambda: judge_stopped(rule),
        lambda: judge_too_slow(slow),
        lambda: judge_stopped_from_elsewhere(word),
        lambda: judge_broken_locustfile(broken),
        lambda: judge_own_locustfile(judged),
    )


@pytest.mark.alone
def test_an_open_run_keeps_its_schedule_through_a_stalling_target(tmp_path: Path) -> None:
    """Freezes of 0.5 s in 2 s, 100 rps: P(R > x) = 0.25 · (1 − x ÷ 0.5), so p95 = 0.4 s and p99 = 0.48 s."""
    with running_target(tmp_path, every_s=2, for_s=0.5) as target:
        plan = make_plan(target.url, [{"arrival_rate_rps": 100, "ramp_s": 0, "hold_s": 4}])
        run = Run(tmp_path / "2-api-ok")
        outcome = launch.run_load(run, plan, "api", "ok")
    assert outcome.state == "finished"
    requests = journals.read_requests(run)
    assert list(requests["sent"]) == [100] * 4, "whatever the target does"
    assert requests["dropped"].sum() == 0
    response, service = histogram.merge(requests["hist"]), histogram.merge(requests["hist_service"])
    assert response.total_count == service.total_count == 400
    assert histogram.quantile_s(response, 0.95) == pytest.approx(0.4, abs=0.05)
    assert histogram.quantile_s(response, 0.99) == pytest.approx(0.48, abs=0.05)
    assert histogram.quantile_s(response, 0.50) < 0.1


def judge_killed(tmp_path: Path) -> None:
    with running_target(tmp_path) as target:
        plan = make_plan(target.url, [{"arrival_rate_rps": 100, "ramp_s": 0, "hold_s": 30}],
                         generator={"processes": 2})  # fmt: skip
        run = Run(tmp_path / "2-api-ok")
        running = launch.start_run(run, plan, "api", "ok")
        wait_until(lambda: len(journals.read_requests(run)) >= 4)
        killed = time.time()
        os.killpg(running.pid, signal.SIGKILL)
        wait_until(lambda: not group_members(running.pid))
        before = journals.read_requests(run)
        seconds = before["time"].astype("int64") // 1_000_000
        whole = before[seconds < int(killed) - 1]
        assert len(whole) >= 2
        assert list(whole["completed"]) == [100] * len(whole)
        assert int(seconds.max()) >= int(killed) - 2, "at most the last second is lost"
        outcome = running.wait()
        assert outcome.state == "failed"
        assert outcome.exit_code == -signal.SIGKILL
        assert "exit code -9" in outcome.stop_reason
        assert journals.read_requests(run).equals(before), "the finished table is what the journals said"
        again = launch.run_load(run, make_plan(target.url, [{"users": 2, "ramp_s": 0, "hold_s": 1}]), "api", "ok")
    assert again.state == "finished"
    assert journals.read_marks(run)[0]["workload"] == "closed"
    assert journals.read_requests(run)["time"].min() > before["time"].max(), "nothing of the killed run"
    assert (run.path / "previous-1" / "journal" / "levels.jsonl").exists()


def judge_lost_worker(folder: Path) -> None:
    """kill -9 of one of three: the seconds before are complete, the rest goes on with its own share, and it is said."""
    with running_target(folder) as target:
        plan = make_plan(target.url, [{"arrival_rate_rps": 60, "ramp_s": 0, "hold_s": 8}],
                         generator={"processes": 3})  # fmt: skip
        run = Run(folder / "2-api-ok")
        running = launch.start_run(run, plan, "api", "ok")
        wait_until(lambda: len(journals.read_requests(run)) >= 3)
        killed = time.time()
        psutil.Process(running.pid).children()[-1].kill()
        outcome = running.wait()
    requests = journals.read_requests(run)
    seconds = requests["time"].astype("int64") // 1_000_000
    assert list(requests[seconds < int(killed) - 1]["completed"]) == [60] * sum(seconds < int(killed) - 1)
    assert set(requests[seconds > int(killed)]["completed"]) == {40}
    assert len(outcome.lost_processes) == 1
    record = run.record()
    assert record["lost_processes"] == list(outcome.lost_processes)
    assert record["lost_share"] == outcome.lost_share == pytest.approx(1 / 3)
    (level,) = record["lost_levels"]
    assert level["start"] == pytest.approx(int(killed), abs=1)
    assert level["lost_share"] == pytest.approx(1 - requests["sent"].sum() / 480, abs=0.05)


def test_load_processes_that_are_killed_lose_at_most_their_last_second(tmp_path: Path) -> None:
    whole, one = folders(tmp_path, "whole", "one")
    at_once(lambda: judge_killed(whole), lambda: judge_lost_worker(one))


SCRIPT = """
import signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from load_target import make_plan
from genkai import launch
from genkai.workspace import Run
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
plan = make_plan({url!r}, [{{"users": 4, "ramp_s": 0, "hold_s": 60}}], generator={{"processes": 2}},
                 step={{"think_time_s": 0.05}})
launch.run_load(Run(Path({folder!r})), plan, "api", "ok", lambda p: print(p.level, flush=True))
"""


def test_no_process_is_left_when_the_launcher_ends(tmp_path: Path) -> None:
    """Ctrl-C ends the run with its tables; a launcher killed with -9 takes its load with it."""
    interrupted, killed = folders(tmp_path, "interrupted", "killed")
    at_once(
        lambda: judge_end_of_launcher(interrupted, signal.SIGINT, "stopped"),
        lambda: judge_end_of_launcher(killed, signal.SIGKILL, "running"),
    )


def judge_end_of_launcher(folder: Path, sent: int, state: str) -> None:
    run = Run(folder / "2-api-ok")
    with running_target(folder) as target:
        script = SCRIPT.format(tests=str(Path(__file__).parent), url=target.url, folder=str(run.path))
        launcher = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            wait_until(lambda: len(journals.read_requests(run)) >= 2)
            pid = run.record()["pid"]
            assert len(group_members(pid)) == 3
            launcher.send_signal(sent)
            _, errors = launcher.communicate(timeout=60)
        finally:
            launcher.kill()
            launcher.wait()
        wait_until(lambda: not group_members(pid))
    assert run.record()["state"] == state
    assert len(journals.read_requests(run))
    if sent == signal.SIGINT:
        assert b"KeyboardInterrupt" in errors
        assert run.record()["stop_reason"] == "interrupted"
        assert run.table("requests").exists()
    assert not launch.is_running(run)


OWN = """
from locust import HttpUser, LoadTestShape, constant, task
class Shape(LoadTestShape):
    def tick(self): return (50, 50) if self.get_run_time() < 100 else None
class Visitor(HttpUser):
    wait_time = constant(0.05)
    @task(3)
    def fine(self): self.client.get("/ok?x=1", name="fine")
    @task
    def broken(self): self.client.get("/status/503", name="broken")
    @task
    def judged(self):
        with self.client.get("/check", name="judged", catch_response=True) as response:
            response.failure("not what I want")
    @task
    def elsewhere(self): self.client.get("http://{address}:{port}/", name="elsewhere")
"""


def outside_address() -> str | None:
    """An address of this machine that is not loopback, so that a broken guard would still harm nobody."""
    for addresses in psutil.net_if_addrs().values():
        for a in addresses:
            if a.family == socket.AF_INET and not a.address.startswith("127."):
                return a.address
    return None


def judge_own_locustfile(tmp_path: Path) -> None:
    """It runs unchanged, and reaches only what is allowed."""
    address = outside_address() or "192.0.2.1"
    listener = socket.create_server(("", 0))
    listener.setblocking(False)
    own = tmp_path / "visitors.py"
    own.write_text(OWN.format(address=address, port=listener.getsockname()[1]))
    with running_target(tmp_path) as target:
        plan = make_plan(target.url, [{"users": 4, "ramp_s": 0, "hold_s": 3}], base_dir=tmp_path,
                         scenarios=[{"name": "visit", "locustfile": "visitors.py"}],
                         stop={"error_ratio": 1.0, "for_s": 60})  # fmt: skip
        run = Run(tmp_path / "3-scenario-visit")
        outcome = launch.run_load(run, plan, "scenario", "visit")
        answered = [path for _, _, path in target.answered()]
    assert outcome.state == "finished"
    assert journals.read_generator(run)["users"].max() == 4, "the plan's levels, not the file's"
    requests = journals.read_requests(run)
    counts = requests.groupby("api")[["sent", "completed", "failed"]].sum()
    assert counts.loc["fine", "completed"] == sum(path.startswith("/ok") for path in answered)
    assert counts.loc["broken", "failed"] == sum(path == "/status/503" for path in answered)
    failures = journals.read_failures(run)
    assert failures.groupby("api")["kind"].agg(set).to_dict() == {
        "broken": {"http_5xx"}, "judged": {"check"}, "elsewhere": {"other"}}  # fmt: skip
    assert failures[failures["api"] == "elsewhere"]["message"].str.contains("nothing was sent").all()
    with pytest.raises(BlockingIOError):
        listener.accept()
    listener.close()


def judge_wrong(tmp_path: Path) -> None:
    run = Run(tmp_path / "2-api-ok")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    levels = [{"users": 1, "ramp_s": 0, "hold_s": 1}]
    with pytest.raises(LaunchError, match=r"GET /ok: expected an answer .*refused.*no load was started"):
        launch.start_run(run, make_plan(f"http://127.0.0.1:{free}", levels), "api", "ok")
    with running_target(tmp_path) as target:
        with pytest.raises(LaunchError, match="HTTP 503"):
            launch.start_run(run, make_plan(target.url, levels, {"down": "/status/503"}), "api", "down")
        with pytest.raises(LaunchError, match=r"placeholders with a source .*got \{nothing\}"):
            launch.start_run(run, make_plan(target.url, levels, {"x": "/ok/{nothing}"}), "api", "x")
        with pytest.raises(LaunchError, match="subject other"):
            launch.start_run(run, make_plan(target.url, levels), "api", "other")
        plan = make_plan(target.url, levels)
        elsewhere = plan.model_copy(update={"base_url": "http://192.0.2.1:9"})
        with pytest.raises(LaunchError, match="allow list"):
            launch.start_run(run, elsewhere, "api", "ok")
    assert run.record() == {}
    assert not (run.path / "journal").exists()


def judge_broken_locustfile(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    with running_target(tmp_path) as target:
        plan = make_plan(target.url, [{"users": 1, "ramp_s": 0, "hold_s": 1}], base_dir=tmp_path,
                         scenarios=[{"name": "s", "locustfile": "broken.py"}])  # fmt: skip
        run = Run(tmp_path / "3-scenario-s")
        with pytest.raises(LaunchError, match="nothing_of_that_name"):
            launch.run_load(run, plan, "scenario", "s")
    assert run.record()["state"] == "failed"


def judge_ceiling(tmp_path: Path) -> None:
    with running_target(tmp_path) as target:
        plan = make_plan(target.url, [{"users": 2, "ramp_s": 0, "hold_s": 1}],
                         {"ok": {"path": "/ok", "check": {"contains": "status"}}},
                         targets={"throughput_rps": 1_000_000})  # fmt: skip
        verify = plan.steps.verify.model_copy(update={"ceiling_s": 2})
        plan = plan.model_copy(update={"steps": plan.steps.model_copy(update={"verify": verify})})
        run = Run(tmp_path / "1-verify-ok")
        launch.run_load(run, plan, "verify", "ok")
    record = json.loads((run.path / "ceiling.json").read_text())
    assert record["processes"] == 1
    assert record["throughput_rps"] > 100
    assert record["ceiling_rps"] == pytest.approx(record["throughput_rps"] / record["cpu_ratio"])
    assert record["limited_by"] in ("generator cpu", "sink", "machine cpu", "not known")
    assert record["measured"] == (record["limited_by"] == "generator cpu")
    assert not any("failed" in note for note in record["notes"]), "the sink answers what the check expects"
    (advice,) = record["advice"]
    assert advice["key"] == "advice.machines", "a million requests/s"
    cores = len(os.sched_getaffinity(0))
    assert advice["values"]["whole"] == pytest.approx(record["ceiling_rps"] * cores)
    assert advice["values"]["machines"] > 1


def test_what_is_wrong_is_said_before_any_load_and_verify_measures_the_ceiling(tmp_path: Path) -> None:
    wrong, ceiling = folders(tmp_path, "wrong", "ceiling")
    at_once(lambda: judge_wrong(wrong), lambda: judge_ceiling(ceiling))
