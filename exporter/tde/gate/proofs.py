"""What SQL Servers proved themselves, and how long their logs have room, as reasons."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from exporter.core.codes import BY_CODE
from exporter.core.durations import known_time, moment, write
from exporter.tde.findings import quoted
from exporter.tde.gate.conditions import Condition, GateReason, reason
from exporter.tde.gate.model import Dependency, KnownInstance, Question
from exporter.tde.gate.sql_server import unknown
from exporter.tde.log_space import log_spaces
from exporter.tde.model import printable
from exporter.tde.proof import ReportedCode, key_proofs
from exporter.tde.server_proof import (
    ServerProof,
    clock_text,
    full_text,
    full_times,
    log_text,
    logs_of,
    proof_text,
    with_present_rates,
)
from exporter.tde.sql_reading import rows
from exporter.tde.usage import Usage

FULL_SOON = 4 * 3600.0  # as EkmSqlLogFillsUp
_TRUNCATED = 1800.0  # seconds since a log backup within which the next one is not missing
_PROVING = ("backups", "opened")  # without these sections a reading proves nothing
# If the sizes of the logs are not known.
LOGS_GROW = "While SQL Server cannot use the key, log backups fail, and each log grows until its limit or the end of its disk"
_SEEN = "The next reading of the exporter shows it"
_NOT_SEEN = (
    "Without a reading of an exporter (docs/sql-servers.md) this answer stays until the next restart, so decide by that backup"
)


def server_proofs(chosen: Iterable[KnownInstance], usages: Iterable[Usage]) -> Iterator[ServerProof]:
    """Yield what each SQL Server that an exporter reads proved of the keys in use."""
    used = {(one.instance.server_name, one.key.thumbprint) for one in usages}
    for one in chosen:
        if one.reading is not None and any(section in one.reading.read_at for section in _PROVING):
            logs = log_spaces(one.reading)
            for proof in key_proofs(one.reading):
                # Without a database that it may know of, the reading proves nothing.
                if (one.server, proof.thumbprint) in used and proof.databases:
                    yield ServerProof(one.server, one.reading, proof, logs_of(proof, logs))


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
            yield from _proof_reasons(one, proof, question, now)


def _is_altered_since(usage: Usage, proof: ServerProof) -> bool:
    """Whether the inventory read a later change of the credential."""
    altered = known_time(usage.credential.modified_utc)
    return proof.proof.credential == usage.credential.name and (altered or 0.0) > (proof.proof.altered_at or 0.0)


def _proof_reasons(one: Dependency, server: ServerProof, question: Question, now: float) -> Iterator[GateReason]:
    proof = server.proof
    if server.codes:
        ready = one.targets and all(target.ready for target in one.targets)
        code = server.codes[0].code
        yield reason(
            Condition.BACKUPS_FAIL,
            server=one.server,
            codes=" and ".join(_code_text(each) for each in server.codes),
            code=code,
            since=clock_text(server.since or now, now),
            although=" although the vault side is ready" if ready else "",
            logs=meanwhile([server], now),
        )
    elif server.state.is_seen_inside:
        pass  # a reason of its own
    elif proof.proven_at is None:
        yield _not_proven(one.usage, f"key [{proof.key_name}] is {proof_text(server, now)}", _SEEN)
    elif now - proof.proven_at > question.proof_age:
        yield reason(
            Condition.PROOF_OLD,
            server=one.server,
            key=proof.key_name,
            proof=proof_text(server, now),
            limit=write(question.proof_age),
        )


def _code_text(code: ReportedCode) -> str:
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
    database = quoted(next((one.name for one in usage.databases if not one.hidden), "DATABASE"))
    server = usage.instance.server_name
    return reason(Condition.CREDENTIAL_NOT_PROVEN, server=server, cause=cause, database=database, after=after)


def has_staged_secret(one: Dependency, proofs: Iterable[ServerProof], working_until: float | None) -> bool:
    """Whether SQL Server seems to have the staged secret: altered or proven after the current one stopped to work."""
    found = next(
        (each.proof for each in proofs if (each.server, each.proof.thumbprint) == (one.server, one.usage.key.thumbprint)), None
    )
    altered = known_time(one.usage.credential.modified_utc)
    if found is not None and found.is_due:
        return found.altered_at is not None
    times = (altered, None if found is None else found.proven_at)
    return working_until is not None and any(at is not None and at > working_until for at in times)


def log_reasons(dependencies: Iterable[Dependency], proofs: Sequence[ServerProof], *, now: float) -> Iterator[GateReason]:
    """Yield a reason for each server with a log that is full soon and that no backup truncates."""
    failing = {
        (one.server, one.usage.key.thumbprint) for one in dependencies if any(target.ready is False for target in one.targets)
    }
    for each in proofs:
        if each.codes or (each.server, each.proof.thumbprint) in failing:
            truncated = _truncated(each)
            growing = replace(each, logs=tuple(log for log in each.logs if log.database not in truncated))
            full = min(full_times(with_present_rates([growing], now), now), default=None)
            if full is not None and full[0] <= FULL_SOON:
                yield reason(Condition.LOG_FILLS, server=each.server, database=full[1], when=full_text(full[0]))


def _truncated(server: ServerProof) -> Collection[str]:
    """Return the databases with a log backup since the provider's last failure, or so recent that none is missing."""
    recent = server.reading.read_at.get("backups", 0.0) - _TRUNCATED
    earliest = max((each.last_at for each in server.codes), default=recent)
    return {
        printable(str(row.get("database")))
        for row in rows(server.reading, "backups")
        if row.get("type") == "L" and (known_time(str(row.get("finished_utc"))) or 0.0) > earliest
    }
