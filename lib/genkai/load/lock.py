"""One load at a time in a project: two at once would each measure both, and the target would get more than asked."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genkai.load.process import LaunchError
from genkai.workspace import now_text

LOCK = "load.lock"  # below data/cycles; held for searches and profiles, too


@contextmanager
def load_lock(cycles: Path, what: str, stop: str = "genkai stop") -> Iterator[None]:
    """Hold the project's lock; the kernel frees it when the process ends, however it does.

    cycles: the folder of all cycles; what, stop: what bears the load and the command that ends it, as others are told.
    Raises LaunchError when another one holds it.
    """
    path = cycles.resolve() / LOCK
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # closed in whatever this process starts
    except OSError as error:
        raise LaunchError(
            f"{path}: expected a file to lock, got {error.strerror}; make it writable, or remove it"
        ) from None
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(held, 4096, 0).decode(errors="replace") or "one that is just beginning; wait for it"
            raise LaunchError(f"{path}: {what}: expected no other load of this project, got {holder}") from None
        os.ftruncate(held, 0)
        told = f"{what} (process {os.getpid()}, since {now_text()}); wait for it, or end it: {stop}"
        os.pwrite(held, told.encode(), 0)
        yield
    finally:
        os.close(held)
