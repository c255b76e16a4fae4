"""What one exchange brought."""

from __future__ import annotations

import zlib
from math import nan

from genkai.load.http.errors import Failure
from genkai.load.http.headers import Headers
from genkai.load.http.parser import Head


class Response:
    """Status, head and body of one response; ``sent`` and ``done`` are epoch seconds.

    ``bytes_received`` includes the head; ``reused``: the connection had carried an earlier exchange.
    """

    __slots__ = ("body", "bytes_received", "done", "head", "reused", "sent", "status")

    def __init__(
        self, head: Head, body: bytes, bytes_received: int, reused: bool, sent: float = nan, done: float = nan
    ) -> None:
        self.status = head.status
        self.head = head
        self.body = body
        self.bytes_received = bytes_received
        self.reused = reused
        self.sent = sent
        self.done = done

    @property
    def headers(self) -> Headers:
        """The fields, parsed when first asked for."""
        return self.head.headers

    @property
    def content(self) -> bytes:
        """The body with gzip or deflate undone; raises Failure (protocol) when that fails."""
        if not self.head.coded:
            return self.body
        return decode_content(self.body, self.head.headers.get("content-encoding", ""), self.status)

    def __repr__(self) -> str:
        return f"Response(status={self.status}, bytes_received={self.bytes_received}, reused={self.reused})"


def decode_content(body: bytes, coding: str, status: int | None = None) -> bytes:
    """Undo the content codings gzip, deflate and identity (RFC 9110 §8.4.1); raises Failure (protocol)."""
    for name in reversed([part.strip().lower() for part in coding.split(",")]):
        if name in ("identity", "") or not body:
            continue
        if name not in ("gzip", "x-gzip", "deflate"):
            raise Failure("protocol", status, None, f"content coding {name!r}: expected gzip, deflate or identity")
        try:
            body = zlib.decompress(body, 47) if name != "deflate" else _inflate(body)
        except zlib.error:
            raise Failure("protocol", status, None, f"the body is not valid {name}") from None
    return body


def _inflate(body: bytes) -> bytes:
    try:
        return zlib.decompress(body)
    except zlib.error:
        return zlib.decompress(body, -15)  # some servers send "deflate" without the zlib wrapper
