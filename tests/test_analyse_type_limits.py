"""type_limits and credits: units, several types, what is unknown; minutes left by synthetic truth."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai.analyse.credits import NOT_WHOLE, credit_rows
from genkai.analyse.type_limits import QUANTITIES, limit_rows, limits_of, used_of, used_table
from genkai.metrics import Metrics

T3 = {
    "vcpus": 2, "burstable": True, "credit_base_line_ratio": 0.2, "network_base_line_gbps": 0.256,
    "network_peak_gbps": 5.0, "ebs_base_line_mbps": 347, "ebs_maximum_mbps": 2085, "ebs_base_line_iops": 2000,
    "ebs_maximum_iops": 11800,
}  # fmt: skip
C6 = {"vcpus": 4, "burstable": False, "credit_base_line_ratio": None, "network_base_line_gbps": 6.3}
FOUND = {
    "instances": [
        {"id": "i-1", "type": "t3.medium", "credit_mode": "standard", "address": "10.0.0.1"},
        {"id": "i-2", "type": "t3.medium", "credit_mode": "unlimited"},
        {"id": "i-3", "type": "c6.xlarge"},
        {"id": "i-4"},
    ],
    "instance_types": {"t3.medium": T3, "c6.xlarge": C6},
}
LOAD = (0.0, 600.0)
BY_NAME = {q.name: q for q in QUANTITIES}


def metrics(*series) -> Metrics:
    """Series (resource, metric, statistic, period, values[, source]) from second 0 on."""
    rows = [
        {"time": pd.Timestamp(i * period, unit="s", tz="UTC"), "source": (*rest, "cloudwatch")[0], "resource": resource,
         "metric": metric, "statistic": statistic, "unit": "", "period_s": float(period), "value": float(value)}
        for resource, metric, statistic, period, values, *rest in series for i, value in enumerate(values)
    ]  # fmt: skip
    return Metrics.of(pd.DataFrame(rows))


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-3, 100), st.sampled_from([1, 60, 300]))
def test_a_sum_of_bytes_a_period_becomes_bits_a_second(gbps, period):
    held = metrics(("ec2:i-1", "NetworkIn", "sum", period, [gbps * 1e9 / 8 * period]))
    assert used_of(held, BY_NAME["network_in"], "ec2:i-1")[2] == pytest.approx([gbps * 1e9])


def test_limits_are_in_the_same_unit():
    assert limits_of(BY_NAME["network_out"], T3) == (0.256e9, 5e9)
    assert limits_of(BY_NAME["ebs_throughput"], T3) == (347e6, 2085e6)
    assert limits_of(BY_NAME["ebs_operations"], T3) == (2000, 11800)
    assert limits_of(BY_NAME["cpu_use"], C6) == (None, None)
    assert limits_of(BY_NAME["network_in"], C6) == (6.3e9, None)


def test_reads_and_writes_of_ebs_add_up_where_both_were_measured():
    both = metrics(
        ("ec2:i-1", "EBSReadBytes", "sum", 60, [60e6, 120e6]), ("ec2:i-1", "EBSWriteBytes", "sum", 60, [0, 60e6])
    )
    assert used_of(both, BY_NAME["ebs_throughput"], "ec2:i-1")[2] == pytest.approx([8e6, 24e6])
    assert used_of(metrics(("ec2:i-1", "EBSReadBytes", "sum", 60, [1])), BY_NAME["ebs_throughput"], "ec2:i-1") is None


def test_each_type_has_a_row_of_its_busiest_instance_and_the_time_above_the_base_line():
    quarter = 0.256e9 / 8 * 60 / 4
    held = metrics(
        ("ec2:i-1", "NetworkIn", "sum", 60, [quarter, 5 * quarter, 6 * quarter, quarter]),
        ("ec2:i-2", "NetworkIn", "sum", 60, [quarter] * 4),
        ("ec2:i-3", "NetworkIn", "sum", 60, [6.3e9 / 8 * 60 / 2] * 4),
    )
    small, large = sorted(limit_rows(held, FOUND), key=lambda row: row["share"]["value"], reverse=True)
    assert (small["type"], small["resource"], small["what"]) == ("t3.medium", "ec2:i-1", "network_in")
    assert small["share"]["value"] == pytest.approx(1.5)
    assert small["above"] == {**small["above"], "value": 120.0, "unit": "duration"}
    assert (large["type"], large["share"]["value"], large["burst"]["value"]) == ("c6.xlarge", pytest.approx(0.5), None)
    table = used_table(held, FOUND)
    assert list(table["metric"].unique()) == ["network_in[t3.medium]", "network_in[c6.xlarge]"], "the nearest first"
    assert set(table[table["metric"] == "network_in[t3.medium]"]["resource"]) == {"ec2:i-1", "ec2:i-2"}
    assert set(table["unit"]) == {"bit/s"}


def test_a_sampled_host_is_the_instance_of_its_address_and_told_by_the_second():
    held = metrics(("host:web", "net_sent_bytes_per_s", "sample", 1, [1e6, 31e6], "proc"))
    (row,) = limit_rows(held, FOUND, {"10.0.0.1": "web"})
    assert (row["resource"], row["used"]["value"]) == ("host:web", 248e6)
    assert limit_rows(held, FOUND) == []


def test_without_discovery_or_samples_nothing_is_said():
    assert limit_rows(Metrics({}), FOUND) == []
    assert used_table(Metrics({}), FOUND).empty
    assert limit_rows(metrics(("ec2:i-1", "NetworkIn", "sum", 60, [1])), {}) == []
    assert credit_rows(Metrics({}), FOUND, LOAD) == []
    assert credit_rows(metrics(("ec2:i-3", "CPUUtilization", "average", 60, [90])), FOUND, LOAD) == []


@settings(max_examples=80, deadline=None)
@given(st.floats(0.0, 1.0), st.floats(1.0, 500.0), st.booleans())
def test_minutes_left_are_those_of_the_bucket_that_is_played_out(busy, balance, published):
    """Truth: credits are taken and given minute by minute until none is left."""
    spent = busy * 2
    how = ("CPUCreditUsage", "sum", 300, [spent * 5]) if published else ("CPUUtilization", "average", 60, [busy * 100])
    held = metrics(("ec2:i-1", *how), ("ec2:i-1", "CPUCreditBalance", "minimum", 300, [balance]))
    (row,) = credit_rows(held, FOUND, (0.0, 300.0 if published else 60.0))
    assert row["earned"]["value"] == pytest.approx(0.4), "t3.medium: 24 an hour"
    if spent <= 0.4:
        assert row["left"]["value"] is None
        return
    left, minutes = balance, 0
    while left > 0 and minutes < 100_000:
        left, minutes = left + 0.4 - spent, minutes + 1
    assert row["left"]["value"] / 60 == pytest.approx(minutes, abs=1.0001) or minutes == 100_000
    assert row["soon"] == (row["left"]["value"] < 1800)


def test_who_runs_out_first_comes_first_and_the_latest_values_count():
    held = metrics(
        ("ec2:i-1", "CPUCreditUsage", "sum", 300, [0, 7]), ("ec2:i-1", "CPUCreditBalance", "minimum", 300, [900, 100]),
        ("ec2:i-2", "CPUCreditUsage", "sum", 300, [0, 7]), ("ec2:i-2", "CPUCreditBalance", "minimum", 300, [900, 10]),
        ("ec2:i-2", "CPUSurplusCreditBalance", "maximum", 300, [0, 3]),
    )  # fmt: skip
    first, second = credit_rows(held, FOUND, LOAD)
    assert (first["resource"], first["mode"], first["left"]["value"]) == ("ec2:i-2", "unlimited", pytest.approx(600))
    assert (first["surplus"]["value"], first["soon"]) == (3, True)
    assert (second["mode"], second["left"]["value"], second["soon"]) == ("standard", pytest.approx(6000), False)


def test_credits_of_a_bucket_that_is_mostly_idle_do_not_hide_what_is_spent():
    """Truth: both vCPUs full from 12:03 to 12:07; the one bucket of credits, 12:05 to 12:10, holds two such minutes."""
    busy = metrics(("ec2:i-1", "CPUUtilization", "average", 60, [100] * 4))
    usage = metrics(("ec2:i-1", "CPUCreditUsage", "sum", 300, [2 * 2]))
    both = Metrics.of(pd.concat([busy.frame, usage.frame.assign(time=pd.Timestamp(120, unit="s", tz="UTC"))]))
    assert credit_rows(both, FOUND, (0.0, 240.0))[0]["spent"]["value"] == pytest.approx(2.0), (
        "one credit is one vCPU-minute"
    )
    assert credit_rows(usage, FOUND, (0.0, 300.0))[0]["spent"]["value"] == pytest.approx(0.8), "nothing better is known"


def test_a_pace_without_a_balance_is_told_without_an_end():
    (row,) = credit_rows(metrics(("ec2:i-1", "CPUUtilization", "average", 60, [0, 100])), FOUND, (0.0, 120.0))
    assert (row["spent"]["value"], row["left"]["value"], row["balance"]["value"]) == (2.0, None, None)
    assert np.isfinite(row["earned"]["value"])


def test_what_was_idle_after_the_load_does_not_hide_what_is_spent():
    """Truth: both vCPUs full for four minutes, then nothing; the load lasts these four minutes."""
    idle_after = metrics(("ec2:i-1", "CPUUtilization", "average", 60, [100] * 4 + [0] * 4))
    (row,) = credit_rows(idle_after, FOUND, (0.0, 245.0))
    assert (row["spent"]["value"], row["spent"]["notes"]) == (2.0, [])


def test_of_fine_values_only_those_within_the_load_count_however_short_it_is():
    """Truth: idle to 0:05, both vCPUs full to the end at 0:25."""
    held = metrics(("ec2:i-1", "CPUUtilization", "average", 10, [50, 100, 50]))
    (row,) = credit_rows(held, FOUND, (5.0, 25.0))
    assert (row["spent"]["value"], row["spent"]["notes"]) == (2.0, [])
    held = metrics(("ec2:i-1", "CPUUtilization", "average", 10, [100, 50, 50, 0]))
    (row,) = credit_rows(held, FOUND, (5.0, 35.0))
    assert (row["spent"]["value"], row["spent"]["notes"]) == (1.0, [])


@pytest.mark.parametrize(
    ("end", "spent", "left"), [(590.0, 2.0, 20 / 1.6 * 60), (600.0, 1.94, 20 / 1.54 * 60), (300.0, 0.2, None)]
)
def test_an_earlier_value_that_lies_whole_within_the_load_does_not_hide_its_end(end, spent, left):
    """Truth: both vCPUs nearly full from 5:00 to the end, at 10 % before; credits for 13 minutes."""
    held = metrics(
        ("ec2:i-1", "CPUUtilization", "average", 300, [10, 97]),
        ("ec2:i-1", "CPUCreditBalance", "minimum", 300, [20, 20]),
    )
    (row,) = credit_rows(held, FOUND, (0.0, end))
    assert row["spent"]["value"] == pytest.approx(spent)
    assert row["left"]["value"] == (left and pytest.approx(left))


def test_a_second_of_the_next_value_does_not_decide():
    """Truth: 15 % to the end at 5:01, 1 % after it: what lasts for ever is not said to run out."""
    held = metrics(("ec2:i-1", "CPUUtilization", "average", 300, [15, (15 + 299) / 300]))
    (row,) = credit_rows(held, FOUND, (0.0, 301.0))
    assert row["spent"]["low"] == pytest.approx(0.3, rel=0.02)
    assert row["spent"]["high"] < 0.4


def test_values_that_end_long_before_the_load_say_nothing_of_its_end():
    cpu = "ec2:i-1", "CPUUtilization", "average"
    assert credit_rows(metrics((*cpu, 60, [10] * 5)), FOUND, LOAD) == []
    assert credit_rows(metrics((*cpu, 60, [10] * 9)), FOUND, LOAD)[0]["spent"]["value"] == pytest.approx(0.2)
    assert credit_rows(metrics((*cpu, 300, [10])), FOUND, LOAD)[0]["spent"]["value"] == pytest.approx(0.2)
    assert credit_rows(metrics((*cpu, 300, [10])), FOUND, (0.0, 610.0)) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=20, max_size=20), st.integers(0, 280), st.integers(20, 599),
       st.floats(0.0, 1.0))  # fmt: skip
def test_the_bounds_hold_what_the_last_minute_of_a_growing_load_spent(busy, begin, seconds, around):
    """Truth: busier every half minute under the load, busy by any amount below that around it; values of five minutes,
    as without detailed monitoring.
    """
    end, second = min(begin + seconds, 599), np.arange(600)
    under = (second >= begin) & (second < end)
    level = np.repeat(sorted(busy), 30)
    level[~under] = around * level[under].min()
    held = metrics(
        ("ec2:i-1", "CPUUtilization", "average", 300, list(100 * level.reshape(2, 300).mean(axis=1))),
        ("ec2:i-1", "CPUCreditBalance", "minimum", 300, [50, 50]),
    )
    (row,) = credit_rows(held, FOUND, (float(begin), float(end)))
    spent = row["spent"]
    if level[under].max() == level[under].min():
        assert (spent["low"] or spent["value"]) - 1e-9 <= 2 * level[end - 1] <= spent["value"] + 1e-9
    assert spent["value"] <= 2.0 + 1e-9
    assert (spent["high"], spent["notes"]) in ((None, []), (spent["value"], [NOT_WHOLE]))
    if 2 * level[under].mean() > 0.401:
        assert row["left"]["value"] is not None, "credits that run out are never said to last"


def test_values_that_do_not_touch_the_load_say_nothing_of_it():
    held = metrics(("ec2:i-1", "CPUUtilization", "average", 60, [100] * 4))
    assert credit_rows(held, FOUND, (300.0, 400.0)) == []
    usage = metrics(("ec2:i-1", "CPUUtilization", "average", 60, [50]), ("ec2:i-1", "CPUCreditUsage", "sum", 300, [9]))
    assert credit_rows(usage, FOUND, (60.0, 300.0))[0]["spent"]["low"] == pytest.approx(1.8), "of the one that does"


def test_the_balance_is_that_of_the_end_of_the_load():
    held = metrics(
        ("ec2:i-1", "CPUUtilization", "average", 60, [100] * 20),
        ("ec2:i-1", "CPUCreditBalance", "minimum", 300, [90, 80, 70, 60]),
    )
    (row,) = credit_rows(held, FOUND, (0.0, 610.0))
    assert row["balance"]["value"] == 70
