"""Recorded runs of the fault bench, diagnosed again: true cause first, no false alarm, no wrong name."""

import io
import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest

from bench.faults.case import UNKNOWN
from bench.faults.cases import CASES
from bench.faults.corpus import record, unpack
from bench.faults.runner import Result, judge, table

CORPUS = Path(__file__).parent / "data/faults"
RECORDED = sorted(path.stem for path in CORPUS.glob("*.zip"))
FAULTS = [name for name in RECORDED if CASES[name].truth not in ("", UNKNOWN)]


@cache
def result(name: str) -> Result:
    with TemporaryDirectory() as place:
        return judge(CASES[name], unpack(CORPUS / f"{name}.zip", Path(place)), fit=False)


@pytest.mark.parametrize("name", FAULTS)
def test_the_true_cause_is_among_the_first_two(name: str) -> None:
    assert 0 < result(name).rank <= 2, table([result(name)])


def test_the_true_cause_is_first_in_nine_of_ten() -> None:
    results = [result(name) for name in FAULTS]
    assert sum(r.rank == 1 for r in results) >= 0.9 * len(results), table(results)
    assert [r.name for r in results if r.missing] == []


@pytest.mark.parametrize("name", [n for n in RECORDED if n not in FAULTS])
def test_no_false_alarm_and_no_wrong_name(name: str) -> None:
    assert not result(name).false_alarm, table([result(name)])


def test_the_corpus_is_whole_and_small() -> None:
    missing = set(CASES) - set(RECORDED)
    assert not missing, "record them: python -m bench.faults --into DIR --record tests/data/faults"
    assert set(RECORDED) <= set(CASES)
    assert sum(path.stat().st_size for path in CORPUS.glob("*.zip")) < 2_000_000
    assert len(FAULTS) >= 20
    assert sum(CASES[n].truth == "" for n in RECORDED) >= 8


def test_a_recorded_run_can_be_recorded_again(tmp_path: Path) -> None:
    """The same run gives the same file; of a run older than a column of the schema, what it holds is kept."""
    once = record(CASES["lb_capacity"], unpack(CORPUS / "lb_capacity.zip", tmp_path / "once"), tmp_path / "1")
    twice = record(CASES["lb_capacity"], unpack(once, tmp_path / "again"), tmp_path / "2")
    assert twice.read_bytes() == once.read_bytes()
    old, new = zipfile.ZipFile(CORPUS / "lb_capacity.zip"), zipfile.ZipFile(once)
    assert new.namelist() == old.namelist()
    for name in old.namelist():
        if not name.endswith(".parquet"):
            assert new.read(name) == old.read(name)
            continue
        before, after = (pd.read_parquet(io.BytesIO(archive.read(name))) for archive in (old, new))
        pd.testing.assert_frame_equal(after[list(before)], before)
