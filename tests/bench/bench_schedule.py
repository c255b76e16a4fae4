"""How late are sends? p99 of actual − intended at 100, 1 000 and 5 000 rps, beside a schedule kept by gevent.sleep.

Run: python tests/bench/bench_schedule.py [seconds] [--realtime]. The generator is pinned to the last core, the sink
to the first. --realtime (root) runs both sides of the comparison before all others, where the machine is not idle.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from genkai import journals, launch
from genkai.load.job import Job, JobCall, JobLevel
from genkai.plan import Api
from genkai.workspace import Run

SLEEPER = """
import sys, time, gevent
rate, seconds = float(sys.argv[1]), float(sys.argv[2])
late, start = [], time.perf_counter() + 0.1
for k in range(int(rate * seconds)):
    due = start + k / rate
    left = due - time.perf_counter()
    if left > 0:
        gevent.sleep(left)
    gevent.spawn(lambda: None)
    late.append(time.perf_counter() - due)
print(sorted(late)[int(0.99 * len(late))])
"""


def sleep_based(rate: float, seconds: float) -> float:
    done = subprocess.run([sys.executable, "-c", SLEEPER, str(rate), str(seconds)], capture_output=True, text=True, check=True)  # fmt: skip  # noqa: E501
    return float(done.stdout)


def measure(folder: Path, port: int, rate: float, seconds: float) -> tuple[list[float], float]:
    """(p99 of each second, sent ÷ intended)."""
    run = Run(folder / f"2-api-{rate:g}")
    job = Job(run=run.name, step="api", subject="ok", base_url=f"http://127.0.0.1:{port}", base_dir=folder,
              levels=[JobLevel(workload="open", intended=rate, ramp_s=0, hold_s=seconds)],
              calls=[JobCall(api=Api(name="ok", path="/ok"))])  # fmt: skip
    outcome = launch.start_job(run, job).wait()
    assert outcome.state == "finished", outcome
    slips = journals.read_generator(run)["schedule_slip_p99_s"].dropna()
    return [float(s) for s in slips], journals.read_requests(run)["sent"].sum() / (rate * seconds)


def main() -> None:
    given = [a for a in sys.argv[1:] if not a.startswith("-")]
    seconds = float(given[0]) if given else 10
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        probe = folder / "answer.json"
        probe.write_text(json.dumps({"status": 200, "body": "b2s="}))
        os.sched_setaffinity(0, {cores[0]})
        sink = subprocess.Popen([sys.executable, "-m", "genkai.load.sink", str(probe)], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)  # fmt: skip
        port = int(sink.stdout.readline())
        os.sched_setaffinity(0, {cores[-1]})
        if "--realtime" in sys.argv:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        print(f"load average {os.getloadavg()[0]:.1f} on {len(cores)} cores; bar: 0.6 ms, rate within 0.5 %")
        print("rate   p99 median of seconds   worst second   sent ÷ intended   gevent.sleep p99   ratio")
        for rate in (100, 1000, 5000):
            slips, achieved = measure(folder, port, rate, seconds)
            naive = sleep_based(rate, seconds)
            middle = statistics.median(slips)
            print(f"{rate:>5}  {middle * 1e3:17.3f} ms  {max(slips) * 1e3:11.3f} ms  {achieved:15.4f}"
                  f"  {naive * 1e3:14.3f} ms  {naive / middle:6.1f}")  # fmt: skip
        sink.stdin.close()
        sink.wait(10)


if __name__ == "__main__":
    main()
