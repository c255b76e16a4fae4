"""No packet to a host that the plan does not allow: every connect of a load process is checked, whoever makes it.

An audit hook sees the connects and datagrams of all Python sockets, also those of a user's own locustfile and of its
libraries, before the kernel does; it cannot be taken out again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from gevent.monkey import get_original

from genkai.allow import AllowEntry, TargetRefused, check_address, is_loopback
from genkai.load.http.errors import Failure

EVENTS = frozenset(("socket.connect", "socket.sendto", "socket.sendmsg"))
ASK_AGAIN_S = 5.0


class Guard:
    """Which addresses the allow list admits; names without networks are resolved, again every few seconds."""

    def __init__(self, allow: Sequence[AllowEntry], resolve: Callable[..., list] | None = None) -> None:
        self._allow = list(allow)
        self._events = EVENTS  # at the interpreter's end a module's names go before the hook does
        self._resolve = resolve or get_original("socket", "getaddrinfo")  # must not switch greenlets inside a hook
        self._known: set[str] = set()
        self._asked = -ASK_AGAIN_S

    def check(self, address: str) -> None:
        """Refuse an address that no entry admits. Raises TargetRefused."""
        address = address.partition("%")[0]
        if is_loopback(address) or address in self._known:
            return
        for entry in self._allow:
            with suppress(TargetRefused, ValueError):
                if entry.resolves_to:
                    check_address(entry.host, address, self._allow)
                    self._known.add(address)
                    return
        if time.monotonic() - self._asked >= ASK_AGAIN_S:
            self._asked = time.monotonic()
            self._ask()
        if address not in self._known:
            raise TargetRefused(
                f"allow: expected an address of {', '.join(e.host for e in self._allow) or 'this machine'}, got "
                f"{address}; nothing was sent. Add the host to allow only if you may put load on it"
            )

    def _ask(self) -> None:
        for entry in self._allow:
            if not entry.resolves_to:
                with suppress(OSError):
                    self._known |= {info[4][0].partition("%")[0] for info in self._resolve(entry.host, None)}

    def refuse(self, host: str, address: str) -> Failure | None:
        """The answer for a lean connection: None, or the failure that the request gets."""
        try:
            check_address(host, address, self._allow)
        except TargetRefused as error:
            return Failure("blocked", None, None, str(error))
        return None

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The audit hook: looks at Internet addresses only."""
        if event in self._events:
            address = arguments[1]
            if isinstance(address, tuple) and len(address) >= 2 and isinstance(address[0], str):
                self.check(address[0])

    def install(self) -> None:
        """Check every connect of this process and of those it forks from now on."""
        sys.addaudithook(self.hook)
