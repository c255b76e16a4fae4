"""Give the target another size for a step, and put back the size that was found, whatever happens.

Before the first change, sizing.json of the cycle says what was found and who changes it. Whoever comes next, after a
kill -9 too, reads there what still has to be restored.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from genkai.collect.errors import CollectError
from genkai.collect.scaling import Sizer, await_serving, sizer_of
from genkai.load.process import start_time
from genkai.plan import Plan
from genkai.workspace import Cycle, now_text, read_json, write_json

RECORD = "sizing.json"
CHANGED, RESTORED = "changed", "restored"
Tell = Callable[[str], None]


class Resizing:
    """The target of a plan under another size: a context manager that restores what it found."""

    def __init__(self, cycle: Cycle, plan: Plan, tell: Tell) -> None:
        self.path, self.plan, self.tell = cycle.path / RECORD, plan, tell
        self.sizer: Sizer = sizer_of(plan)

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
            self._write(CHANGED, size)
            self.tell(f"    {self.sizer.name}: size {size} …")
            self.sizer.resize(size)
        self._await(size)
        time.sleep(self.plan.scaling.settle_s)

    def kept(self, size: int) -> bool:
        """Whether nobody else changed the size meanwhile, as a scaling policy would."""
        return self.sizer.size() in (None, size)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        record = _read(self.path)
        if record.get("state") != CHANGED:
            return
        _restore(self.path, record, self.sizer, self.tell)
        if kind is None and self.kept(self.original):  # what is run next finds the target as it was
            self._await(self.original)

    def _await(self, size: int) -> None:
        scaling = self.plan.scaling
        await_serving(self.sizer, size, scaling.wait_s, scaling.ready_url, self.tell)

    def _write(self, state: str, size: int) -> None:
        write_json(self.path, {
            "state": state, "target": self.sizer.name, "found": self.original, "asked": size, "pid": os.getpid(),
            "pid_started": start_time(os.getpid()), "time": now_text(),
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
        try:
            done.append(_restore(path, _read(path), sizer_of(Cycle(path.parent).plan()), tell))
        except CollectError as error:
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


def _restore(path: Path, record: dict[str, Any], sizer: Sizer, tell: Tell) -> str:
    """Put the size back and say so in the record. Raises CollectError that says how to do it by hand."""
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
