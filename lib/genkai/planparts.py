"""The parts of a plan: pydantic models, each checking its own fields.

Times are in the unit that the field's name ends in (`_s`, `_ms`, `_h`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

STEPS = ("verify", "api", "scenario", "endurance")
PURPOSES = ("responsiveness", "improvement", "scalability", "scale_characteristics")
ALL_APIS = "(all)"

Positive = Annotated[float, Field(gt=0)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=60)]


class Model(BaseModel):
    """Every part of the plan: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def check_one_of(model: Model, first: str, second: str) -> None:
    """Raise ValueError unless exactly one of two fields is given."""
    given = [getattr(model, name) is not None for name in (first, second)]
    if sum(given) != 1:
        raise ValueError(f"expected exactly one of {first}, {second}, got {'both' if all(given) else 'neither'}")


class Factor(Model):
    """A number that may be uncertain: a point, or a point within a range."""

    value: Positive
    low: Positive | None = None
    high: Positive | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, given: Any) -> Any:
        return {"value": given} if isinstance(given, int | float) and not isinstance(given, bool) else given

    @model_validator(mode="after")
    def _ordered(self) -> Factor:
        if not self.range[0] <= self.value <= self.range[1]:
            raise ValueError(f"expected low ≤ value ≤ high, got {self.low} ≤ {self.value} ≤ {self.high}")
        return self

    @property
    def range(self) -> tuple[float, float]:
        """(low, high); both are the point itself where no range is given."""
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        return low, high


class Estimate(Model):
    """P3: users × accesses ÷ 86 400 × peak × safety."""

    users_per_day: Factor
    accesses_per_user: Factor
    peak_factor: Factor = Factor(value=3)
    safety_factor: Factor = Factor(value=3)


class Targets(Model):
    """P4: what an API must keep. A quantile that is not given is not judged."""

    throughput_rps: Positive | None = None
    p50_ms: Positive | None = None
    p90_ms: Positive | None = None
    p95_ms: Positive | None = None
    p99_ms: Positive | None = None
    error_ratio: Ratio = 0.01

    def response_times_s(self) -> dict[str, float]:
        """{column of the levels table: limit in seconds} of the quantiles that are given."""
        limits = {"p50_s": self.p50_ms, "p90_s": self.p90_ms, "p95_s": self.p95_ms, "p99_s": self.p99_ms}
        return {name: ms / 1000 for name, ms in limits.items() if ms is not None}


class Scope(Model):
    """P2: what the test vouches for, and what it does not."""

    included: list[str] = []
    excluded: list[str] = []


class Preconditions(Model):
    """P2: what must hold for the result to mean anything."""

    data_volume: str = ""
    hold_h: float | None = Field(None, gt=0, description="how long the performance must hold, hours")
    method: str = ""
    other: list[str] = []


class Environment(Model):
    """P6: what is tested, what production is, and what is known to differ."""

    target: dict[str, str | int | float | bool] = {}
    production: dict[str, str | int | float | bool] = {}
    differences: list[str] = []


class Check(Model):
    """When a response counts as completed."""

    status: list[Annotated[int, Field(ge=100, le=599)]] = [200]
    contains: str | None = None
    json_equals: dict[str, Any] = Field({}, alias="json", description="path (a.b[0].c) → value; null: it exists")


class Api(Model):
    """One API call of the plan."""

    name: Name
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] = "GET"
    path: str = Field(pattern=r"^/")
    headers: dict[str, str] = {}
    body: str | dict | list | None = None
    data: Path | None = Field(None, description="CSV whose columns fill {placeholders}, row by row")
    check: Check = Check()
    share: Ratio | None = Field(None, description="share of the target throughput")
    targets: Targets | None = None


class Call(Model):
    """One line of a scenario."""

    api: Name
    weight: Positive = 1
    think_time_s: float = Field(1.0, ge=0)


class Scenario(Model):
    """A mix of calls as users make them, or the user's own locustfile."""

    name: Name
    why: str = ""
    calls: list[Call] = []
    locustfile: Path | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Scenario:
        if bool(self.calls) == bool(self.locustfile):
            raise ValueError("expected either calls or locustfile, got " + ("both" if self.calls else "neither"))
        return self


class Level(Model):
    """One load level: a ramp from the level before, then a hold."""

    users: int | None = Field(None, gt=0)
    arrival_rate_rps: Positive | None = None
    target_ratio: Positive | None = Field(
        None, description="arrival rate as a multiple of the target of what is tested"
    )
    ramp_s: float = Field(10, ge=0)
    hold_s: float = Field(60, gt=0)

    @model_validator(mode="after")
    def _one_kind(self) -> Level:
        given = [n for n in ("users", "arrival_rate_rps", "target_ratio") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(
                f"expected exactly one of users, arrival_rate_rps, target_ratio, got {', '.join(given) or 'none'}"
            )
        return self

    @property
    def workload(self) -> str:
        """closed (users) or open (arrival rate)."""
        return "closed" if self.users is not None else "open"


class Step(Model):
    """One of the four test steps."""

    levels: list[Level] = Field(min_length=1)
    api: Name | None = Field(None, description="verify: the API that touches nothing else")
    apis: list[Name] = Field([], description="api: which; default all but verify's")
    scenario: Name | None = Field(None, description="scenario, endurance: which; default the first")
    think_time_s: float = Field(1.0, ge=0, description="verify, api: think time of closed users")
    margin: Positive = Field(1.5, description="verify: generator's ceiling ÷ target, at least")
    ceiling_s: float = Field(
        6, ge=0, description="verify: seconds for measuring the generator's own ceiling; 0 = do not"
    )
    max_in_flight: int = Field(2000, gt=0, description="open workload: arrivals beyond are dropped and counted")
    repeat: int = Field(
        1, gt=0, le=20, description="runs of each subject; from 3 on a comparison knows how much runs differ"
    )
    intended_starts: bool = Field(
        False, description="closed users: the report shows response times from the intended starts beside the measured"
    )
    sizes: list[Annotated[int, Field(gt=0)]] = Field(
        [], description="api, scenario: sizes of the target (see scaling), one run of each"
    )

    @field_validator("sizes")
    @classmethod
    def _each_once(cls, sizes: list[int]) -> list[int]:
        if len(set(sizes)) < len(sizes):
            raise ValueError(f"expected each size once, got {', '.join(map(str, sizes))}")
        return sizes

    @field_validator("levels")
    @classmethod
    def _one_workload(cls, levels: list[Level]) -> list[Level]:
        if len({level.workload for level in levels}) > 1:
            raise ValueError("expected levels of one workload (all users, or all arrival rates), got both")
        return levels

    @model_validator(mode="after")
    def _starts_of_users(self) -> Step:
        if self.intended_starts and self.levels[0].workload == "open":
            raise ValueError(
                "intended_starts: expected levels in users, got arrival rates, whose response times run from the "
                "intended starts anyway; leave it out"
            )
        return self

    @property
    def duration_s(self) -> float:
        """Seconds of load of one run of this step."""
        return sum(level.ramp_s + level.hold_s for level in self.levels)


class Steps(Model):
    """The four steps; one that is left out is not run, and the report says so."""

    verify: Step | None = None
    api: Step | None = None
    scenario: Step | None = None
    endurance: Step | None = None


class Aws(Model):
    """What CloudWatch is asked for. Credentials come from the profile or the environment, never from here."""

    region: str = "ap-northeast-1"
    profile: str | None = None
    endpoints: dict[str, str] = Field({}, description="service → URL, for tests and the demo")
    load_balancer: str | None = None
    period_s: Literal[1, 5, 10, 30, 60, 300, 3600] = 60
    services: dict[Literal["dynamodb", "rds", "elasticache", "sqs", "ecs", "lambda"], list[str]] = {}


class JudgedBy(Model):
    """A3: the measurement that an action is meant to change; of a finding, where it was found."""

    subject: Name = Field(description="API or scenario")
    step: Literal["verify", "api", "scenario", "endurance"] | None = Field(
        None, description="default: where the subject was tested in both cycles, scenario first"
    )
    quantity: Literal["throughput", "response_time", "errors"] | None = Field(
        None, description="default: what the cause limited where it was found; without a cause, all three"
    )
    load: Positive | None = Field(None, description="users or requests/s at which it was the limit")
    cycle: int | None = Field(None, gt=0, description="the cycle to compare with; default: see docs/comparison.md")


class Action(Model):
    """A3: what was done since the last cycle, so that this one can say whether it worked."""

    what: str
    cause: str | None = Field(None, description="cause of the finding that it answers, e.g. load_balancer_capacity")
    judged_by: JudgedBy | None = Field(None, description="what it is meant to change; genkai next writes it")
    verify: str = Field("", description="what will show in the next cycle that it worked")
    owner: str = ""
    due: str = ""
    done: bool = True


class Milestone(Model):
    """P8: one line of the schedule."""

    when: str
    what: str
