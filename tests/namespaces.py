"""Machines of a test's own: network namespaces on one bridge, each with its address, so that links can be cut."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import pytest

_worlds = count()  # the kernel takes a namespace's links away some time after its end: no name is used twice


def run_ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)


@dataclass(frozen=True)
class Machine:
    """A namespace with one link to the others."""

    bridge: str
    network: str
    number: int

    @property
    def name(self) -> str:
        return f"{self.bridge}-{self.number}"

    @property
    def address(self) -> str:
        return f"{self.network}.{self.number}"

    @property
    def within(self) -> tuple[str, ...]:
        """What to put before a command to run it there."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Take its link down: no packet comes or goes, nothing is closed."""
        run_ip("link", "set", f"{self.bridge}v{self.number}", "down")

    def heal(self) -> None:
        """Take its link up again."""
        run_ip("link", "set", f"{self.bridge}v{self.number}", "up")


@contextlib.contextmanager
def running_machines(size: int) -> Iterator[list[Machine]]:
    """Namespaces for the length of a with block; this process reaches them, they each other."""
    pid, world = os.getpid(), next(_worlds)
    bridge, network = f"gk{pid % 100_000}{chr(97 + world % 26)}", f"10.{pid % 200 + 30}.{(pid // 200 + world) % 250}"
    machines = [Machine(bridge, network, number + 2) for number in range(size)]
    try:
        try:
            run_ip("link", "add", bridge, "type", "bridge")
            run_ip("addr", "add", f"{network}.1/24", "dev", bridge)
            run_ip("link", "set", bridge, "up")
            for machine in machines:
                _add(machine)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"needs network namespaces: {getattr(error, 'stderr', '') or error}")
        yield machines
    finally:
        for machine in machines:
            run_ip("netns", "del", machine.name, check=False)
        run_ip("link", "del", bridge, check=False)


def _add(machine: Machine) -> None:
    outside, inside = f"{machine.bridge}v{machine.number}", f"{machine.bridge}i{machine.number}"
    run_ip("netns", "add", machine.name)
    run_ip("link", "add", outside, "type", "veth", "peer", "name", inside)
    run_ip("link", "set", inside, "netns", machine.name)
    run_ip("link", "set", outside, "master", machine.bridge, "up")
    run_ip("-n", machine.name, "addr", "add", f"{machine.address}/24", "dev", inside)
    run_ip("-n", machine.name, "link", "set", inside, "up")
    run_ip("-n", machine.name, "link", "set", "lo", "up")
