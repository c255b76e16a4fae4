"""Connections against real sockets: every way in which a server can answer, stall, close or lie."""

import errno
import resource
import socket
import struct
import threading
import time

import gevent
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genkai.load.http import Connection, Failure, Target, Timeouts, now
from genkai.load.process import free_port
from scripted_server import ScriptedServer, answer, hold, ok

GET = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: 1\r\n\r\n"
SHORT = Timeouts(connect=5, read=0.2)


def connect(server: ScriptedServer, timeouts: Timeouts | None = None, **kwargs: object) -> Connection:
    return Connection(Target.from_url(server.url), timeouts or Timeouts(5, 5, 20), **kwargs)


def failure_of(connection: Connection, request: bytes = GET, head: bool = False) -> Failure:
    with pytest.raises(Failure) as caught:
        connection.exchange(request, head=head)
    failure = caught.value
    assert failure.sent <= failure.done <= now()
    return failure


def test_keep_alive_and_times() -> None:
    with ScriptedServer(answer(ok(b"one"), ok(b"two"))) as server, connect(server) as connection:
        before = now()
        first, second = connection.exchange(GET), connection.exchange(GET)
        assert (first.body, second.body) == (b"one", b"two")
        assert (first.reused, second.reused) == (False, True)
        assert (first.status, first.headers["content-length"]) == (200, "3")
        assert first.bytes_received == len(ok(b"one"))
        assert before <= first.sent <= first.done <= second.sent <= second.done <= now()
        assert abs(now() - time.time()) < 0.5
        assert (server.connections, connection.connects) == (1, 1)
        assert server.requests == [GET, GET]
        assert 0 < connection.connect_s < 5


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([ok(b"hello"), CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"x" * 40, "A: b")]),
    st.lists(st.integers(1, 30), max_size=4),
)
def test_split_anywhere_on_the_wire(response: bytes, pieces: list[int]) -> None:
    body = b"abcdefg" if response is CHUNKED else response.rpartition(b"\r\n\r\n")[2]
    with ScriptedServer(answer(response, pieces=pieces)) as server, connect(server) as connection:
        for _ in range(2):
            result = connection.exchange(GET)
            assert (result.body, result.bytes_received) == (body, len(response))
        assert server.connections == 1


@pytest.mark.parametrize("size", [16_000, 16_384, 70_000, 3_000_000])
@pytest.mark.parametrize("coding", ["length", "chunked", "close"])
def test_large_bodies(size: int, coding: str) -> None:
    body = bytes(range(256)) * (size // 256)
    head = b"HTTP/1.1 200 OK\r\n"
    if coding == "length":
        response = ok(body)
    elif coding == "chunked":
        response = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    else:
        response = head + b"\r\n" + body
    with ScriptedServer(answer(response, close=coding == "close")) as server, connect(server) as connection:
        for count in (1, 2):
            result = connection.exchange(GET)
            assert result.body == body
            assert result.bytes_received == len(response)
            assert server.connections == (count if coding == "close" else 1)
        light = connect(server, keep_body=False)
        assert light.exchange(GET).bytes_received == len(response)
        light.close()


def test_large_request_body() -> None:
    body = b"x" * 8_000_000
    request = b"PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with ScriptedServer(answer(ok(b"taken"))) as server, connect(server) as connection:
        assert connection.exchange(request).body == b"taken"
        assert connection.exchange(GET).reused
        assert server.requests[0] == request


def test_head_and_bodiless_statuses() -> None:
    head_answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
    empty = [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"]
    with ScriptedServer(answer(head_answer, *empty, ok(b""))) as server, connect(server) as connection:
        assert connection.exchange(b"HEAD / HTTP/1.1\r\nHost: t\r\n\r\n", head=True).body == b""
        assert [connection.exchange(GET).status for _ in range(3)] == [204, 304, 200]
        assert server.connections == 1


def test_connection_close_is_obeyed() -> None:
    with ScriptedServer(answer(ok(b"bye", "Connection: close"))) as server, connect(server) as connection:
        assert not any(connection.exchange(GET).reused for _ in range(3))
        assert server.connections == 3


def test_idle_close_by_the_server_is_noticed_without_sending() -> None:
    with ScriptedServer(answer(ok(), close=True)) as server, connect(server) as connection:
        connection.exchange(POST)
        with gevent.Timeout(10):
            while not connection._stale:
                gevent.sleep(0.005)
        assert connection.exchange(POST).status == 200  # would not be repeated: it was never sent on the dead one
        assert (server.connections, connection.retries) == (2, 0)


def close_on_second_request(sock: socket.socket, server: ScriptedServer) -> None:
    server.read_request(sock)
    sock.sendall(ok())
    server.read_request(sock)


def reset_on_second_request(sock: socket.socket, server: ScriptedServer) -> None:
    close_on_second_request(sock, server)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("script", [close_on_second_request, reset_on_second_request])
def test_reused_connection_closed_before_any_byte(script: object) -> None:
    with ScriptedServer(script, answer(ok(b"again"))) as server, connect(server) as connection:
        connection.exchange(GET)
        assert connection.exchange(GET).body == b"again"
        assert (server.connections, connection.retries, len(server.requests)) == (2, 1, 3)
    with ScriptedServer(script, answer(ok(b"again"))) as server, connect(server) as connection:
        connection.exchange(GET)
        assert failure_of(connection, POST).kind in ("closed", "reset")  # POST may have had its effect
        assert (connection.retries, len(server.requests)) == (0, 2)
        assert connection.exchange(POST).body == b"again"


def test_nothing_is_repeated_once_a_byte_of_the_answer_came() -> None:
    script = answer(ok(), b"HTTP/1.1 200 OK\r\nConte", close=True)
    with ScriptedServer(script, answer(ok(b"again"))) as server, connect(server) as connection:
        connection.exchange(GET)
        assert failure_of(connection).kind == "closed"
        assert (connection.retries, len(server.requests)) == (0, 2)


def test_repeated_request_counts_from_its_first_sending() -> None:
    def close_late(sock: socket.socket, server: ScriptedServer) -> None:
        close_on_second_request(sock, server)
        server.stop.wait(0.2)

    with ScriptedServer(close_late, answer(ok(b"again"))) as server, connect(server) as connection:
        connection.exchange(GET)
        response = connection.exchange(GET)
        assert (response.reused, connection.retries) == (False, 1)
        assert response.done - response.sent >= 0.2


def test_one_timer_follows_the_shortest_limit_and_ends_with_the_last_connection() -> None:
    with ScriptedServer(answer(ok())) as server:
        slow, quick = connect(server, Timeouts(60, 60)), connect(server, Timeouts(10, 2))
        slow.exchange(GET)
        deadlines = slow._deadlines
        others = set(deadlines._connections) - {slow}
        assert others or deadlines._tick == 0.25
        quick.exchange(GET)
        assert quick._deadlines is deadlines
        assert deadlines._tick <= 0.1
        slow.close()
        quick.close()
        assert others or deadlines._timer is None


def test_new_connection_closed_before_any_byte_is_not_repeated() -> None:
    with ScriptedServer(lambda sock, server: server.read_request(sock)) as server, connect(server) as connection:
        assert failure_of(connection).kind == "closed"
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "closed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "closed"),
        (b"HTTP/1.1 200 OK\r\nConte", "closed"),
        (b"SMTP ready\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab", "protocol"),
    ],
)
def test_broken_answers(response: bytes, kind: str) -> None:
    with ScriptedServer(answer(response, close=True), answer(ok(b"fine"))) as server, connect(server) as connection:
        failure = failure_of(connection)
        assert (failure.kind, failure.bytes_received) == (kind, len(response))
        assert connection.exchange(GET).body == b"fine"


def test_surplus_bytes_end_the_connection_not_the_response() -> None:
    double = ok(b"one") + ok(b"evil")
    with ScriptedServer(answer(double), answer(ok(b"two"))) as server, connect(server) as connection:
        assert connection.exchange(GET).body == b"one"
        assert connection.exchange(GET).body == b"two"
        assert server.connections == 2


def test_bytes_between_requests_end_the_connection() -> None:
    def talkative(sock: socket.socket, server: ScriptedServer) -> None:
        server.read_request(sock)
        sock.sendall(ok(b"one"))
        taken.wait(30)
        sock.sendall(ok(b"evil"))
        server.stop.wait(30)

    taken = threading.Event()
    with ScriptedServer(talkative, answer(ok(b"two"))) as server, connect(server) as connection:
        assert connection.exchange(GET).body == b"one"
        taken.set()
        with gevent.Timeout(10):
            while not connection._stale:
                gevent.sleep(0.005)
        assert connection.exchange(GET).body == b"two"


def test_read_timeout_and_recovery() -> None:
    with ScriptedServer(hold, answer(ok(b"fine"))) as server, connect(server, SHORT) as connection:
        failure = failure_of(connection)
        assert failure.kind == "timeout_read"
        assert failure.done - failure.sent >= 0.2
        connection.set_timeouts(Timeouts(5, 5))  # a busy machine may take longer than 0.2 s for an answer
        assert connection.exchange(GET).body == b"fine"


def test_slow_loris_runs_into_the_total_limit() -> None:
    def drip(sock: socket.socket, server: ScriptedServer) -> None:
        server.read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not server.stop.wait(0.02):
            sock.sendall(b"x")

    with ScriptedServer(drip) as server, connect(server, Timeouts(5, 0.5, 1.0)) as connection:
        failure = failure_of(connection)
        assert failure.kind == "timeout_total"
        assert failure.bytes_received > 20
        assert failure.done - failure.sent >= 1.0


def test_slow_body_within_the_read_limit_is_fine() -> None:
    """Each byte comes within the limit, the whole does not."""

    def slow(sock: socket.socket, server: ScriptedServer) -> None:
        server.read_request(sock)
        for byte in ok(b"x" * 40):
            sock.sendall(bytes([byte]))
            server.stop.wait(0.03)

    with ScriptedServer(slow) as server, connect(server, Timeouts(5, 2.0)) as connection:
        response = connection.exchange(GET)
        assert response.body == b"x" * 40
        assert response.done - response.sent > 2.0


def test_a_generator_that_looks_late_does_not_blame_the_server() -> None:
    """The rest of the answer came in time; the hub, busy with something else, saw it after the limit."""
    head_wanted, rest_wanted = threading.Event(), threading.Event()

    def in_two_parts(sock: socket.socket, server: ScriptedServer) -> None:
        server.read_request(sock)
        for wanted, part in ((head_wanted, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), (rest_wanted, b"hello")):
            wanted.wait(30)
            sock.sendall(part)
        server.stop.wait(30)

    with ScriptedServer(in_two_parts) as server, connect(server, Timeouts(5, 10.0)) as connection:
        asked = gevent.spawn(connection.exchange, GET)
        with gevent.Timeout(30):
            while not server.requests:
                gevent.sleep(0.005)
            first = connection.deadline
            head_wanted.set()
            while connection.deadline == first:
                gevent.sleep(0.005)
        rest_wanted.set()
        time.sleep(10.5)
        assert asked.get(timeout=10).body == b"hello"


def test_server_that_does_not_read_times_out() -> None:
    def deaf(sock: socket.socket, server: ScriptedServer) -> None:
        server.stop.wait(30)

    with ScriptedServer(deaf) as server, connect(server, SHORT) as connection:
        body = b"x" * 30_000_000
        failure = failure_of(connection, b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert failure.kind == "timeout_read"


def test_early_answer_while_sending() -> None:
    def impatient(sock: socket.socket, server: ScriptedServer) -> None:
        sock.recv(1000)
        sock.sendall(ok(b"too large", "Connection: close", status="413 Content Too Large"))
        while sock.recv(1 << 20):
            pass

    with ScriptedServer(impatient) as server, connect(server) as connection:
        body = b"x" * 8_000_000
        result = connection.exchange(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert (result.status, result.body) == (413, b"too large")


def test_refused() -> None:
    failure = failure_of(Connection(Target("http", "127.0.0.1", free_port())))
    assert (failure.kind, failure.errno) == ("refused", errno.ECONNREFUSED)


def test_reset_in_the_middle() -> None:
    def reset(sock: socket.socket, server: ScriptedServer) -> None:
        server.read_request(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    with ScriptedServer(reset) as server, connect(server) as connection:
        failure = failure_of(connection)
        assert (failure.kind, failure.errno) == ("reset", errno.ECONNRESET)


def test_connect_timeout_when_the_accept_queue_is_full() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        target = Target("http", *listener.getsockname())
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        failure = failure_of(Connection(target, Timeouts(0.3, 5)))
        assert failure.kind == "timeout_connect"
        for filler in fillers:
            filler.close()


def test_no_descriptor_left() -> None:
    with ScriptedServer(answer(ok())) as server, connect(server) as connection:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        gevent.sleep(0)  # the hub has its own descriptors by now
        with socket.socket() as probe:
            lowest = probe.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            failure = failure_of(connection)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert (failure.kind, failure.errno) == ("no_fd", errno.EMFILE)


def test_name_that_does_not_exist() -> None:
    assert failure_of(Connection(Target("http", "no-such-host.invalid", 80))).kind in ("dns", "timeout_connect")


def test_name_with_several_addresses_falls_back() -> None:
    with ScriptedServer(answer(ok(b"v4"))) as server:
        connection = Connection(Target("http", "localhost", server.port), Timeouts(5, 5))
        assert connection.exchange(GET).body == b"v4"
        connection.close()


def test_ipv6() -> None:
    try:
        server = ScriptedServer(answer(ok(b"six")), host="::1")
    except OSError:
        pytest.skip("no IPv6 loopback on this machine")
    with server, connect(server) as connection:
        assert connection.target.host_header == f"[::1]:{server.port}"
        assert connection.exchange(GET).body == b"six"


def test_guard_is_asked_before_every_connect() -> None:
    asked = []

    def guard(host: str, ip: str) -> Failure | None:
        asked.append((host, ip))
        return Failure("blocked", None, None, "not in the allow list") if len(asked) > 1 else None

    script = answer(ok(b"bye", "Connection: close"))
    with ScriptedServer(script) as server, connect(server, guard=guard) as connection:
        assert connection.exchange(GET).status == 200
        assert failure_of(connection).kind == "blocked"
        assert asked == [("127.0.0.1", "127.0.0.1")] * 2
        assert server.connections == 1


def test_guard_that_raises_is_not_hidden() -> None:
    def guard(host: str, ip: str) -> None:
        raise LookupError("broken guard")

    with ScriptedServer(answer(ok())) as server, connect(server, guard=guard) as connection:
        with pytest.raises(LookupError, match="broken guard"):
            connection.exchange(GET)
        assert server.connections == 0


def test_killed_greenlet_closes_and_the_connection_goes_on() -> None:
    with ScriptedServer(hold, answer(ok(b"fine"))) as server, connect(server) as connection:
        greenlet = gevent.spawn(connection.exchange, GET)
        with gevent.Timeout(10):
            while not server.requests:
                gevent.sleep(0.005)
        greenlet.kill()
        assert connection._stream is None
        assert connection.exchange(GET).body == b"fine"


def test_gevent_timeout_passes_through() -> None:
    with ScriptedServer(hold, answer(ok(b"fine"))) as server, connect(server) as connection:
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.1):
            connection.exchange(GET)
        assert connection.exchange(GET).body == b"fine"


def test_second_greenlet_is_refused() -> None:
    with ScriptedServer(hold) as server, connect(server) as connection:
        greenlet = gevent.spawn(connection.exchange, GET)
        with gevent.Timeout(10):
            while not server.requests:
                gevent.sleep(0.005)
        with pytest.raises(RuntimeError, match="one greenlet at a time"):
            connection.exchange(GET)
        greenlet.kill()


def test_sleeping_user_is_not_woken_by_the_server() -> None:
    with ScriptedServer(answer(ok(), close=True)) as server, connect(server) as connection:
        connection.exchange(GET)
        begin = time.monotonic()
        gevent.sleep(0.3)  # the server's close arrives meanwhile
        assert time.monotonic() - begin >= 0.29


def test_many_connections_at_once_keep_their_answers_apart() -> None:
    def echo(sock: socket.socket, server: ScriptedServer) -> None:
        while request := server.read_request(sock):
            sock.sendall(ok(request.partition(b" ")[2].partition(b" ")[0]))

    with ScriptedServer(echo) as server:

        def user(number: int) -> bool:
            with connect(server) as connection:
                wanted = [b"/%d/%d" % (number, turn) for turn in range(50)]
                return [connection.exchange(b"GET %b HTTP/1.1\r\n\r\n" % path).body for path in wanted] == wanted

        assert all(greenlet.get() for greenlet in [gevent.spawn(user, n) for n in range(20)])


def test_forgotten_connections_close_themselves() -> None:
    closed = threading.Event()

    def watch(sock: socket.socket, server: ScriptedServer) -> None:
        server.read_request(sock)
        sock.sendall(ok())
        if not server.read_request(sock):
            closed.set()

    with ScriptedServer(watch) as server:
        connection = connect(server)
        connection.exchange(GET)
        del connection
        assert closed.wait(10)
