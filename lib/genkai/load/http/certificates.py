"""The files of TLS settings looked at before any connection: what is wrong with them, and what to do about it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

from genkai.load.http.target import TlsSettings

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.S)
_TO_PEM = "turn DER into PEM with: openssl {kind} -inform der -in FILE -out FILE.pem"


class CertificateError(ValueError):
    """A file of the plan's tls part that cannot be used; the message says which, expected, got, next step."""


def check_files(settings: TlsSettings) -> None:
    """Raise CertificateError unless authority, client certificate and key can be used now."""
    ca, certificate, key = settings.ca_file, settings.cert_file, settings.key_file
    for field, path in (("ca", ca), ("certificate", certificate), ("key", key)):
        if path is not None:
            _read(field, path)
    if ca is not None:
        try:
            ssl.create_default_context(cafile=ca)
        except ssl.SSLError as error:
            raise _no_pem("ca", ca, "certificates", "x509", error) from None
    if certificate is not None:
        _check_validity(certificate, datetime.now(UTC))
        _check_pair(certificate, key)


def _read(field: str, path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.read()
    except OSError as error:
        raise CertificateError(
            f"tls.{field}: expected a readable file, got {path}: {error.strerror}; paths start from the plan's folder"
        ) from None


def _no_pem(field: str, path: str, what: str, kind: str, error: Exception) -> CertificateError:
    reason = getattr(error, "reason", None) or error
    return CertificateError(f"tls.{field}: expected {what} in PEM, got {path} ({reason}); {_TO_PEM.format(kind=kind)}")


def _check_validity(path: str, moment: datetime) -> None:
    try:
        begin, end = validity(_read("certificate", path))
    except (ValueError, IndexError, StopIteration) as error:
        raise _no_pem("certificate", path, "a certificate", "x509", error) from None
    if not begin <= moment <= end:
        told = f"expired on {end:%Y-%m-%d %H:%M}" if moment > end else f"is not valid before {begin:%Y-%m-%d %H:%M}"
        step = "ask its issuer for a new one" if moment > end else "wait, or mend this machine's clock"
        raise CertificateError(
            f"tls.certificate: expected one that is valid now, {moment:%Y-%m-%d %H:%M} UTC, got {path}, which {told} "
            f"UTC; {step}"
        )


def _check_pair(certificate: str, key: str | None) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, _refuse_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateError(
                f"tls.key: expected the private key of {certificate}, got that of another certificate in "
                f"{key or certificate}; these must print the same: openssl x509 -noout -pubkey -in {certificate}, "
                f"openssl pkey -pubout -in {key or certificate}"
            ) from None
        if key is None:
            raise CertificateError(
                f"tls.key: expected a private key, got none in {certificate}; name its file in tls.key"
            ) from None
        raise _no_pem("key", key, "a private key", "pkey", error) from None


def _refuse_password() -> str:
    """Instead of OpenSSL's own question on the terminal, which nobody would answer."""
    raise CertificateError(
        "tls.key: expected a key without a password, got an encrypted one; decrypt it into a file that only you can "
        "read: umask 077; openssl pkey -in FILE -out FILE.plain"
    )


def validity(pem: str) -> tuple[datetime, datetime]:
    """(not before, not after) of the first certificate in a PEM text; source: RFC 5280 §4.1. Raises ValueError."""
    found = _CERTIFICATE.search(pem)
    if found is None:
        raise ValueError("no line -----BEGIN CERTIFICATE-----")
    _, certificate = next(_elements(ssl.PEM_cert_to_DER_cert(found[0])))
    _, body = next(_elements(certificate))
    fields = [content for tag, content in _elements(body) if tag != 0xA0]  # without the optional version
    begin, end = (_moment(tag, content) for tag, content in _elements(fields[3]))  # after serial, algorithm, issuer
    return begin, end


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, content) of each element; lengths in the short or the long form (X.690 §8.1.3)."""
    while der:
        length, start = der[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(der[2:start], "big")
        yield der[0], der[start : start + length]
        der = der[start + length :]


def _moment(tag: int, content: bytes) -> datetime:
    """UTCTime (tag 23, years 1950–2049) or GeneralizedTime (tag 24)."""
    text = content.decode("ascii")
    if tag == 23:
        text = ("20" if int(text[:2]) < 50 else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
