"""The lean HTTP path: ready-made request bytes over kept-alive gevent sockets."""

from typing import Any

from genkai.load.http.checks import EXISTS, Check
from genkai.load.http.clock import now
from genkai.load.http.connection import Connection
from genkai.load.http.errors import KINDS, Failure
from genkai.load.http.response import Response
from genkai.load.http.sources import CallState, Counter, RandomInt, Rows, Uuid
from genkai.load.http.target import Target, Timeouts, TlsSettings
from genkai.load.http.template import CallTemplate

_LOCUST_NAMES = {"LeanClient": "client", "LeanResponse": "client_response", "LeanHttpUser": "user"}

__all__ = [
    "EXISTS",
    "KINDS",
    "CallState",
    "CallTemplate",
    "Check",
    "Connection",
    "Counter",
    "Failure",
    "RandomInt",
    "Response",
    "Rows",
    "Target",
    "Timeouts",
    "TlsSettings",
    "Uuid",
    "now",
]


def __getattr__(name: str) -> Any:
    # these import locust, which patches the standard library: only when asked for
    if name in _LOCUST_NAMES:
        from importlib import import_module

        return getattr(import_module(f"genkai.load.http.{_LOCUST_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
