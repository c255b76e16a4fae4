"""Processes forked off a server with locust imported: as `python -m` would start them, and gone with whoever asked."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from genkai.load import process
from genkai.load.process import LaunchError, LoadProcess, fork_server, free_port, start_process
from waiting import wait_until

TELL = """
import os, sys
print(__name__, sys.argv[1:], os.path.basename(sys.argv[0]), os.getcwd(), os.environ["GENKAI_RUN"])
print("stdin", repr(sys.stdin.read()), "leader", os.getpid() == os.getsid(0) == os.getpgid(0))
print("path", sys.path[0] == os.getcwd(), "gevent" in sys.modules, "OWN" in os.environ)
sys.exit(int(sys.argv[1]))
"""
LASTING = """
import subprocess, sys, time
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(helper.pid, flush=True)
if sys.argv[1:] == ["and-leave"]: sys.exit(7)
time.sleep(600)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "tell.py").write_text(TELL)
    (tmp_path / "lasting.py").write_text(LASTING)
    return tmp_path


def start(place: Path, *words: str) -> LoadProcess:
    return start_process([sys.executable, "-m", *words], place / "1-verify-x", place / "log", place)


def gone(pid: int) -> bool:
    return process.start_time(pid) is None


def helper_of(place: Path) -> int:
    log = place / "log"
    wait_until(lambda: log.exists() and log.read_text().endswith("\n"))
    return int(log.read_text())


def test_a_forked_process_is_what_python_m_would_be(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork_server()
    monkeypatch.setenv("OWN", "set after the server was started")
    asked = start(place, "tell", "3", "two words")
    assert asked.wait(60) == 3
    assert asked.poll() == asked.end() == 3
    assert (place / "log").read_text().splitlines() == [
        f"__main__ ['3', 'two words'] tell.py {place} {place / '1-verify-x'}",
        "stdin '' leader True",
        "path True True True",
    ]


def test_its_end_is_told_by_name_and_takes_its_group_along(place: Path) -> None:
    asked = start(place, "lasting", "and-leave")
    assert asked.wait(60) == 7
    wait_until(lambda: gone(helper_of(place)))
    wrong = start(place, "nothing_of_that_name")
    assert wrong.wait(60) == 1
    assert "nothing_of_that_name" in (place / "log").read_text()


def test_it_is_asked_to_end_and_then_made_to(place: Path) -> None:
    (place / "stubborn.py").write_text(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(0, flush=True)\ntime.sleep(600)\n"
    )
    willing = start(place, "lasting")
    helper = helper_of(place)
    assert willing.wait(0.01) is None
    assert willing.end() == -signal.SIGTERM
    (place / "log").unlink()
    stubborn = start(place, "stubborn")
    helper_of(place)
    assert stubborn.end(0.1) == -signal.SIGKILL
    wait_until(lambda: gone(willing.pid) and gone(stubborn.pid) and gone(helper))


def test_a_server_that_is_killed_takes_its_processes_along_and_is_replaced(place: Path) -> None:
    asked, before = start(place, "lasting"), fork_server()
    helper = helper_of(place)
    os.kill(psutil.Process(asked.pid).ppid(), signal.SIGKILL)
    assert asked.wait(60) == -signal.SIGTERM
    wait_until(lambda: gone(asked.pid) and gone(helper))
    wait_until(lambda: not before.alive)
    assert start(place, "tell", "0").wait(60) == 0
    assert fork_server() is not before


def test_what_cannot_start_says_why(place: Path) -> None:
    with pytest.raises(LaunchError, match=r"-m tell: expected a process to start, got .*/nowhere"):
        start_process([sys.executable, "-m", "tell"], place / "r", place / "log", place / "nowhere")
    assert start(place, "tell", "0").wait(60) == 0, "the server goes on"


def test_nothing_is_left_of_a_launcher_that_is_killed(place: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from genkai.load.process import start_process\n"
        f"p = Path({str(place)!r}); asked = start_process([sys.executable, '-m', 'lasting'], p, p / 'log', p)\n"
        "print(asked.pid, flush=True); time.sleep(600)"
    )
    launcher = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    pid = int(launcher.stdout.readline())
    server = psutil.Process(pid).ppid()
    helper = helper_of(place)
    launcher.kill()
    launcher.communicate()
    wait_until(lambda: gone(pid) and gone(server) and gone(helper))


def test_what_is_imported_ahead_keeps_no_time_of_its_own() -> None:
    """The clock of the load is set to UTC on import: in each process, not when the server was started."""
    script = "import sys, genkai.load.forkserver as f; f.import_ahead(); print('genkai.load.http.clock' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_a_free_port_is_none_that_a_connection_takes_before_its_process_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "range").write_text("19990\t60999\n")
    monkeypatch.setattr(process, "PORT_RANGE", tmp_path / "range")
    monkeypatch.setattr(process, "PORTS_FROM", 19_940)
    with ExitStack() as held:
        for port in range(19_941, 19_990):
            listener = held.enter_context(socket.socket())
            with suppress(OSError):  # somebody else has it: as well
                listener.bind(("127.0.0.1", port))
        assert free_port() == 19_940
    (tmp_path / "range").write_text("1024\t65535\n")
    assert free_port() > 1024, "all ports are ephemeral: any that is free"
