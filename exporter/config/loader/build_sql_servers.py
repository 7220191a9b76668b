"""Build the SQL Servers from their sections; check login, trust and labels."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.config.loader.build_credentials import check_secret, secret_source
from exporter.config.loader.build_modules import check_ca
from exporter.config.loader.defaults import SectionWithDefaults
from exporter.config.settings import SqlServer
from exporter.config.settings.metadata import plain_values
from exporter.config.yaml import Section
from exporter.core.model import HOST_IDENTITIES
from exporter.core.sql_addresses import parse_sql_address
from exporter.core.sql_servers import server_name
from exporter.runtime.process import is_windows

# A way to sign in, or to trust a certificate, replaces another way of the defaults.
REPLACED_BY: Mapping[str, tuple[str, ...]] = {
    "user": ("entra_credential",),
    "password_file": ("entra_credential", "password_env"),
    "password_env": ("entra_credential", "password_file"),
    "entra_credential": ("user",),
    "ca_file": ("certificate_sha256",),
    "certificate_sha256": ("ca_file",),
}
_NO_LOGIN = "no login: set user with password_file, or entra_credential, because an account signs in without them on Windows only"
_NO_TENANT = (
    "the credential has no tenant_id, and SQL Server names none: write it there (`az account show --query tenantId` shows it)"
)


class SqlServerBuilder:
    """Builds the SQL Servers of all files. Problems are reported."""

    def __init__(self, credentials: Mapping[str, Section | None]) -> None:
        self._credentials = credentials
        self._addresses: dict[tuple[str, int | str], SectionWithDefaults] = {}
        self._names: dict[str, SectionWithDefaults] = {}

    def build(self, raw: SectionWithDefaults) -> SqlServer | None:
        """Build one; None without a usable address."""
        self._check_address(raw)
        self._check_labels(raw)
        self._check_login(raw)
        password = secret_source(raw, "password", needed=raw.is_set("user"))
        if password is not None:
            check_secret(password, raw.location_of(f"password_{password.kind}"))
        if raw.is_set("ca_file") and raw.is_set("certificate_sha256"):
            raw.location_of("certificate_sha256").error("ca_file and certificate_sha256 exclude each other: keep one")
        if raw.get("ca_file") is not None:
            check_ca(raw.get("ca_file"), raw.location_of("ca_file"))
        if raw.get("address") is None:
            return None
        return SqlServer(**(plain_values(SqlServer, raw) | {"password": password}))

    def _check_address(self, raw: SectionWithDefaults) -> None:
        if not raw.own.is_set("address"):
            raw.own.location.child("address").error("is required")
        if (written := raw.own.get("address")) is None:
            return
        address = parse_sql_address(written)
        key = address.host.casefold(), address.port or (address.instance or "").casefold()
        first = self._addresses.setdefault(key, raw)
        if first is not raw:
            where = first.own.location_of("address").where
            raw.own.location_of("address").error(f"another entry has this address, at {where}: remove one")

    def _check_labels(self, raw: SectionWithDefaults) -> None:
        labels = {name: raw.get(name) for name in ("sql_instance", "host")}
        if None in labels.values():
            return
        first = self._names.setdefault(server_name(labels).casefold(), raw)
        if first is not raw:
            where = first.own.location.where
            raw.own.location.error(f"the same sql_instance and host as at {where}, so their series would be equal: correct one")

    def _check_login(self, raw: SectionWithDefaults) -> None:
        has_user, has_credential = raw.is_set("user"), raw.is_set("entra_credential")
        if not has_user and (raw.is_set("password_file") or raw.is_set("password_env")):
            raw.own.location.child("user").error("is required with a password")
        elif has_user and has_credential:
            raw.location_of("entra_credential").error("user and entra_credential exclude each other: keep one")
        elif not has_user and not has_credential and not is_windows():
            raw.own.location.error(_NO_LOGIN)
        credential = self._credentials.get(raw.get("entra_credential") or "")
        if credential is not None and credential.get("type") not in HOST_IDENTITIES and not credential.is_set("tenant_id"):
            raw.location_of("entra_credential").error(_NO_TENANT)
