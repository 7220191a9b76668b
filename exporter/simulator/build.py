"""From the exporter's configuration to a healthy environment, and the files with which the exporter uses the simulator.

The environment has every vault, key version, tenant, identity and SQL Server that the configuration names. Values that it
does not contain are invented. Changed secrets and certificates are accepted while the simulator runs.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_urlsafe
from urllib.parse import urlsplit
from uuid import uuid4

from cryptography.hazmat.primitives.serialization import Encoding

from exporter.clients.certificates import load_certificate
from exporter.config.schema import dump_yaml
from exporter.config.settings import Config, Credential, SecretSource, SecretUnreadableError, SqlServer, Target, read_secret
from exporter.core.connector import split_connector_secret
from exporter.core.names import cloud_of, vault_host
from exporter.core.values import CredentialKind, Generation
from exporter.runtime.files import FileUnreadableError
from exporter.simulator.environment import (
    ALL_OPERATIONS,
    ENTRA,
    MANAGED_IDENTITY,
    SECRETS_LIST,
    Application,
    ClientSecret,
    Environment,
    Key,
    SimulatedKeyVersion,
    SimulatedSecretVersion,
    SimulatedSqlServer,
    SqlDatabase,
    SqlKey,
    Tenant,
    Vault,
    Versioned,
    invented_thumbprint,
)
from exporter.simulator.faults import UnknownNameError
from exporter.simulator.simulator import Simulator
from exporter.simulator.sql_servers import USER

_DAY = 86400.0
_MONTH = 30 * _DAY
_NEWEST = "0123456789abcdef0123456789abcdef"  # the version of a key that no configuration pins
_AUTHORITIES = {"us_government": "login.microsoftonline.us", "china": "login.partner.microsoftonline.cn"}
SERVICE_ACCOUNT = ("https://cluster.invalid/simulator/", "system:serviceaccount:monitoring:ekm-exporter")
"""Issuer and subject of the exporter's service account, which every workload identity trusts."""
_FILE_VERSIONS = {Generation.CLASSIC: "1.0.4.0", Generation.CURRENT: "15.0.2000.440"}
_HOST_KINDS = (CredentialKind.MANAGED_IDENTITY, CredentialKind.DEFAULT)
_HOST_OR_POD_KINDS = (*_HOST_KINDS, CredentialKind.WORKLOAD_IDENTITY)
_Uses = list[tuple[Target, Mapping[str, str]]]  # targets, each with its entry of `instances`


def build_environment(config: Config) -> Environment:
    """Return a healthy environment for the configuration.

    It has every vault, key version, tenant and credential that the configuration names. Blocks: reads the
    secrets. Raises SecretUnreadableError if a secret cannot be read.
    """
    return _Derivation(config).environment()


@dataclass(slots=True)
class _VaultContents:
    """The callers, key versions and secrets gathered for one vault.

    `keys` has the versions of each key, and whether each is the newest. `readers` are the credentials that list secrets.
    """

    callers: dict[str, None] = field(default_factory=dict)
    keys: dict[str, dict[str, bool]] = field(default_factory=dict)  # by the first spelling of the name
    readers: list[str] = field(default_factory=list)
    secrets: dict[str, dict[str, None]] = field(default_factory=dict)


class _Derivation:
    """Gathers the uses of each vault, then builds the environment of one configuration."""

    def __init__(self, config: Config) -> None:
        self._config = config
        named = {credential.tenant_id.lower() for credential in config.credentials.values() if credential.tenant_id}
        self._tenant = named.pop() if len(named) == 1 else str(uuid4())  # of the credentials that name none
        # client ids of the host's own identity (False) and the pod's (True), if a credential is one of them
        self._invented: defaultdict[bool, str] = defaultdict(lambda: str(uuid4()))
        self._contents: defaultdict[str, _VaultContents] = defaultdict(_VaultContents)
        self._materials: dict[tuple[str, str], int] = {}  # by key name and version: a restored key has the same material

    def environment(self) -> Environment:
        for target in self._config.targets.values():
            self._add_keys(target)
        for credential in self._config.credentials.values():
            self._add_secret(credential)
        vaults = {host: self._vault(host, contents) for host, contents in self._contents.items()}
        modules = self._config.modules.values()
        named = {module.authority_host.removeprefix("https://").lower() for module in modules if module.authority_host}
        tenants = self._tenants()
        applications = [one for tenant in tenants.values() for one in tenant.applications.values()]
        return Environment(
            tenants=tenants,
            vaults=vaults,
            authorities=frozenset(vault.authority for vault in vaults.values()) | named,
            host_identity=self._invented.get(False),
            sql_servers=self._sql_servers({name: one.client_id for one in applications for name in one.names}),
        )

    def _add_keys(self, target: Target) -> None:
        """Add each key version that a target uses and its caller to the vault, the retained versions first."""
        for old in target.retained_versions:
            self._add_key(old.vault, old.credential, old.key_name, old.key_version, newest=False)
        uses = [(target.vault, target.credential), (target.vault, target.next_credential)]
        # a key was restored in a recovery vault with all its versions
        uses.append((target.recovery_vault or "", target.recovery_credential or target.credential))
        for vault, credential in uses:
            if vault and credential:
                self._add_key(vault, credential, target.key_name, target.key_version, newest=True)

    def _add_key(self, vault: str, credential: str, key_name: str, key_version: str | None, *, newest: bool) -> None:
        """Add a version. `newest`: it is the newest one of its key, as a pinned version is."""
        self._contents[vault].callers[credential] = None
        self._contents[vault].keys.setdefault(key_name, {}).setdefault(key_version or _NEWEST, newest)

    def _add_secret(self, credential: Credential) -> None:
        """Add the vault secret that holds the credential's expiry, and its reader, if it has such a secret."""
        if credential.key_vault_secret is not None:
            address = urlsplit(credential.key_vault_secret)
            name, version = (*address.path.split("/")[2:4], "")[:2]
            contents = self._contents[vault_host(address.netloc)]
            contents.secrets.setdefault(name, {})[version or _NEWEST] = None
            contents.readers.append(credential.key_vault_credential or credential.graph_credential or credential.name)

    def _vault(self, host: str, contents: _VaultContents) -> Vault:
        cloud = cloud_of(host)
        callers, readers = ([self._config.credentials[name] for name in names] for names in (contents.callers, contents.readers))
        allowed = dict.fromkeys(self._ids(callers), ALL_OPERATIONS)
        allowed |= {one: allowed.get(one, frozenset()) | {SECRETS_LIST} for one in self._ids(readers)}
        kty = "RSA-HSM" if cloud is not None and cloud.managed_hsm else "RSA"
        return Vault(
            host=host,
            tenant_id=self._tenant_of((callers or readers)[0]),
            authority=_AUTHORITIES.get(cloud.name, ENTRA) if cloud is not None else ENTRA,
            permissions=allowed,
            keys={name.lower(): self._key(name, sorted(made, key=made.__getitem__), kty) for name, made in contents.keys.items()},
            secrets={name.lower(): _secret(name, versions) for name, versions in contents.secrets.items()},
        )

    def _ids(self, credentials: Iterable[Credential]) -> Iterator[str]:
        return (found[0] for one in credentials if (found := self._identity(one)) is not None)

    def _key(self, name: str, versions: Sequence[str], kty: str) -> Key:
        """Return a key whose versions follow each other by a month."""
        made = []
        for age, version in zip(reversed(range(len(versions))), versions, strict=True):
            material = self._materials.setdefault((name.lower(), version), len(self._materials))
            one = SimulatedKeyVersion(version=version, kty=kty, material=material)
            made.append(replace(one, created=one.created - age * _MONTH))
        return Key(name=name, versions=tuple(made))

    def _tenant_of(self, credential: Credential) -> str:
        return (self._resolve(credential).tenant_id or self._tenant).lower()

    def _resolve(self, credential: Credential) -> Credential:
        """Return the credential that signs in: for a default chain, the pod's if present.

        The default chain tries the pod's identity before the host's.
        """
        if credential.kind is not CredentialKind.DEFAULT or credential.client_id is not None:
            return credential
        return find_credential(self._config, CredentialKind.WORKLOAD_IDENTITY) or credential

    def _tenants(self) -> dict[str, Tenant]:
        applications: dict[str, dict[str, Application]] = {}
        readers = {credential.graph_credential for credential in self._config.credentials.values()}
        for credential in self._config.credentials.values():
            members = applications.setdefault(self._tenant_of(credential), {})
            found = self._identity(credential)
            if found is not None:
                client_id, secrets = found
                application = members.get(client_id) or Application(client_id=client_id, object_id=str(uuid4()))
                is_pod = credential.kind is CredentialKind.WORKLOAD_IDENTITY
                members[client_id] = replace(
                    application,
                    names=(*application.names, credential.name),
                    secrets=(*application.secrets, *secrets),
                    graph_reader=application.graph_reader or credential.name in readers,
                    certificates=(*application.certificates, *read_certificates(credential)),
                    federated=(SERVICE_ACCOUNT,) if is_pod else application.federated,
                )
        return {tenant: Tenant(tenant_id=tenant, applications=members) for tenant, members in applications.items()}

    def _identity(self, credential: Credential) -> tuple[str, tuple[ClientSecret, ...]] | None:
        """Return client id and secrets; invent a missing client id.

        All credentials of the host's identity share one invented client id. Those of the pod's identity share another one.
        """
        credential = self._resolve(credential)
        if credential.client_id is not None or credential.kind not in _HOST_OR_POD_KINDS:
            return read_identity(credential)
        return self._invented[credential.kind is CredentialKind.WORKLOAD_IDENTITY], ()

    # The SQL Servers of the targets' `instances`: each target protects one database of its name.
    # The same configuration makes the same servers, databases and thumbprints in each run.

    def _sql_servers(self, applications: Mapping[str, str]) -> dict[str, SimulatedSqlServer]:
        """Return the servers by name in lower case. `applications` has the client id of each credential."""
        found: defaultdict[str, _Uses] = defaultdict(list)
        groups: defaultdict[str, dict[str, None]] = defaultdict(dict)  # the servers of each availability group
        for target in self._config.targets.values():
            for instance in target.instances:
                found[server_name(instance)].append((target, instance))
        for name, uses in found.items():
            for _, instance in uses:
                if "ag" in instance:
                    groups[instance["ag"]][name] = None
        return {name.lower(): self._sql_server(name, uses, groups, applications) for name, uses in found.items()}

    def _sql_server(
        self, name: str, uses: _Uses, groups: Mapping[str, Iterable[str]], applications: Mapping[str, str]
    ) -> SimulatedSqlServer:
        (generation, first), now = (uses[0][0].generation, uses[0][1]), time.time()
        keys: dict[str, SqlKey] = {}
        databases: dict[str, SqlDatabase] = {}
        for target, instance in uses:
            version = target.key_version or _NEWEST
            thumbprint = target.thumbprint or invented_thumbprint(target.key_name, version)
            credential, identity = self._sql_credential(target, {key.credential: key.identity for key in keys.values()})
            made = SqlKey(
                vault=target.vault,
                key_name=target.key_name,
                key_version=version,
                thumbprint=thumbprint,
                credential=credential,
                identity=identity,
                application=applications.get(target.credential),
            )
            keys.setdefault(thumbprint, made)
            databases[target.name] = SqlDatabase(name=target.name, thumbprint=thumbprint, ag=instance.get("ag"))
        return SimulatedSqlServer(
            name=name,
            sql_instance=first["sql_instance"],
            host=first.get("host", ""),
            keys=tuple(keys.values()),
            databases=tuple(databases.values()),
            groups=tuple((ag, tuple(groups[ag])) for ag in dict.fromkeys(one["ag"] for _, one in uses if "ag" in one)),
            started=now - 10 * _DAY,
            altered=now - 40 * _DAY,
            file_version=_FILE_VERSIONS[generation],
        )

    def _sql_credential(self, target: Target, known: Mapping[str, str]) -> tuple[str, str]:
        """Return name and identity in SQL Server. A credential there belongs to one vault, and one in the configuration to many."""
        if self._config.credentials[target.credential].kind in _HOST_OR_POD_KINDS:
            return target.vault, MANAGED_IDENTITY
        identity, name = target.vault.removesuffix(".vault.azure.net"), target.credential
        return name if known.get(name, identity) == identity else f"{name}-{identity}", identity


def server_name(instance: Mapping[str, str]) -> str:
    """Return @@SERVERNAME of an entry of `instances`."""
    name, host = instance["sql_instance"].upper(), instance.get("host", "").partition(".")[0].upper()
    if not host or name in {host, "MSSQLSERVER"}:
        return host or name
    return f"{host}\\{name}"


def _secret(name: str, versions: Iterable[str]) -> Versioned[SimulatedSecretVersion]:
    """Return a secret that is a month old and expires in eleven months."""
    starts = time.time() - _MONTH
    made = (
        SimulatedSecretVersion(version=one, value=token_urlsafe(24), created=starts, exp=starts + 12 * _MONTH) for one in versions
    )
    return Versioned(name=name, versions=tuple(made))


def find_credential(config: Config, *kinds: CredentialKind) -> Credential | None:
    """Return the first credential of these kinds, None if there is none.

    A credential without a client id comes before others: the environment variables select its identity.
    """
    found = [credential for credential in config.credentials.values() if credential.kind in kinds]
    return min(found, key=lambda credential: credential.client_id is not None, default=None)


def read_certificates(credential: Credential) -> tuple[bytes, ...]:
    """Read the certificate that the credential signs with, as DER.

    The result is empty if the credential has no certificate file or the file is unusable. Raises OSError.
    """
    if credential.certificate_file is None:
        return ()
    password = read_secret(credential.password) if credential.password is not None else None
    loaded = load_certificate(credential.certificate_file.read_bytes(), password)
    return () if loaded.key is None or loaded.certificate is None else (loaded.certificate.public_bytes(Encoding.DER),)


def read_identity(credential: Credential) -> tuple[str, tuple[ClientSecret, ...]] | None:
    """Read the client id, in lower case, and the secret, if there is one.

    The result is None if the configuration does not name the application. Raises SecretUnreadableError.
    """
    text = read_secret(credential.secret) if credential.secret is not None else None
    if credential.kind is CredentialKind.CONNECTOR_SECRET:
        parts = split_connector_secret(text or "")
        return None if parts is None else (parts.client_id, (ClientSecret(value=parts.secret),))
    if credential.client_id is None:
        return None
    return credential.client_id.lower(), () if text is None else (ClientSecret(value=text),)


# The files with which the exporter uses the simulator.

_TOKEN_FILE = "service-account-token"  # noqa: S105 - a file's name
SQL_SERVERS, SQL_PASSWORD = "sql-servers.txt", "sql-password"


def redirect_config(simulator: Simulator, config: Config, ca_file: Path) -> Config:
    """Return the configuration with `connect_to` and `tls.ca_file` in every module."""
    modules = {
        name: replace(module, ca_file=ca_file, connect_to={**module.connect_to, **simulator.connect_to})
        for name, module in config.modules.items()
    }
    return replace(config, modules=modules)


def simulated_sql_servers(simulator: Simulator, out: Path) -> dict[str, SqlServer]:
    """Return the section `sql_servers`: one entry for each that is served. The real ones are left alone."""
    if simulator.sql is None:
        return {}
    password = SecretSource(file=out / SQL_PASSWORD)
    entries = []
    for name, port in simulator.sql.ports.items():
        server = simulator.sql.server(name)
        entry = SqlServer(address=f"127.0.0.1,{port}", user=USER, password=password, ca_file=out / "ca.pem")
        entries.append(replace(entry, sql_instance=server.sql_instance, host=server.host or None))
    return {entry.address: entry for entry in entries}


def write_config(simulator: Simulator, config: Config, out: Path) -> Path:
    """Write `out`/ca.pem and `out`/ekm.yml, and return the path of the latter.

    If a credential is the host's or the pod's identity, also write `out`/environment with one NAME=value a line. For the
    pod's identity, also write `out`/service-account-token, which is valid for a day. If SQL Servers are served, also write
    `out`/sql-servers.txt, an address for each, and `out`/sql-password. Raises OSError.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "ca.pem", simulator.ca_pem)
    head = "# Written by the simulator. Every address leads to loopback. Valid for one run of the simulator.\n"
    redirected = replace(redirect_config(simulator, config, out / "ca.pem"), sql_servers=simulated_sql_servers(simulator, out))
    _write(out / "ekm.yml", (head + dump_yaml(redirected)).encode())
    if find_credential(config, CredentialKind.WORKLOAD_IDENTITY) is not None:
        _write(out / _TOKEN_FILE, simulator.service_accounts.issue(*SERVICE_ACCOUNT).encode(), mode=0o600)
    variables = exporter_variables(simulator, config, out)
    if variables:
        _write(out / "environment", "".join(f"{name}={value}\n" for name, value in variables.items()).encode())
    if simulator.sql is not None:
        _write(out / SQL_PASSWORD, simulator.sql.password.encode(), mode=0o600)
        lines = (f"127.0.0.1,{port}  # {name}\n" for name, port in simulator.sql.ports.items())
        _write(out / SQL_SERVERS, "".join(lines).encode())
    return out / "ekm.yml"


def exporter_variables(simulator: Simulator, config: Config, out: Path) -> dict[str, str]:
    """Return the environment variables for an exporter that uses the simulator.

    The result is empty if no credential is the host's or the pod's identity.
    """
    found: dict[str, str] = {}
    if find_credential(config, *_HOST_KINDS) is not None:
        found |= {"IDENTITY_ENDPOINT": simulator.identity_url, "IDENTITY_HEADER": "any"}
    if (pod := find_credential(config, CredentialKind.WORKLOAD_IDENTITY)) is not None:
        tenant, client_id = simulator.state.locate_application(pod.name)
        found |= {"AZURE_TENANT_ID": tenant, "AZURE_CLIENT_ID": client_id}
        found["AZURE_FEDERATED_TOKEN_FILE"] = str(out.resolve() / _TOKEN_FILE)
    return found


def _write(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace the file in one step: the exporter may read it at any time."""
    fresh = path.with_name(path.name + ".new")
    fresh.touch(mode=mode)
    fresh.write_bytes(content)
    fresh.replace(path)


# Changed secrets and certificates. Accepted credentials stay accepted until they are removed, as in Entra ID. The files are read from the configured
# places; no secret is sent. A changed configuration needs a restart.


async def reload_credentials(simulator: Simulator, config: Config) -> Mapping[str, str]:
    """Accept the current contents of the credential files.

    Returns the result for each credential with files, by its name; never a secret.
    """
    credentials = [one for one in config.credentials.values() if one.has_own_secret]
    contents = await asyncio.to_thread(lambda: {one.name: _read(one) for one in credentials})
    return {name: one if isinstance(one, str) else _accept(simulator, *one) for name, one in contents.items()}


def _read(credential: Credential) -> tuple[str, tuple[ClientSecret, ...], tuple[bytes, ...]] | str:
    """Return the client id, secrets and certificates of one credential's files, or the problem with them. Blocks."""
    try:
        identity, certificates = read_identity(credential), read_certificates(credential)
    except (SecretUnreadableError, FileUnreadableError, OSError) as error:
        return f"cannot be read: {error}"
    if identity is None:
        return "cannot be used: it names no application"
    if not identity[1] and not certificates:
        return "cannot be used: it holds no certificate with its key"
    return (*identity, certificates)


def _accept(simulator: Simulator, client_id: str, secrets: tuple[ClientSecret, ...], certificates: tuple[bytes, ...]) -> str:
    """Add the new secrets and certificates to the application, and return the result."""
    results = []

    def add(known: Application) -> Application:
        values = {secret.value for secret in known.secrets}
        added = tuple(one for one in secrets if one.value not in values)
        registered = tuple(one for one in certificates if one not in known.certificates)
        results.append("new" if added or registered else "as before")
        return replace(known, secrets=(*known.secrets, *added), certificates=(*known.certificates, *registered))

    try:
        simulator.state.change_application(client_id, add)
    except UnknownNameError:
        return "is another application's now: restart the simulator"
    return results[0]
