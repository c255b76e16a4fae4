"""The story that the figures' tests draw: a service that stalls near 500 rps, and the cycle after its remedy."""

import numpy as np
import pandas as pd
import pytest

from genkai import schema
from genkai.analyse.resample import interval_key
from genkai.analyse.scale_levels import fit_levels
from genkai.capacity import estimate_capacity, estimate_sensitivity
from genkai.launch import Progress
from genkai.plan import Estimate, Level

START = pd.Timestamp("2026-05-09T09:41:05Z")
USERS = [100, 250, 400, 500, 750, 1000]
FIRST = {"throughput": [99, 247, 394, 487, 497, 499], "p95": [0.012, 0.014, 0.018, 0.09, 0.62, 1.1],
         "errors": [0, 0, 0, 0.002, 0.07, 0.18]}  # fmt: skip
SECOND = {"throughput": [99.4, 249, 397, 496, 741, 960], "p95": [0.011, 0.012, 0.013, 0.014, 0.021, 0.064],
          "errors": [0, 0, 0, 0, 0, 0.001]}  # fmt: skip
RAMP_S, HOLD_S = 4, 16
TARGET_RPS, TARGET_P95_S = 729.0, 0.1


def record(value, low=None, high=None, unit="rps"):
    return {"value": value, "low": low, "high": high, "n": 12, "unit": unit, "notes": []}


def marks(users=USERS, workload="closed"):
    each = RAMP_S + HOLD_S
    t0 = START.timestamp()
    return [
        {
            "level": i,
            "workload": workload,
            "intended": float(u),
            "start": t0 + i * each,
            "hold_start": t0 + i * each + RAMP_S,
            "end": t0 + (i + 1) * each,
        }
        for i, u in enumerate(users)
    ]


def levels(story=None, api="shop", workload="closed"):
    story = story or FIRST
    at = [{k: pd.Timestamp(m[k], unit="s", tz="UTC") for k in ("start", "hold_start", "end")} for m in marks()]
    p95 = np.array(story["p95"])
    frame = pd.DataFrame(
        {"level": range(6), "api": api, "workload": workload, "intended": np.array(USERS, float),
         "start": [a["start"] for a in at], "hold_start": [a["hold_start"] for a in at], "end": [a["end"] for a in at],
         "window_start": [a["hold_start"] + pd.Timedelta(seconds=3) for a in at], "window_end": [a["end"] for a in at],
         "steady": True, "throughput_rps": np.array(story["throughput"], float), "sent_rps": np.array(USERS, float),
         "concurrency": np.array(story["throughput"]) * p95 * 0.6, "mean_s": p95 * 0.6, "p50_s": p95 * 0.55,
         "p90_s": p95 * 0.9, "p95_s": p95, "p99_s": p95 * 1.4, "p999_s": p95 * 2, "error_ratio": story["errors"],
         "generator_limited": False, "generator_note": None}
    )  # fmt: skip
    return schema.check_table(frame, "levels")


def fit(story=None, model="auto"):
    """The real fit of the story, with intervals of ±2 % on its points."""
    table = levels(story)
    intervals = {}
    for level, x in zip(table["level"], table["throughput_rps"], strict=True):
        intervals[interval_key(level, "shop")] = {"throughput_rps": record(x, 0.98 * x, 1.02 * x)}
    return fit_levels(table, "shop", intervals=intervals, model=model, resamples=100)


def usl_fit():
    return {"model": "usl", "runner_up": "broken", "knee_load": record(1150, 1090, 1230, "users"),
            "peak_load": record(780, 742, 830, "users"), "peak_throughput_rps": record(505, 497, 516),
            "ceiling_rps": record(505, 497, 516)}  # fmt: skip


def usl_curve(far=1000.0):
    x = np.linspace(0, far, 201)
    best = 1.1 * x / (1 + 0.00012 * x + 1.1e-6 * x * x)
    return pd.DataFrame({"load": x, "throughput_rps": best, "low": best * 0.96, "high": best * 1.04,
                         "ideal_rps": 1.1 * x})  # fmt: skip


def seconds(story=None, gap=True, seed=3):
    """Each second of the run; the levels climb through their ramps; a gap of 7 s where the network broke."""
    story, rng = story or FIRST, np.random.default_rng(seed)
    rows, before = [], (0.0, story["p95"][0], 0.0)
    for index in range(6):
        now = (story["throughput"][index], story["p95"][index], story["errors"][index])
        for second in range(RAMP_S + HOLD_S):
            share = min(1.0, second / (RAMP_S + 2))
            x, p95, errors = (a + (b - a) * share for a, b in zip(before, now, strict=True))
            x *= 1 + 0.03 * rng.standard_normal()
            rows.append((START + pd.Timedelta(seconds=len(rows)), x, p95 * (1 + 0.1 * rng.random()), x * errors))
        before = now
    frame = pd.DataFrame(rows, columns=["time", "throughput_rps", "p95_s", "error_rps"])
    frame["p50_s"] = frame["p95_s"] * 0.55
    return frame.drop(index=range(68, 75)) if gap else frame


def metrics():
    """CPU of two instances and the generator at 1 s, queue and rejections of the balancer in 10 s buckets."""
    rng, rows = np.random.default_rng(5), []
    for second in range(120):
        time, share = START + pd.Timedelta(seconds=second), min(second / 80, 1)
        for name, top in (("app-1", 0.34), ("app-2", 0.31), ("local", 0.55)):
            value = top * share * (1 + 0.1 * rng.standard_normal())
            rows.append((time, "vmstat", f"host:{name}", "cpu", "sample", "ratio", 1.0, max(value, 0)))
        if second % 10 == 0:
            queue = [0, 0, 0, 0, 2, 3, 14, 180, 640, 760, 800, 800][second // 10]
            rows.append((time, "cloudwatch", "elb:shop", "SurgeQueueLength", "maximum", "Count", 10.0, float(queue)))
            if second != 50:
                rejected = max(0, queue - 700) * 4.0
                rows.append((time, "cloudwatch", "elb:shop", "SpilloverCount", "sum", "Count", 10.0, rejected))
    names = [c.name for c in schema.columns("metrics")]
    return schema.check_table(pd.DataFrame(rows, columns=names), "metrics")


def finding_series():
    queue, cpu1, cpu2 = (
        [0, 0, 2, 14, 640, 800],
        [0.07, 0.16, 0.25, 0.33, 0.34, 0.34],
        [0.06, 0.15, 0.24, 0.31, 0.30, 0.31],
    )
    db = [0.02, 0.05, 0.08, 0.11, 0.12, 0.11]
    rows = []
    for index, users in enumerate(USERS):
        rows.append((users, "elb:shop", "surge queue", "requests", queue[index], "bottleneck"))
        for name, values in (("host:app-1", cpu1), ("host:app-2", cpu2), ("rds:shop-db", db)):
            rows.append((users, name, "CPU", "ratio", values[index], "other"))
    return pd.DataFrame(rows, columns=["intended", "resource", "metric", "unit", "value", "role"])


def ratios():
    found = []
    for users, x, p in ((500, (1.02, 1.0, 1.04), (0.16, 0.14, 0.18)), (750, (1.49, 1.46, 1.52), (0.034, 0.03, 0.039)),
                        (1000, (1.92, 1.89, 1.96), (0.058, 0.05, 0.067))):  # fmt: skip
        found.append({"metric": "throughput_rps", "load": users, "ratio": record(*x, unit="ratio")})
        found.append({"metric": "p95_s", "load": users, "ratio": record(*p, unit="ratio")})
    return found


def history():
    """Seven cycles: the limit rises in the fourth, p95 falls with it; one cycle found no limit."""
    limits = (498, 503, 495, 960, 955, None, 962)
    times = (0.21, 0.2, 0.22, 0.06, 0.055, 0.058, 0.061)
    change = {"number": 4, "before": record(498.7), "after": record(959), "change": record(0.923)}
    faster = {"number": 4, "before": record(0.21), "after": record(0.0585), "change": record(-0.721)}
    limit = [None if v is None else record(v, v - 9, v + 9) for v in limits]
    return list(range(1, 8)), [
        {"what": "limit", "load": None, "unit": "rps", "points": limit, "changes": [change]},
        {"what": "p95", "load": {"value": 500, "unit": "users"}, "unit": "s", "points": [record(v) for v in times],
         "changes": [faster]},
    ]  # fmt: skip


def api_levels():
    scale = {"search": (0.5, 1.0), "cart": (0.22, 0.7), "checkout": (0.1, 2.6)}
    parts = []
    for name, (share, slow) in scale.items():
        part = levels(api=name, workload="open")
        part["intended"] = part["intended"] * share
        part["throughput_rps"] = np.minimum(part["throughput_rps"] * share, part["intended"])
        part["p95_s"] = part["p95_s"] * slow * 0.3
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


API_TARGETS = {"search": {"throughput_rps": 365.0, "p95_s": 0.1}, "cart": {"throughput_rps": 160.0, "p95_s": 0.1},
               "checkout": {"throughput_rps": 40.0, "p95_s": 0.3}}  # fmt: skip


def progress(until=75, workload="closed"):
    """What the launcher tells while the story's run goes on."""
    frame = seconds(gap=False).head(until)
    failed = np.cumsum(frame["error_rps"]).astype(int)
    return [
        Progress(level=i // 20, workload=workload, intended=float(USERS[i // 20]), users=USERS[i // 20],
                 throughput_rps=float(frame["throughput_rps"].iloc[i]), p95_s=float(frame["p95_s"].iloc[i]),
                 failed=int(failed.iloc[i]), generator_cpu_ratio=0.1 + 0.08 * (i // 20), elapsed_s=float(i),
                 total_s=120.0)
        for i in range(len(frame))
    ]  # fmt: skip


def estimate():
    return Estimate(
        users_per_day={"value": 350_000, "low": 250_000, "high": 500_000},
        accesses_per_user=20,
        peak_factor={"value": 3, "low": 2.5, "high": 4},
        safety_factor={"value": 3, "low": 2, "high": 3},
    )


def capacity_and_sensitivity():
    return estimate_capacity(estimate()), estimate_sensitivity(estimate())


def plan_levels():
    return [Level(users=u, ramp_s=RAMP_S, hold_s=HOLD_S) for u in USERS]


@pytest.mark.parametrize("story", [FIRST, SECOND])
def test_story_keeps_the_schema(story):
    assert len(schema.check_table(levels(story), "levels")) == 6
    assert schema.check_table(metrics(), "metrics")["value"].ge(0).all()
