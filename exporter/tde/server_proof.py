"""What one SQL Server proved of one key, as sentences.

The texts include how long its logs have room. Times are Unix times. Names were bounded and made printable when they were read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Final

from exporter.core.codes import both_numbers
from exporter.core.sql_servers import server_name
from exporter.tde.log_space import LogSpace, log_spaces
from exporter.tde.proof import KeyProof, ProofSource, ReportedCode, failed_backups, key_proofs, reported_codes
from exporter.tde.sql_reading import TRACE_FLAG, SqlServerReading, known_instance, once

_DAY: Final = 86400.0
# From this age on, the last proof is too old. Full backups may be weekly. A node without backups proves its keys at a start alone.
_OLDEST: Final = {ProofSource.LOG_BACKUP: _DAY, ProofSource.DIFFERENTIAL_BACKUP: 8 * _DAY, ProofSource.FULL_BACKUP: 8 * _DAY}
_HOUR: Final = 3600.0  # the age from which a rate is not the present one, and from which a text has the time of its reading
_TWO_DAYS: Final = 48  # hours
_NAMED: Final = 3  # closed databases in a text
_DONE: Final[Mapping[ProofSource, str]] = {
    ProofSource.START: "start that opened {}",
    ProofSource.FULL_BACKUP: "full backup of {}",
    ProofSource.DIFFERENTIAL_BACKUP: "differential backup of {}",
    ProofSource.LOG_BACKUP: "log backup of {}",
}


class ProofState(StrEnum):
    """How a SQL Server stands with a key, the most urgent first."""

    PROVIDER_DISABLED = "provider_disabled"
    NO_CREDENTIAL = "no_credential"
    FAILING = "failing"
    STOPPED = "stopped"
    DUE = "due"
    PROVEN = "proven"
    UNKNOWN = "unknown"

    @property
    def is_bad(self) -> bool:
        """Whether SQL Server cannot get the key itself, whatever a probe shows."""
        return self.is_seen_inside or self is ProofState.FAILING

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


@dataclass(frozen=True)  # without slots: what follows from the reading is found once
class ServerProof:
    """The proof of a target's key by one SQL Server.

    `logs` are those of the key's databases.
    """

    server: str
    reading: SqlServerReading
    proof: KeyProof
    logs: tuple[LogSpace, ...]

    @property
    def known_since(self) -> float | None:
        """The time of the last proof, else of the change that made one due."""
        return self.proof.altered_at if self.proof.proven_at is None else self.proof.proven_at

    @property
    def _free_of_codes_at(self) -> float:
        """The start of the last proof: a long backup hides no code that follows it."""
        proof = self.proof
        return (proof.altered_at if proof.proven_from is None else proof.proven_from) or 0.0

    @cached_property
    def codes(self) -> tuple[ReportedCode, ...]:
        """The provider's codes since the last proof began, the latest first."""
        return reported_codes(self.reading, self._free_of_codes_at)

    @cached_property
    def failed(self) -> tuple[ReportedCode, ...]:
        """The messages about failed backups since then, if the provider is their cause."""
        # Without a provider or a credential SQL Server fails before the provider has a code.
        is_its_fault = self.codes or self.proof.credential_missing or self.proof.provider_disabled
        return failed_backups(self.reading, self._free_of_codes_at) if is_its_fault else ()

    @property
    def since(self) -> float | None:
        """The first code or failed backup since the last proof began.

        Without one, it is `known_since`.
        """
        began = [code.first_at for code in (*self.codes, *self.failed)]
        return max(min(began), self._free_of_codes_at) if began else self.known_since

    @cached_property
    def state(self) -> ProofState:
        """What its last reading shows."""
        proof = self.proof
        if proof.provider_disabled:
            return ProofState.PROVIDER_DISABLED
        if proof.credential_missing:
            return ProofState.NO_CREDENTIAL
        if self.codes:
            return ProofState.FAILING
        if proof.source is None or proof.proven_at is None:
            return ProofState.DUE if proof.is_due else ProofState.UNKNOWN
        is_old = self.reading.read_at.get("backups", 0.0) - proof.proven_at > self.oldest
        return ProofState.STOPPED if is_old else ProofState.PROVEN

    def is_read(self, now: float) -> bool:
        """Whether its backups were read within a day."""
        return now - self.reading.read_at.get("backups", 0.0) <= _DAY

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
    def next_file_in(self) -> float | None:
        """The seconds from the reading of the logs until the next log file is due, None if unknown."""
        return min((log.next_file_in for log in self.logs if log.next_file_in is not None), default=None)


@once
def server_proofs(reading: SqlServerReading) -> tuple[ServerProof, ...]:
    """Return the proof of each key in use, under the names of its series."""
    name = server_name({"sql_instance": reading.sql_instance, "host": reading.host})
    logs = log_spaces(reading)
    return tuple(ServerProof(name, reading, proof, logs_of(proof, logs)) for proof in key_proofs(reading))


def logs_of(proof: KeyProof, logs: Iterable[LogSpace]) -> tuple[LogSpace, ...]:
    """Return the logs of the key's databases."""
    names = frozenset(proof.databases)  # a SQL Server may have thousands
    return tuple(log for log in logs if log.database in names)


def proof_text(server: ServerProof, now: float) -> str:
    """Return when and by what SQL Server proved the key, or that it did not."""
    return _proof(server.proof, now) + read_text(server, now)


def read_text(server: ServerProof, now: float) -> str:
    """Return the age of the reading in brackets; empty if it is of the last hour."""
    age = now - server.reading.read_at.get("backups", now)
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
    if server.since is None or not (server.codes or server.failed):
        return ""
    since = clock_text(server.since, now)
    named = " and ".join(both_numbers(int(code.code)) if code.is_known else code.code for code in server.codes)
    if not named:
        return f"backups fail since {since}"
    return f"its error log shows {named} since {since}{', and backups fail' if server.failed else ''}"


def log_text(servers: Iterable[ServerProof], now: float, *, named: bool = False) -> str:
    """Return when the first log is full, and when the next log file is due.

    The text is empty if both are unknown.
    """
    present = with_present_rates(servers, now)
    full = min(full_times(present, now), default=None)
    next_file = min((each.next_file_in for each in present if each.next_file_in is not None), default=None)
    parts = []
    if full is not None:
        where = f" of {full[2]}" if named else ""
        parts.append(f"the log of [{full[1]}]{where} is {full_text(full[0])}")
    if next_file is not None:
        parts.append(f"the next log file is due in about {span_text(next_file)} (trace flag {TRACE_FLAG} is off)")
    # A token of the old secret may still serve.
    still = "once log backups fail, " if all(each.state is ProofState.PROVEN for each in present) else ""
    return f"{still}at the present rate {'; '.join(parts)}" if parts else ""


def with_present_rates(servers: Iterable[ServerProof], now: float) -> list[ServerProof]:
    """Return those whose logs were read in the last hour."""
    return [each for each in servers if now - each.reading.read_at.get("logs", 0.0) <= _HOUR]


def full_text(seconds: float) -> str:
    """Return when a log is full."""
    return f"full in {span_text(seconds)}" if seconds > 0 else "full already"


def full_times(servers: Iterable[ServerProof], now: float) -> Iterator[tuple[float, str, str]]:
    """Yield the seconds until the first log of each SQL Server is full, with its database and SQL Server."""
    for each in servers:
        if each.first_full is not None and each.first_full.full_in is not None:
            left = each.first_full.full_in - (now - each.reading.read_at["logs"])
            yield max(0.0, left), each.first_full.database, each.server


def closed_text(server: ServerProof) -> str:
    """Return which databases of the SQL Server did not open, perhaps for want of the key; empty if none."""
    instance = known_instance(server.reading)
    names = [one.name for one in instance.databases if one.needs_unknown_key] if instance is not None else []
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    listed = ", ".join(f"[{name}]" for name in names[:_NAMED])
    return f"{listed}{more} of {server.server} {'is' if len(names) == 1 else 'are'} closed" if names else ""


def most_urgent(servers: Sequence[ServerProof], now: float) -> ServerProof:
    """Return the SQL Server whose log is full first, else the first one."""
    present = with_present_rates(servers, now)
    times = {left: each for each in reversed(present) for left, _, _ in full_times([each], now)}
    return times[min(times)] if times else servers[0]


def clock_text(at: float, now: float) -> str:
    """Return `14:02 UTC`, with the date unless it is today's."""
    then, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC).date()
    return f"{then:%H:%M} UTC" if then.date() == today else f"{then:%Y-%m-%d %H:%M} UTC"


def span_text(seconds: float) -> str:
    """Return `12 min`, `3 h 40 min`, or `2 d 5 h` from two days on."""
    hours, minutes = divmod(max(1, round(seconds) // 60), 60)
    parts = [(hours // 24, "d"), (hours % 24, "h")] if hours >= _TWO_DAYS else [(hours, "h"), (minutes, "min")]
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount)
