"""Give the target another size for a step, and put back the size that was found, whatever happens.

Before the first change, sizing.json of the cycle says what was found and who changes it, and a watch begins: a shell in
a session of its own that holds the other end of a pipe. When that pipe closes without a word, its owner was killed, and
the watch restores the size. What it cannot restore, or the machine's end kept it from, whoever comes next reads there.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from genkai.collect.errors import CollectError
from genkai.collect.scaling import Sizer, await_serving, sizer_of
from genkai.load.process import start_time
from genkai.plan import Plan
from genkai.refusals import Refusal
from genkai.workspace import Cycle, now_text, read_json, write_json

RECORD, WATCH_LOG = "sizing.json", "sizing.log"
CHANGED, RESTORED = "changed", "restored"
WATCH = 'read -r told; [ "$told" = done ] || exec "$@"'  # a shell of 1 MB; Python only starts when it is needed
TRIES_S = (0, 5, 15, 60, 300)  # pauses of the watch before each try
Tell = Callable[[str], None]


class Resizing:
    """The target of a plan under another size: a context manager that restores what it found."""

    def __init__(self, cycle: Cycle, plan: Plan, tell: Tell) -> None:
        self.path, self.plan, self.tell = cycle.path / RECORD, plan, tell
        self.sizer: Sizer = sizer_of(plan)
        self.watch: subprocess.Popen | None = None

    def __enter__(self) -> Self:
        """Find out what is there. Raises CollectError: held by another run, a size that is not allowed."""
        restore_left(self.path.parent.parent.parent, self.tell)
        self._refuse_two()
        found = self.sizer.size()
        self.original = self.plan.scaling.base if found is None else found
        return self

    def check(self, sizes: list[int]) -> None:
        """Refuse sizes that the target cannot have before any of them costs time. Raises CollectError."""
        self.sizer.check(sizes)

    def to(self, size: int) -> None:
        """Give the target this size and wait until it serves. Raises CollectError."""
        if self.sizer.size() != size:
            self.watch = self.watch or _watch(self.path)
            self._write(CHANGED, size)
            self.tell(f"    {self.sizer.name}: size {size} …")
            self.sizer.resize(size)
        self._await(size)
        time.sleep(self.plan.scaling.settle_s)

    def kept(self, size: int) -> bool:
        """Whether nobody else changed the size meanwhile, as a scaling policy would."""
        return self.sizer.size() in (None, size)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if _restore(self.path, self.sizer, self.tell) is None:
                return
        finally:  # what could not be restored is told by then
            self._unwatch()
        if kind is None and self.kept(self.original):  # what is run next finds the target as it was
            self._await(self.original)

    def _unwatch(self) -> None:
        if self.watch is not None:
            record = _read(self.path)
            if left := record.get("state") == CHANGED:  # from now on nobody's: the watch, or whoever comes, restores it
                write_json(self.path, {**record, "pid_started": 0.0})
            with suppress(OSError):  # somebody ended it
                self.watch.stdin.close() if left else self.watch.communicate(b"done\n")
            self.watch = None

    def _await(self, size: int) -> None:
        scaling = self.plan.scaling
        await_serving(self.sizer, size, scaling.wait_s, scaling.ready_url, self.tell)

    def _write(self, state: str, size: int) -> None:
        write_json(self.path, {
            "state": state, "target": self.sizer.name, "found": self.original, "asked": size, "pid": os.getpid(),
            "pid_started": start_time(os.getpid()), "watch": self.watch.pid, "time": now_text(),
        })  # fmt: skip

    def _refuse_two(self) -> None:
        for path in sorted(self.path.parent.parent.parent.glob(f"*/*/{RECORD}")):
            record = _read(path)
            if record.get("state") != CHANGED or record["target"] != self.sizer.name:
                continue
            who = f"process {record['pid']}, which {'ended without restoring' if _left(record) else 'resizes'} it"
            raise CollectError(
                f"{path}: expected {self.sizer.name} at its own size, got {who} from {record['found']} to "
                f"{record['asked']}; genkai stop ends and restores it"
            )


def left_behind(root: Path) -> list[Path]:
    """The records below data/cycles of sizes that were changed by processes which are no more."""
    return [path for path in sorted(root.glob(f"*/*/{RECORD}")) if _left(_read(path))]


def restore_left(root: Path, tell: Tell) -> list[str]:
    """Restore every size that a killed run left behind; what was done. What cannot be restored is told, with the way.

    root: data/cycles. A size that somebody changed since is not touched.
    """
    done = []
    for path in left_behind(root):
        record = _read(path)
        tell(f"    {path}: process {record['pid']} ended without restoring {record['target']} "
             f"from {record['asked']} to {record['found']}")  # fmt: skip
        try:
            done += filter(None, [_restore(path, sizer_of(Cycle(path.parent).plan()), tell, left=True)])
        except Refusal as error:  # a plan that cannot be read any more, too: it must not keep other cycles from running
            tell(f"    {path}: {error}")
    return done


@contextmanager
def restored(root: Path, tell: Tell) -> Iterator[None]:
    """Nothing that a killed process changed is left so, neither from before nor by a kernel that died within."""
    restore_left(root, tell)
    try:
        yield
    finally:
        restore_left(root, tell)


def restore_one(path: Path, tell: Tell, tries_s: Sequence[float] = TRIES_S) -> bool:
    """What the watch of a killed process does: try to restore the size of one record; whether nothing is left to do."""
    for pause in tries_s:
        time.sleep(pause)
        try:
            _restore(path, sizer_of(Cycle(path.parent).plan()), tell, left=True)
            return True
        except Refusal as error:
            tell(f"{now_text()} {error}")
    return False


def _watch(path: Path) -> subprocess.Popen:
    """Start the shell that restores what this record says should this process be killed."""
    command = ["sh", "-c", WATCH, "sh", sys.executable, "-m", "genkai.resizing", str(path.resolve())]
    with open(path.with_name(WATCH_LOG), "ab") as log:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time restores a cycle's size: a watch that is late must not undo what was set since."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _restore(path: Path, sizer: Sizer, tell: Tell, left: bool = False) -> str | None:
    """Put a changed size back and say so in the record. Raises CollectError that says how to do it by hand.

    left: only where its owner is no more; one that lives may have changed it since.
    """
    with _alone(path.parent):
        record = _read(path)
        wanted = _left(record) if left else record.get("state") == CHANGED
        return _put_back(path, record, sizer, tell) if wanted else None


def _put_back(path: Path, record: dict[str, Any], sizer: Sizer, tell: Tell) -> str:
    found, asked = record["found"], record["asked"]
    try:
        now = sizer.size()
        if now == found:
            line = f"{sizer.name}: size {found}, as it was found"
        elif now in (None, asked):
            sizer.resize(found)
            line = f"{sizer.name}: size {found} restored"
        else:
            line = f"{sizer.name}: size {now} left as it is; somebody changed it from {asked} meanwhile"
    except CollectError as error:
        raise CollectError(
            f"{sizer.name}: expected to restore size {found} from {asked}, got: {error}. Set it to {found} by hand, or "
            "mend that and: genkai stop"
        ) from error
    write_json(path, {**record, "state": RESTORED, "time": now_text()})
    tell(f"    {line}")
    return line


def _read(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


def _left(record: dict[str, Any]) -> bool:
    return record.get("state") == CHANGED and start_time(record["pid"]) != record["pid_started"]


if __name__ == "__main__":
    sys.exit(0 if restore_one(Path(sys.argv[1]), lambda line: print(line, flush=True)) else 1)
