"""Notebook 00: the cycles that there are, and what to do next."""

import json
from pathlib import Path

import pytest

from genkai.pages import start as page
from genkai.report.messages import Messages
from sample_cycles import own_cycle, plain, table_rows


def verdict(cycle, status: str) -> None:
    cycle.write_result("verdicts", {"overall": {"status": status}})


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_a_row_for_each_cycle(tmp_path: Path, lang: str) -> None:
    m = Messages(lang)
    first = own_cycle(tmp_path, 1, created="2026-01-02T03:04:05+00:00")
    own_cycle(tmp_path, 2, created="2026-02-03T04:05:06+00:00", runs=False)
    verdict(first, "fail")
    told = plain(page.cycles_so_far(str(tmp_path / "data/cycles"), lang))
    steps = ", ".join(m(f"step_short.{s}") for s in ("verify", "api", "scenario"))
    assert table_rows(told, f"{m('column.plan')} | ") == [
        ["demo", "1", "2026-01-02 03:04", steps, f"[{m('status.fail')}]"],
        ["demo", "2", "2026-02-03 04:05", "–", f"[{m('status.not_run')}]"],
    ]


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize(
    ("status", "key"), [("pass", "passed"), ("fail", "act"), ("cannot_tell", "act"), (None, "resume")]
)
def test_the_next_step_follows_the_newest_cycle(tmp_path: Path, status: str | None, key: str, lang: str) -> None:
    root = str(tmp_path / "data/cycles")
    old = own_cycle(tmp_path, 1, created="2026-01-01T00:00:00+00:00", runs=False)
    verdict(old, "pass")
    cycle = own_cycle(tmp_path, 2, created="2026-02-01T00:00:00+00:00", runs=False)
    if status:
        verdict(cycle, status)
    told = plain(page.next_step(root, lang))
    assert told == str(Messages(lang).text(f"page.next_{key}", plan="demo", number=2, path=str(cycle.path)))


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_before_any_cycle(tmp_path: Path, lang: str) -> None:
    root = str(tmp_path / "nowhere")
    assert root in plain(page.cycles_so_far(root, lang))
    assert "demo" in plain(page.next_step(root, lang))


def test_results_of_the_recorded_sample_are_no_cycle(tmp_path: Path) -> None:
    place = tmp_path / "cycles/.recorded/sample"
    place.mkdir(parents=True)
    (place / "verdicts.json").write_text(json.dumps({"overall": {"status": "fail"}}))
    assert "demo" in plain(page.next_step(str(tmp_path / "cycles")))
