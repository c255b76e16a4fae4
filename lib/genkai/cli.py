"""The command `genkai`: arguments and exit codes only.

Exit codes: 0 done (report, cycle: passed), 1 targets missed, 2 cannot tell, 3 refused or broken input, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from genkai.cli_import import app as import_app
from genkai.cli_profile import profile
from genkai.cli_worker import worker
from genkai.refusals import Refusal

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Find the limit of a web service, say what it is made of, and hand stakeholders a PDF.",
)
app.add_typer(import_app, name="import")

PlanFile = Annotated[Path, typer.Argument(help="plan file, e.g. data/plans/shop.yaml")]
CyclePath = Annotated[Path, typer.Argument(help="folder of a cycle, e.g. data/cycles/shop/01, or data/sample")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
KeepGoing = Annotated[bool, typer.Option("--keep-going", help="start a step though the one before did not pass")]
Lang = Annotated[str, typer.Option("--lang", help="en, ja or both")]
OneLang = Annotated[str, typer.Option("--lang", help="en or ja")]


def _print_json(record: Any) -> None:
    print(json.dumps(record, indent=1, ensure_ascii=False))


@app.command()
def check(plan: PlanFile) -> None:
    """Check a plan file: every error at once, with line and field."""
    from genkai.capacity import target_rps
    from genkai.planfile import read_plan

    found = read_plan(plan)
    print(f"{plan}: valid; plan {found.name}, {len(found.apis)} APIs, target {target_rps(found):.1f} rps")


@app.command()
def estimate(
    plan: Annotated[Path | None, typer.Argument(help="plan file; or give the factors below")] = None,
    users: Annotated[float | None, typer.Option(help="users per day")] = None,
    accesses: Annotated[float | None, typer.Option(help="accesses per user and day")] = None,
    peak: Annotated[float, typer.Option(help="busiest second ÷ mean")] = 3,
    safety: Annotated[float, typer.Option(help="safety factor")] = 3,
    as_json: Json = False,
) -> None:
    """How much load must it carry? users × accesses ÷ 86 400 × peak × safety."""
    from genkai.pages.estimate import estimate_record, estimate_text

    record = estimate_record(plan, users, accesses, peak, safety)
    _print_json(record) if as_json else print(estimate_text(record))


@app.command()
def plan(plan: PlanFile, lang: Lang = "en") -> None:
    """The test plan of a plan file as PDF, to be approved before anything runs."""
    from genkai.cycle import plan_documents

    print("\n".join(map(str, plan_documents(plan, lang=lang))))


@app.command()
def cycle(
    plan: PlanFile,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the newest cycle of this plan")] = False,
    keep_going: KeepGoing = False,
    lang: Lang = "en",
) -> None:
    """One whole PDCA cycle: every notebook in order, then the PDF."""
    from genkai.cycle import run_cycle

    raise typer.Exit(run_cycle(plan, resume=resume, keep_going=keep_going, lang=lang).exit_code)


@app.command()
def step(
    plan: PlanFile,
    name: Annotated[str, typer.Argument(help="verify, api, scenario or endurance")],
    keep_going: KeepGoing = False,
    web: Annotated[bool, typer.Option("--web", help="serve Locust's own page, on this machine, while it runs")] = False,
) -> None:
    """One test step of the newest cycle of a plan (a new cycle for verify)."""
    from genkai.cycle import run_one_step

    raise typer.Exit(run_one_step(plan, name, keep_going=keep_going, web=web))


@app.command()
def report(path: CyclePath = Path("data/sample"), lang: Lang = "en") -> None:
    """Make the PDF of a cycle again from what was measured; the exit code is the verdict."""
    from genkai.kernel_source import KernelSource

    with KernelSource() as kernels:  # what it imports takes as long as what this process imports
        from genkai.cycle import report_cycle

        raise typer.Exit(report_cycle(path, kernels, lang=lang).exit_code)


@app.command("next")
def next_(plan: PlanFile, lang: OneLang = "en") -> None:
    """The plan file of the next cycle: the newest findings as actions to confirm."""
    from genkai.pages.next_plan import next_plan, next_text

    print(next_text(next_plan(plan, lang)))


@app.command()
def history(plan: PlanFile, lang: OneLang = "en", as_json: Json = False) -> None:
    """Every cycle of a plan, its limit, what was done, and where the level changed."""
    from genkai.pages.history import history_record, history_text

    record = history_record(plan)
    _print_json(record) if as_json else print(history_text(record, lang))


@app.command()
def compare(before: CyclePath, after: CyclePath, lang: OneLang = "en", as_json: Json = False) -> None:
    """Two cycles at equal load: better, same, worse or cannot tell; what else changed. Exit code 2: not comparable."""
    from genkai.pages.comparison import comparison_record, comparison_text

    record = comparison_record(before, after)
    _print_json(record) if as_json else print(comparison_text(record, lang))
    raise typer.Exit(2 if record.get("refused") else 0)


@app.command()
def diagnose(
    path: Annotated[Path, typer.Argument(help="folder of a run (CYCLE/runs/…) or of a cycle (its main run)")],
    step: Annotated[str, typer.Option(help="of a cycle: the step to explain")] = "",
    lang: OneLang = "en",
    as_json: Json = False,
) -> None:
    """Why it stopped where it stopped. Exit code 0: no limit; 1: a limit, and its cause; 2: cannot tell."""
    from genkai.pages.findings import exit_code, findings_record, findings_text

    record = findings_record(path, step, lang)
    _print_json(record) if as_json else print(findings_text(record, lang, colour=sys.stdout.isatty()))
    raise typer.Exit(exit_code(record))


@app.command()
def whatif(
    path: CyclePath = Path("data/sample"),
    target_rps: Annotated[float | None, typer.Option(help="throughput to carry; default: the plan's target")] = None,
    load: Annotated[float | None, typer.Option(help="users, or arrival rate, to predict for")] = None,
    step: Annotated[str, typer.Option(help="step whose model to ask; default: the one that shows the limit best")] = "",
    lang: OneLang = "en",
    as_json: Json = False,
) -> None:
    """What a throughput or a load would need, by the model of a cycle; exit code 2: no model."""
    from genkai.pages.whatif import whatif_record, whatif_text

    record = whatif_record(path, target_rps, load, step)
    _print_json(record) if as_json else print(whatif_text(record, lang))
    raise typer.Exit(0 if record["model"] else 2)


@app.command()
def search(
    plan: PlanFile,
    api: Annotated[str | None, typer.Option(help="the API to load")] = None,
    scenario: Annotated[str | None, typer.Option(help="the scenario to load")] = None,
    trial_s: Annotated[float | None, typer.Option(help="seconds of a short trial; default: by limits", min=2)] = None,
    confirm_s: Annotated[float, typer.Option(help="seconds of the long confirmation", min=2)] = 40,
    lang: Lang = "en",
    as_json: Json = False,
) -> None:
    """The highest arrival rate that keeps the targets; exit code 2: not found (generator, errors, unsteady)."""
    from genkai.search import run_search, search_text

    tell = (lambda line: None) if as_json else (lambda line: print(line, flush=True))
    record = run_search(plan, api, scenario, lang=lang, tell=tell, trial_s=trial_s, confirm_s=confirm_s)
    _print_json(record) if as_json else print(search_text(record))
    raise typer.Exit(0 if record["status"] == "found" else 2)


@app.command()
def discover(
    plan: Annotated[Path | None, typer.Argument(help="plan whose aws part to use; or give the options")] = None,
    load_balancer: Annotated[str | None, typer.Option(help="name of an ALB, NLB or classic ELB")] = None,
    region: Annotated[str, typer.Option(help="AWS region")] = "ap-northeast-1",
    profile: Annotated[str | None, typer.Option(help="profile of ~/.aws/config")] = None,
    as_json: Json = False,
) -> None:
    """What is behind a load balancer: target groups, instances, groups, limits; differences from the plan."""
    from genkai.pages.discovery import discovery_record, discovery_text

    record = discovery_record(plan, load_balancer, region, profile)
    _print_json(record) if as_json else print(discovery_text(record))


@app.command()
def doctor(plan: Annotated[Path | None, typer.Argument(help="also check what this plan needs")] = None) -> None:
    """Check tools, versions and limits of this machine."""
    from genkai.doctor import check_machine

    rows = check_machine(plan)
    for row in rows:
        print(f"{'ok  ' if row.ok else 'FIX '} {row.what}: {row.found}{'' if row.ok else f' → {row.remedy}'}")
    raise typer.Exit(0 if all(r.ok for r in rows) else 3)


@app.command()
def stop(path: Annotated[Path | None, typer.Argument(help="folder of a cycle; default: all")] = None) -> None:
    """Stop the load that is running; what was measured stays."""
    from genkai.cycle import stop_runs

    stopped = stop_runs(path)
    print("\n".join(f"stopped {run}" for run in stopped) or "nothing of ours is running")


@app.command()
def demo(
    serve: Annotated[bool, typer.Option("--serve", help="only start the demo target, on the plan's own ports")] = False,
    sizes: Annotated[bool, typer.Option("--sizes", help="play scale-out: one cycle with 1 to 4 instances")] = False,
    cycles: Annotated[int, typer.Option(help="cycles to play (2: before and after the remedy)", min=1, max=9)] = 2,
    lang: Lang = "en",
) -> None:
    """Play the demo: a load balancer that is not warmed, found in cycle 1, mended in cycle 2."""
    from genkai.demo.play import play_demo, play_sizes, serve_demo

    if serve:
        serve_demo()
    elif sizes:
        play_sizes(lang=lang)
    else:
        play_demo(cycles=cycles, lang=lang)


@app.command()
def steady(
    file: Annotated[Path, typer.Argument(help="CSV file with a header")],
    column: Annotated[str, typer.Option(help="the column, one value a second (or a sample)")],
    as_json: Json = False,
) -> None:
    """Where a series is steady, or that it never is; exit code 2: too short to tell."""
    from genkai.study.series import steady_record, steady_text

    record = steady_record(file, column)
    _print_json(record) if as_json else print(steady_text(record))
    raise typer.Exit(2 if record["steady"] is None else 0)


@app.command()
def fit(
    file: Annotated[Path, typer.Argument(help="CSV file with a header, a line for each load level")],
    load: Annotated[str, typer.Option(help="column of the load: users, concurrency, instances")],
    throughput: Annotated[str, typer.Option(help="column of the throughput, requests/s")],
    response_time: Annotated[str | None, typer.Option(help="column of the mean response time, seconds")] = None,
    model: Annotated[str, typer.Option(help="auto, linear, ceiling, amdahl, broken or usl")] = "auto",
    as_json: Json = False,
) -> None:
    """The scale characteristic of any table: model, knee, limit, with intervals; exit code 2: cannot tell."""
    from genkai.study.series import fit_record, fit_text

    record = fit_record(file, load, throughput, response_time, model)
    _print_json(record) if as_json else print(fit_text(record))
    raise typer.Exit(0 if record["model"] else 2)


app.command()(profile)
app.command()(worker)


def main() -> None:
    """Entry point."""
    try:
        code = app(prog_name="genkai", standalone_mode=False)
    except typer.Exit as ended:
        code = ended.exit_code
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error of the command line
            command = error.ctx.command_path if getattr(error, "ctx", None) else "genkai"
            print(f"genkai: {error.format_message().rstrip('.')}; try: {command} --help", file=sys.stderr)
        elif isinstance(error, Refusal):
            print(f"genkai: {error}", file=sys.stderr)
        else:
            raise
        code = 3
    if code == 130:  # what typer makes of Ctrl-C
        print("genkai: interrupted; what was measured is kept. A cycle goes on with: genkai cycle PLAN --resume",
              file=sys.stderr)  # fmt: skip
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
