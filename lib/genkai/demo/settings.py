"""Settings of the demo's processes, one dataclass each, which double as their command lines."""

import argparse
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self


def option(default: Any, text: str) -> Any:
    """A dataclass field that is also a command-line option with this help text."""
    return field(default=default, metadata={"help": text})


class Settings:
    """Turns a dataclass into command-line arguments and back."""

    def arguments(self) -> list[str]:
        """The command line that recreates these settings; defaults are left out."""
        words: list[str] = []
        for entry in fields(self):  # type: ignore[arg-type]
            value = getattr(self, entry.name)
            if value == entry.default:
                continue
            flag = "--" + entry.name.replace("_", "-")
            words += [flag] if value is True else [flag, str(value)]
        return words

    @classmethod
    def parse(cls, argv: list[str] | None = None, description: str | None = None) -> Self:
        """Read the settings from a command line (default: this process's own)."""
        parser = argparse.ArgumentParser(description=description)
        for entry in fields(cls):  # type: ignore[arg-type]
            flag = "--" + entry.name.replace("_", "-")
            text = entry.metadata.get("help", "")
            if entry.default is False:
                parser.add_argument(flag, action="store_true", help=text)
            else:
                required = entry.default is MISSING
                kind = str if required else type(entry.default)
                default = None if required else entry.default
                parser.add_argument(flag, type=kind, default=default, required=required, help=text)
        return cls(**vars(parser.parse_args(argv)))


@dataclass(frozen=True)
class AppSettings(Settings):
    """One app instance: its size, the cost of a request, and the faults it can be given."""

    host: str = option("127.0.0.1", "address to listen on")
    port: int = option(0, "port to listen on; 0: the system chooses")
    instance_id: str = option("", "name in the statistics")
    database: str = option(":memory:", "SQLite file of the API")
    slots: int = option(32, "worker slots: requests served at the same time")
    queue: int = option(0, "requests that may wait for a slot, 503 beyond; 0: no limit")
    cpu_ms: float = option(0.1, "CPU time a search or an order costs, in ms; an item costs half")
    io_ms: float = option(20.0, "mean wait on a dependency per request, in ms")
    io_spread: float = option(0.25, "coefficient of variation of that wait (gamma distributed); 0: constant")
    stall_every: float = option(0.0, "fault: stop the whole process every so many seconds; 0: never")
    stall_for: float = option(1.0, "length of such a stop in seconds")
    leak_bytes: int = option(0, "fault: bytes never given back per request")
    lock: bool = option(False, "fault: one global lock round the work and the wait")
    rate_limit: float = option(0.0, "fault: answer 429 beyond so many requests/s; 0: no limit")
    fail_ratio: float = option(0.0, "fault: share of requests answered 500 at once")
    close: bool = option(False, "fault: close the connection after each response")


@dataclass(frozen=True)
class BalancerSettings(Settings):
    """The load balancer: what it can carry and how it queues."""

    host: str = option("127.0.0.1", "address to listen on")
    port: int = option(0, "port for clients; 0: the system chooses")
    control_port: int = option(0, "port for statistics and changes; 0: the system chooses")
    capacity_rps: float = option(0.0, "requests/s passed on to the instances; 0: unlimited")
    surge_queue: int = option(1024, "requests that may wait, 503 beyond (a classic ELB holds 1 024)")
    max_connections: int = option(64, "connections to one instance")
    round_robin: bool = option(False, "fault: instances take turns, whether they are busy or not")
    health_interval_s: float = option(2.0, "seconds between health checks")
    health_timeout_s: float = option(2.0, "seconds until a health check counts as failed")
    unhealthy_after: int = option(2, "failed checks in a row that take an instance out")
    timeout_s: float = option(60.0, "seconds an instance may take to answer, 504 beyond")
