"""Two cycles at equal load: the ratio of what they measured, its interval, and better | same | worse | cannot tell.

Requests are never tested against requests (a shared disturbance makes that alarm at nearly every comparison).
Within one run, blocks of seconds are resampled; with repetitions, the spread of the runs is what counts (hierarchical,
after Kalibera and Jones 2013). A change counts only where the whole interval lies beyond the minimum effect. One run
on a side tells nothing about the spread between runs: the change must then be beyond twice the minimum effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from genkai.analyse import models
from genkai.analyse.judge import MeasuredRun
from genkai.analyse.plan_differences import check_poolable, plan_differences, run_differences
from genkai.analyse.records import Record, from_draws, interval_of, number
from genkai.analyse.resample import UNITS, level_window, window_draws
from genkai.analyse.scale_levels import fit_levels
from genkai.analyse.seconds import Decoded, decode_requests

MINIMUM_EFFECT = 0.05
SINGLE_FACTOR = 2
MINIMUM_ERRORS = 0.005  # difference of error ratios that counts
RESAMPLES = 500
METRICS = {"throughput": "throughput_rps", "p50": "p50_s", "p95": "p95_s", "p99": "p99_s", "error_ratio": "error_ratio"}
HIGHER_IS_BETTER = ("throughput", "ceiling", "knee")
SINGLE = "one run on a side: the spread between runs is not known"
COMPARE = {
    "comparison.refused.nothing_in_common": "no step, subject and load was measured in both",
    "comparison.refused.generator": "at every common load the generator was the limit in one of them",
}


def verdict_of(ratio: Record, what: str, effect: float = MINIMUM_EFFECT, factor: float = 1.0) -> str:
    """better, same, worse or cannot_tell from the interval of a ratio (after ÷ before) and a minimum effect.

    factor: a difference must be beyond this many times the minimum effect.
    """
    interval = interval_of(ratio)
    if interval is None:
        return "cannot_tell"
    low, high = interval
    if low > 1 + factor * effect or high < 1 - factor * effect:
        return "better" if (low > 1) == (what in HIGHER_IS_BETTER) else "worse"
    return "same" if low >= 1 - effect and high <= 1 + effect else "cannot_tell"


def errors_verdict(difference: Record) -> str:
    """The same for a difference of error ratios, with MINIMUM_ERRORS as its minimum effect."""
    interval = interval_of(difference)
    if interval is None:
        return "cannot_tell"
    low, high = interval
    if low > MINIMUM_ERRORS or high < -MINIMUM_ERRORS:
        return "worse" if low > 0 else "better"
    return "same" if low >= -MINIMUM_ERRORS and high <= MINIMUM_ERRORS else "cannot_tell"


@dataclass
class Side:
    """Runs of one side: repetitions of one step and subject. Raises ValueError when they are no repetitions."""

    runs: Sequence[MeasuredRun]

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError("compare: expected at least one run on each side, got none")
        check_poolable([r.record for r in self.runs])
        self._decoded: dict[int, Decoded] = {}

    def row(self, run: MeasuredRun, key: tuple[str, float], api: str) -> pd.Series | None:
        """The row of an API at a load (workload, intended), if it was measured and the generator was not the limit."""
        levels = run.levels
        found = levels[(levels["workload"] == key[0]) & np.isclose(levels["intended"], key[1]) & (levels["api"] == api)]
        found = found[found["window_start"].notna() & ~found["generator_limited"].fillna(False).astype(bool)]
        return None if found.empty else found.iloc[-1]

    def loads(self) -> set[tuple[str, float]]:
        """(workload, intended) of every level that has a window."""
        levels = pd.concat([r.levels for r in self.runs])
        measured = levels[levels["window_start"].notna()]
        return set(zip(measured["workload"], measured["intended"].round(6), strict=True))

    def usable(self, key: tuple[str, float]) -> bool:
        """Whether every run measured its subject at that load without the generator as the limit."""
        return all(self.row(run, key, run.subject) is not None for run in self.runs)

    def draws(self, key: tuple[str, float], api: str, seed: int) -> dict[str, Any] | None:
        """{column: (values of the runs, their draws (runs, RESAMPLES))}; None where a run lacks the API."""
        found: list[tuple[pd.Series, dict[str, np.ndarray]]] = []
        for index, run in enumerate(self.runs):
            row = self.row(run, key, api)
            requests = getattr(run, "requests", None)
            if row is None or requests is None or requests.empty:
                return None
            if index not in self._decoded:
                self._decoded[index] = decode_requests(requests)
            window = level_window(self._decoded[index], run.levels, int(row["level"]), api)
            found.append((row, window_draws(window, RESAMPLES, seed + index)))
        return {
            column: (np.array([row[column] for row, _ in found], dtype=float), np.stack([d[column] for _, d in found]))
            for column in METRICS.values()
        }


def pooled_draws(sides: Sequence[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator) -> list[np.ndarray]:
    """Draws of each side's mean over its runs. sides: (values (runs,), bootstrap draws (runs, resamples)).

    One run on each side: its own draws. Repetitions: Student's t about the mean with the spread of the runs, pooled
    over the sides, which holds the scatter within the runs too and so is never taken as less than that.
    """
    freedom = sum(len(values) - 1 for values, _ in sides)
    if freedom == 0:
        return [draws[0] for _, draws in sides]
    relative = [values / values.mean() if values.mean() > 0 else values for values, _ in sides]
    between = sum(((r - r.mean()) ** 2).sum() for r in relative) / freedom
    found = []
    for values, draws in sides:
        within = np.nanmean(np.nanvar(draws, axis=1))
        spread = np.sqrt(max(between * (values.mean() ** 2 if values.mean() > 0 else 1.0), within))
        noise = rng.standard_t(freedom, draws.shape[1])
        found.append(np.maximum(values.mean() + noise * spread / np.sqrt(len(values)), 0))
    return found


def compare_runs(
    before: Sequence[MeasuredRun],
    after: Sequence[MeasuredRun],
    *,
    minimum_effect: float = MINIMUM_EFFECT,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Rows for every load that both sides measured, every API and metric; repetitions on a side are pooled.

    Row: {step, subject, api, what, metric, level, load, before, after, ratio, verdict}; before, after and ratio are
    records (ratio: after ÷ before; for error_ratio: after − before). Raises ValueError for no repetitions.
    """
    a, b = Side(before), Side(after)
    rows = []
    for key in sorted(a.loads() & b.loads()):
        if a.usable(key) and b.usable(key):
            for api in dict.fromkeys(after[0].levels["api"]):
                rows += _api_rows(a, b, key, api, minimum_effect, seed)
    return rows


def _api_rows(a: Side, b: Side, key: tuple[str, float], api: str, effect: float, seed: int) -> list[dict[str, Any]]:
    found_a, found_b = a.draws(key, api, seed), b.draws(key, api, seed + 1000)
    if found_a is None or found_b is None:
        return []
    level = int(b.row(b.runs[0], key, api)["level"])
    head = {"step": b.runs[0].step, "subject": b.runs[0].subject, "api": api, "level": level, "load": key[1]}
    return [
        head | {"what": what, "metric": column} | _compared(found_a[column], found_b[column], what, effect, seed)
        for what, column in METRICS.items()
    ]


def _compared(a: tuple, b: tuple, what: str, effect: float, seed: int) -> dict[str, Any]:
    rng, unit = np.random.default_rng(seed), UNITS[METRICS[what]]
    means = [float(values.mean()) for values, _ in (a, b)]
    pooled = pooled_draws((a, b), rng)
    single = min(len(a[0]), len(b[0])) == 1
    n, notes = len(a[0]) + len(b[0]), [SINGLE] if single else []
    sides = {name: from_draws(mean, p, len(s[0]), unit)
             for name, mean, p, s in zip(("before", "after"), means, pooled, (a, b), strict=True)}  # fmt: skip
    if what == "error_ratio":
        change = from_draws(means[1] - means[0], pooled[1] - pooled[0], n, "ratio", notes)
        return {**sides, "ratio": change, "verdict": errors_verdict(change)}
    usable = pooled[0] > 0
    value = means[1] / means[0] if means[0] > 0 else None
    ratio = from_draws(value, pooled[1][usable] / pooled[0][usable], n, "factor", notes)
    return {**sides, "ratio": ratio, "verdict": verdict_of(ratio, what, effect, SINGLE_FACTOR if single else 1)}


def compare_fits(
    before: Mapping[str, Any], after: Mapping[str, Any], minimum_effect: float = MINIMUM_EFFECT
) -> list[dict]:
    """Rows of ceiling and knee of two fit records; where only one has a limit, the other's highest level answers."""
    rows = []
    limits = (
        ("ceiling", "ceiling_rps", models.ceiling, "throughput_rps"),
        ("knee", "knee_load", models.knee_load, "load"),
    )
    for what, key, function, measured in limits:
        a, b = (f[key] if f.get("bend") else None for f in (before, after))
        if a is None and b is None:
            continue
        if a is not None and b is not None:
            draws = [function(f["model"], np.array(f["draws"])) for f in (before, after)]
            size = min(map(len, draws))
            ratios = np.random.default_rng(0).permutation(draws[1][:size]) / draws[0][:size]
            ratio = from_draws(b["value"] / a["value"], ratios, a["n"] + b["n"], "factor", [SINGLE])
            verdict = verdict_of(ratio, what, minimum_effect)
        else:
            ratio = number(None, unit="factor", notes=["a limit was seen in one of them only"])
            verdict = _one_sided(a, before, b, after, measured, minimum_effect)
        rows.append({"what": what, "metric": key, "before": a or number(None), "after": b or number(None),
                     "ratio": ratio, "verdict": verdict})  # fmt: skip
    return rows


def _one_sided(
    a: Record | None, before: Mapping, b: Record | None, after: Mapping, measured: str, effect: float
) -> str:
    """Better when the side without a limit got clearly beyond the other's limit."""
    limit, other = (a, after) if a is not None else (b, before)
    highest = max((p[measured] for p in other["points"]), default=0.0)
    if highest <= (limit.get("high") or limit["value"]) * (1 + effect):
        return "cannot_tell"
    return "better" if a is not None else "worse"


def compare_cycles(before: Any, after: Any, *, minimum_effect: float = MINIMUM_EFFECT, seed: int = 0) -> dict[str, Any]:
    """Two cycles, each with .cycle.number, .plan and .runs: {before, after, minimum_effect, rows, details, changes}.

    rows: each API at the highest load that both measured, then ceiling and knee; details: every common load; changes:
    what else differs. {"refused": {"key", "values"}} in their place when nothing can be compared.
    """
    runs_a = {(r.step, r.subject): r for r in before.runs}
    details: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    changes, common = plan_differences(before.plan, after.plan), False
    for run in (r for r in after.runs if r.step != "verify" and (r.step, r.subject) in runs_a):
        other = runs_a[run.step, run.subject]
        if run.levels.empty or other.levels.empty:
            continue
        common = common or bool(Side([other]).loads() & Side([run]).loads())
        found = compare_runs([other], [run], minimum_effect=minimum_effect, seed=seed)
        highest = max((r["load"] for r in found), default=0)
        fits = [fit_levels(r.levels, r.subject, resamples=RESAMPLES) for r in (other, run)]
        head = {"step": run.step, "subject": run.subject, "api": run.subject, "level": None, "load": None}
        rows += [r for r in found if r["load"] == highest] + [head | r for r in compare_fits(*fits, minimum_effect)]
        details += found
        changes += [c for c in run_differences(other.record, run.record) if c not in changes]
    head = {"before": before.cycle.number, "after": after.cycle.number, "minimum_effect": minimum_effect}
    if not rows:
        key = f"comparison.refused.{'generator' if common else 'nothing_in_common'}"
        return {**head, "refused": {"key": key, "values": {}}, "rows": [], "details": [], "changes": changes}
    return {**head, "rows": rows, "details": details, "changes": changes}
