"""What the machines must keep while the target load is on them: server-side targets of a plan."""

from __future__ import annotations

import difflib
import re
from typing import Literal

from pydantic import Field, FiniteFloat, field_validator, model_validator

from genkai.planparts import Model, Targets, check_one_of
from genkai.planstop import HOST_METRICS

STATISTICS = ("average", "sum", "minimum", "maximum")
NEARLY = 0.95  # likeness (0–1) from which another name is taken for a slip of the pen


class MachineTarget(Model):
    """A limit on one measured quantity of a host or an AWS resource, judged at the level that reaches the target."""

    metric: str = Field(pattern=r"^\S+$", description="as in the metrics table: cpu_busy_ratio, CPUUtilization")
    resource: str | None = Field(
        None, description="a host's name, a kind (ec2, elb) or kind:name; default: each that tells it, no generator"
    )
    at_most: FiniteFloat | None = Field(None, description="in the metric's own unit")
    at_least: FiniteFloat | None = Field(None, description="in the metric's own unit")
    over_level: Literal["mean", "p95", "maximum", "minimum"] = Field("mean", description="of the level's samples")
    statistic: str | None = Field(None, description="CloudWatch's, e.g. maximum; default: average, where it is there")

    @field_validator("metric")
    @classmethod
    def _no_slip(cls, metric: str) -> str:
        near = difflib.get_close_matches(metric, HOST_METRICS, 1, NEARLY)
        near = near or [k for k in HOST_METRICS if k.startswith(f"{metric}_") or sorted(k) == sorted(metric)]
        if near and metric not in HOST_METRICS:
            raise ValueError(f"expected a name of the metrics table, got {metric!r}; did you mean {near[0]}?")
        return metric

    @field_validator("statistic")
    @classmethod
    def _of_cloudwatch(cls, statistic: str | None) -> str | None:
        """CloudWatch writes Average, the metrics table average."""
        told = statistic and statistic.lower()
        if told and told not in STATISTICS and not re.fullmatch(r"p\d{1,2}(\.\d+)?", told):
            raise ValueError(f"expected one of {', '.join(STATISTICS)}, or p95 and the like, got {statistic!r}")
        return told

    @model_validator(mode="after")
    def _one_bound(self) -> MachineTarget:
        check_one_of(self, "at_most", "at_least")
        return self

    @property
    def label(self) -> str:
        """The metric and how it is judged, e.g. CPUUtilization (maximum, p95)."""
        return f"{self.metric} ({', '.join(filter(None, (self.statistic, self.over_level)))})"

    @property
    def bound(self) -> tuple[Literal["at_most", "at_least"], float]:
        """(at_most or at_least, the limit)."""
        return ("at_most", self.at_most) if self.at_most is not None else ("at_least", self.at_least)

    def kept_by(self, value: float) -> bool:
        """Whether a value is within the limit."""
        kind, limit = self.bound
        return value <= limit if kind == "at_most" else value >= limit


class PlanTargets(Targets):
    """The plan's own targets: those of every API, and those of the machines."""

    machines: list[MachineTarget] = Field([], description="judged by the scenario and the endurance step")
