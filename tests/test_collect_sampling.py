"""collect.sampling: samplers here and over a real sshd, drops, kills, and what is read back from the raw logs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pandas as pd
import pytest

from genkai import schema
from genkai.collect.errors import CollectError
from genkai.collect.sampling import clock_offsets, collect_hosts, host_warnings, start_sampling
from genkai.plan import Host
from genkai.workspace import Run, read_journal
from sshd import Sshd, needs_sshd, process_lines, wait_until


@pytest.fixture
def run(tmp_path) -> Run:
    run = Run(tmp_path / "2-api-search")
    run.write_record(state="running")
    return run


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def rows_of(run: Run, name: str, kind: str) -> int:
    path = run.raw(f"{name}.{kind}.log")
    return path.read_text().count("\n") if path.exists() else 0


def both_sampled(run: Run, name: str) -> bool:
    return rows_of(run, name, "vmstat") >= 5 and rows_of(run, name, "proc") >= 4


def test_this_machine(run):
    watched = [Host(name="local")]
    sampling = start_sampling(watched, run, 60)
    try:
        assert wait_until(lambda: both_sampled(run, "local"), 20)
    finally:
        sampling.stop()
    frame = collect_hosts(run, watched).frame
    assert set(frame["source"]) == {"vmstat", "proc"}
    assert set(frame["resource"]) == {"host:local"}
    pd.testing.assert_frame_equal(schema.read_table(run.table("metrics", "hosts"), "metrics"), frame)
    assert [e["event"] for e in read_journal(run.raw("sampling.jsonl")) if e["sampler"] == "proc"] == [
        "started",
        "stopped",
    ]
    sampling.stop()  # a second time is harmless


@needs_sshd
def test_a_host_over_ssh_beside_this_one(run, sshd):
    watched = [Host(name="local"), Host(name="far", ssh=sshd.destination, processes=["sshd"])]
    with start_sampling(watched, run, 60, sshd.options):
        assert wait_until(lambda: both_sampled(run, "far") and both_sampled(run, "local"), 30)
    frame = collect_hosts(run, watched).frame
    counts = frame.groupby(["resource", "source"]).size()
    assert set(counts.index) == {(f"host:{n}", s) for n in ("local", "far") for s in ("vmstat", "proc")}
    assert "process_sshd_count" in set(frame[frame["resource"] == "host:far"]["metric"])


@needs_sshd
def test_a_dropped_connection_is_made_again_and_the_gap_is_marked(run, sshd):
    watched = [Host(name="far", ssh=sshd.destination)]
    with start_sampling(watched, run, 60, sshd.options):
        assert wait_until(lambda: both_sampled(run, "far"), 30)
        for event in list(read_journal(run.raw("sampling.jsonl"))):
            os.kill(event["pid"], signal.SIGKILL)
        before = rows_of(run, "far", "vmstat"), rows_of(run, "far", "proc")
        assert wait_until(
            lambda: rows_of(run, "far", "vmstat") > before[0] + 5 and rows_of(run, "far", "proc") > before[1] + 4, 30
        )
    frame = collect_hosts(run, watched).frame
    assert "gaps in its series" in " ".join(host_warnings(run)["far"])
    for source in ("vmstat", "proc"):
        times = frame[(frame["source"] == source) & (frame["metric"] == "run_queue")]["time"]
        assert times.is_unique
        assert times.diff().max() > pd.Timedelta(seconds=1.5)


WORKBENCH = """
import sys, time
from pathlib import Path
from genkai.collect.sampling import start_sampling
from genkai.plan import Host
from genkai.workspace import Run
far = Host(name="far", ssh=sys.argv[1], processes=[sys.argv[2]])
kept = start_sampling([far], Run(Path(sys.argv[3])), 600, sys.argv[4:])
time.sleep(600)
"""


@needs_sshd
def test_kill_9_of_the_workbench_leaves_no_process_there_and_the_log_reads(run, sshd):
    mark = f"m{os.getpid()}"[:15]
    parent = subprocess.Popen([sys.executable, "-c", WORKBENCH, sshd.destination, mark, str(run.path), *sshd.options])
    try:
        assert wait_until(lambda: both_sampled(run, "far"), 30)
        ours = [line for line in process_lines("awk") if mark in line]
        assert ours
        samplers = [line.split()[0] for line in ours] + [
            line.split()[0] for line in process_lines("vmstat -n -w -t 1 6")
        ]
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()

    def gone() -> bool:
        alive = {line.split()[0] for line in process_lines("")}
        return not alive & set(samplers) and not [line for line in process_lines("awk") if mark in line]

    assert wait_until(gone, 30), samplers
    frame = collect_hosts(run, [Host(name="far", ssh=sshd.destination)]).frame
    assert set(frame["source"]) == {"vmstat", "proc"}


@needs_sshd
def test_more_hosts_than_sshd_admits_at_once(tmp_path, run):
    with Sshd(tmp_path, max_startups="9:100:9") as server:
        watched = [Host(name=f"h{i}", ssh=server.destination) for i in range(12)]
        with start_sampling(watched, run, 60, server.options):
            assert wait_until(lambda: all(rows_of(run, h.name, "vmstat") > 2 for h in watched), 60)
            assert wait_until(lambda: all(rows_of(run, h.name, "proc") > 2 for h in watched), 60)
        assert not [e for e in read_journal(run.raw("sampling.jsonl")) if e["event"] == "ended"]


@needs_sshd
def test_an_unreachable_host_is_told_and_the_rest_is_kept(run, sshd):
    nobody = Host(name="nobody", ssh="nobody.invalid")
    watched = [Host(name="local"), nobody]
    with start_sampling(watched, run, 60, sshd.options):
        assert wait_until(lambda: both_sampled(run, "local"), 20)
        assert wait_until(lambda: any(e["event"] == "ended" for e in read_journal(run.raw("sampling.jsonl"))), 20)
    frame = collect_hosts(run, watched).frame
    assert set(frame["resource"]) == {"host:local"}
    assert "nobody.invalid" in " ".join(host_warnings(run)["nobody"])


def test_empty_vmstat_is_told_and_the_rest_is_kept(run):
    watched = [Host(name="local")]
    with start_sampling(watched, run, 60):
        assert wait_until(lambda: both_sampled(run, "local"), 20)
    run.raw("local.vmstat.log").write_text("")
    frame = collect_hosts(run, watched).frame
    assert set(frame["source"]) == {"proc"}
    (said,) = host_warnings(run)["local"]
    assert "expected rows of vmstat on local, got an empty file; try by hand" in said
    assert "\n" not in said


def test_nothing_at_all_is_an_error(run):
    with pytest.raises(CollectError, match="expected samples of at least one host, got none") as caught:
        collect_hosts(run, [Host(name="local")])
    assert "\n" not in str(caught.value)
    assert len(collect_hosts(run, [])) == 0, "a plan may watch no host"


def test_logs_cut_at_any_byte_read_without_an_error(run):
    watched = [Host(name="local")]
    with start_sampling(watched, run, 60):
        assert wait_until(lambda: rows_of(run, "local", "vmstat") >= 6 and rows_of(run, "local", "proc") >= 5, 20)
    whole = {kind: run.raw(f"local.{kind}.log").read_bytes() for kind in ("vmstat", "proc")}
    kept = collect_hosts(run, watched).frame
    for cut in range(1, 400, 23):
        for kind, data in whole.items():
            run.raw(f"local.{kind}.log").write_bytes(data[:-cut])
        frame = collect_hosts(run, watched).frame
        merged = frame.merge(kept, on=["time", "source", "metric"], suffixes=("", "_whole"))
        assert len(merged) == len(frame)
        assert (merged["value"] == merged["value_whole"]).all()


LATE = """\
--procs-- -----------------------memory---------------------- ---swap-- -----io---- -system-- ----------cpu---------- -----timestamp-----
   r    b         swpd         free         buff        cache   si   so    bi    bo   in   cs  us  sy  id  wa  st  gu                 UTC
  18    0            0     13396872       145972      7159068    0    0   797  1698  564 1385  84   8   8   0   0   0 2026-12-31 23:59:56
  17    0            0     13396872       145972      7159068    0    0     8   512  808 2363  87  13   0   0   0   0 2026-12-31 23:59:57
  14    0            0     13396872       145972      7159068    0    0     4    92  812 1502  94   6   0   0   0   0 2026-12-31 23:59:59
"""  # noqa: E501


def test_a_row_that_comes_late_moves_no_other(run):
    """The interval is the one that was asked for: of a short log the median of 1 and 2 s would be none."""
    run.raw("local.vmstat.log").parent.mkdir()
    run.raw("local.vmstat.log").write_text(LATE)
    frame = collect_hosts(run, [Host(name="local")]).frame
    times = frame[frame["metric"] == "run_queue"]["time"].dt.strftime("%H:%M:%S.%f").tolist()
    assert times == ["23:59:56.000000", "23:59:58.000000"]


def test_times_are_corrected_by_the_clock_offset_of_the_run(run):
    watched = [Host(name="local")]
    with start_sampling(watched, run, 60):
        assert wait_until(lambda: both_sampled(run, "local"), 20)
    plain = collect_hosts(run, watched).frame
    run.write_record(clock_offsets={"start": {"local": {"offset_s": 10.0}}, "end": {"local": {"offset_s": 20.0}}})
    corrected = collect_hosts(run, watched).frame
    assert (plain["time"] - corrected["time"] == pd.Timedelta(seconds=15)).all()


@needs_sshd
def test_clock_offsets_of_all_hosts(sshd):
    found = clock_offsets(
        [Host(name="local"), Host(name="far", ssh=sshd.destination), Host(name="nobody", ssh="nobody.invalid")],
        sshd.options,
    )
    assert found["local"]["offset_s"] == 0
    assert abs(found["far"]["offset_s"]) <= found["far"]["uncertainty_s"]
    assert "nobody.invalid" in found["nobody"]["error"]


def test_stop_returns_at_once(run):
    sampling = start_sampling([Host(name="local")], run, 60)
    assert wait_until(lambda: both_sampled(run, "local"), 20)
    pids = [e["pid"] for e in read_journal(run.raw("sampling.jsonl"))]
    sampling.stop()
    assert not [p for p in pids if os.path.exists(f"/proc/{p}")]
