"""Series from CSV files: the command's records against published fits and known truths, and what is refused."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from command import genkai
from genkai.study import StudyError, series
from genkai.study.series import MOST_BYTES, SeriesError, fit_record, fit_text, read_series, steady_record, steady_text

DATA = Path(__file__).parent / "data"
LOADS = np.array([1, 2, 4, 8, 12, 16, 24, 32.0])
KEYS = {"model", "parameters", "knee_concurrency", "peak_concurrency", "peak_throughput_rps", "ceiling_rps",
        "runner_up", "warnings"}  # fmt: skip


def write(path: Path, header: str, *columns) -> Path:
    rows = "\n".join(",".join(f"{v}" for v in row) for row in zip(*columns, strict=True))
    path.write_text(f"{header}\n{rows}\n")
    return path


def test_fit_of_specsdm91_from_the_command_line():
    options = ("--load", "load", "--throughput", "throughput", "--model", "usl", "--json")
    found = genkai("fit", str(DATA / "specsdm91.csv"), *options)
    record = json.loads(found.stdout)
    assert found.returncode == 0
    assert record.keys() >= KEYS
    assert record["parameters"]["contention"]["value"] == pytest.approx(0.0277285, rel=1e-4)
    assert record["parameters"]["unit_throughput_rps"]["value"] == pytest.approx(89.995, rel=1e-4)
    assert record["peak_concurrency"]["value"] == pytest.approx(96.52, rel=1e-4)
    for name in ("knee_concurrency", "peak_concurrency", "peak_throughput_rps", "ceiling_rps"):
        assert record[name].keys() >= {"value", "low", "high", "n", "notes"}
        assert record[name]["low"] <= record[name]["value"]
    assert sum(share["value"] for share in record["costs"].values()) == pytest.approx(1)
    assert bare_numbers(record) == [], "every number is a record"


def bare_numbers(value, path="", inside=False):
    """Numbers of a JSON record that stand outside a number record."""
    if isinstance(value, bool | str) or value is None:
        return []
    if isinstance(value, int | float):
        return [] if inside else [path]
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    held = isinstance(value, dict) and {"value", "low", "high", "n", "notes"} <= set(value)
    return [found for key, part in pairs for found in bare_numbers(part, f"{path}.{key}", held)]


def test_costs_are_said_in_words(tmp_path):
    x = 50 * LOADS / (1 + 0.02 * (LOADS - 1) + 1e-4 * LOADS * (LOADS - 1))
    told = fit_text(fit_record(write(tmp_path / "c.csv", "n,x", LOADS, x), "n", "x", model="usl"))
    assert "time of a request at the highest load: ideal " in told
    assert "coherency" in told


def test_a_hard_ceiling_has_no_usl_peak(tmp_path):
    record = fit_record(write(tmp_path / "c.csv", "n,x", LOADS, np.minimum(50 * LOADS, 600)), "n", "x")
    assert record["model"] == "ceiling"
    assert record["ceiling_rps"]["value"] == pytest.approx(600, rel=1e-6)
    assert record["peak_concurrency"] is None
    assert "ceiling_rps: 600" in fit_text(record)


@pytest.mark.parametrize(
    ("throughput", "knee"), [((98, 246, 391, 490, 734, 963), False), ((98, 243, 391, 472, 490, 517), True)]
)
def test_no_limit_is_stated_that_the_levels_do_not_show(tmp_path, throughput, knee):
    """A ceiling that the line hardly reaches is none, nor its knee; a knee is one though a slope remains."""
    record = fit_record(write(tmp_path / "c.csv", "n,x", (100, 250, 400, 500, 750, 1000), throughput), "n", "x")
    assert (record["knee_concurrency"] is not None, record["ceiling_rps"]) == (knee, None)
    assert any("no limit was seen" in text for text in record["warnings"]) != knee
    assert "ceiling_rps: –" in fit_text(record)
    assert "knee_load" not in fit_text(record), "said once, as knee_concurrency"


def test_a_straight_line_has_no_knee_whatever_model_is_asked_for(tmp_path):
    n = (100, 250, 400, 500, 750, 1000)
    record = fit_record(write(tmp_path / "c.csv", "n,x", n, (98, 246, 391, 490, 720, 940)), "n", "x", model="broken")
    assert record["parameters"]["knee_load"]["value"] > 0
    assert "knee_concurrency: –" in (told := fit_text(record))
    assert "knee_load" not in told


def test_too_few_levels_are_an_answer_not_an_error(tmp_path):
    path = write(tmp_path / "few.csv", "n,x", [1, 2, 4], [10, 20, 40])
    found = genkai("fit", str(path), "--load", "n", "--throughput", "x", "--json")
    assert found.returncode == 2
    record = json.loads(found.stdout)
    assert record["model"] is None
    assert "Cannot tell: 3 distinct" in record["warnings"][0]


@pytest.mark.parametrize(("think", "wrong", "alarm"), [(0.0, 1.0, False), (2.0, 1.0, False), (0.0, 3.0, True)])
def test_response_times_are_checked_by_littles_law(tmp_path, think, wrong, alarm):
    x = LOADS / (0.02 * (1 + 0.05 * (LOADS - 1)) + think)
    r = (LOADS / x - think) * np.where(LOADS > 20, wrong, 1)
    record = fit_record(write(tmp_path / "r.csv", "n,x,r", LOADS, x, r), "n", "x", "r")
    assert any("suspect the generator" in text for text in record["warnings"]) == alarm
    assert record["think_time_s"]["value"] == pytest.approx(think, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_steady_after_a_warm_up(tmp_path, seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([np.linspace(20, 95, 30), np.full(170, 100)]) + rng.normal(0, 1.5, 200)
    path = write(tmp_path / "s.csv", "second;rps".replace(";", ","), range(200), values)
    record = steady_record(path, "rps")
    assert record["steady"] is True
    assert 15 <= record["start"] <= 40
    assert record["end"] == record["n"] == 200
    assert record["mean"]["low"] < 100 < record["mean"]["high"]
    assert "rps: steady; rows" in steady_text(record)


def test_never_steady_and_too_short(tmp_path):
    path = write(tmp_path / "drift.csv", "v", np.linspace(10, 200, 300))
    found = genkai("steady", str(path), "--column", "v", "--json")
    record = json.loads(found.stdout)
    assert (found.returncode, record["steady"], record["start"], record["mean"]) == (0, False, None, None)
    assert "no steady state" in record["note"]
    short = genkai("steady", str(write(tmp_path / "short.csv", "v", [1, 1, 1])), "--column", "v")
    assert short.returncode == 2
    assert "too short to tell" in short.stdout


def test_a_log_of_seconds_is_fitted_by_its_levels(tmp_path):
    rng, loads = np.random.default_rng(3), np.repeat(LOADS, 300)
    x = np.minimum(50 * loads, 600) * rng.normal(1, 0.05, len(loads))
    record = fit_record(write(tmp_path / "log.csv", "n,x", loads, x), "n", "x")
    assert record["model"] == "ceiling"
    assert record["ceiling_rps"]["value"] == pytest.approx(600, rel=0.01)
    assert record["ceiling_rps"]["n"] == len(LOADS)
    assert (
        record["warnings"][0]
        == f"{len(loads):,} lines at {len(LOADS)} loads: the mean of each load counts as one level."
    )


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    with open(tmp_path / "huge.csv", "wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    with pytest.raises(SeriesError, match="expected at most 300 MB, got 300; keep a line for each second or level"):
        steady_record(tmp_path / "huge.csv", "x")


def test_a_day_of_seconds_needs_little_memory_and_more_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(series, "BATCH", 1000)
    values = np.random.default_rng(1).normal(100, 2, 300)
    path = write(tmp_path / "s.csv", "v", values)
    low, high = (steady_record(path, "v")["mean"][end] for end in ("low", "high"))
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * 2 / 300**0.5, rel=0.3)
    monkeypatch.setattr(series, "MOST_SECONDS", 299)
    with pytest.raises(SeriesError, match="expected at most 299 values, one a second, got 300; take the means"):
        steady_record(path, "v")


@pytest.mark.parametrize("text", ["a;b\n1;2\n3;4\n", "a\tb\n1\t2\n3\t4", '\ufeff"a", "b"\r\n1, "2"\r\n\r\n3,4\r\n'])
def test_any_delimiter_quotes_and_a_byte_order_mark(tmp_path, text):
    (tmp_path / "x.csv").write_bytes(text.encode())
    found = read_series(tmp_path / "x.csv", ["b", "a"])
    assert found["a"].tolist() == [1, 3]
    assert found["b"].tolist() == [2, 4]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_japanese_spreadsheets_save_packed_or_not(tmp_path, encoding, packed):
    content = "同時接続数,スループット\n1,2\n3,4\n".encode(encoding)
    (tmp_path / "x.csv").write_bytes(gzip.compress(content) if packed else content)
    assert read_series(tmp_path / "x.csv", ["スループット"])["スループット"].tolist() == [2, 4]


def test_milliseconds_are_not_taken_for_seconds(tmp_path):
    x = LOADS / (0.02 * (1 + 0.05 * (LOADS - 1)))
    path = write(tmp_path / "ms.csv", "n,x,ms", LOADS, x, 1000 * LOADS / x)
    with pytest.raises(SeriesError, match=r"column ms: expected seconds, got .* 1,000 times the load; divide milli"):
        fit_record(path, "n", "x", "ms")


def test_a_packed_file_is_not_unpacked_beyond_the_limit(tmp_path, monkeypatch):
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"v\n" + b"1\n" * 100_000))
    monkeypatch.setattr(series, "MOST_BYTES", 1000)
    with pytest.raises(SeriesError, match="expected at most 0 MB, got 0; keep a line"):
        read_series(tmp_path / "x.csv.gz", ["v"])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "expected CSV with a header in line 1, got an empty file"),
        (b"n,y\n1,2\n", "column x: expected one column of that name in line 1, got n, y"),
        (b"n,x,x\n1,2,3\n", "column x: expected one column of that name in line 1, got 2 of them"),
        (b"n,x\n1,2\n\n2,fast\n", "bad.csv:4: column x: expected a number, got 'fast'"),
        (b"n,x\n1,2\n2\n", "bad.csv:3: column x: expected a number, got nothing; leave out lines that were not"),
        (b"n,x\n1,nan\n", "bad.csv:2: column x: expected a number, got 'nan'; leave out lines that were not measured"),
        (b"n;x\n1;10,5\n", "bad.csv:2: column x: expected a number, got '10,5'; write a decimal point"),
        (b"N,X\n1,2\n", "column n: expected one column of that name in line 1, got N, X; did you mean N?"),
        (b"n,x\n", "expected numbers below the header, got no line"),
        (b"n,x\n1,1\n0,1\n2,2\n3,3\n", "row 2 below the header, column n: expected a load above 0, got 0"),
        (b"n,x\n1,1\n2,2\n3,-3\n4,1\n", "row 3 below the header, column x: expected a throughput of at least 0"),
        (b"n,x\n1,0\n2,0\n3,0\n4,0\n", "columns n, x: load and throughput: expected load > 0"),
        (b"n,x\n" + b"".join(b"%d,1\n" % n for n in range(1, 1502)), "expected load levels, at most 1,000, got 1,501"),
        (b"\xff\xfe\x00", "expected CSV in UTF-8"),
        (b"n,x\n\x81\x20\n", "expected CSV in UTF-8, got bytes that are neither that nor UTF-16 or Shift_JIS"),
        (gzip.compress(b"n,x\n1,2\n", mtime=0)[:-9], "expected a readable CSV file, got Compressed file ended"),
        (b"PAR1\x00\x00", "got bytes that are no text"),
    ],
)
def test_what_cannot_be_read_is_told_by_file_and_column(tmp_path, content, told):
    (tmp_path / "bad.csv").write_bytes(content)
    with pytest.raises(SeriesError) as found:
        fit_record(tmp_path / "bad.csv", "n", "x")
    assert told in str(found.value)
    assert str(tmp_path / "bad.csv") in str(found.value)


def test_refusals_at_the_command_line(tmp_path):
    for arguments, told in (
        (("steady", "nowhere.csv", "--column", "v"), "nowhere.csv: expected a readable CSV file"),
        (("fit", str(DATA / "specsdm91.csv"), "--load", "loads", "--throughput", "throughput"), "did you mean load?"),
        (("fit", str(DATA / "specsdm91.csv"), "--load", "load", "--throughput", "throughput", "--model", "x"),
         "--model: expected auto, linear"),
    ):  # fmt: skip
        found = genkai(*arguments)
        assert found.returncode == 3
        assert told in found.stderr
        assert "Traceback" not in found.stderr


def history(path: Path, names: tuple[str, ...], name: str = "Name") -> Path:
    """One value a second of each name: 10 of all, 1 of each other."""
    lines = [f"{1700000000 + s},{20 * (1 + s // 50)},{n},{10 * (1 + s // 50) if n == 'Aggregated' else 1},N/A"
             for s in range(200) for n in names]  # fmt: skip
    path.write_text("\n".join([f"Timestamp,User Count,{name},Requests/s,50%", *lines]) + "\n")
    return path


def test_of_locusts_history_the_lines_of_all_requests_count(tmp_path):
    path = history(tmp_path / "h.csv", ("a", "b", "Aggregated"))
    values = read_series(path, ["User Count", "Requests/s"])
    assert values["Requests/s"].tolist() == [10.0 * (1 + s // 50) for s in range(200)]
    assert steady_record(path, "Requests/s")["n"] == 200
    fitted = fit_record(path, "User Count", "Requests/s")["parameters"]["unit_throughput_rps"]["value"]
    assert fitted == pytest.approx(0.5)


def test_lines_of_several_names_at_each_time_are_refused(tmp_path):
    path = history(tmp_path / "two.csv", ("a", "b"), "host")
    told = "column Timestamp: expected one line for each time, got 400 lines at 200 times, told apart by host; keep the"
    with pytest.raises(StudyError, match=told):
        steady_record(path, "Requests/s")
    assert steady_record(history(tmp_path / "one.csv", ("a",), "host"), "Requests/s")["n"] == 200


def test_samples_of_one_time_stamp_are_a_series(tmp_path):
    path = write(tmp_path / "samples.csv", "time,label,v", [1, 1, 1, 2, 2, 2] * 20, ["a", "b", "b"] * 40, range(120))
    assert len(read_series(path, ["v"])["v"]) == 120
