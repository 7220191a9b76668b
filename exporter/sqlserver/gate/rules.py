"""What the targets that SQL Servers need say against a restart, and the request limits of the vaults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from exporter.core.durations import known_time, moment, write
from exporter.core.quoting import sql_name
from exporter.core.values import key_operations_limit
from exporter.knowledge.verdict import WHY
from exporter.sqlserver.gate.conditions import Condition, ExporterState, GateReason, TargetState, reason
from exporter.sqlserver.gate.dependencies import lists, unknown
from exporter.sqlserver.gate.exporters import place_of
from exporter.sqlserver.gate.inputs import DAY, Dependency, KnownInstance, Limits, VaultForecast, is_within
from exporter.sqlserver.gate.readiness import meanwhile
from exporter.sqlserver.instance import listed
from exporter.sqlserver.keys import Usage
from exporter.sqlserver.proof import TWO_HOURS, ProofSource, ServerProof, server_proofs


def chosen_proofs(chosen: Iterable[KnownInstance], usages: Iterable[Usage]) -> dict[tuple[str, str], ServerProof]:
    """Return by server and thumbprint what each SQL Server that an exporter reads proved of the keys in use."""
    used = {(one.instance.server_name, one.key.thumbprint) for one in usages}
    return {
        (one.server, each.proof.thumbprint): replace(each, server=one.server)
        for one in chosen
        for each in (() if one.reading is None else server_proofs(one.reading))
        if (one.server, each.proof.thumbprint) in used
    }


def start_reasons(usage: Usage, folder: str) -> Iterator[GateReason]:
    """Yield a reason if no start used the credential since it was altered: all that an inventory shows of it."""
    started, altered = known_time(usage.instance.started_utc), known_time(usage.credential.modified_utc)
    if started is None:
        yield from unknown("start", "the start of the service is unknown", usage.instance, folder)
    elif altered is None or altered >= started:
        when = "at an unknown time" if altered is None else f"at {moment(altered)}"
        cause = (
            f"credential [{usage.credential.name}] was altered {when}, not before the start of the service at {moment(started)}"
        )
        database = sql_name(next((one.name for one in usage.databases if not one.hidden), ""), "DATABASE")
        yield reason(
            Condition.CREDENTIAL_NOT_PROVEN,
            server=usage.instance.server_name,
            cause=cause,
            database=database,
            when="two hours after the change",
        )


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


@dataclass(frozen=True, slots=True)
class NeededTarget:
    """A target with the keys that servers need it for, and what these servers proved. `names` are for texts."""

    target: TargetState
    dependencies: tuple[Dependency, ...]
    names: tuple[str, ...]
    proofs: tuple[ServerProof, ...] = ()


def needed_targets(dependencies: Iterable[Dependency], proofs: Sequence[ServerProof], suffix: str = "") -> Iterator[NeededTarget]:
    """Yield each target once. Two exporters behind one address may have targets of one name. `suffix` is of the servers' names in texts."""
    found: dict[int, tuple[TargetState, list[Dependency]]] = {}
    for dependency in dependencies:
        for target in dependency.targets:
            found.setdefault(id(target), (target, []))[1].append(dependency)
    for target, those in found.values():
        keys = {(one.server, one.usage.key.thumbprint) for one in those}
        own = tuple(each for each in proofs if (each.server, each.proof.thumbprint) in keys)
        yield NeededTarget(target, tuple(those), tuple(dict.fromkeys(one.server + suffix for one in those)), own)


OTHER_IDENTITY = ("identity_of_another_host",)  # a managed identity, probed from another host than its own


def vault_side(target: TargetState) -> TargetState:
    """Return a target as the narrower question counts it: whose identity was used does not matter there."""
    answers = target.ready is None and target.success and target.why in OTHER_IDENTITY
    return replace(target, ready=True) if answers else target


def target_reasons(needed: NeededTarget, question: Limits, now: float, *, several: bool) -> Iterator[GateReason]:
    """Yield what a target lacks. With `several` exporters, the text names this one."""
    about = {
        "target": needed.target.name,
        "where": _where(needed.target, several=several),
        "servers": listed(needed.names),
        "ready_for": write(question.ready_for),
    }
    yield from _verdict_reasons(needed, about, now)
    yield from _history_reasons(needed.target, question, about)
    yield from _credential_reasons(needed.target, question, about)


def _verdict_reasons(needed: NeededTarget, about: Mapping[str, str], now: float) -> Iterator[GateReason]:
    """Yield a reason if the target is not ready, or has no verdict."""
    target = needed.target
    if target.ready is None:
        yield reason(Condition.NO_VERDICT, why=WHY.get(target.why, target.why), **about)
    elif not target.ready and target.next_credential_usable:
        late = [one.server for one in needed.dependencies if not has_staged_secret(one, needed.proofs, target.last_success)]
        alter = f"Run alter-credential.sql with the staged secret on {listed(late)} (ekm-exporter docs rollover#3-node-by-node). Then promote"
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


def _history_reasons(target: TargetState, question: Limits, about: Mapping[str, str]) -> Iterator[GateReason]:
    """Yield a reason if the target was not ready for long enough, or if its unwrap is old."""
    at = target.at
    if target.ready and target.last_not_ready is not None and at - target.last_not_ready < question.ready_for:
        yield reason(Condition.WAS_NOT_READY, at=moment(target.last_not_ready), **about)
    elif (
        target.ready
        and target.why not in OTHER_IDENTITY
        and (target.ready_since is None or at - target.ready_since < question.ready_for)
    ):
        since = "an unknown time" if target.ready_since is None else moment(target.ready_since)
        yield reason(Condition.SHORT_HISTORY, since=since, **about)
    if target.ready and not (target.last_unwrap is not None and is_within(at - target.last_unwrap, question.unwrap_age)):
        since = "at an unknown time" if target.last_unwrap is None else f"at {moment(target.last_unwrap)}"
        yield reason(Condition.UNWRAP_OLD, since=since, limit=write(question.unwrap_age), **about)


def _credential_reasons(target: TargetState, question: Limits, names: Mapping[str, str]) -> Iterator[GateReason]:
    expiry, about = target.credential_expires_at, {**names, "credential": target.credential}
    if expiry is None:
        if target.credential_type not in ("managed_identity", "workload_identity"):  # which never expire
            yield reason(Condition.EXPIRY_UNKNOWN, **about)
    elif expiry - target.at <= question.window:
        expires = "expires" if expiry > target.at else "expired"
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
