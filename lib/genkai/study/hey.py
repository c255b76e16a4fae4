"""hey's results (hey -o csv): a line for each answered request, in seconds from the start of the run.

Source: hey, requester/print.go and report.go. hey keeps a number of workers (-c); its file tells neither that number
nor the time of day, holds no request that got no answer, and at most a million lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from genkai.study.foreign import Imported, ImportedError
from genkai.study.samples import imported, kind_of

NEEDED = ("response-time", "status-code", "offset")
MOST_LINES = 1_000_000
DIGIT_S = 1e-4  # times are rounded to this
UNSEEN = "hey writes only requests that were answered: what timed out or was refused is in its summary, not here."
CLOCK = "hey's files hold no time of day: runs stand one after another, back from when the first file was written."
SENT = "hey measures from the actual send: a target that stalls makes its workers wait, unseen in these times."
WORKERS = (
    "{path}: users are the most requests in flight at once: {users}. With -q they may be fewer than -c: --workers."
)
CUT = "{path}: a million lines, the most that hey writes: the run may have gone on."


class HeyRuns:
    """Reads files of runs with 10, 20, … workers so that each begins when the one before has ended."""

    def __init__(self, workers: Sequence[int] = ()) -> None:
        """workers: of each file, as hey's -c; none: the most requests that were in flight at once."""
        self._workers, self._next = list(workers), None

    def __call__(self, path: Path) -> Imported:
        """One file. Raises ImportedError."""
        table = _table(path)
        end = float((table["offset"] + table["response-time"]).max())
        seconds = max(1, math.floor(end))
        begin = self._next if self._next is not None else math.floor(path.stat().st_mtime - end)
        self._next = begin + seconds + 1
        notes = [SENT, UNSEEN, CLOCK]
        if self._workers:
            users = self._workers.pop(0)
        else:
            users = most_in_flight(table["offset"].to_numpy(), table["response-time"].to_numpy())
            notes.append(WORKERS.format(path=path.name, users=users))
        if len(table) >= MOST_LINES:
            notes.append(CUT.format(path=path.name))
        status = table["status-code"].astype(int)
        failed = (status < 200) | (status >= 400)
        samples = pd.DataFrame({
            "label": "request", "start_s": begin + table["offset"], "elapsed_s": table["response-time"],
            "success": ~failed, "bytes": 0, "status": status, "message": "",
            "kind": [kind_of(s, "") if f else None for s, f in zip(status, failed, strict=True)],
        })  # fmt: skip
        load = pd.Series([float(users)] * seconds + [0.0], index=range(begin, begin + seconds + 1))
        return imported(path, samples, load, notes)


def most_in_flight(start_s: np.ndarray, elapsed_s: np.ndarray) -> int:
    """The most requests under way at once; a worker's next request does not count beside its last, despite rounding."""
    ends = np.maximum(start_s, start_s + elapsed_s - 2 * DIGIT_S)
    change = np.concatenate([np.ones(len(start_s)), -np.ones(len(ends))])
    order = np.lexsort([-change, np.concatenate([start_s, ends])])
    return int(change[order].cumsum().max())


def _table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, encoding="utf-8-sig", dtype=str, keep_default_na=False, skip_blank_lines=True)
    except OSError as error:
        raise ImportedError.unreadable(path, error) from error
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ImportedError(f"{path}: expected what hey -o csv prints, got {str(error).strip()}") from error
    missing = [name for name in NEEDED if name not in table.columns]
    if missing:
        raise ImportedError(f"{path}: expected columns {', '.join(NEEDED)} in line 1, missing {', '.join(missing)}; "
                            "write it with hey -o csv (0.1.3 or newer)")  # fmt: skip
    if table.empty:
        raise ImportedError(
            f"{path}: expected answered requests, got none; hey's CSV leaves out those without an answer"
        )
    numbers = table[list(NEEDED)].apply(pd.to_numeric, errors="coerce")
    bad = ~np.isfinite(numbers) | (numbers < 0) | (numbers > 1e7)
    if bad.to_numpy().any():
        row, column = np.argwhere(bad.to_numpy())[0]
        raise ImportedError(f"{path}:{row + 2}: column {NEEDED[column]}: expected a number of hey's, "
                            f"got {table[NEEDED[column]].iloc[row]!r}")  # fmt: skip
    return numbers
