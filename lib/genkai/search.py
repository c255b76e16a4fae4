"""Search for a service's capacity: every trial a level of one real run; the log, the record and the figure of it.

data/searches/<plan>/<NN>/plan.yaml  search.json  trials.csv  search-<lang>.png  1-<step>-<subject>/ (the run)
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pandas as pd

from genkai import figures, journals, schema
from genkai.analyse.levels import level_table
from genkai.analyse.search import Measured, Settings, Trial, needed_trial_s, search_capacity
from genkai.analyse.seconds import seconds_table
from genkai.analyse.texts import plain
from genkai.capacity import target_rps, target_split
from genkai.load.lock import load_lock
from genkai.load.preflight import LaunchError
from genkai.plan import Level, Plan, Step
from genkai.planfile import read_plan
from genkai.study import CYCLES, StudyError
from genkai.study.searches import SEARCHES
from genkai.trials import Goal, TrialRun, Trials
from genkai.workspace import Run, now_text, project_root, write_json, write_text

START_RATIO = 0.25  # of the target: where the ramp begins
CONFIRM_LEAST = 0.5  # of the confirmation: before, not even a clear one is cut
MOST_BROKEN = 3  # targets named for a trial
LANGUAGES = {"en": ("en",), "ja": ("ja",), "both": ("en", "ja")}
COLUMNS = ("number", "phase", "rate_rps", "seconds", "measured_s", "sent_rps", "throughput_rps", "error_ratio", "p95_s",
           "verdict", "why", "level")  # fmt: skip


class SearchError(StudyError):
    """A search that cannot start; the message says what was expected of plan and options."""


class Measurer:
    """Measures one rate by one trial of the plan's API or scenario; a context manager that ends the load."""

    def __init__(self, plan: Plan, step: str, subject: str, folder: Path) -> None:
        # A step that the plan leaves out needs no levels of its own here.
        steps = plan.steps.model_copy(update={step: plan.step_named(step) or Step(levels=[Level(users=1)])})
        self.plan = plan.model_copy(update={"steps": steps})
        self.subject = subject
        self.goals = goals_of(self.plan, step, subject)
        self.trials = Trials(Run(folder / f"1-{step}-{subject}"), self.plan, step, subject)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.trials.close()

    def __call__(self, phase: str, rate: float, seconds: float) -> Measured:
        """The trial as measured; only a long one is never passed before CONFIRM_LEAST. Raises LaunchError."""
        least = CONFIRM_LEAST * seconds if phase == "confirm" else 0.0
        try:
            trial = self.trials.measure(rate, seconds, self.goals, may_pass_after_s=least)
        except LaunchError as error:
            if not self.trials.marks:
                raise
            return Measured(0.0, 0.0, 1.0, stop_reason=str(error), measured_s=0.0)  # ended between two trials
        return self.read(trial)

    def read(self, trial: TrialRun) -> Measured:
        """What the run's tables say of a trial."""
        run, mark = self.trials.run, trial.mark
        requests, generator = journals.read_requests(run), journals.read_generator(run)
        requests, generator = (_between(table, mark["start"], mark["end"]) for table in (requests, generator))
        length = mark["end"] - mark["hold_start"]
        table = level_table(requests, [mark], generator, subject=self.subject)
        first = table.iloc[0]
        if pd.isna(first["throughput_rps"]):
            return Measured(0.0, 0.0, 1.0, stop_reason=trial.stop_reason or "no second was measured",
                            level=mark["level"], measured_s=length)  # fmt: skip
        limited = bool(first["generator_limited"]) if not pd.isna(first["generator_limited"]) else False
        broken = broken_targets(self.plan, table)
        if trial.decided == "missed" and not broken:
            broken = [f"a target is missed whatever follows, after {length:g} s"]
        return Measured(
            throughput_rps=float(first["throughput_rps"]), sent_rps=float(first["sent_rps"]),
            error_ratio=float(first["error_ratio"]), p95_s=None if pd.isna(first["p95_s"]) else float(first["p95_s"]),
            broken=tuple(broken[:MOST_BROKEN]), steady=None if pd.isna(first["steady"]) else bool(first["steady"]),
            generator=str(first["generator_note"]) if limited else None, stop_reason=trial.stop_reason,
            level=mark["level"], measured_s=length, quickest_s=float(seconds_table(requests)["mean_s"].min()),
        )  # fmt: skip


def _between(table: pd.DataFrame, start: float, end: float) -> pd.DataFrame:
    second = table["time"].astype("int64") / 1e6
    return table[(second >= int(start)) & (second < end)].reset_index(drop=True)


def goals_of(plan: Plan, step: str, subject: str) -> list[Goal]:
    """Every target that a trial is judged by: of the subject as a whole, and of each API of a scenario."""
    names = [None] if step == "api" else [None, *(c.api for c in plan.scenario_named(subject).calls)]
    goals = []
    for name in dict.fromkeys(names):
        targets = plan.targets_for(name or subject)
        goals.append(Goal(name, targets.error_ratio))
        for column, limit in targets.response_times_s().items():
            quantile = schema.QUANTILES[column]
            goals.append(Goal(name, 1 - quantile, quantile, limit))
    return goals


def broken_targets(plan: Plan, levels: pd.DataFrame) -> list[str]:
    """The response-time and error targets that a level missed, each row of the table by the targets of its API."""
    found = []
    for row in levels.to_dict("records"):
        targets = plan.targets_for(row["api"])
        limits = {**targets.response_times_s(), "error_ratio": targets.error_ratio}
        for name, limit in limits.items():
            if pd.isna(row[name]) or row[name] <= limit:
                continue
            form = "percent" if name == "error_ratio" else "time"
            text = f"{row['api']}: {name.removesuffix('_s').replace('_', ' ')} {{got:{form}}} > {{limit:{form}}}"
            found.append(plain(text, {"got": float(row[name]), "limit": limit}))
    return found


def new_folder(plan: Plan) -> Path:
    """The next free folder data/searches/<plan>/<NN>."""
    parent = SEARCHES / plan.name
    parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, 10_000):
        folder = parent / f"{number:02d}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise SearchError(f"{parent}: expected fewer than 10 000 searches; remove old ones")


def run_search(
    plan_file: Path, api: str | None = None, scenario: str | None = None, *, lang: str = "en",
    tell: Callable[[str], None] = lambda line: None, **settings: Any,
) -> dict[str, Any]:  # fmt: skip
    """Search for the capacity of an API or a scenario of a plan; writes and returns the search record.

    settings: fields of analyse.search.Settings. Raises PlanError, SearchError, LaunchError, TargetRefused.
    """
    plan = read_plan(plan_file)
    step, subject = chosen(plan, api, scenario)
    if lang not in LANGUAGES:
        raise SearchError(f"--lang: expected {', '.join(LANGUAGES)}, got {lang!r}")
    target = (target_split(plan).get(subject) if step == "api" else None) or target_rps(plan)
    slowest = max((goal.limit for goal in goals_of(plan, step, subject)), default=0.0)
    trial_s = settings.get("trial_s") or needed_trial_s(slowest, settings.get("width", Settings.width))
    asked = Settings(**{"start_rps": START_RATIO * target, **settings, "trial_s": trial_s})
    log: list[Trial] = []

    def on_trial(trial: Trial) -> None:
        log.append(trial)
        tell(trial_line(trial))
        write_trials(folder, log)

    with load_lock(project_root() / CYCLES, f"search for the capacity of {step} {subject}"):
        folder = new_folder(plan)
        write_text(folder / "plan.yaml", plan_file.read_text(encoding="utf-8"))
        tell(f"search for the capacity of {step} {subject}: {folder}")
        begun = now_text()
        with Measurer(plan, step, subject, folder) as measurer:
            record = search_capacity(measurer, asked, on_trial)
    record = {
        "plan": plan.name, "step": step, "subject": subject, "target_rps": target, "folder": os.fspath(folder),
        "start": begun, "end": now_text(), **record,
    }  # fmt: skip
    write_json(folder / "search.json", record)
    for name in LANGUAGES[lang]:
        picture = io.BytesIO()
        with figures.figure_style(name):
            figures.search(record, t=name).savefig(picture, format="png")
        (folder / f"search-{name}.png").write_bytes(picture.getvalue())
    return record


def chosen(plan: Plan, api: str | None, scenario: str | None) -> tuple[str, str]:
    """(step, subject) of --api or --scenario. Raises SearchError."""
    known = [a.name for a in plan.apis] if api else [s.name for s in plan.scenarios if s.calls]
    if bool(api) == bool(scenario):
        raise SearchError("search: expected --api NAME or --scenario NAME, got " + ("both" if api else "neither"))
    name = api or scenario
    if name not in known:
        what = "an API" if api else "a scenario with calls (a locustfile has no arrival rate)"
        raise SearchError(f"plan {plan.name}: expected {what} of {', '.join(known) or 'none'}, got {name!r}")
    return ("api", name) if api else ("scenario", name)


def write_trials(folder: Path, trials: list[Trial]) -> None:
    """trials.csv, whole after each trial."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(trials)
    write_text(folder / "trials.csv", text.getvalue())


def trial_line(trial: Trial) -> str:
    """One line of the trial log."""
    p95 = f"p95 {trial['p95_s'] * 1000:7.1f} ms" if trial["p95_s"] is not None else "p95       –   "
    return (
        f"{trial['number']:3d} {trial['phase']:8s}{trial['rate_rps']:9.1f} rps {trial['measured_s']:5.0f} s → "
        f"{trial['throughput_rps']:9.1f} rps  {p95}  {trial['verdict']}{': ' if trial['why'] else ''}{trial['why']}"
    )


def search_text(record: dict[str, Any]) -> str:
    """The result in two sentences."""
    limit, low, high = (record["limit"][k] for k in ("value", "low", "high"))
    span = f"between {low:.4g} and {high:.4g} rps" if low and high else f"at least {low:.4g} rps" if low else ""
    if record["status"] == "found":
        head = f"capacity of {record['subject']}: {limit:.4g} rps keep the targets ({span})"
    else:
        head = f"cannot tell the capacity of {record['subject']}: {record['why']}" + (f"; it is {span}" if span else "")
    tried = f"{len(record['trials'])} trials, {record['load_s']:.0f} s of load, {record['discarded']} discarded"
    return f"{head}\n{tried}; log and figure: {record['folder']}"
