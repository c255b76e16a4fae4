"""The whole demo on this machine: balancer, app instances, local AWS, publisher; started and stopped as one."""

import contextlib
import itertools
import json
import os
import shutil
import signal
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from genkai.demo import story
from genkai.demo.children import Child, StartError
from genkai.demo.local_aws import ENDPOINT_VARIABLES, Fleet, environment
from genkai.demo.publish import read_json
from genkai.demo.serve import announce, hold_lease
from genkai.demo.settings import AppSettings, BalancerSettings, Settings, option


class DemoWorld:
    """Real processes on loopback; a context manager, and stopped by `stop()` or by the end of this process."""

    def __init__(
        self,
        instances: int = story.INSTANCES,
        capacity_rps: float = story.COLD_CAPACITY_RPS,
        surge_queue: int = story.SURGE_QUEUE,
        app: AppSettings | Sequence[AppSettings] = story.APP,
        balancer: BalancerSettings | None = None,
        program: Sequence[str] = ("genkai.demo.app",),
        aws: bool = True,
        publish_period_s: int = 10,
        port: int = 0,
        control_port: int = 0,
        cloudwatch_port: int = 0,
        moto_port: int = 0,
        follow_s: float = 0,
    ) -> None:
        if not 1 <= instances <= story.MAX_INSTANCES:
            raise ValueError(f"demo: instances: expected 1–{story.MAX_INSTANCES}, got {instances}")
        # Several settings are dealt out in turn: unequal instances.
        self.kinds = itertools.cycle((app,) if isinstance(app, AppSettings) else app)
        self.program = program  # module of an instance, with what stands before its settings
        self.with_aws, self.publish_period_s = aws, publish_period_s
        self.wanted, self.ports = instances, {"cloudwatch": cloudwatch_port, "moto": moto_port}
        self.balancer_settings = replace(
            balancer or BalancerSettings(),
            capacity_rps=capacity_rps,
            surge_queue=surge_queue,
            port=port,
            control_port=control_port,
        )
        self.load_balancer_name = story.LOAD_BALANCER
        self.apps: dict[str, Child] = {}
        self.services: dict[str, Child] = {}
        self.fleet: Fleet | None = None
        self.aws_endpoints: dict[str, str] = {}
        self.base_url = self.control_url = ""
        self.directory = ""
        # Seconds between two looks at the Auto Scaling group: whoever changes it changes the processes; 0: never.
        self.follow_s, self.ended, self.changing = follow_s, threading.Event(), threading.RLock()
        self.follower: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start everything and wait until the balancer has every instance in service."""
        try:
            self._start_processes()
            self._await_healthy()
            if self.follow_s and self.fleet is not None:
                self.follower = threading.Thread(target=self._follow_group, name="follower", daemon=True)
                self.follower.start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start_processes(self) -> None:
        self._spawn("balancer", "genkai.demo.balancer", self.balancer_settings.arguments())
        if self.with_aws:
            for name, module in (("cloudwatch", "genkai.demo.cloudwatch"), ("moto", "genkai.demo.local_aws")):
                self._spawn(name, module, ["--port", str(self.ports[name])])
        facts = self.services["balancer"].ready()
        self.base_url = f"http://127.0.0.1:{facts['port']}"
        self.control_url = f"http://127.0.0.1:{facts['control_port']}"
        if self.with_aws:
            urls = {name: f"http://127.0.0.1:{self.services[name].ready()['port']}" for name in ("cloudwatch", "moto")}
            moto = dict.fromkeys(ENDPOINT_VARIABLES, urls["moto"])
            self.aws_endpoints = moto | {"cloudwatch": urls["cloudwatch"]}
            self.fleet = Fleet(self.aws_endpoints, self.load_balancer_name, story.INSTANCE_TYPE)
            ids = self.fleet.create(self.wanted, story.MAX_INSTANCES)
        else:
            ids = [self._new_id() for _ in range(self.wanted)]
        self._add_instances(ids)
        if self.with_aws:
            arguments = ["--balancer", self.control_url, "--cloudwatch", self.aws_endpoints["cloudwatch"]]
            arguments += ["--period-s", str(self.publish_period_s)]
            self._spawn("publisher", "genkai.demo.publish", arguments).ready()

    def _spawn(self, name: str, module: str, arguments: list[str]) -> Child:
        child = Child(module, arguments, self.environment if self.with_aws else None)
        self.services[name] = child
        return child

    @staticmethod
    def _new_id() -> str:
        return f"i-{int.from_bytes(os.urandom(8), 'big') | 1 << 63:016x}"

    def _add_instances(self, ids: list[str]) -> None:
        if not self.directory:  # not earlier: once there are instances, they remove it if this process is killed
            self.directory = tempfile.mkdtemp(prefix="genkai-demo-")
        started = {}
        for id_ in ids:
            database = f"{self.directory}/{id_}.sqlite"
            settings = replace(next(self.kinds), instance_id=id_, database=database)
            started[id_] = self.apps[id_] = Child(self.program[0], [*self.program[1:], *settings.arguments()])
        for id_, child in started.items():
            port = child.ready()["port"]
            self.control("POST", "/instances", {"id": id_, "host": "127.0.0.1", "port": port})

    def _await_healthy(self, timeout_s: float = 15.0) -> None:
        deadline = time.monotonic() + timeout_s
        while (healthy := self.stats()["healthy"]) < len(self.apps):
            if time.monotonic() > deadline:
                wanted = f"{len(self.apps)} instances in service after {timeout_s:g} s"
                raise StartError(f"demo: {self.control_url}: expected {wanted}, got {healthy}")
            time.sleep(0.02)

    @property
    def environment(self) -> dict[str, str]:
        """Variables under which any boto3 (of a child, a notebook) asks the local AWS; empty without one."""
        return environment(self.aws_endpoints) if self.with_aws else {}

    @property
    def instance_ids(self) -> list[str]:
        """Ids of the running instances, oldest first."""
        return list(self.apps)

    @property
    def instance_pids(self) -> dict[str, int]:
        """Process id by instance id."""
        return {id_: child.pid for id_, child in self.apps.items()}

    @property
    def pids(self) -> list[int]:
        """Every process of the demo."""
        return [child.pid for child in (*self.services.values(), *self.apps.values())]

    def control(self, method: str, path: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call the balancer's control port; raises ValueError with its answer when it refuses."""
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(self.control_url + path, data=body, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=5) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ValueError(f"demo: {method} {path}: {error.read().decode(errors='replace')}") from None

    def stats(self) -> dict[str, Any]:
        """The balancer's counters."""
        return read_json(f"{self.control_url}/__stats")

    def set_capacity(self, rps: float) -> None:
        """Warm the balancer to this many requests/s; 0: unlimited."""
        self.control("POST", "/capacity", {"rps": rps})

    def scale(self, instances: int) -> None:
        """Change the number of instances, through the Auto Scaling group where there is one."""
        if not 1 <= instances <= story.MAX_INSTANCES:
            raise ValueError(f"demo: instances: expected 1–{story.MAX_INSTANCES}, got {instances}")
        if self.fleet is not None:
            self.fleet.set_desired(instances)
            self.reconcile()
        else:
            self._follow([*self.apps, *(self._new_id() for _ in range(instances))][:instances])

    def reconcile(self) -> None:
        """Start and stop instances until they are those of the Auto Scaling group, whoever changed it."""
        if self.fleet is not None:
            with self.changing:
                self._follow(self.fleet.instance_ids())

    def _follow_group(self) -> None:
        while not self.ended.wait(self.follow_s):
            self.reconcile()

    def _follow(self, ids: list[str]) -> None:
        for id_ in [id_ for id_ in self.apps if id_ not in ids]:
            self.control("DELETE", f"/instances?id={id_}")
            child = self.apps.pop(id_)
            self._drain(child)
            child.stop()
        self._add_instances([id_ for id_ in ids if id_ not in self.apps])
        self._await_healthy()

    @staticmethod
    def _drain(child: Child, timeout_s: float = 5.0) -> None:
        """Let a deregistered instance finish what it works on."""
        deadline = time.monotonic() + timeout_s
        with contextlib.suppress(OSError):  # it may be dead already
            while time.monotonic() < deadline:
                stats = read_json(f"http://127.0.0.1:{child.facts['port']}/__stats")
                if stats["busy"]["now"] + stats["queue"]["now"] == 0:
                    return
                time.sleep(0.02)

    def stop(self) -> None:
        """Stop every process by its pid, wait for its end, remove the databases."""
        self.ended.set()
        if self.follower is not None:
            self.follower.join()
        children = [*self.services.values(), *self.apps.values()]
        for child in children:
            if child.process.poll() is None:
                child.process.terminate()
        for child in children:
            child.stop()
        self.services, self.apps = {}, {}
        if self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)


@dataclass(frozen=True)
class WorldSettings(Settings):
    """The command line of the whole demo."""

    instances: int = option(story.INSTANCES, "app instances")
    capacity_rps: float = option(story.COLD_CAPACITY_RPS, "what the balancer passes on; 0: unlimited")
    surge_queue: int = option(story.SURGE_QUEUE, "requests that may wait in the balancer")
    port: int = option(0, "the balancer's port; 0: the system chooses")
    control_port: int = option(0, "the balancer's control port; 0: the system chooses")
    publish_period_s: int = option(10, "seconds between two publications of metrics")
    no_aws: bool = option(False, "without the local AWS")
    lease: bool = option(False, "end when standard input closes")


def main() -> None:
    """Run the demo until standard input closes or SIGTERM comes."""
    chosen = WorldSettings.parse(description=__doc__)
    given = {name: getattr(chosen, name) for name in vars(chosen) if name not in ("no_aws", "lease")}
    if chosen.lease:
        hold_lease()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with DemoWorld(aws=not chosen.no_aws, **given) as world:
        announce(
            base_url=world.base_url,
            control_url=world.control_url,
            load_balancer_name=world.load_balancer_name,
            aws_endpoints=world.aws_endpoints,
            instances=world.instance_pids,
            pids=world.pids,
        )
        with contextlib.suppress(KeyboardInterrupt):
            ended.wait()


if __name__ == "__main__":
    main()
