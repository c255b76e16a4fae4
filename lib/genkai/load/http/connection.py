"""One persistent connection that sends ready-made request bytes and reads responses."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import suppress
from math import inf
from time import perf_counter
from typing import Any

from gevent import get_hub, getcurrent

from genkai.load.http.clock import EPOCH_OFFSET
from genkai.load.http.dial import Guard, dial
from genkai.load.http.errors import Failure, failure_from_error
from genkai.load.http.parser import HEADS, LENGTH, ResponseParser
from genkai.load.http.resolve import Resolver
from genkai.load.http.response import Response
from genkai.load.http.target import Target, Timeouts
from genkai.load.http.waiting import READ, WRITE, Waiting

IDEMPOTENT = frozenset((b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"))
SMALL_READ = 16_384  # malloc serves this from its arena; from 128 kB on it would map fresh memory for each read

_known_head = HEADS.heads.get
_resolver = Resolver()
_large = bytearray(262_144)  # kept and shared: no switch happens between filling and emptying it
_large_view = memoryview(_large)


class Connection(Waiting):
    """One kept-alive connection to one target, for one greenlet at a time; also a context manager.

    ``guard(host, ip)`` is asked before every connect and refuses by raising or returning a Failure ("blocked").
    ``keep_body=False`` counts bodies that do not come whole in the first read without keeping them.
    ``connects`` counts connections made, ``connect_s`` is how long the last one took, ``retries`` counts requests
    sent twice.
    """

    def __init__(
        self,
        target: Target,
        timeouts: Timeouts | None = None,
        guard: Guard | None = None,
        *,
        keep_body: bool = True,
        resolver: Resolver | None = None,
    ) -> None:
        super().__init__(timeouts or Timeouts())
        self.target = target
        self.connects = 0
        self.retries = 0
        self.connect_s = 0.0
        self._guard = guard
        self._keep_body = keep_body
        self._resolver = resolver or _resolver
        self._limit = min(self.timeouts.read, self.timeouts.total)
        self._busy = False
        self._stale = False
        self._used = False
        self._stream: Any = None
        self._watcher: Any = None
        self._on_idle: Any = None
        self._send: Any = None
        self._recv: Any = None

    def exchange(self, request: bytes, *, head: bool = False) -> Response:
        """Send one whole request and return its response, connecting first when needed.

        ``head``: its method is HEAD. ``sent`` of the result is when this call began: response times include
        connecting. Raises Failure, with ``sent`` and ``done`` set. The request is sent a second time, on a new
        connection, only when a *reused* connection was closed before any byte of the response and the method is
        idempotent (RFC 9110 §9.2.2) or no byte of the request had been sent.
        """
        if self._busy:
            raise RuntimeError("Connection.exchange: expected one greenlet at a time, got a second; use one each")
        self._busy = True
        start = sent = perf_counter() + EPOCH_OFFSET
        count = data = None
        try:
            if self._stream is None or self._stale:
                start = self._connect(sent)
            self._timed_out = False
            count = 0
            count = self._send(request)
            if count == len(request):
                greenlet = getcurrent()
                if greenlet is not self._greenlet:
                    self._greenlet = greenlet
                    self._switch = greenlet.switch
                self.deadline = start + self._limit
                self._watcher.callback = self._switch
                self._hub_switch()
                self.deadline = inf
                data = self._recv(SMALL_READ)
                response = None if head else self._take_whole(data, sent)
                if response is not None:
                    return response
        except BlockingIOError:
            pass  # woken by the time-out or for nothing, or the send buffer is full: the long way sorts it out
        except BaseException as error:
            return self._recover(error, request, head, sent, count, len(data or b""))
        return self._exchange_on(request, head, sent, count, data)

    def _take_whole(self, data: bytes, sent: float) -> Response | None:
        """The response when ``data`` is exactly one with Content-Length, as most are; else None."""
        end = data.find(b"\r\n\r\n")
        if end <= 0:
            return None
        raw = data[:end]
        found = _known_head(raw) or HEADS.add(raw)
        if found.framing != LENGTH or found.length != len(data) - end - 4 or not found.keep_alive:
            return None
        self._watcher.callback = self._on_idle
        reused = self._used
        self._used = True
        self._busy = False
        return Response(found, data[end + 4 :], len(data), reused, sent, perf_counter() + EPOCH_OFFSET)

    def _exchange_on(self, request: bytes, head: bool, sent: float, count: int, data: bytes | None) -> Response:
        parser = ResponseParser(head, self._keep_body)
        try:
            if count != len(request):
                count = self._send_rest(request, count, sent)
            if data is not None:
                self._take(parser, data)
            while not parser.complete:
                self._read_more(parser, sent)
        except BaseException as error:
            return self._recover(error, request, head, sent, count, parser.received)
        done = perf_counter() + EPOCH_OFFSET
        response = Response(parser.head, parser.body, parser.received, self._used, sent, done)
        self._used = True
        self._busy = False
        if parser.surplus or not parser.head.keep_alive:
            self.close()
        else:
            self._watcher.callback = self._on_idle
        return response

    def _read_more(self, parser: ResponseParser, sent: float) -> None:
        try:
            count = self._stream.recv_into(_large)
        except BlockingIOError:
            self.wait(self._watcher, sent)
        else:
            self._take(parser, _large_view[:count])

    def _take(self, parser: ResponseParser, data: bytes | memoryview) -> None:
        self._timed_out = False  # the limit is one of silence
        if len(data):
            parser.feed(data)
        else:
            parser.eof()

    def _send_rest(self, request: bytes, count: int, sent: float) -> int:
        watcher = get_hub().loop.io(self._stream.fileno(), WRITE)
        self._watcher.callback = self._on_readable_while_sending
        view = memoryview(request)
        try:
            while count < 0 and not self._stream.flush():
                self.wait(watcher, sent)
            while 0 <= count < len(request):
                try:
                    count += self._send(view[count:])
                except BlockingIOError:
                    self.wait(watcher, sent)
        finally:
            watcher.close()
            if not self._watcher.active:
                self._watcher.start(self._on_idle)
        return len(request)

    def _on_readable_while_sending(self) -> None:
        self._watcher.stop()  # an early answer or the end: read after sending; else the hub would spin

    def _recover(
        self, error: BaseException, request: bytes, head: bool, sent: float, count: int | None, received: int
    ) -> Response:
        repeat = (
            self._used
            and not received
            and (count == 0 or request[: request.find(b" ")] in IDEMPOTENT)
            and (isinstance(error, ConnectionError) or (isinstance(error, Failure) and error.kind == "closed"))
        )
        self.close()
        self._busy = False
        if repeat:
            self.retries += 1
            response = self.exchange(request, head=head)
            response.sent = sent
            return response
        if not isinstance(error, OSError | Failure):
            raise error
        failure = failure_from_error(error, connecting=count is None)
        failure.sent, failure.done = sent, perf_counter() + EPOCH_OFFSET
        failure.bytes_received = received
        raise failure from (None if failure is error else error)

    def _connect(self, sent: float) -> float:
        self.close()
        self.enter_hub()
        stream = dial(self, self.target, self._guard, self._resolver, sent)
        self._stream = stream
        self._send = stream.send
        self._recv = stream.recv
        self._watcher = watcher = get_hub().loop.io(stream.fileno(), READ)
        self._on_idle = _idle_callback(weakref.ref(self), watcher)
        watcher.start(self._on_idle)
        self.connects += 1
        start = perf_counter() + EPOCH_OFFSET
        self.connect_s = start - sent
        return start

    def set_timeouts(self, timeouts: Timeouts) -> None:
        """Change the limits from the next exchange on."""
        self.timeouts = timeouts
        self._limit = min(timeouts.read, timeouts.total)
        if self._deadlines is not None:
            self.enter_hub()

    def close(self) -> None:
        """Close the socket, if open; the next exchange connects again."""
        self.leave_hub()
        self._used = self._stale = False
        watcher, stream = self._watcher, self._stream
        self._watcher = self._stream = self._send = self._recv = None
        if watcher is not None:
            watcher.stop()
            watcher.close()
        if stream is not None:
            stream.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()


def _idle_callback(reference: weakref.ref[Connection], watcher: Any) -> Callable[[], None]:
    """What the hub calls when bytes or the end come although no request is under way."""

    def on_idle() -> None:
        connection = reference()
        if connection is None or connection._recv is None:
            watcher.stop()
            return
        try:
            connection._recv(SMALL_READ)
        except BlockingIOError:
            return  # TLS records that carry no data, such as session tickets
        except (OSError, ValueError):
            pass
        connection._stale = True
        watcher.stop()

    return on_idle
