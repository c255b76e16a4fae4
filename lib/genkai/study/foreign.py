"""Results of other load-testing tools as a cycle: the same tables, so that the notebooks and the report run on them.

Levels are plateaus of the number of users, or of the rate where a tool has no users. What a file does not say stays
empty, and a note in run.json says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from genkai import histogram, schema
from genkai.planfile import parse_plan
from genkai.study.reading import StudyError
from genkai.workspace import Cycle, Run, now_text, write_json, write_text

STEADY_USERS = 0.02  # users within this share of the plateau's are the same
MOST_DAYS = 31  # from first to last second
LEAST_S = 5  # seconds that make a plateau
SCENARIO = "imported"
HOST = "imported.invalid"  # a name that never resolves: nothing can be run against it by mistake
NO_TARGET = (
    "The target throughput is not known: the highest measured one stands in its place. Write yours into plan.yaml."
)

NO_PLATEAU = (
    f"The load is nowhere the same for {LEAST_S} s: all of it stands as one level, which is no plateau. Hold each "
    "level longer, or do not take its numbers for those of one load."
)


class ImportedError(StudyError):
    """A file of another tool that cannot be read; the message says file, line or column, expected, got."""

    @classmethod
    def unreadable(cls, path: Path, error: OSError) -> ImportedError:
        """That the file itself cannot be read."""
        return cls(f"{path}: expected a readable file, got {error.strerror or error}")


@dataclass
class Imported:
    """What one file gave: requests and failures by second and API (schema tables, level −1), the load by second:
    users (closed), or requests/s (open).
    """

    requests: pd.DataFrame
    failures: pd.DataFrame
    users: pd.Series  # index: epoch second
    time_s: pd.Series  # sum of the response times, by epoch second
    notes: list[str] = field(default_factory=list)
    workload: str = "closed"


def check_span(path: Path, seconds: pd.Series | pd.Index) -> None:
    """Refuse epoch seconds that no run spans: a stamp is broken, or two runs are in one file. Raises ImportedError."""
    first, last = float(seconds.min()), float(seconds.max())
    if not last - first <= MOST_DAYS * 86_400:
        raise ImportedError(f"{path}: expected times within {MOST_DAYS} days, got {first:.0f} to {last:.0f} (epoch "
                            "seconds); a stamp is broken, or the file holds several runs")  # fmt: skip


def plateaus(users: pd.Series, workload: str = "closed") -> list[dict[str, Any]]:
    """Marks of the stretches of at least 5 s over which the load (by epoch second, gaps filled) stays the same.

    A level begins where the one before ends: what lies between is its ramp.
    """
    second, value = _filled(users)
    marks: list[dict[str, Any]] = []
    first, before = 0, float(second[0])
    for i in range(1, len(value) + 1):
        if i < len(value) and abs(value[i] - value[first]) <= STEADY_USERS * value[first]:
            continue
        if i - first >= LEAST_S and value[first] >= 1:
            begin, end = float(second[first]), float(second[first] + i - first)
            marks.append(_mark(len(marks), value[first:i], before, begin, end, workload))
            before = marks[-1]["end"]
        first = i
    return marks


def whole_run(users: pd.Series, workload: str) -> list[dict[str, Any]]:
    """One mark of all seconds, where the load has no plateau."""
    second, value = _filled(users)
    begin = float(second[0])
    return [_mark(0, value[value >= 1], begin, begin, float(second[-1] + 1), workload)]


def _filled(users: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    second = np.arange(int(users.index.min()), int(users.index.max()) + 1)
    return second, users.reindex(second).ffill().to_numpy(float)


def _mark(level: int, users: np.ndarray, start: float, hold_start: float, end: float, workload: str) -> dict[str, Any]:
    intended = float(np.median(users)) if len(users) else 1.0
    return {"level": level, "workload": workload, "intended": intended, "start": start, "hold_start": hold_start,
            "end": end}  # fmt: skip


def api_names(labels: Sequence[str]) -> dict[str, str]:
    """{label: a name that a plan may hold}, each its own."""
    names: dict[str, str] = {}
    for label in sorted(set(labels)):
        base = re.sub(r"[^A-Za-z0-9_.-]+", "-", label).strip("-.")[:50] or "request"
        base = base if base[0].isalnum() else f"r{base}"
        name, number = base, 2
        while name in names.values():
            name, number = f"{base}-{number}", number + 1
        names[label] = name
    return names


def second_histogram(times_s: np.ndarray) -> bytes:
    """The encoded histogram of response times."""
    recorded = histogram.new_histogram()
    for value, count in zip(*np.unique(times_s, return_counts=True), strict=True):
        histogram.record_seconds(recorded, float(value), int(count))
    return histogram.encode(recorded)


def import_results(tool: str, read: Callable[[Path], Imported], files: Sequence[Path], into: Path) -> Cycle:
    """Read files of one tool, one run, into a new cycle folder. Raises ImportedError."""
    if into.exists() and any(into.iterdir()):
        raise ImportedError(f"{into}: expected a folder that is empty or does not exist yet, got files in it")
    for path in files:
        if path.is_file() and not path.stat().st_size:
            raise ImportedError(f"{path}: expected results of {tool}, got an empty file; name the one that was written")
    parts = [read(path) for path in files]
    requests = pd.concat([p.requests for p in parts], ignore_index=True)
    users = pd.concat([p.users for p in parts]).groupby(level=0).sum()  # files of several machines add up
    workload = parts[0].workload
    held = plateaus(users, workload)
    marks = held or whole_run(users, workload)
    names = api_names(list(requests["api"]))
    tables = {"requests": requests, "failures": pd.concat([p.failures for p in parts], ignore_index=True)}
    for table in tables.values():
        table["api"] = table["api"].map(names)
    requests["level"] = -1
    seconds = requests["time"].astype("int64") // 1_000_000
    for mark in marks:
        requests.loc[(seconds >= mark["start"]) & (seconds < mark["end"]), "level"] = mark["level"]
    notes = list(
        dict.fromkeys([note for p in parts for note in p.notes] + ([] if held else [NO_PLATEAU]) + [NO_TARGET])
    )
    best = _highest_rps(marks, requests)
    cycle = _write_cycle(into, tool, sorted(names.values()), marks, best)
    run = cycle.run("scenario", SCENARIO)
    for name, table in {**tables, "generator": schema.empty_table("generator")}.items():
        schema.write_table(table.sort_values("time") if len(table) else table, name, run.table(name))
    write_json(run.path / "marks.json", marks)
    _write_record(run, tool, files, marks, names, {"notes": notes, "highest_rps": best})
    write_text(into / "levels.csv", level_lines(requests, pd.concat([p.time_s for p in parts]), marks))
    return cycle


def level_lines(requests: pd.DataFrame, time_s: pd.Series, marks: Sequence[dict[str, Any]]) -> str:
    """CSV for `genkai fit`: users or arrival_rate_rps, throughput_rps, mean_s, error_ratio, seconds of holds, uncut."""
    second = requests["time"].astype("int64") // 1_000_000
    load = "users" if marks[0]["workload"] == "closed" else "arrival_rate_rps"
    lines = [f"{load},throughput_rps,mean_s,error_ratio,seconds"]
    for mark in marks:
        first, last = mark["hold_start"], mark["end"]
        part = requests[(second >= first) & (second < last)][["sent", "completed", "failed"]].sum()
        total = float(time_s[(time_s.index >= first) & (time_s.index < last)].sum())
        if part["sent"] > 0:
            lines.append(f"{mark['intended']:g},{part['completed'] / (last - first):.6g},{total / part['sent']:.6g},"
                         f"{part['failed'] / part['sent']:.6g},{last - first:g}")  # fmt: skip
    return "\n".join(lines) + "\n"


def _write_record(
    run: Run, tool: str, files: Sequence[Path], marks: list[dict], names: dict[str, str], told: dict[str, Any]
) -> None:
    begun, ended = (pd.Timestamp(s, unit="s", tz="UTC").isoformat() for s in (marks[0]["start"], marks[-1]["end"]))
    run.write_record(
        state="finished", step="scenario", subject=SCENARIO, start=begun, end=ended, stop_reason=None, exit_code=0,
        imported={"tool": tool, "files": [p.name for p in files], **told,
                  "renamed": {label: name for label, name in names.items() if label != name}},
    )  # fmt: skip


def _load_of(mark: dict[str, Any]) -> dict[str, float]:
    """The load of a level as a plan writes it."""
    if mark["workload"] == "open":
        return {"arrival_rate_rps": mark["intended"]}
    return {"users": max(1, round(mark["intended"]))}


def _highest_rps(marks: list[dict], requests: pd.DataFrame) -> float:
    by_level = requests[requests["level"] >= 0].groupby("level")["completed"].sum()
    held = {m["level"]: m["end"] - m["start"] for m in marks}
    best = max((float(count) / held[int(level)] for level, count in by_level.items()), default=0.0)
    return round(best, 3) or 1.0


def _write_cycle(into: Path, tool: str, apis: list[str], marks: list[dict], highest_rps: float) -> Cycle:
    """plan.yaml and cycle.json of results that nobody planned here."""
    levels = [{**_load_of(m), "ramp_s": m["hold_start"] - m["start"],
               "hold_s": max(1.0, m["end"] - m["hold_start"])} for m in marks]  # fmt: skip
    plan = {
        "name": "imported", "title": f"Results of {tool}", "purposes": ["scale_characteristics"],
        "targets": {"throughput_rps": highest_rps}, "open_questions": [NO_TARGET],
        "base_url": f"http://{HOST}", "allow": [{"host": HOST}], "apis": [{"name": a, "path": "/"} for a in apis],
        "scenarios": [{"name": SCENARIO, "why": f"what {tool} ran", "locustfile": "imported.py"}],
        "hosts": [], "steps": {"scenario": {"scenario": SCENARIO, "levels": levels}},
    }  # fmt: skip
    text = yaml.safe_dump(plan, sort_keys=False, allow_unicode=True)
    write_text(into / "imported.py", f'"""Imported from {tool}: there is nothing to run."""\n')
    digest = parse_plan(text, str(into / "plan.yaml"), into).digest()
    write_text(into / "plan.yaml", text)
    cycle = Cycle(into)
    cycle.write_manifest(
        number=1, plan="imported", plan_digest=digest, created=now_text(), recorded=True, imported=tool
    )
    return cycle
