"""Making a connection: name, guard, TCP, TLS."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from gevent import Timeout, get_hub
from gevent.monkey import get_original

from genkai.load.http.errors import Failure, failure_from_error
from genkai.load.http.resolve import Address, Resolver
from genkai.load.http.target import Target
from genkai.load.http.tls import TlsStream
from genkai.load.http.waiting import READ, WRITE, Waiting

Guard = Callable[[str, str], "Failure | None"]


def dial(waiting: Waiting, target: Target, guard: Guard | None, resolver: Resolver, sent: float) -> Any:
    """A connected non-blocking socket, or a TlsStream on one; tries each address in turn.

    Raises Failure: ``blocked`` from the guard at the first refused address, else that of the last address tried.
    """
    failure = Failure("dns", None, None, "the name has no address")
    for address in _addresses(waiting, target, resolver):
        check_guard(guard, target.host, address[1][0])
        try:
            return _open(waiting, target, address, sent)
        except OSError as error:
            failure = failure_from_error(error, connecting=True)
        except Failure as error:
            if error.kind.startswith("timeout"):
                raise
            failure = error
    raise failure


def check_guard(guard: Guard | None, host: str, ip: str) -> None:
    """Ask the guard about one address; raises the Failure that it raises or returns."""
    refusal = guard(host, ip) if guard is not None else None
    if refusal is not None:
        raise refusal


def _addresses(waiting: Waiting, target: Target, resolver: Resolver) -> list[Address]:
    limit = min(waiting.timeouts.connect, waiting.timeouts.total)
    with Timeout(limit) as timeout:
        try:
            return resolver.addresses(target)
        except Timeout as error:
            if error is not timeout:
                raise
            raise Failure("timeout_connect", None, None, f"name not resolved within {limit:g} s") from None


def _open(waiting: Waiting, target: Target, address: Address, sent: float) -> Any:
    family, socket_address = address
    sock = get_original("socket", "socket")(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _connect(waiting, sock, socket_address, sent)
        if target.scheme == "http":
            return sock
        stream = TlsStream(sock, target)
        _shake_hands(waiting, sock, stream, sent)
        return stream
    except BaseException:
        sock.close()
        raise


def _connect(waiting: Waiting, sock: Any, address: tuple, sent: float) -> None:
    code = sock.connect_ex(address)
    if code == errno.EINPROGRESS:
        code = _finish_connect(waiting, sock, sent)
    if code:
        raise OSError(code, os.strerror(code))


def _finish_connect(waiting: Waiting, sock: Any, sent: float) -> int:
    watcher = get_hub().loop.io(sock.fileno(), WRITE)
    try:
        while True:
            waiting.wait(watcher, sent, connecting=True)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                return code
            with suppress(OSError):  # not connected yet: woken for nothing
                sock.getpeername()
                return 0
    finally:
        watcher.close()


def _shake_hands(waiting: Waiting, sock: Any, stream: TlsStream, sent: float) -> None:
    loop = get_hub().loop
    readable, writable = loop.io(sock.fileno(), READ), loop.io(sock.fileno(), WRITE)
    try:
        stream.handshake(
            partial(waiting.wait, readable, sent, connecting=True),
            partial(waiting.wait, writable, sent, connecting=True),
        )
    except BlockingIOError as error:
        raise Failure("tls", None, error.errno, "TLS: the handshake stopped half-way") from None
    except ConnectionError as error:
        raise Failure("tls", None, error.errno, "TLS: the server ended the connection in the handshake") from None
    finally:
        readable.close()
        writable.close()
