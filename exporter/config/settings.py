"""A checked configuration: frozen values, resolved references, defaults. An attribute is type, default and documentation of a setting.

A `Config` exists only for files without a problem. Secrets are not in it: a `SecretSource` is the place of one, and no message contains
any part of a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from datetime import date, datetime
from enum import Enum, StrEnum
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from exporter.config import fields as types
from exporter.config.fields import FieldType, text
from exporter.core import durations, first_true
from exporter.core.connector import CLIENT_ID_DIGITS
from exporter.core.names import Pin, SqlAddress, cloud_of, parse_sql_address
from exporter.core.secrets import remember
from exporter.core.values import CredentialKind, Generation, Mode, Vantage
from exporter.runtime.files import FileUnreadableError, read_whole

# Windows of planned work.


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """Planned work from `start` up to, not including, `end`; both with a time zone."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start.isoformat()}/{self.end.isoformat()}"

    def contains(self, at: float) -> bool:
        """Whether the window contains this Unix time."""
        return self.start.timestamp() <= at < self.end.timestamp()


def _window(written: str) -> MaintenanceWindow:
    """The window of `START/END`. Raises ValueError."""
    message = "expected START/END with a time zone, such as 2026-12-05T20:00Z/2026-12-06T02:00Z"
    start, _, end = written.partition("/")
    try:
        window = MaintenanceWindow(datetime.fromisoformat(start), datetime.fromisoformat(end))
    except ValueError:
        raise ValueError(message) from None
    if None in (window.start.tzinfo, window.end.tzinfo):
        raise ValueError(message)
    if window.start >= window.end:
        raise ValueError("the window must end after its start")
    return window


WINDOW = text("START/END", _window, pattern="^[0-9][^/]+/[0-9][^/]+$")

# The settings of a dataclass, in the metadata of its fields.
#
# A setting consists of key, type, default and documentation. The tables of `schema`, the builders and the effective configuration
# derive from them.

MASKED = "<secret>"
_SETTINGS = "settings"


def setting(kind: FieldType, doc: str, default: Any = None, *, shown: str = "", **more: Any) -> Any:
    """Return an attribute that one key sets; a `default` of MISSING is none. `shown` replaces the default in the documentation.

    `more`: see `fields.Field`. The default of `name` is the attribute's name.
    """
    return _attribute(default, types.Field(**{"name": "", "kind": kind, "doc": doc, "default": shown, **more}))


def secret_setting(attribute: str, **stems: tuple[str, tuple[str, ...]]) -> Any:
    """A `SecretSource` or None, set by one of the keys STEM_file and STEM_env."""
    places = (("file", types.PATH, "File"), ("env", types.ENVIRONMENT, "Environment variable"))
    found = list[types.Field]()
    for stem, (what, kinds) in stems.items():
        for ending, kind, place in places:
            name, doc, dumped = f"{stem}_{ending}", f"{place} with {what}.", partial(_place, attribute, ending)
            found.append(types.Field(name=name, kind=kind, doc=doc, types=kinds, dumped=dumped))
    return _attribute(None, *found)


def _attribute(default: Any, *keys: types.Field) -> Any:
    metadata = {_SETTINGS: keys}
    return field(default_factory=dict, metadata=metadata) if default == {} else field(default=default, metadata=metadata)


def _place(attribute: str, ending: str, owner: object) -> Any:
    return getattr(getattr(owner, attribute), ending, None)


def fields_of(model: type) -> tuple[types.Field, ...]:
    """The keys of a dataclass, in its order."""
    return tuple(row for _, row in _rows(model))


def plain_values(model: type, section: types.Section) -> dict[str, Any]:
    """Return the usable values of a section, by attribute. Absent keys keep the defaults of the dataclass."""
    values = {attribute.name: section.get(row.name) for attribute, row in _rows(model)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if value is not None}


def dump(value: Any) -> dict[str, Any]:
    """A dataclass as a mapping of YAML values, without absent ones."""
    model: type = type(value)
    kind = getattr(value, "kind", None)
    found = {
        row.name: plain(row.dumped(value) if row.dumped else getattr(value, attribute.name))
        for attribute, row in _rows(model)
        if row.belongs_to(kind)
    }
    return {key: each for key, each in found.items() if each is not None and each not in ({}, [])}


def plain(value: Any) -> Any:
    """A value of a configuration in a type that YAML has."""
    match value:
        case Enum() | Path() | MaintenanceWindow():
            return str(value)
        case float():
            return durations.write(value)
        case tuple():
            return [plain(each) for each in value]
        case Mapping():
            return {key: each for key, each in value.items() if each is not None}
        case str():
            return mask_user(value)
        case None | date() | bool() | int():
            return value
        case _ if is_dataclass(value):
            return dump(value)
        case _:
            raise TypeError(f"no type of a configuration: {type(value).__name__}")


def mask_user(url: str) -> str:
    """Mask the text before the @ of a URL."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{MASKED}@{host}").geturl() if at and user else url


@cache
def _rows(model: type) -> tuple[tuple[Field[Any], types.Field], ...]:
    rows_ = ((attribute, row) for attribute in fields(model) for row in attribute.metadata.get(_SETTINGS, ()))
    return tuple((attribute, _completed(attribute, row)) for attribute, row in rows_)


def _completed(attribute: Field[Any], row: types.Field) -> types.Field:
    default = attribute.default_factory() if attribute.default_factory is not MISSING else attribute.default
    required = row.required or (default is MISSING and not row.default)
    written = "" if required or default in (None, MISSING) else plain(default)
    shown = row.default or (str(written).lower() if isinstance(written, bool) else str(written))
    return replace(row, name=row.name or attribute.name, required=required, default=shown)


SECRET_LIMIT = 64 * 1024

_CONTROL = re.compile("[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSource:
    """The place of a secret: exactly one of a file and an environment variable."""

    file: Path | None = None
    env: str | None = None

    @property
    def kind(self) -> str:
        """The end of its key: `file` or `env`."""
        return "env" if self.file is None else "file"

    def __str__(self) -> str:
        return f"file {self.file}" if self.file is not None else f"environment variable {self.env}"


class SecretUnreadableError(Exception):
    """The reason why a secret is unusable. `what` is the reason without the place."""

    def __init__(self, source: SecretSource, what: str) -> None:
        super().__init__(f"{source}: {what}")
        self.what = what


def read_secret(source: SecretSource) -> str:
    """Read a secret, without one line break (LF or CRLF) at its end. Blocks on a file.

    Raises SecretUnreadableError if the secret is missing, unreadable, empty or malformed.
    """
    if source.file is None:
        text = os.environ.get(source.env or "")
    else:
        try:
            text = read_whole(source.file, limit=SECRET_LIMIT).decode()
        except FileUnreadableError as error:
            raise SecretUnreadableError(source, str(error)) from None
        except UnicodeDecodeError:  # its text contains the bytes
            raise SecretUnreadableError(source, "is not UTF-8 text: save the file as UTF-8") from None
    if text is None:
        raise SecretUnreadableError(source, "is not set: export it before the start")
    text = text.removesuffix("\n").removesuffix("\r")
    problem = first_true(
        (not text.strip(), "is empty"),
        ("\n" in text, "contains more than one line: keep one"),
        (text.startswith("\ufeff"), "starts with a byte order mark: save it without one"),
        (_CONTROL.search(text), "contains a control character: remove it"),
        default="",
    )
    if problem:
        raise SecretUnreadableError(source, problem)
    remember(text)
    remember(text[CLIENT_ID_DIGITS:])  # the part of the connector's string that is sent
    return text


SECRET, CONNECTOR, CERTIFICATE = (
    CredentialKind.CLIENT_SECRET,
    CredentialKind.CONNECTOR_SECRET,
    CredentialKind.CLIENT_CERTIFICATE,
)
MANAGED, WORKLOAD, CHAIN = CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY, CredentialKind.DEFAULT
# Kinds with an expiry that a lookup can find.
_EXPIRING = (SECRET, CONNECTOR, CERTIFICATE)
NEEDS_CLIENT_ID = (SECRET, CERTIFICATE)
# The stem of the keys STEM_file and STEM_env, and whether one of the two is required.
SOURCES: dict[CredentialKind, tuple[str, bool]] = {
    SECRET: ("client_secret", True),
    CONNECTOR: ("secret", True),
    CERTIFICATE: ("password", False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """An identity at Entra ID."""

    name: str
    kind: CredentialKind = setting(types.choice(CredentialKind), "Kind of identity.", MISSING, name="type")
    tenant_id: str | None = setting(
        types.TENANT, "The Entra tenant.", shown="the tenant in the vault's challenge", types=(*_EXPIRING, WORKLOAD)
    )
    client_id: str | None = setting(
        types.GUID,
        "The application. Required with `client_secret` and `client_certificate`; "
        "selects a user-assigned identity with `managed_identity`.",
        types=(SECRET, CERTIFICATE, MANAGED, WORKLOAD),
    )
    secret: SecretSource | None = secret_setting(
        "secret",
        client_secret=("the client secret", (SECRET,)),
        secret=("the SECRET of CREATE CREDENTIAL: client id without hyphens, then the client secret", (CONNECTOR,)),
    )
    certificate_file: Path | None = setting(
        types.PATH, "Certificate and private key, PEM or PFX.", types=(CERTIFICATE,), required=True
    )
    password: SecretSource | None = secret_setting("password", password=("the password of `certificate_file`", (CERTIFICATE,)))
    # Midnight UTC at the beginning of the day.
    expires_on: date | None = setting(types.DATE, "Day on which the secret expires.", types=(*_EXPIRING, CHAIN))
    graph_credential: str | None = setting(
        types.CREDENTIAL_NAME,
        "Another credential, for the lookup of this one's expiry in Microsoft Graph.",
        types=_EXPIRING,
    )
    key_vault_secret: str | None = setting(
        types.SECRET_URL, "Key Vault secret whose expiry attribute is this credential's expiry.", types=_EXPIRING
    )
    key_vault_credential: str | None = setting(
        types.CREDENTIAL_NAME,
        "Credential that reads the attributes of `key_vault_secret`.",
        shown="`graph_credential`, else this credential itself",
        types=_EXPIRING,
    )

    @property
    def may_expire(self) -> bool:
        """Whether the credential expires, as far as its kind and configuration show."""
        return self.expires_on is not None or self.has_own_secret

    @property
    def has_own_secret(self) -> bool:
        """Whether it signs in with a secret or certificate of the configuration."""
        return self.kind in SOURCES

    @property
    def secret_path(self) -> str | None:
        """Path of the file that holds the secret or certificate, as text to show: a byte that is no UTF-8 is written as its number."""
        source = self.secret or self.password
        path = self.certificate_file if source is None else source.file
        return None if path is None else str(path).encode(errors="backslashreplace").decode()

    @property
    def reads_file(self) -> bool:
        """Whether a file holds the secret or the certificate."""
        source = self.secret or self.password
        return self.certificate_file is not None or (source is not None and source.file is not None)

    @property
    def key_vault_lookup_credential(self) -> str:
        """Name of the credential that reads the attributes of `key_vault_secret`."""
        return self.key_vault_credential or self.graph_credential or self.name

    @property
    def lookup_credentials(self) -> tuple[str, ...]:
        """Names of the other credentials that look up this one's expiry."""
        key_vault = self.key_vault_lookup_credential if self.key_vault_secret is not None else None
        return tuple(name for name in (self.graph_credential, key_vault) if name is not None and name != self.name)


DEFAULT_MODULE = "default"  # always exists

_WEEK = 7 * types.DAY


class ExpectPath(StrEnum):
    """Endpoint through which the vault should be reached."""

    PRIVATE = "private"
    PUBLIC = "public"
    ANY = "any"

    def met_by(self, connection: str | None) -> bool | None:
        """Whether the vault was reached as expected.

        The result is None without an expectation or without a reported `connection`.
        """
        return None if self is ExpectPath.ANY or connection is None else connection == self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The HTTP proxy of a module."""

    url: str = setting(types.PROXY_URL, "The proxy, without user and password.", MISSING)
    no_proxy: tuple[str, ...] = setting(
        types.list_of(types.NO_PROXY),
        "Hosts reached directly; `.vault.azure.net` includes every host below it.",
        (),
    )
    username: str | None = setting(types.TEXT, "User for basic authentication at the proxy.")
    password: SecretSource | None = secret_setting("password", password=("that user's password", ()))

    def leaves_out(self, host: str) -> bool:
        """Whether a host is reached directly. By curl's rules, an entry is `*`, the host or a parent domain."""
        domains = (entry.lower().lstrip(".") for entry in self.no_proxy)
        return any(domain == "*" or f".{host.lower()}".endswith(f".{domain}") for domain in domains)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleTls:
    """The TLS settings of a module."""

    ca_file: Path | None = setting(
        types.PATH,
        "File with trusted CA certificates in PEM, instead of the system's.",
        shown="the system's certificates",
    )


@dataclass(frozen=True, kw_only=True)  # no slots: `entra_route` is cached
class Module:
    """How to probe. Durations are in seconds."""

    name: str
    mode: Mode = setting(
        types.choice(Mode),
        "`full` makes the whole round trip, as SQL Server does; `read_only` stops after reading the key; "
        "`canary` makes the whole round trip with its own identity and key and gives no verdict about SQL Server.",
        Mode.FULL,
    )
    algorithm: str = setting(
        types.choice(("RSA-OAEP", "RSA-OAEP-256")),
        "Algorithm of wrap and unwrap. The connector uses RSA-OAEP.",
        "RSA-OAEP",
    )
    api_version: str = setting(types.API_VERSION, "API version sent to the vault.", "7.4", shown='"7.4"')
    token_max_age: float = setting(
        types.duration(0, 50 * 60),
        "Longest time for which a token is reused. `0s` fetches a token in each interval, which detects an expired secret at once.",
        0.0,
    )
    round_trip_interval: float = setting(
        types.duration(0, _WEEK),
        "Least time between two round trips (wrap and unwrap) of a target. With `0s` every probe makes one. With `5m`, most probes "
        "only read, and a removed permission is detected up to five minutes later: until then the verdict uses the last unwrap.",
        0.0,
    )
    auxiliary_interval: float = setting(
        types.duration(0, _WEEK),
        "Least time between two auxiliary probes of the same kind: staged credential, retained versions, recovery vault, "
        "newest version. They never change the verdict. An auxiliary probe that failed or has no result yet runs with every probe; "
        "with `0s`, each does. A longer interval detects a disabled retained version later.",
        300.0,
    )
    proxy: Proxy | None = setting(
        types.section(fields_of(Proxy)),
        "Proxy for the vault and Entra ID.",
        shown="none; environment variables are ignored",
    )
    ca_file: Path | None = setting(
        types.section(fields_of(ModuleTls)),
        "Certificates that the exporter trusts.",
        name="tls",
        dumped=lambda module: ModuleTls(ca_file=module.ca_file),
    )
    authority_host: str | None = setting(
        types.AUTHORITY,
        "The Entra ID host that may receive the secret.",
        shown="the host in the challenge, if it is a known Entra host",
    )
    # "host:port" to "host:port", in lower case.
    connect_to: Mapping[str, str] = setting(
        types.CONNECT_TO,
        "Addresses to connect to instead of the resolved ones, as with `curl --connect-to`. These connections use no proxy.",
        {},
    )
    expect_path: ExpectPath = setting(
        types.choice(ExpectPath),
        "Endpoint through which the vault should be reached. Another one is reported as a warning.",
        ExpectPath.ANY,
    )
    crl_check: bool = setting(
        types.BOOL,
        "Whether a preflight check connects to the hosts of CRL and OCSP on port 80, as Windows does.",
        default=True,
    )

    @cached_property
    def entra_route(self) -> Hashable:
        """The settings that decide how Entra ID is reached.

        Modules with equal values share tokens. Each probe reads this, so it leaves out the connections to vaults: there may be
        thousands.
        """
        elsewhere = {host: to for host, to in self.connect_to.items() if cloud_of(host) is None}
        return self.proxy, self.ca_file, self.authority_host, tuple(sorted(elsewhere.items()))


# No setting of a SQL Server trusts every certificate: a login goes to no server whose certificate is not verified.


_SHA256 = types.text(
    "SHA-256 in hex digits",
    lambda value: value.replace(":", "").lower(),
    matches=re.compile("[0-9A-Fa-f]{2}(?::?[0-9A-Fa-f]{2}){31}"),
    wrong="expected the SHA-256 of the certificate: 64 hexadecimal digits, with or without colons",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlServer:
    """One SQL Server that `run` reads. Durations are in seconds."""

    address: str = setting(
        types.text("address", lambda value: parse_sql_address(value).text),
        "`HOST`, `HOST\\INSTANCE` or `HOST,PORT`. Without a port, a named instance needs SQL Server Browser. Unique in all files.",
        MISSING,
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
        _SHA256,
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


def _key(owner: Retained | Target) -> str:
    return owner.key_name if owner.key_version is None else f"{owner.key_name}/{owner.key_version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """A key version that old backups need."""

    key_name: str = setting(types.KEY, "Key version that encrypted the old backups.", MISSING, name="key", dumped=_key)
    key_version: str | None
    # Full host name in lower case.
    vault: str = setting(types.VAULT, "The vault with that key version.", MISSING, shown="that of the KeyUri, else the target's")
    credential: str = setting(types.CREDENTIAL_NAME, "Credential that may unwrap with it.", MISSING, shown="the target's")
    until: date | None = setting(types.DATE, "Last day on which a backup needs it.")

    @property
    def key(self) -> str:
        """`name` or `name/version`, as in the configuration."""
        return _key(self)

    def is_needed(self, today: date) -> bool:
        """Whether backups still need this key version on this day."""
        return self.key_version is not None and (self.until is None or self.until >= today)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One vault and key that SQL Servers depend on. Durations are in seconds."""

    name: str = setting(types.NAME, "Name in metrics (label `target`), pages and logs. Unique in all files.", MISSING)
    # Full host name in lower case, with :port unless it is 443.
    vault: str = setting(
        types.VAULT,
        "The IDENTITY of the SQL credential: the vault's name, its host name, or its https URL. May be absent if `key` is a KeyUri.",
        MISSING,
    )
    key_name: str = setting(
        types.KEY,
        "The key, pinned to the version that SQL Server uses. A KeyUri such as `https://contoso.vault.azure.net/keys/NAME/VERSION` "
        "names the vault too. A bare name follows the newest version and gets no verdict.",
        MISSING,
        name="key",
        dumped=_key,
    )
    key_version: str | None  # None: not pinned, so no verdict
    # As SQL Server writes it, in upper case after 0x.
    thumbprint: str | None = setting(
        types.THUMBPRINT,
        "SQL Server's thumbprint of that key version, as in `sys.asymmetric_keys`. With it, the exporter compares the pin with the "
        "keys that SQL Servers use.",
    )
    retained_versions: tuple[Retained, ...] = setting(
        types.list_of(types.section(fields_of(Retained))), "Key versions that old backups need.", ()
    )
    credential: str = setting(types.CREDENTIAL_NAME, "The credential that SQL Server uses.", MISSING)
    next_credential: str | None = setting(
        types.CREDENTIAL_NAME,
        "Staged successor of `credential`. An auxiliary probe tests it; it never changes the verdict.",
    )
    recovery_vault: str | None = setting(types.VAULT, "The vault that holds a restored copy of the key.")
    recovery_credential: str | None = setting(
        types.CREDENTIAL_NAME, "The credential for the recovery vault.", shown="the target's `credential`"
    )
    backup_on: date | None = setting(types.DATE, "Day of the key's last backup.")
    maintenance: tuple[MaintenanceWindow, ...] = setting(
        types.list_of(WINDOW),
        "Windows of planned work for this target, in addition to those of `global.maintenance`.",
        (),
    )
    module: str = setting(types.MODULE_NAME, "Module with the settings of this target's probes.", MISSING, shown=DEFAULT_MODULE)
    # Modules other than `module` that a request of /probe may name.
    modules: tuple[str, ...] = setting(
        types.list_of(types.MODULE_NAME), "Other modules that a request may name as `/probe?module=`.", ()
    )
    interval: float = setting(types.INTERVAL, "Time between two probes.", MISSING, shown="`global.interval`")
    timeout: float = setting(
        types.TIMEOUT, "Time for one whole probe, at most half the interval.", MISSING, shown="`global.timeout`"
    )
    generation: Generation = setting(
        types.choice(Generation),
        "As `global.connector_generation`, for this target.",
        MISSING,
        name="connector_generation",
        shown="`global.connector_generation`",
    )
    generation_declared: bool  # for this target or globally
    labels: Mapping[str, str] = setting(
        types.labels(types.RESERVED_LABELS | types.INFO_LABELS),
        "Additional labels of `ekm_target_info`; the shipped rules copy `team`, `env` and `sql_instance`.",
        {},
    )
    instances: tuple[Mapping[str, str], ...] = setting(
        types.INSTANCES,
        "The SQL Servers that depend on this key, one mapping each: `sql_instance` and labels that distinguish it, such as "
        "`host` and `ag`. `sql_instance` and `host` together are one SQL Server.",
        (),
    )
    config_file: Path | None = field(default=None, compare=False)  # the main file, for commands in advice
    vantage: Vantage = field(default=Vantage.CENTRAL, compare=False)  # of the exporter, for addresses in advice

    @property
    def key(self) -> str:
        """`name` or `name/version`, as in the configuration."""
        return _key(self)

    @property
    def pin(self) -> Pin | None:
        """The declared thumbprint with its key version."""
        return None if self.thumbprint is None else Pin(self.thumbprint, self.key_name, self.key_version)

    def allows(self, module: str) -> bool:
        """Whether a probe may use this module. Another module could send the secret to another host."""
        return module == self.module or module in self.modules


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The section `global`. Durations are in seconds."""

    interval: float = setting(
        types.INTERVAL,
        "Time between two probes of a target. It varies by a tenth.",
        60.0,
        shown="60s",
    )
    timeout: float = setting(
        types.TIMEOUT,
        "Time for one whole probe. Must not exceed half of the target's interval.",
        10.0,
        shown="min(10s, interval / 2)",
    )
    min_interval: float = setting(
        types.duration(0, types.DAY),
        "Least time between two probes of a target on `/probe`. Earlier requests get the cached result. Earlier requests with "
        "another module than the target's own wait instead.",
        5.0,
    )
    # 0: never.
    preflight_interval: float = setting(
        types.duration(0, 7 * types.DAY),
        "Time between two runs of a target's preflight checks, whose results are metrics. `0s` disables them.",
        21600.0,
    )
    sql_interval: float = setting(
        types.duration(60, types.DAY),
        "Time between two readings of a SQL Server under `sql_servers`.",
        300.0,
    )
    concurrency: int = setting(
        types.whole(1, 100_000),
        "Probes that may run at the same time; fewer if the system grants few open files.",
        64,
        shown="enough if all targets time out at once, at least 64",
    )
    generation: Generation = setting(
        types.choice(Generation),
        "`classic` if SQL Server shows codes 30xx (connector 1.0.4.0 and older), `current` if it shows 31xx (1.0.5.0).",
        Generation.CLASSIC,
        name="connector_generation",
    )
    vantage: Vantage = setting(
        types.choice(Vantage),
        "Location of this exporter: `sql_host` on a SQL Server's host, `central` elsewhere. Every verdict names it.",
        Vantage.CENTRAL,
    )
    maintenance: tuple[MaintenanceWindow, ...] = setting(
        types.list_of(WINDOW),
        "Windows of planned work for all targets. Failures inside a window raise no alert and do not count for the service level.",
        (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole configuration; mappings are by name."""

    settings: Settings
    credentials: Mapping[str, Credential]
    modules: Mapping[str, Module]
    targets: Mapping[str, Target]
    sql_servers: Mapping[str, SqlServer] = field(default_factory=dict)  # by address
    files: tuple[Path, ...] = ()  # every file it was read from, for reloading
