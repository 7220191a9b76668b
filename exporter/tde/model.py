"""SQL Server instances with their providers, credentials, keys and databases."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from exporter.core.model import Generation
from exporter.tde.document import Document
from exporter.tde.earlier_rows import EarlierRows, earlier_rows
from exporter.tde.ekm_provider import is_foreign
from exporter.tde.fields import Row
from exporter.tde.registry import RegistryUri, thumbprint_of

ASYMMETRIC_KEY = "ASYMMETRIC KEY"
CLOSED = ("RECOVERY_PENDING", "SUSPECT")
EKM_OPTION = "EKM provider enabled"  # in sys.configurations: without it, SQL Server uses no EKM provider at all
# A replica of an availability group that has no database.
_CONFIGURATION_ONLY = "CONFIGURATION_ONLY"
OPEN = ("", "ONLINE")
_TEMPDB = "tempdb"  # encrypted by a key that each start makes
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
    """A credential of a provider; times are ISO 8601. `earlier_utc` is when it was altered before its last change, empty if unknown."""

    name: str
    identity: str
    provider: str
    modified_utc: str
    earlier_utc: str = ""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database; `thumbprint` is that of the asymmetric key that protects it.

    The database is `hidden` if SQL Server shows no key of it, although it is encrypted or not online: any key may protect it.
    A database with AUTO_CLOSE is ONLINE, but not open.
    """

    name: str
    state: str
    ag: str
    thumbprint: str
    encrypted: bool = False
    hidden: bool = False

    @property
    def needs_unknown_key(self) -> bool:
        """Whether it did not open for a cause that may be its key."""
        return self.state in CLOSED and not self.thumbprint


@dataclass(frozen=True, slots=True)
class EkmOption:
    """The option that allows EKM providers: as it is after the next start, and now."""

    configured: bool
    in_use: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One SQL Server instance; `errors` has a message for each section that is unknown, `kept` has those of an earlier reading.

    `foreign` counts the keys of each provider that is not of Azure Key Vault; they are nowhere else.
    """

    address: str  # that was asked, or the file that was read
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
    kept: Mapping[str, EarlierRows]
    key_uris: tuple[RegistryUri, ...]
    started_utc: str  # empty if unknown
    ekm: EkmOption | None  # None if unknown
    foreign: Mapping[str, int]
    nodes: tuple[str, ...]  # the computers that it can run on, in lower case; none if they are unknown

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


def labels_of(document: Document) -> tuple[str, str]:
    """Return the labels `sql_instance` and `host` of the server that answered."""
    machine = names_of(document)[1]
    return _cell(document.sections["instance"][0], "instance_name") or machine, machine.lower()


def instance_of(document: Document, now: float | None = None) -> Instance:
    """Build the instance of a document without a failure. `now`, a Unix time, is for the age of what was kept."""
    rows = document.sections
    own = rows["instance"][0]
    server, _ = names_of(document)
    sql_instance, host = labels_of(document)
    messages = {printable(section): printable(message) for section, message in document.errors.items()}
    files = {_cell(row, "provider"): _cell(row, "file_version") for row in rows.get("modules", ())}
    foreign = _foreign_providers(document)
    strange = {thumbprint_of(_cell(row, "thumbprint")) for row in rows.get("keys", ()) if _cell(row, "provider") in foreign}
    return Instance(
        address=document.address or "",
        server_name=server,
        sql_instance=sql_instance,
        host=host,
        platform=_cell(own, "platform"),
        product_version=_cell(own, "product_version"),
        read_at=_cell(own, "read_at_utc"),
        providers=tuple(_provider(row, files) for row in _without(rows.get("providers", ()), "name", foreign)),
        credentials=tuple(
            SqlCredential(**_cells(row, "name", "identity", "provider", "modified_utc", "earlier_utc"))
            for row in _without(rows.get("credentials", ()), "provider", foreign)
        ),
        keys=_keys(_without(rows.get("keys", ()), "provider", foreign)),
        logins=tuple(
            KeyLogin(**_cells(row, "name", "provider", "credential"))
            for row in _without(rows.get("logins", ()), "provider", foreign)
        ),
        databases=_databases(rows.get("databases", ()), rows.get("encryption"), strange),
        replicas=tuple(
            (_cell(row, "ag"), _cell(row, "server_name"))
            for row in _without(rows.get("replicas", ()), "mode", {_CONFIGURATION_ONLY})
        ),
        errors={name: text for name, text in messages.items() if name not in document.kept},
        kept={name: earlier_rows(printable(time), messages.get(name, ""), now) for name, time in document.kept.items()},
        key_uris=document.key_uris,
        started_utc=next((_cell(row, "started_utc") for row in rows.get("start", ())), ""),
        ekm=next((_option(row) for row in rows.get("configurations", ()) if row.get("name") == EKM_OPTION), None),
        nodes=_nodes(rows.get("nodes", ()), own, host),
        foreign={name: sum(_cell(row, "provider") == name for row in rows.get("keys", ())) for name in sorted(foreign)},
    )


def _nodes(rows: tuple[Row, ...], own: Row, host: str) -> tuple[str, ...]:
    """Return the nodes of a failover cluster instance, else the host.

    The name of such an instance is not that of its computer.
    """
    alone = (host,) if _cell(own, "node").lower() in ("", host) else ()
    return tuple(_cell(row, "name").lower() for row in rows) or alone


def _foreign_providers(document: Document) -> set[str]:
    """Return the names of the providers that are not of Azure Key Vault."""
    rows = document.sections
    known = {thumbprint_of(uri.thumbprint) for uri in document.key_uris}
    found = set()
    for provider in rows.get("providers", ()):
        name = _cell(provider, "name")
        identities = [_cell(row, "identity") for row in rows.get("credentials", ()) if _cell(row, "provider") == name]
        keys = {thumbprint_of(_cell(row, "thumbprint")) for row in rows.get("keys", ()) if _cell(row, "provider") == name}
        if is_foreign(name, _cell(provider, "dll_path"), identities, has_key_uri=bool(known & keys)):
            found.add(name)
    return found


def _without(rows: tuple[Row, ...], column: str, values: Collection[str]) -> tuple[Row, ...]:
    """Return the rows without those that have one of the values."""
    return tuple(row for row in rows if _cell(row, column) not in values)


def _option(row: Row) -> EkmOption | None:
    """Return the option, None if it is not a whole row."""
    values = row.get("value"), row.get("value_in_use")
    return EkmOption(values[0] != 0, values[1] != 0) if all(isinstance(value, int) for value in values) else None


def _cell(row: Row, name: str) -> str:
    return printable(str(row.get(name, "")))


def _cells(row: Row, *names: str) -> dict[str, str]:
    return {name: _cell(row, name) for name in names}


def _provider(row: Row, files: Mapping[str, str]) -> Provider:
    name = _cell(row, "name")
    return Provider(
        name=name, version=_cell(row, "version"), file_version=files.get(name, ""), enabled=row.get("is_enabled") != 0
    )


def _keys(rows: tuple[Row, ...]) -> tuple[AsymmetricKey, ...]:
    """One key for each thumbprint; a login with several credentials makes several rows."""
    found: dict[str, AsymmetricKey] = {}
    for row in rows:
        key = AsymmetricKey(
            **_cells(row, "name", "public_key", "provider", "login", "credential"),
            thumbprint=thumbprint_of(_cell(row, "thumbprint")),
            has_sid=row.get("has_sid") == 1,
        )
        if key.thumbprint not in found or key.credential:
            found[key.thumbprint] = key
    return tuple(found.values())


def _databases(rows: tuple[Row, ...], encryption: tuple[Row, ...] | None, foreign: Collection[str]) -> tuple[Database, ...]:
    """Return the databases; those under a key of a foreign provider have no thumbprint. `encryption` is None if it was not read."""
    thumbprints = {
        _cell(row, "database"): thumbprint_of(_cell(row, "thumbprint"))
        for row in encryption or ()
        if row.get("encryptor_type") == ASYMMETRIC_KEY
    }
    listed = {_cell(row, "name"): (_cell(row, "state"), _cell(row, "ag")) for row in rows}
    encrypted = {name for row in rows if row.get("is_encrypted") == 1 and (name := _cell(row, "name")).lower() != _TEMPDB}
    shown = {_cell(row, "database") for row in encryption or ()}
    closed = set() if encryption is None else encrypted
    found = []
    for name in sorted(listed.keys() | thumbprints.keys()):
        state, ag = listed.get(name, ("", ""))
        thumbprint = thumbprints.get(name, "")
        found.append(
            Database(
                name=name,
                state=state,
                ag=ag,
                thumbprint="" if thumbprint in foreign else thumbprint,
                encrypted=name in encrypted,
                hidden=name not in shown and (state not in OPEN or name in closed),
            )
        )
    return tuple(found)
