"""What the SQL Servers of a target proved themselves, by target, by cause and as JSON. Times are Unix times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from exporter.config.settings import Target
from exporter.core.sql_servers import server_name, server_names
from exporter.presentation.payloads import Payload, moment_or_none
from exporter.runtime.slices import yield_with_pauses
from exporter.state.cause_groups import CauseGroup
from exporter.tde.log_space import LogSpace, log_spaces
from exporter.tde.proof import KeyProof, key_proofs, version_of
from exporter.tde.registry import KeyVersion
from exporter.tde.server_proof import ServerProof, full_times, log_text, logs_of, next_file_in
from exporter.tde.sql_reading import TRACE_FLAG, SqlServerReading, flag_is_on

SHOWN = 20  # SQL Servers of a target that its page lists
_TARGETS_PER_SLICE = 25


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
            ServerProof(name, reading, proof, logs_of(proof, logs))
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


def _server_key(reading: SqlServerReading) -> str:
    return server_name({"sql_instance": reading.sql_instance, "host": reading.host}).casefold()


def _is_of_target(reading: SqlServerReading, proof: KeyProof, target: Target) -> bool:
    """Whether it is the target's key, by thumbprint or by the server's own registry."""
    if target.thumbprint is not None:
        return proof.thumbprint == target.thumbprint
    if target.key_version is None:
        return False
    return version_of(reading, proof.thumbprint) == KeyVersion(target.vault, target.key_name, target.key_version)


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
    full, next_file = min(full_times([server], now), default=None), next_file_in([server])
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
