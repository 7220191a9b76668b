"""The restart readiness: for a node and a key, the evidence that a restart or failover rests on. Pure.

`EVIDENCE` is the table, and `restart_readiness` the one function that reads it: gate, pages, series and the API show what it returns. A row is
there, or it is missing for a reason. The facts hold times; the answer is that of `now`, so that silence ages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from exporter.core.durations import ago, clock_text, known_time, span_text, write
from exporter.core.quoting import sql_name
from exporter.knowledge.checks_host import is_denied
from exporter.knowledge.code_row import Category
from exporter.knowledge.codes import BY_CODE
from exporter.sqlserver.document import BACKUP_MESSAGES, OPEN_MESSAGES, OTHER, Row
from exporter.sqlserver.gate.conditions import Condition, GateReason, TargetState, reason
from exporter.sqlserver.gate.inputs import CLOCK_TOLERANCE, DAY, KnownInstance, Limits, Readiness, is_within
from exporter.sqlserver.instance import listed, printable
from exporter.sqlserver.keys import Usage
from exporter.sqlserver.proof import KeyUse, ProofSource, ReportedCode, ServerProof, key_uses, lines_of
from exporter.sqlserver.reading import SqlServerReading, rows
from exporter.sqlserver.urgency import closed_names, closed_states, full_text, full_times, log_text, with_present_rates

FULL_SOON: Final = 4 * 3600.0  # as EkmSqlLogFillsUp
_TRUNCATED: Final = (
    1800.0  # seconds since a log backup within which the next one is not missing: a reading does not show its rhythm
)
LOGS_GROW: Final = (
    "While SQL Server cannot use the key, log backups fail, and each log grows until its limit or the end of its disk"
)
FAILED_BACKUP: Final = "3041"  # a message of SQL Server: 18204, of a device, is of a disk or a share
_GAPS: Final = 3  # from so many gaps on, the rhythm of backups is known
_RHYTHM: Final = 1.5  # times the second-longest gap
_WITHOUT_RHYTHM: Final[Mapping[ProofSource, float]] = {ProofSource.LOG_BACKUP: 25 * 3600.0}
_OTHER_BACKUPS: Final = 8 * DAY


class Evidence(StrEnum):
    """A row of the table."""

    VAULT = "vault"
    READ = "read"
    CLOCK = "clock"
    INSIDE = "inside"
    OPEN = "open"
    ROOM = "room"
    USED = "used"
    SECRET = "secret"  # noqa: S105 - no secret
    UNFAILED = "unfailed"
    LOG = "log"
    RECENT = "recent"
    NODES = "nodes"
    REQUESTS = "requests"
    EXPORTERS = "exporters"


@dataclass(frozen=True, slots=True)
class EvidenceText:
    """What must be there, where it comes from, and what a missing row is answered with."""

    needs: str
    source: str
    missing: str


EVIDENCE: Final[Mapping[Evidence, EvidenceText]] = {
    Evidence.VAULT: EvidenceText(
        "the vault gives this key version to this identity",
        "a target that lists the SQL Server: ready now and for `--for`, unwrapped within `--unwrap-age`, its credential valid beyond `--window`",
        "not ready; not known without a verdict or without a target"),
    Evidence.READ: EvidenceText(
        "what was read is whole and fresh", "each section that a row rests on, read as a whole within `--reading-age`", "not known"),
    Evidence.CLOCK: EvidenceText(
        "the clocks agree", "the server's clock against the exporter's, within five minutes", "not known"),
    Evidence.INSIDE: EvidenceText(
        "SQL Server has what it signs in with", "the EKM option, the provider, the key, its login and that login's credential", "not ready"),
    Evidence.OPEN: EvidenceText(
        "every database under the key is open", "the states of the databases", "not ready"),
    Evidence.ROOM: EvidenceText(
        "the logs have room", "the logs' size and growth, while backups or a target fail", "not ready below four hours"),
    Evidence.USED: EvidenceText(
        "this node itself used this key, and nothing that it rests on changed since",
        "a start that opened, or a backup that finished, of a database under this key on this node: begun two hours after the credential was altered, the key "
        "was set or encryption began (a start at once; a managed identity 24 hours), and after provider, DLL, option and mapping were first seen as they are",
        "not known"),
    Evidence.SECRET: EvidenceText(
        "the secret that this node holds is still good",
        "a use begun two hours after the latest change or refusal on any node of the same client, and after the known end of a secret that this node may hold",
        "not known; not ready if all of these secrets have ended"),
    Evidence.UNFAILED: EvidenceText(
        "nothing failed since", "no line with a provider's number in the error log, and no failed backup of a database under the key",
        "not ready; a failed backup alone: not known"),
    Evidence.LOG: EvidenceText(
        "the error log says so for the whole time", "the log and its archives, read back to the use. Without the right to read it: a backup within its rhythm",
        "not known"),
    Evidence.RECENT: EvidenceText(
        "the use is not too old",
        "a backup: 1.5 times the second-longest gap between such backups in 35 days (fewer than three gaps: 25 hours for log backups, 8 days for others). "
        "A start: 35 days, unless backups stopped on every replica",
        "not known"),
    Evidence.NODES: EvidenceText(
        "the same for each node that the databases may move to", "the replicas of their groups, and the nodes of a failover cluster instance", "as above"),
    Evidence.REQUESTS: EvidenceText(
        "the restart stays below the vault's limit", "the databases of the instances that restart together", "not ready"),
    Evidence.EXPORTERS: EvidenceText(
        "the exporters answer and agree", "the answers of each exporter", "not known"),
}  # fmt: skip


# The row whose evidence is missing, by condition; what is of no row is of the vault's.
_OF_ROW: Final[Mapping[Condition, Evidence]] = {
    condition: row
    for row, conditions in {
        Evidence.READ: (
            Condition.READING_OLD, Condition.NOT_READ_ITSELF, Condition.INVENTORY_MISSING, Condition.INVENTORY_UNUSABLE,
            Condition.INSTANCE_NOT_READ, Condition.INVENTORY_OLD, Condition.INVENTORY_GAP, Condition.SECTION_KEPT, Condition.INSTANCE_KEPT,
            Condition.SERVER_CONTESTED,
        ),
        Evidence.CLOCK: (Condition.SERVER_CLOCK,),
        Evidence.INSIDE: (
            Condition.PROVIDER_DISABLED, Condition.EKM_DISABLED, Condition.CREDENTIAL_MISSING, Condition.CREDENTIAL_GUESSED,
            Condition.KEY_NOT_ON_REPLICA, Condition.IDENTITY_UNSUPPORTED,
        ),
        Evidence.OPEN: (Condition.DATABASE_CLOSED,),
        Evidence.ROOM: (Condition.LOG_FILLS,),
        Evidence.USED: (Condition.CREDENTIAL_NOT_PROVEN,),
        Evidence.SECRET: (Condition.CREDENTIAL_LEFT_BEHIND, Condition.SECRET_ENDED),
        Evidence.UNFAILED: (Condition.BACKUPS_FAIL, Condition.BACKUPS_FAIL_UNEXPLAINED),
        Evidence.LOG: (Condition.LOG_NOT_READ,),
        Evidence.RECENT: (Condition.PROOF_OLD,),
        Evidence.NODES: (Condition.NODE_NOT_PROVEN,),
        Evidence.REQUESTS: (Condition.RESTART_THROTTLES, Condition.INSTANCE_THROTTLES, Condition.KEY_SIZE_UNKNOWN),
        Evidence.EXPORTERS: (
            Condition.EXPORTERS_DISAGREE, Condition.EXPORTER_UNREACHABLE, Condition.EXPORTER_REFUSES, Condition.EXPORTER_FOREIGN,
            Condition.EXPORTER_OLD, Condition.CLOCKS_DIFFER,
        ),
    }.items()
    for condition in conditions
}  # fmt: skip


def evidence_of(missing: GateReason) -> Evidence:
    """Return the row that a reason is about."""
    return _OF_ROW.get(Condition(missing.condition), Evidence.VAULT)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKey:
    """A key that a node needs, with what is known of both.

    `proof` is None if no exporter reads the node. `peers` are the proofs of every SQL Server of the same client, `replicas` the readings of those that share
    a group with it, `ready_hosts` the computers on which an exporter has a ready target of it.
    """

    known: KnownInstance
    usage: Usage
    proof: ServerProof | None
    targets: Sequence[TargetState] = ()
    peers: Sequence[ServerProof] = ()
    replicas: Sequence[SqlServerReading] = ()
    ready_hosts: frozenset[str] = frozenset()
    suffix: str = ""  # of the name in texts

    @property
    def server(self) -> str:
        return self.known.server + self.suffix


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A node and key whose SQL Server is read, at `now`. `at` is the time on the server's clock of what was read."""

    key: NodeKey
    proof: ServerProof
    limits: Limits
    now: float

    @property
    def server(self) -> str:
        return self.key.server

    @property
    def reading(self) -> SqlServerReading:
        return self.proof.reading

    @property
    def at(self) -> float:
        return next(
            (at for row in rows(self.reading, "instance") if (at := known_time(str(row.get("read_at_utc")))) is not None),
            -math.inf,
        )

    @property
    def node(self) -> str:
        return next((printable(str(row.get("node", ""))).casefold() for row in rows(self.reading, "instance")), "")

    @property
    def database(self) -> str:
        return sql_name(next((one.name for one in self.key.usage.databases if not one.hidden), ""), "DATABASE")

    @property
    def uses(self) -> list[KeyUse]:
        """What this node did with the key; nothing happened after it was read."""
        found = key_uses(self.reading, self.proof.proof.thumbprint)
        return [use for use in found if use.began_at <= use.at <= self.at + CLOCK_TOLERANCE]

    def good_uses(self) -> list[KeyUse]:
        """Return the uses since everything that they rest on is as it is."""
        return [
            use
            for use in self.uses
            if all(use.proves(at, grace) for at, grace, _ in (*self.changes(use), *self.secret_changes()))
        ]

    def changes(self, use: KeyUse | None = None) -> Iterator[tuple[float, float, str]]:
        """Yield what may have changed since a use: when, how long an older token may serve, and a text."""
        proof = self.proof.proof
        altered = (
            known_time(self.key.usage.credential.modified_utc) if self.key.usage.credential.name == proof.credential else None
        )
        if (at := max((each for each in (altered, proof.altered_at) if each is not None), default=None)) is not None:
            yield at, proof.grace, f"credential [{proof.credential}] was altered at {clock_text(at, self.now)}"
        if use is not None and use.set_at is not None:
            yield use.set_at, proof.grace, f"the key of [{use.database}] was set at {clock_text(use.set_at, self.now)}"
        for row in self.fingerprints():
            since = known_time(str(row.get("since_utc")))
            is_first = row.get("first") != 0
            verb = "was first seen" if is_first else "changed, as seen"
            text = f"the {_WHAT[str(row['what'])]} {verb} at {clock_text(since or self.at, self.now)}"
            yield math.inf if since is None else since, 0.0 if is_first else proof.grace, text

    def fingerprints(self) -> Iterator[Row]:
        """Yield the rows of what has no time of its own, as they are on this node."""
        provider = self.key.usage.key.provider
        names = {"provider": provider, "dll": provider, "option": None, "mapping": self.proof.proof.thumbprint}
        for row in rows(self.reading, "changes"):
            what = str(row.get("what"))
            if what in names and names[what] in (None, row.get("name")) and str(row.get("node", "")).casefold() == self.node:
                yield row

    def secret_changes(self) -> Iterator[tuple[float, float, str]]:
        """Yield what shows that a secret of this client may have gone: changes and refusals elsewhere, and known ends."""
        proof = self.proof.proof
        if self.is_managed:
            return
        for peer in self.key.peers:
            if peer.proof.altered_at is not None and peer.server != self.proof.server:
                yield (
                    peer.proof.altered_at,
                    proof.grace,
                    f"the secret was altered on {peer.server} at {clock_text(peer.proof.altered_at, self.now)}",
                )
            if peer.server != self.proof.server and (at := _refused_at(peer)) is not None:
                yield at, proof.grace, f"Entra ID refused the secret of {peer.server} since {clock_text(at, self.now)}"
        for at in self.secret_ends():
            if at <= self.now:
                yield at, proof.grace, f"a secret of its client ended at {clock_text(at, self.now)}"

    def secret_ends(self) -> set[float]:
        clients = {(each.client_id or "").casefold() for each in self.key.targets} - {""}
        found = (
            row
            for row in rows(self.reading, "changes")
            if row.get("what") == "secret_end" and str(row.get("name")).casefold() in clients
        )
        return {at for row in found if (at := known_time(str(row.get("since_utc")))) is not None}

    @property
    def is_managed(self) -> bool:
        return self.proof.proof.grace == DAY

    @property
    def denied(self) -> frozenset[str]:
        """The sections that were never read because the login lacks a right."""
        errors = {} if self.reading.document is None else self.reading.document.errors
        return frozenset(name for name, text in errors.items() if name not in self.reading.read_at and is_denied(text))


_WHAT: Final = {
    "provider": "provider",
    "dll": "DLL of the provider",
    "option": "option for EKM providers",
    "mapping": "credential of the key's login",
}
_FINGERPRINTED: Final = ("provider", "option", "mapping")  # a DLL is known once it is loaded
# What each section must have in a row: a row without it says nothing.
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "instance": ("read_at_utc", "node", "may_view_databases"),
    "providers": ("name", "is_enabled", "dll_path"),
    "modules": (),
    "credentials": ("name", "identity", "provider", "modified_utc"),
    "keys": ("name", "thumbprint", "provider"),
    "logins": ("name",),
    "encryption": ("database", "encryption_state", "encryptor_type", "thumbprint"),
    "databases": ("name", "state", "is_encrypted", "in_group"),
    "configurations": ("name", "value", "value_in_use"),
    "start": ("started_utc",),
    "opened": ("database", "opened_utc", "set_utc"),
    "backups": ("database", "type", "started_utc", "finished_utc"),
    "changes": ("what", "since_utc", "first"),
}
_READ: Final = tuple(name for name in _COLUMNS if name != "changes")  # which the exporter itself keeps
_NOT_EMPTY: Final = (
    "instance",
    "providers",
    "credentials",
    "keys",
    "encryption",
    "databases",
    "configurations",
    "start",
    "opened",
    "changes",
)
_Row = Callable[[_Case], Iterator[GateReason]]


def _read(case: _Case) -> Iterator[GateReason]:
    """The sections are whole and fresh. One that the login may not read excuses nothing but the error log."""
    limit = case.limits.reading_age
    old = [name for name in _READ if not is_within(case.now - case.reading.read_at.get(name, -math.inf), limit)]
    if old:
        ages = [case.now - at for name in old if (at := case.reading.read_at.get(name)) is not None]
        failure = case.reading.failure
        yield reason(
            Condition.READING_OLD,
            server=case.server,
            sections=listed(old),
            age="at an unknown time" if len(ages) < len(old) else ago(max(ages)),
            limit=write(limit),
            cause=f". The last attempt failed: {failure}" if failure else "",
        )
    damaged = [name for name in _COLUMNS if name not in old and not _is_whole(name, rows(case.reading, name))]
    if damaged:
        yield reason(
            Condition.INVENTORY_GAP,
            servers=case.server,
            gap=f"rows of {listed(damaged)} are incomplete, so they prove nothing",
            folder=case.limits.folder,
        )


def _is_whole(section: str, found: Sequence[Row]) -> bool:
    """Whether each row has what the evidence needs of it, and there is one if a server with a key in use has some."""
    return bool(found or section not in _NOT_EMPTY) and all(
        row.get(column) is not None for row in found for column in _COLUMNS[section]
    )


def _clock(case: _Case) -> Iterator[GateReason]:
    behind = case.reading.clock_behind
    if behind is None or abs(behind) > CLOCK_TOLERANCE:
        text = (
            "is not known"
            if behind is None
            else f"differs from the exporter's by {span_text(abs(behind))}, more than five minutes"
        )
        yield reason(Condition.SERVER_CLOCK, server=case.server, difference=text)


def _open(case: _Case) -> Iterator[GateReason]:
    if case.proof.proof.closed:
        yield reason(
            Condition.DATABASE_CLOSED, server=case.server, databases=closed_names(case.proof), states=closed_states(case.proof)
        )


def _room(case: _Case) -> Iterator[GateReason]:
    """No log is full soon that no backup truncates, while backups or the target fail."""
    server = case.proof
    fails = server.failed or server.codes or any(target.ready is False for target in case.key.targets)
    if not fails:
        return
    backups = {use.database: use.at for use in sorted(case.uses) if use.source is ProofSource.LOG_BACKUP}
    recent = case.reading.read_at.get("backups", 0.0) - _TRUNCATED
    earliest = max((code.last_at for code in (*server.codes, *server.failed)), default=recent)
    growing = replace(server, logs=tuple(log for log in server.logs if backups.get(log.database, 0.0) <= earliest))
    full = min(full_times(with_present_rates([growing], case.now), case.now), default=None)
    if full is not None and full[0] <= FULL_SOON:
        at = backups.get(full[1])
        since = "no log backup is known" if at is None else f"its last log backup was {span_text(case.now - at)} ago"
        yield reason(Condition.LOG_FILLS, server=case.server, database=full[1], when=full_text(full[0]), since=since)


def _used(case: _Case) -> Iterator[GateReason]:
    uses, known = case.uses, {str(row["what"]) for row in case.fingerprints()}
    unseen = [_WHAT[what] for what in _FINGERPRINTED if what not in known]
    if not uses:
        yield _not_proven(
            case, f"no start and no finished backup of a database under key [{case.proof.proof.key_name}] is known on it"
        )
    elif unseen:
        yield _not_proven(case, f"the {' and the '.join(unseen)} of this node were never seen")
    elif not any(all(use.proves(at, grace) for at, grace, _ in case.changes(use)) for use in uses):
        last = max(uses, key=lambda use: use.began_at)
        text = max(case.changes(last), key=lambda change: change[0] + change[1])[2]
        yield _not_proven(
            case,
            f"{text}, and it has not used key [{case.proof.proof.key_name}] with a new token since (last {_use_text(last, case.now)})",
        )


def _secret(case: _Case) -> Iterator[GateReason]:
    ends = case.secret_ends()
    changes = list(case.secret_changes())
    if not case.uses or any(all(use.proves(at, grace) for at, grace, _ in changes) for use in case.uses):
        return
    if ends and max(ends) <= case.now and not any(use.proves(max(ends), case.proof.proof.grace) for use in case.uses):
        yield reason(
            Condition.SECRET_ENDED, server=case.server, credential=case.proof.proof.credential, at=clock_text(max(ends), case.now)
        )
        return
    cause = max(changes, key=lambda change: change[0])[2]
    yield reason(
        Condition.CREDENTIAL_LEFT_BEHIND, server=case.server, cause=cause, key=case.proof.proof.key_name, database=case.database
    )


def _unfailed(case: _Case) -> Iterator[GateReason]:
    server, since = case.proof, case.proof.free_of_codes_at
    lines = [each for each in lines_of(case.reading) if each.last_at > since]
    codes = [each for each in lines if each.code not in (OTHER, *BACKUP_MESSAGES)]
    failed = [each for each in lines if each.code == FAILED_BACKUP and server.may_be_of_key(each)]
    if codes:
        ready = bool(case.key.targets) and all(target.ready for target in case.key.targets)
        yield reason(
            Condition.BACKUPS_FAIL,
            server=case.server,
            codes=" and ".join(map(_code_text, codes)),
            since=clock_text(max(min(each.first_at for each in codes), since), case.now),
            failed=", and backups fail" if failed else "",
            code=codes[0].code,
            although=", although the vault side is ready" if ready else "",
            logs=meanwhile([server], case.now),
        )
    elif failed:
        since_text = clock_text(max(min(each.first_at for each in failed), since), case.now)
        yield reason(Condition.BACKUPS_FAIL_UNEXPLAINED, server=case.server, since=since_text, logs=meanwhile([server], case.now))


def _log(case: _Case) -> Iterator[GateReason]:
    last = max((use.began_at for use in case.good_uses()), default=None)
    if last is None:
        return
    if "errors" in case.denied:
        if not any(use.source is not ProofSource.START and _is_recent(use, case) for use in case.good_uses()):
            yield reason(Condition.LOG_NOT_READ, server=case.server, cause="the login may not read it")
        return
    fresh = is_within(case.now - case.reading.read_at.get("errors", -math.inf), case.limits.reading_age)
    spans = [(known_time(str(row.get("since_utc"))), known_time(str(row.get("until_utc")))) for row in rows(case.reading, "log")]
    covers = any(
        since is not None and until is not None and since <= last and until >= case.at - CLOCK_TOLERANCE for since, until in spans
    )
    if not (fresh and covers):
        begun = min((since for since, _ in spans if since is not None), default=None)
        text = (
            "it was not read of late"
            if not fresh
            else "what was read of it is not known"
            if begun is None
            else f"it was read from {clock_text(begun, case.now)} on"
        )
        yield reason(
            Condition.LOG_NOT_READ, server=case.server, cause=f"{text}, and the last use began at {clock_text(last, case.now)}"
        )


def _recent(case: _Case) -> Iterator[GateReason]:
    good = case.good_uses()
    if good and not any(_is_recent(use, case) for use in good):
        last = max(good, key=lambda use: use.at)
        yield reason(
            Condition.PROOF_OLD,
            server=case.server,
            key=case.proof.proof.key_name,
            proof=_use_text(last, case.now),
            limit=write(round(_oldest(use=last, limits=case.limits))),
        )


def _nodes(case: _Case) -> Iterator[GateReason]:
    """Yield the nodes of a failover cluster instance that did not start it of late: DLL, registry and network are their own."""
    others = {printable(node) for node in case.key.usage.instance.nodes} - {case.node, ""}
    if len(case.key.usage.instance.nodes) < 2:
        return
    starts = {
        str(row.get("node", "")).casefold(): known_time(str(row.get("since_utc")))
        for row in rows(case.reading, "changes")
        if row.get("what") == "start"
    }
    for node in sorted(others):
        at = starts.get(node.partition(".")[0], starts.get(node))
        if (at is None or not is_within(case.at - at, 35 * DAY)) and node.partition(".")[0] not in case.key.ready_hosts:
            yield replace(reason(Condition.NODE_NOT_PROVEN, server=case.server, node=node), server=node)


# In the order of the table. The vault's row is of the targets, in `rules`.
_ROWS: Final[Mapping[Evidence, _Row]] = {
    Evidence.READ: _read,
    Evidence.CLOCK: _clock,
    Evidence.OPEN: _open,
    Evidence.ROOM: _room,
    Evidence.USED: _used,
    Evidence.SECRET: _secret,
    Evidence.UNFAILED: _unfailed,
    Evidence.LOG: _log,
    Evidence.RECENT: _recent,
    Evidence.NODES: _nodes,
}


def restart_readiness(key: NodeKey, limits: Limits, now: float, vault: Iterable[GateReason] = ()) -> Readiness:
    """Return what a restart or failover of a node lacks for a key, and until when the rest holds.

    `vault` are the reasons of its targets, and what the login, the key and the provider lack.
    """
    missing = list(vault)
    if key.proof is None:
        missing.append(
            replace(reason(Condition.NOT_READ_ITSELF, server=key.server, key=key.usage.key.name), server=key.known.server)
        )
        return Readiness(key.known.server, key.usage.key.thumbprint, key.usage.key.name, tuple(missing), now)
    case = _Case(key=key, proof=key.proof, limits=limits, now=now)
    for row in _ROWS.values():
        missing += (replace(each, server=each.server or key.known.server) for each in row(case))
    return Readiness(key.known.server, key.usage.key.thumbprint, key.usage.key.name, tuple(missing), _until(case))


def _until(case: _Case) -> float:
    """Return the earliest time at which something that is there now is too old."""
    sections = [case.reading.read_at.get(name, -math.inf) + case.limits.reading_age for name in _READ]
    unwraps = [(target.last_unwrap or -math.inf) + case.limits.unwrap_age for target in case.key.targets]
    ends = [
        target.credential_expires_at - case.limits.window
        for target in case.key.targets
        if target.credential_expires_at is not None
    ]
    starts = [use.at + case.limits.proof_age for use in case.good_uses() if use.source is ProofSource.START]
    backups = [math.inf for use in case.good_uses() if use.source is not ProofSource.START]
    return min(*sections, *unwraps, *ends, max((*starts, *backups), default=-math.inf))


def _is_recent(use: KeyUse, case: _Case) -> bool:
    """Whether a further use is not missing when the server was read: a backup follows the rhythm of its kind."""
    if case.at - use.at > _oldest(use=use, limits=case.limits):
        return False
    return use.source is not ProofSource.START or not _have_stopped(case)


def _oldest(*, use: KeyUse, limits: Limits) -> float:
    if use.source is ProofSource.START:
        return min(35 * DAY, limits.proof_age)
    gaps, second = use.row.get("gaps"), use.row.get("second_seconds")
    if isinstance(gaps, int) and isinstance(second, int) and gaps >= _GAPS:
        return min(_RHYTHM * second, limits.proof_age)
    return min(_WITHOUT_RHYTHM.get(use.source, _OTHER_BACKUPS), limits.proof_age)


def _have_stopped(case: _Case) -> bool:
    """Whether this node made backups of a database under the key, and no node of its groups does any more."""
    own = [use for use in case.uses if use.source is not ProofSource.START]
    if not own or any(_is_recent(use, case) for use in own):
        return False
    names = {use.database for use in own}
    for other in case.key.replicas:
        at = next(
            (at for row in rows(other, "instance") if (at := known_time(str(row.get("read_at_utc")))) is not None), -math.inf
        )
        for row in rows(other, "backups"):
            finished = known_time(str(row.get("finished_utc")))
            use = KeyUse(
                finished or -math.inf,
                0.0,
                ProofSource.LOG_BACKUP if row.get("type") == "L" else ProofSource.FULL_BACKUP,
                "",
                row=row,
            )
            if printable(str(row.get("database"))) in names and at - use.at <= _oldest(use=use, limits=case.limits):
                return False
    return True


def _refused_at(server: ServerProof) -> float | None:
    """Return since when Entra ID refuses the secret of a SQL Server."""
    refused = [
        each.first_at
        for each in lines_of(server.reading)
        if each.is_known
        and BY_CODE[int(each.code)].category is Category.IDENTITY
        and each.last_at > (server.proof.proven_from or 0.0)
    ]
    return min(refused, default=None)


def _not_proven(case: _Case, cause: str) -> GateReason:
    return reason(Condition.CREDENTIAL_NOT_PROVEN, server=case.server, cause=cause, database=case.database)


def _use_text(use: KeyUse, now: float) -> str:
    done = "start that opened" if use.source is ProofSource.START else use.source.value.replace("_", " ") + " of"
    return f"{span_text(now - use.at)} ago, {done} [{use.database}]"


def _code_text(code: ReportedCode) -> str:
    if code.code in OPEN_MESSAGES:
        return f"message {code.code}"
    return f"{code.code} {BY_CODE[int(code.code)].symbol}" if code.is_known else code.code


def meanwhile(proofs: Iterable[ServerProof], now: float) -> str:
    """Return how long the logs have room, as a sentence without its end."""
    text = log_text(proofs, now, named=True)
    return f"{text[0].upper()}{text[1:]}" if text else LOGS_GROW
