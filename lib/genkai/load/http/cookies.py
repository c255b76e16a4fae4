"""Cookies of one user for one host (RFC 6265, without domains)."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from genkai.load.http.clock import now
from genkai.load.http.headers import Headers


class Cookies:
    """Name, path and value of what Set-Cookie fields left; made for one host, so that Domain plays no part."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[str, bool, float]] = {}
        self._plain: str | None = ""

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, name: str) -> bool:
        return any(kept == name for kept, _path in self._kept)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of the cookie with the longest path."""
        found = sorted(((path, row[0]) for (kept, path), row in self._kept.items() if kept == name), key=_length)
        return found[-1][1] if found else default

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
        self._plain = ""

    def set(self, name: str, value: str, path: str = "/", secure: bool = False, expires: float = float("inf")) -> None:
        """Keep a cookie; ``expires`` in epoch seconds, one in the past deletes it."""
        if expires <= now():
            self._kept.pop((name, path), None)
        else:
            self._kept[(name, path)] = (value, secure, expires)
        simple = all(p == "/" and not s and e == float("inf") for (_n, p), (_v, s, e) in self._kept.items())
        self._plain = self._join("/", True) if simple else None

    def store(self, headers: Headers, request_path: str = "/") -> None:
        """Take over every Set-Cookie field of a response."""
        for line in headers.get_all("set-cookie"):
            first, *attributes = line.split(";")
            name, equals, value = first.partition("=")
            if not equals or not name.strip():
                continue
            found = dict(_attribute(text) for text in attributes)
            path = found.get("path", "")
            if not path.startswith("/"):
                path = request_path.partition("?")[0].rpartition("/")[0] or "/"
            self.set(name.strip(), value.strip(), path, "secure" in found, _expiry(found))

    def header(self, path: str = "/", secure: bool = False) -> str:
        """The value of the Cookie field for a request to ``path``, "" when there is none."""
        return self._plain if self._plain is not None else self._join(path.partition("?")[0], secure)

    def _join(self, path: str, secure: bool) -> str:
        moment = now()
        rows = [
            (cookie_path, f"{name}={value}")
            for (name, cookie_path), (value, only_tls, expires) in self._kept.items()
            if expires > moment and (secure or not only_tls) and _path_matches(path, cookie_path)
        ]
        return "; ".join(text for _path, text in sorted(rows, key=_length, reverse=True))


def _length(row: tuple[str, str]) -> int:
    return len(row[0])


def _path_matches(path: str, cookie_path: str) -> bool:
    # RFC 6265 §5.1.4
    return path == cookie_path or (
        path.startswith(cookie_path) and (cookie_path.endswith("/") or path[len(cookie_path)] == "/")
    )


def _attribute(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip()


def _expiry(attributes: dict[str, str]) -> float:
    # RFC 6265 §5.3: Max-Age goes before Expires
    age = attributes.get("max-age", "")
    if age.lstrip("-").isdigit():
        return now() + int(age) if int(age) > 0 else 0.0
    try:
        return parsedate_to_datetime(attributes["expires"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return float("inf")
