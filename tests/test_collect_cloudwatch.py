"""collect.cloudwatch: the real boto3 over HTTP against the stand-in, with its faults; nothing lost, nothing doubled."""

from __future__ import annotations

import http.server
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudwatch_server import CloudWatchServer
from genkai import schema
from genkai.collect import aws as aws_module
from genkai.collect.aws import PermissionMissing, call, client
from genkai.collect.catalogue import PREFIXES, Resource, catalogue, metric_warnings, metrics_of
from genkai.collect.cloudwatch import (
    cloudwatch_record,
    collect_cloudwatch,
    preliminary_note,
    publishing_wait_s,
    run_window,
)  # fmt: skip
from genkai.collect.cloudwatch_pull import finest_period, pull_cloudwatch
from genkai.collect.discovery import Discovery
from genkai.collect.errors import CollectError
from genkai.collect.metric_data import DATAPOINTS_PER_PAGE, QUERIES_PER_CALL, Pace, Query, calls_of, fetch_points
from genkai.load.process import free_port
from genkai.plan import Aws
from genkai.planfile import parse_plan
from genkai.workspace import Run, write_json

HOUR = 3600
DAY = 86400


@pytest.fixture(scope="module")
def server():
    with CloudWatchServer() as server:
        yield server


@pytest.fixture(autouse=True)
def no_faults(request):
    yield
    if "server" in request.fixturenames:
        request.getfixturevalue("server").faults()


@pytest.fixture
def aws(server) -> Aws:
    return Aws(endpoints={"cloudwatch": server.url}, load_balancer="shop")


def minute(ago_s: float) -> float:
    return (time.time() - ago_s) // 60 * 60


def at(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


def series(frame: pd.DataFrame, metric: str, statistic: str = "sum", period: float | None = None) -> dict[float, float]:
    rows = frame[(frame["metric"] == metric) & (frame["statistic"] == statistic)]
    rows = rows if period is None else rows[rows["period_s"] == period]
    assert rows["time"].is_unique
    return {t.timestamp(): v for t, v in zip(rows["time"], rows["value"], strict=True)}


# ---- GetMetricData


@pytest.mark.parametrize(
    "faults",
    [{}, {"page_datapoints": 1200}, {"throttle": 3, "page_datapoints": 3000}],
    ids=["none", "pages", "throttled"],
)
def test_200_metrics_over_an_hour_come_whole_whatever_goes_wrong(server, aws, faults, request):
    begin = minute(2 * HOUR)
    truth = {}
    for number in range(200):
        truth[number] = {begin + 60 * i: number * 1000 + i for i in range(60)}
        server.put(f"Test/{request.node.callspec.id}", {"N": str(number)}, "m", truth[number])
    queries = [Query(f"Test/{request.node.callspec.id}", "m", (("N", str(n)),), "Sum", 60) for n in range(200)]
    server.faults(**faults)
    before = server.calls()
    got = fetch_points(aws, client(aws, "cloudwatch"), queries, begin, begin + HOUR)
    assert got.points == [truth[n] for n in range(200)]
    assert got.warnings == []
    pages = -(-60 // (faults["page_datapoints"] // 200)) if "page_datapoints" in faults else 1
    assert got.calls == pages
    assert server.calls() - before == pages + faults.get("throttle", 0)


def test_200_metrics_over_an_hour_with_everything_wrong_at_once(server, aws):
    """Throttled, refused, cut off and left half done amid the pages; late, doubled, in no order, missing."""
    begin = minute(2 * HOUR)
    truth = [{begin + 60 * i: n * 1000 + i for i in range(60)} for n in range(200)]
    for number, points in enumerate(truth):
        server.put("Test/all", {"N": str(number)}, "m", points)
    queries = [Query("Test/all", "m", (("N", str(n)),), "Sum", 60) for n in range(200)]
    wrong = {"throttle": 1, "server_error": 1, "disconnect": 1, "cut_short": 1}
    server.faults(**wrong, spread=3, page_datapoints=1200, out_of_order=True, duplicate=True, drop_every=7)
    got = fetch_points(aws, client(aws, "cloudwatch"), queries, begin, begin + HOUR)
    assert got.points == [{t: v for i, (t, v) in enumerate(points.items(), 1) if i % 7} for points in truth]
    assert (got.warnings, got.failed) == ([], set())
    assert not any(server.faults_left()[fault] for fault in wrong), "each of them was met"
    assert got.calls > 10, "the cut short sequence was begun anew"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([1, 5, 60, 300]), min_size=1, max_size=1300), st.integers(1, 400))
def test_calls_hold_what_one_page_and_one_call_may(periods, minutes):
    queries = [Query("N", "m", (), "Sum", period) for period in periods]
    calls = calls_of(queries, range(len(queries)), minutes * 60)
    assert [i for held in calls for i in held] == list(range(len(queries)))
    for held in calls:
        asked = sum(minutes * 60 / periods[i] for i in held)
        assert len(held) <= QUERIES_PER_CALL
        assert asked <= DATAPOINTS_PER_PAGE or len(held) == 1
    for held, after in pairwise(calls):
        asked = sum(minutes * 60 / periods[i] for i in [*held, after[0]])
        assert len(held) == QUERIES_PER_CALL or asked > DATAPOINTS_PER_PAGE, "no call more than needed"


def test_calls_of_several_threads_stay_within_the_quotas_of_a_region():
    """By a clock of the test's own: in no second do more calls or datapoints begin than the quota, beyond the first."""
    now, slept = 100.0, []
    pace = Pace(lambda: now, slept.append)
    for _ in range(10):
        pace.wait("a", 90_000, 180_000)
    assert slept == pytest.approx([0.5 * n for n in range(1, 10)])
    pace.wait("b", 90_000, 180_000)
    assert len(slept) == 9, "another region has quotas of its own"
    pace.wait("b", 0, 180_000)
    pace.wait("b", 0, 180_000)
    assert slept[-1] == pytest.approx(0.5 + 1 / 50)


def test_missing_points_stay_missing(server, aws):
    begin = minute(3 * HOUR)
    server.put("Test/missing", {"N": "1"}, "m", {begin + 60 * i: i for i in range(60)})
    server.faults(drop_every=7)
    (points,) = fetch_points(
        aws, client(aws, "cloudwatch"), [Query("Test/missing", "m", (("N", "1"),), "Sum", 60)], begin, begin + HOUR
    ).points
    assert points == {begin + 60 * i: i for i in range(60) if (i + 1) % 7}


def test_more_than_500_queries_are_several_calls(server, aws):
    begin = minute(HOUR)
    server.put("Test/many", {}, "m", {begin: 5})
    queries = [Query("Test/many", "m", (), "Sum", 60)] * 1101
    before = server.calls()
    got = fetch_points(aws, client(aws, "cloudwatch"), queries, begin, begin + 60)
    assert got.points == [{begin: 5.0}] * 1101
    assert server.calls() - before == 3


class _Canned(http.server.BaseHTTPRequestHandler):
    """Answers GetMetricData with the next of the class's bodies."""

    bodies: list[bytes] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = type(self).bodies.pop(0)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def canned():
    handler = type("Canned", (_Canned,), {"bodies": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler.bodies, Aws(endpoints={"cloudwatch": f"http://127.0.0.1:{server.server_port}"})
    server.shutdown()
    server.server_close()


def page(status: str, *values: float, code: str = "") -> bytes:
    times = ",".join(str(60 * i) for i in range(len(values)))
    messages = f'[{{"Code":"{code}","Value":"v"}}]' if code else "[]"
    return (f'{{"MetricDataResults":[{{"Id":"q0","Label":"m","Timestamps":[{times}],"Values":'
            f'[{",".join(map(str, values))}],"StatusCode":"{status}"}}],"Messages":{messages}}}').encode()  # fmt: skip


@pytest.mark.parametrize("status", ["InternalError", "PartialData"])
def test_what_stays_incomplete_is_asked_again(canned, status):
    bodies, aws = canned
    bodies += [page(status, 1), page("Complete", 1, 2)]
    got = fetch_points(aws, client(aws, "cloudwatch"), [Query("N", "m", (), "Sum", 60)], 0, 120)
    assert got.points == [{0.0: 1.0, 60.0: 2.0}]
    assert got.failed == set()


def test_what_stays_incomplete_for_ever_is_a_warning(canned):
    bodies, aws = canned
    bodies += [page("InternalError")] * 3
    got = fetch_points(aws, client(aws, "cloudwatch"), [Query("N", "m", (), "Sum", 60)], 0, 120)
    assert got.failed == {0}
    assert "stayed incomplete (m)" in got.warnings[0]


def test_forbidden_series_are_a_warning_and_messages_are_kept(canned):
    bodies, aws = canned
    bodies += [page("Forbidden", code="ArithmeticError")]
    got = fetch_points(aws, client(aws, "cloudwatch"), [Query("N", "m", (), "Sum", 60)], 0, 120)
    assert got.failed == {0}
    assert any("Forbidden" in w for w in got.warnings)
    assert any("ArithmeticError: v" in w for w in got.warnings)


# ---- the catalogue's pull


def alb(name: str) -> Resource:
    return Resource("alb", name, {"LoadBalancer": f"app/{name}/1"})


def test_a_run_is_pulled_with_zeros_only_where_they_are_right(server, aws):
    begin, where = minute(2 * HOUR), {"LoadBalancer": "app/zeros/1"}
    server.put("AWS/ApplicationELB", where, "RequestCount", {begin + 60 * i: 100 for i in range(10) if i not in (4, 5)})
    server.put("AWS/ApplicationELB", where, "HTTPCode_ELB_503_Count", {begin + 120: 7})
    pull = pull_cloudwatch(aws, [alb("zeros")], at(begin), at(begin + 600))
    assert series(pull.frame, "HTTPCode_ELB_503_Count") == {
        begin + 60 * i: 7.0 if i == 2 else 0.0 for i in range(10) if i not in (4, 5)
    }
    assert series(pull.frame, "TargetResponseTime", "average") == {}
    assert pull.settled
    (warning,) = metric_warnings(pull.frame)
    assert (warning["resource"], warning["metric"], warning["worst"]) == ("elb:zeros", "HTTPCode_ELB_503_Count", 7.0)
    schema.check_table(pull.frame, "metrics")


def test_percentiles_of_the_run_are_asked_as_one_bucket_not_averaged(server, aws):
    begin, where = minute(2 * HOUR), {"LoadBalancer": "app/p/1"}
    slow = {begin + 60 * i: [0.1] * 99 + [9.0] if i else [5.0] * 10 for i in range(17)}
    server.put("AWS/ApplicationELB", where, "TargetResponseTime", slow, "Seconds")
    pull = pull_cloudwatch(aws, [alb("p")], at(begin), at(begin + 17 * 60))
    assert series(pull.frame, "TargetResponseTime", "p95", 17 * 60) == {begin: 0.1}
    of_minutes = series(pull.frame, "TargetResponseTime", "p95", 60)
    assert len(of_minutes) == 17
    assert sum(of_minutes.values()) / 17 > 0.3


def test_partial_first_and_last_minutes_are_left_out(server, aws):
    begin, where = minute(2 * HOUR), {"LoadBalancer": "app/partial/1"}
    server.put("AWS/ApplicationELB", where, "RequestCount", {begin + 60 * i: i for i in range(10)})
    pull = pull_cloudwatch(aws, [alb("partial")], at(begin + 70), at(begin + 340))
    assert set(series(pull.frame, "RequestCount")) == {begin + 120, begin + 180, begin + 240}
    short = pull_cloudwatch(aws, [alb("partial")], at(begin + 70), at(begin + 100))
    assert set(series(short.frame, "RequestCount")) == {begin + 60}


@pytest.mark.parametrize(("age", "wanted", "period"), [
    (HOUR, 1, 1), (4 * HOUR, 1, 60), (4 * HOUR, 300, 300), (16 * DAY, 60, 300), (64 * DAY, 60, 3600),
    (64 * DAY, 300, 3600)])  # fmt: skip
def test_period_by_age(age, wanted, period):
    assert finest_period(age, wanted) == period


def test_older_than_455_days_is_an_error():
    with pytest.raises(CollectError, match="within the last 455 days"):
        finest_period(456 * DAY, 60)


def test_an_old_run_is_asked_at_the_period_that_is_kept(server, aws):
    begin, where = time.time() // 300 * 300 - 2 * HOUR, {"LoadBalancer": "app/old/1"}
    server.put("AWS/ApplicationELB", where, "RequestCount", {begin + 60 * i: 1 for i in range(20)})
    server.faults(clock_offset_s=20 * DAY)
    pull = pull_cloudwatch(aws, [alb("old")], at(begin), at(begin + 1200), now=at(time.time() + 20 * DAY))
    assert series(pull.frame, "RequestCount", "sum", 300) == {begin + 300 * i: 5.0 for i in range(4)}


def test_a_period_finer_than_published_falls_back(server):
    aws = Aws(endpoints={"cloudwatch": server.url}, period_s=10)
    begin, where = minute(2 * HOUR), {"LoadBalancer": "app/fine/1"}
    server.put("AWS/ApplicationELB", where, "RequestCount", {begin + 10 * i: 1 for i in range(12)}, resolution=1)
    server.put("AWS/ApplicationELB", where, "ActiveConnectionCount", {begin: 3, begin + 60: 4})
    pull = pull_cloudwatch(aws, [alb("fine")], at(begin), at(begin + 120))
    assert len(series(pull.frame, "RequestCount", "sum", 10)) == 12
    assert series(pull.frame, "ActiveConnectionCount", "sum", 60) == {begin: 3.0, begin + 60: 4.0}


def test_the_agents_series_are_found_and_counters_become_increases(server, aws):
    begin, tags = minute(2 * HOUR), {"InstanceId": "i-agent", "InstanceType": "t3.medium"}
    server.put(
        "CWAgent", tags, "ethtool_bw_in_allowance_exceeded", {begin + 60 * i: 100 + 5 * max(0, i - 2) for i in range(5)}
    )
    server.put("CWAgent", {**tags, "path": "/"}, "disk_used_percent", {begin + 60 * i: 91 for i in range(5)})
    server.put("CWAgent", {**tags, "path": "/data"}, "disk_used_percent", {begin + 60 * i: 9 for i in range(5)})
    pull = pull_cloudwatch(
        aws, [Resource("instance", "i-agent", {"InstanceId": "i-agent"})], at(begin), at(begin + 300)
    )
    assert list(series(pull.frame, "ethtool_bw_in_allowance_exceeded", "increase").values()) == [0, 0, 5, 5]
    assert set(series(pull.frame, "disk_used_percent{path=/data}", "maximum").values()) == {9.0}
    assert {w["metric"] for w in metric_warnings(pull.frame)} == {
        "ethtool_bw_in_allowance_exceeded", "disk_used_percent{path=/}"}  # fmt: skip


@pytest.mark.parametrize(
    ("after", "settled", "told"), [(700, False, False), (901, True, False), (15 * DAY, True, True)]
)
def test_the_agents_list_is_early_for_a_quarter_of_an_hour_and_late_after_two_weeks(server, aws, after, settled, told):
    """LCUs apart, all values are final after ten minutes; whether new metrics are listed is not known before 15."""
    begin = minute(HOUR)
    instance = Resource("instance", "i-none", {"InstanceId": "i-none"})
    pull = pull_cloudwatch(aws, [instance], at(begin), at(begin + 300), now=at(begin + 300 + after))
    assert pull.settled is settled
    assert any("silent for two weeks" in text for text in pull.warnings) is told


# ---- the cache of a run

PLAN = """
name: shop
purposes: [responsiveness]
targets: {throughput_rps: 1}
base_url: http://127.0.0.1:1
apis: [{name: a, path: /}]
steps: {api: {levels: [{users: 1}]}}
aws: {load_balancer: cached, endpoints: {cloudwatch: URL}}
"""


@pytest.fixture
def finished(tmp_path, server):
    """A run that ended 45 minutes ago, its discovery done."""
    begin = minute(HOUR)
    run = Run(tmp_path / "2-api-a")
    run.write_record(start=at(begin).isoformat(), end=at(begin + 900).isoformat(), state="finished")
    balancer = {"name": "cached", "kind": "classic", "dimension": "cached"}
    write_json(run.raw("discovery.json"), Discovery("ap-northeast-1", balancer).record())
    where = {"LoadBalancerName": "cached"}
    server.put("AWS/ELB", where, "RequestCount", {begin + 60 * i: 10 for i in range(15)})
    return run, parse_plan(PLAN.replace("URL", server.url), "plan.yaml", tmp_path), begin


def test_a_second_pull_of_a_settled_run_calls_nothing(server, finished):
    run, plan, _ = finished
    said = []
    first = collect_cloudwatch(run, plan, announce=said.append)
    assert "USD" in said[0]
    before = server.calls()
    second = collect_cloudwatch(run, plan, announce=said.append)
    assert server.calls() == before
    assert len(said) == 1
    pd.testing.assert_frame_equal(first, second)
    record = cloudwatch_record(run)
    assert record["settled"] is True
    assert record["cost_usd"] > 0
    assert "series" not in record


def test_an_unsettled_run_is_asked_again_only_for_what_is_unsettled(server, finished):
    run, plan, begin = finished
    run.write_record(end=at(time.time() - 900).isoformat())
    collect_cloudwatch(run, plan, announce=None)
    assert cloudwatch_record(run)["settled"] is True  # 15 minutes after the end; a classic ELB settles in 10
    run.write_record(end=at(time.time() - 60).isoformat())
    collect_cloudwatch(run, plan, announce=None)
    assert cloudwatch_record(run)["settled"] is False
    server.put("AWS/ELB", {"LoadBalancerName": "cached"}, "RequestCount", {begin + 60 * 20: 5})
    again = collect_cloudwatch(run, plan, announce=None)
    assert series(again, "RequestCount")[begin + 1200] == 5.0


def test_a_pull_waits_until_aws_has_the_last_minutes(monkeypatch):
    end, away = at(1_700_000_000), Aws(endpoints={"cloudwatch": "https://monitoring.example"})
    waits = [publishing_wait_s(away, end, end + timedelta(seconds=s)) for s in (-5, 0, 100, 180, 9999)]
    assert waits == [180, 180, 80, 0, 0]
    here = Aws(endpoints={"cloudwatch": "http://127.0.0.1:1"})
    assert publishing_wait_s(here, end, end) == 0
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", "http://localhost:1")
    assert publishing_wait_s(Aws(), end, end) == 0
    assert publishing_wait_s(away, end, end) == 180, "the plan's word counts more"


def test_preliminary_values_are_told_until_they_are_final(server, finished):
    run, plan, _ = finished
    away = Aws(endpoints={"cloudwatch": "https://monitoring.example"})
    assert preliminary_note(run, away) == [], "nothing was pulled"
    run.write_record(end=at(minute(300)).isoformat())
    collect_cloudwatch(run, plan, announce=None)
    final = at(minute(300) + 600)
    assert f"again after {final:%H:%M} UTC" in preliminary_note(run, away)[0]
    assert preliminary_note(run, plan.aws) == [], "a stand-in on this machine publishes at once"
    run.write_record(end=at(minute(700)).isoformat())
    collect_cloudwatch(run, plan, announce=None)
    assert preliminary_note(run, away) == []


def test_a_lost_table_is_made_again_from_the_cache(server, finished):
    run, plan, _ = finished
    first = collect_cloudwatch(run, plan, announce=None)
    run.table("metrics", "cloudwatch").unlink()
    before = server.calls()
    pd.testing.assert_frame_equal(collect_cloudwatch(run, plan, announce=None), first)
    assert server.calls() == before


def test_only_the_missing_series_are_asked(server, finished):
    run, plan, _ = finished
    collect_cloudwatch(run, plan, announce=None)
    requested = cloudwatch_record(run)["metrics_requested"]
    found = Discovery.from_record({**Discovery("ap-northeast-1").record(), "load_balancer": {
        "name": "cached", "kind": "classic", "dimension": "cached"}, "services": {"sqs": ["jobs"]}})  # fmt: skip
    write_json(run.raw("discovery.json"), found.record())
    run.table("metrics", "cloudwatch").unlink()
    said = []
    collect_cloudwatch(run, plan, announce=said.append)
    assert f"CloudWatch: {len(metrics_of('sqs'))} series of 2 resources" in said[0]
    assert cloudwatch_record(run)["metrics_requested"] == requested + len(metrics_of("sqs"))


def test_the_window_of_a_killed_run_ends_at_its_last_mark(tmp_path):
    run = Run(tmp_path / "2-api-a")
    with pytest.raises(CollectError, match="expected the start of the run"):
        run_window(run)
    run.write_record(start="2024-05-01T00:00:00+00:00")
    write_json(run.path / "marks.json", [{"end": 1714521700.0}])
    assert run_window(run) == (datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 1, 0, 1, 40, tzinfo=UTC))


def test_a_plan_without_aws_asks_nothing(tmp_path, server):
    plan = parse_plan(
        PLAN.replace("aws: {load_balancer: cached, endpoints: {cloudwatch: URL}}", ""), "p.yaml", tmp_path
    )
    assert collect_cloudwatch(Run(tmp_path / "2-api-a"), plan).empty


# ---- errors: one paragraph, what to do


def closed_url() -> str:
    return f"http://127.0.0.1:{free_port()}"


def paragraph(caught) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_unknown_profile(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(CollectError, match=r"aws\.profile: expected a profile .* got 'nobody'") as caught:
        client(Aws(profile="nobody"), "cloudwatch")
    paragraph(caught)


def test_no_credentials(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(CollectError, match="expected credentials") as caught:
        client(Aws(), "cloudwatch")
    paragraph(caught)


def test_unreachable_endpoint_is_told_at_once():
    begin = time.monotonic()
    with pytest.raises(
        CollectError, match=r"expected cloudwatch to answer at http://127\.0\.0\.1:\d+, got .*refused"
    ) as caught:
        client(Aws(endpoints={"cloudwatch": closed_url()}), "cloudwatch")
    assert time.monotonic() - begin < 10
    paragraph(caught)


def test_wrong_region(monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with pytest.raises(CollectError, match="region 'ap-tokyo-9' is none that cloudwatch has") as caught:
        client(Aws(region="ap-tokyo-9"), "cloudwatch")
    paragraph(caught)


def test_missing_permission_says_action_and_goes_on(server, aws):
    begin = minute(HOUR)
    server.faults(access_denied=1)
    made = client(aws, "cloudwatch")
    with pytest.raises(PermissionMissing, match=r"expected permission cloudwatch:GetMetricData on \*") as caught:
        fetch_points(aws, made, [Query("N", "m", (), "Sum", 60)], begin, begin + 60)
    paragraph(caught)
    server.put("AWS/EC2", {"InstanceId": "i-denied"}, "CPUUtilization", {begin: 50})
    server.faults(access_denied=1)  # of ListMetrics, which is asked first
    pull = pull_cloudwatch(
        aws, [Resource("instance", "i-denied", {"InstanceId": "i-denied"})], at(begin), at(begin + 60)
    )
    assert "cloudwatch:ListMetrics" in pull.warnings[0]
    assert series(pull.frame, "CPUUtilization", "average") == {begin: 50.0}


def test_throttled_for_ever(server, aws, monkeypatch):
    monkeypatch.setattr(aws_module, "ATTEMPTS", 2)
    server.faults(throttle=10)
    with pytest.raises(CollectError, match="within 2 attempts, got Throttling") as caught:
        call(client(aws, "cloudwatch"), aws, "cloudwatch", "ListMetrics")
    paragraph(caught)


def test_an_html_page_instead_of_an_answer(server, aws, monkeypatch):
    monkeypatch.setattr(aws_module, "ATTEMPTS", 1)
    server.faults(html_error=1)
    with pytest.raises(CollectError, match="aws cloudwatch ListMetrics") as caught:
        call(client(aws, "cloudwatch"), aws, "cloudwatch", "ListMetrics")
    paragraph(caught)


def test_start_after_end(aws):
    now = datetime.now(UTC)
    with pytest.raises(CollectError, match="expected start before end"):
        pull_cloudwatch(aws, [], now, now - timedelta(1))


# ---- the catalogue


def test_every_metric_of_the_catalogue_is_well_formed():
    for metric in catalogue():
        assert metric.kind in PREFIXES, metric
        assert metric.stats or metric.run, metric
        assert metric.tells
        assert metric.period_s in (60, 300), metric
        assert metric.zero is None or metric.zero in {m.name for m in metrics_of(metric.kind)}, metric
        assert all(r.statistic in {*(s.lower() for s in metric.stats), "increase"} for r in metric.rules), metric
    keys = [(m.kind, m.namespace, m.label) for m in catalogue()]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("node", "limit"),
    [
        ({"type": "cache.t3.micro", "engine": "redis", "vcpus": 2}, 45),
        ({"type": "cache.t2.micro", "engine": "valkey", "vcpus": 1}, 90),
        ({"type": "cache.m5.xlarge", "engine": "redis", "vcpus": 4}, 90),  # its EngineCPUUtilization is judged
        ({"type": "cache.t3.micro", "engine": "memcached", "vcpus": 2}, 90),
        ({"type": "cache.new", "engine": "redis", "vcpus": None}, 90),
        (None, 90),
    ],
)
def test_the_cpu_of_a_cache_node_is_held_against_one_core_of_few(node, limit):
    def told(value):
        frame = pd.DataFrame({
            "time": [at(0)], "source": "cloudwatch", "resource": "elasticache:c", "statistic": "maximum",
            "metric": ["CPUUtilization"], "value": [value],
        })  # fmt: skip
        return [w["rule"] for w in metric_warnings(frame, {"elasticache:c": node} if node else None)]

    assert told(limit + 0.5) == [f"maximum > {limit}"]
    assert told(limit - 0.5) == []


def test_a_database_with_more_sessions_at_work_than_vcpus_is_worth_a_look():
    frame = pd.DataFrame({
        "time": [at(0), at(60)], "source": "cloudwatch", "resource": "rds:shop", "statistic": "average",
        "metric": "DBLoadRelativeToNumVCPUs", "value": [0.9, 1.4],
    })  # fmt: skip
    assert [(w["rule"], w["worst"]) for w in metric_warnings(frame)] == [("average > 1", 1.4)]


def test_a_broken_host_comes_before_what_is_only_worth_a_look():
    frame = pd.DataFrame({
        "time": [at(0), at(60)], "source": "cloudwatch", "resource": "ec2:i", "statistic": "maximum",
        "metric": ["CPUUtilization", "StatusCheckFailed"], "value": [99.0, 1.0],
    })  # fmt: skip
    assert [(w["metric"], w["severe"]) for w in metric_warnings(frame)] == [
        ("StatusCheckFailed", True), ("CPUUtilization", False)
    ]  # fmt: skip


def test_a_table_that_uses_what_it_has_provisioned_is_worth_a_look():
    """Truth: 100 units a second until the table is given 200; 85 % of that are used once, later 60 %."""

    def rows(metric, statistic, period, values, resource="dynamodb:orders"):
        return pd.DataFrame({
            "time": [at(i * period) for i in range(len(values))], "source": "cloudwatch", "resource": resource,
            "metric": metric, "statistic": statistic, "period_s": float(period), "value": [float(v) for v in values],
        })  # fmt: skip

    used = rows("ConsumedReadCapacityUnits", "sum", 60, [60 * v for v in (70, 85, 70, 70, 70, 120)])
    there = rows("ProvisionedReadCapacityUnits", "average", 300, [100, 200])
    (told,) = metric_warnings(pd.concat([used, there]))
    assert (told["worst"], told["rule"], told["time"]) == (85.0, "a second > 80% of 100", at(60).isoformat())
    assert metric_warnings(used) == [], "on demand nothing is provisioned"
    assert metric_warnings(pd.concat([used, there.assign(resource="dynamodb:users")])) == []


def test_a_rule_of_one_service_does_not_judge_another():
    row = {"time": pd.Timestamp("2024-05-01", tz="UTC"), "source": "cloudwatch", "statistic": "maximum",
           "unit": "Percent", "period_s": 60.0, "value": 85.0, "metric": "CPUUtilization"}  # fmt: skip
    frame = pd.DataFrame([{**row, "resource": "ec2:i-1"}, {**row, "resource": "elasticache:c"}])
    (warning,) = metric_warnings(frame)
    assert warning["resource"] == "ec2:i-1"
    assert warning["severe"] is False
