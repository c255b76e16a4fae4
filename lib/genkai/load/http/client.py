"""A client with the calls of locust's FastHttpUser.client on lean connections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urljoin

from genkai.load.http.client_response import CaughtResponse, LeanResponse
from genkai.load.http.clock import now
from genkai.load.http.connection import Connection
from genkai.load.http.cookies import Cookies
from genkai.load.http.dial import Guard
from genkai.load.http.errors import Failure, failure_from_status
from genkai.load.http.request import (
    DEFAULT_FIELDS,
    basic_auth,
    encode_body,
    merge_fields,
    request_bytes,
    request_path,
    split_credentials,
)
from genkai.load.http.response import Response
from genkai.load.http.target import Target, Timeouts, TlsSettings

REDIRECTS = frozenset((301, 302, 303, 307, 308))
_KEPT_REQUESTS = 2_048


class _Site:
    """Idle connections and cookies for one scheme, host and port."""

    __slots__ = ("cookies", "idle", "target")

    def __init__(self, target: Target, cookies: Cookies) -> None:
        self.target = target
        self.cookies = cookies
        self.idle: list[Connection] = []


@dataclass(slots=True)
class _Call:
    """One request, ready to be sent to its site."""

    site: _Site
    method: str
    url: str
    path: str
    fields: dict[str, str | None]
    body: bytes | None
    request: bytes


class LeanClient:
    """Calls for one user: ``client.get("/items", name="items")`` as with locust's FastHttpUser.

    ``request_event`` is locust's ``environment.events.request``; each call fires it with the usual arguments
    (``response_time`` in ms; ``response.sent`` and ``response.done`` are exact). ``guard(host, ip)`` is asked before
    every connect, redirects included. Connections are kept per greenlet in flight. Cookies are kept per host.
    """

    def __init__(
        self,
        base_url: str,
        request_event: Any = None,
        user: Any = None,
        *,
        timeouts: Timeouts | None = None,
        guard: Guard | None = None,
        tls: TlsSettings | None = None,
        headers: Mapping[str, str] | None = None,
        max_redirects: int = 30,
    ) -> None:
        self.base_url, authorization = split_credentials(base_url)
        self.request_event = request_event
        self.request_name: str | None = None
        self.timeouts = timeouts or Timeouts()
        self.default_headers = merge_fields(
            DEFAULT_FIELDS, {"Authorization": authorization} if authorization else None, headers
        )
        self._user = user
        self._guard = guard
        self._tls = tls or TlsSettings()
        self._max_redirects = max_redirects
        self._sites: dict[tuple[str, str, int], _Site] = {}
        self._cookies: dict[str, Cookies] = {}
        self._ready: dict[tuple[str, str], tuple[str, _Call]] = {}
        self._base_host = Target.from_url(self.base_url).host

    @property
    def cookiejar(self) -> Cookies:
        """The cookies for the base URL's host."""
        return self._cookies.setdefault(self._base_host, Cookies())

    @contextmanager
    def rename_request(self, name: str) -> Iterator[None]:
        """Name all requests of the block that name none themselves."""
        self.request_name = name
        try:
            yield
        finally:
            self.request_name = None

    def request(
        self,
        method: str,
        url: str,
        name: str | None = None,
        data: Any = None,
        catch_response: bool = False,
        stream: bool = False,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str | bytes, str | bytes] | None = None,
        json: Any = None,
        allow_redirects: bool = True,
        context: Mapping[str, Any] | None = None,
        params: Any = None,
        timeout: float | tuple[float, float] | None = None,
        files: Any = None,
    ) -> LeanResponse:
        """Send a request and report it; failures are returned as ``response.error``, never raised.

        ``stream`` is accepted and has no effect: bodies are read whole. ``timeout``: seconds of silence, or
        (connect, silence). Raises ValueError for a URL or header field that cannot be sent.
        """
        if data is None and json is None and headers is None and params is None and auth is None and files is None:
            call = self._plain_call(method, url)
        else:
            if auth:
                headers = merge_fields(headers, {"Authorization": basic_auth(*auth)})
            body = encode_body(data, json, files)
            fields = merge_fields(self.default_headers, body.fields, headers)
            call = self._call(method.upper(), self._absolute(url), fields, body.content, params)
        limits = _limits(self.timeouts, timeout) if timeout is not None else None
        kind = CaughtResponse if catch_response else LeanResponse
        response = self._perform(call, kind, allow_redirects, limits)
        meta = self._meta(method, name or self.request_name or url, call.url, response, context)
        if catch_response:
            response.report_to(self.request_event, meta)
        elif self.request_event is not None:
            self.request_event.fire(**meta)
        return response

    def _meta(
        self, method: str, name: str, url: str, response: LeanResponse, context: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        own = self._user.context() if self._user is not None else {}
        return {
            "request_type": method,
            "name": name,
            "response_time": (response.done - response.sent) * 1000,
            "response_length": len(response.raw.body) if response.raw is not None else 0,
            "response": response,
            "context": {**own, **(context or {})},
            "exception": response.error,
            "start_time": response.sent,
            "url": url,
        }

    def get(self, url: str, **kwargs: Any) -> LeanResponse:
        """GET"""
        return self.request("GET", url, **kwargs)

    def head(self, url: str, **kwargs: Any) -> LeanResponse:
        """HEAD"""
        return self.request("HEAD", url, **kwargs)

    def options(self, url: str, **kwargs: Any) -> LeanResponse:
        """OPTIONS"""
        return self.request("OPTIONS", url, **kwargs)

    def delete(self, url: str, **kwargs: Any) -> LeanResponse:
        """DELETE"""
        return self.request("DELETE", url, **kwargs)

    def post(self, url: str, data: Any = None, json: Any = None, **kwargs: Any) -> LeanResponse:
        """POST"""
        return self.request("POST", url, data=data, json=json, **kwargs)

    def put(self, url: str, data: Any = None, **kwargs: Any) -> LeanResponse:
        """PUT"""
        return self.request("PUT", url, data=data, **kwargs)

    def patch(self, url: str, data: Any = None, **kwargs: Any) -> LeanResponse:
        """PATCH"""
        return self.request("PATCH", url, data=data, **kwargs)

    def close(self) -> None:
        """Close all idle connections."""
        for site in self._sites.values():
            while site.idle:
                site.idle.pop().close()

    def _absolute(self, url: str) -> str:
        return url if url[:7].lower() == "http://" or url[:8].lower() == "https://" else self.base_url + url

    def _plain_call(self, method: str, url: str) -> _Call:
        found = self._ready.get((method, url))
        if found is not None and found[0] == found[1].site.cookies.header(found[1].path, self._tls_site(found[1])):
            return found[1]
        call = self._call(method.upper(), self._absolute(url), self.default_headers, None)
        if len(self._ready) >= _KEPT_REQUESTS:
            self._ready.clear()
        self._ready[(method, url)] = (call.site.cookies.header(call.path, self._tls_site(call)), call)
        return call

    @staticmethod
    def _tls_site(call: _Call) -> bool:
        return call.site.target.scheme == "https"

    def _site(self, url: str) -> _Site:
        target = Target.from_url(url, self._tls)
        key = (target.scheme, target.host, target.port)
        if key not in self._sites:
            self._sites[key] = _Site(target, self._cookies.setdefault(target.host, Cookies()))
        return self._sites[key]

    def _call(
        self, method: str, url: str, fields: dict[str, str | None], body: bytes | None, params: Any = None
    ) -> _Call:
        site = self._site(url)
        path = request_path(url, params)
        cookie = site.cookies.header(path, site.target.scheme == "https")
        sent = merge_fields({"Cookie": cookie}, fields) if cookie else fields
        return _Call(site, method, url, path, fields, body, request_bytes(method, site.target, path, sent, body))

    def _perform(
        self, call: _Call, kind: type[LeanResponse], allow_redirects: bool, limits: Timeouts | None
    ) -> LeanResponse:
        history: list[Response] = []
        sent = None
        try:
            while True:
                raw = self._exchange(call, limits)
                sent = sent or raw.sent
                if raw.head.sets_cookie:
                    call.site.cookies.store(raw.headers, call.path)
                if not (allow_redirects and raw.status in REDIRECTS and "location" in raw.headers):
                    break
                history.append(raw)
                call = self._redirected(call, raw, len(history))
        except Failure as failure:
            done = failure.done or now()
            return kind(call.method, call.url, None, failure, sent or failure.sent or done, done)
        error = failure_from_status(raw.status) if raw.status >= 400 else None
        response = kind(call.method, call.url, raw, error, sent, raw.done)
        response.history = tuple(history)
        return response

    def _exchange(self, call: _Call, limits: Timeouts | None) -> Response:
        idle = call.site.idle
        connection = idle.pop() if idle else Connection(call.site.target, self.timeouts, self._guard)
        try:
            if limits is not None:
                connection.set_timeouts(limits)
            return connection.exchange(call.request, head=call.method == "HEAD")
        finally:
            if limits is not None:
                connection.set_timeouts(self.timeouts)
            idle.append(connection)

    def _redirected(self, call: _Call, raw: Response, count: int) -> _Call:
        if count > self._max_redirects:
            raise Failure("protocol", raw.status, None, f"more than {self._max_redirects} redirects")
        url = urljoin(call.url, raw.headers["location"])
        fields, body, method = call.fields, call.body, call.method
        # RFC 9110 §15.4: 303 turns into GET, and so do 301 and 302 after POST by custom
        if (raw.status == 303 and method != "HEAD") or (raw.status in (301, 302) and method == "POST"):
            method, body = "GET", None
            fields = {name: value for name, value in fields.items() if name.lower() != "content-type"}
        try:
            if self._site(url) is not call.site:
                secret = ("authorization", "cookie", "host")
                fields = {name: value for name, value in fields.items() if name.lower() not in secret}
            return self._call(method, url, fields, body)
        except ValueError:
            raise Failure("protocol", raw.status, None, "redirected to a URL that is not http(s)") from None


def _limits(timeouts: Timeouts, timeout: float | tuple[float, float]) -> Timeouts:
    if isinstance(timeout, tuple):
        return replace(timeouts, connect=timeout[0], read=timeout[1])
    return replace(timeouts, connect=timeout, read=timeout)
