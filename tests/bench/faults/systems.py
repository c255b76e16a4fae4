"""The systems of the bench, started and stopped: the demo's world, one app alone, nginx, Apache, and odd servers."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.faults.case import System
from genkai.collect.webserver import read_status
from genkai.demo.children import Child
from genkai.demo.settings import AppSettings, BalancerSettings
from genkai.demo.world import DemoWorld

LOCAL = {"name": "local", "role": "generator"}
SERVERS = "bench.faults.servers"


def world(
    app: AppSettings | Sequence[AppSettings] = AppSettings(), *, instances: int = 2, capacity_rps: float = 0,
    surge_queue: int = 1024, workers: bool = False, program: Sequence[str] = ("genkai.demo.app",),
    kill_after_s: float = 0, **balancer: Any,
) -> Callable:  # fmt: skip
    """The demo's balancer, instances, and AWS; workers: the first instance's status page is polled."""

    @contextmanager
    def started() -> Iterator[System]:
        with DemoWorld(instances, capacity_rps, surge_queue, app, BalancerSettings(**balancer), program,
                       publish_period_s=1) as running:  # fmt: skip
            first = next(iter(running.apps.values()))
            page = {"status_url": f"http://127.0.0.1:{first.facts['port']}/server-status?auto"} if workers else {}
            aws = {"load_balancer": "genkai-demo", "period_s": 1, "endpoints": running.aws_endpoints}
            victim = list(running.instance_pids.values())[-1]
            events = ((kill_after_s, lambda: os.kill(victim, signal.SIGKILL)),) if kill_after_s else ()
            yield System(running.base_url, [{**LOCAL, **page}], aws, events)

    return started


def alone(
    app: AppSettings = AppSettings(), *, program: Sequence[str] = ("genkai.demo.app",), watched: bool = False,
    workers: bool = False, core: int | None = None, open_files: int = 0,
) -> Callable:  # fmt: skip
    """One server without a balancer; watched: /proc of its machine is sampled as a target's."""

    @contextmanager
    def started() -> Iterator[System]:
        child = Child(program[0], [*program[1:], *app.arguments()])
        try:
            port = child.ready()["port"]
            if core is not None:
                _pin(child.pid, {core})
            if open_files:
                resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (open_files, open_files))
            page = {"status_url": f"http://127.0.0.1:{port}/server-status?auto"} if workers else {}
            target = {"name": "app", "role": "target", "processes": ["python"]}
            yield System(f"http://127.0.0.1:{port}", [{**LOCAL, **page}, *([target] if watched else [])])
        finally:
            child.stop()

    return started


def odd(*arguments: str) -> Callable:
    """A server of `servers.py` that takes no settings."""

    @contextmanager
    def started() -> Iterator[System]:
        child = Child(SERVERS, list(arguments))
        try:
            yield System(f"http://127.0.0.1:{child.ready()['port']}")
        finally:
            child.stop()

    return started


@contextmanager
def _one_core(system: Callable, core: int, rival: bool) -> Iterator[System]:
    """This process and the load that it starts on one core, what is tested on the others; rival: the core is busy."""
    before = os.sched_getaffinity(0)
    with system() as running:
        burner = None
        try:
            if rival:
                burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
                _pin(burner.pid, {core})
            os.sched_setaffinity(0, {core})
            yield running
        finally:
            os.sched_setaffinity(0, before)
            if burner is not None:
                burner.kill()
                burner.wait()


def pinned(system: Callable, core: int = 0, rival: bool = False) -> Callable:
    """The load generator on one core only, which a rival keeps busy if asked."""
    return lambda: _one_core(system, core, rival)


def _pin(pid: int, cores: set[int]) -> None:
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), cores)


NGINX = """\
daemon off; worker_processes 1; pid {place}/nginx.pid; error_log {place}/error.log;
events {{ worker_connections {connections}; }}
http {{
  access_log off; client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;
  uwsgi_temp_path {place}/u; scgi_temp_path {place}/s; {http}
  server {{
    listen 127.0.0.1:{port}{tls};
    location / {{ {location} }}
    location = /status {{ stub_status; }}
  }}
}}
"""
APACHE = """\
ServerRoot {place}
Listen 127.0.0.1:{port}
ServerName localhost
PidFile {place}/httpd.pid
ErrorLog {place}/error.log
{modules}
StartServers {workers}
MinSpareServers 1
MaxSpareServers {workers}
ServerLimit {workers}
MaxRequestWorkers {workers}
KeepAlive Off
ProxyPass /server-status !
<Location /server-status>
  SetHandler server-status
</Location>
ProxyPass / {backend}/
"""
MODULES = ("mpm_prefork", "authz_core", "status", "proxy", "proxy_http")
APACHE_MODULES = Path("/usr/lib/apache2/modules")


def nginx(
    app: AppSettings | None = None, *, connections: int = 1024, http: str = "", location: str = "", tls: bool = False
) -> Callable:
    """A real nginx, in front of an app or by itself."""

    @contextmanager
    def started() -> Iterator[System]:
        with _backend(app) as backend, _folder() as place:
            port = _free_port()
            (place / "large.txt").write_text("x" * 12_000)
            where = (location or "proxy_pass {backend};").replace("{backend}", backend).replace("{place}", str(place))
            secure = _certificate(place) if tls else ""
            text = NGINX.format(place=place, port=port, connections=connections, http=http + secure, location=where,
                                tls=" ssl" if tls else "")  # fmt: skip
            (place / "nginx.conf").write_text(text)
            with _server(["nginx", "-c", str(place / "nginx.conf"), "-p", str(place)], port):
                scheme = "https" if tls else "http"
                page = {} if tls else {"status_url": f"http://127.0.0.1:{port}/status"}
                yield System(f"{scheme}://127.0.0.1:{port}", [{**LOCAL, **page}])

    return started


def apache(app: AppSettings, workers: int) -> Callable:
    """A real Apache (prefork) in front of an app."""

    @contextmanager
    def started() -> Iterator[System]:
        with _backend(app) as backend, _folder() as place:
            port = _free_port()
            modules = "\n".join(f"LoadModule {m}_module {APACHE_MODULES}/mod_{m}.so" for m in MODULES)
            text = APACHE.format(place=place, port=port, workers=workers, modules=modules, backend=backend)
            (place / "httpd.conf").write_text(text)
            with _server(["apache2", "-DFOREGROUND", "-f", str(place / "httpd.conf")], port):
                page = {"status_url": f"http://127.0.0.1:{port}/server-status?auto"}
                yield System(f"http://127.0.0.1:{port}", [{**LOCAL, **page}])

    return started


TOMCAT, MANAGER = Path("/usr/share/tomcat10"), Path("/usr/share/tomcat10-admin/manager")
SERVER_XML = """\
<Server port="-1"><Service name="Catalina">
  <Connector port="{port}" address="127.0.0.1" maxThreads="{threads}" minSpareThreads="1" acceptCount="500"/>
  <Engine name="Catalina" defaultHost="localhost">
    <Realm className="org.apache.catalina.realm.MemoryRealm"/>
    <Host name="localhost" appBase="webapps"><Context path="/manager" docBase="{manager}" privileged="true"/></Host>
  </Engine>
</Service></Server>
"""
USERS_XML = '<tomcat-users><user username="s" password="s" roles="manager-status,manager-gui"/></tomcat-users>'


def tomcat(threads: int, wait_ms: int) -> Callable:
    """A real Tomcat whose page waits, as for a slow query."""

    @contextmanager
    def started() -> Iterator[System]:
        with _folder() as place:
            port = _free_port()
            for name in ("conf", "logs", "temp", "work", "webapps/ROOT"):
                (place / name).mkdir(parents=True)
            shutil.copy("/etc/tomcat10/web.xml", place / "conf")
            (place / "conf/server.xml").write_text(SERVER_XML.format(port=port, threads=threads, manager=MANAGER))
            (place / "conf/tomcat-users.xml").write_text(USERS_XML)
            (place / "webapps/ROOT/wait.jsp").write_text(f"<% Thread.sleep({wait_ms}); %>ok")
            jars = ":".join(str(TOMCAT / "bin" / name) for name in ("bootstrap.jar", "tomcat-juli.jar"))
            command = ["java", "-Xmx256m", f"-Dcatalina.home={TOMCAT}", f"-Dcatalina.base={place}", "-cp", jars,
                       "org.apache.catalina.startup.Bootstrap", "start"]  # fmt: skip
            with _server(command, port, 60):
                for path in ("wait.jsp", "manager/status?XML=true"):  # compiled at their first request
                    read_status(f"http://s:s@127.0.0.1:{port}/{path}", 30)
                page = {"status_url": f"http://s:s@127.0.0.1:{port}/manager/status?XML=true"}
                yield System(f"http://127.0.0.1:{port}", [{**LOCAL, **page}])

    return started


@contextmanager
def _backend(app: AppSettings | None) -> Iterator[str]:
    if app is None:
        yield ""
        return
    child = Child("genkai.demo.app", app.arguments())
    try:
        yield f"http://127.0.0.1:{child.ready()['port']}"
    finally:
        child.stop()


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="genkai-bench-") as place:
        os.chmod(place, 0o755)
        yield Path(place)


def _certificate(place: Path) -> str:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", place / "key.pem", "-out", place / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    os.environ["SSL_CERT_FILE"] = str(place / "cert.pem")
    return f"ssl_certificate {place}/cert.pem; ssl_certificate_key {place}/key.pem;"


@contextmanager
def _server(command: list[str], port: int, wait_s: float = 20.0) -> Iterator[None]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **quiet)
    try:
        _await_port(port, process, wait_s)
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _await_port(port: int, process: subprocess.Popen, wait_s: float) -> None:
    until = time.monotonic() + wait_s
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"{process.args[0]}: expected it to listen on port {port}, got {process.poll()}")
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
