"""A SQL Server of the configuration, which `run` reads, and its settings.

No setting trusts every certificate: a login goes to no server whose certificate is not verified.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from exporter.config.settings.metadata import row, secret_setting, setting
from exporter.config.settings.secret_source import SecretSource
from exporter.config.yaml import types
from exporter.core.sql_addresses import SqlAddress, parse_sql_address


def _address(value: str) -> str:
    return parse_sql_address(value).text


_SHA256 = re.compile("[0-9A-Fa-f]{2}(?::?[0-9A-Fa-f]{2}){31}")


def _sha256(value: str) -> str:
    if not _SHA256.fullmatch(value):
        raise ValueError("expected the SHA-256 of the certificate: 64 hexadecimal digits, with or without colons")
    return value.replace(":", "").lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlServer:
    """One SQL Server that `run` reads. Durations are in seconds."""

    address: str = field(
        metadata=row(
            types.text("address", _address),
            "`HOST`, `HOST\\INSTANCE` or `HOST,PORT`. Without a port, a named instance needs SQL Server Browser. Unique in all files.",
        )
    )
    user: str | None = setting(
        types.TEXT,
        "SQL login; needs `password_file` or `password_env`. Without `user` and `entra_credential`, the Windows account of the exporter signs in.",
    )
    password: SecretSource | None = secret_setting("password", password=("the password of `user`", ()))
    entra_credential: str | None = setting(types.CREDENTIAL_NAME, "Credential that signs in with Entra ID, instead of `user`.")
    ca_file: Path | None = setting(
        types.PATH, "File with the authorities of the server's certificate, PEM.", shown="the authorities of the system"
    )
    certificate_sha256: str | None = setting(
        types.text("SHA-256 in hex digits", _sha256, pattern=types.anchored(_SHA256)),
        "SHA-256 of the server's own certificate, instead of an authority: the server must show exactly that certificate.",
    )
    sql_instance: str | None = setting(
        types.TEXT, "Label `sql_instance` of its series.", shown="the name of the instance, as read"
    )
    host: str | None = setting(types.TEXT, "Label `host` of its series.", shown="the name of the computer, as read")

    @property
    def parsed(self) -> SqlAddress:
        """The address, in its parts."""
        return parse_sql_address(self.address)
