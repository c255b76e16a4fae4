"""The sink answers what the target answered, to requests that come whole or in parts."""

import base64
import http.client
import json
import socket
import subprocess
import sys

import pytest

from genkai.load.sink import canned_response, is_whole


@pytest.fixture
def sink(tmp_path):
    path = tmp_path / "probe.json"
    body = base64.b64encode(b'{"a": 1}').decode()
    path.write_text(json.dumps({"status": 201, "content_type": "application/json", "body": body}))
    process = subprocess.Popen(
        [sys.executable, "-m", "genkai.load.sink", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield int(process.stdout.readline())
    process.stdin.close()
    assert process.wait(10) == 0, "it ends with its standard input"
    process.stdout.close()


def test_it_answers_like_the_target_did(sink: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", sink, timeout=5)
    for method, body in (("GET", None), ("POST", b"x" * 200_000), ("PUT", b""), ("GET", None)):
        connection.request(method, "/", body)
        response = connection.getresponse()
        assert (response.status, response.read(), response.headers["Content-Type"]) == (
            201, b'{"a": 1}', "application/json")  # fmt: skip
    connection.request("HEAD", "/")
    assert connection.getresponse().read() == b""
    connection.close()


def test_a_request_in_parts_is_answered_once(sink: int) -> None:
    with socket.create_connection(("127.0.0.1", sink), 5) as connection:
        for part in (b"POST / HT", b"TP/1.1\r\nContent-Le", b"ngth: 4\r\n\r\nab", b"cd"):
            connection.sendall(part)
        head, body = canned_response({"status": 201, "content_type": "application/json",
                                      "body": base64.b64encode(b'{"a": 1}').decode()})  # fmt: skip
        received = b""
        while len(received) < len(head):
            received += connection.recv(1000)
        assert received == head
        assert body == head.removesuffix(b'{"a": 1}')


@pytest.mark.parametrize(
    ("request_bytes", "whole"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\n", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", False),
        (b"POST / HTTP/1.1\r\ncontent-length:3\r\n\r\nabc", True),
    ],
)
def test_when_a_request_is_whole(request_bytes: bytes, whole: bool) -> None:
    assert is_whole(request_bytes) is whole
