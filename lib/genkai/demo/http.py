"""A small HTTP/1.1 server connection: keep-alive, pipelining, whole bodies."""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl

import httptools

MAX_BODY_BYTES = 16 * 1024 * 1024
REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class Request(NamedTuple):
    """One request: method, path without query, query parameters, headers as sent, body."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[bytes, bytes]
    body: bytes

    def header(self, name: str) -> str:
        """A header's value, "" when the request has none of that name (any case)."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for key, value in self.headers.items() if key.lower() == wanted), "")


def response(status: int, body: bytes = b"", content_type: bytes = b"application/json", extra: bytes = b"") -> bytes:
    """The bytes of a response; `extra` holds whole header lines, each with its line end."""
    return b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n%b" % (
        status,
        REASONS.get(status, b"Unknown"),
        content_type,
        len(body),
        extra,
        body,
    )


def json_response(status: int, content: object) -> bytes:
    """A response with a JSON body."""
    return response(status, json.dumps(content).encode())


class Traffic:
    """Bytes and connections of one server, counted since its start."""

    __slots__ = ("connections_new", "connections_open", "received", "sent")

    def __init__(self) -> None:
        self.connections_new = self.connections_open = self.received = self.sent = 0


class HTTPConnection(asyncio.Protocol):
    """One client's connection; `handle(connection, request)` must answer each request once, now or later."""

    def __init__(self, handle: Callable[["HTTPConnection", Request], None], traffic: Traffic) -> None:
        self.handle, self.traffic = handle, traffic
        self.parser = httptools.HttpRequestParser(self)
        self.waiting: deque[tuple[Request, bool]] = deque()
        self.busy = self.keep_alive = self.refused = False
        self.transport: asyncio.Transport | None = None
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self.transport = transport  # type: ignore[assignment]
        self.traffic.connections_new += 1
        self.traffic.connections_open += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """The client left."""
        self.traffic.connections_open -= 1
        self.transport = None

    def data_received(self, data: bytes) -> None:
        """Bytes of requests came."""
        self.traffic.received += len(data)
        if self.refused:
            return
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._refuse(400, str(error))

    def on_message_begin(self) -> None:
        """Parser: a request begins."""
        self.url, self.body, self.headers = b"", b"", {}

    def on_url(self, url: bytes) -> None:
        """Parser: a part of the target."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser: one header."""
        self.headers[name] = value

    def on_body(self, body: bytes) -> None:
        """Parser: a part of the body."""
        self.body += body
        if len(self.body) > MAX_BODY_BYTES:
            self._refuse(413, f"body larger than {MAX_BODY_BYTES} bytes")

    def on_message_complete(self) -> None:
        """Parser: a request is whole."""
        if self.refused:
            return
        path, _, query = self.url.decode("latin-1").partition("?")
        method = self.parser.get_method().decode()
        request = Request(
            method, path, dict(parse_qsl(query, keep_blank_values=True)) if query else {}, self.headers, self.body
        )
        self.waiting.append((request, self.parser.should_keep_alive()))
        if not self.busy:
            self._next()

    def _next(self) -> None:
        request, self.keep_alive = self.waiting.popleft()
        self.busy = True
        self.handle(self, request)

    def _refuse(self, status: int, message: str) -> None:
        self.keep_alive, self.refused = False, True
        self.waiting.clear()
        self.answer(json_response(status, {"error": message}))

    def answer(self, message: bytes, keep_alive: bool = True) -> None:
        """Send the response to the request in hand and turn to the next one."""
        self.busy = False
        if self.transport is None:
            return
        self.transport.write(message)
        self.traffic.sent += len(message)
        if not (keep_alive and self.keep_alive):
            self.transport.close()
        elif self.waiting:
            self._next()
