"""`genkai worker MASTER:PORT`: load processes for a run that is conducted elsewhere, on any machine.

Asks the master for the job, compares clocks, runs locust's workers, leaves nothing; then waits for the next run, so
that a container keeps serving the steps of a cycle. Uses locust's own port and message format, without gevent.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import genkai
from genkai.load.agent import Crew, place_job
from genkai.load.job import JOIN, PARCEL, TIME
from genkai.refusals import Refusal

ASK_AGAIN_S, POLL_S = 2.0, 0.5
PINGS = 9


class JoinError(Refusal, RuntimeError):
    """A run that could not be joined; the message says where, expected, got, next step."""


@dataclass(frozen=True)
class Master:
    """Where a run is conducted, and the token that its command line printed."""

    host: str
    port: int
    token: str

    @classmethod
    def parse(cls, address: str, token: str) -> Master:
        """From HOST:PORT. Raises JoinError."""
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise JoinError(f"master: expected HOST:PORT, got {address!r}")
        if not token:
            raise JoinError(
                "token: expected the one that genkai step printed, got none; give --token or GENKAI_WORKER_TOKEN"
            )
        return cls(host, int(port), token)


class Line:
    """One connection to the master's port, in locust's message format: (type, data, sender)."""

    def __init__(self, master: Master) -> None:
        import msgpack
        import zmq

        self._pack, self._unpack = msgpack.dumps, msgpack.loads
        self._name = f"{socket.gethostname()}_join_{uuid.uuid4().hex}"
        self._socket = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, self._name.encode())
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(f"tcp://{master.host}:{master.port}")

    def ask(self, kind: str, data: dict[str, Any], answer: str, wait_s: float) -> dict[str, Any] | None:
        """The master's answer to a message, or None."""
        self._socket.send(self._pack((kind, data, self._name)))
        until = time.monotonic() + wait_s
        while (left := until - time.monotonic()) > 0 and self._socket.poll(int(left * 1000) + 1):
            told = self._unpack(self._socket.recv(), raw=False, strict_map_key=False)
            if told[0] == answer:
                return told[1]
        return None

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def clock_ahead_s(line: Line) -> float:
    """How far this machine's clock is ahead of the master's; the shortest round trip counts. Raises JoinError."""
    trips = []
    for _ in range(PINGS):
        begin = time.time()
        told = line.ask(TIME, {}, TIME, 2.0)
        end = time.time()
        if told is not None:
            trips.append((end - begin, (begin + end) / 2 - told["time"]))
    if not trips:
        raise JoinError("clock: expected the master's time, got no answer")
    return min(trips)[1]


def join(master: Master, processes: int, once: bool, tell: Callable[[str], None], wait_s: float = float("inf")) -> int:
    """Serve run after run; the number of runs served. Raises JoinError, also when none begins within wait_s."""
    served, until = 0, time.monotonic() + wait_s
    while True:
        found = _wait_for_job(master, until)
        if found is None:
            raise JoinError(
                f"{master.host}:{master.port}: expected a run that waits for workers, got none in {wait_s:g} s"
            )
        told, ahead_s = found
        job = json.loads(told["job"])
        tell(f"{job['run']}: {processes} load processes, clock {ahead_s:+.3f} s from the master's")
        tell(f"{job['run']}: ended with exit code {_serve(master, told, processes, ahead_s)}")
        served += 1
        if once:
            return served


def _wait_for_job(master: Master, until: float) -> tuple[dict[str, Any], float] | None:
    while time.monotonic() < until:
        line = Line(master)
        try:
            told = line.ask(JOIN, {"token": master.token}, PARCEL, ASK_AGAIN_S)
            if told is not None and "refused" in told:
                raise JoinError(f"{master.host}:{master.port}: {told['refused']}")
            if told is not None and "job" in told:
                if told["version"] != genkai.__version__:
                    raise JoinError(f"{master.host}:{master.port}: expected genkai {told['version']} here as there, "
                                    f"got {genkai.__version__}; install the same")  # fmt: skip
                return told, clock_ahead_s(line)
        finally:
            line.close()
        time.sleep(POLL_S)
    return None


def _serve(master: Master, told: dict[str, Any], processes: int, ahead_s: float) -> int | None:
    folder = Path(tempfile.mkdtemp(prefix="genkai."))
    crew = Crew(
        folder, sys.executable, os.environ.get("HOSTNAME") or socket.gethostname(), Path(genkai.__file__).parents[1]
    )
    try:
        place_job(folder, json.loads(told["job"]), told["files"])
        crew.start(processes, (master.host, master.port), ahead_s)
        while crew.poll() is None:
            time.sleep(POLL_S)
            sys.stderr.write(crew.news())
        return crew.poll()
    finally:
        crew.end()
        shutil.rmtree(folder, ignore_errors=True)
