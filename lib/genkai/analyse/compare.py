"""Two cycles at equal load: the ratio of what they measured, its interval, and better | same | worse | cannot tell.

Requests are never tested against requests (a shared disturbance makes that alarm at nearly every comparison). What is
compared are runs: their own scatter and the spread between runs both widen the interval (analyse/spread.py), and a
change counts only where the whole interval lies beyond the minimum effect. The overall rows pool all subjects at the
loads that both cycles carried: a few numbers instead of many, so there a change counts when its 99 % interval leaves
out 1 and its best estimate is beyond the minimum effect. A change of everything by a tenth is found there first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from genkai.analyse.compare_limits import compare_limits
from genkai.analyse.judge import MeasuredRun
from genkai.analyse.plan_differences import ABSENT, differences, plan_differences, poolable, run_differences
from genkai.analyse.records import Record, number
from genkai.analyse.resample import UNITS
from genkai.analyse.scale_levels import fit_levels
from genkai.analyse.sides import COLUMNS, RESAMPLES, Load, Pair, Side
from genkai.analyse.spread import (
    ASSUMED,
    MINIMUM_EFFECT,
    NORMAL,
    SINGLE,
    Spread,
    errors_verdict,
    observed_spread,
    overall_ratio,
    overall_verdict,
    ratio_of,
    side_record,
    verdict_of,
)

OVERALL = "(all)"
Row = dict[str, Any]


def what_of(column: str) -> str:
    """The quantity's name of a column of the levels table: throughput, p50, p95, p99, error_ratio."""
    return column.removesuffix("_rps").removesuffix("_s")


def pair_rows(pair: Pair, spread: Spread, effect: float) -> list[Row]:
    """Rows of one step and subject: every common load, API and quantity; repetitions on a side are pooled.

    Row: {step, subject, api, what, metric, level, load, before, after, ratio, verdict}; before, after and ratio are
    records (ratio: after ÷ before; for error_ratio: after − before, unit points).
    """
    return [
        row
        for load in pair.loads
        for api in pair.apis
        for column in COLUMNS
        if (row := _row(pair, load, api, column, spread, effect))
    ]


def _row(pair: Pair, load: Load, api: str, column: str, spread: Spread, effect: float) -> Row | None:
    sides = [side.records(load, api) for side in (pair.before, pair.after)]
    if None in sides:
        return None
    head = {**pair.head(load, api), "what": what_of(column), "metric": column}
    if column == "error_ratio":
        return head | _errors([[r[column] for r in side] for side in sides])
    cells = [side.cell(load, api, column) for side in (pair.before, pair.after)]
    notes = [] if spread.freedom else [SINGLE]
    if None in cells:
        shown = [side[0][column] for side in sides]
        return head | {"before": shown[0], "after": shown[1], "ratio": number(None, unit="factor", notes=notes),
                       "verdict": "cannot_tell"}  # fmt: skip
    ratio = ratio_of(*cells, _spread_column(pair, load, column, spread), spread, notes)
    shown = [
        records[0][column] if len(records) == 1 else side_record(cell, column, spread, UNITS[column])
        for records, cell in zip(sides, cells, strict=True)
    ]
    return head | {"before": shown[0], "after": shown[1], "ratio": ratio,
                   "verdict": verdict_of(ratio, what_of(column), effect)}  # fmt: skip


def _spread_column(pair: Pair, load: Load, column: str, spread: Spread) -> str:
    """Whose spread counts: a throughput that the load no longer sets differs between runs as ceilings do."""
    own = spread.freedom or column != "throughput_rps" or (pair.before.carried(load) and pair.after.carried(load))
    return column if own else "ceiling_rps"


def _errors(sides: Sequence[Sequence[Record]]) -> Row:
    """Error ratios by their difference: zero errors have no ratio."""
    values = [np.array([r["value"] or 0.0 for r in side]) for side in sides]
    within = [np.mean([((r["high"] - r["low"]) / (2 * NORMAL)) ** 2 if r["high"] is not None else 0.0 for r in side])
              for side in sides]  # fmt: skip
    freedom = sum(len(v) - 1 for v in values)
    between = sum(((v - v.mean()) ** 2).sum() for v in values) / freedom if freedom else 0.0
    assumed = [0.0 if freedom else (ASSUMED["error_ratio"] * v.mean()) ** 2 for v in values]
    spread = Spread({}, freedom)
    errors = [np.sqrt((max(w, between) + a) / len(v)) for w, a, v in zip(within, assumed, values, strict=True)]
    change, error = float(values[1].mean() - values[0].mean()), float(np.hypot(*errors)) * spread.reach()
    n = sum(map(len, values))
    notes = [] if freedom else [SINGLE]
    difference = number(change, change - error, change + error, n, "points", notes)
    shown = [
        side[0] if len(side) == 1 else number(v.mean(), max(v.mean() - e * spread.reach(), 0.0),
                                              v.mean() + e * spread.reach(), len(side), "ratio")
        for side, v, e in zip(sides, values, errors, strict=True)
    ]  # fmt: skip
    return {"before": shown[0], "after": shown[1], "ratio": difference, "verdict": errors_verdict(difference)}


def overall_rows(pairs: Sequence[Pair], spread: Spread, effect: float) -> list[Row]:
    """Throughput and response times of all subjects together, at the loads that both sides carried."""
    rows = []
    for column in COLUMNS[:-1]:
        subjects = [cells for pair in pairs if (cells := pair.carried(column))]
        if not subjects:
            continue
        ratio = overall_ratio(subjects, column, spread, [] if spread.freedom else [SINGLE])
        sure = overall_ratio(subjects, column, spread, confidence=0.99)
        shown = [
            number(float(np.exp(np.mean([m.log for cells in subjects for cell in cells for m in cell[side]]))),
                   n=ratio["n"], unit=UNITS[column])
            for side in (0, 1)
        ]  # fmt: skip
        rows.append({"step": None, "subject": OVERALL, "api": OVERALL, "what": what_of(column), "metric": column,
                     "level": None, "load": None, "before": shown[0], "after": shown[1], "ratio": ratio,
                     "verdict": overall_verdict(ratio, sure, what_of(column), effect)})  # fmt: skip
    return rows


def compare_cycles(before: Any, after: Any, *, minimum_effect: float = MINIMUM_EFFECT) -> dict[str, Any]:
    """Two cycles, each with .cycle.number, .plan and .runs: {before, after, minimum_effect, rows, details, changes, …}.

    rows: all subjects together, then each API at the highest load that both measured, its ceiling and knee; details:
    every common load; changes: what else differs; spread: {column: spread between runs as a ratio}, freedom: degrees
    of freedom that it was seen with. {"refused": {"key", "values"}} instead of rows when nothing can be compared.
    """
    changes = [*plan_differences(before.plan, after.plan), *_measured_once(before.runs, after.runs)]
    pairs = []
    for key in dict.fromkeys((r.step, r.subject) for r in after.runs if r.step != "verify"):
        sides = [_repetitions(cycle.runs, key, changes) for cycle in (before, after)]
        if all(sides):
            pairs.append(Pair(*map(Side, sides)))
            found = run_differences(sides[0][0].record, sides[1][0].record)
            changes += [c for c in found if c not in changes]
    spread = observed_spread(group for pair in pairs for group in pair.repeated())
    rows, details = [], []
    for pair in pairs:
        found = pair_rows(pair, spread, minimum_effect)
        highest = max((r["load"] for r in found), default=0)
        head = {**{k: getattr(pair.after.runs[0], k) for k in ("step", "subject")}, "level": None, "load": None}
        limits = compare_limits(_fits(pair.before), _fits(pair.after), minimum_effect)
        rows += [r for r in found if r["load"] == highest]
        rows += [head | {"api": head["subject"]} | r for r in limits]
        details += found
    head = {"before": before.cycle.number, "after": after.cycle.number, "minimum_effect": minimum_effect}
    if not rows:
        common = any(pair.before.loads & pair.after.loads for pair in pairs)
        key = f"comparison.refused.{'generator' if common else 'nothing_in_common'}"
        return {**head, "refused": {"key": key, "values": {}}, "rows": [], "details": [], "changes": changes}
    known = {column: float(np.sqrt(spread.of(column))) for column in COLUMNS[:-1]}
    return {**head, "rows": overall_rows(pairs, spread, minimum_effect) + rows, "details": details, "changes": changes,
            "spread": known, "freedom": spread.freedom}  # fmt: skip


def _measured_once(before: Sequence[MeasuredRun], after: Sequence[MeasuredRun]) -> list[dict[str, str]]:
    """What only one of them measured, as a difference: it is in no row, and whoever reads the rows must know."""
    counts = [Counter(f"runs of {r.step} {r.subject}" for r in runs if not r.levels.empty) for runs in (before, after)]
    told = [{name: str(n) for name, n in sorted(count.items())} for count in counts]
    return [d for d in differences(*told) if ABSENT in (d["before"], d["after"])]


def _repetitions(runs: Sequence[MeasuredRun], key: tuple[str, str], changes: list[dict[str, str]]) -> list[MeasuredRun]:
    """The runs of one step and subject that may be pooled; of the others, what differs is told in `changes`."""
    found = [r for r in runs if (r.step, r.subject) == key and not r.levels.empty]
    kept, left_out = poolable(found)
    changes += [c for c in left_out if c not in changes]
    return kept


def _fits(side: Side) -> list[dict[str, Any]]:
    return [fit_levels(r.levels, r.subject, resamples=RESAMPLES) for r in side.runs]
