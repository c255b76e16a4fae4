"""`genkai compare` on recorded runs: equal cycles are never better or worse, a slower one is, and columns line up."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from genkai import histogram, schema
from genkai.pages.comparison import comparison_record, comparison_text
from genkai.report.messages import Messages
from genkai.study import StudyError
from genkai.workspace import WorkspaceError
from sample_cycles import own_cycle


def slower(path: Path, factor: float) -> None:
    """Every response time of the runs, times a factor."""
    for name in path.glob("runs/*/requests.parquet"):
        table = pd.read_parquet(name)
        table["hist"] = [_scaled(text, factor) for text in table["hist"]]
        schema.write_table(table, "requests", name)


def _scaled(text: bytes, factor: float) -> bytes:
    made = histogram.new_histogram()
    for item in histogram.merge([text]).get_recorded_iterator():
        made.record_value(max(1, round(item.value_iterated_to * factor)), item.count_at_value_iterated_to)
    return histogram.encode(made)


@pytest.fixture(scope="module")
def cycles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    place = tmp_path_factory.mktemp("compare")
    found = tuple(own_cycle(place, number).path for number in (1, 2, 3))
    for run in [r for path in found for r in path.glob("runs/*") if r.name != "2-api-item"]:
        shutil.rmtree(run)
    slower(found[2], 1.5)
    return found


def verdicts(record: dict, what: str) -> set[str]:
    return {row["verdict"] for row in record["rows"] if row["what"] == what}


def test_the_same_measurements_are_never_better_or_worse(cycles: tuple[Path, Path, Path]) -> None:
    record = comparison_record(cycles[0], cycles[1])
    assert record["rows"]
    assert {row["verdict"] for row in record["rows"]} <= {"same", "cannot_tell"}
    assert verdicts(record, "throughput") == {"same"}
    assert (record["before"], record["after"]) == (1, 2)
    json.dumps(record, allow_nan=False)


def test_slower_responses_are_worse_and_the_other_way_round_better(cycles: tuple[Path, Path, Path]) -> None:
    assert verdicts(comparison_record(cycles[0], cycles[2]), "p50") == {"worse"}
    assert verdicts(comparison_record(cycles[2], cycles[0]), "p50") == {"better"}


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_text_has_a_line_for_each_row_in_straight_columns(cycles: tuple[Path, Path, Path], lang: str) -> None:
    from unicodedata import east_asian_width

    record = comparison_record(cycles[0], cycles[2])
    lines = comparison_text(record, lang).splitlines()
    badges = [line for line in lines if line.endswith("]")]
    assert len(badges) == len(record["rows"])
    assert len({sum(1 + (east_asian_width(c) in "WF") for c in line[: line.index("[")]) for line in badges}) == 1


def test_what_only_one_of_them_measured_is_said(cycles: tuple[Path, Path, Path], tmp_path: Path) -> None:
    other = own_cycle(tmp_path, 4).path
    record = comparison_record(cycles[0], other)
    told = {(c["what"], c["before"], c["after"]) for c in record["changes"]}
    assert {("runs of api search", "–", "1"), ("runs of scenario shopping", "–", "1")} <= told
    assert not [what for what, *_ in told if what == "runs of api item"]
    m = Messages("ja")
    assert m("comparison.runs_of", step="api", subject="search") in comparison_text(record, "ja")


def test_one_cycle_twice_and_no_cycle_are_refused(cycles: tuple[Path, Path, Path], tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"expected two cycles, got .* twice"):
        comparison_record(cycles[0], cycles[0])
    with pytest.raises(WorkspaceError, match="expected the folder of a cycle"):
        comparison_record(cycles[0], tmp_path)
