"""What one SQL Server proved of one key, as sentences.

The texts include how long its logs have room. Times are Unix times. Names were bounded and made printable when they were read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from exporter.core.codes import BY_CODE, both_numbers
from exporter.tde.log_space import LogSpace
from exporter.tde.proof import KeyProof, ProofSource, ReportedCode, reported_codes
from exporter.tde.sql_reading import TRACE_FLAG, SqlServerReading

_DAY: Final = 86400.0
_HOUR: Final = 3600.0  # the age from which a rate is not the present one, and from which a text has the time of its reading
_TWO_DAYS: Final = 48  # hours
_DONE: Final[Mapping[ProofSource, str]] = {
    ProofSource.START: "start that opened {}",
    ProofSource.FULL_BACKUP: "full backup of {}",
    ProofSource.DIFFERENTIAL_BACKUP: "differential backup of {}",
    ProofSource.LOG_BACKUP: "log backup of {}",
}


@dataclass(frozen=True, slots=True)
class ServerProof:
    """The proof of a target's key by one SQL Server. `logs` are those of the key's databases."""

    server: str
    reading: SqlServerReading
    proof: KeyProof
    logs: tuple[LogSpace, ...]

    @property
    def known_since(self) -> float | None:
        """The time of the last proof, else of the change that made one due."""
        return self.proof.altered_at if self.proof.proven_at is None else self.proof.proven_at

    @property
    def codes(self) -> tuple[ReportedCode, ...]:
        """The provider's codes in its error log since then, the latest first."""
        return reported_codes(self.reading, self.known_since or 0.0)

    @property
    def has_stopped(self) -> bool:
        """Whether the proofs stopped.

        Then the provider failed after the last proof, or that was a day old when it was read.
        """
        since, read_at = self.known_since, self.reading.read_at.get("backups")
        return bool(self.codes) or (since is not None and read_at is not None and read_at - since > _DAY)


def logs_of(proof: KeyProof, logs: Iterable[LogSpace]) -> tuple[LogSpace, ...]:
    """Return the logs of the key's databases."""
    names = frozenset(proof.databases)  # a SQL Server may have thousands
    return tuple(log for log in logs if log.database in names)


def proof_text(server: ServerProof, now: float) -> str:
    """Return when and by what SQL Server proved the key, or that it did not."""
    age = now - server.reading.read_at.get("backups", now)
    return _proof(server.proof, now) + (f" (read {span_text(age)} ago)" if age > _HOUR else "")


def _proof(proof: KeyProof, now: float) -> str:
    login = f"login [{proof.login}]" if proof.login else "the key's login"
    lacks = f"{login} has no credential, so SQL Server cannot sign in to the vault"
    if proof.source is not None and proof.proven_at is not None:
        done = f"{span_text(now - proof.proven_at)} ago, {_DONE[proof.source].format(f'[{proof.database}]')}"
        return f"{done}, but {lacks}" if proof.credential_missing else done
    if proof.credential_missing:
        return f"not proven: {lacks}"
    if proof.altered_at is not None:
        return f"not proven since the credential was altered at {clock_text(proof.altered_at, now)}"
    return "not proven: no start and no finished backup is known"


def codes_text(server: ServerProof, now: float) -> str:
    """Return the provider's codes that the error log shows since the last proof."""
    codes = server.codes
    if not codes:
        return ""
    since = max(min(code.first_at for code in codes), server.known_since or 0.0)
    named = " and ".join(both_numbers(int(code.code)) if _is_known(code.code) else code.code for code in codes)
    return f"its error log shows {named} since {clock_text(since, now)}"


def log_text(servers: Iterable[ServerProof], now: float, *, named: bool = False) -> str:
    """Return when the first log is full, and when the next log file is due.

    The text is empty if both are unknown.
    """
    present = with_present_rates(servers, now)
    full = min(full_times(present, now), default=None)
    next_file = next_file_in(present)
    parts = []
    if full is not None:
        where = f" of {full[2]}" if named else ""
        parts.append(f"the log of [{full[1]}]{where} is {full_text(full[0])}")
    if next_file is not None:
        parts.append(f"the next log file is due in about {span_text(next_file)} (trace flag {TRACE_FLAG} is off)")
    return f"at the present rate {'; '.join(parts)}" if parts else ""


def with_present_rates(servers: Iterable[ServerProof], now: float) -> list[ServerProof]:
    """Return those whose logs were read in the last hour."""
    return [each for each in servers if now - each.reading.read_at.get("logs", 0.0) <= _HOUR]


def full_text(seconds: float) -> str:
    """Return when a log is full."""
    return f"full in {span_text(seconds)}" if seconds > 0 else "full already"


def full_times(servers: Iterable[ServerProof], now: float) -> Iterator[tuple[float, str, str]]:
    """Yield the seconds until each log is full, with its database and SQL Server."""
    for each in servers:
        age = now - each.reading.read_at["logs"]
        for log in each.logs:
            if log.full_in is not None:
                yield max(0.0, log.full_in - age), log.database, each.server


def next_file_in(servers: Iterable[ServerProof]) -> float | None:
    return min((log.next_file_in for each in servers for log in each.logs if log.next_file_in is not None), default=None)


def _is_known(code: str) -> bool:
    return code.isdecimal() and int(code) in BY_CODE


def clock_text(at: float, now: float) -> str:
    """Return `14:02 UTC`, with the date unless it is today's."""
    then, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC).date()
    return f"{then:%H:%M} UTC" if then.date() == today else f"{then:%Y-%m-%d %H:%M} UTC"


def span_text(seconds: float) -> str:
    """Return `12 min`, `3 h 40 min`, or `2 d 5 h` from two days on."""
    hours, minutes = divmod(max(1, round(seconds) // 60), 60)
    parts = [(hours // 24, "d"), (hours % 24, "h")] if hours >= _TWO_DAYS else [(hours, "h"), (minutes, "min")]
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount)
