"""Where each file of a cycle lies, and how it is written: whole or not at all, or append and flush.

data/cycles/<plan>/<NN>/plan.yaml      frozen
                        cycle.json     manifest: plan's origin, digest, versions, state of each run
                        runs/<run>/    run.json, journal/*.jsonl (as it goes), raw/*, *.parquet (afterwards)
                        results/       JSON records and tables of the analysis
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from genkai.plan import STEPS, Plan
from genkai.planfile import parse_plan, read_plan, read_plan_text
from genkai.refusals import Refusal

# What a line of a requests journal counts; this module is used by the load processes, so it imports no pandas.
COUNTS = ("sent", "completed", "failed", "dropped", "bytes")


class WorkspaceError(Refusal, FileNotFoundError):
    """A file or folder of a cycle that is not where it should be."""


@dataclass(frozen=True)
class Run:
    """One run: one step, one subject (an API or a scenario), one size of the target."""

    path: Path

    @property
    def name(self) -> str:
        """Name of the run's folder, e.g. 2-api-search, 2-api-search@4, 2-api-search~2; it sorts by step."""
        return self.path.name

    @property
    def step(self) -> str:
        """verify, api, scenario or endurance."""
        return self.name.split("-", 2)[1]

    @property
    def subject(self) -> str:
        """The API or scenario that was tested."""
        return re.split("[@~]", self.name.split("-", 2)[2])[0]

    @property
    def other_size(self) -> int | None:
        """The target's size where it is another than the plan's base; None for the runs that verdicts speak of."""
        size = self.name.partition("~")[0].partition("@")[2]
        return int(size) if size else None

    @property
    def repetition(self) -> int:
        """1, 2, 3 … of the runs of this step and subject."""
        return int(self.name.partition("~")[2] or 1)

    @property
    def title(self) -> str:
        """The subject, and which size or repetition of it, e.g. "search @4", "search #2"."""
        size = "" if self.other_size is None else f" @{self.other_size}"
        return f"{self.subject}{size}" if self.repetition == 1 else f"{self.subject}{size} #{self.repetition}"

    def journal(self, table: str, part: str = "") -> Path:
        """Path of a journal, e.g. journal/requests.worker-1.jsonl."""
        return self.path / "journal" / f"{table}{'.' + part if part else ''}.jsonl"

    def open_journal(self, table: str, part: str = "") -> Journal:
        """Open a journal to write to it."""
        return Journal(self.journal(table, part))

    def journals(self, table: str) -> list[Path]:
        """All journals of a table, one for each process that wrote it."""
        return sorted((self.path / "journal").glob(f"{table}*.jsonl"))

    def raw(self, name: str) -> Path:
        """Path of a raw log, e.g. raw/local.vmstat.log."""
        return self.path / "raw" / name

    def table(self, table: str, part: str = "") -> Path:
        """Path of a finished table; part tells several of one kind apart (metrics.cloudwatch.parquet)."""
        return self.path / f"{table}{'.' + part if part else ''}.parquet"

    def tables(self, table: str) -> list[Path]:
        """All finished tables of a kind."""
        return sorted(self.path.glob(f"{table}*.parquet"))

    def record(self) -> dict[str, Any]:
        """run.json, or {} before the run has begun."""
        path = self.path / "run.json"
        return read_json(path) if path.exists() else {}

    def write_record(self, **fields: Any) -> dict[str, Any]:
        """Merge fields into run.json."""
        return write_json(self.path / "run.json", {**self.record(), **fields})

    @property
    def finished(self) -> bool:
        """The run ended by itself (whatever its verdict) and its tables are complete."""
        return self.record().get("state") == "finished" and not self.profiling

    @property
    def profiling(self) -> bool:
        """The target was profiled meanwhile, which disturbs it: no measurement, and never part of a cycle."""
        return bool(self.record().get("profiling"))


@dataclass(frozen=True)
class Cycle:
    """One numbered PDCA cycle of a plan, or the recorded sample."""

    path: Path

    @property
    def number(self) -> int:
        """1, 2, 3 …; the sample's is in its manifest."""
        return int(self.manifest().get("number", 0))

    def manifest(self) -> dict[str, Any]:
        """cycle.json."""
        return read_json(self.path / "cycle.json")

    def write_manifest(self, **fields: Any) -> dict[str, Any]:
        """Merge fields into cycle.json."""
        path = self.path / "cycle.json"
        return write_json(path, {**(read_json(path) if path.exists() else {}), **fields})

    def plan(self, *, to_run: bool = False) -> Plan:
        """The frozen plan. to_run: see `read_plan`; what was measured opens without what only a run needs."""
        base = self.manifest().get("base_dir")
        return read_plan(self.path / "plan.yaml", self.path / base if base else None, to_run=to_run)

    def run(self, step: str, subject: str, other_size: int | None = None, *, repetition: int = 1) -> Run:
        """The run of a step and subject, whether or not it exists yet; other_size: another than the plan's base."""
        size = "" if other_size is None else f"@{other_size}"
        again = "" if repetition == 1 else f"~{repetition}"  # neither sign may stand in a name of the plan
        return Run(self.path / "runs" / f"{STEPS.index(step) + 1}-{step}-{subject}{size}{again}")

    def runs(self, step: str | None = None) -> list[Run]:
        """The runs that exist, in the order of the steps."""
        found = [Run(p.parent) for p in sorted((self.path / "runs").glob("*/run.json"))]
        return [r for r in found if step in (None, r.step) and not r.profiling]

    @property
    def recorded(self) -> bool:
        """A sample that came with the project: it is read and never written to."""
        return bool(self.manifest().get("recorded"))

    @property
    def imported(self) -> bool:
        """What another tool measured: all that is made of it stays in its folder."""
        return "imported" in self.manifest()

    @property
    def results_dir(self) -> Path:
        """Where results are written; those of the sample that came with the project go to the git-ignored folder of
        cycles.
        """
        if self.recorded and not self.imported:
            return self.path.parent / "cycles" / ".recorded" / self.path.name
        return self.path / "results"

    def result(self, name: str) -> Path:
        """Path of a result, e.g. results/verdicts.json; of a sample, what came with it where nothing is newer."""
        path = self.results_dir / name
        came_with_it = self.path / "results" / name
        return came_with_it if self.recorded and not path.exists() and came_with_it.exists() else path

    def write_result(self, name: str, record: Any) -> Path:
        """Write results/NAME.json."""
        path = self.results_dir / f"{name}.json"
        write_json(path, record)
        return path

    def read_result(self, name: str) -> Any:
        """results/NAME.json. Raises WorkspaceError when the notebook that writes it has not run."""
        return read_json(self.result(f"{name}.json"))


def project_root() -> Path:
    """The nearest folder at or above the present one that holds notebooks/ and data/; else the present one.

    A notebook that is run by hand works in notebooks/, the command in the folder above.
    """
    here = Path.cwd()
    return next((p for p in (here, *here.parents) if (p / "notebooks").is_dir() and (p / "data").is_dir()), here)


def cycles(plan_dir: Path) -> list[Cycle]:
    """The cycles of one plan's folder, oldest first."""
    found = [Cycle(p.parent) for p in plan_dir.glob("*/cycle.json")]
    return sorted(found, key=lambda c: c.number)


def open_cycle(path: str | Path) -> Cycle:
    """The cycle in a folder. Raises WorkspaceError."""
    path = Path(path)
    if not (path / "cycle.json").is_file():
        raise WorkspaceError(f"{path}: expected the folder of a cycle (with cycle.json), got none; "
                             "start one with: genkai cycle PLAN")  # fmt: skip
    return Cycle(path)


def new_cycle(root: Path, plan_file: Path, text: str | None = None) -> Cycle:
    """Freeze a plan as the next cycle under root/<plan>/<NN>.

    text: the plan's text when it differs from the file's (the demo fills in its ports). Raises PlanError.
    """
    text = read_plan_text(plan_file) if text is None else text
    plan = parse_plan(text, str(plan_file), plan_file.parent)
    plan_dir = root / plan.name
    number = max((c.number for c in cycles(plan_dir)), default=0) + 1
    path = plan_dir / f"{number:02d}"
    path.mkdir(parents=True, exist_ok=True)
    write_text(path / "plan.yaml", text)
    cycle = Cycle(path)
    cycle.write_manifest(
        number=number, plan=plan.name, plan_file=str(plan_file), base_dir=str(plan_file.parent.resolve()),
        plan_digest=plan.digest(), created=now_text())  # fmt: skip
    return cycle


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(part, 0o644)
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)


def write_json(path: Path, record: Any) -> Any:
    """Write a JSON file whole or not at all; NaN is refused, for no number may be lost silently."""
    write_text(path, json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return record


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises WorkspaceError naming the file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WorkspaceError(f"{path}: expected a file, got none; run the step that writes it") from error
    except ValueError as error:
        raise WorkspaceError(f"{path}: expected JSON, got something else ({error})") from error


class Journal:
    """An append-only file of JSON lines, flushed at each write: what was written survives a kill -9."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream: IO[str] = open(path, "a", encoding="utf-8")  # noqa: SIM115  it stays open for the whole run

    def write(self, *records: dict[str, Any]) -> None:
        """Append records and flush."""
        self._stream.write("".join(json.dumps(r, separators=(",", ":"), ensure_ascii=False) + "\n" for r in records))
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a journal; a last line that a kill cut short is left out."""
    if not path.exists():
        return
    with open(path, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if line.endswith("\n"):
                try:
                    yield json.loads(line)
                except ValueError:
                    continue


def now_text() -> str:
    """The present time, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
