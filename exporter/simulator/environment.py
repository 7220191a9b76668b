"""Tenants, applications, vaults, keys, secrets and permissions, as frozen data.

A fault never changes an object: it returns a changed copy (see `state`). Only `KeyPairs`, the key material, changes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Generic, NamedTuple, TypeVar
from uuid import NAMESPACE_URL, uuid4, uuid5

from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec import Meta

from exporter.clients.answers import encode
from exporter.core.names import CLOUDS, MANAGEMENT_HOSTS, cloud_of

# SQL Servers.

DEFINITIONS = "VIEW ANY DEFINITION"
PERFORMANCE = "VIEW SERVER PERFORMANCE STATE"
SECURITY = "VIEW SERVER SECURITY STATE"
ERROR_LOG = "VIEW ANY ERROR LOG"
BACKUPS = "SELECT ON MSDB.DBO.BACKUPSET"
RIGHTS = frozenset({DEFINITIONS, PERFORMANCE, SECURITY, ERROR_LOG, BACKUPS})
MANAGED_IDENTITY = "Managed Identity"  # the identity of a credential without a secret
PROVIDER = "AzureKeyVault_EKM_Prov"
ONLINE, RECOVERY_PENDING = 0, 3
STATES = {ONLINE: "ONLINE", 1: "RESTORING", RECOVERY_PENDING: "RECOVERY_PENDING", 5: "EMERGENCY", 6: "OFFLINE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlKey:
    """An asymmetric key: the version in the vault, and the credential that its login uses."""

    vault: str  # full host name
    key_name: str
    key_version: str
    thumbprint: str
    credential: str  # the name in SQL Server
    identity: str  # of that credential
    application: str | None = None  # client id, lower case

    @property
    def name(self) -> str:
        """Return the name in SQL Server."""
        return f"{self.key_name}_{self.key_version[:8]}"

    @property
    def uri(self) -> str:
        """Return the value KeyUri of the registry."""
        return f"https://{self.vault}/keys/{self.key_name}/{self.key_version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlDatabase:
    """A database that a key protects; the thumbprint is that of the key."""

    name: str
    thumbprint: str
    ag: str | None = None
    state: int = ONLINE


@dataclass(frozen=True, slots=True)
class VaultSide:
    """What a request with one key meets: the provider's code of a refusal, "" for a refusal without a code, None if it works."""

    sign_in: str | None = None  # which a living token spares
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySettings:
    """How a day of a SQL Server goes. Intervals are in seconds, of a day that passes at `speed`; 0 is never."""

    every: Annotated[float, Meta(ge=0, le=1e12, description="seconds from one log backup to the next; 0: never")] = 900.0
    differential_every: Annotated[
        float, Meta(ge=0, le=1e12, description="seconds from one differential backup to the next; 0: never")
    ] = 0.0
    full_every: Annotated[float, Meta(ge=0, le=1e12, description="seconds from one full backup to the next; 0: never")] = 86400.0
    token_seconds: Annotated[
        float, Meta(ge=0, le=1e12, description="how long a sign-in to the vault serves further requests")
    ] = 4500.0
    speed: Annotated[
        float,
        Meta(
            ge=0.001,
            le=1e12,
            description="all intervals are shorter, and the log grows faster, by this factor; times stay those of the clock",
        ),
    ] = 1.0
    kb_per_second: Annotated[float, Meta(ge=0, le=1e12, description="log that each database writes")] = 64.0
    vlf_kb: Annotated[int, Meta(ge=64, le=10**12, description="size of a VLF; a log has sixteen at first")] = 65_536
    limit_kb: Annotated[int, Meta(ge=0, le=10**12, description="limit of each log; 0: none")] = 0
    disk_kb: Annotated[int, Meta(ge=0, le=10**12, description="free disk beyond the first sixteen VLFs")] = 40 * 1024 * 1024
    trace_flag: Annotated[bool, Meta(description="trace flag 15025: a new VLF needs no request to the vault")] = False
    backups: Annotated[
        bool | None, Meta(description="whether this server makes the backups; null: the first of a group does")
    ] = None


class EventSession(NamedTuple):
    """An extended-events session that records the calls to providers; it runs since a Unix time."""

    name: str
    is_filtered: bool = False
    is_delayed: bool = False
    started: float | None = None
    dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSqlServer:
    """One instance. Times are Unix times."""

    name: str  # as @@SERVERNAME
    sql_instance: str
    host: str
    keys: tuple[SqlKey, ...]
    databases: tuple[SqlDatabase, ...]
    columns: tuple[SqlDatabase, ...] = ()  # whose columns need their key, and which are not encrypted
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()  # availability group, its servers
    started: float = 0.0
    altered: float = 0.0  # when the credentials were last altered
    product_version: str = "16.0.4105.2"
    file_version: str = "15.0.2000.440"
    rights: frozenset[str] = RIGHTS
    missing: frozenset[str] = frozenset()  # system views that this version lacks
    provider_enabled: bool = True
    library_loads: bool = True  # the DLL of the provider
    ekm_configured: bool = True  # the option of all providers, as it is after the next start
    ekm_in_use: bool = True
    registry_readable: bool = True
    logged: tuple[tuple[float, str], ...] = ()  # further lines of the error log: time, provider error code
    secret_accepted: bool = True  # whether Entra accepts the secret that the credentials have
    login_has_credential: bool = True
    backups_fail: bool = False  # for a cause of their own
    without_rows: frozenset[str] = frozenset()  # sections that are sent without their rows
    day: DaySettings = DaySettings()
    trace: EventSession | None = None
    refuses_login: bool = False
    silent: bool = False

    @property
    def machine(self) -> str:
        return self.name.partition("\\")[0]

    @property
    def instance_name(self) -> str | None:
        """Return the name of a named instance."""
        return self.name.partition("\\")[2] or None

    @property
    def credentials(self) -> dict[str, str]:
        """Return the identity of each credential."""
        return {key.credential: key.identity for key in self.keys}

    def makes_backups(self, database: SqlDatabase) -> bool:
        if self.day.backups is not None or database.ag is None:
            return self.day.backups is not False
        return dict(self.groups)[database.ag][0] == self.name

    def restarted(self, now: float, opened: Collection[str]) -> SimulatedSqlServer:
        """Return the server after a restart, at which only the databases of these names opened."""
        databases = [replace(one, state=ONLINE if one.name in opened else RECOVERY_PENDING) for one in self.databases]
        trace = self.trace and self.trace._replace(started=now)  # which starts with the server
        return replace(self, started=now, ekm_in_use=self.ekm_configured, databases=tuple(databases), trace=trace)


def invented_thumbprint(key_name: str, key_version: str) -> str:
    """Return a thumbprint that is equal on all servers for one key version, as the connector's is."""
    return f"0x{hashlib.sha1(f'{key_name.lower()}/{key_version}'.encode(), usedforsecurity=False).hexdigest().upper()}"


# Tenants and vaults.

ENTRA = "login.microsoftonline.com"
GRAPH_HOSTS = ("graph.microsoft.com", "graph.microsoft.us", "microsoftgraph.chinacloudapi.cn")
SQL_RESOURCE = "https://database.windows.net"
FAR_FUTURE = 4070908800.0  # 2099-01-01: Microsoft Graph always returns an expiry
ALL_OPERATIONS = frozenset({"get", "list", "wrapKey", "unwrapKey"})  # on keys
SECRETS_LIST = "secrets_list"  # the permission to list secrets and their versions
SECRETS_GET = "secrets_get"  # the permission to read the values of secrets
TOKEN_LIFETIME = 3599  # seconds, the lifetime of a service principal's token
_CREATED = 1767225600.0  # 2026-01-01
_KEY_OPS = ("encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """One secret of an application; dates are Unix times.

    `of_principal`: the service principal has the secret, as older tools create it.
    """

    value: str = field(repr=False)
    expires: float | None = None
    created: float = _CREATED
    display_name: str | None = None
    key_id: str = field(default_factory=lambda: str(uuid4()), compare=False)
    of_principal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An application or a managed identity: its credentials and its tokens.

    `certificates` are DER. `federated` are issuer and subject of the service accounts that may sign in.
    `token_lifetime` is in seconds. If `token_audience` or `token_tenant` is None, the request decides.
    """

    client_id: str
    object_id: str
    names: tuple[str, ...] = ()  # the credentials of the configuration that use it
    secrets: tuple[ClientSecret, ...] = ()
    certificates: tuple[bytes, ...] = field(default=(), repr=False)
    federated: tuple[tuple[str, str], ...] = ()
    graph_reader: bool = False  # may read applications in Microsoft Graph
    azure_reader: bool = True  # has the role Reader on the subscription of its tenant
    token_audience: str | None = None
    token_tenant: str | None = None
    token_lifetime: int = TOKEN_LIFETIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A tenant and its applications."""

    tenant_id: str
    applications: Mapping[str, Application] = field(default_factory=dict)  # by client id, lower case


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedVersion:
    """One version of a key or a secret; dates are Unix times."""

    version: str
    enabled: bool = True
    created: float = _CREATED
    nbf: float | None = None
    exp: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedKeyVersion(SimulatedVersion):
    """One version of a key. `material` is the number of its key pair among the run's pairs of that size."""

    kty: str = "RSA"
    size: int = 2048
    material: int = 0
    key_ops: tuple[str, ...] = _KEY_OPS

    @property
    def is_rsa(self) -> bool:
        return self.kty in ("RSA", "RSA-HSM")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSecretVersion(SimulatedVersion):
    """One version of a vault's secret."""

    value: str = field(repr=False)


V = TypeVar("V", bound=SimulatedVersion)


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioned(Generic[V]):
    """A key or a secret with its versions, the newest last."""

    name: str
    versions: tuple[V, ...]

    def version(self, wanted: str | None) -> V | None:
        """Return the version of that name, the newest if `wanted` is None."""
        if wanted is None:
            return self.versions[-1] if self.versions else None
        return next((version for version in self.versions if version.version == wanted), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key(Versioned[SimulatedKeyVersion]):
    """A key. `deleted` is the Unix time of a soft delete: from then on only the list of deleted keys has the key."""

    deleted: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """One vault or managed HSM.

    `latency` is in seconds, `limit` in requests per ten seconds, the unit of the published limits.
    """

    host: str  # lower case, with :port only if it is not 443
    tenant_id: str
    keys: Mapping[str, Key] = field(default_factory=dict)  # by name, lower case
    secrets: Mapping[str, Versioned[SimulatedSecretVersion]] = field(default_factory=dict)  # by name, lower case
    permissions: Mapping[str, frozenset[str]] = field(default_factory=dict)  # operations by client id, lower case
    rbac: bool = False
    authority: str = ENTRA
    region: str = "westeurope"
    network_refusal: str | None = None  # the error that a caller from the exporter's network gets
    latency: float = 0.0
    limit: int | None = None
    closed: frozenset[str] = frozenset()  # operations that no permission covers
    retention: float = 90 * 86400.0  # seconds for which a deleted key can be recovered

    @property
    def name(self) -> str:
        """Return the first label of the host."""
        return self.host.partition(".")[0]

    @property
    def subscription_id(self) -> str:
        """Return the only subscription of its tenant."""
        return str(uuid5(NAMESPACE_URL, self.tenant_id))

    @property
    def managed_hsm(self) -> bool:
        cloud = cloud_of(self.host)
        return cloud is not None and cloud.managed_hsm

    @property
    def resource(self) -> str:
        """Return the audience of its tokens: the domain of its cloud.

        For a host of no known cloud it is the host's parent domain.
        """
        cloud = cloud_of(self.host)
        return cloud.resource if cloud is not None else "https://" + self.host.partition(":")[0].partition(".")[2]

    def with_keys(self, change: Callable[[Key], Key], key: str | None = None, version: str | None = None) -> Vault:
        """Return the vault with each selected key changed.

        Selected are all keys, or those of that name, or those that have a version of that name.
        """
        chosen = {name: one for name, one in self.keys.items() if key is None or name == key.lower()}
        chosen = {name: one for name, one in chosen.items() if version is None or one.version(version) is not None}
        return replace(self, keys={**self.keys, **{name: change(one) for name, one in chosen.items()}})

    def with_versions(self, key: str | None = None, version: str | None = None, **changes: object) -> Vault:
        """Return the vault with fields of the selected key versions changed."""

        def changed(one: SimulatedKeyVersion) -> SimulatedKeyVersion:
            return replace(one, **changes) if version in (None, one.version) else one  # type: ignore[arg-type] # the fault table has the field names

        return self.with_keys(lambda found: replace(found, versions=tuple(map(changed, found.versions))), key, version)

    def without(self, operation: str) -> Vault:
        """Return the vault with that operation permitted to no caller."""
        return replace(self, permissions={caller: allowed - {operation} for caller, allowed in self.permissions.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Everything that one simulator serves."""

    tenants: Mapping[str, Tenant]  # by tenant id, lower case
    vaults: Mapping[str, Vault]  # by host
    authorities: frozenset[str] = frozenset({ENTRA})  # Entra hosts served
    host_identity: str | None = None  # client id of the host's own identity
    sql_servers: Mapping[str, SimulatedSqlServer] = field(default_factory=dict)  # by name, lower case

    @property
    def served(self) -> tuple[str, ...]:
        """Return every host to serve, with its port if that is not 443."""
        return (*sorted(self.authorities), *self.graph_hosts, *self.management_hosts, *self.vaults)

    @property
    def management_hosts(self) -> tuple[str, ...]:
        """Return the hosts of Azure Resource Manager in the clouds of the vaults."""
        return tuple(sorted({host for vault in self.vaults.values() if (host := management_host(vault)) is not None}))

    @property
    def graph_hosts(self) -> tuple[str, ...]:
        """Return the hosts of Microsoft Graph in every cloud. The result is empty if no application may read there."""
        applications = (one for tenant in self.tenants.values() for one in tenant.applications.values())
        return GRAPH_HOSTS if any(one.graph_reader for one in applications) else ()

    @property
    def resources(self) -> frozenset[str]:
        """Return the audiences for which Entra issues tokens here."""
        others = {f"https://{host}" for host in (*GRAPH_HOSTS, *MANAGEMENT_HOSTS.values())}
        sql = {SQL_RESOURCE, SQL_RESOURCE + "/"} if self.sql_servers else set()
        clouds = {cloud.resource for cloud in CLOUDS}
        return frozenset({vault.resource for vault in self.vaults.values()} | clouds | others | sql)


def management_host(vault: Vault) -> str | None:
    """Return the host of Azure Resource Manager that knows the vault, None in no known cloud."""
    cloud = cloud_of(vault.host)
    return None if cloud is None else MANAGEMENT_HOSTS[cloud.name]


def with_port(host: str) -> str:
    return host if ":" in host else f"{host}:443"


# The RSA key pairs of one run, shared between keys. Making one takes 10 to 400 ms: on a thread and once, at first use.

PAIRS_PER_SIZE = 4  # further versions of one key share a pair


class KeyPairs:
    """RSA key pairs by size and number."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[int, int], asyncio.Task[rsa.RSAPrivateKey]] = {}

    async def get(self, size: int, material: int) -> rsa.RSAPrivateKey:
        """Return the pair of that size in bits and number; the same pair at each call."""
        slot = (size, material % PAIRS_PER_SIZE)
        if slot not in self._pairs:
            self._pairs[slot] = asyncio.create_task(asyncio.to_thread(rsa.generate_private_key, 65537, size))
        return await asyncio.shield(self._pairs[slot])

    async def close(self) -> None:
        """Wait for pairs that are being made: a thread cannot be stopped."""
        await asyncio.gather(*self._pairs.values(), return_exceptions=True)


def public_numbers(pair: rsa.RSAPrivateKey) -> tuple[str, str]:
    """Return modulus and exponent in the form of a JSON Web Key: Base64url of their big-endian bytes."""
    numbers = pair.public_key().public_numbers()
    n, e = (encode(one.to_bytes((one.bit_length() + 7) // 8, "big")) for one in (numbers.n, numbers.e))
    return n, e
