"""The answer of the gate: every condition, in order, for the chosen instances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from exporter.core.durations import known_time, moment, write
from exporter.core.readiness import WHY
from exporter.tde.findings import listed
from exporter.tde.gate.conditions import Condition, GateReason, reason
from exporter.tde.gate.dependencies import choose, find_dependencies, lists, match
from exporter.tde.gate.forecast import forecast_of, throttled
from exporter.tde.gate.model import Answer, Dependency, ExporterState, InstanceReading, Inventory, Question, TargetState
from exporter.tde.gate.sql_server import notes_of
from exporter.tde.model import Instance

CLOCK_TOLERANCE = 300.0  # seconds between this host and the exporter
NEVER_EXPIRE = ("managed_identity", "workload_identity")


def assess(
    question: Question, inventory: Inventory | GateReason, exporter: ExporterState | GateReason, *, now: float, url: str
) -> Answer:
    """Return the answer at `now`, a Unix time.

    Inventory or exporter may be the reason why it is not known.
    """
    reasons: list[GateReason] = [one for one in (inventory, exporter) if isinstance(one, GateReason)]
    state = exporter if isinstance(exporter, ExporterState) else None
    chosen: list[Instance] = []
    dependencies: list[Dependency] = []
    readings: list[InstanceReading] = []
    if isinstance(inventory, Inventory):
        chosen, found = choose(question, inventory)
        readings = [_reading(one, now) for one in chosen]
        usages, gaps = find_dependencies(question, inventory, chosen)
        reasons += [*found, *_old(question, readings), *gaps]
        matches = [match(usage, state.targets, question) for usage in usages] if state is not None else []
        dependencies = [dependency for dependency, _ in matches]
        reasons += [each for _, missing in matches for each in missing]
    at = now if state is None else state.at
    if abs(at - now) > CLOCK_TOLERANCE:
        reasons.append(reason(Condition.CLOCKS_DIFFER, url=url, at=moment(at), now=moment(now)))
    for target, servers in _needed(dependencies):
        reasons += _target_reasons(target, listed(servers), question, at)
    reasons += [] if state is None else _other_target_reasons(state, chosen, readings, dependencies, question.folder)
    forecast, unknown = forecast_of(dependencies)
    return Answer(
        question=question,
        at=at,
        vantage=None if state is None else state.vantage,
        instances=tuple(one.server_name for one in chosen),
        readings=tuple(readings),
        dependencies=tuple(dependencies),
        forecast=tuple(forecast),
        reasons=tuple(dict.fromkeys((*reasons, *unknown, *throttled(forecast)))),
        notes=tuple(note for one in chosen for note in notes_of(one)),
    )


def _needed(dependencies: Iterable[Dependency]) -> Iterator[tuple[TargetState, list[str]]]:
    """Yield each target once, with the servers that need it. Two exporters behind one address may have targets of one name."""
    found: dict[int, tuple[TargetState, list[str]]] = {}
    for dependency in dependencies:
        for target in dependency.targets:
            _, servers = found.setdefault(id(target), (target, []))
            servers += [] if dependency.server in servers else [dependency.server]
    yield from found.values()


def _other_target_reasons(
    state: ExporterState,
    chosen: Sequence[Instance],
    readings: Sequence[InstanceReading],
    dependencies: Iterable[Dependency],
    folder: str,
) -> Iterator[GateReason]:
    """Yield a reason for each doubtful target that names an instance without a known need of it: its keys may have moved."""
    needed = {(id(target), one.server) for one in dependencies for target in one.targets}
    for target in (one for one in state.targets if one.is_doubtful):
        named = [
            (instance, reading)
            for instance, reading in zip(chosen, readings, strict=True)
            if lists(target, instance, doubt=True) and (id(target), instance.server_name) not in needed
        ]
        if named:
            yield reason(
                Condition.OTHER_TARGET_FAILS,
                target=target.name,
                servers=listed(instance.server_name for instance, _ in named),
                failure=WHY.get(target.why, target.why) if target.ready is None else target.failure,
                age=max((reading for _, reading in named), key=lambda one: one.age or 0.0).ago,
                folder=folder,
            )


def _target_reasons(target: TargetState, servers: str, question: Question, at: float) -> Iterator[GateReason]:
    about = {"target": target.name, "servers": servers, "ready_for": write(question.ready_for)}
    if target.ready is None:
        yield reason(Condition.NO_VERDICT, why=WHY.get(target.why, target.why), **about)
    elif not target.ready:
        yield reason(Condition.NOT_READY, failure=target.failure, **about)
    elif target.last_not_ready is not None and at - target.last_not_ready < question.ready_for:
        yield reason(Condition.WAS_NOT_READY, at=moment(target.last_not_ready), **about)
    elif target.ready_since is None or at - target.ready_since < question.ready_for:
        since = "an unknown time" if target.ready_since is None else moment(target.ready_since)
        yield reason(Condition.SHORT_HISTORY, since=since, **about)
    if target.ready and not (target.last_unwrap is not None and _within(at - target.last_unwrap, question.unwrap_age)):
        since = "at an unknown time" if target.last_unwrap is None else f"at {moment(target.last_unwrap)}"
        yield reason(Condition.UNWRAP_OLD, since=since, limit=write(question.unwrap_age), **about)
    yield from _credential_reasons(target, servers, question, at)


def _credential_reasons(target: TargetState, servers: str, question: Question, at: float) -> Iterator[GateReason]:
    about = {"credential": target.credential, "target": target.name, "servers": servers}
    expiry = target.credential_expires_at
    if expiry is None:
        if target.credential_type not in NEVER_EXPIRE:
            yield reason(Condition.EXPIRY_UNKNOWN, **about)
    elif expiry - at <= question.window:
        expires = "expires" if expiry > at else "expired"
        yield reason(Condition.CREDENTIAL_EXPIRES, expires=expires, at=moment(expiry), window=write(question.window), **about)


def _reading(instance: Instance, now: float) -> InstanceReading:
    at = known_time(instance.read_at)
    return InstanceReading(instance.server_name, at, None if at is None else now - at)


def _old(question: Question, readings: Iterable[InstanceReading]) -> Iterator[GateReason]:
    """Yield a reason for the instances whose last reading is too old, by its time. A time of the future is not known."""
    old: dict[str, list[str]] = {}
    for one in readings:
        if one.age is None or not _within(one.age, question.inventory_age):
            old.setdefault(one.text, []).append(one.server)
    for age, servers in old.items():
        limit = write(question.inventory_age)
        yield reason(Condition.INVENTORY_OLD, servers=listed(servers), age=age, limit=limit, folder=question.folder)


def _within(age: float, limit: float) -> bool:
    """Return whether an age is within its limit, and no more negative than clocks differ."""
    return -CLOCK_TOLERANCE <= age <= limit
