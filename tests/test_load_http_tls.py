"""TLS against a real TLS server: names, certificates, authorities, client certificates, ends."""

import datetime
import ipaddress
import select
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai import launch
from genkai.journals import read_requests
from genkai.load.http import Connection, Failure, Target, Timeouts, TlsSettings
from genkai.load.http.certificates import CertificateError, check_files, validity
from genkai.load.http.tls import TlsStream
from genkai.load.process import LaunchError
from genkai.workspace import Run
from load_target import make_plan
from scripted_server import Script, ScriptedServer, answer, ok

GET = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"
NOW = datetime.datetime.now(datetime.UTC)


class Authority:
    """A certificate authority for the time of a test, with its files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self._write("ca", self._sign(self._name, self._key.public_key(), [], authority=True), None)

    def _sign(
        self, name: x509.Name, key: object, names: list, authority: bool = False, days: tuple[int, int] = (-1, 1)
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + datetime.timedelta(days=days[0]))
            .not_valid_after(NOW + datetime.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        # Python 3.13 verifies strictly: both key identifiers and the authority's key usage must be there
        usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
        usage |= {"encipher_only": False, "decipher_only": False, "digital_signature": True}
        builder = (
            builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.KeyUsage(key_cert_sign=authority, crl_sign=authority, **usage), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def issue(self, common_name: str, *names: str, days: tuple[int, int] = (-1, 1)) -> tuple[str, str]:
        """Paths of a certificate and its key for the names and addresses; days: valid from, until (from now)."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        return self._write(common_name, self._sign(subject, key.public_key(), alternatives, days=days), key)

    def _write(self, name: str, certificate: x509.Certificate, key: object) -> tuple[str, str]:
        paths = (self.folder / f"{name}.pem", self.folder / f"{name}.key")
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        if key is not None:
            form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            paths[1].write_bytes(key.private_bytes(*form))
        return str(paths[0]), str(paths[1])

    @property
    def ca_file(self) -> str:
        return str(self.folder / "ca.pem")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    return Authority(tmp_path_factory.mktemp("tls"))


def server_context(authority: Authority, *names: str, client_ca: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", *names))
    if client_ca:
        context.load_verify_locations(authority.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def over_tls(context: ssl.SSLContext, script: Script) -> Script:
    def shaken(sock: socket.socket, server: ScriptedServer) -> None:
        with context.wrap_socket(sock, server_side=True) as secure:
            if secure.version() is None:  # the client had left before the handshake: there is nothing to unwrap
                return
            script(secure, server)
            secure.unwrap()

    return shaken


def connect(server: ScriptedServer, settings: TlsSettings, host: str = "127.0.0.1") -> Connection:
    return Connection(Target("https", host, server.port, settings), Timeouts(5, 5))


def tls_failure(connection: Connection) -> Failure:
    with pytest.raises(Failure) as caught:
        connection.exchange(GET)
    assert caught.value.kind == "tls"
    return caught.value


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_verified_keep_alive(authority: Authority, version: ssl.TLSVersion) -> None:
    context = server_context(authority, "127.0.0.1")
    context.minimum_version = context.maximum_version = version
    with ScriptedServer(over_tls(context, answer(ok(b"one"), ok(b"two")))) as server:
        with connect(server, TlsSettings(ca_file=authority.ca_file)) as connection:
            first, second = connection.exchange(GET), connection.exchange(GET)
            assert connection._stream.version == version.name.replace("_", ".")
        assert (first.body, second.body, first.reused, second.reused) == (b"one", b"two", False, True)
        assert server.connections == 1


def test_unknown_authority_is_refused_unless_verification_is_off(authority: Authority) -> None:
    context = server_context(authority, "127.0.0.1")
    with ScriptedServer(over_tls(context, answer(ok(b"yes")))) as server:
        assert "certificate not accepted" in tls_failure(connect(server, TlsSettings())).message
        assert not server.requests
        with connect(server, TlsSettings(verify=False)) as connection:
            assert connection.exchange(GET).body == b"yes"


def test_name_is_checked_and_sent_as_sni(authority: Authority) -> None:
    context = server_context(authority, "shop.example")
    seen = []
    context.sni_callback = lambda _sock, name, _context: seen.append(name)
    with ScriptedServer(over_tls(context, answer(ok(b"yes")))) as server:
        wrong = tls_failure(connect(server, TlsSettings(ca_file=authority.ca_file), host="localhost"))
        assert "Hostname mismatch" in wrong.message
        right = TlsSettings(ca_file=authority.ca_file, server_name="shop.example")
        with connect(server, right) as connection:
            assert connection.exchange(GET).body == b"yes"
        assert seen[-1] == "shop.example"
        assert "localhost" in seen


def test_client_certificate(authority: Authority) -> None:
    context = server_context(authority, "127.0.0.1", client_ca=True)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # in 1.3 the refusal comes after the client's handshake
    cert, key = authority.issue("client")
    with ScriptedServer(over_tls(context, answer(ok(b"yes")))) as server:
        tls_failure(connect(server, TlsSettings(ca_file=authority.ca_file)))
        with connect(server, TlsSettings(ca_file=authority.ca_file, cert_file=cert, key_file=key)) as connection:
            assert connection.exchange(GET).body == b"yes"


MOMENTS = st.datetimes(datetime.datetime(1951, 1, 1), datetime.datetime(2150, 1, 1), timezones=st.just(datetime.UTC))


@settings(max_examples=25, deadline=None)
@given(MOMENTS, MOMENTS)
def test_the_time_of_a_certificate_is_read_as_the_oracle_does(one: datetime.datetime, other: datetime.datetime) -> None:
    """The oracle is the cryptography package; before 1950 and from 2050 on the standard has another form."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    begin, end = sorted(moment.replace(microsecond=0) for moment in (one, other))
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
    made = builder.sign(key, hashes.SHA256())
    assert (made.not_valid_before_utc, made.not_valid_after_utc) == (begin, end)
    assert validity("text before\n" + made.public_bytes(serialization.Encoding.PEM).decode()) == (begin, end)


def encrypted(key: str, folder: Path) -> str:
    loaded = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    path = folder / "encrypted.key"
    path.write_bytes(loaded.private_bytes(*form, serialization.BestAvailableEncryption(b"secret")))
    return str(path)


def test_files_that_can_be_used_pass(authority: Authority) -> None:
    cert, key = authority.issue("client")
    both = authority.folder / "both.pem"
    both.write_text(Path(cert).read_text() + Path(key).read_text())
    for settings_ in (TlsSettings(), TlsSettings(ca_file=authority.ca_file, cert_file=cert, key_file=key),
                      TlsSettings(cert_file=str(both))):  # fmt: skip
        check_files(settings_)


def test_each_file_that_cannot_be_used_is_named_with_a_next_step(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue("client")
    gone, text = str(tmp_path / "gone.pem"), tmp_path / "text.pem"
    text.write_text("hello")
    old = authority.issue("old", days=(-9, -2))
    young = authority.issue("young", days=(2, 9))
    for wrong, message in (
        ({"ca_file": gone}, r"tls\.ca: expected a readable file, got .*gone\.pem: No such file"),
        ({"ca_file": str(text)}, r"tls\.ca: expected certificates in PEM, got .*text\.pem .*openssl x509 -inform der"),
        ({"cert_file": str(text)}, r"tls\.certificate: expected a certificate in PEM, got .*text\.pem"),
        ({"cert_file": cert}, r"tls\.key: expected a private key, got none in .*client\.pem; name its file"),
        ({"cert_file": cert, "key_file": gone}, r"tls\.key: expected a readable file, got .*gone\.pem"),
        (
            {"cert_file": cert, "key_file": str(text)},
            r"tls\.key: expected a private key in PEM.*openssl pkey -inform der",
        ),
        ({"cert_file": cert, "key_file": old[1]}, r"expected the private key of .*client\.pem, got that of another"),
        ({"cert_file": cert, "key_file": encrypted(key, tmp_path)}, r"got an encrypted one; decrypt it into a file"),
        ({"cert_file": old[0], "key_file": old[1]}, r"expected one that is valid now.*which expired on .*new one"),
        (
            {"cert_file": young[0], "key_file": young[1]},
            r"which is not valid before .*; wait, or mend this machine's clo",
        ),
    ):
        with pytest.raises(CertificateError, match=message):
            check_files(TlsSettings(**wrong))


def test_why_a_server_hung_up_is_told_though_it_did_before_the_request(authority: Authority) -> None:
    """TLS 1.3: the client's handshake is over before the server has looked at its certificate."""
    context = server_context(authority, "127.0.0.1", client_ca=True)

    def wait_for(events: int) -> None:
        poll = select.poll()
        poll.register(sock, events)
        assert poll.poll(10_000)

    with (
        ScriptedServer(over_tls(context, forever)) as server,
        socket.create_connection(("127.0.0.1", server.port)) as sock,
    ):
        sock.setblocking(False)
        stream = TlsStream(sock, Target("https", "127.0.0.1", server.port, TlsSettings(ca_file=authority.ca_file)))
        stream.handshake(lambda: wait_for(select.POLLIN), lambda: wait_for(select.POLLOUT))
        wait_for(0)  # the reset, which a server sends that ends with the rest of the handshake unread
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            stream.send(GET)


def forever(sock: socket.socket, server: ScriptedServer) -> None:
    while server.read_request(sock):
        sock.sendall(ok(b"yes"))


@pytest.mark.load
def test_a_run_with_the_plans_client_certificate(authority: Authority, tmp_path: Path) -> None:
    """TLS 1.3 and a server that demands a certificate: what is missing is told before any load, then the load goes."""
    context = server_context(authority, "shop.example", client_ca=True)
    names: list[str | None] = []
    context.sni_callback = lambda _sock, name, _context: names.append(name)
    cert, key = authority.issue("client")
    old, stranger = authority.issue("old", days=(-9, -2)), Authority(tmp_path).issue("stranger")
    whole = {"ca": authority.ca_file, "server_name": "shop.example", "certificate": cert, "key": key}
    levels = [{"arrival_rate_rps": 20, "ramp_s": 0, "hold_s": 2}]
    with ScriptedServer(over_tls(context, forever)) as server:
        url = server.url.replace("http", "https")

        def run(number: int, **changed: str | None) -> Run:
            tls = {n: v for n, v in (whole | changed).items() if v}
            found = Run(tmp_path / str(number) / "2-api-ok")
            launch.run_load(found, make_plan(url, levels, base_dir=tmp_path, tls=tls), "api", "ok")
            return found

        for number, (changed, message) in enumerate((
            ({"certificate": old[0], "key": old[1]}, r"tls\.certificate: expected one that is valid now.*; no load"),
            ({"certificate": None, "key": None}, r"the server asks for a client certificate: name it in tls\.certif"),
            ({"certificate": stranger[0], "key": stranger[1]}, r"the server (refuses tls|does not know the issuer)"),
            ({"ca": None}, r"name the authority that signed the server's certificate in tls\.ca"),
            ({"server_name": None}, r"name the server as its certificate does, in tls\.server_name"),
        )):  # fmt: skip
            with pytest.raises(LaunchError, match=message):
                run(number, **changed)
        assert not server.requests
        table = read_requests(run(9))
    assert (table["sent"].sum(), table["completed"].sum()) == (40, 40)
    assert names[-1] == "shop.example"


def test_missing_ca_file_is_named(tmp_path: Path, authority: Authority) -> None:
    context = server_context(authority, "127.0.0.1")
    with ScriptedServer(over_tls(context, answer(ok()))) as server:
        connection = connect(server, TlsSettings(ca_file=str(tmp_path / "missing.pem")))
        assert "missing.pem" in tls_failure(connection).message


def test_plain_server_behind_https(authority: Authority) -> None:
    with ScriptedServer(lambda sock, _server: sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        tls_failure(connect(server, TlsSettings()))


def test_server_that_ends_in_the_handshake() -> None:
    with ScriptedServer(lambda sock, _server: sock.recv(1)) as server:
        tls_failure(connect(server, TlsSettings()))


def test_silent_server_times_out_in_the_handshake() -> None:
    with ScriptedServer(lambda _sock, server: server.stop.wait(30)) as server:
        connection = Connection(Target("https", "127.0.0.1", server.port), Timeouts(0.3, 5))
        with pytest.raises(Failure) as caught:
            connection.exchange(GET)
        assert caught.value.kind == "timeout_connect"


@pytest.mark.parametrize("pieces", [(), (1, 1, 1), (20, 5, 40)])
@pytest.mark.parametrize("size", [10, 16_384, 50_000, 3_000_000])
def test_bodies_of_many_records(authority: Authority, size: int, pieces: tuple[int, ...]) -> None:
    context = server_context(authority, "127.0.0.1")
    body = b"0123456789" * (size // 10)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    with ScriptedServer(over_tls(context, answer(ok(body), chunked, pieces=pieces))) as server:
        with connect(server, TlsSettings(ca_file=authority.ca_file)) as connection:
            assert [connection.exchange(GET).body == body for _ in range(3)] == [True] * 3
        assert server.connections == 1


def test_large_upload(authority: Authority) -> None:
    context = server_context(authority, "127.0.0.1")
    body = b"x" * 4_000_000
    request = b"PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with ScriptedServer(over_tls(context, answer(ok(b"taken")))) as server:
        with connect(server, TlsSettings(ca_file=authority.ca_file)) as connection:
            assert connection.exchange(request).body == b"taken"
            assert connection.exchange(GET).reused
        assert server.requests[0] == request


def test_body_until_close_and_idle_close(authority: Authority) -> None:
    context = server_context(authority, "127.0.0.1")
    script = over_tls(context, answer(b"HTTP/1.1 200 OK\r\n\r\nall of it", close=True))
    with ScriptedServer(script) as server, connect(server, TlsSettings(ca_file=authority.ca_file)) as connection:
        assert [connection.exchange(GET).body for _ in range(2)] == [b"all of it"] * 2
        assert server.connections == 2


def test_surplus_record_is_not_taken_for_the_next_answer(authority: Authority) -> None:
    context = server_context(authority, "127.0.0.1")

    def double(sock: socket.socket, server: ScriptedServer) -> None:
        server.read_request(sock)
        sock.sendall(ok(b"one"))
        sock.sendall(ok(b"evil"))
        server.read_request(sock)
        server.stop.wait(10)

    scripts = (over_tls(context, double), over_tls(context, answer(ok(b"two"))))
    with ScriptedServer(*scripts) as server, connect(server, TlsSettings(ca_file=authority.ca_file)) as connection:
        assert connection.exchange(GET).body == b"one"
        assert connection.exchange(GET).body == b"two"


def test_password_is_not_shown() -> None:
    assert "hunter2" not in repr(TlsSettings(key_password="hunter2"))
