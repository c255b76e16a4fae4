"""Notebook conventions (CONTRIBUTING.md says them in short): each read by a stakeholder, each kept by a test."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = ["00_start_here", "10_plan", "20_launch", "30_monitor", "40_scale", "50_diagnose", "60_report", "90_profile"]
BANNED = re.compile(r"\b(def|class|for|while|try|with|open\(|pd\.read_|plt\.)")
STRIP = ["--keep-id", "--extra-keys",
         "metadata.papermill cell.metadata.papermill metadata.language_info metadata.widgets"]  # fmt: skip


def cells(path: Path, kind: str) -> list[dict]:
    return [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == kind]


def source(cell: dict) -> str:
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def test_the_notebooks_are_those_of_the_design() -> None:
    assert [p.stem for p in NOTEBOOKS] == NAMES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_title_is_a_question_and_the_first_cell_says_what_it_is(path: Path) -> None:
    first = source(cells(path, "markdown")[0])
    assert re.match(r"# .+\?\n", first)
    assert all(f"**{word}**" in first for word in ("Purpose", "Inputs", "Method", "Source"))
    titles = [t for c in cells(path, "markdown") for t in re.findall(r"^# .*", source(c), re.M)]
    assert len(titles) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_one_parameters_cell_typed_with_help(path: Path) -> None:
    tagged = [c for c in cells(path, "code") if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1
    for line in source(tagged[0]).splitlines():
        assert re.fullmatch(r'\w+: (str|bool|int|float) = ("[^"]*"|\w+|[\d.]+)  # \S.*', line), line


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_code_is_short_and_plain(path: Path) -> None:
    code = [source(c) for c in cells(path, "code")]
    assert len(code) <= 12
    assert all(len(text.splitlines()) <= 8 for text in code)
    assert not [text for text in code if BANNED.search(re.sub(r"#.*", "", text))]
    imports = [text for text in code if re.search(r"^(import|from) ", text, re.M)]
    assert len(imports) == 1
    assert all(line.startswith(("import ", "from ")) for line in imports[0].splitlines())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_prose_comes_before_code_and_a_reading_after_each_figure(path: Path) -> None:
    found = json.loads(path.read_text())["cells"]
    own = [i for i, c in enumerate(found) if c["cell_type"] == "code"][
        2:
    ]  # parameters and imports speak for themselves
    assert all(found[i - 1]["cell_type"] == "markdown" for i in own)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_number_of_a_measurement_stands_in_the_prose(path: Path) -> None:
    """Prose that quotes a result is wrong after the next run; shares of the method (±5 %) are not results."""
    text = "\n".join(source(c) for c in cells(path, "markdown"))
    assert not re.findall(r"\d+(?:\.\d+)? ?(?:rps|ms|users|seconds|requests)\b", text)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_names_used_are_names_that_exist(path: Path) -> None:
    """A page function that was renamed is found here, not by a user."""
    import importlib

    tree = ast.parse("\n".join(source(c) for c in cells(path, "code")))
    pages = {
        a.asname or a.name: importlib.import_module(f"genkai.pages.{a.name}")
        for n in ast.walk(tree)
        if isinstance(n, ast.ImportFrom) and n.module == "genkai.pages"
        for a in n.names
    }
    used = [
        (n.value.id, n.attr) for n in ast.walk(tree)
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id in pages
    ]  # fmt: skip
    assert used
    assert not [u for u in used if not hasattr(pages[u[0]], u[1])]


def test_git_holds_stripped_notebooks_only() -> None:
    command = [str(Path(sys.executable).parent / "nbstripout"), "--verify", *STRIP, *map(str, NOTEBOOKS)]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, (
        f"strip them: nbstripout {' '.join(STRIP)} notebooks/*.ipynb\n{found.stdout}{found.stderr}"
    )
