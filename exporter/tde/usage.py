"""Which key version, vault and credential each instance uses, and what stays unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from exporter.core.connector_secret import key_name_findings
from exporter.core.masking import mask
from exporter.core.quoting import sql_name
from exporter.tde.findings import Findings, Kind
from exporter.tde.group_keys import keys_of_groups, missing_keys
from exporter.tde.key_uris import KeyUris
from exporter.tde.managed_identity import report_managed_identity
from exporter.tde.model import EKM_OPTION, OPEN, AsymmetricKey, Database, Instance, SqlCredential
from exporter.tde.pairing import credentials_of, is_managed, new_credential, pair, vault_of
from exporter.tde.registry import KeyVersion, key_version, thumbprint_of

REGISTRY, NODES = "registry", "nodes"  # sections of the documents
# Of use for keys without a SID, and for the hosts of a failover cluster instance.
_REPORTED_ELSEWHERE = frozenset({"logins", NODES})
# What is unknown without a section, and the right that its view needs.
_MISSING_SECTIONS: Mapping[str, str] = {
    "providers": "the provider and its version are unknown",
    "modules": "the version of the loaded DLL is unknown (needs VIEW SERVER PERFORMANCE STATE, before 2022 VIEW SERVER STATE)",
    "credentials": "the vault is unknown (needs VIEW ANY DEFINITION)",
    "keys": "the keys are unknown (needs VIEW ANY DEFINITION)",
    "encryption": "the databases of each key are unknown, so each key counts as used "
    "(needs VIEW SERVER SECURITY STATE, before 2022 VIEW SERVER STATE)",
    "databases": "the availability groups of the databases are unknown",
    "replicas": "the servers of the availability groups are unknown",
    "configurations": f"whether the option {EKM_OPTION} is set is unknown",
    "start": "the start of the service is unknown, so whether it used each credential is unknown too",
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


def find_usages(instances: Sequence[Instance], uris: KeyUris, findings: Findings, known: Iterable[Instance] = ()) -> list[Usage]:
    """Return every key in use whose version is known; the rest is in the findings. `known` may have replicas of the same groups."""
    groups = keys_of_groups((*known, *instances))
    for instance in instances:
        for text in missing_keys(instance, groups):
            findings.gap(text, instance.server_name, kind=Kind.KEY_NOT_ON_REPLICA)
    return [usage for instance in instances for usage in _usages(instance, uris, findings)]


def _usages(instance: Instance, uris: KeyUris, findings: Findings) -> Iterable[Usage]:
    server = instance.server_name
    for provider, count in instance.foreign.items():
        findings.note(f"provider [{provider}] is not of Azure Key Vault, so its keys ({count}) are not probed", server)
    if not (instance.uses_provider or needs_key(instance) or {"providers", "keys"} & instance.errors.keys()):
        findings.note("no EKM provider and no key of one: nothing to probe", server)
        return
    _report_limits(instance, uris, findings)
    _report_databases(instance, findings)
    protected: dict[str, list[Database]] = {}
    for database in instance.databases:
        protected.setdefault(database.thumbprint, []).append(database)
    used = {key.thumbprint for key in used_keys(instance)}
    hidden = [database for database in instance.databases if database.hidden]
    for key in instance.keys:
        if key.thumbprint not in used:
            text = f"key [{key.name}] ({key.thumbprint}) protects no database that is shown"
            findings.note(f"{text}: columns in databases and old backups may need it (retire-version.sql)", server)
            continue
        usage = _resolved(instance, key, tuple(protected.get(key.thumbprint, hidden)), uris, findings)
        if usage is not None:
            yield usage


def needs_key(instance: Instance) -> bool:
    """Whether a database is under a key of a provider, or may be: then a server without provider and key lacks both."""
    return any(one.thumbprint or (one.encrypted and one.needs_unknown_key) for one in instance.databases)


def used_keys(instance: Instance) -> list[AsymmetricKey]:
    """Return the keys that protect a database; each key counts as used if a database may be under it."""
    thumbprints = {database.thumbprint for database in instance.databases}
    any_key = "encryption" in instance.errors or any(database.hidden for database in instance.databases)
    return [key for key in instance.keys if any_key or key.thumbprint in thumbprints]


def _report_limits(instance: Instance, uris: KeyUris, findings: Findings) -> None:
    server = instance.server_name
    for section, message in instance.errors.items():
        if section == REGISTRY and all(uris.version_of(instance, key) for key in used_keys(instance)):
            findings.note(f"the registry was not read, and its keys are known from elsewhere: {message}", server)
        elif section not in _REPORTED_ELSEWHERE:
            findings.gap(f"{_MISSING_SECTIONS.get(section, section)}: {message}", server)
    _report_kept(instance, findings)
    _report_other_keys(instance, findings)
    for provider in instance.providers:
        if not provider.enabled:
            text = f"provider [{provider.name}] is disabled, so databases under its keys do not open"
            findings.note(f"{text}: ALTER CRYPTOGRAPHIC PROVIDER {sql_name(provider.name, 'PROVIDER')} ENABLE", server)


def _report_kept(instance: Instance, findings: Findings) -> None:
    """Add the findings of an earlier reading, with its time. The KeyUri of a thumbprint does not change."""
    server = instance.server_name
    if whole := instance.kept.get("instance"):
        text = f"not read in the latest run, so everything is of {whole.when}: {whole.message}"
        findings.gap(text, server, kind=Kind.INSTANCE_KEPT)
        return
    for section, kept in instance.kept.items():
        text = f"the section {section} is of {kept.when}, because it was not read again: {kept.message}"
        if section in (REGISTRY, NODES):
            findings.note(text, server)
        else:
            findings.gap(text, server, kind=Kind.SECTION_KEPT)


def _report_other_keys(instance: Instance, findings: Findings) -> None:
    """Add the registry's entries of keys that are not in master: keys for columns are in user databases."""
    known = {key.thumbprint for key in instance.keys}
    for uri in instance.key_uris if "keys" not in instance.errors else ():
        version = key_version(uri.uri)
        if version is not None and thumbprint_of(uri.thumbprint) not in known:
            text = f"the registry names {version.uri}, whose key master does not have, so no target probes it"
            findings.note(f"{text}: columns in databases and old backups may need it", instance.server_name)


def _report_databases(instance: Instance, findings: Findings) -> None:
    known = {key.thumbprint for key in instance.keys}
    for database in instance.databases:
        if database.needs_unknown_key:
            text = f"database [{database.name}] is in {database.state}, so its key is unknown"
            fix = f"the error log shows the cause. Repair that first, then ALTER DATABASE {sql_name(database.name, 'DATABASE')} SET ONLINE"
            findings.gap(f"{text}: {fix}", instance.server_name)
        elif database.hidden and known:
            state = "encrypted but not open, as with AUTO_CLOSE" if database.state in OPEN else f"in {database.state}"
            text = f"database [{database.name}] is {state}, so its key is unknown"
            findings.note(f"{text}: keys that protect no other database count as used", instance.server_name)
        elif database.thumbprint and database.thumbprint not in known and "keys" not in instance.errors:
            text = f"database [{database.name}] is under {database.thumbprint}, but this server has no key with that thumbprint"
            findings.gap(f"{text}: create the asymmetric key, or grant VIEW ANY DEFINITION", instance.server_name)


def _resolved(
    instance: Instance, key: AsymmetricKey, databases: tuple[Database, ...], uris: KeyUris, findings: Findings
) -> Usage | None:
    server, about = instance.server_name, f"key [{key.name}] ({key.thumbprint})"
    if not credentials_of(instance, key):
        text = f"{about}: no credential of its provider belongs to its login, so the vault and the target are unknown"
        if "credentials" in instance.errors:
            findings.gap(text, server)
        else:
            findings.gap(f"{text}: {new_credential(key)}", server, kind=Kind.CREDENTIAL_MISSING)
        return None
    if "providers" not in instance.errors and not any(one.name == key.provider for one in instance.providers):
        findings.gap(f"{about}: this server has no provider [{key.provider}], so SQL Server cannot use the key", server)
    version = uris.version_of(instance, key)
    uris.report(instance, key, about, findings)
    pairing = pair(instance, key, version.vault if version is not None else None)
    if pairing.problem:
        findings.gap(f"{about}: {pairing.problem}", server, kind=pairing.kind)
    if pairing.remark:
        findings.note(f"{about}: {pairing.remark}", server)
    if version is None:
        return None
    if is_managed(pairing.credential):
        report_managed_identity(instance, about, key.provider, findings)
    if version.vault != vault_of(pairing.credential):
        named = vault_of(pairing.credential) or mask(pairing.credential.identity) or "nothing"
        text = f"{about}: KeyUri is in {version.vault}, but credential [{pairing.credential.name}] names {named}"
        findings.gap(f"{text}; the target follows KeyUri", server)
    if rules := key_name_findings(version.name):
        findings.gap(f"{about}: {version.name}: {rules[0].text}", server)
        return None
    return Usage(instance, key, version, pairing.credential, databases)
