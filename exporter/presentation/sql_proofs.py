"""What the SQL Servers of a target proved themselves, as sentences and JSON.

The texts include how long their logs have room. Times are Unix times. Names were bounded and made printable when they were read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.config.settings import Target
from exporter.core.codes import BY_CODE, both_numbers
from exporter.core.sql_servers import server_name, server_names
from exporter.presentation.expiries import DAY
from exporter.presentation.payloads import Payload, moment_or_none
from exporter.runtime.slices import yield_with_pauses
from exporter.state.cause_groups import CauseGroup
from exporter.tde.log_space import LogSpace, log_spaces
from exporter.tde.proof import KeyProof, ProofSource, ReportedCode, key_proofs, reported_codes, version_of
from exporter.tde.registry import KeyVersion
from exporter.tde.sql_reading import TRACE_FLAG, SqlServerReading, flag_is_on

SHOWN = 20  # SQL Servers of a target that its page lists
_HOUR = 3600.0  # the age from which a rate is not the present one, and from which a text has the time of its reading
_TWO_DAYS = 48  # hours
_TARGETS_PER_SLICE = 25
_DONE: Mapping[ProofSource, str] = {
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
        return bool(self.codes) or (since is not None and read_at is not None and read_at - since > DAY)


class SqlProofs:
    """The proofs of the SQL Servers that the exporter reads. Those of one reading are made once."""

    def __init__(self, readings: Callable[[], Iterable[SqlServerReading]]) -> None:
        self._readings = readings
        self._by_server: dict[str, SqlServerReading] = {}
        self._made: dict[str, tuple[SqlServerReading, tuple[KeyProof, ...], tuple[LogSpace, ...]]] = {}

    def refresh(self) -> bool:
        """Take the readings of now; return whether there are any.

        Of two with the same names, the first one counts, as in the metrics.
        """
        first = {_server_key(each): each for each in reversed(tuple(self._readings()))}
        instances = Counter(each.sql_instance.casefold() for each in first.values())
        read = {key: each for key, each in first.items() if each.document is not None}
        # A target may declare an instance without its host.
        alone = {name: each for each in read.values() if instances[name := each.sql_instance.casefold()] == 1}
        self._by_server = alone | read
        known = {each.address for each in read.values()}
        self._made = {address: made for address, made in self._made.items() if address in known}
        return bool(read)

    def target_proofs(self, target: Target) -> tuple[ServerProof, ...]:
        """Return the proof of each SQL Server of the target, the oldest first.

        A SQL Server that was not read, or that lacks the target's key, has none.
        """
        names = server_names(target.instances) if self._by_server else {}
        servers = {each.address: (name, each) for key, name in names.items() if (each := self._by_server.get(key)) is not None}
        found = (
            ServerProof(name, reading, proof, _logs_of(proof, logs))
            for name, reading in servers.values()
            for _, proofs, logs in [self._reading_proofs(reading)]
            for proof in proofs
            if _is_of_target(reading, proof, target)
        )
        return tuple(sorted(found, key=lambda each: (each.proof.proven_at or 0.0, each.server)))

    def _reading_proofs(self, reading: SqlServerReading) -> tuple[SqlServerReading, tuple[KeyProof, ...], tuple[LogSpace, ...]]:
        made = self._made.get(reading.address)
        if made is None or made[0] is not reading:
            made = self._made[reading.address] = reading, key_proofs(reading), log_spaces(reading)
        return made


def _logs_of(proof: KeyProof, logs: Iterable[LogSpace]) -> tuple[LogSpace, ...]:
    names = frozenset(proof.databases)  # a SQL Server may have thousands
    return tuple(log for log in logs if log.database in names)


def _server_key(reading: SqlServerReading) -> str:
    return server_name({"sql_instance": reading.sql_instance, "host": reading.host}).casefold()


def _is_of_target(reading: SqlServerReading, proof: KeyProof, target: Target) -> bool:
    """Whether it is the target's key, by thumbprint or by the server's own registry."""
    if target.thumbprint is not None:
        return proof.thumbprint == target.thumbprint
    if target.key_version is None:
        return False
    return version_of(reading, proof.thumbprint) == KeyVersion(target.vault, target.key_name, target.key_version)


def proof_text(server: ServerProof, now: float) -> str:
    """Return when and by what SQL Server proved the key, or that it did not."""
    age = now - server.reading.read_at.get("backups", now)
    return _proof(server.proof, now) + (f" (read {_span(age)} ago)" if age > _HOUR else "")


def _proof(proof: KeyProof, now: float) -> str:
    login = f"login [{proof.login}]" if proof.login else "the key's login"
    lacks = f"{login} has no credential, so SQL Server cannot sign in to the vault"
    if proof.source is not None and proof.proven_at is not None:
        done = f"{_span(now - proof.proven_at)} ago, {_DONE[proof.source].format(f'[{proof.database}]')}"
        return f"{done}, but {lacks}" if proof.credential_missing else done
    if proof.credential_missing:
        return f"not proven: {lacks}"
    if proof.altered_at is not None:
        return f"not proven since the credential was altered at {_clock(proof.altered_at, now)}"
    return "not proven: no start and no finished backup is known"


def codes_text(server: ServerProof, now: float) -> str:
    """Return the provider's codes that the error log shows since the last proof."""
    codes = server.codes
    if not codes:
        return ""
    since = max(min(code.first_at for code in codes), server.known_since or 0.0)
    named = " and ".join(both_numbers(int(code.code)) if _is_known(code.code) else code.code for code in codes)
    return f"its error log shows {named} since {_clock(since, now)}"


def log_text(servers: Iterable[ServerProof], now: float, *, named: bool = False) -> str:
    """Return when the first log is full, and when the next log file is due.

    The text is empty if both are unknown.
    """
    recent = [each for each in servers if now - each.reading.read_at.get("logs", 0.0) <= _HOUR]
    full = min(_full_times(recent, now), default=None)
    next_file = _next_file_in(recent)
    parts = []
    if full is not None:
        where = f" of {full[2]}" if named else ""
        when = f"full in {_span(full[0])}" if full[0] > 0 else "full already"
        parts.append(f"the log of [{full[1]}]{where} is {when}")
    if next_file is not None:
        parts.append(f"the next log file is due in about {_span(next_file)} (trace flag {TRACE_FLAG} is off)")
    return f"at the present rate {'; '.join(parts)}" if parts else ""


def _full_times(servers: Iterable[ServerProof], now: float) -> Iterator[tuple[float, str, str]]:
    """Yield the seconds until each log is full, with its database and SQL Server."""
    for each in servers:
        age = now - each.reading.read_at["logs"]
        for log in each.logs:
            if log.full_in is not None:
                yield max(0.0, log.full_in - age), log.database, each.server


def _next_file_in(servers: Iterable[ServerProof]) -> float | None:
    return min((log.next_file_in for each in servers for log in each.logs if log.next_file_in is not None), default=None)


async def cause_log_texts(
    groups: Iterable[CauseGroup], targets: Mapping[str, Target], proofs: SqlProofs, *, now: float
) -> dict[str, str]:
    """Return the shortest times of the logs behind each cause, by its id.

    Only causes that put SQL Servers at risk have one. Other tasks run in between.
    """
    if not proofs.refresh():
        return {}
    texts = dict[str, str]()
    for group in groups:
        servers = list[ServerProof]()
        async for name in yield_with_pauses(group.targets if group.at_risk else (), _TARGETS_PER_SLICE):
            servers += proofs.target_proofs(targets[name])
        if text := log_text(servers, now, named=True):
            texts[group.cause.id] = text
    return texts


def sql_servers_payload(servers: Sequence[ServerProof], *, now: float) -> Payload:
    """Return the field `sql_servers`, absent if none of them was read."""
    return {"sql_servers": [_server_payload(each, now) for each in servers]} if servers else {}


def _server_payload(server: ServerProof, now: float) -> Payload:
    proof, reading = server.proof, server.reading
    full, next_file = min(_full_times([server], now), default=None), _next_file_in([server])
    return {
        "sql_instance": reading.sql_instance,
        "host": reading.host,
        "read_at": moment_or_none(max(reading.read_at.values(), default=None)),
        "key_name": proof.key_name,
        "thumbprint": proof.thumbprint,
        "login": proof.login or None,
        "credential": proof.credential or None,
        "credential_altered_at": moment_or_none(proof.altered_at),
        "proof_due": proof.is_due,
        "proven_at": moment_or_none(proof.proven_at),
        "proven_by": proof.source,
        "database": proof.database or None,
        "codes_since": [code.code for code in server.codes],
        "trace_flag_15025": flag_is_on(reading, TRACE_FLAG),
        "logs_read_at": moment_or_none(reading.read_at.get("logs")),
        "log_full_in_seconds": None if full is None else round(full[0]),
        "log_full_database": None if full is None else full[1],
        "next_log_file_in_seconds": None if next_file is None else round(next_file),
    }


def _is_known(code: str) -> bool:
    return code.isdecimal() and int(code) in BY_CODE


def _clock(at: float, now: float) -> str:
    """Return `14:02 UTC`, with the date unless it is today's."""
    then, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC).date()
    return f"{then:%H:%M} UTC" if then.date() == today else f"{then:%Y-%m-%d %H:%M} UTC"


def _span(seconds: float) -> str:
    """Return `12 min`, `3 h 40 min`, or `2 d 5 h` from two days on."""
    hours, minutes = divmod(max(1, round(seconds) // 60), 60)
    parts = [(hours // 24, "d"), (hours % 24, "h")] if hours >= _TWO_DAYS else [(hours, "h"), (minutes, "min")]
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount)
