"""SQL Server instances with their providers, credentials, keys and databases; which server a reading is about; sentences of a report."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from exporter.core.durations import ago, known_time
from exporter.core.names import ServerNames, parse_sql_address, server_names_at, told_apart
from exporter.core.values import Generation
from exporter.sqlserver.document import Document, RegistryUri, Row, own_row, thumbprint_of, utc_text

# In the name of the provider or the path of its DLL: Microsoft.AzureKeyVaultService.EKM.dll, AzureKeyVault_EKM_Prov.
_CONNECTOR = re.compile(r"azure|akv|key[ _-]?vault", re.IGNORECASE)
_VAULT_IDENTITY = re.compile(r"managed identity|.*\.(?:vault|managedhsm)\..*", re.IGNORECASE)


def is_foreign(name: str, dll_path: str, identities: Iterable[str], *, has_key_uri: bool) -> bool:
    """Return whether nothing of a provider points to Azure Key Vault: a key that counts as foreign by mistake would not be tested.

    SQL Server serves the modules of Thales, Utimaco and others through the same views.
    `identities` are those of its credentials; `has_key_uri`: the connector's registry knows one of its keys.
    """
    if not dll_path or has_key_uri or _CONNECTOR.search(f"{name}\n{dll_path}"):
        return False
    return not any(_VAULT_IDENTITY.fullmatch(identity.strip()) for identity in identities)


CLOSED = ("RECOVERY_PENDING", "SUSPECT")
EKM_OPTION = "EKM provider enabled"  # in sys.configurations: without it, SQL Server uses no EKM provider at all
ENABLE_OPTION = f"EXEC sp_configure 'show advanced options', 1; RECONFIGURE; EXEC sp_configure '{EKM_OPTION}', 1; RECONFIGURE;"
OPEN = ("", "ONLINE")
ASYMMETRIC = "ASYMMETRIC KEY"  # encrypts a database's key, as a certificate may
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
        file, catalog = version_number(self.file_version), version_number(self.version)
        if file >= (15, 0) or catalog >= (1, 0, 5, 0):
            return Generation.CURRENT
        return Generation.CLASSIC if catalog else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlCredential:
    """A credential of a provider; times are ISO 8601."""

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
    """The option that allows EKM providers: as it is after the next start, and now. Each of the two values may wait for the other."""

    configured: bool
    in_use: bool

    @property
    def fault(self) -> str:
        """How it is off; empty if it is on."""
        if self.in_use:
            return "" if self.configured else "on now, but off after a RECONFIGURE or a restart"
        return "off now, and on only after a RECONFIGURE or a restart" if self.configured else "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One SQL Server instance; `errors` has a message for each section that is unknown. `kept` has those of an earlier reading, each with its time and why it was not read again.

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
    kept: Mapping[str, tuple[str, str]]
    key_uris: tuple[RegistryUri, ...]
    started_utc: str  # empty if unknown
    ekm: EkmOption | None  # None if unknown
    foreign: Mapping[str, int]
    nodes: tuple[str, ...]  # the computers that it can run on, in lower case; none if they are unknown
    names: ServerNames  # by which the entries of targets name it

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
    own = own_row(document.sections)
    server = _cell(own, "server_name") or _cell(own, "node") or (document.address or "unknown")
    return server, _cell(own, "machine") or server.partition("\\")[0]


def labels_of(document: Document) -> tuple[str, str]:
    """Return the labels `sql_instance` and `host` of the server that answered."""
    machine = names_of(document)[1]
    return _cell(own_row(document.sections), "instance_name") or machine, machine.lower()


def instance_of(document: Document, now: float | None = None) -> Instance:
    """Build the instance of a document without a failure. `now`, a Unix time, is for the age of what was kept."""
    rows = document.sections
    own = own_row(rows)
    server, _ = names_of(document)
    sql_instance, host = labels_of(document)
    messages = {printable(section): printable(message) for section, message in document.errors.items()}
    files = {_cell(row, "provider"): _cell(row, "file_version") for row in rows.get("modules", ())}
    foreign = _foreign_providers(document)
    strange = {thumbprint_of(_cell(row, "thumbprint")) for row in rows.get("keys", ()) if _cell(row, "provider") in foreign}
    databases = _databases(rows.get("databases", ()), rows.get("encryption"), strange)
    names = server_names_at(document.address or "", sql_instance, host)
    return Instance(
        address=document.address or "",
        server_name=server,
        sql_instance=sql_instance,
        host=host,
        platform=_cell(own, "platform"),
        product_version=_cell(own, "product_version"),
        read_at=_cell(own, "read_at_utc"),
        providers=tuple(
            Provider(
                **_cells(row, "name", "version"),
                file_version=files.get(_cell(row, "name"), ""),
                enabled=row.get("is_enabled") != 0,
            )
            for row in _without(rows.get("providers", ()), "name", foreign)
        ),
        credentials=tuple(
            SqlCredential(**_cells(row, "name", "identity", "provider", "modified_utc"))
            for row in _without(rows.get("credentials", ()), "provider", foreign)
        ),
        keys=_keys(_without(rows.get("keys", ()), "provider", foreign)),
        logins=tuple(
            KeyLogin(**_cells(row, "name", "provider", "credential"))
            for row in _without(rows.get("logins", ()), "provider", foreign)
        ),
        databases=databases,
        replicas=tuple(
            (_cell(row, "ag"), _cell(row, "server_name"))
            for row in _without(rows.get("replicas", ()), "mode", {"CONFIGURATION_ONLY"})  # it has no database
        ),
        errors={name: text for name, text in messages.items() if name not in document.kept},
        kept={name: (_with_age(printable(time), now), messages.get(name, "")) for name, time in document.kept.items()},
        key_uris=document.key_uris,
        started_utc=next((_cell(row, "started_utc") for row in rows.get("start", ())), ""),
        ekm=next((_option(row) for row in rows.get("configurations", ()) if row.get("name") == EKM_OPTION), None),
        # Of a failover cluster instance, whose name is not that of its computer; else the host.
        nodes=tuple(_cell(row, "name").lower() for row in rows.get("nodes", ()))
        or ((host,) if _cell(own, "node").lower() in ("", host) else ()),
        foreign={name: sum(_cell(row, "provider") == name for row in rows.get("keys", ())) for name in sorted(foreign)},
        names=names._replace(groups=frozenset(each.ag.casefold() for each in databases if each.ag)),
    )


def _with_age(time: str, now: float | None) -> str:
    """Return a time of a row for readers, with its age at `now`, a Unix time."""
    at = known_time(time)
    return utc_text(time) + ("" if now is None or at is None else f" ({ago(now - at)})")


def _foreign_providers(document: Document) -> set[str]:
    known = {thumbprint_of(uri.thumbprint) for uri in document.key_uris}

    def cells(section: str, column: str, provider: str) -> list[str]:
        return [_cell(row, column) for row in document.sections.get(section, ()) if _cell(row, "provider") == provider]

    paths = {_cell(row, "name"): _cell(row, "dll_path") for row in document.sections.get("providers", ())}
    keys = {name: map(thumbprint_of, cells("keys", "thumbprint", name)) for name in paths}
    return {
        name
        for name, path in paths.items()
        if is_foreign(name, path, cells("credentials", "identity", name), has_key_uri=not known.isdisjoint(keys[name]))
    }


def _without(rows: tuple[Row, ...], column: str, values: Collection[str]) -> tuple[Row, ...]:
    return tuple(row for row in rows if _cell(row, column) not in values)


def _option(row: Row) -> EkmOption | None:
    """Return the option, None if it is not a whole row."""
    values = row.get("value"), row.get("value_in_use")
    return EkmOption(values[0] != 0, values[1] != 0) if all(isinstance(value, int) for value in values) else None


def _cell(row: Row, name: str) -> str:
    return printable(str(row.get(name, "")))


def _cells(row: Row, *names: str) -> dict[str, str]:
    return {name: _cell(row, name) for name in names}


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
        _cell(row, "database"): "" if (key := thumbprint_of(_cell(row, "thumbprint"))) in foreign else key
        for row in encryption or ()
        if row.get("encryptor_type") == ASYMMETRIC
    }
    listed = {_cell(row, "name"): (_cell(row, "state"), _cell(row, "ag")) for row in rows}
    encrypted = {name for row in rows if row.get("is_encrypted") == 1 and (name := _cell(row, "name")).lower() != _TEMPDB}
    shown = {_cell(row, "database") for row in encryption or ()}
    closed = set() if encryption is None else encrypted
    names = sorted(listed.keys() | thumbprints.keys())
    return tuple(
        Database(
            name=name,
            state=state,
            ag=ag,
            thumbprint=thumbprints.get(name, ""),
            encrypted=name in encrypted,
            hidden=name not in shown and (state not in OPEN or name in closed),
        )
        for name, (state, ag) in ((name, listed.get(name, ("", ""))) for name in names)
    )


# Which SQL Server a reading is about. A server answers with its own name: only the address proves that the name is its own.
FILE = "file "  # begins the address of a reading whose file does not name one


@dataclass(frozen=True, slots=True)
class Identity:
    """The name that a server answered, in capitals; its domain, empty if unknown; whether its address proves the name."""

    name: str
    domain: str
    proven: bool

    @property
    def key(self) -> str:
        """The name in the inventory: two domains may have one name."""
        host, separator, instance = self.name.partition("\\")
        return f"{host}.{self.domain}{separator}{instance}" if self.domain else self.name


def identity_of(document: Document) -> Identity:
    """Return the identity of a document with an instance."""
    name = names_of(document)[0].upper()
    asked = asked_host(document.address or "", name.partition("\\")[0]).upper()
    return Identity(name, asked.partition(".")[2], proven=bool(asked))


def asked_host(address: str, label: str) -> str:
    """Return the host of an address in lower case if this is its first label, empty if not. A file's name may begin with the label."""
    address, label = address.lower(), label.lower()
    if address.startswith(FILE):
        return label if re.match(rf"{re.escape(label)}(?![^._\\ ])", address.removeprefix(FILE)) else ""
    host = host_of(address).rstrip(".")
    return host if host.partition(".")[0] == label and not is_numeric(host) else ""


def is_numeric(host: str) -> bool:
    """Whether a host is an IP address, which has no labels."""
    return re.fullmatch(r"[0-9.:]+", host) is not None


def has_two_names(document: Document) -> bool:
    """Whether server and machine differ. SQL Server builds the first from the second, which NetBIOS may cut."""
    server, machine = (name.upper() for name in names_of(document))
    host = server.partition("\\")[0]
    return not host.startswith(machine) and not machine.startswith(host)


def host_of(address: str) -> str:
    """Return the host of a server's name; empty if it is none."""
    try:
        return parse_sql_address(address).host
    except ValueError:
        return ""


def instances_of(documents: Iterable[Document], now: float | None = None) -> list[Instance]:
    """Build the instances at `now`, a Unix time. If two domains have a server of one name, name and host get the domain."""
    pairs = [(instance_of(one, now), identity_of(one)) for one in documents]
    numbers = Counter(identity.name for _, identity in pairs)
    instances = [_with_domain(*pair) if pair[1].domain and numbers[pair[1].name] > 1 else pair[0] for pair in pairs]
    names = told_apart(dict(enumerate(each.names for each in instances)))
    return [replace(each, names=names[place]) for place, each in enumerate(instances)]


def _with_domain(instance: Instance, identity: Identity) -> Instance:
    domain = identity.domain.lower()
    host, separator, name = instance.server_name.partition("\\")
    return replace(
        instance,
        server_name=f"{host}.{domain}{separator}{name}",
        host=f"{instance.host}.{domain}",
        nodes=tuple(f"{node}.{domain}" for node in instance.nodes),
        names=instance.names._replace(host=f"{instance.host}.{domain}", domain=domain, has_twin=True),
    )


FEW = 3  # names in a part of a sentence
_LISTED = 12  # names in one sentence


# Gaps that the gate reports under a condition of their own.
Kind = Literal[
    "credential_missing", "credential_guessed", "identity_unsupported", "section_kept", "instance_kept", "key_not_on_replica",
]  # fmt: skip


@dataclass(slots=True)
class Findings:
    """Sentences of the report, each with the instances that it is about.

    `gaps` are what could not be found out or stays unprobed, some with a kind; `notes` need no action.
    """

    gaps: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)

    def gap(self, text: str, *servers: str, kind: Kind | None = None) -> None:
        _add(self.gaps, text, servers)
        if kind is not None:
            self.kinds[text] = kind

    def note(self, text: str, *servers: str) -> None:
        _add(self.notes, text, servers)


def _add(table: dict[str, list[str]], text: str, servers: Iterable[str]) -> None:
    table[text] = list(dict.fromkeys((*table.get(text, ()), *servers)))


def few(names: Sequence[str], most: int = FEW) -> str:
    """Return the first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def listed(names: Iterable[str]) -> str:
    """`a, b and 3 more`."""
    every = list(names)
    rest = len(every) - _LISTED
    return ", ".join(every[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
