"""collect.scaling over HTTP against moto's server: sizes, limits, what is waited for, and each refusal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from aws_target import AwsTarget, running_aws
from genkai.collect import scaling
from genkai.collect.errors import CollectError
from genkai.collect.scaling import Command, Group, Service, await_serving, sizer_of
from genkai.plan import Aws, Plan


@pytest.fixture(scope="module")
def running() -> Iterator[AwsTarget]:
    with running_aws() as target:
        yield target


@pytest.fixture
def target(running: AwsTarget) -> AwsTarget:
    running.reset()
    return running


@pytest.mark.parametrize("name", ["web", "old"])
def test_a_group_gets_its_size_and_serves_behind_either_kind_of_load_balancer(target, name) -> None:
    group = Group(target.aws, name)
    assert group.size() == 2
    for size in (4, 1):
        group.resize(size)
        await_serving(group, size, 5)
        assert (group.size(), target.desired(name)) == (size, size)
    assert group.missing(3) == "1 of 3 instances in service"


def test_a_group_is_never_set_beyond_its_limits_though_moto_would_accept_it(target) -> None:
    group = Group(target.aws, "web")
    before = list(target.proxy.calls)
    for wanted in (0, 5):
        with pytest.raises(CollectError, match=f"expected 1 to 4 instances, got {wanted}; change the group's limits"):
            group.resize(wanted)
    with pytest.raises(CollectError, match="got 5"):
        group.check([1, 2, 5])
    assert "SetDesiredCapacity" not in target.proxy.calls[len(before) :]
    target.set_desired("web", 5)
    assert target.desired("web") == 5, "moto accepts it: the guard is ours"


@pytest.mark.parametrize(("name", "told"), [
    ("web", r"expected size 2 to serve within 0.2 s, got 1 of 2 targets healthy: i-\w+ unhealthy"),
    ("old", r"got 1 of 2 instances healthy behind classic: i-\w+ OutOfService"),
])  # fmt: skip
def test_a_target_that_stays_unhealthy_is_named(target, name, told) -> None:
    target.proxy.unhealthy = 1
    lines: list[str] = []
    with pytest.raises(CollectError, match=told):
        await_serving(Group(target.aws, name), 2, 0.2, tell=lines.append)
    assert [line.strip().split(":")[0] for line in lines] == ["waiting"], "told once, not at each look"


@pytest.mark.parametrize("action", ["SetDesiredCapacity", "DescribeAutoScalingGroups"])
def test_a_permission_that_is_missing_is_named(target, action) -> None:
    target.proxy.denied = {action}
    with pytest.raises(CollectError, match=f"expected permission autoscaling:{action} on web, got AccessDenied"):
        Group(target.aws, "web").resize(3)


def test_what_does_not_exist_is_told(target) -> None:
    with pytest.raises(CollectError, match=r"expected a group in ap-northeast-1, got none named 'nope'; correct"):
        Group(target.aws, "nope").size()
    with pytest.raises(CollectError, match=r"got none named main/nope; correct scaling\.service"):
        Service(target.aws, "main", "nope").size()


def test_a_service_serves_when_its_tasks_run(target) -> None:
    service, lines = Service(target.aws, "main", "app"), []
    assert service.size() == 2
    target.proxy.starting_calls = 2
    service.resize(3)
    assert target.tasks() == 3
    await_serving(service, 3, 5, tell=lines.append)
    assert lines == ["      waiting: 2 of 3 tasks running (1 pending)"], "it was waited for"
    with pytest.raises(CollectError, match="main/app: expected at least 1 task, got 0"):
        service.resize(0)
    service.resize(2)


def test_a_service_without_healthy_targets_does_not_serve(target) -> None:
    """Its task runs and no load balancer knows it: moto registers no task."""
    assert Service(target.aws, "main", "balanced").missing(1) == "0 of 1 targets healthy"


def test_a_command_gets_the_size_in_the_plans_folder(tmp_path: Path) -> None:
    command = Command("echo {size} >> sizes", tmp_path, 5)
    assert command.size() is None
    for size in (1, 4):
        command.resize(size)
        assert command.missing(size) == ""
    assert (tmp_path / "sizes").read_text().split() == ["1", "4"]


@pytest.mark.parametrize(("command", "told"), [
    ("echo no such size {size} >&2; exit 7", r"got 7 \(no such size 3\); try the same by hand"),
    ("sleep 5; echo {size}", "expected an answer within 0.3 s, got none"),
])  # fmt: skip
def test_a_command_that_fails_or_hangs_is_told(tmp_path: Path, command: str, told: str) -> None:
    with pytest.raises(CollectError, match=told):
        Command(command, tmp_path, 0.3).resize(3)


class _Ready(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200 if len(self.asked) > 1 else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


def test_a_page_can_say_when_the_size_serves(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(scaling, "POLL_S", 0.02)
    _Ready.asked = []
    server = HTTPServer(("127.0.0.1", 0), _Ready)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url, lines = f"http://127.0.0.1:{server.server_port}/ready?n={{size}}", []
    sizer = Command("true {size}", tmp_path, 5)
    try:
        await_serving(sizer, 3, 5, url, lines.append)
    finally:
        server.shutdown()
        server.server_close()
    assert _Ready.asked == ["/ready?n=3", "/ready?n=3"]
    assert "answered 503" in lines[0]
    with pytest.raises(CollectError, match=r"got http://127.*n=3 did not answer"):
        await_serving(sizer, 3, 0.05, url)


def test_the_plan_names_the_way() -> None:
    def plan(**parts) -> Plan:
        return Plan.model_validate({
            "name": "p", "purposes": ["scalability"], "base_url": "http://localhost", "apis": [{"name": "a", "path":
            "/"}], "steps": {}, **parts})  # fmt: skip

    aws = Aws().model_dump(exclude_defaults=True)
    kinds = [
        type(sizer_of(plan(aws=aws, scaling={"base": 1, **way})))
        for way in ({"group": "web"}, {"service": "main/app"}, {"command": "x {size}"})
    ]
    assert kinds == [Group, Service, Command]
    for parts in ({}, {"scaling": {"base": 1, "group": "web"}}):
        with pytest.raises(CollectError, match="expected a scaling part"):
            sizer_of(plan(**parts))
