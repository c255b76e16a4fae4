"""Series of numbers from a CSV file of any tool: steady state and scale characteristic of what was measured elsewhere.

The delimiter (comma, semicolon, tab) is found by the header; UTF-8, UTF-16 and Shift_JIS are read, gzipped or not; a
number that cannot be read is named by its line.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from genkai.analyse.crosscheck import cross_checks
from genkai.analyse.models import MODELS
from genkai.analyse.records import Record, from_draws, number
from genkai.analyse.resample import block_weights, few_blocks
from genkai.analyse.scalability import LEAST, FitError, fit_scalability
from genkai.analyse.scale_levels import as_cli_record, refused
from genkai.analyse.windows import steady_window
from genkai.study.one_series import one_series
from genkai.study.reading import StudyError

DELIMITERS = ",;\t"
RESAMPLES, BATCH = 1000, 4_000_000  # values drawn at once
MOST_BYTES = 300_000_000
MOST_SECONDS = 200_000  # of a series whose steady window is sought
MOST_LEVELS = 1000  # lines of a fit; more are seconds or requests, of which a level is made
NOTHING = ("", "-", "nan", "null", "none", "n/a", "na")  # how tables write that there is no value
AS_SECONDS = 100.0  # × the load: so many requests under way at once are no seconds
AVERAGED = "{lines:,} lines at {levels} loads: the mean of each load counts as one level."


class SeriesError(StudyError):
    """A file that holds no such series; the message says file, column, expected, got."""


def read_series(path: Path, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """{column: its numbers, in the order of the lines} of a CSV file with a header; lines of no values are left out.

    Of Locust's history those of all requests. Raises SeriesError.
    """
    rows = one_series(path, _rows(path))
    header = [name.strip() for name in rows[0][1]]
    found: dict[str, np.ndarray] = {}
    for column in columns:
        if header.count(column) != 1:
            alike = {name.casefold(): name for name in reversed(header)}
            near = [alike[name] for name in difflib.get_close_matches(column.casefold(), alike, 1)]
            got = f"{header.count(column)} of them" if column in header else ", ".join(header) or "no header"
            hint = f"; did you mean {near[0]}?" if near and column not in header else ""
            raise SeriesError(f"{path}: column {column}: expected one column of that name in line 1, got {got}{hint}")
        place = header.index(column)
        found[column] = np.array([_number(path, column, line, row, place) for line, row in rows[1:]])
    if len(rows) < 2:
        raise SeriesError(f"{path}: column {', '.join(columns)}: expected numbers below the header, got no line")
    return found


def read_table_text(path: Path) -> pd.DataFrame:
    """Every column of a CSV file as text, short lines filled with ""; index: the line. Raises SeriesError."""
    rows = _rows(path)
    header = [name.strip() for name in rows[0][1]]
    width = len(header)
    cells = [(row + [""] * width)[:width] for _, row in rows[1:]]
    return pd.DataFrame(cells, index=[line for line, _ in rows[1:]], columns=header, dtype="str")


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """(line, cells) of every line that has a value."""
    text = _text(path)
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    if "\0" in text or not first:
        got = "bytes that are no text" if "\0" in text else "an empty file"
        raise SeriesError(f"{path}: expected CSV with a header in line 1, got {got}")
    reader = csv.reader(lines, delimiter=max(DELIMITERS, key=first.count), skipinitialspace=True)
    try:
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise SeriesError(f"{path}:{reader.line_num}: expected CSV, got {error}") from error


def _text(path: Path) -> str:
    """The text of a file of limited size, unpacked; Shift_JIS is what Japanese spreadsheets save."""
    try:
        content = _bytes(path)
    except (OSError, EOFError, zlib.error) as error:
        told = getattr(error, "strerror", None) or error
        raise SeriesError(f"{path}: expected a readable CSV file, got {told}") from error
    for encoding in encodings(content):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise SeriesError(f"{path}: expected CSV in UTF-8, got bytes that are neither that nor UTF-16 or Shift_JIS")


def encodings(content: bytes) -> tuple[str, ...]:
    """What a text that begins so may be written in, the likeliest first."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return ("utf-16",) if wide else ("utf-8-sig", "cp932")


def unpacked(path: Path) -> BinaryIO:
    """The open file, unpacked where it is gzipped; reading may raise OSError, EOFError or zlib.error."""
    with open(path, "rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else open(path, "rb")


def _bytes(path: Path) -> bytes:
    size = path.stat().st_size
    if size <= MOST_BYTES:
        with unpacked(path) as stream:
            content = stream.read(MOST_BYTES + 1)
        size = len(content)
    if size > MOST_BYTES:
        raise SeriesError(f"{path}: expected at most {MOST_BYTES / 1e6:.0f} MB, got {size / 1e6:,.0f}; keep a line "
                          "for each second or level")  # fmt: skip
    return content


def _number(path: Path, column: str, line: int, row: list[str], place: int) -> float:
    text = row[place].strip() if place < len(row) else ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        got = repr(text[:40]) if text else "nothing"
        if "," in text:
            hint = "; write a decimal point, and no separators of thousands"
        else:
            hint = "; leave out lines that were not measured" if text.casefold() in NOTHING else ""
        raise SeriesError(f"{path}:{line}: column {column}: expected a number, got {got}{hint}")
    return value


def steady_record(path: Path, column: str) -> dict[str, Any]:
    """The steady window of a column: rows [start, end) counted from 0, its mean with a block-bootstrap interval.

    steady: true, false (no steady state: no window, no mean) or null (too short to tell). Raises SeriesError.
    """
    values = read_series(path, [column])[column]
    if len(values) > MOST_SECONDS:
        raise SeriesError(f"{path}: column {column}: expected at most {MOST_SECONDS:,} values, one a second, got "
                          f"{len(values):,}; take the means of longer intervals")  # fmt: skip
    window = steady_window(values)
    found: dict[str, Any] = {
        "column": column, "n": len(values), "steady": window.steady, "start": None, "end": None, "mean": None,
        "note": window.note,
    }  # fmt: skip
    if window.steady is not False:
        mean = _mean(values[window.start : window.end])
        found |= {"start": window.start, "end": window.end, "mean": mean}
    return found


def _mean(values: np.ndarray) -> Record:
    mean, n, rng = float(values.mean()), len(values), np.random.default_rng(0)
    sizes = [len(part) for part in np.array_split(range(RESAMPLES), max(1, RESAMPLES * n // BATCH))]
    draws = np.concatenate([block_weights(n, size, rng) @ values / n for size in sizes if size])
    return from_draws(mean, mean + (draws - mean) * few_blocks(n), n)


def steady_text(record: dict[str, Any]) -> str:
    """The steady record in a sentence."""
    if record["steady"] is False:
        return f"{record['column']}: {record['note']}"
    state = "steady" if record["steady"] else "cannot tell"
    mean, window = record["mean"], f"rows {record['start']} to {record['end'] - 1} of {record['n']}"
    return f"{record['column']}: {state}; {window}; mean {_shown(mean)} ({record['note']})"


def fit_record(
    path: Path, load: str, throughput: str, response_time: str | None = None, model: str = "auto"
) -> dict[str, Any]:
    """`genkai fit`: the scale characteristic of two columns, checked against Little's law where a third is given.

    response_time: mean seconds. Fewer than 4 distinct loads are refused in the record (model null). Raises SeriesError.
    """
    if model not in ("auto", *MODELS):
        raise SeriesError(f"--model: expected auto, {', '.join(MODELS)}, got {model!r}")
    series = read_series(path, [load, throughput, *([response_time] if response_time else [])])
    _check_levels(path, load, throughput, series)
    lines = len(series[load])
    if lines > MOST_LEVELS:
        series = _averaged(path, load, series)
    n, x = series[load], series[throughput]
    checks: list[dict[str, Any]] = []
    extra: dict[str, Any] = {}
    if response_time:
        checks, extra["think_time_s"] = _little(path, n, x, series[response_time], response_time)
    points = [{"load": float(a), "throughput_rps": float(b)} for a, b in zip(n, x, strict=True)]
    if len(np.unique(n)) < LEAST:
        return as_cli_record(refused(points, [], "load", checks)) | extra
    try:
        fit = fit_scalability(n, x, model=model, load_unit="load")
    except FitError as error:
        raise SeriesError(f"{path}: columns {load}, {throughput}: {error}") from error
    found = as_cli_record({**fit, "checks": checks}) | extra
    if lines > len(n):
        found["warnings"].insert(0, AVERAGED.format(lines=lines, levels=len(n)))
    return found


def _check_levels(path: Path, load: str, throughput: str, series: dict[str, np.ndarray]) -> None:
    for column, good, expected in ((load, series[load] > 0, "a load above 0"),
                                   (throughput, series[throughput] >= 0, "a throughput of at least 0")):  # fmt: skip
        if not good.all():
            row = int(np.argmin(good))
            raise SeriesError(f"{path}: row {row + 1} below the header, column {column}: expected {expected}, got "
                              f"{series[column][row]:g}; leave out levels that were not measured")  # fmt: skip


def _averaged(path: Path, load: str, series: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The means of every column at each distinct load. Raises SeriesError when these are no levels."""
    means = pd.DataFrame(series).groupby(load).mean().reset_index()
    if len(means) > MOST_LEVELS:
        raise SeriesError(f"{path}: column {load}: expected load levels, at most {MOST_LEVELS:,}, got {len(means):,} "
                          "different loads; round them to levels")  # fmt: skip
    return {column: means[column].to_numpy(float) for column in series}


def _little(
    path: Path, n: np.ndarray, x: np.ndarray, r: np.ndarray, column: str
) -> tuple[list[dict[str, Any]], Record]:
    """Cross-checks of N = X·(R + Z), and the think time Z that the levels together imply (median, never below 0)."""
    if not ((r > 0).all() and (x > 0).all() and (n > 0).all()):
        raise SeriesError(f"{path}: column {column}: expected load, throughput and response time > 0 in every line, "
                          "got 0 or less; leave out lines that were not measured")  # fmt: skip
    if (factor := float(np.median(x * r / n))) > AS_SECONDS:
        raise SeriesError(f"{path}: column {column}: expected seconds, got values by which throughput × response time "
                          f"is {factor:,.0f} times the load; divide milliseconds by 1000")  # fmt: skip
    think = np.maximum(n / x - r, 0)
    # Below a tenth of the response time it is what rounding leaves, not thinking.
    middle = float(np.median(think)) if np.median(think) > 0.1 * np.median(r) else 0.0
    levels = pd.DataFrame({
        "level": range(len(n)), "workload": "closed", "intended": n, "throughput_rps": x, "mean_s": r,
        "concurrency": x * r, "steady": pd.array([True] * len(n), dtype="boolean"),
    })  # fmt: skip
    low, high = (float(np.quantile(think, q)) for q in (0.025, 0.975)) if middle else (None, None)
    notes = ["implied by load ÷ throughput − response time"]
    if middle:
        low, high = min(low, middle), max(high, middle)
    return cross_checks(levels, middle), number(middle, low, high, len(n), "s", notes)


def fit_text(record: dict[str, Any]) -> str:
    """The fit for a terminal: model, parameters, limits, reservations."""
    if record["model"] is None:
        return "\n".join(record["warnings"])
    lines = [f"model: {record['model']}" + (f" (runner-up: {record['runner_up']})" if record["runner_up"] else "")]
    limits = ("knee_concurrency", "peak_concurrency", "peak_throughput_rps", "ceiling_rps")
    parameters = {name: value for name, value in record["parameters"].items() if name != "knee_load"}  # a limit
    shown = parameters | {name: record[name] for name in limits}
    lines += [f"{name}: {_shown(value)}" if value else f"{name}: –" for name, value in shown.items()]
    if record["costs"]:
        shares = (f"{name} {_percent(record['costs'][name])}" for name in ("ideal", "contention", "coherency"))
        lines.append(f"time of a request at the highest load: {', '.join(shares)}")
    return "\n".join([*lines, *(f"note: {text}" for text in record["warnings"])])


def _percent(record: Record) -> str:
    return f"{100 * record['value']:.3g}% ({100 * record['low']:.3g}–{100 * record['high']:.3g})"


def _shown(record: Record) -> str:
    ends = [f"{v:.6g}" if v is not None else "no upper end" for v in (record["low"], record["high"])]
    interval = f" ({ends[0]}–{ends[1]})" if record["low"] is not None else ""
    return f"{record['value']:.6g}" + (f" {record['unit']}" if record["unit"] else "") + interval
