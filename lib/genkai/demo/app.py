"""An app instance of the demo: worker slots, an accept-like queue, CPU work, a wait, and faults on demand."""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Any

from genkai.demo.counters import Durations, Gauge, VirtualSchedule
from genkai.demo.http import HTTPConnection, Request, Traffic, json_response, response
from genkai.demo.serve import port_of, run
from genkai.demo.settings import AppSettings
from genkai.demo.shop import Shop, remove_database

Answer = tuple[int, Any]


class App:
    """Serves the shop's API as a web server with a fixed number of workers does."""

    def __init__(self, settings: AppSettings, loop: asyncio.AbstractEventLoop) -> None:
        self.settings, self.loop = settings, loop
        self.shop = Shop(settings.database, settings.cpu_ms)
        self.traffic = Traffic()
        self.waiting: deque[tuple[HTTPConnection, Request]] = deque()
        self.lock_queue: deque[Callable[[], None]] = deque()
        self.locked = self.draining = False
        self.busy, self.queued = Gauge(loop.time()), Gauge(loop.time())
        self.statuses: Counter[int] = Counter()
        self.service = Durations()
        self.limit = VirtualSchedule(settings.rate_limit)
        self.leak: list[bytes] = []
        self.failure_debt = 0.0
        if settings.stall_every > 0:
            loop.call_later(settings.stall_every, self._stall)

    def handle(self, connection: HTTPConnection, request: Request) -> None:
        """Give the request a worker slot, or let it wait for one."""
        now = self.loop.time()
        if request.path == "/__stats":  # outside the slots: the publisher must see a full server, too
            connection.answer(json_response(200, self.stats(reset="reset" in request.query)))
        elif self.busy.level < self.settings.slots:
            self._begin(connection, request, now)
        elif self.settings.queue and len(self.waiting) >= self.settings.queue:
            self._answer(connection, (503, {"error": "all workers busy and the queue is full"}))
        else:
            self.waiting.append((connection, request))
            self.queued.set(len(self.waiting), now)

    def _begin(self, connection: HTTPConnection, request: Request, now: float) -> None:
        self.busy.set(self.busy.level + 1, now)
        done = partial(self._finish, connection, now)
        if request.path == "/health":
            done((200, {"status": "ok"}))
        elif request.path == "/server-status":
            done((200, self.status_page()))
        elif not self._refuse(done, now):
            if self.settings.lock:
                self.lock_queue.append(partial(self._work, request, partial(self._unlock, done)))
                self._next_in_lock()
            else:
                self._work(request, done)

    def _refuse(self, done: Callable[[Answer], None], now: float) -> bool:
        """Answer at once where a fault says so."""
        if self.settings.rate_limit:
            if self.limit.delay(now):
                done((429, {"error": f"more than {self.settings.rate_limit:g} requests/s"}))
                return True
            self.limit.take(now)
        self.failure_debt += self.settings.fail_ratio
        if self.failure_debt >= 1:
            self.failure_debt -= 1
            done((500, {"error": "fault asked for"}))
            return True
        return False

    def _next_in_lock(self) -> None:
        while not self.locked and self.lock_queue:
            self.locked = True
            self.lock_queue.popleft()()

    def _unlock(self, done: Callable[[Answer], None], answer: Answer) -> None:
        self.locked = False
        done(answer)
        self.loop.call_soon(self._next_in_lock)

    def _work(self, request: Request, done: Callable[[Answer], None]) -> None:
        """The CPU part now, the wait on a dependency after it."""
        answer = self.route(request)
        if self.settings.leak_bytes:
            self.leak.append(b"\x01" * self.settings.leak_bytes)
        wait_s = self._wait_s()
        if wait_s > 0 and answer[0] < 400:
            self.loop.call_later(wait_s, done, answer)
        else:
            done(answer)

    def _wait_s(self) -> float:
        mean_s, spread = self.settings.io_ms / 1000, self.settings.io_spread
        if mean_s <= 0 or spread <= 0:
            return mean_s
        return random.gammavariate(spread**-2, mean_s * spread**2)

    def route(self, request: Request) -> Answer:
        """The API."""
        if request.path == "/items" and request.method == "GET":
            return self.shop.search(request.query.get("q", ""))
        if request.path.startswith("/items/") and request.method == "GET":
            return self.shop.item(request.path[7:])
        if request.path == "/orders":
            if request.method == "POST":
                return self.shop.order(request.body)
            return 405, {"error": "expected POST"}
        return 404, {"error": f"no such path: {request.path}"}

    def _finish(self, connection: HTTPConnection, begun: float, answer: Answer) -> None:
        now = self.loop.time()
        self.service.record(now - begun)
        self.busy.set(self.busy.level - 1, now)
        self._answer(connection, answer)
        if not self.draining:
            self._drain(now)

    def _drain(self, now: float) -> None:
        """Hand free slots to those who wait."""
        self.draining = True  # a request that needs no wait finishes inside _begin: without this it would recurse
        while self.waiting and self.busy.level < self.settings.slots:
            connection, request = self.waiting.popleft()
            self.queued.set(len(self.waiting), now)
            if connection.transport is not None:
                self._begin(connection, request, now)
        self.draining = False

    def _answer(self, connection: HTTPConnection, answer: Answer) -> None:
        status, content = answer
        self.statuses[status] += 1
        page = (
            response(status, content, b"text/plain") if isinstance(content, bytes) else json_response(status, content)
        )
        connection.answer(page, keep_alive=not self.settings.close)

    def _stall(self) -> None:
        time.sleep(self.settings.stall_for)  # the whole process stands still, as in a stop-the-world collection
        self.loop.call_later(self.settings.stall_every, self._stall)

    def status_page(self) -> bytes:
        """As Apache's `server-status?auto`, with the length of the queue."""
        busy, slots = self.busy.level, self.settings.slots
        board = "W" * busy + "_" * (slots - busy)
        lines = (
            f"Total Accesses: {self.statuses.total()}",
            f"BusyWorkers: {busy}",
            f"IdleWorkers: {slots - busy}",
            f"QueueLength: {len(self.waiting)}",
            f"Scoreboard: {board}",
        )
        return ("\n".join(lines) + "\n").encode()

    def stats(self, reset: bool = False) -> dict:
        """Counters since the start; the gauges' extremes since the last call with `reset`."""
        now = self.loop.time()
        snapshot = {
            "instance_id": self.settings.instance_id,
            "monotonic_s": time.monotonic(),
            "cpu_s": time.process_time(),
            "requests": self.statuses.total(),
            "statuses": dict(self.statuses),
            "service": self.service.snapshot(),
            "slots": self.settings.slots,
            "busy": self.busy.snapshot(now),
            "queue": self.queued.snapshot(now),
            "received_bytes": self.traffic.received,
            "sent_bytes": self.traffic.sent,
            "connections_open": self.traffic.connections_open,
            "connections_new": self.traffic.connections_new,
        }
        if reset:
            self.busy.reset(now)
            self.queued.reset(now)
        return snapshot


async def start(settings: AppSettings) -> dict:
    """Listen; returns what to announce."""
    loop = asyncio.get_running_loop()
    app = App(settings, loop)
    server = await loop.create_server(
        lambda: HTTPConnection(app.handle, app.traffic), settings.host, settings.port, backlog=1024
    )
    return {"port": port_of(server)}


if __name__ == "__main__":
    chosen = AppSettings.parse(description=__doc__)
    run(lambda: start(chosen), leave=lambda: remove_database(chosen.database))
