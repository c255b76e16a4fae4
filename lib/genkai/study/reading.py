"""Read a cycle: the plan, what it aims at, and the tables of each run, with the level table made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from genkai import journals
from genkai.analyse.generator_limit import mark_lost
from genkai.analyse.judge import Judge
from genkai.analyse.levels import level_table
from genkai.analyse.resample import level_intervals
from genkai.analyse.seconds import seconds_table
from genkai.capacity import target_rps, target_split
from genkai.metrics import Metrics, read_metrics
from genkai.plan import STEPS, Plan
from genkai.refusals import Refusal
from genkai.workspace import Cycle, Run, cycles, open_cycle, project_root, read_json

CYCLES = Path("data/cycles")
SAMPLE = Path("data/sample")
STUDIES_KEPT = 2  # a cycle and the one before
BYTES_KEPT = 64_000_000  # a cycle whose files are larger is read anew each time: memory is scarcer


class StudyError(Refusal, ValueError):
    """A cycle that does not hold what was asked of it; the message says what to run first."""


Files = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, eq=False)
class RunStudy:
    """One run with its tables; files: (name, time, bytes) of all that they were read from."""

    run: Run
    requests: pd.DataFrame
    failures: pd.DataFrame
    generator: pd.DataFrame
    marks: Sequence[Mapping[str, Any]]
    metrics: Metrics
    files: Files = field(default=(), repr=False)

    @property
    def step(self) -> str:
        """verify, api, scenario or endurance."""
        return self.run.step

    @property
    def subject(self) -> str:
        """The API or scenario that was tested."""
        return self.run.subject

    @cached_property
    def record(self) -> dict[str, Any]:
        """run.json."""
        return self.run.record()

    @property
    def size(self) -> int | None:
        """The target's size during the run, where the plan set one."""
        return self.record.get("size", self.run.other_size)

    @cached_property
    def levels(self) -> pd.DataFrame:
        """The levels table: the subject's row of each level, then one per API where there are several."""
        table = level_table(self.requests, self.marks, self.generator, subject=self.subject)
        return mark_lost(table, self.record.get("lost_levels", []))

    @cached_property
    def whole(self) -> pd.DataFrame:
        """The subject's rows of the levels table."""
        return self.levels[self.levels["api"] == self.subject].reset_index(drop=True)

    @cached_property
    def intervals(self) -> dict[str, dict[str, Any]]:
        """{interval_key(level, api): records with 95 % intervals} of every row that has a window."""
        return level_intervals(self.requests, self.levels) if len(self.requests) else {}

    @cached_property
    def seconds(self) -> pd.DataFrame:
        """Throughput, errors and response time of each second, of all APIs together and of each."""
        return seconds_table(self.requests)

    @cached_property
    def window(self) -> tuple[float, float]:
        """First and last epoch second of the levels."""
        return float(self.marks[0]["start"]), float(self.marks[-1]["end"])

    @cached_property
    def ceiling(self) -> dict[str, Any] | None:
        """The generator's own ceiling, where this run measured it."""
        path = self.run.path / "ceiling.json"
        return read_json(path) if path.exists() else None


def read_run(run: Run, known: RunStudy | None = None) -> RunStudy:
    """The tables of a run, finished or not; `known` itself where nothing has changed since."""
    files = tuple(sorted((str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in run.path.rglob("*") if p.is_file()))
    if known is not None and known.files == files:
        return known
    return RunStudy(
        run, journals.read_requests(run), journals.read_failures(run), journals.read_generator(run),
        journals.read_marks(run), read_metrics(run.tables("metrics")), files,
    )  # fmt: skip


@dataclass(frozen=True)
class Study:
    """One cycle: plan, targets and runs.

    runs: those at the plan's base size, of which verdicts, diagnosis and comparison speak. resized: the same steps with
    the target at another size; only the scale-out analysis reads them.
    """

    cycle: Cycle
    plan: Plan
    runs: tuple[RunStudy, ...]
    resized: tuple[RunStudy, ...] = ()
    kept: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __hash__(self) -> int:
        """Equal studies have the same cycle; the plan has no hash."""
        return hash(self.cycle)

    @property
    def target_rps(self) -> float:
        """What the whole must carry."""
        return target_rps(self.plan)

    @cached_property
    def split(self) -> dict[str, float]:
        """What each API must carry, requests/s."""
        return target_split(self.plan)

    def target_of(self, run: RunStudy) -> float:
        """The throughput that the run's subject must reach, requests/s; an API without a share: the whole."""
        return self.split.get(run.subject) or self.target_rps

    def stated_of(self, run: RunStudy) -> float | None:
        """The same where somebody stated it; None where an import put a placeholder there."""
        target = self.target_of(run)
        return None if Judge(self.plan, run, target).unstated else target

    @property
    def every(self) -> tuple[RunStudy, ...]:
        """The runs at every size of the target."""
        return (*self.runs, *self.resized)

    def of(self, step: str) -> list[RunStudy]:
        """The runs of a step, with every repetition."""
        return [r for r in self.runs if r.step == step]

    def shown(self, step: str) -> list[RunStudy]:
        """One run of each subject of a step, for figures: of repetitions the one of middle throughput."""
        of_subject: dict[str, list[RunStudy]] = {}
        for run in self.of(step):
            if len(run.marks):
                of_subject.setdefault(run.subject, []).append(run)
        return [sorted(runs, key=_highest_rps)[(len(runs) - 1) // 2] for runs in of_subject.values()]

    def main(self, step: str = "") -> RunStudy:
        """The run that shows the limit best: of the given step, else scenario, api, endurance, verify.

        It is the one that stays furthest below its target; where all reach theirs, the one with most throughput.
        Raises StudyError when there is none.
        """
        for name in [step] if step else ["scenario", "api", "endurance", "verify"]:
            found = self.shown(name)
            if found:
                return min(found, key=lambda run: (self._carried(run), -_highest_rps(run)))
        wanted = f"a run of step {step}" if step else "a run"
        raise StudyError(f"{self.cycle.path}: expected {wanted}, got none; run notebook 20_launch first")

    def _carried(self, run: RunStudy) -> float:
        """The share of its target that a run carried within its limits, at most 1."""
        known = self.kept.setdefault("carried", {})
        if run not in known:
            known[run] = Judge(self.plan, run, self.target_of(run)).carried
        return known[run]

    @cached_property
    def ceiling(self) -> dict[str, Any] | None:
        """The generator's own ceiling as verify measured it."""
        return next((r.ceiling for r in self.runs if r.ceiling), None)


def _highest_rps(run: RunStudy) -> float:
    return float(run.whole["throughput_rps"].fillna(-1).max())  # NaN would hide all others


def find_cycle(path: str | Path = "") -> Cycle:
    """The cycle in that folder; "" is the newest one, or the recorded sample while there is none.

    Raises WorkspaceError for a folder that is no cycle, StudyError when there is nothing at all.
    """
    if str(path):
        return open_cycle(path)
    root = project_root()
    found = [c for plan in sorted((root / CYCLES).glob("*")) for c in cycles(plan)]
    if found:
        return max(found, key=lambda c: (str(c.manifest().get("created", "")), c.number))
    if (root / SAMPLE / "cycle.json").is_file():
        return Cycle(root / SAMPLE)
    raise StudyError(f"{CYCLES}: expected a cycle, got none; start one with: genkai cycle PLAN (or: genkai demo)")


_studies: dict[Path, Study] = {}


def read_study(cycle: Cycle) -> Study:
    """Everything of a cycle that has been measured so far, with what was made of it where nothing has changed since."""
    known = _studies.pop(cycle.path.resolve(), None)
    before = {r.run: r for r in (*known.runs, *known.resized)} if known else {}
    found = sorted(cycle.runs(), key=lambda r: (STEPS.index(r.step), r.subject, r.other_size or 0, r.repetition))
    runs, resized = (
        tuple(read_run(r, before.get(r)) for r in found if (r.other_size is not None) == other)
        for other in (False, True)
    )
    study = Study(cycle, cycle.plan(), runs, resized)
    if study == known:
        study = known
    if sum(size for r in (*runs, *resized) for _, _, size in r.files) <= BYTES_KEPT:
        _studies[cycle.path.resolve()] = study
        for oldest in list(_studies)[:-STUDIES_KEPT]:
            del _studies[oldest]
    return study
