"""One run against its targets: which level decides, what it measured, and when nothing can be told.

A throughput target passes only by a level that reaches it while its errors and response times are kept and the
generator was not the limit. Errors and response times are judged at the lowest (steady) level that reaches the target,
or at the highest level when none does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pandas as pd

from genkai.analyse.records import Record, finite, number
from genkai.analyse.resample import UNITS, interval_key, level_interval
from genkai.analyse.seconds import Decoded, decode_requests
from genkai.capacity import target_rps
from genkai.plan import Plan

PASS, FAIL, CANNOT_TELL, NOT_RUN = "pass", "fail", "cannot_tell", "not_run"
TOLERANCE = 0.02  # an open workload's arrivals scatter: this much below the target counts if the interval holds it
STALL = 0.5  # users bring less than this share of what they brought before: the service has stalled


class MeasuredRun(Protocol):
    """What a verdict needs of a run; it may also have `requests` or `intervals` (level_intervals), and `ceiling`."""

    step: str
    subject: str
    levels: pd.DataFrame
    record: Mapping[str, Any]


@dataclass
class Judge:
    """A run with its targets; the rows of levels come sorted by load."""

    plan: Plan
    run: MeasuredRun
    target: float
    intervals: dict[tuple[int, str], dict[str, Record]] = field(default_factory=dict)
    _decoded: Decoded | None = None

    @property
    def whole(self) -> list[dict[str, Any]]:
        """Rows of the subject that have a throughput, by load."""
        levels = self.run.levels
        own = levels[(levels["api"] == self.run.subject) & levels["throughput_rps"].notna()]
        return own.sort_values(["intended", "level"]).to_dict("records")

    def rows_of(self, level: int) -> dict[str, dict[str, Any]]:
        """{API: its row} of a level; the whole where the requests hold a single API."""
        found = {r["api"]: r for r in self.run.levels[self.run.levels["level"] == level].to_dict("records")}
        apis = {name: row for name, row in found.items() if name != self.run.subject}
        return apis or {self._only_api(): found[self.run.subject]}

    def _only_api(self) -> str:
        if self.run.step in ("verify", "api"):
            return self.run.subject
        called = {call.api for call in self.plan.scenario_named(self.run.subject).calls}
        return called.pop() if len(called) == 1 else self.run.subject

    def measured(self, row: Mapping[str, Any], column: str) -> Record:
        """A row's value with its interval, where the requests are there to draw it from."""
        value, key = finite(row[column]), (int(row["level"]), str(row["api"]))
        ready, requests = getattr(self.run, "intervals", None), getattr(self.run, "requests", None)
        if ready and interval_key(*key) in ready:
            self.intervals[key] = ready[interval_key(*key)]
        elif key not in self.intervals and requests is not None and len(requests):
            self._decoded = self._decoded or decode_requests(requests)
            self.intervals[key] = level_interval(self._decoded, self.run.levels, *key, resamples=400)
        known = self.intervals.get(key, {}).get(column)
        return {**known, "value": value} if known and value is not None else number(value, unit=UNITS[column])

    def broken(self, level: int) -> str | None:
        """The first limit that any API breaks at a level: error_ratio, p50 …; None when all are kept."""
        for api, row in self.rows_of(level).items():
            for what, column, limit in limits(self.plan, api):
                value = finite(row[column])
                if value is not None and value > limit:
                    return what
        return None

    def reaches(self, row: Mapping[str, Any]) -> bool:
        """Whether the level's throughput is the target, or as near as its interval and TOLERANCE allow."""
        value = row["throughput_rps"]
        if value >= self.target or value < (1 - TOLERANCE) * self.target:
            return bool(value >= self.target)
        high = self.measured(row, "throughput_rps")["high"]
        return high is not None and high >= self.target

    @property
    def carried(self) -> float:
        """The share of the target that was carried with errors and response times kept, at most 1 (unmeasured: 1)."""
        kept = [r["throughput_rps"] for r in self._valid if self.broken(int(r["level"])) is None]
        share = max(kept, default=0.0) / self.target
        return share if self._valid and share < 1 - TOLERANCE else 1.0

    def rows(self) -> list[dict[str, Any]]:
        """The target rows: throughput first, then each API's errors and response times where a target is stated."""
        found, (deciding, reached) = [self._throughput()], self.deciding
        if deciding is None or self.unstated:
            return found
        for api, row in self.rows_of(int(deciding["level"])).items():
            if self._unasked(api):
                continue
            found += [self._limit(api, row, limit, deciding, reached) for limit in limits(self.plan, api)]
        return found

    def _unasked(self, api: str) -> bool:
        """Whether a locustfile asks for it only outside the steady windows, as for a login when its users start.

        One that is asked for in a window and no longer at this level may hang: it is recorded when it has ended.
        """
        asked = self.run.levels.loc[self.run.levels["api"] == api, "error_ratio"].notna().any()
        return not asked and api not in [known.name for known in self.plan.apis]

    @property
    def _valid(self) -> list[dict[str, Any]]:
        return [r for r in self.whole if not _limited(r)]

    @property
    def deciding(self) -> tuple[dict[str, Any] | None, bool]:
        """(row of the level that everything but throughput is judged at, whether it reaches the target)."""
        valid = self._valid
        reached = [r for r in valid if self.reaches(r)]
        steady = [r for r in reached if not _restless(r)]
        return (steady or reached)[0] if reached else (valid or self.whole or [None])[-1], bool(reached)

    @property
    def unstated(self) -> bool:
        """Whether the target is only what an import put in its place: the highest throughput of its own levels."""
        placeholder = (self.run.record.get("imported") or {}).get("highest_rps")
        return placeholder is not None and placeholder == self.plan.targets.throughput_rps

    def _throughput(self) -> dict[str, Any]:
        valid = self._valid
        if self.unstated and self.whole:
            return self._row(max(self.whole, key=lambda r: r["throughput_rps"]), CANNOT_TELL, "target_unstated")
        reached = [r for r in valid if self.reaches(r)]
        kept = [r for r in reached if self.broken(int(r["level"])) is None]
        steady = [r for r in kept if not _restless(r)]
        if steady:
            return self._row(steady[0], PASS, "throughput_reached")
        if kept:
            return self._row(kept[0], CANNOT_TELL, "no_steady_state")
        if reached:
            return self._row(reached[0], FAIL, "limits_broken", what=self.broken(int(reached[0]["level"])))
        return self._not_reached(valid)

    def _not_reached(self, valid: Sequence[dict]) -> dict[str, Any]:
        if not valid:
            return self._row((self.whole or [None])[-1], CANNOT_TELL,
                             "generator_limited" if self.whole else "nothing_measured")  # fmt: skip
        best = max(valid, key=lambda r: r["throughput_rps"])
        if stalled(valid, self.target):
            return self._row(best, FAIL, "throughput_missed")
        broken = self.broken(int(valid[-1]["level"]))
        if broken:
            return self._row(valid[-1], FAIL, "broken_before", what=broken)
        if any(_limited(r) for r in self.whole):
            return self._row(best, CANNOT_TELL, "generator_limited")
        return self._row(best, CANNOT_TELL, "load_too_small")

    def _row(self, row: Mapping[str, Any] | None, status: str, why: str, **values: Any) -> dict[str, Any]:
        measured = self.measured(row, "throughput_rps") if row else number(None, unit="rps")
        target = number(None if self.unstated else self.target, unit="rps")
        margin = None if None in (measured["value"], target["value"]) else measured["value"] / self.target - 1
        return target_row(self.run.step, self.run.subject, "throughput", target, measured, margin, status,
                          int(row["level"]) if row else None, why, values)  # fmt: skip

    def _limit(self, api: str, row: Mapping[str, Any], limit: tuple[str, str, float], deciding: Mapping[str, Any],
               reached: bool) -> dict[str, Any]:  # fmt: skip
        what, column, bound = limit
        measured, target = self.measured(row, column), number(bound, unit=UNITS[column])
        value = measured["value"]
        margin = 1 - value / bound if value is not None and bound > 0 else None
        whys = ("errors_kept", "errors_exceeded") if what == "error_ratio" else WHYS
        kept = None if value is None else value <= bound
        status, why = limit_status(kept, deciding, reached, *whys)
        values = {"throughput": self.measured(deciding, "throughput_rps")} if why == "kept_below_target" else {}
        return target_row(self.run.step, api, what, target, measured, margin, status, int(row["level"]), why, values)


WHYS = ("response_time_kept", "response_time_missed")


def limit_status(
    kept: bool | None, deciding: Mapping[str, Any], reached: bool, kept_why: str, missed_why: str,
    unknown_why: str = "nothing_measured",
) -> tuple[str, str]:  # fmt: skip
    """(status, reason) of a limit at the deciding level. kept: None where nothing was measured."""
    if kept is None:
        return CANNOT_TELL, unknown_why
    if _limited(deciding):
        return CANNOT_TELL, "generator_limited"
    if not kept:
        return FAIL, missed_why
    if not reached:
        return CANNOT_TELL, "kept_below_target"
    return (CANNOT_TELL, "no_steady_state") if _restless(deciding) else (PASS, kept_why)


def target_row(
    step: str, api: str, what: str, target: Record, measured: Record, margin: float | None, status: str,
    level: int | None, why: str, values: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """One row of verdicts["targets"]; every number is a record, margin_ratio > 0 is the safe side.

    kind: throughput, errors, response_time (or machine, which machine_rows sets).
    """
    kind = {"throughput": "throughput", "error_ratio": "errors"}.get(what, "response_time")
    return {
        "step": step, "api": api, "what": what, "kind": kind, "target": target, "measured": measured,
        "margin_ratio": number(margin, unit="ratio"), "status": status, "level": level,
        "why_key": f"verdict.why.{why}", "values": {"api": api, "measured": measured, "target": target, **values},
    }  # fmt: skip


def limits(plan: Plan, api: str) -> list[tuple[str, str, float]]:
    """(what, column of the levels table, limit) that an API must keep: its error ratio, then its quantiles."""
    targets = plan.targets_for(api)
    quantiles = [(column.removesuffix("_s"), column, limit) for column, limit in targets.response_times_s().items()]
    return [("error_ratio", "error_ratio", targets.error_ratio), *quantiles]


def throughput_target(plan: Plan, subject: str, split: Mapping[str, float]) -> float:
    """What a subject must carry, requests/s: an API its share, a scenario (or an API without a share) the whole."""
    return split.get(subject) or target_rps(plan)


def stalled(valid: Sequence[Mapping[str, Any]], target: float) -> bool:
    """Whether more load stopped bringing more throughput: what was offered, or added, did not come back.

    Open workload: the target was offered (and, as the caller knows, not carried). Closed: between the two highest
    loads, throughput grew by less than STALL of the growth in users.
    """
    last = valid[-1]
    if last["workload"] == "open":
        return bool(last["intended"] >= target)
    before = [r for r in valid if r["intended"] < last["intended"] and r["throughput_rps"] > 0]
    if not before:
        return False
    previous = before[-1]
    growth = last["throughput_rps"] / previous["throughput_rps"] - 1
    return bool(growth < STALL * (last["intended"] / previous["intended"] - 1))


def _limited(row: Mapping[str, Any]) -> bool:
    return not pd.isna(row["generator_limited"]) and bool(row["generator_limited"])


def _restless(row: Mapping[str, Any]) -> bool:
    return not pd.isna(row["steady"]) and not bool(row["steady"])
