"""The figures of sizes: readable in both languages for every answer, and they say what the record says."""

import numpy as np
import pandas as pd
import pytest

from genkai import figures
from genkai.analyse.sizes import scale_out, size_maximum
from genkai.figures.sizes import shades
from genkai.figures.style import FigureError
from legible import legibility_problems
from test_analyse_sizes import USERS, fit_of, linear, maxima, shared, usl

RECORDS = {
    "measured": lambda: scale_out(maxima((1, 2, 4, 6, 8), usl), target_rps=280, price_per_hour=0.0544),
    "unreachable": lambda: scale_out(maxima((1, 2, 3, 4), shared, noise=0.004), target_rps=300, price_per_hour=0.0544),
    "extrapolated": lambda: scale_out(maxima((1, 2, 3, 4), linear), target_rps=300),
    "too_far": lambda: scale_out(maxima((1, 2, 3, 4), linear), target_rps=3000, unit="vCPU", price_per_hour=2),
    "unknown": lambda: scale_out([size_maximum(4, fit_of(720, 5))], target_rps=3000, price_per_hour=1),
    "bound": lambda: scale_out([*maxima((1, 2), linear), size_maximum(12, fit_of(720, 5))], target_rps=230,
                               price_per_hour=0.05),
    "no_target": lambda: scale_out(maxima((1, 2, 4), linear), unit="tasks"),
}  # fmt: skip


def levels(capacity: float) -> pd.DataFrame:
    return pd.DataFrame({"intended": USERS, "throughput_rps": np.minimum(USERS, capacity), "workload": "closed"})


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("name", RECORDS)
def test_every_answer_is_readable(name: str, lang: str) -> None:
    record = RECORDS[name]()
    for drawn in (figures.size_maximum(record, t=lang), figures.size_economy(record, 0.7, t=lang)):
        assert legibility_problems(drawn) == []


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_curves_of_all_sizes_are_readable(lang: str) -> None:
    shown = figures.size_curves({s: levels(shared(s)) for s in (4, 1, 2, 3)}, 300, t=lang)
    assert legibility_problems(shown) == []
    drawn = {line.get_label(): list(line.get_ydata()) for line in shown.axes[0].lines if line.get_label().isdigit()}
    assert list(drawn) == ["1", "2", "3", "4"]
    assert drawn["2"] == list(np.minimum(USERS, 120))
    assert "60 → 200 rps" in shown.axes[0].get_title(loc="left")


def test_the_headline_is_the_answer() -> None:
    said = {name: figures.size_maximum(make()).axes[0].get_title(loc="left") for name, make in RECORDS.items()}
    assert said["measured"].startswith("280 rps needs 7 instances (")
    assert said["unreachable"].startswith("No number of instances carries 300 rps: they share a limit of 200 rps")
    assert said["extrapolated"].startswith("300 rps would need 6 instances (5–6): more than was measured")
    assert said["too_far"] == "3,000 rps lies too far beyond 4 vCPU: not stated"
    assert said["unknown"].startswith("Whether 3,000 rps can be carried is not known")
    assert said["no_target"].startswith("1 task → 4 tasks: ")


def test_points_intervals_and_the_size_needed_stand_where_the_record_says() -> None:
    record = RECORDS["measured"]()
    lines: dict[str, list] = {}
    for line in figures.size_maximum(record).axes[0].lines:
        lines.setdefault(line.get_label(), []).append((list(line.get_xdata()), list(line.get_ydata())))
    assert [x[0] for x, _ in lines["limit"]] == [1, 2, 4, 6, 8]
    assert [y[0] for _, y in lines["limit"]] == [r["maximum_rps"]["value"] for r in record["rows"]]
    assert lines["needed"] == [([7, 7], [0, 280])]
    assert lines["interval"][0][1] == [record["rows"][0]["maximum_rps"][end] for end in ("low", "high")]


def test_a_lower_bound_looks_like_one() -> None:
    drawn = figures.size_maximum(RECORDS["bound"]()).axes[0]
    (bound,) = [line for line in drawn.lines if line.get_label() == "at_least"]
    assert (bound.get_marker(), bound.get_markerfacecolor()) == ("^", "white")
    texts = [t.get_text() for axes in figures.size_economy(RECORDS["bound"]()).axes for t in axes.texts]
    assert any(t.startswith("≥ ") for t in texts)
    assert any(t.startswith("≤ ") for t in texts)


def test_without_sizes_they_say_so() -> None:
    nothing = scale_out([size_maximum(1, {"model": None, "points": [], "left_out": []})])
    assert figures.size_maximum(nothing).texts[0].get_text() == "No size of the target was measured."
    assert "no efficiency yet" in figures.size_economy(nothing).texts[0].get_text()
    assert figures.size_curves({}).texts[0].get_text() == "No size of the target was measured."
    with pytest.raises(FigureError, match="figure size_curves: expected columns intended, throughput_rps, missing"):
        figures.size_curves({1: pd.DataFrame({"users": [1]})})


def test_the_larger_the_darker() -> None:
    assert len(shades(1)) == 1
    brightness = [sum(shade) for shade in shades(5)]
    assert brightness == sorted(brightness, reverse=True)
