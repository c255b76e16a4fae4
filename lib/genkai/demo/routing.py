"""How the demo's load balancer takes, holds and passes on requests.

It behaves as a classic ELB (namespace AWS/ELB): requests that cannot be passed on at once wait in the surge queue; when
that is full they are answered 503 (spill-over). Latency is counted from passing a request on to the first byte of the
answer, so it does not contain the wait in the queue.
"""

import asyncio
import time
from collections import Counter, deque

from genkai.demo.backends import Backend, Exchange
from genkai.demo.counters import Durations, Gauge, VirtualSchedule
from genkai.demo.framing import MalformedError, frame_request, without_connection_field
from genkai.demo.http import Traffic, response
from genkai.demo.settings import BalancerSettings

ERRORS = {
    status: response(status, text, b"text/plain")
    for status, text in {
        400: b"Bad request",
        502: b"Bad gateway",
        503: b"Service unavailable: back-end server is at capacity",
        504: b"Gateway timeout",
    }.items()
}


class Front(asyncio.Protocol):
    """One client's connection; its requests are passed on one after the other."""

    def __init__(self, balancer: "Balancer") -> None:
        self.balancer = balancer
        self.buffer = b""
        self.busy = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self.transport = transport  # type: ignore[assignment]
        self.balancer.traffic.connections_new += 1
        self.balancer.traffic.connections_open += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """The client left."""
        self.transport = None
        self.balancer.traffic.connections_open -= 1

    def data_received(self, data: bytes) -> None:
        """Bytes of requests came."""
        self.balancer.traffic.received += len(data)
        self.buffer = self.buffer + data if self.buffer else data
        if not self.busy:
            self._next()
        elif len(self.buffer) > 65536:  # answered in order, so a client that pipelines must wait
            self.transport.pause_reading()  # type: ignore[union-attr]

    def _next(self) -> None:
        try:
            frame = frame_request(self.buffer)
        except MalformedError:
            self.balancer.own_errors[400] += 1
            self.answer(ERRORS[400], keep_alive=False)
            return
        if frame is None:
            return
        message, self.buffer = self.buffer[: frame.end], self.buffer[frame.end :]
        if not frame.keep_alive:
            message = without_connection_field(message)
        self.busy = True
        self.balancer.submit(Exchange(self, message, frame.keep_alive, time.monotonic()))

    def answer(self, message: bytes, keep_alive: bool) -> None:
        """Send the response of the exchange in hand, then turn to the next request."""
        transport = self.transport
        self.busy = False
        if transport is None:
            return
        transport.write(message)
        self.balancer.traffic.sent += len(message)
        if not keep_alive:
            transport.close()
        elif self.buffer:
            transport.resume_reading()
            asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        if not self.busy and self.buffer and self.transport is not None:
            self._next()


class Balancer:
    """Chooses when a request goes on (capacity) and where to (fewest outstanding requests)."""

    def __init__(self, settings: BalancerSettings) -> None:
        now = time.monotonic()
        self.settings = settings
        self.capacity_rps = settings.capacity_rps
        self.schedule = VirtualSchedule(settings.capacity_rps)
        self.queue: deque[Exchange] = deque()
        self.queue_length = Gauge(now)
        self.backends: list[Backend] = []
        self.turn = 0
        self.timer: asyncio.TimerHandle | None = None
        self.housekeeping: asyncio.Task | None = None
        self.traffic = Traffic()
        self.routed = self.spilled = self.client_gone = 0
        self.own_errors: Counter[int] = Counter()
        self.latency = Durations()
        self.backend_statuses: Counter[int] = Counter()
        self.backend_connection_errors = 0

    def submit(self, exchange: Exchange) -> None:
        """Take a request: pass it on, let it wait, or refuse it."""
        if not self.queue and not self.schedule.delay(exchange.arrived):
            backend = self._choose()
            if backend is not None:
                self._pass_on(exchange, backend, exchange.arrived)
                return
        if not any(backend.healthy for backend in self.backends):
            self._refuse(exchange, 503)
        elif len(self.queue) >= self.settings.surge_queue:
            self.spilled += 1
            self._refuse(exchange, 503)
        else:
            self.queue.append(exchange)
            self.queue_length.set(len(self.queue), exchange.arrived)
            self._wake(exchange.arrived)

    def _choose(self) -> Backend | None:
        """The instance with the fewest outstanding requests; equals take turns."""
        best = None
        count = len(self.backends)
        self.turn += 1
        for step in range(count):
            backend = self.backends[(self.turn + step) % count]
            if backend.available() and (best is None or backend.outstanding < best.outstanding):
                best = backend
                if self.settings.round_robin:
                    break
        return best

    def _pass_on(self, exchange: Exchange, backend: Backend, now: float) -> None:
        self.schedule.take(now)
        self.routed += 1
        backend.take(exchange)

    def _wake(self, now: float) -> None:
        """See to it that the queue is looked at when the capacity allows the next request."""
        if self.timer is None:
            self.timer = asyncio.get_running_loop().call_later(self.schedule.delay(now), self._pump)

    def _pump(self) -> None:
        """Pass on what may go now."""
        self.timer = None
        now = time.monotonic()
        while self.queue:
            if self.queue[0].client.transport is None:
                self.queue.popleft()
                self.client_gone += 1
                continue
            if self.schedule.delay(now):
                self._wake(now)
                break
            backend = self._choose()
            if backend is None:  # all connections in use: the next completion calls again
                break
            self._pass_on(self.queue.popleft(), backend, now)
        self.queue_length.set(len(self.queue), now)

    def completed(self, backend: Backend, exchange: Exchange, message: bytes, status: int) -> None:
        """An instance answered: hand the response back, then the free connection to who waits."""
        self.backend_statuses[status] += 1
        exchange.client.answer(message, exchange.keep_alive)
        if self.queue and self.timer is None:
            self._pump()

    def failed(self, backend: Backend, exchange: Exchange, status: int) -> None:
        """An instance did not answer; one it refused to take is offered to another one once."""
        self.backend_connection_errors += status == 503
        if status == 503 and not exchange.retried:
            exchange.retried = True
            other = next((b for b in self.backends if b is not backend and b.available()), None)
            if other is not None:
                other.take(exchange)
                return
        self._refuse(exchange, status)
        if self.queue and self.timer is None:
            self._pump()

    def _refuse(self, exchange: Exchange, status: int) -> None:
        self.own_errors[status] += 1
        exchange.client.answer(ERRORS[status], exchange.keep_alive)

    def health_changed(self) -> None:
        """An instance came or went: serve the queue, or empty it when nobody is left to serve it."""
        if any(backend.healthy for backend in self.backends):
            self._wake(time.monotonic())
        while self.queue and not any(backend.healthy for backend in self.backends):
            self._refuse(self.queue.popleft(), 503)
        self.queue_length.set(len(self.queue), time.monotonic())

    def set_capacity(self, rps: float) -> None:
        """Warm (or cool) the balancer: requests/s it passes on from now on; 0: unlimited."""
        self.schedule.change(rps)
        self.capacity_rps = rps
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self._wake(time.monotonic())

    def add(self, instance_id: str, host: str, port: int) -> None:
        """Register an instance; it serves from its first good health check on."""
        if any(backend.instance_id == instance_id for backend in self.backends):
            raise ValueError(f"instances: expected a new instance id, got {instance_id!r}, which is registered")
        self.backends.append(Backend(instance_id, host, port, self.settings, self))

    def remove(self, instance_id: str) -> None:
        """Deregister an instance; what it still works on is answered, its counters stay in the sums."""
        leaving = [backend for backend in self.backends if backend.instance_id == instance_id]
        if not leaving:
            known = ", ".join(backend.instance_id for backend in self.backends) or "none"
            raise ValueError(f"instances: expected one of {known}, got {instance_id!r}")
        self.backends.remove(leaving[0])
        leaving[0].retire()
        self.health_changed()

    async def expire_for_ever(self) -> None:
        """Give up, once a second, what the instances did not answer in time."""
        while True:
            await asyncio.sleep(1)
            for backend in self.backends:
                backend.expire(time.monotonic())

    def stats(self, reset: bool = False) -> dict:
        """Counters since the start; the queue's extremes since the last call with `reset`."""
        now = time.monotonic()
        snapshot = {
            "monotonic_s": now,
            "cpu_s": time.process_time(),
            "capacity_rps": self.capacity_rps,
            "surge_queue": self.settings.surge_queue,
            "routed": self.routed,
            "spilled": self.spilled,
            "client_gone": self.client_gone,
            "own_errors": dict(self.own_errors),
            "backend_statuses": dict(self.backend_statuses),
            "backend_connection_errors": self.backend_connection_errors,
            "latency": self.latency.snapshot(),
            "queue": self.queue_length.snapshot(now),
            "received_bytes": self.traffic.received,
            "sent_bytes": self.traffic.sent,
            "connections_open": self.traffic.connections_open,
            "connections_new": self.traffic.connections_new,
            "healthy": sum(backend.healthy for backend in self.backends),
            "unhealthy": sum(not backend.healthy for backend in self.backends),
            "instances": [backend.stats() for backend in self.backends],
        }
        if reset:
            self.queue_length.reset(now)
        return snapshot
