"""What recording costs: CPU per request with and without it; size of a day of 20 APIs, by fast-forward.

Run: python tests/bench/bench_recording.py. Bars: ≤ 15 % of the request path; 24 h × 20 APIs ≤ 500 MB of Parquet.
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
HOURS, APIS, RATE = 0.25, 20, 5


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


def size_of_a_day(folder: Path) -> tuple[float, float]:
    """(journal, Parquet) megabytes of 24 h × 20 APIs, scaled up from a part of it."""
    run, rng, clock = Run(folder / "2-api-day"), random.Random(1), [1_800_000_000.0]
    recorder = Recorder(run, "local", lambda: clock[0])
    for _ in range(int(HOURS * 3600)):
        clock[0] += 1
        for api in range(APIS):
            cell = recorder.cell(f"api{api}", clock[0])
            cell.sent += RATE
            cell.completed += RATE
            cell.response += [rng.lognormvariate(-4, 0.6) for _ in range(RATE)]
        recorder.flush()
    recorder.close()
    journals.write_tables(run)
    scale = 24 / HOURS / 1e6
    return sum(p.stat().st_size for p in run.journals("requests")) * scale, run.table("requests").stat().st_size * scale


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
        journal, parquet = size_of_a_day(folder)
        print(f"24 h × {APIS} APIs × {RATE} rps: {journal:.0f} MB of journal, {parquet:.0f} MB of Parquet (bar: 500)")
        print(f"peak memory of this bench: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
