"""The plan: what is tested, why, against which targets, how, and from where it is watched.

`planparts` holds its parts, `plancheck` what must hold between them, and `planfile` reads the whole from YAML with
errors that name file, line and field.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import Field, PrivateAttr

from genkai.allow import AllowEntry
from genkai.planhosts import Generator, Host, WorkerHost
from genkai.planmachines import MachineTarget, PlanTargets
from genkai.planparts import (
    ALL_APIS,
    PURPOSES,
    STEPS,
    Action,
    Api,
    Aws,
    Environment,
    Estimate,
    JudgedBy,
    Level,
    Milestone,
    Model,
    Name,
    Preconditions,
    Scenario,
    Scope,
    Step,
    Steps,
    Targets,
)
from genkai.planscaling import Scaling
from genkai.planstop import HostLimit, StopRule
from genkai.plantls import TLS_FILES, Tls

__all__ = [
    "ALL_APIS",
    "PURPOSES",
    "STEPS",
    "TLS_FILES",
    "Action",
    "Api",
    "Aws",
    "Environment",
    "Estimate",
    "Host",
    "HostLimit",
    "JudgedBy",
    "Level",
    "MachineTarget",
    "Plan",
    "Step",
    "StopRule",
    "Tls",
    "WorkerHost",
]

Purpose = Literal["responsiveness", "improvement", "scalability", "scale_characteristics"]


class Plan(Model):
    """The whole plan."""

    name: Name
    title: str = ""
    purposes: list[Purpose] = Field(min_length=1)
    scope: Scope = Scope()
    preconditions: Preconditions = Preconditions()
    estimate: Estimate | None = None
    targets: PlanTargets = PlanTargets()
    environment: Environment = Environment()
    base_url: str = Field(pattern=r"^https?://[^/\s]+$")
    tls: Tls = Tls()
    apis: list[Api] = Field(min_length=1)
    scenarios: list[Scenario] = []
    generator: Generator = Generator()
    hosts: list[Host] = [Host(name="local")]
    aws: Aws | None = None
    scaling: Scaling | None = None
    steps: Steps
    allow: list[AllowEntry] = []
    stop: StopRule = StopRule()
    schedule: list[Milestone] = []
    roles: dict[str, str] = {}
    open_questions: list[str] = []
    actions: list[Action] = []
    _base_dir: Path = PrivateAttr(Path("."))

    @property
    def base_dir(self) -> Path:
        """The folder that relative paths in the plan start from."""
        return self._base_dir

    def api_named(self, name: str) -> Api:
        """The API of that name; KeyError otherwise."""
        return {a.name: a for a in self.apis}[name]

    def scenario_named(self, name: str | None) -> Scenario:
        """The scenario of that name, or the first one."""
        return self.scenarios[0] if name is None else {s.name: s for s in self.scenarios}[name]

    def step_named(self, step: str) -> Step | None:
        """The step's settings, or None when the plan leaves it out."""
        return getattr(self.steps, step)

    def subjects(self, step: str) -> list[str]:
        """What the step tests, one run each: API names (verify, api) or a scenario's name (scenario, endurance)."""
        part = self.step_named(step)
        if part is None:
            return []
        if step == "verify":
            return [part.api or self.apis[0].name]
        if step == "api":
            probe = self.steps.verify and (self.steps.verify.api or self.apis[0].name)
            return list(part.apis) or [a.name for a in self.apis if a.name != probe] or [self.apis[0].name]
        return [self.scenario_named(part.scenario).name]

    def sizes(self, step: str) -> list[int | None]:
        """The sizes of the target at which the step is run, in their order; [None]: as it is found."""
        part = self.step_named(step)
        return list(part.sizes) if part is not None and part.sizes else [None]

    def runs_of(self, step: str) -> list[tuple[str, int | None, int]]:
        """(subject, size, repetition) of every run of a step, all of one size together; other sizes than the base are
        not repeated. Each subject comes once, then each again: so none has a time of the day of its own."""
        part, base = self.step_named(step), self.scaling.base if self.scaling else None
        times = part.repeat if part else 0
        return [
            (subject, size, n + 1)
            for size in self.sizes(step)
            for n in range(times if size in (None, base) else min(times, 1))
            for subject in self.subjects(step)
        ]

    def targets_for(self, api: str) -> Targets:
        """The API's own targets, or the plan's."""
        own = next((a.targets for a in self.apis if a.name == api), None)
        return own or self.targets

    def digest(self) -> str:
        """SHA-256 of the plan's content (first 12 hex digits), whatever its layout and comments.

        Defaults are left out: a field that a later version adds must not change the digest of an older plan.
        """
        text = json.dumps(
            self.model_dump(mode="json", by_alias=True, exclude_defaults=True), sort_keys=True, ensure_ascii=False
        )
        return hashlib.sha256(text.encode()).hexdigest()[:12]
