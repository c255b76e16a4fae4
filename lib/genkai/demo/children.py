"""Starts and stops the demo's processes, each by its own pid."""

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from typing import IO, Any


class StartError(RuntimeError):
    """A process of the demo did not come up."""


class Child:
    """A process `python -m MODULE` that announces itself with one JSON line and ends when this process does."""

    def __init__(self, module: str, arguments: list[str], environment: dict[str, str] | None = None) -> None:
        self.module, self.arguments = module, arguments
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,  # held open: its end is the child's signal to go
            stdout=subprocess.PIPE,
            stderr=self.errors,
            process_group=0,  # an interrupt meant for this process (Ctrl-C, a notebook's stop button) must not reach it
            env={**os.environ, **(environment or {})},
        )
        self.facts: dict[str, Any] = {}

    @property
    def pid(self) -> int:
        """The operating system's process id."""
        return self.process.pid

    def ready(self, timeout_s: float = 30.0) -> dict[str, Any]:
        """Wait for the announcement and return it; raises StartError with what the process said instead."""
        deadline = time.monotonic() + timeout_s
        line = b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(self.process.stdout.fileno(), 65536) if readable else b""  # type: ignore[union-attr]
            if not part:
                reason = self._reason(bool(readable), timeout_s)
                self.stop()
                raise StartError(reason)
            line += part
        self.facts = json.loads(line)
        return self.facts

    def _reason(self, ended: bool, timeout_s: float) -> str:
        if ended:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        what = f"ended with exit code {self.process.poll()}" if ended else f"nothing after {timeout_s:g} s"
        words = self.error_text().strip().splitlines()[-3:]
        return (
            f"demo: {self.module} {' '.join(self.arguments)}: expected a ready line, got: {what}. {' | '.join(words)}"
        )

    def error_text(self) -> str:
        """What the process wrote to standard error so far."""
        if self.errors.closed:
            return ""
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def stop(self, timeout_s: float = 3.0) -> int:
        """Ask it to end, then make it; returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            if stream is not None:
                stream.close()
        return self.process.returncode
