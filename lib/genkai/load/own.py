"""A user's own locustfile, unchanged: every request that locust hears of is recorded.

Its intended send is its start: users are a closed workload, and locust has no other schedule.
"""

from __future__ import annotations

from typing import Any

from locust.event import Events

from genkai.load.classify import classify
from genkai.load.engine import Engine
from genkai.load.http.clock import AHEAD_S, now


def record_events(engine: Engine, events: Events) -> None:
    """Record every `request` event of locust."""

    def on_request(
        request_type: str = "", name: str = "", response_time: float = 0.0, response_length: int = 0,
        exception: BaseException | None = None, response: Any = None, start_time: float | None = None, **_ignored: Any,
    ) -> None:  # fmt: skip
        if not engine.recording:  # what an own locustfile asks before its users come, or after them, is no load
            return
        seconds = (response_time or 0.0) / 1000
        recorder = engine.recorder
        start = now() - seconds if start_time is None else start_time - AHEAD_S
        cell = recorder.cell(str(name), start)
        cell.sent += 1
        cell.bytes += int(response_length or 0)
        cell.response.append(seconds)
        if exception is None:
            cell.completed += 1
            kind, status = None, getattr(response, "status_code", None)
        else:
            kind, status, number = classify(exception, response)
            recorder.fail(cell, kind, status, number, f"{type(exception).__name__}: {exception}")
        if recorder.log is not None:
            recorder.log.note(cell.api, start, start, start + seconds, kind, status)

    events.request.add_listener(on_request)
