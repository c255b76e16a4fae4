"""Runs load processes on another machine and takes itself and all of its traces away: started there over ssh.

Needs nothing but the standard library, since it also makes the venv. Each line of its input is a message (JSON); an
empty one says that the other side is alive. It ends when the input does, or when nothing came for LEASE_S seconds: a
link that is cut closes nothing.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

LEASE_S = 10.0
GRACE_S = 5.0
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genkai"
PYTHONS = ("python3.13", "python3.12", "python3.11", "python3")
ASK_VERSIONS = (
    "import json, platform; from importlib.metadata import version; "
    "print(json.dumps({'python': platform.python_version(), 'locust': version('locust'), 'gevent': version('gevent')}))"
)


class AgentError(RuntimeError):
    """What could not be done here; the message goes back."""


class Lease:
    """The other side's messages, and whether it still holds on to us."""

    def __init__(self, stream) -> None:
        self._stream = stream
        self._messages: queue.Queue = queue.Queue()
        self._seen = time.monotonic()
        self._closed = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in iter(self._stream.readline, b""):
            self._seen = time.monotonic()
            if line.strip():
                self._messages.put(json.loads(line))
        self._closed = True

    @property
    def held(self) -> bool:
        """Whether the input is open and something came within LEASE_S seconds."""
        return not self._closed and time.monotonic() - self._seen < LEASE_S

    def next(self, wait_s: float) -> dict | None:
        """The next message, or None."""
        with contextlib.suppress(queue.Empty):
            return self._messages.get(timeout=wait_s)
        return None


def say(**record) -> None:
    """One message to the other side."""
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def unpack(packed: str, folder: Path) -> None:
    """Unpack a parcel (tar, gzip, Base64)."""
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed))) as archive:
        archive.extractall(str(folder))


def place_job(folder: Path, job: dict, files: str) -> None:
    """Write job.json and the files that it names into a run's folder here; paths become those of this machine."""
    unpack(files, folder)
    goal = folder / "files"
    goal.mkdir(exist_ok=True)
    own = job.get("locustfile")
    for call in job["calls"]:
        if call["api"].get("data"):
            call["api"]["data"] = call["api"]["data"].lstrip("/")
    named = [field for field in ("ca", "certificate", "key") if job.get("tls", {}).get(field)]
    job["tls"] = {**job.get("tls", {}), **{field: tls_name(field) for field in named}}
    job = {**job, "base_dir": str(goal), "locustfile": str(goal / Path(own).name) if own else None}
    (folder / "job.json").write_text(json.dumps(job))


def tls_name(field: str) -> str:
    """Under which name a file of the job's tls travels, wherever it lies in the plan."""
    return f"tls-{field}.pem"


def make_venv(requirements: str, pythons=PYTHONS) -> str:
    """An interpreter with the locked requirements, made once and kept in the user's cache. Raises AgentError."""
    found = [p for p in map(shutil.which, pythons) if p]
    if not found:
        raise AgentError(f"expected one of {', '.join(pythons)}, got none")
    digest = hashlib.sha256((requirements + found[0]).encode()).hexdigest()[:12]
    place, done = CACHE / f"venv-{digest}", CACHE / f"venv-{digest}" / "complete"
    python = str(place / "bin" / "python")
    if done.exists():
        return python
    shutil.rmtree(place, ignore_errors=True)
    _make(found[0], "-m", "venv", str(place))
    locked = place / "requirements.txt"
    locked.write_text(requirements)
    try:
        _make(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes",
              "-r", str(locked))  # fmt: skip
    except AgentError:
        shutil.rmtree(place, ignore_errors=True)
        raise
    done.write_text("")
    return python


def _make(*command: str) -> None:
    made = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if made.returncode:
        last = ((made.stderr + made.stdout).strip().splitlines() or ["no output"])[-1]
        raise AgentError(f"expected {' '.join(command[1:4])} to pass with {command[0]}, got: {last}")


class Crew:
    """The load processes of one run here; `host` is what the run calls this machine."""

    def __init__(self, folder: Path, python: str, host: str, source: Path) -> None:
        self._folder, self._python = folder, python
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("LOCUST_")}
        self._environment.update(GENKAI_RUN=str(folder), GENKAI_HOST=host, PYTHONPATH=str(source), PYTHONUNBUFFERED="1")
        self._source = source
        self._log = folder / "log"
        self._read = 0
        self._popen: subprocess.Popen | None = None

    def command_of(self, processes: int, address: tuple[str, int]) -> list[str]:
        """Locust's own command line."""
        job = json.loads((self._folder / "job.json").read_text())
        files = [str(self._source / "genkai" / "load" / "locustfile.py"), *filter(None, [job["locustfile"]])]
        command = [self._python, "-m", "locust", "-f", ",".join(files), "--worker", "--headless"]
        command += ["--host", job["base_url"], "--master-host", address[0], "--master-port", str(address[1])]
        command += ["--stop-timeout", f"{job['drain_s']:g}"]
        return command + (["--processes", str(processes)] if processes > 1 else [])

    def ask(self, *arguments: str, timeout_s: float = 60.0) -> str:
        """What a Python command prints. Raises AgentError."""
        try:
            done = subprocess.run([self._python, *arguments], env=self._environment, cwd=str(self._folder / "files"),
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s,
                                  check=False)  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AgentError(f"{self._python}: expected an interpreter that answers, got {error}") from error
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise AgentError(f"{self._python}: expected the locked requirements there, got: {last}")
        return done.stdout

    def start(self, processes: int, address: tuple[str, int], ahead_s: float) -> None:
        """Start the processes; they wait for the master."""
        self._environment["GENKAI_CLOCK_AHEAD_S"] = repr(ahead_s)
        with open(str(self._log), "ab") as stream:
            self._popen = subprocess.Popen(
                self.command_of(processes, address), env=self._environment, cwd=str(self._folder / "files"),
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int | None:
        """The leader of the processes' group."""
        return self._popen.pid if self._popen else None

    def poll(self) -> int | None:
        """Exit code once the processes have ended."""
        return self._popen.poll() if self._popen else None

    def news(self) -> str:
        """What the processes logged since the last call."""
        if not self._log.exists():
            return ""
        with open(str(self._log), "rb") as stream:
            stream.seek(self._read)
            text = stream.read()
        self._read += len(text)
        return text.decode("utf-8", "replace")

    def end(self) -> None:
        """Ask the processes to end, then insist."""
        if self._popen is None:
            return
        for number, wait_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, 1.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(wait_s)


def serve(folder: Path, lease: Lease) -> None:
    """Do what the messages ask, until the processes have ended or nobody holds us any more."""
    crew: Crew | None = None
    say(hello={"cores": len(os.sched_getaffinity(0)), "host": socket.gethostname(), "agent": os.getpid()})
    try:
        while lease.held:
            message = lease.next(0.2)
            if message is not None and "prepare" in message:
                crew = _prepare(folder, message["prepare"])
            elif message is not None and "start" in message and crew is not None:
                wish = message["start"]
                crew.start(wish["processes"], ("127.0.0.1", wish["port"]), wish["ahead_s"])
                say(started=crew.pid)
            elif message is not None and crew is not None:
                crew.end()
            elif message is not None:
                return
            text = crew.news() if crew else ""
            if text:
                say(log=text)
            if crew is not None and crew.poll() is not None:
                say(log=crew.news(), ended=crew.poll())
                return
    except AgentError as error:
        say(error=str(error))
    except BrokenPipeError:
        pass
    finally:
        if crew is not None:
            crew.end()


def _prepare(folder: Path, wish: dict) -> Crew:
    """Interpreter, job, and one request of the job's own from here, before any load. Raises AgentError."""
    place_job(folder, wish["job"], wish["files"])
    python = wish["python"] or make_venv(wish["requirements"])
    crew = Crew(folder, python, wish["name"], folder / "lib")
    versions = json.loads(crew.ask("-c", ASK_VERSIONS))
    probe = {"ok": True}
    if wish["job"]["calls"]:
        crew.ask("-m", "genkai.load.probe")
        probe = json.loads((folder / "probe.json").read_text())
        probe.pop("body", None)
    say(ready={"python": python, "versions": versions, "probe": probe})
    return crew


def main() -> None:
    """Serve in the folder that the command line names, and remove it."""
    folder = Path(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    try:
        serve(folder, Lease(sys.stdin.buffer))
    finally:
        shutil.rmtree(str(folder), ignore_errors=True)


if __name__ == "__main__":
    main()
