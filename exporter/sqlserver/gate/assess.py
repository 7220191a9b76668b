"""The answer of the gate: the restart readiness of each node and key that the chosen instances need, and what the fleet says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from exporter.core.durations import ago, write
from exporter.core.values import Vantage
from exporter.sqlserver.gate.conditions import Condition, ExporterState, GateReason, reason
from exporter.sqlserver.gate.dependencies import (
    ReplicaKeys,
    choose,
    find_dependencies,
    match,
    needed_sections,
    not_read,
    notes_of,
)
from exporter.sqlserver.gate.exporters import Requested, answering, compared, failures, targets_by_key
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
from exporter.sqlserver.gate.readiness import NodeKey, damaged, device_notes, evidence_of, restart_readiness, unread_readiness
from exporter.sqlserver.gate.rules import (
    Proofs,
    forecast_of,
    other_target_reasons,
    start_reasons,
    target_reasons,
    throttled,
    vault_side,
)
from exporter.sqlserver.instance import Findings, listed
from exporter.sqlserver.keys import KeyUris, Usage, find_usages
from exporter.sqlserver.proof import ServerProof, server_proofs
from exporter.sqlserver.reading import known_instance

_MOVED = " (a replica that does not restart)"


def assess(question: Question, inventory: Inventory | GateReason, requested: Requested, *, now: float) -> Answer:
    """Return the answer at `now`, a Unix time.

    The inventory, or the state of an exporter, may be the reason why it is not known.
    """
    if question.vault_side:
        requested = {
            url: replace(found, targets=tuple(map(vault_side, found.targets))) if isinstance(found, ExporterState) else found
            for url, found in requested.items()
        }
    facts = _Facts(question, inventory, requested, now)
    states, chosen = facts.states, [one.server for one in facts.chosen]
    failed = list(failures(requested, [one.instance for one in facts.chosen], now))
    causes = {url: each.text for url, each, _ in reversed(failed)}  # the first failure of each
    against, despite = compared(facts.dependencies, facts.targets)
    forecast, unknown = forecast_of(facts.dependencies)
    readiness = tuple(facts.readiness())
    # What targets lack is grouped by target. Without an exporter, whether one reads it is not known.
    missing = [each for one in readiness for each in one.missing if each.server] if states else []
    own = [each for each in missing if each.known or not question.vault_side]
    matter = [each for _, each, matters in failed if matters]
    unmatched = [each for those in facts.unmatched.values() for each in those]
    of_targets = (*facts.target_reasons(), *against, *unknown, *throttled(forecast))
    found = dict.fromkeys((*facts.reasons, *matter, *unmatched, *own, *of_targets))
    accepted = tuple(each for each in found if _is_accepted(each, question))
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
        instances=tuple(chosen),
        readings=tuple(facts.chosen),
        proofs=own_proofs,
        now=now,
        dependencies=tuple(facts.dependencies) if states else (),
        forecast=tuple(forecast),
        readiness=readiness,
        reasons=tuple(each for each in found if each not in accepted),
        accepted=accepted,
        notes=(
            *(note for one in facts.chosen for note in notes_of(one.instance)),
            *dict.fromkeys(device_notes(own_proofs, now)),
            *(each.text for _, each, matters in failed if not matters),
            *despite,
        ),
    )


def _is_accepted(each: GateReason, question: Question) -> bool:
    """Whether a person vouches for it: only what is not known can be accepted, row by row and node by node."""
    host = each.server.casefold().partition("\\")[0]
    names = {each.server.casefold(), host, host.partition(".")[0]}
    is_named = any(row == evidence_of(each) and node.casefold() in names for row, node in question.accepted)
    return not each.known and bool(each.server) and is_named


class _Facts:
    """What an answer is made of: the chosen instances, the replicas of their groups, which do not restart ("moved" below), and all others that may
    share a client; the states of the exporters, and who needs which target.
    """

    def __init__(self, question: Question, inventory: Inventory | GateReason, requested: Requested, now: float) -> None:
        self.question, self.now, self._several = question, now, len(requested) > 1
        self.states = [one for one in requested.values() if isinstance(one, ExporterState)]
        self.targets = targets_by_key(self.states)
        held, reasons = (inventory, []) if isinstance(inventory, Inventory) else (Inventory(), [inventory])
        known = known_instances(held, self.states, question, now=now)
        is_blind = bool(reasons) and not known
        self.chosen, missing = ([], []) if is_blind else choose(question, known)
        if question.every and not is_blind:
            unread = {each.address: each for state in self.states for each in state.readings if known_instance(each) is None}
            missing += [not_read(address, question) for address in unread]
        uris = KeyUris((one.instance for one in known), held.loose, Findings(), held.compared, held.established)
        instances = [one.instance for one in self.chosen]
        usages, gaps = find_dependencies(question, instances, [one.instance for one in known], uris)
        replicas = ReplicaKeys(self.chosen, known, uris, question)
        if reasons and reasons[0].condition is Condition.INVENTORY_MISSING and not is_blind:
            # A missing file matters if a server is in no reading.
            lacks = any(each.condition is Condition.INSTANCE_NOT_READ for each in (*missing, *replicas.reasons))
            reasons = reasons if lacks else []
        near = (*self.chosen, *replicas.replicas)
        old, contested = dict(_old(question, near, now)), _contested(self.chosen)
        using = {one.instance.server_name for one in (*usages, *replicas.usages)}
        unsure = [
            each
            for one in near
            if one.reading is not None and one.server not in using
            for each in damaged(one.reading, one.server, question)
        ]
        self.reasons = [*reasons, *missing, *contested, *old, *unsure, *gaps, *replicas.reasons]
        self._own: dict[str, list[GateReason]] = {}  # of them, those of one server
        for each, servers in (*contested.items(), *old.items(), *gaps.items()):
            for server in servers:
                self._own.setdefault(server, []).append(each)
        names = {one.server for one in near}
        others = [one for one in known if one.server not in names and one.reading is not None]
        other_usages = find_usages([one.instance for one in others], uris, Findings())
        self._known = {one.server: one for one in (*near, *others)}
        self.by_server = {one.server: answering(one.instance, self.states) for one in self.chosen}
        matches, moved = list(map(self._match, usages)), list(map(self._match, replicas.usages))
        self.dependencies, self._moved = [one for one, _ in matches], [one for one, _ in moved]
        self._others = [one for one, _ in map(self._match, other_usages)]
        unsure_names = {one.server for one in self.chosen if one.contested}
        self.unmatched = {  # why keys have no target
            dependency.place: [
                each
                for each in found
                # Whether a target lists it is not known either.
                if each.condition is not Condition.SERVER_NOT_LISTED or dependency.server not in unsure_names
            ]
            for dependency, found in (*matches, *(() if question.vault_side else moved))
            if self.states
        }
        used = {one.place for one in (*self.dependencies, *self._moved, *self._others)}
        self.proofs: Proofs = {
            (one.server, each.proof.thumbprint): replace(each, server=one.server)
            for one in self._known.values()
            for each in (() if one.reading is None else server_proofs(one.reading))
            if (one.server, each.proof.thumbprint) in used
        }

    def _match(self, usage: Usage) -> tuple[Dependency, list[GateReason]]:
        urls = {state.url for state in answering(usage.instance, self.states)}
        return match(usage, [target for target in self.targets.get(usage.version, ()) if target.url in urls], self.question)

    def readiness(self) -> Iterator[RestartReadiness]:
        """Yield the readiness of each node and key, those of replicas last."""
        clients: dict[str, dict[tuple[str, str], ServerProof]] = {}
        for one in (*self.dependencies, *self._moved, *self._others):
            for client in one.clients if one.place in self.proofs else ():
                clients.setdefault(client, {})[one.place] = self.proofs[one.place]
        for one, suffix in (*((each, "") for each in self.dependencies), *((each, _MOVED) for each in self._moved)):
            known, proof = self._known[one.server], self.proofs.get(one.place)
            vault = list(self._vault_reasons(one))
            if proof is None:
                yield unread_readiness(one, suffix, vault, self.now)
                continue
            groups = {database.ag.casefold() for database in one.usage.databases if database.ag}
            peers = {place: each for client in one.clients for place, each in clients.get(client, {}).items()}
            case = NodeKey(
                dependency=one,
                proof=proof,
                question=self.question,
                now=self.now,
                peers=tuple(peers.values()),
                replicas=tuple(
                    each.reading
                    for each in self._known.values()
                    if each.reading is not None
                    and each is not known
                    and not groups.isdisjoint(database.ag.casefold() for database in each.instance.databases)
                ),
                ready_hosts=frozenset(self._ready_hosts(one)),
                suffix=suffix,
            )
            yield restart_readiness(case, vault)

    def _vault_reasons(self, one: Dependency) -> Iterator[GateReason]:
        """Yield what the targets of a key lack, and what is known of its server as a whole."""
        yield from self.unmatched.get(one.place, ())
        yield from self._own.get(one.server, ())
        yield from target_reasons([one], self.proofs, self.question, self.now, several=self._several)

    def _ready_hosts(self, one: Dependency) -> Iterator[str]:
        """Yield the computers whose exporter has a ready target of a key for a server."""
        named = {(target.name, target.vault, target.key_name, target.key_version) for target in one.targets}
        for state in self.states:
            ready = {(each.name, each.vault, each.key_name, each.key_version) for each in state.targets if each.ready}
            if state.vantage is Vantage.SQL_HOST and state.host and named & ready:
                yield state.host.casefold().partition(".")[0]

    def target_reasons(self) -> Iterator[GateReason]:
        """Yield what is against a restart by the targets."""
        question, now, several = self.question, self.now, self._several
        yield from target_reasons(self.dependencies, self.proofs, question, now, several=several)
        for one in (*self.dependencies, *self._moved) if question.vault_side else ():
            if one.place not in self.proofs:
                yield from start_reasons(one.usage, question.folder)
        yield from target_reasons(self._moved, {}, question, now, several=several, suffix=_MOVED)
        for state in self.states:
            own = [one for one in self.chosen if any(state is each for each in self.by_server[one.server])]
            yield from other_target_reasons(state, own, self.dependencies, question.folder, several=several)


def _contested(known: Iterable[KnownInstance]) -> dict[GateReason, list[str]]:
    """Return a reason for each name that addresses of several servers may answer, with these servers."""
    found: dict[tuple[str, ...], list[str]] = {}
    for one in known:
        if one.contested:
            found.setdefault(one.contested, []).append(one.server)
    return {
        reason(
            Condition.SERVER_CONTESTED,
            addresses=" and ".join(addresses),
            all="both" if len(addresses) == 2 else "all",
            name=min((each.partition(" (")[0] for each in servers), key=len),  # without a domain that only one of them shows
        ): servers
        for addresses, servers in found.items()
    }


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
