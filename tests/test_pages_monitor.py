"""Notebook 30: what is collected and from where, which metrics the timeline picks, and the USE table."""

import dataclasses
import json
import socket
from pathlib import Path

import pandas as pd
import pytest

from cloudwatch_server import CloudWatchServer
from genkai.collect.errors import CollectError
from genkai.metrics import Metrics
from genkai.pages import monitor as page
from genkai.report.messages import Messages
from genkai.study import RunStudy, Study, read_study
from genkai.workspace import Cycle
from sample_cycles import SAMPLE, checksums, copy_sample, metric_rows, own_cycle, plain

LANGUAGES = ("en", "ja")
VALUES = [1.0] * 6


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(Cycle(SAMPLE))


def with_metrics(run: RunStudy, *parts: pd.DataFrame) -> RunStudy:
    return dataclasses.replace(run, metrics=Metrics.of(pd.concat(parts, ignore_index=True)))


def chosen(run: RunStudy) -> list[tuple[str, str]]:
    table = page.timeline_metrics(run)
    return list(dict.fromkeys(zip(table["metric"], table["statistic"], strict=True)))


def test_the_recorded_run_shows_the_balancers_queue_first(study: Study) -> None:
    run = study.main("scenario")
    found = chosen(run)
    assert found[:2] == [("SurgeQueueLength", "maximum"), ("SpilloverCount", "sum")]
    assert len(found) == page.MOST_PANELS
    table = page.timeline_metrics(run)
    assert table["time"].min() >= pd.Timestamp(run.window[0], unit="s", tz="UTC")
    assert table["time"].max() <= pd.Timestamp(run.window[1], unit="s", tz="UTC")
    queue = run.metrics.frame[run.metrics.frame["metric"] == "SurgeQueueLength"]
    inside = [v for t, v in zip(queue["time"], queue["value"], strict=True)
              if run.window[0] <= t.timestamp() <= run.window[1]]  # fmt: skip
    assert list(table[table["metric"] == "SurgeQueueLength"]["value"]) == inside


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_metric_of_the_timeline_has_a_title(lang: str) -> None:
    assert [metric for metric, _ in page.TIMELINE if f"metric.{metric}" not in Messages(lang)] == []


def test_the_statistic_that_shows_trouble_whatever_its_case(study: Study) -> None:
    run = study.main("scenario")
    for given, expected in (
        (("Average", "Maximum", "Minimum"), "Maximum"),
        (("average", "minimum"), "average"),
        (("Minimum", "p95"), None),
    ):
        parts = [metric_rows(run, "cloudwatch", "ec2:a", "CPUUtilization", s, VALUES) for s in given]
        assert chosen(with_metrics(run, *parts)) == ([("CPUUtilization", expected)] if expected else [])


def test_one_source_for_each_resource(study: Study) -> None:
    """vmstat and /proc both tell the run queue: two series of one name would be drawn as one zigzag."""
    run = study.main("scenario")
    both = with_metrics(
        run,
        metric_rows(run, "vmstat", "host:a", "run_queue", "sample", [5.0] * 6),
        metric_rows(run, "proc", "host:a", "run_queue", "sample", VALUES),
        metric_rows(run, "vmstat", "host:b", "run_queue", "sample", [7.0] * 6),
    )
    table = page.timeline_metrics(both)
    assert {r: set(rows["source"]) for r, rows in table.groupby("resource")} == {
        "host:a": {"proc"}, "host:b": {"vmstat"}
    }  # fmt: skip
    recorded = with_metrics(run, run.metrics.frame[run.metrics.frame["source"] != "cloudwatch"])
    shown = page.timeline_metrics(recorded)
    assert not shown.duplicated(["metric", "resource", "time"]).any()
    assert shown.groupby(["metric", "resource"])["source"].nunique().max() == 1


def test_without_metrics_the_timeline_is_load_alone(study: Study) -> None:
    run = study.main("scenario")
    bare = dataclasses.replace(run, metrics=Metrics({}))
    assert page.timeline_metrics(bare).empty
    assert plain(page.timeline(dataclasses.replace(study, runs=(bare,))))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_part_is_shown(study: Study, lang: str) -> None:
    assert study.main().subject in plain(page.timeline(study, lang=lang))
    assert plain(page.timeline(study, "api", lang)).startswith("[fig-timeline]")
    assert plain(page.generator(study, lang=lang)).startswith("[fig-generator]")
    told = plain(page.environment(study, lang))
    recorded = json.loads((SAMPLE / "runs/1-verify-health/raw/discovery.json").read_text())
    assert study.plan.aws.load_balancer in told
    assert study.plan.aws.load_balancer in json.dumps(recorded)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_use_table_shows_its_rows(study: Study, lang: str) -> None:
    m, rows = Messages(lang), page.use_rows(study, study.main())
    told = plain(page.use(study, lang=lang))
    assert len(told.splitlines()) == len(rows) + 2, "caption and header"
    for row in rows:
        assert row["resource"].partition(":")[2] in told
        assert f"[{m('status.' + row['verdict'])}]" in told


def test_the_busiest_second_is_in_the_use_table(study: Study) -> None:
    """The instances' CPU at the highest load: the largest of CloudWatch's samples within that level."""
    run = study.main()
    used = [r["used"]["value"] for r in page.use_rows(study, run) if "ec2" in str(r) and r.get("used")]
    cpu = run.metrics.frame[run.metrics.frame["metric"] == "CPUUtilization"]["value"]
    assert used
    assert all(value <= cpu.max() for value in used)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_missing_is_said(tmp_path: Path, study: Study, lang: str) -> None:
    m, run = Messages(lang), study.main("scenario")
    nothing = dataclasses.replace(run, requests=run.requests.iloc[:0], generator=run.generator.iloc[:0])
    alone = dataclasses.replace(study, runs=(nothing,))
    assert plain(page.timeline(alone, lang=lang)) == str(m.text("page.no_metrics"))
    assert plain(page.generator(alone, lang=lang)) == str(m.text("page.no_metrics"))
    assert plain(page.environment(dataclasses.replace(study, runs=()), lang)) == str(m.text("page.no_discovery"))
    assert plain(page.said([], lang)) == str(m.text("page.collected"))
    assert plain(page.said(["host a: silent", "b"], lang)) == "- host a: silent\n- b"


def test_a_recorded_cycle_is_collected_by_nobody(tmp_path: Path) -> None:
    """Its endpoints are gone: nothing is asked, nothing is written into it."""
    cycle = copy_sample(tmp_path)
    before = checksums(cycle.path)
    study, notes = page.collect(cycle, refresh=True)
    path = page.write(study, notes)
    assert checksums(cycle.path) == before
    assert path == tmp_path / "data/cycles/.recorded/sample/monitor.json"
    record = json.loads(path.read_text())
    assert set(record["use"]) == {r.run.name for r in study.runs}
    assert record["notes"] == notes


def test_cloudwatch_is_asked_when_it_has_the_run_and_the_cost_is_said_before(tmp_path, monkeypatch, capsys) -> None:
    with CloudWatchServer() as server:
        cycle = own_cycle(tmp_path, edit=lambda plan: plan["aws"].update(endpoints={"cloudwatch": server.url}))
        for run in cycle.runs():
            run.raw("cloudwatch.json").unlink(missing_ok=True)
        slept: list[float] = []
        monkeypatch.setattr(page, "publishing_wait_s", lambda aws, end, now: 12.5)
        monkeypatch.setattr(page, "is_local", lambda aws, service: False)
        monkeypatch.setattr(page.time, "sleep", slept.append)
        page.collect(cycle)
        told = capsys.readouterr().out.splitlines()
        assert slept == [12.5]
        assert "waiting 12 s" in told[0]
        assert sorted(line.split(":")[0] for line in told[1:]) == sorted(run.name for run in cycle.runs())
        assert all("USD" in line for line in told[1:])
        page.collect(cycle)
        assert slept == [12.5], "what was pulled once needs no waiting"


def test_what_was_odd_is_named_by_run_and_said_once(tmp_path: Path) -> None:
    cycle = own_cycle(tmp_path, edit=lambda plan: plan.pop("aws"))
    run = cycle.run("api", "item")
    run.raw("hosts.json").write_text(json.dumps({"local": ["local: a gap", "local: a gap"]}))
    run.raw("cloudwatch.json").write_text(json.dumps({"warnings": ["no data"]}))
    _, notes = page.collect(cycle)
    assert [n for n in notes if n.startswith("2-api-item")] == [
        "2-api-item: local: a gap", "2-api-item: CloudWatch: no data"
    ]  # fmt: skip


def test_what_was_fetched_is_shown_when_aws_cannot_be_asked_any_more(tmp_path: Path) -> None:
    """As after the demo, whose AWS ends with it: its metrics are not settled, and there is nobody to ask."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    services = ("cloudwatch", "elb", "elbv2", "ec2", "autoscaling", "ecs", "sts", "dynamodb")
    cycle = own_cycle(tmp_path, edit=lambda plan: plan["aws"].update(endpoints=dict.fromkeys(services, url)))
    for run in cycle.runs():
        run.raw("cloudwatch.json").write_text(json.dumps({"settled": False, "series": {}}))
    study, notes = page.collect(cycle)
    told = [n for n in notes if "not asked again" in n]
    assert {n.split(":")[0] for n in told} == {r.run.name for r in study.every if len(r.marks)}
    assert all(url in n for n in told)
    assert "cloudwatch" in set(study.main("scenario").metrics.frame["source"])
    with pytest.raises(CollectError, match=r"expected \w+ to answer"):
        page.collect(cycle, refresh=True)
    cycle.run("scenario", "shopping").table("metrics", "cloudwatch").unlink()
    with pytest.raises(CollectError, match="expected cloudwatch to answer"):
        page.collect(cycle)


def test_logs_that_were_never_read_become_a_table(tmp_path: Path) -> None:
    """As after a kill: the raw logs are there, the table is not."""
    cycle = own_cycle(tmp_path, edit=lambda plan: plan.pop("aws"))
    run = cycle.run("scenario", "shopping")
    run.table("metrics", "hosts").unlink()
    run.raw("sampling.jsonl").write_text("")
    log = Path(__file__).parent / "data/vmstat/procps-4.0.2-wide-stamped.txt"
    run.raw("local.vmstat.log").write_bytes(log.read_bytes())
    study, notes = page.collect(cycle)
    assert {"vmstat"} == set(study.main("scenario").metrics.frame["source"]) - {"cloudwatch"}
    assert any("local.proc.log" in n for n in notes), "the other log is missing, which is said"


@pytest.mark.parametrize(("hosts", "said"), [
    ([], []), ([{"name": "far", "ssh": "nobody@192.0.2.1"}], ["expected samples of at least one host, got none"]),
])  # fmt: skip
def test_hosts_that_told_nothing_do_not_hide_the_load(tmp_path: Path, hosts: list, said: list[str]) -> None:
    cycle = own_cycle(tmp_path, edit=lambda plan: (plan.pop("aws"), plan.update(hosts=hosts)))
    for run in cycle.runs():
        for path in (*run.tables("metrics"), run.raw("hosts.json")):
            path.unlink(missing_ok=True)
    cycle.runs()[-1].raw("sampling.jsonl").write_text("")
    study, notes = page.collect(cycle)
    assert len(study.runs) == 5
    assert [text for text in said if not any(text in note for note in notes)] == []
    assert bool(notes) is bool(said)


def test_every_series_of_every_level_is_a_line_of_a_table(tmp_path: Path) -> None:
    study, _ = page.collect(copy_sample(tmp_path))
    page.write(study, [])
    table = pd.read_csv(study.cycle.results_dir / "metrics_by_level.csv")
    assert set(table["run"]) == {r.run.name for r in study.runs if len(r.marks)}
    run = study.main("scenario")
    mark, wanted = run.marks[-1], {"run": run.run.name, "metric": "SurgeQueueLength", "statistic": "maximum"}
    row = table[(table[list(wanted)] == pd.Series(wanted)).all(axis=1) & (table["level"] == mark["level"])]
    inside = run.metrics.select("SurgeQueueLength", window=(mark["hold_start"] - 5, mark["end"]))
    assert row["maximum"].max() == inside[inside["statistic"] == "maximum"]["value"].max()


def test_a_clock_that_is_off_is_said(tmp_path: Path) -> None:
    cycle = own_cycle(tmp_path, edit=lambda plan: plan.pop("aws"))
    told = {"offset_s": 0.4, "uncertainty_s": 0.001, "warnings": ["web: clock +0.400 s from ours"]}
    cycle.run("api", "item").write_record(clock_offsets={"start": {"web": told}, "end": {"web": told}})
    _, notes = page.collect(cycle)
    assert [n for n in notes if "clock" in n] == ["2-api-item: web: clock +0.400 s from ours"]


def test_what_every_run_says_is_said_once() -> None:
    shown = page.said(["1-verify-health: vmstat: odd", "2-api-item: vmstat: odd", "2-api-item: gaps"]).to_plain()
    assert "1-verify-health, 2-api-item: vmstat: odd" in shown
    assert shown.count("odd") == 1
    assert "2-api-item: gaps" in shown
