"""Ports left towards the target: the kernel's own list, and how many more connections it really gives."""

import json
import socket
import subprocess
import sys
from contextlib import ExitStack

import numpy as np
import psutil
import pytest

from genkai.load import ports
from genkai.load.ports import (
    LOOPBACK_6,
    TIME_WAIT_MS,
    TIMER_TIME_WAIT,
    Ports,
    count_left,
    is_reusable,
    list_held,
    socket_type,
)
from namespaces import running_machines

HERE, FAR = socket.inet_aton("127.0.0.9") + bytes(12), socket.inet_aton("192.0.2.1") + bytes(12)


@pytest.mark.parametrize(
    ("waiting_ms", "destination", "tw_reuse", "reusable"),
    [
        (None, HERE, 1, False), (500, FAR, 1, False), (1500, FAR, 1, True), (1500, FAR, 2, False),
        (1500, HERE, 2, True), (1500, LOOPBACK_6, 2, True), (1500, HERE, 0, False),
    ],
)  # fmt: skip
def test_a_port_in_time_wait_is_free_where_the_kernel_may_reuse_it(waiting_ms, destination, tw_reuse, reusable) -> None:
    held = np.zeros(1, socket_type(88))
    held["destination"] = np.frombuffer(destination, "u1")
    if waiting_ms is not None:
        held["timer"], held["expires_ms"] = TIMER_TIME_WAIT, TIME_WAIT_MS - waiting_ms
    assert is_reusable(held, tw_reuse).tolist() == [reusable]


def local_ports(port: int, **given) -> set[int]:
    return {int(local) for held in list_held(port, **given) for local in held["local"]}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_sockets_towards_a_port_are_those_that_psutil_lists(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with ExitStack() as stack:
        first, second = (stack.enter_context(socket.create_server((address, 0), family=family, backlog=99))
                         for _ in range(2))  # fmt: skip
        for listener, count in ((first, 40), (second, 7)):
            for _ in range(count):
                stack.enter_context(socket.create_connection(listener.getsockname()[:2]))
        port = first.getsockname()[1]
        listed = {c.laddr.port for c in psutil.net_connections("tcp") if c.raddr and c.raddr.port == port}
        assert local_ports(port) == listed
        assert len(listed) == 40
        found = count_left(port)
        inside = sum(p in ports.read_range() for p in listed)
        assert found.total - found.left == inside


def test_the_pieces_of_a_long_answer_add_up_and_let_others_have_their_turn() -> None:
    turns = []
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=2000))
        for _ in range(700):
            stack.enter_context(socket.create_connection(listener.getsockname()))
        assert len(local_ports(listener.getsockname()[1], pause=lambda: turns.append(1))) == 700
    assert len(turns) >= 2


def test_without_a_range_nothing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(ports, "PORT_RANGE", tmp_path / "nothing")
    assert count_left(80) is None


def test_a_kernel_that_refuses_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_STATES", 0)
    monkeypatch.setattr(ports, "_BY_FAMILY", 9999)
    assert count_left(80) is None


SCRIPT = """
import json, socket, time
from genkai.load.ports import count_left
def connect_all(address):
    held = []
    while True:
        try:
            held.append(socket.create_connection(address))
        except OSError as error:
            assert error.errno == 99, error
            return held
def write(name, value):
    with open("/proc/sys/net/ipv4/" + name, "w") as stream:
        stream.write(value)
write("ip_local_port_range", "40000 40199")
write("ip_local_reserved_ports", "40010-40019,40100")
write("tcp_tw_reuse", "0")
servers = [socket.create_server((address, 7000), backlog=999) for address in ("127.0.0.1", "127.0.0.2")]
other = [socket.create_connection(("127.0.0.2", 7000)) for _ in range(30)]
mine = [socket.create_connection(("127.0.0.1", 7000)) for _ in range(80)]
told = [count_left(7000)]
for sock in mine[:40]:
    sock.close()
for _ in range(40):
    peer, _ = servers[0].accept()
    assert peer.recv(1) == b""
    peer.close()
time.sleep(0.1)
told.append(count_left(7000))
more = connect_all(("127.0.0.1", 7000))
told.append(count_left(7000))
given = [len(more)]
write("tcp_tw_reuse", "1")
time.sleep(1.2)
told.append(count_left(7000))
given.append(len(connect_all(("127.0.0.1", 7000))))
told.append(count_left(7000))
print(json.dumps([told, given]))
"""


def test_what_is_left_is_what_the_kernel_still_gives_in_a_namespace_with_a_small_range() -> None:
    """189 of 200 ports can be had. The oracle is the kernel: connections are opened until it has no port left."""
    with running_machines(1) as (machine,):
        done = subprocess.run([*machine.within, sys.executable, "-c", SCRIPT], capture_output=True, text=True,
                              timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    told, given = json.loads(done.stdout)
    told = [Ports(*found) for found in told]
    assert {found.total for found in told} == {189}
    assert [found.left for found in told] == [109, 109, 0, 40, 0]
    assert given == [109, 40]
