"""The part of a plan that says how the target gets another size, and what a size costs."""

from __future__ import annotations

from pydantic import Field, model_validator

from genkai.planparts import Model, Positive, Ratio


class Scaling(Model):
    """S2, S3: how the target gets another size (exactly one way), and what a size costs."""

    group: str | None = Field(None, min_length=1, description="Auto Scaling group, by SetDesiredCapacity")
    service: str | None = Field(None, pattern=r"^[^/\s]+/[^/\s]+$", description="ECS service as cluster/service")
    command: str | None = Field(None, description="your own command; {size} is filled in")
    base: int = Field(gt=0, description="the size that verdicts, diagnosis and comparison speak of")
    unit: str = Field("instances", description="what a size counts")
    ready_url: str | None = Field(
        None, pattern=r"^https?://\S+$", description="answers 200 as soon as the size serves; {size} is filled in"
    )
    wait_s: Positive = Field(600, description="so long may a new size take until it serves")
    settle_s: float = Field(0, ge=0, description="pause between serving and load")
    least_efficiency: Ratio = Field(0.7, description="of the largest size: throughput ÷ (size × that of the smallest)")
    price_per_hour: Positive | None = Field(None, description="of one unit of size")
    currency: str = "USD"

    @model_validator(mode="after")
    def _one_way(self) -> Scaling:
        given = [n for n in ("group", "service", "command") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(f"expected exactly one of group, service, command, got {', '.join(given) or 'none'}")
        if self.command is not None and "{size}" not in self.command:
            raise ValueError(f"command: expected a command that says {{size}}, got {self.command!r}")
        return self
