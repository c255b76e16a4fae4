"""Small servers with one limit each, for what the demo's app cannot do; `python -m bench.faults.servers KIND …`."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from genkai.demo.app import Answer, App
from genkai.demo.http import HTTPConnection, Request
from genkai.demo.serve import announce, hold_lease, port_of, run
from genkai.demo.settings import AppSettings

POOL, POOL_S = 6, 0.05  # connections to the dependency, and how long it takes
WRITE_S = 0.01  # how long a transaction is held open
LEAKED = 3  # descriptors a request leaves open
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\nConnection: close\r\n\r\n{"id":7}'


class Pool(App):
    """Waits for one of a few connections to something slow; worker slots and CPU are left."""

    def __init__(self, settings: AppSettings, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(settings, loop)
        self.free = asyncio.Semaphore(POOL)

    def _work(self, request: Request, done: Callable[[Answer], None]) -> None:
        answer = self.route(request)

        async def ask() -> None:
            async with self.free:
                await asyncio.sleep(POOL_S)
            done(answer)

        self.loop.create_task(ask())


class Sqlite(App):
    """Writes in a transaction that is held open while something else is done: one writer at a time is SQLite's rule."""

    def __init__(self, settings: AppSettings, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(settings, loop)
        self.threads = ThreadPoolExecutor(settings.slots)

    def _work(self, request: Request, done: Callable[[Answer], None]) -> None:
        written = self.loop.run_in_executor(self.threads, self._write)
        written.add_done_callback(lambda future: done((200, {"id": 7, "order": future.result()})))

    def _write(self) -> Any:
        database = sqlite3.connect(self.settings.database, timeout=30, isolation_level=None)
        try:
            database.execute("BEGIN IMMEDIATE")
            row = database.execute("INSERT INTO orders (item, quantity, at) VALUES (1, 1, ?)", (time.time(),)).lastrowid
            time.sleep(WRITE_S)
            database.execute("COMMIT")
            return row
        finally:
            database.close()


class Descriptors(App):
    """Leaves descriptors open at each request."""

    def _work(self, request: Request, done: Callable[[Answer], None]) -> None:
        for _ in range(LEAKED):
            os.open(os.devnull, os.O_RDONLY)
        super()._work(request, done)


class Fair(App):
    """Gives each connection the same small share of a fixed total, on purpose and without saying so."""

    def _work(self, request: Request, done: Callable[[Answer], None]) -> None:
        answer = self.route(request)
        self.loop.call_later(max(0.01, self.traffic.connections_open / 150), done, answer)


KINDS = {"pool": Pool, "sqlite": Sqlite, "descriptors": Descriptors, "fair": Fair}


async def start(kind: str, settings: AppSettings) -> dict[str, Any]:
    """Listen as the demo's app does."""
    app = KINDS[kind](settings, asyncio.get_running_loop())
    loop = asyncio.get_running_loop()
    listen = partial(HTTPConnection, app.handle, app.traffic)
    return {"port": port_of(await loop.create_server(listen, settings.host, settings.port, backlog=1024))}


def backlog(length: int, every_s: float) -> None:
    """Accepts what waits, but only so often: between two rounds only `length` connections find room."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=length)
    hold_lease()
    announce(port=listener.getsockname()[1])
    listener.setblocking(False)
    while True:
        time.sleep(every_s)
        accepted = []
        while True:
            try:
                accepted.append(listener.accept()[0])
            except BlockingIOError:
                break
        for client in accepted:
            _answer(client)


def _answer(client: socket.socket) -> None:
    client.settimeout(0.2)
    try:
        client.recv(4096)
        client.sendall(ANSWER)
    except OSError:
        pass
    finally:
        client.close()


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    if kind == "backlog":
        backlog(int(arguments[0]), float(arguments[1]))
    else:
        chosen = AppSettings.parse(arguments)
        run(lambda: start(kind, chosen))
