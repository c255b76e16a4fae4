"""One load process: what it sends, records and watches, hooked into locust's events."""

from __future__ import annotations

import gc
import math
import signal
from functools import cached_property
from typing import Any

import gevent
from gevent.event import AsyncResult, Event
from locust.env import Environment
from locust.runners import MasterRunner, Runner, WorkerRunner

from genkai.load.away import Desk, end_without_master, is_away, run_of_worker
from genkai.load.calls import compile_calls, compile_target, cumulative_weights
from genkai.load.conductor import Conductor, stop_one_at_a_time
from genkai.load.guard import Guard
from genkai.load.health import Health
from genkai.load.http.clock import now
from genkai.load.http.connection import Connection
from genkai.load.http.sources import CallState
from genkai.load.http.target import Timeouts
from genkai.load.job import Job
from genkai.load.levels import TimedLevel, time_levels
from genkai.load.lifeline import die_with_parent, end_process, watch_lease
from genkai.load.recorder import Follower, Recorder
from genkai.load.steering import LEVEL_MESSAGE, Courses, SteeredConductor
from genkai.workspace import Run

START_MESSAGE = "genkai_start"
FAREWELL_S = 0.5  # for the last lines and locust's own word to reach the master
SPAWN_S = 0.5  # open workload: time for several processes to be ready before the first arrival


class Engine:
    """The run in this process; `timed` (the levels on the clock) is set when the master begins them."""

    def __init__(self, run: Run, job: Job) -> None:
        self.run, self.job = run, job
        self.guard = Guard(job.allow)
        self.calls = compile_calls(job)
        self.weights = cumulative_weights(self.calls)
        self.timed: list[TimedLevel] | None = None
        self.start: AsyncResult = AsyncResult()
        self.courses = Courses()
        self.follower: Follower | None = None
        self.recorder: Recorder
        self.health: Health
        self.share = 0
        self.recording = self._waiting = False
        self._conductor: Conductor | None = None
        self._desk: Desk
        self._shares: dict[str, int] = {}
        limits = job.timeouts
        self._timeouts = Timeouts(limits.connect_s, limits.read_s, limits.total_s)
        self._target = compile_target(job)
        self._keep_body = any(c.api.check.contains or c.api.check.json_equals for c in job.calls)

    def attach(self, environment: Environment, runner: Runner, **_ignored: Any) -> None:
        """Hook into this process's events (locust's `init`)."""
        environment.stop_timeout = self.job.drain_s
        events = environment.events
        if isinstance(runner, WorkerRunner):
            die_with_parent()
            runner.register_message(START_MESSAGE, self._on_start)
            runner.register_message(LEVEL_MESSAGE, lambda msg, **_: self.courses.hear(msg.data))
            if is_away():
                # locust asks only those to quit that have not said that they stopped
                events.test_stop.add_listener(lambda **_: gevent.spawn_later(FAREWELL_S, end_process))
                gevent.spawn(end_without_master, runner)
        else:
            stop_one_at_a_time(runner)
            self._conductor = self._new_conductor(runner)
            self._lead(environment, runner)
            watch_lease()
            # locust listens for SIGTERM only after a headless run with levels has ended
            gevent.signal_handler(signal.SIGTERM, self._conductor.obey)
            events.test_stopping.add_listener(lambda **_: self._conductor.finish())
        if not isinstance(runner, MasterRunner):
            events.test_start.add_listener(lambda **_: self._record(runner))
            events.test_stop.add_listener(lambda **_: self.close())
            events.quitting.add_listener(lambda **_: self.close())

    def end_early(self, reason: str) -> None:
        """Master: end the run before its time."""
        self._conductor.stop(reason)

    def _new_conductor(self, runner: Runner) -> Conductor:
        if self.job.steered:
            return SteeredConductor(self.run, self.job, runner, self.courses)
        return Conductor(self.run, self.job, runner)

    @property
    def over(self) -> bool:
        """Whether the run has come to its end: after the last level, or by order."""
        if self.job.steered:
            return self._conductor.over
        return now() >= self.timed[-1].end

    def _lead(self, environment: Environment, runner: Runner) -> None:
        if isinstance(runner, MasterRunner):
            environment.parsed_options.expect_workers = self.job.processes  # locust counts those it forked
            self._desk = Desk(self.run, self.job, runner)
            environment.events.worker_connect.add_listener(lambda client_id: self._tell_start(runner, client_id))

    def begin_after_start(self, runner: Runner) -> None:
        """Master: let the levels begin once all that an own locustfile does at test_start is done, however long."""
        if not self._waiting:
            self._waiting = True
            runner.environment.events.test_start.add_listener(lambda **_: self._begin(runner))

    def _begin(self, runner: Runner) -> None:
        """Choose the second in which the levels begin, tell all processes, and let users come not before it."""
        start = math.ceil(now() + (SPAWN_S if self.job.workload == "open" and self.job.distributed else 0.1))
        self._set_start(start)
        if isinstance(runner, MasterRunner):
            self._desk.begun = True
            for client in sorted(runner.clients.all, key=lambda c: runner.get_worker_index(c.id)):
                self._tell_start(runner, client.id)
        self._conductor.begin(self.timed)
        if self.job.workload == "closed":
            gevent.sleep(max(start - now(), 0.0))

    def _tell_start(self, runner: MasterRunner, client: str) -> None:
        """Give a process its share; one that comes later gets none of an open workload's arrivals."""
        if self.timed is not None:
            share = self._shares.setdefault(client, len(self._shares))
            runner.send_message(START_MESSAGE, {"start": self.start.get(), "share": share}, client)

    def _on_start(self, msg: Any, **_ignored: Any) -> None:
        self.share = msg.data["share"]
        self._set_start(msg.data["start"])

    def _set_start(self, start: float) -> None:
        self.timed = [] if self.job.steered else time_levels(self.job.levels, start)
        self.start.set(start)

    def _record(self, runner: Runner) -> None:
        if self.recording:
            return
        self.recording = True
        gc.collect()
        gc.freeze()  # a full collection of all that was imported would hold up the schedule for tens of milliseconds
        run = run_of_worker(self.run, runner)
        process = f"worker-{self.share}" if isinstance(runner, WorkerRunner) else "local"
        self.recorder = Recorder(run, process, now, self.job.log_ratio)
        self.recorder.follower = self.follower
        self.health = Health(now, self._target.port)
        self._health_journal = run.open_journal("generator", process)
        self._closing = Event()
        self._flusher = gevent.spawn(self._flush_each_second, runner)

    def _flush_each_second(self, runner: Runner) -> None:
        while True:
            second = int(now())
            if self._closing.wait(second + 1.0 - now()):
                return
            self.recorder.flush(pause=lambda: gevent.sleep(0))
            users = runner.user_count if self.job.workload == "closed" else None
            self._health_journal.write(self.health.read(second, self.recorder.in_flight, users))

    def close(self) -> None:
        """Write what is left; safe to call twice."""
        if self.recording:
            self.recording = False
            self._closing.set()
            self._flusher.join()  # never killed: what a flush has taken from the cells it must also write
            self.health.close()
            self.recorder.close()
            self._health_journal.close()

    def new_connection(self) -> Connection:
        """A connection to the target, guarded, not yet open."""
        return Connection(self._target, self._timeouts, self.guard.refuse, keep_body=self._keep_body)

    @cached_property
    def states(self) -> dict[str, CallState]:
        """{API: its values}: all users of a process draw from one sequence, no row twice, none left out.

        Process p of n takes rows p, p + n, … of a data file.
        """
        shares = max(self.job.processes, self.share + 1)
        return {call.name: call.new_state(self.share, shares, self.job.seed) for call in self.calls}
