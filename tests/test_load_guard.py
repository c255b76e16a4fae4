"""The guard: addresses by the allow list, and an audit hook that no socket of the process gets around."""

import socket
import subprocess
import sys

import pytest

from genkai.allow import AllowEntry, TargetRefused
from genkai.load.guard import Guard


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
