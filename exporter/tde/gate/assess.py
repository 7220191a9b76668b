"""The answer of the gate: every condition, in order, for the chosen instances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from exporter.core.durations import ago, write
from exporter.tde.findings import Findings, listed
from exporter.tde.gate.conditions import Condition, GateReason, reason
from exporter.tde.gate.dependencies import choose, find_dependencies, match, needed_sections
from exporter.tde.gate.exporters import Requested, answering, compared, failures
from exporter.tde.gate.forecast import forecast_of, throttled
from exporter.tde.gate.model import (
    Answer,
    Dependency,
    ExporterAnswer,
    ExporterState,
    InstanceReading,
    Inventory,
    KnownInstance,
    Question,
)
from exporter.tde.gate.proofs import log_reasons, proof_reasons, server_proofs
from exporter.tde.gate.replicas import ReplicaKeys, find_replica_keys
from exporter.tde.gate.sources import known_instances
from exporter.tde.gate.sql_server import notes_of
from exporter.tde.gate.targets import history_reasons, is_within, needed_targets, other_target_reasons, verdict_reasons
from exporter.tde.key_uris import KeyUris
from exporter.tde.usage import Usage


@dataclass(slots=True)
class _Servers:
    """The chosen instances with the keys that they need, and the replicas that need keys too."""

    chosen: list[KnownInstance] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    replicas: ReplicaKeys = field(default_factory=ReplicaKeys)
    reasons: list[GateReason] = field(default_factory=list)


def assess(question: Question, inventory: Inventory | GateReason, requested: Requested, *, now: float) -> Answer:
    """Return the answer at `now`, a Unix time.

    The inventory, or the state of an exporter, may be the reason why it is not known.
    """
    states = [one for one in requested.values() if isinstance(one, ExporterState)]
    several = len(requested) > 1
    servers = _servers(question, inventory, states, now)
    readings = [_reading(one, now) for one in servers.chosen]
    reasons = [*servers.reasons]
    notes = [note for one in servers.chosen for note in notes_of(one.instance)]
    answers, silent = _exporters(requested, servers.chosen, now)
    reasons += [each for each, matters in silent if matters]
    notes += [each.text for each, matters in silent if not matters]
    matches = [_match(usage, states, question) for usage in servers.usages] if states else []
    dependencies = [dependency for dependency, _ in matches]
    reasons += [each for _, missing in matches for each in missing]
    proofs = list(server_proofs(servers.chosen, servers.usages))
    for needed in needed_targets(dependencies, proofs):
        reasons += verdict_reasons(needed, now=now, several=several)
        reasons += history_reasons(needed, question, several=several)
    unmatched = [Dependency(usage, ()) for usage in servers.usages] if not states else []
    reasons += proof_reasons([*dependencies, *unmatched], proofs, question, now=now)
    reasons += log_reasons(dependencies, proofs, now=now)
    reasons += _replica_reasons(servers.replicas.usages, states, question, now=now, several=several)
    for state in states:
        own = [
            (one.instance, each)
            for one, each in zip(servers.chosen, readings, strict=True)
            if state in answering(one.instance, states)
        ]
        reasons += other_target_reasons(state, own, dependencies, question.folder, several=several)
    against, despite = compared(dependencies, states, question)
    forecast, unknown = forecast_of(dependencies)
    return Answer(
        question=question,
        at=min((one.at for one in states), default=now),
        exporters=tuple(answers),
        instances=tuple(one.server for one in servers.chosen),
        readings=tuple(readings),
        proofs=tuple(proofs),
        now=now,
        dependencies=tuple(dependencies),
        forecast=tuple(forecast),
        reasons=tuple(dict.fromkeys((*reasons, *against, *unknown, *throttled(forecast)))),
        notes=(*notes, *despite),
    )


def _servers(question: Question, inventory: Inventory | GateReason, states: Iterable[ExporterState], now: float) -> _Servers:
    """Return the chosen instances. A missing file matters if a server is in no reading."""
    held = inventory if isinstance(inventory, Inventory) else Inventory()
    reasons = [] if isinstance(inventory, Inventory) else [inventory]
    known = known_instances(held, states, now=now, limit=question.inventory_age)
    if reasons and not known:
        return _Servers(reasons=reasons)
    chosen, missing = choose(question, known)
    uris = KeyUris((one.instance for one in known), held.loose, Findings(), held.compared, held.established)
    usages, gaps = find_dependencies(question, [one.instance for one in chosen], [one.instance for one in known], uris)
    replicas = find_replica_keys(chosen, known, uris, question)
    unread = [*missing, *(each for each in replicas.reasons if each.condition is Condition.INSTANCE_NOT_READ)]
    if reasons and reasons[0].condition is Condition.INVENTORY_MISSING and not unread:
        reasons = []
    old = _old(question, [*chosen, *replicas.replicas], now)
    return _Servers(chosen, usages, replicas, [*reasons, *missing, *old, *gaps, *replicas.reasons])


def _exporters(
    requested: Requested, chosen: Sequence[KnownInstance], now: float
) -> tuple[list[ExporterAnswer], list[tuple[GateReason, bool]]]:
    """Return what each exporter answered, and the reasons why a state is unknown, with whether they matter."""
    states = [one for one in requested.values() if isinstance(one, ExporterState)]
    failed = list(failures(requested, [one.instance for one in chosen], now))
    by_server = {one.server: answering(one.instance, states) for one in chosen}
    answers = [
        ExporterAnswer(
            url,
            found if isinstance(found, ExporterState) else None,
            next((each.text for at, each, _ in failed if at == url), ""),
            tuple(server for server, those in by_server.items() if found in those),
        )
        for url, found in requested.items()
    ]
    return answers, [(each, matters) for _, each, matters in failed]


def _match(usage: Usage, states: Sequence[ExporterState], question: Question) -> tuple[Dependency, list[GateReason]]:
    targets = [target for state in answering(usage.instance, states) for target in state.targets]
    return match(usage, targets, question)


def _replica_reasons(
    usages: Iterable[Usage], states: Sequence[ExporterState], question: Question, *, now: float, several: bool
) -> Iterator[GateReason]:
    """Yield a reason for each target of a replica that is not ready, since databases may move there."""
    found = [_match(usage, states, question)[0] for usage in usages]
    for needed in needed_targets(found, ()):
        names = tuple(f"{name} (a replica that does not restart)" for name in needed.names)
        yield from verdict_reasons(replace(needed, names=names), now=now, several=several)


def _reading(one: KnownInstance, now: float) -> InstanceReading:
    return InstanceReading(one.server, one.at, None if one.at is None else now - one.at, one.url)


def _old(question: Question, known: Iterable[KnownInstance], now: float) -> Iterator[GateReason]:
    """Yield a reason for the instances whose reading, or a section of it, is too old. A time of the future is not known."""
    old: dict[str, list[str]] = {}
    for one in known:
        reading, needed = _reading(one, now), needed_sections(one.instance, question)
        if reading.age is None or not is_within(reading.age, question.inventory_age):
            old.setdefault(reading.text, []).append(one.server)
            continue
        for section, at in one.old.items():
            if section in needed:
                text = "at an unknown time" if at is None else ago(now - at)
                old.setdefault(text, []).append(f"{one.server} (section {section})")
    for age, servers in old.items():
        limit = write(question.inventory_age)
        yield reason(Condition.INVENTORY_OLD, servers=listed(servers), age=age, limit=limit, folder=question.folder)
