"""The proofs of the SQL Servers that the exporter reads, by target, and their JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, product

from exporter.config.settings import Target
from exporter.core.readiness import NOT_TESTED
from exporter.core.sql_servers import server_name
from exporter.presentation.payloads import Payload, moment_or_none
from exporter.tde.declared_targets import instance_labels, pinned_version
from exporter.tde.identity import is_same_host
from exporter.tde.proof import version_of
from exporter.tde.server_proof import ProofState, ServerProof, server_proofs, shows_refusal, with_refusals
from exporter.tde.sql_reading import TRACE_FLAG, SqlServerReading, flag_is_on, shown_name

_NAMED = 3  # SQL Servers in a sentence
_ORDER = {state: place for place, state in enumerate(ProofState)}


class SqlProofs:
    """The proofs of the SQL Servers that the exporter reads, as of the last `refresh`."""

    def __init__(
        self, readings: Callable[[], Iterable[SqlServerReading]], targets: Callable[[], Iterable[Target]] = tuple
    ) -> None:
        self._readings, self._targets = readings, targets
        self._left_behind: Mapping[tuple[str, str], ServerProof] = {}
        self._by_entry: dict[tuple[str, str], list[SqlServerReading]] = {}  # by label and short name of the host, or none
        self._read: tuple[SqlServerReading, ...] = ()

    def refresh(self) -> bool:
        """Take the readings of now; return whether there are any. All of those with one name count."""
        known = tuple(self._readings())
        self._by_entry = {}
        for each in known:
            for label, host in product(instance_labels(each.sql_instance, each.host), {"", _short(each.host)}):
                self._by_entry.setdefault((label, host), []).append(each)
        self._read = tuple(each for each in known if each.document is not None)
        self._left_behind = {}
        self._left_behind = {proof_key(each): each for each in self._find_left_behind()}
        return bool(self._read)

    def _find_left_behind(self) -> Iterator[ServerProof]:
        """Yield the proofs of SQL Servers that share a credential with one whose secret Entra ID refused, and have not shown another secret."""
        suspects = (reading for reading in self._read if shows_refusal(reading))
        if not any(each.refused is not None for reading in suspects for each in server_proofs(reading)):
            return
        sharing: dict[str, dict[tuple[str, str], ServerProof]] = {}
        for target in self._targets():
            found = {proof_key(each): each for each in chain.from_iterable(self.proofs_by_server(target))}
            sharing.setdefault(target.credential, {}).update(found)
        for members in sharing.values():
            yield from (each for each in with_refusals(members.values()) if each.refusal is not None)

    def proofs_of(self, reading: SqlServerReading) -> tuple[ServerProof, ...]:
        """Return the proof of each key that a SQL Server uses."""
        proofs = server_proofs(reading)
        return tuple(self._left_behind.get(proof_key(each), each) for each in proofs) if self._left_behind else proofs

    def readings(self) -> tuple[SqlServerReading, ...]:
        """Return what is known of each SQL Server that was read, whether a target names it or not."""
        return self._read

    def target_proofs(self, target: Target) -> tuple[ServerProof, ...]:
        """Return the proof of each SQL Server of the target, the most urgent first, then the oldest.

        A SQL Server that was not read, or that lacks the target's key, has none.
        """
        return tuple(sorted(chain.from_iterable(self.proofs_by_server(target)), key=urgency))

    def proofs_by_server(self, target: Target) -> Iterator[tuple[ServerProof, ...]]:
        """Yield the proofs of the target's key, for each of its SQL Servers that is read."""
        for reading in self._servers_of(target) if self._read else ():
            yield tuple(each for each in self.proofs_of(reading) if _is_of_target(each, target))

    def not_read(self, target: Target) -> str:
        """Return which SQL Servers of the target are not read, and why; empty if none."""
        found = [(shown_name(each), _not_read(each)) for each in self._servers_of(target) if _not_read(each)]
        if not found:
            return ""
        number = f"{len(found):,} SQL Servers of this target are" if len(found) > 1 else "One SQL Server of this target is"
        return f"{number} not read: {_named([f'{name} ({reason})' for name, reason in found])}."

    def not_tested(self, target: Target, now: float) -> str:
        """Return what is still untested; empty if the SQL Servers of the target tested what no probe can.

        A proof since the credential was altered tests all of it, for its SQL Server alone, while its backups are read.
        """
        proven = {
            each.reading.address
            for each in self.target_proofs(target)
            if each.state is ProofState.PROVEN and each.proof.altered_at is not None and each.is_read(now)
        }
        entries = _entries(target)
        untested = [
            server_name(entry)
            for entry in entries
            if not (servers := self._listed(entry)) or any(each.address not in proven for each in servers)
        ]  # fmt: skip
        if not entries or len(untested) == len(entries):
            return NOT_TESTED
        return f"{NOT_TESTED}, for {_named(untested)}" if untested else ""

    def _servers_of(self, target: Target) -> tuple[SqlServerReading, ...]:
        listed = (each for entry in _entries(target) for each in self._listed(entry))
        return tuple({each.address: each for each in listed}.values())

    def _listed(self, entry: Mapping[str, str]) -> list[SqlServerReading]:
        """Return the SQL Servers that an entry of `instances` names.

        Without a host, it is the only one of that instance.
        """
        host = entry.get("host", "").casefold()
        found = self._by_entry.get((entry["sql_instance"].casefold(), _short(host)), [])
        if not host:
            return found if len({each.host.casefold() for each in found}) == 1 else []
        return [each for each in found if is_same_host(host, each.host.casefold())]


def proof_key(server: ServerProof) -> tuple[str, str]:
    """Return what names a proof: the address of the SQL Server and the thumbprint of the key."""
    return server.reading.address, server.proof.thumbprint


def urgency(server: ServerProof) -> tuple[int, float, str]:
    """Return a proof's place in an order: the most urgent first, then the oldest."""
    return _ORDER[server.state], server.proof.proven_at or 0.0, server.server


def _entries(target: Target) -> tuple[Mapping[str, str], ...]:
    """Return each declared SQL Server once."""
    found = {server_name(each).casefold(): each for each in reversed(target.instances) if each.get("sql_instance")}
    return tuple(reversed(found.values()))


def _short(host: str) -> str:
    return host.casefold().partition(".")[0]


def _not_read(reading: SqlServerReading) -> str:
    """Return the kind of the reason, without a text of the server.

    The text is empty if the last attempt read it.
    """
    if reading.refused:
        return "login refused"
    if reading.document is None:
        return "never read"
    return "last attempt failed" if reading.failure else ""


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _is_of_target(server: ServerProof, target: Target) -> bool:
    """Whether it is the target's key: by the server's own registry, else by thumbprint.

    A classic connector has one thumbprint for all versions of a key.
    """
    known, pinned = version_of(server.reading, server.proof.thumbprint), pinned_version(target)
    return server.proof.thumbprint == target.thumbprint if known is None or pinned is None else known == pinned


def sql_servers_payload(servers: Sequence[ServerProof]) -> Payload:
    """Return the field `sql_servers`, absent if none of them was read."""
    return {"sql_servers": [_server_payload(each) for each in servers]} if servers else {}


def _server_payload(server: ServerProof) -> Payload:
    """Return one SQL Server.

    The times of the logs count from their reading, as in the metrics.
    """
    proof, reading, log = server.proof, server.reading, server.first_full
    return {
        "sql_instance": reading.sql_instance,
        "host": reading.host,
        "contested": reading.contested,
        "key_name": proof.key_name,
        "thumbprint": proof.thumbprint,
        **proof_fields(server),
        "since": moment_or_none(server.since),
        "proof_due": proof.is_due,
        "codes_since": [code.code for code in server.signs],
        "backups_fail": bool(server.failed),
        "trace_flag_15025": flag_is_on(reading, TRACE_FLAG),
        "logs_read_at": moment_or_none(reading.read_at.get("logs")),
        "log_full_in_seconds": None if log is None else _whole(log.full_in),
        "log_full_database": None if log is None else log.database,
        "next_log_file_in_seconds": _whole(None if server.next_file is None else server.next_file.next_file_in),
    }


def proof_fields(server: ServerProof) -> Payload:
    """Return the fields of a proof that the API and the audit sheet share."""
    proof = server.proof
    return {
        "read_at": moment_or_none(max(server.reading.read_at.values(), default=None)),
        "login": proof.login or None,
        "credential": proof.credential or None,
        "credential_altered_at": moment_or_none(proof.altered_at),
        "state": server.state.value,
        "proven_at": moment_or_none(proof.proven_at),
        "proven_by": proof.source,
        "database": proof.database or None,
    }


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)
