"""Load processes on other machines: what they journal goes to the master as messages, which writes it to the run.

A message leaves each second, on the connection that locust has anyway; while a link is down they wait in its queue.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import time
from typing import Any

import gevent
from locust.exception import RPCError
from locust.runners import MasterRunner, WorkerRunner

import genkai
from genkai.load.job import HOST_VARIABLE, JOIN, PARCEL, TIME, TOKEN_VARIABLE, Job
from genkai.load.lifeline import end_process
from genkai.load.parcel import pack_files
from genkai.workspace import Run

LINES = "genkai_lines"
TABLES = frozenset(("requests", "failures", "generator", "samples"))
SILENCE_S = 10.0
PART = re.compile(r"worker-\d{1,6}")


class SentJournal:
    """A journal whose lines are written by the master; what could not be sent goes with the next lines."""

    def __init__(self, runner: WorkerRunner, table: str, part: str, host: str) -> None:
        self._runner, self._table, self._part, self._host = runner, table, part, host
        self._waiting: list[dict[str, Any]] = []

    def write(self, *records: dict[str, Any]) -> None:
        """Send records."""
        self._waiting += [{**r, "host": self._host} for r in records] if self._table == "generator" else records
        lines = [json.dumps(r, separators=(",", ":"), ensure_ascii=False) for r in self._waiting]
        try:
            self._runner.send_message(LINES, {"table": self._table, "part": self._part, "lines": lines})
        except RPCError:
            return
        self._waiting = []

    def close(self) -> None:
        """Send what is left."""
        if self._waiting:
            self.write()


class AwayRun(Run):
    """The run as a process on another machine has it: its folder is for a while, its journals are sent."""

    def __init__(self, run: Run, runner: WorkerRunner, host: str) -> None:
        super().__init__(run.path)
        object.__setattr__(self, "_sender", (runner, host))

    def open_journal(self, table: str, part: str = "") -> SentJournal:
        """A journal that is sent to the master."""
        runner, host = self._sender
        return SentJournal(runner, table, part, host)


def is_away() -> bool:
    """Whether this process runs on another machine than the master's."""
    return bool(os.environ.get(HOST_VARIABLE))


def end_without_master(runner: WorkerRunner) -> None:
    """End this process when the master has not answered for SILENCE_S; locust itself would wait a minute."""
    while True:
        gevent.sleep(1.0)
        if runner.last_heartbeat_timestamp and time.time() - runner.last_heartbeat_timestamp > SILENCE_S:
            end_process()
            return


def run_of_worker(run: Run, runner: Any) -> Run:
    """The run as this process has it: on a machine of the master's, its folder is the run's own."""
    host = os.environ.get(HOST_VARIABLE)
    return AwayRun(run, runner, host) if host and isinstance(runner, WorkerRunner) else run


class Desk:
    """The master's answers to other machines: their journals, the job for who knows the token, and the time."""

    def __init__(self, run: Run, job: Job, runner: MasterRunner) -> None:
        self._run, self._job, self._runner = run, job, runner
        self._journals: dict[tuple[str, str], Any] = {}
        self._token = os.environ.get(TOKEN_VARIABLE, "")
        self.begun = False
        if job.away:
            runner.register_message(LINES, self._write)
        if job.workers:
            runner.register_message(JOIN, self._hand_out)
            runner.register_message(TIME, self._tell_time)

    def _write(self, msg: Any, **_ignored: Any) -> None:
        table, part = msg.data["table"], msg.data["part"]
        if table not in TABLES or not PART.fullmatch(part):
            return
        journal = self._journals.get((table, part))
        if journal is None:
            journal = self._journals[table, part] = self._run.open_journal(table, part)
        journal.write(*map(json.loads, msg.data["lines"]))

    def _hand_out(self, msg: Any, **_ignored: Any) -> None:
        if not self._token or not hmac.compare_digest(str(msg.data.get("token", "")), self._token):
            answer: dict[str, Any] = {"refused": "expected the token that the run printed, got another one"}
        elif self.begun:
            answer = {"wait": "the run has begun"}
        else:
            answer = {
                "version": genkai.__version__,
                "job": self._job.model_dump_json(by_alias=True),
                "files": pack_files(self._job),
            }
        self._runner.send_message(PARCEL, answer, msg.node_id)

    def _tell_time(self, msg: Any, **_ignored: Any) -> None:
        self._runner.send_message(TIME, {"time": time.time()}, msg.node_id)
