"""Limits on watched hosts: what a growing log tells is what the whole log tells, and when a limit strikes."""

import json
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genkai.collect.host_limits import GrowingLog, HostWatch, _Watched
from genkai.collect.proc import parse_proc
from genkai.collect.proc_sampler import proc_command
from genkai.plan import Host, HostLimit, StopRule
from genkai.planstop import HOST_METRICS
from genkai.workspace import Run
from proc_tables import proc_metrics

HEAD = "#genkai-proc 1 1700000000.0 100.00 100\n"
FIELDS = "F uptime stat.procs_running stat.ctxt\n"
OTHER = "F uptime stat.procs_running stat.ctxt sock.tw\n"


def line(uptime: float, *numbers: int) -> str:
    return f"S {uptime:.2f} {' '.join(map(str, numbers))} .\n"


def whole_log(queues: list[int]) -> str:
    """A log of two starts, with a set of names that changes on the way."""
    text = HEAD + FIELDS + "".join(line(100 + i, q, 50 * i) for i, q in enumerate(queues))
    text += OTHER + line(100 + len(queues), 1, 10_000, 3) + line(101 + len(queues), 2, 10_050, 4)
    return text + HEAD.replace("1700000000", "1700000500") + FIELDS + line(100, 5, 0) + line(101, 6, 70)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 99), min_size=2, max_size=9), st.lists(st.integers(1, 120), max_size=12))
def test_a_log_read_as_it_grows_tells_what_the_whole_tells(tmp_path: Path, queues: list[int], cuts: list[int]) -> None:
    text = whole_log(queues)
    path = tmp_path / "h.proc.log"
    path.write_text("")
    log, found, begin = GrowingLog(path), [], 0
    for end in [*np.cumsum(cuts).tolist(), len(text)]:
        with open(path, "a") as stream:
            stream.write(text[begin:end])
        begin = max(begin, min(end, len(text)))
        found += log.look()
    table = proc_metrics(parse_proc(text), "h")
    for metric in ("run_queue", "context_switches_per_s", "sockets_time_wait"):
        rows = table[table["metric"] == metric]
        told = [
            (end - period, values[metric]) for end, period, values in found if not np.isnan(values.get(metric, np.nan))
        ]
        assert [v for _, v in told] == rows["value"].tolist()
        assert [t for t, _ in told] == pytest.approx((rows["time"].astype("int64") / 1e6).tolist(), abs=1e-3)


def watch(folder: Path, *limits: HostLimit, for_s: float = 3) -> tuple[HostWatch, Path]:
    run = Run(folder / "2-api-x")
    run.raw("x").parent.mkdir(parents=True)
    hosts = [Host(name="app"), Host(name="db", role="middleware"), Host(name="gen", role="generator")]
    return HostWatch(run, hosts, StopRule(hosts=list(limits), for_s=for_s)), run.raw("app.proc.log")


def strikes_at(found: HostWatch, path: Path, queues: list[int], gaps: dict[int, float] | None = None) -> int | None:
    """After which sample the watch strikes; a gap comes before the sample that it is given for."""
    path.write_text(HEAD + FIELDS + line(99, 0, 0))
    found.see()
    uptime = 99.0
    for count, queue in enumerate(queues, 1):
        uptime += 1 + (gaps or {}).get(count, 0.0)
        with open(path, "a") as stream:
            stream.write(line(uptime, queue, 0))
        if found.see():
            return count
    return None


@pytest.mark.parametrize(
    ("queues", "strikes"),
    [([9, 9, 9], 3), ([9, 9, 1, 9, 9, 9], 6), ([8] * 9, None), ([9, 9], None), ([1, 9, 9, 9, 9], 4)],
)
def test_only_a_value_beyond_the_limit_for_long_enough_strikes(tmp_path: Path, queues, strikes) -> None:
    found, path = watch(tmp_path, HostLimit(host="app", metric="run_queue", above=8))
    assert strikes_at(found, path, queues) == strikes


def test_a_limit_from_below_and_a_time_of_its_own(tmp_path: Path) -> None:
    found, path = watch(tmp_path, HostLimit(metric="run_queue", below=3, for_s=2))
    assert strikes_at(found, path, [3, 2, 3, 2, 2]) == 5


@pytest.mark.parametrize(
    ("metric", "seen", "strikes"),
    [("process_web_count", True, 3), ("process_web_count", False, None), ("process_web_cpu_ratio", True, None)],
)
def test_a_process_that_is_gone_counts_as_none_of_it(metric: str, seen: bool, strikes: int | None) -> None:
    """Its columns go with it; of what was never seen, and of any other metric, nothing is known without a column."""
    watched = _Watched(HostLimit(metric=metric, below=1), "app", 2)
    samples = [{metric: 2.0} if seen else {}, {}, {}, {}]
    told = [watched.see((float(second), 1.0, values)) for second, values in enumerate(samples, 1)]
    assert next((second for second, reason in enumerate(told, 1) if reason), None) == strikes


@pytest.mark.parametrize(
    ("events", "above", "for_s", "strikes"),
    [
        ([0, 0, 1, 0], 0, 10, 3),  # any event strikes at once
        ([40, 0, 40, 0, 40], 100, 5, 5),  # none in a row, yet too many within the time
        ([40, 0, 40, 0, 40], 100, 4, None),
        ([100, 0, 0], 100, 5, None),
        ([0, 101], 100, 1, 2),
    ],
)
def test_events_add_up_within_the_time(events: list[int], above: int, for_s: float, strikes: int | None) -> None:
    watched = _Watched(HostLimit(metric="tcp_listen_drops", above=above), "app", for_s)
    jitter = [0.03, -0.02, 0.01, 0.0, 0.02]
    told = [
        watched.see((second + jitter[second % 5], 1.0, {"tcp_listen_drops": float(count)}))
        for second, count in enumerate(events, 1)
    ]
    assert next((second for second, reason in enumerate(told, 1) if reason), None) == strikes
    assert watched.samples == len(events)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.integers(1, 12), st.integers(0, 120))
def test_events_of_a_window_are_those_of_a_sum_over_it(events: list[int], for_s: int, above: int) -> None:
    watched = _Watched(HostLimit(metric="oom_kills", above=above), "app", for_s)
    told = [bool(watched.see((float(end), 1.0, {"oom_kills": float(n)}))) for end, n in enumerate(events, 1)]
    sums = [sum(events[max(0, end - for_s) : end]) for end in range(1, len(events) + 1)]
    assert told == [total > above for total in sums]
    assert watched.record()["worst"] == max(sums)


def test_events_of_a_gap_count_by_their_share_and_what_is_not_counted_says_nothing() -> None:
    """A host that runs out of memory tells nothing for a while: the event is told, though nobody knows the second."""
    watched = _Watched(HostLimit(metric="tcp_listen_drops", above=0), "app", 10)
    assert watched.see((1.0, 1.0, {"run_queue": 1.0})) is None
    assert watched.record()["samples"] == 0
    told = watched.see((41.0, 40.0, {"tcp_listen_drops": 2.0}))
    assert told == "host app: tcp_listen_drops 0.5 > 0 within 10 s (plan: stop)"


@pytest.mark.parametrize(
    ("metric", "above", "for_s", "period", "count", "worst"),
    [
        ("tcp_listen_drops", 100, 1, 1.02, 101, 101),  # the sampler's second is not exact
        ("tcp_listen_drops", 100, 1, 40, 101, 101 / 40),
        ("tcp_listen_overflows", 100, 10, 20, 101, 101),
        ("oom_kills", 1, 10, 40, 3, 3),  # a host without memory tells nothing for a while
    ],
)
def test_a_long_sample_is_shared_out_only_where_it_is_a_gap_and_no_kill_is(
    metric: str, above: int, for_s: float, period: float, count: int, worst: float
) -> None:
    watched = _Watched(HostLimit(metric=metric, above=above), "app", for_s)
    assert bool(watched.see((100.0, period, {metric: float(count)}))) == (worst > above)
    assert watched.record()["worst"] == pytest.approx(worst)


def test_what_nobody_saw_does_not_count(tmp_path: Path) -> None:
    found, path = watch(tmp_path, HostLimit(host="app", metric="run_queue", above=8))
    assert strikes_at(found, path, [9, 9, 9, 9, 9, 9], {3: 30.0}) == 6


def test_the_reason_and_the_record_name_host_metric_and_numbers(tmp_path: Path) -> None:
    limits = HostLimit(metric="run_queue", above=8.5), HostLimit(host="gen", metric="mem_available_bytes", below=1e9)
    found, path = watch(tmp_path, *limits, for_s=1)
    path.write_text(HEAD + FIELDS + line(99, 40, 0))
    assert found.see() is None, "what was before the load counts for nothing"
    path.write_text(path.read_text() + line(100, 12, 0))
    assert found.see() == "host app: run_queue 12 > 8.5 for 1 s (plan: stop)"
    assert json.loads(json.dumps(found.records())) == [
        {"host": "app", "limit": "run_queue > 8.5", "for_s": 1, "samples": 1, "worst": 12},
        {"host": "db", "limit": "run_queue > 8.5", "for_s": 1, "samples": 0, "worst": None},
        {"host": "gen", "limit": "mem_available_bytes < 1e+09", "for_s": 1, "samples": 0, "worst": None},
    ]


def test_without_a_log_or_limits_nothing_strikes(tmp_path: Path) -> None:
    found, _ = watch(tmp_path, HostLimit(metric="run_queue", above=0))
    assert [found.see() for _ in range(3)] == [None] * 3
    assert watch(tmp_path / "other")[0].records() == []


def test_every_metric_that_a_plan_may_name_is_one_that_the_sampler_tells(tmp_path: Path) -> None:
    """The real /proc of this machine; pressure is missing where the kernel was built without it."""
    path = tmp_path / "here.proc.log"
    log = GrowingLog(path)
    with open(path, "wb") as stream, subprocess.Popen(["sh", "-c", proc_command(2)], stdout=stream) as sampler:
        found: list = []
        while sampler.poll() is None:
            found += log.look()
            time.sleep(0.05)
    (sample,) = [*found, *log.look()]
    assert {m for m in HOST_METRICS if "pressure" not in m} <= set(sample[2])
    assert abs(sample[0] - time.time()) < 30
    assert 0 <= sample[2]["cpu_busy_ratio"] <= 1
