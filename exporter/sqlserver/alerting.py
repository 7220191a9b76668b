"""What the alerts on SQL Server rest on, of one SQL Server: since when its backups fail, when its logs are full, which proofs are missing.

And what the alerts say. Times are Unix times of the server's clock, unless they are those of targets. Names were bounded and made printable when they
were read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Final, NamedTuple

from exporter.core.durations import clock_text
from exporter.core.quoting import sql_name
from exporter.core.values import Vantage
from exporter.knowledge.advice import SERVER_ACTIONS
from exporter.knowledge.code_row import STOP_WRITERS, Category
from exporter.sqlserver.document import BACKUP_MESSAGES, OPEN_MESSAGES, OTHER, cell_time
from exporter.sqlserver.gate.conditions import TargetState
from exporter.sqlserver.instance import FEW, few, listed, printable
from exporter.sqlserver.logs import log_spaces
from exporter.sqlserver.proof import (
    OLDEST,
    KeyUse,
    ReportedCode,
    ServerProof,
    begins_with,
    finished_backups,
    lines_of,
    server_proofs,
)
from exporter.sqlserver.reading import TRACE_FLAG, SqlServerReading, flag_is_on, known_instance, once, rows

_HOUR: Final = 3600.0
LINES_APART: Final = 600.0  # seconds between two failed backups that page
LINES_LAST: Final = 1800.0  # seconds for which lines come that page without a failed backup
_LINES_FORGOTTEN: Final = 7200.0  # seconds after the last line, without a failed backup
_ONE_FAILED: Final = 7200.0  # seconds after one failed backup without a good one
_CLOSED_BEFORE: Final = 900.0  # seconds: a database that closed so long before a line is not its cause
_OUTAGE: Final = 600.0  # seconds: a shorter one explains no two lines
_OUTAGE_GAP: Final = _HOUR  # seconds between the last failed and the first ready probe of an outage that was not watched
_MISSING: Final = 3.0  # times the rhythm of backups
_LEAST_MISSING: Final = 1800.0
_LATE: Final = 1.2  # times the rhythm, and
_LEAST_LATE: Final = 900.0  # seconds, twice: from then on no log backup empties the log
_WINDOW: Final = 35 * 86400.0  # the backups of this time are known by their number
_PROOF_MISSING: Final = 20 * _HOUR
_MOST_NAMED: Final = 5
_LATE_READING: Final = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the exporter keeps of a SQL Server from one look to the next.

    `down_since` is since when no target is ready, `counted_after` the end of an outage of the vault: older lines are its own. Lines from before
    `seen_at`, the first verdict of this process, may be of an outage that it did not see. `firsts` has the first line of each code since the last
    good backup, `closed` when each closed database was first seen. `failing_since` is since when backups fail so that it pages; with `is_open`,
    no good backup followed the last line.
    """

    down_since: float | None = None
    counted_after: float = -math.inf
    seen_at: float | None = None
    firsts: Mapping[str, float] = field(default_factory=dict)
    closed: Mapping[str, float] = field(default_factory=dict)
    failing_since: float | None = None
    is_open: bool = False
    is_known: bool = False

    @property
    def since(self) -> float | None:
        """Since when backups fail: 0 if they do not, None if that is not known."""
        return self.failing_since if self.failing_since is not None or self.is_open or not self.is_known else 0.0


class _Lines(NamedTuple):
    """Lines of the error log: those about a key, those of them that may be of a backup, and failed backups."""

    keyed: Sequence[ReportedCode]
    of_backups: Sequence[ReportedCode]
    failed: Sequence[ReportedCode]

    @property
    def last(self) -> float:
        return max((each.last_at for each in self.keyed), default=-math.inf)


@dataclass(frozen=True)  # without slots: what follows from the reading is found once
class WatchedServer:
    """One SQL Server as the alerts see it, with the targets that certainly list it and the readings of the other SQL Servers."""

    reading: SqlServerReading
    targets: Sequence[TargetState] = ()
    others: Sequence[SqlServerReading] = ()

    @property
    def behind(self) -> float:
        """By how many seconds the exporter's clock is behind the server's."""
        return self.reading.clock_behind or 0.0

    def read_at(self, section: str) -> float:
        return self.reading.read_at.get(section, -math.inf) + self.behind

    @property
    def proofs(self) -> tuple[ServerProof, ...]:
        return server_proofs(self.reading)

    @cached_property
    def closed(self) -> frozenset[str]:
        return frozenset(name for each in self.proofs for name, _ in each.closed)

    @cached_property
    def peers(self) -> Mapping[str, tuple[SqlServerReading, ...]]:
        """The other nodes of the group of each database under a key. Groups of one name with other servers are other groups."""
        instance, names = known_instance(self.reading), {name for each in self.proofs for name in each.databases}
        own = _groups(self.reading)
        nodes = {ag: tuple(each for each in self.others if _groups(each).get(ag) == own[ag]) for ag in own}
        return {one.name: nodes.get(one.ag, ()) for one in (() if instance is None else instance.databases) if one.name in names}

    @cached_property
    def own_backups(self) -> list[KeyUse]:
        return [use for use in finished_backups(self.reading) if use.database in self.peers]

    @cached_property
    def backups_elsewhere(self) -> list[KeyUse]:
        return [
            use for name, nodes in self.peers.items() for each in nodes for use in finished_backups(each) if use.database == name
        ]

    @cached_property
    def log_backups(self) -> Mapping[str, KeyUse]:
        """The last log backup of each database. The nodes of a group make one chain."""
        found = [use for use in (*self.own_backups, *self.backups_elsewhere) if use.source == "log_backup"]
        return {use.database: use for use in sorted(found, key=lambda use: use.at)}

    @cached_property
    def log_backups_at(self) -> Mapping[str, float]:
        """The end of the last log backup of each database under a key, on any node, by the history of backups or by its log."""
        shown = {printable(str(row.get("database"))): cell_time(row, "log_backup_utc") for row in rows(self.reading, "logs")}
        made = {name: use.at for name, use in self.log_backups.items()}
        return {name: max(shown.get(name) or -math.inf, made.get(name, -math.inf)) for name in self.peers}

    @cached_property
    def good_elsewhere_at(self) -> float:
        """The end of the last log backup of a database of which this node is a secondary replica, which shows no size of its log."""
        primary = {space.database for space in log_spaces(self.reading)}
        times = (self.log_backups_at[name] for name in self.peers if name not in primary)
        return max(times, default=-math.inf) if "logs" in self.reading.read_at else -math.inf

    def lines(self, after: float, database: str = "") -> _Lines:
        """Return the lines about a key after a time. With a database, failed backups of others are left out."""
        found = [each for each in lines_of(self.reading) if each.last_at > after and each.code != OTHER]
        failed = [each for each in found if each.code in BACKUP_MESSAGES and any(one.may_be_of_key(each) for one in self.proofs)]
        failed = [each for each in failed if not (database and each.backup_of) or begins_with(each.backup_of, database)]
        keyed = [each for each in found if each.code not in BACKUP_MESSAGES]
        of_backups = [each for each in keyed if each.code not in OPEN_MESSAGES or any(each.is_near(one, after) for one in failed)]
        # Without a credential SQL Server fails before the provider has a number.
        if any(each.credential_missing for each in self.proofs):
            keyed, of_backups = [*keyed, *failed], [*of_backups, *failed]
        if not failed and self.read_at("errors") - max((each.last_at for each in keyed), default=0.0) > _LINES_FORGOTTEN:
            keyed = of_backups = []
        return _Lines(keyed, of_backups, failed)

    def is_missing(self, database: str, after: float = -math.inf) -> bool:
        """Whether log backups of a database stopped: none for three times their rhythm since the last one, and since `after`."""
        rhythm = self.rhythm_of(database)
        since = max(self.log_backups_at[database], after)
        return rhythm is not None and self.read_at("backups") - since > max(_MISSING * rhythm, _LEAST_MISSING)

    def late_at(self, database: str) -> float:
        """Return from when on a log backup of a database is late."""
        return self.log_backups_at[database] + max(_LATE * (self.rhythm_of(database) or 0.0), _LEAST_LATE) + _LEAST_LATE

    def rhythm_of(self, database: str) -> float | None:
        """Return the usual seconds between two log backups of a database, None if few are known."""
        last = self.log_backups.get(database)
        return None if last is None else _rhythm(last)


@once
def _groups(reading: SqlServerReading) -> Mapping[str, frozenset[str]]:
    """Return the servers of each availability group."""
    found: dict[str, frozenset[str]] = {}
    for row in rows(reading, "replicas"):
        ag = str(row.get("ag"))
        found[ag] = found.get(ag, frozenset()) | {str(row.get("server_name")).casefold()}
    return found


def _rhythm(use: KeyUse) -> float | None:
    """Return the usual seconds between two backups of this kind, None if few are known. An outage is the longest gap, or the second-longest one."""
    return None if use.gap is None else min(float(use.gap), _WINDOW / int(use.row["gaps"]))


def watched(before: Watch | None, server: WatchedServer, now: float) -> Watch:
    """Return what is known of a SQL Server at `now`, after what was known before."""
    watch, read_at = _with_verdicts(before or Watch(), server, now), server.read_at("databases")
    return _with_failures(replace(watch, closed={name: watch.closed.get(name, read_at) for name in server.closed}), server)


def _with_verdicts(watch: Watch, server: WatchedServer, now: float) -> Watch:
    """Add what the targets show: an outage of the vault, its end, and the first verdict of this process."""
    ready = [each for each in server.targets if each.ready]
    if not ready and any(each.fails or each.success is None for each in server.targets):
        return replace(watch, down_since=now if watch.down_since is None else watch.down_since)
    if not server.targets:
        return replace(watch, down_since=None)
    if not ready and not all(each.answers for each in server.targets):
        return watch  # an old result says nothing new
    since = min((each.ready_since for each in ready if each.ready_since is not None), default=now)
    if watch.seen_at is None:
        failed = max((each.last_not_ready for each in ready if each.last_not_ready is not None), default=-math.inf)
        watch = replace(watch, seen_at=since + server.behind)
        is_end = since - failed <= _OUTAGE_GAP
    else:
        is_end = watch.down_since is not None and now - watch.down_since >= _OUTAGE
    return replace(watch, down_since=None, counted_after=since + server.behind if is_end else watch.counted_after)


def _with_failures(watch: Watch, server: WatchedServer) -> Watch:
    """Add since when backups fail. What began goes on until a good backup; while no target is ready, nothing begins."""
    good = max((use.at for use in server.own_backups), default=-math.inf)  # on this node
    lines = server.lines(good)
    if lines.failed and server.good_elsewhere_at >= max(lines.last, good):
        good = server.good_elsewhere_at
        lines = server.lines(good)
    after = max(good, watch.counted_after)
    counted = server.lines(after)
    firsts = _firsts(watch.firsts, counted, after)
    watch = replace(watch, firsts=firsts, is_known="errors" in server.reading.read_at, is_open=bool(lines.keyed))
    since = None
    if watch.failing_since is not None or watch.down_since is None:
        if lines.keyed:
            since = _began(watch, server, counted) if watch.failing_since is None else watch.failing_since
        since = _missing_since(watch, server) if since is None else since
    return replace(watch, failing_since=since)


def _firsts(before: Mapping[str, float], lines: _Lines, after: float) -> dict[str, float]:
    """Return the first line of each code after a time.

    Of a code that was there before that time, or that may have been forgotten since, it is the one that was seen first.
    """
    found: dict[str, float] = {}
    for each in lines.keyed:
        known = before.get(each.code, -math.inf)
        is_exact = each.first_at > after and (lines.failed or each.last_at - each.first_at <= _LINES_FORGOTTEN)
        first = each.first_at if is_exact else known if known > after else each.last_at
        found[each.code] = min(first, found.get(each.code, math.inf))
    return found


def _began(watch: Watch, server: WatchedServer, lines: _Lines) -> float | None:
    """Return the first of the lines that page, None if none do."""
    seen_at = -math.inf if watch.seen_at is None else watch.seen_at
    first = min((watch.firsts[each.code] for each in lines.keyed), default=math.inf)
    of_backup = min((watch.firsts[each.code] for each in lines.of_backups), default=math.inf)
    last_of_backup = max((each.last_at for each in lines.of_backups), default=-math.inf)
    if max(watch.closed.values(), default=-math.inf) >= first - _CLOSED_BEFORE:
        return None
    are_two = last_of_backup - of_backup >= LINES_APART and last_of_backup > seen_at
    is_one_for_long = server.read_at("backups") - max(of_backup, seen_at) > _ONE_FAILED
    if lines.failed and lines.of_backups and (are_two or is_one_for_long):
        return of_backup
    return first if lines.last - first >= LINES_LAST and lines.last > seen_at else None


def _missing_since(watch: Watch, server: WatchedServer) -> float | None:
    """Return the last log backup of an open database whose log backups stopped while lines about a key came."""
    after = max(watch.counted_after, -math.inf if watch.seen_at is None else watch.seen_at)
    stopped = (name for name in server.peers if name not in server.closed and server.is_missing(name, after))
    times = {name: server.log_backups_at[name] for name in stopped}
    return min((at for name, at in times.items() if server.lines(max(at, watch.counted_after), name).keyed), default=None)


def full_at(watch: Watch, server: WatchedServer, now: float) -> dict[str, float]:
    """Return when each log is full that no log backup empties while the key fails: infinite if that time is not known."""
    at = server.read_at("logs")
    newest = now + server.behind if server.reading.failure else max(map(server.read_at, server.reading.read_at), default=now)
    if newest - at >= _HOUR:
        return {}
    fails = watch.down_since is not None or watch.is_open or bool(server.lines(server.read_at("errors") - _LINES_FORGOTTEN).keyed)
    return {
        space.database: math.inf if space.full_in is None else at + space.full_in
        for space in log_spaces(server.reading)
        if space.database in server.peers
        and (fails or ("errors" not in server.reading.read_at and server.is_missing(space.database)))
        and server.read_at("backups") > server.late_at(space.database)
    }


def proofs_missing(watch: Watch, server: WatchedServer) -> dict[str, float]:
    """Return by thumbprint since when a proof of a key is missing: since its credential was altered, else since the last proof.

    A backup that failed, or a login without a credential, is a case of its own.
    """
    found = dict[str, float]()
    for proof in () if watch.is_open else (each for each in server.proofs if not each.credential_missing):
        since = proof.altered_at if proof.is_due else proof.proven_at
        if since is not None and (proof.is_due or _is_old(server, proof)):
            found[proof.thumbprint] = since
    return found


def _is_old(server: WatchedServer, proof: ServerProof) -> bool:
    """Whether a further backup is missing, and no other node of the group makes it."""
    names, now = set(proof.databases), server.read_at("backups")
    rhythm = min((r for use in server.own_backups if use.database in names and (r := _rhythm(use)) is not None), default=None)
    limit = OLDEST[proof.source] if rhythm is None else max(_MISSING * rhythm, _PROOF_MISSING)
    others = (use.at for use in server.backups_elsewhere if use.database in names)
    return now - (proof.proven_at or 0.0) > limit and now - max(others, default=-math.inf) > _PROOF_MISSING


def read_until(reading: SqlServerReading, interval: float) -> float:
    """Return until when the oldest of its sections counts as read; 0 if it was never read. Read every `interval` seconds, it is late after one and a half."""
    return min(reading.read_at.values(), default=-math.inf) + 1.5 * interval + _LATE_READING if reading.read_at else 0.0


# What the alerts say: what is the matter, and what to do first.


class FirstAction(NamedTuple):
    """What an alert says of a SQL Server or a database: what is the matter, and what to do first, both without a full stop."""

    about: str
    database: str
    shows: str
    action: str


_NAMED_ACTIONS: Final = (Category.IDENTITY, Category.NETWORK, Category.PERMISSION, Category.HOST)
_OVER: Final = {
    "backups": "a log backup finishes; two hours after ALTER CREDENTIAL, `ekm-exporter script prove.sql` proves the new secret",
    "closed": "sys.databases shows ONLINE",
    "log": "a log backup finishes, and the log has room",
}
# Without a name: whoever reads an alert copies it as it is.
_WRITERS: Final = (
    "SELECT TOP (5) DB_NAME(d.database_id), s.session_id, d.database_transaction_log_bytes_used FROM sys.dm_tran_database_transactions AS d"
    " JOIN sys.dm_tran_session_transactions AS s ON s.transaction_id = d.transaction_id ORDER BY 3 DESC;"
)
_FLAG: Final = {
    True: f"Trace flag {TRACE_FLAG} is on: new virtual log files (VLF) need no vault",
    False: f"Trace flag {TRACE_FLAG} is off: each new virtual log file (VLF) needs the vault, so the database may lose access before that",
    None: f"Whether trace flag {TRACE_FLAG} is on is not known",
}


def first_actions(watch: Watch, server: WatchedServer, now: float) -> Iterator[FirstAction]:
    """Yield what the alerts say of what is wrong at `now`, with the verdicts of the targets."""
    found = [] if watch.failing_since is None else [("backups", "", *_about_backups(server, watch.failing_since))]
    found += [("closed", name, "", _about_closed(server, name, watch.closed[name])) for name in sorted(server.closed)]
    found += [("log", name, "", _about_log(server, name)) for name in full_at(watch, server, now)]
    vault_side = verdicts_text(server.targets)
    tested = f". On that host, ekm-exporter probe {server.targets[0].name} --config.file FILE tests it" if server.targets else ""
    for about, database, shows, action in found:
        yield FirstAction(about, database, shows, f"{action}. It is over when {_OVER[about]}. Vault side: {vault_side}{tested}")
    reading = server.reading
    errors = sorted(reading.document.errors)
    if not reading.read_at or reading.failure or errors:
        shows = (
            (reading.refused and "it refuses the login of the exporter")
            or (not reading.read_at and "it was never read")
            or (reading.failure and "it does not answer as it should")
            or f"sections not read: {', '.join(errors)}"
        )
        yield FirstAction("reading", "", shows, "check the login of the exporter")


def _about_backups(server: WatchedServer, since: float) -> tuple[str, str]:
    """Return what fails, and what to do first."""
    good = {use.database: use.at for use in sorted((*server.own_backups, *server.log_backups.values()), key=lambda use: use.at)}
    without = [f"[{name}]" for name in sorted(server.peers) if good.get(name, -math.inf) <= since]
    named = f". No backup finished since of: {few(without, _MOST_NAMED)}" if without else ""
    codes = [each for each in server.lines(-math.inf).keyed if each.code not in BACKUP_MESSAGES and each.last_at >= since]
    codes = [each for each in codes if each.code not in OPEN_MESSAGES] or codes
    if not codes:
        return (
            f": the login of a key has no credential{named}",
            "add the credential to the login: `ekm-exporter script verify.sql`, part 2, has the names",
        )
    shows = f" with code {listed(dict.fromkeys(each.code for each in codes))}{named}"
    category = None if codes[0].known is None else codes[0].known.category
    if category not in _NAMED_ACTIONS:
        return shows, f"ekm-exporter explain {codes[0].code}"
    target, credential = (
        ("TARGET", "its target") if not server.targets else (server.targets[0].name, server.targets[0].credential)
    )
    what = SERVER_ACTIONS[category].what.format(server="this SQL Server", target=f"{target} --config.file FILE")
    has_file = category is Category.IDENTITY
    secret = (
        f": its first lines have the commands, and the configuration has the secret's file, at credential {credential}"
        if has_file
        else ""
    )
    return shows, f"{what[0].lower()}{what[1:]}{secret}"


def _about_closed(server: WatchedServer, name: str, since: float) -> str:
    """Return the cause of a closed database, as far as another database's later proof of its key or the error log shows it."""
    for proof in server.proofs:
        if name in proof.databases and proof.proven_at is not None and proof.proven_at > since:
            proven = f"SQL Server proved its key {proof.key_name} at {clock_text(proof.proven_at, since)}, by [{proof.database}]"
            return f"look for missing files and damage, because the vault is not the cause: {proven}"
    codes = dict.fromkeys(each.code for each in server.lines(since - _HOUR).keyed if each.code not in BACKUP_MESSAGES)
    logged = ", ".join(f"ekm-exporter explain {code}" for code in islice(codes, FEW))
    read = (
        f"what SQL Server logged: {logged}" if codes else "messages 33027, 33028, 33049 and 33111 in the error log of SQL Server"
    )
    cause = "If a key in Azure Key Vault protects it, the vault, the credential or the provider is the cause"
    instance = known_instance(server.reading)
    in_group = any(each.name == name and each.ag for each in (() if instance is None else instance.databases))
    # A database of an availability group refuses SET ONLINE.
    opened = (
        "restart the service of this SQL Server alone" if in_group else f"ALTER DATABASE {sql_name(name, 'DATABASE')} SET ONLINE"
    )
    return f"read {read}. When that cause is repaired: {opened}. {cause}. Other causes: missing files, damage"


def _about_log(server: WatchedServer, name: str) -> str:
    is_stalled = any(space.database == name and space.stalled_at is not None for space in log_spaces(server.reading))
    notes = (
        f"{STOP_WRITERS[0].lower()}{STOP_WRITERS[1:]}, as this shows: {_WRITERS} Then ekm-exporter docs what-needs-the-vault#if-the-log-fills-up",
        "The database may no longer write: its log no longer grows" if is_stalled else "",
        _FLAG[flag_is_on(server.reading, TRACE_FLAG)],
        "" if "errors" in server.reading.read_at else "The exporter cannot read the error log, so another cause is possible",
    )
    return ". ".join(filter(None, notes))


def verdicts_text(targets: Iterable[TargetState]) -> str:
    """Return the verdicts of the targets that list a SQL Server, the first few."""
    found = [
        f"{each.name} {'ready' if each.ready else 'not ready' if each.ready is False else 'without a verdict'}, "
        f"seen {'on the SQL host' if each.vantage is Vantage.SQL_HOST else 'from a central host'}"
        for each in targets
    ]
    more = f" and {len(found) - FEW} more" if len(found) > FEW else ""
    return f"{'; '.join(found[:FEW])}{more}" if found else "not known"
