"""Open workload: requests leave by the schedule, whatever became of the ones before.

Each arrival takes an idle connection, or opens one while fewer than the limit are in flight; beyond that it is
dropped and counted, never sent late. Arrivals are started from the hub's own timer callback: no task switch between
the moment and the send.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import gevent
import numpy as np
from gevent import get_hub, getcurrent
from gevent.event import Event
from gevent.pool import Group
from greenlet import GreenletExit
from locust import User
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING

from genkai.load.arrivals import plan_arrivals
from genkai.load.calls import PlanCall
from genkai.load.closed import plan_calls
from genkai.load.engine import Engine
from genkai.load.exchange import perform
from genkai.load.http.clock import now
from genkai.load.levels import TimedLevel
from genkai.load.timer import new_timer

BURST = 64  # arrivals started at once before responses get their turn again


class Schedule:
    """The arrivals of one process and the connections that carry them."""

    def __init__(self, engine: Engine) -> None:
        job = engine.job
        self._engine = engine
        self._recorder, self._health = engine.recorder, engine.health
        self._limit = max(1, job.max_in_flight // job.processes)
        self._states = engine.states
        self._choose = np.random.default_rng([job.seed, 7, engine.share])
        self._chunks: Iterator[np.ndarray] = iter(())
        self._arrivals: Iterator[tuple[float, PlanCall]] = iter(())
        self._idle: list[Any] = []
        self._workers: set[Any] = set()
        self._over = Event()
        self._hub = get_hub()
        self._next: tuple[float, PlanCall] | None = None
        self._stopped = False
        self._timer = new_timer(self._send_due)

    def run(self) -> None:
        """Keep the schedule until its end or `stop`: the levels of the run, or each as it is ordered."""
        engine = self._engine
        engine.courses.cut = self.cut
        for timed in engine.courses if engine.job.steered else [engine.timed]:
            if self._stopped:
                return
            self._follow(timed)

    def _follow(self, timed: Sequence[TimedLevel]) -> None:
        job, share = self._engine.job, self._engine.share
        mine = plan_arrivals(timed, job.arrivals, share, job.processes, job.seed + timed[0].level)
        self._chunks = mine if share < job.processes else iter(())  # a process that came late has none
        self._arrivals = iter(())
        self._next = self._advance()
        if self._next is not None:
            self._over.clear()
            self._timer.arm(self._next[0])
            self._over.wait()

    def cut(self) -> None:
        """Send nothing more of the level under way."""
        self._next = None
        self._over.set()

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped = True
        self._engine.courses.hear({"over": True})
        self._timer.close()
        self.cut()

    def drain(self, seconds: float) -> None:
        """Wait for what is in flight, then give it up (recorded as unanswered) and close all connections."""
        until = now() + seconds
        while self._recorder.in_flight and now() < until:
            gevent.sleep(0.02)
        gevent.killall(list(self._workers), block=True, timeout=5)

    def _advance(self) -> tuple[float, PlanCall] | None:
        """The next arrival; chunks of them are computed ahead."""
        found = next(self._arrivals, None)
        if found is None:
            times = next(self._chunks, None)
            if times is None:
                return None
            calls = self._engine.calls
            if len(calls) > 1:
                weights = np.array([call.weight for call in calls])
                chosen = self._choose.choice(len(calls), size=len(times), p=weights / weights.sum())
                calls = [calls[i] for i in chosen]
            else:
                calls = calls * len(times)
            self._arrivals = iter(list(zip(times.tolist(), calls, strict=True)))
            found = next(self._arrivals)
        return found

    def _send_due(self) -> None:
        moment = now()
        for _ in range(BURST):
            if self._next is None or self._next[0] > moment:
                break
            self._start(*self._next)
            self._next = self._advance()
        if self._next is None:
            self._over.set()
        else:
            self._timer.arm(self._next[0])

    def _start(self, intended: float, call: PlanCall) -> None:
        if self._idle:
            self._idle.pop().switch((intended, call))
        elif len(self._workers) < self._limit:
            worker = gevent.Greenlet(self._work, intended, call)
            self._workers.add(worker)
            worker.start()
        else:
            self._recorder.cell(call.name, intended).dropped += 1

    def _work(self, intended: float, call: PlanCall) -> None:
        """One connection: an arrival, then wait for the hub to hand over the next."""
        me, recorder, health, states = getcurrent(), self._recorder, self._health, self._states
        connection = self._engine.new_connection()
        try:
            while True:
                cell = recorder.cell(call.name, intended)
                health.slip.append(now() - intended)
                perform(recorder, call, states[call.name], connection, cell, intended, serve=True)
                self._idle.append(me)
                intended, call = self._hub.switch()
        except GreenletExit:
            pass
        finally:
            self._workers.discard(me)
            connection.close()


class ScheduleUser(User):
    """The one locust user of a process with an open workload: it keeps the schedule."""

    abstract = True
    engine: ClassVar[Engine]
    tasks: ClassVar = [plan_calls]
    _schedule: Schedule | None = None

    def start(self, group: Group) -> Any:
        """Start the user's greenlet (locust finds the user as its first argument)."""
        self._group = group
        self._greenlet = group.spawn(type(self).live, self)
        return self._greenlet

    def live(self) -> None:
        """Send what the schedule says from its start to its end."""
        self._state = LOCUST_STATE_RUNNING
        self.engine.start.get()
        self._schedule = Schedule(self.engine)
        try:
            self._schedule.run()
        except GreenletExit:
            pass
        finally:
            self._schedule.stop()
            self._schedule.drain(self.engine.job.drain_s)

    def stop(self, force: bool = False) -> bool:
        """End the schedule; in-flight requests get their time to drain."""
        if self._schedule is None or force:
            self._group.killone(self._greenlet)
            return True
        if self._state == LOCUST_STATE_RUNNING:
            self._state = LOCUST_STATE_STOPPING
        self._schedule.stop()
        return False
