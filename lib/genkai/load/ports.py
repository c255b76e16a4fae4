"""Ephemeral ports left towards the target: the range of this network namespace less the ports that sockets hold there.

Asked of the kernel by sock_diag(7), which filters by the target's port, so that a few thousand sockets cost
milliseconds; the answer is read piece by piece, and requests get their turn in between. Imports neither locust nor
gevent.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genkai.load.counters import PORT_RANGE

TW_REUSE = Path("/proc/sys/net/ipv4/tcp_tw_reuse")
RESERVED = Path("/proc/sys/net/ipv4/ip_local_reserved_ports")
REUSE_AFTER_MS = 1000  # a connection in TIME_WAIT for longer gives its port away where tcp_tw_reuse allows it
TIME_WAIT_MS = 60_000  # fixed in Linux (TCP_TIMEWAIT_LEN)
TIMER_TIME_WAIT = 3  # idiag_timer of a socket in TIME_WAIT
_SOCK_DIAG, _BY_FAMILY, _DUMP, _DONE, _ERROR = 4, 20, 0x301, 3, 2
_CLOSED, _LISTEN = 1 << 7, 1 << 10
_STATES = 0xFFF & ~(_CLOSED | _LISTEN)
_PIECE = 32_768  # bytes of an answer: some 300 sockets
_HEAD = struct.Struct("=IHHII")
LOOPBACK_6 = bytes(15) + b"\x01"


class Ports(NamedTuple):
    """Ephemeral ports of this namespace, and how many are left towards the target's most used address."""

    total: int
    left: int


@lru_cache(maxsize=16)
def socket_type(length: int) -> np.dtype:
    """A message of the answer that is so long: nlmsghdr, inet_diag_msg, attributes (linux/inet_diag.h)."""
    fields = {"length": ("=u4", 0), "kind": ("=u2", 4), "timer": ("u1", 18), "local": (">u2", 20),
              "destination": ("u1", 40, 16), "expires_ms": ("=u4", 68)}  # fmt: skip
    formats = [(kind, tuple(shape)) if shape else kind for kind, _, *shape in fields.values()]
    offsets = [offset for _, offset, *_ in fields.values()]
    return np.dtype({"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": length})


def read_range() -> range | None:
    """The ephemeral ports of this network namespace, or None."""
    try:
        low, high = map(int, PORT_RANGE.read_text().split())
    except (OSError, ValueError):
        return None
    return range(low, high + 1)


def read_reserved() -> set[int]:
    """Ports that the kernel gives to nobody by itself (ip_local_reserved_ports)."""
    try:
        parts = [part.partition("-") for part in RESERVED.read_text().strip().split(",") if part]
    except OSError:
        return set()
    return {port for low, _, high in parts for port in range(int(low), int(high or low) + 1)}


def read_tw_reuse() -> int:
    """0 no, 1 yes, 2 on loopback only; 0 where it is not told."""
    try:
        return int(TW_REUSE.read_text())
    except (OSError, ValueError):
        return 0


def list_held(port: int, pause: Callable[[], None] = lambda: None) -> Iterator[np.ndarray]:
    """Every TCP socket of this namespace towards a port, of any address, in arrays of `socket_type`.

    Raises OSError where the kernel refuses.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as asked:
            wanted = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, _STATES)
            wanted += struct.pack("!HH", 0, port) + bytes(32) + struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
            asked.send(_HEAD.pack(_HEAD.size + len(wanted), _BY_FAMILY, _DUMP, 1, 0) + wanted)
            while (piece := asked.recv(_PIECE)) and (yield from _read_piece(piece)):
                pause()


def _read_piece(piece: bytes) -> Iterator[np.ndarray]:
    """The sockets of a piece, those in a row whose messages are equally long at once; returns whether more follow."""
    offset = 0
    while offset < len(piece):
        length, kind, *_ = _HEAD.unpack_from(piece, offset)
        if kind == _DONE:
            return False
        if kind == _ERROR:
            raise OSError(-struct.unpack_from("=i", piece, offset + _HEAD.size)[0], "sock_diag")
        aligned = (length + 3) & ~3
        found = np.frombuffer(piece, socket_type(aligned), (len(piece) - offset) // aligned, offset)
        others = np.flatnonzero((found["length"] != length) | (found["kind"] != kind))
        found = found[: others[0]] if len(others) else found
        yield found
        offset += aligned * len(found)
    return True


def is_reusable(held: np.ndarray, tw_reuse: int) -> np.ndarray:
    """Of each socket, whether a new connection may take its port: over a second in TIME_WAIT, and it is allowed."""
    old = (held["timer"] == TIMER_TIME_WAIT) & (held["expires_ms"] < TIME_WAIT_MS - REUSE_AFTER_MS)
    if tw_reuse == 2:
        to = held["destination"]
        old &= (to[:, 0] == 127) | (to == np.frombuffer(LOOPBACK_6, "u1")).all(axis=1)
    return old if tw_reuse else np.zeros(len(held), bool)


def count_left(port: int, pause: Callable[[], None] = lambda: None) -> Ports | None:
    """Ports left towards an address at this port, the one that has the fewest; None where the kernel does not tell.

    Two sockets with one local port (from two addresses of ours) count once.
    """
    usable = read_range()
    if usable is None:
        return None
    given = np.zeros(65_536, bool)
    given[usable.start : usable.stop] = True
    given[list(read_reserved())] = False
    tw_reuse, taken = read_tw_reuse(), {}
    try:
        for held in list_held(port, pause):
            for destination, ports in _by_destination(held[~is_reusable(held, tw_reuse)]):
                taken.setdefault(destination, np.zeros(65_536, bool))[ports] = True
    except OSError:
        return None
    total = int(given.sum())
    return Ports(total, total - max((int((given & used).sum()) for used in taken.values()), default=0))


def _by_destination(held: np.ndarray) -> Iterator[tuple[bytes, np.ndarray]]:
    """(address, local ports) of each address; mostly there is one."""
    left = held
    while len(left):
        same = (left["destination"] == left["destination"][0]).all(axis=1)
        yield left["destination"][0].tobytes(), left["local"][same]
        left = left[~same]
