"""`genkai history` and the report's section: a line a cycle, the change points, nothing for too few cycles."""

import json
from pathlib import Path

import pytest

from genkai.analyse.records import number
from genkai.pages import history as page
from genkai.pages.report import Report
from genkai.report.index import index_html, read_verdicts
from genkai.report.messages import Messages
from genkai.report.sections.history import change_texts
from genkai.study import StudyError, read_study
from sample_cycles import ROOT, own_cycle, plain
from test_study_history import LIMITS, past


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("history")
    for n, limit in enumerate(LIMITS, 1):
        past(found, limit, n)
    return found


def test_the_command_lists_cycles_and_change_points(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    record = page.history_record(ROOT / "data/plans/demo.yaml")
    json.dumps(record, allow_nan=False)
    told = page.history_text(record)
    assert "Limit: another level from cycle 4 on, +89.3%" in told
    assert "507 rps (499–515)" in told
    assert told.count("[FAIL]") == 3
    assert "第 4 回以降" in page.history_text(record, "ja")


def test_without_a_cycle_the_command_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=r"expected a reported cycle of plan demo .* start one with: genkai cycle"):
        page.history_record(ROOT / "data/plans/demo.yaml")


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_report_shows_the_history_from_the_fourth_cycle_on(place: Path, lang: str) -> None:
    m = Messages(lang)
    number_ = {"en": 7, "ja": 8}[lang]
    report = Report(read_study(own_cycle(place, number_)), lang)
    assert [row["number"] for row in report.history["cycles"]][:6] == [1, 2, 3, 4, 5, 6]
    told = plain(report.closing())
    assert m("section.history") in told
    assert all(str(text) in told for text in change_texts(m, report.history))
    assert "fig-history" in report.closing().labels()
    third = Report(read_study(own_cycle(place / f"few-{lang}", 1)), lang)
    assert m("section.history") not in plain(third.closing())


def test_the_figures_alternative_counts_the_changes_that_it_shows(place: Path) -> None:
    change = {"before": number(1.0), "after": number(2.0), "change": number(1.0, unit="ratio")}
    series = {"what": "limit", "load": None, "unit": "rps", "points": [number(500.0, unit="rps")] * 30,
              "changes": [{**change, "number": n} for n in (3, 20)]}  # fmt: skip
    record = {"cycles": [{"number": n} for n in range(1, 31)], "series": [series]}
    shown = page.history_figure(record, read_study(own_cycle(place / "alt", 1, runs=False)))
    assert shown.alt == Messages("en")("alt.history", n=24, found=1)


def test_the_index_shows_the_limits_and_the_change_points(place: Path, tmp_path: Path) -> None:
    from test_report_outcome import record as verdict

    cycles = [{"number": n, "status": "fail", "limit": number(v, unit="rps")} for n, v in enumerate(LIMITS, 1)]
    history = {"cycles": cycles, "change_points": [{"en": "Limit changed.", "ja": "限界が変化した。"}]}
    (tmp_path / "demo/01").mkdir(parents=True)
    record = {**verdict(), "history": history}
    (tmp_path / "demo/01/verdict.json").write_text(json.dumps(record))
    shown = index_html(read_verdicts(tmp_path), "en")
    assert shown.count('<i style="height') == 6
    assert "Limit changed." in shown
    history["cycles"] = history["cycles"][:3]
    assert 'class="story"' not in index_html([("demo/01", record)], "en")
