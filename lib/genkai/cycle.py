"""One PDCA cycle: every notebook in order, each executed copy kept, then the PDF; resumable at any point."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from genkai import launch
from genkai.collect.cloudwatch import PUBLISHED_S
from genkai.journals import read_marks
from genkai.kernel_source import KernelSource
from genkai.load.ceiling import WARM_UP_S
from genkai.load.process import JOIN_S
from genkai.notebooks import NOTEBOOKS, NotebookError, WarmKernel, check_artifacts, run_notebook
from genkai.plan import STEPS
from genkai.planfile import read_plan
from genkai.profiling import PROFILES
from genkai.report import outcome
from genkai.report.index import PAGES, index_html, read_verdicts
from genkai.report.junit import verdict_xml
from genkai.resizing import restore_left, restored
from genkai.schema import part_of
from genkai.steps import StepError, check_gate, tell, write_verdict
from genkai.study import CYCLES, StudyError, facts, read_study
from genkai.study.searches import SEARCHES
from genkai.workspace import Cycle, Run, cycles, new_cycle, open_cycle, write_text

REPORTS = Path("reports")
ANALYSIS = ("30_monitor", "40_scale", "50_diagnose")
SPARE_S = 240.0  # what a notebook may take beyond its load
LANGUAGES = {"en": ("en",), "ja": ("ja",), "both": ("en", "ja")}


@dataclass(frozen=True)
class CycleOutcome:
    """What a cycle ended with."""

    cycle: Cycle
    status: str
    reports: tuple[Path, ...]
    fixed_s: float
    plans: tuple[Path, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 passed, 1 failed, 2 cannot tell."""
        return outcome.exit_code(self.status)


def languages(lang: str) -> tuple[str, ...]:
    """The languages of --lang. Raises StudyError."""
    if lang not in LANGUAGES:
        raise StudyError(f"--lang: expected en, ja or both, got {lang!r}")
    return LANGUAGES[lang]


def run_cycle(
    plan_file: Path, *, resume: bool = False, keep_going: bool = False, lang: str = "en", text: str | None = None
) -> CycleOutcome:
    """Run a whole cycle of a plan, or go on with its newest one. Raises PlanError, NotebookError, ReportError."""
    wanted = languages(lang)
    cycle = _newest(plan_file) if resume else new_cycle(CYCLES, plan_file, text)
    plan = cycle.plan()
    tell(f"plan {plan.name}, cycle {cycle.number}: {cycle.path}")
    begun, loaded = time.monotonic(), 0.0
    steps = [s for s in STEPS if plan.step_named(s)]
    with restored(CYCLES, tell), WarmKernel(for_load=True) as kernel:
        _run(cycle, "10_plan", {"lang": wanted[0]}, kernel)
        for step in steps:
            before = time.monotonic()
            _launch(cycle, step, keep_going, kernel)
            loaded += min(time.monotonic() - before, _load_s(cycle, step))
        for name in ANALYSIS:
            _run(cycle, name, {}, kernel, SPARE_S + PUBLISHED_S)
        made = _documents(cycle, wanted, kernel, lambda: nullcontext(kernel))  # it has the analysis already
    return _outcome(cycle, *made, time.monotonic() - begun - loaded)


def report_cycle(path: Path, kernels: KernelSource | None = None, *, lang: str = "en") -> CycleOutcome:
    """The PDFs of a cycle again, from what was measured. Raises WorkspaceError, NotebookError, ReportError.

    kernels: a source with its usual imports, where the caller has started one early.
    """
    wanted, cycle, begun = languages(lang), open_cycle(path), time.monotonic()
    missing = [n for n in ANALYSIS if not _complete(cycle, n)]
    with nullcontext(kernels) if kernels else KernelSource() as source, WarmKernel(source=source) as kernel:
        for name in missing:
            _run(cycle, name, {}, kernel, SPARE_S + PUBLISHED_S)
        source.run(f"genkai.pages.report.analyse({str(cycle.path)!r})")  # once, for the kernels of all languages
        made = _documents(cycle, wanted, kernel, lambda: WarmKernel(source=source))
    return _outcome(cycle, *made, time.monotonic() - begun)


def run_one_step(plan_file: Path, step: str, *, keep_going: bool = False, web: bool = False) -> int:
    """One step of the newest cycle of a plan (verify begins a new one when it has run already); 0 when it passed.

    web: with locust's own page while it runs.
    """
    if step not in STEPS:
        raise StepError(f"step: expected one of {', '.join(STEPS)}, got {step!r}")
    plan = read_plan(plan_file)
    found = cycles(CYCLES / plan.name)
    fresh = not found or (step == "verify" and found[-1].result("step-verify.json").exists())
    cycle = new_cycle(CYCLES, plan_file) if fresh else found[-1]
    check_gate(cycle, step, keep_going)
    with restored(CYCLES, tell), WarmKernel(for_load=True) as kernel:
        _launch(cycle, step, keep_going, kernel, web)
    record = cycle.read_result(f"step-{step}")
    tell(f"{step}: {record['status']} ({cycle.path})")
    return outcome.exit_code(record["status"])


def stop_runs(path: Path | None = None) -> list[str]:
    """Stop the load of ours that runs, of a cycle, or of all, searches and profiles too; restore sizes left behind.

    Returns the folders of what was stopped. Raises WorkspaceError for a path that is no cycle.
    """
    chosen = [open_cycle(path)] if path else [c for plan in sorted(CYCLES.glob("*")) for c in cycles(plan)]
    runs = [run for cycle in chosen for run in cycle.runs()]
    if path is None:
        elsewhere = [*SEARCHES.glob("*/*/*/run.json"), *PROFILES.glob("*/*/runs/*/run.json")]
        runs += [Run(record.parent) for record in sorted(elsewhere)]
    stopped = [str(run.path) for run in runs if launch.stop_run(run)]
    restore_left(CYCLES, tell)
    return stopped


def plan_documents(plan_file: Path, *, lang: str = "en") -> list[Path]:
    """The test plan of a plan file as PDF, without a cycle: reports/<plan>/plan-<lang>.pdf.

    Raises PlanError, NotebookError, ReportError.
    """
    wanted, folder, made = languages(lang), REPORTS / read_plan(plan_file).name, []
    with WarmKernel() as kernel:
        for each in wanted:
            notebook = folder / f"10_plan-{each}.ipynb"
            run_notebook("10_plan", notebook, {"plan": str(plan_file), "lang": each}, kernel=kernel)
            made.append(_export(notebook, f"plan-{each}.pdf"))
    return made


def reports_dir(cycle: Cycle) -> Path:
    """reports/<plan>/<NN>; reports/sample for the recorded sample; of an import reports/ in its own folder."""
    if cycle.recorded:
        return cycle.path / REPORTS if cycle.imported else REPORTS / cycle.path.name
    return REPORTS / cycle.manifest()["plan"] / cycle.path.name


def _newest(plan_file: Path) -> Cycle:
    plan = read_plan(plan_file)
    found = cycles(CYCLES / plan.name)
    if not found:
        raise StudyError(f"--resume: expected a cycle of plan {plan.name} under {CYCLES}, got none; leave --resume out")
    if found[-1].manifest()["plan_digest"] != plan.digest():
        tell(f"note: {plan_file} has changed since cycle {found[-1].number} was frozen; going on with the frozen plan")
    return found[-1]


def _complete(cycle: Cycle, key: str) -> bool:
    return cycle.manifest().get("notebooks", {}).get(key) == "complete"


def _mark(cycle: Cycle, key: str, state: str) -> None:
    if cycle.recorded:
        return
    cycle.write_manifest(notebooks={**cycle.manifest().get("notebooks", {}), key: state})


def _load_s(cycle: Cycle, step: str) -> float:
    """Seconds of load that the plan itself asks of a step, at all sizes."""
    plan = cycle.plan()
    part = plan.step_named(step)
    at_sink_s = part.ceiling_s + WARM_UP_S if step == "verify" and part.ceiling_s else 0.0
    ceiling = at_sink_s * (1 if plan.generator.processes == 1 else 2)
    return part.duration_s * len(plan.runs_of(step)) + ceiling


def _waiting_s(cycle: Cycle, step: str) -> float:
    """The longest that its runs may wait for workers, or for what an own locustfile does at test_start."""
    plan = cycle.plan()
    own = any(plan.scenario_named(subject).locustfile for subject, _, _ in plan.runs_of(step)
              if step not in ("verify", "api"))  # fmt: skip
    return JOIN_S * len(plan.runs_of(step)) if own or plan.generator.workers or plan.generator.hosts else 0.0


def _resizing_s(cycle: Cycle, step: str) -> float:
    """The longest that giving the target its sizes and restoring them may take, seconds."""
    plan = cycle.plan()
    sizes = [size for size in plan.sizes(step) if size is not None]
    return (len(sizes) + 1) * (plan.scaling.wait_s + plan.scaling.settle_s) if sizes else 0.0


def _starting_s(cycle: Cycle) -> float:
    """Seconds of this cycle's runs before their first level and after their last."""
    total = 0.0
    for run in cycle.runs():
        record, marks = run.record(), read_marks(run)
        if marks and record.get("start") and record.get("end"):
            begun, ended = (datetime.fromisoformat(record[k]).timestamp() for k in ("start", "end"))
            total += max(ended - begun - (marks[-1]["end"] - marks[0]["start"]), 0.0)
    return total


def _run(cycle: Cycle, name: str, parameters: dict[str, Any], kernel: WarmKernel, timeout_s: float = SPARE_S) -> Path:
    """One notebook of the cycle, unless it is complete already."""
    key = "-".join([name, *(str(v) for k, v in parameters.items() if k in ("step", "lang"))])
    output = reports_dir(cycle) / f"{key}.ipynb"
    if _complete(cycle, key) and output.is_file():
        return output
    tell(f"  {key} …")
    given = {"cycle": str(cycle.path), **parameters}
    run_notebook(name, output, given, kernel=kernel, timeout_s=timeout_s, stdout=sys.stdout, folder=NOTEBOOKS)
    check_artifacts(name, cycle.results_dir, given)
    _mark(cycle, key, "complete")
    return output


def _launch(cycle: Cycle, step: str, keep_going: bool, kernel: WarmKernel, web: bool = False) -> None:
    """One step, or the record of why it was not run."""
    try:
        check_gate(cycle, step, keep_going)
    except StepError as closed:
        tell(f"  20_launch-{step}: not run ({closed})")
        return
    if not _complete(cycle, f"20_launch-{step}"):
        for name in ANALYSIS:  # what they say of the runs so far is no longer the whole
            _mark(cycle, name, "stale")
    timeout_s = _load_s(cycle, step) * 1.2 + _resizing_s(cycle, step) + _waiting_s(cycle, step) + SPARE_S
    _run(cycle, "20_launch", {"step": step, "keep_going": keep_going, "web": web}, kernel, timeout_s)
    if not cycle.result(f"step-{step}.json").exists():  # the notebook wrote it, unless somebody took it away
        write_verdict(read_study(cycle), step)


def _export(notebook: Path, name: str) -> Path:
    """The PDF of an executed notebook, beside it, whole or not at all."""
    from genkai.report.exporter import export_notebook  # slow to import: WarmKernel did, while its kernel started

    pdf = notebook.with_name(name)
    with part_of(pdf) as part:
        part.write_bytes(export_notebook(notebook))
        part.replace(pdf)
    return pdf


def _documents(
    cycle: Cycle, wanted: Sequence[str], kernel: WarmKernel, lend: Callable[[], AbstractContextManager[WarmKernel]]
) -> tuple[list[Path], list[Path]]:
    """(reports, plans) as PDF: the plans one after the other in `kernel`, beside them each report in a lent one."""

    def planned() -> list[Path]:
        return [_export(_run(cycle, "10_plan", {"lang": lang}, kernel), f"plan-{lang}.pdf") for lang in wanted]

    def reported(lang: str) -> Path:
        notebook = reports_dir(cycle) / f"60_report-{lang}.ipynb"
        with lend() as lent:
            run_notebook("60_report", notebook, {"cycle": str(cycle.path), "lang": lang}, kernel=lent,
                         timeout_s=SPARE_S, stdout=sys.stdout)  # fmt: skip
        return _export(notebook, f"report-{lang}.pdf")

    with ThreadPoolExecutor(1 + len(wanted)) as working:
        plans, reports = working.submit(planned), working.map(reported, wanted)
        return list(reports), plans.result()


def _outcome(cycle: Cycle, reports: list[Path], plans: list[Path], fixed_s: float) -> CycleOutcome:
    check_artifacts("60_report", cycle.results_dir, {})
    ended = CycleOutcome(cycle, write_outcome(cycle), tuple(reports), fixed_s, tuple(plans))
    tell(f"verdict: {ended.status.upper().replace('_', ' ')}; " + ", ".join(str(p) for p in reports))
    started = f"starting and ending Locust's processes took {_starting_s(cycle):.0f} s"
    tell(f"  ({ended.fixed_s:.0f} s besides the load itself; {started})")
    return ended


def write_outcome(cycle: Cycle) -> str:
    """verdict.json and verdict.xml beside the cycle's reports, and the index of all reports; the status."""

    def kept(name: str, otherwise: Any = None) -> Any:
        return cycle.read_result(name) if cycle.result(f"{name}.json").exists() else otherwise

    folder = reports_dir(cycle)
    record = outcome.verdict_record(
        cycle.plan(), cycle.manifest(), cycle.read_result("verdicts"),
        kept("findings", {}), facts.run_rows(cycle.runs()), outcome.results_files(folder, cycle.path),
        kept("history"), kept("actions", ()), kept("scale"), kept("summary", {}).get("run"),
    )  # fmt: skip
    write_text(folder / "verdict.xml", verdict_xml(record))
    write_text(folder / "verdict.json", outcome.verdict_json(record))
    for lang, name in PAGES.items():
        write_text(REPORTS / name, index_html(read_verdicts(REPORTS), lang))
    return record["status"]


__all__ = ["CycleOutcome", "NotebookError", "report_cycle", "run_cycle", "run_one_step", "stop_runs"]
