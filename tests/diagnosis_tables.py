"""Synthetic runs for the diagnosis: tables in the schema's form, with the numbers that a test chooses."""

from __future__ import annotations

import json
import string
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from genkai import histogram, schema
from genkai.analyse import rules
from genkai.analyse.diagnose import Facts, Tables, diagnose

START = pd.Timestamp("2026-05-09T07:00:00Z")
HOLD_S, RAMP_S = 30.0, 5.0

# the story of the source notes: linear to 500 rps, then nothing more, and waiting
STALL = [(100, 100, 0.020, 0.0), (500, 495, 0.022, 0.0), (1000, 510, 0.960, 0.0)]
HEALTHY = [(100, 100, 0.020, 0.0), (500, 495, 0.021, 0.0), (1000, 985, 0.024, 0.001)]


class World:
    """A run under construction: levels as (load, throughput, median response time, error ratio)."""

    def __init__(
        self, levels: Iterable[tuple], workload: str = "closed", hold_s: float = HOLD_S, limited: Iterable[int] = ()
    ) -> None:
        self.rows = list(levels)
        self.hold_s, self.workload, self.limited = hold_s, workload, set(limited)
        self.metrics: list[dict[str, Any]] = []
        self.failures: list[dict[str, Any]] = []
        self.generator: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []

    def hold(self, level: int) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Start and end of a level's hold."""
        start = START + pd.Timedelta(seconds=level * (self.hold_s + RAMP_S) + RAMP_S)
        return start, start + pd.Timedelta(seconds=self.hold_s)

    def metric(
        self, source: str, resource: str, metric: str, values: Iterable[float | None], statistic: str = "sample",
        period_s: float = 1.0,
    ) -> World:  # fmt: skip
        """The same value in every interval of a level; values: one per level, None: no data there."""
        for level, value in enumerate(values):
            start, end = self.hold(level)
            time = start
            while value is not None and time + pd.Timedelta(seconds=period_s) <= end:
                self.sample(time, source, resource, metric, value, statistic, period_s)
                time += pd.Timedelta(seconds=period_s)
        return self

    def sample(self, time, source, resource, metric, value, statistic="sample", period_s=1.0) -> None:
        """One row of the metrics table."""
        self.metrics.append(
            {"time": time, "source": source, "resource": resource, "metric": metric, "statistic": statistic,
             "unit": "", "period_s": period_s, "value": float(value)}
        )  # fmt: skip

    def on(self, host: str, metric: str, values: Iterable[float | None], source: str = "proc") -> World:
        """A metric of a watched host, one sample a second."""
        return self.metric(source, f"host:{host}", metric, values)

    def cloudwatch(self, resource: str, metric: str, values: Iterable[float | None], statistic: str) -> World:
        """A CloudWatch metric with a period of 10 s."""
        return self.metric("cloudwatch", resource, metric, values, statistic, 10.0)

    def instances(self, *percent: Iterable[float]) -> World:
        """CPUUtilization (per cent per level) of instances i-1, i-2 …"""
        for number, values in enumerate(percent, 1):
            self.cloudwatch(f"ec2:i-{number}", "CPUUtilization", values, "average")
        return self

    def balancer(self, requests: Iterable[float], latency: Iterable[float], queue: Iterable[float]) -> World:
        """A classic load balancer: requests per second, Latency, SurgeQueueLength per level."""
        self.cloudwatch("elb:shop", "RequestCount", [r * 10 for r in requests], "sum")
        self.cloudwatch("elb:shop", "Latency", latency, "average")
        return self.cloudwatch("elb:shop", "SurgeQueueLength", queue, "maximum")

    def processes(self, cpu: Iterable[float], lag: Iterable[float] = (), **columns: Iterable[float]) -> World:
        """The generator table: one process, one row a second."""
        cpu, lag = list(cpu), list(lag) or [0.002] * len(self.rows)
        for level in range(len(self.rows)):
            for second in range(int(self.hold_s)):
                self.generator.append(
                    {"time": self.hold(level)[0] + pd.Timedelta(seconds=second), "process": "worker-1",
                     "cpu_ratio": cpu[level], "loop_lag_p99_s": lag[level], "schedule_slip_p99_s": None,
                     "in_flight": 10, "users": 100,
                     "sockets_time_wait": list(columns.get("time_wait", [0] * len(self.rows)))[level],
                     "fds": list(columns.get("fds", [50] * len(self.rows)))[level],
                     "run_queue_wait_ratio": list(columns.get("waited", [None] * len(self.rows)))[level]}
                )  # fmt: skip
        return self

    def fail(self, level: int, kind: str, count: int, status: int | None = None, message: str = "") -> World:
        """Failures in a level, all in its third second."""
        self.failures.append(
            {"time": self.hold(level)[0] + pd.Timedelta(seconds=3), "api": "(all)", "kind": kind, "status": status,
             "errno": None, "message": message or kind, "count": count}
        )  # fmt: skip
        return self

    def seconds(self, level: int, slowest: Iterable[float]) -> World:
        """The requests table of one level: 100 requests a second, two of them as slow as given."""
        for second, worst in enumerate(slowest):
            recorded = histogram.new_histogram()
            histogram.record_seconds(recorded, 0.02, 98)
            histogram.record_seconds(recorded, worst, 2)
            self.requests.append(
                {"time": self.hold(level)[0] + pd.Timedelta(seconds=second), "api": "(all)", "level": level,
                 "sent": 100, "completed": 100, "failed": 0, "dropped": 0, "bytes_received": 1000,
                 "hist": histogram.encode(recorded), "hist_service": None}
            )  # fmt: skip
        return self

    def levels(self) -> pd.DataFrame:
        """The levels table."""
        rows = []
        for level, (load, throughput, p50, errors) in enumerate(self.rows):
            start, end = self.hold(level)
            measured = throughput is not None
            rows.append(
                {"level": level, "api": "(all)", "workload": self.workload, "intended": float(load),
                 "start": start - pd.Timedelta(seconds=RAMP_S), "hold_start": start, "end": end,
                 "window_start": start, "window_end": end, "steady": True, "throughput_rps": throughput,
                 "sent_rps": throughput / (1 - errors) if measured and errors < 1 else None,
                 "concurrency": throughput * p50 if measured else None,
                 "mean_s": p50, "p50_s": p50, "p90_s": p50 * 1.2, "p95_s": p50 * 1.3, "p99_s": p50 * 1.5,
                 "p999_s": p50 * 2, "error_ratio": errors, "generator_limited": level in self.limited,
                 "generator_note": "cpu: worker-1 used 0.99 of a core" if level in self.limited else None}
            )  # fmt: skip
        return pd.DataFrame(rows)

    def tables(self, facts: Facts | None = None, **fields: Any) -> Tables:
        """The tables, checked against the schema."""
        return Tables(
            levels=schema.check_table(self.levels(), "levels"),
            requests=_checked(self.requests, "requests"),
            failures=_checked(self.failures, "failures"),
            generator=_checked(self.generator, "generator"),
            metrics=_checked(self.metrics, "metrics"),
            facts=facts or Facts(limits_s={"p95_s": 0.2}, load_balancer="shop"),
            **fields,
        )

    def diagnosis(self, facts: Facts | None = None, **fields: Any) -> dict[str, Any]:
        """The diagnosis of the run."""
        record = diagnose(self.tables(facts, **fields))
        check_texts(record)
        return record


def flat(node: Any, prefix: str = "") -> dict[str, str]:
    """The texts of a catalogue by dotted key."""
    if isinstance(node, str):
        return {prefix: node}
    found: dict[str, str] = {}
    for key, child in node.items():
        found |= flat(child, f"{prefix}.{key}" if prefix else key)
    return found


@cache
def texts(lang: str) -> dict[str, str]:
    """The diagnosis' texts of a language by dotted key."""
    return flat(yaml.safe_load((Path(rules.__file__).parent / f"texts_{lang}.yaml").read_text(encoding="utf-8")))


def placeholders(text: str) -> set[str]:
    """The names in a template."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def check_texts(record: dict[str, Any]) -> None:
    """Every key of the record has a text, and the values that the text asks for are there."""
    asked = [(record["answer_key"], record["values"])]
    for finding in record["findings"]:
        assert finding["evidence"], f"{finding['cause']}: a claim without evidence"
        asked += [(finding[f"{kind}_key"], finding["values"]) for kind in ("claim", "remedy", "risk", "verify")]
        asked += [(item["text_key"], item["values"]) for item in finding["evidence"]]
    asked += [(row["why_key"], row["values"]) for row in record["ruled_out"]]
    asked += [(key, {}) for row in record["not_measured"] for key in (row["what"], row["how_key"])]
    asked += [(record["generator"]["text_key"], record["generator"]["values"])] if record["generator"] else []
    for key, values in asked:
        missing = placeholders(texts("en")[key]) - values.keys()
        assert not missing, f"{key}: values for {missing}"
    json.dumps(record, allow_nan=False)


def _checked(rows: list[dict[str, Any]], table: str) -> pd.DataFrame:
    return schema.check_table(pd.DataFrame(rows), table) if rows else schema.empty_table(table)


def causes(record: dict[str, Any], contributing: bool = True) -> list[str]:
    """The causes of a diagnosis, best first."""
    return [f["cause"] for f in record["findings"] if contributing or not f["contributes"]]
