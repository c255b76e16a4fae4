"""Plan-declared API calls, ready to send: template, check and the values that fill it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genkai.load.http.checks import EXISTS, Check
from genkai.load.http.sources import CallState, Counter, RandomInt, Rows, Source, Uuid
from genkai.load.http.target import Target, TlsSettings
from genkai.load.http.template import CallTemplate
from genkai.load.job import Job, JobCall

COMPUTED: Mapping[str, Source] = {"counter": Counter(), "uuid": Uuid(), "random": RandomInt(0, 999_999_999)}


class CallError(ValueError):
    """A call of the plan that cannot be made; the message says where, expected, got."""


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a data file (CSV with a header line). Raises CallError."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CallError(f"{path}: expected a readable CSV file in UTF-8, got {error}") from error
    if not rows:
        raise CallError(f"{path}: expected a header line and at least one row, got {len(rows)} rows")
    return rows


class PlanCall:
    """One call of the plan: `render` gives request bytes, `check` a Failure or None. Raises CallError."""

    def __init__(self, target: Target, call: JobCall, base_dir: Path) -> None:
        api = call.api
        self.name, self.weight, self.think_time_s = api.name, call.weight, call.think_time_s
        self.head = api.method == "HEAD"
        try:
            self.template = CallTemplate(target, api.method, api.path, headers=api.headers, body=api.body)
            self.sources = _sources(self.template.names, base_dir / api.data if api.data else None)
            wanted = {path: EXISTS if value is None else value for path, value in api.check.json_equals.items()}
            self.check = Check(api.check.status, api.check.contains, wanted)
        except ValueError as error:
            raise CallError(f"apis.{api.name}: {error}") from error

    def new_state(self, user: int, users: int, seed: int) -> CallState:
        """The values of one user of several."""
        return CallState(self.sources, user % users, users, seed)


def _sources(used: frozenset[str], data: Path | None) -> dict[str, Source]:
    rows = read_rows(data) if data and used else []
    columns = set(rows[0]) if rows else set()
    sources: dict[str, Source] = {"data": Rows(rows)} if used & columns else {}
    for name in sorted(used - columns):
        if name not in COMPUTED:
            known = ", ".join(sorted(columns | set(COMPUTED)))
            raise CallError(f"expected placeholders with a source ({known}), got {{{name}}}; "
                            f"add a column to the data file, or write {{{{{name}}}}} for the text itself")  # fmt: skip
        sources[name] = COMPUTED[name]
    return sources


def compile_target(job: Job) -> Target:
    """Where a job's requests go, and over which TLS. Raises ValueError for a base_url that is none."""
    files = {field: str(path) for field, path in job.tls_files.items()}
    settings = TlsSettings(job.tls.verify, files.get("ca"), files.get("certificate"), files.get("key"),
                           server_name=job.tls.server_name)  # fmt: skip
    return Target.from_url(job.base_url, settings)


def compile_calls(job: Job) -> list[PlanCall]:
    """The calls of a job. Raises CallError, ValueError for a base_url that is none."""
    target = compile_target(job)
    return [PlanCall(target, call, job.base_dir) for call in job.calls]


def cumulative_weights(calls: Sequence[Any]) -> list[float]:
    """Running sums of the weights, as random.choices takes them."""
    sums, total = [], 0.0
    for call in calls:
        total += call.weight
        sums.append(total)
    return sums
