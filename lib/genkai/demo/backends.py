"""The balancer's side towards the instances: persistent connections, health checks, counters."""

import asyncio
import time
from collections import Counter
from typing import Protocol

from genkai.demo.counters import Durations
from genkai.demo.framing import MalformedError, frame_at_close, frame_response
from genkai.demo.settings import BalancerSettings


class Exchange:
    """One request on its way through the balancer."""

    __slots__ = ("arrived", "client", "first_byte", "keep_alive", "message", "retried", "sent", "to_head")

    def __init__(self, client: "Client", message: bytes, keep_alive: bool, arrived: float) -> None:
        self.client, self.message, self.keep_alive, self.arrived = client, message, keep_alive, arrived
        self.to_head = message.startswith(b"HEAD ")
        self.sent = 0.0
        self.first_byte = self.retried = False


class Client(Protocol):
    """What the balancer needs of a client's connection."""

    transport: asyncio.Transport | None

    def answer(self, message: bytes, keep_alive: bool) -> None:
        """Send the response of the exchange in hand."""


class Owner(Protocol):
    """What a backend reports to."""

    latency: Durations

    def completed(self, backend: "Backend", exchange: Exchange, response: bytes, status: int) -> None:
        """The instance answered."""

    def failed(self, backend: "Backend", exchange: Exchange, status: int) -> None:
        """The instance did not answer: 502 closed or malformed, 503 refused, 504 too late."""

    def health_changed(self) -> None:
        """An instance came into or went out of service."""


class Upstream(asyncio.Protocol):
    """One connection to an instance; carries one exchange at a time."""

    def __init__(self, backend: "Backend") -> None:
        self.backend = backend
        self.exchange: Exchange | None = None
        self.buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self.transport = transport  # type: ignore[assignment]

    def send(self, exchange: Exchange) -> None:
        """Pass the request on."""
        self.exchange, self.buffer = exchange, b""
        exchange.sent = time.monotonic()
        self.transport.write(exchange.message)  # type: ignore[union-attr]

    def data_received(self, data: bytes) -> None:
        """Bytes of the response came."""
        exchange = self.exchange
        if exchange is None:  # bytes nobody asked for
            self.transport.abort()  # type: ignore[union-attr]
            return
        if not exchange.first_byte:
            exchange.first_byte = True
            self.backend.owner.latency.record(time.monotonic() - exchange.sent)
        self.buffer = self.buffer + data if self.buffer else data
        try:
            frame = frame_response(self.buffer, exchange.to_head)
        except MalformedError:
            self._fail(502)
            return
        if frame is not None:
            reusable = frame.keep_alive and frame.end == len(self.buffer)
            self._complete(self.buffer[: frame.end], frame.status, reusable)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; it may have ended a response that had no length."""
        self.transport = None
        self.backend.forget(self)
        if self.exchange is not None:
            frame = frame_at_close(self.buffer)
            if frame is None:
                self._fail(502)
            else:
                self._complete(self.buffer, frame.status, reusable=False)

    def _complete(self, message: bytes, status: int, reusable: bool) -> None:
        exchange, self.exchange = self.exchange, None
        if reusable and self.transport is not None and not self.backend.retired:
            self.backend.idle.append(self)
        elif self.transport is not None:
            self.transport.close()
            self.backend.forget(self)
        self.backend.finish(exchange, message, status)  # type: ignore[arg-type]

    def _fail(self, status: int) -> None:
        exchange, self.exchange = self.exchange, None
        if self.transport is not None:
            self.transport.abort()
        self.backend.abandon(exchange, status)  # type: ignore[arg-type]

    def expire(self, deadline: float) -> None:
        """Give up an exchange that was sent before the deadline."""
        if self.exchange is not None and self.exchange.sent < deadline:
            self._fail(504)


class Backend:
    """One instance behind the balancer."""

    def __init__(self, instance_id: str, host: str, port: int, settings: BalancerSettings, owner: Owner) -> None:
        self.instance_id, self.host, self.port = instance_id, host, port
        self.settings, self.owner = settings, owner
        self.connections: set[Upstream] = set()
        self.idle: list[Upstream] = []
        self.connecting: set[asyncio.Task] = set()
        self.outstanding = self.connections_new = self.connection_errors = 0
        self.healthy, self.retired, self.failures = False, False, 0
        self.statuses: Counter[int] = Counter()
        self.checker = asyncio.get_running_loop().create_task(self._check_health())

    def available(self) -> bool:
        """Whether a request could be passed on now."""
        return self.healthy and self.outstanding < self.settings.max_connections

    def take(self, exchange: Exchange) -> None:
        """Pass a request on, on an idle connection or a new one."""
        self.outstanding += 1
        if self.idle:
            self.idle.pop().send(exchange)
            return
        task = asyncio.get_running_loop().create_task(self._connect(exchange))
        self.connecting.add(task)
        task.add_done_callback(self.connecting.discard)

    async def _connect(self, exchange: Exchange) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(5):
                _, upstream = await loop.create_connection(lambda: Upstream(self), self.host, self.port)
        except (OSError, TimeoutError):
            self.connection_errors += 1
            self.abandon(exchange, 503)
            return
        self.connections_new += 1
        self.connections.add(upstream)
        upstream.send(exchange)

    def forget(self, upstream: Upstream) -> None:
        """A connection is gone."""
        self.connections.discard(upstream)
        if upstream in self.idle:
            self.idle.remove(upstream)

    def finish(self, exchange: Exchange, message: bytes, status: int) -> None:
        """An exchange ended with the instance's response."""
        self.outstanding -= 1
        self.statuses[status] += 1
        self.owner.completed(self, exchange, message, status)

    def abandon(self, exchange: Exchange, status: int) -> None:
        """An exchange ended without one."""
        self.outstanding -= 1
        self.owner.failed(self, exchange, status)

    async def _check_health(self) -> None:
        while True:
            good = await self._answers()
            self.failures = 0 if good else self.failures + 1
            healthy = good or (self.healthy and self.failures < self.settings.unhealthy_after)
            if healthy != self.healthy:
                self.healthy = healthy
                self.owner.health_changed()
            # An instance that just came is asked often, so that it serves as soon as it can.
            await asyncio.sleep(self.settings.health_interval_s if self.healthy else 0.1)

    async def _answers(self) -> bool:
        writer = None
        try:
            async with asyncio.timeout(self.settings.health_timeout_s):
                reader, writer = await asyncio.open_connection(self.host, self.port)
                writer.write(b"GET /health HTTP/1.1\r\nHost: health-check\r\nConnection: close\r\n\r\n")
                return (await reader.readline()).startswith(b"HTTP/1.1 200")
        except (OSError, TimeoutError):
            return False
        finally:
            if writer is not None:
                writer.close()

    def expire(self, now: float) -> None:
        """Give up what was sent too long ago."""
        for upstream in list(self.connections):
            upstream.expire(now - self.settings.timeout_s)

    def retire(self) -> None:
        """No more requests and checks; connections close as soon as nothing is under way on them."""
        self.retired, self.healthy = True, False
        self.checker.cancel()
        for upstream in self.idle:
            if upstream.transport is not None:
                upstream.transport.close()

    def stats(self) -> dict:
        """Counters since the instance was registered."""
        return {
            "instance_id": self.instance_id,
            "host": self.host,
            "port": self.port,
            "healthy": self.healthy,
            "outstanding": self.outstanding,
            "statuses": dict(self.statuses),
            "connections_open": len(self.connections),
            "connections_new": self.connections_new,
            "connection_errors": self.connection_errors,
        }
