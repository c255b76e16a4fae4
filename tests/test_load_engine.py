"""The engine of one load process; all else of it is tested by the runs of test_launch.py."""

import subprocess
import sys
from pathlib import Path

from genkai import journals
from genkai.load.job import make_job
from genkai.workspace import Run
from load_target import make_plan

# A process of its own: the engine imports locust. The run ends while a flush pauses between two APIs.
SCRIPT = """
import sys
from pathlib import Path
from types import SimpleNamespace
import locust, gevent
from genkai.load.engine import Engine
from genkai.load.http.clock import now
from genkai.load.job import Job
from genkai.workspace import Run
engine = Engine(Run(Path(sys.argv[1])), Job.read(Path(sys.argv[1])))
engine._record(SimpleNamespace(user_count=1))
for api in ("a", "b"):
    cell = engine.recorder.cell(api, now())
    cell.sent, cell.completed, cell.response = 3, 3, [0.001, 0.002, 0.003]
closing, sleep = [], gevent.sleep
def pause(seconds=0):
    if seconds == 0 and not closing:
        closing.append(gevent.spawn(engine.close))
        for _ in range(3):
            sleep(0)
    sleep(seconds)
gevent.sleep = pause
while not closing:
    sleep(0.01)
closing[0].join(10)
"""


def test_a_run_that_ends_during_a_flush_loses_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path / "3-scenario-mix")
    plan = make_plan("http://127.0.0.1:1", [{"users": 1, "hold_s": 5}], {"a": "/a", "b": "/b"})
    run.path.mkdir()
    make_job(run, plan, "scenario", "mix").write(run.path)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(run.path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    requests = journals.read_requests(run)
    assert dict(zip(requests["api"], requests["completed"], strict=True)) == {"a": 3, "b": 3}
    assert len(journals.read_generator(run)) == 1
