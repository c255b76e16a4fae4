"""A raw server on loopback for tests: each accepted connection is handed to the next script."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

Script = Callable[[socket.socket, "ScriptedServer"], None]


class ScriptedServer:
    """Listens on a port from the OS; ``scripts`` serve one connection each, the last one all further ones."""

    def __init__(self, *scripts: Script, host: str = "127.0.0.1", backlog: int = 64) -> None:
        self.scripts = list(scripts)
        self.requests: list[bytes] = []
        self.connections = 0
        self.stop = threading.Event()
        self._host = host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=backlog)
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    def __enter__(self) -> ScriptedServer:
        self._threads[0].start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop.set()
        # Not closed while the thread may still ask for it: another socket can get the same descriptor meanwhile.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(60)
        self._listener.close()
        for sock in self._open:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        for sock in self._open:
            sock.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self.stop.is_set():
                sock, _ = self._listener.accept()
                script = self.scripts[min(self.connections, len(self.scripts) - 1)]
                self.connections += 1
                self._open.append(sock)
                thread = threading.Thread(target=self._serve, args=(script, sock), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, script: Script, sock: socket.socket) -> None:
        with suppress(OSError):
            script(sock, self)
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()

    def read_request(self, sock: socket.socket) -> bytes:
        """One whole request (by Content-Length), kept in ``requests``; b"" when the client closed before it."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = sock.recv(65_536)
            if not more:
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        while len(body) < length:
            more = sock.recv(65_536)
            if not more:
                return b""
            body += more
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]


def answer(*responses: bytes, pieces: Iterable[int] = (), close: bool = False) -> Script:
    """A script that answers each request with the next response, the last one again and again.

    ``pieces``: lengths at which each response is cut into separate sends. ``close``: end after the last one.
    """

    def script(sock: socket.socket, server: ScriptedServer) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        count = 0
        while server.read_request(sock):
            response = responses[min(count, len(responses) - 1)]
            count += 1
            at = 0
            for length in pieces:
                sock.sendall(response[at : at + length])
                at += length
                server.stop.wait(0.002)  # so that the pieces leave as packets of their own
            sock.sendall(response[at:])
            if close and count >= len(responses):
                return

    return script


def ok(body: bytes = b"hello", *fields: str, status: str = "200 OK") -> bytes:
    """A response with Content-Length."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields])
    return head.encode() + b"\r\n\r\n" + body


def hold(sock: socket.socket, server: ScriptedServer) -> None:
    """A script that takes a request and never answers."""
    server.read_request(sock)
    server.stop.wait(60)
