"""The balancer as a process before real app instances: capacity, surge queue, spill-over, health, counters."""

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from genkai.demo.settings import AppSettings, BalancerSettings
from genkai.demo.world import DemoWorld
from waiting import wait_until

FAST = AppSettings(io_ms=2.0, cpu_ms=0.02)


@contextmanager
def world(app=FAST, instances=2, capacity_rps=0.0, surge_queue=1024, **settings):
    balancer = BalancerSettings(**({"health_interval_s": 0.2} | settings))
    with DemoWorld(instances, capacity_rps, surge_queue, app, balancer, aws=False) as running:
        yield running


def connect(running):
    return http.client.HTTPConnection(running.base_url.removeprefix("http://"), timeout=20)


def get(running, path="/items/1"):
    connection = connect(running)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


@pytest.fixture(scope="module")
def plain():
    with world() as running:
        yield running


def test_requests_are_spread_evenly_over_kept_connections(plain):
    connection = connect(plain)
    before = plain.stats()
    for _ in range(40):
        connection.request("GET", "/items/3")
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["id"]) == (200, 3)
    after = plain.stats()
    connection.close()
    shares = [
        b["statuses"]["200"] - a["statuses"].get("200", 0)
        for a, b in zip(before["instances"], after["instances"], strict=True)
    ]
    assert shares == [20, 20]
    assert after["connections_new"] - before["connections_new"] == 1
    assert all(instance["connections_new"] <= 2 for instance in after["instances"])
    assert after["routed"] - before["routed"] == 40
    assert sum(after["latency"]["counts"].values()) == after["routed"]


def test_by_the_fewest_outstanding_a_slow_instance_gets_less_and_in_turns_it_does_not():
    unequal = (AppSettings(io_ms=60.0, io_spread=0), AppSettings(io_ms=1.0))
    for round_robin in (False, True):
        with world(app=unequal, round_robin=round_robin) as running:
            closed_load(running, 4, 20)
            slow, quick = (instance["statuses"]["200"] for instance in running.stats()["instances"])
        assert (slow == quick) is round_robin, (slow, quick)


def test_bodies_pass_unchanged_even_in_pieces(plain):
    connection = connect(plain)
    connection.connect()
    body = b'{"item": 5, "quantity": 1}' + b" " * 300_000
    message = b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    for at in range(0, len(message), 50_001):
        connection.sock.sendall(message[at : at + 50_001])
    assert connection.sock.recv(65536).startswith(b"HTTP/1.1 201 ")
    connection.close()


def test_pipelined_requests_are_answered_in_order(plain):
    connection = connect(plain)
    connection.connect()
    connection.sock.sendall(b"".join(b"GET /items/%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in (9, 1, 5)))
    received = b""
    while received.count(b'"id"') < 3:
        received += connection.sock.recv(65536)
    connection.close()
    assert received.index(b'"id": 9') < received.index(b'"id": 1') < received.index(b'"id": 5')


def test_a_client_that_asks_for_close_is_closed_and_the_instance_kept(plain):
    assert get(plain) == 200
    before = sum(instance["connections_new"] for instance in plain.stats()["instances"])
    for _ in range(6):
        with socket.create_connection(("127.0.0.1", int(plain.base_url.rsplit(":", 1)[1])), timeout=10) as client:
            client.sendall(b"GET /items/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            received = b"".join(iter(lambda: client.recv(65536), b""))
        assert received.startswith(b"HTTP/1.1 200 ")
    assert sum(instance["connections_new"] for instance in plain.stats()["instances"]) <= before + 2


def test_a_malformed_request_is_answered_400(plain):
    with socket.create_connection(("127.0.0.1", int(plain.base_url.rsplit(":", 1)[1])), timeout=10) as client:
        client.sendall(b"this is not http\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 400 ")
    assert get(plain) == 200


def test_errors_of_the_application_pass_and_are_counted_as_its_own(plain):
    before = plain.stats()["backend_statuses"].get("404", 0)
    assert get(plain, "/nothing") == 404
    assert plain.stats()["backend_statuses"]["404"] == before + 1


@pytest.mark.parametrize(
    ("method", "path", "content", "words"),
    [
        ("POST", "/capacity", {"rps": -1}, "finite number"),
        ("POST", "/capacity", {}, "rps"),
        ("DELETE", "/instances?id=i-none", None, "expected one of"),
        ("GET", "/nothing", None, "no such call"),
    ],
)
def test_the_control_port_says_what_is_wrong(plain, method, path, content, words):
    with pytest.raises(ValueError, match=words):
        plain.control(method, path, content)


def send_together(running, count, path="/items/1"):
    """So many requests on connections of their own, under way when this returns."""
    sent = [connect(running) for _ in range(count)]
    for connection in sent:
        connection.request("GET", path)
    return sent


def statuses_of(sent):
    """How often each status was the answer to what `send_together` sent."""
    statuses = Counter(connection.getresponse().status for connection in sent)
    for connection in sent:
        connection.close()
    return statuses


def closed_load(running, users, requests):
    """Each user sends its requests one after the other; returns statuses and the span in seconds."""
    statuses: Counter[int] = Counter()
    lock = threading.Lock()

    def user(_):
        connection = connect(running)
        mine: Counter[int] = Counter()
        for _ in range(requests):
            connection.request("GET", "/items/1")
            answer = connection.getresponse()
            answer.read()
            mine[answer.status] += 1
        connection.close()
        with lock:
            statuses.update(mine)

    begun = time.monotonic()
    with ThreadPoolExecutor(users) as pool:
        list(pool.map(user, range(users)))
    return statuses, time.monotonic() - begun


def test_capacity_is_a_ceiling_that_queues_and_can_be_warmed():
    with world(capacity_rps=50.0) as running:
        statuses, span = closed_load(running, users=20, requests=5)
        cold = running.stats()
        assert statuses == {200: 100}
        assert 100 / span <= 50 * 1.1
        assert cold["queue"]["max"] >= 10
        # Latency is the time behind the balancer: the wait in the queue (0.4 s here) is not part of it.
        assert cold["latency"]["total_s"] / 100 < 0.5 * cold["queue"]["mean"] / 50
        running.set_capacity(0)
        assert running.stats()["capacity_rps"] == 0
        warm_statuses, warm_span = closed_load(running, users=20, requests=20)
    assert warm_statuses == {200: 400}
    assert 400 / warm_span > 50 * 1.1


def test_what_the_surge_queue_cannot_hold_spills_over():
    with world(capacity_rps=0.01, surge_queue=3) as running:
        sent = send_together(running, 12)
        wait_until(lambda: running.stats()["spilled"] == 8)
        running.set_capacity(0)
        statuses = statuses_of(sent)
        stats = running.stats()
    assert statuses == {200: 4, 503: 8}
    assert stats["own_errors"]["503"] == stats["spilled"] == 8
    assert stats["queue"]["max"] == 3
    assert stats["routed"] == statuses[200] == stats["backend_statuses"]["200"]


def test_the_extremes_of_the_queue_begin_anew_when_the_publisher_has_read_them():
    with world(capacity_rps=0.01, surge_queue=3) as running:
        sent = send_together(running, 4)
        wait_until(lambda: running.stats()["queue"]["now"] == 3)
        running.set_capacity(0)
        assert statuses_of(sent) == {200: 4}
        assert running.control("GET", "/__stats?reset")["queue"]["max"] == 3
        seen = running.stats()["queue"]
    assert (seen["max"], seen["mean"]) == (0, 0)


def test_a_raised_capacity_empties_the_queue_at_once():
    with world(capacity_rps=0.01) as running:
        sent = send_together(running, 4)
        wait_until(lambda: running.stats()["queue"]["now"] == 3)
        running.set_capacity(1000)
        assert statuses_of(sent) == {200: 4}


def test_connections_to_an_instance_are_bounded_and_the_rest_waits():
    slow = AppSettings(io_ms=100.0, io_spread=0.0)
    with world(app=slow, instances=1, max_connections=2) as running:
        balancer = running.services["balancer"].pid
        os.kill(balancer, signal.SIGSTOP)  # what is sent meanwhile comes at once, however slow this process is
        sent = send_together(running, 6)
        os.kill(balancer, signal.SIGCONT)
        assert statuses_of(sent) == {200: 6}
        stats = running.stats()
    assert stats["instances"][0]["connections_new"] == 2
    assert stats["queue"]["max"] == 4


def test_a_killed_instance_goes_out_of_service_and_the_other_one_serves():
    with world() as running:
        gone, stays = running.instance_ids
        os.kill(running.instance_pids[gone], signal.SIGKILL)
        wait_until(lambda: running.stats()["unhealthy"] == 1)
        statuses, _ = closed_load(running, users=4, requests=5)
        assert statuses == {200: 20}
        os.kill(running.instance_pids[stays], signal.SIGKILL)
        wait_until(lambda: running.stats()["healthy"] == 0)
        assert get(running) == 503
        assert running.stats()["spilled"] == 0


def test_an_instance_that_dies_under_a_request_is_a_502():
    with world(app=AppSettings(io_ms=20_000.0, io_spread=0.0), instances=1) as running, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(get, running)
        wait_until(lambda: running.stats()["instances"][0]["outstanding"] == 1)
        os.kill(next(iter(running.instance_pids.values())), signal.SIGKILL)
        assert answer.result(timeout=10) == 502


def test_an_instance_that_answers_too_late_is_a_504():
    with world(app=AppSettings(io_ms=20_000.0, io_spread=0.0), instances=1, timeout_s=0.5) as running:
        assert get(running) == 504
        assert running.stats()["own_errors"] == {"504": 1}


def test_clients_that_left_the_queue_are_not_passed_on():
    with world(capacity_rps=0.1, instances=1) as running:
        assert get(running) == 200
        leaving = [connect(running) for _ in range(5)]
        for connection in leaving:
            connection.request("GET", "/items/1")
        wait_until(lambda: running.stats()["queue"]["now"] == 5)
        for connection in leaving:
            connection.close()
        running.set_capacity(0)
        wait_until(lambda: running.stats()["queue"]["now"] == 0)
        assert running.stats()["client_gone"] >= 4
        assert running.stats()["routed"] <= 2
