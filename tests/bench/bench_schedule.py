"""How late are sends? p99 of actual − intended at 100, 1 000 and 5 000 rps, beside gevent.sleep and installed rivals.

Run: python tests/bench/bench_schedule.py [seconds] [--realtime]. The generator is pinned to the last core, the sink
to the first. --realtime (root) runs all sides of the comparison before all others, where the machine is not idle.
Rivals (hey, h2load, vegeta) are judged by the sink, which writes down when each request came: p99 of the distance from
the even spacing that fits best, and so are we, beside our own record. What is not installed is skipped.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

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


SINK = """
import json, sys, time
import numpy
from genkai.load.sink import Sink, canned_response
class Clock(Sink):
    times = []
    def _answer(self, descriptor):
        self.times.append(time.perf_counter())
        super()._answer(descriptor)
    def write(self, path):
        numpy.save(path, numpy.array(self.times))
sink = Clock(*canned_response({"status": 200, "body": "b2s="}))
print(sink.port, flush=True)
sink.serve(sys.stdin.fileno())
sink.write(sys.argv[1])
"""
CONNECTIONS = 10


def rivals(rate: float, seconds: float) -> dict[str, list[str]]:
    """{installed rival: its command line, URL last}."""
    each = f"{rate / CONNECTIONS:g}"
    known = {
        "hey": ["hey", "-z", f"{seconds:g}s", "-c", str(CONNECTIONS), "-q", each],
        "h2load": ["h2load", "--h1", "-c", str(CONNECTIONS), "-D", f"{seconds:g}", "--rps", each],
        "vegeta": ["sh", "-c", f'echo "GET $1" | vegeta attack -rate {rate:g} -duration {seconds:g}s', "-"],
    }
    return {name: command for name, command in known.items() if shutil.which(name)}


def judge_arrivals(times: np.ndarray, rate: float) -> tuple[float, float]:
    """(p99 of the distance from the best even spacing in seconds, achieved ÷ intended rate) as the sink saw them.

    The rate is that of the middle eight tenths: connects at the start and stragglers at the end are not spacing.
    """
    times = np.sort(times)
    offset = times - np.arange(len(times)) / rate
    tenth = len(times) // 10
    inner = times[tenth : len(times) - tenth]
    return float(np.quantile(np.abs(offset - np.median(offset)), 0.99)), (len(inner) - 1) / (
        inner[-1] - inner[0]
    ) / rate


def watched(folder: Path, core: int, run) -> np.ndarray:
    """When each request came to a sink on `core`, of what `run(port)` sends."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    goal = folder / "times.npy"
    sink = subprocess.Popen([sys.executable, "-c", SINK, str(goal)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True)  # fmt: skip
    port = int(sink.stdout.readline())
    os.sched_setaffinity(0, own)
    run(port)
    sink.stdin.close()
    sink.wait(10)
    return np.load(goal)


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
        os.sched_setaffinity(0, {cores[-1]})
        if "--realtime" in sys.argv:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        print(f"load average {os.getloadavg()[0]:.1f} on {len(cores)} cores; bar: 0.6 ms, rate within 0.5 %")
        print("rate   p99 median of seconds   worst second   sent ÷ intended   gevent.sleep p99   ratio")
        for rate in (100, 1000, 5000):
            told: dict[str, tuple] = {}

            def ours(port: int, rate: float = rate, told: dict = told) -> None:
                told["run"] = measure(folder, port, rate, seconds)

            times = watched(folder, cores[0], ours)
            slips, achieved = told["run"]
            naive = sleep_based(rate, seconds)
            middle = statistics.median(slips)
            print(f"{rate:>5}  {middle * 1e3:17.3f} ms  {max(slips) * 1e3:11.3f} ms  {achieved:15.4f}"
                  f"  {naive * 1e3:14.3f} ms  {naive / middle:6.1f}")  # fmt: skip
            print(f"       at the sink: {'genkai':8} {row(times, rate)}")
            for rival, command in rivals(rate, seconds).items():
                seen = watched(folder, cores[0], lambda port, command=command: subprocess.run(
                    [*command, f"http://127.0.0.1:{port}/ok"], capture_output=True, check=True))  # fmt: skip
                print(f"       at the sink: {rival:8} {row(seen, rate)}", flush=True)


def row(times: np.ndarray, rate: float) -> str:
    late, achieved = judge_arrivals(times, rate)
    return f"p99 {late * 1e3:9.3f} ms   achieved ÷ intended {achieved:7.4f}"


if __name__ == "__main__":
    main()
