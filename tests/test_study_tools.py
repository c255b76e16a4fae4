"""Results of k6, Gatling, vegeta and HdrHistogram logs: known requests come back exactly, nonsense is told as such.

Files are written by each tool's documented format: none of the tools is installed where these tests run.
"""

import csv
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from command import genkai
from genkai import histogram
from genkai.figures import hockey_stick
from genkai.histogram import encode
from genkai.study import read_study
from genkai.study.foreign import ImportedError, import_results
from genkai.study.gatling import read_gatling
from genkai.study.hdr_log import read_hlog
from genkai.study.hey import HeyRuns
from genkai.study.k6 import read_k6
from genkai.study.results import fit_run
from genkai.study.samples import active, kind_of, rate_levels
from genkai.study.series import fit_record
from genkai.study.vegeta import read_vegeta
from genkai.workspace import open_cycle

START = 1_700_000_000
LOADS, HOLD_S = (2, 4, 8, 16, 32), 12


def rate_of(load: int) -> int:
    """A ceiling of 60 requests/s."""
    return min(5 * load, 60)


def samples(rate=rate_of) -> list[dict]:
    """Every second as many requests as the ceiling lets through, 1 in 20 of /search fails with 503."""
    return [
        {
            "start": START + index * HOLD_S + second + k / 1000, "ms": 10 * (index + 1), "users": load,
            "path": "/search" if k % 2 else "/home", "failed": k % 20 == 19,
        }
        for index, load in enumerate(LOADS) for second in range(HOLD_S) for k in range(rate(load))
    ]  # fmt: skip


K6_COLUMNS = ["metric_name", "timestamp", "metric_value", "check", "error", "error_code", "expected_response", "group",
              "method", "name", "proto", "scenario", "service", "status", "subproto", "tls_version", "url",
              "extra_tags"]  # fmt: skip


def k6_points(rows: list[dict]):
    for row in rows:
        end = row["start"] + row["ms"] / 1000
        tags = {"method": "GET", "name": f"http://shop{row['path']}", "status": "503" if row["failed"] else "200",
                "expected_response": "false" if row["failed"] else "true",
                "error_code": "1503" if row["failed"] else ""}  # fmt: skip
        yield "http_reqs", end, 1.0, tags
        yield "http_req_duration", end, float(row["ms"]), tags
        yield "http_req_blocked", end, 150.0 if row["ms"] == 50 else 0.0, tags
    for index, load in enumerate(LOADS):
        for second in range(HOLD_S):
            yield "vus", START + index * HOLD_S + second, float(load), {}
    yield "dropped_iterations", START + 5, 3.0, {}


def k6_csv(path: Path, rows: list[dict], stamp="unix_milli", packed=False) -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, K6_COLUMNS, restval="")
    writer.writeheader()
    for name, moment, value, tags in k6_points(rows):
        exact = {"unix_milli": f"{moment * 1000:.0f}", "unix_nano": f"{round(moment * 1e6)}000",
                 "rfc3339": pd.Timestamp(round(moment * 1e6), unit="us", tz="UTC").isoformat()}[stamp]  # fmt: skip
        writer.writerow({"metric_name": name, "timestamp": exact, "metric_value": f"{value:.6f}", **tags})
    path.write_bytes(gzip.compress(text.getvalue().encode()) if packed else text.getvalue().encode())
    return path


def k6_json(path: Path, rows: list[dict]) -> Path:
    lines = [{"type": "Metric", "metric": "http_req_duration", "data": {"name": "http_req_duration", "type": "trend"}}]
    for name, moment, value, tags in k6_points(rows):
        time = pd.Timestamp(round(moment * 1e6), unit="us", tz="Asia/Tokyo").isoformat()
        lines.append({"metric": name, "type": "Point", "data": {"time": time, "value": value, "tags": tags or None}})
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


def gatling_log(path: Path, rows: list[dict], version: int) -> Path:
    """Version 2: scenario and user first; 3: user first; 34: neither."""
    lines = [f"RUN\tshop.Sale\tsale\t{START * 1000}\t \t3.{version}.0"]
    last = START + len(LOADS) * HOLD_S
    for index, load in enumerate(LOADS):
        for user in range(LOADS[index - 1] if index else 0, load):
            at = (START + index * HOLD_S) * 1000
            lines.append(f"USER\tsale\t{user}\tSTART\t{at}\t{at}" if version < 34 else f"USER\tsale\tSTART\t{at}")
    for row in rows:
        begin = round(row["start"] * 1000)
        head = {2: ["sale", "7", ""], 3: ["7", ""], 34: [""]}[version]
        end = [row["path"], str(begin), str(begin + row["ms"]), "KO" if row["failed"] else "OK",
               "status.find.is(200), but actually found 503" if row["failed"] else " "]  # fmt: skip
        lines.append("\t".join(["REQUEST", *head, *end]))
    lines.append(f"USER\tsale\tEND\t{last * 1000}")
    path.write_text("\n".join(lines) + "\n")
    return path


def vegeta_file(path: Path, rows: list[dict], form: str) -> Path:
    lines = []
    for seq, row in enumerate(rows):
        ns, code = round(row["start"] * 1e6) * 1000, 503 if row["failed"] else 200
        url, error = f"http://shop{row['path']}", "503 Service Unavailable" if row["failed"] else ""
        if form == "json":
            stamp = pd.Timestamp(ns, tz="Asia/Tokyo").isoformat()
            lines.append(json.dumps({
                "attack": "a", "seq": seq, "code": code, "timestamp": stamp, "latency": row["ms"] * 1_000_000,
                "bytes_out": 0, "bytes_in": 100, "error": error, "body": None, "method": "GET", "url": url,
                "headers": None}))  # fmt: skip
        else:
            lines.append(f"{ns},{code},{row['ms'] * 1_000_000},0,100,{error},,a,{seq},GET,{url},")
    path.write_text("\n".join(lines) + "\n")
    return path


WRITERS = {
    "k6-csv": (lambda p, r: k6_csv(p, r), read_k6, "closed"),
    "k6-nano-gz": (lambda p, r: k6_csv(p, r, "unix_nano", packed=True), read_k6, "closed"),
    "k6-rfc3339": (lambda p, r: k6_csv(p, r, "rfc3339"), read_k6, "closed"),
    "k6-json": (k6_json, read_k6, "closed"),
    "k6-by-rate": (k6_json, lambda path: read_k6(path, by_rate=True), "open"),
    "gatling-2": (lambda p, r: gatling_log(p, r, 2), read_gatling, "closed"),
    "gatling-3": (lambda p, r: gatling_log(p, r, 3), read_gatling, "closed"),
    "gatling-3.4": (lambda p, r: gatling_log(p, r, 34), read_gatling, "closed"),
    "vegeta-json": (lambda p, r: vegeta_file(p, r, "json"), read_vegeta, "open"),
    "vegeta-csv": (lambda p, r: vegeta_file(p, r, "csv"), read_vegeta, "open"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_requests_come_back_exactly_and_notebooks_tables_are_made(tmp_path, name):
    write, read, workload = WRITERS[name]
    rate = rate_of if workload == "closed" else (lambda load: 2 * load)
    rows = samples(rate)
    cycle = import_results(name, read, [write(tmp_path / "results", rows)], tmp_path / "out")
    study = read_study(open_cycle(cycle.path))
    run = study.main()
    assert run.requests["sent"].sum() == len(rows)
    bad = sum(r["failed"] for r in rows)
    assert run.requests["failed"].sum() == run.failures["count"].sum() == bad
    assert set(run.failures["kind"]) == {"http_5xx"}
    assert set(run.failures["status"]) == {503}
    assert len(set(run.requests["api"])) == 2
    assert run.marks[0]["workload"] == workload
    assert [m["intended"] for m in run.marks] == [load if workload == "closed" else rate(load) for load in LOADS]
    merged = histogram.merge(run.requests["hist"])
    assert merged.total_count == len(rows)
    assert run.whole["p95_s"].tolist() == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05], rel=0.02)
    good = [sum(k % 20 != 19 for k in range(rate(load))) for load in LOADS]
    assert run.whole["throughput_rps"].tolist() == pytest.approx(good, rel=0.03)
    assert study.plan.step_named("scenario").levels[0].workload == workload
    if workload == "closed":
        assert fit_run(study, run)["ceiling_rps"]["value"] == pytest.approx(57, rel=0.05)
    hockey_stick(run.whole, subject=run.subject)
    column = "users" if workload == "closed" else "arrival_rate_rps"
    assert fit_record(tmp_path / "out/levels.csv", column, "throughput_rps")["model"]


def test_what_k6_leaves_out_is_said(tmp_path):
    found = read_k6(k6_csv(tmp_path / "a.csv", samples()))
    assert any("dropped 3 iterations" in note for note in found.notes)
    assert any("up to 150 ms for a connection" in note for note in found.notes)
    assert any("those of k6's summary" in note for note in found.notes)


def test_attacks_in_files_of_their_own_are_levels_with_nothing_between(tmp_path):
    files = []
    for index, rate in enumerate((10, 20, 40, 80)):
        rows = [{"start": START + 100 * index + s + k / rate, "ms": 20, "path": "/", "failed": False}
                for s in range(8) for k in range(rate)]  # fmt: skip
        files.append(vegeta_file(tmp_path / f"{rate}.json", rows, "json"))
    cycle = import_results("vegeta", read_vegeta, files, tmp_path / "out")
    marks = read_study(open_cycle(cycle.path)).main().marks
    assert [(m["intended"], m["end"] - m["hold_start"]) for m in marks] == [(10, 8), (20, 8), (40, 8), (80, 8)]


# ---- hey ----

# printed by hey 0.1.4 -c 2 -n 6 -o csv
HEY = """response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset
0.0082,0.0002,0.0000,0.0001,0.0076,0.0001,200,0.0001
0.0089,0.0046,0.0000,0.0000,0.0041,0.0001,200,0.0003
0.0062,0.0007,0.0000,0.0001,0.0031,0.0022,200,0.0084
0.0100,0.0001,0.0000,0.0000,0.0099,0.0001,200,0.0092
0.0049,0.0001,0.0000,0.0000,0.0047,0.0001,200,0.0145
0.0030,0.0001,0.0000,0.0001,0.0027,0.0002,503,0.0192
"""


def hey_file(path: Path, workers: int, each_s: float, seconds: int = 12) -> Path:
    """As hey prints it: every worker sends its next request when its last is answered; each 20th answer is a 503."""
    sends = sorted((k * each_s + w / 1e4, w) for w in range(workers) for k in range(int(seconds / each_s)))
    rows = [f"{each_s:.4f},0,0,0,0,0,{503 if n % 20 == 19 else 200},{at:.4f}" for n, (at, _) in enumerate(sends)]
    path.write_text(HEY.splitlines()[0] + "\n" + "\n".join(rows) + "\n")
    return path


def test_what_hey_printed_is_read(tmp_path):
    (tmp_path / "a.csv").write_text(HEY)
    found = HeyRuns()(tmp_path / "a.csv")
    assert (found.requests["sent"].sum(), found.requests["failed"].sum(), found.users.max()) == (6, 1, 2)
    assert found.time_s.sum() == pytest.approx(0.0412)
    assert found.failures["status"].tolist() == [503]
    assert any("users are the most requests in flight at once: 2" in note for note in found.notes)


@pytest.mark.parametrize("told", [(), LOADS])
def test_a_file_of_hey_for_each_number_of_workers_is_a_level(tmp_path, told):
    files = [hey_file(tmp_path / f"{c}.csv", c, max(0.1, c / 60)) for c in LOADS]
    cycle = import_results("hey", HeyRuns(told), files, tmp_path / "out")
    study = read_study(open_cycle(cycle.path))
    run = study.main()
    assert [m["intended"] for m in run.marks] == list(LOADS)
    assert run.requests["sent"].sum() == sum(len(f.read_text().splitlines()) - 1 for f in files)
    good = [0.95 * min(10 * c, 60) for c in LOADS]
    assert run.whole["throughput_rps"].tolist() == pytest.approx(good, rel=0.03)
    assert fit_run(study, run)["ceiling_rps"]["value"] == pytest.approx(57, rel=0.05)
    assert not any(c["alarm"] for c in fit_run(study, run)["checks"])


def test_numbers_of_workers_that_do_not_fit_the_files_are_refused(tmp_path):
    done = genkai("import", "hey", "a.csv", "b.csv", "-c", "4", "--into", str(tmp_path / "out"))
    assert done.returncode == 3
    assert "expected a number of workers for each of 2 files, got [4]" in done.stderr


# ---- histogram logs ----


def hlog(path: Path, seconds: list[dict[int, int]], length=1.0, unit=1_000, tag="", base=True) -> Path:
    """Values in units of `unit` a millisecond (1 000: µs) by interval, as HdrHistogram's log writer leaves them."""
    lines = ["#[Histogram log format version 1.3]", f"#[StartTime: {START}.000 (seconds since epoch), x]"]
    lines += [f"#[BaseTime: {START}.000 (seconds since epoch)]"] if base else []
    lines.append('"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"')
    for index, counts in enumerate(seconds):
        recorded = histogram.new_histogram()
        for value, count in counts.items():
            recorded.record_value(value, count)
        start = index * length + (0 if base else START)
        lines.append(f"{tag}{start:.3f},{length:.3f},{max(counts, default=0) / unit:.3f},{encode(recorded).decode()}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("base", [True, False])
@pytest.mark.parametrize(("unit", "length"), [(1_000, 1.0), (1_000_000, 1.0), (1_000, 4.0)])
def test_intervals_become_seconds(tmp_path, unit, length, base):
    rates = (20, 40, 80, 120)
    each = [{10 * unit: int(r * length) - 4, 90 * unit: 4} for r in rates for _ in range(int(12 / length))]
    path = hlog(tmp_path / "a.hlog", each, length, unit, "Tag=read,", base)
    cycle = import_results("hdr", read_hlog, [path], tmp_path / "out")
    run = read_study(open_cycle(cycle.path)).main()
    assert run.requests["sent"].sum() == sum(12 * r for r in rates)
    assert [m["intended"] for m in run.marks] == list(rates)
    assert set(run.requests["api"]) == {"read"}
    assert histogram.quantile_s(histogram.merge(run.requests["hist"]), 0.5) == pytest.approx(0.01, rel=0.01)
    assert run.whole["p999_s"].max() == pytest.approx(0.09, rel=0.01)
    assert run.requests["time"].min() == pd.Timestamp(START, unit="s", tz="UTC")
    mean = pd.read_csv(tmp_path / "out/levels.csv")["mean_s"]
    expected = [(0.01 * (r * length - 4) + 0.09 * 4) / (r * length) for r in rates]
    assert mean.tolist() == pytest.approx(expected, rel=0.01)


def test_a_log_whose_unit_cannot_be_told_asks_for_it(tmp_path):
    path = hlog(tmp_path / "a.hlog", [{50: 100}] * 12, unit=1)
    with pytest.raises(ImportedError, match="say the unit of the values with --unit"):
        read_hlog(path)
    found = read_hlog(path, "ms")
    assert histogram.quantile_s(histogram.merge(found.requests["hist"]), 0.5) == pytest.approx(0.05, rel=0.01)
    with pytest.raises(ImportedError, match="--unit: expected ns, us, ms, s, got 'hours'"):
        read_hlog(path, "hours")


# ---- properties ----

READERS = {"k6": read_k6, "gatling": read_gatling, "vegeta": read_vegeta, "hdr": read_hlog,
           "hey": lambda path: HeyRuns()(path)}  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.fixed_dictionaries({
            "start": st.integers(0, 3_000).map(lambda ms: START + ms / 1000), "ms": st.integers(1, 60_000),
            "path": st.sampled_from(["/a", "/b c", "/検索"]), "failed": st.booleans()}),
        min_size=1, max_size=30),
    tool=st.sampled_from(["k6-json", "gatling-3.4", "vegeta-json", "vegeta-csv"]),
)  # fmt: skip
def test_nothing_is_lost_whatever_the_requests(tmp_path, rows, tool):
    write, read, _ = WRITERS[tool]
    found = read(write(tmp_path / "f", rows))
    assert found.requests["sent"].sum() == len(rows)
    assert (found.requests["completed"] + found.requests["failed"]).sum() == len(rows)
    assert found.requests["failed"].sum() == sum(r["failed"] for r in rows)
    assert found.time_s.sum() == pytest.approx(sum(r["ms"] for r in rows) / 1000, rel=1e-6)
    longest = histogram.merge(found.requests["hist"]).get_max_value() / 1e6
    assert longest == pytest.approx(max(r["ms"] for r in rows) / 1000, rel=0.002)
    seconds = found.requests.groupby("time")["sent"].sum()
    assert seconds.index.min().timestamp() == int(min(r["start"] for r in rows))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tool=st.sampled_from(sorted(READERS)), cut=st.integers(0, 400), junk=st.binary(max_size=20))
def test_a_broken_file_is_told_and_nothing_else_is_raised(tmp_path, tool, cut, junk):
    path = tmp_path / f"{tool}.txt"
    if not path.exists():
        rows = samples()[:3]
        {"k6": k6_csv, "hey": lambda p, r: p.write_text(HEY),
         "gatling": lambda p, r: gatling_log(p, r, 34), "vegeta": lambda p, r: vegeta_file(p, r, "csv"),
         "hdr": lambda p, r: hlog(p, [{1000: 3}] * 3)}[tool](path, rows)  # fmt: skip
    whole = path.read_bytes()
    broken = tmp_path / "broken"
    broken.write_bytes(whole[:cut] + junk + whole[cut + 5 :])
    try:
        assert READERS[tool](broken).requests["sent"].sum() > 0
        told = str(broken)
    except ImportedError as error:
        told = str(error)
    assert str(broken) in told


@settings(max_examples=50, deadline=None)
@given(spans=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), min_size=1, max_size=20))
def test_users_are_never_negative_and_end_at_none(spans):
    starts = pd.Series([START + a for a, _ in spans], dtype=float)
    ends = pd.Series([START + a + b for a, b in spans], dtype=float)
    users = active(starts, ends)
    assert (users >= 0).all()
    assert users.iloc[-1] == 0
    assert users.max() <= len(spans)


def test_rates_with_poisson_noise_are_levels_of_their_mean():
    rng = np.random.default_rng(1)
    sent = np.concatenate([rng.poisson(rate, 30) for rate in (50, 100, 200)])
    levels = rate_levels(pd.Series(sent, index=range(START, START + 90)))
    assert levels.iloc[-1] == 0
    rates = sorted(set(levels.iloc[:-1]))
    assert len(rates) <= 5
    assert all(min(abs(found / rate - 1) for rate in (50, 100, 200)) < 0.06 for found in rates)
    assert all(min(abs(found / rate - 1) for found in rates) < 0.06 for rate in (50, 100, 200))


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (404, "", "http_4xx"), (500, "x", "http_5xx"), (None, "dial tcp: i/o timeout", "timeout"),
        (None, "connection refused", "refused"), (None, "read: connection reset by peer", "reset"),
        (None, "EOF", "reset"), (None, "x509: unknown authority", "tls"), (200, "check failed", "check"),
        (None, "what", "other"), (None, "cannot assign requested address", "no_port"),
    ],
)  # fmt: skip
def test_failures_get_our_kinds(status, message, kind):
    assert kind_of(status, message) == kind


@pytest.mark.parametrize(
    ("tool", "text", "told"),
    [
        ("k6", b"metric,value\n1,2\n", "expected columns metric_name, timestamp, metric_value in line 1, missing"),
        ("k6", b'{"type":"Metric","metric":"vus","data":{}}\n', "expected requests, got none"),
        ("k6", b'{"root_group":{},"metrics":{"vus":{"value":1}}}', "got the summary of a whole run .*--out csv=FILE"),
        (
            "k6",
            b'{\n    "root_group": {},\n    "metrics": {\n    }\n}\n',
            "holds no requests; run k6 again with --out csv",
        ),
        ("k6", b'{\n  "a": 1\n}\n', ":1: expected a point of k6's JSON output"),
        ("k6", b'{"type":"Point","metric":"vus","data":{}}\n', ":1: expected a point of k6's JSON output"),
        ("k6", b"metric_name,timestamp,metric_value\nhttp_req_duration,yesterday,1\n", ":2: time: expected epoch"),
        (
            "k6",
            b"metric_name,timestamp,metric_value\nhttp_req_duration,1,fast\n",
            ":2: metric_value: expected a number",
        ),
        ("gatling", b"\x00\x00\x00\x063.13.1", "got a binary one .Gatling 3.12 and later."),
        ("gatling", b"", "expected records RUN, USER, REQUEST"),
        ("gatling", b"hello\n", "expected records RUN, USER, REQUEST"),
        ("gatling", b"REQUEST\t\thome\tnow\tthen\tOK\t \n", ":1: REQUEST: expected epoch milliseconds, got 'now'"),
        ("gatling", b"REQUEST\thome\n", ":1: REQUEST: expected … name, start, end, OK or KO"),
        ("vegeta", b"\x0d\x7f\x03\x01gob", "got something else .gob.*vegeta encode --to json"),
        ("vegeta", b"1,2\n", ":1: expected a result of vegeta, got '1,2'"),
        ("hey", b"response-time,offset\n1,2\n", "missing status-code; write it with hey -o csv .0.1.3 or newer."),
        ("hey", b"response-time,status-code,offset\n", "expected answered requests, got none"),
        ("hey", b"response-time,status-code,offset\n0.1,200,soon\n", ":2: column offset: expected a number"),
        ("hey", b"", "expected what hey -o csv prints, got No columns"),
        ("hdr", b"hello\n", "expected start, length, maximum and a compressed histogram, got 'hello'"),
        ("hdr", b"#[StartTime: 1.0]\n", "expected intervals with values, got none"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, tool, text, told):
    path = tmp_path / "bad"
    path.write_bytes(text)
    with pytest.raises(ImportedError, match=told) as found:
        READERS[tool](path)
    assert str(path) in str(found.value)
    with pytest.raises(ImportedError, match="expected a readable file, got No such file"):
        READERS[tool](tmp_path / "none")


def test_the_command_imports_and_tells(tmp_path):
    k6_csv(tmp_path / "a.csv", samples())
    done = genkai("import", "k6", str(tmp_path / "a.csv"), "--into", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "genkai report" in done.stdout
    assert "dropped 3 iterations" in done.stdout
