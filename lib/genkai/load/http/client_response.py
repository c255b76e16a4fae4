"""What the client's calls return: close to locust's FastResponse and ResponseContextManager."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from locust.exception import CatchResponseError, LocustError, ResponseError

from genkai.load.http.errors import Failure
from genkai.load.http.headers import Headers
from genkai.load.http.response import Response

_NOT_CAUGHT = "success() and failure(): expected catch_response=True and a with-block, as in locust's documentation"


class LeanResponse:
    """One answer, or the Failure in its place: then ``status_code`` is 0 (if none came) and ``content`` None.

    ``sent`` and ``done`` are epoch seconds of the whole call, redirects included.
    """

    __slots__ = ("_content", "done", "encoding", "error", "history", "js", "method", "raw", "sent", "url")

    def __init__(self, method: str, url: str, raw: Response | None, error: Failure | None, sent: float, done: float):
        self.method = method
        self.url = url
        self.raw = raw
        self.error = error
        self.sent = sent
        self.done = done
        self.encoding: str | None = None
        self.history: tuple[Response, ...] = ()
        self.js: Any = None
        self._content: bytes | None = None

    @property
    def status_code(self) -> int:
        """The status, 0 when no response came."""
        return self.raw.status if self.raw is not None else 0

    @property
    def ok(self) -> bool:
        """True when a response came and its status is below 400."""
        return self.raw is not None and self.raw.status < 400

    @property
    def headers(self) -> Headers:
        """The fields, empty when no response came."""
        return self.raw.headers if self.raw is not None else Headers()

    @property
    def reason(self) -> str:
        """The usual phrase for the status."""
        code = self.status_code
        return HTTPStatus(code).phrase if code in HTTPStatus._value2member_map_ else ""

    @property
    def content(self) -> bytes | None:
        """The body, content coding undone; None when no response came."""
        if self._content is None and self.raw is not None:
            self._content = self.raw.content
        return self._content

    @property
    def text(self) -> str | None:
        """The body as text: ``encoding`` if set, else the charset of Content-Type, else UTF-8."""
        content = self.content
        if content is None:
            return None
        if self.encoding is None:
            charset = self.headers.get("content-type", "").lower().partition("charset=")[2]
            self.encoding = charset.split(";")[0].strip(" \"'") or "utf-8"
        try:
            return content.decode(self.encoding, errors="replace")
        except LookupError:
            return content.decode("utf-8", errors="replace")

    @property
    def elapsed(self) -> timedelta:
        """From sending to the last byte."""
        return timedelta(seconds=self.done - self.sent)

    def json(self, **kwargs: Any) -> Any:
        """The body as JSON; raises the Failure when no response came, ValueError when it is not JSON."""
        if self.raw is None:
            raise self.error
        return json.loads(self.content, **kwargs)

    def raise_for_status(self) -> None:
        """Raise the Failure of the request, if it has one."""
        if self.error is not None:
            raise self.error

    def success(self) -> None:
        """Only with catch_response; raises LocustError."""
        raise LocustError(_NOT_CAUGHT)

    def failure(self, exc: Any) -> None:
        """Only with catch_response; raises LocustError."""
        raise LocustError(_NOT_CAUGHT)

    def __enter__(self) -> LeanResponse:
        raise LocustError(_NOT_CAUGHT)

    def __exit__(self, *_error: object) -> None:
        """Never reached: entering raises."""

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.status_code}]>"


class CaughtResponse(LeanResponse):
    """A LeanResponse whose with-block decides between success and failure; reported when the block ends."""

    __slots__ = ("_entered", "_event", "_result", "request_meta")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._entered = False
        self._result: bool | Exception | None = None
        self._event: Any = None
        self.request_meta: dict[str, Any] = {}

    def report_to(self, event: Any, request_meta: Mapping[str, Any]) -> None:
        """Set where the result goes when the block ends."""
        self._event, self.request_meta = event, dict(request_meta)

    def success(self) -> None:
        """Count the request as a success, whatever its status."""
        if not self._entered:
            raise LocustError(_NOT_CAUGHT)
        self._result = True

    def failure(self, exc: Any) -> None:
        """Count the request as failed; what is no exception becomes the text of a CatchResponseError."""
        if not self._entered:
            raise LocustError(_NOT_CAUGHT)
        self._result = exc if isinstance(exc, Exception) else CatchResponseError(exc)

    def raise_for_status(self) -> None:
        """Raise what ``failure`` was given, or the request's own Failure unless ``success`` was called."""
        if isinstance(self._result, Exception):
            raise self._result
        if self._result is None:
            super().raise_for_status()

    def __enter__(self) -> CaughtResponse:
        self._entered = True
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _traceback: object) -> bool:
        if self._result is not None:
            self._report(None if self._result is True else self._result)
            return kind is None
        if error is not None:
            if not isinstance(error, ResponseError):
                return False
            self._report(error)
            return True
        self._report(self.error)
        return True

    def _report(self, exception: Exception | None) -> None:
        self.request_meta["exception"] = exception
        if self._event is not None:
            self._event.fire(**self.request_meta)
