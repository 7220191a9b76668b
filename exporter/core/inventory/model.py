"""SQL Server instances with their providers, credentials, keys and databases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from exporter.core.inventory.document import Document
from exporter.core.inventory.registry import RegistryUri, thumbprint_of
from exporter.core.inventory.rights import Row
from exporter.core.model import Generation

ASYMMETRIC_KEY = "ASYMMETRIC KEY"
CLOSED = ("RECOVERY_PENDING", "SUSPECT")
_OPEN = ("", "ONLINE")
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
        if (file := version_number(self.file_version)) and file >= (15, 0):
            return Generation.CURRENT
        catalog = version_number(self.version)
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
    """An asymmetric key of a provider. `login` has its SID, and `credential` is that login's; empty if unknown."""

    name: str
    thumbprint: str
    public_key: str
    provider: str
    login: str
    credential: str
    has_sid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLogin:
    """A login that was made from an asymmetric key, and its credential for a provider; empty if it has none."""

    name: str
    provider: str
    credential: str


@dataclass(frozen=True, slots=True)
class Kept:
    """When the rows of a section were read, and why they were not read again."""

    read_at: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database; `thumbprint` is that of the asymmetric key that protects it.

    It is `hidden` if it is not online and SQL Server shows no encryption of it: any key may protect it.
    """

    name: str
    state: str
    ag: str
    thumbprint: str
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One SQL Server instance; `errors` has a message for each section that is unknown, `kept` has those of an earlier reading."""

    server_name: str
    sql_instance: str
    host: str
    platform: str
    product_version: str
    read_at: str
    providers: tuple[Provider, ...]
    credentials: tuple[SqlCredential, ...]
    keys: tuple[AsymmetricKey, ...]
    logins: tuple[KeyLogin, ...]
    databases: tuple[Database, ...]
    replicas: tuple[tuple[str, str], ...]  # availability group, server name
    errors: Mapping[str, str]
    kept: Mapping[str, Kept]
    key_uris: tuple[RegistryUri, ...]

    @property
    def uses_provider(self) -> bool:
        return bool(self.providers or self.keys)


def version_number(version: str) -> tuple[int, ...]:
    """Return the numbers of `16.0.4175.1`, none if it is no version."""
    matched = _VERSION.fullmatch(version)
    return tuple(int(part) for part in matched.groups()) if matched is not None else ()


def printable(text: str) -> str:
    """Replace characters that no label, comment or line of a report may contain."""
    return _UNPRINTABLE.sub("?", text)


def names_of(document: Document) -> tuple[str, str]:
    """Return the names that a server answered for itself and for its machine."""
    own = document.sections["instance"][0]
    server = _cell(own, "server_name") or _cell(own, "node") or (document.address or "unknown")
    return server, _cell(own, "machine") or server.partition("\\")[0]


def instance_of(document: Document) -> Instance:
    """Build the instance of a document without a failure."""
    rows = document.sections
    own = rows["instance"][0]
    server, machine = names_of(document)
    messages = {printable(section): printable(message) for section, message in document.errors.items()}
    files = {_cell(row, "provider"): _cell(row, "file_version") for row in rows.get("modules", ())}
    return Instance(
        server_name=server,
        sql_instance=_cell(own, "instance_name") or machine,
        host=machine.lower(),
        platform=_cell(own, "platform"),
        product_version=_cell(own, "product_version"),
        read_at=_cell(own, "read_at_utc"),
        providers=tuple(_provider(row, files) for row in rows.get("providers", ())),
        credentials=tuple(_credential(row) for row in rows.get("credentials", ())),
        keys=_keys(rows.get("keys", ())),
        logins=_logins(rows.get("logins", ())),
        databases=_databases(rows.get("databases", ()), rows.get("encryption", ())),
        replicas=tuple((_cell(row, "ag"), _cell(row, "server_name")) for row in rows.get("replicas", ())),
        errors={name: text for name, text in messages.items() if name not in document.kept},
        kept={name: Kept(printable(time), messages.get(name, "")) for name, time in document.kept.items()},
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
            login=_cell(row, "login"),
            credential=_cell(row, "credential"),
            has_sid=row.get("has_sid") == 1,
        )
        if key.thumbprint not in found or key.credential:
            found[key.thumbprint] = key
    return tuple(found.values())


def _logins(rows: tuple[Row, ...]) -> tuple[KeyLogin, ...]:
    return tuple(
        KeyLogin(name=_cell(row, "name"), provider=_cell(row, "provider"), credential=_cell(row, "credential")) for row in rows
    )


def _databases(rows: tuple[Row, ...], encryption: tuple[Row, ...]) -> tuple[Database, ...]:
    thumbprints = {
        _cell(row, "database"): thumbprint_of(_cell(row, "thumbprint"))
        for row in encryption
        if row.get("encryptor_type") == ASYMMETRIC_KEY
    }
    listed = {_cell(row, "name"): (_cell(row, "state"), _cell(row, "ag")) for row in rows}
    shown = {_cell(row, "database") for row in encryption}
    found = []
    for name in sorted(listed.keys() | thumbprints.keys()):
        state, ag = listed.get(name, ("", ""))
        hidden = state not in _OPEN and name not in shown
        found.append(Database(name=name, state=state, ag=ag, thumbprint=thumbprints.get(name, ""), hidden=hidden))
    return tuple(found)
