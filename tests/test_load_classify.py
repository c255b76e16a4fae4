"""What other clients' exceptions mean: the real ones, raised by requests against real sockets."""

import socket
import threading

import pytest
import requests

from genkai.load.classify import classify


@pytest.fixture
def silent():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def error_of(url: str, timeout_s: float = 30) -> Exception:
    with pytest.raises(requests.RequestException) as caught:
        requests.get(url, timeout=timeout_s)
    return caught.value


def test_refused(closed_port: int) -> None:
    assert classify(error_of(f"http://127.0.0.1:{closed_port}/"), None) == ("refused", None, 111)


def test_read_timeout(silent: int) -> None:
    assert classify(error_of(f"http://127.0.0.1:{silent}/", 0.2), None)[0] == "timeout_read"


def test_tls(silent: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak_plainly() -> None:
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 no\r\n\r\n")
            connection.close()

        speaker = threading.Thread(target=speak_plainly)
        speaker.start()
        error = error_of(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        speaker.join()
    assert classify(error, None)[0] == "tls"


def test_closed_without_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.close()

        speaker = threading.Thread(target=hang_up)
        speaker.start()
        error = error_of(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        speaker.join()
    assert classify(error, None)[0] in ("closed", "reset")


@pytest.mark.parametrize(("status", "kind"), [(404, "http_4xx"), (503, "http_5xx")])
def test_statuses(status: int, kind: str) -> None:
    response = requests.Response()
    response.status_code = status
    assert classify(requests.HTTPError("bad", response=response), response) == (kind, status, None)


def test_what_nobody_knows_is_other() -> None:
    assert classify(RuntimeError("surprise"), None) == ("other", None, None)
