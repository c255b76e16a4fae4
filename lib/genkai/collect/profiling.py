"""Find the target's processes on this machine or an ssh host, profile them for a while, and read what was seen.

Everything runs under a lease of `genkai.hosts`: nothing of ours stays, however we end.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from genkai import hosts, schema
from genkai.collect.errors import CollectError
from genkai.collect.profile_java import explain_java, java_command, parse_java
from genkai.collect.profile_python import explain_python, parse_python, python_command, warnings_of
from genkai.collect.stacks import cpu_seconds, stacks_table
from genkai.plan import Host

MOST = 8  # processes at once on a host: each is stopped for about a millisecond a hundred times a second
SPARE_S = 60.0  # for starting, printing and sending
REHEARSAL_S = 1

# One line a process: id, name, runtime, command line. A server that embeds Python or a JVM has its library mapped.
_LIST = r"""
for p in /proc/[0-9]*; do
    IFS= read -r name <"$p/comm" && line=$(tr '\000\n\t' '   ' <"$p/cmdline") && [ -n "$line" ] || continue
    program=$(readlink "$p/exe"); runtime=other
    case "${program##*/}" in
        java) runtime=java ;;
        python*|pypy*) runtime=python ;;
        *) grep -qsm1 'libpython[0-9]' "$p/maps" && runtime=python; grep -qsm1 libjvm "$p/maps" && runtime=java ;;
    esac
    printf '%s\t%s\t%s\t%s\n' "${p#/proc/}" "$name" "$runtime" "$line"
done 2>/dev/null
true
"""


@dataclass(frozen=True)
class Target:
    """A process to profile."""

    host: str
    ssh: str | None
    pid: int
    runtime: str
    command: str

    @property
    def name(self) -> str:
        """HOST:PID."""
        return f"{self.host}:{self.pid}"


def list_processes(host: Host, ssh_options: Sequence[str] = ()) -> list[tuple[int, str, str, str]]:
    """(process id, name, runtime, command line) of every process that we may look at there. Raises HostError."""
    rows = [line.split("\t", 3) for line in hosts.run(host.ssh, _LIST, 30.0, ssh_options).splitlines()]
    return [(int(r[0]), r[1], r[2], r[3].strip()) for r in rows if len(r) == 4]


def find_targets(host: Host, pids: Sequence[int] = (), ssh_options: Sequence[str] = ()) -> list[Target]:
    """The processes of a host that the plan names (or those with the given ids).

    Raises CollectError when there is none, too many, or one that is neither Python nor Java; HostError.
    """
    running = [r for r in list_processes(host, ssh_options) if r[0] != os.getpid()]
    wanted = host.profile or host.processes
    if pids:
        chosen = [r for r in running if r[0] in pids]
        missing = sorted(set(pids) - {r[0] for r in chosen})
        if missing:
            raise CollectError(f"{host.name}: expected process {missing[0]}, got none; it ended, or it runs elsewhere")
    elif host.profile:
        chosen = [r for r in running if r[2] != "other" and any(part in r[3] for part in host.profile)]
    else:
        chosen = [r for r in running if any(r[1] == name[:15] for name in wanted)]
    if not chosen:
        hint = "name part of their command line in the plan (hosts[].profile), or give --pid"
        what = f"a process like {', '.join(wanted)}" if wanted else "the plan to name the processes to profile"
        raise CollectError(f"{host.name}: expected {what}, got none; {hint}")
    foreign = [r for r in chosen if r[2] == "other"]
    if foreign:
        raise CollectError(f"{host.name}: expected Python or Java, got process {foreign[0][0]} ({foreign[0][3][:80]}); "
                           "profile it by a tool of its own language, such as perf")  # fmt: skip
    if len(chosen) > MOST:
        raise CollectError(f"{host.name}: expected at most {MOST} processes, got {len(chosen)}; name them more exactly "
                           "(hosts[].profile), or give --pid")  # fmt: skip
    return [Target(host.name, host.ssh, r[0], r[2], r[3]) for r in chosen]


class Capture:
    """Profilers of several processes under way, one each, all for the same time."""

    def __init__(
        self, targets: Sequence[Target], phase: str, seconds: int, folder: Path, *, sudo: bool = False,
        ssh_options: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.targets, self.phase = list(targets), phase
        self.cpu_s: float | None = 0.0
        self._files = [folder / f"{phase}.{t.host}.{t.pid}.txt" for t in self.targets]
        self._running: list[hosts.HostProcess] = []
        try:
            for target, file in zip(self.targets, self._files, strict=True):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(b"")
                command = profiler_command(target, seconds, sudo)
                self._running.append(hosts.start(target.ssh, command, file, seconds + SPARE_S, ssh_options))
        except BaseException:
            self.close()
            raise

    @property
    def ended(self) -> bool:
        """Every profiler has ended."""
        return all(process.poll() is not None for process in self._running)

    def close(self) -> None:
        """End what still runs; nothing stays there."""
        for process in self._running:
            process.close()

    def read(self, timeout_s: float = SPARE_S) -> tuple[pd.DataFrame, list[str]]:
        """Wait for the end; (the stacks table of all processes, what they said against their numbers).

        `cpu_s` then holds the CPU seconds of all processes by the kernel's account, None where one ended.

        Raises CollectError naming the first process that could not be profiled.
        """
        tables, notes = [], []
        for target, file, process in zip(self.targets, self._files, self._running, strict=True):
            process.wait(timeout_s)
            said = process.error_text()
            process.close()
            table, warned = read_capture(target, file, self.phase, said)
            tables.append(table)
            spent = cpu_seconds(file.read_text(encoding="utf-8", errors="replace"))
            self.cpu_s = None if spent is None or self.cpu_s is None else self.cpu_s + spent
            notes += [f"{target.name}: {text}" for text in warned]
        return pd.concat(tables, ignore_index=True) if tables else schema.empty_table("stacks"), notes


def profiler_command(target: Target, seconds: int, sudo: bool = False) -> str:
    """The shell command that profiles the process and prints what it saw."""
    if target.runtime == "java":
        return java_command(target.pid, seconds, sudo)
    ours = str(Path(sys.executable).parent) if target.ssh is None else ""
    return python_command(target.pid, seconds, sudo=sudo, ours=ours)


def read_capture(target: Target, file: Path, phase: str, said: str) -> tuple[pd.DataFrame, list[str]]:
    """(stacks table, warnings) of one profiler's output. Raises CollectError with what to do."""
    java = target.runtime == "java"
    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        observed = parse_java(text.splitlines()) if java else parse_python(text)
    except CollectError as error:
        explained = (explain_java if java else explain_python)(said) if said.strip() else str(error)
        raise CollectError(
            f"{target.name} ({target.command[:60]}): expected stacks of a {target.runtime} process, got {explained}"
        ) from None
    return stacks_table(observed, phase, target.name), [] if java else warnings_of(text)


def rehearse(targets: Sequence[Target], folder: Path, *, sudo: bool = False, ssh_options: Sequence[str] = ()) -> None:
    """Profile each for a second before any load, so that what is missing is told at once. Raises CollectError."""
    Capture(targets, "low", REHEARSAL_S, folder / "rehearsal", sudo=sudo, ssh_options=ssh_options).read()
