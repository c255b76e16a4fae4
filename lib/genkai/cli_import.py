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


@app.command()
def vmstat(
    files: Annotated[list[Path], typer.Argument(help="vmstat logs of Linux, any layout")],
    unit: Annotated[str, typer.Option(help="unit of -S when the log was made with it: k, K, m or M")] = "K",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """What a vmstat log holds: rows, columns, since-boot rows dropped, first, last, min, max, sum, warnings."""
    import json

    from genkai.collect.files import vmstat_summary, vmstat_text

    records = {str(file): vmstat_summary(file, unit) for file in files}
    if as_json:
        print(json.dumps(next(iter(records.values())) if len(files) == 1 else records, indent=1, ensure_ascii=False))
    else:
        print("\n".join(vmstat_text(name, record) for name, record in records.items()))


SocketFiles = Annotated[list[Path], typer.Argument(help="output of ss -s, ss -tan, netstat -an, or /proc/net/sockstat")]


@app.command()
def sockets(files: SocketFiles) -> None:
    """Sockets by state, from what ss, netstat or sockstat printed."""
    import json

    from genkai.collect.files import socket_summary

    print(json.dumps({str(file): socket_summary(file) for file in files}, indent=1))
