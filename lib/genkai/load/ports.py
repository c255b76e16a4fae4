"""Ephemeral ports left towards the target: the range of this network namespace less the ports that sockets hold there.

Asked of the kernel by sock_diag(7), which filters by the target's port, so that a few thousand sockets cost
milliseconds; the answer is read piece by piece, and requests get their turn in between. Imports neither locust nor
gevent.
"""

from __future__ import annotations

import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from genkai.load.counters import PORT_RANGE

TW_REUSE = Path("/proc/sys/net/ipv4/tcp_tw_reuse")
RESERVED = Path("/proc/sys/net/ipv4/ip_local_reserved_ports")
REUSE_AFTER_S = 1.0  # a connection in TIME_WAIT for longer gives its port away where tcp_tw_reuse allows it
TIME_WAIT_MS = 60_000  # fixed in Linux (TCP_TIMEWAIT_LEN)
TIMER_TIME_WAIT = 3  # idiag_timer of a socket in TIME_WAIT
_SOCK_DIAG, _BY_FAMILY, _DUMP, _DONE, _ERROR = 4, 20, 0x301, 3, 2
_CLOSED, _LISTEN = 1 << 7, 1 << 10
_STATES = 0xFFF & ~(_CLOSED | _LISTEN)
_PIECE = 32_768  # bytes of an answer: some 300 sockets
_HEAD = struct.Struct("=IHHII")
# of inet_diag_msg: family, state, timer; then ports, source, destination (network order); then expires after 12 bytes
_SOCKET = struct.Struct("=BBBxHH16s16s12xI")


class Ports(NamedTuple):
    """Ephemeral ports of this namespace, and how many are left towards the target's most used address."""

    total: int
    left: int


class Held(NamedTuple):
    """One socket towards the target's port."""

    local_port: int
    destination: bytes
    waiting_s: float | None  # how long it has been in TIME_WAIT


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


def list_held(port: int, pause: Callable[[], None] = lambda: None) -> Iterator[Held]:
    """Every TCP socket of this namespace towards a port, of any address. Raises OSError where the kernel refuses."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as asked:
            wanted = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, _STATES)
            wanted += struct.pack("!HH", 0, port) + bytes(32) + struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
            asked.send(_HEAD.pack(_HEAD.size + len(wanted), _BY_FAMILY, _DUMP, 1, 0) + wanted)
            while (piece := asked.recv(_PIECE)) and (yield from _read_piece(piece)):
                pause()


def _read_piece(piece: bytes) -> Iterator[Held]:
    """The sockets of a piece; returns whether more pieces follow."""
    offset = 0
    while offset < len(piece):
        length, kind, *_ = _HEAD.unpack_from(piece, offset)
        if kind == _DONE:
            return False
        if kind == _ERROR:
            raise OSError(-struct.unpack_from("=i", piece, offset + _HEAD.size)[0], "sock_diag")
        _, _, timer, local, _, _, destination, expires_ms = _SOCKET.unpack_from(piece, offset + _HEAD.size)
        waiting_s = (TIME_WAIT_MS - expires_ms) / 1000 if timer == TIMER_TIME_WAIT else None
        yield Held(socket.ntohs(local), destination, waiting_s)
        offset += (length + 3) & ~3
    return True


def is_reusable(held: Held, tw_reuse: int) -> bool:
    """Whether a new connection may take the port of a socket: in TIME_WAIT for over a second, and allowed to."""
    if held.waiting_s is None or held.waiting_s <= REUSE_AFTER_S:
        return False
    return tw_reuse == 1 or (tw_reuse == 2 and _is_loopback(held.destination))


def _is_loopback(address: bytes) -> bool:
    return address[0] == 127 or address == bytes(15) + b"\x01"


def count_left(port: int, pause: Callable[[], None] = lambda: None) -> Ports | None:
    """Ports left towards an address at this port, the one that has the fewest; None where the kernel does not tell.

    Two sockets with one local port (from two addresses of ours) count once.
    """
    usable = read_range()
    if usable is None:
        return None
    reserved = {p for p in read_reserved() if p in usable}
    tw_reuse = read_tw_reuse()
    try:
        held = {
            (h.destination, h.local_port) for h in list_held(port, pause)
            if h.local_port in usable and h.local_port not in reserved and not is_reusable(h, tw_reuse)
        }  # fmt: skip
    except OSError:
        return None
    total = len(usable) - len(reserved)
    most = max(Counter(destination for destination, _ in held).values(), default=0)
    return Ports(total, total - most)
