"""Requests per CPU-second of the load generator: our clients beside locust's and wrk, in one run.

    python tests/bench/bench_client.py [--users 50] [--seconds 3] [--rounds 3] [--json FILE]

nginx answers a small JSON document from one core, the generator has another to itself. Each contender runs in
its own process, contenders take turns, the table shows medians over the rounds. What is not installed is skipped.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else None)
WARM_UP_S = 0.5
CONFIG = """
worker_processes 1; daemon off; master_process off; error_log {dir}/error.log crit; pid {dir}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; default_type application/json;
  client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d;
  scgi_temp_path {dir}/e;
  server {{ listen 127.0.0.1:{port}; {tls} location / {{ return 200 '{{"ok": true, "items": [{{"id": 12345}}]}}'; }} }}
}}
"""


@contextmanager
def nginx(core: int, tls: bool) -> Iterator[str]:
    """The base URL of an nginx pinned to one core; stopped by its own process at the end."""
    with tempfile.TemporaryDirectory(prefix="bench-nginx-") as name, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        settings = f"ssl_certificate {name}/cert.pem; ssl_certificate_key {name}/key.pem;" if tls else ""
        if tls:
            make_certificate(Path(name))
        text = CONFIG.format(dir=name, port=port, tls=settings).replace(f":{port};", f":{port}{' ssl' * tls};")
        Path(name, "nginx.conf").write_text(text)
        server = subprocess.Popen([NGINX, "-p", name, "-c", f"{name}/nginx.conf"], stderr=subprocess.DEVNULL)
        os.sched_setaffinity(server.pid, {core})
        try:
            wait_for_port(port, server)
            yield f"http{'s' * tls}://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(10)


def make_certificate(folder: Path) -> None:
    """A key and a self-signed certificate for 127.0.0.1, for the time of the bench."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command, *files], check=True, stderr=subprocess.DEVNULL)


def wait_for_port(port: int, server: subprocess.Popen) -> None:
    """Return once the port takes connections; raises RuntimeError when the server ended or 10 s passed."""
    for _ in range(1000):
        if server.poll() is not None:
            break
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise RuntimeError(f"nginx: expected it to listen on 127.0.0.1:{port}, got exit code {server.poll()}")


def measure(count: Callable[[], int], seconds: float) -> dict[str, float]:
    """Requests, CPU seconds and wall seconds of this process while its greenlets run."""
    import gevent

    gevent.sleep(WARM_UP_S)
    first, cpu, wall = count(), time.process_time(), time.perf_counter()
    gevent.sleep(seconds)
    return {
        "requests": count() - first,
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
    }


def run_locust_user(base: str, url: str, users: int, seconds: float) -> dict[str, float]:
    """A locust user class with one task and no wait, run by locust's own runner with its statistics."""
    import gevent
    from locust import FastHttpUser, constant, task
    from locust.env import Environment

    from genkai.load.http.user import LeanHttpUser

    class BenchUser({"fast": FastHttpUser, "lean": LeanHttpUser}[base]):
        host = url
        insecure = True
        wait_time = constant(0)

        @task
        def get(self) -> None:
            self.client.get("/")

    environment = Environment(user_classes=[BenchUser])
    runner = environment.create_local_runner()
    runner.start(users, spawn_rate=users)
    with gevent.Timeout(60):
        while runner.user_count < users:
            gevent.sleep(0.05)
    result = measure(lambda: environment.stats.total.num_requests, seconds)
    result["failures"] = environment.stats.total.num_failures
    runner.quit()
    return result


def run_client_loop(base: str, url: str, users: int, seconds: float) -> dict[str, float]:
    """The user's client alone in a plain loop, events.request and locust's statistics on."""
    import gevent
    from locust.contrib.fasthttp import FastHttpSession
    from locust.env import Environment

    from genkai.load.http.client import LeanClient
    from genkai.load.http.target import TlsSettings

    environment = Environment()
    environment.create_local_runner()
    event = environment.events.request

    def loop() -> None:
        client = (
            FastHttpSession(url, event, None, insecure=True)
            if base == "fast"
            else LeanClient(url, event, tls=TlsSettings(verify=False))
        )
        while True:
            client.get("/")

    loops = [gevent.spawn(loop) for _ in range(users)]
    result = measure(lambda: environment.stats.total.num_requests, seconds)
    result["failures"] = environment.stats.total.num_failures
    gevent.killall(loops)
    return result


def run_exchange(varied: bool, url: str, users: int, seconds: float) -> dict[str, float]:
    """Connection.exchange in a plain loop, response times into an HdrHistogram each second.

    ``varied``: a new path per request, and the JSON body is checked.
    """
    import gevent
    from gevent import monkey

    monkey.patch_all()
    from genkai.load.http import CallState, CallTemplate, Check, Connection, Counter, Target, TlsSettings
    from genkai.load.recorder import HistogramWriter

    target = Target.from_url(url, TlsSettings(verify=False))
    durations: list[float] = []
    state = {"requests": 0, "failures": 0}

    def constant_loop() -> None:
        connection, request, check = Connection(target), CallTemplate(target, "GET", "/").constant, Check()
        while True:
            response = connection.exchange(request)
            state["failures"] += check(response) is not None
            durations.append(response.done - response.sent)

    def varied_loop(user: int) -> None:
        template = CallTemplate(target, "GET", "/items/{id}?page={page}")
        values = CallState({"id": Counter(), "page": Counter()}, user, users)
        connection, check = Connection(target), Check({200}, json={"items[0].id": 12345})
        while True:
            response = connection.exchange(template.render(values))
            state["failures"] += check(response) is not None
            durations.append(response.done - response.sent)

    def flush() -> None:
        writer = HistogramWriter()
        while True:
            gevent.sleep(1)
            taken = durations.copy()
            durations.clear()
            state["requests"] += len(taken)
            writer.encode(taken)

    loops = [gevent.spawn(varied_loop, n) if varied else gevent.spawn(constant_loop) for n in range(users)]
    loops.append(gevent.spawn(flush))
    result = measure(lambda: state["requests"] + len(durations), seconds)
    result["failures"] = state["failures"]
    gevent.killall(loops)
    return result


CHILDREN: dict[str, Callable[[str, int, float], dict[str, float]]] = {
    "FastHttpUser, task": lambda *a: run_locust_user("fast", *a),
    "FastHttpUser's client, loop": lambda *a: run_client_loop("fast", *a),
    "LeanHttpUser, task": lambda *a: run_locust_user("lean", *a),
    "LeanClient, loop": lambda *a: run_client_loop("lean", *a),
    "Connection, histogram": lambda *a: run_exchange(False, *a),
    "Connection, new URL + JSON": lambda *a: run_exchange(True, *a),
}


def run_child(name: str, url: str, users: int, seconds: float, core: int) -> dict[str, float]:
    """One contender in its own process on ``core``."""
    command = [
        sys.executable,
        __file__,
        "--child",
        name,
        "--url",
        url,
        "--users",
        str(users),
        "--seconds",
        str(seconds),
    ]
    path = os.pathsep.join(filter(None, [str(ROOT / "lib"), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120 + seconds,
        env={**os.environ, "PYTHONPATH": path},
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    if done.returncode:
        raise RuntimeError(f"{name}: expected exit code 0, got {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def run_wrk(url: str, users: int, seconds: float, core: int) -> dict[str, float]:
    """wrk with one thread on ``core``; its CPU time by the kernel's account."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        ["wrk", "-t1", f"-c{users}", f"-d{max(1, round(seconds))}s", url + "/"],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    requests, wall = re.search(r"(\d+) requests in ([\d.]+)s", done.stdout).groups()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"requests": int(requests), "cpu_s": cpu, "wall_s": float(wall), "failures": 0}


def run_launched(processes: int, url: str, users: int, seconds: float, core: int) -> dict[str, float]:
    """A whole run of plan-declared calls, as genkai step starts it, full recording on, all on ``core``.

    CPU is that of all its processes, a master included.
    """
    sys.path.insert(0, str(ROOT / "lib"))
    import psutil

    from genkai import launch
    from genkai.load.job import Job, JobCall, JobLevel
    from genkai.plan import Api
    from genkai.workspace import Run, read_journal

    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})  # the fork server is started here and keeps it
    with tempfile.TemporaryDirectory(prefix="bench-run-") as name:
        run = Run(Path(name) / f"2-api-{processes}")
        level = JobLevel(workload="closed", intended=users, ramp_s=0, hold_s=seconds + 3)
        job = Job(run=run.name, step="api", subject="ok", base_url=url, base_dir=Path(name), levels=[level],
                  calls=[JobCall(api=Api(name="ok", path="/"))], processes=processes)  # fmt: skip
        running = launch.start_job(run, job)
        members = [p for p in psutil.process_iter() if os.getpgid(p.pid) == running.pid]
        first = 0.0
        while not first:
            marks = [e["time"] for e in read_journal(run.journal("levels")) if e["event"] == "hold"]
            first = marks[0] + 1 if marks else 0.0
            time.sleep(0.01)
        readings = []
        for moment in (first, first + round(seconds)):
            time.sleep(max(0.0, moment - time.time()))
            members = [p for p in psutil.process_iter() if os.getpgid(p.pid) == running.pid]
            readings.append(sum(sum(p.cpu_times()[:2]) for p in members))
        outcome = running.wait()
        lines = [line for path in run.journals("requests") for line in read_journal(path)]
    os.sched_setaffinity(0, allowed)
    inside = [line for line in lines if first <= line["t"] < first + round(seconds)]
    if outcome.state != "finished":
        raise RuntimeError(f"run of {processes} processes: expected it to finish, got {outcome}")
    return {"requests": sum(line["completed"] for line in inside), "cpu_s": readings[1] - readings[0],
            "wall_s": float(round(seconds)), "failures": sum(line["failed"] for line in inside)}  # fmt: skip


LAUNCHED = {"genkai run, 1 process": 1, "genkai run, 2 processes": 2}


def run_all(arguments: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Every contender in turn, ``rounds`` times."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("bench_client: expected two cores, one for nginx and one for the generator, got one")
    names = [*CHILDREN, *LAUNCHED, *(["wrk"] if shutil.which("wrk") else [])]
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with nginx(cores[1], arguments.tls) as url:
        for _ in range(arguments.rounds):
            for name in names:
                rest = (url, arguments.users, arguments.seconds, cores[0])
                if name in LAUNCHED:
                    results[name].append(run_launched(LAUNCHED[name], *rest))
                else:
                    results[name].append(run_wrk(*rest) if name == "wrk" else run_child(name, *rest))
    return results


def print_table(results: dict[str, list[dict[str, float]]]) -> None:
    """Medians of requests per CPU-second, and their ratios to FastHttpUser and wrk."""
    rates = {name: statistics.median(r["requests"] / r["cpu_s"] for r in runs) for name, runs in results.items()}
    first, wrk = rates["FastHttpUser, task"], rates.get("wrk")
    print(f"{'':30}{'req/CPU-s':>10}{'spread':>8}{'rps':>9}{'CPU':>6}{'× Fast':>8}{'× wrk':>7}{'failed':>8}")
    for name, runs in results.items():
        each = [r["requests"] / r["cpu_s"] for r in runs]
        rps = statistics.median(r["requests"] / r["wall_s"] for r in runs)
        cpu = statistics.median(r["cpu_s"] / r["wall_s"] for r in runs)
        spread = (max(each) - min(each)) / rates[name]
        ratio = f"{rates[name] / wrk:7.2f}" if wrk else f"{'–':>7}"
        failed = int(sum(r["failures"] for r in runs))
        line = f"{name:30}{rates[name]:10.0f}{spread:8.0%}{rps:9.0f}{cpu:6.2f}{rates[name] / first:8.2f}{ratio}"
        print(f"{line}{failed:8d}")
    one, two = (rates[name] for name in LAUNCHED)
    print(f"2 processes keep {two / one:.0%} of the per-core figure of 1 (bar: 90 %)")


def main() -> None:
    """Run the bench, or one contender as a child of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tls", action="store_true", help="HTTPS with a self-signed certificate")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--child", choices=list(CHILDREN), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        result = CHILDREN[arguments.child](arguments.url, arguments.users, arguments.seconds)
        print(json.dumps(result), flush=True)
        os._exit(0)  # greenlets of locust would keep the process for a while
    if NGINX is None:
        raise SystemExit("bench_client: expected nginx, not found; install it (for example: apt install nginx-light)")
    results = run_all(arguments)
    print_table(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
