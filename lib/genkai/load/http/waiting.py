"""Waiting for a socket without an object per wait: the part of a connection that talks to gevent's hub."""

from __future__ import annotations

import select
from math import inf
from typing import Any, NoReturn

from gevent import get_hub, getcurrent
from gevent.monkey import get_original

from genkai.load.http.clock import now
from genkai.load.http.deadlines import Deadlines
from genkai.load.http.errors import Failure
from genkai.load.http.target import Timeouts

READ, WRITE = 1, 2  # gevent's event bits of loop.io


class Waiting:
    """Lets one greenlet wait for watchers up to ``deadline`` (epoch seconds), which one timer per hub enforces."""

    def __init__(self, timeouts: Timeouts) -> None:
        self.timeouts = timeouts
        self.deadline = inf
        self._timed_out = False
        self._greenlet: Any = None
        self._switch: Any = None
        self._hub_switch: Any = None
        self._deadlines: Deadlines | None = None

    def enter_hub(self) -> None:
        """Join the current hub, so that time-outs can wake this connection."""
        self._hub_switch = get_hub().switch
        self._deadlines = Deadlines.of_hub()
        self._deadlines.add(self, min(self.timeouts.connect, self.timeouts.read, self.timeouts.total))

    def leave_hub(self) -> None:
        """Undo ``enter_hub``."""
        self.deadline = inf
        self._timed_out = False
        if self._deadlines is not None:
            self._deadlines.discard(self)
            self._deadlines = None

    def expire(self) -> None:
        """Wake the waiting greenlet because ``deadline`` has passed (Deadlines calls this in the hub)."""
        self.deadline = inf
        self._timed_out = True
        self._switch()

    def wait(self, watcher: Any, sent: float, connecting: bool = False) -> None:
        """Wait until the watcher fires; it may be an active one, whose callback is then replaced.

        May return early for no reason: callers try again. Raises Failure (timeout_connect, timeout_read,
        timeout_total) counted from ``sent`` (total, connect) or from now (read). What is there although the limit has
        passed came in time: this process, busy or stopped meanwhile, looks late.
        """
        moment = now()
        if self._timed_out or moment >= sent + self.timeouts.total:
            self.raise_timeout(sent, connecting)
        self._greenlet = getcurrent()
        self._switch = self._greenlet.switch
        limit = sent + self.timeouts.connect if connecting else moment + self.timeouts.read
        self.deadline = min(limit, sent + self.timeouts.total)
        if watcher.active:
            watcher.callback = self._switch
            self._hub_switch()
        else:
            watcher.start(self._switch)
            try:
                self._hub_switch()
            finally:
                watcher.stop()
        self.deadline = inf
        if self._timed_out:
            if not _is_ready(watcher):
                self.raise_timeout(sent, connecting)
            self._timed_out = False

    def raise_timeout(self, sent: float, connecting: bool) -> NoReturn:
        """Raise the Failure of the limit that passed."""
        self._timed_out = False
        limits = self.timeouts
        if now() >= sent + limits.total:
            raise Failure("timeout_total", None, None, f"no complete response within {limits.total:g} s")
        if connecting:
            raise Failure("timeout_connect", None, None, f"not connected within {limits.connect:g} s")
        raise Failure("timeout_read", None, None, f"no byte from the server for {limits.read:g} s")


def _is_ready(watcher: Any) -> bool:
    """What the kernel says of the watcher's descriptor; the hub may not have asked it yet."""
    asked = get_original("select", "poll")()
    asked.register(watcher.fd, select.POLLIN if watcher.events & READ else select.POLLOUT)
    return bool(asked.poll(0))
