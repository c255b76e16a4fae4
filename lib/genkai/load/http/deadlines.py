"""One coarse timer per hub that ends the waits of all connections, instead of a timer per request."""

from __future__ import annotations

import os
import weakref
from math import inf
from typing import TYPE_CHECKING, Any

from gevent import get_hub

from genkai.load.http.clock import now

if TYPE_CHECKING:
    from genkai.load.http.waiting import Waiting

LATEST_TICK_S = 0.25
_ATTRIBUTE = "_genkai_deadlines"


class Deadlines:
    """Open connections of one hub; each is woken with ``timed_out`` set once its ``deadline`` has passed."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._connections: weakref.WeakSet[Waiting] = weakref.WeakSet()
        self._tick = inf
        self._timer: Any = None
        self._pid = os.getpid()

    @classmethod
    def of_hub(cls) -> Deadlines:
        """The one of the current hub (a fork starts a new one)."""
        hub = get_hub()
        found = getattr(hub, _ATTRIBUTE, None)
        if found is None or found._pid != os.getpid():
            found = cls(hub)
            setattr(hub, _ATTRIBUTE, found)
        return found

    def add(self, connection: Waiting, shortest_s: float) -> None:
        """Watch a connection whose shortest time-out is ``shortest_s`` seconds."""
        self._connections.add(connection)
        tick = max(0.005, min(LATEST_TICK_S, shortest_s / 20))
        if self._timer is None or tick < self._tick:
            self._restart(tick)

    def discard(self, connection: Waiting) -> None:
        """Forget a connection; the timer stops with the last one."""
        self._connections.discard(connection)
        if not self._connections and self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
            self._tick = inf

    def _restart(self, tick: float) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
        self._tick = tick
        self._timer = self._hub.loop.timer(tick, tick, ref=False)
        self._timer.start(self._sweep)

    def _sweep(self) -> None:
        moment = now()
        for connection in [c for c in self._connections if c.deadline <= moment]:
            connection.expire()
