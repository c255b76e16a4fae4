"""Closed workload: locust users that make the plan's calls with think times, without locust's task machinery."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import gevent
from gevent.pool import Group
from greenlet import GreenletExit
from locust import User
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from genkai.load.engine import Engine
from genkai.load.exchange import perform
from genkai.load.http.clock import now

PAUSE_AFTER_FAILURE_S = 0.05  # without a think time a refused connect would spin and starve the others


def plan_calls(user: User) -> None:
    """What Locust's log and page take for the user's task; `live` makes the calls."""


class PlanUser(User):
    """One user: a call, its think time measured from the response, the next call; one connection of its own."""

    abstract = True
    engine: ClassVar[Engine]
    tasks: ClassVar = [plan_calls]

    def start(self, group: Group) -> Any:
        """Start the user's greenlet (locust finds the user as its first argument)."""
        self._group = group
        self._greenlet = group.spawn(type(self).live, self)
        return self._greenlet

    def live(self) -> None:
        """Call until stopped. The first call comes at a random moment of its first think time."""
        self._state = LOCUST_STATE_WAITING
        calls, weights = self.engine.calls, self.engine.weights
        connection = self.engine.new_connection()
        states = self.engine.states
        call = random.choices(calls, cum_weights=weights)[0]
        try:
            gevent.sleep(random.uniform(0.0, call.think_time_s))
            end = self.engine.timed[-1].end
            while self._state != LOCUST_STATE_STOPPING and now() < end:
                self._state = LOCUST_STATE_RUNNING
                passed = self._call(call, states[call.name], connection)
                if self._state == LOCUST_STATE_STOPPING:
                    break
                self._state = LOCUST_STATE_WAITING
                if call.think_time_s or not passed:
                    gevent.sleep(call.think_time_s or PAUSE_AFTER_FAILURE_S)
                if len(calls) > 1:
                    call = random.choices(calls, cum_weights=weights)[0]
        except GreenletExit:
            pass
        finally:
            connection.close()

    def stop(self, force: bool = False) -> bool:
        """End the user: at once while it thinks, else after the request that is under way."""
        if force or self._state != LOCUST_STATE_RUNNING:
            self._state = LOCUST_STATE_STOPPING  # or it might wake and send before the kill reaches it
            self._group.killone(self._greenlet)
            return True
        self._state = LOCUST_STATE_STOPPING
        return False

    def _call(self, call: Any, state: Any, connection: Any) -> bool:
        recorder = self.engine.recorder
        intended = now()
        return perform(recorder, call, state, connection, recorder.cell(call.name, intended), intended)
