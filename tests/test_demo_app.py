"""An app instance as its own process: the API, the worker slots, each fault."""

import http.client
import json
import os
import signal
import threading
import time
from contextlib import contextmanager

import pytest

from genkai.demo.children import Child
from genkai.demo.settings import AppSettings
from waiting import wait_until


@contextmanager
def app(**settings):
    child = Child("genkai.demo.app", AppSettings(**settings).arguments())
    try:
        yield child.ready()["port"], child
    finally:
        child.stop()


def call(port, method="GET", path="/health", body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content.startswith(b"{") else content.decode()
    finally:
        connection.close()


def stats(port, reset=False):
    return call(port, path="/__stats" + ("?reset" if reset else ""))[1]


@contextmanager
def stopped(child):
    """What is sent meanwhile is there all at once when it goes on, however slow the senders were."""
    os.kill(child.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(child.pid, signal.SIGCONT)


def ask_together(child, port, count):
    """The statuses of so many requests that arrive at the same time."""
    waiting = [http.client.HTTPConnection("127.0.0.1", port, timeout=20) for _ in range(count)]
    with stopped(child):
        for connection in waiting:
            connection.request("GET", "/items/1")
    answers = [connection.getresponse().status for connection in waiting]
    for connection in waiting:
        connection.close()
    return answers


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    with app(io_ms=1.0, database=str(tmp_path_factory.mktemp("shop") / "shop.sqlite")) as (number, _):
        yield number


def test_the_api(port):
    assert call(port) == (200, {"status": "ok"})
    assert call(port, path="/items/7") == (200, {"id": 7, "name": "ivory apron 0", "price_yen": 359})
    status, found = call(port, path="/items?q=amber%20bowl")
    assert status == 200
    assert [item["name"] for item in found["items"]] == [f"amber bowl {n}" for n in range(10)]
    status, order = call(port, "POST", "/orders", '{"item": 7, "quantity": 2}')
    assert status == 201
    assert call(port, "POST", "/orders", '{"item": 7, "quantity": 2}')[1]["order"] == order["order"] + 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/items/0", None, 404),
        ("GET", "/items/x", None, 404),
        ("GET", "/nothing", None, 404),
        ("GET", "/orders", None, 405),
        ("POST", "/orders", "no json", 422),
        ("POST", "/orders", '{"item": 7}', 422),
        ("POST", "/orders", '{"item": true, "quantity": 1}', 422),
        ("POST", "/orders", '{"item": 1001, "quantity": 1}', 422),
    ],
)
def test_wrong_calls_are_refused(port, method, path, body, status):
    assert call(port, method, path, body)[0] == status


def test_connections_are_kept_and_pipelined_requests_answered_in_order(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.connect()
    one = b"GET /items/%d HTTP/1.1\r\nHost: x\r\n\r\n"
    connection.sock.sendall(b"".join(one % n for n in (3, 1, 2)))
    received = b""
    while received.count(b'"id"') < 3:
        received += connection.sock.recv(65536)
    connection.close()
    assert received.index(b'"id": 3') < received.index(b'"id": 1') < received.index(b'"id": 2')


def test_counters_grow_by_what_was_asked(port):
    before = stats(port)
    for _ in range(20):
        call(port, path="/items?q=b")
    after = stats(port)
    assert after["statuses"]["200"] - before["statuses"].get("200", 0) == 20
    assert sum(after["service"]["counts"].values()) - sum(before["service"]["counts"].values()) == 20
    assert after["cpu_s"] - before["cpu_s"] >= 20 * 0.0001 * 0.5
    assert after["sent_bytes"] > before["sent_bytes"]


def test_cpu_per_request_follows_the_setting():
    with app(cpu_ms=8.0, io_ms=0.0) as (number, _):
        before = stats(number)["cpu_s"]
        for _ in range(25):
            call(number, path="/items?q=b")
        cost = (stats(number)["cpu_s"] - before) / 25
    assert 0.004 < cost < 0.03  # wide: the machine may change its clock rate between calibration and use


def test_slots_bound_what_is_served_at_once_and_the_rest_waits():
    with app(slots=2, io_ms=150.0, io_spread=0.0) as (number, child):
        answers = ask_together(child, number, 6)
        seen = stats(number)
        stats(number, reset=True)
        assert stats(number)["busy"]["max"] == stats(number)["queue"]["max"] == 0
    assert answers == [200] * 6
    assert seen["busy"]["max"] == 2
    assert seen["queue"]["max"] == 4


def test_the_status_page_needs_a_slot_itself():
    with app(slots=1, io_ms=1500.0, io_spread=0.0) as (number, child):
        assert "BusyWorkers: 1\nIdleWorkers: 0\nQueueLength: 0" in call(number, path="/server-status?auto")[1]
        first = threading.Thread(target=call, args=(number, "GET", "/items/1"))
        first.start()
        wait_until(lambda: stats(number)["busy"]["now"] == 1)
        second = http.client.HTTPConnection("127.0.0.1", number, timeout=20)
        with stopped(child):
            second.request("GET", "/server-status?auto")
        assert second.getresponse().status == 200
        assert stats(number)["queue"]["max"] == 1
        first.join()
        second.close()


def test_a_long_queue_of_requests_without_wait_is_served():
    with app(slots=1, io_ms=1000.0, io_spread=0.0) as (number, _):
        connection = http.client.HTTPConnection("127.0.0.1", number, timeout=20)
        connection.request("GET", "/items/1")
        wait_until(lambda: stats(number)["busy"]["now"] == 1)
        waiting = [http.client.HTTPConnection("127.0.0.1", number, timeout=20) for _ in range(600)]
        for other in waiting:
            other.request("GET", "/health")
        assert connection.getresponse().status == 200
        assert {other.getresponse().status for other in waiting} == {200}
        for other in (connection, *waiting):
            other.close()


def test_queue_limit_answers_503():
    with app(slots=1, queue=1, io_ms=300.0, io_spread=0.0) as (number, child):
        answers = sorted(ask_together(child, number, 6))
    assert answers == [200, 200, 503, 503, 503, 503]


def test_lock_serves_one_at_a_time_with_free_slots_and_no_cpu():
    with app(lock=True, io_ms=60.0, io_spread=0.0) as (number, child):
        before = time.monotonic()
        assert set(ask_together(child, number, 8)) == {200}
        span = time.monotonic() - before
        seen = stats(number)
    assert span >= 8 * 0.058
    assert seen["busy"]["max"] == 8


def test_rate_limit_answers_429():
    with app(rate_limit=0.01, io_ms=0.0) as (number, _):
        assert [call(number, path="/items/1")[0] for _ in range(3)] == [200, 429, 429]
        assert call(number)[0] == 200


def test_fail_ratio_fails_its_share_exactly():
    with app(fail_ratio=0.25, io_ms=0.0) as (number, _):
        answers = [call(number, path="/items/1")[0] for _ in range(20)]
    assert answers.count(500) == 5


def test_stall_stops_the_whole_process():
    with app(stall_every=0.3, stall_for=0.6, io_ms=0.0) as (number, _):
        slowest = 0.0
        deadline = time.monotonic() + 10
        while slowest < 0.3 and time.monotonic() < deadline:
            before = time.monotonic()
            call(number)
            slowest = max(slowest, time.monotonic() - before)
    assert slowest >= 0.3


def test_leak_grows_the_process():
    def resident_bytes(pid):
        with open(f"/proc/{pid}/statm") as page:
            return int(page.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    with app(leak_bytes=1_000_000, io_ms=0.0) as (number, child):
        before = resident_bytes(child.pid)
        for _ in range(40):
            call(number, path="/items/1")
        assert resident_bytes(child.pid) - before > 35_000_000


def test_close_ends_each_connection():
    with app(close=True, io_ms=0.0) as (number, _):
        connection = http.client.HTTPConnection("127.0.0.1", number, timeout=10)
        connection.request("GET", "/items/1")
        connection.getresponse().read()
        assert connection.sock.recv(1) == b""
        connection.close()


def test_settings_survive_the_command_line():
    settings = AppSettings(slots=3, cpu_ms=2.5, lock=True, instance_id="i-1")
    assert AppSettings.parse(settings.arguments()) == settings


def test_sigterm_ends_it_with_exit_code_0():
    with app() as (_, child):
        os.kill(child.pid, signal.SIGTERM)
        assert child.process.wait(30) == 0
