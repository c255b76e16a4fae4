"""Plan-declared calls: rendering, encoding, value sources."""

import http.server
import io
import itertools
import json
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genkai.load.http import (
    CallState,
    CallTemplate,
    Counter,
    RandomInt,
    Rows,
    Target,
    Uuid,
)

TARGET = Target("http", "shop.example", 8080)
TEXT = st.text(max_size=30)


class Received(http.server.BaseHTTPRequestHandler):
    """The standard library's request parser as an oracle."""

    def __init__(self, data: bytes) -> None:
        self.rfile = io.BytesIO(data)
        self.raw_requestline = self.rfile.readline()
        assert self.parse_request(), data
        self.body = self.rfile.read()
        assert len(self.body) == int(self.headers.get("Content-Length", 0))

    def send_error(self, *arguments: object, **_kwargs: object) -> None:
        raise AssertionError(arguments)


def state(**values: object) -> CallState:
    made = CallState()
    made.values.update(values)
    return made


def test_constant_call_is_one_bytes_object() -> None:
    call = CallTemplate(TARGET, "get", "/items?page=1#part", headers={"X-Key": "k", "accept": "text/html"})
    assert call.constant == (
        b"GET /items?page=1 HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: genkai\r\n"
        b"X-Key: k\r\naccept: text/html\r\n\r\n"
    )
    assert call.render(CallState()) is call.constant
    assert not call.head
    assert CallTemplate(TARGET, "HEAD", "/").head


def test_literal_path_is_percent_encoded_once() -> None:
    assert CallTemplate(TARGET, "GET", "/a b/é%20c").constant.startswith(b"GET /a%20b/%C3%A9%20c HTTP/1.1\r\n")


def test_default_port_is_left_out_of_host() -> None:
    assert b"Host: shop.example\r\n" in CallTemplate(Target("https", "shop.example", 443), "GET", "/").constant


@given(TEXT, TEXT)
def test_path_values_come_back_unchanged(segment: str, query: str) -> None:
    call = CallTemplate(TARGET, "GET", "/items/{item}?q={query}&x=1")
    received = Received(call.render(state(item=segment, query=query)))
    parts = urlsplit(received.path)
    assert unquote(parts.path.removeprefix("/items/")) == segment
    assert parse_qs(parts.query, keep_blank_values=True) == {"q": [query], "x": ["1"]}


@given(TEXT, st.one_of(st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False), TEXT))
def test_json_body_values_come_back_unchanged(inside: str, bare: object) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    body = '{"a": {"say \\"x\\" {inside}": {bare}}, "b": "<{inside}>"}'
    received = Received(
        CallTemplate(TARGET, "POST", "/", headers=headers, body=body).render(state(inside=inside, bare=bare))
    )
    assert json.loads(received.body) == {"a": {f'say "x" {inside}': bare}, "b": f"<{inside}>"}


@given(TEXT)
def test_mapping_body_is_sent_as_json(value: str) -> None:
    call = CallTemplate(TARGET, "POST", "/", body={"name": "{value}", "n": [1, None], "é": True})
    received = Received(call.render(state(value=value)))
    assert received.headers["Content-Type"] == "application/json"
    assert json.loads(received.body) == {"name": value, "n": [1, None], "é": True}


@given(TEXT)
def test_form_body_values_come_back_unchanged(value: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    call = CallTemplate(TARGET, "POST", "/", headers=headers, body="user={value}&ok=1")
    received = Received(call.render(state(value=value)))
    assert parse_qs(received.body.decode(), keep_blank_values=True) == {"user": [value], "ok": ["1"]}


def test_bodies_without_values() -> None:
    assert Received(CallTemplate(TARGET, "POST", "/").constant).headers["Content-Length"] == "0"
    assert Received(CallTemplate(TARGET, "POST", "/", body=b"\x00{x}").constant).body == b"\x00{x}"
    assert Received(CallTemplate(TARGET, "PUT", "/", body="größe {{x}}").constant).body.decode() == "größe {x}"
    assert "Content-Length" not in Received(CallTemplate(TARGET, "GET", "/").constant).headers


def test_braces_of_json_are_no_placeholders() -> None:
    assert json.loads(Received(CallTemplate(TARGET, "POST", "/", body={"a": {"b": {}}}).constant).body) == {
        "a": {"b": {}}
    }


def test_header_values() -> None:
    call = CallTemplate(TARGET, "GET", "/", headers={"Authorization": "Bearer {token}"})
    assert Received(call.render(state(token="abc"))).headers["Authorization"] == "Bearer abc"
    with pytest.raises(ValueError, match="control characters"):
        call.render(state(token="abc\r\nX-Evil: 1"))


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"method": "GE T"}, "method: expected a name"),
        ({"path": "items"}, "path: expected it to start with '/'"),
        ({"headers": {"Bad Name": "x"}}, r"headers: expected a field name .* got 'Bad Name'"),
        ({"headers": {"Content-Length": "3"}}, r"headers\.Content-Length"),
        ({"headers": {"X": "a\nb"}}, "control characters"),
        ({"path": "/{idd}", "names": {"id", "page"}}, r"placeholder \{idd\} has no source, known are: id, page"),
    ],
)
def test_wrong_templates_name_the_field(kwargs: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        CallTemplate(TARGET, **{"method": "GET", "path": "/", **kwargs})


def test_value_that_is_not_set_yet() -> None:
    with pytest.raises(KeyError, match="token"):
        CallTemplate(TARGET, "GET", "/{token}").render(CallState())


def test_rows_of_users_do_not_overlap_and_columns_stay_together() -> None:
    rows = [{"user": f"u{n}", "secret": f"s{n}"} for n in range(6)]
    call = CallTemplate(TARGET, "GET", "/{user}/{secret}", names=frozenset(rows[0]))
    assert call.names == {"user", "secret"}
    paths = []
    for user in range(2):
        values = CallState({"accounts": Rows(rows)}, user, 2)
        paths.append([Received(call.render(values)).path for _ in range(4)])
    assert paths == [["/u0/s0", "/u2/s2", "/u4/s4", "/u0/s0"], ["/u1/s1", "/u3/s3", "/u5/s5", "/u1/s1"]]


@given(st.integers(1, 5), st.integers(-5, 100), st.integers(1, 7))
def test_counters_are_unique_over_users(users: int, start: int, step: int) -> None:
    states = [CallState({"n": Counter(start, step)}, user, users) for user in range(users)]
    numbers = [made.draw()["n"] for _ in range(10) for made in states]
    assert sorted(numbers) == [start + step * k for k in range(10 * users)]


def test_random_sources_repeat_by_seed_and_differ_by_user() -> None:
    sources = {
        "number": RandomInt(1, 1000),
        "id": Uuid(),
    }

    def drawn(user: int, seed: int | None) -> list[dict]:
        made = CallState(sources, user, 2, seed)
        return [dict(made.draw()) for _ in range(200)]

    assert drawn(0, 7) == drawn(0, 7)
    assert drawn(0, 7) != drawn(1, 7)
    rows = drawn(0, None)
    assert all(1 <= row["number"] <= 1000 for row in rows)
    assert len({row["id"] for row in rows}) == 200


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Rows([]), "at least one row"),
        (lambda: RandomInt(2, 1), "low ≤ high"),
        (lambda: CallState(user=3, users=3), "user 3 of 3"),
        (lambda: Target("ftp", "h", 1), "http or https"),
        (lambda: Target("http", "", 1), "empty string"),
        (lambda: Target("http", "h", 70_000), "1–65535"),
        (lambda: Target.from_url("//h"), "http://host"),
    ],
)
def test_wrong_sources_and_targets(make: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


def test_cookies_go_into_calls() -> None:
    made = CallState({"n": Counter()}, cookies=True)
    constant, varied = CallTemplate(TARGET, "GET", "/a"), CallTemplate(TARGET, "GET", "/{n}")
    assert constant.render(made) is constant.constant
    made.cookies.set("sid", "1")
    made.cookies.set("admin", "x", path="/admin")
    made.cookies.set("safe", "y", secure=True)
    assert Received(constant.render(made)).headers["Cookie"] == "sid=1"
    requests = [Received(varied.render(made)) for _ in range(2)]
    assert [request.headers["Cookie"] for request in requests] == ["sid=1"] * 2
    numbers = [int(request.path[1:]) for request in requests]
    assert all(b == a + 1 for a, b in itertools.pairwise(numbers))
