"""Generator health: the quantile, and what is read from /proc."""

import contextlib
import os
import socket
import subprocess
import sys

import psutil
import pytest

from genkai.load.counters import count_fds, count_ports_left, count_time_wait, run_queue_wait_s
from genkai.load.health import quantile_of
from sshd import wait_until


@pytest.mark.parametrize(
    ("values", "quantile", "expected"),
    [([], 0.99, None), ([3.0], 0.99, 3.0), ([float(n) for n in range(100, 0, -1)], 0.99, 99.0),
     ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0), ([1.0, 2.0], 0.0, 1.0)],
)  # fmt: skip
def test_the_quantile_is_the_nearest_rank(values: list[float], quantile: float, expected: float | None) -> None:
    assert quantile_of(values, quantile) == expected


def test_descriptors_are_counted() -> None:
    before = count_fds()
    with open(os.devnull):
        assert count_fds() == before + 1


def test_time_wait_sockets_are_counted_as_the_kernel_lists_them() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(200):
            with socket.create_connection(listener.getsockname()) as connection:
                other, _address = listener.accept()
                connection.shutdown(socket.SHUT_WR)
                other.close()
                connection.recv(1)

    def listed() -> int:
        return sum(c.status == psutil.CONN_TIME_WAIT for c in psutil.net_connections("tcp"))

    assert listed() >= 200
    assert wait_until(lambda: count_time_wait() == pytest.approx(listed(), rel=0.1)), "others open and close them too"


def test_open_connections_take_ports() -> None:
    """300, again and again until nobody else on this machine closed many of theirs meanwhile."""

    def taken() -> int:
        with socket.create_server(("127.0.0.1", 0), backlog=400) as listener, contextlib.ExitStack() as stack:
            before = count_ports_left()
            for _ in range(300):
                stack.enter_context(socket.create_connection(listener.getsockname()))
            return before - count_ports_left()

    assert wait_until(lambda: taken() >= 250, 60)


def test_two_that_want_one_cpu_wait_for_it() -> None:
    """The kernel's own count: of two spinning processes on one CPU each waits for about half of the time."""
    script = (
        "import os, time; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from genkai.load.counters import run_queue_wait_s\n"
        "before, start = run_queue_wait_s(), time.monotonic()\n"
        "while time.monotonic() < start + 1: pass\n"
        "print(run_queue_wait_s() - before)"
    )
    both = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    waited = [float(process.communicate(timeout=60)[0]) for process in both]
    assert sum(waited) > 0.3
    assert run_queue_wait_s() is not None


SCRIPT = """
import gevent, time
from genkai.load.health import Health
health = Health(time.perf_counter)
gevent.sleep(0.1)
began, used = time.perf_counter(), time.process_time()
health.read(0, 0, 0)
inside = time.perf_counter()
end = time.process_time() + 0.5
while time.process_time() < end:
    pass
gevent.sleep(0.05)
health.slip += [0.001, 0.002]
inside = time.perf_counter() - inside
row = health.read(1, 4, 2)
least = 0.5 / (time.perf_counter() - began)  # however little of a core the machine had to spare meanwhile
most = (time.process_time() - used) / inside
print(0 <= row["steal_ratio"] <= 1, row["run_queue_wait_ratio"] >= 0, 0 < row["ports_left"] < 65536)
print(least <= row["cpu_ratio"] <= most, row["loop_lag_p99_s"] > 0.3)
print(row["schedule_slip_p99_s"], row["in_flight"], row["users"])
"""


def test_a_busy_process_shows_cpu_and_a_late_loop() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["True"] * 5 + ["0.002", "4", "2"]
