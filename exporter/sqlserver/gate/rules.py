"""Reasons against a restart: by what SQL Servers proved themselves, the room of their logs, the targets that they need, and request limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from exporter.core.durations import ago, clock_text, known_time, moment, span_text, write
from exporter.core.quoting import sql_name
from exporter.core.values import key_operations_limit
from exporter.knowledge.checks_host import is_denied
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.verdict import WHY
from exporter.sqlserver.document import OPEN_MESSAGES
from exporter.sqlserver.gate.conditions import Condition, ExporterState, GateReason, TargetState, reason
from exporter.sqlserver.gate.dependencies import lists, unknown
from exporter.sqlserver.gate.exporters import place_of
from exporter.sqlserver.gate.inputs import DAY, Dependency, InstanceReading, KnownInstance, Question, VaultForecast, is_within
from exporter.sqlserver.instance import Instance, listed, printable
from exporter.sqlserver.keys import Usage
from exporter.sqlserver.proof import (
    TWO_HOURS,
    ProofSource,
    ReportedCode,
    ServerProof,
    left_behind,
    proof_text,
    refusal_text,
    server_proofs,
)
from exporter.sqlserver.reading import rows, section_age
from exporter.sqlserver.urgency import full_text, full_times, log_text, with_present_rates

FULL_SOON = 4 * 3600.0  # as EkmSqlLogFillsUp
# Seconds since a log backup within which the next one is not missing. One reading does not show its rhythm.
_TRUNCATED = 1800.0
_PROVING = ("backups", "opened")  # without these sections a reading proves nothing
# If the sizes of the logs are not known.
LOGS_GROW = "While SQL Server cannot use the key, log backups fail, and each log grows until its limit or the end of its disk"
_SEEN = "The next reading of the exporter shows it"
_NOT_SEEN = "Without a reading of an exporter (ekm-exporter docs sql-servers) this answer stays until the next restart, so decide by that backup"


def chosen_proofs(chosen: Iterable[KnownInstance], usages: Iterable[Usage]) -> Iterator[ServerProof]:
    """Yield what each SQL Server that an exporter reads proved of the keys in use."""
    used = {(one.instance.server_name, one.key.thumbprint) for one in usages}
    for one in chosen:
        if one.reading is not None and any(section in one.reading.read_at for section in _PROVING):
            for each in server_proofs(one.reading):
                # Without a database that it may know of, the reading proves nothing.
                if (one.server, each.proof.thumbprint) in used and each.proof.databases:
                    yield replace(each, server=one.server)


def is_refused(one: KnownInstance) -> bool:
    """Whether Entra ID refused a secret of the instance in the last 24 hours."""
    return one.reading is not None and any(each.refused is not None for each in server_proofs(one.reading))


def meanwhile(proofs: Iterable[ServerProof], now: float) -> str:
    """Return how long the logs have room, as a sentence without its end."""
    text = log_text(proofs, now, named=True)
    return f"{text[0].upper()}{text[1:]}" if text else LOGS_GROW


def proof_reasons(
    dependencies: Iterable[Dependency], proofs: Iterable[ServerProof], question: Question, *, now: float
) -> Iterator[GateReason]:
    """Yield a reason for each key without a proof that counts, from the readings of exporters, else from the inventory."""
    by_key = {(each.server, each.proof.thumbprint): each for each in proofs}
    for one in dependencies:
        proof = by_key.get((one.server, one.usage.key.thumbprint))
        if proof is None or _is_altered_since(one.usage, proof):
            yield from _start_reasons(one.usage, question.folder)
        else:
            yield from _age_reasons(proof, question, now)
            yield from _unproven_reasons(one, proof, question, now)


def replica_reasons(
    dependencies: Iterable[Dependency], proofs: Iterable[ServerProof], question: Question, *, now: float
) -> Iterator[GateReason]:
    """Yield what fails on replicas that do not restart: databases may move there."""
    by_key = {(each.server, each.proof.thumbprint): each for each in proofs}
    for one in dependencies:
        if (proof := by_key.get((one.server, one.usage.key.thumbprint))) is not None:
            named = replace(proof, server=f"{one.server} (a replica that does not restart)")
            yield from _age_reasons(named, question, now)
            yield from _failure_reasons(one, named, now)


def refused_proofs(pairs: Iterable[tuple[Dependency, ServerProof]]) -> dict[tuple[str, str], ServerProof]:
    """Return the proofs, by server and thumbprint, each with what Entra ID refused of another server of the same client."""
    clients = [(target.client_id or target.credential, proof) for one, proof in pairs for target in one.targets]
    return {(each.server, each.proof.thumbprint): each for each in left_behind(clients)}


def _is_altered_since(usage: Usage, proof: ServerProof) -> bool:
    """Whether the inventory read a later change of the credential."""
    altered = known_time(usage.credential.modified_utc)
    return proof.proof.credential == usage.credential.name and (altered or 0.0) > (proof.proof.altered_at or 0.0)


def old_sections(server: ServerProof, question: Question, now: float) -> list[str]:
    """Return the sections of a proof that were read too long ago, or not as a whole. What the login may not read does not count."""
    denied = _denied_sections(server)
    return [
        name for name in _sections(server) if name not in denied and section_age(server.reading, name, now) > question.reading_age
    ]


def _sections(server: ServerProof) -> tuple[str, ...]:
    return ("backups", "opened", "errors") if "backups" not in server.reading.read_at else ("backups", "errors")


def _denied_sections(server: ServerProof) -> list[str]:
    """Return the sections of a proof that were never read because the login lacks a right."""
    errors = {} if server.reading.document is None else server.reading.document.errors
    return [name for name in _sections(server) if name not in server.reading.read_at and is_denied(errors.get(name, ""))]


def denied_notes(proofs: Iterable[ServerProof]) -> Iterator[str]:
    """Yield what a SQL Server does not show to the login, so that the answer does not cover it."""
    for each in proofs:
        if denied := _denied_sections(each):
            yield f"{each.server}: the login may not read {listed(denied)} (ekm-exporter script login.sql), so what that shows is not in this answer"


def _age_reasons(server: ServerProof, question: Question, now: float) -> Iterator[GateReason]:
    """Yield a reason if backups or errors were read long ago: no code means nothing then."""
    if old := old_sections(server, question, now):
        unread = any(name not in server.reading.read_at for name in old)
        failure = server.reading.failure
        yield reason(
            Condition.READING_OLD,
            server=server.server,
            sections=listed(old),
            age="at an unknown time" if unread else ago(max(section_age(server.reading, name, now) for name in old)),
            limit=write(question.reading_age),
            cause=f". The last attempt failed: {failure}" if failure else "",
        )


def _unproven_reasons(one: Dependency, server: ServerProof, question: Question, now: float) -> Iterator[GateReason]:
    proof = server.proof
    yield from _failure_reasons(one, server, now)
    if server.signs or server.cause.is_seen_inside:
        return  # a reason of its own
    if proof.proven_at is None:
        yield _not_proven(one.usage, f"key [{proof.key_name}] is {proof_text(server, now)}", _SEEN)
    elif server.is_old or now - proof.proven_at > question.proof_age:
        yield reason(
            Condition.PROOF_OLD,
            server=server.server,
            key=proof.key_name,
            proof=proof_text(server, now),
            limit=write(min(server.oldest, question.proof_age)),
        )


def _failure_reasons(one: Dependency, server: ServerProof, now: float) -> Iterator[GateReason]:
    """Yield a reason if SQL Server fails to get the key, or may do so."""
    if server.signs:
        ready = one.targets and all(target.ready for target in one.targets)
        code = server.signs[0].code
        yield reason(
            Condition.BACKUPS_FAIL,
            server=server.server,
            codes=" and ".join(_code_text(each) for each in server.signs),
            since=clock_text(server.since or now, now),
            failed=", and backups fail" if server.failed else "",
            code=code,
            although=", although the vault side is ready" if ready else "",
            logs=meanwhile([server], now),
        )
        return
    if server.cause.is_seen_inside:
        return
    if server.fails_for_long:
        since = clock_text(server.since or now, now)
        yield reason(Condition.BACKUPS_FAIL_UNEXPLAINED, server=server.server, since=since, logs=meanwhile([server], now))
    if text := refusal_text(server, now):
        yield reason(
            Condition.CREDENTIAL_LEFT_BEHIND,
            server=server.server,
            key=server.proof.key_name,
            cause=text,
            database=_database(one.usage),
        )


def _code_text(code: ReportedCode) -> str:
    if code.code in OPEN_MESSAGES:
        return f"message {code.code}"
    return f"{code.code} {BY_CODE[int(code.code)].symbol}" if code.is_known else code.code


def _start_reasons(usage: Usage, folder: str) -> Iterator[GateReason]:
    """Yield a reason if SQL Server may not have used the credential yet, by the start of its service alone."""
    started = known_time(usage.instance.started_utc)
    if started is None:
        yield from unknown("start", "the start of the service is unknown", usage.instance, folder)
        return
    altered = known_time(usage.credential.modified_utc)
    if altered is None or altered >= started:
        when = "at an unknown time" if altered is None else f"at {moment(altered)}"
        changed = f"credential [{usage.credential.name}] was altered {when}"
        yield _not_proven(usage, f"{changed}, not before the start of the service at {moment(started)}", _NOT_SEEN)


def _not_proven(usage: Usage, cause: str, after: str) -> GateReason:
    server = usage.instance.server_name
    return reason(Condition.CREDENTIAL_NOT_PROVEN, server=server, cause=cause, database=_database(usage), after=after)


def _database(usage: Usage) -> str:
    return sql_name(next((one.name for one in usage.databases if not one.hidden), ""), "DATABASE")


def has_staged_secret(one: Dependency, proofs: Iterable[ServerProof], working_until: float | None) -> bool:
    """Whether SQL Server seems to have the staged secret.

    It was altered or proven after the current one stopped to work. Without a proof since, the change may be of the day before. A backup within
    two hours may still use a token of the current one.
    """
    found = next(
        (each.proof for each in proofs if (each.server, each.proof.thumbprint) == (one.server, one.usage.key.thumbprint)), None
    )
    if working_until is None:
        return False
    if found is not None and found.is_due:
        return (found.altered_at or 0.0) > working_until - DAY
    is_altered = (known_time(one.usage.credential.modified_utc) or 0.0) > working_until
    if found is None or found.proven_at is None:
        return is_altered
    return is_altered or found.proven_at > working_until + (0.0 if found.source is ProofSource.START else TWO_HOURS)


def log_reasons(dependencies: Iterable[Dependency], proofs: Sequence[ServerProof], *, now: float) -> Iterator[GateReason]:
    """Yield a reason for each server with a log that is full soon and that no backup truncates."""
    failing = {
        (one.server, one.usage.key.thumbprint) for one in dependencies if any(target.ready is False for target in one.targets)
    }
    for each in proofs:
        if each.failed or each.codes or (each.server, each.proof.thumbprint) in failing:
            backups = _log_backups(each)
            # A log backup since the provider's last failure truncates the log, or one so recent that none is missing.
            recent = each.reading.read_at.get("backups", 0.0) - _TRUNCATED
            earliest = max((code.last_at for code in (*each.codes, *each.failed)), default=recent)
            truncated = {database for database, at in backups.items() if at > earliest}
            growing = replace(each, logs=tuple(log for log in each.logs if log.database not in truncated))
            full = min(full_times(with_present_rates([growing], now), now), default=None)
            if full is not None and full[0] <= FULL_SOON:
                at = backups.get(full[1])
                since = "no log backup is known" if at is None else f"its last log backup was {span_text(now - at)} ago"
                yield reason(Condition.LOG_FILLS, server=each.server, database=full[1], when=full_text(full[0]), since=since)


def _log_backups(server: ServerProof) -> dict[str, float]:
    """Return when the last log backup of each database finished."""
    finished = (
        (printable(str(row.get("database"))), known_time(str(row.get("finished_utc"))) or 0.0)
        for row in rows(server.reading, "backups")
        if row.get("type") == "L"
    )
    return dict(sorted(finished))


@dataclass(frozen=True, slots=True)
class NeededTarget:
    """A target with the keys that servers need it for, and what these servers proved. `names` are for texts."""

    target: TargetState
    dependencies: tuple[Dependency, ...]
    names: tuple[str, ...]
    proofs: tuple[ServerProof, ...] = ()


def needed_targets(dependencies: Iterable[Dependency], proofs: Sequence[ServerProof]) -> Iterator[NeededTarget]:
    """Yield each target once. Two exporters behind one address may have targets of one name."""
    found: dict[int, tuple[TargetState, list[Dependency]]] = {}
    for dependency in dependencies:
        for target in dependency.targets:
            found.setdefault(id(target), (target, []))[1].append(dependency)
    for target, those in found.values():
        keys = {(one.server, one.usage.key.thumbprint) for one in those}
        own = tuple(each for each in proofs if (each.server, each.proof.thumbprint) in keys)
        yield NeededTarget(target, tuple(those), tuple(dict.fromkeys(one.server for one in those)), own)


def verdict_reasons(needed: NeededTarget, *, now: float, several: bool) -> Iterator[GateReason]:
    """Yield a reason if the target is not ready, or has no verdict. With `several` exporters, the text names this one."""
    target, about = needed.target, _values(needed, several=several)
    if target.ready is None:
        yield reason(Condition.NO_VERDICT, why=WHY.get(target.why, target.why), **about)
    elif not target.ready and target.next_credential_usable:
        late = [one.server for one in needed.dependencies if not has_staged_secret(one, needed.proofs, target.last_success)]
        alter = (
            f"ALTER CREDENTIAL with the staged secret on {listed(late)} (ekm-exporter docs rollover#3-node-by-node). Then promote"
        )
        yield reason(
            Condition.STAGED_ONLY,
            failure=target.failure,
            credential=target.credential,
            action=alter if late else "SQL Server has the staged secret already. Promote",
            logs=meanwhile(needed.proofs, now),
            **about,
        )
    elif not target.ready:
        yield reason(Condition.NOT_READY, failure=target.failure, logs=meanwhile(needed.proofs, now), **about)


def history_reasons(needed: NeededTarget, question: Question, *, several: bool) -> Iterator[GateReason]:
    """Yield a reason if the target was not ready for long enough, if its unwrap is old, or if its credential expires."""
    target, at = needed.target, needed.target.at
    about = _values(needed, several=several) | {"ready_for": write(question.ready_for)}
    if target.ready and target.last_not_ready is not None and at - target.last_not_ready < question.ready_for:
        yield reason(Condition.WAS_NOT_READY, at=moment(target.last_not_ready), **about)
    elif target.ready and (target.ready_since is None or at - target.ready_since < question.ready_for):
        since = "an unknown time" if target.ready_since is None else moment(target.ready_since)
        yield reason(Condition.SHORT_HISTORY, since=since, **about)
    if target.ready and not (target.last_unwrap is not None and is_within(at - target.last_unwrap, question.unwrap_age)):
        since = "at an unknown time" if target.last_unwrap is None else f"at {moment(target.last_unwrap)}"
        yield reason(Condition.UNWRAP_OLD, since=since, limit=write(question.unwrap_age), **about)
    yield from _credential_reasons(target, question, about)


def _credential_reasons(target: TargetState, question: Question, names: Mapping[str, str]) -> Iterator[GateReason]:
    expiry, about = target.credential_expires_at, {**names, "credential": target.credential}
    if expiry is None:
        if target.credential_type not in ("managed_identity", "workload_identity"):  # which never expire
            yield reason(Condition.EXPIRY_UNKNOWN, **about)
    elif expiry - target.at <= question.window:
        expires = "expires" if expiry > target.at else "expired"
        yield reason(Condition.CREDENTIAL_EXPIRES, expires=expires, at=moment(expiry), window=write(question.window), **about)


def other_target_reasons(
    state: ExporterState,
    chosen: Sequence[tuple[Instance, InstanceReading]],
    dependencies: Iterable[Dependency],
    folder: str,
    *,
    several: bool,
) -> Iterator[GateReason]:
    """Yield a reason for each doubtful target that names an instance without a known need of it: its keys may have moved."""
    needed = {(id(target), one.server) for one in dependencies for target in one.targets}
    for target in (one for one in state.targets if one.is_doubtful):
        named = [
            (instance, reading)
            for instance, reading in chosen
            if lists(target, instance, doubt=True) and (id(target), instance.server_name) not in needed
        ]
        if named:
            yield reason(
                Condition.OTHER_TARGET_FAILS,
                target=target.name,
                where=_where(target, several=several),
                servers=listed(instance.server_name for instance, _ in named),
                failure=WHY.get(target.why, target.why) if target.ready is None else target.failure,
                age=max((reading for _, reading in named), key=lambda one: one.age or 0.0).ago,
                folder=folder,
            )


def _values(needed: NeededTarget, *, several: bool) -> dict[str, str]:
    where = _where(needed.target, several=several)
    return {"target": needed.target.name, "where": where, "servers": listed(needed.names)}


def _where(target: TargetState, *, several: bool) -> str:
    return f" at {place_of(target)}," if several else ""


_HARDWARE = {"RSA": False, "RSA-HSM": True}  # by kty: SQL Server takes no other kind


def forecast_of(dependencies: Sequence[Dependency]) -> tuple[list[VaultForecast], list[GateReason]]:
    """Return the unwraps of a restart against the request limit of each vault, and a reason for each key without a limit.

    SQL Server unwraps the encryption key of each database once when the database opens. All databases of instances that restart
    together are assumed to open within one window of the limit. Retries, other clients of the vault and the exporter's probes are
    not counted.
    """
    unwraps: dict[str, dict[str, int]] = {}
    shares: dict[str, dict[str, float]] = {}
    unknown: dict[str, GateReason] = {}
    for one in dependencies:
        if not one.targets or not one.usage.databases:
            continue
        vault, target = one.usage.version.vault, one.targets[0]
        limit = _limit(vault, target)
        if limit is None:
            unknown[target.name] = reason(Condition.KEY_SIZE_UNKNOWN, target=target.name, vault=vault)
            continue
        count = len(one.usage.databases)
        of_vault, of_shares = unwraps.setdefault(vault, {}), shares.setdefault(vault, {})
        of_vault[one.server] = of_vault.get(one.server, 0) + count
        of_shares[one.server] = of_shares.get(one.server, 0.0) + count / limit
    return [VaultForecast(vault, unwraps[vault], shares[vault]) for vault in sorted(unwraps)], list(unknown.values())


def throttled(forecast: Iterable[VaultForecast]) -> Iterable[GateReason]:
    """Yield a reason for each vault whose limit the restart exceeds."""
    for one in forecast:
        largest = max(one.shares, key=lambda server: (one.shares[server], server))
        alone = [server for server in sorted(one.shares) if one.shares[server] > 1]
        for server in alone:
            yield reason(
                Condition.INSTANCE_THROTTLES,
                vault=one.vault,
                server=server,
                unwraps=str(one.unwraps[server]),
                share=percent(one.shares[server]),
            )
        if one.share > 1 and not alone:
            yield reason(
                Condition.RESTART_THROTTLES,
                vault=one.vault,
                unwraps=str(one.total),
                share=percent(one.share),
                largest=f"{percent(one.shares[largest])} ({largest})",
            )


def percent(share: float) -> str:
    """Return a share in percent, with two decimals below 1 %."""
    return f"{share:.2%}" if share < 0.01 else f"{share:.1%}"


def _limit(vault: str, target: TargetState) -> float | None:
    hardware = _HARDWARE.get((target.key_type or "").upper())
    if hardware is None or target.key_size_bits is None:
        return None
    try:
        return key_operations_limit(vault, hardware=hardware, size_bits=target.key_size_bits)
    except KeyError:
        return None
