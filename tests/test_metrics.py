"""metrics: blocks and frames written by series, read back one at a time, whatever is long or short."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai import metrics, schema
from genkai.metrics import Block, Key, Metrics, micros, read_metrics, write_metrics


def block(rows: int, resource: str = "host:a", begin: float = 1000.0, names: tuple[str, ...] = ("x", "y")) -> Block:
    values = {n: np.arange(rows) * (i + 1.5) for i, n in enumerate(names)}
    return Block("proc", resource, micros(begin + np.arange(rows)), 1.0, values, dict.fromkeys(names, "bytes"))


@pytest.fixture
def short(monkeypatch):
    """Series of ten rows are long."""
    monkeypatch.setattr(metrics, "OWN_GROUP", 10)


def rows_of(table: pd.DataFrame) -> list[tuple]:
    return sorted(map(tuple, table.astype({"time": "int64"}).to_numpy(object).tolist()))


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(1, 25), min_size=1, max_size=6), gaps=st.lists(st.booleans(), max_size=25))
def test_what_is_written_is_read_by_series_and_as_a_table(tmp_path_factory, counts, gaps):
    path = tmp_path_factory.mktemp("m") / "metrics.parquet"
    blocks = [block(n, f"host:{i % 3}", 1000.0 + 100 * i) for i, n in enumerate(counts)]
    for missing, b in zip(gaps, blocks, strict=False):
        b.values["x"][0] = np.nan if missing else 0.0
    before, metrics.OWN_GROUP = metrics.OWN_GROUP, 10
    try:
        count = write_metrics(blocks, path)
        read = read_metrics([path]) if count else Metrics({})
    finally:
        metrics.OWN_GROUP = before
    expected = pd.concat([b.frame for b in blocks], ignore_index=True)
    assert count == len(expected) == len(read)
    assert rows_of(schema.read_table(path, "metrics")) == rows_of(expected)
    assert rows_of(read.frame) == rows_of(expected)
    for key in read.keys:
        start, _, value = read.arrays(key)
        own = expected[(expected["resource"] == key.resource) & (expected["metric"] == key.metric)].sort_values("time")
        assert (np.diff(start) >= 0).all()
        assert value.tolist() == own["value"].tolist()
        assert read.unit(key) == "bytes"


def test_a_long_series_has_a_row_group_and_is_read_alone(tmp_path, short, monkeypatch):
    path = tmp_path / "metrics.parquet"
    write_metrics([block(50), block(3, "host:b")], path)
    read = read_metrics([path])
    asked = []
    monkeypatch.setattr(metrics._Stored, "read", lambda self: asked.append(self.group) or (np.zeros(0),) * 3)
    assert len(read) == 106  # counted without reading
    read.arrays(Key("proc", "host:b", "x", "sample"))
    assert asked == []  # short ones came with the index
    read.arrays(Key("proc", "host:a", "y", "sample"))
    assert asked == [1]


def test_a_frame_is_the_same_as_its_blocks(tmp_path):
    one, two = tmp_path / "1.parquet", tmp_path / "2.parquet"
    write_metrics([block(5)], one)
    write_metrics([block(5).frame.sample(frac=1, random_state=1)], two)
    pd.testing.assert_frame_equal(read_metrics([one]).frame, read_metrics([two]).frame)
    schema.check_table(schema.read_table(one, "metrics"), "metrics")


def test_select_by_metric_source_and_window():
    table = Metrics.of(pd.concat([block(10).frame, block(10, "host:b").frame], ignore_index=True))
    assert set(table.select("x")["resource"]) == {"host:a", "host:b"}
    assert table.select("x", "vmstat").empty
    seconds = table.select("y", "proc", (1002, 1004))["time"].astype("int64") / 1e6
    assert sorted(set(seconds)) == [1002, 1003, 1004]
    schema.check_table(table.select("nothing"), "metrics")


def test_several_files_are_one_table(tmp_path, short):
    paths = [tmp_path / f"metrics.{n}.parquet" for n in "ab"]
    write_metrics([block(20, begin=5000.0)], paths[0])
    write_metrics([block(20, begin=1000.0)], paths[1])
    start, _, value = read_metrics(paths).arrays(Key("proc", "host:a", "x", "sample"))
    assert start.tolist() == [1000.0 + i for i in range(20)] + [5000.0 + i for i in range(20)]
    assert len(value) == 40


def test_no_rows_no_file(tmp_path):
    assert write_metrics([], tmp_path / "metrics.parquet") == 0
    assert list(tmp_path.iterdir()) == []
    assert Metrics({}).frame.empty


def test_wrong_values_are_refused(tmp_path):
    bad = block(3)
    with pytest.raises(schema.TableError, match="period_s"):
        write_metrics([Block("proc", "host:a", bad.times, -1.0, bad.values, bad.units)], tmp_path / "m.parquet")
    unknown = micros(np.array([1.0, np.nan, 3.0]))
    with pytest.raises(schema.TableError, match="time"):
        write_metrics([Block("proc", "host:a", unknown, 1.0, bad.values, bad.units)], tmp_path / "m.parquet")
    (tmp_path / "other.parquet").write_text("no parquet")
    with pytest.raises(schema.TableError, match=r"other\.parquet: expected a metrics table"):
        read_metrics([tmp_path / "other.parquet"])
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(schema.TableError, match=r"a\.parquet.*missing"):
        read_metrics([tmp_path / "a.parquet"])
