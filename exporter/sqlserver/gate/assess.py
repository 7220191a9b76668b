"""The answer of the gate: the restart readiness of each node and key that the chosen instances need, and what the fleet says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from exporter.core.durations import ago, write
from exporter.core.values import Vantage
from exporter.sqlserver.gate.conditions import Condition, ExporterState, GateReason, reason
from exporter.sqlserver.gate.dependencies import (
    ReplicaKeys,
    choose,
    find_dependencies,
    find_replica_keys,
    match,
    needed_sections,
    not_read,
    notes_of,
)
from exporter.sqlserver.gate.exporters import Requested, TargetsByKey, answering, compared, failures, targets_by_key
from exporter.sqlserver.gate.inputs import (
    Answer,
    Dependency,
    ExporterAnswer,
    Inventory,
    KnownInstance,
    Question,
    RestartReadiness,
    is_within,
    known_instances,
)
from exporter.sqlserver.gate.readiness import NodeKey, damaged, device_notes, evidence_of, restart_readiness
from exporter.sqlserver.gate.rules import (
    chosen_proofs,
    forecast_of,
    needed_targets,
    other_target_reasons,
    start_reasons,
    target_reasons,
    throttled,
    vault_side,
)
from exporter.sqlserver.instance import Findings, listed
from exporter.sqlserver.keys import KeyUris, Usage, find_usages
from exporter.sqlserver.proof import ServerProof
from exporter.sqlserver.reading import known_instance

_MOVED = " (a replica that does not restart)"


@dataclass(slots=True)
class _Servers:
    """The chosen instances with the keys that they need, the replicas that need keys too, and all others that may share a client."""

    chosen: list[KnownInstance] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    replicas: ReplicaKeys = field(default_factory=ReplicaKeys)
    reasons: list[GateReason] = field(default_factory=list)
    own: Mapping[str, Sequence[GateReason]] = field(default_factory=dict)  # of them, those of one server
    others: list[KnownInstance] = field(default_factory=list)
    other_usages: list[Usage] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What an answer is made of: the states of the exporters, and who needs which target. `now` is a Unix time."""

    question: Question
    states: Sequence[ExporterState]
    targets: TargetsByKey
    several: bool
    now: float
    servers: _Servers
    by_server: Mapping[str, tuple[ExporterState, ...]]  # the exporters that answer for a chosen server
    dependencies: tuple[Dependency, ...]
    moved: tuple[Dependency, ...]  # keys that replicas need, which do not restart
    others: tuple[Dependency, ...]
    unmatched: Mapping[tuple[str, str], Sequence[GateReason]]  # why keys have no target, by server and thumbprint
    proofs: Mapping[tuple[str, str], ServerProof]  # by server and thumbprint, of all of these keys


def assess(question: Question, inventory: Inventory | GateReason, requested: Requested, *, now: float) -> Answer:
    """Return the answer at `now`, a Unix time.

    The inventory, or the state of an exporter, may be the reason why it is not known.
    """
    if question.vault_side:
        requested = {
            url: replace(found, targets=tuple(map(vault_side, found.targets))) if isinstance(found, ExporterState) else found
            for url, found in requested.items()
        }
    facts = _facts(question, inventory, requested, now)
    servers, states = facts.servers, facts.states
    failed = list(failures(requested, [one.instance for one in servers.chosen], now))
    causes = {url: each.text for url, each, _ in reversed(failed)}  # the first failure of each
    against, despite = compared(facts.dependencies, facts.targets)
    forecast, unknown = forecast_of(facts.dependencies)
    readiness = tuple(_readiness(facts))
    first = (
        *servers.reasons,
        *(each for _, each, matters in failed if matters),
        *(each for those in facts.unmatched.values() for each in those),
    )
    # What targets lack is grouped by target, and what a server lacks is in `first`. Without an exporter, whether one reads it is not known.
    missing = [each for one in readiness for each in one.missing if each.server] if states else []
    own = [each for each in missing if each.known or not question.vault_side]
    found = dict.fromkeys((*first, *own, *_reasons(facts), *against, *unknown, *throttled(forecast)))
    accepted = tuple(each for each in found if _is_accepted(each, question))
    chosen = tuple(one.server for one in servers.chosen)
    own_proofs = tuple(each for (server, _), each in facts.proofs.items() if server in chosen)
    return Answer(
        question=question,
        at=min((one.at for one in states), default=now),
        exporters=tuple(
            ExporterAnswer(
                url,
                found if isinstance(found, ExporterState) else None,
                causes.get(url, ""),
                tuple(server for server, those in facts.by_server.items() if any(found is each for each in those)),
            )
            for url, found in requested.items()
        ),
        instances=chosen,
        readings=tuple(servers.chosen),
        proofs=own_proofs,
        now=now,
        dependencies=facts.dependencies if states else (),
        forecast=tuple(forecast),
        readiness=readiness,
        reasons=tuple(each for each in found if each not in accepted),
        accepted=accepted,
        notes=(
            *(note for one in servers.chosen for note in notes_of(one.instance)),
            *dict.fromkeys(device_notes(own_proofs, now)),
            *(each.text for _, each, matters in failed if not matters),
            *despite,
        ),
    )


def _is_accepted(each: GateReason, question: Question) -> bool:
    """Whether a person vouches for it: only what is not known can be accepted, row by row and node by node."""
    host = each.server.casefold().partition("\\")[0]
    names = {each.server.casefold(), host, host.partition(".")[0]}
    return (
        not each.known
        and bool(each.server)
        and any(row == evidence_of(each) and node.casefold() in names for row, node in question.accepted)
    )


def _facts(question: Question, inventory: Inventory | GateReason, requested: Requested, now: float) -> _Facts:
    states = [one for one in requested.values() if isinstance(one, ExporterState)]
    servers, targets = _servers(question, inventory, states, now), targets_by_key(states)
    matches = [_match(usage, states, targets, question) for usage in servers.usages]
    moved = [_match(usage, states, targets, question) for usage in servers.replicas.usages]
    contested = {one.server for one in servers.chosen if one.contested}
    known = (*servers.chosen, *servers.replicas.replicas, *servers.others)
    usages = (*servers.usages, *servers.replicas.usages, *servers.other_usages)
    return _Facts(
        question=question,
        states=states,
        targets=targets,
        several=len(requested) > 1,
        now=now,
        servers=servers,
        by_server={one.server: answering(one.instance, states) for one in servers.chosen},
        dependencies=tuple(dependency for dependency, _ in matches),
        moved=tuple(dependency for dependency, _ in moved),
        others=tuple(_match(usage, states, targets, question)[0] for usage in servers.other_usages),
        # Whether a target lists it is not known either.
        unmatched={
            (dependency.server, dependency.usage.key.thumbprint): [
                each for each in found if each.condition is not Condition.SERVER_NOT_LISTED or dependency.server not in contested
            ]
            for dependency, found in (*matches, *(moved if not question.vault_side else ()))
            if states
        },
        proofs=chosen_proofs(known, usages),
    )


def _readiness(facts: _Facts) -> Iterator[RestartReadiness]:
    """Yield the readiness of each node and key, those of replicas last."""
    every = (*facts.servers.chosen, *facts.servers.replicas.replicas, *facts.servers.others)
    known = {one.server: one for one in every}
    clients: dict[str, dict[tuple[str, str], ServerProof]] = {}
    for one in (*facts.dependencies, *facts.moved, *facts.others):
        place = one.server, one.usage.key.thumbprint
        for target in one.targets if place in facts.proofs else ():
            clients.setdefault((target.client_id or target.credential).casefold(), {})[place] = facts.proofs[place]
    for one, suffix in (*((each, "") for each in facts.dependencies), *((each, _MOVED) for each in facts.moved)):
        groups = {database.ag.casefold() for database in one.usage.databases if database.ag}
        peers = {
            place: each
            for target in one.targets
            for place, each in clients.get((target.client_id or target.credential).casefold(), {}).items()
        }
        case = NodeKey(
            known=known[one.server],
            usage=one.usage,
            proof=facts.proofs.get((one.server, one.usage.key.thumbprint)),
            targets=one.targets,
            peers=tuple(peers.values()),
            replicas=tuple(
                each.reading
                for each in every
                if each.reading is not None
                and each.server != one.server
                and not groups.isdisjoint(database.ag.casefold() for database in each.instance.databases)
            ),
            ready_hosts=frozenset(_ready_hosts(one, facts)),
            suffix=suffix,
        )
        yield restart_readiness(case, facts.question, facts.now, _vault_reasons(one, facts))


def _vault_reasons(one: Dependency, facts: _Facts) -> Iterator[GateReason]:
    """Yield what the targets of a key lack, and what is known of its server as a whole."""
    yield from facts.unmatched.get((one.server, one.usage.key.thumbprint), ())
    yield from facts.servers.own.get(one.server, ())
    for needed in needed_targets([one], tuple(facts.proofs.values())):
        yield from target_reasons(needed, facts.question, facts.now, several=facts.several)


def _ready_hosts(one: Dependency, facts: _Facts) -> Iterator[str]:
    """Yield the computers whose exporter has a ready target of a key for a server."""
    named = {(target.name, target.vault, target.key_name, target.key_version) for target in one.targets}
    for state in facts.states:
        ready = {(each.name, each.vault, each.key_name, each.key_version) for each in state.targets if each.ready}
        if state.vantage is Vantage.SQL_HOST and state.host and named & ready:
            yield state.host.casefold().partition(".")[0]


def _reasons(facts: _Facts) -> Iterator[GateReason]:
    """Yield what is against a restart by the targets."""
    question, now, several = facts.question, facts.now, facts.several
    for needed in needed_targets(facts.dependencies, tuple(facts.proofs.values())):
        yield from target_reasons(needed, question, now, several=several)
    for one in (*facts.dependencies, *facts.moved) if question.vault_side else ():
        if (one.server, one.usage.key.thumbprint) not in facts.proofs:
            yield from start_reasons(one.usage, question.folder)
    for needed in needed_targets(facts.moved, (), _MOVED):
        yield from target_reasons(needed, question, now, several=several)
    for state in facts.states:
        own = [one for one in facts.servers.chosen if any(state is each for each in facts.by_server[one.server])]
        yield from other_target_reasons(state, own, facts.dependencies, question.folder, several=several)


def _servers(question: Question, inventory: Inventory | GateReason, states: Iterable[ExporterState], now: float) -> _Servers:
    """Return the chosen instances. A missing file matters if a server is in no reading."""
    held = inventory if isinstance(inventory, Inventory) else Inventory()
    reasons = [] if isinstance(inventory, Inventory) else [inventory]
    known = known_instances(held, states, question, now=now)
    if reasons and not known:
        return _Servers(reasons=reasons)
    chosen, missing = choose(question, known)
    unread = (
        {each.address: each for state in states for each in state.readings if known_instance(each) is None}
        if question.every
        else {}
    )
    missing += [not_read(address, question) for address in unread]
    uris = KeyUris((one.instance for one in known), held.loose, Findings(), held.compared, held.established)
    usages, gaps = find_dependencies(question, [one.instance for one in chosen], [one.instance for one in known], uris)
    replicas = find_replica_keys(chosen, known, uris, question)
    lacking = [*missing, *(each for each in replicas.reasons if each.condition is Condition.INSTANCE_NOT_READ)]
    if reasons and reasons[0].condition is Condition.INVENTORY_MISSING and not lacking:
        reasons = []
    old = dict(_old(question, [*chosen, *replicas.replicas], now))
    using = {one.instance.server_name for one in (*usages, *replicas.usages)}
    unsure = [
        each
        for one in (*chosen, *replicas.replicas)
        if one.reading is not None and one.server not in using
        for each in damaged(one.reading, one.server, question)
    ]
    contested = _contested(chosen)
    near = {one.server for one in (*chosen, *replicas.replicas)}
    others = [one for one in known if one.server not in near and one.reading is not None]
    other_usages = find_usages([one.instance for one in others], uris, Findings())
    own: dict[str, list[GateReason]] = {}
    for each, servers in (*contested.items(), *old.items(), *gaps.items()):
        for server in servers:
            own.setdefault(server, []).append(each)
    every = [*reasons, *missing, *contested, *old, *unsure, *gaps, *replicas.reasons]
    return _Servers(chosen, usages, replicas, every, own, others, other_usages)


def _contested(known: Iterable[KnownInstance]) -> dict[GateReason, list[str]]:
    """Return a reason for each name that addresses of several servers may answer, with these servers."""
    found: dict[tuple[str, ...], list[KnownInstance]] = {}
    for one in known:
        if one.contested:
            found.setdefault(one.contested, []).append(one)
    return {
        reason(
            Condition.SERVER_CONTESTED,
            addresses=" and ".join(addresses),
            all="both" if len(addresses) == 2 else "all",
            # Without a domain that only one of them shows.
            name=min((one.server.partition(" (")[0] for one in those), key=len),
        ): [one.server for one in those]
        for addresses, those in found.items()
    }


def _match(
    usage: Usage, states: Sequence[ExporterState], targets: TargetsByKey, question: Question
) -> tuple[Dependency, list[GateReason]]:
    urls = {state.url for state in answering(usage.instance, states)}
    return match(usage, [target for target in targets.get(usage.version, ()) if target.url in urls], question)


def _old(question: Question, known: Iterable[KnownInstance], now: float) -> Iterator[tuple[GateReason, list[str]]]:
    """Yield a reason, with its servers, for the instances whose reading, or a section of it, is too old. A time of the future is not known."""
    old: dict[tuple[str, float], dict[str, str]] = {}  # of each server, how it is named
    for one in known:
        needed = needed_sections(one.instance, question)
        limit = question.reading_age if one.url else question.inventory_age
        if one.age is None or not is_within(one.age, limit):
            old.setdefault((one.text, limit), {})[one.server] = one.server
            continue
        for section, (at, limit) in one.old.items():
            if section in needed:
                text = "at an unknown time" if at is None else ago(now - at)
                old.setdefault((text, limit), {})[f"{one.server} (section {section})"] = one.server
    for (age, limit), servers in old.items():
        found = reason(Condition.INVENTORY_OLD, servers=listed(servers), age=age, limit=write(limit), folder=question.folder)
        yield found, list(dict.fromkeys(servers.values()))
