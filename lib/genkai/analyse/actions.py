"""What became of an action: by the numbers that its cause limited, and by whether that cause was found again.

Any number that got better elsewhere proves nothing for it. A cause is gone only where this cycle loaded and measured as
much as the one that found it. Causes of the test itself (generator, shared machine) and of drifts limit no row of a
comparison: they are judged by whether they are found again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genkai.analyse.records import number, value_of
from genkai.analyse.rules import CAUSES
from genkai.plan import STEPS, Action, JudgedBy

Record = Mapping[str, Any]
QUANTITIES = ("throughput", "response_time", "errors")
ALONE = ("generator", "machine", "endurance")  # groups of causes that no row of a comparison speaks of
MOST_TELLING = ("scenario", "api", "endurance", "verify")
AS_LONG = 0.9  # of the time that showed a drift: a shorter run says nothing of it
NOTHING_IN_COMMON = {"key": "outcome.nothing_in_common", "values": {}}


@dataclass(frozen=True)
class Seen:
    """One cycle's runs of a step and subject: the findings record of each repetition, and what they measured.

    series: {(source, metric)} of their metrics; held_s: seconds of load of the longest.
    """

    number: int
    records: Sequence[Record]
    series: Collection[tuple[str, str]] = ()
    held_s: float = 0.0

    def found(self, cause: str) -> list[tuple[Record, Record]]:
        """(run's record, finding) of each repetition where the cause is more than a weak suspicion."""
        return [(record, f) for record in self.records for f in record["findings"] if _counts(record, f, cause)]

    @property
    def highest_load(self) -> float:
        """The highest load that counts, of any repetition; 0 where nothing was measured."""
        return max((value_of(r["values"].get("highest_load")) or 0.0 for r in self.records), default=0.0)

    @property
    def unit(self) -> str:
        """users or rps: what its loads are."""
        return next((r["values"]["load"]["unit"] for r in self.records if r["values"].get("load")), "")


def _counts(record: Record, finding: Record, cause: str) -> bool:
    first = next((f for f in record["findings"] if not f.get("contributes")), None)
    return finding["cause"] == cause and (finding["strength"] != "weak" or finding is first)


def aim_of(record: Record, finding: Record, step: str, subject: str, cycle: int) -> JudgedBy:
    """What an action on a finding is meant to change; record: the findings record of the run that has it."""
    quantity = None if finding.get("group") in ALONE else record.get("kind")
    return JudgedBy(subject=subject, step=step, quantity=quantity, load=_load(finding) or None, cycle=cycle)


def judge_action(
    action: Action, aim: JudgedBy | None, before: Seen | None, now: Seen | None, comparison: Record | None,
    quantiles: Sequence[str] = ("p95",), units: Record | None = None,
) -> dict[str, Any]:  # fmt: skip
    """{"outcome", "text_key", "values", "rows"}; outcome: open, worked, cause_gone, partly, did_not_work, made_worse or
    cannot_tell.

    aim: what it is to change; before, now: what the cycle that found the cause and this one saw there; comparison: of
    the two; quantiles: response times with a target; units: {step: users or rps}. rows: what judged it.
    """
    if not action.done:
        return _told("open", "open", verify=action.verify) if action.verify else {"outcome": "open", "rows": []}
    if before is None:
        return _told("cannot_tell", "no_earlier")
    if aim is None:
        return _told("cannot_tell", "no_aim") if action.cause is None else _not_found(action.cause, before, now)
    if action.cause is not None:
        aim = _at_its_load(aim, before.found(action.cause))
    rows = telling_rows(comparison, aim, quantiles) if action.cause is None or aim.quantity else []
    values = {"cycle": str(before.number), "subject": aim.subject, "changes": _changes(rows, units or {})}
    if action.cause is None:
        return _told(*_by_rows(rows), rows, **values)
    return _by_cause(action.cause, aim, before, now, rows, values)


def _at_its_load(aim: JudgedBy, was: Sequence[tuple[Record, Record]]) -> JudgedBy:
    """The aim with the load that its cause was found at, where a plan names none or less."""
    load = max(aim.load or 0.0, min((_load(f) for _, f in was), default=0.0))
    return aim.model_copy(update={"load": load or None})


def _told(outcome: str, key: str, rows: Sequence[Record] = (), **values: Any) -> dict[str, Any]:
    return {"outcome": outcome, "text_key": f"outcome.{key}", "values": values, "rows": list(rows)}


def _by_rows(rows: Sequence[Record]) -> tuple[str, str]:
    """(outcome, text) of an action that names no cause."""
    if not rows:
        return "cannot_tell", "own_nothing"
    told = {"better": ("worked", "own_better"), "same": ("did_not_work", "own_same"),
            "worse": ("made_worse", "own_worse"), "mixed": ("cannot_tell", "mixed")}  # fmt: skip
    return told.get(verdict_of_rows(rows), ("cannot_tell", "own_unclear"))


def _by_cause(
    cause: str, aim: JudgedBy, before: Seen, now: Seen | None, rows: Sequence[Record], values: dict[str, Any]
) -> dict[str, Any]:
    was, again = before.found(cause), now.found(cause) if now else []
    if not was:
        return _not_found(cause, before, now)
    at = aim.load or 0.0
    values = values | {"cause": cause_name(cause), "before": _amount(at, before.unit)}
    if now is None or not now.records:
        return _told("cannot_tell", "not_run", **values)
    if again and 2 * len(again) < len(now.records):
        return _told("cannot_tell", "some_runs", rows, **values, found=len(again), runs=len(now.records))
    verdict = verdict_of_rows(rows)
    if again:
        load = min(_load(f) for _, f in again)
        values |= {"load": _amount(load, now.unit)}
        return _told(*_again(verdict, now.unit == before.unit and load > at), rows, **values)
    lacking = _lacking(aim, before, now, was)
    values |= {"load": _amount(now.highest_load, now.unit), "following": _following(now)}
    if lacking:
        return _told("cannot_tell", lacking, rows, **values)
    if aim.quantity is None:
        return _told("worked", "worked_alone", rows, **values)
    if not rows:
        return _told("cannot_tell", "unclear", rows, **values)
    told = {"better": ("worked", "worked"), "same": ("cause_gone", "cause_gone"), "worse": ("made_worse", "worse_gone"),
            "mixed": ("cannot_tell", "mixed")}  # fmt: skip
    return _told(*told.get(verdict, ("cannot_tell", "unclear")), rows, **values)


def _again(verdict: str, higher: bool) -> tuple[str, str]:
    """(outcome, text) of a cause that was found again; higher: at more load than before."""
    if verdict == "better":
        return "partly", "partly"
    if verdict == "worse":
        return "made_worse", "worse_again"
    if verdict == "mixed":
        return "cannot_tell", "mixed_again"
    return ("cannot_tell", "unclear_again") if higher and verdict != "same" else ("did_not_work", "did_not_work")


def _not_found(cause: str, before: Seen, now: Seen | None) -> dict[str, Any]:
    """Its cause was not there before: that it is not there now says nothing; that it is there says enough."""
    again = now.found(cause) if now else []
    values = {"cause": cause_name(cause), "cycle": str(before.number)}
    if again:
        return _told("did_not_work", "found_now", **values, load=_amount(min(_load(f) for _, f in again), now.unit))
    return _told("cannot_tell", "not_found", **values)


def _lacking(aim: JudgedBy, before: Seen, now: Seen, was: Sequence[tuple[Record, Record]]) -> str | None:
    """Why it is not known that the cause is gone: other load, less of it, not as long, not what showed it; or None."""
    if now.unit != before.unit:
        return "other_workload"
    if aim.load and now.highest_load < aim.load * (1 - 1e-6):
        return "not_so_far"
    if was[0][1].get("group") == "endurance" and now.held_s < AS_LONG * before.held_s:
        return "too_short"
    shown = {(e["source"], e["metric"]) for _, f in was for e in f["evidence"] if e.get("metric")} & set(before.series)
    return "not_measured" if shown and not shown & set(now.series) else None


def telling_rows(comparison: Record | None, aim: JudgedBy, quantiles: Sequence[str]) -> list[Record]:
    """The rows of a comparison that an action is judged by, at loads where its cause had been the limit.

    Throughput: the ceiling where it says something, and throughput at the highest common load. Response time (the first
    quantile with a target) and errors: at the lowest common load that is not below the limit, for more load has other
    limits.
    """
    if not comparison or comparison.get("refused"):
        return []
    own = _own(comparison.get("details") or [], aim)
    limits = [r for r in _own(comparison["rows"], aim) if r["what"] == "ceiling"]
    quantile = next((q for q in quantiles if any(r["what"] == q for r in own)), "p95")
    named = {"throughput": "throughput", "response_time": quantile, "errors": "error_ratio"}
    found: list[Record] = []
    for quantity in [aim.quantity] if aim.quantity else QUANTITIES:
        rows = [r for r in own if r["what"] == named[quantity] and r["load"] >= (aim.load or 0.0) * (1 - 1e-6)]
        rows.sort(key=lambda r: r["load"], reverse=quantity == "throughput" or not aim.load)
        if quantity == "throughput":
            found += [r for r in limits if r["verdict"] in ("better", "worse") or not rows]
        found += rows[:1]
    return found


def _own(rows: Sequence[Record], aim: JudgedBy) -> list[Record]:
    """The rows that speak of the subject: of its own run, else of the first mix that it is part of."""
    about = [r for r in rows if r["api"] == aim.subject and r["step"] in STEPS and aim.step in (None, r["step"])]
    runs = {(r["step"], r["subject"]) for r in about}
    chosen = min(runs, key=lambda run: (run[1] != aim.subject, MOST_TELLING.index(run[0])), default=None)
    return [r for r in about if (r["step"], r["subject"]) == chosen]


def verdict_of_rows(rows: Sequence[Record]) -> str:
    """better, worse, same, cannot_tell, or mixed where some are better and others worse."""
    found = {row["verdict"] for row in rows}
    if {"better", "worse"} <= found:
        return "mixed"
    return next((v for v in ("better", "worse") if v in found), "same" if found == {"same"} else "cannot_tell")


def _changes(rows: Sequence[Record], units: Record) -> list[dict[str, Any]]:
    """A message for each row: what, from where, to where."""
    return list(_row_texts(rows, units)) or [NOTHING_IN_COMMON]


def _row_texts(rows: Sequence[Record], units: Record) -> Iterator[dict[str, Any]]:
    for row in rows:
        values = {name: row[name] for name in ("what", "before", "after", "ratio")}
        if row["what"] != "ceiling":
            key = "errors" if row["what"] == "error_ratio" else "at_load"
            values["load"] = _amount(row["load"], units.get(row["step"], "users"))
        else:
            known = [value_of(row[side]) is not None for side in ("before", "after")]
            key = {(True, False): "ceiling_gone", (False, True): "ceiling_new"}.get(tuple(known), "ceiling")
        yield {"key": f"outcome.{key}", "values": values}


def _following(now: Seen) -> dict[str, Any]:
    """What limits now."""
    first = next((f for r in now.records for f in r["findings"] if not f.get("contributes")), None)
    if first is None:
        stops = any(r.get("kind") for r in now.records)
        return {"key": f"outcome.{'limit_unknown' if stops else 'nothing_limits'}", "values": {}}
    return {"key": "outcome.limits_now", "values": {"cause": cause_name(first["cause"])}}


def cause_name(cause: str) -> Any:
    """The message of a cause's name; the word itself where the catalogue of causes has none."""
    return {"key": f"cause.{cause}.name", "values": {}} if cause in CAUSES else cause


def _load(finding: Record) -> float:
    return value_of(finding["values"].get("load")) or 0.0


def _amount(load: float, unit: str) -> dict[str, Any]:
    return number(float(load), unit=unit)
