"""What keeps SQL Servers from their keys although no probe shows it, with the SQL Servers and targets behind each: sentences and JSON.

In this order: faults of a vault that have ended, what to do first, the proofs by target, causes, differences of the configuration.
Names were bounded and made printable when they were read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite

from exporter.config.settings import Target
from exporter.core import counted
from exporter.core.durations import clock_text, moment
from exporter.core.names import Match, ServerNames, entry_key, match_entry, server_name, told_apart
from exporter.core.quoting import plain, prose, sql_name
from exporter.knowledge.advice import SERVER_ACTIONS
from exporter.knowledge.code_row import Category
from exporter.knowledge.reason_row import sentence
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import NOT_TESTED, State, Unsteady
from exporter.presentation.payloads import Payload, moment_or_none
from exporter.runtime.loop import yield_with_pauses
from exporter.sqlserver.differences import Difference, pins
from exporter.sqlserver.gate.inputs import RestartReadiness
from exporter.sqlserver.gate.render import missing_row
from exporter.sqlserver.instance import FEW, few, printable
from exporter.sqlserver.proof import ProofState, ServerProof, login_text, server_proofs, version_of
from exporter.sqlserver.reading import TRACE_FLAG, SqlServerReading, flag_is_on, names_of, rows, shown_name
from exporter.sqlserver.urgency import (
    closed_text,
    not_writing,
    not_writing_text,
    room_text,
    stalled,
    stalled_text,
    times_text,
)  # fmt: skip
from exporter.state.causes import CauseGroup
from exporter.state.record import ChangeKind, TargetRecord, unsteady_at

Verdicts = Iterable[tuple[Target, bool | None, TargetRecord | None]]  # each target, with whether its vault side is ready
MOST_DIFFERENCES_LISTED = 100  # in one response
_TARGETS_PER_SLICE, _PROOFS_PER_SLICE = 25, 100
_SECTIONS = ("databases", "encryption", "keys", "backups")  # without which nothing is known of the keys of a SQL Server
_HOUR, _LONGEST_WHY = 3600.0, 240
_MOST_NAMED = 12  # SQL Servers in a sentence about what each of them needs
_ORDER = {state: place for place, state in enumerate(ProofState)}
_COMPARED = (Category.NETWORK, Category.PERMISSION, Category.MISSING)  # whose action compares with a probe that succeeds
_OTHER_IDENTITY = "{server} signs in with another identity than the probe, or uses another key. "
# What a page shows before the first action for a code of the provider: what a probe that succeeds, or the code, means.
_DIAGNOSES: Mapping[Category, str] = {
    Category.IDENTITY: "Look inside SQL Server, at {credential}: the vault side works. ",
    Category.NETWORK: "The exporter's network path works. ",
    Category.PERMISSION: _OTHER_IDENTITY,
    Category.MISSING: _OTHER_IDENTITY,
    Category.HOST: "{meaning} ",
}
_NO_PROBE = (
    "No probe shows whether the vault side of {server} is ready. `ekm-exporter explain {code}` has the causes and their actions."
)
# Messages of SQL Server itself that have no code.
_MESSAGES: Mapping[str, str] = {
    "33027": "{server} could not load the connector's DLL (33027), usually a missing Visual C++ runtime.",
    "33111": "{server} did not get the key of its databases (33111).",
}
_OPEN = "Open it on {server}: `ALTER DATABASE {database} SET ONLINE;`{others} Then repeat the log backups."
# On a secondary, a log backup of this database helps nobody, and which replica is the primary is not read.
_OPEN_IN_GROUP = (
    "Restart the service of {server} alone: a database of an availability group refuses SET ONLINE. If its data movement stays suspended, "
    "resume it there: `ALTER DATABASE {database} SET HADR RESUME;`{others}"
)
_PROVE = "`ekm-exporter script prove.sql` prints a backup that breaks no chain."
_ACTIONS: Mapping[ProofState, str] = {
    ProofState.CLOSED: "Change nothing on {server} before the cause is known. On that host, run `ekm-exporter doctor {target}`.",
    ProofState.PROVIDER_DISABLED: "Enable the provider on {server}: `ekm-exporter script verify.sql`, part 3, shows what is off.",
    ProofState.NO_CREDENTIAL: "Add a credential to {login} on {server}: {statement}",
    ProofState.STOPPED: f"Check that the backups of {{server}} run, unless another node of its group makes them. {_PROVE}",
    ProofState.DUE: f"Nothing, if a backup of {{server}} starts two hours after the change. {_PROVE}",
}


def ended_at(record: TargetRecord | None, server: ServerProof) -> float | None:
    """Return when the fault ended to which the latest code of a SQL Server belongs; None if it belongs to none.

    The target is ready again, and steady: of one that fails in waves, nothing has ended. SQL Server may still have the fault in its error log, or
    show its effects, and may show another code of the pair than the probe.
    """
    if record is None or record.state is not State.READY or (code := server.latest) is None or _wave(record) is not None:
        return None
    at, began, codes = server.codes[0].last_at, -inf, set[int]()
    for change in record.changes:
        if change.what is ChangeKind.STATE and change.before == State.READY:
            began, codes = change.at - record.target.interval, set()  # when the last good probe was
        codes |= set() if change.failure.code is None else {change.failure.code}
        is_end = change.what is ChangeKind.STATE and change.after == State.READY and began <= at <= change.at
        if is_end and codes & {code.code, code.counterpart}:
            return change.at
    return None


def _wave(record: TargetRecord | None) -> Unsteady | None:
    return None if record is None or record.last is None else unsteady_at(record, record.last.started_at)


def is_of_the_wave(record: TargetRecord | None, server: ServerProof) -> bool:
    """Return whether the latest code of a SQL Server is the failure that comes and goes in the probes of the target."""
    wave, code = _wave(record), server.latest
    return wave is not None and code is not None and wave.most.code in (code.code, code.counterpart)


def urgency_text(servers: Sequence[ServerProof], now: float) -> str:
    """Return what is closed, since when backups fail, and how long the logs have room, for several SQL Servers together."""
    failing = {each.reading.address: (each.since, each.server) for each in servers if each.failed and each.since is not None}
    of = next(iter(failing.values()))[1] if len(failing) == 1 else f"{len(failing):,} SQL Servers"
    fail = f"backups of {of} fail since {clock_text(min(failing.values())[0], now)}" if failing else ""
    closed, stalled, times = closed_text(servers), stalled_text(servers, now, named=True), times_text(servers, now, named=True)
    if not stalled:
        return "; ".join(filter(None, (closed, fail, times)))
    # That a database may no longer write is a sentence of its own, before all that still works.
    first, *rest = filter(None, (closed, stalled, "; ".join(filter(None, (fail, times)))))
    return ". ".join((first, *(f"{text[0].upper()}{text[1:]}" for text in rest)))


def first_actions(
    servers: Sequence[ServerProof],
    first: ServerProof,
    ended_at: float | None,
    now: float,
    *,
    target: str = "TARGET",
    is_ready: bool = True,
) -> str:
    """Return what to do first for SQL Servers with one cause, with room for the most urgent log if it is soon needed.

    Each of them needs it: the first ones whose statement has other names have their own.
    """
    rest = [each for each in servers if each is not first]
    action, *texts = (first_action(each, ended_at, target=target, is_ready=is_ready) for each in (first, *rest[:_MOST_NAMED]))
    names = [prose(each.server) for each in rest]
    differ = [text.replace(name, "") != action.replace(prose(first.server), "") for name, text in zip(names, texts, strict=False)]
    own = [place for place, is_other in enumerate(differ) if is_other][:FEW]
    alike = [name for place, name in enumerate(names) if place not in own]
    others = f" Then do the same on {few(alike, _MOST_NAMED)}." if alike else ""
    room = "" if first.closed or ended_at is not None or not first.state.is_bad else prose(room_text(servers, now))
    return f"{room}{' '.join((action, *(texts[place] for place in own)))}{others}"


def first_action(server: ServerProof, ended_at: float | None = None, *, target: str = "TARGET", is_ready: bool = True) -> str:
    """Return what to do first about a missing proof; empty if nothing is to do.

    With `ended_at`, the fault of the vault that SQL Server shows has ended. `target` is one with the key; `is_ready` if its vault side is ready.
    """
    where = prose(server.server)
    opened = _open_text(server) if server.closed else ""
    if ended_at is not None:
        return opened or f"Repeat the failed log backups of {where}: they need no other change."
    action = _action_text(server, is_ready=is_ready).format(
        server=where,
        target=target,
        login=prose(login_text(server)),
        credential=prose(f"credential [{server.credential}]" if server.credential else "the key's credential"),
        statement=_add_credential(server.login, server.candidate),
        code=plain(server.codes[0].code, "CODE") if server.codes else "",
        meaning=_meaning(server).format(server=where),
        explain=" and ".join(f"`ekm-exporter explain {each.code}`" for each in server.messages),
    )
    return f"{action} Then {opened[0].lower()}{opened[1:]}" if opened else action


def _action_text(server: ServerProof, *, is_ready: bool) -> str:
    """Return the text of the first action, with names to fill in."""
    if server.messages and not server.codes and server.cause in (ProofState.CLOSED, ProofState.FAILING):
        return "{meaning} {explain} has the repair. On that host, `ekm-exporter doctor {target}` tests it."
    if server.cause is ProofState.STOPPED and server.failed:
        return "Read why backups of {server} fail: `EXEC sys.sp_readerrorlog 0, 1, N'BACKUP';`. Then repeat them."
    if server.cause is not ProofState.FAILING:
        return _ACTIONS.get(server.cause, "")
    category, is_closed = Category.UNKNOWN if server.latest is None else server.latest.category, bool(server.closed)
    if category in _COMPARED and not is_ready:
        return _NO_PROBE
    if is_closed and category is Category.THROTTLED:
        return "Wait for ten minutes without 429."
    action = SERVER_ACTIONS.get(category)
    then = f" {action.then}" if action is not None and action.then and not is_closed else ""  # opening comes first
    read = "Read the lines of {server}: `EXEC sys.sp_readerrorlog 0, 1, N'Provider error code';`"
    known = "" if category is Category.IDENTITY and not is_ready else _DIAGNOSES.get(category, "")
    return f"{known}{action or read}{then}"


def _meaning(server: ServerProof) -> str:
    """Return in plain words what the latest code means, else the messages about databases that did not open."""
    if server.latest is not None:
        return f"{server.latest.summary.partition('. ')[0].removesuffix('.')} ({server.latest.code})."
    return " ".join(_MESSAGES[each.code] for each in server.messages)


def _open_text(server: ServerProof) -> str:
    """Return how to open the closed databases of a SQL Server, with a statement that can be copied."""
    closed = [name for name, _ in server.closed]
    grouped = {
        printable(str(row.get("name"))) for row in rows(server.reading, "databases") if row.get("in_group") == 1 or row.get("ag")
    }
    in_group = [name for name in closed if name in grouped]
    return (_OPEN_IN_GROUP if in_group else _OPEN).format(
        server=prose(server.server),
        database=sql_name((in_group or closed)[0], "DATABASE"),
        others=f" Do so for the other {len(closed) - 1:,} too." if len(closed) > 1 else "",
    )


def _add_credential(login: str, candidate: str) -> str:
    """Return the statement, which can be copied if both names are known."""
    names = sql_name(login, "LOGIN"), sql_name(candidate, "CREDENTIAL")
    statement = f"ALTER LOGIN {names[0]} ADD CREDENTIAL {names[1]};"
    is_complete = names[0] != "[LOGIN]" and names[1] != "[CREDENTIAL]"
    return f"`{statement}`" if is_complete else f"{statement} `ekm-exporter script verify.sql`, part 2, has the names."


class SqlProofs:
    """The proofs of the SQL Servers that the exporter reads, as of the last `refresh`."""

    def __init__(self, readings: Callable[[], Iterable[SqlServerReading]]) -> None:
        self._readings = readings
        self._by_entry: dict[tuple[str, str], list[tuple[SqlServerReading, ServerNames]]] = {}
        self._known: tuple[SqlServerReading, ...] = ()
        self._read: tuple[SqlServerReading, ...] = ()

    def refresh(self) -> bool:
        """Take the readings of now; return whether there are any. All of those with one name count."""
        self._known = tuple(self._readings())
        names, self._by_entry = told_apart({each.address: names_of(each) for each in self._known}), {}
        for each in self._known:
            for key in names[each.address].entry_keys:
                self._by_entry.setdefault(key, []).append((each, names[each.address]))
        self._read = tuple(each for each in self._known if each.document.sections)
        return bool(self._read)

    def readings(self) -> tuple[SqlServerReading, ...]:
        """Return what is known of each SQL Server that was read, whether a target names it or not."""
        return self._read

    def unread(self, now: float) -> list[tuple[str, str]]:
        """Return each SQL Server of `sql_servers` whose use of keys is not read at `now`, and why."""
        return _all_unread(self._known, now)

    def target_proofs(self, target: Target) -> tuple[ServerProof, ...]:
        """Return the proof of each SQL Server of the target, the most urgent first, then the oldest.

        A SQL Server that was not read, or that lacks the target's key, has none.
        """
        servers = self._servers_of(target) if self._read else ()
        found = (each for reading in servers for each in server_proofs(reading) if is_of_target(each, target))
        return tuple(sorted(found, key=urgency))

    def not_read(self, target: Target, now: float) -> str:
        """Return which SQL Servers of the target are not read, and why; empty if none."""
        return unread_text(_all_unread(self._servers_of(target), now), "this target")

    def not_tested(self, target: Target, now: float) -> str:
        """Return what is still untested; empty if the SQL Servers of the target tested what no probe can.

        A proof since the credential was altered tests all of it, for its SQL Server alone, while its backups are read.
        """
        proven = {
            each.reading.address
            for each in self.target_proofs(target)
            if each.state_at(now) is ProofState.PROVEN and each.altered_at is not None
        }
        entries = declared_servers(target)
        untested = [
            server_name(entry)
            for entry in entries
            if not (servers := self.listed(entry)) or any(each.address not in proven for each in servers)
        ]  # fmt: skip
        if not entries or len(untested) == len(entries):
            return NOT_TESTED
        return f"{NOT_TESTED}, for {few(untested)}" if untested else ""

    def _servers_of(self, target: Target) -> tuple[SqlServerReading, ...]:
        return tuple({each.address: each for entry in declared_servers(target) for each in self.listed(entry)}.values())

    def listed(self, entry: Mapping[str, str]) -> list[SqlServerReading]:
        """Return the SQL Server of `sql_servers`, read or not, that an entry of `instances` names, with those that answer with its name too: none hides another."""
        return [
            each
            for each, names in self._by_entry.get(entry_key(entry), ())
            if (matched := match_entry(entry, names)) is Match.CERTAIN or (matched and each.contested)
        ]


def proof_key(server: ServerProof) -> tuple[str, str]:
    """Return what names a proof: the address of the SQL Server and the thumbprint of the key."""
    return server.reading.address, server.thumbprint


def urgency(server: ServerProof) -> tuple[int, float, str]:
    """Return a proof's place in an order: the most urgent first, then the oldest."""
    return _ORDER[server.state], server.proven_at or 0.0, server.server


def declared_servers(target: Target) -> tuple[Mapping[str, str], ...]:
    """Return each declared SQL Server once."""
    found = {server_name(each).casefold(): each for each in reversed(target.instances) if each.get("sql_instance")}
    return tuple(reversed(found.values()))


def _unread(reading: SqlServerReading, now: float) -> str:
    """Return why the use of keys of a SQL Server is not read; empty if it is. One failed attempt within the hour is not shown."""
    sections, missing = reading.document.sections, [section for section in _SECTIONS if section not in reading.read_at]
    is_old = reading.refused or now - max(reading.read_at.values(), default=0.0) > _HOUR
    why = reading.failure if is_old or not sections else ""
    if not why and missing:
        why = f"{' and '.join(missing)}: {reading.document.errors.get(missing[0], 'not read')}" if sections else "not tried yet"
    return printable(why[:_LONGEST_WHY])


def _all_unread(readings: Iterable[SqlServerReading], now: float) -> list[tuple[str, str]]:
    """Return the SQL Servers that are not read, and why; an address stands for unknown names."""
    return [(shown_name(each) or each.address, why) for each in readings if (why := _unread(each, now))]


def unread_text(unread: Sequence[tuple[str, str]], of: str) -> str:
    """Return which SQL Servers are not read, the first ones by name and cause; empty without any."""
    if not unread:
        return ""
    number = f"{len(unread):,} SQL Servers of {of} are" if len(unread) > 1 else f"One SQL Server of {of} is"
    return f"{number} not read: {few([prose(f'{name} ({why})') for name, why in unread])}."


def unread_payload(unread: Sequence[tuple[str, str]]) -> Payload:
    """Return the field `sql_servers_not_read`, absent without any."""
    listed = [{"server": name, "why": why} for name, why in unread[:MOST_DIFFERENCES_LISTED]]
    return {"sql_servers_not_read": listed} if listed else {}


def is_of_target(server: ServerProof, target: Target) -> bool:
    """Whether it is the target's key. If that is unknown, the thumbprint decides, which is one for all versions of a key of a classic connector."""
    thumbprint = server.thumbprint
    found = pins(target, version_of(server.reading, thumbprint), thumbprint, [target.thumbprint] if target.thumbprint else ())
    return thumbprint == target.thumbprint if found is None else found


def sql_servers_payload(servers: Sequence[ServerProof], *, now: float) -> Payload:
    """Return the field `sql_servers`, absent if none of them was read."""
    return {"sql_servers": [_server_payload(each, now) for each in servers]} if servers else {}


def _server_payload(server: ServerProof, now: float) -> Payload:
    """Return one SQL Server. The times of the logs count from their reading, as in the metrics."""
    reading, log, file = server.reading, server.first_full, server.next_file
    return {
        "sql_instance": reading.sql_instance,
        "host": reading.host,
        "contested": reading.contested,
        "key_name": server.key_name,
        "thumbprint": server.thumbprint,
        **proof_fields(server, now),
        "proof_due": server.is_due,
        "trace_flag_15025": flag_is_on(reading, TRACE_FLAG),
        "logs_read_at": moment_or_none(reading.read_at.get("logs")),
        "log_full_in_seconds": None if log is None or log.full_in is None else round(log.full_in),
        "log_full_database": None if log is None else log.database,
        "next_log_file_in_seconds": None if file is None or file.next_file_in is None else round(file.next_file_in),
    }


def proof_fields(server: ServerProof, now: float) -> Payload:
    """Return the fields of a proof that the API and the audit sheet share."""
    return {
        "read_at": moment_or_none(max(server.reading.read_at.values(), default=None)),
        "login": server.login or None,
        "credential": server.credential or None,
        "credential_altered_at": moment_or_none(server.altered_at),
        "state": server.state_at(now).value,
        "proven_at": moment_or_none(server.proven_at),
        "proven_by": server.source,
        "database": server.database or None,
        "since": moment_or_none(server.since),
        "codes_since": [code.code for code in server.signs],
        "backups_fail": bool(server.failed),
    }


@dataclass(slots=True)
class SqlCause:
    """A state of SQL Server's own proofs, with the latest code of the provider, and who is in it.

    `servers` has one proof of each SQL Server by its address, `targets` one of each target by its name. `is_ready` if the vault side of all targets is ready, `is_probed` if that of one is. `ended_at` is when
    the fault of the vault ended that is behind the code; None without one.
    """

    state: ProofState
    code: str  # empty without one
    since: float | None = None
    servers: dict[str, ServerProof] = field(default_factory=dict)
    targets: dict[str, ServerProof] = field(default_factory=dict)
    is_ready: bool = True
    ended_at: float | None = None
    is_probed: bool = False

    def add(self, server: ServerProof, targets: Mapping[str, bool | None]) -> None:
        """Add a proof, with the verdict of each target of its key."""
        self.since = min((at for at in (self.since, server.since) if at is not None), default=None)
        self.servers.setdefault(server.reading.address, server)
        self.targets = dict.fromkeys(targets, server) | self.targets
        self.is_probed = self.is_probed or any(targets.values())
        self.is_ready = self.is_ready and bool(targets) and all(targets.values())

    def target_of(self, server: ServerProof) -> str:
        """Return the first target of a SQL Server, as a command has it."""
        return min((name for name, each in self.targets.items() if each is server), default="TARGET")

    @property
    def id(self) -> str:
        """Text of the query parameter `cause`."""
        return f"sql_server:{self.state}:{self.code}" + (":ended" if self.ended_at is not None else "")

    @property
    def is_of_host(self) -> bool:
        """Whether Windows on the host of SQL Server is to be repaired: the DLL, its runtime, or a right on the registry."""
        return self.code == "33027" or any(
            each.latest is not None and each.latest.category is Category.HOST for each in self.servers.values()
        )

    @property
    def is_bad(self) -> bool:
        """Whether SQL Servers do not work: closed databases, or a key that cannot be had now."""
        return self.state is ProofState.CLOSED or (self.state.is_bad and self.ended_at is None)

    @property
    def weight(self) -> float:
        """Sort key among all causes: closed databases first, then by the number of SQL Servers.

        What may no longer write comes before what only lacks a backup.
        """
        if self.state is ProofState.CLOSED:
            return -inf
        return -len(self.servers) if self.is_bad else 0 if stalled(self.servers.values()) else 1


async def sql_causes(verdicts: Verdicts, proofs: SqlProofs, *, all_servers: bool = True) -> list[SqlCause]:
    """Return the causes in the order of their urgency, and let other tasks run in between.

    `all_servers` includes those without one of the targets. A SQL Server fails for the cause of its targets if all of them are not ready, not probed yet, or
    fail with its code in waves, unless SQL Server itself shows another cause.
    """
    proofs.refresh()
    # One reading a slice: a SQL Server may have thousands of databases.
    opened = [
        each async for reading in yield_with_pauses(proofs.readings(), 1) for each in server_proofs(reading) if each.state.is_open
    ]
    behind: dict[tuple[str, str], dict[str, bool | None]] = {proof_key(each): {} for each in opened}
    of_itself = set[tuple[str, str]]()
    ended = dict[tuple[str, str], float]()
    async for target, ready, record in yield_with_pauses(verdicts if opened else (), _TARGETS_PER_SLICE):
        for proof in (each for each in proofs.target_proofs(target) if proof_key(each) in behind):
            behind[proof_key(proof)][target.name] = ready
            # Before a probe finishes, SQL Server itself is not accused.
            is_pending = (record is None or record.last is None) and proof.state is not ProofState.CLOSED
            is_of_wave = proof.state is ProofState.FAILING and is_of_the_wave(record, proof)
            if not (ready is False or is_pending or is_of_wave):
                of_itself.add(proof_key(proof))
            if ready is not False and (at := ended_at(record, proof)) is not None:
                ended[proof_key(proof)] = at
    causes = dict[tuple[ProofState, str, float | None], SqlCause]()
    async for proof in yield_with_pauses(opened, _PROOFS_PER_SLICE):
        targets = behind[proof_key(proof)]
        is_of_targets = bool(targets) and proof_key(proof) not in of_itself and not proof.cause.is_seen_inside
        if is_of_targets or not (targets or all_servers):
            continue
        code = proof.signs[0].code if proof.cause is ProofState.FAILING else ""
        key = (proof.state, code, ended.get(proof_key(proof)))
        causes.setdefault(key, SqlCause(proof.state, code, ended_at=key[2])).add(proof, targets)
    return sorted(causes.values(), key=lambda cause: (cause.weight, -len(cause.servers), cause.since or 0.0))


async def stuck_behind(verdicts: Verdicts, proofs: SqlProofs, now: float) -> dict[str, tuple[ServerProof, ...]]:
    """Return the SQL Servers of each target that is not ready whose databases are closed, or may no longer write, by its name.

    The proofs are those of the last refresh. Other tasks run in between.
    """
    stuck = {
        proof_key(each)
        async for reading in yield_with_pauses(proofs.readings(), 1)
        for each in server_proofs(reading)
        if each.closed or not_writing([each], now)
    }
    found = dict[str, tuple[ServerProof, ...]]()
    async for target, ready, _ in yield_with_pauses(verdicts if stuck else (), _TARGETS_PER_SLICE):
        if ready is False and (shown := tuple(each for each in proofs.target_proofs(target) if proof_key(each) in stuck)):
            found[target.name] = shown
    return found


def sql_headline(causes: Iterable[SqlCause], behind: Iterable[ServerProof], now: float) -> str:
    """Return how many SQL Servers have closed databases, which may no longer write, and how many cannot get a key themselves.

    It is empty without any. `behind` are those that `stuck_behind` found.
    """
    causes, behind = tuple(causes), tuple(behind)
    bad = [cause for cause in causes if cause.is_bad]
    stuck = not_writing_text((*(each for cause in causes for each in cause.servers.values()), *behind), now)
    closed = {each.reading.address for each in behind if each.closed}
    closed |= {address for cause in bad if cause.state is ProofState.CLOSED for address in cause.servers}
    others = {address for cause in bad for address in cause.servers} - closed
    has = f"{counted(len(closed), 'SQL Server')} {'has' if len(closed) == 1 else 'have'} closed databases"
    cannot = (
        f"{counted(len(others), 'SQL Server')} cannot get {'its key itself' if len(others) == 1 else 'their keys themselves'}"
    )
    return ". ".join(filter(None, (has if closed else "", stuck, cannot if others else "")))


async def cause_log_texts(
    groups: Iterable[CauseGroup], targets: Mapping[str, Target], proofs: SqlProofs, *, now: float
) -> dict[str, str]:
    """Return since when backups fail behind each cause, and the shortest times of the logs, by the id of the cause.

    Only causes that put SQL Servers at risk have one, and causes in waves while backups fail. Other tasks run in between.
    """
    if not proofs.refresh():
        return {}
    texts = dict[str, str]()
    for group in groups:
        in_waves, servers = group.cause.unsteady, list[ServerProof]()
        throttles = in_waves and group.cause.reason is Reason.THROTTLED
        async for name in yield_with_pauses(group.targets if group.at_risk or in_waves else (), _TARGETS_PER_SLICE):
            # A vault in waves may have refused the backups that fail: a throttled one, those with the code of that.
            servers += (
                each
                for each in proofs.target_proofs(targets[name])
                if (each.failed or not in_waves)
                and not (throttles and (each.latest is None or each.latest.category is not Category.THROTTLED))
            )
        if text := urgency_text(servers, now):
            texts[group.id] = f"{text}. Repeat the log backups after ten minutes without 429" if throttles else text
    return texts


def readiness_payload(readiness: RestartReadiness, now: float) -> Payload:
    """Return the restart readiness of a node and key, with the rows of the evidence that are missing."""
    return {
        "key_name": readiness.key_name,
        "thumbprint": readiness.thumbprint,
        "answer": readiness.answer(now),
        "holds_until": moment_or_none(readiness.until if isfinite(readiness.until) else None),
        "missing": list(map(missing_row, readiness.missing)),
    }


def target_differences(target: Target, differences: Iterable[Difference]) -> tuple[Difference, ...]:
    return tuple(each for each in differences if each.subject == target.name)


def difference_text(difference: Difference) -> str:
    """Return what differs and the first action, in two sentences."""
    return f"{sentence(difference.sentence)} {sentence(difference.action)}"


def differences_payload(differences: Sequence[Difference]) -> Payload:
    """Return the field `sql_differences`, absent without any."""
    listed = [
        {
            "kind": each.kind,
            "sql_instance": each.sql_instance,
            "host": each.host,
            "target": each.subject or None,
            "thumbprint": each.thumbprint,
            "key_uri": each.key_uri or None,
            "pinned": each.pinned or None,
            "databases": len(each.databases),
            "text": sentence(each.sentence),
            "action": sentence(each.action),
        }
        for each in differences[:MOST_DIFFERENCES_LISTED]
    ]
    return {"sql_differences": listed} if listed else {}


def causes_payload(groups: Iterable[CauseGroup], own: Sequence[SqlCause]) -> list[Payload]:
    """Return the causes, the most urgent first. Those of SQL Servers that only lack a proof are last.

    `cause` is the parameter of `/targets` that lists the targets. The reason of a SQL Server itself is the state of its proofs.
    """
    bad, rest = (
        [
            {
                "cause": each.id,
                "link": "sql_server",
                "name": "",
                "reason": each.state.value,
                "unsteady": False,
                "since": moment_or_none(each.since),
                "targets": len(each.targets),
                "sql_servers": len(each.servers),
            }
            for each in own
            if each.is_bad is is_bad
        ]
        for is_bad in (True, False)
    )
    of_targets = [
        {
            "cause": group.cause.id,
            "link": group.cause.link.value,
            "name": group.cause.name,
            "reason": group.cause.reason,
            "unsteady": group.cause.unsteady,
            "since": moment(group.since),
            "targets": len(group.targets),
            "sql_servers": len(group.servers),
        }
        for group in groups
    ]
    return [*bad, *of_targets, *rest]
