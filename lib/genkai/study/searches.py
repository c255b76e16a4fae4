"""Capacity searches that were made for a cycle's plan: the newest of each API or scenario."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genkai.planfile import PlanError, read_plan
from genkai.study.reading import Study
from genkai.workspace import project_root, read_json

SEARCHES = Path("data/searches")  # <plan>/<NN>/plan.yaml  search.json  trials.csv  search-<lang>.png


def read_searches(study: Study, root: Path | None = None) -> list[dict[str, Any]]:
    """The newest search record of each subject, scenarios first; `same_plan`: whether its plan was the cycle's.

    root: where searches lie; default data/searches of the project, in which a recorded sample has none.
    """
    if study.cycle.recorded and root is None:
        return []
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for path in sorted(((root or project_root() / SEARCHES) / study.plan.name).glob("*/search.json")):
        record = read_json(path)
        newest[record["step"], record["subject"]] = {**record, "same_plan": _same_plan(path.parent, study)}
    return [newest[key] for key in sorted(newest, key=lambda key: (key[0] != "scenario", key[1]))]


def _same_plan(folder: Path, study: Study) -> bool:
    path = folder / "plan.yaml"
    try:
        return read_plan(path, study.plan.base_dir, to_run=False).digest() == study.plan.digest()
    except PlanError:
        return False
