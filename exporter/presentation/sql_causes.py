"""What keeps SQL Servers from their keys although no probe shows it, with the SQL Servers and targets behind each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from exporter.config.settings import Target
from exporter.presentation.sql_proofs import SqlProofs
from exporter.presentation.sql_texts import urgency_text
from exporter.runtime.slices import yield_with_pauses
from exporter.state.cause_groups import CauseGroup
from exporter.tde.server_proof import ProofState, ServerProof, server_proofs

_TARGETS_PER_SLICE = 25
_PROOFS_PER_SLICE = 100
Verdicts = Iterable[tuple[Target, bool | None]]  # each target, with whether its vault side is ready


@dataclass(slots=True)
class SqlCause:
    """A state of SQL Server's own proofs, with the latest code of the provider, and who is in it.

    `servers` has one proof of each SQL Server by its address, `targets` one of each target by its name. `is_ready` if the vault side of all targets is ready.
    """

    state: ProofState
    code: str  # empty without one
    since: float | None = None
    servers: dict[str, ServerProof] = field(default_factory=dict)
    targets: dict[str, ServerProof] = field(default_factory=dict)
    is_ready: bool = True

    def add(self, server: ServerProof, targets: Mapping[str, bool | None]) -> None:
        """Add a proof, with the verdict of each target of its key."""
        if server.since is not None:
            self.since = server.since if self.since is None else min(self.since, server.since)
        self.servers.setdefault(server.reading.address, server)
        self.targets = dict.fromkeys(targets, server) | self.targets
        self.is_ready = self.is_ready and bool(targets) and all(targets.values())

    @property
    def id(self) -> str:
        """Text of the query parameter `cause`."""
        return f"sql_server:{self.state}:{self.code}"

    @property
    def order(self) -> tuple[object, ...]:
        """Sort by most SQL Servers, then the oldest; what only lacks a proof comes last."""
        return not self.state.is_bad, -len(self.servers), self.since or 0.0


async def sql_causes(verdicts: Verdicts, proofs: SqlProofs, *, all_servers: bool = True) -> list[SqlCause]:
    """Return the causes in the order of their urgency, and let other tasks run in between.

    `all_servers` includes those without one of the targets. A SQL Server whose targets are all not ready fails for their cause, unless SQL Server itself shows another one.
    """
    proofs.refresh()
    # One reading a slice: a SQL Server may have thousands of databases.
    readings = yield_with_pauses(proofs.readings(), 1)
    opened = [each async for reading in readings for each in server_proofs(reading) if each.state.is_open]
    behind: dict[tuple[str, str], dict[str, bool | None]] = {_key(each): {} for each in opened}
    async for target, ready in yield_with_pauses(verdicts if opened else (), _TARGETS_PER_SLICE):
        for proof in proofs.target_proofs(target):
            if _key(proof) in behind:
                behind[_key(proof)][target.name] = ready
    causes = dict[tuple[ProofState, str], SqlCause]()
    async for proof in yield_with_pauses(opened, _PROOFS_PER_SLICE):
        targets = behind[_key(proof)]
        if targets and all(ready is False for ready in targets.values()) and not proof.state.is_seen_inside:
            continue
        if not (targets or all_servers):
            continue
        code = proof.codes[0].code if proof.codes and proof.state is ProofState.FAILING else ""
        causes.setdefault((proof.state, code), SqlCause(proof.state, code)).add(proof, targets)
    return sorted(causes.values(), key=lambda cause: cause.order)


def _key(server: ServerProof) -> tuple[str, str]:
    return server.reading.address, server.proof.thumbprint


def cannot_get_keys(causes: Iterable[SqlCause]) -> int:
    """Return how many SQL Servers cannot get a key themselves."""
    return len({address for cause in causes if cause.state.is_bad for address in cause.servers})


async def cause_log_texts(
    groups: Iterable[CauseGroup], targets: Mapping[str, Target], proofs: SqlProofs, *, now: float
) -> dict[str, str]:
    """Return since when backups fail behind each cause, and the shortest times of the logs, by the id of the cause.

    Only causes that put SQL Servers at risk have one. Other tasks run in between.
    """
    if not proofs.refresh():
        return {}
    texts = dict[str, str]()
    for group in groups:
        servers = list[ServerProof]()
        async for name in yield_with_pauses(group.targets if group.at_risk else (), _TARGETS_PER_SLICE):
            servers += proofs.target_proofs(targets[name])
        if text := urgency_text(servers, now):
            texts[group.id] = text
    return texts
