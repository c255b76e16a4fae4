"""What a response must be like to count as a success."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from genkai.load.http.errors import Failure, failure_from_status
from genkai.load.http.response import Response

EXISTS = object()
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_MISSING = object()
_decode = json.JSONDecoder().decode  # json.loads would first guess the encoding


class Check:
    """Allowed statuses, a text to contain, JSON values to hold; calling it gives a Failure or None.

    ``statuses``: None allows all below 400. ``json`` maps paths such as ``items[0].id`` to the expected value, or
    to ``EXISTS``. Raises ValueError for a path that cannot be read.
    """

    def __init__(
        self,
        statuses: Collection[int] | None = None,
        text: str | None = None,
        json: Mapping[str, Any] | None = None,
    ) -> None:
        self._statuses = frozenset(statuses) if statuses else None
        self._text = text.encode() if text else None
        self._json = [(path, json_path(path), expected) for path, expected in (json or {}).items()]
        self._only_status = self._text is None and not self._json

    def __call__(self, response: Response) -> Failure | None:
        """The first thing that is wrong with the response, None when nothing is."""
        status = response.status
        if (status >= 400) if self._statuses is None else (status not in self._statuses):
            return failure_from_status(status)
        if self._only_status:
            return None
        try:
            content = response.content
        except Failure as failure:
            return failure
        if self._text is not None and self._text not in content:
            return Failure("check", status, None, f"text: expected {self._text.decode()!r} in the body, not found")
        return self._check_json(content, status) if self._json else None

    def _check_json(self, content: bytes, status: int) -> Failure | None:
        try:
            document = _decode(content.decode())
        except ValueError:
            return Failure("check", status, None, "json: expected a JSON body, got something else")
        for path, steps, expected in self._json:
            value = find(document, steps)
            if value is _MISSING:
                return Failure("check", status, None, f"json {path}: expected a value, got none")
            if expected is not EXISTS and (value != expected or isinstance(value, bool) != isinstance(expected, bool)):
                return Failure("check", status, None, f"json {path}: expected {expected!r}, got another value")
        return None


def json_path(path: str) -> list[str | int]:
    """The steps of a path such as ``$.items[0].id``: str for members, int for elements."""
    rest = path.removeprefix("$")
    steps: list[str | int] = []
    at = 0
    while at < len(rest):
        match = _STEP.match(rest, at)
        if match is None:
            raise ValueError(f"json path {path!r}: expected names joined by '.' and indices in [], got {rest[at:]!r}")
        steps.append(match[1] if match[1] is not None else int(match[2]))
        at = match.end()
    return steps


def find(document: Any, steps: list[str | int]) -> Any:
    """The value at the end of the steps, or a marker object when there is none."""
    for step in steps:
        if isinstance(step, str):
            found = isinstance(document, dict) and step in document
        else:
            found = isinstance(document, list) and step < len(document)
        if not found:
            return _MISSING
        document = document[step]
    return document
