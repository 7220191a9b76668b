"""Targets and credentials of a configuration from what instances use, old versions included; the targets of each host; searches for public keys."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter, itemgetter

from exporter.core import grouped
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
    by_server = grouped((one.instance.server_name, (one.key.thumbprint, one.version)) for one in usages)
    plan.versions = {server: dict(versions) for server, versions in by_server.items()}
    groups = grouped(((one.version, credential_name(one)), one) for one in usages)
    left = {group: those for group, those in groups.items() if not _is_covered(group[0], those, hand_written, plan)}
    plan.names = _named(sorted(left), names, {target.name for target in hand_written.targets})
    for group in sorted(left):
        plan.targets.append(_target(plan.names[identity(*group)], group[0], left[group], plan.findings))
    for ag, server in sorted({replica for instance in instances for replica in instance.replicas}):
        if not any(is_same_server(server, instance.server_name) for instance in instances):
            plan.findings.gap(f"{server} has replicas of availability group {ag}, but was not read")
    return plan


def identity(version: KeyVersion, credential: str) -> str:
    """What makes a target the same target in the next run."""
    return f"{version.vault}/{version.name}/{version.version} {credential}"


def credential_name(usage: Usage) -> str:
    """Name of the credential in the configuration, from the vault's and SQL Server's.

    SQL Servers and the files of Windows ignore the case. A SQL Server that does not may have two names which differ in case alone.
    """
    own, stem = usage.credential.name, short_vault(usage.version.vault)
    if is_managed(usage.credential):
        return f"{stem}-managed-identity"
    is_shared = any(one.name.lower() == own.lower() and one.name != own for one in usage.instance.credentials)
    name = own if is_shared else own.lower()
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", own.lower()).strip("-")[:48]
    digest = "" if slug == name and not is_shared else f"-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return f"{stem}-{slug or 'credential'}{digest}"


def short_vault(vault: str) -> str:
    """Return the vault's name without the public cloud's domain, fit for names and files."""
    return vault.removesuffix(f".{CLOUDS[0].domain}").replace(":", "_")[:60]


def labels_of(usage: Usage) -> list[dict[str, str]]:
    """The entries of an instance in `instances`: one for each availability group."""
    own = {"sql_instance": usage.instance.sql_instance, "host": usage.instance.host}
    return [own | {"ag": group} for group in sorted({database.ag for database in usage.databases if database.ag})] or [own]


def _is_covered(version: KeyVersion, usages: list[Usage], hand_written: HandWritten, plan: Plan) -> bool:
    """Whether a hand-written target has this key version, with a gap for each server that contradicts one of the same key."""
    same_key = [one for one in hand_written.targets if names_key(one, version)]
    covering = next((one for one in same_key if pinned_version(one) == version), None)
    for target in same_key if covering is None else [covering]:
        where = f"target {target.name} ({target.where})"
        if target is covering:
            plan.covered.setdefault(where, []).extend(usage.instance.server_name for usage in usages)
        for usage in usages:
            is_listed = any(match_entry(entry, usage.instance.names) is Match.CERTAIN for entry in target.instances)
            used = f"{usage.version.name}/{usage.version.version}"
            other = f"has thumbprint {target.thumbprint}, but SQL Server has {usage.key.thumbprint}: correct it"
            contradictions = {
                other: target is covering and target.thumbprint not in (None, usage.key.thumbprint),
                "covers the key, but does not list the server in instances": target is covering and not is_listed,
                f"has {target.key_version or 'no version'}, but SQL Server uses {used}: correct its key": is_listed
                and target is not covering,
            }
            for text in (text for text, applies in contradictions.items() if applies):
                plan.findings.gap(f"{where} {text}", usage.instance.server_name)
    return covering is not None


def _named(groups: Sequence[tuple[KeyVersion, str]], names: Mapping[str, str], reserved: set[str]) -> dict[str, str]:
    found = {one: names[one] for one in (identity(*group) for group in groups) if one in names and names[one] not in reserved}
    taken = reserved | set(found.values())
    for version, credential in groups:
        one, stem = identity(version, credential), f"{short_vault(version.vault)}-{version.name}"
        if one not in found:
            endings = (
                "",
                f"-{version.version[:8]}",
                f"-{version.version[:32]}",
                f"-{hashlib.sha256(one.encode()).hexdigest()[:8]}",
            )
            found[one] = next(stem + ending for ending in endings if stem + ending not in taken)
            taken.add(found[one])
    return found


def planned_credential(usage: Usage, servers: tuple[str, ...]) -> PlannedCredential:
    """Return the credential of a usage, as the files declare it."""
    one = usage.credential
    return PlannedCredential(name=credential_name(usage), sql_name=one.name, managed=is_managed(one), servers=servers)


def _target(name: str, version: KeyVersion, usages: list[Usage], findings: Findings) -> PlannedTarget:
    databases = {usage.instance.server_name: tuple(database.name for database in usage.databases) for usage in usages}
    entries = {tuple(entry.items()): entry for usage in usages for entry in labels_of(usage)}
    thumbprints = sorted({usage.key.thumbprint for usage in usages})
    servers = tuple(sorted(databases))
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
        databases={server: databases[server] for server in servers},
    )


def _generation(name: str, usages: list[Usage], findings: Findings) -> Generation:
    # Linux has a provider of its own.
    providers = [(each, () if each.instance.platform == "linux" else each.instance.providers) for each in usages]
    servers = grouped(
        (next((one.generation for one in those if one.name == each.key.provider), None), each.instance.server_name)
        for each, those in providers
    )
    known = [generation for generation in Generation if generation in servers]
    if len(known) == 1:
        return known[0]
    if known:
        text = f"target {name}: its SQL Servers have connectors of both generations; those listed here show the numbers 30xx"
        findings.gap(text, *servers[Generation.CLASSIC])
    else:
        findings.gap(f"target {name}: the connector's version is unknown; connector_generation is current", *servers[None])
    return Generation.CURRENT


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
    for server, key, version, credential in (one for each in instances for one in _unused(each, uris) if one[2] not in probed):
        # That of the same key, otherwise of the same vault, otherwise any.
        target = min(
            (one for one in targets if server in one.databases),
            key=lambda one: (one.version.vault != version.vault, one.version.name.lower() != version.name.lower(), one.name),
            default=None,
        )
        is_foreign = target is not None and target.version.vault != version.vault
        own = credential if is_foreign else None
        if target is None or (is_foreign and own is None):
            findings.note(f"{version.uri} protects no database, and no target retains it: old backups may need it", server)
        else:
            retained = RetainedKey(version=version, credential=own, keys={server: (key,)})
            _add(found.setdefault(target.name, {}), (version, "" if own is None else own.name), retained)
    return [
        replace(each, retained=tuple(one for _, one in sorted(found.get(each.name, {}).items(), key=itemgetter(0))))
        for each in targets
    ]


def _unused(instance: Instance, uris: KeyUris) -> Iterator[tuple[str, str, KeyVersion, PlannedCredential | None]]:
    """Yield server and name of the keys that protect no database, each with its version and the credential of its login in that vault."""
    used, server = {key.thumbprint for key in used_keys(instance)}, instance.server_name
    for key in instance.keys:
        version = uris.version_of(instance, key) if key.thumbprint not in used else None
        if version is None or key_name_findings(version.name):
            continue
        paired = pair(instance, key, version.vault).credential if credentials_of(instance, key) else None
        is_of_vault = paired is not None and vault_of(paired) == version.vault
        usage = Usage(instance, key, version, paired, ()) if paired is not None and is_of_vault else None
        yield server, key.name, version, None if usage is None else planned_credential(usage, (server,))


def _add(found: dict[tuple[KeyVersion, str], RetainedKey], group: tuple[KeyVersion, str], one: RetainedKey) -> None:
    """Add a key to those of the same version. Replicas have the same one, and one server may have two."""
    known, credential = found.get(group, one), one.credential
    ((server, names),) = one.keys.items()
    if credential is not None and known.credential is not None:
        credential = replace(credential, servers=tuple(sorted({*credential.servers, *known.credential.servers})))
    keys = one.keys if known is one else {**known.keys, server: (*known.keys.get(server, ()), *names)}
    found[group] = replace(known, credential=credential, keys=keys)


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
    found: dict[str, list[Instance]] = {}
    for instance in filter(attrgetter("uses_provider"), instances):
        if instance.platform == "linux":
            text = "runs on Linux, which install-hosts.ps1 does not reach, so it is on no host of --per-host"
            findings.note(text, instance.server_name)
            continue
        if not instance.nodes:
            text = "runs in a failover cluster whose nodes are unknown, so it is on no host of --per-host"
            cause = instance.errors.get(NODES, "the section nodes is empty")
            needed = "needs VIEW SERVER PERFORMANCE STATE, before 2022 VIEW SERVER STATE"
            findings.gap(f"{text} ({needed}): {cause}", instance.server_name)
        for host in dict.fromkeys(_hosts(instance, written or WrittenHosts(), findings)):
            found.setdefault(host, []).append(instance)
    return found


def _hosts(instance: Instance, written: WrittenHosts, findings: Findings) -> Iterator[str]:
    for node in instance.nodes:
        # The name of a host becomes that of a folder. A server answers with its own name, so a forged one must not lead out of the folder.
        if not re.fullmatch(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?", node) or is_device(node):
            text = "the name of its computer is not fit for a folder, so it is on no host of --per-host"
        elif host := _vouched(node, instance.address, written):
            yield host
            continue
        else:
            text = (
                f"read as {printable(instance.address)}, it names the host {node}, which you did not, so it is not on that host of "
                f"--per-host: if that is right, write {node} in the file of --hosts"
            )
        findings.gap(text, instance.server_name)


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


@dataclass(slots=True)
class Search:
    """What to look for in one vault, and what was found there.

    `wanted` has the name in SQL Server for each public key. `named` has versions by key name: a vault that refuses the list
    still returns these, and the newest of each name. `matches` has key versions by public key; `compared` and `refused` count key versions.
    Without `listed`, the vault refused the list. `failure` is why it was not searched to the end.
    """

    vault: str
    wanted: dict[str, str] = field(default_factory=dict)
    named: dict[str, set[str]] = field(default_factory=dict)
    servers: dict[str, None] = field(default_factory=dict)
    matches: dict[str, set[KeyVersion]] = field(default_factory=dict)
    compared: int = 0
    refused: int = 0
    listed: bool = True
    failure: str = ""

    @property
    def found(self) -> dict[str, KeyVersion]:
        """The public keys with one version. An imported key may be in a vault twice."""
        return {public_key: next(iter(those)) for public_key, those in self.matches.items() if len(those) == 1}


def plan_searches(instances: Iterable[Instance], uris: KeyUris, hand_written: Iterable[HandWrittenTarget]) -> dict[str, Search]:
    """Return a search for each vault with a key in use whose version is unknown or ambiguous."""
    found: dict[str, Search] = {}
    for instance, key in [(each, key) for each in instances for key in used_keys(each)]:
        if not key.public_key or uris.version_of(instance, key) is not None:
            continue
        for vault in sorted({vault for one in credentials_of(instance, key) if (vault := vault_of(one)) is not None}):
            search = found.setdefault(vault, Search(vault))
            search.wanted.setdefault(key.public_key, key.name)
            search.servers[instance.server_name] = None
            if re.fullmatch(r"[A-Za-z0-9-]{1,127}", key.name):  # the DBA may have given both the same name
                search.named.setdefault(key.name, set())
    for vault, search in found.items():
        declared = [(target.key_name, target.key_version) for target in hand_written if target.vault == vault]
        for name, version in (*((one.name, one.version) for one in uris.versions_in(vault)), *declared):
            search.named.setdefault(name, set()).update([version] if version else [])
    return found


def report_search(search: Search, findings: Findings, elsewhere: Collection[str] = ()) -> None:
    """Add what the search brought: a gap if a public key was found not here, and by `elsewhere` not in another vault."""
    parts = {
        f"vault {search.vault}: {search.compared} key versions compared by their public keys": True,
        ", the newest and the named ones only: it refuses the list (permission list)": not search.listed,
        f"; {search.refused} refused (permission get)": search.refused,
        f"; {search.failure}": search.failure,
    }
    text = "".join(part for part, applies in parts.items() if applies)
    missing = {one: name for one, name in search.wanted.items() if one not in search.found and one not in elsewhere}
    for public_key, name in sorted(missing.items(), key=itemgetter(1)):
        several = sorted(f"{version.name}/{version.version}" for version in search.matches.get(public_key, ()))
        what = f"several have that of [{name}]: {', '.join(several)}" if several else f"none has that of [{name}]"
        findings.gap(f"{text}; {what}", *search.servers)
    if not missing:
        (findings.gap if search.failure else findings.note)(f"{text}; each was found", *search.servers)
