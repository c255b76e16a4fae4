"""Checks, cookies, content codings and the kinds of failure."""

import errno
import gzip
import json
import pickle
import socket
import ssl
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genkai.load.http import EXISTS, KINDS, Check, Failure, Response, now
from genkai.load.http.checks import json_path
from genkai.load.http.cookies import Cookies
from genkai.load.http.errors import failure_from_error, failure_from_status
from genkai.load.http.headers import Headers
from genkai.load.http.parser import parse_head


def response(body: bytes = b"", status: int = 200, *fields: str) -> Response:
    head = "\r\n".join([f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *fields])
    return Response(parse_head(head.encode()), body, len(head) + 4 + len(body), False, 0.0, 1.0)


@pytest.mark.parametrize(
    ("check", "answer", "kind", "message"),
    [
        (Check(), response(), None, ""),
        (Check(), response(status=302), None, ""),
        (Check(), response(status=404), "http_4xx", "HTTP 404"),
        (Check(), response(status=503), "http_5xx", "HTTP 503"),
        (Check({200}), response(status=302), "http_other", "HTTP 302"),
        (Check({404}), response(status=404), None, ""),
        (Check({200, 201}), response(status=201), None, ""),
        (Check(text="café"), response("un café".encode()), None, ""),
        (Check(text="tea"), response(b"coffee"), "check", "text: expected 'tea'"),
        (Check(text="tea"), response(b"coffee", 500), "http_5xx", "HTTP 500"),
        (Check(json={"a": 1}), response(b"<html>"), "check", "expected a JSON body"),
        (Check(json={"a.b[1].c": "x"}), response(b'{"a": {"b": [0, {"c": "x"}]}}'), None, ""),
        (Check(json={"$.a.b[1].c": "x"}), response(b'{"a": {"b": [0, {"c": "x"}]}}'), None, ""),
        (Check(json={"[0]": 5}), response(b"[5]"), None, ""),
        (Check(json={"a": 1}), response(b'{"a": 2}'), "check", "json a: expected 1"),
        (Check(json={"a": 1}), response(b'{"a": true}'), "check", "json a: expected 1"),
        (Check(json={"a": EXISTS}), response(b'{"a": null}'), None, ""),
        (Check(json={"a.b": EXISTS}), response(b'{"a": []}'), "check", "json a.b: expected a value"),
        (Check(json={"a[3]": EXISTS}), response(b'{"a": [1]}'), "check", "got none"),
        (Check(json={"a[0]": EXISTS}), response(b'{"a": "text"}'), "check", "got none"),
        (Check(text="hello"), response(gzip.compress(b"hello"), 200, "Content-Encoding: gzip"), None, ""),
        (Check(text="hello"), response(b"hello", 200, "Content-Encoding: gzip"), "protocol", "not valid gzip"),
        (Check(text="hello"), response(b"hello", 200, "Content-Encoding: zstd"), "protocol", "'zstd'"),
    ],
)
def test_checks(check: Check, answer: Response, kind: str | None, message: str) -> None:
    failure = check(answer)
    if kind is None:
        assert failure is None
    else:
        assert (failure.kind, failure.status) == (kind, answer.status)
        assert message in failure.message


NAMES = st.text("abcxyz_", min_size=1, max_size=4)


@given(
    st.recursive(st.integers(), lambda inner: st.lists(inner, min_size=1) | st.dictionaries(NAMES, inner, min_size=1)),
    st.data(),
)
def test_any_path_in_a_document_is_found(document: object, data: st.DataObject) -> None:
    path, value = "$", document
    while isinstance(value, list | dict):
        step = data.draw(st.sampled_from(range(len(value)) if isinstance(value, list) else sorted(value)))
        path += f"[{step}]" if isinstance(value, list) else f".{step}"
        value = value[step]
    answer = response(json.dumps(document).encode())
    assert Check(json={path: value})(answer) is None
    assert Check(json={path: value + 1})(answer).kind == "check"


@pytest.mark.parametrize("path", ["a[", "a[x]", "a..b", "a]"])
def test_unreadable_paths(path: str) -> None:
    with pytest.raises(ValueError, match="json path"):
        json_path(path)


@given(st.binary(max_size=2000))
def test_content_codings_round_trip(body: bytes) -> None:
    raw = zlib.compressobj(wbits=-15)
    coded = {
        "gzip": gzip.compress(body),
        "deflate": zlib.compress(body),
        "Deflate": raw.compress(body) + raw.flush(),
        "identity": body,
        "deflate, gzip": gzip.compress(zlib.compress(body)),
    }
    for coding, data in coded.items():
        assert response(data, 200, f"Content-Encoding: {coding}").content == body


@pytest.mark.parametrize(
    ("error", "connecting", "kind"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), True, "refused"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), False, "reset"),
        (BrokenPipeError(errno.EPIPE, "pipe"), False, "reset"),
        (OSError(errno.EADDRNOTAVAIL, "no address"), True, "no_port"),
        (OSError(errno.EMFILE, "files"), True, "no_fd"),
        (OSError(errno.ENFILE, "files"), True, "no_fd"),
        (OSError(errno.EHOSTUNREACH, "no route"), True, "refused"),
        (TimeoutError(errno.ETIMEDOUT, "timed out"), True, "timeout_connect"),
        (TimeoutError(errno.ETIMEDOUT, "timed out"), False, "timeout_read"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), True, "dns"),
        (ssl.SSLError(1, "handshake"), True, "tls"),
    ],
)
def test_kinds_from_errors(error: OSError, connecting: bool, kind: str) -> None:
    failure = failure_from_error(error, connecting)
    assert (failure.kind, failure.errno) == (kind, error.errno)
    assert failure.kind in KINDS


def test_failures_pass_unchanged_and_survive_pickling() -> None:
    failure = failure_from_status(429)
    assert failure_from_error(failure, connecting=True) is failure
    copy = pickle.loads(pickle.dumps(failure))
    assert (copy.kind, copy.status, copy.errno, copy.message) == ("http_4xx", 429, None, "HTTP 429")
    with pytest.raises(ValueError, match=r"Failure\.kind: expected one of"):
        Failure("nonsense")


def stored(*lines: str, request_path: str = "/shop/cart") -> Cookies:
    cookies = Cookies()
    cookies.store(Headers([("Set-Cookie", line) for line in lines]), request_path)
    return cookies


@pytest.mark.parametrize(
    ("lines", "path", "secure", "header"),
    [
        (["a=1; Path=/"], "/", False, "a=1"),
        (["a=1; Path=/", "b=x=y; Path=/"], "/any", False, "a=1; b=x=y"),
        (["a=1; Path=/", "a=2; Path=/"], "/", False, "a=2"),
        (["a=1"], "/shop/x", False, "a=1"),
        (["a=1"], "/shopping", False, ""),
        (["a=1; Path=/adm"], "/adm/x?y=/z", False, "a=1"),
        (["a=1; Path=/", "b=2; Path=/adm"], "/adm", False, "b=2; a=1"),
        (["a=1; Path=/; Secure"], "/", False, ""),
        (["a=1; Path=/; Secure; HttpOnly"], "/", True, "a=1"),
        (["a=1; Path=/; Max-Age=0"], "/", False, ""),
        (["a=1; Path=/", "a=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], "/", False, ""),
        (["a=1; Path=/; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], "/", False, "a=1"),
        (["a=1; Path=/; Expires=nonsense"], "/", False, "a=1"),
        (["nonsense", "=x"], "/", False, ""),
    ],
)
def test_cookies(lines: list[str], path: str, secure: bool, header: str) -> None:
    assert stored(*lines).header(path, secure) == header


def test_cookie_values_and_end() -> None:
    cookies = stored("a=1; Path=/")
    cookies.set("b", "2", expires=now() + 3600)
    assert (cookies.get("a"), cookies.get("c", "none"), "b" in cookies, len(cookies)) == ("1", "none", True, 2)
    end = now() + 0.05
    cookies.set("b", "2", expires=end)
    while now() <= end:
        time.sleep(0.01)
    assert cookies.header("/") == "a=1"
    cookies.set("b", "2", expires=now() - 1)
    assert len(cookies) == 1
    assert cookies.header("/") == "a=1"
    cookies.clear()
    assert (cookies.header("/"), len(cookies)) == ("", 0)
