"""Recorded runs of the bench, small enough to be kept: the tables that the diagnosis reads, one zip a case."""

from __future__ import annotations

import io
import json
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd

from bench.faults.case import Case
from genkai import schema
from genkai.analyse.rules.case import signal_table
from genkai.workspace import Cycle, read_json

KEPT = ("state", "step", "subject", "start", "end", "exit_code", "stop_reason", "clock_offsets", "lost_processes",
        "lost_share", "lost_levels", "link_bytes_per_s")  # fmt: skip
STAMP = (2026, 1, 1, 0, 0, 0)  # the same run gives the same file


def record(case: Case, cycle: Cycle, into: Path) -> Path:
    """Write CASE.zip: plan, run and tables of a cycle, without paths of this machine and metrics that no rule reads."""
    run = cycle.run(case.step, "mix")
    name = f"runs/{run.name}"
    files = {
        "plan.yaml": (cycle.path / "plan.yaml").read_bytes(),
        "cycle.json": _json({"number": 1, "plan": cycle.plan().name, "plan_file": "plan.yaml", "base_dir": "."}),
        f"{name}/run.json": _json({k: v for k, v in run.record().items() if k in KEPT}),
        f"{name}/marks.json": (run.path / "marks.json").read_bytes(),
        **({"locustfile.py": case.locustfile.encode()} if case.locustfile else {}),
    }
    if run.raw("discovery.json").exists():
        files[f"{name}/raw/discovery.json"] = _json(read_json(run.raw("discovery.json")))
    for path in sorted(run.path.glob("*.parquet")):
        files[f"{name}/{path.name}"] = _slim(path)
    into.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(into / f"{case.name}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for place, content in files.items():
            archive.writestr(zipfile.ZipInfo(place, STAMP), content, zipfile.ZIP_DEFLATED, 9)
    return into / f"{case.name}.zip"


def unpack(archive: Path, place: Path) -> Cycle:
    """The recorded cycle, in a folder."""
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(place / archive.stem)
    return Cycle(place / archive.stem)


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def _slim(path: Path) -> bytes:
    table = path.name.partition(".")[0]
    frame = pd.read_parquet(path)
    if table == "metrics":
        read = {carrier.metric for signal in signal_table().values() for carrier in signal.carriers}
        read |= {carrier.divide for signal in signal_table().values() for carrier in signal.carriers}
        names = {n for n in frame["metric"].unique() if any(fnmatchcase(n, pattern) for pattern in read)}
        frame = frame[frame["metric"].isin(names)].reset_index(drop=True)
    stream = io.BytesIO()
    # not compressed here: the zip does that, and better over the whole file
    schema.check_table(frame, table).to_parquet(stream, index=False, compression="none")
    return stream.getvalue()
