"""A configuration that has been checked: frozen values, every reference resolved, every default filled in.

For: what the rest of the product reads. A `Config` cannot exist unless the file was without a problem.
Not for: YAML, reading files, secrets themselves (a `SecretSource` says where one is, see `secrets`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from exporter.core.endpoints import cloud_of
from exporter.core.model import Generation, Mode, Vantage


class CredentialKind(StrEnum):
    CLIENT_SECRET = "client_secret"  # noqa: S105 - a kind of credential
    CONNECTOR_SECRET = "connector_secret"  # noqa: S105 - a kind of credential
    CLIENT_CERTIFICATE = "client_certificate"
    MANAGED_IDENTITY = "managed_identity"
    WORKLOAD_IDENTITY = "workload_identity"
    DEFAULT = "default"


class ExpectPath(StrEnum):
    PRIVATE = "private"
    PUBLIC = "public"
    ANY = "any"

    def met_by(self, connection: str | None) -> bool | None:
        """Whether a vault that says `private` or `public` was reached as expected; None where nothing is expected, or not told."""
        return None if self is ExpectPath.ANY or connection is None else connection == self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSource:
    """Where a secret stands: exactly one of a file and an environment variable."""

    file: Path | None = None
    env: str | None = None

    def __str__(self) -> str:
        return f"file {self.file}" if self.file is not None else f"environment variable {self.env}"


_WITHOUT_AN_END = frozenset({CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY, CredentialKind.DEFAULT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    name: str
    kind: CredentialKind
    tenant_id: str | None = None
    client_id: str | None = None
    secret: SecretSource | None = None  # client_secret and connector_secret
    certificate_file: Path | None = None
    password: SecretSource | None = None  # of the certificate file
    expires_on: date | None = None  # declared, read as midnight UTC at its start
    graph_credential: str | None = None
    key_vault_secret: str | None = None
    key_vault_credential: str | None = None

    @property
    def may_end(self) -> bool:
        """False where nothing ends by itself, as far as anybody here can know: not knowing an end is no gap then."""
        return self.expires_on is not None or self.kind not in _WITHOUT_AN_END

    @property
    def key_vault_lookup_credential(self) -> str:
        """Name of the credential that reads the attributes of `key_vault_secret`."""
        return self.key_vault_credential or self.graph_credential or self.name

    @property
    def lookup_credentials(self) -> tuple[str, ...]:
        """Names of the other credentials that look up when this one ends."""
        key_vault = self.key_vault_lookup_credential if self.key_vault_secret is not None else None
        return tuple(name for name in (self.graph_credential, key_vault) if name is not None and name != self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    url: str
    no_proxy: tuple[str, ...] = ()
    username: str | None = None
    password: SecretSource | None = None


@dataclass(frozen=True, kw_only=True)  # no slots: `way_to_entra` is found once
class Module:
    """How to probe. Durations in seconds."""

    name: str
    mode: Mode = Mode.FULL
    algorithm: str = "RSA-OAEP"
    api_version: str = "7.4"
    token_max_age: float = 0.0
    round_trip_interval: float = 0.0
    auxiliary_interval: float = 300.0
    proxy: Proxy | None = None
    ca_file: Path | None = None
    authority_host: str | None = None  # https://host[:port]
    connect_to: Mapping[str, str] = field(default_factory=dict)  # "host:port" -> "host:port", lower case
    expect_path: ExpectPath = ExpectPath.ANY
    crl_check: bool = True

    @cached_property
    def way_to_entra(self) -> Hashable:
        """All of a module that decides over how Entra is reached; modules with equal ways share tokens.

        Asked for in each probe, so without the ways to vaults, of which there may be thousands.
        """
        elsewhere = {asked: to for asked, to in self.connect_to.items() if cloud_of(asked) is None}
        return self.proxy, self.ca_file, self.authority_host, tuple(sorted(elsewhere.items()))


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """Planned work from `start` up to, not including, `end`; both with a time zone."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start.isoformat()}/{self.end.isoformat()}"

    def contains(self, at: float) -> bool:
        """Whether this Unix time lies in it."""
        return self.start.timestamp() <= at < self.end.timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """A key version that old backups need."""

    key_name: str
    key_version: str | None
    vault: str  # full host name, lower case
    credential: str
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One vault and key that SQL Servers depend on. Durations in seconds."""

    name: str
    vault: str  # full host name, lower case; with :port only where it is not 443
    key_name: str
    key_version: str | None  # None: not pinned, so no verdict
    credential: str
    module: str
    interval: float
    timeout: float
    generation: Generation
    generation_declared: bool  # written for this target or globally, not merely the default
    next_credential: str | None = None
    retained_versions: tuple[Retained, ...] = ()
    recovery_vault: str | None = None
    recovery_credential: str | None = None
    modules: tuple[str, ...] = ()  # others than `module` that a request of /probe may name
    backup_on: date | None = None
    maintenance: tuple[MaintenanceWindow, ...] = ()  # its own; those of all targets are in Settings
    labels: Mapping[str, str] = field(default_factory=dict)
    instances: tuple[Mapping[str, str], ...] = ()

    @property
    def key(self) -> str:
        """As written in the configuration: `name` or `name/version`."""
        return self.key_name if self.key_version is None else f"{self.key_name}/{self.key_version}"

    def allows(self, module: str) -> bool:
        """Whether a probe may use this module: another one could send the secret where the target never sends it."""
        return module == self.module or module in self.modules


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The section `global`. Durations in seconds."""

    interval: float = 60.0
    timeout: float = 10.0
    min_interval: float = 5.0
    preflight_interval: float = 21600.0  # 0: never
    concurrency: int = 64
    generation: Generation = Generation.CLASSIC
    vantage: Vantage = Vantage.CENTRAL
    maintenance: tuple[MaintenanceWindow, ...] = ()  # of all targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    settings: Settings
    credentials: Mapping[str, Credential]
    modules: Mapping[str, Module]
    targets: Mapping[str, Target]
    files: tuple[Path, ...] = ()  # every file it was read from, for reloading
