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


Unit = Annotated[str | None, typer.Option(help="of the recorded values: ns, us, ms or s; default: by the file")]
ByRate = Annotated[bool, typer.Option("--by-rate", help="levels are plateaus of the rate, not of the users")]


@app.command()
def k6(files: Files, into: Into, by_rate: ByRate = False) -> None:
    """k6's --out csv=FILE or --out json=FILE: every request, with response times."""
    from genkai.study.foreign import import_results
    from genkai.study.k6 import read_k6

    _told(import_results("k6", lambda path: read_k6(path, by_rate), files, into), files)


@app.command()
def gatling(files: Files, into: Into, by_rate: ByRate = False) -> None:
    """Gatling's simulation.log as text (to 3.11; later ones are binary): every request, with response times."""
    from genkai.study.foreign import import_results
    from genkai.study.gatling import read_gatling

    _told(import_results("gatling", lambda path: read_gatling(path, by_rate), files, into), files)


@app.command()
def hdr(
    files: Files,
    into: Into,
    unit: Unit = None,
) -> None:
    """Histogram logs (.hlog) of HdrHistogram: response times by interval; levels are plateaus of the rate."""
    from genkai.study.foreign import import_results
    from genkai.study.hdr_log import read_hlog

    _told(import_results("hdr", lambda path: read_hlog(path, unit), files, into), files)


@app.command()
def vegeta(files: Files, into: Into) -> None:
    """vegeta's results as vegeta encode writes them (JSON or CSV); one file for each rate is a level each."""
    from genkai.study.foreign import import_results
    from genkai.study.vegeta import read_vegeta

    _told(import_results("vegeta", read_vegeta, files, into), files)


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
