"""What keeps SQL Servers from their keys although no probe shows it, with the SQL Servers and targets behind each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf

from exporter.config.settings import Target
from exporter.core.codes import BY_CODE, Category
from exporter.core.reasons import Reason
from exporter.presentation.ended_faults import ended_at, is_of_the_wave
from exporter.presentation.sql_proofs import SqlProofs, proof_key
from exporter.presentation.sql_texts import urgency_text
from exporter.runtime.slices import yield_with_pauses
from exporter.state.cause_groups import CauseGroup
from exporter.state.records import TargetRecord
from exporter.tde.server_proof import ProofState, ServerProof, server_proofs
from exporter.tde.urgency import stalled

_TARGETS_PER_SLICE = 25
_PROOFS_PER_SLICE = 100
_REPEAT_BACKUPS = "Repeat the log backups after ten minutes without 429"
Verdicts = Iterable[tuple[Target, bool | None, TargetRecord | None]]  # each target, with whether its vault side is ready


@dataclass(slots=True)
class SqlCause:
    """A state of SQL Server's own proofs, with the latest code of the provider, and who is in it.

    `servers` has one proof of each SQL Server by its address, `targets` one of each target by its name. `is_ready` if the vault side of all targets is ready, `is_probed` if that of one is. `ended_at` is when
    the fault of the vault ended that is behind the code; None without one.
    """

    state: ProofState
    code: str  # empty without one
    since: float | None = None
    servers: dict[str, ServerProof] = field(default_factory=dict)
    targets: dict[str, ServerProof] = field(default_factory=dict)
    is_ready: bool = True
    ended_at: float | None = None
    is_probed: bool = False

    def add(self, server: ServerProof, targets: Mapping[str, bool | None]) -> None:
        """Add a proof, with the verdict of each target of its key."""
        if server.since is not None:
            self.since = server.since if self.since is None else min(self.since, server.since)
        self.servers.setdefault(server.reading.address, server)
        self.targets = dict.fromkeys(targets, server) | self.targets
        self.is_probed = self.is_probed or any(targets.values())
        self.is_ready = self.is_ready and bool(targets) and all(targets.values())

    def target_of(self, server: ServerProof) -> str:
        """Return the first target of a SQL Server, as a command has it."""
        return min((name for name, each in self.targets.items() if each is server), default="TARGET")

    @property
    def id(self) -> str:
        """Text of the query parameter `cause`."""
        return f"sql_server:{self.state}:{self.code}" + (":ended" if self.ended_at is not None else "")

    @property
    def is_bad(self) -> bool:
        """Whether SQL Servers do not work: closed databases, or a key that cannot be had now."""
        return self.state is ProofState.CLOSED or (self.state.is_bad and self.ended_at is None)

    @property
    def weight(self) -> float:
        """Sort key among all causes: closed databases first, then by the number of SQL Servers.

        What may no longer write comes before what only lacks a backup.
        """
        if self.state is ProofState.CLOSED:
            return -inf
        return -len(self.servers) if self.is_bad else 0 if stalled(self.servers.values()) else 1

    @property
    def order(self) -> tuple[object, ...]:
        """Sort closed databases first, then by most SQL Servers, then the oldest; what only lacks a proof comes last."""
        return self.weight, -len(self.servers), self.since or 0.0


async def sql_causes(verdicts: Verdicts, proofs: SqlProofs, *, all_servers: bool = True) -> list[SqlCause]:
    """Return the causes in the order of their urgency, and let other tasks run in between.

    `all_servers` includes those without one of the targets. A SQL Server fails for the cause of its targets if all of them are not ready, not probed yet, or
    fail with its code in waves, unless SQL Server itself shows another cause.
    """
    proofs.refresh()
    # One reading a slice: a SQL Server may have thousands of databases.
    readings = yield_with_pauses(proofs.readings(), 1)
    opened = [each async for reading in readings for each in proofs.proofs_of(reading) if each.state.is_open]
    behind: dict[tuple[str, str], dict[str, bool | None]] = {proof_key(each): {} for each in opened}
    of_itself = set[tuple[str, str]]()
    ended = dict[tuple[str, str], float]()
    async for target, ready, record in yield_with_pauses(verdicts if opened else (), _TARGETS_PER_SLICE):
        for proof in proofs.target_proofs(target):
            if proof_key(proof) in behind:
                behind[proof_key(proof)][target.name] = ready
                if not _is_of_the_target(ready, record, proof):
                    of_itself.add(proof_key(proof))
                if ready is not False and (at := ended_at(record, proof)) is not None:
                    ended[proof_key(proof)] = at
    causes = dict[tuple[ProofState, str, float | None], SqlCause]()
    async for proof in yield_with_pauses(opened, _PROOFS_PER_SLICE):
        targets = behind[proof_key(proof)]
        if targets and proof_key(proof) not in of_itself and not proof.cause.is_seen_inside:
            continue
        if not (targets or all_servers):
            continue
        code = proof.signs[0].code if proof.cause is ProofState.FAILING else ""
        key = (proof.state, code, ended.get(proof_key(proof)))
        causes.setdefault(key, SqlCause(proof.state, code, ended_at=key[2])).add(proof, targets)
    return sorted(causes.values(), key=lambda cause: cause.order)


def _is_of_the_target(ready: bool | None, record: TargetRecord | None, server: ServerProof) -> bool:
    """Return whether the probes of a target have the cause, or may have it: before a probe finishes, SQL Server itself is not accused."""
    is_pending = record is None or record.last is None
    if ready is False or (is_pending and server.state is not ProofState.CLOSED):
        return True
    return server.state is ProofState.FAILING and is_of_the_wave(record, server)


async def closed_behind(verdicts: Verdicts, proofs: SqlProofs) -> dict[str, tuple[ServerProof, ...]]:
    """Return the SQL Servers with closed databases of each target that is not ready, by its name; other tasks run in between.

    The proofs are those of the last refresh.
    """
    if not any(each.proof.closed for reading in proofs.readings() for each in server_proofs(reading)):
        return {}
    found = dict[str, tuple[ServerProof, ...]]()
    async for target, ready, _ in yield_with_pauses(verdicts, _TARGETS_PER_SLICE):
        if ready is False and (closed := tuple(each for each in proofs.target_proofs(target) if each.proof.closed)):
            found[target.name] = closed
    return found


def sql_headline(causes: Iterable[SqlCause], behind: Iterable[ServerProof] = ()) -> str:
    """Return how many SQL Servers have closed databases, and how many cannot get a key themselves; empty without any.

    `behind` are those with closed databases behind a vault side that is not ready.
    """
    bad = [cause for cause in causes if cause.is_bad]
    closed = {each.reading.address for each in behind}
    closed |= {address for cause in bad if cause.state is ProofState.CLOSED for address in cause.servers}
    others = {address for cause in bad for address in cause.servers} - closed
    its = "its key itself" if len(others) == 1 else "their keys themselves"
    texts = [(closed, f"{'has' if len(closed) == 1 else 'have'} closed databases"), (others, f"cannot get {its}")]
    return ". ".join(f"{len(found):,} SQL Server{'' if len(found) == 1 else 's'} {text}" for found, text in texts if found)


def _fails_alike(server: ServerProof, reason: Reason | None) -> bool:
    """Return whether backups fail that a vault in waves may have refused: of a throttled one, with the code of that."""
    codes = [BY_CODE[int(each.code)].category for each in server.codes[:1] if each.is_known]
    return bool(server.failed) and (reason is not Reason.THROTTLED or Category.THROTTLED in codes)


async def cause_log_texts(
    groups: Iterable[CauseGroup], targets: Mapping[str, Target], proofs: SqlProofs, *, now: float
) -> dict[str, str]:
    """Return since when backups fail behind each cause, and the shortest times of the logs, by the id of the cause.

    Only causes that put SQL Servers at risk have one, and causes in waves while backups fail. Other tasks run in between.
    """
    if not proofs.refresh():
        return {}
    texts = dict[str, str]()
    for group in groups:
        servers = list[ServerProof]()
        in_waves = group.cause.unsteady
        async for name in yield_with_pauses(group.targets if group.at_risk or in_waves else (), _TARGETS_PER_SLICE):
            servers += (
                each for each in proofs.target_proofs(targets[name]) if not in_waves or _fails_alike(each, group.cause.reason)
            )
        if text := urgency_text(servers, now):
            texts[group.id] = f"{text}. {_REPEAT_BACKUPS}" if in_waves and group.cause.reason is Reason.THROTTLED else text
    return texts
