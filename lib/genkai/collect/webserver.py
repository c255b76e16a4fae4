"""Worker use of Apache (server-status?auto), nginx (stub_status) and Tomcat (manager/status?XML=true).

Polled from here every 5 s with 2 s for an answer. A server whose workers are all busy does not answer even this: that
is recorded as evidence. Source `webserver`, resource host:NAME; a row's time is that of the poll.

| metric | unit | Apache | nginx | Tomcat |
| --- | --- | --- | --- | --- |
| workers_busy, workers_idle | workers | BusyWorkers, IdleWorkers | | currentThreadsBusy, maxThreads − busy |
| connections_active, _reading, _writing, _waiting | connections | ConnsTotal | all four | connectionCount |
| requests_per_s | rps | Total Accesses | requests | requestCount |
| connections_dropped | count | | accepts − handled | |
| queue_length | requests | QueueLength (the demo's) | | |
| timeouts, errors, answer_s | count, count, s | each poll | each poll | each poll |
"""

from __future__ import annotations

import base64
import re
import threading
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import numpy as np
import pandas as pd

from genkai import schema
from genkai.collect.errors import CollectError
from genkai.collect.rows import metric_rows, utc_times
from genkai.workspace import Journal, read_journal

EVERY_S = 5.0
LIMIT_S = 2.0
_MAX_BYTES = 200_000
_APACHE = {
    "BusyWorkers": "workers_busy", "IdleWorkers": "workers_idle", "ConnsTotal": "connections_active",
    "QueueLength": "queue_length", "Total Accesses": "requests",
}  # fmt: skip
_NGINX = re.compile(
    r"Active connections:\s*(\d+)\s+server accepts handled requests(?: request_time)?\s+(\d+)\s+(\d+)\s+(\d+)"
    r"(?:\s+\d+)?\s+Reading:\s*(\d+)\s+Writing:\s*(\d+)\s+Waiting:\s*(\d+)"
)
_UNITS = {
    "workers_busy": "workers", "workers_idle": "workers", "connections_active": "connections",
    "connections_reading": "connections", "connections_writing": "connections", "connections_waiting": "connections",
    "queue_length": "requests", "answer_s": "s", "timeouts": "count", "errors": "count",
}  # fmt: skip
_COUNTERS = {"requests": ("requests_per_s", "rps"), "dropped": ("connections_dropped", "count")}


class StatusError(CollectError):
    """A page that is not the status page of a server that is known."""


def parse_status(text: str, where: str = "status page") -> dict[str, float]:
    """Numbers of a status page: gauges by the names above, counters as `requests` and `dropped`. Raises StatusError."""
    if "BusyWorkers:" in text:
        pairs = (line.partition(":")[::2] for line in text.splitlines())
        found = {_APACHE[k.strip()]: float(v) for k, v in pairs if k.strip() in _APACHE and _is_number(v)}
        if "workers_busy" in found:
            return found
    if match := _NGINX.search(text):
        active, accepts, handled, requests, reading, writing, waiting = map(float, match.groups())
        return {"connections_active": active, "connections_reading": reading, "connections_writing": writing,
                "connections_waiting": waiting, "requests": requests, "dropped": accepts - handled}  # fmt: skip
    if "<status" in text:
        return _parse_tomcat(text, where)
    raise StatusError(
        f"{where}: expected Apache's server-status?auto, nginx's stub_status or Tomcat's manager/status?XML=true, "
        f"got {' '.join(text.split())[:60]!r}"
    )


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"\s*\d{1,18}(\.\d{1,9})?\s*", text, re.ASCII))


def _parse_tomcat(text: str, where: str) -> dict[str, float]:
    try:
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise StatusError(f"{where}: expected Tomcat's status, got XML with a document type; refused")
        found = {"workers_busy": 0.0, "workers_idle": 0.0, "connections_active": 0.0, "requests": 0.0}
        connectors = [
            c for c in ElementTree.fromstring(text.strip()).iter("connector") if c.find("threadInfo") is not None
        ]
        for connector in connectors:
            threads, requests = connector.find("threadInfo").attrib, connector.find("requestInfo")
            busy, most = float(threads["currentThreadsBusy"]), float(threads["maxThreads"])
            found["workers_busy"] += busy
            found["workers_idle"] += max(0.0, most - busy)
            found["connections_active"] += float(threads.get("connectionCount", 0))
            found["requests"] += float(requests.attrib.get("requestCount", 0)) if requests is not None else 0.0
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise StatusError(f"{where}: expected Tomcat's manager/status?XML=true, got {error}") from error
    if not connectors or not all(np.isfinite(list(found.values()))):
        raise StatusError(f"{where}: expected connectors with threadInfo in Tomcat's status, got none")
    return found


def read_status(url: str, limit_s: float = LIMIT_S) -> dict[str, Any]:
    """One poll: {"time", "seconds", "outcome": "answer"|"timeout"|"error", "text"}; never raises.

    A user and password in the URL are sent as basic authentication and never repeated.
    """
    begin, record = time.monotonic(), {"time": time.time()}
    part = urlsplit(url)
    plain = urlunsplit(part._replace(netloc=part.netloc.rpartition("@")[2]))
    request = urllib.request.Request(plain, headers={"User-Agent": "genkai", "Connection": "close"})
    if part.username:
        pair = f"{unquote(part.username)}:{unquote(part.password or '')}"
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=limit_s) as answer:
            body = b""
            # The time-out above is per read; a page that trickles in must not hold us longer than the limit.
            while (chunk := answer.read1(65536)) and len(body) < _MAX_BYTES:
                body += chunk
                if time.monotonic() - begin > limit_s:
                    raise TimeoutError
        outcome = {"outcome": "answer", "text": body.decode("utf-8", "replace")}
    except TimeoutError:
        outcome = {"outcome": "timeout", "text": f"no answer within {limit_s:g} s"}
    except urllib.error.HTTPError as error:
        outcome = {"outcome": "error", "text": f"HTTP {error.code}"}
    except (OSError, ValueError) as error:
        late = isinstance(getattr(error, "reason", None), TimeoutError)
        outcome = {"outcome": "timeout" if late else "error", "text": str(error)[:200]}
    return {**record, "seconds": round(time.monotonic() - begin, 4), **outcome}


class StatusPoller:
    """Polls one status page into a journal until `stop`."""

    def __init__(self, url: str, journal: Path, every_s: float = EVERY_S, limit_s: float = LIMIT_S) -> None:
        self._url, self._every_s, self._limit_s = url, every_s, limit_s
        self._journal = Journal(journal)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def _poll(self) -> None:
        due = time.monotonic()
        while True:
            self._journal.write(read_status(self._url, self._limit_s))
            due = max(due + self._every_s, time.monotonic())
            if self._stopping.wait(due - time.monotonic()):
                return

    def stop(self) -> None:
        """End after the poll under way."""
        self._stopping.set()
        self._thread.join(self._limit_s + 5)
        if not self._thread.is_alive():
            self._journal.close()


def status_metrics(journal: Path, host: str) -> tuple[pd.DataFrame, list[str]]:
    """The polls of a journal as rows of the metrics table, and what was wrong with some of them."""
    polls = [p for p in read_journal(journal) if {"time", "seconds", "outcome", "text"} <= set(p)]
    if not polls:
        return schema.empty_table("metrics"), [f"{host}: expected polls of its status page, got none"]
    parsed, notes = [], []
    for poll in polls:
        numbers: dict[str, float] = {}
        try:
            numbers = parse_status(poll["text"], f"{host}, status_url") if poll["outcome"] == "answer" else {}
        except StatusError as error:
            poll["outcome"] = "error"
            notes.append(str(error))
        timeout, error_seen = float(poll["outcome"] == "timeout"), float(poll["outcome"] == "error")
        parsed.append({"timeouts": timeout, "errors": error_seen, "answer_s": poll["seconds"], **numbers})
    frame = pd.DataFrame(parsed, dtype=float)
    times = np.array([p["time"] for p in polls], float)
    steps = np.diff(times, append=times[-1] + EVERY_S)
    values = {m: frame[m].to_numpy() for m in _UNITS if m in frame}
    units = {m: _UNITS[m] for m in values}
    for name, (metric, unit) in _COUNTERS.items():
        if name in frame:
            grown = np.append(np.diff(frame[name].to_numpy()), np.nan)
            grown = np.where(grown < 0, np.nan, grown)  # the server was started anew
            values[metric], units[metric] = (grown / steps if unit == "rps" else grown), unit
    for outcome in ("timeout", "error"):
        count = sum(p["outcome"] == outcome for p in polls)
        if count:
            example = next(p["text"] for p in polls if p["outcome"] == outcome)
            reason = " ".join(example.split())[:80]
            notes.append(f"{host}: {count} of {len(polls)} polls of its status page ended in {outcome} ({reason})")
    table = metric_rows(utc_times(times), values, units, "webserver", f"host:{host}", np.round(steps, 3))
    return table, list(dict.fromkeys(notes))
