"""The highest arrival rate that keeps the targets, found by a few short trials: ramp, MLRsearch, one long confirmation.

Source: MLRsearch (Multiple Loss Ratio Search, IETF draft-ietf-bmwg-mlrsearch), whose reference implementation opens at
its highest load; a ramp therefore bounds it first, to 0.5–1.5 × the knee and never above what the ramp already offered.
A trial is cut as soon as it is decided (trial.py), which changes no verdict that is certain.
Who measures is injected, so that the logic runs against a simulated target as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from genkai.analyse.records import number

UP, DOWN = 1.6, 2.0  # × the rate from one trial of the ramp to the next
MOST_RAMP, MOST_TRIES, MOST_CONFIRM, MOST_RANGES = 16, 3, 4, 4
BEHIND = 0.97  # throughput below this share of what was sent: a queue grows
BELOW_GENERATOR = 0.85  # × the rate at which the generator was the limit: the highest rate still tried
LOSS, SCALE = 0.001, 1_000_000  # MLRsearch counts losses; a trial that kept the targets has none
LEAST_TRIAL_S, MOST_TRIAL_S = 11.0, 30.0
BY_HAND = "genkai stop"
EXCEED = 0.49  # the majority of the trials at a rate decides

Trial = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """One trial as it was measured, rates in requests/s; broken: the targets it missed, in words."""

    throughput_rps: float
    sent_rps: float
    error_ratio: float
    p95_s: float | None = None
    broken: tuple[str, ...] = ()
    steady: bool | None = True
    note: str = ""
    generator: str | None = None
    stop_reason: str | None = None
    level: int | None = None
    quickest_s: float = 0.0  # mean response time of the quickest second
    measured_s: float | None = None  # how long it was, when it was decided before its time


@dataclass(frozen=True)
class Settings:
    """Where the search starts and how long its trials last; width: relative distance of the bounds at the end."""

    start_rps: float
    ramp_s: float = 5.0
    trial_s: float = 11.0
    trials: int = 3
    confirm_s: float = 40.0
    width: float = 0.02
    limit_s: float = 900.0


Measure = Callable[[str, float, float], Measured]  # phase, arrival rate, seconds


def needed_trial_s(limit_s: float, width: float) -> float:
    """Seconds of a trial that tells rates apart by a relative width: beyond the capacity by that, the wait grows by
    `width` a second, and must reach the response-time limit before the trial ends. Within 11–30 s.
    """
    return float(min(max(limit_s / width, LEAST_TRIAL_S), MOST_TRIAL_S))


class _Ended(Exception):
    """The search is over: by the automatic stop, or because the generator cannot offer more."""

    def __init__(self, status: str, why: str, rate: float) -> None:
        super().__init__(why)
        self.status, self.why, self.rate = status, why, rate


def judge_trial(measured: Measured) -> tuple[str, str]:
    """(kept, missed, generator, restless or stopped; why). A trial that missed tells something though not steady."""
    if measured.stop_reason:
        return "stopped", measured.stop_reason
    if measured.generator:
        return "generator", measured.generator
    if measured.broken:
        return "missed", "; ".join(measured.broken)
    # What was sent last is still under way when the trial ends: no queue, but a response time's worth of requests.
    under_way = measured.quickest_s / measured.measured_s if measured.measured_s else 0.0
    if measured.throughput_rps < (BEHIND - under_way) * measured.sent_rps * (1 - measured.error_ratio):
        return "missed", f"a queue grows: {measured.throughput_rps:.1f} of {measured.sent_rps:.1f} requests/s came back"
    if measured.steady is False:
        return "restless", measured.note or "no steady state"
    return "kept", ""


@dataclass
class _Search:
    measure: Measure
    settings: Settings
    on_trial: Callable[[Trial], None] | None = None
    trials: list[Trial] = field(default_factory=list)
    knee: float | None = None

    def trial(self, phase: str, rate: float, seconds: float) -> Trial:
        """A trial that counts: kept or missed; one that is not steady, or was the generator's limit, is thrown away
        and repeated. Not steady in every try counts as missed; the generator's limit in every try ends the search.
        """
        for left in range(MOST_TRIES - 1, -1, -1):
            trial = self._one(phase, rate, seconds, left)
            if trial["verdict"] != "discarded":
                return trial
        raise AssertionError("the last try counts")

    def _one(self, phase: str, rate: float, seconds: float, left: int) -> Trial:
        measured = self.measure(phase, rate, seconds)
        found, why = judge_trial(measured)
        verdict = {"generator": "discarded", "restless": "discarded" if left else "missed"}.get(found, found)
        if found == "restless" and not left:
            why = f"not steady in {MOST_TRIES} trials: {why}"
        values = asdict(measured)
        kept = {name: values[name] for name in ("throughput_rps", "sent_rps", "error_ratio", "p95_s", "level")}
        trial = {"number": len(self.trials) + 1, "phase": phase, "rate_rps": rate, "seconds": seconds,
                 "measured_s": seconds if measured.measured_s is None else measured.measured_s, **kept,
                 "verdict": verdict, "why": why}  # fmt: skip
        self.trials.append(trial)
        if self.on_trial:
            self.on_trial(trial)
        if found == "stopped" or (found == "generator" and not left):
            raise _Ended(found, why, rate)
        return trial

    def ramp(self, rate: float, kept: float | None = None) -> tuple[float, float, float]:
        """(knee, lowest rate, highest rate of the search); kept: a rate below that is known to keep the targets."""
        missed = None
        for _ in range(MOST_RAMP):
            try:
                trial = self.trial("ramp", rate, self.settings.ramp_s)
            except _Ended as ended:
                if ended.status == "stopped" or kept is None or rate * BELOW_GENERATOR <= kept:
                    raise
                return kept, 0.5 * kept, rate * BELOW_GENERATOR
            if trial["verdict"] == "kept":
                kept, rate = rate, rate * UP
            else:
                missed, rate = trial, min(rate / DOWN, max(0.75 * trial["throughput_rps"], rate / 8))
            if kept and missed:
                return _bounds(kept, missed)
        why = "every rate of the ramp kept the targets" if kept else "no rate of the ramp kept the targets"
        raise _Ended("cannot_tell", why, kept or rate)

    def narrow(self, lowest: float, highest: float) -> tuple[float | None, float | None]:
        """(highest rate that mostly kept, lowest that mostly missed the targets) by MLRsearch within two rates.

        Where the generator is the limit, the range ends below it.
        """
        for _ in range(MOST_RANGES):
            try:
                return _mlrsearch(self, lowest, highest)
            except _Ended as ended:
                highest = ended.rate * BELOW_GENERATOR
                if ended.status != "generator" or highest <= lowest * (1 + self.settings.width):
                    raise
        raise _Ended("generator", "the load generator was the limit again and again", highest)

    def bracket(self) -> tuple[float | None, float | None]:
        """(rate that mostly kept, rate that mostly missed): ramp and narrow, again from above where either misled.

        A disturbed trial may end the ramp early, and two of them a range: then higher rates kept the targets.
        """
        rate, kept, best = self.settings.start_rps, None, None
        for _ in range(MOST_RANGES):
            self.knee, lowest, highest = self.ramp(rate, kept)
            low, high = self.narrow(lowest, highest)
            best = max(filter(None, (best, low)), default=None)
            above = max((t["rate_rps"] for t in self.trials if t["verdict"] == "kept"), default=0.0)
            if high is not None and above <= high * (1 + 2 * self.settings.width):
                return low, high
            rate, kept = (highest * UP, highest) if high is None else (above, low)
        return best, high

    def confirm(self, rate: float, high: float | None) -> tuple[float | None, float | None]:
        """(rate that a long trial confirmed, lowest rate that missed)."""
        for attempt in range(1, MOST_CONFIRM + 1):
            if self.trial("confirm", rate, self.settings.confirm_s)["verdict"] == "kept":
                return rate, high
            high, rate = rate, rate * (1 - attempt * self.settings.width)
        return None, high


def _bounds(kept: float, missed: Trial) -> tuple[float, float, float]:
    """Knee and range of the search from the highest rate of the ramp that kept and the lowest that missed."""
    top, throughput = missed["rate_rps"], missed["throughput_rps"]
    knee = min(max(throughput, kept), top)
    return knee, 0.5 * knee, min(1.5 * knee, top)


def _mlrsearch(search: _Search, lowest: float, highest: float) -> tuple[float | None, float | None]:
    from MLRsearch import Config, MultipleLossRatioSearch, SearchGoal
    from MLRsearch.trial_measurement import AbstractMeasurer, MeasurementResult

    class Measurer(AbstractMeasurer):
        """Tells MLRsearch of a trial: no loss when it kept the targets, else what the target did not carry."""

        def measure(self, intended_duration: float, intended_load: float) -> MeasurementResult:
            trial = search.trial("search", intended_load, intended_duration)
            short = max(2 * LOSS, 1 - trial["throughput_rps"] / intended_load)
            loss = 0.0 if trial["verdict"] == "kept" else min(short, 1.0)
            return MeasurementResult(intended_duration, intended_load, SCALE, round(loss * SCALE))

    seconds, settings = search.settings.trial_s, search.settings
    goal = SearchGoal(
        loss_ratio=LOSS, exceed_ratio=EXCEED, relative_width=settings.width, initial_trial_duration=seconds,
        final_trial_duration=seconds, duration_sum=settings.trials * seconds, preceding_targets=2, fail_fast=False,
    )  # fmt: skip
    config = Config()
    config.goals, config.warmup_duration, config.search_duration_max = [goal], 0.0, settings.limit_s
    config.min_load, config.max_load = lowest, highest
    try:
        found = MultipleLossRatioSearch(config).search(Measurer(), debug=lambda text: None)[goal]
    except RuntimeError as error:
        raise _Ended("cannot_tell", f"the search took longer than {settings.limit_s:g} s ({error})", lowest) from error
    bounds = found.relevant_lower_bound, found.relevant_upper_bound
    return tuple(float(b) if b is not None else None for b in bounds)


def search_capacity(
    measure: Measure, settings: Settings, on_trial: Callable[[Trial], None] | None = None
) -> dict[str, Any]:
    """The search record: status, limit and knee as number records, every trial, why it ended.

    status: found; stopped (errors passed the automatic stop); generator (it cannot offer more: the limit is at least
    its low end); cannot_tell. limit: the confirmed rate; its interval ends at the lowest rate that missed the targets.
    """
    search = _Search(measure, settings, on_trial)
    try:
        low, high = search.bracket()
        if low is None:
            raise _Ended("cannot_tell", "no rate of the search kept the targets in most trials", 0.0)
        value, high = search.confirm(low, high)
        if value is None:
            raise _Ended("cannot_tell", f"no long trial confirmed a rate of {high:.4g} rps or less", high)
    except _Ended as ended:
        return _record(search, ended.status, ended.why, *_known(search.trials))
    return _record(search, "found", "", value, high)


def _known(trials: list[Trial]) -> tuple[float | None, float | None]:
    """(highest rate that kept below every rate that missed, lowest that missed) of a search that ended early."""
    # A trial that was ended before it told anything, by hand or by a failure, is no rate that missed.
    told = [t for t in trials if t["verdict"] == "missed" or (t["verdict"] == "stopped" and t["sent_rps"] > 0)]
    missed = [t["rate_rps"] for t in told if BY_HAND not in t["why"]]
    high = min(missed, default=None)
    kept = [t["rate_rps"] for t in trials if t["verdict"] == "kept" and (high is None or t["rate_rps"] < high)]
    return max(kept, default=None), high


def _record(search: _Search, status: str, why: str, low: float | None, high: float | None) -> dict:
    used = [t for t in search.trials if t["verdict"] in ("kept", "missed")]
    found = status == "found"
    notes = [] if found else [why]
    if found and high is None:
        notes.append("no rate that was tried missed the targets: the limit is at least this")
    return {
        "status": status, "why": why,
        "limit": number(low if found else None, low, high, len(used), "rps", notes),
        "knee": number(search.knee, n=sum(t["phase"] == "ramp" for t in used), unit="rps") if search.knee else None,
        "trials": search.trials, "discarded": sum(t["verdict"] == "discarded" for t in search.trials),
        "load_s": sum(t["measured_s"] for t in search.trials), "settings": asdict(search.settings),
    }  # fmt: skip
