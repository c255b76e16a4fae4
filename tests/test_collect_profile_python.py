"""py-spy's frames: which functions, and what the thread did."""

import pytest

from genkai.collect.errors import CollectError
from genkai.collect.profile_python import classify, explain_python, parse_python, python_command, warnings_of

RUN = ["0x7f14503278ec (libc.so.6)", "Thread.run (threading.py:971)"]
LOCK = ["lock_PyThread_acquire_lock (libpython3.11.so.1.0)", "PyThread_acquire_lock_timed (libpython3.11.so.1.0)"]


@pytest.mark.parametrize(
    ("top", "kind", "leaf"),
    [
        (["spin (shop.py:3)"], "cpu", "spin (shop.py)"),
        (["spin (shop.py:3)", "PyBlake2_blake2b_compress (blake2b-ref.c:273)"], "cpu", "spin (shop.py)"),
        (["order (shop.py:9)", *LOCK], "lock", "order (shop.py)"),
        (["order (shop.py:9)", "Condition.wait (threading.py:295)", *LOCK], "lock", "order (shop.py)"),
        (["Queue.get (queue.py:154)", "Condition.wait (threading.py:295)", *LOCK], "idle", None),
        (["_worker (concurrent/futures/thread.py:69)", *LOCK], "idle", None),
        (["order (shop.py:9)", "take_gil (ceval_gil.h:1)", "pthread_cond_timedwait (libc.so.6)"], "gil", None),
        (["order (shop.py:9)", "time_sleep (libpython3.11.so.1.0)", "clock_nanosleep (libc.so.6)"], "sleep", None),
        (["EpollSelector.select (selectors.py:452)", "epoll_wait (libc.so.6)"], "idle", None),
        (["PollSelector.select (selectors.py:400)", "poll (libc.so.6)"], "idle", None),
        (["query (driver.py:1)", "PQgetResult (libpq.so.5)", "poll (libc.so.6)"], "io", "query (driver.py)"),
        (["read (client.py:1)", "sock_recv (socketmodule.c:3567)", "recv (libc.so.6)"], "io", None),
        (["f (a (1).py:2)"], "cpu", "f (a (1).py)"),
        # without native frames the last function has to tell
        (["order (shop.py:9)", "Condition.wait (threading.py:295)"], "lock", "order (shop.py)"),
        (["EpollSelector.select (selectors.py:452)"], "idle", None),
    ],
)
def test_the_call_at_the_top_says_what_the_thread_does(top: list[str], kind: str, leaf: str | None) -> None:
    frames, found, _ = classify([*RUN, *top])
    assert found == kind
    assert frames[0] == "Thread.run (threading.py)"
    assert leaf in (None, frames[-1])


def test_samples_become_seconds_and_a_parked_thread_is_idle() -> None:
    text = (
        "genkai-cpu 1 2 100\npy-spy> Sampling process 100 times a second for 3 seconds.\n\n"
        "thread (1): a;serve (x.py:1);spin (x.py:2) 60\n"
        "thread (1): a;serve (x.py:1);recv (x.py:3);recv (libc.so.6) 40\n"
        "thread (2): b;watch (y.py:1);select (libc.so.6) 100\ngenkai-cpu 61 2 100\n"
        "py-spy> Wrote raw flamegraph data to '/dev/stdout'. Samples: 200 Errors: 7\n"
    )
    found = parse_python(text)
    assert [(o.kind, o.seconds, o.samples) for o in found] == [("cpu", 0.6, 60), ("io", 0.4, 40), ("idle", 1.0, 100)]
    assert warnings_of(text) == ["py-spy failed to read 7 samples"]


@pytest.mark.parametrize("text", ["", "py-spy> Stopped sampling because process exited\n", "genkai-cpu 1 2 100\n"])
def test_no_sample_is_told(text: str) -> None:
    with pytest.raises(CollectError, match="py-spy: expected samples, got none"):
        parse_python(text)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("genkai: py-spy is not there", "no py-spy there; install it there"),
        ("Permission Denied: Try running again with elevated permissions", "no permission .*ptrace.*--sudo"),
        ("Error: Failed to get process executable name. Check that the process is running.", "no such process"),
        ("Error: Failed to find python version from target process", "no CPython"),
        ("sudo: a password is required", "sudo that asks for a password"),
        ("something else\nat last", "^at last$"),
        ("", "no message"),
    ],
)
def test_each_failure_says_what_to_do(said: str, told: str) -> None:
    import re

    assert re.search(told, explain_python(said))


def test_the_command_asks_for_root_only_when_told() -> None:
    assert "sudo" not in python_command(1, 5)
    assert "sudo -n" in python_command(1, 5, sudo=True)
