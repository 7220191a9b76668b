"""What the simulated services know: tenants, applications and their secrets, vaults, keys, and who may do what.

For: frozen data and look-ups in it. A fault never changes it: it yields a changed copy (see `state`).
Not for: protocols, key material (a version only names it), clocks, or reading a configuration (see `from_config`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from uuid import uuid4

from exporter.core.endpoints import CLOUDS, cloud_of

ENTRA = "login.microsoftonline.com"
GRAPH_HOSTS = ("graph.microsoft.com", "graph.microsoft.us", "microsoftgraph.chinacloudapi.cn")
FAR_FUTURE = 4070908800.0  # 2099-01-01, for what has no end: Microsoft Graph always names one
ALL_OPERATIONS = frozenset({"get", "list", "wrapKey", "unwrapKey"})  # on keys
SECRETS_LIST = "secrets_list"  # the permission to see what secrets say of themselves
SECRETS_GET = "secrets_get"  # the permission to see the secrets
TOKEN_LIFETIME = 3599  # seconds, what Entra gives a service principal
_KEY_OPS = ("encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey")


class Door(StrEnum):
    """Who may reach a vault's data from where the exporter stands."""

    OPEN = "open"
    FIREWALL = "firewall"  # the caller's address is not on the list
    PRIVATE_ONLY = "private_only"  # public network access is off


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """One secret of an application; dates are Unix times. `of_principal`: kept with the service principal, as older tools do."""

    value: str = field(repr=False)
    expires: float | None = None
    created: float = 1767225600.0  # 2026-01-01
    display_name: str | None = None
    key_id: str = field(default_factory=lambda: str(uuid4()), compare=False)
    of_principal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An application, or a managed identity: who it is, what it signs in with, and what its tokens say.

    `certificates` are DER; `federated` are issuer and subject of the service accounts that may sign in as it.
    `token_lifetime` in seconds; audience and tenant of its tokens are those asked for, where None.
    """

    client_id: str
    object_id: str
    names: tuple[str, ...] = ()  # what people call it: the credentials of a configuration that use it
    secrets: tuple[ClientSecret, ...] = ()
    certificates: tuple[bytes, ...] = field(default=(), repr=False)
    federated: tuple[tuple[str, str], ...] = ()
    graph_reader: bool = False  # may read applications in Microsoft Graph
    token_audience: str | None = None
    token_tenant: str | None = None
    token_lifetime: int = TOKEN_LIFETIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    tenant_id: str
    applications: Mapping[str, Application] = field(default_factory=dict)  # by client id, lower case


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyVersion:
    """One version of a key. `material` says which of the run's key pairs of that size it is; dates are Unix times."""

    version: str
    kty: str = "RSA"
    size: int = 2048
    material: int = 0
    enabled: bool = True
    nbf: float | None = None
    exp: float | None = None
    key_ops: tuple[str, ...] = _KEY_OPS


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key with its versions, the newest last. A soft-deleted one, since that Unix time, is found only among the deleted keys."""

    name: str
    versions: tuple[KeyVersion, ...]
    deleted: float | None = None

    def version(self, wanted: str | None) -> KeyVersion | None:
        """The version of that name, the newest where none is wanted."""
        if wanted is None:
            return self.versions[-1] if self.versions else None
        return next((version for version in self.versions if version.version == wanted), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretVersion:
    """One version of a secret that a vault keeps; dates are Unix times."""

    version: str
    value: str = field(repr=False)
    enabled: bool = True
    created: float = 1767225600.0  # 2026-01-01
    nbf: float | None = None
    exp: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret that a vault keeps, with its versions, the newest last."""

    name: str
    versions: tuple[SecretVersion, ...]

    def version(self, wanted: str | None) -> SecretVersion | None:
        """The version of that name, the newest where none is wanted."""
        if wanted is None:
            return self.versions[-1] if self.versions else None
        return next((version for version in self.versions if version.version == wanted), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """One vault or managed HSM. `latency` in seconds; `limit` in requests per ten seconds, as the service publishes them."""

    host: str  # lower case, with :port only where it is not 443
    tenant_id: str
    keys: Mapping[str, Key] = field(default_factory=dict)  # by name, lower case
    secrets: Mapping[str, Secret] = field(default_factory=dict)  # by name, lower case
    permissions: Mapping[str, frozenset[str]] = field(default_factory=dict)  # operations by client id, lower case
    rbac: bool = False
    authority: str = ENTRA
    region: str = "westeurope"
    door: Door = Door.OPEN
    latency: float = 0.0
    limit: int | None = None
    closed: frozenset[str] = frozenset()  # operations that no permission covers
    retention: float = 90 * 86400.0  # seconds for which a deleted key can be recovered

    @property
    def name(self) -> str:
        return self.host.partition(".")[0]

    @property
    def managed_hsm(self) -> bool:
        cloud = cloud_of(self.host)
        return cloud is not None and cloud.managed_hsm

    @property
    def resource(self) -> str:
        """The audience of its tokens: its cloud's domain; for a host of no known cloud, the domain it stands in."""
        cloud = cloud_of(self.host)
        return cloud.resource if cloud is not None else "https://" + self.host.partition(":")[0].partition(".")[2]

    def with_keys(self, change: Callable[[Key], Key], key: str | None = None, version: str | None = None) -> Vault:
        """The same vault with each key changed so: those of that name, or that have a version of that name."""
        chosen = {name: one for name, one in self.keys.items() if key is None or name == key.lower()}
        chosen = {name: one for name, one in chosen.items() if version is None or one.version(version) is not None}
        return replace(self, keys={**self.keys, **{name: change(one) for name, one in chosen.items()}})

    def with_versions(self, key: str | None = None, version: str | None = None, **changes: object) -> Vault:
        """The same vault with every version, or those of that name, of these keys changed so."""

        def changed(one: KeyVersion) -> KeyVersion:
            return replace(one, **changes) if version in (None, one.version) else one  # type: ignore[arg-type] # field names come from the fault table

        return self.with_keys(lambda found: replace(found, versions=tuple(map(changed, found.versions))), key, version)

    def without(self, operation: str) -> Vault:
        """The same vault with that operation allowed to nobody."""
        return replace(self, permissions={caller: allowed - {operation} for caller, allowed in self.permissions.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    tenants: Mapping[str, Tenant]  # by tenant id, lower case
    vaults: Mapping[str, Vault]  # by host
    authorities: frozenset[str] = frozenset({ENTRA})  # Entra hosts served
    host_identity: str | None = None  # client id of the identity that the host itself has

    @property
    def served(self) -> tuple[str, ...]:
        """Every host to serve, each with its port where that is not 443."""
        return (*sorted(self.authorities), *self.graph_hosts, *self.vaults)

    @property
    def graph_hosts(self) -> tuple[str, ...]:
        """The hosts of Microsoft Graph, in every cloud, where there is an application that may read there."""
        applications = (one for tenant in self.tenants.values() for one in tenant.applications.values())
        return GRAPH_HOSTS if any(one.graph_reader for one in applications) else ()

    @property
    def resources(self) -> frozenset[str]:
        """The audiences for which Entra gives tokens here."""
        graph = {f"https://{host}" for host in GRAPH_HOSTS}
        return frozenset({vault.resource for vault in self.vaults.values()} | {cloud.resource for cloud in CLOUDS} | graph)


def with_port(host: str) -> str:
    """`host:443`, or the port that stands there."""
    return host if ":" in host else f"{host}:443"
