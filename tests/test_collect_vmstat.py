"""collect.vmstat: every Linux layout, runs and since-boot rows, stamps; everything else refused with its name."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai import schema
from genkai.collect.vmstat import VmstatError, parse_vmstat, vmstat_command, vmstat_metrics

DATA = Path(__file__).parent / "data" / "vmstat"
GROUP = "procs -----------memory---------- ---swap-- -----io---- -system-- ------cpu-----"
NAMES = " r  b   swpd   free   buff  cache   si   so    bi    bo   in   cs us sy id wa st"
COLUMNS = NAMES.split()


def row(seed: int = 1, boot: bool = False, **given: int) -> dict[str, int]:
    values = dict.fromkeys(COLUMNS, 0) | {
        "r": seed % 5, "free": 1_000_000 + seed * 7919 % 9999, "buff": 10 + seed, "cache": 5000 + seed,
        "bi": seed * 13 % 97, "bo": seed * 17 % 89,
        "in": 300 + seed * 31 % 777, "cs": 500 + seed * 37 % 999, "us": seed * 11 % 60, "sy": 20,
    }  # fmt: skip
    values["id"] = 80 - values["us"]
    if boot:
        values |= {"bi": 4000, "bo": 3000, "in": 99, "cs": 77, "us": 1, "sy": 1, "id": 98}
    return values | given


def text_of(rows: list[dict[str, int]], columns: list[str] | None = None, stamp=None) -> str:
    lines = []
    for number, values in enumerate(rows):
        line = " ".join(f"{values.get(c, 0):>4}" for c in columns or COLUMNS)
        lines.append(line + (f" {stamp(number)}" if stamp else ""))
    return "".join(line + "\n" for line in lines)


def heading(names: str = NAMES, group: str = GROUP) -> str:
    return f"{group}\n{names}\n"


def run_of(count: int, first_seed: int = 1) -> list[dict[str, int]]:
    return [row(boot=True), *(row(first_seed + i) for i in range(count - 1))]


# ---- layouts


@pytest.mark.skipif(shutil.which("vmstat") is None, reason="needs vmstat (procps)")
def test_the_real_vmstat_of_this_machine():
    text = subprocess.run(
        ["sh", "-c", vmstat_command(3)], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    log = parse_vmstat(text)
    assert len(log.frame) == 2
    assert log.since_boot_dropped == 1
    age = datetime.now(UTC) - log.frame["time"].iloc[-1].to_pydatetime()
    assert timedelta(seconds=-1) <= age < timedelta(seconds=20)
    table = vmstat_metrics(log, "here")
    total = table[table["metric"].isin(["cpu_user_ratio", "cpu_system_ratio", "cpu_idle_ratio", "cpu_iowait_ratio",
                                        "cpu_steal_ratio"])].groupby("time")["value"].sum()  # fmt: skip
    assert ((total > 0.9) & (total < 1.1)).all()


@pytest.mark.parametrize(
    ("name", "rows", "dropped", "columns"),
    [
        ("wide-stamped", 3, 1, 18),
        ("active", 2, 1, 17),
        ("repeated-heading", 23, 1, 17),
        ("tokyo", 2, 1, 17),
        ("two-runs", 4, 2, 17),
    ],
)
def test_recorded_logs(name, rows, dropped, columns):
    log = parse_vmstat((DATA / f"procps-4.0.2-{name}.txt").read_bytes())
    record = log.record()
    assert (record["rows"], record["since_boot_dropped"], len(record["columns"])) == (rows, dropped, columns)


def test_a_recorded_log_value_by_value():
    lines = (DATA / "procps-4.0.2-wide-stamped.txt").read_text().splitlines()
    log = parse_vmstat((DATA / "procps-4.0.2-wide-stamped.txt").read_text())
    for line, (_, got) in zip(lines[3:], log.frame.iterrows(), strict=True):
        fields = line.split()
        assert [got[c] for c in lines[1].split()[:-1]] == [int(f) for f in fields[:18]]
        assert got["time"] == pd.Timestamp(" ".join(fields[18:]), tz="UTC")


def test_stamps_in_the_zone_that_is_given():
    text = (DATA / "procps-4.0.2-tokyo.txt").read_text()
    said, told = parse_vmstat(text), parse_vmstat(text, timezone="Asia/Tokyo")
    assert (said.frame["time"] - told.frame["time"] == pd.Timedelta(hours=9)).all()
    assert any("JST" in w for w in said.warnings)
    assert not any("JST" in w for w in told.warnings)


OLD = " r  b   swpd   free   buff  cache   si   so    bi    bo   in   cs us sy id wa"
KERNEL_2_4 = "   procs                      memory      swap          io     system      cpu"
NAMES_2_4 = " r  b  w   swpd   free   buff  cache   si   so    bi    bo   in    cs us sy id"


@pytest.mark.parametrize(
    ("group", "names"),
    [
        (GROUP, OLD),
        (GROUP, NAMES),
        (GROUP.replace("------cpu-----", "-------cpu-------"), NAMES + " gu"),
        (KERNEL_2_4, NAMES_2_4),
        (GROUP, NAMES.replace("  buff  cache", " inact active")),
        (GROUP, OLD.replace("us sy id wa", "us sy wa id")),
    ],
    ids=["no st", "st", "gu", "w, no wa", "-a", "wa before id"],
)
def test_columns_are_read_by_their_names(group, names):
    columns = names.split()
    rows = run_of(5)
    log = parse_vmstat(heading(names, group) + text_of(rows, columns))
    assert log.record()["columns"] == columns
    assert log.frame["id"].tolist() == [r["id"] for r in rows[1:]]
    assert log.frame["cs"].tolist() == [r["cs"] for r in rows[1:]]


def test_stamp_with_the_zone_on_each_row():
    text = heading(group=GROUP + " ---timestamp---") + text_of(
        run_of(4), stamp=lambda n: f"  2017-01-11 15:42:{n:02d} UTC"
    )
    assert parse_vmstat(text).frame["time"].iloc[0] == pd.Timestamp("2017-01-11 15:42:01", tz="UTC")


@pytest.mark.parametrize(
    "prefix",
    ["May 01 12:00:{:02d}", "2024-05-01 12:00:{:02d}", "2024-05-01T12:00:{:02d}Z", "17145648{:02d}",
     "17145648{:02d}.125", "[2024-05-01 12:00:{:02d}]", "2024-05-01T21:00:{:02d}+09:00", "2024/05/01 12:00:{:02d}"],
)  # fmt: skip
def test_prefixes_of_ts(prefix):
    lines = (heading() + text_of(run_of(5))).splitlines()
    stamped = "".join(f"{prefix.format(i)} {line}\n" for i, line in enumerate(lines))
    log = parse_vmstat(stamped)
    assert len(log.frame) == 4
    assert log.since_boot_dropped == 1
    assert log.frame["time"].notna().all()
    assert log.period_s == 1
    if "2024" in prefix:
        assert log.frame["time"].iloc[0] == pd.Timestamp("2024-05-01 12:00:03", tz="UTC")


@pytest.mark.parametrize(
    "date",
    ["Wed May  1 12:00:{:02d} UTC 2024", "2024-05-01 12:00:{:02d}", "17145648{:02d}",
     "Wed 01 May 2024 12:00:{:02d} PM UTC", "2024年  5月  1日 水曜日 12:00:{:02d} UTC"],
)  # fmt: skip
def test_date_lines_between_rows(date):
    rows = text_of(run_of(5)).splitlines()
    text = heading() + "".join(f"{date.format(i)}\n{line}\n" for i, line in enumerate(rows))
    log = parse_vmstat(text)
    assert len(log.frame) == 4
    assert log.frame["time"].diff().dropna().eq(pd.Timedelta(seconds=1)).all()
    assert any("date lines" in w for w in log.warnings)


def test_a_date_line_before_each_run():
    text = "".join(f"Wed May  1 12:0{i}:00 UTC 2024\n{heading()}{text_of(run_of(4, 10 * i + 1))}" for i in range(3))
    log = parse_vmstat(text)
    assert log.since_boot_dropped == 3
    assert log.frame["time"].iloc[3] == pd.Timestamp("2024-05-01 12:01:01", tz="UTC")


def test_translated_heading_is_read_by_position():
    group = "Prozesse ----------Speicher--------- ---Swap--- -----E/A---- -System- ------CPU-----"
    names = " l  w  Ausl.   frei   Puff Cache2   ei   au    le    sc  int   kw be sy un wa ge"
    rows = run_of(4)
    log = parse_vmstat(heading(names, group) + text_of(rows))
    assert log.frame["cs"].tolist() == [r["cs"] for r in rows[1:]]
    assert any("position" in w for w in log.warnings)


def test_wide_values_that_overflow_their_columns():
    wide = row(3, free=123456789012, cache=98765432109, cs=1234567)
    log = parse_vmstat(heading() + text_of([row(boot=True), wide, row(2)]))
    assert log.frame["free"].iloc[0] == 123456789012
    assert log.frame["cs"].iloc[0] == 1234567


def test_unit_option_scales_memory_and_swap_but_not_blocks():
    text = heading() + text_of([row(boot=True), row(1, free=100, si=2, bi=7)])
    log = parse_vmstat(text, unit="m")
    assert log.frame["free"].iloc[0] == pytest.approx(100 * 1_000_000 / 1024)
    assert log.frame["si"].iloc[0] == pytest.approx(2 * 1_000_000 / 1024)
    assert log.frame["bi"].iloc[0] == 7
    assert parse_vmstat(text, unit="M").frame["free"].iloc[0] == 102400
    with pytest.raises(VmstatError, match="expected one of k, K, m, M"):
        parse_vmstat(text, unit="G")


# ---- runs and since-boot rows


@pytest.mark.parametrize("height", [3, 5, 10, 20, 21, 22, 47])
def test_repeated_headings_inside_a_run_bring_no_since_boot_row(height):
    rows = run_of(3 * height + 2)
    text = "".join(heading() + text_of(rows[i : i + height]) for i in range(0, len(rows), height))
    log = parse_vmstat(text)
    assert log.since_boot_dropped == 1
    assert log.frame["in"].tolist() == [r["in"] for r in rows[1:]]


@pytest.mark.parametrize("lengths", [(3, 3), (5, 5, 5), (4, 9), (60, 60), (60, 13, 60), (1, 5), (5, 1, 4)])
def test_several_runs_each_bring_one(lengths):
    text = "".join(heading() + text_of(run_of(n, 100 * i + 1)) for i, n in enumerate(lengths))
    log = parse_vmstat(text)
    assert log.since_boot_dropped == len(lengths)
    assert len(log.frame) == sum(lengths) - len(lengths)


def test_runs_of_21_rows_are_told_apart_by_their_stamps():
    text = ""
    for i in range(3):
        begin = datetime(2024, 5, 1, 12, i)
        text += heading(NAMES + " UTC") + text_of(
            run_of(21, 50 * i + 1), stamp=lambda n, b=begin: b + timedelta(seconds=n)
        )
    assert parse_vmstat(text).since_boot_dropped == 3


def test_stamped_repeated_headings_of_one_run():
    begin = datetime(2024, 5, 1)
    rows = run_of(100)
    text = "".join(
        heading(NAMES + " UTC") + text_of(rows[i : i + 21], stamp=lambda n, i=i: begin + timedelta(seconds=i + n))
        for i in range(0, 100, 21)
    )
    log = parse_vmstat(text)
    assert log.since_boot_dropped == 1
    assert len(log.frame) == 99


def test_a_run_of_another_layout_is_another_run():
    text = heading(OLD) + text_of(run_of(4), OLD.split()) + heading() + text_of(run_of(4, 9))
    log = parse_vmstat(text)
    assert log.since_boot_dropped == 2
    assert log.frame["st"].isna().tolist() == [True] * 3 + [False] * 3
    assert log.record()["sum"]["st"] == 0


def test_a_prompt_before_the_heading_begins_a_run():
    text = "".join(f"$ vmstat 1 4\n{heading()}{text_of(run_of(4, 30 * i + 1))}" for i in range(2))
    log = parse_vmstat(text)
    assert log.since_boot_dropped == 2
    assert any("$ vmstat" in w for w in log.warnings)


def test_started_with_y_there_is_no_since_boot_row():
    log = parse_vmstat(heading() + text_of([row(1), row(2)]), since_boot=False)
    assert (len(log.frame), log.since_boot_dropped) == (2, 0)


# ---- what is cut, odd or not there


def test_a_truncated_last_line_is_left_out():
    text = heading() + text_of(run_of(5))
    for cut in range(2, len(text.splitlines()[-1])):
        log = parse_vmstat(text[:-cut])
        assert 3 <= len(log.frame) <= 4, cut
        full = parse_vmstat(text).frame.iloc[:3]
        assert log.frame.iloc[:3].equals(full)
        if len(log.frame) == 4:
            assert log.frame["id"].iloc[3] == parse_vmstat(text).frame["id"].iloc[3]


def test_a_whole_last_line_without_line_end_is_kept():
    assert len(parse_vmstat((heading() + text_of(run_of(5))).rstrip("\n")).frame) == 4


def test_garbage_between_rows_is_left_out_and_said():
    lines = (heading() + text_of(run_of(5))).splitlines(keepends=True)
    lines.insert(4, "Connection reset by peer\n")
    log = parse_vmstat("".join(lines))
    assert len(log.frame) == 4
    assert "line 5: 'Connection reset by peer'" in log.warnings[0]


def test_impossible_shares_are_left_out_and_said():
    log = parse_vmstat(heading() + text_of([row(boot=True), row(1), row(2, us=101), row(3)]))
    assert len(log.frame) == 2
    assert any("above 100" in w for w in log.warnings)


def test_shares_that_do_not_add_up_are_said():
    log = parse_vmstat(heading() + text_of([row(boot=True), row(1), row(2, id=10, us=10)]))
    assert any("add up" in w for w in log.warnings)


def test_frozen_memory_is_said_and_left_out_of_the_metrics():
    rows = [row(i, free=5000, buff=10, cache=20) for i in range(15)]
    log = parse_vmstat(heading() + text_of([row(boot=True), *rows]), start=datetime(2024, 5, 1, tzinfo=UTC))
    assert any("1027963" in w for w in log.warnings)
    assert "memory_free_bytes" not in set(vmstat_metrics(log, "a")["metric"])
    moving = parse_vmstat(heading() + text_of(run_of(15)), start=datetime(2024, 5, 1, tzinfo=UTC))
    assert "memory_free_bytes" in set(vmstat_metrics(moving, "a")["metric"])


FOREIGN = {
    "an empty file": " \n\n",
    "AIX": "System configuration: lcpu=4 mem=8192MB\n\nkthr    memory       page              faults        cpu\n"
    " r  b   avm   fre  re  pi  po  fr   sr  cy  in   sy  cs us sy id wa\n 1  0 45 67 0 0 0 0 0 0 1 2 3 4 5 90 1\n",
    "Solaris": " kthr      memory            page            disk          faults      cpu\n"
    " r b w   swap  free  re  mf pi po fr de sr s0 s1 -- --   in   sy   cs us sy id\n"
    " 0 0 0 1 2 3 4 5 6 7 8 9 0 0 0 0 1 2 3 4 5 91\n",
    "BSD": " procs    memory       page                    disks     faults         cpu\n"
    " r b w     avm    fre   flt  re  pi  po    fr  sr ad0 cd0   in   sy   cs us sy id\n"
    " 1 0 0 1 2 3 4 5 6 7 8 0 0 1 2 3 4 5 91\n",
    "macOS": "Mach Virtual Memory Statistics: (page size of 4096 bytes)\nPages free:   1234.\n",
    "iostat": "avg-cpu:  %user   %nice %system %iowait  %steal   %idle\n   1.0    0.0    2.0   0.0  0.0  97.0\n",
    "sar": "Linux 5.10.0 (web1) \t05/01/24 \t_x86_64_\t(2 CPU)\n\n"
    "12:00:01 CPU %user %nice %system %iowait %steal %idle\n",
    "vmstat -s": "     24684092 K total memory\n       123456 K used memory\n",
    "vmstat -d": "disk- ------------reads------------ ------------writes----------- -----IO------\n",
    "vmstat -m": "Cache                       Num  Total   Size  Pages\n",
    "top": "top - 12:00:01 up 1 day\nTasks: 100 total\n",
    "numbers without": "1 0 0 1 2 3 0 0 4 5 6 7 8 9 83 0 0\n",
    "something else": "time,cpu,memory\n1,2,3\n",
}


@pytest.mark.parametrize("what", FOREIGN)
def test_other_formats_are_refused_by_name(what):
    with pytest.raises(VmstatError, match=what) as caught:
        parse_vmstat(FOREIGN[what], where="x.log")
    assert str(caught.value).startswith("x.log: expected")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\x1f\x8b\x08\x00\x00\x00", bytes(range(256)) * 4, "r b swpd".encode("utf-16")])
def test_binary_is_refused(data):
    with pytest.raises(VmstatError, match="binary"):
        parse_vmstat(data)


@pytest.mark.parametrize("text", [heading(), heading() + text_of([row()])])
def test_without_interval_rows_it_is_refused(text):
    with pytest.raises(VmstatError, match=r"interval|Linux vmstat"):
        parse_vmstat(text)


def test_only_since_boot_rows_are_refused_with_the_way_to_record():
    with pytest.raises(VmstatError, match=r"2 since-boot row\(s\) only; record with an interval"):
        parse_vmstat((heading() + text_of([row(boot=True)])) * 2)


# ---- what comes out


def test_the_record_of_an_import():
    rows = run_of(4)
    record = parse_vmstat(heading() + text_of(rows)).record()
    assert list(record) == ["rows", "columns", "since_boot_dropped", "first", "last", "min", "max", "sum", "warnings"]
    kept = rows[1:]
    assert record["rows"] == 3
    assert record["first"] == {c: kept[0][c] for c in COLUMNS}
    assert record["last"] == {c: kept[-1][c] for c in COLUMNS}
    assert record["min"] == {c: min(r[c] for r in kept) for c in COLUMNS}
    assert record["max"] == {c: max(r[c] for r in kept) for c in COLUMNS}
    assert record["sum"] == {c: sum(r[c] for r in kept) for c in COLUMNS}


def test_metrics_stand_at_the_start_of_their_interval_in_base_units():
    text = heading(NAMES + " UTC") + text_of(
        [row(boot=True), row(1, free=10, bi=3, us=25, id=55), row(2)], stamp=lambda n: f"2024-05-01 12:00:0{5 * n}"
    )
    log = parse_vmstat(text.replace("12:00:010", "12:00:10").replace("12:00:00", "12:00:00"))
    table = vmstat_metrics(log, "web", clock_offset_s=2)
    assert log.period_s == 5
    first = table[table["time"] == pd.Timestamp("2024-05-01 11:59:58", tz="UTC")].set_index("metric")
    assert set(first["resource"]) == {"host:web"}
    assert first.loc["memory_free_bytes", "value"] == 10 * 1024
    assert first.loc["block_in_bytes_per_s", "value"] == 3 * 1024
    assert first.loc["cpu_user_ratio", "value"] == 0.25
    schema.check_table(table, "metrics")


def test_without_stamps_the_time_of_the_first_row_must_be_given():
    text = heading() + text_of(run_of(4))
    with pytest.raises(VmstatError, match="give the time of the first row"):
        vmstat_metrics(parse_vmstat(text), "a")
    log = parse_vmstat(text, start=datetime(2024, 5, 1, tzinfo=UTC), period_s=2)
    assert log.frame["time"].tolist() == [pd.Timestamp(f"2024-05-01 00:00:0{s}", tz="UTC") for s in (2, 4, 6)]


def test_an_unknown_time_zone_is_refused():
    with pytest.raises(VmstatError, match="Asia/Tokyo"):
        parse_vmstat(heading() + text_of(run_of(3)), timezone="Asia/Nowhere")


# ---- properties


rows_of_any_kind = st.lists(st.integers(0, 10_000), min_size=2, max_size=60)


@settings(max_examples=60, deadline=None)
@given(rows_of_any_kind, st.integers(2, 30), st.booleans())
def test_whatever_the_headings_rows_come_back_as_they_went_in(seeds, height, stamped):
    begin = datetime(2024, 5, 1)
    rows = [row(boot=True), *(row(seed) for seed in seeds)]
    text = ""
    for i in range(0, len(rows), height):
        stamp = (lambda n, i=i: begin + timedelta(seconds=i + n)) if stamped else None
        text += heading(NAMES + (" UTC" if stamped else "")) + text_of(rows[i : i + height], stamp=stamp)
    log = parse_vmstat(text)
    assert log.frame[COLUMNS].to_dict("records") == rows[1:]


FUZZ = int(os.environ.get("GENKAI_FUZZ_EXAMPLES", "100"))  # 100 000 in the nightly run
WORDS = [*COLUMNS, "0", "1", "99", "100", "-1", "1e5", "nan", "²", "2024-05-01", "12:00:01", "UTC", "procs",
         "---memory---", "---swap--", "--io--", "--cpu--", "", "\0", "9" * 30, "May", "1714564801"]  # fmt: skip
any_line = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=22).map(" ".join),
    st.sampled_from([GROUP, NAMES, OLD, NAMES_2_4]),
    st.integers(0, 99).map(lambda seed: text_of([row(seed)]).strip()),
    st.text(max_size=40),
)


def number_runs(text: str, width: int) -> set[tuple[int, ...]]:
    """Every `width` plain numbers that stand side by side on a line."""
    found = set()
    for line in text.split("\n"):
        fields = line.split()
        for i in range(len(fields) - width + 1):
            if all(f.isascii() and f.isdigit() and len(f) < 17 for f in fields[i : i + width]):
                found.add(tuple(map(int, fields[i : i + width])))
    return found


@settings(max_examples=FUZZ, deadline=None)
@given(st.lists(any_line, max_size=25))
def test_any_text_is_read_or_refused_and_no_row_is_made_up(lines):
    text = "\n".join(lines)
    try:
        log = parse_vmstat(text)
    except VmstatError:
        return
    assert (log.frame[["us", "sy", "id"]] <= 100).all(axis=None)
    for _, got in log.frame.drop(columns="time").iterrows():
        values = tuple(int(v) for v in got if v == v)
        assert any(sorted(values) == sorted(r) for r in number_runs(text, len(values)))


@settings(max_examples=FUZZ, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data):
    with suppress(VmstatError):
        parse_vmstat(data)
    with suppress(VmstatError):
        parse_vmstat((heading() + text_of(run_of(3))).encode() + data)
