"""Every table that leaves a process: its columns, dtypes, units and ranges; check, read and write (Parquet).

All times are UTC; units are base units: seconds, bytes, requests per second, ratios 0–1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from genkai.refusals import Refusal

TIME, TEXT, INT, FLOAT, BOOL, BYTES = "time", "text", "int", "float", "bool", "bytes"
_PANDAS_DTYPE = {
    TIME: "datetime64[us, UTC]",
    TEXT: "str",
    INT: "Int64",
    FLOAT: "float64",
    BOOL: "boolean",
    BYTES: "object",
}
_ARROW_TYPE = {
    TIME: pa.timestamp("us", "UTC"), TEXT: pa.large_string(), INT: pa.int64(), FLOAT: pa.float64(), BOOL: pa.bool_(),
    BYTES: pa.binary(),
}  # fmt: skip


class TableError(Refusal, ValueError):
    """A table that does not keep to its schema; the message says table, column, expected, got."""


@dataclass(frozen=True)
class Column:
    """One column: its kind, unit, closed range, whether a value may be missing, or the column (then all of its are)."""

    name: str
    kind: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    nullable: bool = False
    choices: tuple[str, ...] = ()
    meaning: str = ""
    optional: bool = False


def _ratio(name: str, meaning: str, nullable: bool = True) -> Column:
    return Column(name, FLOAT, "ratio", 0.0, None, nullable, meaning=meaning)


def _seconds(name: str, meaning: str) -> Column:
    return Column(name, FLOAT, "s", 0.0, None, nullable=True, meaning=meaning)


def _count(name: str, meaning: str) -> Column:
    return Column(name, INT, "requests", 0, None, meaning=meaning)


FAILURE_KINDS = ("timeout", "refused", "reset", "no_port", "no_fd", "tls", "http_4xx", "http_5xx", "check", "other")
WORKLOADS = ("closed", "open")
STACK_KINDS = ("cpu", "io", "lock", "gil", "sleep", "idle")
QUANTILES = {"p50_s": 0.5, "p90_s": 0.9, "p95_s": 0.95, "p99_s": 0.99, "p999_s": 0.999}

TABLES: dict[str, tuple[Column, ...]] = {
    "requests": (
        Column("time", TIME, meaning="start of the second in which the requests were intended to be sent"),
        Column("api", TEXT, meaning="name of the API in the plan, or of the user's own request"),
        Column("level", INT, "", -1, None, meaning="index of the level; -1 outside every level"),
        _count("sent", "requests sent"),
        _count("completed", "responses that passed their checks"),
        _count("failed", "requests that failed, whatever the reason"),
        _count("dropped", "arrivals that found the in-flight limit reached and were never sent (open workload)"),
        Column("bytes_received", INT, "bytes", 0, None),
        Column("hist", BYTES, "µs", meaning="HdrHistogram V2, response time from the intended send, all requests"),
        Column("hist_service", BYTES, "µs", None, None, True, meaning="the same from the actual send"),
    ),
    "failures": (
        Column("time", TIME),
        Column("api", TEXT),
        Column("kind", TEXT, choices=FAILURE_KINDS),
        Column("status", INT, "", 100, 599, True, meaning="HTTP status where there was one"),
        Column("errno", INT, "", 0, None, True),
        Column("message", TEXT),
        _count("count", "failures of this kind in this second"),
    ),
    "levels": (
        Column("level", INT, "", 0, None),
        Column("api", TEXT, meaning="API by itself, scenario name, or (all)"),
        Column("workload", TEXT, choices=WORKLOADS),
        Column("intended", FLOAT, "users or rps", 0.0),
        Column("start", TIME, meaning="start of the ramp"),
        Column("hold_start", TIME, meaning="the intended load is reached"),
        Column("end", TIME),
        Column("window_start", TIME, nullable=True),
        Column("window_end", TIME, nullable=True),
        Column("steady", BOOL, nullable=True, meaning="missing: too short to tell"),
        Column("throughput_rps", FLOAT, "rps", 0.0, None, True, meaning="successful completions per second"),
        Column("sent_rps", FLOAT, "rps", 0.0, None, True),
        Column("concurrency", FLOAT, "requests", 0.0, None, True, meaning="N = X·R over all requests (Little)"),
        Column("mean_s", FLOAT, "s", 0.0, None, True),
        *(_seconds(name, f"quantile {q} of the response time") for name, q in QUANTILES.items()),
        _ratio("error_ratio", "failed (and dropped) ÷ sent (and dropped)"),
        Column("generator_limited", BOOL, nullable=True),
        Column("generator_note", TEXT, nullable=True, meaning="which rule said so"),
    ),
    "generator": (
        Column("time", TIME),
        Column("process", TEXT),
        _ratio("cpu_ratio", "CPU seconds of this process per second (1 = one whole core)"),
        _seconds("loop_lag_p99_s", "how late the event loop woke"),
        _seconds("schedule_slip_p99_s", "actual minus intended send (open workload)"),
        Column("in_flight", INT, "requests", 0, None, True),
        Column("users", INT, "users", 0, None, True),
        Column("sockets_time_wait", INT, "sockets", 0, None, True),
        Column("fds", INT, "descriptors", 0, None, True),
        Column("run_queue_wait_ratio", FLOAT, "ratio", 0.0, None, True, (), "waited for a CPU, s per s", True),
        Column("steal_ratio", FLOAT, "ratio", 0.0, 1.0, True, (), "share of the machine's CPU that others took", True),
        Column("ports_left", INT, "ports", None, None, True, (), "ephemeral ports left towards the target", True),
        Column("ports", INT, "ports", None, None, True, (), "ephemeral ports of this network namespace", True),
    ),
    "metrics": (
        Column("time", TIME, meaning="start of the interval that the value describes"),
        Column("source", TEXT, meaning="vmstat, proc, ss, cloudwatch, apache …"),
        Column("resource", TEXT, meaning="host:NAME, elb:NAME, ec2:ID …"),
        Column("metric", TEXT),
        Column("statistic", TEXT, meaning="sample, average, sum, minimum, maximum, p95 …"),
        Column("unit", TEXT),
        Column("period_s", FLOAT, "s", 0.0),
        Column("value", FLOAT),
    ),
    "stacks": (
        Column("phase", TEXT, choices=("low", "limit"), meaning="at which of the two load levels"),
        Column("process", TEXT, meaning="HOST:PID"),
        Column("kind", TEXT, choices=STACK_KINDS, meaning="what the thread did: computed, or waited for what"),
        Column("stack", TEXT, meaning="functions, outermost first, separated by semicolons"),
        Column("samples", INT, "samples", 1, None, meaning="samples, or waits that were timed"),
        Column("seconds", FLOAT, "s", 0.0, meaning="thread time that they stand for"),
        Column("squares", FLOAT, "s²", 0.0, meaning="sum of their squared seconds, for the sampling error"),
    ),
}


def columns(table: str) -> tuple[Column, ...]:
    """The columns of a table. Raises TableError for a name that is not a table."""
    if table not in TABLES:
        raise TableError(f"table: expected one of {', '.join(TABLES)}, got {table!r}")
    return TABLES[table]


def empty_table(table: str) -> pd.DataFrame:
    """A table of no rows with the right dtypes."""
    return pd.DataFrame({c.name: pd.Series(dtype=_PANDAS_DTYPE[c.kind]) for c in columns(table)})


def check_table(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """The frame with columns in schema order and schema dtypes; extra columns are refused.

    Raises TableError: missing or unknown column, wrong kind, null where none may be, value out of range.
    """
    wanted = columns(table)
    names = [c.name for c in wanted]
    frame = frame.assign(**{c.name: None for c in wanted if c.optional and c.name not in frame.columns})
    missing = [n for n in names if n not in frame.columns]
    unknown = [n for n in frame.columns if n not in names]
    if missing or unknown:
        raise TableError(
            f"table {table}: expected columns {', '.join(names)}; "
            f"missing {missing or 'none'}, unknown {unknown or 'none'}"
        )
    return pd.DataFrame({c.name: _check_column(frame[c.name], c, table) for c in wanted})


def _check_column(series: pd.Series, column: Column, table: str) -> pd.Series:
    where = f"table {table}, column {column.name}"
    try:
        series = _convert(series, column)
    except (TypeError, ValueError) as error:
        raise TableError(f"{where}: expected {column.kind}, got {series.dtype} ({error})") from error
    missing = series.isna()
    if not column.nullable and missing.any():
        raise TableError(f"{where}: expected a value in every row, got none in {int(missing.sum())} of {len(series)}")
    present = series[~missing]
    for bound, outside in ((column.low, present.lt), (column.high, present.gt)):
        if bound is not None and len(present) and bool(outside(bound).any()):
            got = present[outside(bound)].iloc[0]
            raise TableError(f"{where}: expected {column.low} ≤ value ≤ {column.high} {column.unit}, got {got}")
    if column.choices and not present.isin(column.choices).all():
        got = present[~present.isin(column.choices)].iloc[0]
        raise TableError(f"{where}: expected one of {', '.join(column.choices)}, got {got!r}")
    return series


def _convert(series: pd.Series, column: Column) -> pd.Series:
    if column.kind == TIME:
        if not isinstance(series.dtype, pd.DatetimeTZDtype) and len(series.dropna()):
            raise TypeError("times carry a time zone: pass UTC")
        return pd.to_datetime(series, utc=True).astype(_PANDAS_DTYPE[TIME])
    if column.kind == BYTES:
        return series.astype("object")
    return series.astype(_PANDAS_DTYPE[column.kind])


@contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """The file to write beside `path` and to move there when it is whole; a failed write leaves none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def write_table(frame: pd.DataFrame, table: str, path: Path) -> Path:
    """Check the frame and write it as Parquet (zstd); the file appears whole or not at all."""
    checked = check_table(frame, table)
    with part_of(path) as part:
        checked.to_parquet(part, index=False, compression="zstd")
        part.replace(path)
    return path


def _arrow_schema(table: str) -> pa.Schema:
    fields = [(c.name, _ARROW_TYPE[c.kind]) for c in columns(table)]
    return pa.Table.from_pandas(empty_table(table), schema=pa.schema(fields), preserve_index=False).schema


def write_table_parts(frames: Iterable[pd.DataFrame], table: str, path: Path) -> Path:
    """Write a table of many frames as Parquet row groups, each frame checked, one in memory at a time.

    The file appears whole or not at all. Raises TableError.
    """
    import pyarrow.parquet as pq  # a third of a second, which no load process needs

    arrow = _arrow_schema(table)
    with part_of(path) as part:
        with pq.ParquetWriter(part, arrow, compression="zstd") as writer:
            for frame in frames:
                checked = check_table(frame, table)
                writer.write_table(pa.Table.from_pandas(checked, schema=arrow, preserve_index=False))
        part.replace(path)
    return path


def read_table(path: Path, table: str) -> pd.DataFrame:
    """Read a table and check it. Raises TableError, with the file's name, when it is missing or wrong."""
    if not path.exists():
        raise TableError(f"{path}: expected table {table}, got no file; run the step that writes it")
    try:
        return check_table(pd.read_parquet(path), table)
    except TableError as error:
        raise TableError(f"{path}: {error}") from error
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: expected a Parquet file, got something else ({error})") from error
