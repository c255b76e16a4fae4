"""How much the generator itself can put out (S1): the run's own request against a sink on loopback, as fast as it goes.

The CPU of both sides is measured, so that it can be said which one was the limit.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import psutil

from genkai import journals
from genkai.load.advice import advise, read_settings
from genkai.load.job import Job, JobLevel, JobTimeouts
from genkai.load.process import LaunchError, LoadProcess, load_environment, locust_command, start_process
from genkai.plan import StopRule
from genkai.workspace import Run, read_json, write_json

USERS_PER_PROCESS = 32
WARM_UP_S = 1.0
BUSY = 0.9  # share of a core from which a process counts as CPU-bound
BUSY_MACHINE = 0.85  # share of all cores from which the machine itself counts as the limit
STARTUP_S = 40.0
PERIOD_S = 0.2


def measure_ceiling(
    run: Run, job: Job, seconds: float, port: int, needed_rps: float = 0.0, connections: int = 0
) -> dict[str, Any]:
    """Measure with one process, and with the plan's number; writes and returns ceiling.json.

    ceiling.json: processes, throughput_rps, cpu_ratio (mean of each process), sink_cpu_ratio, machine_cpu_cores
    (busy cores in all), ceiling_rps (throughput ÷ cpu_ratio: what the processes would do with a core each),
    measured (whether that was reached), limited_by (generator cpu, sink, machine cpu, not known), seconds, notes,
    measurements (the same for each number of processes), and advice: [{key, values}], which settings to change for
    the plan's needed_rps and connections (see `load.advice`). Raises LaunchError.
    """
    found = [_measure(run, job, seconds, count, port) for count in sorted({1, max(1, job.processes - job.away)})]
    closes = read_json(run.path / "probe.json").get("keep_alive") is False
    loopback = urlsplit(job.base_url).hostname in ("127.0.0.1", "::1", "localhost")
    advice = advise(found, needed_rps, connections, closes, loopback, read_settings())
    return write_json(run.path / "ceiling.json", {**found[-1], "measurements": found, "advice": advice})


def _measure(run: Run, job: Job, seconds: float, processes: int, port: int) -> dict[str, Any]:
    folder = Run(run.path / "ceiling" / f"{run.name}-{processes}")
    sink = subprocess.Popen(
        [sys.executable, "-m", "genkai.load.sink", str(run.path / "probe.json")],
        env=load_environment(run.path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    load = None
    try:
        sink_port = int(sink.stdout.readline() or 0)
        if not sink_port:
            raise LaunchError(f"{run.path}/probe.json: expected a sink to start with it, got none; see its error above")
        own = _ceiling_job(job, sink_port, seconds, processes)
        folder.path.mkdir(parents=True, exist_ok=True)
        own.write(folder.path)
        load = start_process(locust_command(own, port), folder.path, folder.raw("locust.log"), own.base_dir)
        samples = _watch(load, psutil.Process(sink.pid), STARTUP_S + seconds + own.drain_s)
    finally:
        if load is not None:
            load.end()
        sink.stdin.close()
        sink.stdout.close()
        try:
            sink.wait(5)
        except subprocess.TimeoutExpired:
            sink.kill()
            sink.wait()
    return _judge(folder, samples, processes, _differences(run, job))


def _differences(run: Run, job: Job) -> list[str]:
    """In what the sink is easier on the generator than the target will be."""
    notes = []
    if job.base_url.startswith("https"):
        notes.append("the target speaks TLS, this was measured without it")
    if read_json(run.path / "probe.json").get("keep_alive") is False:
        notes.append("the target closes its connections after each answer, the sink keeps them")
    if job.away:
        notes.append(f"{job.away} of {job.processes} load processes run elsewhere; this machine alone was measured")
    return notes


def _ceiling_job(job: Job, sink_port: int, seconds: float, processes: int) -> Job:
    call = job.calls[0].model_copy(update={"think_time_s": 0.0, "weight": 1.0})
    level = JobLevel(workload="closed", intended=USERS_PER_PROCESS * processes, ramp_s=0, hold_s=seconds + WARM_UP_S)
    return job.model_copy(update={
        "base_url": f"http://127.0.0.1:{sink_port}", "levels": [level], "calls": [call], "processes": processes,
        "away": 0, "hosts": [], "workers": 0, "listen": "", "web_port": None,
        "stop": StopRule(), "drain_s": 1.0, "timeouts": JobTimeouts(),
    })  # fmt: skip


Sample = tuple[float, float, float]


def _watch(load: LoadProcess, sink: psutil.Process, limit_s: float) -> list[Sample]:
    """(epoch second, CPU seconds of the sink, busy CPU seconds of the machine) until the load has ended."""
    samples = []
    until = time.monotonic() + limit_s
    while load.poll() is None and time.monotonic() < until:
        used, machine = sink.cpu_times(), psutil.cpu_times()
        idle = machine.idle + getattr(machine, "iowait", 0.0)
        samples.append((time.time(), used.user + used.system, sum(machine[:8]) - idle))
        time.sleep(PERIOD_S)
    return samples


def _cpu_between(samples: list[Sample], column: int, start: float, end: float) -> float | None:
    inside = [s for s in samples if start <= s[0] <= end]
    if len(inside) < 2 or inside[-1][0] <= inside[0][0]:
        return None
    return (inside[-1][column] - inside[0][column]) / (inside[-1][0] - inside[0][0])


def _judge(folder: Run, samples: list[Sample], processes: int, notes: list[str]) -> dict[str, Any]:
    marks = journals.read_marks(folder)
    if not marks:
        raise LaunchError(f"{folder.raw('locust.log')}: expected the generator's ceiling, got a run that never began")
    start, end = marks[0]["start"] + WARM_UP_S, marks[0]["end"]
    requests, health = journals.read_requests(folder), journals.read_generator(folder)
    seconds = requests["time"].astype("int64") // 1_000_000
    chosen = requests[(seconds >= start) & (seconds < end)]
    count = max(1, int(end) - int(start))
    throughput = float(chosen["completed"].sum()) / count
    stamps = health["time"].astype("int64") // 1_000_000
    cpu = float(health[(stamps >= start) & (stamps < end)]["cpu_ratio"].mean())
    sink_cpu = _cpu_between(samples, 1, start, end)
    machine_cpu = _cpu_between(samples, 2, start, end)
    limit = _limit(cpu, sink_cpu, machine_cpu)
    if limit != "generator cpu":
        notes.append(f"not reached: {throughput:.0f} rps used {cpu:.0%} of a core for each process; "
                     "the ceiling is extrapolated from the CPU per request")  # fmt: skip
    if int(chosen["failed"].sum()):
        notes.append(f"{int(chosen['failed'].sum())} requests to the sink failed")
    return {
        "processes": processes, "throughput_rps": throughput, "cpu_ratio": cpu, "sink_cpu_ratio": sink_cpu,
        "machine_cpu_cores": machine_cpu,
        "ceiling_rps": throughput / cpu if cpu > 0 else 0.0, "measured": limit == "generator cpu", "limited_by": limit,
        "seconds": count, "notes": notes,
    }  # fmt: skip


def _limit(cpu: float, sink_cpu: float | None, machine_cpu: float | None) -> str:
    if cpu >= BUSY:
        return "generator cpu"
    if sink_cpu is not None and sink_cpu >= BUSY:
        return "sink"
    return "machine cpu" if (machine_cpu or 0.0) >= BUSY_MACHINE * (os.cpu_count() or 1) else "not known"
