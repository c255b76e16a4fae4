"""How much load must the service carry? users × accesses ÷ 86 400 × peak × safety, with its sensitivity.

Source: the capacity planning rule of the project's requirements (P3).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from genkai.plan import Estimate, Plan

SECONDS_PER_DAY = 86_400
FACTORS = ("users_per_day", "accesses_per_user", "peak_factor", "safety_factor")


@dataclass(frozen=True)
class Capacity:
    """Every intermediate value of the estimate; rates in requests per second."""

    accesses_per_day: float
    mean_rps: float
    peak_rps: float
    target_rps: float
    low_rps: float
    high_rps: float


@dataclass(frozen=True)
class Sensitivity:
    """What the target becomes when one factor moves through its range and the others stay."""

    factor: str
    low: float
    high: float
    target_at_low_rps: float
    target_at_high_rps: float

    @property
    def swing_rps(self) -> float:
        """How far the target moves."""
        return self.target_at_high_rps - self.target_at_low_rps


def _target(values: dict[str, float]) -> float:
    return (values["users_per_day"] * values["accesses_per_user"] / SECONDS_PER_DAY
            * values["peak_factor"] * values["safety_factor"])  # fmt: skip


def estimate_capacity(estimate: Estimate) -> Capacity:
    """The target and what leads to it; low and high are the corners of all ranges.

    >>> from genkai.plan import Estimate
    >>> estimate = Estimate(users_per_day=50_000, accesses_per_user=20, peak_factor=3, safety_factor=3)
    >>> capacity = estimate_capacity(estimate)
    >>> round(capacity.mean_rps, 2), round(capacity.target_rps, 2)
    (11.57, 104.17)
    """
    factors = {name: getattr(estimate, name) for name in FACTORS}
    point = {name: f.value for name, f in factors.items()}
    accesses = point["users_per_day"] * point["accesses_per_user"]
    mean = accesses / SECONDS_PER_DAY
    return Capacity(
        accesses_per_day=accesses,
        mean_rps=mean,
        peak_rps=mean * point["peak_factor"],
        target_rps=_target(point),
        low_rps=_target({n: f.range[0] for n, f in factors.items()}),
        high_rps=_target({n: f.range[1] for n, f in factors.items()}),
    )


def estimate_sensitivity(estimate: Estimate) -> list[Sensitivity]:
    """One row for each factor with a range, widest swing first."""
    point = {name: getattr(estimate, name).value for name in FACTORS}
    rows = []
    for name in FACTORS:
        low, high = getattr(estimate, name).range
        if low != high:
            rows.append(Sensitivity(name, low, high, _target({**point, name: low}), _target({**point, name: high})))
    return sorted(rows, key=lambda r: -r.swing_rps)


def target_rps(plan: Plan) -> float:
    """The plan's target: stated outright in targets.throughput_rps, or estimated."""
    if plan.targets.throughput_rps is not None:
        return plan.targets.throughput_rps
    if plan.estimate is None:
        raise ValueError("plan: expected an estimate or targets.throughput_rps, got neither")
    return estimate_capacity(plan.estimate).target_rps


def target_split(plan: Plan) -> dict[str, float]:
    """{API: requests per second it must carry}: its own target, or its share of the whole.

    APIs without a share divide what the others leave, evenly; an API that only `verify` calls carries none.
    """
    total = target_rps(plan)
    probe = plan.steps.verify and plan.steps.verify.api
    called = [a for a in plan.apis if not (a.name == probe and a.share is None)]
    given = {a.name: a.share for a in called if a.share is not None}
    rest = [a.name for a in called if a.share is None]
    left = max(0.0, 1 - sum(given.values())) / len(rest) if rest else 0.0
    split = {a.name: total * (given.get(a.name, left) if a in called else 0.0) for a in plan.apis}
    return {
        n: plan.targets_for(n).throughput_rps or rps if plan.targets_for(n) is not plan.targets else rps
        for n, rps in split.items()
    }


def as_record(capacity: Capacity, sensitivity: list[Sensitivity]) -> dict:
    """The estimate as JSON; unit: requests/s, but accesses_per_day."""
    return {**asdict(capacity), "sensitivity": [{**asdict(s), "swing_rps": s.swing_rps} for s in sensitivity]}
