"""The guard: addresses by the allow list, and an audit hook that no socket of the process gets around."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from genkai import journals, launch
from genkai.allow import AllowEntry, TargetRefused
from genkai.load import agent
from genkai.load.guard import Guard
from genkai.load.http import Connection, Failure, Target
from genkai.load.http import resolve as names
from genkai.load.job import make_job
from genkai.load.parcel import pack_files
from genkai.workspace import Run
from load_target import make_plan, running_target
from namespaces import Machine, running_machines
from scripted_server import ScriptedServer, answer, ok


def resolver(table: dict[str, list[str]]):
    def resolve(host: str, port: object) -> list:
        if host not in table:
            raise OSError("no such name")
        return [(socket.AF_INET, None, None, "", (address, 0)) for address in table[host]]

    return resolve


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_always_allowed(address: str) -> None:
    Guard([]).check(address)


def test_only_what_the_list_resolves_to_is_allowed() -> None:
    table = {"shop.example": ["192.0.2.7"]}
    guard = Guard([AllowEntry(host="shop.example"), AllowEntry(host="gone.example")], resolver(table))
    guard.check("192.0.2.7")
    with pytest.raises(
        TargetRefused, match=r"expected an address of shop\.example.*got 192\.0\.2\.8; nothing was sent"
    ):
        guard.check("192.0.2.8")


def test_networks_decide_without_asking_names() -> None:
    guard = Guard([AllowEntry(host="shop.example", resolves_to=["192.0.2.0/25"])], resolver({}))
    guard.check("192.0.2.9")
    with pytest.raises(TargetRefused):
        guard.check("192.0.2.200")


def test_an_address_in_the_list_is_allowed_as_itself() -> None:
    guard = Guard([AllowEntry(host="192.0.2.9", resolves_to=["192.0.2.9/32"])])
    guard.check("192.0.2.9")


def test_lean_connections_get_a_failure() -> None:
    failure = Guard([]).refuse("other.example", "192.0.2.1")
    assert failure.kind == "blocked"
    assert "nothing was sent" in failure.message
    assert Guard([]).refuse("localhost", "127.0.0.1") is None


SCRIPT = """
import locust, socket, sys
from genkai.allow import TargetRefused
from genkai.load.guard import Guard
Guard([]).install()
import gevent, requests
listener = socket.create_server(("127.0.0.1", 0))
socket.create_connection(listener.getsockname()).close()
def refused(call):
    try:
        call()
    except TargetRefused:
        return True
    except Exception as error:
        return "nothing was sent" in str(error)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tcp = socket.socket()
print(all([
    refused(lambda: socket.create_connection(("192.0.2.1", 80), 1)),
    refused(lambda: tcp.connect_ex(("192.0.2.1", 80))),
    refused(lambda: udp.sendto(b"x", ("192.0.2.1", 9))),
    refused(lambda: requests.get("http://192.0.2.1/", timeout=1)),
    refused(lambda: gevent.spawn(socket.create_connection, ("192.0.2.1", 80), 1).get()),
]))
"""


def test_nothing_gets_around_the_hook() -> None:
    """In a process of its own: an audit hook stays. 192.0.2.0/24 is a network for documentation that nobody has."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "True", done.stderr


def test_a_name_that_resolves_elsewhere_later_is_refused_before_the_next_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first answer of the name is allowed, the second, after the server's close, is not."""
    told = [["127.0.0.1"], ["192.0.2.1"]]

    def getaddrinfo(host: str, port: int, **_ignored: object) -> list:
        assert host == "shop.example"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in told.pop(0)]

    monkeypatch.setattr(names, "getaddrinfo", getaddrinfo)
    guard = Guard([AllowEntry(host="shop.example", resolves_to=["127.0.0.1/32"])])
    with ScriptedServer(answer(ok(b"one"))) as server:
        target = Target("http", "shop.example", server.port)
        with Connection(target, guard=guard.refuse, resolver=names.Resolver(ttl_s=0.0)) as connection:
            request = b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"
            assert connection.exchange(request).body == b"one"
            connection.close()
            with pytest.raises(
                Failure, match=r"expected shop\.example to resolve into 127\.0\.0\.1/32, got 192\.0\.2\.1; n"
            ):
                connection.exchange(request)
    assert not told


def count_connections_taken(machine: Machine) -> int:
    """Connections that listeners on that machine got so far (PassiveOpens of its network namespace)."""
    text = subprocess.run([*machine.within, "cat", "/proc/net/snmp"], capture_output=True, text=True, check=True).stdout
    names_line, numbers = (line.split() for line in text.splitlines() if line.startswith("Tcp:"))
    return int(numbers[names_line.index("PassiveOpens")])


@contextlib.contextmanager
def redirecting(location: str) -> Iterator[str]:
    """The URL of a server on loopback that sends everybody to `location`."""
    head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()

    def script(sock: socket.socket, server: ScriptedServer) -> None:
        while server.read_request(sock):
            sock.sendall(head)

    with ScriptedServer(script) as server:
        yield server.url


REDIRECTED = """
from locust import FastHttpUser, HttpUser, constant, task
from genkai.load.http.user import LeanHttpUser
class ByRequests(HttpUser):
    wait_time = constant(0.2)
    @task
    def call(self): self.client.get("/", name="requests")
class ByGevent(FastHttpUser):
    wait_time = constant(0.2)
    @task
    def call(self): self.client.get("/", name="gevent")
class Lean(LeanHttpUser):
    wait_time = constant(0.2)
    @task
    def call(self): self.client.get("/", name="lean")
"""


@pytest.mark.load
def test_no_redirect_leads_a_run_to_a_host_that_is_not_allowed(tmp_path: Path) -> None:
    """The forbidden host is there and would answer: what it logs says whether anybody came."""
    (tmp_path / "own.py").write_text(REDIRECTED)
    with (
        running_machines(1) as (machine,),
        running_target(tmp_path, address=machine.address, within=machine.within) as forbidden,
        redirecting(f"{forbidden.url}/ok") as url,
    ):
        socket.create_connection((machine.address, forbidden.port), 5).close()
        before = count_connections_taken(machine)
        plan = make_plan(url, [{"users": 3, "ramp_s": 0, "hold_s": 2}], base_dir=tmp_path, stop={"error_ratio": 1},
                         scenarios=[{"name": "own", "locustfile": "own.py"}])  # fmt: skip
        run = Run(tmp_path / "3-scenario-own")
        launch.run_load(run, plan, "scenario", "own")
        assert count_connections_taken(machine) == before > 0
    failures = journals.read_failures(run)
    assert set(failures["api"]) == {"requests", "gevent", "lean"}
    assert failures["message"].str.contains("nothing was sent").all()
    assert journals.read_requests(run)["completed"].sum() == 0


@contextlib.contextmanager
def names_of(machine: Machine, **addresses: str) -> Iterator[None]:
    """What names mean on that machine: `ip netns exec` puts this file in the place of /etc/hosts."""
    folder = Path("/etc/netns") / machine.name
    folder.mkdir(parents=True)
    try:
        lines = [f"{address} {name.replace('_', '.')}\n" for name, address in addresses.items()]
        (folder / "hosts").write_text("".join(lines))
        yield
    finally:
        (folder / "hosts").unlink()
        folder.rmdir()
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


WORKER = """
import sys
import genkai.load.locustfile
import socket
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
except PermissionError as error:
    print(error)
"""


def test_a_worker_elsewhere_refuses_what_the_name_means_there(tmp_path: Path) -> None:
    """On the worker's machine the target's name leads to another host, which is there and would answer."""
    (tmp_path / "target").mkdir()
    with (
        running_machines(2) as (worker, other),
        names_of(worker, shop_test=other.address),
        running_target(tmp_path / "target", address=other.address, within=other.within) as forbidden,
    ):
        plan = make_plan(f"http://shop.test:{forbidden.port}", [{"users": 1}],
                         allow=[{"host": "shop.test", "resolves_to": ["192.0.2.0/24"]}])  # fmt: skip
        job = make_job(Run(tmp_path / "2-api-ok"), plan, "api", "ok")
        there = tmp_path / "there"
        there.mkdir()
        agent.place_job(there, json.loads(job.model_dump_json(by_alias=True)), pack_files(job))
        environment = {**os.environ, "GENKAI_RUN": str(there), "GENKAI_HOST": "elsewhere"}
        command = [*worker.within, sys.executable]
        subprocess.run([*command, "-m", "genkai.load.probe"], env=environment, check=True, timeout=60)
        probe = json.loads((there / "probe.json").read_text())
        said = subprocess.run([*command, "-c", WORKER, other.address, str(forbidden.port)], env=environment,
                              capture_output=True, text=True, check=True, timeout=60).stdout  # fmt: skip
        assert count_connections_taken(other) == 0
    assert (probe["ok"], probe["kind"]) == (False, "blocked")
    assert f"expected shop.test to resolve into 192.0.2.0/24, got {other.address}; nothing was sent" in probe["message"]
    assert f"got {other.address}; nothing was sent" in said
