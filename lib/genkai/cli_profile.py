"""The arguments of `genkai profile`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def profile(
    plan: Annotated[Path, typer.Argument(help="plan file, e.g. data/plans/shop.yaml")],
    step: Annotated[str, typer.Option(help="the step whose levels to use")] = "scenario",
    api: Annotated[str | None, typer.Option(help="the API, with --step api or verify")] = None,
    level: Annotated[
        int | None, typer.Option(help="number of the level that is the limit, from 1; default the last")
    ] = None,
    against: Annotated[int, typer.Option(help="number of the low level to compare with; 0: none")] = 1,
    rate: Annotated[float | None, typer.Option(help="arrival rate instead of a level, requests/s", min=0.1)] = None,
    host: Annotated[str | None, typer.Option(help="only this host of the plan")] = None,
    pid: Annotated[list[int] | None, typer.Option(help="process ids instead of what the plan names")] = None,
    seconds: Annotated[int, typer.Option(help="seconds of profiling at each level")] = 60,
    sudo: Annotated[bool, typer.Option("--sudo", help="run the profiler by sudo -n")] = False,
    lang: Annotated[str, typer.Option("--lang", help="en, ja or both")] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Where does the time go? A separate run with the target's processes profiled, at low load and at the limit."""
    from genkai.pages.profile import Profile, profile_text
    from genkai.profiling import languages, run_profile

    wanted = languages(lang)
    tell = (lambda line: None) if as_json else (lambda line: print(line, flush=True))
    record = run_profile(plan, step=step, api=api, level=level, against=against, rate=rate, host=host, pids=pid or (),
                         seconds=seconds, sudo=sudo, tell=tell)  # fmt: skip
    found = Profile(Path(record["folder"]))
    pictures = [str(found.write(each)) for each in wanted]
    print(json.dumps(record, indent=1, ensure_ascii=False)) if as_json else print(
        "\n".join([profile_text(found, wanted[0]), *pictures])
    )
