"""Python: the command that samples a process by py-spy, and its output as observations.

py-spy reads the interpreter's memory from outside and stops it for about a millisecond at each sample. All threads are
sampled, waiting ones too; the native frames above the last Python function tell what a thread waits for.
"""

from __future__ import annotations

import re
import shlex

from genkai.collect.errors import CollectError
from genkai.collect.stacks import CPU_SHELL, Observation, without_background

RATE_HZ = 100
MISSING = "genkai: py-spy is not there"

# The output passes through cat because py-spy opens its output by name, and over ssh /dev/stdout may be a socket.
_SCRIPT = """PATH=$PATH:$HOME/.local/bin:{ours}
command -v py-spy >/dev/null || {{ echo "{missing}" >&2; exit 1; }}
py-spy record --help 2>/dev/null | grep -q -e --native && native=--native
export RUST_BACKTRACE=0
{cpu}
cpu
set -- record -f raw --function --threads --idle $native -r {rate} -d {seconds} -p {pid} -o /dev/stdout
{sudo} "$(command -v py-spy)" "$@" | cat
cpu
"""
_LINE = re.compile(r"(?P<stack>.+) (?P<samples>\d+)")
_FRAME = re.compile(r"(?P<name>.*) \((?P<file>.*?)(?::\d+)?\)$")
_PYTHON_FILE = re.compile(r"\.(py|pyx|pyw|ipynb)$|^<")
_COUNT = re.compile(r"Samples: (\d+) Errors: (\d+)")

_POLL = re.compile(r"^(__)?(p?poll|p?select)$")
_CONDITION = re.compile(r"^(Condition|Event|Barrier)\.\w+ \(threading\.py|^wait\w* \(threading\.py")
# First match counts. Source: CPython's Python/ceval_gil.c (the GIL is a condition variable), Python/thread_pthread.h
# (locks are semaphores) and the names of the C library's calls.
_NATIVE = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("lock", r"acquire_lock|lock_acquire|PyMutex|PySemaphore|^sem_\w*wait|pthread_mutex_lock|pthread_rwlock"),
        ("gil", r"^take_gil|^pthread_cond_(timed|clock)?wait|^pthread_cond_\w+"),
        ("sleep", r"^(clock_)?nanosleep|^usleep"),
        ("idle", r"^(__)?(epoll_p?wait\d?|accept4?|kevent)$"),
        ("poll", _POLL.pattern),
        ("io", r"^(__)?((recv|send|open|fcntl)\w*|p?(read|write)v?(64)?|connect|fsync|fdatasync|flock)$"),
    )
)
# Threads that wait for work, not for each other: the pools and queues of the standard library and common servers.
_WORK = re.compile(
    r"^_worker \(concurrent/futures/thread|^get \(queue\.py|^Queue\.get \(queue\.py|^SimpleQueue\.get|"
    r"^_?ThreadPoolExecutor|^worker \(multiprocessing/pool|\(waitress/task|^Queue\.get \(multiprocessing"
)
# poll and select wait for work in a server's loop, and for an answer anywhere else (a database driver, a client).
_LOOP = re.compile(r"\((selectors|select|socketserver|asyncore)\.py|\((gunicorn|werkzeug|waitress|twisted|tornado)/")
# Without native frames (py-spy has none on some processors) the last Python function has to tell.
_PYTHON_LEAF = (
    ("lock", re.compile(r"\((threading|multiprocessing/synchronize|asyncio/locks)\.py")),
    ("idle", re.compile(r"\((selectors|select|asyncio/selector_events|socketserver)\.py")),
    ("io", re.compile(r"\((socket|ssl)\.py")),
)


def python_command(pid: int, seconds: int, sudo: bool = False, ours: str = "") -> str:
    """A simple shell command that prints py-spy's raw stacks; ours: the folder of our own py-spy, on this machine."""
    script = _SCRIPT.format(
        ours=ours,
        missing=MISSING,
        cpu=CPU_SHELL.format(pid=pid),
        sudo="sudo -n" if sudo else "",
        rate=RATE_HZ,
        seconds=seconds,
        pid=pid,
    )
    return f"sh -c {shlex.quote(script)}"


def parse_python(text: str) -> list[Observation]:
    """The observations in py-spy's raw output. Raises CollectError when it holds no sample."""
    found = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match and not line.startswith(("py-spy>", "genkai-cpu")):
            thread, *raw = match["stack"].split(";")
            frames, kind, parked = classify(raw)
            samples = int(match["samples"])
            found.append(Observation(frames, kind, samples / RATE_HZ, samples, thread, parked))
    if not found:
        said = "the process ended" if "process exited" in text else "no stack"
        raise CollectError(f"py-spy: expected samples, got none ({said})")
    return without_background(found, RATE_HZ)


def warnings_of(text: str) -> list[str]:
    """What py-spy itself says against its numbers."""
    count = _COUNT.search(text)
    notes = [f"py-spy failed to read {count[2]} samples"] if count and int(count[2]) else []
    if "process exited" in text:
        notes.append("the process ended while it was profiled")
    return notes + (["py-spy came behind in sampling"] if "behind in sampling" in text else [])


def classify(raw: list[str]) -> tuple[tuple[str, ...], str, bool]:
    """(the Python functions of a stack, what the thread did, parked) of py-spy's frames, outermost first.

    >>> classify(["serve (app.py:3)", "time_sleep (libpython3.11.so.1.0)", "clock_nanosleep (libc.so.6)"])
    (('serve (app.py)',), 'sleep', True)
    """
    frames, last = [], -1
    for index, text in enumerate(raw):
        match = _FRAME.fullmatch(text)
        if match and _PYTHON_FILE.search(match["file"]):
            frames.append(f"{match['name']} ({match['file']})")
            last = index
    native = [m["name"] if (m := _FRAME.fullmatch(text)) else text for text in raw[last + 1 :]]
    kind = _kind(native, frames)
    if kind == "lock" and any(_WORK.search(frame) for frame in frames):
        kind = "idle"
    condition = bool(frames) and _CONDITION.search(frames[-1]) is not None
    parked = kind in ("sleep", "idle") or (kind == "lock" and condition) or any(_POLL.search(n) for n in native)
    while kind == "lock" and len(frames) > 1 and _PYTHON_LEAF[0][1].search(frames[-1]):
        frames.pop()  # threading.py only carries out the wait: who asked for it is what says something
    return tuple(frames) or (native[0] if native else "?",), kind, parked


def _kind(native: list[str], frames: list[str]) -> str:
    for kind, pattern in _NATIVE:
        if any(pattern.search(name) for name in native):
            if kind == "poll":
                return "idle" if frames and _LOOP.search(frames[-1]) else "io"
            return kind
    if not native and frames:
        return next((kind for kind, pattern in _PYTHON_LEAF if pattern.search(frames[-1])), "cpu")
    return "cpu"


def explain_python(said: str) -> str:
    """What py-spy's failure means, and what to do."""
    if MISSING in said:
        return "no py-spy there; install it there (pip install --user py-spy: one program file, nothing runs by itself)"
    if "ermission" in said or "not permitted" in said:
        return (
            "no permission to read another process (ptrace); run as root or as the process's user with "
            "kernel.yama.ptrace_scope=0, give --sudo where sudo asks for no password, or start the container with "
            "--cap-add SYS_PTRACE"
        )
    if "executable name" in said or "No such" in said:
        return "no such process; it ended, or the process id is wrong"
    if "python version" in said:
        return "a process that is no CPython that py-spy knows; profile it by a tool of its own language"
    if "sudo:" in said:
        return "sudo that asks for a password; leave --sudo out or allow py-spy in sudoers"
    return (said.strip().splitlines() or ["no message"])[-1][:300]
