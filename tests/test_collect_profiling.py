"""Real processes profiled by py-spy and by Flight Recorder, here and over ssh; nothing stays behind."""

import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from genkai.collect.errors import CollectError
from genkai.collect.profiling import Capture, Target, find_targets, rehearse
from genkai.plan import Host
from profiled import JAVA, PYTHON
from sshd import Sshd, needs_sshd, process_lines, wait_until

needs_java = pytest.mark.skipif(
    not all(shutil.which(name) for name in ("java", "javac", "jcmd", "jfr")),
    reason="needs a JDK (java, javac, jcmd, jfr)",
)
needs_py_spy = pytest.mark.skipif(
    "CI" not in os.environ and not (Path(sys.executable).with_name("py-spy").exists() or shutil.which("py-spy")),
    reason="needs py-spy, which the lock installs (extra profile)",
)
LOCAL = Host(name="local")


def leaves(table: pd.DataFrame) -> dict[tuple[str, str], float]:
    """{(innermost function, kind): seconds}."""
    named = table.assign(leaf=table["stack"].str.split(";").str[-1].str.split(" ").str[0])
    return named.groupby(["leaf", "kind"])["seconds"].sum().to_dict()


@pytest.fixture(scope="module")
def python_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen]:
    program = tmp_path_factory.mktemp("served") / "lockshop.py"
    program.write_text(PYTHON)
    with subprocess.Popen([sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


@needs_py_spy
def test_python_computing_and_lock_waits_are_told_apart(python_process: subprocess.Popen, tmp_path: Path) -> None:
    found = find_targets(Host(name="local", profile=["lockshop.py"]))
    assert [(t.pid, t.runtime) for t in found] == [(python_process.pid, "python")]
    capture = Capture(found, "limit", 2, tmp_path)
    table, notes = capture.read()
    seen = leaves(table)
    assert set(notes) <= {f"local:{python_process.pid}: py-spy came behind in sampling"}, "on a busy machine"
    assert seen["reserve", "lock"] > 1.0, "two of three threads wait for the lock most of the time"
    assert seen["critical", "sleep"] > 0.5
    assert ("watch", "io") not in seen or seen["watch", "io"] > 1.0
    assert sum(s for (leaf, kind), s in seen.items() if kind == "cpu") > 0
    assert capture.cpu_s is not None
    assert capture.ended


@needs_sshd
def test_the_same_over_ssh_and_nothing_stays_when_we_stop(
    python_process: subprocess.Popen, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("sshd")
    with Sshd(folder) as server:
        path = f"PATH={Path(sys.executable).parent}:{os.environ['PATH']}"
        host = Host(name="app-1", ssh=server.destination, profile=["lockshop.py"])
        options = (*server.options, "-o", f"SetEnv={path}")
        (target,) = find_targets(host, ssh_options=options)
        assert (target.host, target.pid) == ("app-1", python_process.pid)
        marker = f"record -f raw --function --threads --idle --native -r 100 -d 55 -p {target.pid}"
        capture = Capture([target], "limit", 55, folder / "raw", ssh_options=options)
        try:
            assert wait_until(lambda: bool(process_lines(marker)) or capture.ended), "the profiler runs there"
        finally:
            capture.close()
        assert wait_until(lambda: not process_lines(marker)), "nothing of ours stays there"


@needs_java
def test_java_computing_and_lock_waits_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "Shop.java").write_text(JAVA)
    subprocess.run(["javac", "Shop.java"], cwd=tmp_path, check=True)
    with subprocess.Popen(
        ["java", "-Xmx64m", "Shop"], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        url, ended = f"http://127.0.0.1:{process.stdout.readline().strip()}/", threading.Event()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

        def ask() -> None:
            while not ended.is_set():
                opener.open(url, timeout=10).close()

        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            found = find_targets(LOCAL, [process.pid])
            assert found[0].runtime == "java"
            before = set(Path("/tmp").glob("tmp.*"))
            table, _ = Capture(found, "limit", 3, tmp_path / "raw").read()
            left = [p for p in set(Path("/tmp").glob("tmp.*")) - before if (p / "genkai.jfc").exists()]
        finally:
            ended.set()
            for client in clients:
                client.join()
            process.terminate()  # killed, it would leave the recorder's folder and its socket in /tmp
    seen = leaves(table)
    assert seen["Shop.reserve", "lock"] > seen["Shop.critical", "sleep"] > 0.5
    assert seen["Shop.spin", "cpu"] > 0
    assert left == []


@needs_py_spy
def test_what_cannot_be_profiled_is_told(python_process: subprocess.Popen, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            with pytest.raises(
                CollectError, match=rf"local: expected Python or Java, got process {other.pid} \(sleep 60"
            ):
                find_targets(LOCAL, [other.pid])
            fake = Target("local", None, other.pid, "python", "sleep 60")
            with pytest.raises(CollectError, match=rf"local:{other.pid} \(sleep 60\): expected stacks .* no CPython"):
                rehearse([fake], tmp_path)
        finally:
            other.kill()
    with pytest.raises(CollectError, match=f"local: expected process {other.pid}, got none; it ended"):
        find_targets(LOCAL, [other.pid])
    with pytest.raises(CollectError, match="local: expected a process like no-such-thing, got none; name part of"):
        find_targets(Host(name="local", profile=["no-such-thing"]))
    with pytest.raises(CollectError, match="expected the plan to name the processes to profile"):
        find_targets(LOCAL)
    gone = Target("local", None, other.pid, "python", "gone")
    with pytest.raises(CollectError, match="got no such process; it ended, or the process id is wrong"):
        rehearse([gone], tmp_path)


def test_a_missing_profiler_and_a_missing_permission_are_told(
    python_process: subprocess.Popen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target("local", None, python_process.pid, "python", "lockshop.py")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    if shutil.which("py-spy") is None:
        with pytest.raises(CollectError, match="no py-spy there; install it there"):
            rehearse([target], tmp_path)
    denied = tmp_path / "py-spy"
    denied.write_text("#!/bin/sh\necho 'Permission Denied: Try running again with elevated permissions' >&2\nexit 1\n")
    denied.chmod(0o755)
    with pytest.raises(CollectError, match=r"no permission to read another process \(ptrace\)"):
        rehearse([target], tmp_path)


@needs_py_spy
def test_a_process_that_ends_meanwhile_leaves_what_was_seen(tmp_path: Path) -> None:
    program = tmp_path / "short.py"
    program.write_text(
        "import time\nprint('ready', flush=True)\nend = time.time() + 60\nwhile time.time() < end: pass\n"
    )
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        capture = Capture(find_targets(LOCAL, [process.pid]), "limit", 30, tmp_path / "raw")
        raw = tmp_path / f"raw/limit.local.{process.pid}.txt"
        try:
            assert wait_until(lambda: "Sampling process" in raw.read_text())
            time.sleep(1)  # py-spy tells what it saw at its end only
        finally:
            process.kill()
        table, notes = capture.read()
    assert table["seconds"].sum() > 0
    # beside it, py-spy may have missed a sample of the process on its way out
    assert f"local:{process.pid}: the process ended while it was profiled" in notes
