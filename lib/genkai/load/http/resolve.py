"""Addresses of a target, asked again every few seconds as load balancers move."""

from __future__ import annotations

import socket

from gevent.socket import getaddrinfo

from genkai.load.http.clock import now
from genkai.load.http.errors import Failure, failure_from_error
from genkai.load.http.target import Target

TTL_S = 5.0

Address = tuple[int, tuple]  # address family, socket address


class Resolver:
    """Names to addresses with a short memory; turns through several addresses so that load spreads."""

    def __init__(self, ttl_s: float = TTL_S) -> None:
        self._ttl_s = ttl_s
        self._known: dict[tuple[str, int], tuple[float, list[Address]]] = {}
        self._turn = 0

    def addresses(self, target: Target) -> list[Address]:
        """Family and socket address in the order to try; raises Failure (dns)."""
        key = (target.host, target.port)
        until, found = self._known.get(key, (0.0, []))
        if now() >= until:
            found = self._ask(target)
            self._known[key] = (now() + self._ttl_s, found)
        self._turn += 1
        same = [a for a in found if a[0] == found[0][0]]
        turn = self._turn % len(same)
        return same[turn:] + same[:turn] + [a for a in found if a[0] != found[0][0]]

    def _ask(self, target: Target) -> list[Address]:
        address = target.address
        if address is not None and "%" not in target.host:  # no name server and no thread pool is needed
            if address.version == 4:
                return [(socket.AF_INET, (target.host, target.port))]
            return [(socket.AF_INET6, (target.host, target.port, 0, 0))]
        try:
            rows = getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            if isinstance(error, socket.gaierror):
                raise failure_from_error(error, connecting=True) from None
            raise Failure("dns", None, getattr(error, "errno", None), f"name not resolved: {error}") from None
        return list(dict.fromkeys((row[0], row[4]) for row in rows))
