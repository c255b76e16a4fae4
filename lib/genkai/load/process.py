"""Load processes as seen from outside: the command, the start by a fork server, the end of the whole group."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

import genkai
from genkai.load.counters import PORT_RANGE
from genkai.load.job import RUN_VARIABLE, Job
from genkai.refusals import Refusal

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
GRACE_S = 10.0
START_S = 60.0  # imports on a busy machine
PORTS_FROM = 20_000  # of those that we choose; below lie services
CONNECT_S, JOIN_S = 30, 600  # how long workers are waited for: ours, and those that somebody starts


class LaunchError(Refusal, RuntimeError):
    """A run that could not be started; the message says where, expected, got, next step."""


def load_environment(folder: Path | None = None) -> dict[str, str]:
    """The environment of a load process: which run it is for, where genkai is; none of locust's own options."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    path = os.pathsep.join([str(Path(genkai.__file__).parent.parent), *filter(None, [kept.get("PYTHONPATH")])])
    run = {RUN_VARIABLE: str(folder.resolve())} if folder else {}
    return {**kept, **run, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def locust_command(job: Job, port: int) -> list[str]:
    """The command line of one run; several processes talk to the master on a port of their own."""
    files = [str(LOCUSTFILE), *([str(job.locustfile)] if job.locustfile else [])]
    command = [sys.executable, "-m", "locust", "-f", ",".join(files), "--headless", "--only-summary",
               "--host", job.base_url, "--stop-timeout", f"{job.drain_s:g}", "--exit-code-on-error", "0"]  # fmt: skip
    if job.distributed:
        here = job.processes - job.away
        command += ["--processes", str(here)] if here else ["--master", "--expect-workers", str(job.processes)]
        command += ["--master-bind-host", job.listen.rpartition(":")[0] or "127.0.0.1",
                    "--master-host", master_address(job), "--master-bind-port", str(port), "--master-port", str(port),
                    "--expect-workers-max-wait", str(JOIN_S if job.workers else CONNECT_S)]  # fmt: skip
    return command


def master_address(job: Job) -> str:
    """Where processes on this machine reach the master."""
    bound = job.listen.rpartition(":")[0]
    return "127.0.0.1" if bound in ("", "*", "0.0.0.0", "::", "[::]") else bound


class LoadProcess:
    """A started command: its process, the leader of a group of its own, and our end of the lease."""

    def __init__(self, channel: socket.socket, lease: int) -> None:
        self._channel, self._lease = channel, lease
        self._code: int | None = None
        self.pid = self._told("begun", START_S)
        self._started = start_time(self.pid)

    def _told(self, what: str, timeout_s: float) -> int:
        """The number that the fork server tells. Raises TimeoutError, EOFError when it is gone."""
        self._channel.settimeout(timeout_s)
        text = b""
        while not text.endswith(b"\n"):  # a byte at a time: the next line may be there already
            byte = self._channel.recv(1)
            if not byte:
                raise EOFError(what)
            text += byte
        told, _, number = text.decode().partition(" ")
        if told != what:
            raise EOFError(f"{what}, got {told} {number}")
        return int(number)

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self.wait(0)

    def wait(self, timeout_s: float) -> int | None:
        """The exit code as soon as there is one, or None after so many seconds."""
        if self._code is None and select.select([self._channel], [], [], timeout_s)[0]:
            try:
                self._code = self._told("ended", START_S)
            except (EOFError, OSError):  # the fork server was killed: the kernel has told the process to end
                until = time.monotonic() + timeout_s
                while (alive := start_time(self.pid) == self._started) and time.monotonic() < until:
                    time.sleep(0.02)
                if not alive:
                    kill_group(self.pid)
                    self._code = -signal.SIGTERM
        return self._code

    def release(self) -> None:
        """Give up the lease: what still runs ends itself."""
        if self._lease >= 0:
            os.close(self._lease)
            self._lease = -1

    def end(self, grace_s: float = GRACE_S) -> int:
        """Ask to end (data is written), then insist on the whole group; the exit code."""
        if self.poll() is None:
            _signal(self.pid, signal.SIGTERM)
            if self.wait(grace_s) is None:
                kill_group(self.pid)
        self.release()
        if self.wait(GRACE_S) is None:
            self._code = -signal.SIGKILL
        self._channel.close()
        return self._code


class ForkServer:
    """Our side of `genkai.load.forkserver`: started once in this process, ended by its end, whatever ends it."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "genkai.load.forkserver", str(theirs.fileno())], env=load_environment(),
                stdin=subprocess.DEVNULL, stdout=self._errors, stderr=self._errors, pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def start(self, command: list[str], environment: dict[str, str], directory: Path, output: IO[bytes]) -> LoadProcess:
        """Start `python -m …` in a session of its own, holding a lease that ends it with us. Raises LaunchError."""
        ours, channel = socket.socketpair()
        reading, lease = os.pipe()
        order = {"module": command[2], "arguments": command[3:], "environment": environment,
                 "directory": str(directory)}  # fmt: skip
        try:
            with channel:
                socket.send_fds(self._control, [b"."], [channel.fileno(), output.fileno(), reading])
            ours.sendall(json.dumps(order).encode() + b"\n")
            return LoadProcess(ours, lease)
        except (EOFError, OSError) as error:
            ours.close()
            os.close(lease)
            raise LaunchError(f"{' '.join(command[1:3])}: expected a process to start, got "
                              f"{self._last_words() or error or 'none'}") from error  # fmt: skip
        finally:
            os.close(reading)

    def _last_words(self) -> str:
        self._errors.seek(0)
        return (self._errors.read().decode("utf-8", "replace").strip().splitlines() or [""])[-1]


_server: ForkServer | None = None
_choosing = threading.Lock()


def fork_server() -> ForkServer:
    """The fork server of this process, another one where it was killed; asked for early, its imports cost no time."""
    global _server
    with _choosing:
        if _server is None or not _server.alive:
            _server = ForkServer()
        return _server


def start_process(command: list[str], folder: Path, log: Path, working_directory: Path) -> LoadProcess:
    """Start `python -m …` for the run in a folder, its output appended to a log. Raises LaunchError."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as output:
        return fork_server().start(command, load_environment(folder), working_directory, output)


def free_port() -> int:
    """A TCP port of this machine that nobody listens on.

    From below the ephemeral ports where there is room, so that no connection takes it before its process listens.
    """
    with suppress(OSError, ValueError):
        above = min(int(PORT_RANGE.read_text().split()[0]), 32_768)
        for port in random.SystemRandom().sample(range(PORTS_FROM, max(above, PORTS_FROM)), 50):
            with suppress(OSError), socket.socket() as listener:
                listener.bind(("127.0.0.1", port))
                return port
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def kill_group(leader: int) -> None:
    """Kill what is left of a process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def start_time(pid: int) -> float | None:
    """When a process was started, epoch seconds: with its id it names the process for good; None when it is gone."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None
