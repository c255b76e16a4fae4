"""`python -m genkai.load.forkserver FD`: locust imported once, and a process forked off for each command that comes.

Starting locust takes seconds of a core, most of them for imports, and a cycle or a search starts it many times. Each
message on the socket FD brings three descriptors: a channel, on which the command is read and its process id and exit
code are told; where the output goes; and the lease of `lifeline`. While nothing is asked, this process sleeps.

What is imported ahead must not depend on when and for whom it is imported: not the clock of genkai.load.http, which is
set to UTC on import.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from os import waitpid
from select import POLLIN, poll
from signal import SIG_DFL, SIGCHLD, SIGKILL, SIGTERM, set_wakeup_fd, signal
from time import monotonic, sleep

from genkai.load.job import LEASE_VARIABLE

# waitpid, poll, signal and sleep are named here, before locust comes: gevent's own would need a hub that runs.

END_S = 60.0  # what a run may take to drain and to write once its launcher has died


@dataclass(frozen=True)
class Order:
    """What a forked process is to do: `python -m module arguments` with this environment in that directory."""

    module: str
    arguments: list[str]
    environment: dict[str, str]
    directory: str

    @classmethod
    def read(cls, channel: int) -> Order:
        """The order that a channel brings, one line of JSON."""
        with open(channel, "rb", closefd=False) as stream:
            return cls(**json.loads(stream.readline()))

    def begin(self, server: int, output: int, lease: int) -> None:
        """Become the process that was asked for, up to its first line of Python; it ends when the server dies."""
        from genkai.load.lifeline import die_with_parent

        os.setsid()
        die_with_parent(SIGTERM)
        if os.getppid() != server:
            sys.exit("the fork server has died")
        os.chdir(self.directory)
        for standard in (1, 2):
            os.dup2(output, standard)
        os.close(output)
        os.environ.clear()
        os.environ.update(self.environment)
        os.environ[LEASE_VARIABLE] = str(lease)
        sys.path[0] = self.directory
        sys.argv = [self.module, *self.arguments]

    def run(self) -> None:
        """Run the module as a program."""
        runpy.run_module(self.module, run_name="__main__", alter_sys=True)


def import_ahead() -> None:
    """Import what takes long."""
    import locust.main  # noqa: F401

    import genkai.load.recorder
    import genkai.load.stop  # noqa: F401

    gc.collect()
    gc.freeze()  # no collection touches the pages that all forked processes share


class ForkServer:
    """Forks until the socket is closed at its other end, and tells each exit code on the channel of its command."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._channels: dict[int, int] = {}  # by process id
        self._wake, wake = os.pipe()
        for descriptor in (self._wake, wake):
            os.set_blocking(descriptor, False)
        signal(SIGCHLD, lambda *_: None)  # Python's own handler writes a byte to `wake`
        set_wakeup_fd(wake)

    def serve(self) -> Order | None:
        """The order to run, in each forked process; None in the server itself, when all of them have ended."""
        waiting = poll()
        for descriptor in (self._control.fileno(), self._wake):
            waiting.register(descriptor, POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in waiting.poll()}
            if self._wake in ready:
                self._reap()
            if self._control.fileno() in ready:
                _, received, _, _ = socket.recv_fds(self._control, 1, 3)
                if not received:
                    return self._end()
                order = self._fork(*received)
                if order is not None:
                    return order

    def _end(self) -> None:
        """Whoever asked is gone: end what is left of it."""
        for pid in self._channels:
            os.kill(pid, SIGTERM)
        until = monotonic() + END_S
        while self._channels and monotonic() < until:
            sleep(0.05)
            self._reap()
        for pid in self._channels:
            _end_group(pid)

    def _fork(self, channel: int, output: int, lease: int) -> Order | None:
        from gevent.os import fork_gevent  # gevent.fork would take SIGCHLD for itself

        server, pid = os.getpid(), fork_gevent()
        if pid:
            self._channels[pid] = channel
            os.close(output)
            os.close(lease)
            return None
        self._forget()
        order = Order.read(channel)
        order.begin(server, output, lease)
        os.write(channel, b"begun %d\n" % os.getpid())
        os.close(channel)
        return order

    def _forget(self) -> None:
        """In a forked process: nothing is left of the server."""
        wake = set_wakeup_fd(-1)
        signal(SIGCHLD, SIG_DFL)
        for descriptor in (self._wake, wake, *self._channels.values()):
            os.close(descriptor)
        self._control.close()

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake, 4096)
        for pid, channel in list(self._channels.items()):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            _end_group(pid)  # while the id cannot be anybody else's
            _, status = waitpid(pid, 0)
            self._tell(channel, os.waitstatus_to_exitcode(status))
            del self._channels[pid]

    @staticmethod
    def _tell(channel: int, code: int) -> None:
        with suppress(OSError):  # nobody may want to know any more
            os.write(channel, b"ended %d\n" % code)
        os.close(channel)


def _end_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, SIGKILL)


def main() -> None:
    """Serve the socket whose descriptor the command line names."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    import_ahead()
    order = ForkServer(control).serve()
    if order is not None:
        order.run()


if __name__ == "__main__":
    main()
