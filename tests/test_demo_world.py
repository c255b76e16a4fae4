"""The whole demo: discovery with real boto3, scaling, the story in small, and nothing left behind."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import psutil
import pytest

from genkai.demo.children import Child, StartError
from genkai.demo.settings import AppSettings
from genkai.demo.world import DemoWorld
from waiting import wait_until


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="module")
def world():
    with DemoWorld(publish_period_s=1) as running:
        yield running


@pytest.fixture
def aws(world, monkeypatch):
    """boto3 clients that know the local AWS from the environment alone."""
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)
    return boto3.Session().client


def test_discovery_from_the_load_balancer_name(world, aws):
    names = {"LoadBalancerNames": [world.load_balancer_name]}
    found = aws("elb").describe_load_balancers(**names)["LoadBalancerDescriptions"][0]
    ids = sorted(instance["InstanceId"] for instance in found["Instances"])
    assert ids == sorted(world.instance_ids)
    health = aws("elb").describe_instance_health(LoadBalancerName=world.load_balancer_name)["InstanceStates"]
    assert {state["State"] for state in health} == {"InService"}
    reservations = aws("ec2").describe_instances(InstanceIds=ids)["Reservations"]
    types = {instance["InstanceType"] for entry in reservations for instance in entry["Instances"]}
    assert types == {"t3.medium"}
    limits = aws("ec2").describe_instance_types(InstanceTypes=list(types))["InstanceTypes"][0]
    assert limits["VCpuInfo"]["DefaultVCpus"] == 2
    groups = aws("autoscaling").describe_auto_scaling_instances(InstanceIds=ids)["AutoScalingInstances"]
    assert {entry["AutoScalingGroupName"] for entry in groups} == {f"{world.load_balancer_name}-group"}
    assert aws("sts").get_caller_identity()["Account"]
    with pytest.raises(aws("elbv2").exceptions.LoadBalancerNotFoundException):
        aws("elbv2").describe_load_balancers(Names=[world.load_balancer_name])


def test_metrics_are_where_discovery_says(world, aws):
    asked = {"Namespace": "AWS/EC2", "MetricName": "CPUUtilization"}

    def reported():
        metrics = aws("cloudwatch").list_metrics(**asked)["Metrics"]
        return {pair["Value"] for metric in metrics for pair in metric["Dimensions"]}

    wait_until(lambda: reported() >= set(world.instance_ids))


def test_scaling_starts_and_stops_real_instances(world, aws):
    before = world.instance_pids
    world.scale(3)
    assert len(world.instance_ids) == 3
    assert world.stats()["healthy"] == 3
    aws("autoscaling").set_desired_capacity(AutoScalingGroupName=f"{world.load_balancer_name}-group", DesiredCapacity=2)
    pids = dict(world.instance_pids)
    world.reconcile()
    assert len(world.instance_ids) == 2
    assert world.stats()["healthy"] == 2
    stopped = set(pids) - set(world.instance_ids)
    assert all(gone(pids[id_]) for id_ in stopped)
    found = aws("elb").describe_load_balancers(LoadBalancerNames=[world.load_balancer_name])
    registered = {entry["InstanceId"] for entry in found["LoadBalancerDescriptions"][0]["Instances"]}
    assert registered == set(world.instance_ids)
    assert before


def test_the_world_follows_its_group_and_says_when_the_size_serves():
    def ready(running, size):
        try:
            return running.control("GET", f"/__ready?instances={size}")
        except ValueError:
            return None

    with DemoWorld(instances=1, follow_s=0.1) as running:
        assert ready(running, 1) == {"healthy": 1, "instances": 1}
        assert ready(running, 2) is None
        running.fleet.set_desired(2)
        wait_until(lambda: ready(running, 2))
        assert len(running.instance_ids) == 2


@pytest.mark.parametrize("instances", [0, 9])
def test_a_size_outside_the_group_is_refused(world, instances):
    with pytest.raises(ValueError, match="expected 1–8"):
        world.scale(instances)
    with pytest.raises(ValueError, match="expected 1–8"):
        DemoWorld(instances=instances)


class User(asyncio.Protocol):
    """One user of a closed workload: a request, a second's thought, the next request."""

    def __init__(self, answers):
        self.answers = answers

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        if not self.transport.is_closing():
            self.transport.write(b"GET /items?q=amber HTTP/1.1\r\nHost: demo\r\n\r\n")

    def data_received(self, data):
        self.answers.append(int(data[9:12]))
        asyncio.get_running_loop().call_later(1.0, self.send)


async def closed_users(port, users, seconds):
    answers: list[int] = []
    loop = asyncio.get_running_loop()
    transports = [(await loop.create_connection(lambda: User(answers), "127.0.0.1", port))[0] for _ in range(users)]
    await asyncio.sleep(seconds)
    for transport in transports:
        transport.close()
    return answers


@pytest.mark.load
def test_the_story_at_a_fifth_of_its_size():
    """A cold balancer caps the users it was not warmed for, its instances idle; warmed it carries them all."""
    with DemoWorld(capacity_rps=104, surge_queue=88, aws=False) as running:
        port = int(running.base_url.rsplit(":", 1)[1])
        cold = asyncio.run(closed_users(port, 200, 3.0))
        stats = running.stats()
        assert cold.count(200) <= 104 * 3.5 + 10
        assert cold.count(503) == stats["spilled"] > 0
        assert stats["queue"]["max"] == 88
        running.set_capacity(0)
        warm = asyncio.run(closed_users(port, 200, 3.0))
        assert warm.count(503) == 0
        assert warm.count(200) > 1.3 * cold.count(200)
        assert running.stats()["spilled"] == stats["spilled"]


def test_unequal_instances():
    slow, quick = AppSettings(io_ms=300.0), AppSettings(io_ms=1.0)
    with DemoWorld(app=[slow, quick], aws=False, instances=3) as running:
        assert [child.arguments[child.arguments.index("--io-ms") + 1] for child in running.apps.values()] == [
            "300.0",
            "1.0",
            "300.0",
        ]


def test_stop_ends_every_process_and_removes_every_file():
    with DemoWorld(aws=False) as running:
        pids, directory = running.pids, running.directory
        assert len(pids) == 3
        assert len(list(Path(directory).glob("*.sqlite"))) == 2
    assert all(gone(pid) for pid in pids)
    assert not os.path.exists(directory)
    running.stop()


def test_a_port_in_use_is_a_start_error_that_leaves_nothing():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running = DemoWorld(aws=False, port=taken.getsockname()[1])
        with pytest.raises(StartError, match=r"genkai\.demo\.balancer .*in use"):
            running.start()
    assert running.pids == []
    assert not os.path.exists(running.directory)


def test_killed_it_leaves_no_process_and_no_file(tmp_path):
    command = [sys.executable, "-m", "genkai.demo.world", "--publish-period-s", "1"]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        facts = json.loads(parent.stdout.readline())
        children = {child.pid for child in psutil.Process(parent.pid).children(recursive=True)}
        assert children == set(facts["pids"])
        assert len(children) == 6
        assert len(list(tmp_path.glob("genkai-demo-*"))) == 1
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    wait_until(lambda: all(gone(pid) for pid in children))
    assert list(tmp_path.iterdir()) == []


def children_when_killed(delay_s):
    parent = subprocess.Popen([sys.executable, "-m", "genkai.demo.world"], stdout=subprocess.DEVNULL)
    try:
        time.sleep(delay_s)
        return psutil.Process(parent.pid).children(recursive=True)
    finally:
        parent.kill()
        parent.wait()


def test_killed_while_it_starts_it_leaves_no_process():
    moments = [0.1, 0.4, 0.8, 1.6, 3.0]
    with ThreadPoolExecutor(len(moments)) as pool:
        left = [child for children in pool.map(children_when_killed, moments) for child in children]
    assert left, "some of them had begun"
    wait_until(lambda: all(gone(child.pid) for child in left))


def test_sigterm_ends_the_command_and_its_children():
    parent = subprocess.Popen([sys.executable, "-m", "genkai.demo.world", "--no-aws"], stdout=subprocess.PIPE)
    try:
        pids = json.loads(parent.stdout.readline())["pids"]
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(10) == 0
    finally:
        parent.kill()
        parent.stdout.close()
    assert all(gone(pid) for pid in pids)


def test_a_process_that_does_not_come_up_says_why():
    child = Child("genkai.demo.app", ["--slots", "many"])
    with pytest.raises(StartError, match=r"exit code 2.*invalid int value: 'many'"):
        child.ready()
