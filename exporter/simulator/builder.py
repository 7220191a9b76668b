"""An estate from the exporter's configuration: everything that it names is there, and all is well with it.

For: gathering vaults, key versions, tenants and identities, and inventing what no configuration says.
Not for: reading YAML (see `exporter.config`), writing anything (see `configuration`), nor breaking anything.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from secrets import token_urlsafe
from urllib.parse import urlsplit
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from exporter.clients.certificate_file import load_certificate
from exporter.config.model import Config, Credential, CredentialKind, Target
from exporter.config.secret_source import read_secret
from exporter.core.connector_secret import split_connector_secret
from exporter.core.endpoints import cloud_of, vault_host
from exporter.simulator.model import (
    ALL_OPERATIONS,
    ENTRA,
    SECRETS_LIST,
    Application,
    ClientSecret,
    Environment,
    Key,
    KeyVersion,
    Secret,
    SecretVersion,
    Tenant,
    Vault,
)

_MONTH = 30 * 86400.0  # seconds
_NEWEST = "0123456789abcdef0123456789abcdef"  # the version of a key that no configuration pins
_AUTHORITIES = {"us_government": "login.microsoftonline.us", "china": "login.partner.microsoftonline.cn"}
SERVICE_ACCOUNT = ("https://cluster.invalid/simulator/", "system:serviceaccount:monitoring:ekm-exporter")
"""Issuer and subject of the service account under which the exporter runs; every workload identity trusts it."""
_OF_THE_HOST = (CredentialKind.MANAGED_IDENTITY, CredentialKind.DEFAULT, CredentialKind.WORKLOAD_IDENTITY)


def build_environment(config: Config) -> Environment:
    """Every vault, key version, tenant and credential that the configuration names, all of it working.

    Blocks: secrets are read where the configuration says they are. Raises SecretUnreadableError where one is not.
    """
    builder = _Builder(config)
    for target in config.targets.values():
        for use in _uses(target):
            builder.use(use)
    for credential in config.credentials.values():
        builder.keep(credential)
    return builder.build()


@dataclass(frozen=True, slots=True)
class _Use:
    """One key version of one vault, and who uses it. The pinned one is the newest."""

    vault: str
    credential: str
    key_name: str
    key_version: str | None
    newest: bool = True


def _uses(target: Target) -> Iterator[_Use]:
    for old in target.retained_versions:
        yield _Use(old.vault, old.credential, old.key_name, old.key_version, newest=False)
    yield _Use(target.vault, target.credential, target.key_name, target.key_version)
    if target.next_credential is not None:
        yield _Use(target.vault, target.next_credential, target.key_name, target.key_version)
    if target.recovery_vault is not None:  # the key was restored there with all its versions
        caller = target.recovery_credential or target.credential
        yield _Use(target.recovery_vault, caller, target.key_name, target.key_version)


@dataclass(slots=True)
class _Site:
    """A vault being gathered: who uses it, and the versions of its keys, old and newest; the same for its secrets."""

    callers: list[str] = field(default_factory=list)
    keys: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)  # by the name as first written
    readers: list[str] = field(default_factory=list)
    secrets: dict[str, list[str]] = field(default_factory=dict)


class _Builder:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._tenant = _common_tenant(config)
        self._host_identity: str | None = None  # invented, where a credential is the host's own identity
        self._workload_identity: str | None = None  # the same for the pod's
        self._sites: dict[str, _Site] = {}
        self._materials: dict[tuple[str, str], int] = {}  # by key name and version: a restored key is the same key

    def use(self, use: _Use) -> None:
        site = self._sites.setdefault(use.vault, _Site())
        if use.credential not in site.callers:
            site.callers.append(use.credential)
        old, newest = site.keys.setdefault(use.key_name, ([], []))
        version = use.key_version or _NEWEST
        if version not in (*old, *newest):
            (newest if use.newest else old).append(version)

    def keep(self, credential: Credential) -> None:
        """The secret of a vault that says when the credential ends, if there is one, and whoever looks there."""
        if credential.key_vault_secret is None:
            return
        address = urlsplit(credential.key_vault_secret)
        _, _, name, *version = address.path.split("/")
        site = self._sites.setdefault(vault_host(address.netloc), _Site())
        versions = site.secrets.setdefault(name, [])
        versions.extend({(version[0] if version else "") or _NEWEST} - set(versions))
        site.readers.append(credential.key_vault_credential or credential.graph_credential or credential.name)

    def build(self) -> Environment:
        vaults = {host: self._vault(host, site) for host, site in self._sites.items()}
        modules = self._config.modules.values()
        named = {module.authority_host.removeprefix("https://").lower() for module in modules if module.authority_host}
        authorities = frozenset(vault.authority for vault in vaults.values()) | named
        return Environment(tenants=self._tenants(), vaults=vaults, authorities=authorities, host_identity=self._host_identity)

    def _vault(self, host: str, site: _Site) -> Vault:
        cloud = cloud_of(host)
        callers, readers = ([self._config.credentials[name] for name in names] for names in (site.callers, site.readers))
        allowed = dict.fromkeys(self._ids(callers), ALL_OPERATIONS)
        allowed |= {one: allowed.get(one, frozenset()) | {SECRETS_LIST} for one in self._ids(readers)}
        vault = Vault(
            host=host,
            tenant_id=self._tenant_of((callers or readers)[0]),
            authority=_AUTHORITIES.get(cloud.name, ENTRA) if cloud is not None else ENTRA,
            permissions=allowed,
            secrets={name.lower(): _secret(name, versions) for name, versions in site.secrets.items()},
        )
        keys = {name.lower(): self._key(name, [*old, *newest], vault) for name, (old, newest) in site.keys.items()}
        return replace(vault, keys=keys)

    def _ids(self, credentials: Iterable[Credential]) -> Iterator[str]:
        return (found[0] for one in credentials if (found := self._identity(one)) is not None)

    def _key(self, name: str, versions: Iterable[str], vault: Vault) -> Key:
        kty = "RSA-HSM" if vault.managed_hsm else "RSA"
        made = [KeyVersion(version=one, kty=kty, material=self._material(name.lower(), one)) for one in versions]
        return Key(name=name, versions=tuple(made))

    def _material(self, key_name: str, version: str) -> int:
        return self._materials.setdefault((key_name, version), len(self._materials))

    def _tenant_of(self, credential: Credential) -> str:
        return (self._meant(credential).tenant_id or self._tenant).lower()

    def _meant(self, credential: Credential) -> Credential:
        """Whom a credential signs in as: the default chain comes to the pod's identity before the host's."""
        if credential.kind is not CredentialKind.DEFAULT or credential.client_id is not None:
            return credential
        return first_of(self._config, CredentialKind.WORKLOAD_IDENTITY) or credential

    def _tenants(self) -> dict[str, Tenant]:
        applications: dict[str, dict[str, Application]] = {}
        readers = {credential.graph_credential for credential in self._config.credentials.values()}
        for credential in self._config.credentials.values():
            members = applications.setdefault(self._tenant_of(credential), {})
            found = self._identity(credential)
            if found is not None:
                client_id, secrets = found
                known = members.get(client_id) or Application(client_id=client_id, object_id=str(uuid4()))
                members[client_id] = replace(
                    known,
                    names=(*known.names, credential.name),
                    secrets=(*known.secrets, *secrets),
                    graph_reader=known.graph_reader or credential.name in readers,
                    certificates=(*known.certificates, *certificates_of(credential)),
                    federated=(SERVICE_ACCOUNT,) if credential.kind is CredentialKind.WORKLOAD_IDENTITY else known.federated,
                )
        return {tenant: Tenant(tenant_id=tenant, applications=members) for tenant, members in applications.items()}

    def _identity(self, credential: Credential) -> tuple[str, tuple[ClientSecret, ...]] | None:
        """As `written_identity`; the host's own identity, or the pod's, has a client id, the same for all who mean it."""
        credential = self._meant(credential)
        if credential.client_id is not None or credential.kind not in _OF_THE_HOST:
            return written_identity(credential)
        if credential.kind is CredentialKind.WORKLOAD_IDENTITY:
            self._workload_identity = self._workload_identity or str(uuid4())
            return self._workload_identity, ()
        self._host_identity = self._host_identity or str(uuid4())
        return self._host_identity, ()


def _secret(name: str, versions: Iterable[str]) -> Secret:
    """A secret that was made a month ago and ends in eleven."""
    now = time.time()
    made = [SecretVersion(version=one, value=token_urlsafe(24), created=now - _MONTH, exp=now + 11 * _MONTH) for one in versions]
    return Secret(name=name, versions=tuple(made))


def first_of(config: Config, *kinds: CredentialKind) -> Credential | None:
    """The first credential of these kinds; one that leaves its client id to the environment comes before others."""
    found = [credential for credential in config.credentials.values() if credential.kind in kinds]
    return min(found, key=lambda credential: credential.client_id is not None, default=None)


def certificates_of(credential: Credential) -> tuple[bytes, ...]:
    """The certificate that the credential signs with, registered as a matter of course; none where its file is unusable."""
    if credential.certificate_file is None:
        return ()
    password = read_secret(credential.password) if credential.password is not None else None
    loaded = load_certificate(credential.certificate_file.read_bytes(), password)
    return () if loaded.pem is None else (x509.load_pem_x509_certificate(loaded.pem).public_bytes(Encoding.DER),)


def written_identity(credential: Credential) -> tuple[str, tuple[ClientSecret, ...]] | None:
    """Client id in lower case and the secret, if it has one; None where the configuration does not say who it is."""
    text = read_secret(credential.secret) if credential.secret is not None else None
    if credential.kind is CredentialKind.CONNECTOR_SECRET:
        parts = split_connector_secret(text or "")
        return None if parts is None else (parts.client_id, (ClientSecret(value=parts.secret),))
    if credential.client_id is None:
        return None
    return credential.client_id.lower(), () if text is None else (ClientSecret(value=text),)


def _common_tenant(config: Config) -> str:
    """Where whoever names no tenant is at home: with all the others if these name one alone, else in an invented one."""
    named = {credential.tenant_id.lower() for credential in config.credentials.values() if credential.tenant_id}
    return named.pop() if len(named) == 1 else str(uuid4())
