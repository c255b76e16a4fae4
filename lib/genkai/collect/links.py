"""How fast the network links of this machine are, as the kernel knows it: the source of the generator's bandwidth."""

from __future__ import annotations

from pathlib import Path

INTERFACES = Path("/sys/class/net")


def link_bytes_per_s(interfaces: Path = INTERFACES) -> float | None:
    """The speed of all links that are up, bytes/s in each direction; None where the kernel does not tell any.

    Virtual machines mostly do not tell (-1). Several links count together though one may carry all: rather too much,
    so that nothing is called full that is not. Source: kernel documentation, sysfs-class-net (speed in Mbit/s).
    """
    known = [speed for place in sorted(interfaces.glob("*")) if (speed := _megabits(place)) > 0]
    return sum(known) * 1e6 / 8 if known else None


def _megabits(place: Path) -> int:
    try:
        if (place / "operstate").read_text().strip() != "up" or not (place / "device").exists():
            return 0  # down, or no device behind it: loopback, bridges, pairs of namespaces
        return int((place / "speed").read_text())
    except (OSError, ValueError):  # the kernel refuses where a driver does not tell
        return 0
