"""collect.sar: real reports of sysstat, sections, midnights, restarts, half lines; anything else refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from genkai import schema
from genkai.collect.imports import ImportFileError
from genkai.collect.sar import parse_sar

REAL = Path(__file__).parent / "data/sysstat"

SAR = """Linux 5.10.0 (web1) \t2024-05-01 \t_x86_64_\t(2 CPU)

23:59:58        CPU     %user     %nice   %system   %iowait    %steal     %idle
23:59:59        all     10.00      0.00      5.00      1.00      0.00     84.00
23:59:59          0     20.00      0.00      5.00      1.00      0.00     74.00
00:00:00        all     11.00      0.00      5.00      1.00      0.00     83.00
00:00:00          0     21.00      0.00      5.00      1.00      0.00     73.00
Average:        all     10.50      0.00      5.00      1.00      0.00     83.50

23:59:58        IFACE   rxpck/s   txpck/s    rxkB/s    txkB/s   rxcmp/s   txcmp/s  rxmcst/s   %ifutil
23:59:59         eth0    100.00     50.00      2.00      1.00      0.00      0.00      0.00      0.00
"""
SADF = """# hostname;interval;timestamp;CPU;%user;%nice;%system;%iowait;%steal;%idle
web1;1;2024-05-01 12:00:01 UTC;-1;10,00;0,00;5,00;1,00;0,00;84,00
web1;1;2024-05-01 12:00:02 UTC;-1;12,50;0,00;5,00;1,00;0,00;81,50
"""


def values(frame: pd.DataFrame, metric: str) -> dict[str, float]:
    rows = frame[frame["metric"] == metric]
    return {t.isoformat(): v for t, v in zip(rows["time"], rows["value"], strict=True)}


def test_sar_over_midnight_per_core_and_interface():
    frame = parse_sar(SAR, "web").frame
    assert values(frame, "cpu_user_ratio") == pytest.approx(
        {"2024-05-01T23:59:58+00:00": 0.10, "2024-05-01T23:59:59+00:00": 0.11}
    )
    assert values(frame, "core0_user_ratio") == pytest.approx(
        {"2024-05-01T23:59:58+00:00": 0.20, "2024-05-01T23:59:59+00:00": 0.21}
    )
    assert values(frame, "net_eth0_received_bytes_per_s") == {"2024-05-01T23:59:58+00:00": 2048.0}
    assert "sar_percent_ifutil[eth0]" in set(frame["metric"])
    schema.check_table(frame, "metrics")


def test_sar_with_am_pm_and_a_local_zone():
    text = SAR.replace("23:59:5", "11:59:5").replace("00:00:00", "12:00:00")
    for clock in ("11:59:58", "11:59:59", "12:00:00"):
        text = text.replace(clock, clock + (" PM" if clock[0:2] == "12" else " AM"))
    frame = parse_sar(text, "web", zone=ZoneInfo("Asia/Tokyo")).frame
    assert list(values(frame, "cpu_user_ratio")) == ["2024-05-01T02:59:58+00:00", "2024-05-01T02:59:59+00:00"]


def test_sadf_with_decimal_commas():
    frame = parse_sar(SADF, "web").frame
    assert values(frame, "cpu_user_ratio") == pytest.approx(
        {"2024-05-01T12:00:00+00:00": 0.10, "2024-05-01T12:00:01+00:00": 0.125}
    )


def test_sar_without_its_day():
    text = SAR.split("\n", 2)[2]
    with pytest.raises(ImportFileError, match="give the day"):
        parse_sar(text, "web")
    assert not parse_sar(text, "web", day=date(2024, 5, 1)).frame.empty


def naive(text: str, section: str, column: str, device: str = "") -> dict[str, float]:
    """The column of a section of `sar` text by the stamps of its rows, one line at a time."""
    found, names = {}, []
    for line in text.splitlines():
        cells = line.replace(" PM", "PM").split()
        if not cells or cells[0] in ("Linux", "Average:", "平均値:"):
            names = names if cells else []
        elif section in cells[1:]:
            names = cells
        elif names and (not device or device in cells):
            found[cells[0]] = float(cells[names.index(column)])
    return found


@pytest.mark.parametrize(("file", "section", "column", "metric", "device"), [
    ("saved-restart.txt", "CPU", "%user", "cpu_user_ratio", "all"),
    ("saved-restart.txt", "CPU", "%idle", "core1_idle_ratio", "1"),
    ("saved-restart.txt", "runq-sz", "runq-sz", "run_queue", ""),
    ("saved-restart.txt", "IFACE", "rxpck/s", "net_lo_received_packets_per_s", "lo"),
    ("live-am-pm.txt", "CPU", "%system", "cpu_system_ratio", "all"),
    ("live-ja.txt", "CPU", "%idle", "cpu_idle_ratio", "all"),
    ("live-pretty.txt", "DEV", "tps", "sar_tps[vda]", "vda"),
])  # fmt: skip
def test_real_reports_against_a_naive_reader(file, section, column, metric, device):
    text = (REAL / file).read_text()
    log = parse_sar(text, "web")
    rows = log.frame[log.frame["metric"] == metric]
    expected = naive(text, section, column, device)
    factor = 0.01 if column.startswith("%") else 1.0
    assert list(rows["value"]) == pytest.approx([v * factor for v in expected.values()])
    ends = [f"{t:%H:%M:%S}" for t in rows["time"] + pd.to_timedelta(rows["period_s"], unit="s")]
    twelve = [f"{t:%I:%M:%S%p}" for t in rows["time"] + pd.to_timedelta(rows["period_s"], unit="s")]
    stamps = [s.replace("時", ":").replace("分", ":").replace("秒", "") for s in expected]
    assert stamps in (ends, twelve)
    assert {str(t.date()) for t in rows["time"]} == {"2026-11-25"}
    assert log.warnings == []


def test_the_three_forms_of_one_recording_agree():
    tables = [
        parse_sar((REAL / f).read_bytes(), "web").frame for f in ("saved-restart.txt", "sadf-d-epoch.txt", "sadf-p.txt")
    ]
    names = set.intersection(*(set(t["metric"]) for t in tables))
    assert {"cpu_user_ratio", "core0_idle_ratio", "run_queue"} <= names
    kept = [t[t["metric"].isin(names)].sort_values(["metric", "time"]).reset_index(drop=True) for t in tables]
    pd.testing.assert_frame_equal(kept[0], kept[1])
    pd.testing.assert_frame_equal(kept[0], kept[2])


def live(begin: int, seconds: int) -> str:
    """`sar -u -q 1` over midnight: every second both sections anew, one first line only."""
    lines = ["Linux 6.1.0 (web) \t2024-05-01 \t_x86_64_\t(2 CPU)", ""]
    for second in range(begin, begin + seconds):
        a, b = (f"{s // 3600 % 24:02}:{s // 60 % 60:02}:{s % 60:02}" for s in (second, second + 1))
        lines += [
            f"{a} CPU %user %idle",
            f"{b} all {second % 50}.00 1.00",
            "",
            f"{a} runq-sz plist-sz",
            f"{b} {second % 7} 9",
            "",
        ]
    return "\n".join(lines)


@pytest.mark.parametrize("begin", [86_390, 0, 43_190])
def test_a_live_report_goes_on_after_midnight(begin):
    frame = parse_sar(live(begin, 30), "web").frame
    first = pd.Timestamp("2024-05-01", tz="UTC") + pd.Timedelta(seconds=begin)
    for metric in ("cpu_user_ratio", "run_queue"):
        times = frame[frame["metric"] == metric]["time"]
        assert list(times) == [first + pd.Timedelta(seconds=i) for i in range(30)]


def test_a_line_cut_short_is_left_out_and_said():
    text = (REAL / "sadf-d.txt").read_text()
    whole = parse_sar(text, "web").frame
    cut = parse_sar(text[: text.rindex(";")], "web")
    assert len(cut.frame) == len(whole) - 6
    assert "1 line(s) were left out" in cut.warnings[0]


def test_an_ambiguous_date_is_said():
    text = SAR.replace("2024-05-01", "05/06/24")
    assert "month/day/year" in parse_sar(text, "web").warnings[0]


@pytest.mark.parametrize(("text", "what"), [
    ((REAL / "human.txt").read_text(), "units"), ((REAL / "sadf-j.json").read_text(), "JSON"), ("", "an empty file"),
    ("procs -----------memory\n r  b   swpd\n 1 2 3\n", "vmstat"), ("a;b;c\n", "a;b;c"),
    (b"\x96\xd5\0\0", "binary data"),
    ("avg-cpu:  %user   %nice\n", "iostat"),
])  # fmt: skip
def test_anything_else_is_refused_with_a_reason(text, what):
    with pytest.raises(ImportFileError, match=what):
        parse_sar(text, "web")
