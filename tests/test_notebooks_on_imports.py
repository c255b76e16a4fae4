"""Notebooks 40, 50 and 60 run on what other tools measured: their own cells, in this process, cell after cell."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.formatters import DisplayFormatter

from genkai.study.foreign import import_results
from genkai.study.gatling import read_gatling
from genkai.study.hdr_log import read_hlog
from genkai.study.hey import HeyRuns
from genkai.study.jmeter import read_jtl
from genkai.study.k6 import read_k6
from genkai.study.vegeta import read_vegeta
from test_study_foreign import samples as jmeter_samples
from test_study_foreign import xml
from test_study_tools import LOADS, gatling_log, hey_file, hlog, k6_json, samples, vegeta_file

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
RATES = [{10_000: 2 * load - 2, 30_000: 2} for load in LOADS for _ in range(12)]
TOOLS = {
    "k6": lambda p: (read_k6, [k6_json(p / "a.json", samples())]),
    "gatling": lambda p: (read_gatling, [gatling_log(p / "a.log", samples(), 34)]),
    "vegeta": lambda p: (read_vegeta, [vegeta_file(p / "a.json", samples(lambda load: 2 * load), "json")]),
    "hdr": lambda p: (read_hlog, [hlog(p / "a.hlog", RATES)]),
    "hey": lambda p: (HeyRuns(LOADS), [hey_file(p / f"{c}.csv", c, max(0.1, c / 60)) for c in LOADS]),
    "jmeter": lambda p: (read_jtl, [xml(p / "a.xml", jmeter_samples())]),
}


def shown(name: str, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What each cell of a notebook displays, by media type, as a front end gets it."""
    space: dict[str, Any] = {}
    for cell in nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells:
        if cell.cell_type != "code":
            continue
        body = ast.parse(cell.source).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), name, "exec"), space)
        if "parameters" in cell.metadata.get("tags", []):
            assert parameters.keys() <= space.keys()
            space |= parameters
        if last is not None and (value := eval(compile(ast.Expression(last.value), name, "eval"), space)) is not None:
            yield DisplayFormatter().format(value)[0]


@pytest.mark.parametrize(("tool", "lang"), [*zip(TOOLS, ["en", "ja"] * 3, strict=True)])
def test_they_show_something_in_every_cell(tmp_path: Path, tool: str, lang: str) -> None:
    read, files = TOOLS[tool](tmp_path)
    cycle = import_results(tool, read, files, tmp_path / "cycle")
    for name, results in (
        ("40_scale", "scale.json"),
        ("50_diagnose", "findings.json"),
        ("60_report", "summary.json"),
    ):
        cells = list(shown(name, {"cycle": str(cycle.path), "lang": lang}))
        assert cells
        assert all("text/html" in bundle for bundle in cells)
        assert list(tmp_path.rglob(results))
