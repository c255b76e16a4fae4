"""When a run ends itself: limits on its answers, on the generator, and on what is sampled of the watched hosts."""

from __future__ import annotations

import difflib
import re

from pydantic import Field, field_validator, model_validator

from genkai.planparts import Model, Name, Positive, Ratio, check_one_of

HOST_METRICS = (
    "cpu_busy_ratio", "core_max_busy_ratio", "cpu_user_ratio", "cpu_system_ratio", "cpu_iowait_ratio",
    "cpu_steal_ratio", "run_queue", "blocked_processes", "mem_available_bytes", "mem_used_ratio", "swap_used_bytes",
    "swap_out_pages_per_s", "major_faults_per_s", "oom_kills", "cpu_pressure_ratio", "io_pressure_ratio",
    "memory_pressure_ratio", "tcp_established", "sockets_time_wait", "tcp_listen_drops", "tcp_listen_overflows",
    "net_received_bytes_per_s", "net_sent_bytes_per_s", "files_open",
)  # fmt: skip
# what happened in a sample, not what there is
EVENT_METRICS = ("oom_kills", "tcp_listen_drops", "tcp_listen_overflows")
# what a host has several of: named as the metrics table names it
NAMED_METRICS = re.compile(
    r"process_.+_(cpu_ratio|count|threads|rss_bytes|fds_max)|disk_.+_(busy_ratio|queue)|listen_\d+_queue"
)


class HostLimit(Model):
    """A limit on one metric of a watched host, told each second by the /proc sampler."""

    host: Name | None = Field(None, description="a name of hosts; default: each that does not generate the load")
    metric: str = Field(description="as in the metrics table, e.g. cpu_busy_ratio, mem_available_bytes")
    above: float | None = Field(None, description="strikes above this")
    below: float | None = Field(None, description="strikes below this")
    for_s: Positive | None = Field(
        None, description="so long in a row; a count of events (oom_kills …): all within so long; default: stop.for_s"
    )

    @field_validator("metric")
    @classmethod
    def _sampled(cls, metric: str) -> str:
        if metric in HOST_METRICS or NAMED_METRICS.fullmatch(metric):
            return metric
        near = difflib.get_close_matches(metric, HOST_METRICS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(
            f"expected one of {', '.join(HOST_METRICS)}, process_NAME_rss_bytes (_cpu_ratio, _threads, _fds_max), "
            f"disk_DEV_busy_ratio (_queue) or listen_PORT_queue, got {metric!r}{hint}"
        )

    @model_validator(mode="after")
    def _one_bound(self) -> HostLimit:
        check_one_of(self, "above", "below")
        return self

    @property
    def counts_events(self) -> bool:
        """Whether the metric counts what happened, so that no sample but one tells of an event."""
        return self.metric in EVENT_METRICS

    @property
    def bound(self) -> tuple[str, float]:
        """(> or <, the value beyond which it strikes)."""
        return (">", self.above) if self.above is not None else ("<", self.below)

    def breached_by(self, value: float) -> bool:
        """Whether a value is beyond the limit."""
        return value > self.above if self.above is not None else value < self.below

    @property
    def text(self) -> str:
        """The limit in short, e.g. cpu_busy_ratio > 0.95."""
        sign, bound = self.bound
        return f"{self.metric} {sign} {bound:g}"

    def lasting(self, for_s: float) -> str:
        """How long it must be exceeded, e.g. for 10 s; of a count of events: within how long they are added up."""
        return f"{'within' if self.counts_events else 'for'} {for_s:g} s"


class StopRule(Model):
    """When a run ends itself: each limit that is given, exceeded for so many seconds in a row."""

    error_ratio: Ratio = 0.5
    p95_ms: Positive | None = Field(None, description="response time p95 of one second, all APIs together")
    generator_limited: bool = Field(False, description="also when the generator, not the target, is the limit")
    hosts: list[HostLimit] = Field([], description="limits on what is sampled of the watched hosts")
    for_s: float = Field(10, gt=0, description="so long in a row")
