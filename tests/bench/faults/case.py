"""What a case of the fault bench is: a system with one injected limit, the load on it, and its true cause."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

SIZES = 0.8, 1.25  # what the loads of another size are multiplied by
HOLDS = 1.0, 1.3  # the same for how long a level is held

UNKNOWN = "cannot_tell"  # the truth of a limit that the catalogue does not hold


@dataclass(frozen=True)
class System:
    """What runs: its address, the plan's `hosts` and `aws`, and what happens so many seconds after the first level."""

    base_url: str
    hosts: list[dict[str, Any]] = field(default_factory=lambda: [{"name": "local", "role": "generator"}])
    aws: dict[str, Any] | None = None
    events: tuple[tuple[float, Callable[[], Any]], ...] = ()


@dataclass(frozen=True)
class Case:
    """One case; `truth`: a cause of the catalogue, "" (healthy), or UNKNOWN.

    loads: users (closed) or requests/s (open=True), one level each. also: causes that must be among the findings.
    namespace: the case runs in a network namespace of its own with these sysctl settings. open_files: limit of the
    generator's descriptors. needs: a program without which the case is skipped. seed: of its size, see `sized`.
    """

    name: str
    truth: str
    system: Callable[[], AbstractContextManager[System]]
    loads: tuple[float, ...]
    open: bool = False
    hold_s: float = 3.2
    ramp_s: float = 0.3
    think_s: float = 0.1
    step: str = "scenario"
    api: dict[str, Any] = field(default_factory=lambda: {"path": "/items/7"})
    locustfile: str = ""
    processes: int = 1
    targets: dict[str, Any] = field(default_factory=lambda: {"throughput_rps": 1000, "p95_ms": 1000})
    also: tuple[str, ...] = ()
    namespace: dict[str, str] | None = None
    open_files: int = 0
    needs: str = ""
    seed: int | None = None

    @property
    def duration_s(self) -> float:
        """Seconds of load."""
        return len(self.loads) * (self.hold_s + self.ramp_s)

    def sized(self, seed: int) -> Case:
        """The same system under other loads, held for another time: rules must not fit one size only."""
        drawn = Random(f"{self.name} {seed}")
        loads = tuple(max(round(load * drawn.uniform(*SIZES)), 1) for load in self.loads)
        return replace(
            self, loads=tuple(sorted(loads)), hold_s=round(self.hold_s * drawn.uniform(*HOLDS), 1), seed=seed
        )

    def plan(self, system: System) -> dict[str, Any]:
        """The plan file's content."""
        kind = "arrival_rate_rps" if self.open else "users"
        levels = [{kind: load, "ramp_s": self.ramp_s, "hold_s": self.hold_s} for load in self.loads]
        calls = [{"api": "call", "think_time_s": self.think_s}]
        source = {"locustfile": "locustfile.py"} if self.locustfile else {"calls": calls}
        plan: dict[str, Any] = {
            "name": self.name.replace("_", "-"),
            "purposes": ["scale_characteristics"],
            "targets": self.targets,
            "base_url": system.base_url,
            "allow": [{"host": "127.0.0.1"}],
            "apis": [{"name": "call", **self.api}],
            "scenarios": [{"name": "mix", **source}],
            "generator": {"processes": self.processes},
            "hosts": system.hosts,
            "steps": {self.step: {"levels": levels}},
        }
        return plan | ({"aws": system.aws} if system.aws else {})
