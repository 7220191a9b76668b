"""The audit sheet of one key as JSON: the facts that the running exporter has, and the queries for those that it may not read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from exporter.config.settings import Config, Target
from exporter.config.usage import credential_uses, names_of
from exporter.core.connector import log_query
from exporter.core.durations import moment
from exporter.core.names import host_name, server_name
from exporter.core.values import KeyFacts, Vantage, has_limits, key_operations_limit
from exporter.knowledge.expiry import CredentialExpiry
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.presentation.payloads import Payload, expiry_payload, failure_payload, moment_or_none
from exporter.presentation.sql import SqlProofs, declared_servers, is_of_target, proof_fields, proof_key, urgency
from exporter.runtime.loop import yield_with_pauses
from exporter.sqlserver.audit import LOGS, access_queries, key_roles, log_files_a_day
from exporter.sqlserver.differences import names_key
from exporter.sqlserver.gate.inputs import RestartReadiness
from exporter.sqlserver.proof import ServerProof, server_proofs, version_of
from exporter.sqlserver.reading import TRACE_FLAG, SqlServerReading, flag_is_on, shown_name
from exporter.state.history import History
from exporter.state.record import TargetRecord, readiness_at

MOST_TARGETS = MOST_SERVERS = 100  # of a key on its sheet: a person reads no more
_ROWS_PER_SLICE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSources:
    """What the exporter knows at `now`, a Unix time. `host` is the name of its computer."""

    config: Config
    record_of: Callable[[str], TargetRecord | None]
    expiries_of: Callable[[str], Iterable[CredentialExpiry]]
    proofs: SqlProofs
    version: str
    host: str
    now: float
    restart: Iterable[RestartReadiness] = ()


async def audit_payload(sources: AuditSources, target: Target) -> Payload:
    """Return the facts about the key of a target, with those of every target that probes the same key.

    Other tasks run in between.
    """
    config = sources.config
    same = [each for each in config.targets.values() if (each.vault, each.key_name) == (target.vault, target.key_name)]
    targets = [target, *(each for each in same if each.name != target.name)][:MOST_TARGETS]
    # A target without a record is one of which nothing is known.
    records = {each.name: sources.record_of(each.name) or TargetRecord(each, History(0)) for each in targets}
    certificates = {end: shown for record in records.values() for end, shown in record.certificates.items()}
    limit, vault = _key_limit(target, records[target.name].key), host_name(target.vault)
    lists: dict[str, Iterable[Payload]] = {
        "versions": _versions(targets, records),
        "credentials": _credentials(targets, records, sources),
        "probes": (_probe(each, records[each.name], sources) for each in targets),
        "recovery": _recovery(targets, records),
        "retained_versions": _retained(targets, records),
        "tls_certificates": (
            {"endpoint": endpoint, "issuer": shown.issuer, "expires_at": moment(shown.not_after)}
            for endpoint, shown in sorted(certificates.items())
        ),
    }
    return {
        "at": moment(sources.now),
        "exporter": {"version": sources.version, "host": sources.host, "vantage": config.settings.vantage.value},
        "vault": target.vault,
        "key": target.key_name,
        "targets": len(same),
        "region": _first(record.region for record in records.values()),
        "scheduled_purge": moment_or_none(_first(record.purge_at for record in records.values())),
        "newest_version": _first(record.newest_version for record in records.values()),
        **await _sql_servers(targets, sources),
        **{name: [row async for row in yield_with_pauses(rows, _ROWS_PER_SLICE)] for name, rows in lists.items()},
        "requests_in_10_seconds": limit,
        "roles": [{"role": role, "effect": effect} for role, effect in key_roles(target.vault)],
        "who_may": access_queries(target.vault, target.key_name),
        "who_did": [
            {
                "about": "Who used the key: each caller's operations with address, application, first and last time",
                "language": LOGS,
                "text": log_query("key-users.kql", vault=vault, key=target.key_name),
            },
            {
                "about": "Who calls the vault now: each caller's part of all requests and of the limit",
                "language": LOGS,
                "text": log_query("callers.kql", vault=vault, **({} if limit is None else {"key_limit": limit})),
            },
        ],
    }


def _first(values: Iterable[Any]) -> Any:
    return next((value for value in values if value is not None), None)


def _key_limit(target: Target, key: KeyFacts | None) -> int | None:
    """Return how many requests about the key its vault allows in 10 seconds; None if that is not published."""
    if not has_limits(target.vault):
        return None
    if key is None or not key.supported:
        return round(key_operations_limit(target.vault))
    return round(key_operations_limit(target.vault, hardware=key.kty.endswith("-HSM"), size_bits=key.size_bits))


def _versions(targets: Sequence[Target], records: dict[str, TargetRecord]) -> Iterator[Payload]:
    """Yield each version that a target probes, then those that old backups need."""
    probed: dict[str | None, list[Target]] = {}
    for each in targets:
        probed.setdefault(each.key_version, []).append(each)
    for version, several in probed.items():
        key = _first(records[each.name].key for each in several)
        yield {
            "version": version or (None if key is None else key.version),
            "pinned": version is not None,
            "uri": f"https://{several[0].vault}/keys/{several[0].key}",
            "targets": [each.name for each in several],
            "thumbprint": _first(each.thumbprint for each in several),
            "type": None if key is None else key.kty,
            "size_bits": None if key is None else key.size_bits,
            "enabled": None if key is None else key.enabled,
            "not_before": moment_or_none(None if key is None else key.not_before),
            "expires": moment_or_none(None if key is None else key.expires),
            "read": key is not None,
        }


async def _sql_servers(targets: Sequence[Target], sources: AuditSources) -> Payload:
    """Return how much depends on the key, and the SQL Servers: those with databases under it, the most urgent first, then the others."""
    proofs, now = sources.proofs, sources.now
    restart = {(each.address, each.thumbprint): each for each in sources.restart}
    using: dict[tuple[str, str], ServerProof] = {}
    others: dict[str, Payload] = {}
    declared: dict[str, Mapping[str, str]] = {}
    async for target in yield_with_pauses(targets, 1):
        async for entry in yield_with_pauses(declared_servers(target), _ROWS_PER_SLICE):
            readings = proofs.listed(entry)
            if not readings:
                declared[server_name(entry).casefold()] = entry
            for reading in readings:
                # The sheet is about all versions of the key.
                found = {
                    proof_key(each): each
                    for each in server_proofs(reading)
                    if is_of_target(each, target) or names_key(target, version_of(reading, each.thumbprint))
                }
                using |= found
                others |= {} if found else {reading.address: _read_other(reading, target)}
    addresses = {address for address, _ in using}
    read = [row for address, row in others.items() if address not in addresses]
    maybe, unused = ([row for row in read if row["uses_key"] is uses] for uses in (None, False))
    rows = chain(
        (_read_server(server, restart.get(proof_key(server)), now) for server in sorted(using.values(), key=urgency)),
        maybe,
        ({"server": server_name(entry), "ag": entry.get("ag"), "read_at": None, "uses_key": None} for entry in declared.values()),
        unused,
    )
    proven = [each.proven_at for each in using.values()]
    known = [at for at in proven if at is not None]
    return {
        "dependents": {
            "sql_servers": len(addresses) + len(maybe) + len(declared),
            "read": len(addresses),
            "unused": len(unused),
            "databases": sum(len(each.databases) for each in using.values()),
            "proven_at": moment_or_none(min(known) if known and len(known) == len(proven) else None),
        },
        "sql_servers": [row async for row in yield_with_pauses(islice(rows, MOST_SERVERS), _ROWS_PER_SLICE)],
    }


def _read_other(reading: SqlServerReading, target: Target) -> Payload:
    """Return a SQL Server without a database that is known to be under the key.

    It does not use the key if the keys of its databases were read, and its registry shows other keys for all of them.
    """
    versions = [version_of(reading, each.thumbprint) for each in server_proofs(reading)]
    may_use = not reading.read_at.keys() >= {"databases", "encryption", "keys", "providers"} or any(
        version is None or names_key(target, version) for version in versions
    )
    read_at = moment_or_none(max(reading.read_at.values(), default=None))
    return {"server": shown_name(reading), "ag": None, "read_at": read_at, "uses_key": None if may_use else False}


def _read_server(server: ServerProof, restart: RestartReadiness | None, now: float) -> Payload:
    files = log_files_a_day(server)
    first = None if restart is None else restart.first_missing
    return {
        "server": server.server,
        "uses_key": True,
        "databases": list(server.databases),
        **proof_fields(server, now),
        "closed": [{"database": name, "state": state} for name, state in server.closed],
        "restart": None if restart is None else restart.answer(now),
        "restart_missing": None if first is None else first.text,
        "restart_unwraps": len(server.databases),
        "log_files_a_day": None if files is None else round(files, 1),
        "trace_flag_15025": flag_is_on(server.reading, TRACE_FLAG),
    }


def _credentials(targets: Sequence[Target], records: dict[str, TargetRecord], sources: AuditSources) -> Iterator[Payload]:
    """Yield each credential with which the exporter uses the key, and the expiry from each source."""
    uses: dict[str, list[str]] = {}
    for target in targets:
        for name, use in credential_uses(target):
            uses.setdefault(name, []).append(use)
    for name, found in uses.items():
        credential = sources.config.credentials[name]
        users = [each for each in targets if each.credential == name]
        seen = [names_of(each, () if (last := records[each.name].last) is None else last.steps) for each in users]
        yield {
            "credential": name,
            "uses": list(dict.fromkeys(found)),
            "type": credential.kind.value,
            "tenant_id": credential.tenant_id or _first(records[each.name].tenant for each in users),
            "client_id": credential.client_id or _first(each.client_id for each in seen),
            "object_id": _first(each.object_id for each in seen),
            "may_expire": credential.may_expire,
            "expiries": [expiry_payload(each) for each in sources.expiries_of(name)] if credential.may_expire else [],
        }


def _probe(target: Target, record: TargetRecord, sources: AuditSources) -> Payload:
    ready = readiness_at(target, record, sources.now).ready
    # Without an unwrap, a success is no round trip with this key.
    round_trip = None if record.key_unwrapped_at is None else record.last_success_at
    return {
        "target": target.name,
        "version": target.key_version,
        "credential": target.credential,
        "mode": sources.config.modules[target.module].mode.value,
        "from": f"{sources.host}{'' if sources.config.settings.vantage is Vantage.SQL_HOST else ', a central host'}",
        "ready": ready,
        "not_ready_since": moment_or_none(None if ready is not False else record.state_since),
        "last_probe": moment_or_none(record.last_probe_at),
        "last_round_trip": moment_or_none(round_trip),
        "last_unwrap": moment_or_none(record.key_unwrapped_at),
        **failure_payload(None if record.last is None else record.last.first_failure),
    }


def _recovery(targets: Sequence[Target], records: dict[str, TargetRecord]) -> Iterator[Payload]:
    """Yield the recovery vault of each target, and the declared day of the key's last backup."""
    for target in targets:
        record = records[target.name]
        result = record.auxiliary.get((AuxiliaryKind.RECOVERY, target.recovery_vault or "", target.recovery_vault or ""))
        yield {
            "target": target.name,
            "recovery_vault": target.recovery_vault,
            "usable": None if result is None else result.usable,
            "last_probe": moment_or_none(None if result is None else result.at),
            "last_unwrap": moment_or_none(record.proof_at),
            "backup_on": None if target.backup_on is None else target.backup_on.isoformat(),
        }


def _retained(targets: Sequence[Target], records: dict[str, TargetRecord]) -> Iterator[Payload]:
    """Yield each key version that old backups need."""
    for target in targets:
        for each in target.retained_versions:
            result = records[target.name].auxiliary.get((AuxiliaryKind.RETAINED, each.key, each.vault))
            yield {
                "key": each.key,
                "vault": each.vault,
                "until": None if each.until is None else each.until.isoformat(),
                "usable": None if result is None else result.usable,
                "last_probe": moment_or_none(None if result is None else result.at),
            }
