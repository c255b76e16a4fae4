"""What an exception of any HTTP client means, in the kinds of the failures table. Imports neither locust nor gevent."""

from __future__ import annotations

import errno
from typing import Any

_BY_ERRNO = {
    errno.ECONNREFUSED: "refused", errno.EHOSTUNREACH: "refused", errno.ENETUNREACH: "refused",
    errno.ECONNRESET: "reset", errno.ECONNABORTED: "reset", errno.EPIPE: "reset", errno.EADDRNOTAVAIL: "no_port",
    errno.EMFILE: "no_fd", errno.ENFILE: "no_fd", errno.ETIMEDOUT: "timeout_connect",
}  # fmt: skip
_BY_CLASS = (  # class names as requests, urllib3, geventhttpclient and the standard library have them
    ("ConnectTimeout", "timeout_connect"), ("ReadTimeout", "timeout_read"), ("Timeout", "timeout_total"),
    ("timeout", "timeout_total"), ("TimedOut", "timeout_total"), ("SSL", "tls"), ("NameResolution", "dns"),
    ("gaierror", "dns"), ("RemoteDisconnected", "closed"), ("ConnectionRefused", "refused"),
    ("ConnectionReset", "reset"), ("TargetRefused", "blocked"),
)  # fmt: skip
DEPTH = 8


def causes(error: BaseException) -> list[BaseException]:
    """The error and what is wrapped in it, outermost first: causes, contexts, reasons and arguments."""
    found, todo = [], [error]
    while todo and len(found) < DEPTH * 2:
        current = todo.pop(0)
        if not isinstance(current, BaseException) or any(current is f for f in found):
            continue
        found.append(current)
        todo += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
    return found


def classify(error: BaseException, response: Any) -> tuple[str, int | None, int | None]:
    """(kind, HTTP status, errno) of a failed request of any client."""
    status = getattr(response, "status_code", None) or None
    status = status if isinstance(status, int) and 100 <= status <= 599 else None
    if type(error).__name__ == "CatchResponseError":
        return "check", status, None
    chain = causes(error)
    numbers = [e.errno for e in chain if isinstance(getattr(e, "errno", None), int) and e.errno > 0]
    for number in numbers:
        if number in _BY_ERRNO:
            return _BY_ERRNO[number], status, number
    for inner in chain:
        for name, kind in _BY_CLASS:
            if name in type(inner).__name__:
                return kind, status, numbers[0] if numbers else None
    if status is not None and status >= 400:
        return ("http_4xx" if status < 500 else "http_5xx"), status, None
    return "other", status, numbers[0] if numbers else None
