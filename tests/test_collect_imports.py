"""collect.imports: socket listings of this machine's own tools, once or again and again; anything else refused."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess

import pytest

from genkai import schema
from genkai.collect.imports import ImportFileError, listing_metrics, parse_listings

SS_S = """Total: 505
TCP:   620 (estab 12, closed 503, orphaned 1, timewait 500)

Transport Total     IP        IPv6
TCP	  117       100       17
"""
SOCKSTAT = "sockets: used 286\nTCP: inuse 262 orphan 3 tw 422 alloc 263 mem 5\nUDP: inuse 0 mem 0\n"


def counts_of(text):
    (listing,) = parse_listings(text)
    return listing.counts


def test_summaries():
    assert counts_of(SS_S) == {"sockets_tcp_allocated": 620, "tcp_established": 12, "tcp_closed": 503,
                                   "sockets_orphaned": 1, "sockets_time_wait": 500}  # fmt: skip
    assert counts_of(SOCKSTAT) == {"sockets_used": 286, "sockets_tcp_in_use": 262, "sockets_orphaned": 3,
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
    text = f"2024-05-01T00:00:00Z\n{text}"
    counts = counts_of(text)
    assert counts
    if command[1] in ("-tan", "-an"):
        assert counts["tcp_listen"] >= 1
        assert counts["tcp_established"] >= 2
    table = listing_metrics(parse_listings(text), "here")
    assert len(schema.check_table(table, "metrics")) == len(counts)


@pytest.mark.parametrize("text", ["", "hello", "TCP: none"])
def test_other_text_is_no_socket_listing(text):
    with pytest.raises(ImportFileError, match="expected ss -s"):
        parse_listings(text)


def test_listings_below_date_lines_are_a_series():
    text = (
        f"2024-05-01T12:00:00+09:00\n{SS_S}\nWed May  1 03:00:10 UTC 2024\n{SS_S.replace('timewait 500', 'timewait 9')}"
    )
    table = listing_metrics(parse_listings(text), "web")
    waiting = table[table["metric"] == "sockets_time_wait"]
    assert [t.isoformat() for t in waiting["time"]] == ["2024-05-01T03:00:00+00:00", "2024-05-01T03:00:10+00:00"]
    assert list(waiting["value"]) == [500, 9]


def test_several_listings_without_dates_cannot_be_placed():
    with pytest.raises(ImportFileError, match="a line with the date before each listing, got 2 listings"):
        parse_listings(SOCKSTAT + SOCKSTAT)


def test_a_state_that_a_listing_lacks_is_none_of_that_state():
    head = "State Recv-Q Send-Q Local Address:Port Peer Address:Port\n"
    one, two = "ESTAB 0 0 127.0.0.1:1 127.0.0.1:2\n", "TIME-WAIT 0 0 127.0.0.1:1 127.0.0.1:2\n"
    table = listing_metrics(parse_listings(f"1714530000\n{head}{one}1714530001\n{head}{two}{two}"), "web")
    found = {m: list(rows["value"]) for m, rows in table.groupby("metric")}
    assert found == {"tcp_established": [1, 0], "sockets_time_wait": [0, 2]}


@pytest.mark.parametrize(("text", "what"), [
    ("Active Connections\n\n  Proto  Local Address\n", "Windows"), ("Kernel Interface table\n", "interfaces"),
    ("ESTAB 0 0 127.0.0.1:1 127.0.0.1:2\n", "without its line of column names"), ("", "an empty file"),
])  # fmt: skip
def test_what_it_is_instead(text, what):
    with pytest.raises(ImportFileError, match=what):
        parse_listings(text)
