"""The answer of the gate: the restart readiness of each node and key that the chosen instances need, and what the fleet says."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain

import msgspec

from exporter.core import grouped
from exporter.core.durations import ago, known_time, moment, write
from exporter.core.quoting import sql_name
from exporter.core.values import CredentialKind, Step, Vantage, key_operations_limit
from exporter.knowledge.reason_row import Refused
from exporter.knowledge.reasons import refusing
from exporter.knowledge.verdict import WHY
from exporter.sqlserver.gate.conditions import ExporterState, GateReason, TargetState, reason
from exporter.sqlserver.gate.dependencies import (
    ReplicaKeys,
    choose,
    find_dependencies,
    lists,
    match,
    needed_sections,
    not_read,
    notes_of,
    unknown,
)
from exporter.sqlserver.gate.exporters import Requested, answering, compared, failures, place_of, targets_by_key
from exporter.sqlserver.gate.inputs import (
    DAY,
    Answer,
    Dependency,
    ExporterAnswer,
    Inventory,
    KnownInstance,
    Question,
    RestartReadiness,
    VaultForecast,
    is_within,
    known_instances,
)
from exporter.sqlserver.gate.readiness import (
    NodeKey,
    damaged,
    device_notes,
    meanwhile,
    restart_readiness,
)
from exporter.sqlserver.instance import Findings, listed
from exporter.sqlserver.keys import KeyUris, Usage, find_usages
from exporter.sqlserver.proof import TWO_HOURS, ServerProof, column_proofs, server_proofs
from exporter.sqlserver.reading import known_instance

Proofs = Mapping[tuple[str, str], ServerProof]  # by server and thumbprint
_OTHER_IDENTITY = ("identity_of_another_host",)  # a managed identity, probed from another host than its own
_NEVER_EXPIRE = (CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY)
_EXPIRED = tuple(refusing(Refused.EXPIRED_CREDENTIAL))  # for any value of an exporter, hashable or not
_MOVED = " (a replica that does not restart)"


def assess(question: Question, inventory: Inventory | GateReason, requested: Requested, *, now: float) -> Answer:
    """Return the answer at `now`, a Unix time.

    The inventory, or the state of an exporter, may be the reason why it is not known.
    """
    if question.vault_side:
        requested = {
            url: replace(found, targets=tuple(map(vault_side, found.targets))) if isinstance(found, ExporterState) else found
            for url, found in requested.items()
        }
    states, several = [one for one in requested.values() if isinstance(one, ExporterState)], len(requested) > 1
    held, unread = (inventory, None) if isinstance(inventory, Inventory) else (Inventory(), inventory)
    known = known_instances(held, states, question, now=now)
    is_blind = unread is not None and not known
    chosen, missing = ([], []) if is_blind else choose(question, known)
    if question.every and not is_blind:
        silent = dict.fromkeys(each.address for state in states for each in state.readings if known_instance(each) is None)
        missing += [not_read(address, question) for address in silent]
    instances = [one.instance for one in chosen]
    uris = KeyUris((one.instance for one in known), held.loose, Findings(), held.compared, held.established)
    usages, gaps = find_dependencies(question, instances, [one.instance for one in known], uris)
    # The replicas of their groups, which do not restart, are "moved" below; all others may share a client.
    replicas = ReplicaKeys(chosen, known, uris, question)
    near = (*chosen, *replicas.replicas)
    by_server = {one.server: one for one in near}
    others = [one for one in known if one.server not in by_server and one.reading is not None]
    by_server |= {one.server: one for one in others}

    targets = targets_by_key(states)
    matches, of_moved, of_others = (
        [
            # The targets that the exporters have which answer for its server.
            match(usage, [each for each in targets.get(usage.version, ()) if each.url in urls], question)
            for usage in those
            for urls in ({state.url for state in answering(usage.instance, states)},)
        ]
        for those in (usages, replicas.usages, find_usages([one.instance for one in others], uris, Findings()))
    )
    dependencies, moved = [one for one, _ in matches], [one for one, _ in of_moved]
    every = (*dependencies, *moved, *(one for one, _ in of_others))
    used, unsure = {one.place for one in every}, {one.server for one in chosen if one.contested}
    proofs = {
        (one.server, each.thumbprint): replace(each, server=one.server)
        for one in by_server.values()
        for each in (
            ()
            if one.reading is None
            else (
                *server_proofs(one.reading),
                *column_proofs(one.reading, [usage for usage in usages if usage.instance.server_name == one.server]),
            )
        )
        if (one.server, each.thumbprint) in used
    }
    unmatched = {  # why keys have no target
        dependency.place: [
            each
            for each in found
            # Whether a target lists it is not known either.
            if each.condition != "server_not_listed" or dependency.server not in unsure
        ]
        for dependency, found in (*matches, *(() if question.vault_side else of_moved))
        if states
    }
    of_servers = _contested(chosen) | dict(_old(question, near, now))
    # A missing file matters if a server is in no reading.
    lacks = is_blind or any(each.condition == "instance_not_read" for each in (*missing, *replicas.reasons))
    using = {one.instance.server_name for one in (*usages, *replicas.usages)}
    reasons = [
        *([unread] if unread is not None and (lacks or unread.condition != "inventory_missing") else []),
        *missing,
        *of_servers,
        *(
            each
            for one in near
            if one.reading is not None and one.server not in using
            for each in damaged(one.reading, one.server, question)
        ),
        *gaps,
        *replicas.reasons,
    ]

    own = grouped((server, each) for each, servers in (*of_servers.items(), *gaps.items()) for server in servers)
    # What is proven of all SQL Servers of each client.
    peers = grouped((client, one.place) for one in every if one.place in proofs for client in one.clients)
    # A call is shown as a proof, and is no reason for another server: else the order of servers would decide.
    readiness, shown = list[RestartReadiness](), dict(proofs)
    for one, suffix in (*((each, "") for each in dependencies), *((each, _MOVED) for each in moved)):
        vault = (
            *unmatched.get(one.place, ()),
            *own.get(one.server, ()),
            *target_reasons([one], proofs, question, now, several=several),
        )
        if (proof := proofs.get(one.place)) is None:
            missed = replace(reason("not_read_itself", server=one.server + suffix, key=one.usage.key.name), server=one.server)
            readiness.append(
                RestartReadiness(one.server, "", one.usage.key.thumbprint, one.usage.key.name, (*vault, missed), now)
            )
            continue
        case = NodeKey(
            dependency=one,
            server=one.server + suffix,
            proof=proof,
            question=question,
            now=now,
            peers=tuple(
                proofs[place] for place in dict.fromkeys(chain.from_iterable(peers.get(each, ()) for each in one.clients))
            ),
            replicas=tuple(
                each.reading
                for each in by_server.values()
                if each.reading is not None
                and each.server != one.server
                and not one.groups.isdisjoint(database.ag.casefold() for database in each.instance.databases)
            ),
            ready_hosts=frozenset(_ready_hosts(one, states)),
        )
        readiness.append(restart_readiness(case, vault))
        shown[one.place] = case.proof_with_calls

    answers = {one.server: answering(one.instance, states) for one in chosen}
    failed = list(failures(requested, instances, now))
    against, despite = compared(dependencies, targets)
    forecast, unknown_sizes = forecast_of(dependencies)
    # What targets lack is grouped by target. Without an exporter, whether one reads it is not known.
    lacking = [each for one in readiness for each in one.missing if each.server] if states else []
    doubtful = [
        each
        for state in states
        for each in other_target_reasons(
            state,
            [one for one in chosen if any(state is known for known in answers[one.server])],
            dependencies,
            question,
            several=several,
        )
    ]
    found = dict.fromkeys(
        (
            *reasons,
            *(each for _, each, matters in failed if matters),
            *(each for those in unmatched.values() for each in those),
            *(each for each in lacking if each.known or not question.vault_side),
            *target_reasons(dependencies, proofs, question, now, several=several),
            *(
                each
                for one in (*dependencies, *moved)
                if question.vault_side and one.place not in proofs
                for each in start_reasons(one.usage, question)
            ),
            *target_reasons(moved, {}, question, now, several=several, suffix=_MOVED),
            *doubtful,
            *against,
            *unknown_sizes,
            *throttled(forecast),
        )
    )
    accepted = tuple(each for each in found if _is_accepted(each, question))
    own_proofs = tuple(each for (server, _), each in shown.items() if server in answers)
    return Answer(
        question=question,
        at=min((one.at for one in states), default=now),
        exporters=tuple(
            ExporterAnswer(
                url,
                found if isinstance(found, ExporterState) else None,
                next((each.text for place, each, _ in failed if place == url), ""),
                tuple(server for server, those in answers.items() if any(found is each for each in those)),
            )
            for url, found in requested.items()
        ),
        instances=tuple(one.server for one in chosen),
        readings=tuple(chosen),
        proofs=own_proofs,
        now=now,
        dependencies=tuple(dependencies) if states else (),
        forecast=tuple(forecast),
        readiness=tuple(readiness),
        reasons=tuple(each for each in found if each not in accepted),
        accepted=accepted,
        notes=(
            *(note for instance in instances for note in notes_of(instance)),
            *dict.fromkeys(device_notes(own_proofs, now)),
            *(each.text for _, each, matters in failed if not matters),
            *despite,
        ),
    )


def _is_accepted(each: GateReason, question: Question) -> bool:
    """Whether a person vouches for it: only what is not known can be accepted, row by row and node by node."""
    host = each.server.casefold().partition("\\")[0]
    rows = {row for row, node in question.accepted if node.casefold() in (each.server.casefold(), host, host.partition(".")[0])}
    return not each.known and bool(each.server) and each.evidence in rows


def _ready_hosts(one: Dependency, states: Iterable[ExporterState]) -> Iterator[str]:
    """Yield the computers whose exporter has a ready target of a key for a server."""
    named = {(target.name, target.vault, target.key_name, target.key_version) for target in one.targets}
    for state in states:
        ready = {(each.name, each.vault, each.key_name, each.key_version) for each in state.targets if each.ready}
        if state.vantage is Vantage.SQL_HOST and state.host and named & ready:
            yield state.host.casefold().partition(".")[0]


def _contested(known: Iterable[KnownInstance]) -> dict[GateReason, list[str]]:
    """Return a reason for each name that addresses of several servers may answer, with these servers."""
    found = grouped((one.contested, one.server) for one in known if one.contested)
    return {
        reason(
            "server_contested",
            addresses=" and ".join(addresses),
            all="both" if len(addresses) == 2 else "all",
            name=min((each.partition(" (")[0] for each in servers), key=len),  # without a domain that only one of them shows
        ): servers
        for addresses, servers in found.items()
    }


def _old(question: Question, known: Iterable[KnownInstance], now: float) -> Iterator[tuple[GateReason, list[str]]]:
    """Yield a reason, with its servers, for the instances whose reading, or a section of it, is too old. A time of the future is not known."""
    old: dict[tuple[str, float], dict[str, str]] = {}  # of each server, how it is named
    for one in known:
        needed = needed_sections(one.instance, question)
        limit = question.reading_age if one.url else question.inventory_age
        if one.age is None or not is_within(one.age, limit):
            old.setdefault((one.text, limit), {})[one.server] = one.server
            continue
        for section, (at, limit) in one.old.items():
            if section in needed:
                text = "at an unknown time" if at is None else ago(now - at)
                old.setdefault((text, limit), {})[f"{one.server} (section {section})"] = one.server
    for (age, limit), servers in old.items():
        found = reason("inventory_old", servers=listed(servers), age=age, limit=write(limit), **question.paths)
        yield found, list(dict.fromkeys(servers.values()))


# What the targets that SQL Servers need say against a restart, and the request limits of the vaults.


def start_reasons(usage: Usage, question: Question) -> Iterator[GateReason]:
    """Yield a reason if no start used the credential since it was altered: all that an inventory shows of it."""
    started, altered = known_time(usage.instance.started_utc), known_time(usage.credential.modified_utc)
    if started is None:
        yield from unknown("start", "the start of the service is unknown", usage.instance, question)
    elif altered is None or altered >= started:
        when = "at an unknown time" if altered is None else f"at {moment(altered)}"
        yield reason(
            "credential_not_proven",
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
    if working_until is None:
        return False
    if proof is not None and proof.is_due:
        return (proof.altered_at or 0.0) > working_until - DAY
    if (known_time(one.usage.credential.modified_utc) or 0.0) > working_until:
        return True
    token = 0.0 if proof is None or proof.source == "start" else TWO_HOURS
    return proof is not None and (proof.proven_at or 0.0) > working_until + token


def vault_side(target: TargetState) -> TargetState:
    """Return a target as the narrower question counts it: whose identity was used does not matter there."""
    answers = target.ready is None and target.success and target.why in _OTHER_IDENTITY
    return msgspec.structs.replace(target, ready=True) if answers else target


def target_reasons(
    dependencies: Iterable[Dependency], proofs: Proofs, question: Question, now: float, *, several: bool, suffix: str = ""
) -> Iterator[GateReason]:
    """Yield what each target lacks, once. Two exporters behind one address may have targets of one name.

    With `several` exporters, the text names this one. `suffix` is of the servers' names in texts.
    """
    found = grouped((id(target), (target, one)) for one in dependencies for target in one.targets)
    for target, those in ((pairs[0][0], [one for _, one in pairs]) for pairs in found.values()):
        about = {
            "target": target.name,
            "where": _where(target, several=several),
            "servers": listed(dict.fromkeys(one.server + suffix for one in those)),
            "ready_for": write(question.ready_for),
            "failure": target.failure,
            "credential": target.credential,
            **question.paths,
        }
        yield from _verdict_reasons(target, those, proofs, about, now)
        yield from _history_reasons(target, question, about)


def _verdict_reasons(
    target: TargetState, dependencies: Iterable[Dependency], proofs: Proofs, about: Mapping[str, str], now: float
) -> Iterator[GateReason]:
    """Yield a reason if the target is not ready, or has no verdict."""
    logs = "" if target.ready else meanwhile((proofs[one.place] for one in dependencies if one.place in proofs), now)
    if target.ready is None:
        yield reason("no_verdict", why=WHY.get(target.why, target.why), **about)
    elif not target.ready and target.next_credential_usable:
        late = [each.server for each in dependencies if not _has_staged_secret(each, proofs.get(each.place), target.last_success)]
        alter = f"Run alter-credential.sql with the staged secret on {listed(late)} (ekm-exporter docs rollover#3-node-by-node). Then promote"
        yield reason(
            "staged_only",
            action=alter if late else "SQL Server has the staged secret already. Promote",
            logs=logs,
            **about,
        )
    elif not target.ready:
        yield reason("not_ready", logs=logs, **about)


def _history_reasons(target: TargetState, question: Question, about: Mapping[str, str]) -> Iterator[GateReason]:
    """Yield a reason if the target was not ready for long enough, if its unwrap is old, or if its credential ends."""
    at, since, unwrap, expiry = target.at, target.ready_since, target.last_unwrap, target.credential_expires_at
    if target.ready and target.last_not_ready is not None and at - target.last_not_ready < question.ready_for:
        yield reason("was_not_ready", at=moment(target.last_not_ready), **about)
    elif target.ready and target.why not in _OTHER_IDENTITY and (since is None or at - since < question.ready_for):
        yield reason("short_history", since="an unknown time" if since is None else moment(since), **about)
    if target.ready and not (unwrap is not None and is_within(at - unwrap, question.unwrap_age)):
        text = "at an unknown time" if unwrap is None else f"at {moment(unwrap)}"
        yield reason("unwrap_old", since=text, limit=write(question.unwrap_age), **about)
    if expiry is None and target.credential_type not in _NEVER_EXPIRE:
        yield reason("expiry_unknown", **about)
    elif expiry is not None and expiry - at <= question.window:
        expires = "expires at" if expiry > at else "expired at"
        if target.step == Step.TOKEN and target.reason in _EXPIRED:  # then the time is that of the first refusal
            expires = "is refused as expired since"
        yield reason("credential_expires", expires=expires, at=moment(expiry), window=write(question.window), **about)


def other_target_reasons(
    state: ExporterState,
    known: Iterable[KnownInstance],
    dependencies: Iterable[Dependency],
    question: Question,
    *,
    several: bool,
) -> Iterator[GateReason]:
    """Yield a reason for each doubtful target that names one of the instances without a known need of it: its keys may have moved."""
    needed = {(id(target), one.server) for one in dependencies for target in one.targets}
    for target in (one for one in state.targets if one.is_doubtful):
        named = [one for one in known if lists(target, one.instance, doubt=True) and (id(target), one.server) not in needed]
        if named:
            yield reason(
                "other_target_fails",
                target=target.name,
                where=_where(target, several=several),
                servers=listed(one.server for one in named),
                failure=WHY.get(target.why, target.why) if target.ready is None else target.failure,
                age=max(named, key=lambda one: one.age or 0.0).ago,
                **question.paths,
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
            unknown[target.name] = reason("key_size_unknown", target=target.name, vault=vault)
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
            yield reason("instance_throttles", vault=one.vault, server=server, unwraps=unwraps, share=share)
        if one.share > 1 and not alone:
            server, share_alone = max(one.shares.items(), key=lambda each: (each[1], each[0]))
            yield reason(
                "restart_throttles",
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
