"""Every figure: readable in both languages, whatever is missing; nothing global is touched; texts are complete."""

import ast
import io
import re
import string
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import test_figures_inputs as story
from genkai import figures
from genkai.capacity import Capacity
from genkai.figures.style import WIDTH_MM
from genkai.plan import Level
from legible import legibility_problems

SOURCE = Path(figures.__file__).parent
CAPACITY, SENSITIVITY = story.capacity_and_sensitivity()
CEILING = story.record(2380, 2300, 2450)
FALLING = {"throughput": [90, 165, 262, 346, 258, 198], "p95": [0.005, 0.005, 0.007, 0.01, 0.053, 0.105],
           "errors": [0, 0, 0, 0, 0, 0]}  # fmt: skip
TARGETS = {"target_rps": story.TARGET_RPS, "target_p95_s": story.TARGET_P95_S}
CALLS = {
    "plan_tornado": lambda t: figures.plan_tornado(SENSITIVITY, CAPACITY, t=t),
    "plan_capacity": lambda t: figures.plan_capacity(CAPACITY, t=t),
    "load_curve": lambda t: figures.load_curve(story.plan_levels(), t=t),
    "load_curve_rate": lambda t: figures.load_curve(
        [Level(target_ratio=r, hold_s=60) for r in (0.3, 0.6, 0.9, 1.1)], story.TARGET_RPS, t=t
    ),
    "live": lambda t: figures.live(story.progress(), target_rps=story.TARGET_RPS, t=t),
    "live_rate": lambda t: figures.live(story.progress(workload="open"), target_rps=story.TARGET_RPS, t=t),
    "timeline": lambda t: figures.timeline(
        story.seconds(), story.metrics(), story.marks(), thresholds={"p95_s": 0.1, "throughput_rps": 729}, t=t
    ),
    "scale": lambda t: figures.scale(story.levels(), story.fit(), generator_ceiling=CEILING, **TARGETS, t=t),
    "scale_second": lambda t: figures.scale(
        story.levels(story.SECOND), story.fit(story.SECOND), generator_ceiling=1380, **TARGETS, t=t
    ),
    "scale_broken": lambda t: figures.scale(story.levels(), story.fit(model="broken"), **TARGETS, t=t),
    "scale_amdahl": lambda t: figures.scale(story.levels(), story.fit(model="amdahl"), **TARGETS, t=t),
    "scale_usl": lambda t: figures.scale(story.levels(), story.fit(model="usl"), **TARGETS, t=t),
    "scale_peak": lambda t: figures.scale(
        story.levels(), story.usl_fit(), story.usl_curve(), 729, story.record(840, 800, 850), target_p95_s=0.1, t=t
    ),
    "hockey_stick": lambda t: figures.hockey_stick(story.levels(), **TARGETS, t=t),
    "efficiency": lambda t: figures.efficiency(story.levels(), t=t),
    "windows": lambda t: figures.windows(story.seconds(), story.levels(), t=t),
    "api_steps": lambda t: figures.api_steps(story.api_levels(), story.API_TARGETS, t=t),
    "evidence_load": lambda t: figures.evidence(story.finding_series(), stall_load=506, t=t),
    "compare": lambda t: figures.compare(story.levels(), story.levels(story.SECOND), story.ratios(), **TARGETS, t=t),
    "history": lambda t: figures.history(*story.history(), **TARGETS, t=t),
    "ceiling": lambda t: figures.ceiling(CEILING, story.TARGET_RPS, t=t),
    "ceiling_two": lambda t: figures.ceiling({"1 process": story.record(980), "2 workers": CEILING}, 729, t=t),
}
# Where lines lie close: a limit next to the target, numbers of six digits, a throughput that falls.
CLOSE = {
    "hockey_stick_near": lambda t: figures.hockey_stick(story.levels(), 510, 0.1, fit=story.fit(), t=t),
    "hockey_stick_tall": lambda t: figures.hockey_stick(
        story.levels().assign(intended=400 * story.levels()["intended"], workload="open"),
        530,
        1.05,
        fit=story.fit(),
        t=t,
    ),
    "hockey_stick_falling": lambda t: figures.hockey_stick(
        story.levels(FALLING), 1200, 0.1, fit=story.fit(FALLING), t=t
    ),
}


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("name", [*CALLS, *CLOSE])
def test_figure_is_readable_and_fits_a_page(name, lang):
    figure = (CALLS | CLOSE)[name](lang)
    assert legibility_problems(figure) == []
    width_mm, height_mm = figure.get_size_inches() * 25.4
    assert width_mm == pytest.approx(WIDTH_MM)
    assert 30 <= height_mm <= 130


@pytest.mark.parametrize("name", CALLS)
def test_saves_as_png_and_as_svg_with_live_text(name):
    figure = CALLS[name]("ja")
    svg, png = io.StringIO(), io.BytesIO()
    with figures.figure_style("ja"):
        figure.savefig(svg, format="svg")
        figure.savefig(png, format="png")
    assert png.getvalue().startswith(b"\x89PNG")
    text = svg.getvalue()
    assert re.search(r"<text[^>]*>[^<]*[ぁ-んァ-ン一-龠]", text)
    assert set(re.findall(r"font[^;\"]*: ?[^;\"']*'([^']+)'", text)) == {"Noto Sans CJK JP"}


def test_looks_the_same_saved_outside_the_style():
    figure = CALLS["scale"]("en")
    inside, outside = io.BytesIO(), io.BytesIO()
    with figures.figure_style():
        figure.savefig(inside, format="rgba", dpi=100)
    figure.savefig(outside, format="rgba", dpi=100)
    assert inside.getvalue() == outside.getvalue()


def test_no_pyplot_and_no_global_parameter_is_left_changed():
    before, loaded = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    CALLS["scale"]("en")
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded
    assert not [p.name for p in SOURCE.glob("*.py") if re.search(r"pyplot import|import.*pyplot", p.read_text())]


NOTHING = story.levels().iloc[:0]
UNMEASURED = story.levels().assign(throughput_rps=np.nan, p95_s=np.nan, p50_s=np.nan, error_ratio=np.nan)
FAILED = story.levels().assign(throughput_rps=0.0, error_ratio=1.0)
ONE = story.levels().iloc[:1]
NO_TIMES = story.levels().assign(p95_s=np.nan, p50_s=np.nan)
NO_WINDOW = story.levels().assign(window_start=pd.NaT, window_end=pd.NaT, steady=pd.NA)
RESTLESS = story.levels().assign(steady=False)
LIMITED = story.levels().assign(generator_limited=[False, False, False, False, True, True])
SHORT = {"nothing": NOTHING, "unmeasured": UNMEASURED, "failed": FAILED, "one": ONE, "no_times": NO_TIMES,
         "no_window": NO_WINDOW, "restless": RESTLESS, "generator_limited": LIMITED}  # fmt: skip


@pytest.mark.parametrize(("case", "lang"), [*((case, "en") for case in SHORT), ("restless", "ja"), ("one", "ja")])
def test_short_and_broken_levels_give_a_clear_figure(case, lang):
    levels = SHORT[case]
    for figure in (
        figures.scale(levels, None, **TARGETS, t=lang), figures.hockey_stick(levels, **TARGETS, t=lang),
        figures.efficiency(levels, t=lang), figures.windows(story.seconds(), levels, t=lang),
        figures.api_steps(levels, t=lang), figures.compare(levels, story.levels(), t=lang),
        figures.compare(levels, levels, t=lang),
    ):  # fmt: skip
        assert legibility_problems(figure) == []


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_missing_measurements_give_a_clear_figure(lang):
    some = story.seconds().head(1)
    empty = story.metrics().iloc[:0]
    flat = Capacity(1e6, 11.57, 34.7, 104.2, 104.2, 104.2)
    for figure in (
        figures.timeline(story.seconds().iloc[:0], t=lang), figures.timeline(some, empty, t=lang),
        figures.timeline(some.assign(throughput_rps=np.nan, p95_s=np.nan, p50_s=np.nan), t=lang),
        figures.windows(some, NOTHING, t=lang), figures.live([], t=lang), figures.live(story.progress(1), t=lang),
        figures.live([{"elapsed_s": 0.0, "throughput_rps": None, "generator_cpu_ratio": 0.5}], t=lang),
        figures.evidence(story.finding_series().assign(value=np.nan), t=lang), figures.plan_tornado([], flat, t=lang),
        figures.plan_capacity(flat, t=lang), figures.load_curve([], t=lang), figures.history([], [], t=lang),
        figures.history([1], [{"what": "limit", "load": None, "unit": "rps", "points": [None], "changes": []}], t=lang),
        figures.ceiling(story.record(None), 729, t=lang), figures.ceiling(2380, None, t=lang),
        figures.scale(ONE, story.fit() | {"draws": []}, t=lang),
    ):  # fmt: skip
        assert isinstance(figure, Figure)
        assert legibility_problems(figure) == []


@pytest.mark.parametrize("call", [figures.scale, figures.hockey_stick, figures.efficiency, figures.api_steps])
def test_a_table_without_its_columns_is_refused_by_name(call):
    with pytest.raises(figures.FigureError, match=r"expected columns .*throughput_rps.*missing .*throughput_rps.*pass"):
        call(story.levels().drop(columns="throughput_rps"))


def _keys_in_code():
    """Every text key that the modules name, f-strings as patterns."""
    found = set()
    for path in SOURCE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(re.escape(node.value))
            elif isinstance(node, ast.JoinedStr):
                parts = [re.escape(p.value) if isinstance(p, ast.Constant) else r"\w+" for p in node.values]
                found.add("".join(parts))
    return found


def test_both_languages_have_the_same_keys_and_values_and_each_key_is_used():
    english, japanese = figures.figure_texts("en"), figures.figure_texts("ja")
    assert english.keys() == japanese.keys()
    for key in english:
        fields = [{name for _, name, _, _ in string.Formatter().parse(texts[key]) if name}
                  for texts in (english, japanese)]  # fmt: skip
        assert fields[0] == fields[1], key
    used = [re.compile(key) for key in _keys_in_code() if "." in key]
    assert [key for key in english if not any(pattern.fullmatch(key) for pattern in used)] == []


def test_every_key_that_code_names_has_a_text():
    sections = {key.split(".")[0] for key in figures.figure_texts("en")}
    named = {key.replace("\\", "") for key in _keys_in_code()}
    named = {key for key in named if re.fullmatch(rf"({'|'.join(sections)})\.[a-z_0-9]*[a-z0-9]", key)}
    assert len(named) > 50
    assert named - figures.figure_texts("en").keys() == set()


def test_an_unknown_language_is_refused():
    with pytest.raises(figures.FigureError, match="expected a language of en, ja, got 'fr'"):
        figures.scale(story.levels(), t="fr")
