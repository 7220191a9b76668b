"""The proofs of the SQL Servers that the exporter reads, by target, and their JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from exporter.config.settings import Target
from exporter.core.readiness import NOT_TESTED
from exporter.core.sql_servers import server_names
from exporter.presentation.payloads import Payload, moment_or_none
from exporter.tde.proof import version_of
from exporter.tde.registry import KeyVersion
from exporter.tde.server_proof import ProofState, ServerProof, server_proofs
from exporter.tde.sql_reading import TRACE_FLAG, SqlServerReading, flag_is_on, server_key

_NAMED = 3  # SQL Servers in a sentence
_ORDER = {state: place for place, state in enumerate(ProofState)}


class SqlProofs:
    """The proofs of the SQL Servers that the exporter reads, as of the last `refresh`."""

    def __init__(self, readings: Callable[[], Iterable[SqlServerReading]]) -> None:
        self._readings = readings
        self._by_server: dict[str, SqlServerReading] = {}
        self._read: tuple[SqlServerReading, ...] = ()

    def refresh(self) -> bool:
        """Take the readings of now; return whether there are any.

        Of two with the same names, the first one counts, as in the metrics.
        """
        first = {server_key(each): each for each in reversed(tuple(self._readings()))}
        instances = Counter(each.sql_instance.casefold() for each in first.values())
        read = {key: each for key, each in first.items() if each.document is not None}
        # A target may declare an instance without its host.
        alone = {name: each for each in read.values() if instances[name := each.sql_instance.casefold()] == 1}
        self._by_server, self._read = alone | read, tuple(reversed(read.values()))
        return bool(read)

    def readings(self) -> tuple[SqlServerReading, ...]:
        """Return what is known of each SQL Server that was read, whether a target names it or not."""
        return self._read

    def target_proofs(self, target: Target) -> tuple[ServerProof, ...]:
        """Return the proof of each SQL Server of the target, the most urgent first, then the oldest.

        A SQL Server that was not read, or that lacks the target's key, has none.
        """
        names = server_names(target.instances) if self._by_server else ()
        readings = {each.address: each for key in names if (each := self._by_server.get(key)) is not None}
        found = [each for reading in readings.values() for each in server_proofs(reading) if _is_of_target(each, target)]
        return tuple(sorted(found, key=lambda each: (_ORDER[each.state], each.proof.proven_at or 0.0, each.server)))

    def not_tested(self, target: Target) -> str:
        """Return what is still untested; empty if the SQL Servers of the target tested what no probe can.

        A proof since the credential was altered tests all of it, for its SQL Server alone.
        """
        proven = {
            each.reading.address
            for each in self.target_proofs(target)
            if each.state is ProofState.PROVEN and each.proof.altered_at is not None
        }
        names = server_names(target.instances)
        untested = [
            name
            for key, name in names.items()
            if (each := self._by_server.get(key)) is None or each.address not in proven
        ]  # fmt: skip
        if not names or len(untested) == len(names):
            return NOT_TESTED
        more = f" and {len(untested) - _NAMED:,} more" if len(untested) > _NAMED else ""
        return f"{NOT_TESTED}, for {', '.join(untested[:_NAMED])}{more}" if untested else ""


def _is_of_target(server: ServerProof, target: Target) -> bool:
    """Whether it is the target's key, by thumbprint or by the server's own registry."""
    thumbprint = server.proof.thumbprint
    if target.thumbprint is not None:
        return thumbprint == target.thumbprint
    if target.key_version is None:
        return False
    return version_of(server.reading, thumbprint) == KeyVersion(target.vault, target.key_name, target.key_version)


def sql_servers_payload(servers: Sequence[ServerProof]) -> Payload:
    """Return the field `sql_servers`, absent if none of them was read."""
    return {"sql_servers": [_server_payload(each) for each in servers]} if servers else {}


def _server_payload(server: ServerProof) -> Payload:
    """Return one SQL Server. The times of the logs count from their reading, as in the metrics."""
    proof, reading, log = server.proof, server.reading, server.first_full
    return {
        "sql_instance": reading.sql_instance,
        "host": reading.host,
        "read_at": moment_or_none(max(reading.read_at.values(), default=None)),
        "key_name": proof.key_name,
        "thumbprint": proof.thumbprint,
        "login": proof.login or None,
        "credential": proof.credential or None,
        "credential_altered_at": moment_or_none(proof.altered_at),
        "state": server.state.value,
        "since": moment_or_none(server.since),
        "proof_due": proof.is_due,
        "proven_at": moment_or_none(proof.proven_at),
        "proven_by": proof.source,
        "database": proof.database or None,
        "codes_since": [code.code for code in server.codes],
        "backups_fail": bool(server.failed),
        "trace_flag_15025": flag_is_on(reading, TRACE_FLAG),
        "logs_read_at": moment_or_none(reading.read_at.get("logs")),
        "log_full_in_seconds": None if log is None else _whole(log.full_in),
        "log_full_database": None if log is None else log.database,
        "next_log_file_in_seconds": _whole(server.next_file_in),
    }


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)
