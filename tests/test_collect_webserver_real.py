"""collect.webserver against the real nginx, Apache and Tomcat: their numbers, all workers busy, a page that hangs.

Each runs as a process of the test, with limits of a few workers, on loopback. What is not installed is skipped; CI
installs it.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from genkai.collect.webserver import StatusPoller, parse_status, read_status, status_metrics
from genkai.load.process import free_port
from genkai.workspace import read_journal
from sshd import wait_until

TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
TOMCAT_HOME, TOMCAT_MANAGER = Path("/usr/share/tomcat10"), Path("/usr/share/tomcat10-admin/manager")


def program(*names: str) -> str:
    """The first of these programs that is installed, or the test is skipped."""
    found = next((p for n in names if (p := shutil.which(n) or shutil.which(n, path="/usr/sbin"))), None)
    if found is None:
        pytest.skip(f"needs {names[0]} (as .ci/run installs it)")
    return found


def started(command: list[str], url: str, log: Path) -> Iterator[str]:
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            ready = wait_until(lambda: read_status(url)["outcome"] == "answer" or process.poll() is not None, 60)
            assert ready, log.read_text()
            assert process.poll() is None, log.read_text()
            yield url
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    # deferred: a connection is accepted with its first bytes. Without them nginx would close it for the next one, and
    # on a busy machine each of twenty would push out the one before: a slot would always be free.
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; worker_processes 1;\n"
        "events { worker_connections 12; }\n"
        f"http {{ access_log off; {' '.join(f'{n}_temp_path {tmp_path}/{n};' for n in TEMPORARY)}\n"
        f"server {{ listen 127.0.0.1:{port} deferred; location /status {{ stub_status; }} "
        "location / { return 204; } } }\n"
    )
    command = [program("nginx"), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    yield from started(command, f"http://127.0.0.1:{port}/status", tmp_path / "out.log")


@pytest.fixture
def apache(tmp_path: Path) -> Iterator[str]:
    binary = program("apache2", "httpd")
    places = (Path("/usr/lib/apache2/modules"), Path("/usr/lib64/httpd/modules"))
    modules = next((p for p in places if p.exists()), None)
    if modules is None:
        pytest.skip("needs apache2's modules")
    port = free_port()
    (tmp_path / "httpd.conf").write_text(
        f"ServerRoot {tmp_path}\nPidFile {tmp_path}/pid\nListen 127.0.0.1:{port}\nServerName localhost\n"
        f"ErrorLog {tmp_path}/error.log\nTimeout 120\n"
        "StartServers 1\nServerLimit 1\nThreadsPerChild 3\nMaxRequestWorkers 3\nMinSpareThreads 1\n"
        + "".join(f"LoadModule {m}_module {modules}/mod_{m}.so\n" for m in ("mpm_event", "authz_core", "status"))
        + "<Location /server-status>\nSetHandler server-status\nRequire all granted\n</Location>\n"
    )
    command = [binary, "-D", "FOREGROUND", "-f", str(tmp_path / "httpd.conf")]
    yield from started(command, f"http://127.0.0.1:{port}/server-status?auto", tmp_path / "out.log")


@pytest.fixture
def tomcat(tmp_path: Path) -> Iterator[str]:
    java = program("java")
    if not (TOMCAT_MANAGER.exists() and (TOMCAT_HOME / "bin/bootstrap.jar").exists()):
        pytest.skip("needs tomcat10 and tomcat10-admin (as .ci/run installs them)")
    port, base = free_port(), tmp_path
    (base / "conf/Catalina/localhost").mkdir(parents=True)
    for name in ("logs", "temp", "work", "webapps"):
        (base / name).mkdir()
    (base / "conf/web.xml").write_text('<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0"/>')
    (base / "conf/tomcat-users.xml").write_text(
        '<tomcat-users><role rolename="manager-status"/><user username="u" password="p" roles="manager-status"/>'
        "</tomcat-users>"
    )
    (base / "conf/Catalina/localhost/manager.xml").write_text(
        f'<Context privileged="true" docBase="{TOMCAT_MANAGER}"/>'
    )
    # parseBodyMethods: a GET whose promised body never comes holds a thread, as a slow page does
    (base / "conf/server.xml").write_text(
        f'<Server port="-1"><Service name="Catalina"><Connector address="127.0.0.1" port="{port}" maxThreads="3"'
        ' minSpareThreads="1" connectionTimeout="120000" parseBodyMethods="GET,POST"/>'
        '<Engine name="Catalina" defaultHost="localhost"><Realm className="org.apache.catalina.realm.MemoryRealm"/>'
        '<Host name="localhost" appBase="webapps"/></Engine></Service></Server>'
    )
    jars = ":".join(str(TOMCAT_HOME / "bin" / name) for name in ("bootstrap.jar", "tomcat-juli.jar"))
    command = [java, "-Xmx96m", "-XX:TieredStopAtLevel=1", "-cp", jars, f"-Dcatalina.home={TOMCAT_HOME}",
               f"-Dcatalina.base={base}", f"-Djava.io.tmpdir={base}/temp", "org.apache.catalina.startup.Bootstrap",
               "start"]  # fmt: skip
    yield from started(command, f"http://u:p@127.0.0.1:{port}/manager/status?XML=true", tmp_path / "out.log")


def address(url: str) -> tuple[str, int]:
    return "127.0.0.1", int(url.rsplit(":", 1)[1].split("/")[0])


def numbers(url: str) -> dict[str, float]:
    poll = read_status(url)
    return parse_status(poll["text"]) if poll["outcome"] == "answer" else {}


def hold(url: str, stack: ExitStack, request: str) -> None:
    """A connection whose request never ends."""
    connection = stack.enter_context(socket.create_connection(address(url), 5))
    connection.sendall(request.encode())


def evidence(url: str, journal: Path, limit_s: float = 0.5) -> tuple[dict[str, float], list[str]]:
    """({metric: sum over the polls}, what was wrong) after a poll that did not end well."""
    poller = StatusPoller(url, journal, 0.1, limit_s)
    assert wait_until(lambda: any(p["outcome"] != "answer" for p in read_journal(journal)), 30)
    poller.stop()
    table, notes = status_metrics(journal, "web")
    return {str(m): v for m, v in table.groupby("metric")["value"].sum().items()}, notes


def test_nginx_counts_its_requests(nginx):
    before = numbers(nginx)
    for _ in range(5):
        urllib.request.urlopen(nginx.replace("status", "")).close()
    after = numbers(nginx)
    assert after["requests"] - before["requests"] == 6
    assert after["dropped"] == 0
    assert after["connections_writing"] >= 1


def test_nginx_out_of_connections_drops_them_and_says_so(nginx, tmp_path):
    with ExitStack() as held:
        for _ in range(20):
            hold(nginx, held, "GET / HTTP/1.1\r\n")
        sums, notes = evidence(nginx, tmp_path / "polls.jsonl")
        assert sums["errors"] + sums["timeouts"] >= 1
        assert "polls of its status page ended in" in notes[0]
    assert wait_until(lambda: numbers(nginx).get("dropped", 0) >= 1, 20)
    assert "worker_connections are not enough" in (tmp_path / "error.log").read_text()


@pytest.mark.parametrize("server", ["apache", "tomcat"])
def test_all_workers_busy_and_a_page_that_hangs(server, request, tmp_path):
    url = request.getfixturevalue(server)

    def has_workers(busy: int, idle: int) -> bool:
        return wait_until(lambda: {"workers_busy": busy, "workers_idle": idle}.items() <= numbers(url).items(), 20)

    assert has_workers(1, 2), "the page itself holds one; that of the request before may still be at work"
    body = (
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 999\r\nAuthorization: Basic dTpw\r\n\r\nX"
    )
    slow = (
        "GET / HTTP/1.1\r\nHost: a\r\n" if server == "apache" else f"GET /manager/status HTTP/1.1\r\nHost: a\r\n{body}"
    )
    with ExitStack() as held:
        for _ in range(2):
            hold(url, held, slow)
        assert has_workers(3, 0)
        hold(url, held, slow)
        sums, notes = evidence(url, tmp_path / "polls.jsonl")
        assert sums["timeouts"] >= 1
        assert any("ended in timeout (no answer within 0.5 s)" in note for note in notes)
    assert has_workers(1, 2), "it recovers, and is seen to"
