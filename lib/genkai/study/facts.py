"""The plain facts of a cycle for the report: conditions, actions, reservations, appendix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from genkai.allow import is_loopback
from genkai.analyse.records import number
from genkai.collect.cloudwatch import preliminary_note
from genkai.collect.sampling import clock_records
from genkai.hosts import CLOCK_WARNING_S
from genkai.plan import STEPS, Level, Plan
from genkai.study.foreign import NO_PLATEAU, NO_TARGET
from genkai.study.reading import Study
from genkai.workspace import Run

Record = dict[str, Any]
COVER_LETTERS = 120  # of the environment on a cover
SHORT_S = 600.0  # a steady window below this says nothing about slow changes


def plainly(facts: Mapping[str, Any]) -> list[str]:
    """ "key: value" of each fact, as people write it."""
    words = {True: "yes", False: "no"}
    return [f"{key.replace('_', ' ')}: {words[v] if isinstance(v, bool) else v}" for key, v in facts.items()]


def environment_line(plan: Plan, between: str = "; ") -> str:
    """The tested environment on one line for a cover; of a long one its beginning, for tables have the whole."""
    line = between.join(plainly(plan.environment.target)) or plan.base_url
    if len(line) <= COVER_LETTERS:
        return line
    facts, parts, _ = line[:COVER_LETTERS].rpartition(between)
    if parts:
        return facts.rstrip() + between + "…"
    words = line[:COVER_LETTERS].rpartition(" ")[0].rstrip()
    return (words if len(words) > COVER_LETTERS / 2 else line[:COVER_LETTERS]) + "…"  # Japanese has no blanks to cut at


def host_of(plan: Plan) -> str:
    """Host name of what is tested."""
    return urlsplit(plan.base_url).hostname or ""


def shares_machine(plan: Plan) -> bool:
    """Whether generator and target run on one machine, as far as the address tells."""
    return is_loopback(host_of(plan))


def differences(plan: Plan) -> list[str]:
    """What differs between the tested environment and production: by the plan's words, and by comparing both."""
    target, production = plan.environment.target, plan.environment.production
    changed = [k for k in production if target.get(k) != production[k]]
    here, there = plainly({k: target.get(k, "–") for k in changed}), plainly({k: production[k] for k in changed})
    return [*plan.environment.differences, *(f"{h} ≠ {t.split(': ', 1)[1]}" for h, t in zip(here, there, strict=True))]


def setup_record(study: Study) -> Record:
    """Conditions and load of each step, for the section "What was tested, and how"."""
    plan = study.plan
    hold_h = plan.preconditions.hold_h
    hold = {"value": hold_h * 3600, "unit": "duration"} if hold_h else None
    facts: dict[str, Any] = {
        "target": plan.base_url, "scope": plan.scope.included, "out_of_scope": plan.scope.excluded,
        "data_volume": plan.preconditions.data_volume, "hold": hold, "method": plan.preconditions.method,
        "other": plan.preconditions.other, "environment": plainly(plan.environment.target),
        "differences": differences(plan),
        "sizes": _sizes(plan),
        "watched": [f"{h.name} ({h.role})" for h in plan.hosts] + ([plan.aws.load_balancer] if _balancer(plan) else []),
        "actions_taken": [a.what for a in plan.actions if a.done],
    }  # fmt: skip
    steps = [_step_load(study, step) for step in STEPS if plan.step_named(step)]
    imported = _imported(study)
    return {"rows": [{"key": k, "value": v} for k, v in facts.items() if v], "steps": steps,
            "imported": imported.get("tool"), "held": NO_PLATEAU not in imported.get("notes", ())}  # fmt: skip


def _imported(study: Study) -> Mapping[str, Any]:
    """What run.json tells of an import; nothing where the load was ours."""
    return next((r.record["imported"] for r in study.runs if "imported" in r.record), {})


def _sizes(plan: Plan) -> str:
    """Which sizes of the target are run, and which of them verdicts speak of."""
    found = sorted({size for step in STEPS for size in plan.sizes(step) if size is not None})
    return f"{', '.join(map(str, found))} {plan.scaling.unit} (base: {plan.scaling.base})" if found else ""


def _balancer(plan: Plan) -> bool:
    return bool(plan.aws and plan.aws.load_balancer)


def _step_load(study: Study, step: str) -> Record:
    part = study.plan.step_named(step)
    subjects = study.plan.subjects(step)
    targets = {study.split.get(s) or study.target_rps for s in subjects}
    target = targets.pop() if len(targets) == 1 else None
    return {
        "step": step, "subjects": subjects, "workload": part.levels[0].workload,
        "levels": [_level_load(level, target) for level in part.levels],
        "duration_s": part.duration_s * len(study.plan.runs_of(step)), "repeat": part.repeat,
        "ran": bool(study.of(step)),
    }  # fmt: skip


def _level_load(level: Level, target: float | None) -> float | str:
    """Users or requests/s; a share where each subject has a target of its own."""
    if level.target_ratio is None:
        return float(level.users or level.arrival_rate_rps or 0)
    return level.target_ratio * target if target else f"{level.target_ratio:.0%}"


def limit_rows(study: Study) -> list[Record]:
    """What this report cannot say."""
    repeated = any(study.plan.step_named(step).repeat > 1 for step in STEPS if study.plan.step_named(step))
    rows: list[Record] = [] if repeated else [{"text_key": "limits.single_run", "values": {}}]
    found = differences(study.plan)
    if found:
        rows.append({"text_key": "limits.environment_differs", "values": {"differences": found}})
    if shares_machine(study.plan):
        rows.append({"text_key": "limits.same_machine", "values": {}})
    if study.ceiling and study.ceiling.get("throughput_rps"):
        ceiling = number(float(study.ceiling["throughput_rps"]), unit="rps")
        rows.append({"text_key": "limits.generator_margin", "values": {"ceiling": ceiling}})
    for run in study.runs:
        if run.record.get("lost_share"):
            lost = {"run": run.run.name, "share": number(float(run.record["lost_share"]), unit="ratio"),
                    "processes": _lost_processes(run.record)}  # fmt: skip
            rows.append({"text_key": "limits.lost_processes", "values": lost})
    digest = study.plan.digest()
    changed = [r.run.name for r in study.runs if r.record.get("plan_digest", digest) != digest]
    if changed:
        rows.append({"text_key": "limits.plan_changed", "values": {"runs": ", ".join(changed)}})
    rows += _clock_rows(study)
    changing = [r.run.name for r in study.runs if study.plan.aws and preliminary_note(r.run, study.plan.aws)]
    if changing and not study.cycle.recorded:
        rows.append({"text_key": "limits.preliminary", "values": {"runs": ", ".join(changing)}})
    missing = [s for s in STEPS if not study.of(s)]
    rows += [{"text_key": "limits.step_missing", "values": {"step": {"key": f"step.{step}"}}} for step in missing]
    longest = max((_longest_window_s(r.whole) for r in study.runs), default=0.0)
    if 0 < longest < SHORT_S:
        rows.append({"text_key": "limits.short_run", "values": {"duration": longest}})
    return rows + [_note_row(note) for note in _imported(study).get("notes", ()) if note != NO_TARGET]


def _note_row(note: str) -> Record:
    """A note of an import; those of a tool are told as its reader wrote them."""
    if note == NO_PLATEAU:
        return {"text_key": "limits.no_plateau", "values": {}}
    return {"text_key": "limits.import_note", "values": {"note": note}}


def _clock_rows(study: Study) -> list[Record]:
    """Hosts whose clock was off by more than 0.1 s in some run: by how much at most, and how well that is known."""
    clocks = [clock_records(r.record.get("clock_offsets")) for r in study.runs]
    told = [(host, entry) for each in clocks for host, entries in each.items() for entry in entries
            if entry.get("offset_s") is not None]  # fmt: skip
    told.sort(key=lambda pair: abs(pair[1]["offset_s"]))
    worst = {host: entry for host, entry in told if abs(entry["offset_s"]) > CLOCK_WARNING_S}
    return [
        {"text_key": "limits.clock", "values": {"host": host, "offset": number(entry["offset_s"], unit="s"),
                                                "uncertainty": number(entry.get("uncertainty_s"), unit="s")}}
        for host, entry in sorted(worst.items())
    ]  # fmt: skip


def _lost_processes(record: Mapping[str, Any]) -> str:
    hosts = record.get("process_hosts", {})
    return ", ".join(f"{p} ({hosts[p]})" if p in hosts else p for p in record.get("lost_processes") or [])


def _longest_window_s(levels: pd.DataFrame) -> float:
    spans = (levels["window_end"] - levels["window_start"]).dropna()
    return float(spans.max().total_seconds()) if len(spans) else 0.0


def appendix_record(study: Study) -> Record:
    """Settings, versions and runs."""
    plan, records = study.plan, [r.record for r in study.runs]
    versions = next((r["versions"] for r in records if r.get("versions")), {})
    settings = {
        "base_url": plan.base_url, "generator.processes": plan.generator.processes,
        "environment": plainly(plan.environment.target),
    }  # fmt: skip
    runs = run_rows([r.run for r in study.runs])
    return {"settings": settings, "versions": versions, "plan_hash": plan.digest(), "runs": runs}


def run_rows(runs: Iterable[Run]) -> list[Record]:
    """{"run_id", "step", "start", "end", "stop_reason"} of each run."""
    records = [(run, run.record()) for run in runs]
    return [
        {"run_id": run.name, "step": run.step, "start": found.get("start"), "end": found.get("end"),
         "stop_reason": found.get("stop_reason") or found.get("state")}
        for run, found in records
    ]  # fmt: skip


def window_of(study: Study) -> Sequence[float]:
    """(first, last) epoch second of all runs; () before any."""
    spans = [r.window for r in study.runs if len(r.marks)]
    return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else ()
