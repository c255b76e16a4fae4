"""The CloudWatch stand-in through the real boto3 client over HTTP."""

import json
import time
import urllib.request
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ParamValidationError
from botocore.parsers import ResponseParserError

from genkai.demo.children import Child

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def url():
    child = Child("genkai.demo.cloudwatch", [])
    try:
        yield f"http://127.0.0.1:{child.ready()['port']}"
    finally:
        child.stop()


def client_of(url, attempts=1, **settings):
    config = Config(proxies={}, retries={"mode": "standard", "total_max_attempts": attempts}, **settings)
    return boto3.client("cloudwatch", "ap-northeast-1", endpoint_url=url, aws_access_key_id="demo",
                        aws_secret_access_key="demo", config=config)  # fmt: skip


@pytest.fixture
def client(url):
    return client_of(url)


@pytest.fixture
def faults(url):
    """Set faults for one test; returns what is left of them."""

    def send(method, **wanted):
        request = urllib.request.Request(f"{url}/__faults", json.dumps(wanted).encode(), method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
            return json.load(answer)

    yield lambda **wanted: send("POST", **wanted)
    send("DELETE")


@pytest.fixture
def start():
    """A whole minute half an hour ago."""
    return datetime.now(UTC).replace(second=0, microsecond=0) - 30 * MINUTE


def put(client, namespace, values, start, step=MINUTE, **fields):
    data = [
        {"MetricName": "m", "Timestamp": start + step * n, "Value": value, "StorageResolution": 1, **fields}
        for n, value in enumerate(values)
    ]
    client.put_metric_data(Namespace=namespace, MetricData=data)


def query(namespace, stat="Sum", period=60, id_="q", name="m", dimensions=()):
    pairs = [{"Name": key, "Value": value} for key, value in dimensions]
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": pairs}
    return {"Id": id_, "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}


def fetch(client, queries, start, end, **options):
    """Every page, merged by Id as facts say one must."""
    merged: dict[str, list] = {}
    pages, token = 0, {}
    while True:
        answer = client.get_metric_data(
            MetricDataQueries=queries, StartTime=start, EndTime=end, ScanBy="TimestampAscending", **options, **token
        )
        pages += 1
        for result in answer["MetricDataResults"]:
            pairs = zip(result["Timestamps"], result["Values"], strict=True)
            merged.setdefault(result["Id"], []).extend(pairs)
        if "NextToken" not in answer:
            assert {result["StatusCode"] for result in answer["MetricDataResults"]} == {"Complete"}
            return merged, pages
        assert "PartialData" in {result["StatusCode"] for result in answer["MetricDataResults"]}
        token = {"NextToken": answer["NextToken"]}


def test_what_was_put_comes_back(client, start):
    put(client, "T/one", [1.0, 2.0, 3.5], start)
    merged, pages = fetch(client, [query("T/one")], start, start + 10 * MINUTE)
    assert pages == 1
    assert merged["q"] == [(start, 1.0), (start + MINUTE, 2.0), (start + 2 * MINUTE, 3.5)]


def test_the_default_order_is_descending(client, start):
    put(client, "T/order", [1.0, 2.0, 3.0], start)
    answer = client.get_metric_data(MetricDataQueries=[query("T/order")], StartTime=start, EndTime=start + 10 * MINUTE)
    assert answer["MetricDataResults"][0]["Values"] == [3.0, 2.0, 1.0]


def test_values_and_counts_give_percentiles_and_statistic_sets_do_not(client, start):
    raw = {"MetricName": "raw", "Timestamp": start, "Values": [float(n) for n in range(1, 101)], "Counts": [2.0] * 100}
    stats = {"SampleCount": 100, "Sum": 5050, "Minimum": 1, "Maximum": 100}
    data = [raw, {"MetricName": "set", "Timestamp": start, "StatisticValues": stats}]
    client.put_metric_data(Namespace="T/percentiles", MetricData=data)
    queries = [
        query("T/percentiles", "p95", id_="a", name="raw"),
        query("T/percentiles", "p95", id_="b", name="set"),
        query("T/percentiles", "Average", id_="c", name="set"),
        query("T/percentiles", "SampleCount", id_="d", name="raw"),
    ]
    merged, _ = fetch(client, queries, start, start + MINUTE)
    assert {id_: [value for _, value in pairs] for id_, pairs in merged.items()} == {
        "a": [95.0],
        "b": [],
        "c": [50.5],
        "d": [200.0],
    }


def test_a_large_gzipped_body_is_read(url, start):
    client = client_of(url, request_min_compression_size_bytes=128)
    sent = []
    client.meta.events.register("before-send", lambda request, **_: sent.append(request.headers))
    put(client, "T/gzip", [float(n) for n in range(900)], start, step=timedelta(seconds=1))
    assert sent[0]["Content-Encoding"] in ("gzip", b"gzip")
    merged, _ = fetch(client, [query("T/gzip", period=1)], start, start + 15 * MINUTE)
    assert [value for _, value in merged["q"]] == [float(n) for n in range(900)]


def test_pages_lose_and_double_nothing(client, faults, start):
    for name in ("a", "b", "c"):
        put(client, f"T/pages/{name}", [float(n) for n in range(20)], start)
    faults(page_datapoints=9)
    queries = [query(f"T/pages/{name}", id_=name) for name in "abc"] + [query("T/pages/none", id_="none")]
    merged, pages = fetch(client, queries, start, start + 25 * MINUTE)
    assert pages == 10
    assert merged["none"] == []
    for name in "abc":
        assert [value for _, value in merged[name]] == [float(n) for n in range(20)]


def test_a_token_of_another_request_is_refused(client, start):
    put(client, "T/token", [1.0] * 5, start)
    whole = {"StartTime": start, "EndTime": start + 9 * MINUTE, "MaxDatapoints": 2}
    token = client.get_metric_data(MetricDataQueries=[query("T/token")], **whole)["NextToken"]
    with pytest.raises(client.exceptions.InvalidNextToken):
        client.get_metric_data(MetricDataQueries=[query("T/token", "Maximum")], NextToken=token, **whole)


def test_the_start_is_inclusive_and_the_end_exclusive(client, start):
    put(client, "T/edges", [1.0, 2.0, 3.0], start)
    merged, _ = fetch(client, [query("T/edges")], start, start + 2 * MINUTE)
    assert [value for _, value in merged["q"]] == [1.0, 2.0]


def test_a_start_within_a_minute_is_rounded_down_and_buckets_count_from_it(client, start):
    put(client, "T/rounding", [1.0] * 6, start)
    merged, _ = fetch(client, [query("T/rounding", period=120)], start + timedelta(seconds=90), start + 6 * MINUTE)
    assert merged["q"] == [(start + n * MINUTE, count) for n, count in ((1, 2.0), (3, 2.0), (5, 1.0))]


@pytest.mark.parametrize(
    ("days", "period", "points"),
    [(0, 10, 1), (1, 10, 0), (1, 60, 1), (20, 60, 0), (20, 300, 1), (100, 300, 0), (100, 3600, 1), (500, 3600, 0)],
)
def test_retention_follows_the_age(client, faults, start, days, period, points):
    namespace = f"T/retention/{days}/{period}"
    put(client, namespace, [1.0], start)
    faults(clock_offset_s=days * 86400.0)
    merged, _ = fetch(client, [query(namespace, period=period)], start - timedelta(hours=1), start + 30 * MINUTE)
    assert len(merged["q"]) == points


@pytest.mark.parametrize(
    ("queries", "words"),
    [
        ([query("T/x", id_=f"q{n}") for n in range(501)], "500"),
        ([query("T/x"), query("T/x")], "not unique"),
        ([query("T/x", id_="Q")], "is invalid"),
        ([query("T/x", period=45)], "Period"),
        ([query("T/x", "Mean")], "Stat"),
        ([{"Id": "e", "Expression": "SUM(METRICS())"}], "expressions"),
    ],
)
def test_wrong_queries_are_a_validation_error(client, start, queries, words):
    with pytest.raises(ClientError, match=words) as caught:
        client.get_metric_data(MetricDataQueries=queries, StartTime=start, EndTime=start + MINUTE)
    assert caught.value.response["Error"]["Code"] == "ValidationError"


def test_an_empty_window_is_a_validation_error(client, start):
    with pytest.raises(ClientError, match="StartTime"):
        client.get_metric_data(MetricDataQueries=[query("T/x")], StartTime=start, EndTime=start)


def test_five_hundred_queries_pass(client, start):
    put(client, "T/many", [1.0], start)
    merged, _ = fetch(client, [query("T/many", id_=f"q{n}") for n in range(500)], start, start + MINUTE)
    assert [len(merged[f"q{n}"]) for n in range(500)] == [1] * 500


def test_list_metrics_filters_and_pages(client, start):
    data = [
        {"MetricName": f"m{n}", "Timestamp": start, "Value": 1, "Dimensions": [{"Name": "Odd", "Value": str(n % 2)}]}
        for n in range(600)
    ]
    client.put_metric_data(Namespace="T/list", MetricData=data)
    first = client.list_metrics(Namespace="T/list")
    assert len(first["Metrics"]) == 500
    pages = client.get_paginator("list_metrics").paginate(
        Namespace="T/list", Dimensions=[{"Name": "Odd", "Value": "1"}]
    )
    assert sorted(m["MetricName"] for page in pages for m in page["Metrics"]) == sorted(
        f"m{n}" for n in range(1, 600, 2)
    )
    assert client.list_metrics(Namespace="T/list", MetricName="m7")["Metrics"][0]["Dimensions"] == [
        {"Name": "Odd", "Value": "1"}
    ]


def test_dimensions_are_part_of_the_metric(client, start):
    put(client, "T/dimensions", [1.0], start, Dimensions=[{"Name": "A", "Value": "1"}, {"Name": "B", "Value": "2"}])
    ask = [
        query("T/dimensions", id_="both", dimensions=[("B", "2"), ("A", "1")]),
        query("T/dimensions", id_="one", dimensions=[("A", "1")]),
    ]
    merged, _ = fetch(client, ask, start, start + MINUTE)
    assert (len(merged["both"]), len(merged["one"])) == (1, 0)


def test_throttling_is_retried_by_botocore_and_then_an_error(url, faults, start):
    faults(throttle=2)
    client_of(url, attempts=3).list_metrics(Namespace="T/none")
    assert faults()["throttle"] == 0
    faults(throttle=3)
    with pytest.raises(ClientError, match="Rate exceeded") as caught:
        client_of(url, attempts=3).list_metrics(Namespace="T/none")
    assert caught.value.response["Error"]["Code"] == "Throttling"
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("server_error", "InternalFailure"),
        ("access_denied", "not authorized to perform: cloudwatch:ListMetrics"),
    ],
)
def test_faults_are_errors_of_the_service(client, faults, fault, error):
    faults(**{fault: 1})
    with pytest.raises(ClientError, match=error):
        client.list_metrics()
    client.list_metrics()


@pytest.mark.parametrize(
    ("fault", "error"),
    [("html_error", (ResponseParserError, ClientError)), ("disconnect", ConnectionClosedError)],
)
def test_faults_below_the_service(client, faults, fault, error):
    faults(**{fault: 1})
    with pytest.raises(error):
        client.list_metrics()
    client.list_metrics()


def test_points_can_come_late_twice_and_in_no_order(client, faults, start):
    put(client, "T/disturbed", [float(n) for n in range(6)], start)
    window = (start, start + 10 * MINUTE)
    faults(out_of_order=True)
    values = [value for _, value in fetch(client, [query("T/disturbed")], *window)[0]["q"]]
    assert values != sorted(values)
    assert sorted(values) == [float(n) for n in range(6)]
    faults(out_of_order=False, drop_every=3)
    assert [value for _, value in fetch(client, [query("T/disturbed")], *window)[0]["q"]] == [0, 1, 3, 4]
    faults(drop_every=0, duplicate=True)
    assert [value for _, value in fetch(client, [query("T/disturbed")], *window)[0]["q"]] == [0, 0, 1, 2, 3, 4, 5]


def test_a_delayed_answer(client, faults):
    faults(delay_s=0.3)
    before = time.monotonic()
    client.list_metrics(Namespace="T/none")
    assert time.monotonic() - before >= 0.3


def test_unknown_faults_are_refused(faults):
    with pytest.raises(urllib.error.HTTPError, match="400"):
        faults(throttel=1)


def test_unsigned_calls_and_unknown_operations_are_refused(url, client):
    unsigned = boto3.client("cloudwatch", "ap-northeast-1", endpoint_url=url, config=Config(signature_version=UNSIGNED))
    with pytest.raises(ClientError, match="Missing"):
        unsigned.list_metrics()
    with pytest.raises(ClientError, match="does not know"):
        client.describe_alarms()


def test_more_than_a_thousand_data_are_refused(client, start):
    with pytest.raises((ClientError, ParamValidationError), match="1000"):
        put(client, "T/x", [1.0] * 1001, start)
