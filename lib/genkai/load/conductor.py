"""The master's clock work: journals the levels as they come, and ends the run by the plan's stop rule."""

from __future__ import annotations

from typing import Any

import gevent
from gevent.lock import RLock
from locust.runners import MasterRunner, Runner

from genkai.load.http.clock import now
from genkai.load.job import Job
from genkai.load.levels import TimedLevel, level_at
from genkai.load.stop import StopWatch
from genkai.load.tail import Tail
from genkai.workspace import Journal, Run

STOPPED_WITHIN = "stopped by the locustfile itself"


def stop_one_at_a_time(runner: Runner) -> None:
    """Whoever stops a run that is being stopped waits for the end of that: locust itself would stop its users twice.

    It ends its levels when anybody stops the run, which lets its main program stop it, too, and quit the workers.
    """
    stop, turn = runner.stop, RLock()

    def wait_and_stop(*arguments: Any, **named: Any) -> None:
        with turn:
            stop(*arguments, **named)

    runner.stop = wait_and_stop


class Conductor:
    """One for each run, in the process that locust's shape runs in."""

    def __init__(self, run: Run, job: Job, runner: Runner) -> None:
        self._run, self._job, self._runner = run, job, runner
        self._timed: list[TimedLevel] = []
        self._journal: Journal | None = None
        self._ended = self._stopped = False

    def begin(self, timed: list[TimedLevel]) -> None:
        """Start journalling the levels and watching the stop rule."""
        self._timed = timed
        self._journal = Journal(self._run.journal("levels"))
        for work in (self._mark, self._watch):
            gevent.spawn(work)

    def _mark(self) -> None:
        for level in self._timed:
            for event, moment in (("start", level.start), ("hold", level.hold_start), ("end", level.end)):
                gevent.sleep(max(0.0, moment - now()))
                if self._ended:
                    return
                self._write(event, level, moment)
        self._ended = True

    def _write(self, event: str, level: TimedLevel, moment: float) -> None:
        self._journal.write({
            "event": event, "level": level.level, "time": moment,
            "workload": level.workload, "intended": level.intended,
        })  # fmt: skip

    def _watch(self) -> None:
        watch = StopWatch(self._job.stop, self._job.on_loss == "stop")
        tail = Tail(self._run, histograms=watch.needs_histograms)
        while not self._ended:
            gevent.sleep(1.0)
            reason = watch.see(tail.look(), now())
            if reason is not None and not self._ended:
                self.stop(reason)
                return

    def stop(self, reason: str) -> None:
        """End the run before its time; the first reason is the one that counts."""
        self._note_stop(reason)
        self._runner.stop()

    def obey(self) -> None:
        """End the run because whoever started it asks so, and knows the reason."""
        self._stopped = True
        self._runner.stop()

    def _lost_all(self) -> bool:
        """Whether the run ends because no worker is left."""
        return isinstance(self._runner, MasterRunner) and not self._runner.worker_count

    def _note_stop(self, reason: str) -> None:
        if self._journal is not None and not self._stopped:
            self._stopped = True
            self._journal.write({"event": "stop", "time": now(), "reason": reason})

    def finish(self) -> None:
        """End the level that is under way, at the latest now: the users are about to be stopped."""
        if self._ended or self._journal is None:
            return
        self._ended = True
        moment = now()
        if self._job.locustfile and moment < self._timed[-1].end and not self._lost_all():
            self._note_stop(STOPPED_WITHIN)
        level = level_at(self._timed, moment)
        if level is not None:
            self._write("end", level, moment)
        elif moment >= self._timed[-1].end:
            self._write("end", self._timed[-1], self._timed[-1].end)
