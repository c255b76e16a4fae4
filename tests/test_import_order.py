"""The architecture is a promise: modules import only upward in docs/design.md, and no kernel ever imports locust."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIB = ROOT / "lib/genkai"


def _order() -> list[str]:
    """The names in the block under "Import order" of docs/design.md."""
    block = re.search(r"## Import order.*?```\n(.*?)```", (ROOT / "docs/design.md").read_text(), re.S).group(1)
    names: list[str] = []
    for line in block.splitlines():
        words = line.split()
        names += words if "  " in line.strip() and not line.startswith(words[0] + " " * 3) else words[:1]
    return [n.rstrip("/") for n in names]


ORDER = _order()


def _part(module: str) -> str:
    return module.split(".")[1]


def _imports(path: Path) -> set[str]:
    """Top-level parts of genkai that a file imports, whether at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            modules = [f"{node.module}.{a.name}" for a in node.names] if node.module == "genkai" else [node.module]
        elif isinstance(node, ast.Import):
            modules = [a.name for a in node.names]
        else:
            continue
        found |= {_part(m) for m in modules if m.startswith("genkai.") and _part(m) != "__version__"}
    return found


def test_the_design_names_every_part() -> None:
    parts = {p.stem if p.suffix else p.name for p in LIB.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert parts - {"__init__", "__main__"} == set(ORDER)


@pytest.mark.parametrize("path", sorted(LIB.rglob("*.py")), ids=lambda p: str(p.relative_to(LIB)))
def test_imports_go_upward_only(path: Path) -> None:
    own = path.relative_to(LIB).parts[0].removesuffix(".py")
    if own in ("__init__", "__main__"):
        return
    allowed = set(ORDER[: ORDER.index(own) + 1])
    assert _imports(path) <= allowed, f"{path.relative_to(ROOT)} may import only {', '.join(ORDER[: ORDER.index(own)])}"


def test_only_load_imports_locust_or_gevent() -> None:
    wrong = [
        str(p.relative_to(ROOT))
        for p in LIB.rglob("*.py")
        if p.relative_to(LIB).parts[0] != "load"
        and re.search(r"^\s*(import|from) (locust|gevent)\b", p.read_text(), re.M)
    ]
    assert wrong == []


def test_what_notebooks_import_does_not_bring_locust_along() -> None:
    """Locust's gevent patch hangs a Jupyter kernel."""
    script = (
        "import sys\n"
        + "\n".join(f"import genkai.{n}" for n in ORDER if n not in ("load", "demo"))
        + "\nprint([m for m in ('locust', 'gevent') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("path", sorted(LIB.rglob("*.py")), ids=lambda p: str(p.relative_to(LIB)))
def test_modules_are_short(path: Path) -> None:
    assert path.read_text().count("\n") <= 300, "is it two things?"


@pytest.mark.parametrize("path", sorted(LIB.rglob("*.py")), ids=lambda p: str(p.relative_to(LIB)))
def test_functions_can_be_read_in_one_breath(path: Path) -> None:
    functions = [
        n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [
        f"{f.name}: {f.end_lineno - f.lineno + 1} lines" for f in functions if f.end_lineno - f.lineno + 1 > 50
    ] == []


@pytest.mark.parametrize("path", sorted(LIB.rglob("*.py")), ids=lambda p: str(p.relative_to(LIB)))
def test_public_things_say_what_they_are(path: Path) -> None:
    tree = ast.parse(path.read_text())
    public = [
        n for n in ast.walk(tree)
        if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) and not n.name.startswith("_")
    ]  # fmt: skip
    inner = {id(i) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef) for i in ast.walk(f)
             if i is not f}  # fmt: skip
    assert ast.get_docstring(tree) or not tree.body, "the module itself"
    assert [n.name for n in public if id(n) not in inner and not ast.get_docstring(n)] == []
