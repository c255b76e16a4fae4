"""One kind of row for what every profiler saw: a stack, what the thread did at its top, and how long."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from genkai import schema

SEPARATOR = ";"  # of folded stacks, root first, as flamegraph.pl and speedscope read them


@dataclass(frozen=True)
class Observation:
    """A stack (outermost frame first), what its thread did then, and the seconds that this observation stands for."""

    frames: tuple[str, ...]
    kind: str
    seconds: float
    samples: int = 1
    thread: str = ""
    parked: bool = False  # waits until somebody wakes it, not for a lock that another thread holds


def without_background(observed: list[Observation], least: int) -> list[Observation]:
    """Threads that were seen `least` times or more and only ever parked in one place serve no request: they idle.

    A thread that serves is seen elsewhere now and then, however long it waits for a slow dependency.
    """
    seen: dict[str, set[tuple[tuple[str, ...], bool]]] = {}
    count: dict[str, int] = {}
    for each in observed:
        seen.setdefault(each.thread, set()).add((each.frames, each.parked))
        count[each.thread] = count.get(each.thread, 0) + each.samples
    background = {
        thread for thread, places in seen.items()
        if thread and count[thread] >= least and len(places) == 1 and next(iter(places))[1]
    }  # fmt: skip
    return [replace(each, kind="idle") if each.thread in background else each for each in observed]


def stacks_table(observed: Iterable[Observation], phase: str, process: str) -> pd.DataFrame:
    """The stacks table of one process in one phase: equal stacks added up."""
    sums: dict[tuple[str, str], list[float]] = {}
    for each in observed:
        found = sums.setdefault((each.kind, SEPARATOR.join(_plain(f) for f in each.frames)), [0, 0.0, 0.0])
        found[0] += each.samples
        found[1] += each.seconds
        found[2] += each.seconds**2 / each.samples
    rows = [
        {"phase": phase, "process": process, "kind": kind, "stack": stack, "samples": n, "seconds": s, "squares": q}
        for (kind, stack), (n, s, q) in sorted(sums.items())
    ]
    return schema.check_table(pd.DataFrame(rows) if rows else schema.empty_table("stacks"), "stacks")


# Our scripts print the process's CPU time (utime, stime, ticks a second) before and after.
CPU_SHELL = (
    """cpu() {{ echo "genkai-cpu $(sed 's/.*) //' /proc/{pid}/stat | cut -d' ' -f12,13) $(getconf CLK_TCK)"; }}"""
)
_CPU = re.compile(r"^genkai-cpu (\d+) (\d+) (\d+)$", re.MULTILINE)


def cpu_seconds(text: str) -> float | None:
    """CPU seconds of the process by the kernel's own account, from a script's output; None where it ended."""
    counts = [(int(m[1]) + int(m[2])) / int(m[3]) for m in _CPU.finditer(text)]
    return counts[-1] - counts[0] if len(counts) > 1 else None


def _plain(frame: str) -> str:
    return frame.replace(SEPARATOR, ",")
