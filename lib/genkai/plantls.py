"""How the target is spoken to over TLS: its authority, our client certificate, the name that is asked for."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from genkai.planparts import Model

TLS_FILES = ("ca", "certificate", "key")


class Tls(Model):
    """TLS towards the target: files in PEM, relative to the plan's folder. Own locustfiles name theirs themselves."""

    ca: Path | None = Field(
        None, description="authorities that may sign the server's certificate; default: the system's"
    )
    certificate: Path | None = Field(None, description="our client certificate with its chain, where the server asks")
    key: Path | None = Field(None, description="its private key, not encrypted; default: within certificate")
    server_name: str | None = Field(
        None, min_length=1, description="name in the server's certificate and in SNI; default: the host of base_url"
    )
    verify: bool = Field(True, description="false: any certificate of the server will do (for tests only)")

    @model_validator(mode="after")
    def _key_of_something(self) -> Tls:
        if self.key is not None and self.certificate is None:
            raise ValueError("expected a certificate beside the key, got none; name the file in tls.certificate")
        return self
