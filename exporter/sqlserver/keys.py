"""Which version, vault and credential each key of a SQL Server has, which keys are in use, and what stays unknown."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from exporter.core import grouped
from exporter.core.connector import key_name_findings
from exporter.core.names import is_same_server, vault_host
from exporter.core.quoting import sql_name
from exporter.core.secrets import mask
from exporter.sqlserver.document import KeyVersion, RegistryUri, key_version, thumbprint_of
from exporter.sqlserver.instance import (
    EKM_OPTION,
    ENABLE_OPTION,
    OPEN,
    AsymmetricKey,
    Database,
    Findings,
    Instance,
    Kind,
    SqlCredential,
    listed,
    printable,
    version_number,
)

# The credential with which SQL Server signs in for a key: that of the key's own login.
# `sys.asymmetric_keys.sid` leads to the login, but is documented as NULL for keys of a provider. Then the vault of KeyUri, the
# logins that were made from keys, and their names have to lead to the credential.

MANAGED_IDENTITY = "managed identity"
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# Words that names of keys and logins have in Microsoft's examples; the others distinguish the pairs.
_COMMON = frozenset(
    ["key", "login", "cred", "credential", "tde", "ekm", "akv", "asy", "asym", "asymmetric", "user", "azure", "vault", "kv", "sql", "server"]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pairing:
    """The likeliest credential of a key, with what is wrong or uncertain about it.

    `login` is the login of the key, empty if unknown.
    """

    credential: SqlCredential
    problem: str = ""
    kind: Kind | None = None
    remark: str = ""
    login: str = ""


def is_managed(credential: SqlCredential) -> bool:
    """Whether SQL Server signs in with a managed identity; then the name is the vault's."""
    return credential.identity.strip().lower() == MANAGED_IDENTITY


def vault_of(credential: SqlCredential) -> str | None:
    """Return the vault's full host name, None if the identity is none."""
    try:
        return vault_host(credential.name if is_managed(credential) else credential.identity)
    except ValueError:
        return None


def credentials_of(instance: Instance, key: AsymmetricKey) -> list[SqlCredential]:
    """Return the credential of the key's login, or all of its provider if that is unknown."""
    named = [one for one in instance.credentials if key.credential and one.name == key.credential]
    return named or [one for one in instance.credentials if one.provider == key.provider]


def pair(instance: Instance, key: AsymmetricKey, vault: str | None) -> Pairing:
    """Return the credential of the key, whose provider has one; `vault` is that of its KeyUri, None if unknown."""
    found = credentials_of(instance, key)
    if found[0].name == key.credential:
        return Pairing(found[0], login=key.login)
    likely = [one for one in found if vault is not None and vault_of(one) == vault] or found
    if key.credential:
        return _guessed(likely, f"[{key.credential}] is not in the list of credentials")
    if key.login:
        return _missing(likely, f"its login [{key.login}] has no credential of the provider", key.login)
    if key.has_sid:
        return _missing(likely, "no login was made from it", None, key.name)
    if "logins" in instance.errors:
        return _guessed(likely, f"the logins are unknown: {instance.errors['logins']}")
    return _from_logins(instance, key, likely)


def login_of(instance: Instance, key: AsymmetricKey) -> str:
    """Return the login of a key by its SID, else by their names; empty if unknown."""
    return key.login if key.login or key.has_sid else pairs_by_name(*_without_sid(instance, key)).get(key.name, "")


def _without_sid(instance: Instance, key: AsymmetricKey) -> tuple[list[str], list[str]]:
    """Return the keys of its provider without a SID, and the logins that may be theirs."""
    keys = [one.name for one in instance.keys if one.provider == key.provider and not one.login and not one.has_sid]
    return keys, list(dict.fromkeys(one.name for one in instance.logins))


def _from_logins(instance: Instance, key: AsymmetricKey, likely: Sequence[SqlCredential]) -> Pairing:
    """Return the credential for a key without a SID."""
    held = {one.name: one.credential for one in instance.logins if one.provider == key.provider}
    keys, logins = _without_sid(instance, key)
    if not logins:
        return _missing(likely, "no login was made from an asymmetric key", None, key.name)
    here = [one for one in likely if one.name in held.values()]
    if len(here) == 1 and len(held) == len(logins):
        return Pairing(here[0])
    login = pairs_by_name(keys, logins).get(key.name)
    if login is None:
        order = dict(zip(keys, logins, strict=False))
        likely = sorted(here or likely, key=lambda one: one.name != held.get(order[key.name]))
        return _guessed(likely, f"which of the logins {_named(logins)} belongs to it is unknown")
    mine = [one for one in likely if one.name == held.get(login)]
    if not mine:
        return _missing(likely, f"its login [{login}] has no credential of the provider for its vault", login)
    remark = f"login [{login}] belongs to it by their names: SQL Server shows no SID of the key" if len(keys) > 1 else ""
    return Pairing(mine[0], remark=remark, login=login)


def pairs_by_name(keys: Sequence[str], logins: Sequence[str]) -> dict[str, str]:
    """Return the login of each key with the same distinctive words: `TDE_KEY2` and `TDE_Login2`.

    One key and one login are a pair, also if they are what is left of pairs.
    """
    key_words, login_words = (
        [frozenset(word.lower() for word in _WORDS.findall(name)) - _COMMON for name in names] for names in (keys, logins)
    )
    found = {
        key: logins[login_words.index(words)]
        for key, words in zip(keys, key_words, strict=True)
        if key_words.count(words) == login_words.count(words) == 1
    }
    rest = [key for key in keys if key not in found], [login for login in logins if login not in found.values()]
    return found | (dict(zip(*rest, strict=True)) if len(rest[0]) == len(rest[1]) == 1 else {})


def _named(names: Sequence[str]) -> str:
    return ", ".join(sql_name(name, "NAME") for name in names)


def _missing(likely: Sequence[SqlCredential], cause: str, login: str | None, key: str = "") -> Pairing:
    """SQL Server cannot sign in, whatever other logins have."""
    new = "" if login is not None else f"CREATE LOGIN [LOGIN] FROM ASYMMETRIC KEY {sql_name(key, 'KEY')}; "
    which = likely[0].name if len(likely) == 1 else ""
    fix = f"{new}ALTER LOGIN {sql_name(login or '', 'LOGIN')} ADD CREDENTIAL {sql_name(which, 'CREDENTIAL')}"
    several = f" (CREDENTIAL is one of {_named([one.name for one in likely])})" if len(likely) > 1 else ""
    problem = f"{cause}, so SQL Server cannot sign in to open databases: {fix}{several}"
    return Pairing(likely[0], problem, "credential_missing", login=login or "")


def new_credential(key: AsymmetricKey) -> str:
    """Return the statements for a key whose provider has no credential."""
    return (
        "CREATE CREDENTIAL [CREDENTIAL] WITH IDENTITY = 'VAULT', SECRET = 'SECRET' FOR CRYPTOGRAPHIC PROVIDER "
        f"{sql_name(key.provider, 'PROVIDER')}; ALTER LOGIN {sql_name(key.login, 'LOGIN')} ADD CREDENTIAL [CREDENTIAL]"
    )


def _guessed(likely: Sequence[SqlCredential], cause: str) -> Pairing:
    problem = (
        f"{cause}, so its credential is a guess of {_named([one.name for one in likely])}: the target has the first. "
        "Each login needs a credential of its key's vault"
    )
    return Pairing(likely[0], problem, "credential_guessed")


REG_QUERY = r'reg query "HKLM\SOFTWARE\Microsoft\SQL Server Cryptographic Provider\Azure Key Vault" /s /v KeyUri'
Established = Mapping[str, Mapping[str, KeyVersion]]  # by server and thumbprint
_LOOSE = ""  # the source of an entry in a file without a server
_Claims = dict[KeyVersion, dict[str, None]]  # a version and the servers whose registries name it


class KeyUris:
    """The key versions of each thumbprint, from every registry that was read; a SQL Server's own registry counts first.

    A thumbprint without an entry gets that of another thumbprint with the same public key. `compared` has the versions that were
    found in vaults by their public keys, `established` those of the last run. A version counts only in a vault that a credential of
    the server names: no other server can move its target.
    """

    def __init__(
        self,
        instances: Iterable[Instance],
        loose: Iterable[RegistryUri],
        findings: Findings,
        compared: Mapping[str, KeyVersion] | None = None,
        established: Established | None = None,
    ) -> None:
        every = tuple(instances)
        self._compared, self._established = compared or {}, established or {}
        self._vaults = {instance.server_name: _vaults(instance.credentials) for instance in every}
        self._claims = defaultdict[str, _Claims](lambda: defaultdict(dict))
        self._by_public_key = defaultdict[str, dict[str, None]](dict)
        for key in (each for instance in every for each in instance.keys if each.public_key):
            self._by_public_key[key.public_key][key.thumbprint] = None
        named = [(uri, instance.server_name) for instance in every for uri in instance.key_uris]
        for uri, source in (*((uri, _LOOSE) for uri in loose), *named):
            thumbprint, version = thumbprint_of(uri.thumbprint), key_version(uri.uri)
            if version is not None:
                self._claims[thumbprint][version][source] = None
            else:
                text = f"the registry's KeyUri of thumbprint {printable(thumbprint)} is not https://VAULT/keys/NAME/VERSION"
                findings.gap(text, *filter(None, [source]))

    def _claims_of(self, key: AsymmetricKey) -> _Claims:
        if found := self._claims.get(key.thumbprint):
            return found
        joined: _Claims = {}
        same = (self._claims.get(thumbprint, {}) for thumbprint in self._by_public_key.get(key.public_key, ()))
        for version, sources in (claim for claims in same for claim in claims.items()):
            joined.setdefault(version, {}).update(sources)
        return joined

    def version_of(self, instance: Instance, key: AsymmetricKey) -> KeyVersion | None:
        """Return the key version of a server's key, None if it is unknown or disputed."""
        claims = self._claims_of(key)
        own, loose = ([one for one, sources in claims.items() if source in sources] for source in (instance.server_name, _LOOSE))
        others = [] if own or loose else list(claims)
        compared = self._compared.get(key.public_key)
        before = self._established.get(instance.server_name, {}).get(key.thumbprint)
        last = [before] if before is not None and (before in (own or loose or claims) or not claims) else []
        vaults = _vaults(credentials_of(instance, key)), _named_vaults(instance, key)
        if not vaults[1] and len(own or loose) == 1:  # no identity is a vault, so the registry alone names one
            return (own or loose)[0]
        for versions in (own, loose if not own else [], [compared], last, others):
            for those in vaults:
                here = [version for version in versions if version is not None and version.vault in those]
                if len(here) == 1:
                    return here[0]
        return None

    def versions_in(self, vault: str) -> set[KeyVersion]:
        """Return every version of a vault that a registry or a comparison names."""
        named = (*self._compared.values(), *(one for those in self._claims.values() for one in those))
        return {version for version in named if version.vault == vault}

    def report(self, instance: Instance, key: AsymmetricKey, about: str, findings: Findings) -> None:
        """Add why the version is unknown, and which registry names another one."""
        server, version, claims = instance.server_name, self.version_of(instance, key), self._claims_of(key)
        named = _named_vaults(instance, key)
        here = {one: sources for one, sources in claims.items() if one.vault in named}
        wrong = {one: sources for one, sources in here.items() if one != version}
        if version is None and not claims:
            vaults = ", ".join(sorted(named)) or "?"
            findings.gap(f"{about}: no KeyUri, so name and version in vault {vaults} are unknown. {_advice(instance)}", server)
        elif version is None and not here:
            identities = ", ".join(f"credential [{one.name}] names {_names(one)}" for one in credentials_of(instance, key))
            findings.gap(
                f"{about}: {_sources(claims)}, but {identities}"
                ": no target, because no credential of this server names that vault",
                server,
            )
        elif version is None:
            findings.gap(f"{about}: several KeyUri in its vault: {_sources(here)}: remove the old or wrong entries", server)
        elif wrong:
            findings.gap(
                f"{about}: {_sources(wrong)}, but {version.uri} counts: remove the wrong entry, and find out who wrote it",
                server,
            )
        foreign = {  # that only servers name which do not use the vault
            one: sources
            for one, sources in claims.items()
            if one.vault not in named and not any(one.vault in self._vaults.get(source, (one.vault,)) for source in sources)
        }
        if version is not None and foreign:
            findings.note(
                f"{about}: {_sources(foreign)}, a vault that no credential of this server names: this entry does not count",
                server,
            )


def _vaults(credentials: Iterable[SqlCredential]) -> frozenset[str]:
    return frozenset(vault for one in credentials if (vault := vault_of(one)) is not None)


def _named_vaults(instance: Instance, key: AsymmetricKey) -> frozenset[str]:
    return _vaults((*credentials_of(instance, key), *(one for one in instance.credentials if one.provider == key.provider)))


def _sources(claims: Mapping[KeyVersion, Iterable[str]]) -> str:
    """`the registry of N1 names https://...`, for each version."""
    return ", ".join(
        f"{f'the registry of {listed(named)}' if (named := [one for one in sources if one]) else 'a registry file'} names {version.uri}"
        for version, sources in claims.items()
    )


def _names(credential: SqlCredential) -> str:
    return vault_of(credential) or mask(credential.identity) or "nothing"


def _advice(instance: Instance) -> str:
    if instance.platform == "linux":
        return "SQL Server on Linux has no registry: compare public keys with --vault.credential, or write the target by hand"
    return f"Compare public keys with --vault.credential, or run on its host, and add the output to --from: {REG_QUERY}"


GroupKeys = Mapping[tuple[str, str], Mapping[str, str]]  # by group and database: thumbprint by server


def keys_of_groups(instances: Iterable[Instance]) -> GroupKeys:
    """Return the thumbprint of each database of a group, as each replica shows it."""
    found = grouped(
        ((one.ag.lower(), one.name), (instance.server_name, one.thumbprint))
        for instance in instances
        for one in instance.databases
        if one.ag and one.thumbprint
    )
    return {database: dict(thumbprints) for database, thumbprints in found.items()}


def _report_missing_keys(instance: Instance, known: GroupKeys, findings: Findings) -> None:
    """Add what a replica needs to open a database whose key it does not show. Groups of one name may be of two clusters."""
    own = {key.thumbprint for key in instance.keys}
    for database in (one for one in instance.databases if one.ag and one.hidden and "keys" not in instance.errors):
        replicas = [server for group, server in instance.replicas if group.lower() == database.ag.lower()]
        shown = [
            f"{thumbprint} on {server}"
            for server, thumbprint in known.get((database.ag.lower(), database.name), {}).items()
            if thumbprint not in own and any(is_same_server(server, replica) for replica in replicas)
        ]
        if shown:
            text = f"database [{database.name}] of availability group {database.ag} is under {shown[0]}"
            gap = f"{text}, but this server has no key with that thumbprint: create the asymmetric key"
            findings.gap(gap, instance.server_name, kind="key_not_on_replica")


# What SQL Server and its connector must be for a managed identity. An older SQL Server hangs (KB5043526).
_SQL_SERVER = (16, 0, 4175)  # 2022 CU17
# Of November 2024; an older one fails with message 37576. One of 2020 has this number too, and SQL Server shows no date of the DLL: the gate is
# ready only after a use of the key with the managed identity and this DLL.
_CONNECTOR = (15, 0, 2000, 440)
_CATALOG = (1, 0, 5, 0)  # the version that builds since 2018 have in the catalog


def _identity_gaps(instance: Instance, provider: str) -> list[tuple[str, Kind | None]]:
    """Return why a key with a managed identity does not work on this server, or why that is unknown: then the kind is None."""
    product = version_number(instance.product_version)
    found = [one for one in instance.providers if one.name == provider]
    file, catalog = next(((version_number(one.file_version), version_number(one.version)) for one in found), ((), ()))
    is_old = file < _CONNECTOR if file else bool(catalog) and catalog < _CATALOG
    on_linux = "SQL Server on Linux supports no managed identity: use a credential with a client secret"
    gaps: tuple[tuple[bool, str, Kind | None], ...] = (
        (
            bool(product) and product < _SQL_SERVER,
            (
                f"SQL Server {instance.product_version} hangs with a managed identity (KB5043526): install SQL Server 2022 CU17 "
                "(16.0.4175.1) or later, or use a client secret"
            ),
            "identity_unsupported",
        ),
        (
            is_old,
            "the connector is too old for a managed identity (message 37576): install 15.0.2000.440 of November 2024 or later",
            "identity_unsupported",
        ),
        (
            not product,
            "the version of SQL Server is unknown, and a managed identity needs 2022 CU17 (16.0.4175.1) or later",
            None,
        ),
        (
            not file and not is_old,
            "the version of the loaded DLL is unknown, and a managed identity needs 15.0.2000.440 or later",
            None,
        ),
    )
    if instance.platform == "linux":
        return [(on_linux, "identity_unsupported")]
    return [(text, kind) for applies, text, kind in gaps if applies]


REGISTRY, NODES = "registry", "nodes"  # sections of the documents
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

    @property
    def is_for_columns(self) -> bool:
        """Whether no database needs the key: columns of databases may."""
        return not self.databases and self.key not in used_keys(self.instance)


def find_usages(instances: Sequence[Instance], uris: KeyUris, findings: Findings, known: Iterable[Instance] = ()) -> list[Usage]:
    """Return every key in use whose version is known; the rest is in the findings. `known` may have replicas of the same groups."""
    groups = keys_of_groups((*known, *instances))
    for instance in instances:
        _report_missing_keys(instance, groups, findings)
    return [usage for instance in instances for usage in _usages(instance, uris, findings)]


def _usages(instance: Instance, uris: KeyUris, findings: Findings) -> Iterable[Usage]:
    server = instance.server_name
    for provider, count in instance.foreign.items():
        findings.note(f"provider [{provider}] is not of Azure Key Vault, so its keys ({count}) are not probed", server)
    needs_key = any(one.thumbprint or (one.encrypted and one.needs_unknown_key) for one in instance.databases)
    if not (instance.uses_provider or needs_key or {"providers", "keys"} & instance.errors.keys()):
        findings.note("no EKM provider and no key of one: nothing to probe", server)
        return
    _report_limits(instance, uris, findings)
    _report_databases(instance, findings)
    used = {key.thumbprint for key in used_keys(instance)}
    hidden = [one for one in instance.databases if one.hidden]
    protected = grouped((one.thumbprint, one) for one in instance.databases)
    for key in instance.keys:
        if key.thumbprint not in used:
            findings.note(
                f"key [{key.name}] ({key.thumbprint}) protects no database that is shown"
                ": columns in databases and old backups may need it (retire-version.sql)",
                server,
            )
        elif usage := _resolved(instance, key, tuple(protected.get(key.thumbprint, hidden)), uris, findings):
            yield usage


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
        elif section not in ("logins", NODES):  # of use for keys without a SID, and for the hosts of a cluster: reported there
            findings.gap(f"{_MISSING_SECTIONS.get(section, section)}: {message}", server)
    _report_kept(instance, findings)
    _report_other_keys(instance, findings)
    if instance.ekm is not None and instance.ekm.fault and instance.uses_provider:
        findings.note(
            f"the option '{EKM_OPTION}' is {instance.ekm.fault}. Without it, databases under a provider's keys do not open"
            f": {ENABLE_OPTION}",
            server,
        )
    for name in (one.name for one in instance.providers if not one.enabled):
        findings.note(
            f"provider [{name}] is disabled, so databases under its keys do not open"
            f": ALTER CRYPTOGRAPHIC PROVIDER {sql_name(name, 'PROVIDER')} ENABLE",
            server,
        )


def _report_kept(instance: Instance, findings: Findings) -> None:
    """Add the findings of an earlier reading, with its time. The KeyUri of a thumbprint does not change."""
    server = instance.server_name
    if whole := instance.kept.get("instance"):
        text = f"not read in the latest run, so everything is of {': '.join(whole)}"
        findings.gap(text, server, kind="instance_kept")
        return
    for section, (when, message) in instance.kept.items():
        text = f"the section {section} is of {when}, because it was not read again: {message}"
        if section in (REGISTRY, NODES):
            findings.note(text, server)
        else:
            findings.gap(text, server, kind="section_kept")


def _report_other_keys(instance: Instance, findings: Findings) -> None:
    """Add the registry's entries of keys that are not in master: keys for columns are in user databases."""
    known = {key.thumbprint for key in instance.keys}
    for uri in instance.key_uris if "keys" not in instance.errors else ():
        version = key_version(uri.uri)
        if version is not None and thumbprint_of(uri.thumbprint) not in known:
            findings.note(
                f"the registry names {version.uri}, whose key master does not have, so no target probes it"
                ": columns in databases and old backups may need it",
                instance.server_name,
            )


def _report_databases(instance: Instance, findings: Findings) -> None:
    known = {key.thumbprint for key in instance.keys}
    for database in instance.databases:
        if database.needs_unknown_key:
            text = f"database [{database.name}] is in {database.state}, so its key is unknown"
            then = "restart its service" if database.ag else f"ALTER DATABASE {sql_name(database.name, 'DATABASE')} SET ONLINE"
            fix = f"the error log shows the cause. Repair that first, then {then}"
            findings.gap(f"{text}: {fix}", instance.server_name)
        elif database.hidden and known:
            state = "encrypted but not open, as with AUTO_CLOSE" if database.state in OPEN else f"in {database.state}"
            findings.note(
                f"database [{database.name}] is {state}, so its key is unknown"
                ": keys that protect no other database count as used",
                instance.server_name,
            )
        elif database.thumbprint and database.thumbprint not in known and "keys" not in instance.errors:
            findings.gap(
                f"database [{database.name}] is under {database.thumbprint}, but this server has no key with that thumbprint"
                ": create the asymmetric key, or grant VIEW ANY DEFINITION",
                instance.server_name,
            )


def _resolved(
    instance: Instance, key: AsymmetricKey, databases: tuple[Database, ...], uris: KeyUris, findings: Findings
) -> Usage | None:
    server, about = instance.server_name, f"key [{key.name}] ({key.thumbprint})"
    if not credentials_of(instance, key):
        text = f"{about}: no credential of its provider belongs to its login, so the vault and the target are unknown"
        if "credentials" in instance.errors:
            findings.gap(text, server)
        else:
            findings.gap(f"{text}: {new_credential(key)}", server, kind="credential_missing")
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
    for text, kind in _identity_gaps(instance, key.provider) if is_managed(pairing.credential) else ():
        findings.gap(f"{about}: {text}", server, kind=kind)
    if version.vault != vault_of(pairing.credential):
        named = f"credential [{pairing.credential.name}] names {_names(pairing.credential)}"
        findings.gap(f"{about}: KeyUri is in {version.vault}, but {named}; the target follows KeyUri", server)
    if rules := key_name_findings(version.name):
        findings.gap(f"{about}: {version.name}: {rules[0].text}", server)
        return None
    return Usage(instance, key, version, pairing.credential, databases)


Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandWrittenTarget:
    """A target in a file that the inventory did not write; `where` is `file:line:column`."""

    name: str
    vault: str
    key_name: str
    key_version: str | None
    instances: tuple[Labels, ...]
    where: str
    thumbprint: str | None = None
    retained: tuple[KeyVersion, ...] = ()


# SQL Server stores the modulus in a blob whose layout is not documented, so both byte orders count.
SHORTEST = 128  # bytes: a shorter number is no key of RSA that the connector accepts, and might match by accident


def has_modulus(public_key: str, modulus: bytes) -> bool:
    """Whether SQL Server's public key, as hex digits after 0x, has this modulus."""
    number = modulus.lstrip(b"\0")
    digits = public_key.upper()
    return len(number) >= SHORTEST and any(one.hex().upper() in digits for one in (number, number[::-1]))
