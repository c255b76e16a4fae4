"""Are the recorded quantiles true? Against the target's own log, with freezes of 1 s every 10 s, and FastHttpUser.

Run: python tests/bench/bench_truth.py [seconds]. Truth: answered (target's log) − intended (schedule), one by one.
"""

import os
import sys
import tempfile
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
OWN = f"""
from locust import FastHttpUser, constant_throughput, task
class Visitor(FastHttpUser):
    wait_time = constant_throughput({RATE / 20})
    @task
    def call(self): self.client.get("/slow/0.02?n=0", name="call")
"""


def truth(target, run: Run) -> np.ndarray:
    """Response times by the target's own log."""
    job, start = Job.read(run.path), journals.read_marks(run)[0]["start"]
    intended = np.concatenate(list(plan_arrivals(time_levels(job.levels, start), "constant", 0, 1, job.seed)))
    users = int(max(level.intended for level in job.levels))
    found = []
    for _, answered, path in target.answered():
        number = (int(path.partition("n=")[2]) - 1) // users
        if answered > start and number < len(intended):
            found.append(answered - intended[number])
    return np.array(found)


def quantiles(run: Run) -> list[float]:
    merged = histogram.merge(journals.read_requests(run)["hist"])
    return [histogram.quantile_s(merged, q) for q in QUANTILES]


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_target(folder, every_s=10, for_s=1) as target:
            plan = make_plan(target.url, [{"arrival_rate_rps": RATE, "ramp_s": 0, "hold_s": seconds}],
                             {"slow": "/slow/0.02?n={counter}"})  # fmt: skip
            run = Run(folder / "2-api-slow")
            launch.run_load(run, plan, "api", "slow")
            times = truth(target, run)
            ours = quantiles(run)
            (folder / "own.py").write_text(OWN)
            closed = make_plan(target.url, [{"users": 20, "ramp_s": 0, "hold_s": seconds}], base_dir=folder,
                               scenarios=[{"name": "own", "locustfile": "own.py"}])  # fmt: skip
            other = Run(folder / "3-scenario-own")
            launch.run_load(other, closed, "scenario", "own")
            fast = quantiles(other)
    print(f"load average {os.getloadavg()[0]:.1f}; {len(times)} answers; bar: within 1 % or 0.2 ms")
    print("quantile   truth        genkai       difference          FastHttpUser, constant_throughput")
    for q, mine, theirs in zip(QUANTILES, ours, fast, strict=True):
        true = float(np.quantile(times, q, method="inverted_cdf"))
        within = abs(mine - true) <= max(0.01 * true, 0.0002)
        verdict = "ok" if within else "OVER"
        print(f"{q:<8}  {true * 1e3:9.2f} ms  {mine * 1e3:9.2f} ms  {mine / true - 1:+7.2%} {verdict}"
              f"  {theirs * 1e3:12.2f} ms ({theirs / true:.2f} of the truth)")  # fmt: skip


if __name__ == "__main__":
    main()
