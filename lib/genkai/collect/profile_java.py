"""Java: the command that records a JVM by Flight Recorder, and the printed recording as observations.

Flight Recorder is part of the JVM (11 and later, 8u262): `jcmd` starts it, `jfr` prints it, nothing is installed. It
samples threads that run, and times waits of WAIT_MS and more, each with its stack. The recording has a limit in time of
its own and lies in a temporary folder that the script removes, however it ends.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from genkai.collect.errors import CollectError
from genkai.collect.stacks import CPU_SHELL, Observation, without_background

PERIOD_S = 0.01
WAIT_MS = 10
MISSING = "genkai: jcmd or jfr is not there"
DEPTH = 64

# What each event means; jdk.ExecutionSample is a sample of a running thread, the others are waits with a duration.
EVENTS = {
    "jdk.ExecutionSample": "cpu", "jdk.JavaMonitorEnter": "lock", "jdk.JavaMonitorWait": "lock",
    "jdk.ThreadPark": "lock", "jdk.ThreadSleep": "sleep", "jdk.SocketRead": "io", "jdk.SocketWrite": "io",
    "jdk.FileRead": "io", "jdk.FileWrite": "io", "jdk.FileForce": "io",
}  # fmt: skip
PARKED = ("jdk.JavaMonitorWait", "jdk.ThreadSleep")
# A pool's thread without a task waits for work, not for another thread.
_WORK = re.compile(
    r"ThreadPoolExecutor\.getTask|ForkJoinPool\.(awaitWork|scan|runWorker)|TaskQueue\.(take|poll)|ReferenceQueue|"
    r"\bTimerThread\.|QueuedThreadPool\.|DelayedWorkQueue|Acceptor|SynchronousQueue\.(poll|take)"
)
# What only carries out a wait: the function that asked for it is the innermost one that says something.
_PLUMBING = re.compile(
    r"^(jdk\.internal\.misc\.|sun\.misc\.Unsafe|java\.util\.concurrent\.locks\.|java\.lang\.(Thread\.sleep|Object\.wait)|"
    r"java\.util\.concurrent\.ForkJoinPool\.(un)?managedBlock)"
)
_UNITS = {"ns": 1e-9, "us": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_HEAD = re.compile(r"(?P<event>jdk\.\w+) \{")
_THREAD = re.compile(r"  (eventThread|sampledThread) = (?P<text>.+)")
_DURATION = re.compile(r"  duration = (?P<text>.+)")
_CALL = re.compile(r"(?P<name>[^\s(]+)\(.*\)(\s+line:.*)?|(?P<other>\S.*)")

_SCRIPT = """command -v jcmd >/dev/null && command -v jfr >/dev/null || {{ echo "{missing}" >&2; exit 1; }}
d=$(mktemp -d) && chmod 777 "$d" || exit 1
name=genkai-$$
trap '{sudo} jcmd {pid} JFR.stop name=$name >/dev/null 2>&1; {sudo} rm -rf "$d"' EXIT
trap 'exit 143' TERM INT HUP
cat >"$d/genkai.jfc" <<'SETTINGS'
{settings}
SETTINGS
{sudo} jcmd {pid} JFR.start name=$name settings="$d/genkai.jfc" filename="$d/r.jfr" duration={limit}s >&2 || exit 1
{cpu}
cpu
sleep {seconds} &
wait $!
cpu
{sudo} jcmd {pid} JFR.stop name=$name filename="$d/r.jfr" >&2 || exit 1
[ -s "$d/r.jfr" ] || {{ echo "no recording was written" >&2; exit 1; }}
LC_ALL=C {sudo} jfr print --stack-depth {depth} "$d/r.jfr"
"""


def java_command(pid: int, seconds: int, sudo: bool = False) -> str:
    """A simple shell command that records a JVM and prints the recording, stacks and all."""
    script = _SCRIPT.format(
        missing=MISSING, sudo="sudo -n" if sudo else "", pid=pid, settings=settings(), seconds=seconds,
        cpu=CPU_SHELL.format(pid=pid), limit=seconds + 30, depth=DEPTH,
    )  # fmt: skip
    return f"sh -c {shlex.quote(script)}"


def settings() -> str:
    """Flight Recorder's settings (.jfc): the events of EVENTS and nothing else."""
    events = []
    for name, kind in EVENTS.items():
        more = {"period": f"{PERIOD_S * 1000:g} ms"} if kind == "cpu" else {
            "stackTrace": "true", "threshold": f"{WAIT_MS} ms"}  # fmt: skip
        chosen = {"enabled": "true", **more}
        inner = "".join(f'<setting name="{key}">{value}</setting>' for key, value in chosen.items())
        events.append(f'<event name="{name}">{inner}</event>')
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<configuration version="2.0" label="Genkai">\n'
    return head + "\n".join(events) + "\n</configuration>"


def parse_java(lines: Iterable[str]) -> list[Observation]:
    """The observations in what `jfr print` printed. Raises CollectError when it holds none."""
    found = []
    for event in _events(lines):
        kind, frames = EVENTS[event.name], tuple(reversed(event.calls))
        while kind != "cpu" and len(frames) > 1 and _PLUMBING.search(frames[-1]):
            frames = frames[:-1]
        if kind == "lock" and any(_WORK.search(frame) for frame in frames):
            kind = "idle"
        seconds = PERIOD_S if kind == "cpu" else _seconds(event.duration)
        found.append(Observation(frames, kind, seconds, thread=event.thread, parked=event.parked))
    if not found:
        raise CollectError("jfr: expected samples, got none (an idle process, or it ended)")
    return without_background(found, 2)


@dataclass
class _Event:
    name: str
    duration: str = ""
    thread: str = ""
    parked: bool = False
    calls: list[str] = field(default_factory=list)  # from the innermost on


def _events(lines: Iterable[str]) -> Iterator[_Event]:
    """Each printed event of EVENTS that has a stack."""
    event, within = _Event(""), False
    for line in lines:
        text = line.rstrip("\n")
        if match := _HEAD.fullmatch(text):
            event, within = _Event(match["event"], parked=match["event"] in PARKED), False
        elif match := _DURATION.fullmatch(text):
            event.duration = match["text"]
        elif match := _THREAD.fullmatch(text):
            event.thread = match["text"]
        elif text.startswith("  parkedClass = ") and "ConditionObject" in text:
            event.parked = True
        elif text.startswith("  stackTrace = ["):
            within = True
        elif within and text.strip() == "]":
            within = False
        elif within and text.strip() != "...":
            event.calls.append(_call(text.strip()))
        elif text == "}" and event.name in EVENTS and event.calls:
            yield event
            event = _Event("")


def _call(text: str) -> str:
    match = _CALL.fullmatch(text)
    return (match["name"] or match["other"]) if match else text


def _seconds(text: str) -> float:
    """Seconds of a printed duration.

    >>> _seconds("20.5 ms"), _seconds("1 m 2 s")
    (0.0205, 62.0)
    """
    words = text.replace(",", "").split()
    return sum(float(number) * _UNITS[unit] for number, unit in zip(words[::2], words[1::2], strict=True))


def explain_java(said: str) -> str:
    """What the failure of jcmd or jfr means, and what to do."""
    if MISSING in said:
        return "no jcmd and jfr there; install a JDK of the JVM's version there (or put its bin into PATH)"
    if "not permitted" in said or "well-known file is not secure" in said or "AttachNotSupported" in said:
        return "no permission to attach to the JVM; run as its user, or give --sudo where sudo asks for no password"
    if "No such process" in said:
        return "no such process; it ended, or the process id is wrong"
    return (said.strip().splitlines() or ["no message"])[-1][:300]
