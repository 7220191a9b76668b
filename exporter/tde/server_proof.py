"""What one SQL Server proved of one key, as sentences.

Times are Unix times. Names were bounded and made printable when they were read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Final

from exporter.core.codes import BY_CODE, Category, both_numbers
from exporter.tde.log_space import LogSpace, log_spaces
from exporter.tde.proof import (
    TWO_HOURS,
    KeyProof,
    ProofSource,
    ReportedCode,
    failed_backups,
    key_proofs,
    last_backup,
    open_messages,
    reported_codes,
)
from exporter.tde.sql_reading import SqlServerReading, once, rows, section_age, shown_name

_DAY: Final = 86400.0
# From this age on, the last proof is too old. Full backups may be weekly. A node without backups proves its keys at a start alone.
_OLDEST: Final = {ProofSource.LOG_BACKUP: _DAY, ProofSource.DIFFERENTIAL_BACKUP: 8 * _DAY, ProofSource.FULL_BACKUP: 8 * _DAY}
_HOUR: Final = 3600.0  # the age from which a text has the time of its reading
# What a proof follows from: backups alone do not show that databases have another key since, or the key another credential.
_SECTIONS: Final = ("backups", "errors", "keys", "credentials", "encryption")
_REFUSALS: Final = frozenset(str(code) for code, row in BY_CODE.items() if row.category is Category.IDENTITY)
_TWO_DAYS: Final = 48  # hours
_ROLL_OVER: Final = 14 * _DAY  # as EkmSqlCredentialLeftBehind: within this time, nodes get one secret
_DONE: Final[Mapping[ProofSource, str]] = {
    ProofSource.START: "start that opened {}",
    ProofSource.FULL_BACKUP: "full backup of {}",
    ProofSource.DIFFERENTIAL_BACKUP: "differential backup of {}",
    ProofSource.LOG_BACKUP: "log backup of {}",
}


class ProofState(StrEnum):
    """How a SQL Server stands with a key, the most urgent first."""

    CLOSED = "closed"
    PROVIDER_DISABLED = "provider_disabled"
    NO_CREDENTIAL = "no_credential"
    FAILING = "failing"
    LEFT_BEHIND = "left_behind"
    STOPPED = "stopped"
    DUE = "due"
    PROVEN = "proven"
    UNKNOWN = "unknown"

    @property
    def is_bad(self) -> bool:
        """Whether SQL Server cannot get the key itself, whatever a probe shows."""
        return self.is_seen_inside or self in (ProofState.CLOSED, ProofState.FAILING)

    @property
    def is_seen_inside(self) -> bool:
        """Whether only SQL Server itself shows the cause.

        It is a cause of its own even while no target is ready.
        """
        return self in (ProofState.PROVIDER_DISABLED, ProofState.NO_CREDENTIAL)

    @property
    def is_open(self) -> bool:
        """Whether there is something to do: a proof is missing."""
        return self not in (ProofState.PROVEN, ProofState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A SQL Server that has another secret since Entra ID refused its former one. Times are Unix times.

    Credentials that were altered before `written_before` may have the refused secret.
    """

    server: str
    since: float
    written_before: float


@dataclass(frozen=True)  # without slots: what follows from the reading is found once
class ServerProof:
    """The proof of a target's key by one SQL Server.

    `logs` are those of the key's databases. `refusal` is that of another SQL Server of the same client id, after which this one has not shown that
    it has another secret.
    """

    server: str
    reading: SqlServerReading
    proof: KeyProof
    logs: tuple[LogSpace, ...]
    refusal: Refusal | None = None

    @property
    def known_since(self) -> float | None:
        """The time of the last proof, else of the change that made one due."""
        return self.proof.altered_at if self.proof.proven_at is None else self.proof.proven_at

    @property
    def _free_of_codes_at(self) -> float:
        """The start of the last proof, or of a later backup: a long backup hides no code that follows it."""
        proof = self.proof
        if self.worked is not None:
            return self.worked[0]
        return (proof.altered_at if proof.proven_from is None else proof.proven_from) or 0.0

    @cached_property
    def worked(self) -> tuple[float, float] | None:
        """The start and end of the latest backup since the credential was altered, if it proves nothing yet; None without one."""
        altered = self.proof.altered_at
        return (
            None
            if altered is None or self.proof.proven_at is not None
            else last_backup(self.reading, self.proof.databases, altered)
        )

    @cached_property
    def codes(self) -> tuple[ReportedCode, ...]:
        """The provider's codes since the last proof began, the latest first.

        A backup of another database hides no code of one that did not open.
        """
        return reported_codes(self.reading, 0.0 if self.proof.closed else self._free_of_codes_at)

    @cached_property
    def messages(self) -> tuple[ReportedCode, ...]:
        """The messages without a code about the DLL or a key, the latest first: of databases that did not open, or while backups fail.

        Without a failed backup, they may be of a restore of another server's backup.
        """
        if self.proof.closed:
            return open_messages(self.reading, 0.0)
        return open_messages(self.reading, self._free_of_codes_at) if self._failed_backups else ()

    @property
    def signs(self) -> tuple[ReportedCode, ...]:
        """The codes, else the messages that have none."""
        return self.codes or self.messages

    @cached_property
    def _failed_backups(self) -> tuple[ReportedCode, ...]:
        """The messages about failed backups since then, of any cause."""
        return failed_backups(self.reading, self._free_of_codes_at)

    @cached_property
    def fails_for_long(self) -> bool:
        """Whether backups failed for an hour, and none of its databases finished since.

        The log does not name the databases of failed backups: without a code or a message, the cause may be another one, or another database's.
        """
        first = min((each.first_at for each in self._failed_backups), default=math.inf)
        last = max((each.last_at for each in self._failed_backups), default=0.0)
        return last - max(first, self._free_of_codes_at) >= _HOUR

    @cached_property
    def failed(self) -> tuple[ReportedCode, ...]:
        """The messages about failed backups since then, if the provider is their cause, or may be."""
        # Without a provider or a credential SQL Server fails before the provider has a code.
        is_its_fault = self.codes or self.proof.credential_missing or self.proof.provider_disabled
        is_open = not self.proof.closed and (self.messages or self.fails_for_long)
        return self._failed_backups if is_its_fault or is_open else ()

    @property
    def since(self) -> float | None:
        """The first code or failed backup since the last proof began.

        Without one, it is `known_since`. Of a closed database, it is the first line of the error log about the cause.
        """
        began = [code.first_at for code in (*self.codes, *self.messages, *self.failed)]
        if self.proof.closed:
            return min(began, default=self.known_since)
        if not began and self.refusal is not None and self.state is ProofState.LEFT_BEHIND:
            return self.refusal.since
        return max(min(began), self._free_of_codes_at) if began else self.known_since

    @cached_property
    def state(self) -> ProofState:
        """What its last reading shows."""
        return ProofState.CLOSED if self.proof.closed else self.cause

    @cached_property
    def cause(self) -> ProofState:
        """Its state, but of a closed database what closes it, if that is known."""
        proof = self.proof
        if proof.provider_disabled:
            return ProofState.PROVIDER_DISABLED
        if proof.credential_missing:
            return ProofState.NO_CREDENTIAL
        if self.codes or (self.messages and not proof.closed):
            return ProofState.FAILING
        if proof.closed:
            return ProofState.CLOSED
        if self.refusal is not None:
            return ProofState.LEFT_BEHIND
        if proof.source is None or proof.proven_at is None:
            return ProofState.DUE if proof.is_due else ProofState.UNKNOWN
        return ProofState.STOPPED if self.is_old or self.fails_for_long else ProofState.PROVEN

    @property
    def is_old(self) -> bool:
        """Whether a further backup is missing since the last proof."""
        return self.reading.read_at.get("backups", 0.0) - (self.proof.proven_at or math.inf) > self.oldest

    @cached_property
    def refused(self) -> Refusal | None:
        """The secret that Entra ID refused in the last 24 hours, if the credential was altered since and nothing fails now.

        A credential that was refused within a day of its change had a wrong secret from the start, which no other SQL Server has.
        """
        lines = (each for each in reported_codes(self.reading, 0.0) if each.is_known)
        refused = (each.first_at for each in lines if BY_CODE[int(each.code)].category is Category.IDENTITY)
        since, before = min(refused, default=math.inf), self.proof.altered_before
        if since >= (self.proof.altered_at or 0.0) or self.codes or (before is not None and since - _DAY < before <= since):
            return None
        return Refusal(self.server, since, since if before is None else min(since, before + _ROLL_OVER))

    def may_meet(self, refusal: Refusal) -> bool:
        """Whether its credential is as old as the refused one, and no start and no later backup used it with a new token since."""
        if (self.proof.altered_at or 0.0) >= refusal.written_before:
            return False
        needs = 0.0 if self.proof.source is ProofSource.START else TWO_HOURS
        return (self.proof.proven_from or 0.0) <= refusal.since + needs

    def is_read(self, now: float) -> bool:
        """Whether its backups, and all else that it follows from, were read within a day."""
        return "backups" in self.reading.read_at and self.age(now) <= _DAY

    def age(self, now: float) -> float:
        """Return the age of what it follows from, in seconds; what was never read proves nothing."""
        return max((section_age(self.reading, name, now) for name in _SECTIONS if name in self.reading.read_at), default=0.0)

    @property
    def oldest(self) -> float:
        """The age from which its last proof is too old, in seconds."""
        return math.inf if self.proof.source is None else _OLDEST.get(self.proof.source, math.inf)

    @property
    def has_stopped(self) -> bool:
        """Whether SQL Server proves the key no more: since a day, if its credential was altered then."""
        if self.state is not ProofState.DUE:
            return self.state.is_open
        return self.reading.read_at.get("backups", 0.0) - (self.known_since or math.inf) > _DAY

    @cached_property
    def first_full(self) -> LogSpace | None:
        """The log that is full first, None if that is unknown."""
        known = (log for log in self.logs if log.full_in is not None)
        return min(known, key=lambda log: (log.full_in or 0.0, log.database), default=None)

    @cached_property
    def next_file(self) -> LogSpace | None:
        """The log whose next log file is due first, None if that is unknown."""
        known = (log for log in self.logs if log.next_file_in is not None)
        return min(known, key=lambda log: (log.next_file_in or 0.0, log.database), default=None)


@once
def server_proofs(reading: SqlServerReading) -> tuple[ServerProof, ...]:
    """Return the proof of each key in use, under the names of its series."""
    name = shown_name(reading)
    logs = log_spaces(reading)
    return tuple(ServerProof(name, reading, proof, logs_of(proof, logs)) for proof in key_proofs(reading))


def shows_refusal(reading: SqlServerReading) -> bool:
    """Whether the error log has a code of a refused secret: few readings do, so the proofs of the others need not be found for it."""
    return any(str(row.get("code")) in _REFUSALS for row in rows(reading, "errors"))


def with_refusals(servers: Iterable[ServerProof]) -> tuple[ServerProof, ...]:
    """Return the proofs of SQL Servers with one client id, each with the refusal elsewhere that it may meet too: repairs may be half done."""
    servers = tuple(servers)
    known = [each.refused for each in servers if each.refused is not None]
    return tuple(replace(each, refusal=_refusal_of(each, known)) if known else each for each in servers)


def _refusal_of(server: ServerProof, known: Iterable[Refusal]) -> Refusal | None:
    met = (each for each in known if each.server != server.server and server.may_meet(each))
    return max(met, key=lambda each: each.since, default=None)


def logs_of(proof: KeyProof, logs: Iterable[LogSpace]) -> tuple[LogSpace, ...]:
    """Return the logs of the key's databases."""
    names = frozenset(proof.databases)  # a SQL Server may have thousands
    return tuple(log for log in logs if log.database in names)


def proof_text(server: ServerProof, now: float) -> str:
    """Return when and by what SQL Server proved the key, or that it did not."""
    parts = _proof(server.proof, now), worked_text(server, now), refusal_text(server, now)
    return "; ".join(filter(None, parts)) + read_text(server, now)


def refusal_text(server: ServerProof, now: float) -> str:
    """Return that its credential may have a secret that was refused elsewhere; empty if it cannot."""
    if server.refusal is None or server.cause is not ProofState.LEFT_BEHIND:
        return ""
    since, altered = clock_text(server.refusal.since, now), server.proof.altered_at
    when = "at an unknown time" if altered is None else f"at {clock_text(altered, now)}"
    return f"its credential was altered {when}, before Entra ID refused the secret of {server.refusal.server} since {since}, so it may have that secret too"


def worked_text(server: ServerProof, now: float) -> str:
    """Return that a backup finished since the change, and when one proves the key; empty without such a backup, or with another fault."""
    if server.worked is None or server.state is not ProofState.DUE or server.proof.altered_at is None:
        return ""
    proves = clock_text(server.proof.altered_at + TWO_HOURS, now)
    return (
        f"a backup finished at {clock_text(server.worked[1], now)} since, and one that begins at {proves} or later proves the key"
    )


def read_text(server: ServerProof, now: float) -> str:
    """Return the age of the reading in brackets; empty if it is of the last hour."""
    age = server.age(now)
    return f" (read {span_text(age)} ago)" if age > _HOUR else ""


def _proof(proof: KeyProof, now: float) -> str:
    lacks = _lacks(proof)
    if proof.source is not None and proof.proven_at is not None:
        done = f"{span_text(now - proof.proven_at)} ago, {_DONE[proof.source].format(f'[{proof.database}]')}"
        return f"{done}, but {lacks}" if lacks else done
    if lacks:
        return f"not proven: {lacks}"
    if proof.altered_at is not None:
        return f"not proven since the credential was altered at {clock_text(proof.altered_at, now)}"
    return "not proven: no start and no finished backup is known"


def _lacks(proof: KeyProof) -> str:
    """Return what SQL Server lacks to use the key; empty if nothing is known to be missing."""
    if proof.provider_disabled:
        return "its EKM provider is disabled, so SQL Server cannot use the key"
    return f"{login_text(proof)} has no credential, so SQL Server cannot sign in to the vault" if proof.credential_missing else ""


def login_text(proof: KeyProof) -> str:
    return f"login [{proof.login}]" if proof.login else "the key's login"


def codes_text(server: ServerProof, now: float) -> str:
    """Return what the error log shows since the last proof.

    That is codes of the provider, and failed backups.
    """
    if server.since is None or not (server.codes or server.messages or server.failed):
        return ""
    since = clock_text(server.since, now)
    codes = [both_numbers(int(code.code)) if code.is_known else code.code for code in server.codes]
    named = " and ".join([*codes, *(f"message {message.code}" for message in server.messages)])
    if not named:
        return f"backups fail since {since}"
    return f"its error log shows {named} since {since}{', and backups fail' if server.failed else ''}"


def clock_text(at: float, now: float) -> str:
    """Return `14:02 UTC`, with the date unless it is today's."""
    then, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC).date()
    return f"{then:%H:%M} UTC" if then.date() == today else f"{then:%Y-%m-%d %H:%M} UTC"


def span_text(seconds: float) -> str:
    """Return `12 min`, `3 h 40 min`, or `2 d 5 h` from two days on."""
    hours, minutes = divmod(max(1, round(seconds) // 60), 60)
    parts = [(hours // 24, "d"), (hours % 24, "h")] if hours >= _TWO_DAYS else [(hours, "h"), (minutes, "min")]
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount)
