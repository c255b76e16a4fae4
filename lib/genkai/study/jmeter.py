"""JMeter's results: JTL as CSV, with its columns in any order, comma, semicolon or tab, quoted or not.

Source: JMeter user manual, "Listeners", CSV log format; timeStamp is the start of a sample (jmeter.properties,
sampleresult.timestamp.start), elapsed runs from the actual send.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from genkai.study.foreign import Imported, ImportedError
from genkai.study.samples import imported

NEEDED = ("timeStamp", "elapsed", "label")
DELIMITERS = ",;\t"
TRANSACTION = "Number of samples in transaction"
SERVICE_ONLY = (
    "JMeter measures from the actual send: a target that stalls makes its threads wait, unseen in these times."
)
# What a Java exception is in our words; the first that the code or message contains counts.
KINDS = (("ConnectTimeout", "timeout"), ("SocketTimeout", "timeout"), ("Read timed out", "timeout"),
         ("Connection refused", "refused"), ("HttpHostConnect", "refused"), ("Connection reset", "reset"),
         ("NoHttpResponse", "reset"), ("SocketException", "reset"), ("SSL", "tls"), ("BindException", "no_port"),
         ("Too many open files", "no_fd"))  # fmt: skip


def read_jtl(path: Path) -> Imported:
    """The samples of a JTL file. Raises ImportedError."""
    samples = _samples(path)
    notes = [SERVICE_ONLY]
    message = samples.get("responseMessage", pd.Series("", index=samples.index)).fillna("")
    parents = message.str.startswith(TRANSACTION)
    if parents.any():
        notes.append(f"{int(parents.sum())} transaction samples left out: they count their requests a second time.")
        samples = samples[~parents]
    second = (samples["start_ms"] // 1000).astype("int64")
    code = samples["responseCode"]
    why = samples.get("failureMessage", pd.Series("", index=samples.index)).fillna("")
    message = message[samples.index]
    table = pd.DataFrame({
        "label": samples["label"], "start_s": samples["start_ms"] / 1000, "elapsed_s": samples["elapsed"] / 1000,
        "success": samples["success"], "bytes": samples["bytes"],
        "kind": [_kind(c, m) for c, m in zip(code, message, strict=True)],
        "status": pd.to_numeric(code.where(code.str.fullmatch(r"[1-5]\d\d")), errors="coerce").astype("Int64"),
        "message": why.where(why != "", message),
    })  # fmt: skip
    return imported(path, table, _users(path, samples, second, notes), notes)


def _samples(path: Path) -> pd.DataFrame:
    """label, start_ms, elapsed, success, bytes and what else the file has, checked."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            if first.lstrip().startswith("<"):
                raise ImportedError(f"{path}: expected JTL as CSV, got XML; write CSV with "
                                    "-Jjmeter.save.saveservice.output_format=csv")  # fmt: skip
            delimiter = max(DELIMITERS, key=first.count)
            header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
            missing = [name for name in NEEDED if name not in header]
            if missing:
                raise ImportedError(f"{path}: expected columns {', '.join(NEEDED)} in line 1, missing "
                                    f"{', '.join(missing)}; write the header with "
                                    "-Jjmeter.save.saveservice.print_field_names=true")  # fmt: skip
            frame = pd.read_csv(stream, names=header, sep=delimiter, dtype=str, keep_default_na=False)
    except OSError as error:
        raise ImportedError.unreadable(path, error) from error
    except (UnicodeDecodeError, pd.errors.ParserError, csv.Error) as error:
        raise ImportedError(f"{path}: expected JTL as CSV in UTF-8, got {error}") from error
    if frame.empty:
        raise ImportedError(f"{path}: expected samples below the header, got none")
    frame["start_ms"] = _milliseconds(path, frame["timeStamp"])
    frame["elapsed"] = _numbers(path, frame, "elapsed").clip(lower=0)
    frame["bytes"] = _numbers(path, frame, "bytes") if "bytes" in header else 0
    code = frame["responseCode"] if "responseCode" in header else pd.Series("200", index=frame.index)
    told = frame["success"].str.strip().str.lower() if "success" in header else None
    frame["success"] = told == "true" if told is not None else code.str.match(r"[23]\d\d$")
    frame["responseCode"] = code
    return frame


def _numbers(path: Path, frame: pd.DataFrame, column: str) -> pd.Series:
    numbers = pd.to_numeric(frame[column], errors="coerce")
    if numbers.isna().any():
        line = int(np.flatnonzero(numbers.isna())[0])
        raise ImportedError(f"{path}:{line + 2}: column {column}: expected a number, got {frame[column].iloc[line]!r}")
    return numbers


def _milliseconds(path: Path, stamps: pd.Series) -> pd.Series:
    """Epoch milliseconds of stamps that are those, or a date and time (taken as UTC)."""
    if stamps.str.fullmatch(r"\d+").all():
        return stamps.astype("int64")
    times = pd.to_datetime(stamps, errors="coerce", utc=True, format="mixed")
    if times.isna().any():
        line = int(np.flatnonzero(times.isna())[0])
        raise ImportedError(f"{path}:{line + 2}: column timeStamp: expected milliseconds or a date and time, "
                            f"got {stamps.iloc[line]!r}")  # fmt: skip
    return times.dt.as_unit("ms").astype("int64")


def _users(path: Path, samples: pd.DataFrame, second: pd.Series, notes: list[str]) -> pd.Series:
    """Threads of all groups by second: those that are started, or, where that is not told, those that were seen."""
    if "allThreads" in samples:
        return _numbers(path, samples, "allThreads").groupby(second).max()
    if "threadName" in samples:
        notes.append("No column allThreads: users are the threads that sent something within 5 s.")
        seen = samples["threadName"].groupby(second).agg(set)
        whole = seen.reindex(range(int(second.min()), int(second.max()) + 1))
        window = [w if isinstance(w, set) else set() for w in whole]
        return pd.Series([len(set().union(*window[max(0, i - 2) : i + 3])) for i in range(len(window))], whole.index)
    raise ImportedError(f"{path}: expected a column allThreads or threadName, got neither; without users there are no "
                        "load levels (jmeter.save.saveservice.thread_counts=true)")  # fmt: skip


def _kind(code: str, message: str) -> str:
    if code[:1] in ("4", "5") and len(code) == 3:
        return f"http_{code[0]}xx"
    found = next((kind for sign, kind in KINDS if sign in code or sign in message), None)
    return found or ("check" if code[:1] in ("2", "3") else "other")
