"""Repetitions side by side: their lowest, middle and highest, at the load that each of them reached."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from genkai.pages.report import Report
from genkai.study import read_study
from genkai.study.repetitions import repetition_rows
from sample_cycles import own_cycle, plain


def test_without_repetitions_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert repetition_rows(read_study(own_cycle(tmp_path)), "api") == []


def test_repetitions_are_told_by_their_range_and_spread(tmp_path: Path) -> None:
    """The runs of three APIs stand in as repetitions of one: the numbers are those of their own level tables."""
    cycle = own_cycle(tmp_path, edit=lambda plan: plan["steps"]["api"].update(repeat=3, apis=["item"]))
    for n, other in ((2, "order"), (3, "search")):
        shutil.move(cycle.run("api", other).path, cycle.run("api", "item", repetition=n).path)
    study = read_study(cycle)
    runs = study.of("api")
    common = min(run.whole["intended"].max() for run in runs)
    for run in runs:  # the loads differ between the APIs: make one that all reached
        run.whole.loc[run.whole["intended"] == run.whole["intended"].max(), "intended"] = common
    rows = {row["what"]: row for row in repetition_rows(study, "api")}
    assert list(rows) == ["throughput", "p50", "p95"]
    values = [float(run.whole[run.whole["intended"] == common]["p95_s"].iloc[-1]) for run in runs]
    row = rows["p95"]
    assert (row["api"], row["runs"]) == ("item", 3)
    assert [row[k]["value"] for k in ("lowest", "middle", "highest")] == pytest.approx(sorted(values))
    assert row["spread"]["value"] == pytest.approx(np.std(values, ddof=1) / np.mean(values))
    assert {row[k]["unit"] for k in ("lowest", "middle", "highest")} == {"s"}
    for lang, told in (("en", "Spread between runs"), ("ja", "実行間のばらつき")):
        assert told in plain(Report(study, lang).results())
