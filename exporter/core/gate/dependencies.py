"""The chosen instances and the keys that they need, from the inventory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from exporter.core.gate.conditions import Condition, Reason, reason
from exporter.core.gate.model import Dependency, Inventory, Question, TargetState
from exporter.core.inventory.findings import Findings, listed
from exporter.core.inventory.key_uris import KeyUris
from exporter.core.inventory.model import Instance
from exporter.core.inventory.usage import Usage, find_usages

# Without these sections, keys or databases may be missing. Versions of DLLs do not matter here.
_NEEDED = frozenset({"providers", "credentials", "keys", "logins", "encryption", "databases"})


def choose(question: Question, inventory: Inventory) -> tuple[list[Instance], list[Reason]]:
    """Return the instances that restart, and a reason for each name that the inventory lacks."""
    if question.every:
        chosen = list(inventory.instances)
        return chosen, [] if chosen else [_not_read("any instance", question)]
    if question.group is not None:
        return _of_group(question.group, question, inventory)
    chosen, reasons = [], []
    for name in question.instances:
        found = [one for one in inventory.instances if _short(name) in _names(one)]
        reasons += [] if found else [_not_read(f"instance {name}", question)]
        chosen += [one for one in found if one not in chosen]
    return chosen, reasons


def find_dependencies(question: Question, inventory: Inventory, chosen: Sequence[Instance]) -> tuple[list[Usage], list[Reason]]:
    """Return every key that the instances use, and what the inventory does not know about them."""
    needed = _NEEDED if question.group is None else _NEEDED | {"replicas"}
    findings = Findings()
    instances = [_without_others(one, needed | {"instance"}) for one in chosen]
    uris = KeyUris(inventory.instances, inventory.loose, Findings(), inventory.compared, inventory.established)
    usages = find_usages(instances, uris, findings)
    gaps = [
        reason(
            Condition(findings.kinds.get(text, Condition.INVENTORY_GAP)),
            servers=listed(servers),
            gap=text,
            folder=question.folder,
        )
        for text, servers in findings.gaps.items()
    ]
    return usages, gaps + list(_disabled(usages))


def _without_others(instance: Instance, needed: frozenset[str]) -> Instance:
    """Return the instance without what happened to sections that do not matter here."""
    errors = {name: text for name, text in instance.errors.items() if name in needed}
    return replace(instance, errors=errors, kept={name: one for name, one in instance.kept.items() if name in needed})


def match(usage: Usage, targets: Iterable[TargetState], question: Question) -> tuple[Dependency, list[Reason]]:
    """Return the targets that probe the key for this instance, or why there is none."""
    wanted = (usage.version.vault, usage.version.name.lower(), usage.version.version.lower())
    same_key = [one for one in targets if (one.vault, one.key_name.lower(), (one.key_version or "").lower()) == wanted]
    found = tuple(one for one in same_key if _lists(one, usage.instance))
    about = {"key": usage.version.uri, "servers": usage.instance.server_name, "folder": question.folder}
    if found:
        return Dependency(usage, found), []
    if same_key:
        names = listed(f"target {one.name}" for one in same_key)
        return Dependency(usage, ()), [reason(Condition.SERVER_NOT_LISTED, target=names, **about)]
    return Dependency(usage, ()), [reason(Condition.KEY_WITHOUT_TARGET, databases=counted(len(usage.databases)), **about)]


def counted(number: int, noun: str = "database") -> str:
    """Return `1 database` or `2 databases`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _not_read(name: str, question: Question) -> Reason:
    return reason(Condition.INSTANCE_NOT_READ, name=name, folder=question.folder)


def _short(name: str) -> str:
    """Return the name in lower case, without the domain of its host."""
    host, separator, instance = name.strip().lower().partition("\\")
    return host.partition(".")[0] + separator + instance


def _names(instance: Instance) -> set[str]:
    """Return the names that a client may use: with the server, with the host, and the instance alone."""
    own = (instance.server_name, f"{instance.host}\\{instance.sql_instance}", instance.sql_instance)
    return {_short(name) for name in own}


def _of_group(group: str, question: Question, inventory: Inventory) -> tuple[list[Instance], list[Reason]]:
    wanted = group.lower()
    servers = {server.lower(): server for one in inventory.instances for name, server in one.replicas if name.lower() == wanted}
    chosen = [
        one
        for one in inventory.instances
        if one.server_name.lower() in servers or any(database.ag.lower() == wanted for database in one.databases)
    ]
    read = {one.server_name.lower() for one in chosen}
    missing = [_not_read(f"{servers[name]}, a replica of {group}", question) for name in sorted(servers) if name not in read]
    return chosen, missing if chosen or missing else [_not_read(f"availability group {group}", question)]


def _disabled(usages: Iterable[Usage]) -> Iterable[Reason]:
    for usage in usages:
        disabled = [one.name for one in usage.instance.providers if one.name == usage.key.provider and not one.enabled]
        if disabled:
            yield reason(
                Condition.PROVIDER_DISABLED,
                provider=disabled[0],
                server=usage.instance.server_name,
                databases=counted(len(usage.databases)),
            )


def _lists(target: TargetState, instance: Instance) -> bool:
    """Whether the target names this SQL Server; a label that it lacks does not matter."""
    own = {"sql_instance": instance.sql_instance.lower(), "host": instance.host}
    return any(
        own.keys() & one.keys() and all(one[name].lower() == value for name, value in own.items() if name in one)
        for one in target.instances
    )
