"""The chosen instances, the keys that they and the replicas of their groups need, and the targets that probe these keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from exporter.core import counted
from exporter.core.names import Match, is_same_server, match_entry
from exporter.core.quoting import plain, sql_name
from exporter.core.values import Vantage
from exporter.sqlserver.document import KeyVersion
from exporter.sqlserver.gate.conditions import Condition, GateReason, TargetState, reason, shown
from exporter.sqlserver.gate.inputs import Dependency, KnownInstance, Question
from exporter.sqlserver.instance import (
    CLOSED,
    EKM_OPTION,
    AsymmetricKey,
    Database,
    Findings,
    Instance,
    listed,
)
from exporter.sqlserver.keys import (
    GroupKeys,
    KeyUris,
    Usage,
    credentials_of,
    find_usages,
    keys_of_groups,
    new_credential,
    pair,
    used_keys,
)


def inside_reasons(instance: Instance, usages: Iterable[Usage], question: Question) -> Iterator[GateReason]:
    """Yield a reason if no EKM provider, or not that of a key in use, may be used, or if that is not known."""
    server = instance.server_name
    if instance.ekm is None and (instance.uses_provider or instance.foreign):
        yield from unknown("configurations", f"whether the option '{EKM_OPTION}' is set is unknown", instance, question)
    elif instance.ekm is not None and instance.ekm.fault and (instance.uses_provider or instance.foreign):
        databases = counted(sum(len(one.databases) for one in usages), "database")
        yield reason("ekm_disabled", server=server, state=instance.ekm.fault, databases=databases)
    off = {one.name for one in instance.providers if not one.enabled}
    for usage in (each for each in usages if each.key.provider in off):
        provider, databases = sql_name(usage.key.provider, "PROVIDER"), counted(len(usage.databases), "database")
        yield reason("provider_disabled", provider=provider, server=server, databases=databases)


def notes_of(instance: Instance) -> Iterator[str]:
    """Yield what the answer does not cover: keys of other stores, and databases whose key SQL Server does not show."""
    for provider, count in instance.foreign.items():
        yield shown(
            f"{instance.server_name}: provider [{provider}] is not of Azure Key Vault: {counted(count, 'key')} not covered"
        )
    hidden = [f"{one.name} ({one.state})" for one in instance.databases if one.hidden and one.state not in CLOSED]
    if hidden and instance.uses_provider:
        yield shown(f"{instance.server_name}: SQL Server does not show the keys of databases that are not open: {listed(hidden)}")


def unknown(section: str, gap: str, instance: Instance, question: Question) -> Iterator[GateReason]:
    """Yield a gap, unless the section's own error is one already."""
    if section not in instance.errors:
        yield reason("inventory_gap", servers=instance.server_name, gap=gap, **question.paths)


# Without these sections, keys or databases may be missing. Versions of DLLs do not matter here.
NEEDED = frozenset({"providers", "credentials", "keys", "logins", "encryption", "databases", "configurations", "start"})


def choose(question: Question, known: Sequence[KnownInstance]) -> tuple[list[KnownInstance], list[GateReason]]:
    """Return the instances that restart, and a reason for each name that is not known."""
    if question.every:
        return list(known), [] if known else [not_read("any instance", question)]
    if question.group is not None:
        return _choose_group(question.group, question, known)
    chosen, reasons = [], []
    for name in question.instances:
        found = [one for one in known if any(is_same_server(name, own) for own in _names(one.instance))]
        reasons += [] if found else [not_read(f"instance {name}", question)]
        chosen += [one for one in found if one not in chosen]
    return chosen, reasons


def find_dependencies(
    question: Question, chosen: Iterable[Instance], known: Sequence[Instance], uris: KeyUris
) -> tuple[list[Usage], dict[GateReason, list[str]]]:
    """Return every key that the instances use, and what stands in the way inside SQL Server or is not known of it, with its servers."""
    findings = Findings()
    instances = [  # without what happened to sections that do not matter here
        replace(
            one,
            errors={name: text for name, text in one.errors.items() if name in needed},
            kept={name: each for name, each in one.kept.items() if name in needed},
        )
        for one in chosen
        for needed in (needed_sections(one, question) | {"instance"},)
    ]
    usages = find_usages(instances, uris, findings, known)
    reasons = {
        reason(
            findings.kinds.get(text, "inventory_gap"),
            servers=listed(servers),
            gap=text,
            **question.paths,
        ): servers
        for text, servers in findings.gaps.items()
        if findings.kinds.get(text) != "key_not_on_replica"  # which ReplicaKeys finds on every replica
    }
    for instance in instances:
        for each in inside_reasons(instance, [one for one in usages if one.instance is instance], question):
            reasons.setdefault(each, []).append(instance.server_name)
    columns = [] if question.vault_side else [each for one in instances for each in _for_columns(one, uris)]
    usages += [each for each in columns if isinstance(each, Usage)]
    return usages, reasons | {each: [each.server] for each in columns if isinstance(each, GateReason)}


def _for_columns(instance: Instance, uris: KeyUris) -> Iterator[Usage | GateReason]:
    """Yield the key that columns of an instance may need if none of its databases needs one, or why that is not known.

    The exporter sees no key of a user database. Without a credential, no key of a provider can be used.
    """
    if (
        not (instance.keys or instance.credentials)
        or used_keys(instance)
        or any(one.thumbprint or one.hidden for one in instance.databases)
    ):
        return
    keys, of_credentials = instance.keys, [one.provider for one in instance.credentials]
    version = uris.version_of(instance, keys[0]) if len(keys) == 1 else None
    if version is not None and of_credentials == [keys[0].provider]:
        yield Usage(instance, keys[0], version, instance.credentials[0], ())
    else:
        cause = (
            f"master has {counted(len(keys), 'key')} and {counted(len(of_credentials), 'credential')} of a provider, keys of user databases are "
            "not read, and a recorded call proves one key, whose KeyUri is known, with one credential"
        )
        yield replace(reason("columns_not_proven", server=instance.server_name, cause=cause), server=instance.server_name)


def needed_sections(instance: Instance, question: Question) -> frozenset[str]:
    return NEEDED | {"replicas"} if question.group is not None or any(each.ag for each in instance.databases) else NEEDED


def match(usage: Usage, same_key: Sequence[TargetState], question: Question) -> tuple[Dependency, list[GateReason]]:
    """Return the targets that probe the key for this instance, from those of its key version, or why there is none."""
    named = tuple(one for one in same_key if lists(one, usage.instance))
    found = tuple(one for one in named if not one.answers_nothing) or named
    condition: Condition = (
        "server_not_listed" if same_key else "column_key_without_target" if usage.is_for_columns else "key_without_target"
    )
    about = {
        "key": usage.version.uri,
        "servers": usage.instance.server_name,
        **question.paths,
        "target": listed(f"target {one.name}" for one in same_key),
        "databases": counted(len(usage.databases), "database"),
    }
    return Dependency(usage, found), [] if found else [reason(condition, **about)]


def not_read(name: str, question: Question) -> GateReason:
    return reason("instance_not_read", name=name, **question.paths)


def _names(instance: Instance) -> set[str]:
    """Return the names that a client may use: with the server, with the host, and the instance alone."""
    names = {instance.sql_instance, *(() if "\\" in instance.server_name else instance.names.labels)}
    return {instance.server_name, *names, *(f"{instance.host}\\{name}" for name in names)}


def _choose_group(group: str, question: Question, known: Sequence[KnownInstance]) -> tuple[list[KnownInstance], list[GateReason]]:
    instances = [one.instance for one in known]
    servers = sorted({server for one in instances for name, server in one.replicas if name.lower() == group.lower()})
    members = [_members(server, group, instances) for server in servers]
    with_database = [one for one in instances if any(each.ag.lower() == group.lower() for each in one.databases)]
    wanted = {one.server_name for found in (*members, with_database) for one in found}
    chosen = [one for one in known if one.server in wanted]
    missing = [
        not_read(f"{server}, a replica of {group}", question) for server, found in zip(servers, members, strict=True) if not found
    ]
    return chosen, missing if chosen or missing else [not_read(f"availability group {group}", question)]


def _members(server: str, group: str, instances: Iterable[Instance]) -> list[Instance]:
    """Return the instances that a replica's name may mean: of two domains, those that know the group or may know it."""
    same = [one for one in instances if is_same_server(one.server_name, server)]
    return [
        one
        for one in same
        if "replicas" in one.errors
        or group.lower() in {name.lower() for name in (*(name for name, _ in one.replicas), *(each.ag for each in one.databases))}
    ] or same


def lists(target: TargetState, instance: Instance, *, doubt: bool = False) -> bool:
    """Whether the target names this SQL Server; with `doubt`, whether it may.

    Without a host, an entry of an exporter on a SQL Server's host means those that it answers for.
    """
    found = [(entry, match_entry(entry, instance.names)) for entry in target.instances]
    is_there = target.vantage is Vantage.SQL_HOST and not (instance.names.has_twin or instance.names.contested)
    return any(
        matched is Match.CERTAIN or (matched and (doubt or (is_there and not entry.get("host") and "sql_instance" in entry)))
        for entry, matched in found
    )


# The keys of availability groups: each replica needs them before databases move there.


@dataclass(frozen=True, slots=True)
class _Need:
    """A key that each replica of a group needs, as the replica `holder` has it. `key` and `version` are None if they are unknown."""

    holder: Instance
    thumbprint: str
    key: AsymmetricKey | None
    version: KeyVersion | None
    databases: tuple[Database, ...]

    def __str__(self) -> str:
        names = listed(f"[{each.name}]" for each in self.databases)
        return f"{'database' if len(self.databases) == 1 else 'databases'} {names} of availability group {self.databases[0].ag}"


class ReplicaKeys:
    """The replicas of the chosen instances' groups that do not restart, the keys that they need, and what stands in the way on any replica."""

    def __init__(
        self, chosen: Sequence[KnownInstance], known: Sequence[KnownInstance], uris: KeyUris, question: Question
    ) -> None:
        self._uris, self._question = uris, question
        self.usages: list[Usage] = []
        self.reasons: list[GateReason] = []
        groups, taken = keys_of_groups(one.instance for one in known), {one.server for one in chosen}
        others = dict[str, KnownInstance]()
        for one in chosen:
            for group in sorted({each.ag for each in one.instance.databases if each.ag}):
                members, missing = _other_replicas(one.instance, group, known)
                self.reasons += [not_read(f"{name}, a replica of {group}", question) for name in missing]
                others |= {each.server: each for each in members if each.server not in taken}
                needs = list(_needs(group, [each.instance for each in (one, *members)], groups, uris))
                for each in (one, *members):
                    self._check(each.instance, needs, is_chosen=each.server in taken)
        self.replicas: list[KnownInstance] = list(others.values())

    def _add(self, instance: Instance, gap: str, condition: Condition = "inventory_gap") -> None:
        self.reasons.append(reason(condition, servers=instance.server_name, gap=gap, **self._question.paths))

    def _check(self, instance: Instance, needs: Iterable[_Need], *, is_chosen: bool) -> None:
        """Add what a replica lacks. The keys that a chosen instance uses are checked with it."""
        own = {key.thumbprint: key for key in instance.keys}
        checked = {key.thumbprint for key in used_keys(instance)} if is_chosen else set()
        usages = []
        for need in needs:
            key = own.get(need.thumbprint)
            if "keys" in instance.errors:
                if not is_chosen:
                    self._add(instance, f"whether it has the key of {need} is unknown: {instance.errors['keys']}")
            elif key is None:
                self.reasons.append(_missing(instance, need))
            elif need.thumbprint not in checked:
                usages += self._usage(instance, key, need)
        if usages:
            self.reasons += inside_reasons(instance, usages, self._question)
            self.usages += [] if is_chosen else usages

    def _usage(self, instance: Instance, key: AsymmetricKey, need: _Need) -> list[Usage]:
        """Return the replica's key in use, none if its version or credential is unknown; add what is wrong with its credential."""
        about = f"key [{key.name}] ({key.thumbprint}) of {need}"
        if not credentials_of(instance, key):
            text = f"{about}: no credential of its provider belongs to its login"
            if "credentials" in instance.errors:
                self._add(instance, f"{text}, as far as is known: {instance.errors['credentials']}")
            else:
                self._add(instance, f"{text}: {new_credential(key)}", "credential_missing")
            return []
        version = self._uris.version_of(instance, key) or need.version  # its own registry may be unknown
        pairing = pair(instance, key, None if version is None else version.vault)
        if pairing.kind is not None:
            self._add(instance, f"{about}: {pairing.problem}", pairing.kind)
        return [] if version is None else [Usage(instance, key, version, pairing.credential, need.databases)]


def _other_replicas(instance: Instance, group: str, known: Sequence[KnownInstance]) -> tuple[list[KnownInstance], list[str]]:
    """Return the other replicas that were read, and the names of those that were not. Another cluster may have a group of this name.

    A replica that one of them names is one, too.
    """
    found, missing = [], []
    listing = (instance, *(one.instance for one in known if _shows_replica(one.instance, instance, group)))
    names = {
        server.lower(): server for one in reversed(listing) for each, server in one.replicas if each.lower() == group.lower()
    }
    for name in sorted(each for each in names.values() if not is_same_server(each, instance.server_name)):
        same = [(one, _shows_replica(one.instance, instance, group)) for one in known if is_same_server(name, one.server)]
        # Of two domains with the name, the one that lists this server is the replica.
        members = [one for one, is_listed in same if is_listed] or [one for one, is_listed in same if is_listed is None]
        found += members
        missing += [] if members else [name]
    return found, missing


def _shows_replica(other: Instance, instance: Instance, group: str) -> bool | None:
    """Whether a server lists this one as a replica of the group, None if it shows no such group."""
    servers = [server for name, server in other.replicas if name.lower() == group.lower()]
    return any(is_same_server(server, instance.server_name) for server in servers) if servers else None


def _needs(group: str, members: Iterable[Instance], groups: GroupKeys, uris: KeyUris) -> Iterator[_Need]:
    """Yield each key that protects a database of the group on a replica."""
    by_name = {one.server_name: one for one in members}
    found: dict[str, tuple[Instance, dict[str, Database]]] = {}
    for (name, database), thumbprints in groups.items():
        for server, thumbprint in thumbprints.items() if name == group.lower() else ():
            if server in by_name:
                _, databases = found.setdefault(thumbprint, (by_name[server], {}))
                databases.setdefault(database, Database(name=database, state="", ag=group, thumbprint=thumbprint))
    for thumbprint, (holder, databases) in found.items():
        key = next((each for each in holder.keys if each.thumbprint == thumbprint), None)
        version = None if key is None else uris.version_of(holder, key)
        yield _Need(holder, thumbprint, key, version, tuple(databases.values()))


def _missing(instance: Instance, need: _Need) -> GateReason:
    key, version = need.key, need.version
    provider = next(iter(each.name for each in instance.providers), "" if key is None else key.provider)
    name = sql_name("" if key is None else key.name, "KEY")
    return reason(
        "key_not_on_replica",
        server=instance.server_name,
        thumbprint=need.thumbprint,
        databases=str(need),
        holder=need.holder.server_name,
        statement=f"CREATE ASYMMETRIC KEY {name} FROM PROVIDER {sql_name(provider, 'PROVIDER')} WITH PROVIDER_KEY_NAME = "
        f"'{'NAME/VERSION' if version is None else plain(f'{version.name}/{version.version}', 'NAME/VERSION')}', CREATION_DISPOSITION = OPEN_EXISTING; "
        f"CREATE LOGIN [LOGIN] FROM ASYMMETRIC KEY {name}; ALTER LOGIN [LOGIN] ADD CREDENTIAL [CREDENTIAL]",
    )
