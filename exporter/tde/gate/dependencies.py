"""The chosen instances and the keys that they need, from the inventory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from exporter.core.quoting import sql_name
from exporter.tde.exporter_state import GateReason, TargetState
from exporter.tde.findings import Findings, Kind, counted, listed
from exporter.tde.gate.conditions import Condition, reason
from exporter.tde.gate.model import Dependency, KnownInstance, Question
from exporter.tde.gate.sql_server import option_reasons
from exporter.tde.identity import DEFAULT_INSTANCE, is_same_host, is_same_instance, is_same_server
from exporter.tde.key_uris import KeyUris
from exporter.tde.model import Instance
from exporter.tde.usage import Usage, find_usages

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
) -> tuple[list[Usage], list[GateReason]]:
    """Return every key that the instances use, and what stands in the way inside SQL Server or is not known of it."""
    findings = Findings()
    instances = [_without_others(one, needed_sections(one, question) | {"instance"}) for one in chosen]
    usages = find_usages(instances, uris, findings, known)
    reasons = [
        reason(
            Condition(findings.kinds.get(text, Condition.INVENTORY_GAP)),
            servers=listed(servers),
            gap=text,
            folder=question.folder,
        )
        for text, servers in findings.gaps.items()
        if findings.kinds.get(text) is not Kind.KEY_NOT_ON_REPLICA  # which replicas.py finds on every replica
    ]
    for instance in instances:
        reasons += option_reasons(instance, [one for one in usages if one.instance is instance], question.folder)
    return usages, reasons + list(disabled(usages))


def needed_sections(instance: Instance, question: Question) -> frozenset[str]:
    """Return the sections that the answer needs."""
    in_group = question.group is not None or any(each.ag for each in instance.databases)
    return NEEDED | {"replicas"} if in_group else NEEDED


def _without_others(instance: Instance, needed: frozenset[str]) -> Instance:
    """Return the instance without what happened to sections that do not matter here."""
    errors = {name: text for name, text in instance.errors.items() if name in needed}
    return replace(instance, errors=errors, kept={name: one for name, one in instance.kept.items() if name in needed})


def match(usage: Usage, same_key: Sequence[TargetState], question: Question) -> tuple[Dependency, list[GateReason]]:
    """Return the targets that probe the key for this instance, from those of its key version, or why there is none."""
    named = tuple(one for one in same_key if lists(one, usage.instance))
    found = tuple(one for one in named if not one.answers_nothing) or named
    about = {"key": usage.version.uri, "servers": usage.instance.server_name, "folder": question.folder}
    if found:
        return Dependency(usage, found), []
    if same_key:
        names = listed(f"target {one.name}" for one in same_key)
        return Dependency(usage, ()), [reason(Condition.SERVER_NOT_LISTED, target=names, **about)]
    return Dependency(usage, ()), [
        reason(Condition.KEY_WITHOUT_TARGET, databases=counted(len(usage.databases), "database"), **about)
    ]


def not_read(name: str, question: Question) -> GateReason:
    return reason(Condition.INSTANCE_NOT_READ, name=name, folder=question.folder)


def _names(instance: Instance) -> set[str]:
    """Return the names that a client may use: with the server, with the host, and the instance alone."""
    default = {DEFAULT_INSTANCE} if "\\" not in instance.server_name else set()
    names = {instance.sql_instance, *default}
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
    return [one for one in same if "replicas" in one.errors or group.lower() in _groups(one)] or same


def _groups(instance: Instance) -> set[str]:
    return {name.lower() for name, _ in instance.replicas} | {one.ag.lower() for one in instance.databases if one.ag}


def disabled(usages: Iterable[Usage]) -> Iterable[GateReason]:
    for usage in usages:
        disabled = [one.name for one in usage.instance.providers if one.name == usage.key.provider and not one.enabled]
        if disabled:
            yield reason(
                Condition.PROVIDER_DISABLED,
                provider=sql_name(disabled[0], "PROVIDER"),
                server=usage.instance.server_name,
                databases=counted(len(usage.databases), "database"),
            )


def lists(target: TargetState, instance: Instance, *, doubt: bool = False) -> bool:
    """Whether the target names this SQL Server. A label that the target lacks does not matter.

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
    is_same = is_same_instance(entry.get("sql_instance", instance.sql_instance), instance.sql_instance, instance.host)
    return is_same and ("host" not in entry or is_same_host(host, instance.host))
