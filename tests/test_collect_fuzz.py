"""Real logs, broken in every way: each reader reads or refuses, with no traceback and no row that is not there.

`make nightly` tries 100 000 inputs over all fuzz tests (GENKAI_FUZZ_EXAMPLES each); CI a few.
"""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genkai.collect import proc_log
from genkai.collect.errors import CollectError
from genkai.collect.imports import listing_metrics, parse_listings
from genkai.collect.proc_sampler import proc_command
from genkai.collect.sar import parse_sar
from genkai.collect.vmstat import METRICS, parse_vmstat, vmstat_metrics
from genkai.collect.webserver import StatusError, parse_status
from proc_tables import proc_metrics
from test_collect_imports import SOCKSTAT, SS_S
from test_collect_vmstat import number_runs
from test_collect_webserver import APACHE, NGINX, TOMCAT

DATA = Path(__file__).parent / "data"
FUZZ = int(os.environ.get("GENKAI_FUZZ_EXAMPLES", "40"))
fuzzed = settings(max_examples=FUZZ, deadline=None, suppress_health_check=list(HealthCheck), database=None)

VMSTAT = ["\n".join(p.read_text().split("\n")[:40]) for p in sorted((DATA / "vmstat").glob("*.txt"))]
SAR = ["\n".join(p.read_text().split("\n")[:40]) for p in sorted((DATA / "sysstat").iterdir())]
NETSTAT = "Active Internet connections (servers and established)\nProto Recv-Q Send-Q Local Foreign State\n" + (
    "tcp        0      0 0.0.0.0:22              0.0.0.0:*               LISTEN     \n"
    "tcp6       0      0 ::1:8888                ::1:4444                TIME_WAIT  \n"
)
SS = "State Recv-Q Send-Q Local Address:Port Peer Address:Port\nLISTEN 0 128 0.0.0.0:22 0.0.0.0:*\n" + (
    "ESTAB 0 0 127.0.0.1:22 127.0.0.1:5000\nTIME-WAIT 0 0 127.0.0.1:1 127.0.0.1:2\n"
)
SOCKETS = [SS, SS_S, SOCKSTAT, NETSTAT, f"2024-05-01T12:00:00Z\n{SS}2024-05-01T12:00:01Z\n{SS}"]
WORDS = ["0", "1", "100", "-1", "1e5", "nan", "inf", "9" * 30, "²", "٣", "0x1f", "1_000", "12:00:01", "24:00:00", "AM",
         "2024-05-01", "31/02/24", "Linux 6.1 (a) 13/13/13", "LINUX RESTART", "Average:", "CPU", "all", "r", "b", ";",
         "\t", "\0", "\r", "\x1c", "\u2028", "procs", "S", "F uptime", ".", "#genkai-proc 1 ", "", "Total: 1",
         "TCP: 1 (estab 1)", "\n", "sockets: used 1"]  # fmt: skip


@cache
def proc_text() -> str:
    """Real samples of this machine."""
    done = subprocess.run(["sh", "-c", proc_command(3)], capture_output=True, text=True, check=True)
    head, *lines = done.stdout.splitlines()  # names come again where the machine's counters changed meanwhile
    short = [" ".join([*line.split()[:14], *(["."] if line[0] == "S" else [])]) for line in lines]
    return "\n".join([head, *short, ""]) * 2


@st.composite
def broken(draw: st.DrawFn, bases: list[str]) -> str:
    """A text with up to five wounds: lines and words lost, doubled, moved, replaced, glued, cut, spliced."""
    text = draw(st.sampled_from(bases))
    for _ in range(draw(st.integers(0, 5))):
        kind = draw(st.integers(0, 8))
        lines = text.split("\n")
        i, j = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
        words = lines[i].split(" ")
        k = draw(st.integers(0, len(words) - 1))
        if kind == 0:
            del lines[i]
        elif kind == 1:
            lines.insert(j, lines[i])
        elif kind == 2:
            lines[i], lines[j] = lines[j], lines[i]
        elif kind == 3:
            words[k] = draw(st.sampled_from(WORDS))
            lines[i] = " ".join(words)
        elif kind == 4:
            lines[i] = " ".join(words[:k] + words[k + 1 :])
        elif kind == 5:
            lines[i : i + 2] = ["".join(lines[i : i + 2])]
        elif kind == 6:
            lines.insert(i, draw(st.text(max_size=30)))
        elif kind == 7:
            lines[i] = lines[i][: draw(st.integers(0, len(lines[i])))]
        text = "\n".join(lines)
        if kind == 8:
            text = text[: draw(st.integers(0, len(text)))] + draw(st.sampled_from(bases))
    return text


@fuzzed
@given(broken(VMSTAT))
def test_vmstat(text):
    try:
        log = parse_vmstat(text)
    except CollectError:
        return
    known: dict[int, set[tuple[int, ...]]] = {}
    for got in log.frame.drop(columns="time").to_numpy(float).tolist():
        values = tuple(sorted(int(v) for v in got if v == v))
        if len(values) not in known:
            known[len(values)] = {tuple(sorted(run)) for run in number_runs(text, len(values))}
        assert values in known[len(values)]
    with suppress(CollectError):
        table = vmstat_metrics(log, "a")
        assert set(table["metric"]) <= {metric for metric, _, _ in METRICS.values()}
        shares = table[table["unit"] == "ratio"]["value"]
        assert shares.between(0, 1).all()


@fuzzed
@given(broken(SAR))
def test_sar(text):
    try:
        log = parse_sar(text, "a")
    except CollectError:
        return
    cells = {c.replace(",", ".") for c in text.replace(";", " ").split()}
    known = {float(c) for c in cells if c.replace(".", "").replace("-", "").isdecimal() and c.count(".") < 2
             and "-" not in c[1:] and c not in ("-", ".")}  # fmt: skip
    assert not log.frame.duplicated(["time", "metric"]).any()
    for unit, rows in log.frame.groupby("unit"):
        factor = {"ratio": 0.01, "bytes": 1024.0, "bytes/s": 1024.0}.get(str(unit), 1.0)
        assert {round(v, 6) for v in rows["value"]} <= {round(v * factor, 6) for v in known}


@fuzzed
@given(broken(SOCKETS))
def test_sockets(text):
    try:
        listings = parse_listings(text)
    except CollectError:
        return
    numbers = {float(n) for n in re.findall(r"[0-9]+", text)}
    for listing in listings:
        for name, value in listing.counts.items():
            value = value / 4096 if name == "tcp_memory_bytes" else value
            assert value in numbers or value <= text.count("\n") + 1
    if all(listing.time is not None for listing in listings):
        listing_metrics(listings, "a")


@fuzzed
@given(st.data())
def test_proc_at_once_and_line_by_line_agree(data):
    text = data.draw(broken([proc_text()]))
    found = []
    for small in (1, 1 << 40):
        with mock.patch.object(proc_log, "_SMALL", small):
            try:
                log = proc_log.parse_proc(text)
            except CollectError:
                return
            found.append((log.warnings, [run.raw for run in log.runs], proc_metrics(log, "a")))
    (notes, fast, table), (slow_notes, slow, slow_table) = found
    assert notes == slow_notes
    assert len(fast) == len(slow)
    for one, other in zip(fast, slow, strict=True):
        assert list(one.columns) == list(other.columns)
        assert np.array_equal(one.to_numpy(float), other.to_numpy(float), equal_nan=True)
        assert np.array_equal(one.index, other.index)
    assert table.equals(slow_table)


@fuzzed
@given(broken([APACHE, NGINX, TOMCAT]))
def test_status_pages(text):
    try:
        counts = parse_status(text)
    except StatusError:
        return
    assert all(v == v and (v >= 0 or k == "dropped") for k, v in counts.items())


@fuzzed
@given(st.sampled_from([parse_vmstat, lambda b: parse_sar(b, "a"), proc_log.parse_proc]), st.binary(max_size=200),
       st.sampled_from([b"", *(t.encode() for t in VMSTAT[:1] + SAR[-1:])]))  # fmt: skip
def test_bytes(read, tail, head):
    with suppress(CollectError):
        read(head + tail)


def test_what_is_whole_is_read_whole():
    """The inputs above begin from texts that are read: otherwise nothing would be fuzzed."""
    for text in VMSTAT:
        assert len(parse_vmstat(text).frame)
    assert sum(1 for text in SAR if _reads(text)) == len(SAR) - 2
    assert all(parse_listings(text) for text in SOCKETS)
    assert proc_log.parse_proc(proc_text()).samples == 6


def _reads(text: str) -> bool:
    try:
        return len(parse_sar(text, "a").frame) > 0
    except CollectError:
        return False
