"""collect.imports: sar and sadf text, socket listings of this machine's own tools, anything else refused."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import suppress
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai import schema
from genkai.collect.imports import ImportFileError, parse_sar, parse_sockets, socket_metrics

SAR = """Linux 5.10.0 (web1) \t2024-05-01 \t_x86_64_\t(2 CPU)

23:59:58        CPU     %user     %nice   %system   %iowait    %steal     %idle
23:59:59        all     10.00      0.00      5.00      1.00      0.00     84.00
23:59:59          0     20.00      0.00      5.00      1.00      0.00     74.00
00:00:00        all     11.00      0.00      5.00      1.00      0.00     83.00
00:00:00          0     21.00      0.00      5.00      1.00      0.00     73.00
Average:        all     10.50      0.00      5.00      1.00      0.00     83.50

23:59:58        IFACE   rxpck/s   txpck/s    rxkB/s    txkB/s   rxcmp/s   txcmp/s  rxmcst/s   %ifutil
23:59:59         eth0    100.00     50.00      2.00      1.00      0.00      0.00      0.00      0.00
"""
SADF = """# hostname;interval;timestamp;CPU;%user;%nice;%system;%iowait;%steal;%idle
web1;1;2024-05-01 12:00:01 UTC;-1;10,00;0,00;5,00;1,00;0,00;84,00
web1;1;2024-05-01 12:00:02 UTC;-1;12,50;0,00;5,00;1,00;0,00;81,50
"""


def values(frame: pd.DataFrame, metric: str) -> dict[str, float]:
    rows = frame[frame["metric"] == metric]
    return {t.isoformat(): v for t, v in zip(rows["time"], rows["value"], strict=True)}


def test_sar_over_midnight_per_core_and_interface():
    frame = parse_sar(SAR, "web").frame
    assert values(frame, "cpu_user_ratio") == pytest.approx(
        {"2024-05-01T23:59:58+00:00": 0.10, "2024-05-01T23:59:59+00:00": 0.11}
    )
    assert values(frame, "core0_user_ratio") == pytest.approx(
        {"2024-05-01T23:59:58+00:00": 0.20, "2024-05-01T23:59:59+00:00": 0.21}
    )
    assert values(frame, "net_eth0_received_bytes_per_s") == {"2024-05-01T23:59:58+00:00": 2048.0}
    assert "sar_percent_ifutil[eth0]" in set(frame["metric"])
    schema.check_table(frame, "metrics")


def test_sar_with_am_pm_and_a_local_zone():
    text = SAR.replace("23:59:5", "11:59:5").replace("00:00:00", "12:00:00")
    for clock in ("11:59:58", "11:59:59", "12:00:00"):
        text = text.replace(clock, clock + (" PM" if clock[0:2] == "12" else " AM"))
    frame = parse_sar(text, "web", zone=ZoneInfo("Asia/Tokyo")).frame
    assert list(values(frame, "cpu_user_ratio")) == ["2024-05-01T02:59:58+00:00", "2024-05-01T02:59:59+00:00"]


def test_sadf_with_decimal_commas():
    frame = parse_sar(SADF, "web").frame
    assert values(frame, "cpu_user_ratio") == pytest.approx(
        {"2024-05-01T12:00:00+00:00": 0.10, "2024-05-01T12:00:01+00:00": 0.125}
    )


def test_sar_without_its_day():
    text = SAR.split("\n", 2)[2]
    with pytest.raises(ImportFileError, match="give the day"):
        parse_sar(text, "web")
    assert not parse_sar(text, "web", day=date(2024, 5, 1)).frame.empty


@pytest.mark.parametrize("text", ["", "procs memory\n 1 2 3\n", "a;b;c\n"])
def test_other_text_is_no_sar(text):
    with pytest.raises(ImportFileError, match="expected the text of sar or sadf"):
        parse_sar(text, "web")


SS_S = """Total: 505
TCP:   620 (estab 12, closed 503, orphaned 1, timewait 500)

Transport Total     IP        IPv6
TCP	  117       100       17
"""
SOCKSTAT = "sockets: used 286\nTCP: inuse 262 orphan 3 tw 422 alloc 263 mem 5\nUDP: inuse 0 mem 0\n"


def test_summaries():
    assert parse_sockets(SS_S) == {"sockets_tcp_allocated": 620, "tcp_established": 12, "tcp_closed": 503,
                                   "sockets_orphaned": 1, "sockets_time_wait": 500}  # fmt: skip
    assert parse_sockets(SOCKSTAT) == {"sockets_used": 286, "sockets_tcp_in_use": 262, "sockets_orphaned": 3,
                                       "sockets_time_wait": 422, "sockets_tcp_allocated": 263,
                                       "tcp_memory_bytes": 20480}  # fmt: skip


@pytest.mark.parametrize(
    "command", [["ss", "-tan"], ["ss", "-an"], ["netstat", "-an"], ["ss", "-s"], ["cat", "/proc/net/sockstat"]]
)
def test_this_machines_own_tools(command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        text = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"}
        ).stdout
    counts = parse_sockets(text)
    assert counts
    if command[1] in ("-tan", "-an"):
        assert counts["tcp_listen"] >= 1
        assert counts["tcp_established"] >= 2
    table = socket_metrics(counts, "here", datetime(2024, 5, 1, tzinfo=UTC))
    assert len(schema.check_table(table, "metrics")) == len(counts)


@pytest.mark.parametrize("text", ["", "hello", "TCP: none"])
def test_other_text_is_no_socket_listing(text):
    with pytest.raises(ImportFileError, match="expected ss -s"):
        parse_sockets(text)


KNOWN = [*SAR.splitlines(), *SADF.splitlines(), *SS_S.splitlines(), *SOCKSTAT.splitlines(), "", "99:99:99 CPU",
         "State Recv-Q Send-Q Local Peer", "00:00:01 LINUX RESTART"]  # fmt: skip
lines = st.lists(st.sampled_from(KNOWN), max_size=20)


@settings(max_examples=int(os.environ.get("GENKAI_FUZZ_EXAMPLES", "150")), deadline=None)
@given(st.one_of(lines.map("\n".join), st.text(max_size=200)))
def test_any_text_is_read_or_refused(text):
    with suppress(ImportFileError):
        parse_sar(text, "web")
    with suppress(ImportFileError):
        parse_sockets(text)
