"""JMeter's results: JTL as XML, or as CSV with its columns in any order, comma, semicolon or tab, quoted or not.

Gzipped or not; the CSV in UTF-8, UTF-16 or Shift_JIS, which JMeter writes on a Japanese Windows.

Source: JMeter user manual, "Listeners", CSV log format; timeStamp is the start of a sample (jmeter.properties,
sampleresult.timestamp.start), elapsed runs from the actual send.
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from genkai.study.foreign import Imported, ImportedError
from genkai.study.jmeter_xml import CUT_SHORT, TRANSACTION, read_xml
from genkai.study.samples import imported
from genkai.study.series import encodings, unpacked

NEEDED = ("timeStamp", "elapsed", "label")
DELIMITERS = ",;\t"
SERVICE_ONLY = (
    "JMeter measures from the actual send: a target that stalls makes its threads wait, unseen in these times."
)
SHIFT_JIS = "The file is not in UTF-8: read as Shift_JIS (Windows code page 932)."
# What Python says of a file that ends within a letter, in UTF-8, UTF-16 and Shift_JIS: its line is cut short, too.
CUT_LETTER = ("unexpected end of data", "truncated data", "incomplete multibyte sequence")
# What a Java exception is in our words; the first that the code or message contains counts.
KINDS = (("ConnectTimeout", "timeout"), ("SocketTimeout", "timeout"), ("Read timed out", "timeout"),
         ("Connection refused", "refused"), ("HttpHostConnect", "refused"), ("Connection reset", "reset"),
         ("NoHttpResponse", "reset"), ("SocketException", "reset"), ("SSL", "tls"), ("BindException", "no_port"),
         ("Too many open files", "no_fd"))  # fmt: skip


def read_jtl(path: Path) -> Imported:
    """The samples of a JTL file. Raises ImportedError."""
    notes = [SERVICE_ONLY]
    samples = _samples(path, notes)
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


def _samples(path: Path, notes: list[str]) -> pd.DataFrame:
    """label, start_ms, elapsed, success, bytes and what else the file has, checked."""
    try:
        with unpacked(path) as stream:
            head = stream.read(512)
        xml = head.decode(encodings(head)[0], errors="ignore").lstrip().startswith("<")
        frame = read_xml(path, notes) if xml else _csv(path, encodings(head), notes)
    except (EOFError, zlib.error) as error:
        raise ImportedError(f"{path}: expected a whole gzip file, got {error}; unpack what is there: "
                            "gzip -dc FILE > FILE.jtl") from error  # fmt: skip
    except OSError as error:
        raise ImportedError.unreadable(path, error) from error
    except (pd.errors.ParserError, csv.Error) as error:
        raise ImportedError(f"{path}: expected JTL as CSV, got {error}") from error
    if frame.empty:
        raise ImportedError(f"{path}: expected samples below the header, got none")
    counted = [name for name in ("timeStamp", "elapsed", "bytes", "allThreads") if name in frame]
    if len(frame) > 1 and not xml and (frame[counted].iloc[-1] == "").any():
        frame = frame.iloc[:-1].copy()
        notes.append(CUT_SHORT)
    frame.attrs["place"] = f"{path}: sample {{}}" if xml else f"{path}:{{}}"
    frame.index += 1 if xml else 2  # as the place counts them
    frame["start_ms"] = _milliseconds(frame)
    frame["elapsed"] = _numbers(frame, "elapsed").clip(lower=0)
    frame["bytes"] = _numbers(frame, "bytes") if "bytes" in frame else 0
    code = frame["responseCode"] if "responseCode" in frame else pd.Series("200", index=frame.index)
    told = frame["success"].str.strip().str.lower() if "success" in frame else None
    frame["success"] = told == "true" if told is not None else code.str.match(r"[23]\d\d$")
    frame["responseCode"] = code
    return frame


def _csv(path: Path, likely: Sequence[str], notes: list[str]) -> pd.DataFrame:
    """The samples in the first of the likely encodings that can be read; one that is not Unicode is noted."""
    for encoding in likely:
        try:
            frame = _csv_in(path, encoding)
        except UnicodeDecodeError as error:
            if error.reason not in CUT_LETTER:
                continue
            frame = _csv_in(path, encoding, errors="ignore")
        if encoding == "cp932":
            notes.append(SHIFT_JIS)
        return frame
    raise ImportedError(f"{path}: expected JTL as CSV in UTF-8, got bytes that are neither that nor UTF-16 or "
                        "Shift_JIS; convert it: iconv -t utf-8")  # fmt: skip


def _csv_in(path: Path, encoding: str, errors: str = "strict") -> pd.DataFrame:
    with io.TextIOWrapper(unpacked(path), encoding=encoding, errors=errors, newline="") as stream:
        first = stream.readline()
        delimiter = max(DELIMITERS, key=first.count)
        header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
        missing = [name for name in NEEDED if name not in header]
        if missing:
            raise ImportedError(f"{path}: expected columns {', '.join(NEEDED)} in line 1, missing "
                                f"{', '.join(missing)}; write the header with "
                                "-Jjmeter.save.saveservice.print_field_names=true")  # fmt: skip
        return pd.read_csv(stream, names=header, sep=delimiter, dtype=str, keep_default_na=False)


def _refuse(frame: pd.DataFrame, column: str, bad: pd.Series, expected: str) -> None:
    """Raise ImportedError that says where the first bad cell is."""
    if bad.any():
        row = bad.idxmax()
        where = frame.attrs["place"].format(row)
        raise ImportedError(f"{where}: column {column}: expected {expected}, got {frame[column][row]!r}")


def _numbers(frame: pd.DataFrame, column: str) -> pd.Series:
    numbers = pd.to_numeric(frame[column], errors="coerce")
    _refuse(frame, column, numbers.isna(), "a number")
    return numbers


def _milliseconds(frame: pd.DataFrame) -> pd.Series:
    """Epoch milliseconds of stamps that are those, or a date and time (taken as UTC)."""
    stamps = frame["timeStamp"]
    if stamps.str.fullmatch(r"\d{1,17}").all():
        return stamps.astype("int64")
    times = pd.to_datetime(stamps, errors="coerce", utc=True, format="mixed")
    _refuse(frame, "timeStamp", times.isna(), "milliseconds or a date and time")
    return times.dt.as_unit("ms").astype("int64")


def _users(path: Path, samples: pd.DataFrame, second: pd.Series, notes: list[str]) -> pd.Series:
    """Threads of all groups by second: those that are started, or, where that is not told, those that were seen."""
    if "allThreads" in samples:
        return _numbers(samples, "allThreads").groupby(second).max()
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
