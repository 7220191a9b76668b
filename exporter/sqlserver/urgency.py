"""What is urgent at a SQL Server: closed databases, logs without room, as sentences; and since when its backups fail, for alerts.

Names were bounded and made printable when they were read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice, product
from typing import Final, NamedTuple, Protocol

from exporter.core.durations import clock_text, known_time, span_text
from exporter.core.values import Vantage
from exporter.knowledge.advice import SERVER_ACTIONS
from exporter.knowledge.code_row import Category
from exporter.sqlserver.document import BACKUP_MESSAGES, OPEN_MESSAGES, OTHER
from exporter.sqlserver.instance import FEW, few, listed, printable
from exporter.sqlserver.logs import log_spaces
from exporter.sqlserver.proof import (
    SAME_BACKUP,
    KeyUse,
    ProofSource,
    ProofState,
    ReportedCode,
    ServerProof,
    finished_backups,
    lines_of,
    server_proofs,
)
from exporter.sqlserver.reading import TRACE_FLAG, SqlServerReading, flag_is_on, known_instance, once, rows

_HOUR: Final = 3600.0  # the age from which a rate is not the present one
SOON: Final = 4 * _HOUR  # until a log is full: as the alert EkmSqlLogFillsUp
_FILE_SOON: Final = _HOUR / 2


def closed_text(servers: Iterable[ServerProof]) -> str:
    """Return which databases applications cannot use, with their SQL Servers; empty if all are open."""
    closed = {each.reading.address: each for each in servers if each.proof.closed}
    named = [f"{closed_names(each)} of {each.server} ({closed_states(each)})" for each in islice(closed.values(), FEW)]
    more = f" and databases of {len(closed) - FEW:,} more SQL Servers" if len(closed) > FEW else ""
    return f"applications cannot use {', '.join(named)}{more}" if named else ""


def closed_names(server: ServerProof) -> str:
    """Return the first names of the closed databases of a SQL Server."""
    return few([f"[{name}]" for name, _ in server.proof.closed])


def closed_states(server: ServerProof) -> str:
    """Return the states of the closed databases, as RECOVERY PENDING."""
    return ", ".join(dict.fromkeys(state.replace("_", " ") for _, state in server.proof.closed))


def log_text(servers: Iterable[ServerProof], now: float, *, named: bool = False) -> str:
    """Return which log no longer grows, when the first log is full, and when the next virtual log file is due; empty if all is unknown."""
    servers = tuple(servers)
    return "; ".join(filter(None, (stalled_text(servers, now, named=named), times_text(servers, now, named=named))))


def times_text(servers: Iterable[ServerProof], now: float, *, named: bool = False) -> str:
    """Return when the first log is full, and when the next virtual log file is due; empty if both are unknown."""
    present = with_present_rates(servers, now)
    full = min((each for each in full_times(present, now) if each[1:] not in stalled(present)), default=None)
    next_file = min(next_files(present), default=None)
    parts = []
    if full is not None:
        where = f" of {full[2]}" if named else ""
        parts.append(f"the log of [{full[1]}]{where} is {full_text(full[0])}")
    if next_file is not None:
        left, database, _ = next_file
        where = f" of [{database}]" if full is None or full[1:] != next_file[1:] else ""
        parts.append(f"the next virtual log file (VLF){where} is due in about {span_text(left)} (trace flag {TRACE_FLAG} is off)")
    # A token of the old secret may still serve.
    still = "once log backups fail, " if all(each.state is ProofState.PROVEN for each in present) else ""
    return f"{still}at the present rate {'; '.join(parts)}" if parts else ""


def stalled_text(servers: Iterable[ServerProof], now: float, *, named: bool = False) -> str:
    """Return which log no longer grows, the first one of all; empty if none is known, or if nothing fails."""
    found = stalled(with_present_rates(servers, now))
    if not found:
        return ""
    (database, name), (at, due) = min(found.items(), key=lambda each: each[1])
    where = f" of {name}" if named else ""
    when = f"{clock_text(at, now)}{', when its next virtual log file (VLF) was due' if due else ''}"
    return f"the log of [{database}]{where} has not grown since {when}: the database may no longer write"


def stalled(servers: Iterable[ServerProof]) -> dict[tuple[str, str], tuple[float, bool]]:
    """Return the logs that no longer grow although they are not full, by database and SQL Server: since when, and whether a virtual log file needs the vault."""
    return {
        (log.database, each.server): (log.stalled_at, flag_is_on(each.reading, TRACE_FLAG) is False)
        for each in servers
        if each.failed or each.state not in (ProofState.DUE, ProofState.STOPPED)
        for log in each.logs
        if log.stalled_at is not None and log.full_in
    }


def not_writing(servers: Iterable[ServerProof], now: float) -> list[tuple[str, str]]:
    """Return the databases that may no longer write, with their SQL Servers: their log no longer grows, or is full."""
    present = with_present_rates(servers, now)
    full = ((database, server) for left, database, server in full_times(present, now) if left <= 0)
    return list(dict.fromkeys((*stalled(present), *full)))


def not_writing_text(servers: Iterable[ServerProof], now: float) -> str:
    """Return which databases may no longer write, for a headline; empty if none is known."""
    found = [f"[{database}] of {server}" for database, server in not_writing(servers, now)]
    return f"{few(found)}{' databases' if len(found) > FEW else ''} may no longer write" if found else ""


def room_text(servers: Iterable[ServerProof], now: float) -> str:
    """Return the beginning of a first action, for the most urgent log; empty if there is time."""
    present = with_present_rates(servers, now)
    if full := min((each for each in full_times(present, now) if each[0] < SOON), default=None):
        return f"Free disk for the log of [{full[1]}] of {full[2]}, or raise its limit. Then: "
    if stopped := min(stalled(present), default=None):
        return f"For the log of [{stopped[0]}] of {stopped[1]}: "
    if file := min((each for each in next_files(present) if each[0] < _FILE_SOON), default=None):
        return f"Before the next virtual log file (VLF) of [{file[1]}] of {file[2]}: "
    return ""


def with_present_rates(servers: Iterable[ServerProof], now: float) -> list[ServerProof]:
    """Return those whose logs were read in the last hour."""
    return [each for each in servers if now - each.reading.read_at.get("logs", 0.0) <= _HOUR]


def full_text(seconds: float) -> str:
    return f"full in {span_text(seconds)}" if seconds > 0 else "full already"


def full_times(servers: Iterable[ServerProof], now: float) -> Iterator[tuple[float, str, str]]:
    """Yield the seconds until the first log of each SQL Server is full, with its database and SQL Server."""
    for each in servers:
        if each.first_full is not None and each.first_full.full_in is not None:
            left = each.first_full.full_in - (now - each.reading.read_at["logs"])
            yield max(0.0, left), each.first_full.database, each.server


def next_files(servers: Iterable[ServerProof]) -> Iterator[tuple[float, str, str]]:
    """Yield the seconds until the next virtual log file of each SQL Server is due, with its database and SQL Server."""
    for each in servers:
        if each.next_file is not None and each.next_file.next_file_in is not None:
            yield each.next_file.next_file_in, each.next_file.database, each.server


def most_urgent(servers: Sequence[ServerProof], now: float) -> ServerProof:
    """Return the SQL Server whose log is full first, else the first one."""
    present = with_present_rates(servers, now)
    times = {left: each for each in reversed(present) for left, _, _ in full_times([each], now)}
    return times[min(times)] if times else servers[0]


# What the alerts on SQL Server rest on, of one SQL Server: since when its backups fail, when its logs are full, which proofs are missing.
# Times are Unix times of the server's clock, unless they are those of targets.

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
_GAPS: Final = 3  # from so many gaps on, the rhythm of backups is known
_PROOF_MISSING: Final = 20 * _HOUR
_OLD_WITHOUT_RHYTHM: Final = {ProofSource.LOG_BACKUP: 24 * _HOUR}
_OLD_BACKUP: Final = 192 * _HOUR
_MOST_NAMED: Final = 5
_LATE_READING: Final = 900.0


class Verdict(Protocol):
    """What a target shows; times are Unix times of the exporter's clock, unknown is None."""

    @property
    def name(self) -> str: ...

    @property
    def vantage(self) -> Vantage: ...

    @property
    def ready(self) -> bool | None: ...

    @property
    def success(self) -> bool | None: ...

    @property
    def fails(self) -> bool: ...

    @property
    def answers(self) -> bool: ...

    @property
    def ready_since(self) -> float | None: ...

    @property
    def last_not_ready(self) -> float | None: ...


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


@dataclass(frozen=True)  # without slots: what follows from the reading is found once
class WatchedServer:
    """One SQL Server as the alerts see it, with the targets that certainly list it and the readings of the other SQL Servers."""

    reading: SqlServerReading
    targets: Sequence[Verdict] = ()
    others: Sequence[SqlServerReading] = ()

    @property
    def behind(self) -> float:
        """By how many seconds the exporter's clock is behind the server's."""
        return self.reading.clock_behind or 0.0

    def read_at(self, section: str) -> float:
        return self.reading.read_at.get(section, -math.inf) + self.behind

    @cached_property
    def proofs(self) -> tuple[ServerProof, ...]:
        return server_proofs(self.reading)

    @cached_property
    def closed(self) -> frozenset[str]:
        return frozenset(name for each in self.proofs for name, _ in each.proof.closed)

    @cached_property
    def peers(self) -> Mapping[str, tuple[SqlServerReading, ...]]:
        """The other nodes of the group of each database under a key. Groups of one name with other servers are other groups."""
        instance, names = known_instance(self.reading), {name for each in self.proofs for name in each.proof.databases}
        groups = {one.name: one.ag for one in (() if instance is None else instance.databases) if one.name in names}
        own = _groups(self.reading)
        nodes = {ag: tuple(each for each in self.others if _groups(each).get(ag) == own[ag]) for ag in own}
        return {name: nodes.get(ag, ()) for name, ag in groups.items()}

    @cached_property
    def own_backups(self) -> list[KeyUse]:
        return [use for use in _backups(self.reading) if use.database in self.peers]

    @cached_property
    def good_at(self) -> float:
        """The end of the last good backup of a database under a key, that this node made."""
        return max((use.at for use in self.own_backups), default=-math.inf)

    @cached_property
    def log_backups(self) -> Mapping[str, KeyUse]:
        """The last log backup of each database. The nodes of a group make one chain."""
        found = [use for use in self.own_backups if use.source is ProofSource.LOG_BACKUP]
        found += [use for use in self.backups_elsewhere if use.source is ProofSource.LOG_BACKUP]
        return {use.database: use for use in sorted(found, key=lambda use: use.at)}

    @cached_property
    def backups_elsewhere(self) -> list[KeyUse]:
        return [use for name, nodes in self.peers.items() for each in nodes for use in _backups(each) if use.database == name]

    @cached_property
    def _shown_log_backups(self) -> Mapping[str, float]:
        """The last log backup of each database as its log shows it, on whatever node it was made."""
        found = (
            (printable(str(row.get("database"))), known_time(str(row.get("log_backup_utc"))))
            for row in rows(self.reading, "logs")
        )
        return {name: at for name, at in found if name in self.peers and at is not None}

    def log_backup_at(self, database: str) -> float:
        """The end of the last log backup of a database on any node."""
        last = self.log_backups.get(database)
        return max(-math.inf if last is None else last.at, self._shown_log_backups.get(database, -math.inf))

    @cached_property
    def good_elsewhere_at(self) -> float:
        """The end of the last log backup of a database of which this node is a secondary replica, which shows no size of its log."""
        primary = {space.database for space in log_spaces(self.reading)}
        times = (self.log_backup_at(name) for name in self.peers if name not in primary)
        return max(times, default=-math.inf) if "logs" in self.reading.read_at else -math.inf

    def lines(self, after: float, database: str = "") -> _Lines:
        """Return the lines about a key after a time. With a database, failed backups of others are left out."""
        found = [each for each in lines_of(self.reading) if each.last_at > after and each.code != OTHER]
        failed = [each for each in found if each.code in BACKUP_MESSAGES and any(one.may_be_of_key(each) for one in self.proofs)]
        failed = [each for each in failed if not database or each.may_be_of(database)]
        keyed = [each for each in found if each.code not in BACKUP_MESSAGES]
        of_backups = [
            each for each in keyed if each.code not in OPEN_MESSAGES or any(_are_near(each, one, after) for one in failed)
        ]
        # Without a credential SQL Server fails before the provider has a number.
        if any(each.proof.credential_missing for each in self.proofs):
            keyed, of_backups = [*keyed, *failed], [*of_backups, *failed]
        if not failed and self.read_at("errors") - max((each.last_at for each in keyed), default=0.0) > _LINES_FORGOTTEN:
            keyed = of_backups = []
        return _Lines(keyed, of_backups, failed)

    def is_missing(self, database: str, after: float = -math.inf) -> bool:
        """Whether log backups of a database stopped: none for three times their rhythm since the last one, and since `after`."""
        last = self.log_backups.get(database)
        rhythm = None if last is None else rhythm_of(last)
        if last is None or rhythm is None:
            return False
        return self.read_at("backups") - max(self.log_backup_at(database), after) > max(_MISSING * rhythm, _LEAST_MISSING)


class _Lines(NamedTuple):
    """Lines of the error log: those about a key, those of them that may be of a backup, and failed backups."""

    keyed: Sequence[ReportedCode]
    of_backups: Sequence[ReportedCode]
    failed: Sequence[ReportedCode]

    @property
    def last(self) -> float:
        return max((each.last_at for each in self.keyed), default=-math.inf)


@once
def _backups(reading: SqlServerReading) -> tuple[KeyUse, ...]:
    return tuple(finished_backups(reading))


@once
def _groups(reading: SqlServerReading) -> Mapping[str, frozenset[str]]:
    """Return the servers of each availability group."""
    found: dict[str, set[str]] = {}
    for row in rows(reading, "replicas"):
        found.setdefault(str(row.get("ag")), set()).add(str(row.get("server_name")).casefold())
    return {ag: frozenset(servers) for ag, servers in found.items()}


def _are_near(one: ReportedCode, other: ReportedCode, after: float) -> bool:
    """Whether a line of each after a time may be of the same backup. The log shows the first and the last one."""
    pairs = product((one.first_at, one.last_at), (other.first_at, other.last_at))
    return any(min(pair) > after and abs(pair[0] - pair[1]) <= SAME_BACKUP for pair in pairs)


def rhythm_of(use: KeyUse) -> float | None:
    """Return the usual seconds between two backups of this kind, None if few are known. An outage is the longest gap, or the second-longest one."""
    gaps, second = use.row.get("gaps"), use.row.get("second_seconds")
    if not isinstance(gaps, int) or not isinstance(second, int) or gaps < _GAPS:
        return None
    return min(float(second), _WINDOW / gaps)


def watched(before: Watch | None, server: WatchedServer, now: float) -> Watch:
    """Return what is known of a SQL Server at `now`, after what was known before."""
    watch = _with_verdicts(before or Watch(), server, now)
    closed = {name: watch.closed.get(name, server.read_at("databases")) for name in server.closed}
    return _with_failures(replace(watch, closed=closed), server)


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
    good = server.good_at
    lines = server.lines(good)
    if lines.failed and server.good_elsewhere_at >= max(lines.last, good):
        good = server.good_elsewhere_at
        lines = server.lines(good)
    counted_after = max(good, watch.counted_after)
    firsts = _firsts(watch.firsts, server.lines(counted_after), counted_after)
    watch = replace(watch, firsts=firsts, is_known="errors" in server.reading.read_at, is_open=bool(lines.keyed))
    began = _began(watch, server, counted_after)
    has_begun = watch.failing_since is not None
    since = None
    if has_begun or watch.down_since is None:
        missing = _missing_since(watch, server)
        since = (watch.failing_since if has_begun and lines.keyed else began) if lines.keyed else None
        since = missing if since is None else since
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


def _began(watch: Watch, server: WatchedServer, after: float) -> float | None:
    """Return the first of the lines that page, None if none do."""
    lines, seen_at = server.lines(after), -math.inf if watch.seen_at is None else watch.seen_at
    first = min((watch.firsts[each.code] for each in lines.keyed), default=math.inf)
    of_backup = min((watch.firsts[each.code] for each in lines.of_backups), default=math.inf)
    last_of_backup = max((each.last_at for each in lines.of_backups), default=-math.inf)
    if max(watch.closed.values(), default=-math.inf) >= first - _CLOSED_BEFORE:
        return None
    if lines.failed and lines.of_backups:
        if last_of_backup - of_backup >= LINES_APART and last_of_backup > seen_at:
            return of_backup
        if server.read_at("backups") - max(of_backup, seen_at) > _ONE_FAILED:
            return of_backup
    return first if lines.last - first >= LINES_LAST and lines.last > seen_at else None


def _missing_since(watch: Watch, server: WatchedServer) -> float | None:
    """Return the last log backup of an open database whose log backups stopped while lines about a key came."""
    after = max(watch.counted_after, -math.inf if watch.seen_at is None else watch.seen_at)
    stopped = {
        name: server.log_backup_at(name) for name in server.peers if name not in server.closed and server.is_missing(name, after)
    }
    return min((at for name, at in stopped.items() if server.lines(max(at, watch.counted_after), name).keyed), default=None)


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
        and not _is_emptied(server, space.database)
    }


def _is_emptied(server: WatchedServer, database: str) -> bool:
    """Whether the last log backup is so recent that the next one is not late."""
    last = server.log_backups.get(database)
    rhythm = 0.0 if last is None else rhythm_of(last) or 0.0
    return server.read_at("backups") <= server.log_backup_at(database) + max(_LATE * rhythm, _LEAST_LATE) + _LEAST_LATE


def proofs_missing(watch: Watch, server: WatchedServer) -> dict[str, float]:
    """Return by thumbprint since when a proof of a key is missing: since its credential was altered, else since the last proof.

    A backup that failed, or a login without a credential, is a case of its own.
    """
    found = dict[str, float]()
    for each in () if watch.is_open else server.proofs:
        proof = each.proof
        if proof.credential_missing:
            continue
        if proof.is_due and proof.altered_at is not None:
            found[proof.thumbprint] = proof.altered_at
        elif proof.proven_at is not None and _is_old(server, each):
            found[proof.thumbprint] = proof.proven_at
    return found


def _is_old(server: WatchedServer, each: ServerProof) -> bool:
    """Whether a further backup is missing, and no other node of the group makes it."""
    proof = each.proof
    names, now = set(proof.databases), server.read_at("backups")
    rhythm = min((r for use in server.own_backups if use.database in names and (r := rhythm_of(use)) is not None), default=None)
    if proof.source is ProofSource.START and rhythm is None:
        return False
    oldest = _OLD_WITHOUT_RHYTHM.get(proof.source or ProofSource.FULL_BACKUP, _OLD_BACKUP)
    limit = oldest if rhythm is None else max(_MISSING * rhythm, _PROOF_MISSING)
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
_NO_CREDENTIAL: Final = (
    ": the login of a key has no credential",
    "add the credential to the login: `verify.sql`, part 2, has the names",
)


def first_actions(watch: Watch, server: WatchedServer, now: float) -> Iterator[FirstAction]:
    """Yield what the alerts say of what is wrong at `now`, with the verdicts of the targets."""
    vault_side = verdicts_text(server.targets)
    for each in _first_actions(watch, server, now):
        yield each._replace(action=f"{each.action}. Vault side: {vault_side}")
    if not server.reading.read_at or server.reading.failure or server.reading.document is None or server.reading.document.errors:
        yield FirstAction("reading", "", _about_reading(server.reading), "check the login of the exporter")


def _first_actions(watch: Watch, server: WatchedServer, now: float) -> Iterator[FirstAction]:
    if watch.failing_since is not None:
        yield _about_backups(server, watch.failing_since)
    for name in sorted(server.closed):
        yield FirstAction("closed", name, "", _about_closed(server, name, watch.closed[name]))
    for name in full_at(watch, server, now):
        yield _about_log(server, name)


def _about_backups(server: WatchedServer, since: float) -> FirstAction:
    good = {use.database: use.at for use in sorted((*server.own_backups, *server.log_backups.values()), key=lambda use: use.at)}
    without = [f"[{name}]" for name in sorted(server.peers) if good.get(name, -math.inf) <= since]
    codes = [each for each in server.lines(-math.inf).keyed if each.code not in BACKUP_MESSAGES and each.last_at >= since]
    codes = [each for each in codes if each.code not in OPEN_MESSAGES] or codes
    shows = f" with code {listed(dict.fromkeys(each.code for each in codes))}" if codes else _NO_CREDENTIAL[0]
    named = f". No backup finished since of: {few(without, _MOST_NAMED)}" if without else ""
    return FirstAction("backups", "", shows + named, _action_of(codes[0]) if codes else _NO_CREDENTIAL[1])


def _action_of(code: ReportedCode) -> str:
    category = None if code.known is None else code.known.category
    if category not in _NAMED_ACTIONS:
        return f"ekm-exporter explain {code.code}"
    what = SERVER_ACTIONS[category].what.format(server="this SQL Server", target="TARGET")
    return what[0].lower() + what[1:]


def _about_closed(server: WatchedServer, name: str, since: float) -> str:
    """Return the cause of a closed database, as far as another database's later proof of its key or the error log shows it."""
    for each in server.proofs:
        proof = each.proof
        if name in proof.databases and proof.proven_at is not None and proof.proven_at > since:
            proven = f"SQL Server proved its key {proof.key_name} at {clock_text(proof.proven_at, since)}, by [{proof.database}]"
            return f"look for missing files and damage, because the vault is not the cause: {proven}"
    codes = dict.fromkeys(each.code for each in server.lines(since - _HOUR).keyed if each.code not in BACKUP_MESSAGES)
    read = (
        f"read what SQL Server logged: {', '.join(f'ekm-exporter explain {code}' for code in islice(codes, FEW))}"
        if codes
        else "read messages 33027, 33028, 33049 and 33111 in the error log of SQL Server"
    )
    cause = "If a key in Azure Key Vault protects it, the vault, the credential or the provider is the cause"
    return f"{read}. {cause}. Other causes: missing files, damage"


def _about_log(server: WatchedServer, name: str) -> FirstAction:
    stalled_at = {space.database: space.stalled_at for space in log_spaces(server.reading)}.get(name)
    notes = ["free disk for the log, or raise its limit"]
    if stalled_at is not None:
        notes.append("The database may no longer write: its log no longer grows")
    notes.append(_FLAG[flag_is_on(server.reading, TRACE_FLAG)])
    if "errors" not in server.reading.read_at:
        notes.append("The exporter cannot read the error log, so another cause is possible")
    return FirstAction("log", name, "", ". ".join(notes))


_FLAG: Final = {
    True: f"Trace flag {TRACE_FLAG} is on: new virtual log files (VLF) need no vault",
    False: f"Trace flag {TRACE_FLAG} is off: each new virtual log file (VLF) needs the vault, so the database may lose access before that",
    None: f"Whether trace flag {TRACE_FLAG} is on is not known",
}


def _about_reading(reading: SqlServerReading) -> str:
    if reading.refused:
        return "it refuses the login of the exporter"
    if not reading.read_at:
        return "it was never read"
    errors = () if reading.document is None else sorted(reading.document.errors)
    return "it does not answer as it should" if reading.failure else f"sections not read: {', '.join(errors)}"


def verdicts_text(targets: Iterable[Verdict]) -> str:
    """Return the verdicts of the targets that list a SQL Server, the first few."""
    found = [
        f"{each.name} {'ready' if each.ready else 'not ready' if each.ready is False else 'without a verdict'}, "
        f"seen {'on the SQL host' if each.vantage is Vantage.SQL_HOST else 'from a central host'}"
        for each in targets
    ]
    return (
        f"{'; '.join(islice(found, FEW))}{f' and {len(found) - FEW} more' if len(found) > FEW else ''}" if found else "not known"
    )
