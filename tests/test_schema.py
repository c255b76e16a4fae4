"""Tables keep to their schema, and reading gives back what was written."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai.schema import (
    TABLES,
    TableError,
    check_table,
    columns,
    empty_table,
    read_table,
    write_table,
    write_table_parts,
)

TIME = pd.Timestamp("2026-01-01", tz="UTC")
METRIC = {"time": [TIME], "source": ["vmstat"], "resource": ["host:a"], "metric": ["m"], "statistic": ["sample"],
          "unit": ["s"], "period_s": [1.0], "value": [2.0]}  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_an_empty_table_is_valid_and_survives_a_round_trip(table: str, tmp_path: Path) -> None:
    back = read_table(write_table(empty_table(table), table, tmp_path / "t.parquet"), table)
    pd.testing.assert_frame_equal(back, empty_table(table))


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_values_survive_a_round_trip(values: list[float], tmp_path_factory: pytest.TempPathFactory) -> None:
    frame = pd.DataFrame({k: v * len(values) for k, v in METRIC.items()}).assign(value=values)
    path = tmp_path_factory.mktemp("t") / "metrics.parquet"
    assert read_table(write_table(frame, "metrics", path), "metrics")["value"].tolist() == values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": None}, r"missing \['value'\]"),
        ({"extra": [1]}, r"unknown \['extra'\]"),
        ({"value": ["x"]}, "column value: expected float, got"),
        ({"period_s": [-1.0]}, r"column period_s: expected 0\.0 ≤ value"),
        ({"source": [None]}, "column source: expected a value in every row, got none in 1 of 1"),
        ({"time": [pd.Timestamp("2026-01-01")]}, "times carry a time zone: pass UTC"),
    ],
)
def test_each_breach_is_named(change: dict, message: str) -> None:
    row = {**METRIC, **change}
    frame = pd.DataFrame({k: v for k, v in row.items() if v is not None})
    with pytest.raises(TableError, match=message):
        check_table(frame, "metrics")


def test_choices_are_checked() -> None:
    row = {
        "time": [TIME],
        "api": ["a"],
        "kind": ["gremlin"],
        "status": [None],
        "errno": [None],
        "message": [""],
        "count": [1],
    }
    with pytest.raises(TableError, match=r"column kind: expected one of timeout, .*got 'gremlin'"):
        check_table(pd.DataFrame(row), "failures")


def test_files_that_are_missing_or_not_parquet(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"no\.parquet: expected table metrics, got no file"):
        read_table(tmp_path / "no.parquet", "metrics")
    (tmp_path / "bad.parquet").write_text("hello")
    with pytest.raises(TableError, match=r"bad\.parquet: expected a Parquet file"):
        read_table(tmp_path / "bad.parquet", "metrics")
    with pytest.raises(TableError, match="expected one of requests"):
        columns("nonsense")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = write_table(pd.DataFrame(METRIC), "metrics", tmp_path / "m.parquet")
    with pytest.raises(TableError):
        write_table(pd.DataFrame({**METRIC, "value": ["x"]}), "metrics", path)
    assert read_table(path, "metrics")["value"].tolist() == [2.0]


def test_parts_make_one_table_and_a_bad_part_leaves_the_old_file(tmp_path: Path) -> None:
    first, second = pd.DataFrame(METRIC), pd.DataFrame({**METRIC, "value": [3.0]})
    path = write_table_parts(iter([first, second]), "metrics", tmp_path / "m.parquet")
    pd.testing.assert_frame_equal(
        read_table(path, "metrics"), check_table(pd.concat([first, second], ignore_index=True), "metrics")
    )
    with pytest.raises(TableError):
        write_table_parts([first, pd.DataFrame({**METRIC, "value": ["x"]})], "metrics", path)
    assert len(read_table(path, "metrics")) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["m.parquet"], "a failed write leaves no part"
    assert len(read_table(write_table_parts([], "generator", tmp_path / "g.parquet"), "generator")) == 0


def test_an_optional_column_may_be_left_out_and_is_then_missing() -> None:
    optional = [c.name for c in columns("generator") if c.optional]
    assert optional
    frame = empty_table("generator").drop(columns=optional)
    frame.loc[0, ["time", "process"]] = [TIME, "local"]
    checked = check_table(frame, "generator")
    assert list(checked.columns) == [c.name for c in columns("generator")]
    assert checked[optional].isna().all(axis=None)
