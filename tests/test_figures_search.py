"""The figure of a capacity search: readable in both languages for every way a search can end."""

import pytest

from genkai import figures
from genkai.analyse.search import Settings, search_capacity
from legible import legibility_problems
from test_analyse_search import target

ENDS = {
    "found": lambda: search_capacity(target(500), Settings(start_rps=60)),
    "restless": lambda: search_capacity(target(500, seed=3, restless=0.3), Settings(start_rps=60)),
    "generator": lambda: search_capacity(target(5000, generator=800), Settings(start_rps=100)),
    "stopped": lambda: search_capacity(target(500, errors_beyond=True), Settings(start_rps=100)),
    "none": lambda: search_capacity(target(1, noise=0), Settings(start_rps=1e9)),
}


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("end", ENDS)
def test_it_is_readable(end, lang):
    record = ENDS[end]() | {"target_rps": 400.0}
    figure = figures.search(record, t=lang)
    assert legibility_problems(figure) == []
    axes = figure.axes[0]
    drawn = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    for verdict in ("kept", "missed", "discarded", "stopped"):
        assert drawn[verdict] == [t["rate_rps"] for t in record["trials"] if t["verdict"] == verdict]


def test_the_headline_is_the_answer():
    record = ENDS["found"]()
    shown = figures.search(record).axes[0].get_title(loc="left")
    assert f"{record['limit']['value']:.0f}" in shown
    assert "keep the targets" in shown
    assert "At least" in figures.search(ENDS["generator"]()).axes[0].get_title(loc="left")


def test_each_stretch_of_a_phase_is_named_where_it_is():
    trials = ENDS["generator"]()["trials"]
    phases = [t["phase"] for t in trials]
    starts = [i for i in range(len(phases)) if not i or phases[i] != phases[i - 1]]
    assert phases.count("ramp") != starts[1]  # the search ramps again
    axes = figures.search(ENDS["generator"]()).axes[0]
    ramps = [t for t in axes.texts if t.get_text() == "ramp"]
    for note in ramps:
        assert phases[round(note.get_position()[0]) - 1] == "ramp"
    assert ramps


def test_a_search_without_trials_says_so():
    assert figures.search({"trials": []}).texts[0].get_text() == "The search has no trial yet."
