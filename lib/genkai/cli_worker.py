"""The arguments of `genkai worker`."""

from __future__ import annotations

from typing import Annotated

import typer


def worker(
    master: Annotated[str, typer.Argument(help="HOST:PORT that genkai step printed")],
    token: Annotated[str, typer.Option(envvar="GENKAI_WORKER_TOKEN", help="the token that it printed")] = "",
    processes: Annotated[int, typer.Option(help="load processes on this machine", min=1)] = 1,
    once: Annotated[bool, typer.Option("--once", help="end after one run")] = False,
    wait_s: Annotated[float, typer.Option(help="seconds to wait for a run")] = float("inf"),
) -> None:
    """Load processes for a run that is conducted elsewhere: on any machine, in any container."""
    from genkai.load.joining import Master, join

    join(Master.parse(master, token), processes, once, lambda line: print(line, flush=True), wait_s)
