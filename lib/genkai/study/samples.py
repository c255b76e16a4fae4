"""Single samples of another tool as the tables of a run, and the load that a tool without users put on: its rate."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from genkai import schema
from genkai.analyse.windows import segments
from genkai.study.foreign import LEAST_S, Imported, ImportedError, check_span, second_histogram

COLUMNS = ("label", "start_s", "elapsed_s", "success", "bytes", "kind", "status", "message")


def read_lines(path: Path, what: str) -> Iterator[tuple[int, str]]:
    """(number, text) of each line of a text file, plain or gzipped, that is not blank. Raises ImportedError."""
    try:
        packed = path.read_bytes()[:2] == b"\x1f\x8b"
        with gzip.open(path, "rt", encoding="utf-8-sig") if packed else open(path, encoding="utf-8-sig") as stream:
            for number, line in enumerate(stream, 1):
                if "\0" in line:
                    raise ImportedError(f"{path}:{number}: expected {what}, got bytes that are no text")
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except OSError as error:
        raise ImportedError.unreadable(path, error) from error
    except (UnicodeDecodeError, EOFError) as error:
        raise ImportedError(f"{path}: expected {what} in UTF-8, got bytes that are not ({error})") from error


def rfc3339(stamp: str) -> float:
    """Epoch seconds, to the microsecond; without a zone it is taken as UTC. Raises ValueError."""
    moment = datetime.fromisoformat(stamp)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def imported(path: Path, samples: pd.DataFrame, load: pd.Series | None, notes: list[str]) -> Imported:
    """Samples by second and label. samples: COLUMNS; kind None where it succeeded; start_s: epoch seconds of the send.

    load: users by epoch second, or None: the rate at which samples were sent is the load. Raises ImportedError.
    """
    if samples.empty:
        raise ImportedError(f"{path}: expected requests, got none")
    check_span(path, samples["start_s"])
    if load is not None:
        check_span(path, load.index.append(pd.Index([samples["start_s"].min()])))
    second = np.floor(samples["start_s"]).astype("int64")
    failed = ~samples["success"].astype(bool)
    groups = samples.assign(second=second, failed=failed).groupby(["second", "label"], sort=True)
    rows = [
        {
            "api": label, "time": at, "sent": len(part), "completed": int((~part["failed"]).sum()),
            "failed": int(part["failed"].sum()), "bytes_received": int(part["bytes"].sum()),
            "hist": second_histogram(part["elapsed_s"].to_numpy(float)),
        }
        for (at, label), part in groups
    ]  # fmt: skip
    frame = pd.DataFrame(rows).assign(level=-1, dropped=0, hist_service=None)
    frame["time"] = pd.to_datetime(frame["time"], unit="s", utc=True)
    workload = "open" if load is None else "closed"
    load = rate_levels(second.value_counts()) if load is None else load
    return Imported(schema.check_table(frame, "requests"), _failures(samples[failed], second[failed]), load,
                    samples["elapsed_s"].groupby(second).sum(), notes, workload)  # fmt: skip


def rate_levels(sent: pd.Series) -> pd.Series:
    """The rate of each second (index: epoch second), constant over each stretch that holds one; 0 after the last.

    sent: requests of each second, in any order; seconds without any may be left out.
    """
    whole = sent.reindex(range(int(sent.index.min()), int(sent.index.max()) + 1), fill_value=0).astype(float)
    values = whole.to_numpy(copy=True)
    edges = segments(values, min_size=min(LEAST_S, max(2, len(values) // 2)))
    for first, last in pairwise(edges):
        values[first:last] = np.median(values[first:last])
    end = pd.Series([0.0], index=[int(whole.index[-1]) + 1])
    return pd.concat([pd.Series(values, index=whole.index), end])


def active(starts: pd.Series, ends: pd.Series) -> pd.Series:
    """Users by epoch second, at the end of each, of those that started and ended (epoch seconds)."""
    change = pd.concat([pd.Series(1, index=starts.astype("int64")), pd.Series(-1, index=ends.astype("int64") + 1)])
    return change.groupby(level=0).sum().cumsum()


def _failures(failed: pd.DataFrame, second: pd.Series) -> pd.DataFrame:
    if failed.empty:
        return schema.empty_table("failures")
    frame = pd.DataFrame({
        "time": pd.to_datetime(second, unit="s", utc=True), "api": failed["label"], "kind": failed["kind"],
        "status": pd.array(failed["status"], dtype="Int64"), "message": failed["message"].str.slice(0, 200),
    })  # fmt: skip
    keys = ["time", "api", "kind", "status", "message"]
    counted = frame.groupby(keys, dropna=False, sort=True).size().rename("count").reset_index()
    return schema.check_table(counted.assign(errno=None), "failures")


SIGNS = (("timeout", "timeout"), ("timed out", "timeout"), ("deadline exceeded", "timeout"), ("refused", "refused"),
         ("reset", "reset"), ("broken pipe", "reset"), ("eof", "reset"), ("prematurely closed", "reset"),
         ("tls", "tls"), ("ssl", "tls"), ("x509", "tls"), ("cannot assign requested address", "no_port"),
         ("too many open files", "no_fd"))  # fmt: skip


def kind_of(status: int | None, message: str) -> str:
    """The kind of a failure by its status, else by what its message says; an answer that failed is a failed check."""
    if status and 400 <= status < 600:
        return f"http_{status // 100}xx"
    found = next((kind for sign, kind in SIGNS if sign in message.lower()), None)
    return found or ("check" if status and 200 <= status < 400 else "other")
