"""The response parser against http.client and by properties."""

import http.client
import io
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from genkai.load.http import Failure
from genkai.load.http.parser import (
    CHUNKED,
    LENGTH,
    MAX_HEAD_BYTES,
    NO_BODY,
    UNTIL_CLOSE,
    HeadCache,
    ResponseParser,
    _parse_every_field,
    parse_head,
)

TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=1, max_size=12)
VALUE = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f\x85\xa0"), max_size=30)
RESERVED = {"content-length", "transfer-encoding", "connection"}
FIELDS = st.lists(st.tuples(TOKEN.filter(lambda n: n.lower() not in RESERVED), VALUE), max_size=6)
STATUS = st.sampled_from([200, 201, 204, 206, 301, 304, 400, 404, 418, 500, 503])


def chunked(body: bytes, cuts: list[int], trailer: bool) -> bytes:
    """The body in chunks that end at the cuts."""
    edges = sorted({0, len(body), *(c for c in cuts if c < len(body))})
    coded = b""
    for start, end in pairwise(edges):
        coded += f"{end - start:X}".encode() + (b";x=1" if trailer else b"") + b"\r\n" + body[start:end] + b"\r\n"
    return coded + b"0\r\n" + (b"X-Trailer: yes\r\n" if trailer else b"") + b"\r\n"


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, str, bool]:
    """Bytes of a valid response, the request's method, and whether the server closes to end it."""
    status, fields, body = draw(STATUS), draw(FIELDS), draw(st.binary(max_size=300))
    # RFC 9112 §6.1: no Transfer-Encoding with 204 and 304 (http.client would read a body there)
    framing = draw(st.sampled_from(["length", "close"] if status in (204, 304) else ["length", "chunked", "close"]))
    method = draw(st.sampled_from(["GET", "GET", "HEAD"]))
    interim = draw(st.integers(0, 2))
    bodiless = status in (204, 304) or method == "HEAD"
    lines = [f"{name}: {value}" for name, value in fields]
    name = draw(st.sampled_from(["Content-Length", "content-length", "CONTENT-LENGTH"]))
    if framing == "length":
        lines.insert(draw(st.integers(0, len(lines))), f"{name}:{draw(st.sampled_from(['', ' ', '  ']))}{len(body)}")
        payload = body
    elif framing == "chunked":
        lines.insert(draw(st.integers(0, len(lines))), "Transfer-Encoding: chunked")
        payload = chunked(body, draw(st.lists(st.integers(1, 300), max_size=5)), draw(st.booleans()))
    else:
        payload = body
    if draw(st.booleans()):
        lines.append("Connection: " + draw(st.sampled_from(["close", "keep-alive", "Keep-Alive, Foo"])))
    head = "\r\n".join([f"HTTP/1.{draw(st.sampled_from([1, 1, 0]))} {status} Some Reason", *lines]) + "\r\n\r\n"
    data = b"HTTP/1.1 100 Continue\r\n\r\n" * interim + head.encode("latin-1")
    return (data if bodiless else data + payload), method, framing == "close" and not bodiless


def parse_by_standard_library(data: bytes, method: str) -> http.client.HTTPResponse:
    class Wire:
        def makefile(self, *_arguments: object) -> io.BytesIO:
            return io.BytesIO(data)

    response = http.client.HTTPResponse(Wire(), method=method)
    response.begin()
    response.body = response.read()
    return response


def feed_all(data: bytes, cuts: list[int], method: str = "GET", closes: bool = False) -> ResponseParser:
    parser = ResponseParser(method == "HEAD")
    edges = sorted({0, len(data), *(c for c in cuts if c < len(data))})
    for start, end in pairwise(edges):
        done = parser.feed(memoryview(data)[start:end])
        assert done == (end == len(data) and not closes)
    if closes:
        assert not parser.complete
        parser.eof()
    return parser


@settings(max_examples=400, deadline=None)
@given(responses(), st.lists(st.integers(1, 900), max_size=12))
def test_any_split_gives_what_http_client_gives(case: tuple[bytes, str, bool], cuts: list[int]) -> None:
    data, method, closes = case
    oracle = parse_by_standard_library(data, method)
    parser = feed_all(data, cuts, method, closes)
    assert parser.complete
    assert parser.received == len(data)
    assert parser.head.status == oracle.status
    assert parser.body == oracle.body
    assert not parser.surplus
    expected = {k.lower(): v.strip() for k, v in oracle.getheaders() if k.lower() not in {"x-trailer"}}
    for name, value in parser.head.headers.items():
        assert value.rpartition(", ")[2].strip() == expected[name].rpartition(", ")[2].strip()


@settings(max_examples=100, deadline=None)
@given(responses())
def test_one_byte_at_a_time(case: tuple[bytes, str, bool]) -> None:
    data, method, closes = case
    parser = feed_all(data, list(range(1, len(data))), method, closes)
    assert parser.body == parse_by_standard_library(data, method).body


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200\r\n\r\n"]))
def test_garbage_ends_in_a_failure_or_a_response(data: bytes, start: bytes) -> None:
    parser = ResponseParser()
    kind = None
    try:
        if not parser.feed(start + data):
            parser.eof()
    except Failure as failure:
        kind = failure.kind
    assert kind in ("protocol", "closed") or (kind is None and parser.complete)


@settings(max_examples=200, deadline=None)
@given(responses(), st.binary(min_size=1, max_size=20), st.integers(0, 900))
def test_bytes_after_the_end_are_reported(case: tuple[bytes, str, bool], surplus: bytes, cut: int) -> None:
    data, method, closes = case
    assume(not closes)
    parser = ResponseParser(method == "HEAD")
    whole = data + surplus
    cut = min(cut, len(data) - 1)
    if cut:
        parser.feed(whole[:cut])
    assert parser.feed(whole[cut:])
    assert parser.surplus


@pytest.mark.parametrize(
    ("head", "framing", "length", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5", LENGTH, 5, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5", LENGTH, 5, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 5", LENGTH, 5, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 7", LENGTH, 7, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close", LENGTH, 5, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: Foo, CLOSE", LENGTH, 5, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5", LENGTH, 5, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive", LENGTH, 5, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked", CHUNKED, 0, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked", CHUNKED, 0, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5", CHUNKED, 0, False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip", UNTIL_CLOSE, 0, False),
        (b"HTTP/1.1 200", UNTIL_CLOSE, 0, False),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5", NO_BODY, 0, True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5", NO_BODY, 0, True),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x", NO_BODY, 0, False),
    ],
)
def test_framing(head: bytes, framing: int, length: int, keep_alive: bool) -> None:
    parsed = parse_head(head)
    assert (parsed.framing, parsed.length, parsed.keep_alive) == (framing, length, keep_alive)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not start with HTTP/1"),
        (b"HTTP/2 200 OK\r\n\r\n", "does not start with HTTP/1"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "status line"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "status line"),
        (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "end in LF"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n", "name: value"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "name: value"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "hexadecimal"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", "hexadecimal"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "CR LF"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 9000, "chunk line"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * (MAX_HEAD_BYTES + 10), "head is longer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * (MAX_HEAD_BYTES + 10) + b"\r\n\r\n", "head is longer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 40, "interim"),
    ],
)
def test_not_http(data: bytes, match: str) -> None:
    with pytest.raises(Failure, match=match) as caught:
        ResponseParser().feed(data)
    assert caught.value.kind == "protocol"


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "before any byte"),
        (b"HTTP/1.1 200 OK\r\nContent-", "inside the head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "inside the body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "inside the body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "inside the body"),
    ],
)
def test_early_end(data: bytes, match: str) -> None:
    parser = ResponseParser()
    if data:
        assert not parser.feed(data)
    with pytest.raises(Failure, match=match) as caught:
        parser.eof()
    assert caught.value.kind == "closed"


def test_large_head_is_read() -> None:
    value = b"v" * (MAX_HEAD_BYTES - 200)
    parser = feed_all(b"HTTP/1.1 200 OK\r\nX: " + value + b"\r\nContent-Length: 2\r\n\r\nok", [7, 1000, 60_000])
    assert parser.head.headers["x"] == value.decode()
    assert parser.body == b"ok"


def test_body_limit_and_counting_only() -> None:
    with pytest.raises(Failure, match="longer than 10 bytes"):
        ResponseParser(max_body=10).feed(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n")
    with pytest.raises(Failure, match="longer than 10 bytes"):
        ResponseParser(max_body=10).feed(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 11)
    parser = ResponseParser(keep_body=False)
    assert parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + b"x" * 11)
    assert (parser.body, parser.body_bytes) == (b"", 11)


def test_repeated_fields_join_but_cookies_stay_apart() -> None:
    head = parse_head(b"HTTP/1.1 200 OK\r\nVary: a\r\nvary: b\r\nSet-Cookie: x=1\r\nset-cookie: y=2, 3")
    assert head.headers["VARY"] == "a, b"
    assert head.headers.get_all("Set-Cookie") == ["x=1", "y=2, 3"]
    assert head.sets_cookie
    assert not head.coded


FRAMING_LINES = st.sampled_from(
    [
        *("Content-Length: 5", "content-length:5", "Content-Length: 7", "Content-Length: 5, 5", "Content-Length: "),
        *("Content-Length: +5", "Content-LengthX: 9", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip"),
        *("Connection: keep-alive", "connection: Keep-Alive", "Connection: close", "Connection: keep-alive, close"),
        *(
            "Connection: keep-alive\r\n , close",
            "Content-Length:\r\n 3",
            "X: y\r\n Content-Length: 4",
            "ConnectionX: close",
        ),
        *("Connection: keep-alivex", "X: Content-Length: 6", "Content-Length: 5\t"),
    ]
)


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(["1.1", "1.0"]), STATUS, st.lists(FRAMING_LINES, max_size=4))
def test_short_way_through_a_head_agrees_with_the_long_one(minor: str, status: int, lines: list[str]) -> None:
    raw = "\r\n".join([f"HTTP/{minor} {status} X", *lines]).encode()

    def outcome(parse: object, *arguments: object) -> object:
        try:
            head = parse(raw, *arguments)
        except Failure as failure:
            return failure.message
        return head.framing, head.length, head.keep_alive, head.status

    assert outcome(parse_head) == outcome(_parse_every_field, raw.lower(), status, minor == "1.1")


def test_cache_returns_the_same_head_and_stays_bounded() -> None:
    cache = HeadCache()
    first = cache.add(b"HTTP/1.1 200 OK\r\nContent-Length: 1")
    assert cache.heads[first.raw] is first
    for number in range(2000):
        cache.add(b"HTTP/1.1 200 OK\r\nContent-Length: %d" % number)
    assert len(cache.heads) <= 512
    with pytest.raises(Failure):
        cache.add(b"nonsense")
    assert b"nonsense" not in cache.heads
