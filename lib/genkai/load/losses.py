"""Load processes that died on the way: which, since when, and what share of each level's load was not put out.

Imports neither locust nor gevent.
"""

from __future__ import annotations

from typing import Any

from genkai import journals
from genkai.load.job import Job
from genkai.workspace import Run, read_journal

TOLERANCE_S = 1.0  # by how much the last seconds of healthy processes may differ while there is load


def find_losses(run: Run, job: Job) -> dict[str, Any]:
    """What run.json says of lost processes; their journals are complete up to their last second.

    lost_processes: names; lost_share: of all processes (0–1); lost_levels: {level, start: first second that lacks
    them, seconds: how many do, lost_share: share of the level's intended load that was not put out} of each level;
    process_hosts: {process: machine} of those on other machines.
    """
    last = _last_seconds(run, job)
    marks = journals.read_marks(run)
    loaded = marks[-1]["end"] - 1.0 if marks else 0.0  # after the load some drain longer than others
    newest = min(max(last.values(), default=0.0), loaded)
    lost = {process: second + 1.0 for process, second in last.items() if second < newest - TOLERANCE_S}
    levels = [_lost_level(run, job, mark, lost) for mark in marks] if lost else []
    return {
        "lost_processes": sorted(lost), "lost_share": len(lost) / len(last) if last else 0.0,
        "lost_levels": [level for level in levels if level is not None], "process_hosts": _hosts(run),
    }  # fmt: skip


def _hosts(run: Run) -> dict[str, str]:
    """{process: its machine} of the processes on other machines."""
    first = {path.name.split(".", 2)[1]: next(read_journal(path), {}) for path in run.journals("generator")}
    return {process: line["host"] for process, line in first.items() if "host" in line}


def _last_seconds(run: Run, job: Job) -> dict[str, float]:
    """The last second that each process told of; 0 for one that never told of any."""
    last = {f"worker-{index}": 0.0 for index in range(job.processes)} if job.processes > 1 else {}
    for path in run.journals("generator"):
        last[path.name.split(".", 2)[1]] = max((line["t"] for line in read_journal(path)), default=0.0)
    return last


def _lost_level(run: Run, job: Job, mark: dict[str, Any], lost: dict[str, float]) -> dict[str, Any] | None:
    start = max(mark["start"], min(lost.values()))
    if start >= mark["end"]:
        return None
    if mark["workload"] == "open":  # each process has its own share of the arrivals to the end
        missing = sum(max(0.0, mark["end"] - max(mark["start"], moment)) for moment in lost.values())
        share = missing / ((mark["end"] - mark["start"]) * job.processes)
    else:
        share = _users_missing(run, mark, start)
    return {"level": mark["level"], "start": start, "seconds": mark["end"] - start, "lost_share": share}


def _users_missing(run: Run, mark: dict[str, Any], start: float) -> float:
    """Closed workload: locust deals users anew at the next level, so what was missing is what was counted."""
    generator = journals.read_generator(run)
    seconds = generator["time"].astype("int64") // 1_000_000
    first = max(start, mark["hold_start"])
    users = generator[(seconds >= first) & (seconds < mark["end"] - 1)].groupby("time")["users"].sum()
    hold = mark["end"] - mark["hold_start"]
    if not len(users) or not hold or not mark["intended"]:
        return 0.0
    missing = float((1.0 - users / mark["intended"]).clip(lower=0.0).mean())
    return missing * (mark["end"] - first) / hold
