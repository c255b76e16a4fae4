"""A target on loopback in a process of its own that keeps a log of what it saw: the truth that recordings are held to.

/ok  /slow/SECONDS  /status/CODE  /reset (RST)  /close  /never  /check (a body without the expected text)
/once (answers the first request only)
"""

import asyncio
import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from genkai.plan import Plan
from genkai.planfile import parse_plan

BODY = b'{"status":"ok"}'
LINGER_NONE = struct.pack("ii", 1, 0)


def answer(status: int = 200, body: bytes = BODY) -> bytes:
    head = f"HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Protocol(asyncio.Protocol):
    first = True

    def __init__(self, log: int) -> None:
        self.log, self.buffer = log, b""

    def connection_made(self, transport) -> None:
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            self.handle(head.split(b" ", 2)[1].decode(), time.time())

    def handle(self, path: str, received: float) -> None:
        name, _, value = path.partition("?")[0].strip("/").partition("/")
        if name == "slow":
            asyncio.get_running_loop().call_later(float(value), self.reply, path, received, answer())
        elif name == "status":
            self.reply(path, received, answer(int(value)))
        elif name == "reset":
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
            self.transport.abort()
        elif name == "close":
            self.transport.close()
        elif name == "check":
            self.reply(path, received, answer(200, b"{}"))
        elif name == "once":
            Protocol.first, answered = False, not Protocol.first
            if not answered:
                self.reply(path, received, answer())
        elif name != "never":
            self.reply(path, received, answer())

    def reply(self, path: str, received: float, content: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(content)
            os.write(self.log, f"{received:.6f} {time.time():.6f} {path}\n".encode())


async def freeze(every_s: float, for_s: float) -> None:
    """Stop the whole process for a while, again and again, at fixed places of the clock."""
    while True:
        await asyncio.sleep(every_s - time.time() % every_s)
        until = time.time() // every_s * every_s + for_s
        time.sleep(max(0.0, until - time.time()))


async def serve(log: int, every_s: float, for_s: float, address: str = "127.0.0.1") -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Protocol(log), address, 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    tasks = [loop.create_task(freeze(every_s, for_s))] if every_s else []
    await loop.run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()


@dataclass
class Target:
    """A running target."""

    port: int
    log: Path
    process: subprocess.Popen
    address: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    def answered(self) -> list[tuple[float, float, str]]:
        """(received, answered, path) of every answer."""
        rows = [line.split() for line in self.log.read_text().splitlines()]
        return [(float(a), float(b), path) for a, b, path in rows]


@contextlib.contextmanager
def running_target(
    folder: Path, every_s: float = 0.0, for_s: float = 0.0, address: str = "127.0.0.1", within: tuple[str, ...] = ()
) -> Iterator[Target]:
    """A target for the length of a with block; every_s, for_s: freezes; within: command that enters a namespace."""
    log = folder / "target.log"
    command = [*within, sys.executable, __file__, str(log), str(every_s), str(for_s), address]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Target(int(process.stdout.readline()), log, process, address)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.terminate()
        process.wait(10)


def make_plan(url: str, levels: list[dict], paths: dict[str, str] | None = None, **fields) -> Plan:
    """A plan whose step api tests the first path, whose scenario (if there are several) calls all of them."""
    paths = paths or {"ok": "/ok"}
    step = {"levels": levels, **fields.pop("step", {})}
    steps = {"verify": {**step, "ceiling_s": 0}, "api": {**step, "apis": [next(iter(paths))]}}
    scenarios = fields.pop("scenarios", None) or [{"name": "mix", "calls": [
        {"api": name, "think_time_s": step.get("think_time_s", 0.05)} for name in paths]}]  # fmt: skip
    plan = {
        "name": "t", "purposes": ["responsiveness"], "targets": {"throughput_rps": 100}, "base_url": url,
        "apis": [{"name": name, "path": path} if isinstance(path, str) else {"name": name, **path}
                 for name, path in paths.items()],
        "scenarios": scenarios, "steps": {**steps, "scenario": step}, **fields,
    }  # fmt: skip
    base_dir = plan.pop("base_dir", Path("."))
    return parse_plan(yaml.safe_dump(json.loads(json.dumps(plan, default=str))), "plan", base_dir)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    handle = os.open(arguments[0], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    asyncio.run(serve(handle, float(arguments[1]), float(arguments[2]), arguments[3]))
