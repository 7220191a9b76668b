"""Which key version, vault and credential each instance uses, and what stays unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from exporter.core.connector_secret import key_name_findings
from exporter.core.endpoints import vault_host
from exporter.core.inventory.model import CLOSED, EKM_OPTION, AsymmetricKey, Database, Instance, SqlCredential, printable
from exporter.core.inventory.registry import KeyVersion, RegistryUri, key_version, thumbprint_of
from exporter.core.masking import mask

MANAGED_IDENTITY = "managed identity"
REGISTRY = "registry"  # the section of the documents
REG_QUERY = r'reg query "HKLM\SOFTWARE\Microsoft\SQL Server Cryptographic Provider\Azure Key Vault" /s /v KeyUri'
# What is unknown without a section, and the right that its view needs.
_WITHOUT: Mapping[str, str] = {
    "providers": "the provider and its version are unknown",
    "modules": "the version of the loaded DLL is unknown (needs VIEW SERVER PERFORMANCE STATE, before 2022 VIEW SERVER STATE)",
    "credentials": "the vault is unknown (needs VIEW ANY DEFINITION)",
    "keys": "the keys are unknown (needs VIEW ANY DEFINITION)",
    "encryption": "the databases of each key are unknown, so each key counts as used "
    "(needs VIEW SERVER SECURITY STATE, before 2022 VIEW SERVER STATE)",
    "databases": "the availability groups of the databases are unknown",
    "replicas": "the servers of the availability groups are unknown",
    "configurations": f"whether the option {EKM_OPTION} is set is unknown",
    "start": "the start of the service is unknown, so whether it used each credential is unknown too "
    "(needs VIEW SERVER PERFORMANCE STATE, before 2022 VIEW SERVER STATE)",
    REGISTRY: "KeyUri is unknown",
}


@dataclass(frozen=True, slots=True)
class Usage:
    """One key that an instance uses, with its version, credential and databases."""

    instance: Instance
    key: AsymmetricKey
    version: KeyVersion
    credential: SqlCredential
    databases: tuple[Database, ...]


@dataclass(slots=True)
class Findings:
    """Sentences of the report, each with the instances that it is about.

    `gaps` are what could not be found out or stays unprobed; `notes` need no action.
    """

    gaps: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def gap(self, text: str, *servers: str) -> None:
        _add(self.gaps, text, servers)

    def note(self, text: str, *servers: str) -> None:
        _add(self.notes, text, servers)


def _add(table: dict[str, list[str]], text: str, servers: Iterable[str]) -> None:
    known = table.setdefault(text, [])
    known.extend(server for server in servers if server not in known)


class KeyUris:
    """The key versions of each thumbprint, from every registry that was read.

    A thumbprint without an entry gets that of another thumbprint with the same public key. `compared` has the versions that were
    found in vaults by their public keys; they count if the registries have none or several.
    """

    def __init__(
        self,
        instances: Iterable[Instance],
        loose: Iterable[RegistryUri],
        findings: Findings,
        compared: Mapping[str, KeyVersion] | None = None,
    ) -> None:
        self._compared = compared or {}
        self._versions: dict[str, set[KeyVersion]] = {}
        self._by_public_key: dict[str, set[KeyVersion]] = {}
        instances = list(instances)
        for uri in (*(uri for instance in instances for uri in instance.key_uris), *loose):
            version = key_version(uri.uri)
            if version is None:
                thumbprint = printable(thumbprint_of(uri.thumbprint))
                findings.gap(f"the registry's KeyUri of thumbprint {thumbprint} is not https://VAULT/keys/NAME/VERSION")
            else:
                self._versions.setdefault(thumbprint_of(uri.thumbprint), set()).add(version)
        for key in (key for instance in instances for key in instance.keys if key.public_key):
            self._by_public_key.setdefault(key.public_key, set()).update(self._versions.get(key.thumbprint, ()))

    def versions_of(self, key: AsymmetricKey) -> set[KeyVersion]:
        registered = self._versions.get(key.thumbprint) or self._by_public_key.get(key.public_key, set())
        compared = self._compared.get(key.public_key)
        return registered if compared is None or len(registered) == 1 else {compared}

    def versions_in(self, vault: str) -> set[KeyVersion]:
        """Return every version of a vault that a registry or a comparison names."""
        named = (*self._compared.values(), *(one for those in self._versions.values() for one in those))
        return {version for version in named if version.vault == vault}


def find_usages(instances: Iterable[Instance], uris: KeyUris, findings: Findings) -> list[Usage]:
    """Return every key in use whose version is known; the rest is in the findings."""
    return [usage for instance in instances for usage in _usages(instance, uris, findings)]


def _usages(instance: Instance, uris: KeyUris, findings: Findings) -> Iterable[Usage]:
    server = instance.server_name
    for provider, count in instance.foreign.items():
        findings.note(f"provider [{provider}] is not of Azure Key Vault, so its keys ({count}) are not probed", server)
    if not instance.uses_provider and not {"providers", "keys"} & instance.errors.keys():
        findings.note("no EKM provider and no key of one: nothing to probe", server)
        return
    _report_limits(instance, uris, findings)
    _report_databases(instance, findings)
    protected: dict[str, list[Database]] = {}
    for database in instance.databases:
        protected.setdefault(database.thumbprint, []).append(database)
    used = {key.thumbprint for key in used_keys(instance)}
    for key in instance.keys:
        if key.thumbprint not in used:
            findings.note(f"key [{key.name}] ({key.thumbprint}) protects no database: does an old backup need it?", server)
            continue
        usage = _resolved(instance, key, tuple(protected.get(key.thumbprint, ())), uris, findings)
        if usage is not None:
            yield usage


def used_keys(instance: Instance) -> list[AsymmetricKey]:
    """Return the keys that protect a database; each key counts as used if that is unknown."""
    thumbprints = {database.thumbprint for database in instance.databases}
    return [key for key in instance.keys if "encryption" in instance.errors or key.thumbprint in thumbprints]


def _report_limits(instance: Instance, uris: KeyUris, findings: Findings) -> None:
    server = instance.server_name
    for section, message in instance.errors.items():
        if section == REGISTRY and all(uris.versions_of(key) for key in used_keys(instance)):
            findings.note(f"the registry was not read, and its keys are known from elsewhere: {message}", server)
        else:
            findings.gap(f"{_WITHOUT.get(section, section)}: {message}", server)
    if not instance.sees_definitions:
        findings.gap("credentials, keys and availability groups may be missing: grant VIEW ANY DEFINITION (login.sql)", server)
    for provider in instance.providers:
        if not provider.enabled:
            text = f"provider [{provider.name}] is disabled, so databases under its keys do not open"
            findings.note(f"{text}: ALTER CRYPTOGRAPHIC PROVIDER [{provider.name}] ENABLE", server)


def _report_databases(instance: Instance, findings: Findings) -> None:
    known = {key.thumbprint for key in instance.keys}
    for database in instance.databases:
        if database.state in CLOSED and not database.thumbprint:
            findings.gap(f"database [{database.name}] is in {database.state}, so its key is unknown", instance.server_name)
        elif database.thumbprint and database.thumbprint not in known and "keys" not in instance.errors:
            text = f"database [{database.name}] is under {database.thumbprint}, but this server has no key with that thumbprint"
            findings.gap(f"{text}: create the asymmetric key, or grant VIEW ANY DEFINITION", instance.server_name)


def _resolved(
    instance: Instance, key: AsymmetricKey, databases: tuple[Database, ...], uris: KeyUris, findings: Findings
) -> Usage | None:
    server, about = instance.server_name, f"key [{key.name}] ({key.thumbprint})"
    credential = credential_of(instance, key)
    if credential is None:
        findings.gap(
            f"{about}: no credential of its provider belongs to its login, so the vault and the target are unknown", server
        )
        return None
    vault = vault_of(credential)
    versions = uris.versions_of(key)
    if not versions:
        findings.gap(f"{about}: no KeyUri, so name and version in vault {vault or '?'} are unknown. {_advice(instance)}", server)
        return None
    here = sorted(version for version in versions if version.vault == vault)
    if len(here) != 1 and len(versions) != 1:
        findings.gap(f"{about}: several KeyUri and none is the only one of vault {vault or '?'}: remove the old entries", server)
        return None
    version = here[0] if len(here) == 1 else next(iter(versions))
    if version.vault != vault:
        text = f"{about}: KeyUri is in {version.vault}, but credential [{credential.name}] names {vault or mask(credential.identity) or 'nothing'}"
        findings.gap(f"{text}; the target follows KeyUri", server)
    if rules := key_name_findings(version.name):
        findings.gap(f"{about}: {version.name}: {rules[0].text}", server)
        return None
    return Usage(instance, key, version, credential, databases)


def credential_of(instance: Instance, key: AsymmetricKey) -> SqlCredential | None:
    """The credential of the key's login; otherwise the only one of the provider."""
    if named := [one for one in instance.credentials if key.credential and one.name == key.credential]:
        return named[0]
    candidates = [one for one in instance.credentials if one.provider == key.provider]
    return candidates[0] if len(candidates) == 1 else None


def is_managed(credential: SqlCredential) -> bool:
    """Whether SQL Server signs in with a managed identity; then the name is the vault's."""
    return credential.identity.strip().lower() == MANAGED_IDENTITY


def vault_of(credential: SqlCredential) -> str | None:
    """Return the vault's full host name, None if the identity is none."""
    try:
        return vault_host(credential.name if is_managed(credential) else credential.identity)
    except ValueError:
        return None


def _advice(instance: Instance) -> str:
    if instance.platform == "linux":
        return "SQL Server on Linux has no registry: compare public keys with --vault.credential, or write the target by hand"
    return f"Compare public keys with --vault.credential, or run on its host, and add the output to --from: {REG_QUERY}"
