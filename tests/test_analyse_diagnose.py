"""The diagnosis as a whole: where it stops, honest answers, what was ruled out or not measured, texts, speed."""

import itertools
import math
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from diagnosis_tables import HEALTHY, STALL, World, causes, flat, placeholders, texts
from genkai import schema
from genkai.analyse.diagnose import Facts, Tables, diagnose, facts_of
from genkai.analyse.rules import CAUSES
from genkai.analyse.rules.signals import read_signals
from genkai.analyse.rules.stall import find_stall
from genkai.planfile import read_plan
from genkai.report.messages import Messages

LIMITS = {"p95_s": 0.2}
PLANS = Path(__file__).parent.parent / "data/plans"


def stall_of(rows, workload="closed", limits=None, error_limit=0.01):
    return find_stall(World(rows, workload).levels(), limits or {}, error_limit)


def test_the_story_stalls_between_its_second_and_third_level() -> None:
    stall = stall_of(STALL)
    assert (stall.kind, stall.level, stall.knee, stall.ceiling_rps) == ("throughput", 2, 1, 510)


@pytest.mark.parametrize(
    ("rows", "workload", "expected"),
    [
        (HEALTHY, "closed", None),
        ([(100, 100, 0.02, 0.0), (200, 180, 0.03, 0.0)], "closed", None),  # slower, but still most of the gain
        ([(100, 100, 0.02, 0.0), (105, 100, 0.03, 0.0)], "closed", None),  # too close to tell
        ([(100, 100, 0.02, 0.0), (200, 120, 0.02, 0.0)], "closed", None),  # nobody waits: not the service's limit
        ([(100, 100, 0.02, 0.0), (200, 120, 0.04, 0.0)], "closed", 1),
        ([(100, 100, 0.02, 0.0), (200, 110, 0.02, 0.008)], "closed", None),
        ([(100, 100, 0.02, 0.0), (200, 190, 0.02, 0.03)], "closed", 1),  # errors beyond their target
        ([(100, 99, 0.02, 0.0), (200, 198, 0.02, 0.0)], "open", None),
        ([(100, 99, 0.02, 0.0), (200, 150, 0.9, 0.0)], "open", 1),
        ([(20, 18.5, 0.02, 0.0)], "open", None),  # within the noise of 30 s of Poisson arrivals
        ([(20, 12, 0.02, 0.0)], "open", 0),
    ],
)
def test_where_it_stops(rows, workload, expected) -> None:
    stall = stall_of(rows, workload)
    assert (stall.level if stall else None) == expected


def test_the_ceiling_is_the_most_that_was_measured_though_throughput_falls_again() -> None:
    """“At most 260 rps” beside a level of 292 rps is not true, and a remedy that gives 270 has not worked."""
    falling = [(120, 226, 0.02, 0.0), (160, 292, 0.04, 0.0), (200, 233, 0.36, 0.0), (260, 260, 0.46, 0.0)]
    stall = stall_of(falling)
    assert (stall.level, stall.ceiling_rps) == (2, 292)


@pytest.mark.filterwarnings("error")
def test_where_only_errors_were_measured_the_ceiling_is_unknown_without_a_warning() -> None:
    levels = World([(100, 99, 0.02, 0.0), (200, float("nan"), 0.02, 1.0)]).levels()
    stall = find_stall(levels, {}, 0.01)
    assert (stall.kind, stall.level, stall.knee) == ("errors", 1, 0)
    assert math.isnan(stall.ceiling_rps)


def test_a_mean_that_rises_is_waiting_too_though_the_median_does_not() -> None:
    """One instance of two is slow: half of the requests are as fast as ever, and users still wait (N = X·(R + Z))."""
    levels = World([(20, 105, 0.018, 0.0), (40, 112, 0.014, 0.0)]).levels()
    assert find_stall(levels, {}, 0.01) is None
    assert find_stall(levels.assign(mean_s=[0.088, 0.176]), {}, 0.01).level == 1


def test_the_evidence_names_the_mean_where_only_it_rises() -> None:
    tables = World([(20, 105, 0.018, 0.0), (40, 112, 0.014, 0.0)]).instances([20, 95]).tables(Facts())
    tables = replace(tables, levels=tables.levels.assign(mean_s=[0.088, 0.176]))
    first = diagnose(tables)["findings"][0]["evidence"][0]
    assert first["text_key"] == "evidence.levels.throughput_mean"
    assert first["values"]["response"]["value"] == pytest.approx(0.176)


def test_a_broken_response_time_target_is_a_limit_without_a_stall() -> None:
    rows = [(100, 100, 0.02, 0.0), (500, 480, 0.18, 0.0)]
    assert stall_of(rows) is None
    assert stall_of(rows, limits=LIMITS).kind == "response_time"
    assert stall_of(rows, limits=LIMITS).knee == 0


@pytest.mark.parametrize(
    ("row", "key"),
    [((500, 480, 0.18, 0.0), "response_time_limit_found"), ((500, 480, 0.02, 0.3), "errors_limit_found")],
)
def test_the_answer_says_which_target_is_broken_and_calls_no_throughput_the_most(row: tuple, key: str) -> None:
    world = World([(100, 100, 0.02, 0.0), row, (1000, 900, *row[2:])]).instances([20, 96, 97])
    record = world.diagnosis(Facts(limits_s=LIMITS))
    assert record["answer_key"] == f"answer.{key}"
    assert record["values"]["reached"]["value"] == pytest.approx(record["values"]["load"]["value"] * 0.96, rel=0.2)
    said = Messages("en")(record["answer_key"], **record["values"])
    assert "at most" not in said


def test_a_cpu_that_is_full_only_further_up_explains_no_earlier_stop() -> None:
    levels = [*STALL, (2000, 520, 1.9, 0.0)]
    assert causes(World(levels).instances([20, 40, 60, 97]).diagnosis()) == []
    assert causes(World(levels).instances([20, 40, 82, 97]).diagnosis()) == ["target_cpu"]


PERCENT = st.tuples(*[st.floats(1, 100)] * 3)


@given(PERCENT, PERCENT)
@example((20, 90, 98), (20, 88, 97))
@example((98, 98, 98), (97, 97, 97))
@example((98, 98, 98), (5, 20, 22))
def test_no_report_names_a_cpu_and_rules_the_same_cpu_out(first: tuple, second: tuple) -> None:
    record = World(STALL).instances(first, second).diagnosis(Facts())
    rows = [r for r in record["ruled_out"] if r["group"] == "cpu" and r["used"]["value"] >= 0.85]
    if causes(record):
        assert rows
        assert {(r["verdict"], r["why_key"]) for r in rows} == {("limit", "ruled_out.why.full")}


@pytest.mark.parametrize(
    ("source", "resource", "metric", "values", "group"),
    [("proc", "host:app-1", "disk_sda_busy_ratio", [0.96, 0.97, 0.98], "disk"),
     ("cloudwatch", "rds:shop", "CPUUtilization", [97, 97, 97], "database")],
)  # fmt: skip
def test_what_was_as_full_well_before_is_neither_named_nor_called_the_limit(
    source, resource, metric, values, group
) -> None:
    statistic, period_s = ("sample", 1.0) if source == "proc" else ("average", 10.0)
    world = World(STALL).metric(source, resource, metric, values, statistic, period_s)
    record = world.diagnosis(Facts(hosts={"app-1": "target"}))
    row = next(r for r in record["ruled_out"] if r["group"] == group)
    assert (causes(record), row["verdict"], row["why_key"]) == ([], "busy", "ruled_out.why.as_before")


@pytest.mark.parametrize(
    ("source", "resource", "metric", "values", "cause"),
    [
        ("proc", "host:app-1", "disk_sda_busy_ratio", [0.2, 0.95, 1.0], "target_disk"),
        ("proc", "host:app-1", "core_max_busy_ratio", [0.2, 0.99, 1.0], "target_single_core"),
        ("proc", "host:local", "net_received_bytes_per_s", [2e7, 1.2e8, 1.21e8], "generator_network"),
        ("cloudwatch", "rds:shop", "CPUUtilization", [20, 93, 97], "rds_cpu"),
        ("cloudwatch", "elasticache:shop", "EngineCPUUtilization", [20, 93, 97], "elasticache_cpu"),
    ],
)
def test_what_is_nearly_full_at_the_knee_is_full_at_the_limit(source, resource, metric, values, cause) -> None:
    """Utilisation law: at the knee throughput is 97 % of the ceiling, so the bottleneck is that much used, too."""
    statistic, period_s = ("sample", 1.0) if source == "proc" else ("average", 10.0)
    world = World(STALL).metric(source, resource, metric, values, statistic, period_s)
    world.on("app-1", "cpu_busy_ratio", [0.1, 0.25, 0.28])
    facts = Facts(hosts={"app-1": "target", "local": "generator"}, limits={"host:local network.in": 1.25e8})
    record = world.diagnosis(facts)
    assert causes(record) == [cause]
    assert "ruled_out.why.as_before" not in [r["why_key"] for r in record["ruled_out"]]


def test_no_limit_means_no_finding_whatever_the_machines_show() -> None:
    world = World(HEALTHY).instances([20, 60, 92]).balancer([100, 495, 985], [0.02] * 3, [0, 3, 30])
    world.on("app-1", "tcp_listen_overflows", [0, 0, 9]).processes([0.2, 0.5, 0.95]).fail(2, "no_port", 40)
    record = world.diagnosis()
    assert (record["answer_key"], record["kind"], record["findings"]) == ("answer.no_limit", None, [])
    assert record["values"]["highest_load"]["value"] == 1000
    assert record["values"]["highest"]["value"] == 985


def test_a_limit_outside_the_catalogue_is_cannot_tell_and_says_what_is_missing() -> None:
    record = World(STALL).diagnosis()
    assert (record["answer_key"], record["findings"]) == ("answer.cannot_tell", [])
    missing = [row["what"].split(".")[1] for row in record["not_measured"]]
    assert missing[:5] == ["generator", "target_cpu", "balancer_queue", "balancer_latency", "workers"]


def test_what_is_measured_is_not_called_missing() -> None:
    world = World(STALL).processes([0.1] * 3).instances([20, 30, 30])
    world.balancer([100, 495, 510], [0.02, 0.02, 0.02], [0, 0, 470])
    record = world.diagnosis(Facts(load_balancer="shop", shared=True))
    assert [row["what"].split(".")[1] for row in record["not_measured"]] == ["workers", "accept_queue"]


def test_ruled_out_lists_each_resource_with_its_verdict() -> None:
    world = World(STALL).processes([0.1, 0.3, 0.4]).instances([20, 30, 36], [20, 75, 78])
    world.balancer([100, 495, 510], [0.02, 0.02, 0.02], [0, 0, 470]).on("db", "mem_used_ratio", [0.3, 0.4, 0.5])
    rows = {(r["resource"], r["group"]): r for r in world.diagnosis()["ruled_out"]}
    assert rows["process:worker-1", "generator"]["verdict"] == "idle"
    assert rows["ec2:i-1", "cpu"]["verdict"] == "idle"
    assert rows["ec2:i-1", "cpu"]["used"]["value"] == pytest.approx(0.36)
    assert rows["ec2:i-2", "cpu"]["verdict"] == "busy"
    assert rows["elb:shop", "balancer"]["verdict"] == "limit"
    assert rows["elb:shop", "balancer"]["saturated"]["value"] == 470
    assert rows["elb:shop", "balancer"]["used"] is None
    assert rows["host:db", "memory"]["used"]["value"] == pytest.approx(0.5)


def test_without_a_limit_the_highest_use_of_all_levels_counts() -> None:
    world = World(HEALTHY).instances([20, 60, None])  # the last minutes of CloudWatch are often not there yet
    row = next(r for r in world.diagnosis()["ruled_out"] if r["resource"] == "ec2:i-1")
    assert (row["verdict"], row["used"]["value"]) == ("idle", 0.6)


def test_empty_tables_are_answered_not_raised() -> None:
    empty = {name: schema.empty_table(name) for name in schema.TABLES if name != "stacks"}
    record = diagnose(Tables(**empty))
    assert (record["answer_key"], record["findings"], record["ruled_out"]) == ("answer.nothing_measured", [], [])


def test_evidence_of_one_series_shares_its_figure() -> None:
    world = World(STALL).instances([20, 60, 97]).on("app-1", "tcp_listen_overflows", [0, 0, 50])
    findings = world.diagnosis()["findings"]
    assert len(findings) == 2
    labels = {}
    for item in itertools.chain.from_iterable(f["evidence"] for f in findings):
        series = (item["source"], item["resource"], item["metric"])
        assert labels.setdefault(series, item["figure"]) == item["figure"]
        assert (item["figure"] is None) == (item["metric"] == "")
    assert len(set(labels.values())) == len(labels) == 3


def test_the_unit_of_time_and_the_order_of_rows_do_not_matter() -> None:
    world = World(STALL).instances([20, 60, 97])
    tables = world.tables()
    shuffled = Tables(
        levels=tables.levels.iloc[::-1], requests=tables.requests, failures=tables.failures,
        generator=tables.generator, metrics=tables.metrics.sample(frac=1, random_state=1), facts=tables.facts,
    )  # fmt: skip
    assert diagnose(shuffled) == diagnose(tables)


def test_levels_of_single_apis_are_left_to_the_whole() -> None:
    world = World(STALL).instances([20, 30, 36])
    tables = world.tables(Facts(subject="shopping", limits_s=LIMITS))
    whole = tables.levels.assign(api="shopping")
    part = tables.levels.assign(api="search", throughput_rps=1.0)
    both = schema.check_table(pd.concat([part, whole]), "levels")
    record = diagnose(
        Tables(both, tables.requests, tables.failures, tables.generator, tables.metrics, facts=tables.facts)
    )
    assert record["values"]["ceiling"]["value"] == 510


def test_the_plan_says_who_is_who() -> None:
    facts = facts_of(read_plan(PLANS / "demo.yaml"), "scenario", "shopping")
    assert facts.shared
    assert facts.load_balancer == "genkai-demo"
    assert facts.hosts == {"local": "generator"}
    assert facts.limits_s == {"p95_s": 0.2}
    remote = facts_of(read_plan(PLANS / "template.yaml"), "scenario", "shopping")
    assert not remote.shared


def test_every_cause_has_its_texts_in_both_languages() -> None:
    en, ja = texts("en"), texts("ja")
    assert en.keys() == ja.keys()
    assert {k: placeholders(v) for k, v in en.items()} == {k: placeholders(v) for k, v in ja.items()}
    needed = {f"cause.{c}.{part}" for c in CAUSES for part in ("name", "claim", "remedy", "risk", "verify")}
    assert needed == {k for k in en if k.startswith("cause.")}
    assert all(text.strip() for text in (*en.values(), *ja.values()))


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("cause", CAUSES)
def test_each_remedy_names_a_setting_and_each_proof_a_measurement_of_the_next_cycle(lang: str, cause: str) -> None:
    told = texts(lang)
    assert "`" in told[f"cause.{cause}.remedy"], "a setting, a command or an AWS action, as one types it"
    assert told[f"cause.{cause}.verify"].startswith({"en": "In the next cycle, ", "ja": "次のサイクルで、"}[lang])


def test_a_remedy_for_ports_does_not_promise_what_the_kernel_does_not_do() -> None:
    for lang in ("en", "ja"):
        assert "tcp_tw_reuse" in texts(lang)["cause.generator_ports.remedy"]
        assert "60" in texts(lang)["cause.generator_ports.remedy"]


def test_a_wrong_signal_is_refused_with_its_name(tmp_path: Path) -> None:
    wrong = tmp_path / "signals.yaml"
    wrong.write_text(yaml.safe_dump({"cpu": {"unit": "ratio", "over": "median", "carriers": []}}))
    with pytest.raises(ValueError, match=r"signals\.yaml: cpu: over: expected one of mean"):
        read_signals(wrong)
    wrong.write_text(
        yaml.safe_dump({"cpu": {"unit": "1", "over": "mean", "carriers": [["a", "b", "c", {"factor": 1}]]}})
    )
    with pytest.raises(ValueError, match="cpu: options: expected statistic"):
        read_signals(wrong)


def test_a_catalogue_is_flat_text() -> None:
    assert flat({"a": {"b": "x", "c": {"d": "y"}}}) == {"a.b": "x", "a.c.d": "y"}


def test_ten_minutes_of_eight_hosts_are_diagnosed(record_property) -> None:
    levels = [(100 * n, 100.0 * min(n, 5), 0.02 if n < 6 else 0.02 * n, 0.0) for n in range(1, 11)]
    world = World(levels, hold_s=55).processes([0.3] * 10)
    for host, metric in itertools.product(
        range(8), ("cpu_busy_ratio", "run_queue", "mem_used_ratio", "disk_sda_busy_ratio")
    ):
        world.on(f"app-{host}", metric, [min(0.19 * n, 0.97) for n in range(10)])
    tables = world.tables(Facts(limits_s=LIMITS))
    start = time.perf_counter()
    record = diagnose(tables)
    record_property("seconds", time.perf_counter() - start)  # said, not judged: the machine may be busy
    assert causes(record)[0] == "target_cpu"
