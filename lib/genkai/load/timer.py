"""A timer of the hub that fires within a fraction of a millisecond: timerfd read by the hub's own I/O watcher.

epoll's own time-outs are whole milliseconds; a timerfd makes its descriptor readable at the nanosecond asked for.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gevent import get_hub

from genkai.load.http.clock import EPOCH_OFFSET, now

CLOCK_MONOTONIC, TFD_NONBLOCK, TFD_CLOEXEC, TFD_TIMER_ABSTIME = 1, 0o4000, 0o2000000, 1
READ = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class PreciseTimer:
    """Calls back in the hub at an epoch second; one callback for each `arm`. Raises OSError without descriptors."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._libc: Any = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        if self._fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"timerfd_create: {os.strerror(number)}")
        self._spec = _Itimerspec()
        self._pointer = ctypes.byref(self._spec)
        self._watcher = get_hub().loop.io(self._fd, READ)
        self._watcher.start(self._fire)

    def arm(self, moment: float) -> None:
        """Fire once at an epoch second; at once when it has passed."""
        left = max(moment - EPOCH_OFFSET, 1e-9)  # perf_counter is CLOCK_MONOTONIC
        seconds = int(left)
        self._spec.value.seconds = seconds
        self._spec.value.nanoseconds = int((left - seconds) * 1e9)
        self._libc.timerfd_settime(self._fd, TFD_TIMER_ABSTIME, self._pointer, None)

    def _fire(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._fd, 8)
            self._callback()

    def close(self) -> None:
        """Stop and release the descriptor."""
        if self._fd >= 0:
            self._watcher.stop()
            self._watcher.close()
            os.close(self._fd)
            self._fd = -1


class HubTimer:
    """The same by the hub's own timer, to the millisecond, where there is no timerfd."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._timer: Any = None

    def arm(self, moment: float) -> None:
        """Fire once at an epoch second; as soon as possible when it has passed."""
        self.close()
        self._timer = get_hub().loop.timer(max(0.0, moment - now()))
        self._timer.start(self._callback)

    def close(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None


def new_timer(callback: Callable[[], None]) -> PreciseTimer | HubTimer:
    """The best timer of this system."""
    return PreciseTimer(callback) if sys.platform == "linux" else HubTimer(callback)
