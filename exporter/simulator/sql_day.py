"""The day of one SQL Server: its backups, its logs, and the requests to the vault that both need.

Nothing happens between two questions: `advance` plays what the time since the last one brought. It knows no clock and no vault: the caller has
both. `vault_side` tells what a server meets at its vault.
"""

from __future__ import annotations

import math
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import NamedTuple

from exporter.simulator.environment import (
    MANAGED_IDENTITY,
    ONLINE,
    DaySettings,
    SimulatedSqlServer,
    SqlDatabase,
    SqlKey,
    Vault,
    VaultSide,
)
from exporter.simulator.faults import FaultScope
from exporter.simulator.scenarios import SIMULATED
from exporter.simulator.state import ActiveFault, SimulatorState

FULL, DIFFERENTIAL, LOG = "D", "I", "L"
_NEW_FILE = "VLF"
_SECONDS = {FULL: 600.0, DIFFERENTIAL: 120.0, LOG: 5.0}  # of one backup, at the most half of its interval
_DEVICE_FAILED, BACKUP_FAILED = "18204", "3041"  # lines of the error log: of a failed device, and of each failed backup
_FIRST_FILES = 16  # VLFs of a log that never grew
_RETRY = 60.0  # seconds from one attempt at a new VLF to the next
_LINES = 3000  # of the error log that are kept
_BACKUPS = 20_000  # that the history keeps


class LogLine(NamedTuple):
    """A line of the error log. `backup_of` has the database of a failed backup."""

    at: float
    code: str
    backup_of: str = ""


class ProviderCall(NamedTuple):
    """A call of the provider with its result; 0 is a success."""

    at: float
    function: str
    code: str


class Backup(NamedTuple):
    """A good backup in the history, which counts them."""

    number: int
    database: str
    kind: str
    finished: float


@dataclass(slots=True, kw_only=True)
class DatabaseDay:
    """Backups and log of one database. Times are Unix times; amounts of log are KB since its first day."""

    name: str
    at: float
    due: dict[str, float]  # when the next backup of each type ends
    finished: dict[str, tuple[float, float]]  # start and end of the last good one of each type
    sequence: int  # number of the current VLF
    file_ends: float  # KB
    written: float  # KB
    truncated: float  # KB at the last log backup
    largest: float = 0.0  # KB of log in use at once
    retry_at: float | None = None  # when it tries again to make a VLF; None: it writes
    log_backup_failed: bool = False

    @property
    def used_kb(self) -> float:
        """Return the log since the last log backup."""
        return self.written - self.truncated

    def total_kb(self, settings: DaySettings) -> float:
        files = max(_FIRST_FILES, math.ceil(self.largest / settings.vlf_kb))
        return min(files * settings.vlf_kb, capacity_kb(settings))

    def disk_free_kb(self, settings: DaySettings) -> float:
        """Return what is left on the disk of the log."""
        return max(0.0, _FIRST_FILES * settings.vlf_kb + settings.disk_kb - self.total_kb(settings))

    def free_kb(self, settings: DaySettings) -> float:
        """Return how much log fits in until a log backup."""
        return max(0.0, capacity_kb(settings) - self.used_kb)

    def writes(self, settings: DaySettings) -> bool:
        return self.retry_at is None and self.free_kb(settings) >= 1

    def write(self, settings: DaySettings, until: float) -> None:
        """Write log until then, or until it is full."""
        if self.retry_at is None:
            grown = self.written + settings.kb_per_second * settings.speed * (until - self.at)
            self.written = max(self.written, min(grown, self.file_ends, self.truncated + capacity_kb(settings)))
            self.largest = max(self.largest, self.used_kb)
        self.at = until


def capacity_kb(settings: DaySettings) -> float:
    """Return how much log a database can have in use."""
    disk = _FIRST_FILES * settings.vlf_kb + settings.disk_kb
    return min(settings.limit_kb, disk) if settings.limit_kb else disk


@dataclass(slots=True)
class SqlDay:
    """The day of one server so far. `lines` are those of the error log, `history` has its backups; both have the oldest first."""

    at: float
    begins: bool = True  # nothing was played yet
    databases: dict[str, DatabaseDay] = field(default_factory=dict)
    tokens: dict[str, float] = field(default_factory=dict)  # time of the sign-in by credential
    lines: deque[LogLine] = field(default_factory=lambda: deque(maxlen=_LINES))
    history: deque[Backup] = field(default_factory=lambda: deque(maxlen=_BACKUPS))
    calls: deque[ProviderCall] = field(default_factory=lambda: deque(maxlen=_BACKUPS))

    def advance(self, server: SimulatedSqlServer, sides: Mapping[str, VaultSide], until: float) -> None:
        """Play what happens until then, if all stays as it is. `sides` has each key by its thumbprint."""
        found = _backed_up(server)
        for name, database in found.items():
            if name not in self.databases:
                self.databases[name] = day = _first_day(server, database, self.at, made_before=self.begins)
                for kind, (_, finished) in day.finished.items():
                    self._record(name, kind, finished)
            _adopt(self.databases[name], server.day, self.at)
        while (event := min(self._events(found, server.day, until), default=None)) is not None:
            moment, kind, name = event
            spared = kind == _NEW_FILE and server.day.trace_flag
            refusal = None if spared else self._request(server, sides, found[name].thumbprint, moment)
            if refusal is None and server.backups_fail and kind != _NEW_FILE:
                refusal = _DEVICE_FAILED
            self.databases[name].write(server.day, moment)
            self._happen(server.day, self.databases[name], kind, refusal, moment)
        for name in found:
            self.databases[name].write(server.day, until)
        for minute, database in product(range(math.ceil(self.at / 60), math.ceil(until / 60)), server.columns):
            self._request(server, sides, database.thumbprint, 60.0 * minute)
        self.at, self.begins = until, False

    def restart(self, server: SimulatedSqlServer, sides: Mapping[str, VaultSide], now: float) -> frozenset[str]:
        """Begin a new error log without tokens. Return the names of the databases that open."""
        self.tokens.clear()
        self.lines.clear()
        refusals = {one.name: self._request(server, sides, one.thumbprint, now) for one in server.databases}
        self.lines.extend(LogLine(now, code) for code in refusals.values() if code)
        for day in self.databases.values():
            day.retry_at = None
        return frozenset(name for name, refusal in refusals.items() if refusal is None)

    def shown(self, server: SimulatedSqlServer) -> list[DatabaseDay]:
        """Return the days of the databases that are open and that this server backs up, by name."""
        return [self.databases[name] for name in sorted(_backed_up(server))]

    def log_lines(self, server: SimulatedSqlServer, since: float) -> list[LogLine]:
        """Return the lines of the error log from then on, with those that a fault wrote."""
        return sorted(line for line in (*self.lines, *(LogLine(*logged) for logged in server.logged)) if line.at >= since)

    def _events(self, found: Mapping[str, SqlDatabase], settings: DaySettings, until: float) -> Iterator[tuple[float, str, str]]:
        for name in found:
            day = self.databases[name]
            times = {**day.due, _NEW_FILE: _next_file_at(day, settings)}
            yield from ((moment, kind, name) for kind, moment in times.items() if moment <= until)

    def _request(self, server: SimulatedSqlServer, sides: Mapping[str, VaultSide], thumbprint: str, moment: float) -> str | None:
        """Return the refusal of a request to the vault, which may need a new token."""
        side, credential = sides[thumbprint], next(one.credential for one in server.keys if one.thumbprint == thumbprint)
        signed_in = self.tokens.get(credential, -math.inf)
        if moment >= signed_in + server.day.token_seconds / server.day.speed:
            self._call(moment, "SqlCryptOpenSession", side.sign_in)
            if side.sign_in is not None:
                return side.sign_in
            self.tokens[credential] = moment
        self._call(moment, "SqlCryptDecrypt", side.key)
        return side.key

    def _call(self, moment: float, function: str, refusal: str | None) -> None:
        """Record a call. SQL Server calls no provider that is disabled or not loaded."""
        if refusal not in ("", _NOT_LOADED):
            self.calls.append(ProviderCall(moment, function, refusal or "0"))

    def _happen(self, settings: DaySettings, day: DatabaseDay, kind: str, refusal: str | None, moment: float) -> None:
        """Let a backup end, or a VLF be full."""
        if kind == _NEW_FILE:
            if refusal is None:
                day.sequence, day.file_ends, day.retry_at = day.sequence + 1, day.written + settings.vlf_kb, None
                return
            day.retry_at = moment + _RETRY / settings.speed
            self.lines.extend(LogLine(moment, code) for code in (refusal,) if code)
            return
        interval = _intervals(settings)[kind]
        day.due[kind] = moment + interval
        if refusal is not None:
            self.lines.extend(LogLine(moment, code) for code in (refusal,) if code)
            self.lines.append(LogLine(moment, BACKUP_FAILED, day.name))
        else:
            day.finished[kind] = (moment - min(_SECONDS[kind] / settings.speed, interval / 2), moment)
            self._record(day.name, kind, moment)
        if kind == LOG:
            day.log_backup_failed = refusal is not None
            day.truncated = day.truncated if refusal is not None else day.written

    def _record(self, database: str, kind: str, finished: float) -> None:
        self.history.append(Backup(self.history[-1].number + 1 if self.history else 1, database, kind, finished))


def _backed_up(server: SimulatedSqlServer) -> dict[str, SqlDatabase]:
    """Return the databases that are open and that this server backs up, by name."""
    return {one.name: one for one in server.databases if one.state == ONLINE and server.makes_backups(one)}


def begin_day(server: SimulatedSqlServer, now: float) -> SqlDay:
    """Return the day of a healthy server, which has just signed in to its vaults."""
    return SqlDay(now, tokens=dict.fromkeys(server.credentials, now))


def _intervals(settings: DaySettings) -> dict[str, float]:
    """Return the seconds between two backups of each type that is made."""
    every = {FULL: settings.full_every, DIFFERENTIAL: settings.differential_every, LOG: settings.every}
    return {kind: seconds / settings.speed for kind, seconds in every.items() if seconds}


def _next_file_at(day: DatabaseDay, settings: DaySettings) -> float:
    """Return when the current VLF is full; infinite if the log is full before."""
    if day.retry_at is not None:
        return day.retry_at
    rate = settings.kb_per_second * settings.speed
    if not rate or day.file_ends > day.truncated + capacity_kb(settings):
        return math.inf
    return day.at + (day.file_ends - day.written) / rate


def _first_day(server: SimulatedSqlServer, database: SqlDatabase, now: float, *, made_before: bool) -> DatabaseDay:
    """Return a database in the middle of a healthy day; where, follows from its name.

    A server that begins to back it up later, as after a failover, has made no backup of it before.
    """
    share = (zlib.crc32(f"{server.name}/{database.name}".encode()) % 997 + 1) / 997
    intervals = _intervals(server.day)
    due = {kind: now + share * interval for kind, interval in intervals.items()}
    ended = {kind: due[kind] - interval for kind, interval in intervals.items() if made_before}
    written = (1 - share) * intervals.get(LOG, 0.0) * server.day.kb_per_second * server.day.speed
    written = min(written, capacity_kb(server.day))
    return DatabaseDay(
        name=database.name,
        at=now,
        due=due,
        finished={kind: (moment - min(_SECONDS[kind], intervals[kind] / 2), moment) for kind, moment in ended.items()},
        sequence=1000 + int(997 * share),
        file_ends=written + share * server.day.vlf_kb,
        written=written,
        truncated=0.0,
    )


def _adopt(day: DatabaseDay, settings: DaySettings, now: float) -> None:
    """Apply changed settings; a database that was closed begins where its day goes on."""
    due = day.due
    day.due = {
        kind: min(due[kind], now + interval) if due.get(kind, now) > now else now + interval
        for kind, interval in _intervals(settings).items()
    }
    day.file_ends = min(day.file_ends, day.written + settings.vlf_kb)
    day.at = max(day.at, now)


# What a SQL Server meets at the vault now: the state of vault, key and sign-in, with the active faults.
# No request is sent. A fault that only changes a response counts as broken, unless it only delays the response.

_NEEDED = frozenset({"get", "unwrapKey"})
_HARMLESS = frozenset({"delayed", "informational", "keep_alive_lost"})
_REFUSED_SECRET = "3303"  # noqa: S105 - a code
_UNKNOWN = "3001"
_NOT_LOADED = "33027"  # a message of SQL Server itself, without a code


def vault_side(state: SimulatorState, server: SimulatedSqlServer, key: SqlKey) -> VaultSide:
    """Return what a request with the key meets. The secret is the one that this SQL Server has."""
    if not (server.provider_enabled and server.ekm_in_use and server.login_has_credential):
        return VaultSide(key="")
    if not server.library_loads:
        return VaultSide(key=_NOT_LOADED)
    vault = state.vault(key.vault)
    if vault is None:
        return VaultSide(key=_UNKNOWN)
    refusals = _Refusals(state, server, key, vault)
    return VaultSide(refusals.sign_in_side(), refusals.key_side())


class _Refusals:
    """Finds what refuses the requests of one server with one key."""

    def __init__(self, state: SimulatorState, server: SimulatedSqlServer, key: SqlKey, vault: Vault) -> None:
        self._state, self._server, self._key, self._vault = state, server, key, vault
        entra = {"authority": vault.authority, "tenant": vault.tenant_id, "application": key.application}
        self._at_entra = [one for one in state.active if entra.get(one.scope) == one.name]
        self._at_vault = [one for one in state.active if (one.scope, one.name) == (FaultScope.VAULT, vault.host)]

    def sign_in_side(self) -> str | None:
        """Return the code of a refused sign-in, None if there is a token."""
        if not self._server.secret_accepted and self._key.identity != MANAGED_IDENTITY:
            return _REFUSED_SECRET
        client_id = self._key.application
        if (client_id is not None and not self._signs_in(client_id)) or self._cut_off(self._vault.authority):
            return self._code_of_change(self._at_entra, _REFUSED_SECRET)
        return self._broken_response(self._at_vault, "challenge") or self._broken_response(self._at_entra, "token")

    def key_side(self) -> str | None:
        """Return the code of a request that is refused in spite of a token, None if it works."""
        allowed = self._key.application is None or self._vault.permissions.get(self._key.application, frozenset()) >= _NEEDED
        if not allowed or not self._has_key() or self._cut_off(self._vault.host):
            return self._code_of_change(self._at_vault, _UNKNOWN)
        return self._broken_response(self._at_vault, "get", "unwrapKey")

    def _code_of_change(self, faults: list[ActiveFault], unknown: str) -> str:
        """Return the code of the newest fault that changes an object or a connection."""
        changes = [one for one in reversed(faults) if one.fault.response is None or one.fault.vault is not None]
        return next((code for one in changes if (code := self._code_of(one)) is not None), unknown)

    def _broken_response(self, faults: list[ActiveFault], *operations: str) -> str | None:
        """Return the code of the first fault that breaks a response, None if there is none."""
        subject = (self._key.key_name.lower(), self._key.key_version)
        for one in faults:
            breaks = one.fault.response is not None and one.fault.name not in _HARMLESS
            if breaks and any(one.applies_to(operation, subject) for operation in operations):
                return self._code_of(one) or _UNKNOWN
        return None

    def _code_of(self, active: ActiveFault) -> str | None:
        """Return the code of the scenario with this fault; of several, that whose options differ least."""
        given = asdict(active.options).items()
        rows = [row for row in SIMULATED if row.cause == active.fault.name]
        row = min(rows, key=lambda row: len(asdict(row.options).items() ^ given), default=None)
        if row is None:
            return None
        return str(row.classic if self._server.file_version.startswith("1.") else row.current)

    def _cut_off(self, host: str) -> bool:
        return bool(self._state.route(host) or self._state.connection(host.partition(":")[0]))

    def _has_key(self) -> bool:
        found = self._vault.keys.get(self._key.key_name.lower())
        version = found.version(self._key.key_version) if found is not None and found.deleted is None else None
        usable = version is not None and version.enabled and "unwrapKey" in version.key_ops and version.is_rsa
        return usable and self._vault.network_refusal is None

    def _signs_in(self, client_id: str) -> bool:
        """Whether the application is as it was configured."""
        tenants = (self._state.environment.tenants.get(self._vault.tenant_id), self._state.tenant(self._vault.tenant_id))
        configured, now = (one.applications.get(client_id) if one is not None else None for one in tenants)
        if configured is None or now is None:
            return False
        # what no sign-in to a vault needs
        return now == replace(configured, graph_reader=now.graph_reader, azure_reader=now.azure_reader)
