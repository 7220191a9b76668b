"""Targets and credentials of a configuration from what instances use, old versions included; the targets of each host; searches for public keys."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from exporter.core.connector import key_name_findings
from exporter.core.names import CLOUDS, Match, is_device, is_same_server, match_entry
from exporter.core.values import Generation
from exporter.sqlserver.differences import names_key, pinned_version
from exporter.sqlserver.document import KeyVersion, RegistryUri
from exporter.sqlserver.instance import Findings, Instance, asked_host, is_numeric, printable
from exporter.sqlserver.keys import (
    NODES,
    Established,
    HandWrittenTarget,
    KeyUris,
    Labels,
    Usage,
    credentials_of,
    find_usages,
    is_managed,
    pair,
    used_keys,
    vault_of,
)

_UNFIT = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class HandWritten:
    """What the files declare that the inventory did not write."""

    targets: tuple[HandWrittenTarget, ...] = ()
    credentials: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCredential:
    """A credential that the files declare; `servers` have it in SQL Server."""

    name: str
    sql_name: str
    managed: bool
    servers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainedKey:
    """A key version that protects no database now, and that old backups may need. `credential` is None if the target's serves."""

    version: KeyVersion
    credential: PlannedCredential | None
    keys: Mapping[str, tuple[str, ...]]  # names in SQL Server by server


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTarget:
    """One key version and credential, with the instances that depend on it."""

    name: str
    version: KeyVersion
    thumbprint: str
    credential: PlannedCredential
    generation: Generation
    instances: tuple[Labels, ...]
    databases: Mapping[str, tuple[str, ...]]  # by server
    retained: tuple[RetainedKey, ...] = ()


@dataclass(slots=True)
class Plan:
    """The targets to write, and the findings of the report. `names` keeps names over runs, `versions` those of keys."""

    targets: list[PlannedTarget] = field(default_factory=list)
    covered: dict[str, list[str]] = field(default_factory=dict)  # hand-written target: servers
    findings: Findings = field(default_factory=Findings)
    names: dict[str, str] = field(default_factory=dict)
    versions: dict[str, dict[str, KeyVersion]] = field(default_factory=dict)  # by server and thumbprint


def make_plan(
    instances: Sequence[Instance],
    loose: Iterable[RegistryUri],
    hand_written: HandWritten,
    names: Mapping[str, str],
    compared: Mapping[str, KeyVersion] | None = None,
    *,
    established: Established | None = None,
) -> Plan:
    """Return the targets of the instances that no hand-written target covers.

    `names` are those of the last plan: an unchanged target keeps its name. `compared` and `established` are those of
    `KeyUris`.
    """
    plan = Plan()
    usages = find_usages(instances, KeyUris(instances, loose, plan.findings, compared, established), plan.findings)
    for usage in usages:
        plan.versions.setdefault(usage.instance.server_name, {})[usage.key.thumbprint] = usage.version
    groups: dict[tuple[KeyVersion, str], list[Usage]] = {}
    for usage in usages:
        groups.setdefault((usage.version, credential_name(usage)), []).append(usage)
    left = {group: those for group, those in groups.items() if not _is_covered(group[0], those, hand_written, plan)}
    plan.names = _named(sorted(left), names, {target.name for target in hand_written.targets})
    for group in sorted(left):
        plan.targets.append(_target(plan.names[identity(*group)], group[0], left[group], plan.findings))
    _report_replicas(instances, plan.findings)
    return plan


def identity(version: KeyVersion, credential: str) -> str:
    """What makes a target the same target in the next run."""
    return f"{version.vault}/{version.name}/{version.version} {credential}"


def credential_name(usage: Usage) -> str:
    """Name of the credential in the configuration, from the vault's and SQL Server's.

    SQL Servers and the files of Windows ignore the case. A SQL Server that does not may have two names which differ in case alone.
    """
    name = usage.credential.name.lower()
    stem = short_vault(usage.version.vault)
    if is_managed(usage.credential):
        return f"{stem}-managed-identity"
    slug = _UNFIT.sub("-", name).strip("-")[:48]
    if any(one.name.lower() == name and one.name != usage.credential.name for one in usage.instance.credentials):
        name = usage.credential.name
        return f"{stem}-{slug or 'credential'}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return f"{stem}-{slug}" if slug == name else f"{stem}-{slug or 'credential'}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def short_vault(vault: str) -> str:
    """Return the vault's name without the public cloud's domain, fit for names and files."""
    return vault.removesuffix(f".{CLOUDS[0].domain}").replace(":", "_")[:60]


def labels_of(usage: Usage) -> list[dict[str, str]]:
    """The entries of an instance in `instances`: one for each availability group."""
    own = {"sql_instance": usage.instance.sql_instance, "host": usage.instance.host}
    groups = sorted({database.ag for database in usage.databases if database.ag})
    return [own | {"ag": group} for group in groups] or [own]


def _is_covered(version: KeyVersion, usages: list[Usage], hand_written: HandWritten, plan: Plan) -> bool:
    servers = [usage.instance.server_name for usage in usages]
    same_key = [one for one in hand_written.targets if names_key(one, version)]
    for target in same_key:
        if pinned_version(target) == version:
            plan.covered.setdefault(f"target {target.name} ({target.where})", []).extend(servers)
            _report_unlisted(target, usages, plan.findings)
            return True
    for target in same_key:
        pinned = target.key_version or "no version"
        for usage in usages:
            if _lists(target, usage.instance):
                text = f"target {target.name} ({target.where}) has {pinned}, but SQL Server uses {version.name}/{version.version}"
                plan.findings.gap(f"{text}: correct its key", usage.instance.server_name)
    return False


def _report_unlisted(target: HandWrittenTarget, usages: list[Usage], findings: Findings) -> None:
    for usage in usages:
        if target.thumbprint not in (None, usage.key.thumbprint):
            text = f"target {target.name} ({target.where}) has thumbprint {target.thumbprint}, but SQL Server has {usage.key.thumbprint}"
            findings.gap(f"{text}: correct it", usage.instance.server_name)
        if not _lists(target, usage.instance):
            text = f"target {target.name} ({target.where}) covers the key, but does not list the server in instances"
            findings.gap(text, usage.instance.server_name)


def _lists(target: HandWrittenTarget, instance: Instance) -> bool:
    return any(match_entry(entry, instance.names) is Match.CERTAIN for entry in target.instances)


def _named(groups: Sequence[tuple[KeyVersion, str]], names: Mapping[str, str], reserved: set[str]) -> dict[str, str]:
    found = {one: names[one] for one in (identity(*group) for group in groups) if one in names and names[one] not in reserved}
    taken = reserved | set(found.values())
    for version, credential in groups:
        one = identity(version, credential)
        if one in found:
            continue
        stem = f"{short_vault(version.vault)}-{version.name}"
        longer = (f"{stem}-{version.version[:length]}" for length in (8, 32))
        digest = hashlib.sha256(one.encode()).hexdigest()[:8]
        found[one] = next(name for name in (stem, *longer, f"{stem}-{digest}") if name not in taken)
        taken.add(found[one])
    return found


def planned_credential(usage: Usage, servers: tuple[str, ...]) -> PlannedCredential:
    """Return the credential of a usage, as the files declare it."""
    one = usage.credential
    return PlannedCredential(name=credential_name(usage), sql_name=one.name, managed=is_managed(one), servers=servers)


def _target(name: str, version: KeyVersion, usages: list[Usage], findings: Findings) -> PlannedTarget:
    servers = tuple(sorted({usage.instance.server_name for usage in usages}))
    entries = {tuple(entry.items()): entry for usage in usages for entry in labels_of(usage)}
    thumbprints = sorted({usage.key.thumbprint for usage in usages})
    if len(thumbprints) > 1:
        text = f"target {name}: SQL Servers have the key under several thumbprints ({', '.join(thumbprints)})"
        findings.gap(f"{text}: those of one availability group must be equal", *servers)
    return PlannedTarget(
        name=name,
        version=version,
        thumbprint=thumbprints[0],
        credential=planned_credential(usages[0], servers),
        generation=_generation(name, usages, findings),
        instances=tuple(entries[key] for key in sorted(entries)),
        databases={
            usage.instance.server_name: tuple(database.name for database in usage.databases)
            for usage in sorted(usages, key=lambda usage: usage.instance.server_name)
        },
    )


def _generation(name: str, usages: list[Usage], findings: Findings) -> Generation:
    servers: dict[Generation | None, list[str]] = {}
    for usage in usages:
        provider = next((one for one in usage.instance.providers if one.name == usage.key.provider), None)
        known_by_version = provider is not None and usage.instance.platform != "linux"  # Linux has a provider of its own
        servers.setdefault(provider.generation if provider and known_by_version else None, []).append(usage.instance.server_name)
    known = [generation for generation in Generation if generation in servers]
    if len(known) == 1:
        return known[0]
    if known:
        text = f"target {name}: its SQL Servers have connectors of both generations; those listed here show the numbers 30xx"
        findings.gap(text, *servers[Generation.CLASSIC])
    else:
        findings.gap(f"target {name}: the connector's version is unknown; connector_generation is current", *servers[None])
    return Generation.CURRENT


def _report_replicas(instances: Sequence[Instance], findings: Findings) -> None:
    for group, server in sorted({replica for instance in instances for replica in instance.replicas}):
        if not any(is_same_server(server, instance.server_name) for instance in instances):
            findings.gap(f"{server} has replicas of availability group {group}, but was not read")


def with_retained(
    targets: Sequence[PlannedTarget], instances: Iterable[Instance], uris: KeyUris, hand_written: HandWritten, findings: Findings
) -> list[PlannedTarget]:
    """Return the targets, each with the versions that its servers still have although they protect no database: old backups may need them.

    No view shows which backups do: `msdb` has no thumbprint of a database under TDE. What a target probes or a hand-written one retains is left
    out. A version that no target can retain is a note.
    """
    probed = {target.version for target in targets} | {one for target in hand_written.targets for one in target.retained}
    probed |= {KeyVersion(one.vault, one.key_name, one.key_version or "") for one in hand_written.targets}
    found: dict[str, dict[tuple[KeyVersion, str], RetainedKey]] = {}
    for instance, key, version, credential in (one for each in instances for one in _unused(each, uris)):
        if version in probed:
            continue
        server = instance.server_name
        target = _nearest(version, [one for one in targets if server in one.databases])
        own = None if target is None or target.version.vault == version.vault else credential
        if target is None or (own is None and target.version.vault != version.vault):
            findings.note(f"{version.uri} protects no database, and no target retains it: old backups may need it", server)
            continue
        group = (version, "" if own is None else own.name)
        _add(found.setdefault(target.name, {}), group, RetainedKey(version=version, credential=own, keys={server: (key,)}))
    return [
        replace(target, retained=tuple(one for _, one in sorted(found.get(target.name, {}).items(), key=lambda pair: pair[0])))
        for target in targets
    ]


def _unused(instance: Instance, uris: KeyUris) -> Iterator[tuple[Instance, str, KeyVersion, PlannedCredential | None]]:
    """Yield the names of the keys that protect no database, each with its version and the credential of its login in that vault."""
    used = {key.thumbprint for key in used_keys(instance)}
    for key in instance.keys:
        version = uris.version_of(instance, key) if key.thumbprint not in used else None
        if version is None or key_name_findings(version.name):
            continue
        credential = None
        if credentials_of(instance, key):
            paired = pair(instance, key, version.vault).credential
            if vault_of(paired) == version.vault:
                credential = planned_credential(Usage(instance, key, version, paired, ()), (instance.server_name,))
        yield instance, key.name, version, credential


def _nearest(version: KeyVersion, targets: Sequence[PlannedTarget]) -> PlannedTarget | None:
    """Return the target of the same key, otherwise of the same vault, otherwise any."""

    def distance(target: PlannedTarget) -> tuple[bool, bool, str]:
        there = target.version
        return there.vault != version.vault, there.name.lower() != version.name.lower(), target.name

    return min(targets, key=distance, default=None)


def _add(found: dict[tuple[KeyVersion, str], RetainedKey], group: tuple[KeyVersion, str], one: RetainedKey) -> None:
    """Add a key to those of the same version. Replicas have the same one, and one server may have two."""
    known = found.get(group)
    if known is None:
        found[group] = one
        return
    ((server, names),) = one.keys.items()
    credential = one.credential
    if credential is not None and known.credential is not None:
        credential = replace(credential, servers=tuple(sorted({*credential.servers, *known.credential.servers})))
    found[group] = replace(known, credential=credential, keys={**known.keys, server: (*known.keys.get(server, ()), *names)})


# The name of a host becomes that of a folder. A server answers with its own name, so a forged one must not lead out of the folder.
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?")


@dataclass(frozen=True, slots=True)
class WrittenHosts:
    """The hosts in the operator's own files, in lower case: of one SQL Server, by its address in lower case, and of any."""

    by_address: Mapping[str, str] = field(default_factory=dict)
    of_any: Collection[str] = ()


def instances_by_host(
    instances: Iterable[Instance], findings: Findings, written: WrittenHosts | None = None
) -> dict[str, list[Instance]]:
    """Return the instances that run on each host, or can.

    A SQL Server answers with its hosts, so one counts if it was asked under that name, or if the operator wrote it. Those whose hosts are
    unknown are in the findings.
    """
    written = written or WrittenHosts()
    found: dict[str, list[Instance]] = {}
    for instance in instances:
        server = instance.server_name
        if not instance.uses_provider:
            continue
        if instance.platform == "linux":
            findings.note("runs on Linux, which install-hosts.ps1 does not reach, so it is on no host of --per-host", server)
        elif not instance.nodes:
            cause = instance.errors.get(NODES, "the section nodes is empty")
            text = "runs in a failover cluster whose nodes are unknown, so it is on no host of --per-host"
            findings.gap(f"{text} (needs VIEW SERVER PERFORMANCE STATE, before 2022 VIEW SERVER STATE): {cause}", server)
        hosts = dict.fromkeys(_hosts(instance, written, findings)) if instance.platform != "linux" else {}
        for host in hosts:
            found.setdefault(host, []).append(instance)
    return found


def _hosts(instance: Instance, written: WrittenHosts, findings: Findings) -> Iterator[str]:
    for node in instance.nodes:
        if not _HOST.fullmatch(node) or is_device(node):
            findings.gap(
                "the name of its computer is not fit for a folder, so it is on no host of --per-host", instance.server_name
            )
        elif host := _vouched(node, instance.address, written):
            yield host
        else:
            text = f"read as {printable(instance.address)}, it names the host {node}, which you did not, so it is not on that host of --per-host"
            findings.gap(f"{text}: if that is right, write {node} in the file of --hosts", instance.server_name)


def _vouched(node: str, address: str, written: WrittenHosts) -> str:
    """Return the host that a name of the operator means, empty if none does: the domain is never the server's own."""
    label = "" if is_numeric(node) else node.partition(".")[0]
    for name in (asked_host(address, label), written.by_address.get(address.lower(), ""), *written.of_any):
        if name == node or (name and name.partition(".")[0] == label):
            return node if node == label else name
    return ""


def targets_of_host(targets: Iterable[PlannedTarget], instances: Sequence[Instance]) -> list[PlannedTarget]:
    """Return the targets that these instances use, with these instances alone."""
    servers = {instance.server_name for instance in instances}
    labels = {(instance.sql_instance, instance.host) for instance in instances}
    return [
        replace(
            target,
            instances=tuple(one for one in target.instances if (one["sql_instance"], one["host"]) in labels),
            credential=replace(target.credential, servers=tuple(one for one in target.credential.servers if one in servers)),
            databases={server: names for server, names in target.databases.items() if server in servers},
        )
        for target in targets
        if servers & target.databases.keys()
    ]


_VAULT_NAME = re.compile(r"[A-Za-z0-9-]{1,127}")


@dataclass(slots=True)
class Search:
    """What to look for in one vault.

    `wanted` has the name in SQL Server for each public key. `named` has versions by key name: a vault that refuses the list
    still returns these, and the newest of each name.
    """

    wanted: dict[str, str] = field(default_factory=dict)
    named: dict[str, set[str]] = field(default_factory=dict)
    servers: dict[str, None] = field(default_factory=dict)


def plan_searches(instances: Iterable[Instance], uris: KeyUris, hand_written: Iterable[HandWrittenTarget]) -> dict[str, Search]:
    """Return a search for each vault with a key in use whose version is unknown or ambiguous."""
    found: dict[str, Search] = {}
    for instance in instances:
        for key in used_keys(instance):
            if not key.public_key or uris.version_of(instance, key) is not None:
                continue
            for vault in sorted({vault for one in credentials_of(instance, key) if (vault := vault_of(one)) is not None}):
                search = found.setdefault(vault, Search())
                search.wanted.setdefault(key.public_key, key.name)
                search.servers[instance.server_name] = None
                if _VAULT_NAME.fullmatch(key.name):  # the DBA may have given both the same name
                    search.named.setdefault(key.name, set())
    for vault, search in found.items():
        for version in uris.versions_in(vault):
            search.named.setdefault(version.name, set()).add(version.version)
        for target in hand_written:
            if target.vault == vault:
                search.named.setdefault(target.key_name, set()).update([target.key_version] if target.key_version else [])
    return found


@dataclass(slots=True)
class SearchResult:
    """Key versions by SQL Server's public key. `failure` is why the vault was not searched to the end.

    `compared` and `refused` count key versions. Without `listed`, the vault refused the list.
    """

    matches: dict[str, set[KeyVersion]] = field(default_factory=dict)
    compared: int = 0
    refused: int = 0
    listed: bool = True
    failure: str = ""

    @property
    def found(self) -> dict[str, KeyVersion]:
        """The public keys with one version. An imported key may be in a vault twice."""
        return {public_key: next(iter(those)) for public_key, those in self.matches.items() if len(those) == 1}


def report_search(vault: str, search: Search, result: SearchResult, findings: Findings, elsewhere: Collection[str] = ()) -> None:
    """Add what the search brought: a gap if a public key was found not here, and by `elsewhere` not in another vault."""
    text = f"vault {vault}: {result.compared} key versions compared by their public keys"
    if not result.listed:
        text += ", the newest and the named ones only: it refuses the list (permission list)"
    if result.refused:
        text += f"; {result.refused} refused (permission get)"
    if result.failure:
        text += f"; {result.failure}"
    found = {*result.found, *elsewhere}
    missing = {public_key: name for public_key, name in search.wanted.items() if public_key not in found}
    for public_key, name in sorted(missing.items(), key=lambda one: one[1]):
        several = sorted(f"{version.name}/{version.version}" for version in result.matches.get(public_key, ()))
        what = f"several have that of [{name}]: {', '.join(several)}" if several else f"none has that of [{name}]"
        findings.gap(f"{text}; {what}", *search.servers)
    if not missing:
        add = findings.gap if result.failure else findings.note
        add(f"{text}; each was found", *search.servers)
