"""What can go wrong with one request, in the kinds that the failures table counts."""

import errno
import socket
import ssl

KINDS = frozenset(
    (
        *("timeout_connect", "timeout_read", "timeout_total", "refused", "reset", "closed", "no_port", "no_fd"),
        *("tls", "dns", "http_4xx", "http_5xx", "http_other", "check", "protocol", "blocked"),
    )
)

_BY_ERRNO = {
    errno.ECONNREFUSED: "refused",
    errno.EHOSTUNREACH: "refused",
    errno.ENETUNREACH: "refused",
    errno.ECONNRESET: "reset",
    errno.ECONNABORTED: "reset",
    errno.EPIPE: "reset",
    errno.EADDRNOTAVAIL: "no_port",
    errno.EMFILE: "no_fd",
    errno.ENFILE: "no_fd",
}


class Failure(Exception):
    """One failed request: kind, HTTP status, errno and a message that is the same for the same cause.

    ``sent`` and ``done`` are epoch seconds (None before the request left), ``bytes_received`` counts what
    had arrived. Raises ValueError for an unknown kind.
    """

    def __init__(self, kind: str, status: int | None = None, errno: int | None = None, message: str = "") -> None:
        if kind not in KINDS:
            raise ValueError(f"Failure.kind: expected one of {sorted(KINDS)}, got {kind!r}; add it to KINDS first")
        super().__init__(message or kind)
        self.kind = kind
        self.status = status
        self.errno = errno
        self.message = message or kind
        self.sent: float | None = None
        self.done: float | None = None
        self.bytes_received = 0

    def __reduce__(self) -> tuple:
        return Failure, (self.kind, self.status, self.errno, self.message)

    def __repr__(self) -> str:
        return f"Failure({self.kind!r}, status={self.status}, errno={self.errno}, message={self.message!r})"


def failure_from_error(error: BaseException, connecting: bool) -> Failure:
    """The Failure for an exception of the socket, resolver or TLS layer; ``connecting`` decides between time-outs."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, socket.gaierror):
        return Failure("dns", None, error.errno, f"name not resolved: {error.strerror}")
    if isinstance(error, ssl.SSLError):
        return _tls_failure(error)
    number = getattr(error, "errno", None)
    if isinstance(error, TimeoutError):
        return Failure("timeout_connect" if connecting else "timeout_read", None, number, "timed out in the kernel")
    kind = _BY_ERRNO.get(number, "refused" if connecting else "reset")
    return Failure(kind, None, number, (error.strerror if isinstance(error, OSError) else None) or str(error))


def _tls_failure(error: ssl.SSLError) -> Failure:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure("tls", None, error.errno, f"certificate not accepted: {error.verify_message}")
    reason = getattr(error, "reason", None) or error.strerror or error.__class__.__name__
    return Failure("tls", None, error.errno, f"TLS: {reason}")


def failure_from_status(status: int) -> Failure:
    """The Failure of a response whose status was not the expected one."""
    family = {4: "http_4xx", 5: "http_5xx"}.get(status // 100, "http_other")
    return Failure(family, status, None, f"HTTP {status}")
