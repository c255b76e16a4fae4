"""LeanClient and LeanHttpUser: FastHttpUser's calls, reported through locust's events.

locust patches the standard library when it is imported, so these tests run in a pytest process of their own, which
``test_in_a_process_of_its_own`` starts.
"""

import base64
import gzip
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genkai.load.http import Failure, Timeouts
from scripted_server import ScriptedServer, answer, hold, ok

CHILD = "GENKAI_TEST_LOCUST_CHILD"
if CHILD in os.environ:
    import locust  # noqa: F401  (patches threads and sockets, before any of them is made)


def in_child(test: object) -> object:
    """Keep a test out of the parent process, where locust must not be imported."""
    return test if CHILD in os.environ else None


@pytest.mark.skipif(CHILD in os.environ, reason="this is the child process")
def test_in_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=60", __file__]
    done = subprocess.run(
        command,
        env={**os.environ, CHILD: "1"},
        capture_output=True,
        text=True,
        timeout=240,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 25


def make(url: str, **kwargs: object) -> tuple:
    """A client and the list of what it reports."""
    from locust.event import EventHook

    from genkai.load.http import LeanClient

    fired: list[dict] = []
    event = EventHook()
    event.add_listener(lambda **meta: fired.append(meta))
    return LeanClient(url, event, timeouts=kwargs.pop("timeouts", Timeouts(5, 5)), **kwargs), fired


def route(**answers: object) -> object:
    """A script that answers by path; a callable gets the request."""

    def script(sock: socket.socket, server: ScriptedServer) -> None:
        while request := server.read_request(sock):
            path = request.split(b" ")[1].decode().partition("?")[0]
            found = answers.get(path.strip("/").replace("/", "_") or "root", ok(b"no", status="404 Not Found"))
            sock.sendall(found(request) if callable(found) else found)

    return script


def redirect(status: int, location: str, *fields: str) -> bytes:
    return ok(b"moved", f"Location: {location}", *fields, status=f"{status} Moved")


def fields_of(request: bytes) -> dict[str, str]:
    lines = request.decode("latin-1").partition("\r\n\r\n")[0].split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines)


@in_child
def test_get_is_reported_with_locusts_arguments() -> None:
    with ScriptedServer(answer(ok(b'{"a": 1}', "Content-Type: application/json"))) as server:
        client, fired = make(server.url)
        before = time.time()
        response = client.get("/items?x=1", name="items", context={"k": "v"})
        assert (response.status_code, response.ok, response.json(), response.text) == (200, True, {"a": 1}, '{"a": 1}')
        assert response.headers["Content-Type"] == "application/json"
        assert response.reason == "OK"
        assert response.elapsed.total_seconds() == pytest.approx(response.done - response.sent, abs=2e-6)
        [meta] = fired
        assert {k: meta[k] for k in ("request_type", "name", "response_length", "exception", "context", "url")} == {
            "request_type": "GET",
            "name": "items",
            "response_length": 8,
            "exception": None,
            "context": {"k": "v"},
            "url": server.url + "/items?x=1",
        }
        assert meta["response"] is response
        assert meta["start_time"] == response.sent == pytest.approx(before, abs=1)
        assert meta["response_time"] == pytest.approx((response.done - response.sent) * 1000)
        client.get("/items?x=1")
        assert fired[1]["name"] == "/items?x=1"
        assert server.connections == 1
        assert set(fields_of(server.requests[0])) == {"Host", "User-Agent", "Accept", "Accept-Encoding"}
        client.close()


@in_child
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options", "head"])
def test_methods(method: str) -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + (b"" if method == "head" else b"hello")
    with ScriptedServer(answer(reply)) as server:
        client, fired = make(server.url)
        for _ in range(2):
            assert getattr(client, method)("/").content == (b"" if method == "head" else b"hello")
        assert [meta["request_type"] for meta in fired] == [method.upper()] * 2
        assert all(request.startswith(method.upper().encode() + b" / ") for request in server.requests)
        assert server.connections == 1


@in_child
@pytest.mark.parametrize(
    ("kwargs", "body", "kind"),
    [
        ({"json": {"a": [1, "é"]}}, json.dumps({"a": [1, "é"]}).encode(), "application/json"),
        ({"data": {"a": "1 2", "b": ["x", "y"]}}, b"a=1+2&b=x&b=y", "application/x-www-form-urlencoded"),
        ({"data": "text é"}, "text é".encode(), None),
        ({"data": b"\x00\x01"}, b"\x00\x01", None),
        ({"data": "x", "json": {"ignored": 1}}, b"x", None),
        ({"json": {}, "headers": {"content-type": "application/vnd.x+json"}}, b"{}", "application/vnd.x+json"),
    ],
)
def test_bodies(kwargs: dict, body: bytes, kind: str | None) -> None:
    with ScriptedServer(answer(ok())) as server:
        client, _ = make(server.url)
        client.post("/", **kwargs)
        fields = {name.lower(): value for name, value in fields_of(server.requests[0]).items()}
        assert server.requests[0].partition(b"\r\n\r\n")[2] == body
        assert (fields.get("content-type"), fields["content-length"]) == (kind, str(len(body)))


@in_child
def test_multipart_files() -> None:
    with ScriptedServer(answer(ok())) as server:
        client, _ = make(server.url)
        client.post("/", data={"a": "1"}, files={"f": ("name.txt", b"content", "text/plain")})
        kind = fields_of(server.requests[0])["Content-Type"]
        assert kind.startswith("multipart/form-data; boundary=")
        body = server.requests[0].partition(b"\r\n\r\n")[2]
        assert b'name="f"; filename="name.txt"\r\nContent-Type: text/plain\r\n\r\ncontent' in body


@in_child
def test_params_headers_auth_and_urls() -> None:
    with ScriptedServer(answer(ok())) as server:
        client, _ = make(server.url.replace("//", "//ann:p%40ss@"), headers={"X-All": "1", "user-agent": "mine"})
        client.get("/a b/é", params={"q": "x y", "n": [1, 2]}, headers={"X-One": "2", "x-all": "3"})
        client.get(server.url + "/other?x=1", params={"y": 2}, auth=("bob", "secret"))
        lines = [request.split(b"\r\n")[0] for request in server.requests]
        assert lines == [b"GET /a%20b/%C3%A9?q=x+y&n=1&n=2 HTTP/1.1", b"GET /other?x=1&y=2 HTTP/1.1"]
        first, second = fields_of(server.requests[0]), fields_of(server.requests[1])
        assert (first["X-One"], first["x-all"], first["user-agent"]) == ("2", "3", "mine")
        assert not {"X-All", "User-Agent"} & set(first)
        assert base64.b64decode(first["Authorization"].split()[1]) == b"ann:p@ss"
        assert base64.b64decode(second["Authorization"].split()[1]) == b"bob:secret"
        assert "ann" not in client.base_url
        with pytest.raises(ValueError, match="without line breaks"):
            client.get("/", headers={"X": "a\r\nEvil: 1"})


@in_child
@pytest.mark.parametrize(("status", "kind"), [(404, "http_4xx"), (500, "http_5xx")])
def test_error_statuses_are_failures_with_a_response(status: int, kind: str) -> None:
    with ScriptedServer(answer(ok(b"why", status=f"{status} X"))) as server:
        client, fired = make(server.url)
        response = client.get("/")
        assert (response.status_code, response.ok, response.text, response.error.kind) == (status, False, "why", kind)
        assert fired[0]["exception"] is response.error
        with pytest.raises(Failure, match=f"HTTP {status}"):
            response.raise_for_status()


@in_child
def test_no_response_is_returned_as_an_error() -> None:
    with ScriptedServer(hold) as server:
        client, fired = make(server.url)
        response = client.get("/", timeout=0.2)
        assert (response.status_code, response.content, response.text, response.ok) == (0, None, None, False)
        assert (response.error.kind, dict(response.headers)) == ("timeout_read", {})
        assert fired[0]["exception"].kind == "timeout_read"
        assert fired[0]["response_time"] >= 200
        assert fired[0]["response_length"] == 0
        with pytest.raises(Failure, match="no byte from the server"):
            response.json()


@in_child
def test_timeout_of_one_call_ends_with_it() -> None:
    with ScriptedServer(answer(ok(b"x" * 10), pieces=[45, 2, 2])) as server:
        client, _ = make(server.url)
        client.get("/", timeout=(3, 4))
        [connection] = client._sites[("http", "127.0.0.1", server.port)].idle
        assert connection.timeouts == client.timeouts == Timeouts(5, 5)


@in_child
def test_catch_response() -> None:
    from locust.exception import CatchResponseError, LocustError, ResponseError

    with ScriptedServer(route(root=ok(b"fine"))) as server:
        client, fired = make(server.url)
        with client.get("/", catch_response=True) as response:
            assert not fired
            response.failure("wrong text")
        assert isinstance(fired[0]["exception"], CatchResponseError)
        with client.get("/missing", catch_response=True) as response:
            response.success()
        assert fired[1]["exception"] is None
        with client.get("/missing", catch_response=True):
            pass
        assert fired[2]["exception"].kind == "http_4xx"
        with client.get("/", catch_response=True) as response:
            raise ResponseError("inside")
        assert "inside" in str(fired[3]["exception"])
        with pytest.raises(KeyError), client.get("/", catch_response=True):
            raise KeyError("bug in the task")
        assert len(fired) == 4
        with pytest.raises(LocustError, match="catch_response=True"):
            client.get("/").failure("x")
        with pytest.raises(LocustError, match="catch_response=True"), client.get("/"):
            pass


@in_child
def test_rename_request() -> None:
    with ScriptedServer(answer(ok())) as server:
        client, fired = make(server.url)
        with client.rename_request("group"):
            client.get("/1")
            client.get("/2", name="own")
        client.get("/3")
        assert [meta["name"] for meta in fired] == ["group", "own", "/3"]


@in_child
def test_redirects() -> None:
    script = route(
        root=redirect(302, "/a?x=1"), a=redirect(301, "b"), b=redirect(303, "/c", "Set-Cookie: n=1; Path=/"),
        c=ok(b"end"), loop=redirect(302, "/loop"), keep=redirect(307, "/c"), out=redirect(302, "ftp://x/"),
    )  # fmt: skip
    with ScriptedServer(script) as server:
        client, fired = make(server.url, max_redirects=5)
        response = client.post("/", data="body", headers={"Content-Type": "text/plain", "X": "1"})
        assert (response.text, len(response.history)) == (b"end".decode(), 3)
        assert [r.split(b" HTTP")[0] for r in server.requests] == [b"POST /", b"GET /a?x=1", b"GET /b", b"GET /c"]
        last = fields_of(server.requests[-1])
        assert (last["X"], last["Cookie"], "Content-Type" in last) == ("1", "n=1", False)
        assert len(fired) == 1
        assert fired[0]["url"] == server.url + "/"
        assert client.post("/keep", data="body").text == "end"
        assert server.requests[-1].startswith(b"POST /c")
        assert server.requests[-1].endswith(b"\r\n\r\nbody")
        assert client.get("/", allow_redirects=False).status_code == 302
        assert client.get("/loop").error.message == "more than 5 redirects"
        assert client.get("/out").error.kind == "protocol"
        assert server.connections == 1


@in_child
def test_redirect_to_another_site_is_guarded_and_loses_secrets() -> None:
    asked = []

    def guard(host: str, ip: str) -> Failure | None:
        asked.append(host)
        return Failure("blocked", None, None, "not allowed") if host == "localhost" else None

    with ScriptedServer(answer(ok(b"other"))) as other:
        with ScriptedServer(
            route(root=redirect(302, other.url + "/x"), bad=redirect(302, f"http://localhost:{other.port}/"))
        ) as server:
            client, _ = make(server.url, guard=guard)
            client.cookiejar.set("sid", "1")
            response = client.get("/", headers={"Authorization": "Bearer s", "Cookie": "own=1"}, auth=None)
            assert response.text == "other"
            assert "Authorization" not in fields_of(other.requests[0])
            assert "own=1" not in fields_of(other.requests[0]).get("Cookie", "")
            assert client.get("/bad").error.kind == "blocked"
            assert other.connections == 1
        assert asked == ["127.0.0.1", "127.0.0.1", "localhost"]


@in_child
def test_cookies_are_kept_per_client() -> None:
    script = route(
        login=ok(b"in", "Set-Cookie: sid=7; Path=/"),
        root=lambda request: ok(fields_of(request).get("Cookie", "-").encode()),
    )
    with ScriptedServer(script) as server:
        client, _ = make(server.url)
        assert client.get("/").text == "-"
        client.get("/login")
        assert [client.get("/").text for _ in range(2)] == ["sid=7"] * 2
        assert client.get("/", headers={"Cookie": "mine=1"}).text == "mine=1"
        assert make(server.url)[0].get("/").text == "-"
        client.cookiejar.clear()
        assert client.get("/").text == "-"


@in_child
def test_gzip_and_charset() -> None:
    body = gzip.compress("grün".encode("latin-1"))
    with ScriptedServer(
        answer(ok(body, "Content-Encoding: gzip", "Content-Type: text/plain; charset=latin-1"))
    ) as server:
        client, fired = make(server.url)
        assert client.get("/").text == "grün"
        assert fired[0]["response_length"] == len(body)


@in_child
def test_parallel_calls_of_one_client_use_connections_of_their_own() -> None:
    import gevent

    with ScriptedServer(
        lambda sock, server: (server.read_request(sock), gevent.sleep(0.1), sock.sendall(ok(b"late")))
    ) as server:
        client, _ = make(server.url)
        greenlets = [gevent.spawn(client.get, f"/{n}") for n in range(5)]
        assert [greenlet.get(timeout=10).text for greenlet in greenlets] == ["late"] * 5
        assert server.connections == 5


@in_child
def test_user_in_a_locust_run() -> None:
    import gevent
    from locust import constant, task
    from locust.env import Environment
    from locust.stats import stats_history  # noqa: F401  (locust's statistics listen to the events)

    from genkai.load.http import LeanHttpUser

    with ScriptedServer(route(root=ok(b'{"n": 1}'), bad=ok(b"no", status="500 X"))) as server:

        class Shop(LeanHttpUser):
            host = server.url
            wait_time = constant(0.01)
            default_headers = {"X-Shop": "1"}

            @task
            def look(self) -> None:
                self.client.get("/")
                self.client.get("/bad", name="bad")
                with self.rest("GET", "/", name="rest") as response:
                    assert response.js == {"n": 1}
                    assert response.js["n"] == 2, "wrong number"

        environment = Environment(user_classes=[Shop])
        runner = environment.create_local_runner()
        runner.start(3, spawn_rate=100)
        with gevent.Timeout(20):
            while environment.stats.total.num_requests < 60:
                gevent.sleep(0.05)
        runner.quit()
        entries = {name: entry for (name, _method), entry in environment.stats.entries.items()}
        assert set(entries) == {"/", "bad", "rest"}
        assert entries["/"].num_failures == 0
        assert entries["bad"].num_failures == entries["bad"].num_requests > 0
        assert entries["rest"].num_failures == entries["rest"].num_requests > 0
        assert server.connections == 3
        assert fields_of(server.requests[0])["X-Shop"] == "1"


@in_child
def test_user_without_host() -> None:
    from locust.env import Environment
    from locust.exception import StopTest

    from genkai.load.http import LeanHttpUser

    with pytest.raises(StopTest, match="base URL"):
        LeanHttpUser(Environment())


@in_child
def test_guard_of_the_class_and_insecure_default() -> None:
    from locust.env import Environment

    from genkai.load.http import LeanHttpUser

    class Guarded(LeanHttpUser):
        host = "http://127.0.0.1:9"

        def guard(host: str, ip: str) -> Failure:
            return Failure("blocked", None, None, f"no load on {ip}")

    user = Guarded(Environment())
    assert user.client.get("/").error.message == "no load on 127.0.0.1"
    assert user.client._tls.verify
