"""Samplers on every watched host while a run lasts, and their raw logs as the metrics table afterwards."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from genkai import hosts
from genkai.collect.errors import CollectError
from genkai.collect.proc import parse_proc, proc_blocks
from genkai.collect.proc_sampler import proc_command
from genkai.collect.vmstat import parse_vmstat, vmstat_block, vmstat_command
from genkai.collect.webserver import StatusPoller, status_metrics
from genkai.metrics import Block, Metrics, read_metrics, write_metrics
from genkai.plan import Host
from genkai.workspace import Journal, Run, now_text, read_journal, read_json, write_json

MARGIN_S = 60  # how much longer than asked a sampler may live, should nobody stop it
_RETRY_S = (1.0, 2.0, 4.0, 8.0, 15.0)
_AT_ONCE = 8
_LOGS_AT_ONCE = 2  # a day of one host needs some 300 MB while it is read

_Found = tuple[list[Block | pd.DataFrame], list[str]]


@dataclass(frozen=True)
class _Sampler:
    """One command on one host, whose output is one raw log."""

    host: Host
    kind: str
    output: Path
    command: Callable[[int], str]


class Sampling:
    """The samplers that run; `stop` ends them. One that drops is started again, and the journal marks the gap."""

    def __init__(
        self, samplers: Sequence[_Sampler], journal: Path, seconds: float, ssh_options: Sequence[str],
        pollers: Sequence[StatusPoller] = (),
    ) -> None:  # fmt: skip
        self._pollers = pollers
        self._until = time.monotonic() + seconds + MARGIN_S
        self._ssh_options = tuple(ssh_options)
        self._stopping = threading.Event()
        self._journal = Journal(journal)
        self._writing = threading.Lock()
        self._threads = [threading.Thread(target=self._keep, args=(s,), daemon=True) for s in samplers]
        for thread in self._threads:
            thread.start()

    def _note(self, sampler: _Sampler, event: str, **fields: Any) -> None:
        with self._writing:
            self._journal.write(
                {"time": time.time(), "host": sampler.host.name, "sampler": sampler.kind, "event": event, **fields}
            )

    def _keep(self, sampler: _Sampler) -> None:
        failures = 0
        while not self._stopping.is_set() and (left := self._until - time.monotonic()) > 1:
            began = time.monotonic()
            try:
                process = hosts.start_gently(
                    sampler.host.ssh, sampler.command(math.ceil(left)), sampler.output, left, self._ssh_options
                )
            except hosts.HostError as error:
                self._note(sampler, "failed", message=str(error))
                return
            self._note(sampler, "started", pid=process.pid)
            while process.poll() is None and not self._stopping.wait(0.1):
                pass
            if self._stopping.is_set():
                process.close()
                self._note(sampler, "stopped")
                return
            if self._until - time.monotonic() > 1:
                self._note(sampler, "ended", code=process.poll(), message=process.error_text()[-300:])
            process.close()
            failures = 0 if time.monotonic() - began > 30 else failures + 1
            self._stopping.wait(_RETRY_S[min(failures, len(_RETRY_S) - 1)])

    def stop(self, timeout_s: float = 15.0) -> None:
        """End all samplers, here and there; returns when they have ended. May be called twice."""
        self._stopping.set()
        deadline = time.monotonic() + timeout_s
        for poller in self._pollers:
            poller.stop()
        for thread in self._threads:
            thread.join(max(0.1, deadline - time.monotonic()))
        if not any(thread.is_alive() for thread in self._threads):
            self._journal.close()

    def __enter__(self) -> Sampling:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_sampling(watched: list[Host], run: Run, seconds: float, ssh_options: Sequence[str] = ()) -> Sampling:
    """Start vmstat and the /proc sampler on each host, once a second, for at most seconds (+ 60 s), and status polls.

    Raw logs: raw/HOST.vmstat.log and raw/HOST.proc.log, appended as they come; polls of a status page:
    raw/HOST.status.jsonl; what happened: raw/sampling.jsonl.
    Returns at once; a host that cannot be reached is noted there, and `collect_hosts` says so.
    """
    samplers = []
    for host in watched:
        samplers.append(_Sampler(host, "vmstat", run.raw(f"{host.name}.vmstat.log"), vmstat_command))
        samplers.append(_Sampler(host, "proc", run.raw(f"{host.name}.proc.log"), _proc_command(host)))
    pollers = [StatusPoller(h.status_url, run.raw(f"{h.name}.status.jsonl")) for h in watched if h.status_url]
    return Sampling(samplers, run.raw("sampling.jsonl"), seconds, ssh_options, pollers)


def _proc_command(host: Host) -> Callable[[int], str]:
    return lambda samples: proc_command(samples, host.processes)


def clock_offsets(watched: list[Host], ssh_options: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """{host: record of hosts.ClockOffset, or {"error": …}} of all hosts, at most 8 at once; for run.json."""

    def ask(host: Host) -> dict[str, Any]:
        try:
            return {**hosts.clock_offset(host.ssh, ssh_options=ssh_options).record(), "measured": now_text()}
        except hosts.HostError as error:
            return {"error": str(error), "measured": now_text()}

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip((h.name for h in watched), pool.map(ask, watched), strict=True))


def collect_hosts(run: Run, watched: list[Host]) -> Metrics:
    """Parse the raw logs of a run, write metrics.hosts.parquet and return it; works after a kill at any moment.

    What is missing or odd is written to raw/hosts.json as {host: [warning, …]} and never stops the rest. Clock offsets
    are taken from run.json (clock_offsets: {host: record}, or {"start": …, "end": …}).
    Raises CollectError when hosts are watched and none told anything.
    """
    notes: dict[str, list[str]] = {}
    path = run.table("metrics", "hosts")
    record = run.record().get("clock_offsets") or {}

    def blocks() -> Iterator[Block | pd.DataFrame]:
        """Host by host, so that the logs of one or two are in memory, whatever their number."""
        for host, (found, said) in _two_at_once(lambda h: _collect_host(run, h, _offset(record, h.name)), watched):
            yield from found
            if said := [*said, *_gaps(run, host.name)]:
                notes[host.name] = said

    rows = write_metrics(blocks(), path)
    write_json(run.raw("hosts.json"), notes)
    if watched and not rows:
        told = " ".join(text for said in notes.values() for text in said)
        raise CollectError(f"{run.path}: expected samples of at least one host, got none: {told}")
    return read_metrics([path] if rows else [])


def _two_at_once(work: Callable[[Host], _Found], watched: list[Host]) -> Iterator[tuple[Host, _Found]]:
    """The results in order; the next one is made while the caller writes the one before."""
    with ThreadPoolExecutor(_LOGS_AT_ONCE) as pool:
        waiting = deque((host, pool.submit(work, host)) for host in watched[:_LOGS_AT_ONCE])
        for host in [*watched[_LOGS_AT_ONCE:], *[None] * _LOGS_AT_ONCE]:
            if not waiting:
                return
            first, result = waiting.popleft()
            yield first, result.result()
            del result
            if host is not None:
                waiting.append((host, pool.submit(work, host)))


def _collect_host(run: Run, host: Host, offset: float) -> _Found:
    """(what the host's logs hold, what was odd)."""
    found: list[Block | pd.DataFrame] = []
    notes: list[str] = []
    for kind in ("vmstat", "proc"):
        path = run.raw(f"{host.name}.{kind}.log")
        try:
            if not path.exists():
                raise CollectError(f"{path}: expected the {kind} log of {host.name}, got no file; was it ever started?")
            data = path.read_bytes()
            if not data.strip():
                raise CollectError(
                    f"{path}: expected rows of {kind} on {host.name}, got an empty file; {_why_empty(run, host, kind)}"
                )
            if kind == "vmstat":
                log = parse_vmstat(data, period_s=1.0, where=str(path))  # as vmstat_command asks; rows may come late
                found.append(vmstat_block(log, host.name, offset))
            else:
                log = parse_proc(data, str(path))
                found += proc_blocks(log, host.name, offset)
            notes += [f"{host.name}, {kind}: {text}" for text in log.warnings]
        except CollectError as error:
            notes.append(str(error))
    if host.status_url and run.raw(f"{host.name}.status.jsonl").exists():
        table, said = status_metrics(run.raw(f"{host.name}.status.jsonl"), host.name)
        found, notes = [*found, *([table] if len(table) else [])], [*notes, *said]
    return found, notes


def _why_empty(run: Run, host: Host, kind: str) -> str:
    said = [
        e for e in read_journal(run.raw("sampling.jsonl")) if e.get("host") == host.name and e.get("sampler") == kind
    ]
    messages = [e["message"] for e in said if e.get("message")]
    if messages:
        return f"it said: {messages[-1].splitlines()[-1]}"
    where = f"ssh {host.ssh} " if host.ssh else ""
    return f"try by hand: {where}{vmstat_command(3) if kind == 'vmstat' else 'awk 1 /proc/stat'}"


def _gaps(run: Run, name: str) -> list[str]:
    ended = [e for e in read_journal(run.raw("sampling.jsonl")) if e.get("host") == name and e.get("event") == "ended"]
    if not ended:
        return []
    last = (ended[-1].get("message") or f"exit code {ended[-1].get('code')}").splitlines()[-1]
    return [f"{name}: a sampler dropped {len(ended)} time(s) and was started again: gaps in its series (last: {last})"]


def clock_records(record: dict[str, Any] | None) -> dict[str, list[dict[str, Any]]]:
    """{host: what was measured of its clock, in order} of run.json's clock_offsets, flat or of start and end."""
    record, found = record or {}, {}
    parts = [record.get("start"), record.get("end")] if {"start", "end"} & record.keys() else [record]
    for host, told in ((host, told) for part in parts for host, told in (part or {}).items()):
        found.setdefault(host, []).append(told)
    return found


def _offset(record: dict[str, Any], name: str) -> float:
    """Seconds that the host's clock was ahead: the mean of what was measured."""
    found = [float(r["offset_s"]) for r in clock_records(record).get(name, []) if r.get("offset_s") is not None]
    return sum(found) / len(found) if found else 0.0


def host_warnings(run: Run) -> dict[str, list[str]]:
    """{host: what was missing or odd} as `collect_hosts` found it."""
    path = run.raw("hosts.json")
    return read_json(path) if path.exists() else {}
