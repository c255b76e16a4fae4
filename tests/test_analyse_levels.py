"""Seconds, levels and their intervals: against naive loops, theory (M/M/1), and known synthetic truths."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyse_tables import START, at, generator_table, histogram, mark, poisson_requests, request_row, requests_table
from genkai import histogram as h
from genkai import schema
from genkai.analyse.distributions import quantiles, read_distributions
from genkai.analyse.generator_limit import generator_limited
from genkai.analyse.levels import level_table
from genkai.analyse.resample import block_weights, level_interval, level_intervals
from genkai.analyse.seconds import decode_requests, seconds_table

NO_GENERATOR = schema.empty_table("generator")


def steady_run(rate=50, seconds=30, time_s=0.02, **row):
    return requests_table([request_row(s, [time_s] * rate, **row) for s in range(seconds)])


@settings(max_examples=25, deadline=None)
@given(times=st.lists(st.lists(st.floats(1e-6, 100), max_size=30), min_size=1, max_size=5))
def test_the_matrix_gives_the_quantiles_and_mean_of_merged_histograms(times):
    encoded = [histogram(t) if t else None for t in times]
    found, merged = read_distributions(encoded), h.merge(encoded)
    wanted = [0.01, 0.5, 0.9, 0.999]
    got = quantiles(found.total(), found.upper_s, wanted)[0]
    oracle = [h.quantile_s(merged, q) for q in wanted]
    assert list(got) == oracle if oracle[0] is not None else np.isnan(got).all()
    assert list(found.totals) == [len(t) for t in times]
    if merged.total_count:
        assert found.total() @ found.middle_s / merged.total_count == pytest.approx(h.mean_s(merged))


def test_a_quantile_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="expected 0 ≤ q ≤ 1"):
        quantiles(np.ones((1, 2)), np.ones(2), [1.5])


def test_responses_count_in_the_second_in_which_they_come():
    requests = requests_table([request_row(0, [2.5] * 10, failed=5), request_row(5, [0.0001] * 4)])
    seconds = decode_requests(requests).seconds()
    assert seconds.sent.tolist() == [10, 0, 0, 0, 0, 4]
    assert seconds.finished.round(1).tolist() == [0, 0, 2.5, 2.5, 0, 4.0]
    assert seconds.errors.round(1).tolist() == [0, 0, 2.5, 2.5, 0, 0]


@settings(max_examples=20, deadline=None)
@given(data=st.lists(st.tuples(st.integers(0, 20), st.floats(1e-4, 3), st.integers(1, 20)), min_size=1, max_size=10))
def test_no_response_is_lost_or_invented_before_the_end(data):
    rows = [request_row(s, [t] * n) for s, t, n in data] + [request_row(30, [0.001])]
    seconds = decode_requests(requests_table(rows)).seconds()
    assert seconds.finished.sum() == pytest.approx(sum(n for *_, n in data) + 1, abs=0.01)


def test_the_level_table_tells_a_known_level():
    table = level_table(steady_run(), [mark(0, 2, 0, 5, 30)], generator_table(), subject="a")
    assert list(table["api"]) == ["a"]
    row = table.iloc[0]
    assert row["steady"]
    assert not row["generator_limited"]
    assert (row["window_start"], row["window_end"]) == (at(6), at(30))
    assert row["throughput_rps"] == pytest.approx(50)
    assert row["concurrency"] == pytest.approx(50 * 0.02, rel=2e-3)
    assert row["p99_s"] == pytest.approx(0.02, rel=1e-3)
    assert row["error_ratio"] == 0


def test_ramp_and_drain_are_outside_the_window():
    rows = [request_row(s, [0.01] * 100, failed=90) for s in (0, 1, 2, 3, 4, 30, 31)]
    rows += [request_row(s, [0.01] * 40) for s in range(5, 30)]
    row = level_table(requests_table(rows), [mark(0, 2, 0, 5, 30)], NO_GENERATOR, subject="a").iloc[0]
    assert row["error_ratio"] == 0
    assert row["throughput_rps"] == pytest.approx(40, rel=0.01)
    assert pd.isna(row["generator_limited"])


def test_errors_and_drops_count_by_the_documented_ratio():
    requests = steady_run(rate=8, failed=2, dropped=2)
    row = level_table(requests, [mark(0, 10, 0, 0, 30, "open")], NO_GENERATOR, subject="a").iloc[0]
    assert row["error_ratio"] == pytest.approx((2 + 2) / (8 + 2))
    assert row["throughput_rps"] == pytest.approx(6, rel=0.01)


def test_several_apis_have_a_row_each_that_adds_up_to_the_whole():
    rng = np.random.default_rng(1)
    rows = poisson_requests(40, 30, rng, 0.02, "a") + poisson_requests(10, 30, rng, 0.2, "b")
    table = level_table(requests_table(rows), [mark(0, 5, 0, 5, 30)], generator_table(), subject="mix")
    assert list(table["api"]) == ["mix", "a", "b"]
    whole, *parts = table.to_dict("records")
    for name in ("throughput_rps", "concurrency", "sent_rps"):
        assert whole[name] == pytest.approx(sum(p[name] for p in parts))
    assert parts[0]["p95_s"] < whole["p95_s"] < parts[1]["p95_s"]
    assert {p["window_start"] for p in parts} == {whole["window_start"]}


def test_concurrency_agrees_with_mm1_theory():
    """M/M/1: N = ρ/(1 − ρ), R = 1/(μ − λ); simulated by Lindley's recursion."""
    rng, rate, service = np.random.default_rng(7), 60.0, 100.0
    arrivals = np.cumsum(rng.exponential(1 / rate, 40_000))
    wait, served = 0.0, rng.exponential(1 / service, len(arrivals))
    response = np.empty(len(arrivals))
    for i, gap in enumerate(np.diff(arrivals, prepend=0.0)):
        wait = max(0.0, wait - gap)
        wait = response[i] = wait + served[i]
    rows = [request_row(s, chosen) for s in range(600) if len(chosen := response[(arrivals >= s) & (arrivals < s + 1)])]
    row = level_table(requests_table(rows), [mark(0, rate, 0, 0, 600, "open")], NO_GENERATOR, subject="a").iloc[0]
    assert row["steady"]
    assert row["concurrency"] == pytest.approx(0.6 / 0.4, rel=0.1)
    assert row["mean_s"] == pytest.approx(1 / (service - rate), rel=0.1)
    assert row["p95_s"] == pytest.approx(-np.log(0.05) / (service - rate), rel=0.1)


def test_an_overloaded_open_level_shows_the_service_rate_not_the_arrival_rate():
    rows = [request_row(s, np.linspace(0, 1, 100) * 0.5 + s * 0.5) for s in range(40)]  # 100 rps in, about 67 out
    row = level_table(requests_table(rows), [mark(0, 100, 0, 0, 40, "open")], NO_GENERATOR, subject="a").iloc[0]
    assert row["sent_rps"] == pytest.approx(100)
    assert row["throughput_rps"] == pytest.approx(66.7, rel=0.05)
    assert not row["steady"]


def test_a_hold_that_was_never_reached_has_no_window():
    table = level_table(steady_run(), [mark(0, 2, 0, 5, 20), mark(1, 4, 20, None, None)], NO_GENERATOR, subject="a")
    assert table["throughput_rps"].notna().tolist() == [True, False]
    assert table["window_start"].isna().tolist() == [False, True]
    assert pd.isna(table["steady"].iloc[1])


def test_a_killed_run_is_measured_up_to_its_last_second():
    row = level_table(steady_run(), [mark(0, 2, 0, 5, None)], NO_GENERATOR, subject="a").iloc[0]
    assert row["window_end"] == at(30)


def test_a_short_hold_is_too_short_to_tell():
    row = level_table(steady_run(), [mark(0, 2, 0, 5, 11)], NO_GENERATOR, subject="a").iloc[0]
    assert pd.isna(row["steady"])
    assert (row["window_start"], row["window_end"]) == (at(6), at(11))


def test_nothing_at_all_is_an_empty_table_or_rows_without_values():
    assert level_table(steady_run(), [], NO_GENERATOR, subject="a").empty
    empty = level_table(schema.empty_table("requests"), [mark(0, 2, 0, 5, 11)], NO_GENERATOR, subject="a")
    assert empty["throughput_rps"].isna().all()
    assert seconds_table(schema.empty_table("requests")).empty
    with pytest.raises(ValueError, match="got an empty table"):
        decode_requests(schema.empty_table("requests"))


def test_a_mark_without_its_start_is_refused():
    with pytest.raises(ValueError, match="start missing in"):
        level_table(steady_run(), [{"level": 0, "workload": "open", "intended": 1}], NO_GENERATOR, subject="a")


@pytest.mark.parametrize(
    ("values", "rule"),
    [({"cpu": 0.95}, "cpu: worker-1"), ({"lag": 0.06}, "loop_lag"), ({"slip": 0.2}, "slip: worker-1"), ({}, None)],
)
def test_each_rule_of_the_generator_names_itself(values, rule):
    limited, note = generator_limited(
        generator_table(**values), p50_s=0.02, workload="open", intended=50, arrivals=3000, seconds=60
    )
    assert limited is (rule is not None)
    assert note is None if rule is None else rule in note


def test_lateness_is_judged_beside_the_response_time():
    given = {"workload": "closed", "intended": 9, "arrivals": 1, "seconds": 60}
    assert generator_limited(generator_table(lag=0.2), p50_s=1.0, **given)[0] is False
    assert generator_limited(generator_table(lag=0.2), p50_s=0.1, **given)[0] is True


def test_the_worst_process_decides():
    both = pd.concat([generator_table(cpu=0.2), generator_table(cpu=0.99, process="worker-2")])
    assert "worker-2" in generator_limited(both, p50_s=0.1, workload="closed", intended=9, arrivals=1, seconds=60)[1]


@pytest.mark.parametrize(("arrivals", "limited"), [(600, False), (560, False), (480, True)])
def test_a_shortfall_counts_beyond_two_percent_and_poisson_noise(arrivals, limited):
    found = generator_limited(
        generator_table(), p50_s=0.02, workload="open", intended=50, arrivals=arrivals, seconds=12
    )
    assert found[0] is limited


@pytest.mark.parametrize(("left", "limited"), [(281, True), (283, False), (None, False)])
def test_a_generator_without_ports_towards_the_target_is_the_limit(left: int | None, limited: bool) -> None:
    well, sick = generator_table(process="a"), generator_table(process="b")
    well["ports_left"], sick["ports_left"], well["ports"], sick["ports"] = 20_000, left, 28_232, 28_232
    found = generator_limited(pd.concat([well, sick]), p50_s=0.1, workload="closed", intended=9, arrivals=1, seconds=60)
    note = f"ports: b had {left} of 28232 left towards the target (median)" if limited else None
    assert found == (limited, note)


def test_without_rows_of_the_generator_nothing_is_known():
    given = {"p50_s": 0.1, "workload": "closed", "intended": 9, "arrivals": 1, "seconds": 60}
    limited, note = generator_limited(NO_GENERATOR, **given)
    assert limited is None
    assert "no rows of the generator" in note


def test_seconds_table_is_the_naive_sum():
    rng = np.random.default_rng(2)
    requests = requests_table(poisson_requests(30, 20, rng, 0.0004, "a") + poisson_requests(9, 20, rng, 0.0004, "b"))
    table = seconds_table(requests)
    assert sorted(table["api"].unique()) == ["(all)", "a", "b"]
    whole = table[table["api"] == "(all)"]
    naive = requests.groupby("time")["sent"].sum()
    assert whole["sent_rps"].tolist() == naive.tolist()
    p95 = [h.quantile_s(h.merge(g["hist"]), 0.95) for _, g in requests.groupby("time")]
    assert whole["p95_s"].tolist() == p95
    assert whole["throughput_rps"].sum() == pytest.approx(naive.sum(), rel=1e-3)


def test_blocks_keep_their_number_and_come_from_neighbours():
    weights = block_weights(12, 500, np.random.default_rng(0))
    assert (weights.sum(axis=1) == 12).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(12), abs=0.2)
    assert (block_weights(1, 5, np.random.default_rng(0)) == 1).all()
    with pytest.raises(ValueError, match="at least 1 second, got 0"):
        block_weights(0, 5, np.random.default_rng(0))


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    hits = []
    for seed in range(40):
        requests = requests_table(poisson_requests(30, 40, np.random.default_rng(seed)))
        levels = level_table(requests, [mark(0, 30, 0, 0, 40, "open")], NO_GENERATOR, subject="a")
        found = level_interval(requests, levels, 0, resamples=300)
        hits.append([found["throughput_rps"]["low"] <= 30 <= found["throughput_rps"]["high"],
                     found["mean_s"]["low"] <= 0.02 <= found["mean_s"]["high"]])  # fmt: skip
    assert (np.mean(hits, axis=0) >= 0.85).all()


def test_intervals_of_all_rows_hold_the_tables_own_values():
    rng = np.random.default_rng(3)
    requests = requests_table(poisson_requests(30, 20, rng, api="a") + poisson_requests(5, 20, rng, api="b"))
    levels = level_table(requests, [mark(0, 30, 0, 5, 20)], NO_GENERATOR, subject="mix")
    found = level_intervals(requests, levels, resamples=200)
    assert set(found) == {"0/mix", "0/a", "0/b"}
    for row in levels.to_dict("records"):
        for name in ("throughput_rps", "p95_s", "error_ratio"):
            record = found[f"0/{row['api']}"][name]
            assert record["value"] == pytest.approx(row[name])
            assert record["low"] <= record["value"] <= record["high"]
            assert record["n"] == 14
    assert level_intervals(schema.empty_table("requests"), levels) == {}


def test_hours_of_seconds_are_resampled_in_bins():
    requests = steady_run(rate=3, seconds=1500)
    levels = level_table(requests, [mark(0, 3, 0, 0, 1500, "open")], NO_GENERATOR, subject="a")
    found = level_interval(requests, levels, 0, resamples=200)["throughput_rps"]
    assert found["value"] == pytest.approx(3, rel=0.01)
    assert found["high"] - found["low"] < 0.02


@pytest.mark.parametrize(("level", "match"), [(7, "none in the table"), (1, "never reached")])
def test_a_level_without_window_has_no_interval(level, match):
    requests = steady_run()
    levels = level_table(requests, [mark(0, 2, 0, 5, 20), mark(1, 4, 20, None, None)], NO_GENERATOR, subject="a")
    with pytest.raises(ValueError, match=match):
        level_interval(requests, levels, level)


def test_times_are_whole_epoch_seconds():
    assert decode_requests(steady_run()).seconds().start == START
