"""Start, watch and stop a run: locust headless as a subprocess, its journals as they grow, its tables afterwards."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genkai import capacity, journals
from genkai.load.advice import count_connections
from genkai.load.ceiling import measure_ceiling
from genkai.load.job import Job, make_job
from genkai.load.levels import TimedLevel, level_at, time_levels
from genkai.load.losses import find_losses
from genkai.load.preflight import check_allowed, check_answers, working_directory
from genkai.load.process import (
    GRACE_S,
    JOIN_S,
    LaunchError,
    LoadProcess,
    free_port,
    kill_group,
    locust_command,
    start_process,
    start_time,
)  # fmt: skip
from genkai.load.tail import Tail
from genkai.load.workers import Workers
from genkai.plan import Level, Plan
from genkai.workspace import Run, now_text, read_json

STARTUP_S = 45.0
SETTLE_S = 30.0  # between the last level's end and the processes': draining, joining, last writes
OURS = ("journal", "requests.parquet", "failures.parquet", "generator.parquet", "marks.json", "run.json", "job.json",
        "probe.json", "ceiling", "ceiling.json", "raw/locust.log")  # fmt: skip


@dataclass(frozen=True)
class Progress:
    """One second of a run as it goes; `intended` in users or requests/s, `failed` so far and dropped ones included."""

    level: int
    workload: str
    intended: float
    users: int | None
    throughput_rps: float
    p95_s: float | None
    failed: int
    generator_cpu_ratio: float | None
    elapsed_s: float
    total_s: float
    ports_left: int | None = None


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended: finished (by itself, all levels), stopped (before its time), failed (the load processes did)."""

    state: str
    exit_code: int
    stop_reason: str | None
    lost_processes: tuple[str, ...] = ()
    lost_share: float = 0.0


def run_load(
    run: Run, plan: Plan, step: str, subject: str, on_second: Callable[[Progress], None] | None = None,
    *, levels: list[Level] | None = None, **overrides: Any,
) -> RunOutcome:  # fmt: skip
    """Start a run and watch it to its end; its tables are written whatever happens. A finished verify run is
    followed by the measurement of the generator's own ceiling (ceiling.json; see `load.ceiling`).

    Raises LaunchError before any load; KeyboardInterrupt, after the run has been ended and its data written.
    """
    running = start_run(run, plan, step, subject, levels=levels, **overrides)
    outcome = running.wait(on_second)
    part = plan.step_named(step)
    if step == "verify" and part.ceiling_s and running.job.calls and outcome.state == "finished":
        needed_rps = part.margin * capacity.target_rps(plan)
        measure_ceiling(run, running.job, part.ceiling_s, free_port(), needed_rps, count_connections(plan))
    return outcome


def start_run(
    run: Run, plan: Plan, step: str, subject: str, *, levels: list[Level] | None = None, **overrides: Any
) -> RunningLoad:
    """Check the target, write job.json and start the load processes.

    overrides: fields of `load.job.Job`, e.g. processes, arrivals, timeouts, drain_s. Raises LaunchError.
    """
    try:
        job = make_job(run, plan, step, subject, levels)
    except KeyError as error:
        raise LaunchError(
            f"plan {plan.name}: expected step {step} with subject {subject}, got {error} unknown"
        ) from None
    job = Job.model_validate({**job.model_dump(by_alias=True), **overrides})
    return start_job(run, job, plan_digest=plan.digest(), git_commit=_git_commit(plan.base_dir))


def start_job(run: Run, job: Job, **record: Any) -> RunningLoad:
    """Start the run that a job describes; `record` goes into run.json. Raises LaunchError."""
    run = Run(run.path.resolve())  # the load processes work in the plan's folder
    if is_running(run):
        raise LaunchError(f"{run.path}: expected no run under way, got one; genkai stop ends it")
    check_allowed(job)
    if (run.path / "journal").exists():
        set_aside(run, OURS)
    run.path.mkdir(parents=True, exist_ok=True)
    job.write(run.path)
    check_answers(run, job)
    workers = Workers(run, job, int(job.listen.rpartition(":")[2] or free_port()))
    job = workers.prepare()
    job.write(run.path)
    command = locust_command(job, workers.port)
    with workers.ended_on_failure():
        process = start_process(command, run.path, run.raw("locust.log"), working_directory(job))
    run.write_record(
        state="running", step=job.step, subject=job.subject, command=command, pid=process.pid,
        pid_started=start_time(process.pid), start=now_text(), versions=_versions(), processes=job.processes,
        web_port=job.web_port, **record,
    )  # fmt: skip
    running = RunningLoad(run, job, process, workers)
    try:
        workers.start()
        run.write_record(worker_hosts=workers.records())
    except BaseException as error:
        running.stop(str(error))
        raise
    return running


def set_aside(run: Run, names: tuple[str, ...] | None = None) -> Path | None:
    """Move an earlier attempt's files to previous-N inside the run's folder, so that nothing mixes; where they went.

    names: what to move; default everything. Call it before starting samplers that write into raw/.
    """
    if not run.path.exists():
        return None
    found = [p for p in run.path.iterdir() if not p.name.startswith("previous-")]
    chosen = found if names is None else [run.path / n for n in names if (run.path / n).exists()]
    if not chosen:
        return None
    number = 1 + sum(1 for _ in run.path.glob("previous-*"))
    aside = run.path / f"previous-{number}"
    for path in chosen:
        goal = aside / path.relative_to(run.path)
        goal.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, goal)
    return aside


def is_running(run: Run) -> bool:
    """Whether the process that run.json names is alive and the one that was started then."""
    record = run.record()
    return record.get("state") == "running" and start_time(record["pid"]) == record.get("pid_started") is not None


def stop_run(run: Run, reason: str = "genkai stop") -> bool:
    """End a run from anywhere; False when it was not running. Its data stays; who watches it writes the tables."""
    if not is_running(run):
        return False
    record = run.write_record(stop_reason=reason)
    pid = record["pid"]
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + GRACE_S + read_json(run.path / "job.json")["drain_s"]
    while start_time(pid) == record["pid_started"] and time.monotonic() < until:
        time.sleep(0.1)
    kill_group(pid)
    return True


class RunningLoad:
    """A run under way."""

    def __init__(self, run: Run, job: Job, process: LoadProcess, workers: Workers) -> None:
        self.run, self.job = run, job
        self._process, self._workers = process, workers
        self._tail = Tail(run)
        self._timed: list[TimedLevel] = []
        self._failed = self._untold = 0
        self._rate = 0.0
        self._outcome: RunOutcome | None = None

    @property
    def pid(self) -> int:
        """Id of the load's first process, the leader of its group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the load's first process still runs."""
        return self._process.poll() is None

    def wait(self, on_second: Callable[[Progress], None] | None = None) -> RunOutcome:
        """Watch to the end, telling the progress each second. Raises LaunchError when no level ever began."""
        patience_s = JOIN_S if self.job.workers or self.job.locustfile else STARTUP_S  # it may fetch its data first
        limit = time.monotonic() + patience_s + self.job.duration_s + self.job.drain_s + SETTLE_S
        reason = "interrupted"
        try:
            while self._process.poll() is None:
                if time.monotonic() > limit:
                    reason = f"time limit: expected an end {SETTLE_S:g} s after the last level"
                    break
                self._process.wait(1.0)
                progress = self.look()
                if progress is None and (trouble := self._workers.trouble()):
                    raise LaunchError(trouble)
                if progress is not None and on_second is not None:
                    on_second(progress)
            else:
                reason = None
        finally:
            outcome = self.stop(reason)
        if outcome.state == "failed" and not journals.read_marks(self.run):
            raise LaunchError(f"{self.run.raw('locust.log')}: expected a run, got exit code {outcome.exit_code}: "
                              f"{self._last_words()}")  # fmt: skip
        return outcome

    def look(self) -> Progress | None:
        """What the last second brought; None before the first level."""
        news = self._tail.look()
        if not self._timed:
            if not (marks := journals.compile_marks(self.run)):
                return None
            self._timed = time_levels(self.job.levels, marks[0]["start"])
        self._failed, self._untold = self._failed + news.failed + news.dropped, self._untold + news.completed
        if news.seconds:  # else a flush is late: what comes with the next one is of two seconds
            self._rate, self._untold = self._untold / news.seconds, 0
        moment = min(time.time(), self._timed[-1].end - 1e-6)
        level = level_at(self._timed, moment) or self._timed[0]
        return Progress(
            level=level.level, workload=level.workload, intended=level.load_at(moment), users=news.users,
            throughput_rps=self._rate, p95_s=news.p95_s, failed=self._failed,
            generator_cpu_ratio=news.cpu_ratio, elapsed_s=moment - self._timed[0].start, total_s=self.job.duration_s,
            ports_left=news.ports_left,
        )  # fmt: skip

    def stop(self, reason: str | None = "stopped by the caller") -> RunOutcome:
        """End the run if it still runs, write its tables and run.json; the same outcome when called again."""
        if self._outcome is None:
            code = self._process.end(GRACE_S + self.job.drain_s)
            self._workers.end()
            self.run.write_record(worker_hosts=self._workers.records())
            reason = (
                reason or self.run.record().get("stop_reason") or (journals.read_stop(self.run) or {}).get("reason")
            )
            self._outcome = finish_run(self.run, self.job, code, reason)
        return self._outcome

    def _last_words(self) -> str:
        log = self.run.raw("locust.log")
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        told = [line for line in lines if "ERROR" in line or "Error" in line]
        return (told or lines or ["no output"])[-1].strip()


def finish_run(run: Run, job: Job, exit_code: int, stop_reason: str | None) -> RunOutcome:
    """Write the tables of a run whose processes have ended, and run.json."""
    journals.write_tables(run)
    marks = journals.read_marks(run)
    complete = bool(marks) and marks[-1]["end"] - marks[0]["start"] >= job.duration_s - 0.5
    state = "stopped" if stop_reason else "finished" if complete and exit_code == 0 else "failed"
    if state == "failed":
        stop_reason = f"the load processes ended with exit code {exit_code} before the last level did"
    lost = find_losses(run, job)
    run.write_record(state=state, end=now_text(), exit_code=exit_code, stop_reason=stop_reason, **lost)
    return RunOutcome(state, exit_code, stop_reason, tuple(lost["lost_processes"]), lost["lost_share"])


def _versions() -> dict[str, str]:
    packages = {name: importlib.metadata.version(name) for name in ("locust", "gevent")}
    try:
        own = importlib.metadata.version("genkai")
    except importlib.metadata.PackageNotFoundError:
        own = "source"
    return {"python": platform.python_version(), **packages, "genkai": own}


def _git_commit(folder: Path) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
