"""A run whose levels are ordered one by one while it goes: journal/orders.jsonl, followed by the master.

{"level", "intended": requests/s, "hold_s"} begins a level; {"cut": level} ends it now; {"over": true} ends the run.
A level's hold begins with a whole second, its ramp from nothing at least MIN_RAMP_S before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gevent
from gevent.queue import Queue
from locust.runners import MasterRunner, Runner

from genkai.load.conductor import Conductor
from genkai.load.http.clock import now
from genkai.load.job import Job
from genkai.load.levels import TimedLevel
from genkai.load.tail import Tail
from genkai.workspace import Run

if TYPE_CHECKING:
    from collections.abc import Callable

LEVEL_MESSAGE = "genkai_level"
NOTICE_S = 0.1  # for every process to hear of a level before it begins
MIN_RAMP_S = 0.4
POLL_S = 0.02


class Courses:
    """What a process's schedule keeps: levels as they are ordered, until the end."""

    def __init__(self) -> None:
        self._orders: Queue = Queue()
        self.cut: Callable[[], None] = lambda: None

    def hear(self, order: dict[str, Any]) -> None:
        """Take an order of the master."""
        if "cut" in order:
            self.cut()
        else:
            self._orders.put(None if order.get("over") else [TimedLevel(**order)])

    def __iter__(self) -> Iterator[list[TimedLevel]]:
        """Each level when it was ordered."""
        while (course := self._orders.get()) is not None:
            yield course


class SteeredConductor(Conductor):
    """Follows the orders: tells every process, journals the levels, watches the stop rule."""

    def __init__(self, run: Run, job: Job, runner: Runner, courses: Courses) -> None:
        super().__init__(run, job, runner)
        self._courses = courses
        self._orders = Tail(run, histograms=False)
        self._due: list[tuple[float, str, TimedLevel]] = []
        self.over = False

    def _mark(self) -> None:
        """Obey until the end, in place of levels that are known beforehand."""
        path = self._run.journal("orders")
        while not self._ended:
            for order in self._orders.new_lines(path):
                self._obey(order)
            while self._due and self._due[0][0] <= now():
                moment, event, level = self._due.pop(0)
                self._write(event, level, moment)
            gevent.sleep(POLL_S)

    def _obey(self, order: dict[str, Any]) -> None:
        if "intended" in order:
            self._begin_level(order)
        elif "cut" in order and self._due:
            self._due = [(now(), event, level) for _, event, level in self._due]
            self._tell(order)
        elif order.get("over"):
            self._tell(order)
            self.over = True

    def _begin_level(self, order: dict[str, Any]) -> None:
        start = now() + NOTICE_S
        hold_start = float(math.ceil(start + MIN_RAMP_S))
        level = TimedLevel(order["level"], "open", 0.0, order["intended"], start, hold_start,
                           hold_start + order["hold_s"])  # fmt: skip
        self._timed.append(level)
        self._due = [(level.start, "start", level), (hold_start, "hold", level), (level.end, "end", level)]
        self._tell(level.__dict__)

    def _tell(self, order: dict[str, Any]) -> None:
        if isinstance(self._runner, MasterRunner):
            self._runner.send_message(LEVEL_MESSAGE, order)
        else:
            self._courses.hear(order)

    def finish(self) -> None:
        """End the level that is under way now: the users are about to be stopped."""
        if self._ended or self._journal is None:
            return
        self._ended = True
        if self._due and self._due[-1][2].start <= now():
            self._write("end", self._due[-1][2], now())
