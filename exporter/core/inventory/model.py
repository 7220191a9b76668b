"""SQL Server instances with their providers, credentials, keys and databases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from exporter.core.inventory.document import Document
from exporter.core.inventory.fields import Row
from exporter.core.inventory.registry import RegistryUri, thumbprint_of
from exporter.core.model import Generation

ASYMMETRIC_KEY = "ASYMMETRIC KEY"
CLOSED = ("RECOVERY_PENDING", "SUSPECT")
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)\.(\d+)")
# Control characters, line breaks, marks that change the direction of a line, and what YAML cannot hold.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An EKM provider. `version` is the catalog's, `file_version` that of the loaded DLL."""

    name: str
    version: str
    file_version: str
    enabled: bool

    @property
    def generation(self) -> Generation | None:
        """The connector generation, by version; None if unknown.

        The files of connector 1.0.5.0 have versions from 15.0 on. The catalog may be older than the DLL.
        """
        if (file := _number(self.file_version)) and file >= (15, 0):
            return Generation.CURRENT
        catalog = _number(self.version)
        if not catalog:
            return None
        return Generation.CURRENT if catalog >= (1, 0, 5, 0) else Generation.CLASSIC


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlCredential:
    """A credential of a provider; `modified_utc` is a time as ISO 8601."""

    name: str
    identity: str
    provider: str
    modified_utc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AsymmetricKey:
    """An asymmetric key of a provider; `credential` is its login's, empty if unknown."""

    name: str
    thumbprint: str
    public_key: str
    provider: str
    credential: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database; `thumbprint` is that of the asymmetric key that protects it."""

    name: str
    state: str
    ag: str
    thumbprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One SQL Server instance; `errors` has a message for each section that is unknown."""

    server_name: str
    sql_instance: str
    host: str
    platform: str
    product_version: str
    read_at: str
    sees_definitions: bool
    providers: tuple[Provider, ...]
    credentials: tuple[SqlCredential, ...]
    keys: tuple[AsymmetricKey, ...]
    databases: tuple[Database, ...]
    replicas: tuple[tuple[str, str], ...]  # availability group, server name
    errors: Mapping[str, str]
    key_uris: tuple[RegistryUri, ...]

    @property
    def uses_provider(self) -> bool:
        return bool(self.providers or self.keys)


def _number(version: str) -> tuple[int, ...]:
    matched = _VERSION.fullmatch(version)
    return tuple(int(part) for part in matched.groups()) if matched is not None else ()


def printable(text: str) -> str:
    """Replace characters that no label, comment or line of a report may contain."""
    return _UNPRINTABLE.sub("?", text)


def instance_of(document: Document) -> Instance:
    """Build the instance of a document without a failure."""
    rows = document.sections
    own = rows["instance"][0]
    server = _cell(own, "server_name") or _cell(own, "node") or (document.address or "unknown")
    machine = _cell(own, "machine") or server.partition("\\")[0]
    files = {_cell(row, "provider"): _cell(row, "file_version") for row in rows.get("modules", ())}
    return Instance(
        server_name=server,
        sql_instance=_cell(own, "instance_name") or machine,
        host=machine.lower(),
        platform=_cell(own, "platform"),
        product_version=_cell(own, "product_version"),
        read_at=_cell(own, "read_at_utc"),
        sees_definitions=own.get("may_view_definitions") != 0,
        providers=tuple(_provider(row, files) for row in rows.get("providers", ())),
        credentials=tuple(_credential(row) for row in rows.get("credentials", ())),
        keys=_keys(rows.get("keys", ())),
        databases=_databases(rows.get("databases", ()), rows.get("encryption", ())),
        replicas=tuple((_cell(row, "ag"), _cell(row, "server_name")) for row in rows.get("replicas", ())),
        errors={printable(section): printable(message) for section, message in document.errors.items()},
        key_uris=document.key_uris,
    )


def _cell(row: Row, name: str) -> str:
    return printable(str(row.get(name, "")))


def _provider(row: Row, files: Mapping[str, str]) -> Provider:
    name = _cell(row, "name")
    return Provider(
        name=name, version=_cell(row, "version"), file_version=files.get(name, ""), enabled=row.get("is_enabled") != 0
    )


def _credential(row: Row) -> SqlCredential:
    return SqlCredential(
        name=_cell(row, "name"),
        identity=_cell(row, "identity"),
        provider=_cell(row, "provider"),
        modified_utc=_cell(row, "modified_utc"),
    )


def _keys(rows: tuple[Row, ...]) -> tuple[AsymmetricKey, ...]:
    """One key for each thumbprint; a login with several credentials makes several rows."""
    found: dict[str, AsymmetricKey] = {}
    for row in rows:
        key = AsymmetricKey(
            name=_cell(row, "name"),
            thumbprint=thumbprint_of(_cell(row, "thumbprint")),
            public_key=_cell(row, "public_key"),
            provider=_cell(row, "provider"),
            credential=_cell(row, "credential"),
        )
        if key.thumbprint not in found or key.credential:
            found[key.thumbprint] = key
    return tuple(found.values())


def _databases(rows: tuple[Row, ...], encryption: tuple[Row, ...]) -> tuple[Database, ...]:
    thumbprints = {
        _cell(row, "database"): thumbprint_of(_cell(row, "thumbprint"))
        for row in encryption
        if row.get("encryptor_type") == ASYMMETRIC_KEY
    }
    listed = {_cell(row, "name"): (_cell(row, "state"), _cell(row, "ag")) for row in rows}
    names = sorted(listed.keys() | thumbprints.keys())
    return tuple(
        Database(
            name=name, state=listed.get(name, ("", ""))[0], ag=listed.get(name, ("", ""))[1], thumbprint=thumbprints.get(name, "")
        )
        for name in names
    )
