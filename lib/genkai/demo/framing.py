"""Where an HTTP/1.1 message ends in a buffer: all a load balancer must know to pass the bytes on unread."""

import re
from typing import NamedTuple

MAX_HEAD_BYTES = 64 * 1024
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_FIELDS = re.compile(rb"\r\n(content-length|transfer-encoding|connection)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]*\r\n")
_LAST_CHUNK_TRAILER = re.compile(rb"(?:[^\r\n]+\r\n)*\r\n")
_REQUEST_LINE = re.compile(rb"[A-Z]{1,20} [^ \r\n]+ HTTP/1\.[01]\r\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])[ \r]")
_CONNECTION_FIELD = re.compile(rb"\r\nconnection[ \t]*:[^\r\n]*", re.IGNORECASE)


class MalformedError(ValueError):
    """The bytes are not an HTTP/1.1 message, or one larger than a load balancer takes."""


class Frame(NamedTuple):
    """A whole message: where it ends in the buffer, whether the connection stays open, its status (0: a request)."""

    end: int
    keep_alive: bool
    status: int


def frame_request(buffer: bytes) -> Frame | None:
    """The first request in the buffer, None while it is incomplete; raises MalformedError."""
    head = _head_end(buffer)
    if head < 0:
        return None
    first = _REQUEST_LINE.match(buffer)
    if first is None:
        raise MalformedError("expected a request line of HTTP/1.1")
    keep_alive = buffer[first.end() - 3] == 0x31
    end, keep_alive = _body_end(buffer, head, keep_alive, default_end=head)
    return None if end is None else Frame(end, keep_alive, 0)


def frame_response(buffer: bytes, to_head: bool = False) -> Frame | None:
    """The first final response in the buffer, None while it is incomplete; raises MalformedError.

    A response without a length ends with its connection: it is never complete here (see `frame_at_close`).
    """
    head = _head_end(buffer)
    if head < 0:
        return None
    line = _STATUS_LINE.match(buffer)
    if line is None:
        raise MalformedError("expected a status line of HTTP/1.1")
    status = int(line[1])
    if status < 200:
        raise MalformedError(f"expected a final response, got {status}")
    bare = to_head or status in (204, 304)
    keep_alive = buffer[7] == 0x31
    if bare:
        _, keep_alive = _body_end(buffer[:head], head, keep_alive, default_end=head, length_only=True)
        return Frame(head, keep_alive, status)
    end, keep_alive = _body_end(buffer, head, keep_alive, default_end=None)
    return None if end is None else Frame(end, keep_alive, status)


def frame_at_close(buffer: bytes) -> Frame | None:
    """The response that the end of its connection completes; None when it was cut off."""
    head = _head_end(buffer)
    line = _STATUS_LINE.match(buffer)
    if head < 0 or line is None or (_FIELDS.search(buffer, 0, head) and _has_length(buffer, head)):
        return None
    return Frame(len(buffer), False, int(line[1]))


def without_connection_field(message: bytes) -> bytes:
    """The message with its hop-by-hop `Connection` header left out."""
    head = message.index(b"\r\n\r\n")
    return _CONNECTION_FIELD.sub(b"", message[:head]) + message[head:]


def _has_length(buffer: bytes, head: int) -> bool:
    return any(name.lower() != b"connection" for name, _ in _FIELDS.findall(buffer, 0, head))


def _head_end(buffer: bytes) -> int:
    found = buffer.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
    if found < 0:
        if len(buffer) >= MAX_HEAD_BYTES:
            raise MalformedError(f"head larger than {MAX_HEAD_BYTES} bytes")
        return -1
    return found + 4


def _body_end(
    buffer: bytes, head: int, keep_alive: bool, default_end: int | None, length_only: bool = False
) -> tuple[int | None, bool]:
    """(end of the message or None, keep-alive) by RFC 9112 section 6.3."""
    end = default_end
    chunked = False
    for name, value in _FIELDS.findall(buffer, 0, head):
        letter = name[4:5].lower()  # content-length: e, transfer-encoding: s, connection: e
        if letter == b"s":
            chunked = value.strip().lower().endswith(b"chunked")
        elif name[:5].lower() == b"conne":
            words = value.lower()
            keep_alive = b"close" not in words and (keep_alive or b"keep-alive" in words)
        else:
            if not value.strip().isdigit():
                raise MalformedError(f"Content-Length: expected digits, got {value[:20]!r}")
            end = head + int(value)
    if length_only:
        return head, keep_alive
    if chunked:
        end = _chunked_end(buffer, head)
    elif end is not None and end > len(buffer):
        if end > MAX_MESSAGE_BYTES:
            raise MalformedError(f"message larger than {MAX_MESSAGE_BYTES} bytes")
        end = None
    return end, keep_alive


def _chunked_end(buffer: bytes, start: int) -> int | None:
    """The end of a chunked body, RFC 9112 section 7.1; None while it is incomplete."""
    at = start
    while at < len(buffer):
        line = _CHUNK.match(buffer, at)
        if line is None:
            if buffer.find(b"\r\n", at) >= 0:
                raise MalformedError("expected the size of a chunk")
            return None
        size = int(line[1], 16)
        if size == 0:
            trailer = _LAST_CHUNK_TRAILER.match(buffer, line.end())
            return trailer.end() if trailer else None
        at = line.end() + size + 2
        if at - start > MAX_MESSAGE_BYTES:
            raise MalformedError(f"message larger than {MAX_MESSAGE_BYTES} bytes")
    return None
