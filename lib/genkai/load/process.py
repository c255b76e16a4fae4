"""Load processes as seen from outside: the command, the start in a group of their own, the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from genkai.load.job import LEASE_VARIABLE, PARENT_VARIABLE, Job
from genkai.load.preflight import load_environment

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
GRACE_S = 10.0


def locust_command(job: Job, port: int) -> list[str]:
    """The command line of one run; several processes talk over a loopback port of their own."""
    files = [str(LOCUSTFILE), *([str(job.locustfile)] if job.locustfile else [])]
    command = [sys.executable, "-m", "locust", "-f", ",".join(files), "--headless", "--only-summary",
               "--host", job.base_url, "--stop-timeout", f"{job.drain_s:g}", "--exit-code-on-error", "0"]  # fmt: skip
    if job.processes > 1:
        command += ["--processes", str(job.processes), "--master-bind-host", "127.0.0.1", "--master-host", "127.0.0.1",
                    "--master-bind-port", str(port), "--master-port", str(port),
                    "--expect-workers-max-wait", "30"]  # fmt: skip
    return command


@dataclass
class LoadProcess:
    """A started run: its process (leader of its group) and our end of the lease."""

    popen: subprocess.Popen
    lease: int

    def release(self) -> None:
        """Give up the lease: what still runs ends itself."""
        if self.lease >= 0:
            os.close(self.lease)
            self.lease = -1

    def end(self, grace_s: float = GRACE_S) -> int:
        """Ask to end (data is written), then insist on the whole group; the exit code."""
        if self.popen.poll() is None:
            self.popen.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(grace_s)
        kill_group(self.popen.pid)
        self.release()
        return self.popen.wait()


def start_process(command: list[str], folder: Path, log: Path, working_directory: Path) -> LoadProcess:
    """Start a command for the run in a folder, in a session of its own, holding a lease that ends it with us."""
    reading, lease = os.pipe()
    environment = {**load_environment(folder), LEASE_VARIABLE: str(reading)}
    if threading.current_thread() is threading.main_thread():
        environment[PARENT_VARIABLE] = str(os.getpid())  # the kernel's death signal follows the starting *thread*
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as stream:
        popen = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            pass_fds=(reading,), start_new_session=True, cwd=working_directory,
        )  # fmt: skip
    os.close(reading)
    return LoadProcess(popen, lease)


def kill_group(leader: int) -> None:
    """Kill what is left of a process group."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def start_time(pid: int) -> float | None:
    """When a process was started, epoch seconds: with its id it names the process for good; None when it is gone."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None
