"""TLS over a non-blocking socket, with the methods of the socket that a connection uses."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

from genkai.load.http.errors import Failure
from genkai.load.http.target import Target, TlsSettings

_RAW_BYTES = 16_384 + 512  # one record; small enough that malloc never maps fresh memory for it


@lru_cache(maxsize=64)
def tls_context(settings: TlsSettings) -> ssl.SSLContext:
    """The context for the settings, made once; raises Failure (tls) naming the files when one cannot be used."""
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file, settings.key_password)
    except OSError as error:
        files = ", ".join(filter(None, (settings.ca_file, settings.cert_file, settings.key_file)))
        raise Failure("tls", None, error.errno, f"TLS settings: expected PEM files, got {error} ({files})") from None
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


class TlsStream:
    """A TLS client on a connected non-blocking socket: ``send``, ``recv``, ``recv_into`` as a socket has them.

    They raise BlockingIOError where the socket would; a read of 0 bytes is the peer's end.
    """

    def __init__(self, sock: Any, target: Target) -> None:
        self._sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        name = target.tls.server_name or target.host.partition("%")[0]
        context = tls_context(target.tls)
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self._unsent = b""
        self._recv_raw = sock.recv

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._sock.fileno()

    @property
    def version(self) -> str | None:
        """The protocol version that was agreed on, such as ``TLSv1.3``."""
        return self._tls.version()

    def handshake(self, wait_readable: Callable[[], None], wait_writable: Callable[[], None]) -> None:
        """Shake hands, waiting by the two calls; raises ssl.SSLError or OSError."""
        for _ in range(64):
            done = self._advance_handshake()
            while not self.flush():
                wait_writable()
            if done:
                return
            self._fill_waiting(wait_readable)
        raise ssl.SSLError(1, "handshake needs more than 64 round trips")

    def _advance_handshake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError:
            self.flush()  # the alert tells the server why
            raise
        return True

    def _fill_waiting(self, wait_readable: Callable[[], None]) -> None:
        while True:
            wait_readable()
            with suppress(BlockingIOError):
                return self._fill()

    def _fill(self) -> None:
        data = self._recv_raw(_RAW_BYTES)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def send(self, data: bytes | memoryview) -> int:
        """Encrypt ``data`` and send it; its length, or -1 when ``flush`` has to send the rest."""
        if self._tls.pending() or self._incoming.pending:
            self._expect_no_data()
        count = self._tls.write(data)
        self._unsent += self._outgoing.read()
        return count if self.flush() else -1

    def _expect_no_data(self) -> None:
        with suppress(ssl.SSLWantReadError):
            self._tls.read(1)
            raise ConnectionResetError(errno.ECONNRESET, "bytes came that no request had asked for, or the end")

    def flush(self) -> bool:
        """Send encrypted bytes that are left; True when none is."""
        if self._outgoing.pending:
            self._unsent += self._outgoing.read()
        while self._unsent:
            try:
                sent = self._sock.send(self._unsent)
            except BlockingIOError:
                return False
            except ConnectionError:
                self._raise_alert()
                raise
            self._unsent = self._unsent[sent:]
        return True

    def _raise_alert(self) -> None:
        """What the server said before it hung up: in TLS 1.3 a client's certificate is refused after its handshake."""
        try:
            self._incoming.write(self._recv_raw(_RAW_BYTES))
        except (BlockingIOError, ConnectionError):
            return
        with suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._tls.read(1)

    def recv(self, count: int) -> bytes:
        """Up to ``count`` decrypted bytes, b"" at the peer's end."""
        if not (self._tls.pending() or self._incoming.pending):
            self._fill()
        while True:
            try:
                return self._tls.read(count)
            except ssl.SSLWantReadError:
                self._fill()
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return b""

    def recv_into(self, buffer: bytearray) -> int:
        """As ``recv``, into ``buffer``; the number of bytes."""
        if not (self._tls.pending() or self._incoming.pending):
            self._fill()
        while True:
            try:
                return self._tls.read(len(buffer), buffer)
            except ssl.SSLWantReadError:
                self._fill()
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return 0

    def close(self) -> None:
        """Tell the peer (close_notify) as far as that needs no waiting, then close the socket."""
        with suppress(OSError, ValueError):
            self._tls.unwrap()
        with suppress(OSError, ValueError):
            self.flush()
        self._sock.close()
