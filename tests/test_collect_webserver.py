"""collect.webserver: the real nginx and Apache where they are installed, the demo's page, servers that hang."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genkai.collect.sampling import collect_hosts, start_sampling
from genkai.collect.webserver import StatusError, StatusPoller, parse_status, read_status, status_metrics
from genkai.load.process import free_port
from genkai.plan import Host
from genkai.workspace import Run, read_journal
from sshd import wait_until

APACHE = "Total Accesses: 1234\nTotal kBytes: 5\nBusyWorkers: 7\nIdleWorkers: 3\nConnsTotal: 12\nScoreboard: WWW___\n"
NGINX = "Active connections: 291 \nserver accepts handled requests\n 16630948 16630940 31070465 \n" + (
    "Reading: 6 Writing: 179 Waiting: 106 \n"
)
TOMCAT = """<?xml version="1.0" encoding="utf-8"?><status><jvm><memory free='1' total='2' max='3'/></jvm>
<connector name='"http-nio-8080"'><threadInfo maxThreads="200" currentThreadCount="10" currentThreadsBusy="150"
 connectionCount="170"/><requestInfo maxTime="1" processingTime="2" requestCount="99" errorCount="0"/></connector>
<connector name='"ajp"'><threadInfo maxThreads="100" currentThreadCount="1" currentThreadsBusy="1"/></connector>
</status>"""


def test_the_three_formats():
    assert parse_status(APACHE) == {"requests": 1234, "workers_busy": 7, "workers_idle": 3, "connections_active": 12}
    assert parse_status(NGINX) == {"connections_active": 291, "connections_reading": 6, "connections_writing": 179,
                                   "connections_waiting": 106, "requests": 31070465, "dropped": 8}  # fmt: skip
    assert parse_status(TOMCAT) == {"workers_busy": 151, "workers_idle": 149, "connections_active": 170, "requests": 99}


@pytest.mark.parametrize("text", ["", "<html>Server Status</html>", "BusyWorkers: many", "<status>", "<status/>",
                                  '<!DOCTYPE a [<!ENTITY b "c">]><status/>'])  # fmt: skip
def test_another_page_is_refused(text):
    with pytest.raises(StatusError, match="expected") as caught:
        parse_status(text)
    assert "\n" not in str(caught.value)


@given(
    st.one_of(
        st.text(), st.text().map(lambda t: APACHE[: len(t)] + t), st.text().map(lambda t: TOMCAT[: 9 * len(t)] + t)
    )
)
def test_any_page_is_read_or_refused(text):
    with suppress(StatusError):
        assert all(v == v and v >= 0 for k, v in parse_status(text).items() if k != "dropped")


class Scripted:
    """A server that answers each connection with the next of its pages; None: it never answers."""

    def __init__(self, *pages: str | None) -> None:
        self.pages = list(pages)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/server-status?auto"
        self.requests: list[bytes] = []
        self.held: list[socket.socket] = []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.requests.append(connection.recv(4096))
                text = self.pages.pop(0) if self.pages else APACHE
                if text is None:
                    self.held.append(connection)
                    continue
                connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
                connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Not closed while the thread may still ask for it: the next server's listener can get the same descriptor.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(60)
        self.listener.close()
        for connection in self.held:
            connection.close()


def test_a_page_that_hangs_is_a_timeout_within_the_limit():
    with Scripted(None) as server:
        begin = time.monotonic()
        assert read_status(server.url, 0.3)["outcome"] == "timeout"
        assert time.monotonic() - begin < 5


def test_a_page_that_trickles_is_a_timeout_too():
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def trickle():
        connection, _ = listener.accept()
        connection.recv(4096)
        with suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not done.wait(0.05):
                connection.sendall(b"x")
        connection.close()

    threading.Thread(target=trickle, daemon=True).start()
    try:
        assert read_status(f"http://127.0.0.1:{listener.getsockname()[1]}/", 0.4)["outcome"] == "timeout"
    finally:
        done.set()
        listener.close()


def test_nobody_there_is_an_error():
    record = read_status(f"http://127.0.0.1:{free_port()}/")
    assert record["outcome"] == "error"
    assert "refused" in record["text"]


def test_password_is_sent_and_never_repeated(tmp_path):
    with Scripted() as server:
        url = server.url.replace("http://", "http://me:s%40cret@")
        record = read_status(url)
        assert record["outcome"] == "answer"
        assert b"Basic bWU6c0BjcmV0" in server.requests[0]
    assert "cret" not in str(record)
    assert "cret" not in str(read_status(f"http://me:s%40cret@127.0.0.1:{free_port()}/"))


def test_polls_become_metrics_and_timeouts_are_evidence(tmp_path):
    pages = [APACHE, APACHE.replace("1234", "1334"), None, APACHE.replace("1234", "10"), "<html>", APACHE]
    with Scripted(*pages) as server:
        poller = StatusPoller(server.url, tmp_path / "s.jsonl", every_s=0.2, limit_s=2)
        assert wait_until(lambda: len(list(read_journal(tmp_path / "s.jsonl"))) >= 6, 30)
        poller.stop()
    table, notes = status_metrics(tmp_path / "s.jsonl", "web")
    values = {m: part["value"].tolist() for m, part in table.groupby("metric")}
    assert values["timeouts"][:6] == [0, 0, 1, 0, 0, 0]
    assert values["errors"][:6] == [0, 0, 0, 0, 1, 0]
    assert values["workers_busy"][:3] == [7, 7, 7]
    assert values["requests_per_s"][0] == pytest.approx(100 / table["period_s"].iloc[0], rel=0.01)
    assert any("1 of" in n and "timeout" in n for n in notes)
    assert set(table["source"]) == {"webserver"}


def test_status_is_part_of_sampling(tmp_path):
    run = Run(tmp_path / "2-api-a")
    with Scripted() as server:
        watched = [Host(name="local", status_url=server.url)]
        with start_sampling(watched, run, 30):
            assert wait_until(
                lambda: run.raw("local.proc.log").exists() and run.raw("local.proc.log").read_text().count("S ") > 2, 20
            )
        frame = collect_hosts(run, watched).frame
    assert {"webserver", "proc"} <= set(frame["source"])
    assert set(frame[frame["metric"] == "workers_idle"]["value"]) == {3.0}
