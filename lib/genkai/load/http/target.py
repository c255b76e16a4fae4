"""Where requests go and how long they may take."""

import ipaddress
import math
from dataclasses import dataclass, field
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How TLS connections of one target are made; files are paths to PEM, secrets never appear in repr."""

    verify: bool = True
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    key_password: str | None = field(default=None, repr=False)
    server_name: str | None = None  # SNI and certificate name; None: the target's host


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds: ``connect`` (name, TCP, TLS), ``read`` (silence of the server), ``total`` (whole exchange).

    They end at most 5 % or 0.25 s late, because one timer per process watches all connections.
    """

    connect: float = 10.0
    read: float = 60.0
    total: float = math.inf

    def __post_init__(self) -> None:
        for name in ("connect", "read", "total"):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"Timeouts.{name}: expected seconds > 0, got {value!r}")


@dataclass(frozen=True, slots=True)
class Target:
    """One scheme, host and port; raises ValueError when they make no origin."""

    scheme: str
    host: str
    port: int
    tls: TlsSettings = TlsSettings()

    def __post_init__(self) -> None:
        if self.scheme not in DEFAULT_PORTS:
            raise ValueError(f"Target.scheme: expected http or https, got {self.scheme!r}")
        if not self.host:
            raise ValueError("Target.host: expected a host name or address, got an empty string")
        if not 0 < self.port < 65536:
            raise ValueError(f"Target.port: expected 1–65535, got {self.port!r}")

    @classmethod
    def from_url(cls, url: str, tls: TlsSettings | None = None) -> "Target":
        """The target of an absolute URL (path, query and user information are left out)."""
        parts = urlsplit(url)
        scheme = parts.scheme.lower()
        if scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ValueError(
                f"URL: expected http://host… or https://host…, got {parts.scheme!r}, host {parts.hostname!r}"
            )
        host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode("ascii")
        return cls(scheme, host, parts.port or DEFAULT_PORTS[scheme], tls or TlsSettings())

    @property
    def host_header(self) -> str:
        """The value of the Host field: brackets around IPv6, the port unless it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def address(self) -> "ipaddress.IPv4Address | ipaddress.IPv6Address | None":
        """The address when the host is written as one (zone left out), else None."""
        try:
            return ipaddress.ip_address(self.host.partition("%")[0])
        except ValueError:
            return None
