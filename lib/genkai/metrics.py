"""The metrics table as series: written by row groups, indexed by their statistics, read one series at a time.

A day of eight hosts at 1 s is tens of millions of rows. The file keeps the rows of `schema.py`, so that anything reads
it; a long series has a row group of its own, and Parquet's statistics tell whose. What is not asked for is not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from genkai import schema

OWN_GROUP = 1 << 15  # a series of so many rows has a row group of its own; shorter ones share
SHARED_GROUP = 1 << 18

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]  # start (epoch s), period (s), value; in order of time


class Key(NamedTuple):
    """What tells one series from another."""

    source: str
    resource: str
    metric: str
    statistic: str


@dataclass(frozen=True)
class Block:
    """Metrics of one source and resource at the same times: the wide form of the table.

    times: start of each interval, datetime64[us] in UTC, shape (n,); period_s: seconds, shape (n,) or a number;
    values: {metric: shape (n,), NaN where there is none}; units: {metric: unit}.
    """

    source: str
    resource: str
    times: np.ndarray
    period_s: np.ndarray | float
    values: Mapping[str, np.ndarray]
    units: Mapping[str, str]
    statistic: str = "sample"

    @property
    def frame(self) -> pd.DataFrame:
        """The rows of the metrics table."""
        return frame_of([self])

    def series(self) -> Iterator[tuple[Key, str, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
        """(key, unit, (times, periods, values)) of each metric that has a value."""
        periods = np.broadcast_to(np.asarray(self.period_s, float), self.times.shape)
        for metric, values in self.values.items():
            present = ~np.isnan(values := np.asarray(values, float))
            if present.any():
                arrays = (self.times, periods, values)
                arrays = arrays if present.all() else tuple(a[present] for a in arrays)
                yield Key(self.source, self.resource, metric, self.statistic), self.units[metric], arrays


_Rows = tuple[Key, str, np.ndarray, np.ndarray, np.ndarray]  # key, unit, times (us), periods, values


def micros(epochs: np.ndarray) -> np.ndarray:
    """Epoch seconds as datetime64[us]; NaN becomes NaT."""
    known = np.isfinite(epochs)
    whole = np.where(known, np.round(np.where(known, epochs, 0) * 1e6), np.iinfo(np.int64).min).astype(np.int64)
    return whole.view("datetime64[us]")


def _arrow(rows: Sequence[_Rows]) -> pa.Table:
    counts = [len(values) for *_, values in rows]

    def text(cells: list[str]) -> pa.Array:
        known = list(dict.fromkeys(cells))
        codes = np.repeat([known.index(cell) for cell in cells], counts).astype(np.int32)
        return pa.DictionaryArray.from_arrays(codes, pa.array(known, pa.large_string()))

    none = np.empty(0, "datetime64[us]"), np.empty(0), np.empty(0)
    times, periods, values = (np.concatenate([none[i], *(row[2 + i] for row in rows)]) for i in range(3))
    if len(periods) and not periods.min() >= 0:
        raise schema.TableError(f"table metrics, column period_s: expected 0 ≤ value, got {periods.min()}")
    if np.isnat(times).any():
        raise schema.TableError("table metrics, column time: expected a value in every row, got none in some")
    named = {name: text([getattr(row[0], name) for row in rows]) for name in Key._fields}
    named |= {"unit": text([row[1] for row in rows]), "period_s": pa.array(periods), "value": pa.array(values)}
    named["time"] = pa.array(times.astype("datetime64[us]")).cast(pa.timestamp("us", "UTC"))
    return pa.table({column.name: named[column.name] for column in schema.columns("metrics")})


def _frame(rows: Sequence[_Rows]) -> pd.DataFrame:
    return schema.check_table(_arrow(rows).to_pandas(), "metrics") if rows else schema.empty_table("metrics")


def frame_of(blocks: Iterable[Block]) -> pd.DataFrame:
    """The rows of blocks as one table, checked once. Raises TableError."""
    return _frame([(key, unit, *arrays) for block in blocks for key, unit, arrays in block.series()])


def write_metrics(blocks: Iterable[Block | pd.DataFrame], path: Path) -> int:
    """Write blocks, or frames of the table's rows, one in memory at a time, as one Parquet file; returns its rows.

    The file appears whole or not at all; without rows there is none. Raises TableError.
    """
    import pyarrow.parquet as pq

    written = 0
    # Times grow by equal steps and texts repeat: both shrink to nothing. Values do not, and Snappy is fastest.
    texts = [c.name for c in schema.columns("metrics") if c.kind == schema.TEXT]
    with schema.part_of(path) as part:
        with pq.ParquetWriter(
            part, _arrow([]).schema, compression="snappy", use_dictionary=[*texts, "period_s"],
            column_encoding={"time": "DELTA_BINARY_PACKED"}, write_statistics=True,
        ) as writer:  # fmt: skip
            for group in _groups(blocks):
                table = _arrow(group)
                writer.write_table(table, row_group_size=max(len(table), 1))
                written += len(table)
        part.replace(path) if written else part.unlink()
    return written


def _groups(blocks: Iterable[Block | pd.DataFrame]) -> Iterator[list[_Rows]]:
    """What becomes one row group each."""
    shared: list[_Rows] = []
    for block in blocks:
        for key, unit, arrays in block.series() if isinstance(block, Block) else Metrics.of(block).blocks():
            if len(arrays[2]) >= OWN_GROUP:
                yield [(key, unit, *arrays)]
                continue
            shared.append((key, unit, *arrays))
            if sum(len(values) for *_, values in shared) >= SHARED_GROUP:
                yield sorted(shared, key=lambda row: row[0])
                shared = []
    if shared:
        yield sorted(shared, key=lambda row: row[0])


@dataclass(frozen=True)
class _Held:
    """Samples in memory."""

    unit: str
    arrays: Arrays

    def __len__(self) -> int:
        return len(self.arrays[0])

    def read(self) -> Arrays:
        """The samples."""
        return self.arrays


@dataclass(frozen=True)
class _Stored:
    """Samples that are a row group of a file."""

    unit: str
    path: Path
    metadata: Any
    group: int

    def __len__(self) -> int:
        return self.metadata.row_group(self.group).num_rows

    def read(self) -> Arrays:
        """The samples."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path, metadata=self.metadata) as file:
            table = file.read_row_group(self.group, columns=["time", "period_s", "value"])
        start = table["time"].cast(pa.int64()).to_numpy() / 1e6
        return _in_order(start, table["period_s"].to_numpy(), table["value"].to_numpy())


def _in_order(start: np.ndarray, period: np.ndarray, value: np.ndarray) -> Arrays:
    if np.isnan(value).any():
        start, period, value = (array[~np.isnan(value)] for array in (start, period, value))
    if len(start) > 1 and (np.diff(start) < 0).any():
        order = np.argsort(start, kind="stable")
        start, period, value = start[order], period[order], value[order]
    return start, period, value


class Metrics:
    """All series of some metrics tables."""

    def __init__(self, parts: Mapping[Key, Sequence[_Held | _Stored]]) -> None:
        self._parts = {key: list(parts[key]) for key in sorted(parts)}

    @classmethod
    def of(cls, table: Metrics | pd.DataFrame) -> Metrics:
        """The series of a frame of the metrics table."""
        if isinstance(table, Metrics):
            return table
        start = (table["time"] - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy(float, na_value=np.nan)
        wanted = {"period_s": float, "value": float, "unit": object}
        period, value, units = (table[name].to_numpy(kind) for name, kind in wanted.items())
        parts: dict[Key, list[_Held]] = {}
        for key, rows in table.groupby(list(Key._fields), sort=True, observed=True).indices.items():
            arrays = _in_order(start[rows], period[rows], value[rows])
            if len(arrays[0]):
                parts[Key(*key)] = [_Held(str(units[rows[0]]), arrays)]
        return cls(parts)

    def __len__(self) -> int:
        """Number of samples."""
        return sum(len(part) for parts in self._parts.values() for part in parts)

    @property
    def keys(self) -> list[Key]:
        """The series there are, sorted."""
        return list(self._parts)

    def unit(self, key: Key) -> str:
        """The unit of a series."""
        return self._parts[key][0].unit

    def arrays(self, key: Key) -> Arrays:
        """(start in epoch seconds, period in seconds, value) of a series, in order of time, each of shape (n,)."""
        read = [part.read() for part in self._parts[key]]
        return read[0] if len(read) == 1 else _in_order(*(np.concatenate(column) for column in zip(*read, strict=True)))

    def held(self, keys: Iterable[Key]) -> Metrics:
        """These series alone, in memory: what is asked of them again and again is read once."""
        return Metrics({key: [_Held(self.unit(key), self.arrays(key))] for key in keys})

    def blocks(self) -> Iterator[tuple[Key, str, Arrays]]:
        """(key, unit, (times as datetime64[us], periods, values)) of each series."""
        for key in self._parts:
            start, period, value = self.arrays(key)
            yield key, self.unit(key), (micros(start), period, value)

    def select(
        self, metric: str | None = None, source: str | None = None, window: tuple[float, float] | None = None
    ) -> pd.DataFrame:
        """The rows of the table that have this metric and source and begin within the window (epoch seconds)."""
        rows: list[_Rows] = []
        for key in self._parts:
            if metric in (None, key.metric) and source in (None, key.source):
                (start, period, value), (begin, end) = self.arrays(key), window or (-np.inf, np.inf)
                part = slice(np.searchsorted(start, begin, side="left"), np.searchsorted(start, end, side="right"))
                if len(start[part]):
                    rows.append((key, self.unit(key), micros(start[part]), period[part], value[part]))
        return _frame(rows)

    @property
    def frame(self) -> pd.DataFrame:
        """All rows, sorted by series and time; a day of eight hosts does not fit in memory this way."""
        return self.select()


def read_metrics(paths: Sequence[Path]) -> Metrics:
    """The series of metrics tables; long ones are read when they are asked for. Raises TableError."""
    import pyarrow.parquet as pq

    parts: dict[Key, list[_Held | _Stored]] = {}
    for path in paths:
        try:
            metadata = pq.read_metadata(path)
            single = {group: _single(metadata, group) for group in range(metadata.num_row_groups)}
            for group, found in single.items():
                if found is not None:
                    parts.setdefault(found[0], []).append(_Stored(found[1], path, metadata, group))
            for key, held in _read_shared(path, metadata, [group for group, found in single.items() if found is None]):
                parts.setdefault(key, []).append(held)
        except (schema.TableError, OSError, pa.ArrowException) as error:
            raise schema.TableError(f"{path}: expected a metrics table in Parquet ({error})") from error
    return Metrics(parts)


def _single(metadata: Any, group: int) -> tuple[Key, str] | None:
    """(key, unit) of a row group that holds one long series, by its statistics."""
    rows = metadata.row_group(group)
    if rows.num_rows < OWN_GROUP:
        return None
    found = {}
    for column in range(rows.num_columns):
        part = rows.column(column)
        if part.path_in_schema in (*Key._fields, "unit"):
            known = part.statistics
            if known is None or not known.has_min_max or known.min != known.max:
                return None
            found[part.path_in_schema] = known.min
    return (Key(*(found[name] for name in Key._fields)), found["unit"]) if len(found) == 5 else None


def _read_shared(path: Path, metadata: Any, groups: list[int]) -> Iterator[tuple[Key, _Held]]:
    import pyarrow.parquet as pq

    if groups:
        with pq.ParquetFile(path, metadata=metadata) as file:
            held = Metrics.of(schema.check_table(file.read_row_groups(groups).to_pandas(), "metrics"))
        yield from ((key, _Held(held.unit(key), held.arrays(key))) for key in held.keys)
