"""The strict runner: unknown parameters, failing cells, time-outs and missing artifacts are errors of one paragraph."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest

from genkai import notebooks
from genkai.notebooks import NotebookError, WarmKernel, check_artifacts, check_parameters, run_notebook


@pytest.fixture(scope="module")
def kernel() -> Iterator[WarmKernel]:
    with WarmKernel() as ready:
        yield ready


def write_notebook(folder: Path, *code: str) -> str:
    book = nbformat.v4.new_notebook()
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    first = nbformat.v4.new_code_cell("step: str = 'a'  # which step\ncount: int = 1  # how many")
    first.metadata["tags"] = ["parameters"]
    book.cells = [first, *(nbformat.v4.new_code_cell(text) for text in code)]
    nbformat.write(book, folder / "book.ipynb")
    return "book"


def test_it_runs_with_its_parameters_and_prints_as_it_goes(tmp_path: Path, kernel: WarmKernel) -> None:
    name, told = write_notebook(tmp_path, "print('step', step, count)"), io.StringIO()
    output = run_notebook(name, tmp_path / "out.ipynb", {"step": "b"}, kernel=kernel, stdout=told, folder=tmp_path)
    assert "step b 1" in told.getvalue()
    assert "step b 1" in output.read_text()


def test_an_unknown_parameter_is_refused_before_anything_runs(tmp_path: Path, kernel: WarmKernel) -> None:
    name = write_notebook(tmp_path)
    with pytest.raises(NotebookError, match=r"unknown parameter stp; expected one of: step \(which step\), count"):
        run_notebook(name, tmp_path / "out.ipynb", {"stp": "b"}, kernel=kernel, folder=tmp_path)
    assert not (tmp_path / "out.ipynb").exists()


def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path, kernel: WarmKernel) -> None:
    name, told = write_notebook(tmp_path, "open('/dev/full', 'w', buffering=1).write('no room\\n')"), io.StringIO()
    with pytest.raises(NotebookError, match=r"No space left on device; make room on the disk, then go on with"):
        run_notebook(name, tmp_path / "out.ipynb", {}, kernel=kernel, stdout=told, folder=tmp_path)


def test_a_cell_that_fails_is_told_and_the_copy_is_kept(tmp_path: Path, kernel: WarmKernel) -> None:
    name = write_notebook(tmp_path, "1 / 0")
    with pytest.raises(NotebookError, match=r"book\.ipynb, cell 3: ZeroDivisionError: division by zero") as caught:
        run_notebook(name, tmp_path / "out.ipynb", {"step": "b"}, kernel=kernel, folder=tmp_path)
    assert "\n" not in str(caught.value)
    assert "ZeroDivisionError" in (tmp_path / "out.ipynb").read_text()


def test_an_error_of_ours_speaks_for_itself(tmp_path: Path, kernel: WarmKernel) -> None:
    name = write_notebook(tmp_path, "from genkai.planfile import read_plan\nread_plan('none.yaml')")
    with pytest.raises(NotebookError, match=r"cell 2: none\.yaml: expected a readable plan file"):
        run_notebook(name, tmp_path / "out.ipynb", {}, kernel=kernel, folder=tmp_path)


def test_a_cell_that_takes_too_long_is_ended(tmp_path: Path, kernel: WarmKernel) -> None:
    name = write_notebook(tmp_path, "import time\ntime.sleep(60)")
    with pytest.raises(NotebookError, match="CellTimeoutError"):
        run_notebook(name, tmp_path / "out.ipynb", {}, kernel=kernel, timeout_s=1, folder=tmp_path)


def test_a_dead_kernel_is_an_error(tmp_path: Path, kernel: WarmKernel) -> None:
    name = write_notebook(tmp_path, "import os\nos._exit(1)")
    with pytest.raises(NotebookError, match="DeadKernelError"):
        run_notebook(name, tmp_path / "out.ipynb", {}, kernel=kernel, folder=tmp_path)


def test_a_notebook_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotebookError, match=r"expected a notebook, got no file; run genkai in the project's folder"):
        check_parameters(tmp_path / "none.ipynb", {})


def test_a_promised_artifact_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NotebookError, match=r"20_launch: expected it to write step-api\.json"):
        check_artifacts("20_launch", tmp_path, {"step": "api"})
    (tmp_path / "step-api.json").write_text("{}")
    check_artifacts("20_launch", tmp_path, {"step": "api"})


def test_a_kernel_is_used_again_and_empty(tmp_path: Path, kernel: WarmKernel) -> None:
    """Nothing of the notebook before is left, and its cells are numbered from one."""
    name = write_notebook(tmp_path, "import os\nsecret = 1\nprint('pid', os.getpid())")
    first = run_notebook(name, tmp_path / "a.ipynb", {}, kernel=kernel, folder=tmp_path).read_text()
    name = write_notebook(tmp_path, "import os\nprint('pid', os.getpid(), 'secret' in globals())")
    second = run_notebook(name, tmp_path / "b.ipynb", {}, kernel=kernel, folder=tmp_path).read_text()
    pid = re.search(r"pid (\d+)", first).group(1)
    assert f"pid {pid} False" in second
    counts = [c["execution_count"] for c in json.loads(second)["cells"] if c["cell_type"] == "code"]
    assert counts == [1, 2]


def test_no_kernel_outlives_its_owner() -> None:
    with WarmKernel() as owner:
        pid = owner._kernel.provisioner.process.pid
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_the_real_notebooks_declare_what_the_cycle_gives_them() -> None:
    folder = Path(__file__).parent.parent / "notebooks"
    for name in notebooks.ARTIFACTS:
        given = {"cycle": "x", "lang": "en"} | (
            {"step": "verify", "keep_going": True, "web": True} if name == "20_launch" else {}
        )
        check_parameters(folder / f"{name}.ipynb", given)


def test_the_profile_notebook_shows_a_profile_by_papermill(tmp_path: Path, kernel: WarmKernel) -> None:
    root = Path(__file__).parent.parent
    given = {"profile": str(root / "data/sample/profile"), "lang": "ja"}
    made = run_notebook(
        "90_profile", tmp_path / "90.ipynb", given, kernel=kernel, folder=root / "notebooks"
    ).read_text()
    assert "spin (shop.py)" in made
    assert "自身の計算時間の長い関数" in made


def test_every_output_of_a_kernel_that_just_became_ready_is_caught(tmp_path: Path, kernel: WarmKernel) -> None:
    """A client that took a kernel for ready before it had subscribed to the outputs would lose the first ones."""
    name = write_notebook(tmp_path, "print('first')", "step + '!'")
    for count in range(10):
        made = run_notebook(name, tmp_path / f"{count}.ipynb", {}, kernel=kernel, folder=tmp_path)
        outputs = [c["outputs"] for c in json.loads(made.read_text())["cells"] if c["cell_type"] == "code"][-2:]
        assert [o["output_type"] for found in outputs for o in found] == ["stream", "execute_result"]


def test_a_kernel_for_load_has_its_fork_server_and_takes_it_along(tmp_path: Path) -> None:
    with WarmKernel(for_load=True) as owner:
        (server,) = psutil.Process(owner._kernel.provisioner.process.pid).children()
        assert "genkai.load.forkserver" in server.cmdline()
    psutil.wait_procs([server], timeout=30)
    assert not server.is_running()
