"""Where HTTP messages end: against httptools, whole, cut anywhere, and damaged."""

import contextlib

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genkai.demo.framing import (
    MalformedError,
    frame_at_close,
    frame_request,
    frame_response,
    without_connection_field,
)

bodies = st.binary(max_size=300)
casings = st.sampled_from([str.lower, str.upper, str.title])


def chunked(body, size):
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@st.composite
def responses(draw):
    body, case = draw(bodies), draw(casings)
    if draw(st.booleans()):
        length, content = case("content-length") + f": {len(body)}", body
    else:
        length, content = case("transfer-encoding") + ": chunked", chunked(body, draw(st.integers(1, 100)))
    fields = [length, "X-Other: content-length 5"]
    if draw(st.booleans()):
        fields.reverse()
    head = "HTTP/1.1 200 OK\r\n" + "".join(line + "\r\n" for line in fields) + "\r\n"
    return head.encode() + content


class Ends:
    complete = False

    def on_message_complete(self):
        self.complete = True


@given(responses(), st.data())
def test_a_response_ends_where_httptools_says_it_ends(message, data):
    ends = Ends()
    httptools.HttpResponseParser(ends).feed_data(message)
    assert ends.complete
    rest = data.draw(st.binary(max_size=20))
    assert frame_response(message + rest) == (len(message), True, 200)
    assert frame_response(message[: data.draw(st.integers(0, len(message) - 1))]) is None


@given(bodies, st.binary(max_size=50))
def test_a_request_ends_after_its_body(body, rest):
    message = b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    assert frame_request(message + rest) == (len(message), True, 0)


@given(st.binary(max_size=400))
def test_noise_is_incomplete_or_malformed_but_never_something_else(noise):
    for frame in (frame_request, frame_response):
        with contextlib.suppress(MalformedError):
            assert frame(noise) is None


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\nHost: x", True),
        (b"GET / HTTP/1.0\r\nHost: x", False),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive", True),
        (b"GET / HTTP/1.1\r\nCONNECTION: close", False),
        (b"GET / HTTP/1.1\r\nX-Connection: close", True),
    ],
)
def test_keep_alive(head, keep_alive):
    assert frame_request(head + b"\r\n\r\n").keep_alive is keep_alive


def test_a_response_without_body_ends_with_its_head():
    message = b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n"
    assert frame_response(message).end == len(message)
    message = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"
    assert frame_response(message) is None
    assert frame_response(message, to_head=True).end == len(message)


def test_a_response_without_length_ends_with_its_connection():
    message = b"HTTP/1.1 200 OK\r\n\r\nsome"
    assert frame_response(message) is None
    assert frame_at_close(message) == (len(message), False, 200)
    assert frame_at_close(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsome") is None


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"hello\r\n\r\n", "request line"),
        (b"GET / HTTP/1.1\r\nContent-Length: five\r\n\r\n", "digits"),
        (b"GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", "larger"),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnope\r\n", "chunk"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 70000, "head larger"),
    ],
)
def test_malformed_requests_say_what_is_wrong(message, words):
    with pytest.raises(MalformedError, match=words):
        frame_request(message)


def test_the_hop_by_hop_field_is_left_out():
    message = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nA: b\r\n\r\nConnection: close"
    assert without_connection_field(message) == b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\nConnection: close"
