"""Locust's own web page during a run, on request: for looking, and for its stop button.

The load processes stay headless, so that their start and end are the same with the page and without it. The page
listens on 127.0.0.1. It asks for everything by relative addresses, and so also works behind JupyterLab's /proxy/PORT/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gevent
import numpy as np
from flask import Response, jsonify, request
from locust.env import Environment
from locust.event import EventHook
from locust.runners import WorkerRunner
from locust.stats import RequestStats, StatsEntry, StatsError, bucket_response_time
from locust.web import WebUI

from genkai.load.engine import Engine

PAGE_HOST = "127.0.0.1"
STOPPED_THERE = "stopped on Locust's web page"
IN_CHARGE = "genkai: the levels and users of this run are those of its plan"
OWN_SITE = (None, "none", "same-origin")  # what browsers say of where a request comes from (Fetch Metadata)


class InitWithPage(EventHook):
    """Locust's event `init` in a run with the page: an own locustfile finds it, as without --headless."""

    def __init__(self, engine: Engine, before: EventHook) -> None:
        super().__init__()
        self._engine = engine
        self._handlers += before._handlers  # of plug-ins, which locust imports first

    def fire(self, *, reverse: bool = False, **kwargs: Any) -> None:
        """Make the page, let the listeners add what they want to it, then serve it; workers only feed it."""
        engine, environment = self._engine, kwargs["environment"]
        if engine.job.locustfile is None:
            engine.follower = PageFeed(environment.stats, {c.api.name: c.api.method for c in engine.job.calls})
        if not isinstance(kwargs["runner"], WorkerRunner):
            kwargs["web_ui"] = open_page(environment, engine.job.web_port, engine.end_early)
        super().fire(reverse=reverse, **kwargs)
        if kwargs["web_ui"] is not None:
            kwargs["web_ui"].start()


def open_page(environment: Environment, port: int, end_early: Callable[[str], None]) -> WebUI:
    """The page, not yet served; its stop button calls `end_early` with the reason, nothing there changes the load."""
    page = environment.create_web_ui(PAGE_HOST, port, delayed_start=True)

    @page.app.before_request
    def guard_the_plan() -> Response | tuple[Response, int] | None:
        followed = request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"  # a link, typed
        if request.headers.get("Sec-Fetch-Site") not in OWN_SITE and not followed:
            return jsonify(success=False, message="expected a request of the page itself"), 403
        if request.method != "POST":
            return None
        if request.endpoint == "locust.stop":
            gevent.spawn(end_early, STOPPED_THERE)
            return jsonify(success=True, message="Test stopped")
        if request.endpoint in ("locust.swarm", "locust.update_user"):
            return jsonify(success=False, message=IN_CHARGE, host=environment.host)
        return None

    return page


class PageFeed:
    """Brings plan-declared calls, of which locust's events never hear, into its statistics: once a second, in bulk."""

    def __init__(self, stats: RequestStats, methods: Mapping[str, str]) -> None:
        self._stats, self._methods = stats, methods

    def take_requests(self, line: Mapping[str, Any], durations_s: Sequence[float]) -> None:
        """A line of the requests journal, and the durations that it counts."""
        stats, name, second = self._stats, line["api"], line["t"]
        method = self._methods.get(name, "")
        part = StatsEntry(stats, name, method)
        part.start_time, part.last_request_timestamp = float(second), float(second)
        part.num_requests, part.num_failures = line["completed"] + line["failed"], line["failed"]
        part.num_reqs_per_sec = {second: part.num_requests}
        part.num_fail_per_sec = {second: part.num_failures}
        part.num_none_requests = part.num_requests - len(durations_s)
        part.total_content_length = line["bytes"]
        if durations_s:
            ms = np.asarray(durations_s) * 1000
            part.total_response_time, part.min_response_time = float(ms.sum()), float(ms.min())
            part.max_response_time = float(ms.max())
            for value, count in zip(*np.unique(np.rint(ms), return_counts=True), strict=True):
                part.response_times[bucket_response_time(float(value))] += int(count)
        stats.get(name, method).extend(part)
        stats.total.extend(part)

    def take_failures(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Lines of the failures journal."""
        stats = self._stats
        for line in lines:
            method = self._methods.get(line["api"], "")
            text = f"{line['kind']}: {line['message']}"
            key = StatsError.create_key(method, line["api"], text)
            error = stats.errors.setdefault(key, StatsError(method, line["api"], text, first_seen=float(line["t"])))
            error.occurrences += line["count"]
            error.last_seen = float(line["t"])
