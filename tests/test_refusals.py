"""A refusal is told in one paragraph: on the command line, and in a notebook instead of its traceback."""

import subprocess
import sys

import pytest
from IPython.core.interactiveshell import InteractiveShell

from genkai.planfile import PlanError
from genkai.refusals import Refusal, is_told
from genkai.study import StudyError
from genkai.workspace import WorkspaceError


@pytest.mark.parametrize(
    ("error", "base"), [(PlanError(["x"]), ValueError), (StudyError("x"), ValueError), (WorkspaceError("x"), OSError)]
)
def test_a_refusal_stays_what_it_was_by_nature(error: Exception, base: type) -> None:
    assert isinstance(error, Refusal)
    assert isinstance(error, base)
    assert str(error) == "x"


def test_a_notebook_shows_the_paragraph_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    shell = InteractiveShell()
    shell.run_cell("from genkai.study import StudyError\nraise StudyError('cycle: expected a run, got none')")
    told = capsys.readouterr().out
    assert "StudyError: cycle: expected a run, got none" in told
    assert "Traceback" not in told
    shell.run_cell("raise ValueError('no refusal')")
    assert "Traceback" in capsys.readouterr().out


def test_what_a_notebook_keeps_of_it_is_told_apart() -> None:
    assert is_told(PlanError(["a", "b"])._render_traceback_())
    assert not is_told(["-----", "ValueError Traceback", "ValueError: x"])


def test_telling_costs_no_imports() -> None:
    code = "import sys, genkai.refusals; print([m for m in sys.modules if m.startswith('genkai.')])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "['genkai.refusals']"
