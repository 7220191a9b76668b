"""Targets and credentials of a configuration, from what instances use."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from exporter.core.endpoints import CLOUDS
from exporter.core.model import Generation
from exporter.tde.declared_targets import names_key, pinned_version
from exporter.tde.findings import Findings
from exporter.tde.identity import is_same_instance
from exporter.tde.key_uris import Established, KeyUris
from exporter.tde.model import Instance
from exporter.tde.pairing import is_managed
from exporter.tde.registry import KeyVersion, RegistryUri
from exporter.tde.usage import Usage, find_usages

Labels = Mapping[str, str]

_UNFIT = re.compile(r"[^A-Za-z0-9_-]+")


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
    """A key version that protects no database now, and that old backups may need.

    `credential` is None if the target's serves.
    """

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
            if any(_lists(target, entry) for entry in labels_of(usage)):
                text = f"target {target.name} ({target.where}) has {pinned}, but SQL Server uses {version.name}/{version.version}"
                plan.findings.gap(f"{text}: correct its key", usage.instance.server_name)
    return False


def _report_unlisted(target: HandWrittenTarget, usages: list[Usage], findings: Findings) -> None:
    for usage in usages:
        if target.thumbprint not in (None, usage.key.thumbprint):
            text = f"target {target.name} ({target.where}) has thumbprint {target.thumbprint}, but SQL Server has {usage.key.thumbprint}"
            findings.gap(f"{text}: correct it", usage.instance.server_name)
        if not any(_lists(target, entry) for entry in labels_of(usage)):
            text = f"target {target.name} ({target.where}) covers the key, but does not list the server in instances"
            findings.gap(text, usage.instance.server_name)


def _lists(target: HandWrittenTarget, entry: Labels) -> bool:
    """Whether the target names this SQL Server; labels that it lacks do not matter."""
    own = {name: value.lower() for name, value in entry.items()}
    return any(
        one.get("host", own["host"]).lower() == own["host"]
        and is_same_instance(one.get("sql_instance", own["sql_instance"]), own["sql_instance"], own["host"])
        for one in target.instances
    )


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
        servers.setdefault(provider.generation if provider is not None else None, []).append(usage.instance.server_name)
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
    read = {_without_domain(instance.server_name) for instance in instances}
    for group, server in sorted({replica for instance in instances for replica in instance.replicas}):
        if _without_domain(server) not in read:
            findings.gap(f"{server} has replicas of availability group {group}, but was not read")


def _without_domain(server: str) -> str:
    host, separator, instance = server.lower().partition("\\")
    return host.partition(".")[0] + separator + instance
