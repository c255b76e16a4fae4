"""Machines of a test's own: network namespaces on one bridge, each with its address, so that links can be cut."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

BRIDGE = f"gk{os.getpid() % 100_000}"
NETWORK = f"10.{os.getpid() % 200 + 30}.{os.getpid() // 200 % 250}"


def run_ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)


@dataclass(frozen=True)
class Machine:
    """A namespace with one link to the others."""

    number: int

    @property
    def name(self) -> str:
        return f"{BRIDGE}-{self.number}"

    @property
    def address(self) -> str:
        return f"{NETWORK}.{self.number}"

    @property
    def within(self) -> tuple[str, ...]:
        """What to put before a command to run it there."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Take its link down: no packet comes or goes, nothing is closed."""
        run_ip("link", "set", f"{BRIDGE}v{self.number}", "down")

    def heal(self) -> None:
        """Take its link up again."""
        run_ip("link", "set", f"{BRIDGE}v{self.number}", "up")


@contextlib.contextmanager
def running_machines(count: int) -> Iterator[list[Machine]]:
    """Namespaces for the length of a with block; this process reaches them, they each other."""
    machines = [Machine(number + 2) for number in range(count)]
    try:
        try:
            run_ip("link", "add", BRIDGE, "type", "bridge")
            run_ip("addr", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
            run_ip("link", "set", BRIDGE, "up")
            for machine in machines:
                _add(machine)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"needs network namespaces: {getattr(error, 'stderr', '') or error}")
        yield machines
    finally:
        for machine in machines:
            run_ip("netns", "del", machine.name, check=False)
        run_ip("link", "del", BRIDGE, check=False)


def _add(machine: Machine) -> None:
    outside, inside = f"{BRIDGE}v{machine.number}", f"{BRIDGE}i{machine.number}"
    run_ip("netns", "add", machine.name)
    run_ip("link", "add", outside, "type", "veth", "peer", "name", inside)
    run_ip("link", "set", inside, "netns", machine.name)
    run_ip("link", "set", outside, "master", BRIDGE, "up")
    run_ip("-n", machine.name, "addr", "add", f"{machine.address}/24", "dev", inside)
    run_ip("-n", machine.name, "link", "set", inside, "up")
    run_ip("-n", machine.name, "link", "set", "lo", "up")
