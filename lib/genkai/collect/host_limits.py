"""The stop rule's limits on watched hosts, while a run goes on: judged by each sample that the host's log gains."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from genkai.collect.errors import CollectError
from genkai.collect.proc import parse_proc, proc_blocks
from genkai.load.stop import Condition
from genkai.plan import Host, HostLimit, StopRule
from genkai.workspace import Run

GAP_S = 5.0  # a host that told nothing for so long is not known to have been beyond its limit meanwhile

Sample = tuple[float, float, dict[str, float]]  # end (epoch s), period (s), {metric: value}


class GrowingLog:
    """The /proc sampler's log of one host while it is written: what each look finds new."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self._head = self._names = self._last = b""  # the newest of each, the last sample with its names before it

    def look(self) -> list[Sample]:
        """The samples that came since the last look; the first of a log gives none."""
        new = self._new_lines()
        if not new:
            return []
        text = self._head + self._last + self._names + new  # a rate needs the sample before
        for line in new.splitlines(keepends=True):
            if line.startswith(b"#"):
                self._head, self._names, self._last = line, b"", b""
            elif line.startswith(b"F "):
                self._names = line
            elif line.startswith(b"S "):
                self._last = self._names + line
        try:
            return list(_samples(text))
        except CollectError:  # no head yet
            return []

    def _new_lines(self) -> bytes:
        try:
            with open(self._path, "rb") as stream:
                stream.seek(self._offset)
                text = stream.read()
        except FileNotFoundError:
            return b""
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole


def _samples(text: bytes) -> Iterator[Sample]:
    for block in proc_blocks(parse_proc(text), ""):
        starts, periods = block.times.astype("int64") / 1e6, block.period_s
        for i, (start, period) in enumerate(zip(starts, periods, strict=True)):
            yield start + period, period, {metric: float(values[i]) for metric, values in block.values.items()}


class _Watched:
    """One limit on one host."""

    def __init__(self, limit: HostLimit, host: str, for_s: float) -> None:
        self.limit, self.host, self.for_s = limit, host, for_s
        self.samples, self.worst = 0, math.nan
        self._condition = Condition(self._exceeded, for_s)
        self._events: deque[tuple[float, float]] = deque()  # middle of a sample, events in it: those of the last for_s

    def see(self, sample: Sample) -> str | None:
        """The reason to stop, or None."""
        return self._see_events(sample) if self.limit.counts_events else self._condition.see(sample, sample[0])

    def _exceeded(self, sample: Sample) -> str | None:
        _, period, values = sample
        if period > GAP_S:
            return ""
        metric = self.limit.metric
        is_count = metric.startswith("process_") and metric.endswith("_count")
        value = values.get(metric, 0.0 if is_count and self.samples else math.nan)  # one that is gone has no column
        if math.isnan(value):
            return None
        self._count(value)
        return self._text(value) if self.limit.breached_by(value) else ""

    def _see_events(self, sample: Sample) -> str | None:
        """The events of the last for_s added up; of a gap, the part that falls into it, but every process killed.

        A sample that is a little longer than for_s counts whole: the sampler's seconds are not exact.
        """
        end, period, values = sample
        count = values.get(self.limit.metric, math.nan)
        if math.isnan(count):
            return None
        if period > max(2 * self.for_s, GAP_S) and self.limit.metric != "oom_kills":
            count *= self.for_s / period
        self._events.append((end - period / 2, count))
        while len(self._events) > 1 and self._events[0][0] <= end - self.for_s:
            self._events.popleft()
        events = sum(number for _, number in self._events)
        self._count(events)
        if not self.limit.breached_by(events):
            return None
        return f"{self._text(events)} {self.limit.lasting(self.for_s)} (plan: stop)"

    def _count(self, value: float) -> None:
        choose = max if self.limit.above is not None else min
        self.samples, self.worst = self.samples + 1, value if math.isnan(self.worst) else choose(value, self.worst)

    def _text(self, value: float) -> str:
        sign, bound = self.limit.bound
        return f"host {self.host}: {self.limit.metric} {value:.4g} {sign} {bound:g}"

    def record(self) -> dict[str, Any]:
        """What was watched, how many samples told it, and the value nearest to the limit or furthest beyond it."""
        worst = None if math.isnan(self.worst) else self.worst
        return {"host": self.host, "limit": self.limit.text, "for_s": self.for_s, "samples": self.samples,
                "worst": worst}  # fmt: skip


class HostWatch:
    """All limits of a plan's stop rule on the hosts whose samplers write into a run; the load's time alone counts."""

    def __init__(self, run: Run, hosts: Sequence[Host], rule: StopRule) -> None:
        self._watched = [
            _Watched(limit, host.name, limit.for_s or rule.for_s)
            for limit in rule.hosts for host in hosts
            if (host.role != "generator" if limit.host is None else host.name == limit.host)
        ]  # fmt: skip
        self._logs = {w.host: GrowingLog(run.raw(f"{w.host}.proc.log")) for w in self._watched}
        self._began = False

    def see(self) -> str | None:
        """The reason to end the run, or None; every limit sees every sample. Call it once a second under load."""
        new = {host: log.look() for host, log in self._logs.items()}
        if not self._began:
            self._began = True
            return None
        reasons = [watched.see(sample) for watched in self._watched for sample in new[watched.host]]
        return next((reason for reason in reasons if reason is not None), None)

    def records(self) -> list[dict[str, Any]]:
        """For run.json: each limit with the samples that told it and the worst value."""
        return [watched.record() for watched in self._watched]
