"""What every process of the demo does: run a loop, say that it is ready, end with its parent."""

import asyncio
import json
import os
import select
import signal
import sys
import threading
from collections.abc import Awaitable, Callable

try:
    import uvloop
except ImportError:  # not built for every platform; the demo is then slower, not different
    uvloop = None  # type: ignore[assignment]


def hold_lease(leave: Callable[[], object] | None = None) -> None:
    """End this process when its standard input closes or its parent dies, whatever of; `leave` is called before."""
    parent = os.getppid()

    def watch() -> None:
        # The pipe is not enough: a process forked off the parent keeps a copy of its other end open.
        while os.getppid() == parent:
            readable, _, _ = select.select([0], [], [], 1.0)
            if readable and not os.read(0, 65536):
                break
        if leave is not None:
            leave()
        os._exit(0)

    threading.Thread(target=watch, name="lease", daemon=True).start()


def announce(**facts: object) -> None:
    """Tell the parent that this process is ready: one JSON line on standard output."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def run(start: Callable[[], Awaitable[dict]], leave: Callable[[], object] | None = None) -> None:
    """Run `start` on a fresh loop, announce what it returns, serve until SIGTERM or the end of the parent."""
    hold_lease(leave)

    async def main() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        announce(**await start())
        await stopping.wait()

    factory = uvloop.new_event_loop if uvloop else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


def port_of(server: asyncio.Server) -> int:
    """The port a server listens on."""
    return server.sockets[0].getsockname()[1]
