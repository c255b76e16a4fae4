"""A server that costs little and gives one canned answer: what the generator's ceiling is measured against.

`python -m genkai.load.sink RESPONSE` prints its port and ends when its standard input does. No TLS, no pipelining.
"""

from __future__ import annotations

import base64
import json
import re
import select
import socket
import sys
from http import HTTPStatus
from pathlib import Path

READ_SIZE = 65_536
BODILESS = b"GHDO"  # first letters of GET HEAD DELETE OPTIONS
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.I)


def canned_response(probe: dict) -> tuple[bytes, bytes]:
    """(whole answer, its head alone for HEAD) with the status, type and body that the target gave."""
    body = base64.b64decode(probe.get("body") or "")
    status = probe.get("status") or 200
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Status"
    fields = [f"HTTP/1.1 {status} {phrase}", f"Content-Length: {len(body)}"]
    for name, key in (("Content-Type", "content_type"), ("Content-Encoding", "content_encoding")):
        if probe.get(key):
            fields.append(f"{name}: {probe[key]}")
    head = ("\r\n".join(fields) + "\r\n\r\n").encode("latin-1")
    return head + body, head


def is_whole(request: bytes) -> bool:
    """Whether a request has arrived with all of its body."""
    end = request.find(b"\r\n\r\n")
    if end < 0:
        return False
    length = _LENGTH.search(request, 0, end + 2)
    return len(request) >= end + 4 + (int(length[1]) if length else 0)


class Sink:
    """The listening socket and its connections, one thread."""

    def __init__(self, response: bytes, head: bytes) -> None:
        self._response, self._head = response, head
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._poll = select.epoll()
        self._connections: dict[int, socket.socket] = {}
        self._parts: dict[int, bytes] = {}

    def serve(self, lease: int) -> None:
        """Answer until the lease's other end is closed."""
        listener = self._listener.fileno()
        self._poll.register(listener, select.EPOLLIN)
        self._poll.register(lease, select.EPOLLIN | select.EPOLLHUP)
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._connections:
                    self._answer(descriptor)
                elif descriptor == listener:
                    self._accept()
                else:
                    return

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[connection.fileno()] = connection
        self._poll.register(connection.fileno(), select.EPOLLIN)

    def _answer(self, descriptor: int) -> None:
        connection = self._connections[descriptor]
        try:
            data = connection.recv(READ_SIZE)
            if not data:
                raise ConnectionResetError
            if descriptor in self._parts or not (data[0] in BODILESS and data.endswith(b"\r\n\r\n")):
                data = self._parts.pop(descriptor, b"") + data
                if not is_whole(data):
                    self._parts[descriptor] = data
                    return
            connection.sendall(self._head if data[0:4] == b"HEAD" else self._response)
        except OSError:
            del self._connections[descriptor]
            self._parts.pop(descriptor, None)
            connection.close()


def main() -> int:
    """Serve the answer kept in the probe.json that the command line names."""
    sink = Sink(*canned_response(json.loads(Path(sys.argv[1]).read_text())))
    print(sink.port, flush=True)
    sink.serve(sys.stdin.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
