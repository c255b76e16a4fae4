"""Locust's `_stats_history.csv`: seconds from the differences of its running totals.

Its percentile columns are those of the whole run so far (or of the last ten seconds with --csv-full-history), never of
a level: they are left out. Counts and mean times come from Δ count and Δ (count × mean).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from genkai import histogram, schema
from genkai.study.foreign import Imported, ImportedError
from genkai.study.series import SeriesError, read_table_text

COUNT, FAILED = "Total Request Count", "Total Failure Count"
MEAN = "Total Average Response Time"  # milliseconds
NEEDED = ("Timestamp", "User Count", "Name", COUNT, FAILED, MEAN)
ALL = "Aggregated"
NOTES = (
    "Throughput is the difference of locust's running totals; a response counts in the second in which it came.",
    "Mean response times of the levels, from differences of count × mean, are in levels.csv.",
    "Percentiles are not taken over: locust's are of the whole run so far, not of a level. Record them with genkai.",
)
CUT_SHORT = "The last line ends in the middle, as when locust is killed: what comes before was read."


def read_history(path: Path) -> Imported:
    """The seconds of a `_stats_history.csv`. Raises ImportedError."""
    notes = list(NOTES)
    frame = _checked(path, notes)
    named = frame[frame["Name"] != ALL]
    whole = frame[frame["Name"] == ALL]
    chosen = named if len(named) else whole
    parts = [_differences(part.sort_values("Timestamp"), name) for name, part in chosen.groupby("Name")]
    seconds = pd.concat(parts, ignore_index=True)
    if seconds.empty:
        raise ImportedError(f"{path}: column {COUNT}: expected counts that grow, got the same in every line")
    users = (whole if len(whole) else named).groupby("Timestamp")["User Count"].max()
    requests = schema.check_table(seconds, "requests")
    time_s = pd.concat([_times(part.sort_values("Timestamp")) for _, part in chosen.groupby("Name")])
    return Imported(requests, _failures(seconds), users, time_s.groupby(level=0).sum(), notes)


def _checked(path: Path, notes: list[str]) -> pd.DataFrame:
    """The file's lines with numbers in their columns; what had to be left out is added to the notes."""
    try:
        frame = read_table_text(path)
    except SeriesError as error:
        raise ImportedError(str(error)) from error
    missing = [name for name in NEEDED if name not in frame.columns]
    if missing:
        raise ImportedError(f"{path}: expected columns {', '.join(NEEDED)}, missing {', '.join(missing)}; "
                            "pass the file that ends in _stats_history.csv")  # fmt: skip
    if len(frame) > 1 and frame.iloc[-1].iloc[-1] == "":
        frame = frame.iloc[:-1].copy()
        notes.append(CUT_SHORT)
    if frame.empty:
        raise ImportedError(f"{path}: expected a line for each second below the header, got none")
    for name in ("Timestamp", "User Count", COUNT, FAILED):
        numbers = pd.to_numeric(frame[name], errors="coerce")
        bad = ~np.isfinite(numbers)
        if bad.any():
            line = bad.idxmax()
            raise ImportedError(f"{path}:{line}: column {name}: expected a number, got {frame[name][line]!r}")
        frame[name] = numbers.astype("int64")
    types = frame.groupby("Name")["Type"].nunique() if "Type" in frame else pd.Series(dtype=int)
    several = frame["Name"].map(types).fillna(1) > 1  # GET and POST of one name have totals of their own
    frame["Name"] = frame["Name"].where(~several, frame.get("Type", "") + " " + frame["Name"])
    frame[MEAN] = pd.to_numeric(frame[MEAN], errors="coerce").fillna(0.0)
    return frame


def _times(part: pd.DataFrame) -> pd.Series:
    """Response times in seconds that came to each line's second: Δ (count × mean)."""
    whole = (part[COUNT] * part[MEAN] / 1000).to_numpy(float)
    gained = pd.Series(whole, index=part["Timestamp"].to_numpy()).diff()
    gained.iloc[0] = whole[0]
    return gained.where(part[COUNT].diff().fillna(1).to_numpy() >= 0, whole).clip(lower=0)


def _differences(part: pd.DataFrame, name: str) -> pd.DataFrame:
    """Requests of each second; several seconds between two lines share what came in evenly, the rest going last."""
    rows = []
    before = {"Timestamp": int(part["Timestamp"].iloc[0]) - 1, COUNT: 0, FAILED: 0}
    for line in part[["Timestamp", COUNT, FAILED]].to_dict("records"):
        if line[COUNT] < before[COUNT]:  # statistics were reset (--reset-stats): totals begin again
            before = {**before, COUNT: 0, FAILED: 0}
        gap = max(line["Timestamp"] - before["Timestamp"], 1)
        sent, failed = line[COUNT] - before[COUNT], line[FAILED] - before[FAILED]
        for i in range(gap):
            share = [total * (i + 1) // gap - total * i // gap for total in (sent, failed)]
            rows.append((line["Timestamp"] - gap + 1 + i, share[0], share[1]))
        before = line
    frame = pd.DataFrame(rows, columns=["second", "sent", "failed"])
    frame = frame[frame["sent"] > 0].groupby("second", as_index=False).sum()
    frame["failed"] = frame["failed"].clip(upper=frame["sent"])
    empty = histogram.encode(histogram.new_histogram())
    return pd.DataFrame({
        "time": pd.to_datetime(frame["second"], unit="s", utc=True), "api": name, "level": -1, "sent": frame["sent"],
        "completed": frame["sent"] - frame["failed"], "failed": frame["failed"],
        "dropped": 0, "bytes_received": 0, "hist": empty, "hist_service": None,
    })  # fmt: skip


def _failures(seconds: pd.DataFrame) -> pd.DataFrame:
    """The kinds of failures are not in this file."""
    failed = seconds[seconds["failed"] > 0]
    if failed.empty:
        return schema.empty_table("failures")
    frame = failed[["time", "api"]].assign(
        kind="other", status=None, errno=None, message="not told by _stats_history.csv", count=failed["failed"]
    )
    return schema.check_table(frame, "failures")
