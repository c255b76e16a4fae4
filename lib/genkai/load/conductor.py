"""The master's clock work: journals the levels as they come, and ends the run by the plan's stop rule."""

from __future__ import annotations

import gevent
from locust.runners import Runner

from genkai.load.http.clock import now
from genkai.load.job import Job
from genkai.load.levels import TimedLevel, level_at
from genkai.load.stop import StopWatch
from genkai.load.tail import Tail
from genkai.workspace import Journal, Run


class Conductor:
    """One for each run, in the process that locust's shape runs in."""

    def __init__(self, run: Run, job: Job, runner: Runner) -> None:
        self._run, self._job, self._runner = run, job, runner
        self._timed: list[TimedLevel] = []
        self._journal: Journal | None = None
        self._ended = False

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
                self._journal.write({"event": "stop", "time": now(), "reason": reason})
                self._runner.stop()
                return

    def finish(self) -> None:
        """End the level that is under way, at the latest now: the users are about to be stopped."""
        if self._ended or self._journal is None:
            return
        self._ended = True
        moment = now()
        level = level_at(self._timed, moment)
        if level is not None:
            self._write("end", level, moment)
        elif moment >= self._timed[-1].end:
            self._write("end", self._timed[-1], self._timed[-1].end)
