"""When the fault of a vault ended that a SQL Server still has in its error log, or whose effects it still shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exporter.core.codes import BY_CODE
from exporter.core.readiness import State
from exporter.state.changes import ChangeKind, ObservedChange
from exporter.state.records import TargetRecord, unsteady_at
from exporter.tde.server_proof import ServerProof


@dataclass(frozen=True, slots=True)
class EndedFault:
    """A period in which a target was not ready, with the codes of its probes. Times are Unix times; `began` is -inf if unknown."""

    began: float
    ended: float
    codes: frozenset[int]


def ended_at(record: TargetRecord | None, server: ServerProof) -> float | None:
    """Return when the fault ended to which the latest code of a SQL Server belongs; None if it belongs to none.

    The target is ready again, and steady: of one that fails in waves, nothing has ended. SQL Server may show another code of the pair than the probe.
    """
    if record is None or record.state is not State.READY or not server.codes or not server.codes[0].is_known:
        return None
    if is_in_waves(record):
        return None
    code, at = BY_CODE[int(server.codes[0].code)], server.codes[0].last_at
    faults = ended_faults(record.changes, slack=record.target.interval)
    return next(
        (each.ended for each in faults if each.began <= at <= each.ended and each.codes & {code.code, code.counterpart}), None
    )


def is_in_waves(record: TargetRecord) -> bool:
    """Return whether the target was unsteady at its last probe: ready, after several failures among the last probes."""
    return record.last is not None and unsteady_at(record, record.last.started_at) is not None


def is_of_the_wave(record: TargetRecord | None, server: ServerProof) -> bool:
    """Return whether the latest code of a SQL Server is the failure that comes and goes in the probes of the target."""
    if record is None or record.last is None or not server.codes or not server.codes[0].is_known:
        return False
    unsteady, code = unsteady_at(record, record.last.started_at), BY_CODE[int(server.codes[0].code)]
    return unsteady is not None and unsteady.most.code in (code.code, code.counterpart)


def ended_faults(changes: Iterable[ObservedChange], *, slack: float) -> Iterator[EndedFault]:
    """Yield the ended faults, the oldest first. A fault began up to `slack` seconds before a probe found it, and ends with a ready one."""
    began, codes = float("-inf"), set[int]()
    for change in changes:
        if change.what is ChangeKind.STATE and change.before == State.READY:
            began, codes = change.at - slack, set()
        codes |= set() if change.failure.code is None else {change.failure.code}
        if change.what is ChangeKind.STATE and change.after == State.READY:
            yield EndedFault(began, change.at, frozenset(codes))
