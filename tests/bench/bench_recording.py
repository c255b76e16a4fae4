"""What recording costs: CPU per request with and without it; a day of 20 APIs by fast-forward: size and memory.

Run: python tests/bench/bench_recording.py [day [HOURS]]. Bars: ≤ 15 % of the request path; 24 h × 20 APIs ≤ 500 MB of
Parquet and ≤ 300 MB of memory, in the load process and in the one that writes the tables.
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gevent

from genkai import journals
from genkai.load.calls import compile_calls
from genkai.load.exchange import perform
from genkai.load.http.clock import now
from genkai.load.http.connection import Connection
from genkai.load.http.target import Target
from genkai.load.job import Job, JobCall, JobLevel
from genkai.load.recorder import Recorder
from genkai.plan import Api
from genkai.workspace import Run

CONNECTIONS, SECONDS, ROUNDS = 32, 2.0, 5
HOURS, APIS, RATE = 24.0, 20, 5


def job_for(port: int, folder: Path) -> Job:
    return Job(run="2-api-ok", step="api", subject="ok", base_url=f"http://127.0.0.1:{port}", base_dir=folder,
               levels=[JobLevel(workload="closed", intended=1, ramp_s=0, hold_s=1)],
               calls=[JobCall(api=Api(name="ok", path="/ok"))])  # fmt: skip


def cpu_per_request(job: Job, recorder: Recorder | None) -> float:
    call, target, count = compile_calls(job)[0], Target.from_url(job.base_url), 0
    end = now() + SECONDS

    def recorded() -> None:
        nonlocal count
        state = call.new_state(0, 1, 1)
        with Connection(target) as connection:
            while (intended := now()) < end:
                perform(recorder, call, state, connection, recorder.cell("ok", intended), intended)
                count += 1

    def bare() -> None:
        nonlocal count
        with Connection(target) as connection:
            while now() < end:
                call.check(connection.exchange(call.template.constant))
                count += 1

    def flush() -> None:
        while now() < end:
            gevent.sleep(1.0)
            recorder.flush()

    before = time.process_time()
    work = [gevent.spawn(recorded if recorder else bare) for _ in range(CONNECTIONS)]
    work += [gevent.spawn(flush)] if recorder else []
    gevent.joinall(work, raise_error=True)
    return (time.process_time() - before) / count


def record_a_day(folder: Path, hours: float) -> None:
    """The load process: its own recorder, a day's seconds by a clock that jumps."""
    run, rng, clock = Run(folder), random.Random(1), [1_800_000_000.0]
    recorder = Recorder(run, "local", lambda: clock[0])
    for _ in range(int(hours * 3600)):
        clock[0] += 1
        for api in range(APIS):
            cell = recorder.cell(f"api{api}", clock[0])
            cell.sent += RATE
            cell.completed += RATE
            cell.response = [rng.lognormvariate(-4, 0.6) for _ in range(RATE)]
        recorder.flush()
    recorder.close()


def write_a_day(folder: Path, _hours: float) -> None:
    """The launcher's process: the tables from the journals."""
    journals.write_tables(Run(folder))


def in_a_process(work: str, folder: Path, hours: float) -> tuple[float, float]:
    """(seconds, MB of memory at the peak) of one of the two above in a process of its own."""
    before = time.monotonic()
    done = subprocess.run(
        [sys.executable, __file__, work, str(folder), str(hours)], check=True, capture_output=True, text=True
    )
    return time.monotonic() - before, float(done.stdout)


def a_day(folder: Path, hours: float = HOURS) -> None:
    run = Run(folder / "2-api-day")
    recording, writing = (in_a_process(work, run.path, hours) for work in ("record_a_day", "write_a_day"))
    journal = sum(p.stat().st_size for p in run.journals("requests")) / 1e6
    parquet = run.table("requests").stat().st_size / 1e6
    print(f"{hours:g} h × {APIS} APIs × {RATE} rps: {journal:.0f} MB of journal, {parquet:.0f} MB of Parquet, "
          f"{parquet / hours * 24:.0f} MB a day (bar: 500)")  # fmt: skip
    print(f"peak memory: {recording[1]:.0f} MB recording, {writing[1]:.0f} MB writing the tables (bar: 300); "
          f"that took {writing[0]:.0f} s")  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        answer = folder / "answer.json"
        answer.write_text(json.dumps({"status": 200, "body": "b2s="}))
        sink = subprocess.Popen([sys.executable, "-m", "genkai.load.sink", str(answer)], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)  # fmt: skip
        job = job_for(int(sink.stdout.readline()), folder)
        recorder = Recorder(Run(folder / "2-api-ok"), "local", now)
        pairs = [(cpu_per_request(job, None), cpu_per_request(job, recorder)) for _ in range(ROUNDS)]
        sink.stdin.close()
        sink.wait(10)
        bare, full = (sorted(column)[ROUNDS // 2] for column in zip(*pairs, strict=True))
        print(f"µs of CPU per request: {bare * 1e6:.2f} bare, {full * 1e6:.2f} recorded (bar: 15 % more)")
        print(f"recording adds {full / bare - 1:+.1%}")
        a_day(folder)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        globals()[sys.argv[1]](Path(sys.argv[2]), float(sys.argv[3]))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    elif sys.argv[1:2] == ["day"]:
        with tempfile.TemporaryDirectory() as name:
            a_day(Path(name), *map(float, sys.argv[2:]))
    else:
        main()
