"""A locust user whose client takes the lean path."""

from __future__ import annotations

from typing import Any

from locust import User
from locust.exception import StopTest
from locust.user.users import RestMixin

from genkai.load.http.client import LeanClient
from genkai.load.http.dial import Guard
from genkai.load.http.target import Timeouts, TlsSettings


class LeanHttpUser(User, RestMixin):
    """Base class to put in place of FastHttpUser or HttpUser; set the attributes in a subclass.

    ``insecure`` is False here, unlike in FastHttpUser: certificates are checked. ``guard`` is asked before every
    connect; the engine sets it on this class.
    """

    abstract = True
    connection_timeout: float = 60.0  # seconds to connect
    network_timeout: float = 60.0  # seconds of silence from the server
    max_redirects: int = 30
    insecure: bool = False
    default_headers: dict[str, str] | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    guard: Guard | None = None

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        if self.host is None:
            raise StopTest("host: expected a base URL in the user class or by --host, got none")
        guard = type(self).guard  # from the class: an instance would bind a plain function as a method
        self.client = LeanClient(
            self.host,
            environment.events.request,
            self,
            timeouts=Timeouts(self.connection_timeout, self.network_timeout),
            guard=guard,
            tls=TlsSettings(not self.insecure, self.ca_file, self.cert_file, self.key_file),
            headers=self.default_headers,
            max_redirects=self.max_redirects,
        )
