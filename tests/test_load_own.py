"""Locustfiles run unchanged: one of our own for each feature that locust's own examples use.

What stands for what (examples folder of locust 2.47; those that need a service of a third party are left out):

tasks   basic, locustfile, browse_docs_*, nested_inline_tasksets, custom_wait_function, x-forwarded-for,
        dispatch_test_scripts, debugging, dynamic_user_credentials, testdata_from_csv, markov_taskset
fast    fast_http_locust, rest, response_validations
hooks   events, semaphore_wait, add_command_line_argument, web_ui_cache_stats, manual_stats_reporting
data    custom_messages, worker_index, testdata_management, multiple_hosts
forms   csrf_form_authentication, custom_xmlrpc_client, custom_shape/wait_user_count, open_closed_workload
shape   custom_shape/stages, step_load, double_wave, staging_user_classes
pytest  test_pytest
quits   stop_on_threshold
moved   the example of docs/locustfiles.md, as a reader would copy it

What needs locust's own page (bottlenecked_server, extend_web_ui) is in test_load_page.py.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from xmlrpc.server import SimpleXMLRPCServer

import pandas as pd
import pytest

from example_target import running_service
from genkai import journals, launch
from genkai.workspace import Run
from load_target import make_plan, running_target

pytestmark = pytest.mark.load
ROOT = Path(__file__).parents[1]

TASKS = """
import csv, itertools, os, random
from locust import (HttpUser, MarkovTaskSet, SequentialTaskSet, TaskSet, between, constant, constant_pacing,
                    constant_throughput, run_single_user, tag, task, transition, transitions)
from locust.clients import HttpSession

rows = itertools.cycle(csv.DictReader(open(os.path.join(os.path.dirname(__file__), "people.csv"))))

def plain(user):
    user.client.get("/ok?from=function", name="function")

class Listed(HttpUser):
    host = "http://203.0.113.1"
    wait_time = between(0.05, 0.1)
    tasks = [plain]
    fixed_count = 1

class Inner(TaskSet):
    @task(3)
    def leaf(self): self.client.get("/ok?from=leaf", name="leaf")
    @task
    def leave(self): self.interrupt()

class Steps(SequentialTaskSet):
    def on_start(self): self.seen = []
    @task
    def first(self): self.client.get("/ok?step=1", name="step 1")
    @task
    def second(self): self.client.get("/ok?step=2", name="step 2")
    @task
    def done(self): self.interrupt(reschedule=False)

class Nested(HttpUser):
    weight = 2
    wait_time = constant(0.03)
    tasks = {Inner: 1, Steps: 2}
    @task
    class Inline(TaskSet):
        @tag("inline")
        @task
        def inlined(self):
            self.client.get("/ok?from=inline", name="inline")
            self.interrupt()

class Paced(HttpUser):
    wait_time = constant_pacing(0.1)
    def __init__(self, environment):
        super().__init__(environment)
        self.client.headers["X-Forwarded-For"] = "10.10.0.%d" % random.randint(0, 254)
        self.other = HttpSession(base_url=self.host, request_event=self.client.request_event, user=self)
    def on_start(self): self.person = next(rows)["name"]
    @task
    def elsewhere(self): self.other.get("/ok?who=" + self.person, name="other session")

class Rated(HttpUser):
    wait_time = constant_throughput(10)
    @task
    def rated(self): self.client.request("GET", "/ok", name="rated")

class Chain(MarkovTaskSet):
    @transition("b")
    def a(self): self.client.get("/ok?state=a", name="state a")
    @transitions({"a": 1, "b": 1})
    def b(self): self.client.get("/ok?state=b", name="state b")

class Walker(HttpUser):
    wait_time = lambda self: min(0.2, random.expovariate(20))
    tasks = [Chain]

if __name__ == "__main__":
    run_single_user(Rated)
"""

FAST = """
from locust import FastHttpUser, constant, events, task
from locust.exception import RescheduleTask

class Fast(FastHttpUser):
    wait_time = constant(0.05)
    @task
    def calls(self):
        with self.rest("GET", "/ok") as response:
            assert response.js["status"] == "ok", "never seen"
        with self.rest("GET", "/ok", name="wrong value") as response:
            assert response.js["status"] == "other", "another status"
        with self.client.get("/status/404", name="wanted 404", catch_response=True) as response:
            if response.status_code == 404:
                response.success()
        with self.client.post("/ok", json={"a": 1}, name="judged", catch_response=True) as response:
            response.failure("judged bad")
        self.client.put("/ok", data="x", name="put")
        self.client.get("/status/503", name="gives up")
        self.client.get("/ok", name="never reached")

@events.request.add_listener
def give_up(name, exception, **_):
    if exception and name == "gives up":
        raise RescheduleTask()
"""

HOOKS = """
import time
import gevent
from gevent.lock import Semaphore
from locust import User, HttpUser, constant, events, task
from locust.runners import MasterRunner, WorkerRunner

all_there = Semaphore()
all_there.acquire()
told = []

@events.init_command_line_parser.add_listener
def _(parser):
    parser.add_argument("--mode", default="plain", env_var="LOCUST_MODE", include_in_web_ui=False)

@events.init.add_listener
def _(environment, **_):
    print("HOOK init", environment.parsed_options.mode, environment.web_ui)
    if not isinstance(environment.runner, MasterRunner):
        environment.runner.register_message("users", lambda environment, msg, **_: told.extend(msg.data))

@events.test_start.add_listener
def _(environment, **_):
    print("HOOK test_start")
    if not isinstance(environment.runner, WorkerRunner):
        environment.runner.send_message("users", ["a", "b"])

@events.spawning_complete.add_listener
def _(**_):
    all_there.release()

@events.test_stop.add_listener
def _(**_): print("HOOK test_stop", told)

@events.quitting.add_listener
def _(**_): print("HOOK quitting")

@events.quit.add_listener
def _(**_): print("HOOK quit")

class Waiting(HttpUser):
    wait_time = constant(0.05)
    def on_start(self): all_there.wait()
    def on_stop(self): print("HOOK on_stop")
    @task
    def index(self): self.client.get("/ok", name="after all are there")

class Client:
    def __init__(self, fire): self.fire = fire
    def call(self, name, fails):
        start = time.time()
        gevent.sleep(0.02)
        self.fire(request_type="rpc", name=name, response_time=(time.time() - start) * 1000, response_length=7,
                  start_time=start, context={}, exception=ValueError("bad") if fails else None)

class OwnProtocol(User):
    wait_time = constant(0.05)
    def __init__(self, environment):
        super().__init__(environment)
        self.client = Client(environment.events.request.fire)
    @task
    def fine(self): self.client.call("rpc", False)
    @task
    def failing(self): self.client.call("rpc failing", True)
    @task
    def broken(self): raise RuntimeError("a task that breaks")
"""

SHAPE = """
from locust import HttpUser, LoadTestShape, constant, task

class A(HttpUser):
    wait_time = constant(0.05)
    @task
    def a(self): self.client.get("/ok?a", name="a")

class B(HttpUser):
    wait_time = constant(0.05)
    @task
    def b(self): self.client.get("/ok?b", name="b")

class Base(LoadTestShape):
    abstract = True
    stages = [(1, 50, [A]), (100, 80, [B])]

class Stages(Base):
    use_common_options = True
    def tick(self):
        for until, users, classes in self.stages:
            if self.get_run_time() < until:
                return users, 100, classes
        return None
"""

# Two workers; the master's test_start takes longer than a level may lose, a message's answer longer than the run.
DATA = """
import os, time
import requests
from locust import HttpUser, constant, events, task
from locust.clients import HttpSession
from locust.runners import MasterRunner, WorkerRunner

def fetch(what): return requests.post(os.environ["API_HOST"] + "/post", data=what).json()["data"]

at_parse = fetch("parse")
at_start, names = [], []

def take(environment, msg, **_):
    names.extend(msg.data)
    environment.runner.send_message("thanks", len(msg.data))

def answer(msg, **_):
    print("HOOK thanks for", msg.data)
    time.sleep(9)

@events.init.add_listener
def _(environment, **_):
    if isinstance(environment.runner, WorkerRunner):
        environment.runner.register_message("people", take)
    else:
        environment.runner.register_message("thanks", answer, concurrent=True)

@events.test_start.add_listener
def _(environment, **_):
    if isinstance(environment.runner, MasterRunner):
        time.sleep(2.5)  # longer than the level
        assert environment.runner.target_user_count == 4
        for number, client in enumerate(environment.runner.clients):
            environment.runner.send_message("people", [f"{number}a", f"{number}b"], client)
    else:
        at_start.append(fetch("start"))

class Fed(HttpUser):
    wait_time = constant(0.05)
    def __init__(self, environment):
        super().__init__(environment)
        self.name = names.pop()
        self.other = HttpSession(os.environ["API_HOST"], request_event=self.client.request_event, user=self)
    @task
    def ask(self):
        index = self.environment.runner.worker_index
        self.client.get(f"/ok?{at_parse}-{at_start[0]}-{self.name}-of-{index}", name="fed")
        self.other.get("/page", name="other host")
"""

FORMS = """
import os, re, time
from xmlrpc.client import Fault, ServerProxy
from locust import HttpUser, User, constant, task

class Signing(HttpUser):
    host = "http://203.0.113.1"
    wait_time = constant(0.1)
    def __init__(self, environment):
        time.sleep(0.3)  # users take their time to be made
        super().__init__(environment)
    @task
    def sign_in(self):
        with self.client.get("/sign-in", catch_response=True) as response:
            token = re.search('name="authenticity_token"[^>]*value="([^"]*)"', response.text).group(1)
        form = {"authenticity_token": token}
        with self.client.post("/sign-in", form, name="sign in", catch_response=True) as response:
            if "welcome" not in response.url:
                response.failure("not signed in")
        self.client.post("/sign-in", {"authenticity_token": "forged"}, name="forged")

class Remote(User):
    wait_time = constant(0.05)
    @task
    def call(self):
        for name in ("one", "breaks"):
            with self.environment.events.request.measure("xmlrpc", name):
                getattr(ServerProxy(os.environ["RPC_HOST"]), name)()
    def on_start(self): print("HOOK host", self.host)

class Idle(User):
    wait_time = constant(0.1)
    @task
    def nothing(self): print("HOOK idle")
"""

PYTEST = """
import time

def test_pages(session):
    session.get("/page").raise_for_status()
    with session.get("/welcome", catch_response=True) as response:
        if "hello" not in response.text:
            response.failure("nobody said hello")
    time.sleep(0.05)

def test_missing(fastsession):
    fastsession.get("/does_not_exist")
    time.sleep(0.05)

def helper(session): raise AssertionError("no test of its own")
"""

QUITS = """
import gevent
from locust import HttpUser, constant, events, task

class Erring(HttpUser):
    wait_time = constant(0.05)
    @task
    def wrong(self): self.client.get("/does_not_exist")

def watch(environment):
    while not environment.runner.stats.total.fail_ratio > 0.2:
        gevent.sleep(0.1)
    environment.runner.quit()

@events.init.add_listener
def _(environment, **_): gevent.spawn(watch, environment)

@events.test_stop.add_listener
def _(**_): print("HOOK test_stop")
"""


def run_file(
    folder: Path, text: str, users: int, state: str = "finished", hold_s: float = 2, url: str = "", **fields: Any
) -> tuple[pd.DataFrame, Counter, Run]:
    """Counts of each name as recorded, what the target answered to each path, and the run."""
    folder.mkdir()
    (folder / "mine.py").write_text(text)
    (folder / "people.csv").write_text("name\nann\nbob\n")
    with running_target(folder) as target:
        plan = make_plan(url or target.url, [{"users": users, "ramp_s": 0, "hold_s": hold_s}], base_dir=folder,
                         scenarios=[{"name": "mine", "locustfile": "mine.py"}],
                         stop={"error_ratio": 1.0, "for_s": 60})  # fmt: skip
        run = Run(folder / "3-scenario-mine")
        outcome = launch.run_load(run, plan, "scenario", "mine", drain_s=2.0, **fields)
        answered = Counter(path for _, _, path in target.answered())
    assert outcome.state == state, run.raw("locust.log").read_text()[-2000:]
    counts = journals.read_requests(run).groupby("api")[["sent", "completed", "failed"]].sum()
    return counts, answered, run


def judge_tasks(folder: Path) -> None:
    counts, answered, _ = run_file(folder, TASKS, 9)
    paths = {
        "function": "/ok?from=function", "leaf": "/ok?from=leaf", "step 1": "/ok?step=1", "step 2": "/ok?step=2",
        "inline": "/ok?from=inline", "rated": "/ok", "state a": "/ok?state=a", "state b": "/ok?state=b",
    }  # fmt: skip
    assert set(counts.index) == {*paths, "other session"}
    assert {name: counts.loc[name, "completed"] for name in paths} == {n: answered[path] for n, path in paths.items()}
    assert counts.loc["other session", "completed"] == answered["/ok?who=ann"] + answered["/ok?who=bob"]
    assert counts["failed"].sum() == 0
    assert 0 <= counts.loc["step 1", "sent"] - counts.loc["step 2", "sent"] <= 4, "in their order"


def judge_fast(folder: Path) -> None:
    counts, _, run = run_file(folder, FAST, 3)
    assert set(counts.index) == {"/ok", "wrong value", "wanted 404", "judged", "put", "gives up"}
    good, bad = ["/ok", "wanted 404", "put"], ["wrong value", "judged", "gives up"]
    assert (counts.loc[good, "completed"] == counts.loc[good, "sent"]).all()
    assert (counts.loc[bad, "failed"] == counts.loc[bad, "sent"]).all()
    assert counts["sent"].min() >= 3
    failures = journals.read_failures(run)
    assert failures.groupby("api")["kind"].agg(set).to_dict() == {
        "wrong value": {"check"}, "judged": {"check"}, "gives up": {"http_5xx"}}  # fmt: skip


def judge_hooks(folder: Path) -> None:
    counts, answered, run = run_file(folder, HOOKS, 4)
    assert set(counts.index) == {"after all are there", "rpc", "rpc failing"}
    assert counts.loc["after all are there", "completed"] == answered["/ok"] > 0
    assert counts.loc["rpc", "completed"] == counts.loc["rpc", "sent"] > 0
    assert counts.loc["rpc failing", "failed"] == counts.loc["rpc failing", "sent"] > 0
    log = run.raw("locust.log").read_text()
    hooks = [line.split("HOOK ")[1] for line in log.splitlines() if "HOOK " in line]
    assert hooks[:2] == ["init plain None", "test_start"]
    assert [h for h in hooks if h.startswith(("test_stop", "quit"))] == ["test_stop ['a', 'b']", "quitting", "quit"]
    assert hooks.count("on_stop") == 2
    assert "a task that breaks" in log


def judge_shape(folder: Path) -> None:
    counts, answered, run = run_file(folder, SHAPE, 4)
    assert journals.read_generator(run)["users"].max() == 4, "the plan's levels, not the file's"
    assert counts["completed"].to_dict() == {"a": answered["/ok?a"], "b": answered["/ok?b"]}


def hooks_of(run: Run) -> Counter[str]:
    """What a file printed from its hooks."""
    return Counter(line.split("HOOK ")[1] for line in run.raw("locust.log").read_text().splitlines() if "HOOK " in line)


def judge_data(folder: Path) -> None:
    counts, answered, run = run_file(folder, DATA, 4, processes=2)
    assert counts["completed"].to_dict() == {"fed": sum(answered.values()), "other host": counts.loc["fed", "sent"]}
    assert counts["failed"].sum() == 0
    told = {path.removeprefix("/ok?parse-start-") for path in answered}
    assert {who.split("-of-")[0] for who in told} == {"0a", "0b", "1a", "1b"}, "each worker has what it was sent"
    assert len({(who[0], who[-1]) for who in told}) == 2, "and knows its index"
    assert hooks_of(run) == {"thanks for 2": 2}
    mark = journals.read_marks(run)[0]
    seconds = journals.read_requests(run).query("sent > 0")["time"].map(lambda time: time.timestamp())
    assert mark["start"] <= seconds.min() <= seconds.max() <= mark["end"], "test_start takes nothing from the level"


def judge_forms(folder: Path, url: str) -> None:
    counts, _, run = run_file(folder, FORMS, 6, url=url)
    assert set(counts.index) == {"/sign-in", "sign in", "forged", "one", "breaks"}
    good = ["/sign-in", "sign in", "one"]
    assert counts["completed"].gt(0).to_dict() == {name: name in good for name in counts.index}
    assert counts["failed"].gt(0).to_dict() == {name: name not in good for name in counts.index}
    hooks = hooks_of(run)
    assert hooks.pop("idle") >= 2
    assert hooks == {f"host {url}": 2}, "the plan's base_url takes the place of hosts, as --host does"


def judge_pytest(folder: Path, url: str) -> None:
    counts, _, _ = run_file(folder, PYTEST, 4, url=url)
    assert set(counts.index) == {"/page", "/welcome", "/does_not_exist"}
    assert (counts.loc[["/page", "/welcome"], "failed"] == 0).all()
    assert counts.loc["/does_not_exist", "completed"] == 0


def judge_quits(folder: Path, url: str) -> None:
    _, _, run = run_file(folder, QUITS, 4, "stopped", hold_s=30, url=url)
    assert run.record()["stop_reason"] == "stopped by the locustfile itself"
    assert hooks_of(run) == {"test_stop": 1}
    assert "Traceback" not in run.raw("locust.log").read_text()


def judge_moved(folder: Path, url: str) -> None:
    example = re.search(r"```python\n(.*?)```", (ROOT / "docs/locustfiles.md").read_text("utf-8"), re.DOTALL)[1]
    counts, _, run = run_file(folder, example, 2, url=url)
    assert set(counts.index) == {"/authenticate", "order"}
    assert counts.loc["/authenticate", "completed"] == 2
    assert counts.loc["order", "completed"] >= 2
    assert counts["failed"].sum() == 0
    assert "Traceback" not in run.raw("locust.log").read_text()


@contextmanager
def running_xmlrpc() -> Iterator[str]:
    """An XML-RPC server with a function that answers and one that breaks."""
    with SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False) as server:
        server.register_function(lambda: 1, "one")
        server.register_function(lambda: 1 / 0, "breaks")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(10)


def test_locustfiles_with_the_features_of_locusts_examples_run_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_service() as (url, _), running_xmlrpc() as remote:
        monkeypatch.setenv("API_HOST", url)
        monkeypatch.setenv("RPC_HOST", remote)
        judges: list[Callable[[Path], None]] = [
            judge_tasks, judge_fast, judge_hooks, judge_shape, judge_data, partial(judge_forms, url=url),
            partial(judge_pytest, url=url), partial(judge_quits, url=url), partial(judge_moved, url=url),
        ]  # fmt: skip
        with ThreadPoolExecutor(len(judges)) as pool:
            for future in [pool.submit(judge, tmp_path / str(number)) for number, judge in enumerate(judges)]:
                future.result()
