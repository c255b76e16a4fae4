"""A profiling run: load at a low level and at the limit while the target's processes are profiled.

Profiling disturbs what it looks at, so the run is one of its own: it lies outside every cycle, its run.json says
`profiling`, and nothing that reads runs takes it in.

data/profiles/<plan>/<NN>/plan.yaml  profile.json  stacks.parquet  <phase>.<state>.folded  raw/
                          runs/<n>-<step>-<subject>/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from genkai import journals
from genkai.analyse import overhead, stacks
from genkai.collect.profiling import Capture, Target, find_targets, rehearse
from genkai.launch import Progress, start_run
from genkai.load.lock import load_lock
from genkai.plan import STEPS, Level, Plan, Step
from genkai.planfile import read_plan
from genkai.schema import write_table
from genkai.study import CYCLES, StudyError
from genkai.workspace import Run, now_text, project_root, read_json, write_json, write_text

PROFILES = Path("data/profiles")
LOW_RATIO = 0.25  # of a rate that is given instead of a level
RAMP_S, SETTLE_S, QUIET_S, SLACK_S = 2.0, 4.0, 5.0, 4.0
SHORTEST_S = 3
LANGUAGES = {"en": ("en",), "ja": ("ja",), "both": ("en", "ja")}
KEPT = 60  # function records of each state


class ProfileError(StudyError):
    """A profiling run that cannot start or was cut short; the message says what was expected."""


@dataclass
class Phase:
    """One load level: at `without` (seconds of the run) it is steady and watched, at `begin` the profilers start."""

    name: str
    level: Level
    without: float
    begin: float
    capture: Capture | None = None
    started: float = 0.0


def choose_levels(
    plan: Plan, step: str, level: int | None = None, against: int = 1, rate: float | None = None
) -> dict[str, Level]:
    """{"low": …, "limit": …}: level `level` of the plan (default the last) against level `against` (0: none).

    Levels count from 1, as in the table of levels. rate: requests/s instead of a level; low is then a quarter of it.
    Raises ProfileError.
    """
    if step not in STEPS or plan.step_named(step) is None:
        raise ProfileError(f"plan {plan.name}: expected a step of the plan, got {step!r}")
    if rate is not None:
        chosen = {"low": Level(arrival_rate_rps=rate * LOW_RATIO), "limit": Level(arrival_rate_rps=rate)}
        return chosen if against else {"limit": chosen["limit"]}
    levels = plan.step_named(step).levels
    number = len(levels) if level is None else level
    for option, given, least in (("--level", number, 1), ("--against", against, 0)):
        if not least <= given <= len(levels):
            raise ProfileError(f"{option}: expected {least} to {len(levels)} (levels of step {step}), got {given}")
    low = {"low": levels[against - 1]} if against not in (0, number) else {}
    return {**low, "limit": levels[number - 1]}


def plan_phases(levels: dict[str, Level], seconds: int) -> list[Phase]:
    """Each level with a time to settle, a while without the profiler, and then with it."""
    phases, elapsed = [], 0.0
    quiet = max(QUIET_S, seconds / 4)
    for name, level in levels.items():
        hold = SETTLE_S + quiet + seconds + SLACK_S
        held = level.model_copy(update={"ramp_s": RAMP_S, "hold_s": hold})
        without = elapsed + RAMP_S + SETTLE_S
        phases.append(Phase(name, held, without, without + quiet))
        elapsed += RAMP_S + hold
    return phases


def find_processes(
    plan: Plan, host: str | None = None, pids: Sequence[int] = (), ssh_options: Sequence[str] = ()
) -> list[Target]:
    """The processes that the plan names, on all hosts that name some, or on one. Raises ProfileError, CollectError."""
    known = {h.name: h for h in plan.hosts}
    if host is not None and host not in known:
        raise ProfileError(f"--host: expected a host of the plan ({', '.join(known)}), got {host!r}")
    named = [h for h in plan.hosts if h.profile] or [h for h in plan.hosts if h.processes and h.role != "generator"]
    if host is not None:
        named = [known[host]]
    elif pids:
        named = [h for h in plan.hosts if h.ssh is None][:1]
    if not named:
        raise ProfileError(
            f"plan {plan.name}: expected hosts that name processes to profile, got none; give part of their command "
            "line (hosts[].profile), or --pid with --host"
        )
    return [target for each in named for target in find_targets(each, pids, ssh_options)]


def run_profile(
    plan_file: Path, *, step: str = "scenario", api: str | None = None, level: int | None = None, against: int = 1,
    rate: float | None = None, host: str | None = None, pids: Sequence[int] = (), seconds: int = 60,
    sudo: bool = False, tell: Callable[[str], None] = lambda line: None, ssh_options: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """Run the load at both levels with the target's processes profiled; writes and returns the profile record.

    Raises PlanError, ProfileError, CollectError (no profiler, no permission, no such process), LaunchError.
    """
    plan = read_plan(plan_file)
    if seconds < SHORTEST_S:
        raise ProfileError(f"--seconds: expected {SHORTEST_S} or more, got {seconds}")
    phases = plan_phases(choose_levels(plan, step, level, against, rate), seconds)
    subject = _subject(plan, step, api)
    targets = find_processes(plan, host, pids, ssh_options)

    def start_capture(phase: Phase) -> None:
        tell(f"  {phase.name}: profiling for {seconds} s …")
        phase.capture = Capture(targets, phase.name, seconds, folder / "raw", sudo=sudo, ssh_options=ssh_options)

    with load_lock(project_root() / CYCLES, f"profile of {step} {subject}"):
        folder = new_folder(plan)
        write_text(folder / "plan.yaml", plan_file.read_text(encoding="utf-8"))
        tell(f"profile of {step} {subject}: {folder}")
        for target in targets:
            tell(f"  {target.name}: {target.runtime}, {target.command[:90]}")
        rehearse(targets, folder / "raw", sudo=sudo, ssh_options=ssh_options)
        run = Run(folder / "runs" / f"{STEPS.index(step) + 1}-{step}-{subject}")
        run.write_record(profiling=True)  # before anything else is there: however this ends, it is no measurement
        begun = now_text()
        observed, notes = _watch(run, _with_levels(plan, step, phases), subject, phases, start_capture)
    table = stacks.mark_background(pd.concat(observed, ignore_index=True), seconds)
    write_table(table, "stacks", folder / "stacks.parquet")
    write_folded(folder, table)
    record = {
        "plan": plan.name, "step": step, "subject": subject, "folder": str(folder), "start": begun, "end": now_text(),
        "seconds": seconds, "notes": notes,
        "processes": [{"name": t.name, "runtime": t.runtime, "command": t.command} for t in targets],
        **evaluate(table, journals.read_requests(run), journals.read_marks(run), phases, seconds),
    }  # fmt: skip
    return write_json(folder / "profile.json", record)


def evaluate(
    table: pd.DataFrame, requests: pd.DataFrame, marks: Sequence[dict[str, Any]], phases: Sequence[Phase], seconds: int
) -> dict[str, Any]:
    """phases (load, with and without the profiler), functions, kinds, answer of a profile record."""
    told, completed = {}, {}
    for phase, mark in zip(phases, marks, strict=True):
        quiet = phase.begin - phase.without
        spans = {"without": (phase.started - quiet, phase.started), "with": (phase.started, phase.started + seconds)}
        seen = overhead.windows(requests, spans)
        rates = {name: seen[name]["throughput_rps"] for name in spans}
        completed[phase.name] = (rates["with"]["value"] or 0.0) * seconds
        computing = stacks.whole_of(table, phase.name, stacks.STATES["cpu"]).seconds
        kernel_s = phase.capture.cpu_s if phase.capture else None
        told[phase.name] = {
            "workload": phase.level.workload, "intended": mark["intended"], **seen,
            "throughput_ratio": overhead.ratio(rates["with"], rates["without"]), "cores_sampled": computing / seconds,
            "cores_counted": None if kernel_s is None else kernel_s / seconds,
        }  # fmt: skip
    functions = stacks.function_records(table, completed)
    kept = [r for state in stacks.STATES for r in [f for f in functions if f["state"] == state][:KEPT]]
    return {"phases": told, "requests": completed, "functions": kept,
            "kinds": stacks.kind_records(table, completed), **stacks.answer(functions)}  # fmt: skip


def _watch(
    run: Run, plan: Plan, subject: str, phases: list[Phase], start_capture: Callable[[Phase], None]
) -> tuple[list[pd.DataFrame], list[str]]:
    """Run the load, start each phase's profilers when its time has come, read what they saw."""

    def on_second(progress: Progress) -> None:
        for phase in phases:
            if phase.capture is None and phase.begin <= progress.elapsed_s < phase.begin + SLACK_S:
                phase.started = time.time()
                start_capture(phase)

    step = run.step
    try:
        outcome = start_run(run, plan, step, subject).wait(on_second)
        if outcome.state != "finished" or any(p.capture is None for p in phases):
            why = outcome.stop_reason or "the run ended early"
            raise ProfileError(f"{run.path}: expected a run of both levels to its end, got: {why}")
        read = [phase.capture.read() for phase in phases if phase.capture]
    finally:
        for phase in phases:
            if phase.capture:
                phase.capture.close()
    return [table for table, _ in read], sorted({note for _, notes in read for note in notes})


def _with_levels(plan: Plan, step: str, phases: list[Phase]) -> Plan:
    part = plan.step_named(step) or Step(levels=[Level(users=1)])
    part = part.model_copy(update={"levels": [p.level for p in phases], "ceiling_s": 0.0})
    return plan.model_copy(update={"steps": plan.steps.model_copy(update={step: part})})


def _subject(plan: Plan, step: str, api: str | None) -> str:
    known = [a.name for a in plan.apis] if step in ("verify", "api") else plan.subjects(step)
    if api is not None and api not in known:
        raise ProfileError(f"--api: expected one of {', '.join(known)} in step {step}, got {api!r}")
    return api or plan.subjects(step)[0]


def new_folder(plan: Plan) -> Path:
    """The next free folder data/profiles/<plan>/<NN>."""
    parent = PROFILES / plan.name
    parent.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(p.name) for p in parent.iterdir() if p.name.isdigit()), default=0)
    folder = parent / f"{number:02d}"
    folder.mkdir()
    return folder


def write_folded(folder: Path, table: pd.DataFrame) -> None:
    """<phase>.<state>.folded: stacks in milliseconds, as flamegraph.pl and speedscope read them."""
    for phase in table["phase"].unique():
        for state, kinds in stacks.STATES.items():
            rows = table[(table["phase"] == phase) & table["kind"].isin(kinds)]
            top = {kind: "" if kind == "cpu" else f";[{kind}]" for kind in kinds}
            lines = [
                f"{r['process']};{r['stack']}{top[r['kind']]} {r['seconds'] * 1e3:.0f}\n"
                for r in rows.to_dict("records")
            ]
            write_text(folder / f"{phase}.{state}.folded", "".join(lines))


def languages(lang: str) -> tuple[str, ...]:
    """The languages of --lang. Raises ProfileError."""
    if lang not in LANGUAGES:
        raise ProfileError(f"--lang: expected {', '.join(LANGUAGES)}, got {lang!r}")
    return LANGUAGES[lang]


def read_profile(folder: Path) -> dict[str, Any]:
    """profile.json of a folder. Raises WorkspaceError."""
    return read_json(folder / "profile.json")
