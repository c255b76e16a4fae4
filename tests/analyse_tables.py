"""Synthetic tables for the tests of the analysis: requests with histograms, marks, generators, levels."""

import pandas as pd

from genkai import schema
from genkai.histogram import encode, new_histogram, record_seconds

START = 1_700_000_000


def at(second):
    return pd.Timestamp(START + second, unit="s", tz="UTC")


def histogram(times_s):
    recorded = new_histogram()
    for time_s in times_s:
        record_seconds(recorded, float(time_s))
    return encode(recorded)


def request_row(second, times_s, api="a", level=0, failed=0, dropped=0, count=None):
    """One second: response times (of all requests, failed ones among them), of which `failed` failed."""
    sent = len(times_s) if count is None else count
    return {
        "time": at(second), "api": api, "level": level, "sent": sent, "completed": sent - failed, "failed": failed,
        "dropped": dropped, "bytes_received": 100 * sent, "hist": histogram(times_s), "hist_service": None,
    }  # fmt: skip


def requests_table(rows):
    return schema.check_table(pd.DataFrame(rows), "requests")


def generator_table(seconds=range(60), cpu=0.3, lag=0.002, slip=0.001, process="worker-1"):
    return schema.check_table(
        pd.DataFrame({
            "time": [at(s) for s in seconds], "process": process, "cpu_ratio": cpu, "loop_lag_p99_s": lag,
            "schedule_slip_p99_s": slip, "in_flight": 5, "users": 10, "sockets_time_wait": 0, "fds": 20,
        }),
        "generator",
    )  # fmt: skip


def mark(level, intended, start, hold_start, end, workload="closed"):
    shift = [None if t is None else START + t for t in (start, hold_start, end)]
    return {"level": level, "workload": workload, "intended": intended, "start": shift[0], "hold_start": shift[1],
            "end": shift[2]}  # fmt: skip


def level_row(level, intended, throughput, api="s", workload="closed", **values):
    row = {
        "level": level, "api": api, "workload": workload, "intended": intended, "start": at(60 * level),
        "hold_start": at(60 * level + 10), "end": at(60 * level + 60), "window_start": at(60 * level + 11),
        "window_end": at(60 * level + 60), "steady": True, "throughput_rps": throughput, "sent_rps": throughput,
        "concurrency": 5.0, "mean_s": 0.05, "p50_s": 0.04, "p90_s": 0.07, "p95_s": 0.08, "p99_s": 0.1, "p999_s": 0.2,
        "error_ratio": 0.0, "generator_limited": False, "generator_note": None,
    }  # fmt: skip
    return row | values


def levels_table(*rows):
    return schema.check_table(pd.DataFrame(list(rows)), "levels")


def poisson_requests(rate, seconds, rng, mean_s=0.02, api="a", start=0):
    rows = []
    for second in range(start, start + seconds):
        count = max(1, int(rng.poisson(rate)))
        rows.append(request_row(second, rng.gamma(4, mean_s / 4, count), api=api))
    return rows
