"""Load ends with who started it: a lease held by the launcher, and the kernel's word when a parent dies."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any

from gevent import get_hub

from genkai.load.job import LEASE_VARIABLE

PR_SET_PDEATHSIG = 1
READ = 1


def die_with_parent(signal_number: int = signal.SIGKILL) -> None:
    """Ask the kernel for a signal when the parent dies (Linux; elsewhere the lease must do)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal_number))


def watch_lease() -> Any:
    """End this process when the launcher closes its end of the lease, by exiting or by being killed."""
    lease = os.environ.get(LEASE_VARIABLE)
    if lease is None:
        return None
    os.set_inheritable(int(lease), False)
    watcher = get_hub().loop.io(int(lease), READ, ref=False)
    watcher.start(_end, watcher)
    return watcher


def end_process() -> None:
    """Ask this process to end, as anybody else would."""
    os.kill(os.getpid(), signal.SIGTERM)


def _end(watcher: Any) -> None:
    watcher.stop()
    end_process()
