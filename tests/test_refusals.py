"""Every refusal exists, and a derived one is one too."""

import ast
from pathlib import Path

import pytest

from genkai.planfile import PlanError
from genkai.refusals import REFUSALS, is_refusal

LIB = Path(__file__).parent.parent / "lib/genkai"


def test_each_name_is_an_exception_of_the_package() -> None:
    classes = {
        n.name for p in LIB.rglob("*.py") for n in ast.walk(ast.parse(p.read_text())) if isinstance(n, ast.ClassDef)
    }
    assert classes >= REFUSALS


@pytest.mark.parametrize(
    ("error", "told"), [(PlanError(["x"]), True), (ValueError("x"), False), (KeyError("x"), False)]
)
def test_is_refusal(error: Exception, told: bool) -> None:
    class Derived(type(error)):
        pass

    assert is_refusal(error) is told
    assert is_refusal(Derived.__new__(Derived)) is told
