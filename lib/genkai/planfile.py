"""Read a plan from YAML: every error at once, each with file, line, field, expected and got."""

from __future__ import annotations

import difflib
import types
import typing
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from genkai.plan import Plan
from genkai.plancheck import cross_problems, run_problems
from genkai.refusals import Refusal


class PlanError(Refusal, ValueError):
    """A plan file that cannot be used; `problems` holds one line each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


def read_plan(path: str | Path, base_dir: Path | None = None, *, to_run: bool = True) -> Plan:
    """The plan of a YAML file; relative paths in it start from its own folder unless base_dir says otherwise.

    to_run: also refuse what only a run cannot do with: files that are gone, limits that would watch nothing. Raises
    PlanError with all that is wrong.
    """
    path = Path(path)
    return parse_plan(read_plan_text(path), str(path), base_dir or path.parent, to_run=to_run)


def read_plan_text(path: Path) -> str:
    """The text of a plan file. Raises PlanError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise PlanError([f"{path}: expected a readable plan file, got {error.strerror or error}"]) from error
    except UnicodeDecodeError as error:
        raise PlanError([f"{path}: expected UTF-8 text, got bytes that are not ({error.reason})"]) from error


def parse_plan(text: str, where: str = "plan", base_dir: Path = Path("."), *, to_run: bool = True) -> Plan:
    """The plan in this YAML text; see `read_plan`. Raises PlanError."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        given = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PlanError([f"{where}:{line}: expected YAML, got: {error.problem}"]) from error
    except yaml.YAMLError as error:
        raise PlanError([f"{where}:1: expected YAML, got: {error}"]) from error
    lines: dict[tuple, int] = {}
    problems = _walk(node, (), lines, where) if node is not None else []
    if not isinstance(given, dict):
        raise PlanError([f"{where}:1: expected a plan (name: …, apis: …), got {_shown(given)}"])
    found = [*cross_problems(given), *(run_problems(given, base_dir) if to_run else ())]
    problems += [_line(path, message, lines, where) for path, message in found]
    try:
        plan = Plan.model_validate(given)
    except ValidationError as error:
        problems += [_line(tuple(e["loc"]), _explain(e), lines, where) for e in error.errors()]
    if problems:
        raise PlanError(sorted(problems, key=_line_number))
    plan._base_dir = base_dir
    return plan


def _walk(node: yaml.Node, path: tuple, lines: dict[tuple, int], where: str) -> list[str]:
    """Note the line of every field; name keys that stand twice (YAML would silently keep the last)."""
    lines.setdefault(path, node.start_mark.line + 1)
    problems: list[str] = []
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, key.value)
            if inner in lines:
                problems.append(f"{where}:{key.start_mark.line + 1}: {_dotted(inner)}: expected once, got it again")
            lines[inner] = key.start_mark.line + 1
            problems += _walk(value, inner, lines, where)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            problems += _walk(value, (*path, index), lines, where)
    return problems


def _line(path: tuple, message: str, lines: dict[tuple, int], where: str) -> str:
    known = path
    while known and known not in lines:
        known = known[:-1]
    return f"{where}:{lines.get(known, 1)}: {_dotted(path) or 'plan'}: {message}"


def _line_number(problem: str) -> int:
    return int(next(part for part in problem.split(":") if part.isdigit()))


def _explain(error: Any) -> str:
    path = tuple(error["loc"])
    kind, context, got = error["type"], error.get("ctx", {}), _shown(error["input"])
    bounds = {"greater_than": (">", "gt"), "greater_than_equal": ("≥", "ge"), "less_than_equal": ("≤", "le"),
              "less_than": ("<", "lt")}  # fmt: skip
    if kind == "missing":
        return "expected a value, got nothing"
    if kind == "extra_forbidden":
        fields = _fields_at(path[:-1])
        near = difflib.get_close_matches(str(path[-1]), fields, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"unknown field; expected one of {', '.join(fields)}{hint}" if fields else "unknown field"
    if kind == "value_error":
        return str(context.get("error", error["msg"]))
    if kind in bounds:
        sign, name = bounds[kind]
        return f"expected a number {sign} {context[name]:g}, got {got}"
    if kind in ("float_parsing", "float_type", "int_parsing", "int_type", "int_from_float"):
        limit = " > 0" if str(path[-1]).endswith(("_ms", "_rps", "users", "value")) else ""
        return f"expected {'an integer' if kind.startswith('int') else 'a number'}{limit}, got {got}"
    if kind == "literal_error":
        return f"expected {context['expected']}, got {got}"
    if kind == "string_pattern_mismatch":
        return f"expected text like {context['pattern']}, got {got}"
    named = {"model_type": "a mapping", "dict_type": "a mapping", "list_type": "a list", "string_type": "text",
             "model_attributes_type": "a mapping", "bool_type": "true or false", "path_type": "a path"}  # fmt: skip
    return f"expected {named.get(kind) or error['msg'].removeprefix('Input should be ')}, got {got}"


def _fields_at(path: tuple) -> list[str]:
    """The field names of the model at a path of the plan."""
    model: Any = Plan
    for part in (p for p in path if not isinstance(p, int)):  # an index stays with the list's model
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
            if field is None:
                return []
            model = _inner_model(field.annotation)
    fields = model.model_fields.items() if isinstance(model, type) and issubclass(model, BaseModel) else ()
    return [f.alias or n for n, f in fields]


def _inner_model(annotation: Any) -> Any:
    """The model inside list[...], ... | None, Annotated[...]."""
    if typing.get_origin(annotation) in (list, typing.Union, types.UnionType, typing.Annotated):
        found = [_inner_model(a) for a in typing.get_args(annotation)]
        return next((f for f in found if isinstance(f, type) and issubclass(f, BaseModel)), annotation)
    return annotation


def _dotted(path: tuple) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")


def _shown(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
