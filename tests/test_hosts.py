"""hosts: commands under lease on this machine and over a real sshd on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import pytest

from genkai import hosts
from sshd import Sshd, needs_sshd, process_lines, wait_until


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def test_run_here_gives_the_output():
    assert hosts.run(None, "echo a; echo b") == "a\nb\n"


def test_run_names_host_code_and_last_error_line():
    with pytest.raises(hosts.HostError, match=r"this machine: expected exit code 0, got 3 \(no such thing\)"):
        hosts.run(None, "echo first >&2; echo no such thing >&2; exit 3")


def test_run_ends_a_command_that_takes_too_long(tmp_path):
    mark = str(tmp_path / "mark")
    with pytest.raises(hosts.HostError, match=r"within 0\.3 s"):
        hosts.run(None, f"sleep 77; : {mark}", timeout_s=0.3)
    assert wait_until(lambda: not process_lines(mark))


def test_a_destination_that_looks_like_an_option_is_refused():
    with pytest.raises(hosts.HostError, match="destination"):
        hosts.run("-oProxyCommand=touch /tmp/x", "true")


def test_start_appends_and_stop_ends_the_command(tmp_path):
    output = tmp_path / "out.log"
    output.write_text("before\n")
    process = hosts.start(None, "sh -c 'echo begun; exec sleep 1234.5'", output, 60)
    assert wait_until(lambda: output.read_text() == "before\nbegun\n")
    process.close()
    assert process.poll() is not None
    assert wait_until(lambda: not process_lines("1234.5"))


def test_a_command_that_ends_by_itself_leaves_no_watcher(tmp_path):
    """It ends when the test says so, not after a time: it must have been seen before."""
    mark = str(tmp_path / "end")
    process = hosts.start(None, f"sh -c 'until [ -e {mark} ]; do sleep 0.05; done'", tmp_path / "out", 600)
    try:
        assert wait_until(lambda: process_lines(mark))
        Path(mark).touch()
        assert process.wait(10) == 0
        assert wait_until(lambda: not process_lines(mark))
    finally:
        process.close()


def test_what_a_command_leaves_running_on_purpose_stays(tmp_path):
    """A user's command that resizes the target may start a server; only a lease that ends takes all with it."""
    hosts.run(None, f"sh -c 'nohup sleep 6{os.getpid()}.5 >/dev/null 2>&1 </dev/null &'", 20)
    mark = f"sleep 6{os.getpid()}.5"
    try:
        # the shells of the lease, whose command line has the mark, too, may take a moment to be gone
        assert wait_until(lambda: [line.split(" ", 1)[1].strip() for line in process_lines(mark)] == [mark])
    finally:
        for line in process_lines(mark):
            with suppress(ProcessLookupError):
                os.kill(int(line.split()[0]), signal.SIGKILL)


def test_a_lease_that_ends_while_the_command_begins_leaves_nothing(tmp_path):
    """Where `timeout` alone was told, a command in thirty went on without it."""
    asleep = f"sleep 4{os.getpid()}.25"
    script = hosts.leased(asleep, 60)
    for turn in range(40):
        shells = [
            subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(6)
        ]
        time.sleep(turn % 10 * 2e-4)  # the moment that matters is within the first milliseconds
        for shell in shells:
            shell.stdin.close()
        for shell in shells:
            shell.wait(10)
    left = process_lines(asleep)
    for line in left:
        os.kill(int(line.split()[0]), signal.SIGKILL)
    assert not left


def test_the_time_limit_ends_the_command(tmp_path):
    process = hosts.start(None, "sleep 4321", tmp_path / "out", 1)
    try:
        assert process.wait(10) == 124
        assert wait_until(lambda: not process_lines("sleep 4321"))
    finally:
        process.close()


KILLED = """
import sys, time
from pathlib import Path
from genkai import hosts
ssh = sys.argv[1] or None
kept = hosts.start(ssh, "sh -c 'while :; do echo x; sleep 0.2; : MARK; done'".replace("MARK", sys.argv[2]),
                   Path(sys.argv[3]), 600, sys.argv[4:])
quiet = hosts.start(ssh, "sh -c 'sleep 500; : MARK'".replace("MARK", sys.argv[2]), Path(sys.argv[3] + "2"), 600,
                    sys.argv[4:])
time.sleep(100)
"""


def killed_parent_leaves_nothing(destination, options, tmp_path):
    mark = f"mark-{os.getpid()}-{time.monotonic_ns()}"
    output = tmp_path / "out"
    # A second copy of the mark in our own argument list would be found among the processes: pass it reversed.
    code = KILLED.replace("sys.argv[2]", "sys.argv[2][::-1]")
    parent = subprocess.Popen([sys.executable, "-c", code, destination or "", mark[::-1], str(output), *options])
    try:
        assert wait_until(lambda: output.exists() and output.stat().st_size > 4, 20)
        assert wait_until(lambda: len(process_lines(mark)) >= 2, 20)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert wait_until(lambda: not process_lines(mark), 30), process_lines(mark)


def test_kill_9_leaves_no_local_process(tmp_path):
    killed_parent_leaves_nothing(None, (), tmp_path)


@needs_sshd
def test_kill_9_leaves_no_remote_process(sshd, tmp_path):
    killed_parent_leaves_nothing(sshd.destination, sshd.options, tmp_path)


@needs_sshd
def test_run_over_ssh(sshd):
    said = hosts.run(sshd.destination, 'echo "it\'s $((40 + 2))"', ssh_options=sshd.options)
    assert said == "it's 42\n"


@needs_sshd
def test_run_over_ssh_says_why_it_failed(sshd):
    with pytest.raises(hosts.HostError, match=r"expected exit code 0, got 7 \(broken\)"):
        hosts.run(sshd.destination, "echo broken >&2; exit 7", ssh_options=sshd.options)


@needs_sshd
def test_unreachable_host_is_one_paragraph(sshd):
    options = ("-o", f"Port={sshd.closed_port()}", *sshd.options)
    with pytest.raises(hosts.HostError, match=r"got 255 .*try the same by hand: ssh") as caught:
        hosts.run(sshd.destination, "true", ssh_options=options)
    assert "\n" not in str(caught.value)


@needs_sshd
def test_clock_offset_of_the_same_clock_is_within_its_uncertainty(sshd):
    offset = hosts.clock_offset(sshd.destination, ssh_options=sshd.options)
    assert abs(offset.offset_s) <= offset.uncertainty_s
    assert offset.uncertainty_s < 5
    assert offset.record()["method"] == "ssh ping-pong"


@needs_sshd
def test_clock_offset_of_an_unreachable_host(sshd):
    options = ("-o", f"Port={sshd.closed_port()}", *sshd.options)
    with pytest.raises(hosts.HostError, match="expected the time"):
        hosts.clock_offset(sshd.destination, ssh_options=options)


def test_the_same_machine_has_no_offset():
    assert hosts.clock_offset(None).offset_s == 0.0


def test_importing_hosts_starts_nothing():
    code = textwrap.dedent("""
        import threading
        import genkai.hosts
        assert threading.active_count() == 1
    """)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
