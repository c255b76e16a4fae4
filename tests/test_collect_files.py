"""Files from elsewhere by the command: a real vmstat's log, sockets of this machine, and what is neither."""

import json
import subprocess
from pathlib import Path

import pytest

from command import genkai
from genkai.collect.errors import CollectError
from genkai.collect.files import socket_summary, vmstat_summary, vmstat_text


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rows of this machine's own vmstat, the first of them since boot."""
    path = tmp_path_factory.mktemp("vmstat") / "here.log"
    path.write_text(subprocess.run(["vmstat", "1", "3"], capture_output=True, text=True, check=True).stdout)
    return path


def test_a_real_log_is_summarised(log: Path) -> None:
    record = vmstat_summary(log)
    rows = [line.split() for line in log.read_text().splitlines()[2:]]
    names = log.read_text().splitlines()[1].split()
    assert (record["rows"], record["since_boot_dropped"]) == (2, 1)
    idle = [float(row[names.index("id")]) for row in rows[1:]]
    assert (record["first"]["id"], record["last"]["id"]) == (idle[0], idle[1])
    assert (record["min"]["id"], record["max"]["id"], record["sum"]["id"]) == (min(idle), max(idle), sum(idle))
    assert "2 rows, 1 since-boot rows dropped" in vmstat_text("here", record)


def test_the_command_prints_json(log: Path) -> None:
    found = genkai("import", "vmstat", str(log), "--json")
    assert found.returncode == 0
    assert set(json.loads(found.stdout)) == {
        "rows", "columns", "since_boot_dropped", "first", "last", "min", "max", "sum", "warnings"}  # fmt: skip


def test_what_is_no_vmstat_log_is_refused_with_a_reason(tmp_path: Path) -> None:
    other = tmp_path / "iostat.txt"
    other.write_text("Linux 6.1\n\navg-cpu:  %user\n 1.0\n")
    found = genkai("import", "vmstat", str(other))
    assert found.returncode == 3
    assert "iostat.txt" in found.stderr
    assert "Traceback" not in found.stderr
    with pytest.raises(CollectError, match="expected a readable file, got No such file"):
        vmstat_summary(tmp_path / "none.log")


def test_sockets_of_this_machine(tmp_path: Path) -> None:
    copy = tmp_path / "sockstat"
    copy.write_text(Path("/proc/net/sockstat").read_text())
    assert socket_summary(copy)
