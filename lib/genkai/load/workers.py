"""The machines of `generator.hosts`: load processes started there over ssh, each held by a lease, gone without a trace.

One ssh connection a host carries everything: our source and the job on its input, what the agent there tells on its
output, and locust's own connection back to the master through a reverse tunnel, so that no port is open to others.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import queue
import random
import secrets
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from genkai import hosts
from genkai.load.job import TOKEN_VARIABLE, Job
from genkai.load.parcel import locked_requirements, pack_files, pack_source
from genkai.load.process import LaunchError, master_address
from genkai.plan import WorkerHost
from genkai.workspace import Run

HELLO_S, PREPARE_S, VENV_S, START_S, END_S, CLOSE_S = 30.0, 90.0, 900.0, 20.0, 8.0, 3.0
BEAT_S = 1.0
TUNNELS = range(20_000, 32_000)  # below the range that Linux gives to outgoing connections
TRIES = 3
SCRIPT = (
    'umask 077; d=$(mktemp -d "${{TMPDIR:-/tmp}}/genkai.XXXXXX") || exit 1; trap : TERM HUP INT; '
    "{python} -c 'import base64, io, runpy, sys, tarfile; "
    "tarfile.open(fileobj=io.BytesIO(base64.b64decode(sys.stdin.buffer.readline()))).extractall(sys.argv[1]); "
    'runpy.run_path(sys.argv[1] + "/lib/genkai/load/agent.py", run_name="__main__")\' "$d"; '
    's=$?; rm -rf "$d"; exit $s'
)


class HostLink:
    """The connection to one worker host and the agent at its end."""

    def __init__(self, host: WorkerHost, run: Run, name: str, master: tuple[str, int]) -> None:
        self.host, self.name = host, name
        self._run, self._master = run, master
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._popen: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the connection)
        self._writing = threading.Lock()
        self._last_words = ""
        self.over = False
        self.processes = 0
        self.tunnel = 0
        self.record: dict[str, Any] = {"ssh": host.ssh, "name": name}

    def open(self) -> None:
        """Connect, with another tunnel where one is taken, and hear the agent's hello. Raises LaunchError."""
        for _ in range(TRIES):
            self._connect()
            try:
                self.record |= self._await("hello", HELLO_S)
                return
            except LaunchError:
                if "forwarding failed" not in self._error_text():
                    raise
        raise LaunchError(f"{self.host.ssh}: expected ssh to forward a port back to here, got: {self._error_text()}; "
                          "allow it there (sshd: AllowTcpForwarding)")  # fmt: skip

    def _connect(self) -> None:
        self.tunnel = random.choice(TUNNELS)
        back = f"127.0.0.1:{self.tunnel}:{self._master[0]}:{self._master[1]}"
        options = (*self.host.options, "-o", "ControlPath=none", "-o", "ExitOnForwardFailure=yes", "-R", back)
        script = SCRIPT.format(python=shlex.quote(self.host.python or "python3"))
        try:
            self._popen = subprocess.Popen(
                hosts.command_line(self.host.ssh, script, options), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=self._errors, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise LaunchError(f"{self.host.ssh}: expected to start ssh, got {error}") from error
        threading.Thread(target=self._listen, args=(self._popen,), daemon=True).start()
        self._write(pack_source().encode())

    def _listen(self, popen: subprocess.Popen[bytes]) -> None:
        for line in popen.stdout:
            with suppress(ValueError):
                told = json.loads(line)
                if told.get("log"):
                    self._log(told["log"])
                self.over = self.over or "ended" in told
                self._answers.put(told)
        popen.stdout.close()
        self.over = True
        self._answers.put({"gone": True})

    def trouble(self) -> str | None:
        """That the processes there have ended, and what they said last; None while all is well."""
        if not self.over:
            return None
        return f"{self.host.ssh}: expected load processes, got their end: {self._last_words or self._error_text()}"

    def _log(self, text: str) -> None:
        self._last_words = (text.strip().splitlines() or [self._last_words])[-1]
        path = self._run.raw(f"{self.name}.locust.log")
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(text)

    def _write(self, text: bytes) -> None:
        with self._writing, suppress(OSError, ValueError):
            self._popen.stdin.write(text + b"\n")
            self._popen.stdin.flush()

    def _await(self, key: str, seconds: float) -> Any:
        while True:
            try:
                told = self._answers.get(timeout=seconds)
            except queue.Empty:
                raise LaunchError(f"{self.host.ssh}: expected {key} from there within {seconds:g} s, got nothing; "
                                  f"try by hand: ssh {self.host.ssh}") from None  # fmt: skip
            if key in told:
                return told[key]
            if "error" in told:
                raise LaunchError(f"{self.host.ssh}: {told['error']}")
            if "gone" in told:
                raise LaunchError(f"{self.host.ssh}: expected {key} from there, got the end of the connection: "
                                  f"{self._error_text()}; try by hand: ssh {self.host.ssh}")  # fmt: skip

    def _error_text(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(2)
        self._errors.seek(0)
        return " ".join(self._errors.read().decode("utf-8", "replace").split())[-400:] or "no message"

    def beat(self) -> None:
        """Say that we are alive."""
        self._write(b"")

    def prepare(self, job: Job, requirements: str, files: str) -> None:
        """Interpreter and job there, one request from there, and the clocks compared. Raises LaunchError."""
        wish = {"job": json.loads(job.model_dump_json(by_alias=True)), "files": files, "name": self.name,
                "python": self.host.python, "requirements": requirements}  # fmt: skip
        self._write(json.dumps({"prepare": wish}).encode())
        try:
            offset = hosts.clock_offset(self.host.ssh, ssh_options=self.host.options)
        except hosts.HostError as error:
            raise LaunchError(str(error)) from error
        ready = self._await("ready", PREPARE_S if self.host.python else VENV_S)
        self.record |= {"python": ready["python"], "versions": ready["versions"], "clock_offset": offset.record()}
        probe = ready["probe"]
        if not probe["ok"]:
            raise LaunchError(f"{self.host.ssh}: expected {job.base_url} to answer from there as it does from here, "
                              f"got: {probe['message']}; no load was started")  # fmt: skip

    def start(self) -> None:
        """Start the processes there; they connect to the master as soon as it is up. Raises LaunchError."""
        wish = {"processes": self.processes, "port": self.tunnel,
                "ahead_s": self.record["clock_offset"]["offset_s"]}  # fmt: skip
        self._write(json.dumps({"start": wish}).encode())
        self._await("started", START_S)
        self.record["processes"] = self.processes

    def end(self) -> None:
        """Wait for the agent's own end, else give the lease back; what it leaves behind then it takes away itself."""
        if self._popen is None:
            return
        self._write(json.dumps({"end": True}).encode())
        with suppress(LaunchError):
            self.record["exit_code"] = self._await("ended", END_S if self.record.get("processes") else 0.01)
        with self._writing, suppress(OSError):
            self._popen.stdin.close()
        for insist in (lambda: None, self._popen.terminate, self._popen.kill):
            insist()
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(CLOSE_S)
                break
        if "exit_code" not in self.record:
            self.record["lost"] = self._error_text()  # the processes' end was never told
        self._errors.close()


class Workers:
    """All worker hosts of a run; without any it does nothing."""

    def __init__(self, run: Run, job: Job, port: int) -> None:
        self._run, self.job, self.port = run, job, port
        names = _names(job.hosts)
        master = (master_address(job), port)
        self._links = [HostLink(h, run, n, master) for h, n in zip(job.hosts, names, strict=True)]
        self._over = threading.Event()
        if job.workers:
            os.environ.setdefault(TOKEN_VARIABLE, secrets.token_urlsafe(9))

    def prepare(self) -> Job:
        """Make all hosts ready, beside each other; the job with the processes counted. Raises LaunchError."""
        if not self._links:
            return self.job
        with self.ended_on_failure():
            requirements = "" if all(link.host.python for link in self._links) else locked_requirements()
            self._each(HostLink.open)
            threading.Thread(target=self._beat, daemon=True).start()
            for link in self._links:
                asked = link.host.processes or self.job.processes_asked
                link.processes = link.record["cores"] if asked == "auto" else int(asked)
            added = sum(link.processes for link in self._links)
            self.job = self.job.model_copy(
                update={"processes": self.job.processes + added, "away": self.job.away + added}
            )
            files = pack_files(self.job)
            self._each(lambda link: link.prepare(self.job, requirements, files))
            self._check_versions()
        return self.job

    def _each(self, work: Callable[[HostLink], None]) -> None:
        with ThreadPoolExecutor(hosts.MAX_CONNECTING) as pool:
            for done in [pool.submit(work, link) for link in self._links]:
                done.result()

    def _check_versions(self) -> None:
        for link in self._links:
            theirs = link.record["versions"]
            for name in ("locust", "gevent"):
                ours = importlib.metadata.version(name)
                if theirs[name] != ours:
                    raise LaunchError(
                        f"{link.host.ssh}: expected {name} {ours} as here, got {theirs[name]} with "
                        f"{link.record['python']}; leave python out of the plan to have a venv made"
                    )

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            for link in self._links:
                link.beat()

    def start(self) -> None:
        """Start the processes on all hosts, and say how those begin that the plan leaves to its reader.

        Raises LaunchError.
        """
        if self.command():
            print(f"      waiting for {self.job.workers} load processes; start them with: {self.command()}", flush=True)
        self._each(HostLink.start)

    @contextmanager
    def ended_on_failure(self) -> Iterator[None]:
        """Leave nothing behind when what comes within fails."""
        try:
            yield
        except BaseException:
            self.end()
            raise

    def trouble(self) -> str | None:
        """Why the run cannot begin; None while all is well."""
        return next(filter(None, (link.trouble() for link in self._links)), None)

    def end(self) -> None:
        """End everywhere; safe to call twice."""
        if not self._over.is_set():
            self._each(HostLink.end)
            self._over.set()

    def records(self) -> list[dict[str, Any]]:
        """What run.json says of each host: name, processes, versions, clock_offset, and what was lost."""
        return [link.record for link in self._links]

    def command(self) -> str | None:
        """What starts the workers that the plan leaves to its reader, on any machine; None where it leaves none."""
        if not self.job.workers:
            return None
        address = self.job.listen.rpartition(":")[0]
        shown = address if address not in ("0.0.0.0", "*", "::", "[::]") else "THIS_MACHINE"
        return f"genkai worker {shown}:{self.port} --token {os.environ[TOKEN_VARIABLE]} --processes {self.job.workers}"


def _names(worker_hosts: list[WorkerHost]) -> list[str]:
    """A name of its own for each host: its destination without user, numbered where one stands twice."""
    bases = ["".join(c if c.isalnum() or c in "-." else "-" for c in h.ssh.rpartition("@")[2]) for h in worker_hosts]
    return [b if bases.count(b) == 1 else f"{b}-{bases[: i + 1].count(b)}" for i, b in enumerate(bases)]
