"""Server-side targets: a synthetic truth, a loop as oracle, properties, and each way in which nothing can be told."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyse_tables import START, level_row, levels_table
from genkai.analyse.judge import Judge
from genkai.analyse.machines import machine_levels, machine_rows, measured_resources, unit_of
from genkai.analyse.verdict import cycle_verdicts, step_targets, step_verdict
from genkai.metrics import Block, Metrics, frame_of, micros
from genkai.plan import MachineTarget, Plan
from genkai.report.messages import Messages

LEVEL = {"users": 10}
EN = Messages("en")
MARKS = [{"level": n, "workload": "closed", "intended": users, "start": START + 60 * n,
          "hold_start": START + 60 * n + 10, "end": START + 60 * n + 60}
         for n, users in enumerate((100.0, 500.0, 1000.0))]  # fmt: skip
CPU = {"metric": "cpu_busy_ratio", "at_most": 0.7}


def plan_with(*machines: dict, step: str = "scenario", target: float = 800) -> Plan:
    return Plan.model_validate({
        "name": "shop", "purposes": ["responsiveness"], "base_url": "http://127.0.0.1:1",
        "targets": {"throughput_rps": target, "p95_ms": 100, "machines": list(machines)},
        "apis": [{"name": "search", "path": "/s"}],
        "scenarios": [{"name": "mix", "calls": [{"api": "search"}]}],
        "hosts": [{"name": "load", "role": "generator"}, {"name": "app-1"}, {"name": "app-2"}],
        "steps": {step: {"levels": [LEVEL]}},
    })  # fmt: skip


def series(resource: str, values: list[float], metric: str = "cpu_busy_ratio", unit: str = "ratio",
           source: str = "proc", statistic: str = "sample", period: float = 1.0) -> Block:  # fmt: skip
    times = micros(START + period * np.arange(len(values)))
    return Block(source, resource, times, period, {metric: np.array(values, float)}, {metric: unit}, statistic)


def by_level(*values: float) -> list[float]:
    """One value in the hold of each level, another in its ramp, which must not count."""
    return [9.0 if second < 10 else value for value in values for second in range(60)]


def run_with(*blocks: Block, throughput=(100, 500, 990), step: str = "scenario", **last):
    rows = [level_row(i, mark["intended"], x, api="mix", **(last if i == 2 else {}))
            for i, (mark, x) in enumerate(zip(MARKS, throughput, strict=True))]  # fmt: skip
    return SimpleNamespace(step=step, subject="mix", levels=levels_table(*rows), record={"state": "finished"},
                           name="3-scenario-mix", metrics=frame_of(blocks), marks=MARKS)  # fmt: skip


def rows_of(plan: Plan, run) -> list[dict]:
    return machine_rows(plan, run, Judge(plan, run, plan.targets.throughput_rps))


def test_the_worst_host_at_the_deciding_level_decides() -> None:
    run = run_with(series("host:load", by_level(0.9, 0.9, 0.99)), series("host:app-1", by_level(0.1, 0.3, 0.6)),
                   series("host:app-2", by_level(0.1, 0.4, 0.66)))  # fmt: skip
    (row,) = rows_of(plan_with(CPU), run)
    assert (row["status"], row["api"], row["kind"], row["level"]) == ("pass", "app-2", "machine", 2)
    assert (row["measured"]["value"], row["measured"]["unit"], row["measured"]["n"]) == (
        pytest.approx(0.66),
        "ratio",
        50,
    )
    assert row["margin_ratio"]["value"] == pytest.approx(1 - 0.66 / 0.7)
    (missed,) = rows_of(plan_with({**CPU, "at_most": 0.65}), run)
    assert (missed["status"], missed["why_key"]) == ("fail", "verdict.why.machine_missed_at_most")
    (named,) = rows_of(plan_with({**CPU, "resource": "app-1"}), run)
    assert (named["api"], named["measured"]["value"]) == ("app-1", pytest.approx(0.6))


def test_a_floor_is_kept_from_above() -> None:
    run = run_with(series("host:app-1", by_level(9e8, 7e8, 6e8), "mem_available_bytes", "bytes"))
    (row,) = rows_of(plan_with({"metric": "mem_available_bytes", "at_least": 5e8, "over_level": "minimum"}), run)
    assert (row["status"], row["bound"], row["measured"]["value"]) == ("pass", "at_least", 6e8)
    assert row["margin_ratio"]["value"] == pytest.approx(0.2)
    (missed,) = rows_of(plan_with({"metric": "mem_available_bytes", "at_least": 7e8}), run)
    assert (missed["status"], missed["why_key"]) == ("fail", "verdict.why.machine_missed_at_least")
    assert missed["margin_ratio"]["value"] < 0


def test_cloudwatch_by_kind_and_statistic() -> None:
    def watched(name: str, statistic: str, value: float) -> Block:
        return series(f"ec2:{name}", [value] * 12, "CPUUtilization", "Percent", "cloudwatch", statistic, 15.0)

    run = run_with(watched("i-1", "average", 40), watched("i-1", "maximum", 95), watched("i-2", "average", 55))
    asked = {"metric": "CPUUtilization", "at_most": 70, "resource": "ec2"}
    rows = rows_of(plan_with(asked, {**asked, "statistic": "maximum"}, {**asked, "resource": "ec2:i-1"}), run)
    assert [(r["api"], r["measured"]["value"], r["status"]) for r in rows] == [
        ("i-2", 55, "pass"), ("i-1", 95, "fail"), ("i-1", 40, "pass")]  # fmt: skip
    assert rows[0]["target"]["unit"] == "percent"


def test_the_sampler_speaks_before_vmstat() -> None:
    run = run_with(series("host:app-1", by_level(4, 4, 4), "run_queue", "processes", "vmstat"),
                   series("host:app-1", by_level(3, 3, 3), "run_queue", "processes", "proc"))  # fmt: skip
    (row,) = rows_of(plan_with({"metric": "run_queue", "at_most": 4}), run)
    assert row["measured"]["value"] == 3


def test_what_is_not_told_is_not_decided_and_names_alike_are() -> None:
    run = run_with(series("host:app-1", by_level(0.1, 0.2, 0.3), "cpu_idle_ratio"))
    (row,) = rows_of(plan_with({"metric": "cpu_idling_ratio", "at_least": 0.1}), run)
    assert (row["status"], row["why_key"], row["measured"]["value"]) == (
        "cannot_tell",
        "verdict.why.machine_unknown",
        None,
    )
    assert "cpu_idle_ratio" in EN(row["why_key"], **row["values"])
    (other,) = rows_of(plan_with({"metric": "NetworkIn", "at_most": 1}), run)
    assert other["why_key"] == "verdict.why.machine_unmeasured"
    (of_generator,) = rows_of(plan_with(CPU), run_with(series("host:load", by_level(0.9, 0.9, 0.9))))
    assert of_generator["status"] == "cannot_tell", "the generator's own host is no target"


@pytest.mark.parametrize(
    ("changes", "status", "why"),
    [
        ({"generator_limited": True}, "cannot_tell", "kept_below_target"),  # the level before it decides
        ({"steady": False}, "cannot_tell", "no_steady_state"),
    ],
)
def test_a_level_that_vouches_for_nothing(changes: dict, status: str, why: str) -> None:
    run = run_with(series("host:app-1", by_level(0.1, 0.3, 0.6)), **changes)
    (row,) = rows_of(plan_with(CPU), run)
    assert (row["status"], row["why_key"]) == (status, f"verdict.why.{why}")


def test_steps_that_judge_machines() -> None:
    run = run_with(series("host:app-1", by_level(0.1, 0.3, 0.6)), step="api")
    assert rows_of(plan_with(CPU), run) == [], "the scenario's load is the target"
    assert len(rows_of(plan_with(CPU, step="api"), run)) == 1, "nothing but single APIs is run"


def test_they_count_in_the_verdict_and_not_as_response_times() -> None:
    run = run_with(series("host:app-1", by_level(0.1, 0.3, 0.8)))
    plan = plan_with(CPU)
    found = cycle_verdicts(plan, {}, [run])
    assert found["overall"]["sentence_key"] == "verdict.overall.targets_missed"
    assert [p["status"] for p in found["purposes"]] == ["pass"], "responsiveness is of response times"
    assert found["steps"][2]["why_key"] == "verdict.why.machine_missed_at_most"


def test_endurance_below_the_target_keeps_them_too() -> None:
    run = run_with(series("host:app-1", by_level(0.1, 0.3, 0.6)), step="endurance", throughput=(100, 300, 500))
    rows = step_targets(plan_with(CPU, step="endurance"), [run], {})
    assert [(r["kind"], r["status"]) for r in rows if r["kind"] == "machine"] == [("machine", "pass")]


def test_the_gate_waits_for_nothing_that_comes_after_the_load() -> None:
    plan, run = plan_with({"metric": "CPUUtilization", "at_most": 70}), run_with()
    on_aws = Plan.model_validate({**plan.model_dump(exclude_unset=True), "aws": {"region": "ap-northeast-1"}})
    waits = step_verdict(on_aws, "scenario", [run], {})
    assert (waits["status"], waits["why_key"]) == ("pass", "verdict.why.targets_met_so_far")
    assert cycle_verdicts(on_aws, {}, [run])["overall"]["status"] == "cannot_tell"
    assert step_verdict(plan, "scenario", [run], {})["status"] == "cannot_tell", "nobody will ever tell"
    host = Plan.model_validate({**on_aws.model_dump(exclude_unset=True), "targets": plan_with(CPU).targets})
    assert step_verdict(host, "scenario", [run], {})["status"] == "cannot_tell", "the samplers have told what they saw"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=12, max_size=180), st.sampled_from(["mean", "p95", "maximum", "minimum"]),
       st.floats(0.5, 4))  # fmt: skip
def test_against_a_loop_and_whatever_the_unit(values: list[float], over: str, factor: float) -> None:
    target = MachineTarget(metric="cpu_busy_ratio", at_most=1, over_level=over)

    def told(values: list[float]) -> dict | None:
        found = measured_resources(target, Metrics.of(frame_of([series("host:a", values)])), MARKS[0])
        return found.get("host:a")

    inside = [v for second, v in enumerate(values) if 10 <= second < 60]
    expected = {"mean": np.mean, "p95": lambda v: np.quantile(v, 0.95), "maximum": max, "minimum": min}[over](inside)
    record = told(values)
    assert (record["value"], record["n"]) == (pytest.approx(expected), len(inside))
    if record["low"] is not None:
        assert record["low"] <= record["value"] <= record["high"]
    assert told([factor * v for v in values])["value"] == pytest.approx(factor * record["value"])


@pytest.mark.parametrize("hold", [20, 50])
def test_the_interval_of_a_mean_holds_the_truth(hold: int) -> None:
    """Samples that resemble their neighbours (a first-order autoregression), 300 seeds: about 95 % hold it."""
    target, held = MachineTarget(metric="cpu_busy_ratio", at_most=1), 0
    mark = MARKS[0] | {"end": START + 10 + hold}
    for seed in range(300):
        rng, values = np.random.default_rng(seed), [0.0]
        for _ in range(59):
            values.append(0.4 * values[-1] + rng.normal())
        blocks = Metrics.of(frame_of([series("host:a", [0.5 + 0.02 * v for v in values])]))
        record = measured_resources(target, blocks, mark)["host:a"]
        held += record["low"] <= 0.5 <= record["high"]
    assert 0.87 * 300 <= held <= 0.99 * 300


def test_few_samples_have_no_interval_and_none_leaves_the_scale() -> None:
    def told(values: list[float], unit: str = "ratio") -> dict:
        target = MachineTarget(metric="cpu_busy_ratio", at_most=1)
        blocks = Metrics.of(frame_of([series("host:a", [0.0] * 10 + values, unit=unit)]))
        return measured_resources(target, blocks, MARKS[0])["host:a"]

    assert [(r["n"], r["low"], r["high"]) for r in (told([0.4, 0.7]), told([0.4, 0.7, 0.5]))] == [
        (2, None, None), (3, None, None)]  # fmt: skip
    low, high = told([0.0, 0.0, 0.0, 0.1]), told([1.0, 1.0, 1.0, 0.9])
    assert (low["low"], high["high"]) == (0.0, 1.0)
    assert told([100.0, 100.0, 100.0, 90.0], "Percent")["high"] == 100.0


def test_a_value_of_more_than_the_level_tells_nothing_of_it() -> None:
    """CloudWatch without detailed monitoring: five minutes in one value, the level was held for 50 s."""
    long = series("ec2:i-1", [37.0], "CPUUtilization", "Percent", "cloudwatch", "average", 300.0)
    asked = {"metric": "CPUUtilization", "at_most": 70}
    (row,) = rows_of(plan_with(asked), run_with(long))
    assert (row["status"], row["why_key"]) == ("cannot_tell", "verdict.why.machine_too_coarse")
    assert EN(row["why_key"], **row["values"]).startswith("CPUUtilization (mean): one value speaks of 5 min")
    assert (row["measured"]["value"], row["target"]["unit"]) == (None, "percent")


def test_the_percentile_of_a_whole_run_is_no_levels_own() -> None:
    asked = {"metric": "Latency", "statistic": "p95", "at_most": 1}
    each = series("elb:shop", [0.05] * 12 + [0.08], "Latency", "Seconds", "cloudwatch", "p95", 15.0)
    whole = series("elb:shop", [2.0], "Latency", "Seconds", "cloudwatch", "p95", 180.0)
    (row,) = rows_of(plan_with(asked), run_with(each, whole))
    assert row["measured"]["value"] == pytest.approx(0.05)


def test_a_kind_leaves_the_generator_out_and_a_name_does_not() -> None:
    run = run_with(series("host:load", by_level(0.9, 0.9, 0.99)), series("host:app-1", by_level(0.1, 0.3, 0.6)))
    (kind,), (named,) = (rows_of(plan_with({**CPU, "resource": r}), run) for r in ("host", "load"))
    assert [(r["api"], r["status"]) for r in (kind, named)] == [("app-1", "pass"), ("load", "fail")]


def test_limits_of_zero_and_below_keep_their_order() -> None:
    run = run_with(series("host:app-1", by_level(-3, -3, -3)))
    (zero,), (below,) = (rows_of(plan_with(m), run) for m in ({**CPU, "at_most": 0},
                                                             {"metric": "cpu_busy_ratio", "at_least": -5}))  # fmt: skip
    assert (zero["status"], zero["margin_ratio"]["value"]) == ("pass", None)
    assert (below["status"], below["margin_ratio"]["value"]) == ("pass", pytest.approx(0.4))


def test_a_metric_with_a_suffix_is_found_by_its_name() -> None:
    disk = series("ec2:i-1", [80.0] * 12, "disk_used_percent{path=/}", "Percent", "cloudwatch", "average", 15.0)
    (row,) = rows_of(plan_with({"metric": "disk_used_percent", "at_most": 90}), run_with(disk))
    assert (row["status"], row["measured"]["value"]) == ("pass", 80)


def test_how_it_is_judged_is_told() -> None:
    run = run_with(series("host:app-1", by_level(0.1, 0.3, 0.6)))
    mean, highest = rows_of(plan_with(CPU, {**CPU, "over_level": "maximum"}), run)
    assert (mean["over_level"], highest["over_level"]) == ("mean", "maximum")
    told = [EN(r["why_key"], **r["values"]) for r in (mean, highest)]
    assert "cpu_busy_ratio (mean)" in told[0]
    assert "cpu_busy_ratio (maximum)" in told[1]


def test_each_level_tells_the_worst_of_the_repetitions() -> None:
    runs = [run_with(series("host:app-1", by_level(0.1, 0.3, 0.6)), series("host:app-2", by_level(0.2, 0.2, 0.2))),
            run_with(series("host:app-1", by_level(0.1, 0.5, 0.4)))]  # fmt: skip
    rows = machine_levels(plan_with(CPU, {"metric": "NetworkIn", "at_most": 1}), runs)
    busy = [(r["intended"], r["api"], round(r["measured"]["value"], 3)) for r in rows if r["metric"] == CPU["metric"]]
    assert busy == [(100, "app-2", 0.2), (500, "app-1", 0.5), (1000, "app-1", 0.6)]
    assert [r["measured"]["value"] for r in rows if r["metric"] == "NetworkIn"] == [None], "once is enough"
    assert machine_levels(plan_with(), runs) == []


def test_units_by_name() -> None:
    units = [
        unit_of(m) for m in ("cpu_busy_ratio", "mem_available_bytes", "net_sent_bytes_per_s", "CPUUtilization", "x")
    ]
    assert units == ["ratio", "bytes", "bytes/s", "percent", ""]


def test_the_levels_read_each_series_once(monkeypatch) -> None:
    blocks = [series(host, by_level(0.1, 0.2, 0.3)) for host in ("host:app-1", "host:app-2")]
    run = run_with(*blocks)
    run.metrics, read = Metrics.of(run.metrics), []
    arrays = run.metrics.arrays
    monkeypatch.setattr(run.metrics, "arrays", lambda key: read.append(key) or arrays(key))
    rows = machine_levels(plan_with(CPU, CPU | {"at_most": 0.9}), [run])
    assert len(rows) == 2 * len(MARKS)
    assert sorted(read) == run.metrics.keys
