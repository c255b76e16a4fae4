"""`genkai import TOOL FILE… --into DIR`: what other tools measured, as a cycle, or as host metrics of one."""

from __future__ import annotations

from functools import partial
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
    """JMeter's JTL as CSV or XML: every sample, with response times."""
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
def hey(
    files: Files,
    into: Into,
    workers: Annotated[list[int] | None, typer.Option("--workers", "-c", help="hey's -c, once for each file")] = None,
) -> None:
    """hey's -o csv: every answered request; one file for each number of workers is a level each."""
    from genkai.study.foreign import import_results
    from genkai.study.hey import HeyRuns

    if workers and (len(workers) != len(files) or min(workers) < 1):
        raise typer.BadParameter(f"expected a number of workers for each of {len(files)} files, got {workers}")
    _told(import_results("hey", HeyRuns(workers or ()), files, into), files)


HostFiles = Annotated[list[Path], typer.Argument(help="files of one or several hosts")]
Cycle_ = Annotated[Path | None, typer.Option("--into", help="cycle whose runs get the rows as metrics")]
HostName = Annotated[str, typer.Option("--host", help="whose files these are; default: each file's name up to a point")]
Zone = Annotated[str, typer.Option("--timezone", help="of stamps that do not say theirs: +09:00, Asia/Tokyo")]
Start = Annotated[str, typer.Option("--start", help="time of the first row when there are no stamps (ISO 8601)")]
Ahead = Annotated[float, typer.Option("--clock-offset", help="seconds that the host's clock was ahead")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def _into_cycle(tool: str, files: list[Path], into: Path, host: str, how) -> None:
    from genkai.collect.files import host_table
    from genkai.collect.into_cycle import add_metrics, host_of
    from genkai.workspace import open_cycle

    cycle, frames, notes = open_cycle(into), {}, []
    for file in files:
        table, said = host_table(tool, file, host or host_of(file), how)
        frames.setdefault(host or host_of(file), []).append(table)
        notes += [f"note: {file}: {text}" for text in said]
    for added in add_metrics(cycle, tool, frames, files):
        print(f"{added.run}: {added.rows} values of host:{added.host}")
    print("\n".join([*notes, f"{cycle.path}: now open notebook 30_monitor, or: genkai report {cycle.path}"]))


def _host_files(tool: str, files: list[Path], into: Path | None, host: str, how, summary, text=None) -> None:
    """Into the cycle, or a summary of each file: as lines by `text`, else as JSON, a single file's by itself."""
    import json

    if into:
        _into_cycle(tool, files, into, host, how)
        return
    records = {str(file): summary(file) for file in files}
    if text:
        print("\n".join(text(name, record) for name, record in records.items()))
    else:
        print(json.dumps(next(iter(records.values())) if len(records) == 1 else records, indent=1, ensure_ascii=False))


@app.command()
def vmstat(
    files: HostFiles,
    unit: Annotated[str, typer.Option(help="unit of -S when the log was made with it: k, K, m or M")] = "K",
    as_json: Json = False,
    into: Cycle_ = None,
    host: HostName = "",
    timezone: Zone = "UTC",
    start: Start = "",
    clock_offset: Ahead = 0.0,
) -> None:
    """What a vmstat log of Linux holds: rows, since-boot rows dropped, first, last, min, max, sum; or into a cycle."""
    from genkai.collect.files import Reading, vmstat_summary, vmstat_text

    how = Reading(unit, timezone, start, "", clock_offset)
    summary = partial(vmstat_summary, unit=unit)
    _host_files("vmstat", files, into, host, how, summary, None if as_json else vmstat_text)


@app.command()
def sar(
    files: HostFiles,
    day: Annotated[str, typer.Option("--day", help="of a report without its first line (2024-05-01)")] = "",
    as_json: Json = False,
    into: Cycle_ = None,
    host: HostName = "",
    timezone: Zone = "UTC",
    clock_offset: Ahead = 0.0,
) -> None:
    """What sysstat recorded, as text of sar, sadf -d or sadf -p: a summary; or into a cycle."""
    from genkai.collect.files import Reading, sar_summary, sar_text

    how = Reading("K", timezone, "", day, clock_offset)
    _host_files("sar", files, into, host, how, partial(sar_summary, how=how), None if as_json else sar_text)


def _socket_command(tool: str, help: str) -> None:
    @app.command(tool, help=help)
    def command(
        files: HostFiles,
        into: Cycle_ = None,
        host: HostName = "",
        timezone: Zone = "UTC",
        start: Start = "",
        clock_offset: Ahead = 0.0,
    ) -> None:
        from genkai.collect.files import Reading, socket_summary

        how = Reading("K", timezone, start, "", clock_offset)
        _host_files(tool, files, into, host, how, partial(socket_summary, tool=tool))


_socket_command("ss", "Sockets by state from ss -s, ss -tan or /proc/net/sockstat, once, or repeated below date lines.")
_socket_command("netstat", "Sockets by state from netstat -an, once, or again and again below date lines.")


@app.command()
def sockets(files: HostFiles) -> None:
    """Sockets by state, from what ss, netstat or sockstat printed."""
    from genkai.collect.files import Reading, socket_summary

    _host_files("", files, None, "", Reading(), socket_summary)
