"""The files of locust's own examples folder, run unchanged: `GENKAI_LOCUST_EXAMPLES=…/locust/examples pytest …`.

They are not ours to ship, and neither sdist nor wheel of locust holds them (CONTRIBUTING.md says where they are), so
that without the folder only our own files with the same features run (test_load_own.py).
"""

import contextlib
import importlib.util
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from example_target import running_service
from genkai import journals, launch
from genkai.load.process import free_port
from genkai.workspace import Run
from load_target import make_plan

pytestmark = pytest.mark.load

FOLDER = Path(os.environ.get("GENKAI_LOCUST_EXAMPLES", "/none"))


@dataclass(frozen=True)
class Example:
    """What an example does when it runs as meant: names that pass and that fail, what it prints, errors of its own."""

    passing: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    mixed: set[str] = field(default_factory=set)  # by a throw of dice
    prints: str = ""
    errors: set[str] = field(default_factory=set)  # last lines of the tracebacks that it provokes
    page: str = ""  # what it adds to locust's own page: a path there
    hold_s: float = 3
    users: int = 12
    broken: bool = False  # every answer is 500
    package: str = ""  # third-party package that it imports
    ends: str | None = None  # reason of a run that it ends itself


TWO = {"/", "/stats/requests"}
ROOT = Example({"/"})
NO_TASKS = (
    "Exception: No tasks defined on ForwardedForUser. Use the @task decorator or set the 'tasks' attribute of the User "
    "(or mark it as abstract = True if you only intend to subclass it)"
)
BASIC = Example(TWO, {"/does_not_exist"})
EXAMPLES = {
    "add_command_line_argument": Example(prints=r"Custom argument supplied: \n(.*\n)*.*I am invisible"),
    "basic": BASIC,
    "bottlenecked_server": Example({"/slow"}, page="/slow"),
    "browse_docs_sequence_test": Example({"/", "/favicon.ico"}, package="pyquery"),
    "browse_docs_test": Example({"/", "/page"}, package="pyquery"),
    "csrf_form_authentication": Example({"/sign-in"}),
    "custom_messages": Example(
        prints=r"Thanks for the 12 users!\n(.*\n)*finished processing concurrent_message\n(.*\n)*User\d+\n"
    ),
    "custom_shape/double_wave": ROOT,
    "custom_shape/stages": ROOT,
    "custom_shape/staging_user_classes": ROOT,
    "custom_shape/step_load": ROOT,
    "custom_shape/wait_user_count": Example({"/"}, hold_s=7),  # a user takes up to 5 s to be made
    "custom_wait_function": BASIC,
    "custom_xmlrpc_client/xmlrpc_locustfile": Example({"get_time", "get_random_number"}),
    "debugging": Example({"/hello"}),
    "debugging_advanced": Example({"/hello1", "/hello2"}),
    "dispatch_test_scripts/locustfile": Example({"UserA", "UserB", "UserC"}),
    "dynamic_user_credentials": Example({"/login", "/protected/resource"}),
    "events": Example(TWO, page="/content-length"),
    "extend_web_ui": Example(TWO, page="/extend"),
    "fast_http_locust": Example(TWO),
    "locustfile": Example({"/hello", "/world", "/item", "/login"}),
    "manual_stats_reporting": Example(
        {"successful_task"}, {"failing_task"}, {"decorator_test"},
        errors={"Exception: Oh nooes!", "Exception: decorator_task failed"},
    ),
    "markov_taskset": Example(prints=r"Method 1: (.*\n)+.*Method [2-6]: "),
    "multiple_hosts": Example(TWO),
    "nested_inline_tasksets": Example(TWO),
    "open_closed_workload": Example(prints=r'All users spawned: {"ClosedWorkload": 6, "OpenWorkload": 6}'),
    "response_validations": Example({"/authenticate", "/checkout/confirm"}, page="/"),
    "rest": Example({"/get"}, {"/"}, {"/post"}, errors={"ValueError: invalid HTTP method ''"}),
    "semaphore_wait": ROOT,
    "stop_on_threshold": Example(
        set(), {"/"}, prints="fail ratio was 1.0, quitting", broken=True, hold_s=20,
        ends="stopped by the locustfile itself",
    ),
    "testdata_from_csv": Example({"/authenticate"}, page="/"),
    "web_ui_cache_stats": Example(
        {"/", "/response-headers?X-Cache=MISS", "/response-headers?X-Cache=HIT"}, page="/extend"
    ),
    "worker_index": Example(prints=r"{'name': 'ann'}", package="locust_plugins"),
    "x-forwarded-for": Example({"/"}, errors={NO_TASKS}),
}  # fmt: skip
LEFT_OUT = {
    "dns_ex": "needs a name server", "grpc/grpc_user": "needs grpc",
    "grpc/hello_pb2": "no locustfile", "grpc/hello_pb2_grpc": "no locustfile", "grpc/hello_server": "a server",
    "grpc/locustfile": "needs grpc", "milvus/locustfile": "needs Milvus", "mongodb/locustfile": "needs MongoDB",
    "mqtt/locustfile": "needs a broker", "mqtt/locustfile_custom_mqtt_client": "needs a broker",
    "openai_ex": "needs OpenAI", "postgres/locustfile": "needs PostgreSQL", "qdrant/locustfile": "needs Qdrant",
    "sdk_session_patching/session_patch_locustfile": "needs archivist", "socketio/echo_server": "a server",
    "socketio/socketio_ex": "needs a Socket.IO server", "custom_xmlrpc_client/server": "a server: the test starts it",
    "test_pytest": "asks www.locust.io by its full address",
    "testdata_management": "asks postman-echo.com before it begins",
    "use_as_lib": "no locustfile: starts locust itself",
    "web_ui_auth/basic": "needs --web-login", "web_ui_auth/custom_form": "needs --web-login",
}  # fmt: skip
here = pytest.mark.skipif(not FOLDER.is_dir(), reason="GENKAI_LOCUST_EXAMPLES names no folder")


@here
def test_no_example_is_forgotten() -> None:
    found = {str(p.relative_to(FOLDER).with_suffix("")) for p in FOLDER.rglob("*.py")} - {
        str(p.relative_to(FOLDER).with_suffix("")) for part in ("terraform", "azure") for p in FOLDER.rglob(f"{part}*/**/*.py")}  # fmt: skip  # noqa: E501
    assert sorted(found) == sorted([*EXAMPLES, *LEFT_OUT])


def errors_of(log: str) -> set[str]:
    """The line that each traceback of a log ends with."""
    blocks = log.split("Traceback (most recent call last):\n")[1:]
    return {next(line for line in block.splitlines() if line and not line.startswith(" ")) for block in blocks}


@contextlib.contextmanager
def running_xmlrpc_server() -> Iterator[str]:
    """The example's own server, on the port that it chooses itself."""
    server = subprocess.Popen(
        [sys.executable, "-u", str(FOLDER / "custom_xmlrpc_client/server.py")], stdout=subprocess.PIPE
    )
    try:
        assert b"8877" in server.stdout.readline()
        yield "http://127.0.0.1:8877"
    finally:
        server.kill()
        server.wait(10)
        server.stdout.close()


def ask_page(running: launch.RunningLoad, path: str) -> None:
    """Wait until the load runs, then ask locust's page for what the example adds to it."""
    while running.look() is None:
        assert running.alive
        time.sleep(0.1)
    with urllib.request.urlopen(f"http://127.0.0.1:{running.job.web_port}{path}", timeout=10) as answer:
        assert answer.status == 200
        assert answer.read()


@here
@pytest.mark.parametrize("name", EXAMPLES)
def test_locusts_example_runs_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Users run, what they ask is recorded, request by request; nothing goes to hosts that are not allowed."""
    example = EXAMPLES[name]
    if example.package and importlib.util.find_spec(example.package) is None:
        pytest.skip(f"needs the package {example.package}")
    with running_service(example.broken) as (url, asked), contextlib.ExitStack() as stack:
        monkeypatch.setenv("API_HOST", url)  # asked for by multiple_hosts
        if "xmlrpc" in name:
            url = stack.enter_context(running_xmlrpc_server())
        file = FOLDER / f"{name}.py"
        if name == "worker_index":  # it reads a file beside it that the examples do not have
            (tmp_path / "mythings_0.csv").write_text("name\nann\n")
            (tmp_path / file.name).write_bytes(file.read_bytes())
            file = tmp_path / file.name
        plan = make_plan(url, [{"users": example.users, "ramp_s": 0, "hold_s": example.hold_s}],
                         base_dir=file.parent, scenarios=[{"name": "mine", "locustfile": file.name}],
                         stop={"error_ratio": 1.0, "for_s": 60})  # fmt: skip
        run = Run(tmp_path / "3-scenario-mine")
        running = launch.start_run(run, plan, "scenario", "mine", drain_s=1.0,
                                   web_port=free_port() if example.page else None)  # fmt: skip
        if example.page:
            ask_page(running, example.page)
        outcome = running.wait()
    log = run.raw("locust.log").read_text()
    assert (outcome.state, outcome.stop_reason) == ("stopped" if example.ends else "finished", example.ends), log[
        -3000:
    ]
    assert errors_of(log) == example.errors, log[-3000:]
    assert re.search(example.prints, log), log[-3000:]
    counts = journals.read_requests(run).groupby("api")[["sent", "completed", "failed"]].sum()
    assert set(counts.index) <= example.passing | example.failing | example.mixed
    assert bool(len(counts)) == bool(example.passing | example.failing)
    for api, row in counts.iterrows():
        assert row["sent"] == row["completed"] + row["failed"] > 0
        assert row["failed"] == 0 or api not in example.passing, f"{api}: {row.to_dict()}"
        assert row["completed"] == 0 or api not in example.failing, f"{api}: {row.to_dict()}"
        if api in asked and "sign-in" not in api:
            assert 0 <= asked[api] - row["sent"] <= example.users, (
                "answered, and recorded unless it was under way at the end"
            )
