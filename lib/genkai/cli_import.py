"""`genkai import TOOL FILE… --into DIR`: what other tools measured, as a cycle that notebooks and report read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Read what other tools measured into a cycle of its own.")

Files = Annotated[list[Path], typer.Argument(help="result files; several of one run add up")]
Into = Annotated[Path, typer.Option("--into", help="new folder for the cycle")]


def _told(cycle, files: list[Path]) -> None:
    record = cycle.run("scenario", "imported").record()["imported"]
    print(f"{cycle.path}: {len(files)} file(s) of {record['tool']}; now: genkai report {cycle.path}")
    for note in record["notes"]:
        print(f"note: {note}")


@app.command()
def locust(files: Files, into: Into) -> None:
    """Locust's _stats_history.csv: throughput and errors by second and level; no percentiles (they are cumulative)."""
    from genkai.study.foreign import import_results
    from genkai.study.locust_history import read_history

    _told(import_results("locust", read_history, files, into), files)


@app.command()
def jmeter(files: Files, into: Into) -> None:
    """JMeter's JTL as CSV: every sample, with response times."""
    from genkai.study.foreign import import_results
    from genkai.study.jmeter import read_jtl

    _told(import_results("jmeter", read_jtl, files, into), files)
