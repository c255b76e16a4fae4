"""Every notebook runs by hand, as JupyterLab runs it: in its own folder, with its defaults, on the recorded sample."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NAMES = sorted(p.stem for p in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Notebooks and sample, copied: a kernel's working directory is a real path."""
    place = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "notebooks", place / "notebooks")
    shutil.copytree(ROOT / "data/sample", place / "data/sample")
    shutil.copytree(ROOT / "data/plans", place / "data/plans")
    return place


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_with_its_defaults(name: str, project: Path) -> None:
    book = nbformat.read(project / f"notebooks/{name}.ipynb", as_version=4)
    client = NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": project / "notebooks"}}
    )
    client.execute()
    shown = [o for c in book.cells if c.cell_type == "code" for o in c.outputs]
    assert not [o for o in shown if o.output_type == "error" or o.get("name") == "stderr"]
    assert [o for o in shown if o.output_type in ("execute_result", "display_data")]


def test_the_sample_was_only_read(project: Path) -> None:
    """Runs after the others in this file: what they wrote is not in the recorded folder."""
    for path in (ROOT / "data/sample").rglob("*"):
        if path.is_file():
            assert (project / "data/sample" / path.relative_to(ROOT / "data/sample")).read_bytes() == path.read_bytes()
    copied = {p.relative_to(project / "data/sample") for p in (project / "data/sample").rglob("*")}
    assert copied == {p.relative_to(ROOT / "data/sample") for p in (ROOT / "data/sample").rglob("*")}
