"""The restart readiness: for a node and a key, the evidence that a restart or failover rests on. Pure.

`EVIDENCE` is the table, and `restart_readiness` the one function that reads it: gate, pages, series and the API show what it returns. A row is
there, or it is missing for a reason. The facts hold times; the answer is that of `now`, so that silence ages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

from exporter.core import counted
from exporter.core.durations import ago, clock_text, known_time, span_text, write
from exporter.core.quoting import sql_name
from exporter.core.values import Generation
from exporter.knowledge.checks_host import is_denied
from exporter.knowledge.verdict import WHY
from exporter.sqlserver.calls import CALLS, SIGNERS, TRACE, proving_call
from exporter.sqlserver.document import BACKUP_MESSAGES, OPEN_MESSAGES, SECRET_END, Row, cell_time, thumbprint_of
from exporter.sqlserver.gate.conditions import Evidence, GateReason, reason
from exporter.sqlserver.gate.inputs import CLOCK_TOLERANCE, DAY, Dependency, Question, RestartReadiness, is_within
from exporter.sqlserver.instance import ASYMMETRIC, listed, printable
from exporter.sqlserver.keys import REGISTRY
from exporter.sqlserver.proof import (
    GAPS,
    OLDEST,
    KeyUse,
    ReportedCode,
    ServerProof,
    finished_backups,
    key_uses,
    lines_of,
    started,
    unknown_is_late,
)
from exporter.sqlserver.reading import SqlServerReading, rows
from exporter.sqlserver.urgency import SOON, closed_names, closed_states, full_text, full_times, log_text, with_present_rates

_TRUNCATED: Final = (
    1800.0  # seconds since a log backup within which the next one is not missing: a reading does not show its rhythm
)
LOGS_GROW: Final = (
    "While SQL Server cannot use the key, log backups fail, and each log grows until its limit or the end of its disk"
)
_DEVICE, _FAILED_BACKUP = BACKUP_MESSAGES
_CALL_LASTS: Final = 60.0  # seconds, at most: an event has the end of its call
_RHYTHM: Final = 1.5  # times the second-longest gap


_WITHOUT_RHYTHM: Final = frozenset({"start", "call"})

Cell = str | int | None


@dataclass(frozen=True, slots=True)
class EvidenceText:
    """What must be there, where it comes from, and what a missing row is answered with."""

    needs: str
    source: str
    missing: str


EVIDENCE: Final[Mapping[Evidence, EvidenceText]] = {
    "vault": EvidenceText(
        "the vault gives this key version to this identity",
        "a target that lists the SQL Server: ready now and for `--for`, unwrapped within `--unwrap-age`, its credential valid beyond `--window`; "
        "for a managed identity, that of an exporter on its computer",
        "not ready; not known without a verdict or without a target"),
    "read": EvidenceText(
        "what was read is whole and fresh", "each section that a row rests on, read as a whole within `--reading-age`", "not known"),
    "clock": EvidenceText(
        "the clocks agree", "the server's clock against the exporter's, within five minutes", "not known"),
    "inside": EvidenceText(
        "SQL Server has what it signs in with", "the EKM option, the provider, the key, its login and that login's credential", "not ready"),
    "open": EvidenceText(
        "every database under the key is open", "the states of the databases", "not ready"),
    "room": EvidenceText(
        "the logs have room", "the logs' size and growth, while backups or a target fail", "not ready below four hours"),
    "used": EvidenceText(
        "this node itself used this key, and nothing that it rests on changed since",
        "a start that opened, or a backup that finished, of a database under this key on this node, or successful `SqlCryptOpenSession` and `SqlCryptDecrypt` of its provider, if a "
        "[session records calls](sql-servers.md#sql-servers-own-calls), none failed or was lost since and the provider has one key and, seen two hours before, one credential there, and the registry no other key (from connector 15.0 on): begun two hours after the credential was altered, the key "
        "was set or encryption began (a start at once; a managed identity 24 hours), and after provider, DLL, option and mapping were first seen as they are",
        "not known"),
    "secret": EvidenceText(
        "the secret that this node holds is still good",
        "a use begun two hours after the latest change or refusal on any node of the same client, and after the known end of a secret that this node may hold",
        "not known; not ready if all of these secrets have ended"),
    "unfailed": EvidenceText(
        "nothing failed since", "no line with a provider's number in the error log, and no failed backup of a database under the key",
        "not ready; a failed backup alone: not known"),
    "log": EvidenceText(
        "the error log says so for the whole time", "the log and its archives, read back to the use. Without the right to read it: a backup within its rhythm",
        "not known"),
    "recent": EvidenceText(
        "the use is not too old",
        "a backup: 1.5 times the second-longest gap between such backups in 35 days (fewer than three gaps: 25 hours for log backups, 8 days for others). "
        "A start: 35 days, a call: 8 days, unless backups stopped on every replica",
        "not known"),
    "nodes": EvidenceText(
        "the same for each node that the databases may move to", "the replicas of their groups, and the nodes of a failover cluster instance", "as above"),
    "requests": EvidenceText(
        "the restart stays below the vault's limit", "the databases of the instances that restart together", "not ready"),
    "exporters": EvidenceText(
        "the exporters answer and agree", "the answers of each exporter", "not known"),
}  # fmt: skip


class _Change(NamedTuple):
    """Something that a use of the key rests on, which changed at a Unix time; `grace` is how long an older token may serve. `words` end before the time."""

    at: float
    grace: float
    words: str

    def text(self, now: float) -> str:
        return f"{self.words} {clock_text(self.at, now) if math.isfinite(self.at) else 'an unknown time'}"


@dataclass(frozen=True, kw_only=True)  # without slots: what follows from it is found once
class NodeKey:
    """A key that a node needs, with what is known of both at `now`. An exporter reads the node: `at` is the time of that on the node's clock.

    `peers` are the proofs of every SQL Server of the same client, `replicas` the readings of those that share a group with it, `ready_hosts` the
    computers on which an exporter has a ready target of it.
    """

    dependency: Dependency
    server: str  # its name in texts
    proof: ServerProof
    question: Question
    now: float
    peers: Sequence[ServerProof] = ()
    replicas: Sequence[SqlServerReading] = ()
    ready_hosts: frozenset[str] = frozenset()

    @property
    def reading(self) -> SqlServerReading:
        return self.proof.reading

    @property
    def at(self) -> float:
        return _read_at(self.reading)

    @property
    def node(self) -> str:
        return next((printable(str(row.get("node", ""))).casefold() for row in rows(self.reading, "instance")), "")

    @property
    def database(self) -> str:
        return sql_name(next((one.name for one in self.dependency.usage.databases if not one.hidden), ""), "DATABASE")

    @cached_property
    def uses(self) -> list[KeyUse]:
        """What this node did with the key; nothing happened after it was read. A cluster instance shares its backups with its other nodes."""
        since = (started(self.reading) or math.inf) if len(self.dependency.usage.instance.nodes) > 1 else -math.inf
        until = self.at + CLOCK_TOLERANCE
        uses = (*key_uses(self.reading).get(self.proof.thumbprint, ()), *self._calls)
        return [use for use in uses if since <= use.began_at <= use.at <= until]

    @property
    def _calls(self) -> Iterator[KeyUse]:
        """Yield the last call that unwrapped the key. It names no key and no credential: it proves if its provider has one of each on this node.

        A user database may have keys, which no login of the exporter sees, but the registry of the host has each key that the connector ever opened there.
        A credential that was dropped since may have signed in, so this one was the only one for as long before as a token of another may serve.
        """
        instance, provider = self.dependency.usage.instance, self.dependency.usage.key.provider
        number = [len([one for one in those if one.provider == provider]) for those in (instance.keys, instance.credentials)]
        at = proving_call(self.reading, provider) if number == [1, 1] else None
        opened_keys = {thumbprint_of(one.thumbprint) for one in self.reading.document.key_uris}
        # Connectors before 2018 need no entry of the registry; the next reading may have one more.
        has_entries = any(one.name == provider and one.generation is Generation.CURRENT for one in instance.providers)
        is_only = has_entries and opened_keys == {self.proof.thumbprint}
        times = {self.reading.read_at.get(section) for section in (TRACE, CALLS, REGISTRY)}
        is_fresh = len(times) == 1 and self.is_fresh(self.reading, CALLS)
        signers = [cell_time(row, "since_utc") or math.inf for row in self.fingerprints if row["what"] == SIGNERS]
        if at is None or not is_only or not is_fresh or at - _CALL_LASTS < min(signers, default=math.inf) + self.proof.grace:
            return
        names = {one.name for one in self.dependency.usage.databases}
        opened = {printable(str(row.get("database"))): cell_time(row, "set_utc") for row in rows(self.reading, "opened")}
        set_times = [opened.get(name) for name in names] or [-math.inf if self.is_for_columns else None]
        set_at = max((one for one in set_times if one is not None), default=None) if None not in set_times else None
        yield KeyUse(at, at - _CALL_LASTS, "call", ", ".join(sorted(names)), set_at=set_at)

    @property
    def proof_with_calls(self) -> ServerProof:
        """The proof, with a call if that is the last use which proves the key."""
        last = max(self.good_uses, key=lambda use: use.at, default=None)
        if last is None or last.source != "call":
            return self.proof
        return replace(self.proof, proven_from=last.began_at, proven_at=last.at, source=last.source, database=last.database)

    @property
    def is_for_columns(self) -> bool:
        return self.dependency.usage.is_for_columns

    @cached_property
    def new_uses(self) -> list[KeyUse]:
        """The uses since everything on this node that they rest on is as it is."""
        return [use for use in self.uses if all(use.proves(each.at, each.grace) for each in self.changes(use))]

    @cached_property
    def good_uses(self) -> list[KeyUse]:
        """The uses that prove the present secret, too."""
        return [use for use in self.new_uses if all(use.proves(each.at, each.grace) for each in self.secret_changes)]

    def changes(self, use: KeyUse) -> tuple[_Change, ...]:
        """Return what may have changed since a use: an unknown time is none that it is after."""
        at = math.inf if use.set_at is None else use.set_at
        return *self.node_changes, _Change(at, self.proof.grace, f"the key of [{use.database}] was set at")

    @cached_property
    def node_changes(self) -> tuple[_Change, ...]:
        """What may have changed for every use of the key on this node."""
        proof, credential, found = self.proof, self.dependency.usage.credential, list[_Change]()
        if not proof.credential_missing:  # which is a reason of its own
            at, own = unknown_is_late(proof.altered_at), known_time(credential.modified_utc)
            at = max(at, own) if own is not None and credential.name == proof.credential else at
            found.append(_Change(at, proof.grace, f"credential [{proof.credential}] was altered at"))
        for row in (each for each in self.fingerprints if each["what"] in _WHAT):
            since, is_first = cell_time(row, "since_utc"), row.get("first") == 1
            words = f"the {_WHAT[str(row['what'])]} {'was first seen at' if is_first else 'changed, as seen at'}"
            found.append(_Change(math.inf if since is None else since, 0.0 if is_first else proof.grace, words))
        return tuple(found)

    @cached_property
    def fingerprints(self) -> list[Row]:
        """The rows of what has no time of its own, as they are on this node."""
        provider, node = self.dependency.usage.key.provider, self.node
        names = {"provider": (provider,), "dll": (provider,), SIGNERS: (provider,), "mapping": (self.proof.thumbprint,)}
        return [
            row
            for row in rows(self.reading, "changes")
            if (what := str(row.get("what"))) in (*_WHAT, SIGNERS)
            and row.get("name") in names.get(what, (row.get("name"),))
            and str(row.get("node", "")).casefold() == node
            and _KINDS["text"](row.get("value"))
        ]

    @cached_property
    def secret_changes(self) -> tuple[_Change, ...]:
        """What shows that a secret of this client may have gone: changes and refusals elsewhere, and known ends."""
        found, grace = list[_Change](), self.proof.grace
        for peer in (each for each in self.peers if each.server != self.proof.server and not self.is_managed):
            if not self.is_fresh(peer.reading, "credentials"):
                words = f"the credentials of {peer.server} were not read of late, so its secret was altered at"
                found.append(_Change(math.inf, grace, words))
            elif (at := peer.altered_at) is not None:
                found.append(_Change(at, grace, f"the secret was altered on {peer.server} at"))
            if (at := _refused_at(peer)) is not None:
                found.append(_Change(at, grace, f"Entra ID refused the secret of {peer.server} since"))
        ended = (at for at in self.secret_ends if at <= self.now)
        return (*found, *(_Change(at, grace, "a secret of its client ended at") for at in ended))

    def is_fresh(self, reading: SqlServerReading, section: str) -> bool:
        return is_within(self.now - reading.read_at.get(section, -math.inf), self.question.reading_age)

    @cached_property
    def secret_ends(self) -> set[float]:
        """When the known secrets of its clients end or ended; none of a managed identity."""
        clients = frozenset(() if self.is_managed else self.dependency.clients)
        return {
            at
            for row in rows(self.reading, "changes")
            if row.get("what") == SECRET_END
            and str(row.get("name")).casefold() in clients
            and (at := cell_time(row, "since_utc")) is not None
        }

    @property
    def is_managed(self) -> bool:
        return self.proof.grace == DAY


_WHAT: Final = {  # the DLL last: it is seen once it is loaded
    "provider": "provider",
    "option": "option for EKM providers",
    "mapping": "credential of the key's login",
    "dll": "DLL of the provider",
}
_MANAGED: Final = "managed_identity"  # the type of a target's credential


_KINDS: Final[Mapping[str, Callable[[Cell], bool]]] = {
    "text": lambda cell: isinstance(cell, str) and bool(cell.strip()),
    "number": lambda cell: type(cell) is int,
    "flag": lambda cell: type(cell) is int and cell in (0, 1),
    "time": lambda cell: isinstance(cell, str) and known_time(cell) is not None,
}
_STATES: Final = (
    "ONLINE", "RESTORING", "RECOVERING", "RECOVERY_PENDING", "SUSPECT", "EMERGENCY", "OFFLINE", "COPYING", "OFFLINE_SECONDARY",
)  # fmt: skip
# What each section must have in a row, by its kind or as one of some texts: a row without it says nothing.
_COLUMNS: Final[Mapping[str, dict[str, str | tuple[str, ...]]]] = {
    "instance": {"read_at_utc": "time", "node": "text", "may_view_databases": "flag", "may_view_definitions": "flag"},
    "providers": {"name": "text", "is_enabled": "flag", "dll_path": "text"},
    "modules": {"provider": "text"},
    "credentials": {"name": "text", "identity": "text", "provider": "text", "modified_utc": "time"},
    "keys": {"name": "text", "thumbprint": "text", "provider": "text", "has_sid": "flag"},
    "logins": {"name": "text"},
    "encryption": {
        "database": "text",
        "encryption_state": "number",
        "encryptor_type": (ASYMMETRIC, "CERTIFICATE"),
        "thumbprint": "text",
    },
    "databases": {"name": "text", "state": _STATES, "is_encrypted": "flag", "in_group": "flag"},
    "replicas": {"ag": "text", "server_name": "text"},
    "configurations": {"name": "text", "value": "number", "value_in_use": "number"},
    "start": {"started_utc": "time"},
    "nodes": {"name": "text"},
    "opened": {"database": "text", "opened_utc": "time", "set_utc": "time"},
    "backups": {"database": "text", "type": "text", "started_utc": "time", "finished_utc": "time", "gaps": "number"},
    "logs": {"database": "text"},
    "errors": {"code": "text"},
    "changes": {"what": "text", "since_utc": "time", "first": "flag"},
}
_READ: Final = tuple(
    name for name in _COLUMNS if name not in ("errors", "changes")
)  # a row of its own, and what the exporter itself keeps
_NOT_EMPTY: Final = frozenset(
    {"instance", "providers", "credentials", "keys", "encryption", "databases", "configurations", "start", "opened", "changes"}
)
_OF_USE: Final = ("instance", "providers", "keys", "encryption", "databases")  # show whether a server uses a key at all
_Row = Callable[[NodeKey], Iterator[GateReason]]


def _read(case: NodeKey) -> Iterator[GateReason]:
    """The sections are whole and fresh. One that the login may not read excuses nothing but the error log."""
    old = [name for name in _READ if not case.is_fresh(case.reading, name)]
    if old:
        age = case.now - min(case.reading.read_at.get(name, -math.inf) for name in old)
        yield reason(
            "reading_old",
            server=case.server,
            sections=listed(old),
            age=ago(age) if math.isfinite(age) else "at an unknown time",
            limit=write(case.question.reading_age),
            cause=f". The last attempt failed: {case.reading.failure}" if case.reading.failure else "",
        )
    # Where no database is encrypted, these have no row.
    empty = [name for name in ("encryption", "databases", "opened") if case.is_for_columns and not rows(case.reading, name)]
    yield from damaged(case.reading, case.server, case.question, [name for name in _COLUMNS if name not in (*old, *empty)])


def damaged(
    reading: SqlServerReading, server: str, question: Question, sections: Iterable[str] | None = None
) -> Iterator[GateReason]:
    """Yield a reason if sections lack what the evidence needs of them; without `sections`, what shows whether a server uses a key."""
    uses_keys = sections is not None
    named = _OF_USE if sections is None else sections
    found = [name for name in named if not _is_whole(name, rows(reading, name), uses_keys=uses_keys)]
    found += [name for name in _lacking(reading) if name not in found] if uses_keys else []
    if found:
        gap = f"rows of {listed(found)} are incomplete, so they prove nothing"
        yield reason("inventory_gap", servers=server, gap=gap, **question.paths)


def _is_whole(section: str, found: Sequence[Row], *, uses_keys: bool) -> bool:
    """Whether each row has what the evidence needs of it, and there is one if a server with a key in use has some."""
    if not found and section in _NOT_EMPTY and (uses_keys or section == "instance"):
        return False
    return all(
        row.get(column) in kind if isinstance(kind, tuple) else _KINDS[kind](row.get(column))
        for row in found
        for column, kind in (_COLUMNS[section] | _also(section, row)).items()
    )


def _also(section: str, row: Row) -> dict[str, str]:
    """Return the columns that a row needs for what it says: a line has times, several gaps a second-longest one, and a group a name."""
    if section == "errors":
        return {} if row.get("lines") == 0 else {"first_utc": "time", "last_utc": "time"}
    if section == "databases":
        return {"ag": "text"} if row.get("in_group") == 1 else {}
    return {"second_seconds": "number"} if section == "backups" and row.get("gaps") not in range(GAPS) else {}


def _lacking(reading: SqlServerReading) -> Iterator[str]:
    """Yield the sections without a row that another section shows: a database that has a log, and so is encrypted and online, and a group's replicas."""
    databases, groups = rows(reading, "databases"), {str(row.get("ag")).casefold() for row in rows(reading, "replicas")}
    if not {row.get("database") for row in rows(reading, "logs")} <= {row.get("name") for row in databases}:
        yield "databases"
    if not {str(row.get("ag")).casefold() for row in databases if row.get("in_group") == 1} <= groups:
        yield "replicas"


def _clocks(case: NodeKey) -> Iterator[GateReason]:
    behind = math.inf if case.reading.clock_behind is None else abs(case.reading.clock_behind)
    if not is_within(behind, CLOCK_TOLERANCE):
        text = (
            f"differs from the exporter's by {span_text(behind)}, more than five minutes"
            if math.isfinite(behind)
            else "is not known"
        )
        yield reason("server_clock", server=case.server, difference=text)


def _identity(case: NodeKey) -> Iterator[GateReason]:
    """Yield a reason if no target tests the managed identity of this node's computer."""
    targets = case.dependency.targets
    is_tested = case.node in case.ready_hosts and all(each.credential_type == _MANAGED for each in targets)
    if case.is_managed and targets and not is_tested:
        names = listed(each.name for each in targets)
        why, paths = WHY["identity_of_another_host"], case.question.paths
        yield reason("no_verdict", target=names, where="", why=why, servers=case.server, **paths)


def _open(case: NodeKey) -> Iterator[GateReason]:
    if case.proof.closed:
        yield reason("database_closed", server=case.server, databases=closed_names(case.proof), states=closed_states(case.proof))


def _room(case: NodeKey) -> Iterator[GateReason]:
    """No log is full soon that no backup truncates, while backups or the target fail."""
    server = case.proof
    if not (server.failed or server.codes or any(target.ready is False for target in case.dependency.targets)):
        return
    backups = {use.database: use.at for use in sorted(case.uses) if use.source == "log_backup"}
    recent = case.reading.read_at.get("backups", 0.0) - _TRUNCATED
    earliest = max((code.last_at for code in (*server.codes, *server.failed)), default=recent)
    growing = replace(server, databases=tuple(name for name in server.databases if backups.get(name, 0.0) <= earliest))
    for left, name, _ in full_times(with_present_rates([growing], case.now), case.now):
        if left <= SOON:
            last = (
                f"its last log backup was {span_text(case.now - backups[name])} ago"
                if name in backups
                else "no log backup is known"
            )
            yield reason("log_fills", server=case.server, database=name, when=full_text(left), since=last)


def _used(case: NodeKey) -> Iterator[GateReason]:
    key, known = case.proof.key_name, {str(row["what"]) for row in case.fingerprints}
    if not any(row.get("provider") == case.dependency.usage.key.provider for row in rows(case.reading, "modules")):
        known.add("dll")  # not loaded yet
    unseen = [words for what, words in _WHAT.items() if what not in known]
    if not case.uses and case.is_for_columns:
        opened = counted(len(case.reading.document.key_uris), "key")
        yield _not_proven(
            case,
            f"no recorded sign-in and unwrap can be of key [{key}] alone, with a credential that was the only one for two hours "
            f"(the registry of the host names {opened}, for all databases and instances; connectors before 15.0 need no entry)",
        )
    elif not case.uses:
        yield _not_proven(case, f"no start and no finished backup of a database under key [{key}] is known on it")
    elif unseen:
        yield _not_proven(case, f"the {' and the '.join(unseen)} of this node were never seen")
    elif not case.new_uses:
        last = max(case.uses, key=lambda use: use.began_at)
        change = max(case.changes(last), key=lambda change: change.at + change.grace)
        unused = f"it has not used key [{key}]{' with a new token' if change.grace else ''} since"
        cause = f"{change.text(case.now)}, and {unused} (last {last.text(case.now)})"
        yield _not_proven(case, cause, change.at + change.grace)


def _secret(case: NodeKey) -> Iterator[GateReason]:
    """Some use of what is as it is, else of what was, proves the present secret."""
    uses, proof = case.new_uses or case.uses, case.proof
    last_end = max(case.secret_ends, default=math.inf)
    if last_end <= case.now and not any(use.proves(last_end, proof.grace) for use in uses):
        yield reason("secret_ended", server=case.server, credential=proof.credential, at=clock_text(last_end, case.now))
    elif uses and not any(all(use.proves(each.at, each.grace) for each in case.secret_changes) for use in uses):
        yield reason(
            "credential_left_behind",
            server=case.server,
            cause=max(case.secret_changes, key=lambda change: change.at).text(case.now),
            key=proof.key_name,
            database=case.database,
        )


def _unfailed(case: NodeKey) -> Iterator[GateReason]:
    server = case.proof
    since = max((use.began_at for use in case.good_uses), default=server.free_of_codes_at)
    lines = [each for each in lines_of(case.reading) if each.last_at > since]
    codes = [each for each in lines if each.code not in BACKUP_MESSAGES]
    failed = [each for each in lines if each.code == _FAILED_BACKUP and server.may_be_of_key(each) and not case.is_for_columns]
    named = " and ".join(f"message {each.code}" if each.code in OPEN_MESSAGES else each.named for each in codes)
    if codes and case.is_for_columns:
        yield _not_proven(case, f"its error log shows {named} since the last use of it")
    elif codes or failed:
        ready = bool(case.dependency.targets) and all(target.ready for target in case.dependency.targets)
        yield reason(
            "backups_fail" if codes else "backups_fail_unexplained",
            server=case.server,
            codes=named,
            since=clock_text(max(min(each.first_at for each in codes or failed), since), case.now),
            failed=", and backups fail" if failed else "",
            code=_explained(codes, ready=ready),
            although=", although the vault side is ready" if ready else "",
            logs=meanwhile([server], case.now),
        )


def _explained(codes: Sequence[ReportedCode], *, ready: bool) -> str:
    """Return what `explain` has the repair of: with a ready target a refused secret is SQL Server's own, and needs no new one."""
    code = codes[0].code if codes else ""
    return "401" if ready and code == "3303" else code


def _log(case: NodeKey) -> Iterator[GateReason]:
    last = max((use.began_at for use in case.good_uses), default=None)
    if last is None:
        return
    if "errors" not in case.reading.read_at and is_denied(case.reading.document.errors.get("errors", "")):
        if not any(use.source not in _WITHOUT_RHYTHM and _is_recent(use, case) for use in case.good_uses):
            yield reason("log_not_read", server=case.server, cause="the login may not read it")
        return
    fresh = all(case.is_fresh(case.reading, name) for name in ("errors", "log"))
    spans = [(cell_time(row, "since_utc"), cell_time(row, "until_utc")) for row in rows(case.reading, "log")]
    covers = any(
        since is not None and until is not None and since <= last and abs(until - case.at) <= CLOCK_TOLERANCE
        for since, until in spans
    )
    if not (fresh and covers):
        begun = min((since for since, _ in spans if since is not None), default=None)
        text = "what was read of it is not known" if begun is None else f"it was read from {clock_text(begun, case.now)} on"
        cause = f"{text if fresh else 'it was not read of late'}, and the last use began at {clock_text(last, case.now)}"
        yield reason("log_not_read", server=case.server, cause=cause)


def _recent(case: NodeKey) -> Iterator[GateReason]:
    good = case.good_uses
    if good and not any(_is_recent(use, case) for use in good):
        # A start or a call of late is no proof once backups stopped: then the last of these is too old.
        old = [[use for use in uses if case.at - use.at > _oldest(use, case.question)] for uses in (good, case.uses)]
        last = max(old[0] or old[1], key=lambda use: use.at)
        yield reason(
            "proof_old",
            server=case.server,
            key=case.proof.key_name,
            proof=last.text(case.now),
            limit=write(round(_oldest(last, case.question))),
        )


def _nodes(case: NodeKey) -> Iterator[GateReason]:
    """Yield the nodes of a failover cluster instance that did not start it of late: DLL, registry and network are their own."""
    instance = case.dependency.usage.instance
    if not instance.nodes and not instance.host.casefold().startswith(case.node):  # a long name is cut in that of the node
        gap = "it runs on a node of another name, and the nodes of its cluster are not known"
        yield reason("inventory_gap", servers=case.server, gap=gap, **case.question.paths)
    changed = [row for row in case.fingerprints if row.get("what") == "provider" and row.get("first") == 0]
    oldest = case.at - min(35 * DAY, case.question.proof_age)
    earliest = max((oldest, *(cell_time(row, "since_utc") or math.inf for row in changed)))
    started_on = {
        str(row.get("node", "")).casefold(): cell_time(row, "since_utc") or -math.inf
        for row in rows(case.reading, "changes")
        if row.get("what") == "start"
    }
    for node in sorted({printable(each) for each in instance.nodes} - {case.node}):
        host = node.partition(".")[0]
        at = started_on.get(host, -math.inf)
        if host not in (case.node, *case.ready_hosts) and not earliest <= at <= case.at + CLOCK_TOLERANCE:
            yield replace(reason("node_not_proven", server=case.server, node=node), server=node)


# In the order of the table. What targets lack is found in `assess`, too.
_ROWS: Final[Mapping[Evidence, _Row]] = {
    "vault": _identity,
    "read": _read,
    "clock": _clocks,
    "open": _open,
    "room": _room,
    "used": _used,
    "secret": _secret,
    "unfailed": _unfailed,
    "log": _log,
    "recent": _recent,
    "nodes": _nodes,
}


def restart_readiness(case: NodeKey, vault: Iterable[GateReason] = ()) -> RestartReadiness:
    """Return what a restart or failover of a node lacks for a key, and until when the rest holds.

    `vault` are the reasons of its targets, and what the login, the key and the provider lack.
    """
    key, server = case.dependency.usage.key, case.dependency.server
    rest = (replace(each, server=each.server or server) for row in _ROWS.values() for each in row(case))
    return RestartReadiness(server, case.reading.address, key.thumbprint, key.name, (*vault, *rest), _until(case))


def _until(case: NodeKey) -> float:
    """Return the earliest time at which something that is there now is too old."""
    limits = case.question
    return min(
        *(case.reading.read_at.get(name, -math.inf) + limits.reading_age for name in _READ),
        *((target.last_unwrap or -math.inf) + limits.unwrap_age for target in case.dependency.targets),
        *(at - limits.window for target in case.dependency.targets if (at := target.credential_expires_at) is not None),
        *(at for at in case.secret_ends if at > case.now),
    )


def _is_recent(use: KeyUse, case: NodeKey) -> bool:
    """Whether a further use is not missing when the server was read: a backup follows the rhythm of its kind."""
    if case.at - use.at > _oldest(use, case.question):
        return False
    return use.source not in _WITHOUT_RHYTHM or not _have_stopped(case)


def _oldest(use: KeyUse, question: Question) -> float:
    """Return the age from which a use is too old."""
    own = 35 * DAY if use.source == "start" else OLDEST[use.source] if use.gap is None else _RHYTHM * use.gap
    return min(own, question.proof_age)


def _have_stopped(case: NodeKey) -> bool:
    """Whether this node made backups of a database under the key, and no node of its groups does any more."""
    own = [use for use in case.uses if use.source not in _WITHOUT_RHYTHM]
    if not own or any(_is_recent(use, case) for use in own):
        return False
    names = {use.database for use in own}
    return not any(
        use.database in names and is_within(_read_at(other) - use.at, _oldest(use, case.question))
        for other in case.replicas
        for use in (finished_backups(other) if case.is_fresh(other, "backups") else ())
    )


def _read_at(reading: SqlServerReading) -> float:
    """Return when a server was read, by its own clock."""
    return next((at for row in rows(reading, "instance") if (at := cell_time(row, "read_at_utc")) is not None), -math.inf)


def _refused_at(server: ServerProof) -> float | None:
    """Return since when Entra ID refuses the secret of a SQL Server. The log shows the first and the last line of a code."""
    since, lines = server.proven_from or 0.0, lines_of(server.reading)
    return min((max(each.first_at, since) for each in lines if each.is_refusal and each.last_at > since), default=None)


def _not_proven(case: NodeKey, cause: str, since: float = -math.inf) -> GateReason:
    """Return what is not proven, and from when on a backup settles it; a time that is past or unknown needs no wait."""
    if case.is_for_columns:
        return reason("columns_not_proven", server=case.server, cause=cause)
    when = f"from {clock_text(since, case.now)} on" if case.now < since < math.inf else "from now on"
    return reason("credential_not_proven", server=case.server, cause=cause, database=case.database, when=when)


def device_notes(proofs: Iterable[ServerProof], now: float) -> Iterator[str]:
    """Yield a note on each server whose backup devices fail."""
    for server in proofs:
        found = [each for each in lines_of(server.reading) if each.code == _DEVICE and each.last_at > server.free_of_codes_at]
        if found:
            since = clock_text(min(each.first_at for each in found), now)
            yield f"{server.server}: a backup device failed since {since} (message {_DEVICE}), as of a full disk or a lost share, if no other number came with it"


def meanwhile(proofs: Iterable[ServerProof], now: float) -> str:
    """Return how long the logs have room, as a sentence without its end."""
    text = log_text(proofs, now, named=True)
    return f"{text[0].upper()}{text[1:]}" if text else LOGS_GROW
