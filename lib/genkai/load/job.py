"""What the load processes are told: job.json, written by the launcher and read once by each process."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from genkai import capacity
from genkai.allow import AllowEntry
from genkai.plan import TLS_FILES, Api, Level, Model, Plan, StopRule, Tls, WorkerHost

if TYPE_CHECKING:  # the workspace brings pandas along, which a probe of one request does not need
    from genkai.workspace import Run

RUN_VARIABLE, LEASE_VARIABLE = "GENKAI_RUN", "GENKAI_LEASE_FD"
HOST_VARIABLE, TOKEN_VARIABLE = "GENKAI_HOST", "GENKAI_WORKER_TOKEN"  # a worker's machine; what lets others join

JOIN, PARCEL, TIME = "genkai_join", "genkai_parcel", "genkai_time"  # messages of those that join by themselves


class JobLevel(Model):
    """One level with its load in numbers: users (closed) or requests per second (open)."""

    workload: Literal["closed", "open"]
    intended: float
    ramp_s: float
    hold_s: float

    @property
    def duration_s(self) -> float:
        """Seconds from the start of the ramp to the end of the hold."""
        return self.ramp_s + self.hold_s


class JobCall(Model):
    """One API call, how often it is chosen, and how long a closed user thinks after it."""

    api: Api
    weight: float = 1.0
    think_time_s: float = 0.0


class JobTimeouts(Model):
    """Time limits of one request, seconds."""

    connect_s: float = 10.0
    read_s: float = 60.0
    total_s: float = 60.0


class Job(Model):
    """One run, self-contained; `arrivals` is the law of the open workload, `seed` makes its choices repeatable.

    steered: levels are ordered while the run goes (load/steering.py); `levels` then only names the workload.
    Of its `processes`, `away` are on other machines: those of `hosts` (`processes_asked` on each that names no number;
    counted in when they are ready), and `workers` that join by themselves.
    web_port: where the master serves locust's own page (load/page.py), on this machine only; None: nowhere.
    """

    run: str
    step: str
    subject: str
    base_url: str
    tls: Tls = Tls()
    base_dir: Path
    levels: list[JobLevel]
    steered: bool = False
    calls: list[JobCall] = []
    locustfile: Path | None = None
    processes: int = 1
    away: int = 0
    hosts: list[WorkerHost] = []
    processes_asked: int | Literal["auto"] = 1
    workers: int = 0
    listen: str = ""
    on_loss: Literal["continue", "stop"] = "continue"
    arrivals: Literal["constant", "poisson"] = "constant"
    seed: int = 1
    max_in_flight: int = 2000
    log_ratio: float = 0.0
    timeouts: JobTimeouts = JobTimeouts()
    drain_s: float = 5.0
    stop: StopRule = StopRule()
    allow: list[AllowEntry] = []
    web_port: int | None = None

    @property
    def workload(self) -> str:
        """closed or open; all levels of a run are of one kind."""
        return self.levels[0].workload

    @property
    def distributed(self) -> bool:
        """Whether a master conducts worker processes."""
        return self.processes > 1 or self.away > 0

    @property
    def duration_s(self) -> float:
        """Seconds of load."""
        return sum(level.duration_s for level in self.levels)

    @property
    def tls_files(self) -> dict[str, Path]:
        """{field: where the file is here} of the files that `tls` names."""
        named = {field: getattr(self.tls, field) for field in TLS_FILES}
        return {field: self.base_dir / path for field, path in named.items() if path is not None}

    def write(self, folder: Path) -> None:
        """Write job.json into a run's folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "job.json").write_text(self.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Job:
        """The job of a run's folder. Raises OSError, ValueError."""
        return cls.model_validate(json.loads((folder / "job.json").read_text(encoding="utf-8")))

    @classmethod
    def of_environment(cls) -> tuple[Path, Job]:
        """The run's folder that this process was started for, and its job. Raises KeyError outside a run."""
        folder = Path(os.environ[RUN_VARIABLE])
        return folder, cls.read(folder)


def count_processes(plan: Plan) -> int:
    """How many load processes the plan asks for on this machine; auto is one for each core we may use."""
    asked = plan.generator.processes if plan.generator.local else 0
    return len(os.sched_getaffinity(0)) if asked == "auto" else int(asked)


def target_of(plan: Plan, step: str, subject: str) -> float:
    """The throughput that a step aims at, requests/s: an API's share in step api, else the whole target."""
    whole = capacity.target_rps(plan)
    return capacity.target_split(plan).get(subject) or whole if step == "api" else whole


def resolve_levels(plan: Plan, step: str, subject: str, levels: list[Level]) -> list[JobLevel]:
    """The levels in users or requests/s; a target_ratio becomes a rate."""
    return [
        JobLevel(
            workload=level.workload,
            intended=level.users or level.arrival_rate_rps or level.target_ratio * target_of(plan, step, subject),
            ramp_s=level.ramp_s,
            hold_s=level.hold_s,
        )
        for level in levels
    ]


def make_job(run: Run, plan: Plan, step: str, subject: str, levels: list[Level] | None = None) -> Job:
    """The job of one run of the plan. Raises KeyError for a subject that the plan does not have."""
    part = plan.step_named(step)
    if part is None:
        raise KeyError(step)
    calls, locustfile = _calls(plan, step, subject)
    return Job(
        run=run.name,
        step=step,
        subject=subject,
        base_url=plan.base_url,
        tls=plan.tls,
        base_dir=plan.base_dir.resolve(),
        levels=resolve_levels(plan, step, subject, levels or part.levels),
        calls=calls,
        locustfile=locustfile,
        processes=count_processes(plan) + plan.generator.workers,
        away=plan.generator.workers,
        hosts=plan.generator.hosts,
        processes_asked=plan.generator.processes,
        workers=plan.generator.workers,
        listen=plan.generator.listen if plan.generator.workers else "",
        on_loss=plan.generator.on_loss,
        max_in_flight=part.max_in_flight,
        log_ratio=plan.generator.log_ratio,
        stop=plan.stop,
        allow=plan.allow,
    )


def _calls(plan: Plan, step: str, subject: str) -> tuple[list[JobCall], Path | None]:
    if step in ("verify", "api"):
        part = plan.step_named(step)
        return [JobCall(api=plan.api_named(subject), think_time_s=part.think_time_s)], None
    scenario = plan.scenario_named(subject)
    if scenario.locustfile is not None:
        return [], (plan.base_dir / scenario.locustfile).resolve()
    return [
        JobCall(api=plan.api_named(c.api), weight=c.weight, think_time_s=c.think_time_s) for c in scenario.calls
    ], None
