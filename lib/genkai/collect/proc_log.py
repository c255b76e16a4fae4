"""The /proc sampler's log (`proc_sampler` says its form) → raw counters, a column each.

A day is 60 MB of numbers: clean stretches go through Arrow's CSV reader. It takes what we would not (signs, hexadecimal
numbers), so only stretches of digits and points reach it, and whatever it refuses is read line by line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from genkai.collect.errors import CollectError

_MAGIC = b"#genkai-proc 1 "
_HEAD = re.compile(r"(\d{1,10}(?:\.\d+)?)(?:\.?%?N)? (\d{1,10}\.\d+) ([1-9]\d{0,5})", re.ASCII)
_UPTIME = r"\d{1,10}(\.\d{1,3})?"
_UPTIME_ONLY = re.compile(_UPTIME, re.ASCII)
_CLEAN = b"S .\n0123456789"
_SMALL = 1 << 14  # bytes: below it, reading line by line costs no more than trying


class ProcError(CollectError):
    """A file that is not the /proc sampler's log."""


@dataclass
class ProcRun:
    """Samples of one start of the sampler: raw counters (index: epoch seconds of the sample) and clock ticks/s."""

    raw: pd.DataFrame
    ticks: float = 100.0


@dataclass(frozen=True)
class ProcLog:
    """All runs of a log, and what was left out of it."""

    runs: list[ProcRun]
    warnings: list[str] = field(default_factory=list)

    @property
    def samples(self) -> int:
        """Number of samples."""
        return sum(len(run.raw) for run in self.runs)


def parse_proc(text: str | bytes, where: str = "proc log") -> ProcLog:
    """Read the sampler's log; lines that a kill cut short are left out with a warning. Raises ProcError."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if _MAGIC not in data:
        start = data[:400].decode("utf-8", "replace").strip()
        got = f"{start[:40]!r}" if start else "an empty file"
        raise ProcError(f"{where}: expected the /proc sampler's log ({_MAGIC.decode().strip()} …), got {got}")
    runs, spoiled = [], 0
    # A kill can leave half a line, and the next run's first line then follows on the same one: split at the mark.
    for part in data[data.index(_MAGIC) :].split(_MAGIC)[1:]:
        run, left_out = _read_run(part)
        spoiled += left_out
        if run is not None and len(run.raw):
            runs.append(run)
    return ProcLog(runs, [f"{spoiled} line(s) cut short were left out"] if spoiled else [])


def _read_run(part: bytes) -> tuple[ProcRun | None, int]:
    first, _, body = part.partition(b"\n")
    head = _HEAD.fullmatch(first.decode("utf-8", "replace").strip())
    if head is None:
        return None, 1
    epoch, uptime, ticks = (float(part) for part in head.groups())
    reader = _Reader()
    begin = 0
    while begin < len(body):  # each stretch begins with a line of names
        end = body.find(b"\nF ", begin) + 1 or len(body)
        reader.read(body[begin:end])
        begin = end
    reader.close_block()
    if not reader.frames:
        return None, reader.spoiled
    raw = pd.concat(reader.frames, ignore_index=True) if len(reader.frames) > 1 else reader.frames[0]
    raw.index = pd.Index(raw.pop("uptime") - uptime + epoch, name="epoch")
    return ProcRun(raw[~raw.index.duplicated()], ticks), reader.spoiled


class _Reader:
    """Lines in their order → frames; a line of names holds until the next one."""

    def __init__(self) -> None:
        self.frames: list[pd.DataFrame] = []
        self.names: list[str] = []
        self.fields: list[str] = []
        self.spoiled = 0

    def close_block(self) -> None:
        """Make a frame of the lines read so far."""
        if self.fields:
            values = np.fromstring(" ".join(self.fields), dtype=np.float64, sep=" ").reshape(-1, len(self.names))
            self.frames.append(pd.DataFrame(values, columns=self.names))
            self.fields = []

    def read(self, stretch: bytes) -> None:
        """Take the lines of a stretch: the names, if it begins with them, by themselves, the rest at once."""
        if stretch.startswith(b"F "):
            names, _, stretch = stretch.partition(b"\n")
            self._line(names)
        self._samples(stretch)

    def _samples(self, lines: bytes) -> None:
        """As many clean lines at once as can be: what is not clean is halved until it is small."""
        if not self.names or len(lines) < _SMALL:
            for line in lines.split(b"\n"):
                self._line(line)
            return
        frame = _clean_samples(lines, self.names)
        if frame is not None:
            self.close_block()
            self.frames.append(frame)
            return
        middle = lines.find(b"\n", len(lines) // 2, len(lines) - 1) + 1 or lines.rfind(b"\n", 0, len(lines) - 1) + 1
        if not middle:  # a single line
            self._line(lines)
            return
        self._samples(lines[:middle])
        self._samples(lines[middle:])

    def _line(self, line: bytes) -> None:
        parts = line.decode("utf-8", "replace").split()
        if not parts:
            return
        names = self.names
        if names and parts[0] == "S" and parts[-1] == "." and len(parts) == len(names) + 2 and _numeric(parts[1:-1]):
            self.fields.extend(parts[1:-1])
        elif parts[0] == "F" and len(parts) > 1 and parts[1] == "uptime" and len(set(parts)) == len(parts):
            self.close_block()
            self.names = parts[1:]
        else:
            self.spoiled += 1
            self.close_block()
            self.names = names if parts[0] == "S" else []  # after a broken line of names no sample can be read


def _clean_samples(lines: bytes, names: list[str]) -> pd.DataFrame | None:
    """The frame of lines that are all whole samples, or None when one is not."""
    from pyarrow import csv  # as slow to import as pandas; only notebooks and steps need it

    if lines.translate(None, _CLEAN) or not lines.endswith(b" .\n") or {"S", "."} & set(names):
        return None
    numbers = dict.fromkeys(names[1:], pa.int64())
    try:
        table = csv.read_csv(
            pa.BufferReader(lines),
            csv.ReadOptions(column_names=["S", *names, "."], block_size=1 << 23),
            csv.ParseOptions(delimiter=" ", quote_char=False),
            csv.ConvertOptions(
                column_types={"S": pa.string(), "uptime": pa.string(), **numbers, ".": pa.string()}, null_values=[]
            ),
        )
    except pa.ArrowInvalid:
        return None
    marks = (pc.all(pc.equal(table[mark], mark)).as_py() for mark in ("S", "."))
    if not all(marks) or not pc.all(pc.match_substring_regex(table["uptime"], f"^{_UPTIME}$")).as_py():
        return None
    columns = [table["uptime"].cast(pa.float64()), *(table[name].cast(pa.float64(), safe=False) for name in names[1:])]
    return pa.table(columns, names=names).to_pandas()


def _numeric(fields: list[str]) -> bool:
    """Whether this is an uptime and whole numbers."""
    together = "".join(fields[1:]) or "0"
    return bool(_UPTIME_ONLY.fullmatch(fields[0])) and together.isascii() and together.isdigit()
