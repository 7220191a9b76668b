"""What the targets that SQL Servers need say against a restart, and the request limits of the vaults."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from exporter.core.durations import known_time, moment, write
from exporter.core.quoting import sql_name
from exporter.core.values import CredentialKind, key_operations_limit
from exporter.knowledge.verdict import WHY
from exporter.sqlserver.gate.conditions import Condition, ExporterState, GateReason, TargetState, reason
from exporter.sqlserver.gate.dependencies import lists, unknown
from exporter.sqlserver.gate.exporters import place_of
from exporter.sqlserver.gate.inputs import DAY, Dependency, KnownInstance, Question, VaultForecast, is_within
from exporter.sqlserver.gate.readiness import meanwhile
from exporter.sqlserver.instance import listed
from exporter.sqlserver.keys import Usage
from exporter.sqlserver.proof import TWO_HOURS, ProofSource, ServerProof

Proofs = Mapping[tuple[str, str], ServerProof]  # by server and thumbprint
OTHER_IDENTITY = ("identity_of_another_host",)  # a managed identity, probed from another host than its own
_NEVER_EXPIRE = (CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY)


def start_reasons(usage: Usage, folder: str) -> Iterator[GateReason]:
    """Yield a reason if no start used the credential since it was altered: all that an inventory shows of it."""
    started, altered = known_time(usage.instance.started_utc), known_time(usage.credential.modified_utc)
    if started is None:
        yield from unknown("start", "the start of the service is unknown", usage.instance, folder)
    elif altered is None or altered >= started:
        when = "at an unknown time" if altered is None else f"at {moment(altered)}"
        yield reason(
            Condition.CREDENTIAL_NOT_PROVEN,
            server=usage.instance.server_name,
            cause=f"credential [{usage.credential.name}] was altered {when}, not before the start of the service at {moment(started)}",
            database=sql_name(next((one.name for one in usage.databases if not one.hidden), ""), "DATABASE"),
            when="two hours after the change",
        )


def _has_staged_secret(one: Dependency, proof: ServerProof | None, working_until: float | None) -> bool:
    """Whether SQL Server seems to have the staged secret.

    It was altered or proven after the current one stopped to work. Without a proof since, the change may be of the day before. A backup within
    two hours may still use a token of the current one.
    """
    found = None if proof is None else proof.proof
    if working_until is None:
        return False
    if found is not None and found.is_due:
        return (found.altered_at or 0.0) > working_until - DAY
    if (known_time(one.usage.credential.modified_utc) or 0.0) > working_until:
        return True
    token = 0.0 if found is None or found.source is ProofSource.START else TWO_HOURS
    return found is not None and (found.proven_at or 0.0) > working_until + token


def vault_side(target: TargetState) -> TargetState:
    """Return a target as the narrower question counts it: whose identity was used does not matter there."""
    answers = target.ready is None and target.success and target.why in OTHER_IDENTITY
    return msgspec.structs.replace(target, ready=True) if answers else target


def target_reasons(
    dependencies: Iterable[Dependency], proofs: Proofs, question: Question, now: float, *, several: bool, suffix: str = ""
) -> Iterator[GateReason]:
    """Yield what each target lacks, once. Two exporters behind one address may have targets of one name.

    With `several` exporters, the text names this one. `suffix` is of the servers' names in texts.
    """
    found: dict[int, tuple[TargetState, list[Dependency]]] = {}
    for dependency in dependencies:
        for target in dependency.targets:
            found.setdefault(id(target), (target, []))[1].append(dependency)
    for target, those in found.values():
        about = {
            "target": target.name,
            "where": _where(target, several=several),
            "servers": listed(dict.fromkeys(one.server + suffix for one in those)),
            "ready_for": write(question.ready_for),
            "failure": target.failure,
            "credential": target.credential,
        }
        yield from _verdict_reasons(target, those, proofs, about, now)
        yield from _history_reasons(target, question, about)


def _verdict_reasons(
    target: TargetState, dependencies: Iterable[Dependency], proofs: Proofs, about: Mapping[str, str], now: float
) -> Iterator[GateReason]:
    """Yield a reason if the target is not ready, or has no verdict."""
    logs = "" if target.ready else meanwhile((proofs[one.place] for one in dependencies if one.place in proofs), now)
    if target.ready is None:
        yield reason(Condition.NO_VERDICT, why=WHY.get(target.why, target.why), **about)
    elif not target.ready and target.next_credential_usable:
        until = target.last_success
        late = [one.server for one in dependencies if not _has_staged_secret(one, proofs.get(one.place), until)]
        alter = f"Run alter-credential.sql with the staged secret on {listed(late)} (ekm-exporter docs rollover#3-node-by-node). Then promote"
        yield reason(
            Condition.STAGED_ONLY,
            action=alter if late else "SQL Server has the staged secret already. Promote",
            logs=logs,
            **about,
        )
    elif not target.ready:
        yield reason(Condition.NOT_READY, logs=logs, **about)


def _history_reasons(target: TargetState, question: Question, about: Mapping[str, str]) -> Iterator[GateReason]:
    """Yield a reason if the target was not ready for long enough, if its unwrap is old, or if its credential ends."""
    at, since, unwrap, expiry = target.at, target.ready_since, target.last_unwrap, target.credential_expires_at
    if target.ready and target.last_not_ready is not None and at - target.last_not_ready < question.ready_for:
        yield reason(Condition.WAS_NOT_READY, at=moment(target.last_not_ready), **about)
    elif target.ready and target.why not in OTHER_IDENTITY and (since is None or at - since < question.ready_for):
        yield reason(Condition.SHORT_HISTORY, since="an unknown time" if since is None else moment(since), **about)
    if target.ready and not (unwrap is not None and is_within(at - unwrap, question.unwrap_age)):
        text = "at an unknown time" if unwrap is None else f"at {moment(unwrap)}"
        yield reason(Condition.UNWRAP_OLD, since=text, limit=write(question.unwrap_age), **about)
    if expiry is None and target.credential_type not in _NEVER_EXPIRE:
        yield reason(Condition.EXPIRY_UNKNOWN, **about)
    elif expiry is not None and expiry - at <= question.window:
        expires = "expires" if expiry > at else "expired"
        yield reason(Condition.CREDENTIAL_EXPIRES, expires=expires, at=moment(expiry), window=write(question.window), **about)


def other_target_reasons(
    state: ExporterState,
    chosen: Sequence[KnownInstance],
    dependencies: Iterable[Dependency],
    folder: str,
    *,
    several: bool,
) -> Iterator[GateReason]:
    """Yield a reason for each doubtful target that names an instance without a known need of it: its keys may have moved."""
    needed = {(id(target), one.server) for one in dependencies for target in one.targets}
    for target in (one for one in state.targets if one.is_doubtful):
        named = [one for one in chosen if lists(target, one.instance, doubt=True) and (id(target), one.server) not in needed]
        if named:
            yield reason(
                Condition.OTHER_TARGET_FAILS,
                target=target.name,
                where=_where(target, several=several),
                servers=listed(one.server for one in named),
                failure=WHY.get(target.why, target.why) if target.ready is None else target.failure,
                age=max(named, key=lambda one: one.age or 0.0).ago,
                folder=folder,
            )


def _where(target: TargetState, *, several: bool) -> str:
    return f" at {place_of(target)}," if several else ""


_HARDWARE = {"RSA": False, "RSA-HSM": True}  # by kty: SQL Server takes no other kind


def forecast_of(dependencies: Iterable[Dependency]) -> tuple[list[VaultForecast], Collection[GateReason]]:
    """Return the unwraps of a restart against the request limit of each vault, and a reason for each key without a limit.

    SQL Server unwraps the encryption key of each database once when the database opens. All databases of instances that restart
    together are assumed to open within one window of the limit. Retries, other clients of the vault and the exporter's probes are
    not counted.
    """
    found: dict[str, VaultForecast] = {}
    unknown: dict[str, GateReason] = {}
    for one in (each for each in dependencies if each.targets and each.usage.databases):
        vault, target, count = one.usage.version.vault, one.targets[0], len(one.usage.databases)
        if (limit := _limit(vault, target)) is None:
            unknown[target.name] = reason(Condition.KEY_SIZE_UNKNOWN, target=target.name, vault=vault)
            continue
        forecast = found.setdefault(vault, VaultForecast(vault))
        forecast.unwraps[one.server] += count
        forecast.shares[one.server] += count / limit
    return [found[vault] for vault in sorted(found)], unknown.values()


def throttled(forecast: Iterable[VaultForecast]) -> Iterable[GateReason]:
    """Yield a reason for each vault whose limit the restart exceeds."""
    for one in forecast:
        alone = [server for server, share in sorted(one.shares.items()) if share > 1]
        for server in alone:
            unwraps, share = str(one.unwraps[server]), percent(one.shares[server])
            yield reason(Condition.INSTANCE_THROTTLES, vault=one.vault, server=server, unwraps=unwraps, share=share)
        if one.share > 1 and not alone:
            server, share_alone = max(one.shares.items(), key=lambda each: (each[1], each[0]))
            yield reason(
                Condition.RESTART_THROTTLES,
                vault=one.vault,
                unwraps=str(one.unwraps.total()),
                share=percent(one.share),
                largest=f"{percent(share_alone)} ({server})",
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
