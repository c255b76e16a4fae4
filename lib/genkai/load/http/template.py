"""Plan-declared calls, compiled once so that a request costs as few joins as possible."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from genkai.load.http.sources import CallState
from genkai.load.http.target import Target

USER_AGENT = "genkai"
_PLACEHOLDER = re.compile(r"\{\{([A-Za-z_]\w*)\}\}|\{([A-Za-z_]\w*)\}")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_URL_SAFE = "/?&=:@!$'()*+,;%[]~-._"
_COMPUTED = ("content-length", "transfer-encoding")
_BODY_METHODS = ("POST", "PUT", "PATCH")

Encode = Callable[[Any], str]


class CallTemplate:
    """One call of the plan: method, path, header fields and body with ``{name}`` placeholders.

    ``{{name}}`` stands for a literal ``{name}``. Values are percent-encoded in the path, JSON-encoded in a JSON
    body (inside quotes only escaped), form-encoded in a form body, refused with control characters in fields.
    A mapping or list as ``body`` is sent as JSON. ``constant`` is the whole request when nothing varies, else
    None. ``names``: the placeholders that have a source; None accepts any. Raises ValueError naming the field.
    """

    def __init__(
        self,
        target: Target,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: str | bytes | Mapping | list | None = None,
        names: Collection[str] | None = None,
    ) -> None:
        self.target = target
        self.method = _checked_method(method)
        self.path = path
        self.head = self.method == "HEAD"
        self.names: frozenset[str] = frozenset()
        self._known = names
        self._secure = target.scheme == "https"
        fields = {str(name): str(value) for name, value in (headers or {}).items()}
        lower = {name.lower(): value for name, value in fields.items()}
        kind = lower.get("content-type", "application/json" if isinstance(body, Mapping | list) else "")
        self._path = self._compile("path", _checked_path(path), _encode_path, _quote_literal)
        self._fields = self._compile_fields(fields, lower, kind)
        self._body = self._compile_body(body, kind)
        self._sends_length = body is not None or self.method in _BODY_METHODS
        self._path_format = _format(self._path)
        self._head_format = _format([f"{self.method} ", *self._path, " HTTP/1.1\r\n", *self._fields])
        self._body_format = _format(() if isinstance(self._body, bytes) else self._body)
        self.constant = None if self._head_format[1] or self._body_format[1] else self._assemble({}, "")

    def render(self, state: CallState) -> bytes:
        """The request's bytes with new values from the state; raises KeyError for a value that is not set yet,
        ValueError for a value that no header field may hold."""
        cookies = state.cookies
        if self.constant is not None and not cookies:
            return self.constant
        values = state.draw()
        if not cookies:
            return self._assemble(values, "")
        text, slots = self._path_format
        path = text % tuple([encode(values[name]) for name, encode in slots])
        return self._assemble(values, cookies.header(path, self._secure))

    def _assemble(self, values: Mapping[str, Any], cookie: str) -> bytes:
        text, slots = self._head_format
        head = text % tuple([encode(values[name]) for name, encode in slots])
        text, slots = self._body_format
        body = (text % tuple([encode(values[name]) for name, encode in slots])).encode() if slots else self._body
        if cookie:
            head += f"Cookie: {cookie}\r\n"
        if self._sends_length:
            head += f"Content-Length: {len(body)}\r\n"
        return (head + "\r\n").encode("latin-1") + body

    def _compile(self, where: str, text: str, encode: Encode, literal: Encode = str) -> list:
        pieces: list = []
        at = 0
        for match in _PLACEHOLDER.finditer(text):
            before = text[at : match.start()]
            at = match.end()
            if match[1]:
                pieces.append(literal(before + "{" + match[1] + "}"))
                continue
            self._note_name(where, match[2])
            pieces += [literal(before), (match[2], encode)]
        pieces.append(literal(text[at:]))
        return _joined(pieces)

    def _note_name(self, where: str, name: str) -> None:
        if self._known is not None and name not in self._known:
            known = ", ".join(sorted(self._known)) or "none"
            raise ValueError(
                f"{where}: placeholder {{{name}}} has no source, known are: {known}; "
                f"add a source, or write {{{{{name}}}}} for the text itself"
            )
        self.names |= {name}

    def _compile_fields(self, fields: dict[str, str], lower: dict[str, str], kind: str) -> list:
        defaults = {"Host": self.target.host_header, "User-Agent": USER_AGENT, "Accept": "*/*"}
        if kind:
            defaults["Content-Type"] = kind
        pieces: list = []
        for name, value in [*((n, v) for n, v in defaults.items() if n.lower() not in lower), *fields.items()]:
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"headers: expected a field name (RFC 9110 token), got {name!r}")
            if name.lower() in _COMPUTED:
                raise ValueError(f"headers.{name}: expected no such field, it is computed from the body; leave it out")
            pieces += [f"{name}: ", *self._compile(f"headers.{name}", value, _encode_field, _encode_field), "\r\n"]
        return _joined(pieces)

    def _compile_body(self, body: Any, kind: str) -> Any:
        if body is None or isinstance(body, bytes):
            return body or b""
        text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        media = kind.partition(";")[0].strip().lower()
        if media == "application/json" or media.endswith("+json"):
            pieces = self._compile_json(text)
        else:
            form = media == "application/x-www-form-urlencoded"
            pieces = self._compile("body", text, _encode_form if form else str)
        if all(isinstance(piece, str) for piece in pieces):
            return "".join(pieces).encode()
        return pieces

    def _compile_json(self, text: str) -> list:
        pieces = self._compile("body", text, _encode_json)
        inside = False
        for index, piece in enumerate(pieces):
            if isinstance(piece, tuple):
                pieces[index] = (piece[0], _encode_json_inside if inside else _encode_json)
            elif len(re.sub(r"\\.", "", piece).split('"')) % 2 == 0:
                inside = not inside
        return pieces


def _format(pieces: Iterable) -> tuple[str, list[tuple[str, Encode]]]:
    """A text for the % operator and what fills it."""
    pieces = list(pieces)
    text = "".join(["%s" if isinstance(piece, tuple) else piece.replace("%", "%%") for piece in pieces])
    return text, [piece for piece in pieces if isinstance(piece, tuple)]


def _joined(pieces: list) -> list:
    joined: list = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        elif piece != "":
            joined.append(piece)
    return joined


def _checked_method(method: str) -> str:
    if not _TOKEN.fullmatch(method):
        raise ValueError(f"method: expected a name such as GET, got {method!r}")
    return method.upper()


def _checked_path(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"path: expected it to start with '/', got {path!r}")
    return path.partition("#")[0]


def _quote_literal(text: str) -> str:
    return quote(text, safe=_URL_SAFE)


def _encode_path(value: Any) -> str:
    text = str(value)
    return text if text.isascii() and text.isalnum() else quote(text, safe="")


def _encode_form(value: Any) -> str:
    return quote_plus(str(value))


def _encode_field(value: Any) -> str:
    text = str(value)
    if not text.isprintable() and any((ord(c) < 32 and c != "\t") or ord(c) == 127 for c in text):
        raise ValueError("headers: expected a value without control characters; check the data file's row")
    text.encode("latin-1")
    return text


def _encode_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _encode_json_inside(value: Any) -> str:
    return json.dumps(str(value), ensure_ascii=False)[1:-1]
