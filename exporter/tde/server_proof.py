"""What SQL Server's own proof of a key amounts to: proven, due, stopped, failing, or without a credential."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exporter.core.sql_servers import server_name
from exporter.tde.log_space import LogSpace, log_spaces
from exporter.tde.proof import KeyProof, ProofSource, ReportedCode, failed_backups, key_proofs, reported_codes
from exporter.tde.sql_reading import SqlServerReading

_DAY: Final = 86400.0
# From this age on, the last proof is too old. Full backups may be weekly. A node without backups proves its keys at a start alone.
_OLDEST: Final = {ProofSource.LOG_BACKUP: _DAY, ProofSource.DIFFERENTIAL_BACKUP: 8 * _DAY, ProofSource.FULL_BACKUP: 8 * _DAY}


class ProofState(StrEnum):
    """How a SQL Server stands with a key, the most urgent first."""

    NO_CREDENTIAL = "no_credential"
    FAILING = "failing"
    STOPPED = "stopped"
    DUE = "due"
    PROVEN = "proven"
    UNKNOWN = "unknown"

    @property
    def is_bad(self) -> bool:
        """Whether SQL Server cannot get the key itself, whatever a probe shows."""
        return self in (ProofState.NO_CREDENTIAL, ProofState.FAILING)

    @property
    def is_open(self) -> bool:
        """Whether there is something to do: a proof is missing."""
        return self not in (ProofState.PROVEN, ProofState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class ServerProof:
    """The proof of one key by one SQL Server, as far as its last reading shows.

    `full_in` and `next_file_in` are the shortest times of the logs of the key's databases in seconds after their reading, None if
    unknown; `full_database` is the database whose log is full first. `codes` are the provider's codes in its error log since the proof, the latest first.
    `since` is the Unix time of the first of these codes or failed backups, else of the last proof, else of the change that made one
    due. `backups_fail` if the error log has failed backups since the proof.
    """

    reading: SqlServerReading
    proof: KeyProof
    full_in: float | None
    full_database: str
    next_file_in: float | None
    codes: tuple[ReportedCode, ...]
    state: ProofState
    since: float | None
    backups_fail: bool

    @property
    def server(self) -> str:
        """The name of the SQL Server, such as `PROD on n1`."""
        return server_name({"sql_instance": self.reading.sql_instance, "host": self.reading.host})

    @property
    def has_stopped(self) -> bool:
        """Whether SQL Server proves the key no more: since a day, if its credential was altered then."""
        if self.state is not ProofState.DUE:
            return self.state.is_open
        return self.since is not None and self.reading.read_at.get("backups", 0.0) - self.since > _DAY


def server_proofs(reading: SqlServerReading) -> tuple[ServerProof, ...]:
    """Return the proof of each key in use."""
    logs = log_spaces(reading)
    return tuple(_server_proof(reading, proof, logs) for proof in key_proofs(reading))


def _server_proof(reading: SqlServerReading, proof: KeyProof, logs: Iterable[LogSpace]) -> ServerProof:
    names = frozenset(proof.databases)  # a SQL Server may have thousands
    known = proof.altered_at if proof.proven_at is None else proof.proven_at
    codes = reported_codes(reading, known or 0.0)
    # Without a credential SQL Server fails before the provider has a code.
    failed = failed_backups(reading, known or 0.0) if codes or proof.credential_missing else ()
    began = [code.first_at for code in (*codes, *failed)]
    own = [log for log in logs if log.database in names]
    full = min(((log.full_in, log.database) for log in own if log.full_in is not None), default=None)
    return ServerProof(
        reading=reading,
        proof=proof,
        full_in=None if full is None else full[0],
        full_database="" if full is None else full[1],
        next_file_in=min((log.next_file_in for log in own if log.next_file_in is not None), default=None),
        codes=codes,
        state=_state(reading, proof, fails=bool(codes)),
        since=max(min(began), known or 0.0) if began else known,
        backups_fail=bool(failed),
    )


def _state(reading: SqlServerReading, proof: KeyProof, *, fails: bool) -> ProofState:
    if proof.credential_missing:
        return ProofState.NO_CREDENTIAL
    if fails:
        return ProofState.FAILING
    if proof.source is None or proof.proven_at is None:
        return ProofState.DUE if proof.is_due else ProofState.UNKNOWN
    oldest = _OLDEST.get(proof.source, math.inf)
    return ProofState.STOPPED if reading.read_at.get("backups", 0.0) - proof.proven_at > oldest else ProofState.PROVEN
