"""kill -9 of the workbench while it samples a host over a real sshd: seconds until nothing of ours runs on the target.

    .venv/bin/python tests/bench/bench_hosts_kill.py [KILLS]          bar: at most 5 s

What is ours on the target are the processes whose environment has the session's SSH_CONNECTION (sshd gives it to each
session, and children inherit it, orphans too), sshd's own left out. Every second kill comes while the samplers start.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from genkai.workspace import Run
from sshd import Sshd
from test_collect_sampling import WORKBENCH, both_sampled

BAR_S, LIMIT_S = 5.0, 60.0


def ours(port: int) -> dict[int, str]:
    """{pid: command line} of what sessions of the sshd at this port left or still run."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            held = (path / "environ").read_bytes().split(b"\0")
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        except OSError:
            continue
        session = next((e for e in held if e.startswith(b"SSH_CONNECTION=")), b"")
        if session.endswith(b" %d" % port) and command and not command.startswith("sshd"):
            found[int(path.name)] = command
    return found


def one_kill(folder: Path, sshd: Sshd, starting: bool) -> tuple[float, int]:
    """(seconds until nothing was left, processes there at the kill); starting: killed as soon as anything is there."""
    (folder / "raw").mkdir(parents=True)
    run = Run(folder)
    command = [sys.executable, "-c", WORKBENCH, sshd.destination, f"m{os.getpid()}", str(folder), *sshd.options]
    workbench = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + LIMIT_S
        while not (ours(sshd.port) if starting else both_sampled(run, "far")):
            if time.monotonic() > deadline:
                raise SystemExit(f"expected samples within {LIMIT_S:g} s, got none; see {folder}")
            time.sleep(0.01)
        there = len(ours(sshd.port))
    finally:
        workbench.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        workbench.wait()
    while left := ours(sshd.port):
        if time.monotonic() - killed > LIMIT_S:
            raise SystemExit(f"still there after {LIMIT_S:g} s: {left}")
        time.sleep(0.02)
    return time.monotonic() - killed, there


def main(kills: int = 10) -> None:
    """Print every kill, and the longest."""
    with tempfile.TemporaryDirectory() as folder, Sshd(Path(folder)) as sshd:
        found = []
        for number in range(1, kills + 1):
            seconds, there = one_kill(Path(folder) / f"run{number}", sshd, number % 2 == 0)
            found.append(seconds)
            print(f"kill {number}: {there} processes on the target, none after {seconds:.2f} s", flush=True)
    print(f"longest of {kills}: {max(found):.2f} s (bar {BAR_S:g} s)")
    raise SystemExit(max(found) > BAR_S)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
