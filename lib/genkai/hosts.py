"""Run a command on this machine or over the user's own ssh so that nothing of ours stays there, however we end.

Every command that lasts holds two leases: a limit in time, and its standard input. We keep the other end of that pipe
open; when we die, by whatever signal, the kernel closes it (over ssh: sshd does), and the shell there ends the command.
"""

from __future__ import annotations

import math
import os
import shlex
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from genkai.refusals import Refusal

_OPTIONS = ("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3")
SSH_OPTIONS = ("-T", *(part for option in _OPTIONS for part in ("-o", option)))
MAX_CONNECTING = 8  # sshd's MaxStartups 10:30:60 begins to refuse at ten connections that have not logged in yet
CLOCK_WARNING_S = 0.1
ROUNDS = 8  # of asking for the time

# A background job of a non-interactive shell reads /dev/null unless its input is named: hence fd 3.
# The shell stays as the parent instead of exec: it ends the watcher when the command ends by itself, so that the
# watcher never signals a process id that meanwhile belongs to somebody else. timeout makes a process group of its own,
# which is told, too: a signal between timeout's fork and its knowing of it would end timeout alone.
_LEASE = """exec 3<&0
timeout {limit} {command} </dev/null 3<&- &
child=$!
( while read -r _ <&3; do :; done; kill -- "-$child" "$child" ) >/dev/null 2>&1 &
lease=$!
trap 'kill -- "-$child" "$child" "$lease" 2>/dev/null' TERM HUP INT
wait "$child"
status=$?
kill "$lease" 2>/dev/null; [ "$status" -lt 124 ] || kill -- "-$child" 2>/dev/null
exit "$status"
"""

_connecting = threading.BoundedSemaphore(MAX_CONNECTING)


class HostError(Refusal, RuntimeError):
    """A machine that could not be reached, or a command that failed there."""


@dataclass(frozen=True)
class ClockOffset:
    """How far a machine's clock is ahead of ours: `offset_s` ± `uncertainty_s` (half the round trip)."""

    offset_s: float
    uncertainty_s: float
    method: str
    warnings: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """For run.json."""
        return asdict(self)


def command_line(ssh: str | None, script: str, ssh_options: Sequence[str] = ()) -> list[str]:
    """Arguments that run a POSIX shell script on this machine (ssh is None) or on an ssh destination.

    Raises HostError for a destination that ssh would read as an option.
    """
    if ssh is None:
        return ["sh", "-c", script]
    if not ssh or ssh.startswith("-"):
        raise HostError(f"ssh: expected a destination such as user@host, got {ssh!r}")
    return ["ssh", *SSH_OPTIONS, *ssh_options, "--", ssh, f"exec sh -c {shlex.quote(script)}"]


def leased(command: str, limit_s: float) -> str:
    """A shell script that runs the command until it ends, its standard input is closed, or limit_s seconds are over.

    The command is one simple shell command (`sh -c '…'` for more).
    """
    return _LEASE.format(command=command, limit=max(1, math.ceil(limit_s)))


class HostProcess:
    """A command that runs on a host under a lease; its output goes to a file as it comes."""

    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        self._process = process
        self._errors = errors

    @property
    def pid(self) -> int:
        """Process id, on this machine, of the shell or of ssh."""
        return self._process.pid

    def poll(self) -> int | None:
        """Exit code, or None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float) -> int | None:
        """Wait for the end; None when it still runs after timeout_s."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def error_text(self) -> str:
        """What it wrote on standard error, the last 2 000 bytes."""
        if self._errors.closed:
            return ""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - 2000))
        return self._errors.read().decode("utf-8", "replace").strip()

    def stop(self, timeout_s: float = 5.0) -> int:
        """Give the lease back and wait; a client that does not end is killed (its far side ends by the lease)."""
        with suppress(OSError):
            self._process.stdin.close()
        code = self.wait(timeout_s)
        if code is None:
            self._process.terminate()
            code = self.wait(1.0)
        if code is None:
            self._process.kill()
            code = self._process.wait()
        return code

    def close(self) -> None:
        """Stop and release the files."""
        self.stop()
        self._errors.close()


def start(ssh: str | None, command: str, output: Path, limit_s: float, ssh_options: Sequence[str] = ()) -> HostProcess:
    """Start a command under lease on a host; its standard output is appended to a local file. Raises HostError."""
    arguments = command_line(ssh, leased(command, limit_s), ssh_options)
    output.parent.mkdir(parents=True, exist_ok=True)
    errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
    with open(output, "ab") as stream:
        try:
            # A session of its own: Ctrl-C in a terminal must not end the samplers before the run has ended.
            process = subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=stream, stderr=errors, start_new_session=True
            )
        except OSError as error:
            errors.close()
            raise HostError(f"{ssh or 'this machine'}: expected to start {arguments[0]}, got {error}") from error
    return HostProcess(process, errors)


def start_gently(
    ssh: str | None, command: str, output: Path, limit_s: float, ssh_options: Sequence[str] = ()
) -> HostProcess:
    """`start`, with at most 8 ssh connections being set up at once: waits (≤ 30 s) until the first byte arrives."""
    if ssh is None:
        return start(ssh, command, output, limit_s)
    with _connecting:
        before = output.stat().st_size if output.exists() else 0
        process = start(ssh, command, output, limit_s, ssh_options)
        deadline = time.monotonic() + 30
        while process.poll() is None and output.stat().st_size == before and time.monotonic() < deadline:
            time.sleep(0.02)
    return process


def run(ssh: str | None, script: str, timeout_s: float = 30.0, ssh_options: Sequence[str] = ()) -> str:
    """Standard output of a shell script on a host.

    Raises HostError naming the host: not reached, failed (with its last error line), or not done in timeout_s.
    """
    where = ssh or "this machine"
    arguments = command_line(ssh, leased(f"sh -c {shlex.quote(script)}", timeout_s), ssh_options)
    with _connecting if ssh else nullcontext():
        process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            # communicate() would close the input, which is the lease: read first, close afterwards.
            out, err = _read_both(process, timeout_s)
        finally:
            process.stdin.close()
            if process.poll() is None:
                process.terminate()
                process.wait()
    if out is None:
        raise HostError(f"{where}: expected an answer within {timeout_s:g} s, got none")
    if process.returncode:
        last = err.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        hint = "; try the same by hand: ssh " + where if ssh and process.returncode == 255 else ""
        raise HostError(f"{where}: expected exit code 0, got {process.returncode} ({last[0]}){hint}")
    return out.decode("utf-8", "replace")


def _read_both(process: subprocess.Popen[bytes], timeout_s: float) -> tuple[bytes | None, bytes]:
    texts: dict[str, bytes] = {}

    def read(name: str, stream: IO[bytes]) -> None:
        texts[name] = stream.read()
        stream.close()

    readers = [
        threading.Thread(target=read, args=(name, getattr(process, name)), daemon=True) for name in ("stdout", "stderr")
    ]
    for reader in readers:
        reader.start()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None, b""
    for reader in readers:
        reader.join(2.0)
    return texts.get("stdout", b""), texts.get("stderr", b"")


def clock_offset(ssh: str | None, ssh_options: Sequence[str] = ()) -> ClockOffset:
    """How far the host's clock is ahead of ours, by ping-pong over one connection; the shortest round trip counts.

    Source: Cristian (1989), Probabilistic clock synchronization. Raises HostError.
    """
    if ssh is None:
        return ClockOffset(0.0, 0.0, "same machine")
    arguments = command_line(ssh, "while read -r _; do date +%s.%N; done", ssh_options)
    process = subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    # A far side that hangs must not hang us: the reads below end when ssh is ended.
    guard = threading.Timer(20.0, process.kill)
    guard.start()
    trips: list[tuple[float, float]] = []
    try:
        with _connecting:
            for _ in range(ROUNDS + 1):
                trips.append(_ping(process, ssh))
    finally:
        guard.cancel()
        with suppress(OSError):
            process.stdin.close()
        process.terminate()
        process.wait()
        process.stdout.close()
        process.stderr.close()
    round_trip, offset = min(trips[1:])  # the first one holds the connection's set-up
    return ClockOffset(offset, round_trip / 2, "ssh ping-pong", _clock_warnings(ssh, offset))


def _ping(process: subprocess.Popen[bytes], ssh: str) -> tuple[float, float]:
    begin = time.time()
    with suppress(OSError):
        process.stdin.write(b"\n")
        process.stdin.flush()
    answer = process.stdout.readline().decode("ascii", "replace").strip()
    end = time.time()
    try:
        theirs = float(answer.removesuffix(".%N").removesuffix(".N"))  # BusyBox's date has whole seconds only
    except ValueError:
        process.kill()
        said = process.stderr.read().decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        raise HostError(f"{ssh}: expected the time from date +%s.%N, got {answer!r} ({said[0]})") from None
    resolution = 0.0 if "." in answer and answer[-1].isdigit() else 1.0
    return end - begin + resolution, theirs + resolution / 2 - (begin + end) / 2


def _clock_warnings(where: str, offset: float) -> list[str]:
    if abs(offset) <= CLOCK_WARNING_S:
        return []
    return [
        f"{where}: clock {offset:+.3f} s from ours (expected within {CLOCK_WARNING_S} s): check chrony or ntpd there"
    ]
