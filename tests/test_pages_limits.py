"""Limits of instance types on the page: lines of the timeline, the table, the credits, in both languages."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from genkai.metrics import Metrics
from genkai.pages import limits as page
from genkai.pages import monitor
from genkai.report.messages import Messages
from genkai.report.sections.machine_limits import counts_said, machine_limits, metric_warnings
from genkai.study import RunStudy, Study, read_study
from genkai.workspace import Cycle
from sample_cycles import SAMPLE, own_cycle, plain

LANGUAGES = ("en", "ja")
LARGE = {"vcpus": 4, "burstable": False, "network_base_line_gbps": 6.3, "network_peak_gbps": 25.0}


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(Cycle(SAMPLE))


@pytest.fixture
def loaded(tmp_path) -> Study:
    """The recorded run as if its two t3.medium (base line 0.256 Gbps) and a larger instance had had much to carry."""
    study = read_study(own_cycle(tmp_path))
    run = study.main("scenario")
    path = run.run.raw("discovery.json")
    found = json.loads(path.read_text())
    first, second = (i["id"] for i in found["instances"])
    found["instances"].append({"id": "i-large", "type": "c6gn.xlarge"})
    found["instance_types"]["c6gn.xlarge"] = LARGE
    path.write_text(json.dumps(found))
    times = np.arange(run.window[0] // 5 * 5, run.window[1], 5)

    def rows(instance: str, metric: str, statistic: str, value: float, unit: str) -> pd.DataFrame:
        return pd.DataFrame({
            "time": pd.to_datetime(times, unit="s", utc=True), "source": "cloudwatch", "resource": f"ec2:{instance}",
            "metric": metric, "statistic": statistic, "unit": unit, "period_s": 5.0, "value": value,
        })  # fmt: skip

    gbps = 1e9 / 8 * 5
    parts = [
        rows(first, "NetworkIn", "sum", 0.3 * gbps, "Bytes"),
        rows(second, "NetworkIn", "sum", 0.2 * gbps, "Bytes"),
        rows("i-large", "NetworkIn", "sum", 0.9 * gbps, "Bytes"),
        rows(first, "CPUUtilization", "average", 60, "Percent"),
        rows(first, "CPUUtilization", "maximum", 60, "Percent"),
        rows("i-large", "CPUUtilization", "maximum", 60, "Percent"),
        rows(first, "CPUCreditBalance", "minimum", 8, "Count"),
    ]
    rest = run.metrics.frame
    rest = rest[~rest["resource"].str.startswith("ec2")]
    changed = dataclasses.replace(run, metrics=Metrics.of(pd.concat([rest, *parts], ignore_index=True)))
    return dataclasses.replace(study, runs=tuple(changed if r is run else r for r in study.runs))


def lines(study: Study, run: RunStudy, table: pd.DataFrame) -> dict[str, list[tuple[float, str]]]:
    found = page.limit_lines(study, run, table, Messages("en"))
    return {metric: [(limit.value, limit.name) for limit in limits] for metric, limits in found.items()}


def test_the_timeline_has_the_panel_of_the_base_line_that_is_passed_and_its_lines(loaded):
    run = loaded.main("scenario")
    near = page.near_table(loaded, run)
    assert set(near["metric"]) == {"network_in[t3.medium]"}
    assert near["value"].max() == pytest.approx(0.3e9)
    shown = pd.concat([near, monitor.timeline_metrics(run)])
    assert lines(loaded, run, shown) == {
        "network_in[t3.medium]": [(0.256e9, "base line"), (5e9, "burst")],
        "CPUUtilization": [(20.0, "t3.medium\nbase line")],
    }
    assert plain(monitor.timeline(loaded, "scenario")).startswith("[fig-timeline]")


def test_of_one_type_the_line_needs_no_name_and_below_the_base_line_no_burst(study):
    run = study.main("scenario")
    assert page.near_table(study, run).empty, "a thousandth of the base line is no suspect"
    table = page.type_limits.used_table(run.metrics, page.discovered(run))
    found = lines(study, run, pd.concat([table, monitor.timeline_metrics(run)]))
    assert found["network_out[t3.medium]"] == [(0.256e9, "base line")]
    assert found["CPUUtilization"] == [(20.0, "base line")]


def test_the_run_queue_of_a_sampled_instance_has_a_line_at_its_vcpus(loaded):
    run = loaded.main("scenario")
    found = page.discovered(run)
    host = loaded.plan.hosts[0].model_copy(update={"name": "web", "ssh": f"me@{found['instances'][0]['address']}"})
    plan = loaded.plan.model_copy(update={"hosts": [host]})
    table = pd.DataFrame({"metric": ["run_queue"], "resource": ["host:web"], "value": [9.0]})
    assert lines(dataclasses.replace(loaded, plan=plan), run, table) == {"run_queue": [(2, "one per vCPU:")]}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_figure_table_and_credits_are_shown(loaded, study, lang):
    told = plain(page.limits(loaded, "scenario", lang))
    for number in ("300 Mbps", "256 Mbps", "117%", "6.3 Gbps", "900 Mbps", "60%"):
        assert number in told
    assert "10 min" in told or "10 分" in told, "8 credits at 1.2 a minute, less 0.4 earned: ten minutes"
    assert "[fig-machine-limits]" in told
    quiet = plain(page.limits(study, "scenario", lang))
    assert "t3.medium · " in quiet
    assert "117%" not in quiet


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_discovery_does_not_know_is_said(study, lang):
    run = dataclasses.replace(study.main("scenario"), metrics=Metrics({}))
    alone = dataclasses.replace(study, runs=(run,))
    assert plain(page.limits(alone, "", lang)) == str(Messages(lang).text("machine.none"))


def test_how_credits_end_depends_on_the_mode():
    def made(spent: float, left: float | None, mode: str = "standard", notes: tuple[str, ...] = ()) -> dict:
        count = {"value": spent, "unit": "count", "notes": notes}
        return {"resource": "ec2:i", "type": "t3.micro", "mode": mode, "balance": {"value": 9, "unit": "count"},
               "spent": count, "earned": {"value": 0.2, "unit": "count"}, "surplus": {"value": None, "unit": "count"},
               "left": {"value": left, "unit": "duration"}, "soon": left is not None and left < 1800}  # fmt: skip

    def told(*given) -> str:
        (item,) = machine_limits(Messages("en"), [], [made(*given)], {})
        return item.to_plain()

    assert "do not run out" in told(0.1, None)
    assert "not known" in told(0.5, None)
    assert "they last 2 h; then it is held at its base line" in told(0.5, 7200)
    assert "they last only 20 min" in told(0.5, 1200)
    assert "AWS bills the surplus" in told(0.5, 1200, "unlimited")
    assert "reaches beyond the load" in told(0.5, 1200, "standard", ("bounds only",)).splitlines()[-1]
    assert "reaches beyond the load" not in told(0.5, 1200)
    quiet = [{**row, "resource": f"ec2:{n}"} for n, row in enumerate([made(0.1, None)] * 5)]
    assert len(machine_limits(Messages("en"), [], quiet, {})[0].to_plain().splitlines()) == 1, "all last: one is enough"
    scarce = [made(0.5, 60.0 * n) for n in range(1, 6)]
    assert len(machine_limits(Messages("en"), [], [*scarce, *quiet], {})[0].to_plain().splitlines()) == 3
    assert machine_limits(Messages("en"), [], [], {}) == []


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_passed_its_rule_is_told_with_its_worst_value_and_moment(study, lang):
    run, m = study.main("scenario"), Messages(lang)
    queue = run.metrics.select("SurgeQueueLength", source="cloudwatch")
    worst = queue.loc[queue["value"].idxmax()]
    told = plain(page.warnings(study, "scenario", lang))
    row = next(line for line in told.splitlines() if "SurgeQueueLength" in line)
    assert f"| {m('statistic.maximum')} > 0 | {worst['value']:g} | {worst['time']:%Y-%m-%d %H:%M:%S} UTC |" in row
    assert "CPUUtilization" not in told, "7 % are within its rule"
    calm = dataclasses.replace(run, metrics=Metrics.of(queue.assign(value=0.0)))
    within = plain(page.warnings(dataclasses.replace(study, runs=(calm,)), "", lang))
    assert within == str(m.text("machine.within"))
    hosts_only = run.metrics.frame[run.metrics.frame["source"] != "cloudwatch"]
    assert len(hosts_only), "hosts were measured, CloudWatch was not asked"
    unasked = dataclasses.replace(run, metrics=Metrics.of(hosts_only))
    said = plain(page.warnings(dataclasses.replace(study, runs=(unasked,)), "", lang))
    assert said == str(m.text("machine.not_asked")) != within
    assert "31,978" in told, "what the load balancer counted stands beside what was sent"
    assert "32,789" in told


@pytest.mark.parametrize(("lang", "phrases"), [
    ("en", {"agree": "111 requests; of 107 requests sent, 103 requests succeeded. They",
            "fewer": "111 requests, but 103 requests succeeded",
            "more": "111 requests, but only 107 requests were recorded as sent: somebody else used it meanwhile, or"}),
    ("ja", {"agree": "数えたのは 111 件。送信 107 件のうち成功は 103 件",
            "fewer": "数えたのは 111 件だが、成功は 103 件",
            "more": "数えたのは 111 件だが、記録された送信は 107 件にすぎない。同時に他からも使われていたか"}),
])  # fmt: skip
def test_requests_that_others_sent_or_that_went_elsewhere_are_told(lang, phrases):
    counts = {"counted": 111.0, "sent": 107.0, "completed": 103.0, "under_way": 2.0}
    row = {"resource": "elb:shop", **{name: {"value": n, "unit": "requests"} for name, n in counts.items()}}
    for verdict, phrase in phrases.items():
        assert phrase in counts_said(Messages(lang), [{**row, "verdict": verdict}])[0].to_plain()
    assert counts_said(Messages(lang), []) == []


def test_the_worst_rules_come_first_and_no_more_than_fit(study):
    """Of 21 series beyond their rule the last is the severe one."""
    shown = [(f"ec2:i-{i:02}", "CPUUtilization", 90.0 + i) for i in range(20)]
    shown.append(("ec2:i-99", "StatusCheckFailed", 1.0))
    rows = pd.DataFrame(
        {"time": pd.Timestamp("2024-05-01", tz="UTC"), "source": "cloudwatch", "resource": resource, "metric": metric,
         "statistic": "maximum", "unit": "", "period_s": 60.0, "value": value} for resource, metric, value in shown
    )  # fmt: skip
    run = dataclasses.replace(study.main("scenario"), metrics=Metrics.of(rows))
    (table,) = metric_warnings(Messages("en"), page.warning_rows(run), {})
    lines = table.to_plain().splitlines()
    assert len(lines) == 2 + 12
    assert ["i-99" in line for line in lines if "i-" in line] == [True] + [False] * 11
    assert "21 of CloudWatch's series" in table.to_plain()


def test_instances_have_short_names_in_the_readers_language(study: Study) -> None:
    run = study.main("scenario")
    ids = sorted(r for r in run.metrics.frame["resource"].unique() if r.startswith("ec2:"))
    assert page.instance_names(run, Messages("en")) == {name: f"instance {n}" for n, name in enumerate(ids, 1)}
    assert page.instance_names(run, Messages("ja")) == {name: f"インスタンス {n}" for n, name in enumerate(ids, 1)}
