"""Notebook 40 and the report on capacity searches: the newest of each subject, its result, its path, its trials."""

import json
from pathlib import Path

import numpy as np
import pytest

from genkai.analyse.search import Measured, Settings, search_capacity
from genkai.pages import report
from genkai.pages import search as page
from genkai.report.messages import Messages
from genkai.study import Study, read_study
from genkai.study.searches import SEARCHES, read_searches
from sample_cycles import own_cycle, plain, table_rows

LANGUAGES = ("en", "ja")
CAPACITY = 640.0


def found(capacity: float = CAPACITY, seed: int = 0, generator: float | None = None) -> dict:
    """The record of a search against a simulated target, or one whose generator ends before it."""
    rng = np.random.default_rng(seed)

    def measure(phase: str, rate: float, seconds: float) -> Measured:
        now = capacity * (1 + rng.normal(0, 0.01))
        p95 = 0.02 + max(0.0, rate / now - 1) * seconds
        limited = "cpu" if generator and rate > generator else None
        return Measured(min(rate, now), rate, 0.0, p95, ("p95",) if p95 > 0.2 else (), generator=limited)

    return search_capacity(measure, Settings(start_rps=100.0))


def write_search(place: Path, number: int, text: str, step: str, subject: str, record: dict) -> None:
    folder = place / SEARCHES / "demo" / f"{number:02d}"
    folder.mkdir(parents=True)
    (folder / "plan.yaml").write_text(text, encoding="utf-8")
    whole = {"plan": "demo", "step": step, "subject": subject, "target_rps": 729.0, "folder": str(folder),
             "start": "2026-05-01T10:00:00+00:00", "end": "2026-05-01T10:02:00+00:00", **record}  # fmt: skip
    (folder / "search.json").write_text(json.dumps(whole), encoding="utf-8")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A cycle with three searches: an older one of the scenario, one of the same, one of an API that was not found."""
    cycle = own_cycle(tmp_path)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    text = (cycle.path / "plan.yaml").read_text(encoding="utf-8")
    write_search(tmp_path, 1, text, "scenario", "shopping", found(300.0))
    write_search(tmp_path, 2, text, "scenario", "shopping", found())
    changed = text.replace("p95_ms: ", "p95_ms: 1")
    assert changed != text
    write_search(tmp_path, 3, changed, "api", "search", found(5000.0, generator=500.0))
    return read_study(cycle)


def test_the_newest_search_of_each_subject_is_read(study: Study) -> None:
    records = read_searches(study)
    assert [(r["step"], r["subject"], r["same_plan"]) for r in records] == [
        ("scenario", "shopping", True), ("api", "search", False)]  # fmt: skip
    assert records[0]["limit"]["value"] == pytest.approx(CAPACITY, rel=0.05)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_each_search_says_its_result_and_shows_every_trial(study: Study, lang: str) -> None:
    m, told = Messages(lang), plain(page.searches(study, lang))
    scenario, api = read_searches(study)
    assert m.format(scenario["limit"], "measured") in told
    assert m.format({"value": api["limit"]["low"], "unit": "rps"}, "rps") in told
    assert str(m.text("search.other_plan", subject="search")) in told
    assert str(m.text("search.other_plan", subject="shopping")) not in told
    rows = table_rows(told, m("search.column_number") + " | ")
    assert len(rows) == len(scenario["trials"])
    assert rows[-1][1] == m("search.phase_confirm")
    kept = [m("search.verdict_kept") == row[-1] for row in rows]
    assert kept == [t["verdict"] == "kept" for t in scenario["trials"]]
    assert "[fig-search-1]" in told
    assert "[fig-search-2]" in told


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_report_mentions_searches_without_their_trials(study: Study, lang: str) -> None:
    m, whole = Messages(lang), plain(report.Report(study, lang).explanation())
    assert m("section.search") in whole
    assert m.format(read_searches(study)[0]["limit"], "measured") in whole
    assert "[tab-search-1]" not in whole


@pytest.mark.parametrize("lang", LANGUAGES)
def test_without_a_search_the_notebook_says_how_to_make_one_and_the_report_nothing(tmp_path: Path, lang: str) -> None:
    study = read_study(own_cycle(tmp_path))
    assert read_searches(study, tmp_path / "none") == []
    assert page.section(study, lang) is None
    assert "genkai search" in plain(page.searches(study, lang))


@pytest.mark.parametrize(
    ("record", "key"),
    [
        ({"status": "found", "limit": {"low": 1, "high": 2}}, "search.found"),
        ({"status": "found", "limit": {"low": 1, "high": None}}, "search.found_at_least"),
        ({"status": "stopped", "limit": {"low": 1, "high": 2}}, "search.at_least"),
        ({"status": "cannot_tell", "limit": {"low": None, "high": 2}}, "search.unknown"),
    ],
)
def test_the_sentence_fits_the_result(record: dict, key: str) -> None:
    assert page._key(record) == key
