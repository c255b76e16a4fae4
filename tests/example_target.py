"""What locust's own examples expect of the service that they load, on loopback in a thread of the test."""

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "6f2a"
PAGES = {
    "/": '<html><title>Locust</title>Load <p class="toctree-wrapper"><a class="internal" href="/page">p</a></p></html>',
    "/page": '<html><a class="internal" href="/sub">s</a></html>',
    "/sign-in": f'<form method="post"><input name="authenticity_token" type="hidden" value="{TOKEN}"></form>',
    "/welcome": "<html>hello</html>",
}
MISSING = ("/does_not_exist", "/error")


class Service(BaseHTTPRequestHandler):
    """Pages for reading, JSON for programs, a form with a token against forged requests, an echo."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet
    asked: Counter[str]
    broken = False

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.answer(parts.path, parse_qs(parts.query))

    do_POST = do_PUT = do_GET

    def answer(self, path: str, query: dict[str, list[str]]) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked[path] += 1
        if self.broken:
            self.reply(500, "{}")
        elif path in MISSING:
            self.reply(404, "not here")
        elif self.command == "POST" and path == "/sign-in":
            known = parse_qs(body.decode()).get("authenticity_token") == [TOKEN]
            self.reply(302 if known else 403, "", Location="/welcome")
        elif path in PAGES:
            self.reply(200, PAGES[path], **{"Content-Type": "text/html"})
        else:
            self.reply(
                200, json.dumps(self.speak(path, body)), **{name: v[0] for name, v in query.items() if name[0] == "X"}
            )

    def speak(self, path: str, body: bytes) -> dict:
        """What a program gets to read."""
        told = json.loads(body) if body[:1] == b"{" else body.decode()
        if path == "/authenticate":
            return {"message": f"Welcome {told['username']}!"}
        return {"args": told, "data": told, "orderId": 42, "status": "ok"}

    def reply(self, status: int, text: str, **headers: str) -> None:
        content = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


@contextlib.contextmanager
def running_service(broken: bool = False) -> Iterator[tuple[str, Counter[str]]]:
    """(base URL, how often each path was asked for) for the length of a with block; broken: every answer is 500."""
    asked: Counter[str] = Counter()
    server = Server(("127.0.0.1", 0), type("Counted", (Service,), {"asked": asked, "broken": broken}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
