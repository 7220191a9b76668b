"""What is against the restart of SQL Servers by the state of a target that they need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from exporter.core.durations import moment, write
from exporter.core.readiness import WHY
from exporter.tde.exporter_state import ExporterState, GateReason, TargetState
from exporter.tde.findings import listed
from exporter.tde.gate.conditions import Condition, reason
from exporter.tde.gate.dependencies import lists
from exporter.tde.gate.exporters import place_of
from exporter.tde.gate.model import Dependency, InstanceReading, Question, is_within
from exporter.tde.gate.proofs import has_staged_secret, meanwhile
from exporter.tde.model import Instance
from exporter.tde.server_proof import ServerProof

NEVER_EXPIRE = ("managed_identity", "workload_identity")


@dataclass(frozen=True, slots=True)
class NeededTarget:
    """A target with the keys that servers need it for, and what these servers proved. `names` are for texts."""

    target: TargetState
    dependencies: tuple[Dependency, ...]
    names: tuple[str, ...]
    proofs: tuple[ServerProof, ...] = ()


def needed_targets(dependencies: Iterable[Dependency], proofs: Sequence[ServerProof]) -> Iterator[NeededTarget]:
    """Yield each target once. Two exporters behind one address may have targets of one name."""
    found: dict[int, tuple[TargetState, list[Dependency]]] = {}
    for dependency in dependencies:
        for target in dependency.targets:
            found.setdefault(id(target), (target, []))[1].append(dependency)
    for target, those in found.values():
        keys = {(one.server, one.usage.key.thumbprint) for one in those}
        own = tuple(each for each in proofs if (each.server, each.proof.thumbprint) in keys)
        yield NeededTarget(target, tuple(those), tuple(dict.fromkeys(one.server for one in those)), own)


def verdict_reasons(needed: NeededTarget, *, now: float, several: bool) -> Iterator[GateReason]:
    """Yield a reason if the target is not ready, or has no verdict. With `several` exporters, the text names this one."""
    target, about = needed.target, _values(needed, several=several)
    if target.ready is None:
        yield reason(Condition.NO_VERDICT, why=WHY.get(target.why, target.why), **about)
    elif not target.ready and target.next_credential_usable:
        late = [one.server for one in needed.dependencies if not has_staged_secret(one, needed.proofs, target.last_success)]
        alter = (
            f"ALTER CREDENTIAL with the staged secret on {listed(late)} (ekm-exporter docs rollover#3-node-by-node). Then promote"
        )
        yield reason(
            Condition.STAGED_ONLY,
            failure=target.failure,
            credential=target.credential,
            action=alter if late else "SQL Server has the staged secret already. Promote",
            logs=meanwhile(needed.proofs, now),
            **about,
        )
    elif not target.ready:
        yield reason(Condition.NOT_READY, failure=target.failure, logs=meanwhile(needed.proofs, now), **about)


def history_reasons(needed: NeededTarget, question: Question, *, several: bool) -> Iterator[GateReason]:
    """Yield a reason if the target was not ready for long enough, if its unwrap is old, or if its credential expires."""
    target, at = needed.target, needed.target.at
    about = _values(needed, several=several) | {"ready_for": write(question.ready_for)}
    if target.ready and target.last_not_ready is not None and at - target.last_not_ready < question.ready_for:
        yield reason(Condition.WAS_NOT_READY, at=moment(target.last_not_ready), **about)
    elif target.ready and (target.ready_since is None or at - target.ready_since < question.ready_for):
        since = "an unknown time" if target.ready_since is None else moment(target.ready_since)
        yield reason(Condition.SHORT_HISTORY, since=since, **about)
    if target.ready and not (target.last_unwrap is not None and is_within(at - target.last_unwrap, question.unwrap_age)):
        since = "at an unknown time" if target.last_unwrap is None else f"at {moment(target.last_unwrap)}"
        yield reason(Condition.UNWRAP_OLD, since=since, limit=write(question.unwrap_age), **about)
    yield from _credential_reasons(target, question, about)


def _credential_reasons(target: TargetState, question: Question, names: Mapping[str, str]) -> Iterator[GateReason]:
    expiry, about = target.credential_expires_at, {**names, "credential": target.credential}
    if expiry is None:
        if target.credential_type not in NEVER_EXPIRE:
            yield reason(Condition.EXPIRY_UNKNOWN, **about)
    elif expiry - target.at <= question.window:
        expires = "expires" if expiry > target.at else "expired"
        yield reason(Condition.CREDENTIAL_EXPIRES, expires=expires, at=moment(expiry), window=write(question.window), **about)


def other_target_reasons(
    state: ExporterState,
    chosen: Sequence[tuple[Instance, InstanceReading]],
    dependencies: Iterable[Dependency],
    folder: str,
    *,
    several: bool,
) -> Iterator[GateReason]:
    """Yield a reason for each doubtful target that names an instance without a known need of it: its keys may have moved."""
    needed = {(id(target), one.server) for one in dependencies for target in one.targets}
    for target in (one for one in state.targets if one.is_doubtful):
        named = [
            (instance, reading)
            for instance, reading in chosen
            if lists(target, instance, doubt=True) and (id(target), instance.server_name) not in needed
        ]
        if named:
            yield reason(
                Condition.OTHER_TARGET_FAILS,
                target=target.name,
                where=_where(target, several=several),
                servers=listed(instance.server_name for instance, _ in named),
                failure=WHY.get(target.why, target.why) if target.ready is None else target.failure,
                age=max((reading for _, reading in named), key=lambda one: one.age or 0.0).ago,
                folder=folder,
            )


def _values(needed: NeededTarget, *, several: bool) -> dict[str, str]:
    where = _where(needed.target, several=several)
    return {"target": needed.target.name, "where": where, "servers": listed(needed.names)}


def _where(target: TargetState, *, several: bool) -> str:
    return f" at {place_of(target)}," if several else ""
