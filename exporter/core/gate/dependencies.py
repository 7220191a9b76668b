"""The chosen instances and the keys that they need, from the inventory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from exporter.core.gate.conditions import Condition, Reason, reason
from exporter.core.gate.model import Dependency, Inventory, Question, TargetState
from exporter.core.gate.sql_server import credential_reasons, option_reasons
from exporter.core.inventory.model import Instance
from exporter.core.inventory.render import counted, listed
from exporter.core.inventory.usage import Findings, KeyUris, Usage, find_usages

# Without these sections, keys or databases may be missing. Versions of DLLs do not matter here.
_NEEDED = frozenset({"providers", "credentials", "keys", "encryption", "databases", "configurations", "start"})


def choose(question: Question, inventory: Inventory) -> tuple[list[Instance], list[Reason]]:
    """Return the instances that restart, and a reason for each name that the inventory lacks."""
    if question.every:
        chosen = list(inventory.instances)
        return chosen, [] if chosen else [_not_read("any instance", question)]
    if question.group is not None:
        return _of_group(question.group, question, inventory)
    chosen, reasons = [], []
    for name in question.instances:
        found = [one for one in inventory.instances if any(is_same_server(name, own) for own in _names(one))]
        reasons += [] if found else [_not_read(f"instance {name}", question)]
        chosen += [one for one in found if one not in chosen]
    return chosen, reasons


def find_dependencies(question: Question, inventory: Inventory, chosen: Sequence[Instance]) -> tuple[list[Usage], list[Reason]]:
    """Return every key that the instances use, and what stands in the way inside SQL Server or is not known of it."""
    needed = _NEEDED if question.group is None else _NEEDED | {"replicas"}
    findings = Findings()
    instances = [replace(one, errors={name: text for name, text in one.errors.items() if name in needed}) for one in chosen]
    uris = KeyUris(inventory.instances, inventory.loose, Findings(), inventory.compared)
    usages = find_usages(instances, uris, findings)
    reasons = [
        reason(Condition.INVENTORY_GAP, servers=listed(servers), gap=text, folder=question.folder)
        for text, servers in findings.gaps.items()
    ]
    for instance in instances:
        own = [one for one in usages if one.instance is instance]
        reasons += [*option_reasons(instance, own, question.folder), *credential_reasons(instance, own, question.folder)]
    return usages, reasons + list(_disabled(usages))


def match(usage: Usage, targets: Iterable[TargetState], question: Question) -> tuple[Dependency, list[Reason]]:
    """Return the targets that probe the key for this instance, or why there is none."""
    wanted = (usage.version.vault, usage.version.name.lower(), usage.version.version.lower())
    same_key = [one for one in targets if (one.vault, one.key_name.lower(), (one.key_version or "").lower()) == wanted]
    found = tuple(one for one in same_key if lists(one, usage.instance))
    about = {"key": usage.version.uri, "servers": usage.instance.server_name, "folder": question.folder}
    if found:
        return Dependency(usage, found), []
    if same_key:
        names = listed(f"target {one.name}" for one in same_key)
        return Dependency(usage, ()), [reason(Condition.SERVER_NOT_LISTED, target=names, **about)]
    return Dependency(usage, ()), [
        reason(Condition.KEY_WITHOUT_TARGET, databases=counted(len(usage.databases), "database"), **about)
    ]


def _not_read(name: str, question: Question) -> Reason:
    return reason(Condition.INSTANCE_NOT_READ, name=name, folder=question.folder)


def is_same_server(name: str, other: str) -> bool:
    """Whether two names may mean one SQL Server: a domain counts if both have one."""
    host, _, instance = name.strip().lower().partition("\\")
    other_host, _, other_instance = other.strip().lower().partition("\\")
    return instance == other_instance and _is_same_host(host, other_host)


def _is_same_host(host: str, other: str) -> bool:
    (short, _, domain), (other_short, _, other_domain) = host.partition("."), other.partition(".")
    return short == other_short and (domain == other_domain or not domain or not other_domain)


def _names(instance: Instance) -> set[str]:
    """Return the names that a client may use: with the server, with the host, and the instance alone."""
    own = (instance.server_name, f"{instance.host}\\{instance.sql_instance}", instance.sql_instance)
    return set(own)


def _of_group(group: str, question: Question, inventory: Inventory) -> tuple[list[Instance], list[Reason]]:
    wanted = group.lower()
    servers = sorted({server for one in inventory.instances for name, server in one.replicas if name.lower() == wanted})
    chosen = [
        one
        for one in inventory.instances
        if any(is_same_server(one.server_name, server) for server in servers)
        or any(database.ag.lower() == wanted for database in one.databases)
    ]
    missing = [
        _not_read(f"{server}, a replica of {group}", question)
        for server in servers
        if not any(is_same_server(one.server_name, server) for one in chosen)
    ]
    return chosen, missing if chosen or missing else [_not_read(f"availability group {group}", question)]


def _disabled(usages: Iterable[Usage]) -> Iterable[Reason]:
    for usage in usages:
        disabled = [one.name for one in usage.instance.providers if one.name == usage.key.provider and not one.enabled]
        if disabled:
            yield reason(
                Condition.PROVIDER_DISABLED,
                provider=disabled[0],
                server=usage.instance.server_name,
                databases=counted(len(usage.databases), "database"),
            )


def lists(target: TargetState, instance: Instance, *, doubt: bool = False) -> bool:
    """Whether the target names this SQL Server. A label that it lacks does not matter.

    The host of an instance has its domain if another domain has the same name: then a label without a domain may mean the other
    one. With `doubt`, such a label counts, and so does an availability group alone.
    """
    groups = {database.ag.lower() for database in instance.databases if database.ag} if doubt else set()
    return any(_names_instance(one, instance, groups, doubt=doubt) for one in target.instances)


def _names_instance(entry: Mapping[str, str], instance: Instance, groups: Collection[str], *, doubt: bool) -> bool:
    host = entry.get("host", "").lower()
    if not {"sql_instance", "host"} & entry.keys():
        return entry.get("ag", "").lower() in groups
    if "." in instance.host and "." not in host and not doubt:
        return False
    is_same = entry.get("sql_instance", instance.sql_instance).lower() == instance.sql_instance.lower()
    return is_same and ("host" not in entry or _is_same_host(host, instance.host))
