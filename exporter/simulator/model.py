"""Tenants, applications, vaults, keys, secrets and permissions, as frozen data.

A fault never changes an object: it returns a changed copy (see `state`). Key material is in `key_pairs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from uuid import NAMESPACE_URL, uuid4, uuid5

from exporter.core.endpoints import CLOUDS, MANAGEMENT_HOSTS, cloud_of
from exporter.simulator.sql_model import SimulatedSqlServer

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


class NetworkAccess(StrEnum):
    """Who can reach a vault's data from the exporter's network."""

    OPEN = "open"
    FIREWALL = "firewall"  # the caller's address is not on the list
    PRIVATE_ONLY = "private_only"  # public network access is off


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
class SimulatedKeyVersion:
    """One version of a key; dates are Unix times.

    `material` is the number of its key pair among the run's pairs of that size.
    """

    version: str
    kty: str = "RSA"
    size: int = 2048
    material: int = 0
    enabled: bool = True
    created: float = _CREATED
    nbf: float | None = None
    exp: float | None = None
    key_ops: tuple[str, ...] = _KEY_OPS


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key with its versions, the newest last.

    `deleted` is the Unix time of a soft delete. From then on only the list of deleted keys has the key.
    """

    name: str
    versions: tuple[SimulatedKeyVersion, ...]
    deleted: float | None = None

    def version(self, wanted: str | None) -> SimulatedKeyVersion | None:
        """Return the version of that name, the newest if `wanted` is None."""
        if wanted is None:
            return self.versions[-1] if self.versions else None
        return next((version for version in self.versions if version.version == wanted), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSecretVersion:
    """One version of a vault's secret; dates are Unix times."""

    version: str
    value: str = field(repr=False)
    enabled: bool = True
    created: float = _CREATED
    nbf: float | None = None
    exp: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A vault's secret with its versions, the newest last."""

    name: str
    versions: tuple[SimulatedSecretVersion, ...]

    def version(self, wanted: str | None) -> SimulatedSecretVersion | None:
        """Return the version of that name, the newest if `wanted` is None."""
        if wanted is None:
            return self.versions[-1] if self.versions else None
        return next((version for version in self.versions if version.version == wanted), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """One vault or managed HSM.

    `latency` is in seconds, `limit` in requests per ten seconds, the unit of the published limits.
    """

    host: str  # lower case, with :port only if it is not 443
    tenant_id: str
    keys: Mapping[str, Key] = field(default_factory=dict)  # by name, lower case
    secrets: Mapping[str, Secret] = field(default_factory=dict)  # by name, lower case
    permissions: Mapping[str, frozenset[str]] = field(default_factory=dict)  # operations by client id, lower case
    rbac: bool = False
    authority: str = ENTRA
    region: str = "westeurope"
    network_access: NetworkAccess = NetworkAccess.OPEN
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
        """Return whether the host is a managed HSM."""
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
        """Return the hosts of Microsoft Graph in every cloud.

        The result is empty if no application may read there.
        """
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
    """Return the host with its port, 443 by default."""
    return host if ":" in host else f"{host}:443"
