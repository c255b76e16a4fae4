"""collect.proc and its sampler: the real /proc here, real processes, cut logs, counters that begin anew."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from contextlib import suppress

import numpy as np
import pandas as pd
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai import schema
from genkai.collect.proc import ProcError, parse_proc
from genkai.collect.proc_sampler import proc_command
from proc_tables import proc_metrics


def sample(samples: int, processes: tuple[str, ...] = ()) -> str:
    done = subprocess.run(["sh", "-c", proc_command(samples, processes)], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module")
def listener():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(7)
        with socket.create_connection(server.getsockname()), socket.create_connection(server.getsockname()):
            yield server.getsockname()[1]


@pytest.fixture(scope="module")
def here(listener):
    """(log, table, seconds) of five samples of this machine while a process named genkaispin burns a core, that long
    at most, and a queue of two waits."""
    script = "printf genkaispin > /proc/$$/comm; echo; while :; do :; done"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as busy:
        try:
            busy.stdout.readline()
            before = cpu_s(busy.pid)
            text = sample(5, ("genkaispin", "not there"))
            used = cpu_s(busy.pid) - before
        finally:
            busy.kill()
    return text, proc_metrics(parse_proc(text), "here"), used


def cpu_s(pid: int) -> float:
    return sum(psutil.Process(pid).cpu_times()[:2])


def values(table: pd.DataFrame, metric: str) -> pd.Series:
    return table[table["metric"] == metric].set_index("time")["value"]


def test_samples_come_once_a_second_at_the_right_time(here):
    log = parse_proc(here[0])
    assert log.samples == 5
    assert log.warnings == []
    stamps = log.runs[0].raw.index.to_numpy()
    assert abs(stamps[-1] - time.time()) < 30
    assert np.all(np.diff(stamps) > 0.5)


def test_ratios_are_ratios_and_add_up(here):
    table = here[1]
    modes = [f"cpu_{m}_ratio" for m in ("user", "system", "iowait", "irq", "steal", "idle")]
    total = sum(values(table, m) for m in modes)
    assert total.to_numpy() == pytest.approx(1.0, abs=1e-9)
    cores = [values(table, f"core{i}_busy_ratio") for i in range(os.cpu_count())]
    assert values(table, "cpu_busy_ratio").to_numpy() == pytest.approx(np.mean(cores, axis=0), abs=0.1)
    assert (values(table, "core_max_busy_ratio") == pd.concat(cores, axis=1).max(axis=1)).all()
    schema.check_table(table, "metrics")


def test_memory_agrees_with_the_kernel(here):
    with open("/proc/meminfo") as stream:
        total = int(stream.readline().split()[1]) * 1024
    assert set(values(here[1], "mem_total_bytes")) == {total}
    used = values(here[1], "mem_used_ratio")
    assert ((used > 0) & (used < 1)).all()


def test_the_named_process_is_seen_to_be_busy(here):
    """As busy as it was: on a machine with much to do it does not get a core."""
    _, table, used = here
    told = table[table["metric"] == "process_genkaispin_cpu_ratio"]
    assert 0.3 * used < (told["value"] * told["period_s"]).sum() <= used + 0.1
    assert set(values(table, "process_genkaispin_count")) == {1.0}
    assert (values(table, "process_genkaispin_fds_max") >= 3).all()
    assert (values(table, "process_genkaispin_fds_limit") > 3).all()


def test_the_accept_queue_is_seen(here, listener):
    assert set(values(here[1], f"listen_{listener}_queue")) == {2.0}


def test_counters_of_connections_move(listener):
    command = proc_command(4)
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True) as sampler:
        while sampler.poll() is None and time.sleep(0.05) is None:
            with socket.socket() as refused, suppress(OSError):
                refused.connect(("127.0.0.1", 1))
        text = sampler.stdout.read()
    table = proc_metrics(parse_proc(text), "here")
    assert values(table, "tcp_active_opens_per_s").max() > 1
    assert values(table, "tcp_attempt_fails").sum() > 3


# ---- logs made by hand

HEAD = "#genkai-proc 1 1700000000.5 100.00 100\n"
FIELDS = "F uptime stat.ctxt net.eth0.rx_bytes sock.tw tcpext.ListenOverflows\n"


def line(uptime: float, *numbers: int) -> str:
    return f"S {uptime:.2f} {' '.join(map(str, numbers))} .\n"


def steady(count: int, first: int = 0) -> str:
    return "".join(line(100 + first + i, 1000 + 10 * i, 5000 + 100 * i, 7 + i, i // 2) for i in range(count))


def test_counters_become_rates_and_increments_at_the_start_of_the_interval():
    table = proc_metrics(parse_proc(HEAD + FIELDS + steady(4)), "a", clock_offset_s=0.5)
    assert values(table, "context_switches_per_s").tolist() == pytest.approx([10, 10, 10])
    assert values(table, "net_received_bytes_per_s").tolist() == pytest.approx([100, 100, 100])
    assert values(table, "net_eth0_received_bytes_per_s").tolist() == pytest.approx([100, 100, 100])
    assert values(table, "tcp_listen_overflows").tolist() == [0, 1, 0]
    assert values(table, "sockets_time_wait").tolist() == [8, 9, 10]
    assert values(table, "sockets_time_wait").index[0] == pd.Timestamp(1_700_000_000, unit="s", tz="UTC")


def test_runs_are_never_differenced_across_a_restart():
    second = (
        HEAD.replace("1700000000.5 100.00", "1700000060.5 10.00") + FIELDS + line(10, 1, 1, 1, 0) + line(11, 5, 9, 1, 0)
    )
    table = proc_metrics(parse_proc(HEAD + FIELDS + steady(3) + second), "a")
    assert values(table, "context_switches_per_s").tolist() == pytest.approx([10, 10, 4])


def test_a_gap_is_a_gap():
    text = HEAD + FIELDS + steady(4) + line(160, 90_000, 90_000, 3, 50) + line(161, 90_010, 90_100, 3, 50)
    table = proc_metrics(parse_proc(text), "a")
    assert values(table, "context_switches_per_s").tolist() == pytest.approx([10, 10, 10, 10])
    assert values(table, "tcp_listen_overflows").sum() == 1


def test_a_counter_that_begins_anew_loses_one_interval_only():
    text = HEAD + FIELDS + line(100, 10, 900, 1, 0) + line(101, 20, 5, 1, 0) + line(102, 30, 15, 1, 0)
    table = proc_metrics(parse_proc(text), "a")
    assert values(table, "net_eth0_received_bytes_per_s").tolist() == pytest.approx([10])
    assert len(values(table, "context_switches_per_s")) == 2


def test_a_set_of_names_that_changes_loses_one_interval_of_what_is_new():
    more = FIELDS.strip() + " disk.sda.reads\n"
    text = HEAD + FIELDS + steady(2) + more + line(102, 1020, 5200, 9, 1, 40) + line(103, 1030, 5300, 9, 1, 50)
    table = proc_metrics(parse_proc(text), "a")
    assert values(table, "context_switches_per_s").tolist() == pytest.approx([10, 10, 10])
    assert values(table, "disk_sda_reads_per_s").tolist() == pytest.approx([10])


def test_a_log_cut_anywhere_reads_up_to_there():
    text = HEAD + FIELDS + steady(3)
    whole = parse_proc(text).runs[0].raw
    for cut in range(len(HEAD) + 1, len(text)):
        for log in (parse_proc(text[:cut]), parse_proc(text[:cut] + HEAD + FIELDS + steady(2))):
            kept = log.runs[0].raw if log.runs else whole.iloc[:0]
            assert kept.equals(whole.iloc[: len(kept)]) or kept.reset_index(drop=True).equals(
                whole.iloc[: len(kept)].reset_index(drop=True)
            )


@pytest.mark.parametrize("text", ["", "procs memory\n", "S 1 2 3 .\n"])
def test_another_file_is_refused(text):
    with pytest.raises(ProcError, match="expected the /proc sampler's log"):
        parse_proc(text)


WORDS = [
    "#genkai-proc 1 ",
    "F",
    "S",
    "uptime",
    ".",
    "\n",
    "1",
    "100.00",
    "cpu.idle",
    "cpu.user",
    "nan",
    "1.2.3",
    "-5",
    "²",
]


@settings(max_examples=int(os.environ.get("GENKAI_FUZZ_EXAMPLES", "100")), deadline=None)
@given(
    st.lists(st.one_of(st.sampled_from(WORDS), st.sampled_from([HEAD, "\n" + FIELDS, "\n" + steady(1)])), max_size=40)
)
def test_any_text_is_read_or_refused(words):
    with suppress(ProcError):
        log = parse_proc(" ".join(words))
        proc_metrics(log, "a")
