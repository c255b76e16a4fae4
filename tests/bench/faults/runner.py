"""Runs a case by the project's own steps, diagnoses it, and says at which rank the true cause stands."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import yaml

from bench.faults.case import UNKNOWN, Case
from genkai.launch import Progress
from genkai.pages.monitor import collect
from genkai.steps import run_one
from genkai.study import read_study
from genkai.study.results import diagnose_run, fit_run
from genkai.workspace import Cycle, Run, new_cycle, open_cycle, read_json, write_json

TESTS = Path(__file__).parent.parent.parent
SLOWEST_S = 120.0
BUSY_ELSEWHERE = 0.3


@dataclass(frozen=True)
class Result:
    """What the diagnosis said of a case: rank of the true cause (0: not named), the answer, all causes in order."""

    name: str
    truth: str
    rank: int
    answer: str
    causes: tuple[str, ...]
    missing: tuple[str, ...]
    seconds: float
    others_cpu: float = 0.0  # what others used of the machine's CPU just before (0–1)

    @property
    def right(self) -> bool:
        """Whether a person who reads only the first finding is not misled."""
        if self.truth in ("", UNKNOWN):
            return not self.false_alarm
        return self.rank == 1 and not self.missing

    @property
    def false_alarm(self) -> bool:
        """A healthy system with a limit or a finding; an unknown limit with a name, or not seen at all."""
        if not self.truth:
            return self.answer != "answer.no_limit" or bool(self.causes)
        return self.truth == UNKNOWN and self.answer != "answer.cannot_tell"


def run_case(case: Case, into: Path) -> Result:
    """Run a case, in a process of its own where it needs limits of its own. Raises RuntimeError when that fails."""
    if case.needs and not _is_installed(case.needs):
        return Result(case.name, case.truth, 0, f"skipped: no {case.needs}", (), (), 0.0)
    if case.namespace is None and not case.open_files:
        return run_here(case, into)
    file = into / f"{case.name}.json"
    file.unlink(missing_ok=True)
    with _prefix(case) as prefix:
        command = [*prefix, sys.executable, "-m", "bench.faults", case.name, "--here", "--into", str(into)]
        command += [] if case.seed is None else ["--seed", str(case.seed)]
        done = subprocess.run(command, cwd=TESTS, timeout=SLOWEST_S, capture_output=True, text=True, check=False)
    if not file.exists():
        raise RuntimeError(f"{case.name}: expected {file}, got none: {done.stderr.strip()[-500:]}")
    record = read_json(file)
    return Result(**{k: tuple(v) if isinstance(v, list) else v for k, v in record.items()})


def _is_installed(program: str) -> bool:
    return shutil.which(program) is not None or any(Path(p, program).exists() for p in ("/usr/sbin", "/usr/share"))


@contextlib.contextmanager
def _prefix(case: Case):
    if case.open_files:
        yield ["prlimit", f"--nofile={case.open_files}:{case.open_files}"]
        return
    name = f"genkai-bench-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    inside = ["ip", "netns", "exec", name]
    try:
        subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
        for key, value in (case.namespace or {}).items():
            subprocess.run([*inside, "sysctl", "-qw", f"{key}={value}"], check=True)
        yield inside
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def run_here(case: Case, into: Path) -> Result:
    """Start the system, run the step on it, collect, diagnose."""
    others = await_quiet()
    began = time.monotonic()
    place = into / "plans" / case.name
    place.mkdir(parents=True, exist_ok=True)
    (place / "locustfile.py").write_text(case.locustfile)
    with case.system() as system:
        (place / "plan.yaml").write_text(yaml.safe_dump(case.plan(system), sort_keys=False))
        cycle = new_cycle(into / "cycles", place / "plan.yaml")
        run_one(cycle.run(case.step, "mix"), cycle.plan(), _during(system.events))
        collect(cycle)
    result = replace(judge(case, cycle, time.monotonic() - began), others_cpu=others)
    write_json(into / f"{case.name}.json", asdict(result))
    return result


def await_quiet(limit_s: float = 5.0) -> float:
    """Wait until others leave most of the machine's CPU alone, but not for ever; the share that they use (0–1)."""
    until = time.monotonic() + limit_s
    while (used := psutil.cpu_percent(1.0) / 100) > BUSY_ELSEWHERE and time.monotonic() < until:
        pass
    return round(used, 2)


def _during(events):
    waiting = list(events)

    def on_second(run: Run, progress: Progress) -> None:
        while waiting and progress.elapsed_s >= waiting[0][0]:
            waiting.pop(0)[1]()

    return on_second


def diagnosis_of(cycle: Cycle, step: str, fit: bool = True) -> dict[str, Any]:
    """The findings record of the cycle's run; fit: with the scalability model, which takes a second or two."""
    study = read_study(cycle)
    run = study.main(step)
    return diagnose_run(study, run, fit_run(study, run) if fit else None)


def judge(case: Case, cycle: Cycle, seconds: float = 0.0, fit: bool = True) -> Result:
    """What the diagnosis says, against the truth; findings that only contribute count after those that explain."""
    record = diagnosis_of(cycle, case.step, fit)
    causes = tuple(f["cause"] for f in record["findings"])
    explaining = tuple(f["cause"] for f in record["findings"] if not f["contributes"])
    rank = causes.index(case.truth) + 1 if case.truth in causes else 0
    shown = causes if case.truth else explaining  # a healthy system may well open a connection for each request
    missing = tuple(cause for cause in case.also if cause not in causes)
    return Result(case.name, case.truth, rank, record["answer_key"], shown, missing, round(seconds, 1))


def newest_cycle(case: Case, into: Path) -> Cycle:
    """The newest cycle of a case. Raises WorkspaceError when it was never run."""
    found = sorted((into / "cycles" / case.name.replace("_", "-")).glob("*/cycle.json"))
    return open_cycle(found[-1].parent if found else into / case.name)


def table(results: list[Result]) -> str:
    """The confusion table: each case with its truth, the rank of the truth, and what was said."""
    width = max(len(r.name) for r in results)
    lines = [f"{'case':{width}}  {'truth':24}  rank  said"]
    for r in results:
        said = ", ".join(r.causes) or r.answer.removeprefix("answer.")
        mark = " " if r.answer.startswith("skipped") or r.right else "✗"
        truth = r.truth or "(healthy)"
        lines.append(f"{r.name:{width}}  {truth:24}  {r.rank or '–':>3} {mark} {said}  [{r.seconds:g} s{_noise(r)}]")
    return "\n".join([*lines, "", *summary(results)])


def _noise(result: Result) -> str:
    return f", others used {result.others_cpu:.0%} of the CPU" if result.others_cpu > BUSY_ELSEWHERE else ""


def summary(results: list[Result]) -> list[str]:
    """The bars: first, among the first two, false alarms, wrong names."""
    run = [r for r in results if not r.answer.startswith("skipped")]
    faults = [r for r in run if r.truth not in ("", UNKNOWN)]
    healthy = [r for r in run if not r.truth]
    outside = [r for r in run if r.truth == UNKNOWN]
    lines = []
    if faults:
        first, second = (sum(0 < r.rank <= n for r in faults) for n in (1, 2))
        lines.append(f"true cause first: {first} of {len(faults)} ({first / len(faults):.0%}; bar 90 %)")
        lines.append(f"among the first two: {second} of {len(faults)} ({second / len(faults):.0%}; bar 100 %)")
    if healthy:
        lines.append(f"false alarms: {sum(r.false_alarm for r in healthy)} of {len(healthy)} healthy runs (bar 0)")
    if outside:
        lines.append(f"named wrongly: {sum(r.false_alarm for r in outside)} of {len(outside)} unknown limits (bar 0)")
    skipped = [r.name for r in results if r.answer.startswith("skipped")]
    return [*lines, *([f"skipped: {', '.join(skipped)}"] if skipped else [])]


def temporary() -> Path:
    """A folder for runs that nobody keeps."""
    return Path(tempfile.mkdtemp(prefix="genkai-bench-"))
