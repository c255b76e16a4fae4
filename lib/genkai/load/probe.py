"""One request of a run's first call before any load: `python -m genkai.load.probe` with GENKAI_RUN set.

A few attempts, for a first one may find a cold target.

Writes probe.json into the run's folder: ok, kind, message, status, content_type, content_encoding, body (base64),
keep_alive, seconds.
"""

from __future__ import annotations

import base64
import json
import sys
import time

from genkai.load.calls import CallError, PlanCall, compile_calls, compile_target
from genkai.load.guard import Guard
from genkai.load.http.certificates import CertificateError, check_files
from genkai.load.http.connection import Connection
from genkai.load.http.errors import Failure
from genkai.load.http.target import Timeouts
from genkai.load.job import Job

BODY_AT_MOST = 1_000_000
PAUSES_S = (0.0, 0.5, 1.5)
PASSING = frozenset(("refused", "reset", "closed", "timeout_connect", "http_5xx"))


def ask(job: Job, call: PlanCall) -> dict:
    """Send the call once; what came of it."""
    limits = job.timeouts
    timeouts = Timeouts(min(limits.connect_s, 5.0), min(limits.read_s, 10.0), min(limits.total_s, 15.0))
    with Connection(compile_target(job), timeouts, Guard(job.allow).refuse) as connection:
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
        "keep_alive": response.head.keep_alive,
        "seconds": response.done - response.sent,
    }


def ask_patiently(job: Job, call: PlanCall) -> dict:
    """Ask again, a little later, where the answer may become another one."""
    for pause_s in PAUSES_S:
        time.sleep(pause_s)
        found = ask(job, call)
        if found["ok"] or found["kind"] not in PASSING:
            break
    return found


def main() -> int:
    """Probe and write probe.json; 0 whether or not the target answered."""
    folder, job = Job.of_environment()
    try:
        check_files(compile_target(job).tls)
        calls = compile_calls(job)
        found = ask_patiently(job, calls[0])
    except (CallError, CertificateError) as error:
        found = {"ok": False, "kind": "plan", "message": str(error), "status": None}
    (folder / "probe.json").write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
