"""One request of a run's first call before any load: `python -m genkai.load.probe` with GENKAI_RUN set.

Writes probe.json into the run's folder: {"ok", "kind", "message", "status", "head", "body" (base64), "seconds"}.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path

from genkai.load.calls import CallError, PlanCall, compile_calls
from genkai.load.guard import Guard
from genkai.load.http.connection import Connection
from genkai.load.http.errors import Failure
from genkai.load.http.target import Target, Timeouts
from genkai.load.job import Job
from genkai.workspace import write_json

BODY_AT_MOST = 1_000_000


def ask(job: Job, call: PlanCall) -> dict:
    """Send the call once; what came of it."""
    limits = job.timeouts
    timeouts = Timeouts(min(limits.connect_s, 5.0), min(limits.read_s, 10.0), min(limits.total_s, 15.0))
    with Connection(Target.from_url(job.base_url), timeouts, Guard(job.allow).refuse) as connection:
        try:
            response = connection.exchange(call.template.render(call.new_state(0, 1, job.seed)), head=call.head)
        except Failure as failure:
            return {"ok": False, "kind": failure.kind, "message": failure.message, "status": failure.status}
    failure = call.check(response)
    return {
        "ok": failure is None,
        "kind": None if failure is None else failure.kind,
        "message": "" if failure is None else failure.message,
        "status": response.status,
        "content_type": response.headers.get("content-type"),
        "body": base64.b64encode(response.body[:BODY_AT_MOST]).decode("ascii"),
        "content_encoding": response.headers.get("content-encoding"),
        "seconds": response.done - response.sent,
    }


def main() -> int:
    """Probe and write probe.json; 0 when the target answered."""
    folder = Path(os.environ["GENKAI_RUN"])
    job = Job.read(folder)
    try:
        calls = compile_calls(job)
        found = ask(job, calls[0]) if calls else {"ok": True, "kind": None, "message": "own locustfile", "status": None}
    except CallError as error:
        found = {"ok": False, "kind": "plan", "message": str(error), "status": None}
    write_json(folder / "probe.json", found)
    print(json.dumps({key: found[key] for key in ("ok", "kind", "message", "status")}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
