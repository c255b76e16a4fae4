"""Kernels forked off one process: they have what it computed, run side by side, and end with it, whatever ends us."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from genkai.kernel_source import KernelSource
from genkai.notebooks import NotebookError, WarmKernel, run_notebook
from test_notebooks import write_notebook


@pytest.fixture(scope="module")
def source() -> Iterator[KernelSource]:
    with KernelSource("import json; json.computed = [1]") as ready:
        yield ready


def outputs(made: Path) -> list[str]:
    cells = json.loads(made.read_text())["cells"]
    return ["".join(o["text"]) for c in cells for o in c.get("outputs", []) if o["output_type"] == "stream"]


def test_a_kernel_has_what_was_computed_before_it_and_nothing_of_another(tmp_path: Path, source: KernelSource) -> None:
    name = write_notebook(tmp_path, "import json, os; json.computed.append(step); print(json.computed, os.getpid())")
    with WarmKernel(source=source) as one, WarmKernel(source=source) as other, ThreadPoolExecutor(2) as working:

        def run(kernel: WarmKernel, step: str) -> Path:
            return run_notebook(name, tmp_path / f"{step}.ipynb", {"step": step}, kernel=kernel, folder=tmp_path)

        made = [outputs(path)[0].split(" ") for path in working.map(run, (one, other), ("b", "c"))]
        assert [words[:2] for words in made] == [["[1,", "'b']"], ["[1,", "'c']"]]
        pids = [int(words[2]) for words in made]
        assert pids == [k._kernel.provisioner.process.pid for k in (one, other)]
    psutil.wait_procs(gone := [psutil.Process(p) for p in pids if psutil.pid_exists(p)], timeout=30)
    assert not any(p.is_running() for p in gone)


def test_a_kernel_that_dies_is_told_in_one_paragraph(tmp_path: Path, source: KernelSource) -> None:
    name = write_notebook(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with WarmKernel(source=source) as kernel, pytest.raises(NotebookError, match=r"[Kk]ernel died"):
        run_notebook(name, tmp_path / "out.ipynb", {}, kernel=kernel, folder=tmp_path)


def test_code_that_fails_leaves_the_source_as_it_was(tmp_path: Path, source: KernelSource) -> None:
    source.run("1 / 0")
    source.run("json.computed.append(2)")  # names last from one order to the next
    name = write_notebook(tmp_path, "import json; print(json.computed)")
    with WarmKernel(source=source) as kernel:
        made = run_notebook(name, tmp_path / "out.ipynb", {}, kernel=kernel, folder=tmp_path)
    assert outputs(made) == ["[1, 2]\n"]


def test_a_source_that_has_died_is_said_so(tmp_path: Path) -> None:
    wrong = pytest.raises(RuntimeError, match="kernel source: expected a kernel, got exit code 7")
    with KernelSource("import os; os._exit(7)") as dead, wrong:
        dead.fork(["-f", str(tmp_path / "nothing.json")])


def test_source_and_kernels_end_with_the_process_that_wanted_them(tmp_path: Path) -> None:
    """Also where nobody could say goodbye."""
    script = (
        "import os, signal\n"
        "from genkai.kernel_source import KernelSource\n"
        "from genkai.notebooks import WarmKernel\n"
        "source = KernelSource('import json')\n"
        "kernel = WarmKernel(source=source).start()\n"
        "print(source._process.pid, kernel._kernel.provisioner.process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    own = os.environ | {"TMPDIR": str(tmp_path)}  # for what a kernel that is killed cannot remove
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200, env=own)
    assert ran.returncode == -signal.SIGKILL
    left = [psutil.Process(int(pid)) for pid in ran.stdout.split() if psutil.pid_exists(int(pid))]
    psutil.wait_procs(left, timeout=30)
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in left)
