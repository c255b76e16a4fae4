"""HTTP/1.1 responses from bytes (RFC 9112), without any input or output."""

import re

from genkai.load.http.errors import Failure
from genkai.load.http.headers import Headers

NO_BODY, LENGTH, CHUNKED, UNTIL_CLOSE = range(4)
MAX_HEAD_BYTES = 65_536
MAX_LINE_BYTES = 8_192
MAX_INTERIM = 32
MAX_BODY_BYTES = 1 << 30
_CACHED_HEADS = 512
_CACHED_BYTES = 4_096

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: [^\r\n\0]*)?(?=\r\n|\Z)")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_FOLD = re.compile(rb"[ \t]*\r\n[ \t]+")
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n\0]*)?")


def protocol_failure(message: str, status: int | None = None) -> Failure:
    """The Failure for bytes that are not HTTP/1.1."""
    return Failure("protocol", status, None, message)


class Head:
    """Status line and fields of one response, with the framing they give to the body (RFC 9112 §6.3).

    ``coded``: it has a Content-Encoding; ``sets_cookie``: it has a Set-Cookie field.
    """

    __slots__ = ("_headers", "coded", "framing", "keep_alive", "length", "raw", "sets_cookie", "status")

    def __init__(self, raw: bytes, lower: bytes, status: int, framing: int, length: int, keep_alive: bool) -> None:
        self.raw = raw
        self.status = status
        self.framing = framing
        self.length = length
        self.keep_alive = keep_alive
        self.coded = b"\r\ncontent-encoding" in lower
        self.sets_cookie = b"\r\nset-cookie" in lower
        self._headers: Headers | None = None

    @property
    def headers(self) -> Headers:
        """The fields, parsed when first asked for; raises Failure (protocol) when a line is no field."""
        if self._headers is None:
            self._headers = Headers(parse_fields(self.raw))
        return self._headers


def parse_fields(raw: bytes) -> list[tuple[str, str]]:
    """Name and value of each field line of a head without its final blank line."""
    pairs = []
    lines = _FOLD.sub(b" ", raw).split(b"\r\n")
    for line in lines[1:]:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise protocol_failure("a header line is not 'name: value'")
        pairs.append((match[1].decode("ascii"), match[2].decode("latin-1")))
    return pairs


def parse_head(raw: bytes) -> Head:
    """The Head of a status line and its fields (without the blank line); raises Failure (protocol)."""
    match = _STATUS_LINE.match(raw)
    if match is None:
        raise protocol_failure("the first line is not an HTTP/1.x status line")
    status = int(match[2])
    lower = raw.lower()
    at = lower.find(b"\r\ncontent-length:")
    if (
        at >= 0 and match[1] == b"1" and status >= 200 and status not in (204, 304)
        and lower.find(b"\r\ncontent-length", at + 2) < 0 and lower.find(b"\r\ntransfer-encoding") < 0
        and lower.find(b"\r\n ") < 0 and lower.find(b"\r\n\t") < 0 and _plainly_kept_open(lower)
    ):  # fmt: skip
        end = lower.find(b"\r\n", at + 17)
        value = lower[at + 17 : end if end >= 0 else None].strip(b" \t")
        if value.isdigit() and len(value) < 19:
            return Head(raw, lower, status, LENGTH, int(value), True)
    return _parse_every_field(raw, lower, status, match[1] == b"1")


def _plainly_kept_open(lower: bytes) -> bool:
    at = lower.find(b"\r\nconnection")
    if at < 0:
        return True
    plain = lower.startswith(b"\r\nconnection: keep-alive", at) and lower[at + 24 : at + 26] in (b"", b"\r\n")
    return plain and lower.find(b"\r\nconnection", at + 2) < 0


def _parse_every_field(raw: bytes, lower: bytes, status: int, minor: bool) -> Head:
    headers = Headers(parse_fields(raw))
    connection = {token.strip().lower() for token in headers.get("connection", "").split(",")}
    keep_alive = "close" not in connection and (minor or "keep-alive" in connection)
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    framing, count = UNTIL_CLOSE, 0
    if status < 200 or status in (204, 304):
        framing, keep_alive = NO_BODY, keep_alive and status != 101
    elif coding is not None:
        if coding.rpartition(",")[2].strip().lower() == "chunked":
            # RFC 9112 §6.3: length and coding together may be an attack, so the connection ends here
            framing, keep_alive = CHUNKED, keep_alive and length is None
    elif length is not None:
        framing, count = LENGTH, _content_length(length, status)
    head = Head(raw, lower, status, framing, count, keep_alive and framing != UNTIL_CLOSE)
    head._headers = headers
    return head


def _content_length(value: str, status: int) -> int:
    values = {part.strip() for part in value.split(",")}
    text = values.pop()
    if values or not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise protocol_failure("Content-Length is not one whole number", status)
    return int(text)


class HeadCache:
    """Heads seen before, by their bytes: servers repeat them for a second (Date) or for ever."""

    def __init__(self) -> None:
        self.heads: dict[bytes, Head] = {}

    def add(self, raw: bytes) -> Head:
        """Parse ``raw`` and keep it unless it is long; raises Failure (protocol)."""
        head = parse_head(raw)
        if len(raw) <= _CACHED_BYTES:
            if len(self.heads) >= _CACHED_HEADS:
                self.heads.clear()
            self.heads[raw] = head
        return head


HEADS = HeadCache()


class ResponseParser:
    """One response, fed in pieces of any size; ``complete`` tells when it ended.

    ``head_request``: the request was HEAD, so no body follows. ``keep_body=False`` counts the body's bytes
    without keeping them. ``surplus``: bytes came after the end. Every error is a Failure (protocol, closed).
    """

    def __init__(self, head_request: bool = False, keep_body: bool = True, max_body: int = MAX_BODY_BYTES) -> None:
        self.head: Head | None = None
        self.complete = False
        self.surplus = False
        self.received = 0
        self.body_bytes = 0
        self._head_request = head_request
        self._keep_body = keep_body
        self._max_body = max_body
        self._body = bytearray()
        self._pending = bytearray()
        self._scanned = 0
        self._interim = 0
        self._trailer_bytes = 0
        self._left = 0
        # a plain function, not a bound method: no reference cycle per response
        self._step = ResponseParser._read_head

    @property
    def body(self) -> bytes:
        """The body so far, chunks joined, content coding untouched."""
        return bytes(self._body)

    def feed(self, data: bytes | memoryview) -> bool:
        """Take the next bytes; True when the response is complete."""
        self.received += len(data)
        self._pending += data
        while not self.complete and self._step(self):
            pass
        if self.complete and self._pending:
            self.surplus = True
        return self.complete

    def eof(self) -> None:
        """The server closed; completes a body that lasts until then, else raises Failure (closed)."""
        if self._step is ResponseParser._read_until_close:
            self.complete = True
        elif not self.complete:
            part = "inside the body" if self.head else ("inside the head" if self.received else "before any byte")
            raise Failure("closed", self.head.status if self.head else None, None, f"closed by the server {part}")

    def _read_head(self) -> bool:
        pending = self._pending
        if not b"HTTP/1.".startswith(pending[:7]):
            raise protocol_failure("the response does not start with HTTP/1.")
        end = pending.find(b"\r\n\r\n", self._scanned)
        if end < 0:
            if len(pending) > MAX_HEAD_BYTES:
                raise protocol_failure(f"the head is longer than {MAX_HEAD_BYTES} bytes")
            if pending.find(b"\n\n", self._scanned) >= 0:
                raise protocol_failure("header lines end in LF instead of CR LF")
            self._scanned = max(0, len(pending) - 3)
            return False
        if end > MAX_HEAD_BYTES:
            raise protocol_failure(f"the head is longer than {MAX_HEAD_BYTES} bytes")
        raw = bytes(pending[:end])
        head = HEADS.heads.get(raw) or HEADS.add(raw)
        del pending[: end + 4]
        self._scanned = 0
        if head.status < 200 and head.status != 101:
            return self._skip_interim()
        self.head = head
        return self._start_body(head)

    def _skip_interim(self) -> bool:
        self._interim += 1
        if self._interim > MAX_INTERIM:
            raise protocol_failure(f"more than {MAX_INTERIM} interim (1xx) responses")
        return bool(self._pending)

    def _start_body(self, head: Head) -> bool:
        framing = NO_BODY if self._head_request else head.framing
        self._left = head.length
        if framing == NO_BODY or (framing == LENGTH and not head.length):
            self.complete = True
        elif framing == LENGTH:
            if head.length > self._max_body:
                raise protocol_failure(f"the body is longer than {self._max_body} bytes", head.status)
            self._step = ResponseParser._read_length
        else:
            self._step = ResponseParser._read_chunk_size if framing == CHUNKED else ResponseParser._read_until_close
        return bool(self._pending)

    def _take(self, count: int) -> None:
        self.body_bytes += count
        if self.body_bytes > self._max_body:
            raise protocol_failure(f"the body is longer than {self._max_body} bytes", self.head.status)
        if self._keep_body:
            if count == len(self._pending):
                self._body += self._pending
            else:
                self._body += self._pending[:count]
        del self._pending[:count]

    def _read_length(self) -> bool:
        count = min(self._left, len(self._pending))
        self._left -= count
        self._take(count)
        self.complete = not self._left
        return False

    def _read_until_close(self) -> bool:
        self._take(len(self._pending))
        return False

    def _line(self) -> bytes | None:
        end = self._pending.find(b"\r\n")
        if end < 0 or end > MAX_LINE_BYTES:
            if len(self._pending) > MAX_LINE_BYTES:
                raise protocol_failure(f"a chunk line is longer than {MAX_LINE_BYTES} bytes", self.head.status)
            return None
        line = bytes(self._pending[:end])
        del self._pending[: end + 2]
        return line

    def _read_chunk_size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise protocol_failure("a chunk size is not a hexadecimal number", self.head.status)
        self._left = int(match[1], 16)
        self._step = ResponseParser._read_chunk if self._left else ResponseParser._read_trailer
        return bool(self._pending)

    def _read_chunk(self) -> bool:
        count = min(self._left, len(self._pending))
        self._left -= count
        self._take(count)
        if not self._left:
            self._step = ResponseParser._read_chunk_end
        return bool(self._pending)

    def _read_chunk_end(self) -> bool:
        if len(self._pending) < 2:
            return False
        if self._pending[:2] != b"\r\n":
            raise protocol_failure("a chunk does not end in CR LF", self.head.status)
        del self._pending[:2]
        self._step = ResponseParser._read_chunk_size
        return bool(self._pending)

    def _read_trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        self._trailer_bytes += len(line)
        if self._trailer_bytes > MAX_HEAD_BYTES:
            raise protocol_failure(f"the trailer is longer than {MAX_HEAD_BYTES} bytes", self.head.status)
        self.complete = not line
        return True
