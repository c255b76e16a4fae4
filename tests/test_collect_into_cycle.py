"""Host data from elsewhere joins a cycle: the timeline and the diagnosis read it; what fits nowhere is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from command import genkai
from genkai.analyse.rules.case import Case
from genkai.collect.errors import CollectError
from genkai.collect.files import Reading, host_table
from genkai.collect.into_cycle import add_metrics, host_of
from genkai.pages import monitor as page
from genkai.study import read_study
from genkai.study.foreign import import_results
from genkai.study.jmeter import read_jtl
from genkai.study.results import tables_of
from genkai.workspace import Cycle, open_cycle
from sample_cycles import SAMPLE
from test_study_foreign import START, jtl, samples

HEADING = "procs memory swap io system cpu timestamp\n r b swpd free buff cache si so bi bo in cs us sy id wa st {}\n"


@pytest.fixture
def cycle(tmp_path: Path) -> Cycle:
    """What JMeter measured, as a cycle: no host was watched."""
    import_results("jmeter", read_jtl, [jtl(tmp_path / "a.jtl", samples())], tmp_path / "cycle")
    return open_cycle(tmp_path / "cycle")


def vmstat_log(path: Path, begin: float = START - 5, seconds: int = 70, zone: str = "UTC", shift_h: int = 0) -> Path:
    """A host whose CPU is full."""
    first = datetime.fromtimestamp(begin, UTC) + timedelta(hours=shift_h)
    rows = (
        f" 9 0 0 1000 10 10 0 0 0 0 {100 + i} 10 90 9 1 0 0 {first + timedelta(seconds=i):%Y-%m-%d %H:%M:%S}\n"
        for i in range(seconds)
    )
    path.write_text(HEADING.format(zone) + "".join(rows))
    return path


def add(cycle: Cycle, path: Path, tool: str = "vmstat", how: Reading | None = None) -> list:
    table, _ = host_table(tool, path, host_of(path), how or Reading())
    return add_metrics(cycle, tool, {host_of(path): [table]}, [path])


def test_vmstat_logs_of_the_servers_are_enough_for_timeline_and_diagnosis(cycle, tmp_path):
    (added,) = add(cycle, vmstat_log(tmp_path / "web1.vmstat.log"))
    assert added.host == "web1"
    study = read_study(cycle)
    run = study.main()
    shown = page.timeline_metrics(run)
    assert set(shown["resource"]) == {"host:web1"}
    case = Case(tables_of(study, run))
    (busy,) = case.of_targets("cpu.busy")
    assert busy.resource == "host:web1"
    assert busy.values == pytest.approx([0.99] * len(busy.values))
    found = page.use_rows(study, run)
    assert any(row["resource"] == "host:web1" for row in found)


def test_rows_are_those_of_the_run_and_its_surroundings(cycle, tmp_path):
    (added,) = add(cycle, vmstat_log(tmp_path / "web1.log", START - 600, 1300))
    start, end = read_study(cycle).main().window
    times = read_study(cycle).main().metrics.select("run_queue")["time"].astype("int64") / 1e6
    assert start - 60 <= times.min() < start
    assert end < times.max() <= end + 60
    assert added.rows == 14 * len(times)  # 17 columns; the three of memory stand still and say nothing


def test_a_log_in_another_zone_is_refused_with_the_zone_that_fits(cycle, tmp_path):
    path = vmstat_log(tmp_path / "web1.log", zone="JST", shift_h=9)
    with pytest.raises(CollectError, match=r"expected rows within a run .* with --timezone \+09:00 they would fit"):
        add(cycle, path)
    assert add(cycle, path, how=Reading(timezone="Asia/Tokyo"))


def test_a_log_without_stamps_needs_a_start(cycle, tmp_path):
    path = tmp_path / "web1.log"
    path.write_text("\n".join(
        " ".join(line.split()[:17]) for line in vmstat_log(tmp_path / "x.log").read_text().splitlines()))  # fmt: skip
    with pytest.raises(CollectError, match="give the time of the first row"):
        add(cycle, path)
    assert add(cycle, path, how=Reading(start=datetime.fromtimestamp(START, UTC).isoformat()))
    with pytest.raises(CollectError, match="--start: expected"):
        add(cycle, path, how=Reading(start="yesterday"))


def test_the_clock_of_the_host_is_corrected(cycle, tmp_path):
    path = vmstat_log(tmp_path / "web1.log")
    plain, _ = host_table("vmstat", path, "web1", Reading())
    moved, _ = host_table("vmstat", path, "web1", Reading(clock_offset_s=3.5))
    assert (plain["time"] - moved["time"] == timedelta(seconds=3.5)).all()


def test_the_sample_is_never_written_to(tmp_path):
    with pytest.raises(CollectError, match="recorded sample"):
        add(Cycle(SAMPLE), vmstat_log(tmp_path / "web1.log"))


def test_sockets_and_sar_by_the_command(cycle, tmp_path):
    stamp = datetime.fromtimestamp(START + 10, UTC)
    (tmp_path / "web1.ss.txt").write_text(f"{stamp.isoformat()}\nTotal: 5\nTCP:   9 (estab 4, closed 3, timewait 2)\n")
    lines = "".join(f"web2;1;{START + i};-1;{i}.00;50.00\n" for i in range(20))
    (tmp_path / "web2.sar").write_text("# hostname;interval;timestamp;CPU;%user;%idle\n" + lines)
    for tool, file in (("ss", "web1.ss.txt"), ("sar", "web2.sar")):
        done = genkai("import", tool, str(tmp_path / file), "--into", str(cycle.path))
        assert done.returncode == 0, done.stderr
        assert f"values of host:{file[:4]}" in done.stdout
    run = read_study(cycle).main()
    assert list(run.metrics.select("sockets_time_wait")["value"]) == [2.0]
    assert len(run.metrics.select("cpu_user_ratio", "sar")) == 20
    again = genkai("import", "sar", str(tmp_path / "web2.sar"), "--into", str(cycle.path))
    assert again.returncode == 0
    assert len(read_study(cycle).main().metrics.select("cpu_user_ratio", "sar")) == 20  # replaced, not doubled
    wrong = genkai("import", "netstat", str(tmp_path / "web1.ss.txt"))
    assert (wrong.returncode, "expected the output of netstat, got that of ss" in wrong.stderr) == (3, True)


def test_a_host_by_its_file():
    assert [host_of(Path(p)) for p in ("web1.vmstat.log", "a/b/10.0.0.1.log", "db_2", ".log")] == [
        "web1", "10", "db_2", "host"]  # fmt: skip
