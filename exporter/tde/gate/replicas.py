"""The keys of availability groups: each replica needs them before databases move there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from exporter.core.quoting import plain, sql_name
from exporter.tde.exporter_state import GateReason
from exporter.tde.findings import listed
from exporter.tde.gate.conditions import Condition, reason
from exporter.tde.gate.dependencies import disabled, not_read
from exporter.tde.gate.model import KnownInstance, Question
from exporter.tde.gate.sql_server import option_reasons
from exporter.tde.group_keys import GroupKeys, keys_of_groups
from exporter.tde.identity import is_same_server
from exporter.tde.key_uris import KeyUris
from exporter.tde.model import AsymmetricKey, Database, Instance
from exporter.tde.pairing import credentials_of, new_credential, pair
from exporter.tde.registry import KeyVersion
from exporter.tde.usage import Usage, used_keys


@dataclass(slots=True)
class ReplicaKeys:
    """The replicas that do not restart, the keys that they need, and what stands in the way on any replica."""

    replicas: list[KnownInstance] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    reasons: list[GateReason] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Need:
    """A key that each replica of a group needs, as the replica `holder` has it."""

    group: str
    thumbprint: str
    holder: Instance
    databases: tuple[Database, ...]


@dataclass(frozen=True, slots=True)
class _Search:
    """The versions of all keys, the question, and what was found so far."""

    uris: KeyUris
    question: Question
    found: ReplicaKeys = field(default_factory=ReplicaKeys)

    def add(self, instance: Instance, gap: str, condition: Condition = Condition.INVENTORY_GAP) -> None:
        self.found.reasons.append(reason(condition, servers=instance.server_name, gap=gap, folder=self.question.folder))


def find_replica_keys(
    chosen: Sequence[KnownInstance], known: Sequence[KnownInstance], uris: KeyUris, question: Question
) -> ReplicaKeys:
    """Return what the groups of the chosen instances need on each of their replicas."""
    search, taken = _Search(uris, question), {one.server for one in chosen}
    groups, others = keys_of_groups(one.instance for one in known), dict[str, KnownInstance]()
    for one in chosen:
        for group in sorted({each.ag for each in one.instance.databases if each.ag}):
            members, missing = _members(one.instance, group, known)
            search.found.reasons += [not_read(f"{name}, a replica of {group}", question) for name in missing]
            others |= {each.server: each for each in members if each.server not in taken}
            needs = list(_needs(group, [each.instance for each in (one, *members)], groups))
            for each in (one, *members):
                _check(each.instance, needs, search, is_chosen=each.server in taken)
    search.found.replicas += others.values()
    return search.found


def _members(instance: Instance, group: str, known: Iterable[KnownInstance]) -> tuple[list[KnownInstance], list[str]]:
    """Return the other replicas that were read, and the names of those that were not. Another cluster may have a group of this name."""
    found, missing = [], []
    for name in (server for each, server in instance.replicas if each.lower() == group.lower()):
        if is_same_server(name, instance.server_name):
            continue
        same = [(one, _lists(one.instance, instance, group)) for one in known if is_same_server(name, one.server)]
        # Of two domains with the name, the one that lists this server is the replica.
        members = [one for one, is_listed in same if is_listed] or [one for one, is_listed in same if is_listed is None]
        found += members
        missing += [] if members else [name]
    return found, missing


def _lists(other: Instance, instance: Instance, group: str) -> bool | None:
    """Whether a server lists this one as a replica of the group, None if it shows no such group."""
    servers = [server for name, server in other.replicas if name.lower() == group.lower()]
    return any(is_same_server(server, instance.server_name) for server in servers) if servers else None


def _needs(group: str, members: Sequence[Instance], groups: GroupKeys) -> Iterator[_Need]:
    """Yield each key that protects a database of the group on a replica."""
    by_name = {one.server_name: one for one in members}
    found: dict[str, tuple[Instance, dict[str, Database]]] = {}
    for (name, database), thumbprints in groups.items():
        for server, thumbprint in thumbprints.items() if name == group.lower() else ():
            if server in by_name:
                _, databases = found.setdefault(thumbprint, (by_name[server], {}))
                databases.setdefault(database, Database(name=database, state="", ag=group, thumbprint=thumbprint))
    for thumbprint, (holder, databases) in found.items():
        yield _Need(group, thumbprint, holder, tuple(databases.values()))


def _check(instance: Instance, needs: Iterable[_Need], search: _Search, *, is_chosen: bool) -> None:
    """Add what a replica lacks. The keys that a chosen instance uses are checked with it."""
    own = {key.thumbprint: key for key in instance.keys}
    checked = {key.thumbprint for key in used_keys(instance)} if is_chosen else set()
    usages = []
    for need in needs:
        key = own.get(need.thumbprint)
        if "keys" in instance.errors:
            if not is_chosen:
                search.add(instance, f"whether it has the key of {_named(need)} is unknown: {instance.errors['keys']}")
        elif key is None:
            search.found.reasons.append(_missing(instance, need, search.uris))
        elif need.thumbprint not in checked:
            usages += _usage(instance, key, need, search)
    if usages:
        search.found.reasons += [*option_reasons(instance, usages, search.question.folder), *disabled(usages)]
        search.found.usages += [] if is_chosen else usages


def _usage(instance: Instance, key: AsymmetricKey, need: _Need, search: _Search) -> list[Usage]:
    """Return the replica's key in use, none if its version or credential is unknown; add what is wrong with its credential."""
    about = f"key [{key.name}] ({key.thumbprint}) of {_named(need)}"
    if not credentials_of(instance, key):
        text = f"{about}: no credential of its provider belongs to its login"
        if "credentials" in instance.errors:
            search.add(instance, f"{text}, as far as is known: {instance.errors['credentials']}")
        else:
            search.add(instance, f"{text}: {new_credential(key)}", Condition.CREDENTIAL_MISSING)
        return []
    version = _version(instance, key, need, search.uris)
    pairing = pair(instance, key, None if version is None else version.vault)
    if pairing.kind is not None:
        search.add(instance, f"{about}: {pairing.problem}", Condition(pairing.kind))
    return [] if version is None else [Usage(instance, key, version, pairing.credential, need.databases)]


def _version(instance: Instance, key: AsymmetricKey, need: _Need, uris: KeyUris) -> KeyVersion | None:
    """Return the key's version, from the holder if the replica's own registry is unknown."""
    holders = (each for each in need.holder.keys if each.thumbprint == need.thumbprint)
    return uris.version_of(instance, key) or next((uris.version_of(need.holder, each) for each in holders), None)


def _missing(instance: Instance, need: _Need, uris: KeyUris) -> GateReason:
    key = next((each for each in need.holder.keys if each.thumbprint == need.thumbprint), None)
    version = None if key is None else uris.version_of(need.holder, key)
    provider = next(iter(each.name for each in instance.providers), "" if key is None else key.provider)
    name = sql_name("" if key is None else key.name, "KEY")
    return reason(
        Condition.KEY_NOT_ON_REPLICA,
        server=instance.server_name,
        thumbprint=need.thumbprint,
        databases=_named(need),
        holder=need.holder.server_name,
        statement=f"CREATE ASYMMETRIC KEY {name} FROM PROVIDER {sql_name(provider, 'PROVIDER')} WITH PROVIDER_KEY_NAME = "
        f"'{'NAME/VERSION' if version is None else plain(f'{version.name}/{version.version}', 'NAME/VERSION')}', CREATION_DISPOSITION = OPEN_EXISTING; "
        f"CREATE LOGIN [LOGIN] FROM ASYMMETRIC KEY {name}; ALTER LOGIN [LOGIN] ADD CREDENTIAL [CREDENTIAL]",
    )


def _named(need: _Need) -> str:
    names = listed(f"[{each.name}]" for each in need.databases)
    return f"{'database' if len(need.databases) == 1 else 'databases'} {names} of availability group {need.group}"
