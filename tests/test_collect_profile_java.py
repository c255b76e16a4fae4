"""Flight Recorder's print-out: which methods, and how long they ran or waited."""

import pytest

from genkai.collect.errors import CollectError
from genkai.collect.profile_java import EVENTS, explain_java, java_command, parse_java, settings

PRINTED = """jdk.ExecutionSample {
  startTime = 16:27:38.077
  sampledThread = "pool-1-thread-6" (javaThreadId = 20)
  state = "STATE_RUNNABLE"
  stackTrace = [
    Shop.spin(int) line: 4
    Shop.lambda$main$0(HttpExchange) line: 10
    ...
  ]
}

jdk.ThreadPark {
  duration = 41.5 ms
  parkedClass = java.util.concurrent.locks.ReentrantLock$NonfairSync (classLoader = bootstrap)
  eventThread = "pool-1-thread-6" (javaThreadId = 20)
  stackTrace = [
    jdk.internal.misc.Unsafe.park(boolean, long)
    java.util.concurrent.locks.LockSupport.park(Object) line: 211
    java.util.concurrent.locks.ReentrantLock.lock() line: 322
    Shop.reserve() line: 6
  ]
}

jdk.ThreadPark {
  duration = 1 m 2 s
  parkedClass = java.util.concurrent.locks.AbstractQueuedSynchronizer$ConditionObject (classLoader = bootstrap)
  eventThread = "pool-1-thread-7" (javaThreadId = 21)
  stackTrace = [
    java.util.concurrent.locks.LockSupport.park() line: 341
    java.util.concurrent.LinkedBlockingQueue.take() line: 435
    java.util.concurrent.ThreadPoolExecutor.getTask() line: 1062
  ]
}

jdk.ThreadSleep {
  duration = 1.00 s
  eventThread = "timer" (javaThreadId = 22)
  stackTrace = [
    java.lang.Thread.sleep(long)
    Cleaner.run() line: 1
  ]
}

jdk.ThreadSleep {
  duration = 1.00 s
  eventThread = "timer" (javaThreadId = 22)
  stackTrace = [
    java.lang.Thread.sleep(long)
    Cleaner.run() line: 1
  ]
}

jdk.GCPhasePause {
  duration = 1.00 s
}
"""


def test_events_become_stacks_with_their_time() -> None:
    spin, reserve, take, *timer = parse_java(PRINTED.splitlines())
    assert (spin.frames, spin.kind, spin.seconds) == (("Shop.lambda$main$0", "Shop.spin"), "cpu", 0.01)
    assert (reserve.frames, reserve.kind, reserve.seconds) == (("Shop.reserve",), "lock", 0.0415)
    assert (take.frames[-1], take.kind, take.seconds) == ("java.util.concurrent.LinkedBlockingQueue.take", "idle", 62.0)
    assert [t.kind for t in timer] == ["idle", "idle"], "a thread that only ever sleeps serves no request"


def test_an_empty_recording_is_told() -> None:
    with pytest.raises(CollectError, match="jfr: expected samples, got none"):
        parse_java(["jdk.GCPhasePause {", "}"])


def test_the_settings_switch_on_what_is_read_and_nothing_else() -> None:
    import xml.etree.ElementTree as tree

    assert {e.get("name") for e in tree.fromstring(settings().split("\n", 1)[1])} == set(EVENTS)


@pytest.mark.parametrize(
    ("said", "told"),
    [("genkai: jcmd or jfr is not there", "install a JDK"), ("IOException: Operation not permitted", "as its user"),
     ("java.io.IOException: No such process", "no such process"), ("", "no message")],
)  # fmt: skip
def test_each_failure_says_what_to_do(said: str, told: str) -> None:
    assert told in explain_java(said)


def test_the_recording_is_limited_and_removed_however_it_ends() -> None:
    command = java_command(42, 10)
    assert "duration=40s" in command
    assert "JFR.stop" in command
    assert 'rm -rf "$d"' in command
