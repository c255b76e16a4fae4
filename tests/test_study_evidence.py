"""The series of a finding's figure: what the rule judged, a value a level, suspect and others told apart."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from bench.faults.corpus import unpack
from genkai.metrics import Metrics
from genkai.study import RunStudy, read_study
from genkai.study.evidence import COLUMNS, MOST_METRICS, evidence_series
from genkai.study.results import diagnose_run
from genkai.workspace import Cycle
from sample_cycles import SAMPLE, metric_rows

CORPUS = Path(__file__).parent / "data/faults"
RISING = [0.1, 0.2, 0.3, 0.4, 0.9, 1.0]
FLAT = [0.1] * 6


@pytest.fixture(scope="module")
def sampled() -> RunStudy:
    return read_study(Cycle(SAMPLE)).main("scenario")


def with_metrics(run: RunStudy, *parts: pd.DataFrame) -> RunStudy:
    return dataclasses.replace(run, metrics=Metrics.of(pd.concat(parts, ignore_index=True)))


def evidence(*items: tuple[str, str, str, str]) -> dict:
    """A finding of (source, resource, metric, signal)."""
    return {"evidence": [dict(zip(("source", "resource", "metric", "signal"), item, strict=True)) for item in items]}


def values(table: pd.DataFrame, resource: str) -> Sequence[float]:
    return list(table[table["resource"] == resource].sort_values("intended")["value"])


def test_the_suspect_stands_beside_the_others_of_its_kind(sampled: RunStudy) -> None:
    run = with_metrics(
        sampled,
        metric_rows(sampled, "cloudwatch", "ec2:a", "CPUUtilization", "average", [100 * v for v in RISING]),
        metric_rows(sampled, "cloudwatch", "ec2:b", "CPUUtilization", "average", [100 * v for v in FLAT]),
        metric_rows(sampled, "cloudwatch", "ecs:a/b", "CPUUtilization", "average", FLAT),
        metric_rows(sampled, "proc", "host:a", "cpu_busy_ratio", "sample", FLAT),
    )
    found = evidence_series(run, evidence(("cloudwatch", "ec2:a", "CPUUtilization", "cpu.busy")))
    assert list(found.columns) == COLUMNS
    assert values(found, "ec2:a") == pytest.approx(RISING)
    assert values(found, "ec2:b") == pytest.approx(FLAT)
    assert set(found["unit"]) == {"ratio"}
    assert dict(zip(found["resource"], found["role"], strict=True)) == {"ec2:a": "bottleneck", "ec2:b": "other"}
    assert sorted(found["intended"].unique()) == [m["intended"] for m in sampled.marks]


def test_resources_of_another_kind_are_never_the_bottleneck(sampled: RunStudy) -> None:
    """The first evidence names the suspect; an idle instance that is shown beside it is no suspect."""
    run = with_metrics(
        sampled,
        metric_rows(sampled, "cloudwatch", "elb:x", "SurgeQueueLength", "maximum", RISING),
        metric_rows(sampled, "cloudwatch", "ec2:a", "CPUUtilization", "average", FLAT),
    )
    queue = ("cloudwatch", "elb:x", "SurgeQueueLength", "lb.queue")
    found = evidence_series(run, evidence(queue, ("cloudwatch", "ec2:a", "CPUUtilization", "cpu.busy")))
    assert dict(zip(found["metric"], found["role"], strict=True)) == {
        "SurgeQueueLength": "bottleneck", "CPUUtilization": "other"
    }  # fmt: skip


def test_only_the_hold_counts(sampled: RunStudy) -> None:
    ramp = metric_rows(sampled, "proc", "host:a", "cpu_busy_ratio", "sample", [99.0] * 6)
    starts = [pd.Timestamp(m["start"], unit="s", tz="UTC") for m in sampled.marks for _ in range(3)]
    ramp["time"] = pd.Series(starts).astype("datetime64[us, UTC]")
    run = with_metrics(sampled, ramp, metric_rows(sampled, "proc", "host:a", "cpu_busy_ratio", "sample", RISING))
    shown = evidence_series(run, evidence(("proc", "host:a", "cpu_busy_ratio", "cpu.busy")))
    assert values(shown, "host:a") == pytest.approx(RISING)


@pytest.mark.parametrize(
    "name", ["", "lb_capacity", "lock", "worker_slots", "app_cpu", "machine_full", "dependency_pool"]
)
def test_a_figure_shows_the_values_that_its_text_tells(tmp_path: Path, name: str) -> None:
    """What a finding says of a series at the limit is a point of its figure, in the same unit."""
    study = read_study(unpack(CORPUS / f"{name}.zip", tmp_path) if name else Cycle(SAMPLE))
    run, told = study.main("scenario"), 0
    for finding in diagnose_run(study, run)["findings"]:
        shown = evidence_series(run, finding)
        for item in finding["evidence"]:
            rows = shown[(shown["metric"] == item["metric"]) & (shown["resource"] == item["resource"])]
            if item["source"] != "levels" and len(rows) and "limit" in item["values"]:
                assert item["values"]["limit"]["value"] in set(rows["value"]), item
                assert item["values"]["limit"]["unit"] == rows["unit"].iloc[0]
                told += 1
            assert bool(item["figure"]) == (item["metric"] in set(shown["metric"]))
    assert told


def test_the_highest_of_the_recorded_queue(sampled: RunStudy) -> None:
    """Against a loop over the metrics table, row by row; what reaches into the next level is not this one's."""
    item = ("cloudwatch", "elb:genkai-demo", "SurgeQueueLength", "lb.queue")
    found = evidence_series(sampled, evidence(item))
    naive = []
    for mark in sampled.marks:
        naive.append(max(
            row["value"] for row in sampled.metrics.frame.to_dict("records")
            if row["metric"] == "SurgeQueueLength"
            and mark["hold_start"] <= row["time"].timestamp() + row["period_s"] / 2
            and row["time"].timestamp() + row["period_s"] <= mark["end"] + 0.05 * row["period_s"]
        ))  # fmt: skip
    assert values(found, "elb:genkai-demo") == pytest.approx(naive)
    assert max(naive) > 0, "the queue was full at the end of the story"


def test_levels_and_generator_have_series_too(sampled: RunStudy) -> None:
    found = evidence_series(sampled, evidence(("levels", "", "throughput_rps", "throughput_rps")))
    assert list(found["value"]) == list(sampled.whole["throughput_rps"])
    assert set(found["unit"]) == {"rps"}
    assert set(found["resource"]) == {sampled.subject}
    process = sampled.generator["process"].iloc[0]
    found = evidence_series(sampled, evidence(("generator", f"process:{process}", "cpu_ratio", "cpu_ratio")))
    mark = sampled.marks[-1]
    epoch = sampled.generator["time"].astype("int64") / 1e6
    held = sampled.generator[(epoch >= mark["hold_start"]) & (epoch < mark["end"])]
    assert values(found, f"process:{process}")[-1] == pytest.approx(held["cpu_ratio"].median())
    assert set(found["role"]) == {"bottleneck"}
    item = ("generator", f"process:{process}", "sockets_time_wait", "sockets_time_wait")
    assert set(evidence_series(sampled, evidence(item))["unit"]) == {"count"}, "a number of sockets is no time"


def test_what_users_feel_comes_last_and_never_more_than_fit(sampled: RunStudy) -> None:
    signals = {
        "cpu_busy_ratio": "cpu.busy", "cpu_system_ratio": "cpu.system", "cpu_iowait_ratio": "cpu.wait",
        "run_queue": "run_queue", "core_max_busy_ratio": "cpu.busiest_core",
    }  # fmt: skip
    run = with_metrics(sampled, *(metric_rows(sampled, "proc", "host:a", n, "sample", RISING) for n in signals))
    items = [("levels", "", "throughput_rps", ""), *(("proc", "host:a", *pair) for pair in signals.items())]
    assert len(signals) > MOST_METRICS
    assert list(evidence_series(run, evidence(*items))["metric"].unique()) == list(signals)[:MOST_METRICS]
    first = evidence_series(run, evidence(*items[:2]))
    assert list(first["metric"].unique()) == ["cpu_busy_ratio", "throughput_rps"]


@pytest.mark.parametrize(
    "item", [("proc", "host:a", "cpu_busy_ratio", "cpu.busy"), ("failures", "", "", "")], ids=["not measured", "none"]
)
def test_without_a_series_there_is_nothing_to_draw(sampled: RunStudy, item: tuple[str, str, str, str]) -> None:
    run = with_metrics(sampled, metric_rows(sampled, "cloudwatch", "ec2:a", "CPUUtilization", "average", RISING))
    found = evidence_series(run, evidence(item))
    assert list(found.columns) == COLUMNS
    assert found.empty
