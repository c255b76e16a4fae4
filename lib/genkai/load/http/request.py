"""Request bytes for the client's calls."""

from __future__ import annotations

import json as json_module
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from genkai.load.http.target import Target

_SAFE = "/?&=:@!$'()*+,;%[]~-._"
_LENGTH_METHODS = ("POST", "PUT", "PATCH")
DEFAULT_FIELDS = {"User-Agent": "genkai", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of a request's content and the type they have unless the caller names another."""

    content: bytes | None = None
    fields: dict[str, str] = field(default_factory=dict)


def encode_body(data: Any, json: Any, files: Any) -> Body:
    """The body for the arguments ``data``, ``json`` and ``files`` with requests' meaning."""
    if files:
        from urllib3.filepost import encode_multipart_formdata

        pairs = [*(data.items() if isinstance(data, Mapping) else data or ()), *_file_fields(files)]
        content, kind = encode_multipart_formdata(pairs)
        return Body(content, {"Content-Type": kind})
    if not data and json is not None:
        content = json_module.dumps(json).encode()
        return Body(content, {"Content-Type": "application/json", "Accept": "application/json"})
    if isinstance(data, Mapping | list | tuple):
        return Body(urlencode(data, doseq=True).encode(), {"Content-Type": "application/x-www-form-urlencoded"})
    if data is None or isinstance(data, bytes):
        return Body(data)
    if isinstance(data, str):
        return Body(data.encode())
    content = data.read()
    return Body(content.encode() if isinstance(content, str) else content)


def _file_fields(files: Any) -> list[tuple[str, Any]]:
    fields = []
    for name, value in files.items() if isinstance(files, Mapping) else files:
        parts = value if isinstance(value, tuple) else (getattr(value, "name", name).rpartition("/")[2], value)
        content = parts[1].read() if hasattr(parts[1], "read") else parts[1]
        fields.append((name, (parts[0], content, *parts[2:])))
    return fields


def request_path(url: str, params: Any = None) -> str:
    """Path and query of an absolute URL, characters outside RFC 3986 percent-encoded, ``params`` appended."""
    parts = urlsplit(url)
    path = quote(parts.path or "/", safe=_SAFE)
    query = quote(parts.query, safe=_SAFE)
    if params:
        more = params if isinstance(params, str) else urlencode(params, doseq=True)
        query = f"{query}&{more}" if query else more
    return f"{path}?{query}" if query else path


def request_bytes(
    method: str, target: Target, path: str, fields: Mapping[str, str | None], body: bytes | None
) -> bytes:
    """The whole request; a field with the value None is left out. Raises ValueError for a line break in a field."""
    lines = [f"{method} {path} HTTP/1.1"]
    if "host" not in {name.lower() for name in fields}:
        lines.append(f"Host: {target.host_header}")
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    if body is not None or method in _LENGTH_METHODS:
        lines.append(f"Content-Length: {len(body or b'')}")
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise ValueError(f"{method} request: expected fields and path without line breaks; check headers= and the URL")
    return head.encode("latin-1") + b"\r\n\r\n" + (body or b"")


def merge_fields(*layers: Mapping[str, str | None] | None) -> dict[str, str | None]:
    """One mapping of header fields, later layers first in rank, names compared without case; Content-Length is
    left to ``request_bytes``."""
    merged: dict[str, tuple[str, str | None]] = {}
    for layer in layers:
        for name, value in (layer or {}).items():
            merged[name.lower()] = (name, value)
    merged.pop("content-length", None)
    return dict(merged.values())


def basic_auth(user: str | bytes, password: str | bytes) -> str:
    """The Authorization value for user and password (RFC 7617)."""
    raw = [part.encode() if isinstance(part, str) else part for part in (user, password)]
    return "Basic " + b64encode(b":".join(raw)).decode("ascii")


def split_credentials(url: str) -> tuple[str, str | None]:
    """A base URL without user information or trailing slash, and the Authorization value it asked for."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, None
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return bare, basic_auth(unquote(parts.username or ""), unquote(parts.password or ""))
