"""The recorded sample and copies of it: the real tables of a real cycle, without any load."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from genkai import histogram
from genkai.report.display import Displayed
from genkai.study import RunStudy
from genkai.workspace import Cycle

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "data/sample"
FORMS = {"text/plain", "text/html", "text/vnd.typst", "application/vnd.genkai.report+json"}


def copy_sample(place: Path) -> Cycle:
    """A copy of the recorded sample, still a recorded one, at place/data/sample."""
    shutil.copytree(SAMPLE, place / "data/sample")
    shutil.copytree(ROOT / "data/plans", place / "data/plans")
    return Cycle(place / "data/sample")


def own_cycle(
    place: Path, number: int = 1, *, edit: Callable[[dict[str, Any]], Any] | None = None, results: bool = True,
    runs: bool = True, **manifest: Any,
) -> Cycle:  # fmt: skip
    """The recorded cycle as one's own at place/data/cycles/demo/NN, which may be written to.

    edit: changes the plan's mapping in place; results, runs: whether they are there; manifest: fields of cycle.json.
    """
    path = place / f"data/cycles/demo/{number:02d}"
    left_out = [name for name, kept in (("results", results), ("runs", runs)) if not kept]
    shutil.copytree(SAMPLE, path, ignore=shutil.ignore_patterns(*left_out))
    if edit:
        plan = yaml.safe_load((path / "plan.yaml").read_text(encoding="utf-8"))
        edit(plan)
        (path / "plan.yaml").write_text(yaml.safe_dump(plan, allow_unicode=True), encoding="utf-8")
    record = json.loads((path / "cycle.json").read_text(encoding="utf-8"))
    record |= {"number": number, "base_dir": str(ROOT / "data/plans"), **manifest}
    record.pop("recorded")
    record.pop("notebooks", None)
    (path / "cycle.json").write_text(json.dumps(record), encoding="utf-8")
    return Cycle(path)


def sized_cycle(place: Path, *others: int, base: int = 2, number: int = 1, **scaling: Any) -> Cycle:
    """The recorded cycle as if its scenario had been run at the base size and at others, with the same result."""

    def edit(plan: dict[str, Any]) -> None:
        plan["scaling"] = {"command": "true {size}", "base": base, **scaling}
        plan["steps"]["scenario"]["sizes"] = [base, *others]

    cycle = own_cycle(place, number, edit=edit)
    run = cycle.run("scenario", "shopping")
    for size in others:
        shutil.copytree(run.path, cycle.run("scenario", "shopping", size).path)
        cycle.run("scenario", "shopping", size).write_record(size=size)
    run.write_record(size=base)
    return cycle


def checksums(folder: Path) -> dict[str, str]:
    """{file: SHA-256} of everything in a folder."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def plain(shown: Displayed) -> str:
    """The plain text of what is displayed; all forms of it are made, as Jupyter would ask for them."""
    bundle = shown._repr_mimebundle_()
    assert set(bundle) == FORMS
    assert all(bundle[form] for form in FORMS)
    return bundle["text/plain"]


def table_rows(text: str, header: str) -> list[list[str]]:
    """The cells below the line that begins with `header`, up to the next empty line."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(header))
    rows = []
    for line in lines[start + 1 :]:
        if not line.strip():
            break
        rows.append(line.split(" | "))
    return rows


def naive_level(run: RunStudy, row: Mapping[str, Any]) -> dict[str, float]:
    """What a level's window holds, added up row by row."""
    seconds = (row["window_end"] - row["window_start"]).total_seconds()
    sent = failed = dropped = completed = 0
    blobs = []
    for record in run.requests.to_dict("records"):
        if row["window_start"] <= record["time"] < row["window_end"]:
            sent, failed = sent + record["sent"], failed + record["failed"]
            dropped, completed = dropped + record["dropped"], completed + record["completed"]
            blobs.append(record["hist"])
    return {
        "seconds": seconds, "sent_rps": sent / seconds, "completed_rps": completed / seconds,
        "error_ratio": (failed + dropped) / (sent + dropped),
        "p95_s": histogram.merge(blobs).get_value_at_percentile(95) / 1e6,
    }  # fmt: skip


def metric_rows(run: RunStudy, source: str, resource: str, metric: str, statistic: str, values: list[float],
                unit: str = "ratio") -> pd.DataFrame:  # fmt: skip
    """Rows of the metrics table: one value a level, at three seconds of its hold."""
    rows = [
        {"time": pd.Timestamp(mark["hold_start"] + offset, unit="s", tz="UTC"), "source": source, "resource": resource,
         "metric": metric, "statistic": statistic, "unit": unit, "period_s": 1.0, "value": value}
        for mark, value in zip(run.marks, values, strict=True) for offset in (1, 3, 5)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    return table.astype({"time": "datetime64[us, UTC]"})
