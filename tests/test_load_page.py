"""Locust's own page during a run: through a real Jupyter server, with its stop button, never in charge of the load."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from genkai import journals, launch
from genkai.load.process import free_port
from genkai.pages.locust_page import proxied_path
from genkai.workspace import Run
from load_target import make_plan, running_target

pytestmark = pytest.mark.load

OWN = """
from locust import HttpUser, constant, events, task

class Own(HttpUser):
    wait_time = constant(0.05)
    @task
    def index(self): self.client.get("/ok")

@events.init.add_listener
def _(environment, web_ui, **_):
    assert environment.web_ui is web_ui, "you can't run this headless"
    @web_ui.app.route("/added", methods=["GET", "POST"])
    def added(): return "added by the locustfile"
"""
LEVELS = [{"users": 3, "ramp_s": 0, "hold_s": 20}]
RATE = [{"arrival_rate_rps": 40, "ramp_s": 0, "hold_s": 20}]


def ask(url: str, form: dict | None = None, **headers: str) -> tuple[int, str]:
    """Status and text of an answer; a form makes it a POST."""
    data = None if form is None else urllib.parse.urlencode(form).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def wait_until(running: launch.RunningLoad, url: str, requests: int) -> dict:
    """What the page tells of the requests once they are that many."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert running.alive
        running.look()
        with contextlib.suppress(OSError, ValueError):  # not served yet: the proxy answers with a page of its own
            told = json.loads(ask(url + "stats/requests")[1])
            if told["stats"][-1]["num_requests"] >= requests:
                return told
        time.sleep(0.2)
    raise AssertionError(f"expected {requests} requests on the page")


@contextlib.contextmanager
def running_jupyter(folder: Path) -> Iterator[dict]:
    """A Jupyter server of its own under a path of its own: what it tells of itself in its runtime folder."""
    runtime = folder / "runtime"
    command = [sys.executable, "-m", "jupyter_server", "--ServerApp.port=0", "--ServerApp.base_url=/team/lab/",
               "--IdentityProvider.token=", "--ServerApp.open_browser=False", "--allow-root",
               f"--ServerApp.root_dir={folder}"]  # fmt: skip
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(runtime), "JUPYTER_CONFIG_DIR": str(folder / "config")}
    with open(folder / "jupyter.log", "wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and not (found := list(runtime.glob("jpserver-*.json"))):
            assert process.poll() is None, (folder / "jupyter.log").read_text()
            time.sleep(0.1)
        yield json.loads(found[0].read_text())
    finally:
        process.terminate()
        process.wait(20)


def test_the_page_of_planned_calls_through_a_jupyter_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes, an open workload: locust's events never hear of its calls, its page shows them all the same."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    run = Run(tmp_path / "3-scenario-mix")
    with running_jupyter(tmp_path) as server, running_target(tmp_path) as target:
        plan = make_plan(target.url, RATE, {"ok": "/ok", "bad": "/status/503"}, stop={"error_ratio": 1.0, "for_s": 60})
        running = launch.start_run(run, plan, "scenario", "mix", processes=2, drain_s=1.0, web_port=free_port())
        path = proxied_path(run, {"JPY_PARENT_PID": str(server["pid"])})
        assert path == f"/team/lab/proxy/{running.job.web_port}/"
        url = f"http://127.0.0.1:{server['port']}{path}"
        told = wait_until(running, url, 60)
        status, page = ask(url)
        assert status == 200
        assert '"is_distributed": true' in page
        assets = [part.split('"')[0] for part in page.split('src="./')[1:]]
        assert assets
        assert all(ask(url + asset)[0] == 200 for asset in assets), "relative, so that they load through the proxy"
        assert json.loads(ask(url + "stop", {})[1])["success"]
        outcome = running.wait()
    assert (outcome.state, outcome.stop_reason) == ("stopped", "stopped on Locust's web page")
    assert sum(r["num_requests"] for r in told["stats"][:-1]) == told["stats"][-1]["num_requests"]
    shown = {(row["method"], row["name"]): row for row in told["stats"][:-1]}
    assert set(shown) == {("GET", "ok"), ("GET", "bad")}
    assert shown["GET", "ok"]["num_failures"] == 0
    assert shown["GET", "bad"]["num_failures"] == shown["GET", "bad"]["num_requests"] > 0
    assert 0 < shown["GET", "ok"]["max_response_time"] < 5000
    (error,) = told["errors"]
    assert (error["method"], error["name"]) == ("GET", "bad")
    assert "503" in error["error"]
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{running.job.web_port}/", timeout=5)


def test_the_page_shows_and_never_changes_the_load(tmp_path: Path) -> None:
    run = Run(tmp_path / "3-scenario-mine")
    (tmp_path / "mine.py").write_text(OWN)
    with running_target(tmp_path) as target:
        plan = make_plan(target.url, LEVELS, base_dir=tmp_path, scenarios=[{"name": "mine", "locustfile": "mine.py"}])
        running = launch.start_run(run, plan, "scenario", "mine", drain_s=1.0, web_port=free_port())
        url = f"http://127.0.0.1:{running.job.web_port}/"
        told = wait_until(running, url, 10)
        assert ask(url + "added", {}) == (200, "added by the locustfile")
        for path in ("swarm", "user"):
            status, text = ask(url + path, {"user_count": 500, "spawn_rate": 500, "host": "http://203.0.113.1"})
            assert (status, json.loads(text)["success"]) == (200, False)
            assert "plan" in json.loads(text)["message"]
        assert ask(url + "stop", {}, **{"Sec-Fetch-Site": "cross-site"})[0] == 403, "from another site's page"
        assert ask(url + "stats/requests", **{"Sec-Fetch-Site": "cross-site"})[0] == 403, "nor does it read anything"
        assert ask(url, **{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})[0] == 200, (
            "a link is followed"
        )
        assert running.alive
        ask(url + "stop", {}, **{"Sec-Fetch-Site": "same-origin"})
        outcome = running.wait()
    assert (told["stats"][0]["name"], told["user_count"], told["state"]) == ("/ok", 3, "running")
    assert (outcome.state, outcome.stop_reason) == ("stopped", "stopped on Locust's web page")
    assert journals.read_generator(run)["users"].max() == 3
    assert journals.read_requests(run)["completed"].sum() == len(target.answered())
    assert "Traceback" not in run.raw("locust.log").read_text()
