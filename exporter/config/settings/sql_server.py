"""A SQL Server of the configuration, which `run` reads, and its settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from exporter.config.settings.metadata import row, secret_setting, setting
from exporter.config.settings.secret_source import SecretSource
from exporter.config.yaml import types
from exporter.core.sql_addresses import SqlAddress, parse_sql_address


def _address(value: str) -> str:
    return parse_sql_address(value).text


def _sha256(value: str) -> str:
    digits = value.replace(":", "").lower()
    if len(digits) != 64 or not set(digits) <= set("0123456789abcdef"):
        raise ValueError("expected the SHA-256 of the certificate: 64 hexadecimal digits, with or without colons")
    return digits


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlServer:
    """One SQL Server that `run` reads. Durations are in seconds."""

    address: str = field(
        metadata=row(types.text("address", _address), "`HOST`, `HOST\\INSTANCE` or `HOST,PORT`. Unique in all files.")
    )
    user: str | None = setting(
        types.TEXT,
        "SQL login. Without `user` and `entra_credential`, the Windows account of the exporter signs in.",
    )
    password: SecretSource | None = secret_setting("password", password=("the password of `user`", ()))
    entra_credential: str | None = setting(types.CREDENTIAL_NAME, "Credential that signs in to SQL Server with Entra ID.")
    ca_file: Path | None = setting(types.PATH, "Authorities of the server's certificate, PEM.", shown="those of the system")
    certificate_sha256: str | None = setting(
        types.text("SHA-256", _sha256),
        "SHA-256 of the server's own certificate, which is then trusted without an authority.",
    )
    sql_instance: str | None = setting(types.TEXT, "Label `sql_instance` of its series.", shown="as SQL Server names it")
    host: str | None = setting(types.TEXT, "Label `host` of its series.", shown="as SQL Server names it")

    @property
    def parsed(self) -> SqlAddress:
        """The address, in its parts."""
        return parse_sql_address(self.address)
