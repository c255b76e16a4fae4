"""Are the recorded quantiles true? Against the target's own log, with freezes of 1 s, and beside rivals.

Run: python tests/bench/bench_truth.py [periods [period]]: 2 periods of 12 seconds, a freeze in each.
With a period of 10 s exactly a tenth of the arrivals meets a freeze: p90 then lies on the edge between 20 ms and 1 s,
where one request of 4 000 moves it by 2.5 ms. "rank" is the quantile of the truth at which the recorded value lies.
Truth: answered (target's log) − intended (schedule), one by one. wrk2 measures the same way, from a constant schedule;
it is not installed here, so what it would have to find is computed from schedule and freezes alone ("schedule").
Rivals send at the same rate over as many connections (wrk knows no rate: as fast as it goes) and tell what they tell;
what is not installed is skipped.
"""

import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from genkai import histogram, journals, launch
from genkai.load.arrivals import plan_arrivals
from genkai.load.job import Job
from genkai.load.levels import time_levels
from genkai.workspace import Run
from load_target import make_plan, running_target

RATE, QUANTILES = 200, (0.5, 0.9, 0.99, 0.999)
SERVICE_S, FREEZE_S = 0.02, 1.0
CONNECTIONS = 20
OWN = f"""
from locust import FastHttpUser, constant_throughput, task
class Visitor(FastHttpUser):
    wait_time = constant_throughput({RATE / CONNECTIONS})
    @task
    def call(self): self.client.get("/slow/{SERVICE_S}?n=0", name="call")
"""


def intended_sends(run: Run) -> np.ndarray:
    """The schedule of our run, epoch seconds."""
    job, start = Job.read(run.path), journals.read_marks(run)[0]["start"]
    return np.concatenate(list(plan_arrivals(time_levels(job.levels, start), "constant", 0, 1, job.seed)))


def truth(target, run: Run) -> np.ndarray:
    """Response times by the target's own log."""
    intended, start = intended_sends(run), journals.read_marks(run)[0]["start"]
    counted = [(int(path.partition("n=")[2]), answered) for _, answered, path in target.answered() if answered > start]
    return np.array([answered - intended[n - 1] for n, answered in counted if 0 < n <= len(intended)])


def thawed(moments: np.ndarray, every_s: float) -> np.ndarray:
    """The moments, those within a freeze moved to its end."""
    return np.where(moments % every_s < FREEZE_S, moments // every_s * every_s + FREEZE_S, moments)


def by_schedule(intended: np.ndarray, every_s: float) -> np.ndarray:
    """What a schedule that never slips must find: nothing is read or answered during a freeze."""
    return thawed(thawed(intended, every_s) + SERVICE_S, every_s) - intended


def quantiles(run: Run) -> list[float]:
    merged = histogram.merge(journals.read_requests(run)["hist"])
    return [histogram.quantile_s(merged, q) for q in QUANTILES]


def of(times: np.ndarray) -> list[float]:
    return [float(np.quantile(times, q, method="inverted_cdf")) for q in QUANTILES]


def run_fast_http_user(url: str, seconds: float, folder: Path) -> list[float]:
    (folder / "own.py").write_text(OWN)
    closed = make_plan(url, [{"users": CONNECTIONS, "ramp_s": 0, "hold_s": seconds}], base_dir=folder,
                       scenarios=[{"name": "own", "locustfile": "own.py"}])  # fmt: skip
    run = Run(folder / "3-scenario-own")
    launch.run_load(run, closed, "scenario", "own")
    return quantiles(run)


def told_by(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def run_hey(url: str, seconds: float, folder: Path) -> list[float]:
    text = told_by("hey", "-z", f"{seconds:g}s", "-c", str(CONNECTIONS), "-q", f"{RATE / CONNECTIONS:g}", "-o", "csv",
                   f"{url}/slow/{SERVICE_S}?n=0")  # fmt: skip
    return of(np.array([float(row["response-time"]) for row in csv.DictReader(text.splitlines())]))


def run_h2load(url: str, seconds: float, folder: Path) -> list[float]:
    log = folder / "h2load.log"  # start, status, response time in µs
    told_by("h2load", "--h1", "-c", str(CONNECTIONS), "-D", f"{seconds:g}", "--rps", f"{RATE / CONNECTIONS:g}",
            f"--log-file={log}", f"{url}/slow/{SERVICE_S}?n=0")  # fmt: skip
    return of(np.array([float(line.split()[2]) for line in log.read_text().splitlines()]) / 1e6)


def run_wrk(url: str, seconds: float, folder: Path) -> list[float]:
    script = folder / "quantiles.lua"
    asked = ",".join(f"latency:percentile({100 * q:g})" for q in QUANTILES)
    script.write_text(f'done = function(summary, latency) print("told", {asked}) end\n')
    text = told_by("wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds:g}s", "--timeout", "10s", "-s",
                   str(script), f"{url}/slow/{SERVICE_S}?n=0")  # fmt: skip
    return [float(us) / 1e6 for us in re.search(r"^told(.*)$", text, re.M)[1].split()]


Rival = Callable[[str, float, Path], list[float]]
RIVALS: dict[str, Rival] = {"FastHttpUser": run_fast_http_user, "hey": run_hey, "h2load": run_h2load, "wrk": run_wrk}


def main() -> None:
    periods, every_s = (float(given) for given in (*sys.argv[1:], *("2", "12")[len(sys.argv) - 1 :]))
    seconds = periods * every_s
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_target(folder, every_s=every_s, for_s=FREEZE_S) as target:
            plan = make_plan(target.url, [{"arrival_rate_rps": RATE, "ramp_s": 0, "hold_s": seconds}],
                             {"slow": f"/slow/{SERVICE_S}?n={{counter}}"})  # fmt: skip
            run = Run(folder / "2-api-slow")
            launch.run_load(run, plan, "api", "slow")
            times, scheduled = truth(target, run), by_schedule(intended_sends(run), every_s)
            ours = quantiles(run)
            told = {rival: work(target.url, seconds, folder) for rival, work in RIVALS.items()
                    if rival == "FastHttpUser" or shutil.which(rival)}  # fmt: skip
    print(f"load average {os.getloadavg()[0]:.1f}; {len(times)} answers; bar: within 1 % or 0.2 ms; ms (÷ truth)")
    print(
        "quantile      truth   schedule     genkai  difference      rank  " + "".join(f"{rival:>20}" for rival in told)
    )
    for place, (true, mine) in enumerate(zip(of(times), ours, strict=True)):
        verdict = "ok  " if abs(mine - true) <= max(0.01 * true, 0.0002) else "OVER"
        others = "".join(f"{found[place] * 1e3:12.2f} ({found[place] / true:5.2f})" for found in told.values())
        print(f"{QUANTILES[place]:<8}  {true * 1e3:9.2f}  {of(scheduled)[place] * 1e3:9.2f}  {mine * 1e3:9.2f}"
              f"  {mine / true - 1:+7.2%} {verdict}  {(times <= mine).mean():7.4f}{others}")  # fmt: skip


if __name__ == "__main__":
    main()
