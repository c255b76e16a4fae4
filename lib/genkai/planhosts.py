"""The machines of a plan: those that send the load, and those that are watched."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from genkai.planparts import Model, Name, Ratio


def _at_least_one(processes: int | str | None) -> int | str | None:
    if isinstance(processes, int) and processes < 1:
        raise ValueError(f"expected auto or an integer ≥ 1, got {processes}")
    return processes


Processes = Annotated[int | Literal["auto"], AfterValidator(_at_least_one)]


class WorkerHost(Model):
    """A machine that runs load processes, reached by the user's own ssh; a text alone is its destination."""

    ssh: str = Field(pattern=r"^[^\s-]\S*$", description="ssh destination, e.g. load-1 or user@load-1")
    processes: Processes | None = Field(None, description="default: generator.processes; auto = one a core there")
    python: str | None = Field(
        None, description="interpreter there that has the locked requirements; none: a venv is made once and kept there"
    )
    options: list[str] = Field([], description='further arguments of ssh, e.g. ["-p", "2222"]')

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        return {"ssh": given} if isinstance(given, str) else given


class Generator(Model):
    """Where the load comes from."""

    processes: Processes = Field(1, description="processes on each machine; auto = one a core")
    local: bool = Field(True, description="whether this machine sends, too; false: it only conducts")
    hosts: list[WorkerHost] = Field([], description="machines that run load processes, started over ssh")
    workers: int = Field(0, ge=0, description="load processes that you start anywhere with genkai worker")
    listen: str = Field(
        "0.0.0.0:5557", pattern=r"^\S+:\d+$", description="address and port on which those workers are awaited"
    )
    on_loss: Literal["continue", "stop"] = Field("continue", description="when a load process is lost on the way")
    log_ratio: Ratio = Field(0, description="share of the requests that are also logged one by one")

    @model_validator(mode="after")
    def _somebody_sends(self) -> Generator:
        if not (self.local or self.hosts or self.workers):
            raise ValueError("expected hosts or workers where local is false, got neither: nobody would send")
        return self


class Host(Model):
    """A machine that is watched: this one, or one that ssh reaches by the user's own configuration."""

    name: Name
    ssh: str | None = Field(None, description="ssh destination; none = this machine")
    role: Literal["target", "generator", "middleware"] = "target"
    status_url: str | None = Field(None, description="Apache server-status?auto or nginx stub_status")
    processes: list[str] = Field([], description="process names whose descriptors and CPU are sampled")
    profile: list[str] = Field([], description="parts of command lines: what to profile; none = processes")
