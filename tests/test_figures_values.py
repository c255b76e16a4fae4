"""What each figure shows, read back as data: lines, limits, labels."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import test_figures_inputs as story
from genkai import figures
from genkai.capacity import Capacity
from genkai.figures.bands import bucket_s, draw_series
from genkai.figures.texts import texts_of
from genkai.figures.timeline import metric_title
from genkai.plan import Level
from legible import legibility_problems


def line(axes, label):
    found = [drawn for drawn in axes.lines if drawn.get_label() == label]
    assert len(found) == 1, (label, [drawn.get_label() for drawn in axes.lines])
    return found[0]


def texts(figure):
    found = [t.get_text() for axes in figure.axes for t in axes.texts if t.get_visible()]
    return found + [axes.get_title(loc="left") for axes in figure.axes]


def levels_drawn_at(axes, color_role):
    """Heights of the horizontal lines of a role's colour."""
    color = figures.PALETTE[color_role].lower()
    return [d.get_ydata()[0] for d in axes.lines if to_hex(d.get_color()) == color and list(d.get_xdata()) == [0, 1]]


def scale(**changed):
    named = {"levels": story.levels(), "fit": story.fit(), "target_rps": 729.0, "target_p95_s": 0.1,
             "generator_ceiling": story.record(2380, 2300, 2450)} | changed  # fmt: skip
    return figures.scale(**named)


def test_scale_draws_the_measured_points_the_model_and_the_lines():
    fit = story.fit()
    top, below = scale(fit=fit).axes
    measured = line(top, "measured")
    assert list(measured.get_xdata()) == story.USERS
    assert list(measured.get_ydata()) == story.FIRST["throughput"]
    model = line(top, "model")
    assert model.get_ydata()[-1] == pytest.approx(fit["ceiling_rps"]["value"])
    assert levels_drawn_at(top, "target") == [729.0]
    assert levels_drawn_at(top, "limit") == [pytest.approx(fit["ceiling_rps"]["value"])]
    assert line(top, "knee_load").get_xdata() == pytest.approx([fit["knee_load"]["value"]])
    assert len([d for d in top.lines if d.get_label() == "interval"]) == 6
    assert list(line(below, "p95").get_ydata()) == pytest.approx([1e3 * v for v in story.FIRST["p95"]])
    assert levels_drawn_at(below, "target") == [100.0]


def test_scale_says_the_limit_in_its_headline_and_beside_its_line():
    figure, limit = scale(), story.fit()["ceiling_rps"]["value"]
    assert figure.axes[0].get_title(loc="left").startswith(f"Limit: {limit:.0f} rps (")
    assert figure.axes[0].get_title(loc="left").endswith("target: 729 rps")
    found = " ".join(texts(figure)).replace("\n", " ")
    for words in (f"limit {limit:.0f} rps", "target 729 rps", "knee: ", "18% errors", "model: hard ceiling", "p95"):
        assert words in found, words


def limit_bands(axes):
    """(bottom, top, opacity) of the spans of the limit's interval, from below."""
    color = figures.PALETTE["limit"].lower()
    spans = [p for p in axes.patches if to_hex(p.get_facecolor()) == color]
    return [(p.get_y(), p.get_y() + p.get_height(), p.get_alpha()) for p in spans]


@pytest.mark.parametrize(
    ("lang", "words"), [("en", "95% interval has no upper end"), ("ja", "95% 区間の上端は定まらない")]
)
def test_an_interval_without_an_upper_end_is_drawn_open_and_named(lang, words):
    fit = story.fit() | {"ceiling_rps": story.record(498.0, 470.0, None)}
    figure = scale(fit=fit, t=lang)
    top, bands = figure.axes[0], limit_bands(figure.axes[0])
    assert bands[0][:2] == (470.0, 498.0)
    assert bands[-1][1] == pytest.approx(top.get_ylim()[1])
    assert all(a[1] == pytest.approx(b[0]) and a[2] > b[2] for a, b in pairwise(bands)), "fades upwards without a gap"
    assert line(top, "open_end").get_ydata()[0] > 498
    assert words in [text.replace("\n", " ") for text in texts(figure)]


def test_an_interval_with_both_ends_is_one_band():
    figure = scale(fit=story.fit() | {"ceiling_rps": story.record(498.0, 470.0, 520.0)})
    assert [band[:2] for band in limit_bands(figure.axes[0])] == [(470.0, pytest.approx(520.0))]
    assert not any(d.get_label() == "open_end" for d in figure.axes[0].lines)


def test_scale_axes_start_at_zero_and_carry_units():
    top, below = scale().axes
    assert [axes.get_ylim()[0] for axes in (top, below)] == [0, 0]
    assert top.get_xlim()[0] == 0
    assert (top.get_ylabel(), below.get_xlabel()) == ("Throughput (rps)", "Users")
    assert below.get_title(loc="left") == "Response time (ms)"


def test_a_far_generator_limit_is_named_at_the_top_and_a_near_one_is_drawn():
    far, near = scale().axes[0], scale(generator_ceiling=900).axes[0]
    assert levels_drawn_at(far, "generator") == []
    assert far.get_ylim()[1] < 1000
    assert any(t.get_text().startswith("▲ generator's limit\n2,380 rps") for t in far.texts)
    assert levels_drawn_at(near, "generator") == [900]


def test_scale_without_a_bend_claims_no_limit():
    figure = scale(levels=story.levels(story.SECOND), fit=story.fit(story.SECOND))
    assert figure.axes[0].get_title(loc="left").startswith("No limit found up to 960 rps")
    assert levels_drawn_at(figure.axes[0], "limit") == []
    assert not any("more load" in text or "knee" in text for text in texts(figure))


def test_scale_without_a_fit_says_only_what_was_measured():
    figure = scale(levels=story.levels().iloc[:2], fit={"status": "cannot_tell", "model": None})
    assert figure.axes[0].get_title(loc="left").startswith("Highest throughput measured: 247 rps")


def test_the_stalled_region_begins_at_the_knee_of_a_ceiling_and_at_the_peak_of_a_curve():
    def stalled(figure):
        color = figures.PALETTE["stalled"].lower()
        return [p.get_x() for p in figure.axes[0].patches if to_hex(p.get_facecolor()) == color]

    assert stalled(scale()) == [pytest.approx(story.fit()["knee_load"]["value"])]
    assert stalled(scale(fit=story.usl_fit(), curve=story.usl_curve())) == [780]


def test_levels_that_the_generator_limited_are_hollow_and_named():
    levels = story.levels().assign(generator_limited=[False] * 4 + [True, True])
    figure = scale(levels=levels)
    assert list(line(figure.axes[0], "generator_limited").get_xdata()) == [750, 1000]
    assert list(line(figure.axes[0], "measured").get_xdata()) == [100, 250, 400, 500]
    assert "generator was the limit" in texts(figure)


def test_scale_takes_the_subjects_rows_of_a_table_of_several_apis():
    both = pd.concat([story.levels(), story.levels(api="search").assign(throughput_rps=1.0)], ignore_index=True)
    assert line(scale(levels=both).axes[0], "measured").get_ydata()[-1] == 499
    assert line(scale(levels=both, subject="search", fit=None).axes[0], "measured").get_ydata()[-1] == 1


def test_drawn_curve_follows_the_fit_and_its_runner_up():
    fit = story.fit()
    curve = figures.drawn_curve(fit)
    unit = fit["parameters"]["unit_throughput_rps"]["value"]
    assert curve["ideal_rps"].to_numpy() == pytest.approx(unit * curve["load"].to_numpy())
    assert curve["throughput_rps"].to_numpy() == pytest.approx(
        np.minimum(unit * curve["load"], fit["ceiling_rps"]["value"])
    )
    assert curve["runner_up_rps"].notna().all()
    assert figures.drawn_curve({"model": None}) is None


def test_timeline_shows_gaps_as_gaps_and_buckets_as_steps():
    axes = figures.timeline(story.seconds(), story.metrics(), story.marks()).axes
    throughput = line(axes[0], "throughput_rps")
    assert np.isnan(throughput.get_ydata()).sum() == 1
    gap = int(np.flatnonzero(np.isnan(throughput.get_ydata()))[0])
    assert (throughput.get_xdata()[gap - 1], throughput.get_xdata()[gap + 1]) == (67, 75)
    queue = line(next(a for a in axes if a.get_title(loc="left").startswith("SurgeQueueLength")), "elb:shop")
    assert list(queue.get_xdata()[:4]) == [0, 10, 10, 20]
    assert list(queue.get_ydata()[-2:]) == [800, 800]
    rejected = line(next(a for a in axes if a.get_title(loc="left").startswith("SpilloverCount")), "elb:shop")
    assert np.isnan(rejected.get_ydata()[(rejected.get_xdata() >= 50) & (rejected.get_xdata() < 60)]).any()


def test_a_long_series_is_drawn_as_mean_and_range_of_buckets():
    """Against a loop; a gap longer than a bucket stays a gap."""
    x = np.r_[np.arange(0, 3000.0), np.arange(3600, 7200.0)]
    y = np.sin(x / 50) + np.arange(len(x)) % 7
    assert bucket_s(1800) == 0
    assert bucket_s(86_400) == 180
    axes = Figure().add_subplot()
    line = draw_series(axes, x, y, 1.0, bucket=60.0)
    drawn = dict(zip(line.get_xdata().tolist(), line.get_ydata().tolist(), strict=True))
    for bucket in (0, 17, 49, 60, 119):
        inside = [b for a, b in zip(x, y, strict=True) if bucket * 60 <= a < bucket * 60 + 60]
        assert drawn[bucket * 60 + 30] == pytest.approx(sum(inside) / len(inside))
    assert sum(np.isnan(v) for v in drawn.values()) == 1
    (band,) = axes.collections
    assert band.get_datalim(axes.transData).ymax == pytest.approx(y.max())
    assert len(draw_series(Figure().add_subplot(), x, y, 60.0, bucket=60.0).get_xdata()) > len(x)  # as coarse already


def test_timeline_draws_thresholds_in_the_panels_unit_and_names_levels():
    figure = figures.timeline(story.seconds(), None, story.marks(), thresholds={"p95_s": 0.1, "throughput_rps": 729})
    assert levels_drawn_at(figure.axes[1], "target") == [100.0]
    assert levels_drawn_at(figure.axes[0], "target") == [729]
    assert [text for text in texts(figure) if text in ("100 users", "250", "1,000")] == ["100 users", "250", "1,000"]
    assert figure.axes[-1].get_xlabel() == "Time since 2026-05-09 09:41:05 UTC (min:s)"


def test_timeline_draws_what_a_type_can_do_where_a_line_does_not_flatten_the_samples():
    rows = story.metrics()
    rows = rows[rows["metric"] == rows["metric"].iloc[0]].assign(metric="network_in", unit="bit/s", statistic="sample")
    rows["value"] = np.linspace(0, 2e8, len(rows))
    lines = {"network_in": [figures.Limit(2.56e8, "base line"), figures.Limit(5e9, "burst")]}
    figure = figures.timeline(story.seconds(), rows, story.marks(), limits=lines)
    panel = figure.axes[2]
    assert panel.get_title(loc="left") == "network_in (Mbps)"
    assert levels_drawn_at(panel, "limit") == [256]
    told = [text for text in texts(figure) if "base line" in text or "burst" in text]
    assert told == ["base line 256 Mbps", "↑ burst 5 Gbps"]
    assert panel.get_ylim()[1] < 1000
    used, base = rows.assign(unit="ratio", value=0.1), {"network_in": [figures.Limit(0.2, "base line")]}
    cpu = figures.timeline(story.seconds(), used, limits=base, thresholds={"network_in": 0.7})
    assert {"base line 20%", "target 70%"} <= set(texts(cpu))


@pytest.mark.parametrize(("lang", "statistic", "title"), [
    ("en", "sum", "SurgeQueueLength, sum of each 10 s"), ("ja", "Sum", "SurgeQueueLength、10 秒ごとの合計"),
    ("en", "maximum", "SurgeQueueLength, maximum"), ("ja", "maximum", "SurgeQueueLength、最大"),
    ("ja", "p95", "SurgeQueueLength、p95"), ("ja", "sample", "SurgeQueueLength"),
])  # fmt: skip
def test_timeline_says_the_statistic_in_the_readers_language(lang, statistic, title):
    rows = story.metrics()
    rows = rows[rows["metric"] == "SurgeQueueLength"].assign(statistic=statistic)
    assert figures.timeline(story.seconds(), rows, t=lang).axes[2].get_title(loc="left") == title


@pytest.mark.parametrize(("lang", "title"), [("en", "queue (requests)"), ("ja", "queue（件）")])
def test_units_of_titles_are_in_the_readers_language(lang, title):
    rows = pd.DataFrame({"statistic": ["sample"]})
    assert metric_title("queue", rows, {}, "requests", texts_of(lang)) == title


def test_timeline_shows_all_apis_together_where_the_table_has_each_too():
    whole = story.seconds(gap=False).assign(api="(all)")
    both = pd.concat([whole, whole.assign(api="search", throughput_rps=1.0)], ignore_index=True)
    assert len(line(figures.timeline(both).axes[0], "throughput_rps").get_xdata()) == len(whole)


def test_hockey_stick_joins_the_levels_in_order_of_load():
    axes = figures.hockey_stick(story.levels().iloc[::-1], 729, 0.1).axes[0]
    assert list(line(axes, "p95").get_xdata()) == story.FIRST["throughput"]
    assert axes.get_xlabel() == "Throughput (rps)"
    assert "1,000 users" in [t.get_text() for t in axes.texts]


def test_hockey_stick_says_what_happens_at_a_limit_only_where_a_level_reached_it():
    def told(limit):
        fit = {"model": "usl", "peak_throughput_rps": limit}
        return figures.hockey_stick(story.levels(), 729, 0.1, fit=fit).axes[0].get_title(loc="left")

    assert told(story.record(560, 500, 690)).startswith("Up to 499 rps, p95 is at most")
    assert told(story.record(510, 500, 520)).startswith("At the limit of 510 rps only waiting grows")


def test_efficiency_is_relative_to_the_ideal():
    levels = story.levels()
    assert line(figures.efficiency(levels).axes[0], "efficiency").get_ydata()[-1] == pytest.approx(100 * 0.499 / 0.99)


def test_efficiency_and_hockey_stick_set_apart_what_the_generator_limited():
    limited = story.levels().assign(generator_limited=[False, False, False, False, True, True])
    axes = figures.efficiency(limited).axes[0]
    assert axes.get_title(loc="left") == "98% of the ideal at 500 users"
    assert list(line(axes, "generator_limited").get_xdata()) == [750, 1000]
    hockey = figures.hockey_stick(limited, 729, 0.1)
    assert list(line(hockey.axes[0], "generator_limited").get_xdata()) == story.FIRST["throughput"][4:]
    assert "generator was the limit" in texts(hockey)
    nothing = figures.efficiency(story.levels().assign(generator_limited=True)).axes[0]
    assert nothing.get_title(loc="left") == "50% of the ideal at 1,000 users: the generator was the limit"


def test_windows_draw_only_the_seconds_of_a_window_in_full_colour():
    figure = figures.windows(story.seconds(gap=False), story.levels())
    inside = [d for d in figure.axes[0].lines if d.get_label() == "window"]
    assert [(d.get_xdata()[0], d.get_xdata()[-1]) for d in inside[:2]] == [(7, 19), (27, 39)]
    assert "never steady" not in texts(figure)
    restless = figures.windows(story.seconds(), story.levels().assign(steady=False))
    assert "never steady" in texts(restless)
    assert not any(text.startswith("steady window") for text in texts(restless))


def test_plan_figures_show_every_intermediate_value():
    capacity, sensitivity = story.capacity_and_sensitivity()
    shown = " ".join(texts(figures.plan_capacity(capacity)))
    for words in (
        "7,000,000 accesses a day ÷ 86,400 s = 81.0 rps",
        "× 3 = 243 rps",
        "× 3 = 729 rps",
        "range 289–1,389",
    ):
        assert words in shown, words
    tornado = figures.plan_tornado(sensitivity, capacity)
    assert [t.get_text() for t in tornado.axes[0].get_yticklabels()] == ["Users a day", "Peak factor", "Safety factor"]
    assert "500,000 → 1,042 rps" in texts(tornado)
    exact = figures.plan_capacity(Capacity(1e6, 11.574, 34.72, 104.17, 104.17, 104.17))
    assert not any("range" in text for text in texts(exact))


def test_load_curve_is_ramps_and_holds_in_the_plans_unit():
    users = figures.load_curve(story.plan_levels()).axes[0]
    assert list(line(users, "planned").get_xdata()[:4]) == [0, 4, 20, 24]
    assert list(line(users, "planned").get_ydata()[:4]) == [0, 100, 100, 250]
    ratio = [Level(target_ratio=1.5, ramp_s=0, hold_s=60)]
    assert line(figures.load_curve(ratio, 200).axes[0], "planned").get_ydata()[-1] == 300
    assert figures.load_curve(ratio).axes[0].get_title(loc="left") == "Planned load (multiple of the target)"


def test_live_shows_the_latest_values_and_reuses_its_figure():
    figure = figures.live(story.progress(30), target_rps=729)
    again = figures.live(story.progress(75), figure, target_rps=729)
    assert again is figure
    assert len(figure.axes) == 4
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[0] == f"Throughput: {story.progress(75)[-1].throughput_rps:.0f} rps (intended: 500 users)"
    failed = line(figures.live(story.progress(120)).axes[2], "failed_rps").get_ydata()
    assert failed.sum() == story.progress(120)[-1].failed
    assert titles[3] == "Generator's CPU: 34%"


def test_live_thins_a_long_run_and_keeps_its_end():
    rows = [{"elapsed_s": float(i), "throughput_rps": float(i)} for i in range(5000)]
    drawn = line(figures.live(rows).axes[0], "throughput_rps")
    assert len(drawn.get_xdata()) <= 601
    assert np.isfinite(drawn.get_ydata()).all()
    assert drawn.get_ydata()[-1] == 4999


def test_api_steps_give_each_api_its_panels_and_its_targets():
    figure = figures.api_steps(story.api_levels(), story.API_TARGETS)
    assert [axes.get_title(loc="left") for axes in figure.axes[:3]] == ["search", "cart", "checkout"]
    assert levels_drawn_at(figure.axes[2], "target") == [40]
    assert levels_drawn_at(figure.axes[5], "target") == [300]
    assert figure.axes[3].get_xlabel() == "Arrival rate (rps)"


@pytest.mark.parametrize("count", [1, 2, 4, 5, 7, 13])
def test_api_steps_stay_readable_for_any_number_of_apis(count):
    parts = [story.levels(api=f"api-with-a-rather-long-name-{i}") for i in range(count)]
    figure = figures.api_steps(pd.concat(parts, ignore_index=True), {"api-with-a-rather-long-name-0": {"p95_s": 0.2}})
    assert len([axes for axes in figure.axes if axes.get_visible()]) == 2 * min(count, 12)
    names = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    assert len(set(names)) == min(count, 12)
    assert legibility_problems(figure) == []


def test_evidence_sets_the_bottleneck_apart():
    figure = figures.evidence(story.finding_series(), stall_load=506)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["surge queue (requests)", "CPU (%)"]
    assert to_hex(line(figure.axes[0], "elb:shop").get_color()) == figures.PALETTE["limit"].lower()
    assert to_hex(line(figure.axes[1], "host:app-1").get_color()) == figures.PALETTE["idle"].lower()
    assert line(figure.axes[1], "host:app-1").get_ydata()[-1] == pytest.approx(34)
    assert figure.axes[1].get_ylim()[1] >= 100


def test_names_of_evidence_stand_apart_from_the_next_panels_ticks():
    figure = figures.evidence(story.finding_series().replace("elb:shop", "elb:a-load-balancer"))
    figure.canvas.draw()
    name = next(text for text in figure.axes[0].texts if text.get_text() == "a-load-balancer").get_window_extent()
    ticks = [tick.get_window_extent().x0 for tick in figure.axes[1].get_yticklabels()]
    assert min(ticks) - name.x1 > figure.dpi * 12 / 72


def test_compare_colours_changes_by_whether_they_are_better():
    worse = {"metric": "p95_s", "load": 400, "ratio": story.record(1.5, 1.4, 1.6)}
    figure = figures.compare(story.levels(), story.levels(story.SECOND), [*story.ratios(), worse], target_rps=729)
    marks = [d for d in figure.axes[2].lines if d.get_marker() == "o"]
    roles = {v.lower(): k for k, v in figures.PALETTE.items() if k in ("target", "limit", "muted")}
    assert [roles[to_hex(d.get_color())] for d in marks] == ["muted", *["target"] * 5, "limit"]
    assert figure.axes[2].get_xscale() == "log"
    assert list(line(figure.axes[0], "this cycle").get_ydata()) == pytest.approx(story.SECOND["throughput"])


def test_history_shows_each_cycle_its_levels_and_where_they_change():
    figure = figures.history(*story.history(), target_rps=729, target_p95_s=0.1)
    limit, p95 = figure.axes
    points = next(line for line in limit.lines if line.get_marker() == "o")
    assert list(points.get_xdata()) == [1, 2, 3, 4, 5, 7], "the cycle without a limit is left out"
    levels = [line for line in limit.lines if to_hex(line.get_color()) == figures.PALETTE["model"].lower()]
    assert [line.get_ydata()[0] for line in levels] == pytest.approx([(498 + 503 + 495) / 3, (960 + 955 + 962) / 3])
    assert {"+92.3%", "−72.1%", "target 729 rps"} <= set(texts(figure))
    change = next(line for line in p95.lines if to_hex(line.get_color()) == figures.PALETTE["limit"].lower())
    assert change.get_xdata()[0] == 3.5
    assert "at 500 users" in p95.get_title(loc="left")


def test_history_of_many_cycles_shows_the_last_and_only_their_changes():
    numbers = list(range(1, 31))
    changes = [{"number": n, "before": story.record(1), "after": story.record(2), "change": story.record(change)}
               for n, change in ((3, 0.11), (20, 0.22))]  # fmt: skip
    series = {"what": "limit", "load": None, "unit": "rps", "points": [story.record(500)] * 30, "changes": changes}
    figure = figures.history(numbers, [series])
    points = next(line for line in figure.axes[0].lines if line.get_marker() == "o")
    assert list(points.get_xdata()) == numbers[-24:]
    assert "+22%" in texts(figure)
    assert "+11%" not in texts(figure), "it lies before what is shown"


def test_history_leaves_out_what_the_last_cycles_have_not():
    none, some = [story.record(500)] * 4 + [None] * 26, [None] * 26 + [story.record(0.2)] * 4
    series = [{"what": what, "load": None, "unit": unit, "points": points, "changes": []}
              for what, unit, points in (("limit", "rps", none), ("p95", "s", some))]  # fmt: skip
    (panel,) = figures.history(range(1, 31), series).axes
    assert "p95" in panel.get_title(loc="left")
    assert not figures.history(range(1, 31), series[:1]).axes, "a figure that says so"


def test_ceiling_shows_the_margin_and_warns_when_it_is_too_small():
    shown = figures.ceiling(story.record(2380, 2300, 2450), 729)
    assert "2,380 rps (2,300–2,450)\n3.26 × target" in texts(shown)
    assert "needed: 1.5 × target = 1,094 rps" in texts(shown)
    short = figures.ceiling(story.record(980), 729).axes[0].texts
    assert next(t for t in short if t.get_text().startswith("980 rps")).get_color() == figures.PALETTE["limit"]
